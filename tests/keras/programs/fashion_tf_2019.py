"""In the style of tf.keras, 2019: a list of layers, sparse labels, predictions of one image, TensorBoard."""

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.callbacks import TensorBoard

fashion_mnist = keras.datasets.fashion_mnist
(train_images, train_labels), (test_images, test_labels) = fashion_mnist.load_data()
class_names = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat',
               'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']
train_images = train_images / 255.0
test_images = test_images / 255.0

model = keras.Sequential([
    keras.layers.Flatten(input_shape=(28, 28)),
    keras.layers.Dense(32, activation=keras.activations.relu),
    keras.layers.Dense(10)
])
model.compile(optimizer='adam',
              loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              metrics=['accuracy'])
model.fit(train_images, train_labels, epochs=2, callbacks=TensorBoard(log_dir='logs', histogram_freq=0))
test_loss, test_acc = model.evaluate(test_images, test_labels, verbose=2)
print('\nTest accuracy:', test_acc)
probability_model = keras.Sequential([layers.InputLayer(input_shape=(28, 28)), layers.Flatten(),
                                      layers.Dense(32, activation='relu'), layers.Dense(10), layers.Softmax()])
probability_model.set_weights(model.get_weights())
predictions = probability_model.predict(test_images)
print(class_names[np.argmax(predictions[0])] in class_names)
img = np.expand_dims(test_images[1], 0)
print(probability_model.predict(img).shape)
