"""Train two networks for Fashion-MNIST: a plain one that memorizes, and a deeper one that learns.

    python examples/fashion_pair.py
    python examples/fashion_pair.py --blur                    # trains the deeper one again, on blurred images too
    python examples/fashion_pair.py --data digits --epochs 5

The program prints the accuracy of each network on the images that it was trained on, on other images, and for each
class. It draws the curves and the accuracies by class into the folder --out.

A very short run looks worse than it is, because for the first few hundred steps the moving statistics of batch
normalization, which validation uses, do not match the images yet.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

import tinycnn
from tinycnn import datasets, metrics, models, plotting


def blurred(x):
    """Return the images and, after them, a blurred copy of each."""
    # There is no blur along the axes of images and channels. With a standard deviation of one pixel, a shirt can still
    # be recognized as a shirt.
    return np.concatenate([x, gaussian_filter(x, sigma=(0, 1, 1, 0))])


def train(name, title, data, class_names, epochs, out, *, blur=False):
    """Train one network, and return the line that says what it reached."""
    (x, y), (x_test, y_test) = data
    recipe = models.recipe(name)
    tinycnn.set_seed(42)
    model = models.build(name)
    model.summary()
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    history = model.fit(
        blurred(x) if blur else x,
        np.concatenate([y, y]) if blur else y,
        batch_size=recipe.batch_size,
        epochs=epochs or recipe.epochs,
        validation_data=(x_test, y_test),
        callbacks=recipe.make_callbacks(),
        verbose=2,
    )

    # This is measured after training, because the accuracy in the log is a mean over the epoch, with dropout active.
    _, train_accuracy = model.evaluate(x, y, verbose=0)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    predicted = model.predict(x_test).argmax(axis=1)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    *curves, bars = figure.subplots(1, 3)
    plotting.history(history, curves)
    plotting.per_class_accuracy(y_test, predicted, class_names, bars)
    figure.savefig(out / f"{title}.png", dpi=150)

    # A class of which --limit has left no image is shown as "—".
    recalls = metrics.per_class_accuracy(y_test, predicted, len(class_names))
    by_class = ["—" if np.isnan(recall) else f"{recall:.3f}" for recall in recalls]
    line = f"{title}: train accuracy {train_accuracy:.4f}, validation accuracy {accuracy:.4f}"
    print(f"{line}\nby class: {' '.join(by_class)}\ndocumented: {dict(recipe.documented)}\n")
    return line


def main(argv=None):
    """Train both networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("fashion_mnist", "mnist", "digits"), default="fashion_mnist")
    parser.add_argument("--epochs", type=int, help="number of epochs (default: the recipes' 20 and 30)")
    parser.add_argument("--limit", type=int, help="use only this many images of each set")
    parser.add_argument("--blur", action="store_true", help="train the deeper network on blurred images as well")
    parser.add_argument("--out", type=Path, default=Path("runs/fashion_pair"), help="folder for the pictures")
    args = parser.parse_args(argv)
    if any(number is not None and number < 1 for number in (args.epochs, args.limit)):
        parser.error("--epochs and --limit must be at least 1")

    args.out.mkdir(parents=True, exist_ok=True)
    names = datasets.get(args.data).class_names
    data = [(x[: args.limit, ..., None].astype("float32") / 255, y[: args.limit]) for x, y in datasets.load(args.data)]
    lines = [train(name, name, data, names, args.epochs, args.out) for name in ("fashion_base", "fashion_improved")]
    if args.blur:
        lines.append(train("fashion_improved", "fashion_blurred", data, names, args.epochs, args.out, blur=True))
    print(*lines, f"pictures in {args.out}", sep="\n")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # some terminals do not have all characters
    main()
