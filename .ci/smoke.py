"""Say whether an installed tinycnn works: draw digits, train, save, load, predict, check a gradient.

    python smoke.py

Run it in any folder, with the Python that tinycnn is installed in. It needs no network, and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import tinycnn
from tinycnn import Sequential, datasets, layers, load_model, testing


def main() -> None:
    """Do what a first lesson does, and say where tinycnn was found."""
    checkout = Path(__file__).resolve().parents[1] / "tinycnn"
    assert Path(tinycnn.__file__).resolve().parent != checkout, "this is the checkout, not what is installed"
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    x, x_test = (images[:2000, ..., None].astype("float32") / 255 for images in (x, x_test))
    y, y_test = y[:2000], y_test[:2000]

    tinycnn.set_seed(42)
    model = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=5, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    assert accuracy > 0.6, f"the accuracy is {accuracy:.3f}; chance is 0.1"

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        model.save(path)  # over a file that is there
        again = load_model(path)
        np.testing.assert_array_equal(again.predict(x_test), model.predict(x_test))

    testing.check_gradients(layers.Conv2D(2, 3), np.random.default_rng(0).normal(size=(2, 5, 5, 1)))
    print(f"tinycnn {tinycnn.__version__} in {Path(tinycnn.__file__).parent} works: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
