"""Train the MNIST ladder: thirteen networks, each with one more idea than the one before.

    python examples/mnist_ladder.py --data digits --only ladder_00 ladder_03 ladder_09

For each network, the program prints the table of its layers, a line per epoch, and what the network costs and gains. It
draws the curves and the first 100 test images, with the mistakes in red, into the folder --out.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import tinycnn
from tinycnn import callbacks, datasets, models, plotting

LADDER = [name for name in models.names() if name.startswith("ladder_")]


def load(data, limit):
    """Return the first ``limit`` images of each set as float32 in [0, 1] with a channel axis, and their labels."""
    (x, y), (x_test, y_test) = datasets.load(data)
    x, x_test = (images[:limit, ..., None].astype("float32") / 255 for images in (x, x_test))
    return x, y[:limit], x_test, y_test[:limit]


def climb(name, data, epochs, stopping, out):
    """Train one network of the ladder, and return its history and the line for the final table."""
    x, y, x_test, y_test = data
    recipe = models.recipe(name)
    tinycnn.set_seed(42)
    model = models.build(name)
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    model.summary()
    history = model.fit(
        x,
        y,
        batch_size=recipe.batch_size,
        epochs=epochs or recipe.epochs,
        validation_data=(x_test, y_test),
        callbacks=[stopping],
        verbose=2,
    )

    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    probabilities = model.predict(x_test)
    errors = int((probabilities[:100].argmax(axis=1) != y_test[:100]).sum())
    plotting.history(history, Figure())[0].figure.savefig(out / f"{name}_curves.png", dpi=150)
    plotting.predictions(x_test, y_test, probabilities, "first_100", ax=Figure()).figure.savefig(
        out / f"{name}_first_100.png", dpi=150
    )
    line = (
        f"{model.count_params():,} parameters, accuracy {accuracy:.4f}, "
        f"{errors} error{'' if errors == 1 else 's'} in the first {min(100, len(x_test))} test images"
    )
    print(f"{name}: {line} (weights of epoch {stopping.best_epoch + 1}, {len(history.epoch)} trained)\n")
    return history, line


def main(argv=None):
    """Train the networks of the ladder one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist", help="digits needs no download")
    parser.add_argument("--epochs", type=int, help="number of epochs (default: the notebook's, 10 for most networks)")
    parser.add_argument("--limit", type=int, help="use only this many images of each set")
    parser.add_argument("--only", nargs="+", choices=LADDER, default=LADDER, metavar="NAME", help="networks to train")
    parser.add_argument("--out", type=Path, default=Path("runs/ladder"), help="folder for the pictures")
    args = parser.parse_args(argv)
    if any(number is not None and number < 1 for number in (args.epochs, args.limit)):
        parser.error("--epochs and --limit must be at least 1")

    args.out.mkdir(parents=True, exist_ok=True)
    data = load(args.data, args.limit)
    # There is one object for all networks, as in the notebook. In the notebook, the best value of one run survived into
    # the next, and seven of thirteen networks went back to the weights of their first epoch. Here the object starts
    # afresh in every fit.
    stopping = callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=10, restore_best_weights=True)
    climbed = {name: climb(name, data, args.epochs, stopping, args.out) for name in args.only}

    # Only the validation curves are drawn, because thirteen more curves would hide what is to be compared.
    curves = {
        name: {key: values for key, values in history.history.items() if key.startswith("val_")}
        for name, (history, _) in climbed.items()
    }
    plotting.history(curves, Figure())[0].figure.savefig(args.out / "ladder.png", dpi=150)
    for name, (_, line) in climbed.items():
        print(f"{name}: {line}")
    print(f"pictures in {args.out}")


if __name__ == "__main__":
    main()
