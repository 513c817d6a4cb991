"""Train a network for MNIST and a deeper one for CIFAR-10, and show what they are most certain of, rightly or wrongly.

    python examples/mnist_and_cifar.py --only mnist_cnn
    python examples/mnist_and_cifar.py --data digits --epochs 5      # needs no download

For each network, the program draws the curves, images of each class, and the predictions of which the network was most
certain: the correct ones and the wrong ones.

A very short run looks worse than it is, because for the first few hundred steps the moving statistics of batch
normalization, which validation uses, do not match the images yet.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import tinycnn
from tinycnn import datasets, models, plotting


def load(name, limit):
    """Return the class names, and the first ``limit`` images of each set as float32 in [0, 1] with a channel axis."""
    sets = [(x[:limit].astype("float32") / 255, y[:limit]) for x, y in datasets.load(name)]
    return datasets.get(name).class_names, [(x[..., None] if x.ndim == 3 else x, y) for x, y in sets]


def in_colour(x):
    """Make drawn digits as large and colourful as CIFAR-10's images: each in one colour on a background of another."""
    ink, ground = np.random.default_rng(0).random((2, len(x), 1, 1, 3), dtype="float32")
    x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return x * ink + (1 - x) * ground


def train(name, data, class_names, epochs, out, augment):
    """Train one network, draw what it does, and return the line that says what it reached."""
    (x, y), (x_test, y_test) = data
    recipe = models.recipe(name)
    tinycnn.set_seed(42)
    model = models.build(name)
    model.summary()
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    history = model.fit(
        x,
        y,
        batch_size=recipe.batch_size,
        epochs=epochs or recipe.epochs,
        validation_data=(x_test, y_test),
        callbacks=recipe.make_callbacks(),
        augment=augment,
        verbose=2,
    )

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    p = model.predict(x_test)
    pictures = {
        "curves": plotting.history(history, Figure())[0],
        "best": plotting.predictions(x_test, y_test, p, "best", class_names, ax=Figure()),
        "worst": plotting.predictions(x_test, y_test, p, "worst", class_names, ax=Figure()),
        "classes": plotting.samples_per_class(x, y, class_names, ax=Figure()),
    }
    for picture, ax in pictures.items():
        ax.figure.savefig(out / f"{name}_{picture}.png", dpi=150)
    line = f"{name}: final accuracy {accuracy:.4f} (documented: {recipe.documented_accuracy:.4f})"
    print(line + "\n")
    return line


def main(argv=None):
    """Train both networks or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("published", "digits"), default="published", help="digits needs no download")
    parser.add_argument("--epochs", type=int, help="number of epochs (default: the document's 10 and 100)")
    parser.add_argument("--limit", type=int, help="use only this many images of each set")
    parser.add_argument("--only", choices=("mnist_cnn", "cifar10_cnn"), help="train only this network")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_and_cifar"), help="folder for the pictures")
    args = parser.parse_args(argv)
    if any(number is not None and number < 1 for number in (args.epochs, args.limit)):
        parser.error("--epochs and --limit must be at least 1")

    args.out.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in [args.only] if args.only else ["mnist_cnn", "cifar10_cnn"]:
        wanted = models.recipe(name).data
        class_names, data = load("digits" if args.data == "digits" else wanted, args.limit)
        if args.data == "digits" and wanted == "cifar10":
            data = [(in_colour(x), y) for x, y in data]
        # A mirrored car is still a car, but a mirrored digit is not a digit.
        augment = None if args.data == "digits" else models.recipe(name).augment
        lines.append(train(name, data, class_names, args.epochs, args.out, augment))
    print(*lines, f"pictures in {args.out}", sep="\n")


if __name__ == "__main__":
    main()
