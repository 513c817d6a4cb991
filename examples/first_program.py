"""Train a first network, which learns to read digits in a few seconds, without a download."""

import tinycnn
from tinycnn import Sequential, datasets, layers, plotting

tinycnn.set_seed(42)
(x, y), (x_test, y_test) = datasets.digits.load_data()
x, x_test = (images[..., None].astype("float32") / 255 for images in (x, x_test))

model = Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, batch_size=128, epochs=3, validation_data=(x_test, y_test))

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy {accuracy:.4f}")
plotting.history(history)[0].figure.savefig("first_program.png")
