"""In the style of 2018: two classes of pictures in folders, a sigmoid, binary crossentropy, generators for both."""

import os
import numpy as np
from PIL import Image
from keras.models import Sequential
from keras.layers import Conv2D, MaxPooling2D, Activation, Dropout, Flatten, Dense
from keras.preprocessing.image import ImageDataGenerator, load_img, img_to_array, array_to_img
from keras import backend as K

rng = np.random.RandomState(0)
for part, count in (('train', 24), ('validation', 12)):
    for label, level in (('cats', 60), ('dogs', 180)):
        os.makedirs(os.path.join('data', part, label))
        for i in range(count):
            pixels = np.clip(rng.normal(level, 20, (40, 30, 3)), 0, 255).astype('uint8')
            Image.fromarray(pixels).save(os.path.join('data', part, label, '%d.png' % i))

img_width, img_height = 24, 24
train_data_dir = 'data/train'
validation_data_dir = 'data/validation'
nb_train_samples = 48
nb_validation_samples = 24
epochs = 2
batch_size = 8

if K.image_data_format() == 'channels_first':
    input_shape = (3, img_width, img_height)
else:
    input_shape = (img_width, img_height, 3)

model = Sequential()
model.add(Conv2D(8, (3, 3), input_shape=input_shape))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(8))
model.add(Activation('relu'))
model.add(Dropout(0.5))
model.add(Dense(1))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='rmsprop', metrics=['accuracy'])

train_datagen = ImageDataGenerator(rescale=1. / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
test_datagen = ImageDataGenerator(rescale=1. / 255)
train_generator = train_datagen.flow_from_directory(
    train_data_dir, target_size=(img_width, img_height), batch_size=batch_size, class_mode='binary')
validation_generator = test_datagen.flow_from_directory(
    validation_data_dir, target_size=(img_width, img_height), batch_size=batch_size, class_mode='binary')
print(train_generator.class_indices)
model.fit_generator(
    train_generator,
    steps_per_epoch=nb_train_samples // batch_size,
    epochs=epochs,
    validation_data=validation_generator,
    validation_steps=nb_validation_samples // batch_size)
model.save_weights('first_try.h5')
img = load_img('data/validation/cats/0.png', target_size=(img_width, img_height))
x = img_to_array(img)
x = np.expand_dims(x, axis=0) / 255.
print(model.predict(x).shape, array_to_img(x[0]).size)
print(model.evaluate_generator(validation_generator, steps=3))
