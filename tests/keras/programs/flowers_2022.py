"""In the style of 2022: image_dataset_from_directory, layers that augment, a data set that is cached and prefetched."""

import os
import numpy as np
from PIL import Image
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.models import Sequential

rng = np.random.default_rng(0)
for label, level in (('daisy', 60), ('rose', 120), ('tulip', 200)):
    os.makedirs(os.path.join('flowers', label))
    for i in range(20):
        pixels = np.clip(rng.normal(level, 10, (30, 40, 3)), 0, 255).astype('uint8')
        Image.fromarray(pixels).save(os.path.join('flowers', label, f'{i}.jpg'))

batch_size = 8
img_height = 20
img_width = 20
train_ds = keras.utils.image_dataset_from_directory(
    'flowers', validation_split=0.2, subset="training", seed=123,
    image_size=(img_height, img_width), batch_size=batch_size)
val_ds = keras.utils.image_dataset_from_directory(
    'flowers', validation_split=0.2, subset="validation", seed=123,
    image_size=(img_height, img_width), batch_size=batch_size)
class_names = train_ds.class_names
print(class_names)
for image_batch, labels_batch in train_ds:
    print(image_batch.shape, labels_batch.shape)
    break
for images, labels in train_ds.take(1):
    print(images[0].numpy().astype("uint8").shape, class_names[labels[0]])
train_ds = train_ds.cache().shuffle(1000).prefetch(buffer_size=2)
val_ds = val_ds.cache().prefetch(buffer_size=2)
data_augmentation = [
    layers.RandomFlip("horizontal", input_shape=(img_height, img_width, 3)),
    layers.RandomRotation(0.1),
    layers.RandomZoom(0.1),
]
num_classes = len(class_names)
model = Sequential(data_augmentation + [
    layers.Rescaling(1. / 255),
    layers.Conv2D(8, 3, padding='same', activation='relu'),
    layers.MaxPooling2D(),
    layers.SeparableConv2D(8, 3, padding='same', activation='relu'),
    layers.MaxPooling2D(),
    layers.Dropout(0.2),
    layers.Flatten(),
    layers.Dense(16, activation='relu'),
    layers.Dense(num_classes, name="outputs"),
])
model.compile(optimizer='adam', loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])
model.summary()
history = model.fit(train_ds, validation_data=val_ds, epochs=2)
print(sorted(history.history))
