"""Compare four networks for MNIST with fewer than 15,000 parameters and three larger ones, and train one of them.

    python examples/under_15k.py
    python examples/under_15k.py --data digits --epochs 5

The program prints what each network costs and what its document reports, and then the layers of the network that it
trains. The column "Receptive field" says how many pixels of the image one output of a layer can depend on. The program
draws the curves, with the learning rate, and a picture of the receptive fields into the folder --out.

A very short run looks worse than it is, because for the first few hundred steps the moving statistics of batch
normalization, which validation uses, do not match the images yet.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import tinycnn
from tinycnn import callbacks, datasets, models, plotting

NETWORKS = ("vanilla_large", "vanilla", "go_crazy", "variant_1", "variant_2", "variant_3", "variant_4")


def schedule(epoch, lr):
    """Return a learning rate that falls with each epoch, fastest at first; epochs are counted from 0."""
    return round(0.003 / (1 + 0.319 * epoch), 10)


def print_networks():
    """Print what the networks cost, the smallest first, and the validation accuracy that the document reports."""
    print("network        params  not trained  documented accuracy")
    for recipe in sorted(map(models.recipe, NETWORKS), key=lambda recipe: recipe.params.total):
        total, _, fixed = recipe.params
        accuracy = recipe.documented_text
        print(f"{recipe.name:<13}  {total:>6,}  {fixed:>11}  {accuracy}")
    print()


def draw_receptive_fields(model, image):
    """Draw what one output in the middle of each convolution and pooling layer sees of an image."""
    seeing = [layer for layer in model.layers if layer.window]
    rows = -(-len(seeing) // 3)
    figure = Figure(figsize=(9, 3.2 * rows), layout="constrained")
    for place, layer in enumerate(seeing, 1):
        plotting.receptive_field(model, layer, image=image, ax=figure.add_subplot(rows, 3, place))
    return figure


def main(argv=None):
    """Compare the networks, and train one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist", help="digits needs no download")
    parser.add_argument("--name", choices=NETWORKS, default="go_crazy", help="the network to train")
    parser.add_argument("--epochs", type=int, default=20, help="number of epochs (default 20)")
    parser.add_argument("--limit", type=int, help="use only this many images of each set")
    parser.add_argument("--out", type=Path, default=Path("runs/under_15k"), help="folder for the pictures")
    args = parser.parse_args(argv)
    if any(number is not None and number < 1 for number in (args.epochs, args.limit)):
        parser.error("--epochs and --limit must be at least 1")

    args.out.mkdir(parents=True, exist_ok=True)
    print_networks()
    sets = [(x[: args.limit, ..., None].astype("float32") / 255, y[: args.limit]) for x, y in datasets.load(args.data)]
    (x, y), (x_test, y_test) = sets
    recipe = models.recipe(args.name)
    tinycnn.set_seed(42)
    model = models.build(args.name)
    model.summary()
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    # The document trains its first two networks at a constant rate.
    falling = [callbacks.LearningRateScheduler(schedule, verbose=1)] if recipe.schedule else []
    history = model.fit(
        x,
        y,
        batch_size=recipe.batch_size,
        epochs=args.epochs,
        callbacks=falling,
        validation_data=(x_test, y_test),
        verbose=2,
    )

    draw_receptive_fields(model, x_test[0]).savefig(args.out / "receptive_fields.png", dpi=100)

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    *curves, rate = figure.subplots(1, 3)
    plotting.history(history, curves)
    rate.sharex(curves[0])
    rate.plot(range(1, args.epochs + 1), history.history["learning_rate"], "o-", color="#0072B2", markersize=4)
    rate.set(
        title="Learning rate", xlabel="epoch", ylim=(0, None), xticks=curves[0].get_xticks(), xlim=curves[0].get_xlim()
    )
    figure.savefig(args.out / f"{args.name}_curves.png", dpi=150)
    accuracies = history.history["val_accuracy"]
    print(f"\n{args.name}: validation accuracy best {max(accuracies):.4f}, last {accuracies[-1]:.4f}")
    print(f"documented: {dict(recipe.documented)}\npictures in {args.out}")


if __name__ == "__main__":
    main()
