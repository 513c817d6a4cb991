"""Train EIP4's network for MNIST, and explain its glossary with the trained network.

    python examples/eip4.py
    python examples/eip4.py --data digits --epochs 5

The program prints the accuracy of each epoch and, for each word of the glossary, a number from the network. It draws a
picture for each word into the folder --out.

A very short run looks worse than it is, because for the first few hundred steps the moving statistics of batch
normalization, which validation uses, do not match the images yet.
"""

import argparse
import sys
from pathlib import Path

from matplotlib.figure import Figure

import tinycnn
from tinycnn import Sequential, datasets, layers, models, plotting


def explain(model, history, image, out):
    """Explain each word of the glossary with numbers from this network, and draw a picture for it."""
    first, point = model.get_layer("conv2d"), model.get_layer("conv2d_2")
    KH, KW, C, F = first.params["kernel"].value.shape
    H, W, _ = first.built_output_shape
    point_C, point_F = point.params["kernel"].value.shape[2:]
    zeros = (model.trace(image[None])["conv2d"].y == 0).mean()
    accuracies = " ".join(f"{accuracy:.4f}" for accuracy in history.history["val_accuracy"])
    texts = {
        "convolution": f"{F} windows of {KH}×{KW} pixels slide over the image, and each gives an image of {H}×{W}; "
        f"this takes {H * W * F * KH * KW * C:,} products and their sums",
        "filters": f"a filter, or kernel, is the {KH}×{KW} weights of one such window; {first.name} has {F} of them",
        "activation": f"relu, max(x, 0), makes {zeros:.0%} of the result zero; without it, several convolutions in a "
        "row could do no more than one larger convolution",
        "3×3 convolution": "two of them see 5×5 pixels with 2·9 = 18 weights for each channel; one of 5×5 needs 25",
        "1×1 convolution": f"{point.name} sees one pixel and mixes its {point_C} channels to {point_F}, with "
        f"{point.count_params()} parameters; a 3×3 convolution would have {9 * point_C * point_F + point_F:,}",
        "receptive field": "the pixels that one output can depend on; each convolution makes it larger, and after "
        "the pooling each one adds twice as much",
        "epochs": f"an epoch is one pass over all training images; validation accuracy after each one: {accuracies}",
    }
    # This model is the first layer without its relu, to show what the convolution alone gives.
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
    """Train the network, then explain the glossary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist", help="digits needs no download")
    parser.add_argument("--epochs", type=int, default=20, help="number of epochs (default 20)")
    parser.add_argument("--limit", type=int, help="use only this many images of each set")
    parser.add_argument("--out", type=Path, default=Path("runs/eip4"), help="folder for the pictures")
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
    # Dropout after the last layer is active in training, so the training accuracy stays below the validation accuracy.
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
    sys.stdout.reconfigure(errors="replace")  # some terminals do not have all characters
    main()
