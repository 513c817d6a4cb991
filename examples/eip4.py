"""EIP4's network for MNIST, and a walk through its glossary on the trained network.

    python examples/eip4.py
    python examples/eip4.py --data digits --epochs 5

Prints the accuracy of each epoch, and for each word of the glossary a number from the network; leaves a picture for
each in the folder --out.

A very short run looks worse than it is: for the first hundreds of steps the moving statistics of batch normalization,
which validation uses, are not yet those of the images.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import tinycnn
from tinycnn import Sequential, datasets, layers, models, plotting


def explain(model, history, image, out):
    """The glossary: for each word what it is, with numbers from this network, and a picture."""
    first, point = model.get_layer("conv2d"), model.get_layer("conv2d_2")
    KH, KW, C, F = first.params["kernel"].value.shape
    H, W, _ = first.built_output_shape
    point_C, point_F = point.params["kernel"].value.shape[2:]
    zeros = (model.trace(image[None])["conv2d"].y == 0).mean()
    accuracies = " ".join(f"{accuracy:.4f}" for accuracy in history.history["val_accuracy"])
    texts = {
        "convolution": f"{F} windows of {KH}×{KW} pixels slide over the image, each giving an image of {H}×{W}: "
        f"{H * W * F * KH * KW * C:,} products and their sums",
        "filters": f"a filter, or kernel, is the {KH}×{KW} weights of one such window; {first.name} has {F} of them",
        "activation": f"relu, max(x, 0), makes {zeros:.0%} of the result zero; without it convolutions in a row would "
        "do no more than one larger convolution",
        "3×3 convolution": "two of them see 5×5 pixels with 2·9 = 18 weights for a channel, one of 5×5 needs 25",
        "1×1 convolution": f"{point.name} sees one pixel and mixes its {point_C} channels to {point_F}, with "
        f"{point.count_params()} parameters; a 3×3 one would have {9 * point_C * point_F + point_F:,}",
        "receptive field": "the pixels that one output can depend on; each convolution adds to it, and after the "
        "pooling each adds twice as much",
        "epochs": f"an epoch is one pass over all training images; validation accuracy after each: {accuracies}",
    }
    # The first layer without its relu, to see what the convolution alone gives.
    linear = Sequential([layers.Input(image.shape), layers.Conv2D(F, (KH, KW))])
    linear.set_weights(model.get_weights()[:2])
    pictures = {
        "convolution": plotting.feature_maps(linear, image, ax=Figure()),
        "filters": plotting.filters(model, "conv2d", ax=Figure()),
        "activation": plotting.feature_maps(model, image, "conv2d", ax=Figure()),
        "3×3 convolution": plotting.filters(model, "conv2d_1", ax=Figure()),
        "1×1 convolution": plotting.filters(model, "conv2d_2", channels=point_C, ax=Figure()),
        "receptive field": plotting.receptive_field(model, "conv2d_5", image=image, measured=True, ax=Figure()),
        "epochs": plotting.history(history, Figure())[0],
    }
    for word, text in texts.items():
        print(f"{word}: {text}")
        name = word.replace(" ", "_").replace("×", "x")
        pictures[word].figure.savefig(out / f"{name}.png", dpi=100)


def main(argv=None):
    """Train the network, then walk through the glossary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist", help="digits needs no download")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--limit", type=int, help="use only so many images of each set")
    parser.add_argument("--out", type=Path, default=Path("runs/eip4"))
    args = parser.parse_args(argv)
    if any(number is not None and number < 1 for number in (args.epochs, args.limit)):
        parser.error("--epochs and --limit must be at least 1")

    args.out.mkdir(parents=True, exist_ok=True)
    sets = [(x[: args.limit, ..., None].astype("float32") / 255, y[: args.limit]) for x, y in datasets.load(args.data)]
    (x, y), (x_test, y_test) = sets
    recipe = models.recipe("eip4")
    tinycnn.set_seed(42)
    model = models.build("eip4")
    model.summary()
    model.compile(recipe.make_optimizer(), recipe.loss, metrics=["accuracy"])
    # Dropout after the last layer is at work in training, so the train accuracy stays below the other.
    history = model.fit(
        x,
        y,
        batch_size=recipe.batch_size,
        epochs=args.epochs,
        callbacks=recipe.make_callbacks(),
        validation_data=(x_test, y_test),
        verbose=2,
    )
    print(f"documented: {dict(recipe.documented)}\n")
    explain(model, history, x_test[0], args.out)
    print(f"pictures in {args.out}")


if __name__ == "__main__":
    main()
