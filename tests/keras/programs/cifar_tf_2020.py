"""In the style of tf.keras, 2020: labels of shape (N, 1), add one by one, a summary, curves from the history."""

from tensorflow.keras import datasets, layers, models
import tensorflow.keras as keras

(train_images, train_labels), (test_images, test_labels) = datasets.cifar10.load_data()
train_images, test_images = train_images / 255.0, test_images / 255.0
class_names = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
print(class_names[train_labels[0][0]])

model = models.Sequential()
model.add(layers.Conv2D(8, (3, 3), activation='relu', input_shape=(32, 32, 3)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(16, (3, 3), activation='relu'))
model.add(layers.MaxPooling2D((2, 2)))
model.summary()
model.add(layers.Flatten())
model.add(layers.Dense(16, activation='relu'))
model.add(layers.Dense(10))
model.summary()
model.compile(optimizer=keras.optimizers.Adam(learning_rate=keras.optimizers.schedules.ExponentialDecay(1e-3, 100, 0.9)),
              loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              metrics=['accuracy'])
history = model.fit(train_images, train_labels, epochs=1, validation_data=(test_images, test_labels), verbose="auto")
acc, val_acc = history.history['accuracy'], history.history['val_accuracy']
test_loss, test_acc = model.evaluate(test_images, test_labels, verbose=2)
print(len(acc), len(val_acc), test_acc)
keras.utils.plot_model(model, to_file='model.png', show_shapes=True)
keras.backend.clear_session()
