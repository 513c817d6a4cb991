"""In the style of a kernel of 2018: ReduceLROnPlateau on val_acc, augmentation with fit, a confusion of classes."""

import numpy as np
from keras.datasets import mnist
from keras.utils.np_utils import to_categorical
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten, Conv2D, MaxPool2D, BatchNormalization, LeakyReLU
from keras.layers.normalization import BatchNormalization as BN
from keras.optimizers import RMSprop, Adam
from keras.preprocessing.image import ImageDataGenerator
from keras.callbacks import ReduceLROnPlateau, LearningRateScheduler, ModelCheckpoint, EarlyStopping, Callback
from keras.regularizers import l2

(X_train, Y_train), (X_val, Y_val) = mnist.load_data()
X_train = X_train.reshape(-1, 28, 28, 1) / 255.0
X_val = X_val.reshape(-1, 28, 28, 1) / 255.0
Y_train = to_categorical(Y_train, num_classes=10)
Y_val = to_categorical(Y_val, num_classes=10)

model = Sequential()
model.add(Conv2D(filters=8, kernel_size=(5, 5), padding='Same', activation='relu', input_shape=(28, 28, 1)))
model.add(BatchNormalization(axis=3))
model.add(MaxPool2D(pool_size=(2, 2), strides=(2, 2)))
model.add(Dropout(0.25))
model.add(Conv2D(filters=8, kernel_size=3, padding='Same', kernel_regularizer=l2(0.001)))
model.add(LeakyReLU(alpha=0.1))
model.add(BN())
model.add(MaxPool2D())
model.add(Flatten())
model.add(Dense(32, activation="relu"))
model.add(Dense(10, activation="softmax"))


class LossHistory(Callback):
    def on_train_begin(self, logs={}):
        self.losses = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get('loss'))


optimizer = RMSprop(lr=0.001, rho=0.9, epsilon=1e-08, decay=0.0)
model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
learning_rate_reduction = ReduceLROnPlateau(monitor='val_acc', patience=3, verbose=1, factor=0.5, min_lr=0.00001)
checkpoint = ModelCheckpoint('best-{epoch:02d}-{val_acc:.2f}.hdf5', monitor='val_acc', save_best_only=True, mode='max')
losses = LossHistory()
datagen = ImageDataGenerator(rotation_range=10, zoom_range=0.1, width_shift_range=0.1, height_shift_range=0.1)
datagen.fit(X_train)
history = model.fit_generator(datagen.flow(X_train, Y_train, batch_size=64),
                              epochs=2, validation_data=(X_val, Y_val),
                              verbose=2, steps_per_epoch=X_train.shape[0] // 64,
                              callbacks=[learning_rate_reduction, checkpoint, losses,
                                         EarlyStopping(monitor='val_loss', patience=5)])
print(len(losses.losses), history.history['val_acc'], history.history['lr'])
Y_pred = model.predict(X_val)
Y_pred_classes = np.argmax(Y_pred, axis=1)
print(Y_pred_classes.shape)
