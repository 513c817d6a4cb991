"""The page on our own networks: parameter golf, and what a laptop reaches on CIFAR-10 and Fashion-MNIST.

Every figure in its sentences is computed from the records, and every count of parameters from the networks.
"""

import functools
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from ... import models
from ...inspection.receptive_field import receptive_fields
from ...layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    Layer,
    MaxPooling2D,
)
from . import curves, page
from .blocks import Block, Heading, Picture, Table, Text
from .curves import Record
from .pictures import Records
from .targets import Runs, last
from .words import NOT_RUN, count, percent, spread, threads, time

TITLE = "Beyond the documents"


class Aim(NamedTuple):
    """What a network is to reach: an accuracy in the mean last epoch, or, with None, as much as it can.

    A limit that is ``timed`` is one of time, too, which runs beside other work cannot show.
    """

    limit: str
    accuracy: float | None
    timed: bool = False


#: The aims were set before the first run.
AIMS = {
    "golf_10k": Aim("under 10,000 parameters", 0.995),
    "golf_8k": Aim("under 8,000 parameters", 0.994),
    "golf_5k": Aim("under 5,000 parameters", None),
    "cifar10_fast": Aim("two hours on two cores", 0.91, timed=True),
    "fashion_fast": Aim("500,000 parameters, 30 minutes on two cores", None, timed=True),
}
_GOLF = [name for name in AIMS if name.startswith("golf")]
_FAST = [name for name in AIMS if name.endswith("fast")]
#: The document's network to hold each fast one against.
_BESIDE = {"cifar10_fast": "cifar10_cnn", "fashion_fast": "fashion_improved"}


def blocks(found: Records, compared: Sequence[Record] = ()) -> list[Block]:
    """Return the whole page.

    Parameters
    ----------
    found : mapping of str to sequence of records
        The result of :func:`records.read_all`.
    compared : sequence of records
        The result of :func:`choices.read_all`.
    """
    own = {name: runs for name, runs in found.items() if name in models.beyond()}
    return [
        Heading(1, TITLE),
        Text(
            "Three of the five documents are about doing more with fewer parameters. These are networks of our own, "
            "which go on from there. What was compared for them, on images held out of the training set, is on this "
            "page; learning rates, numbers of epochs and of filters were set beforehand where no table has them. "
            "`golf_8k` and `golf_5k` are `golf_10k` with other numbers of filters. Then each network is trained on the "
            "whole training set with seeds that were not used for choosing, and the test set gives the figures here. "
            "Of several runs, a figure is the mean, with the lowest and the highest in brackets. The time of a run is "
            "the median of its epochs, times their number, because runs may go on beside other work."
        ),
        Heading(2, "Parameter golf on MNIST"),
        *_golf(found, own),
        Heading(3, "What each idea brings"),
        *_road([record for record in compared if record["name"] in _GOLF]),
        Heading(2, "CIFAR-10 and Fashion-MNIST on a laptop"),
        *_fast(found, own),
        Heading(3, "What was compared"),
        *_road([record for record in compared if record["name"] in _FAST]),
        Heading(2, "How it was made"),
        *page.origin(own),
    ]


def _table(found: Records, names: Sequence[str]) -> list[Block]:
    """Return the table of some of our networks, and which have not been run."""
    rows = []
    for name in filter(found.get, names):
        recipe, runs, aim = models.recipe(name), found[name], AIMS[name]
        wanted = aim.limit if aim.accuracy is None else f"{aim.limit}: {percent(aim.accuracy)} %"
        figures = [spread(runs, key) for key in ("last_val_accuracy", "best_val_accuracy")]
        taken = f"{time(runs)}, {threads(runs)}"
        rows.append([f"`{name}`", wanted, f"{recipe.params.total:,}", *figures, count(runs, recipe), taken])
    head = ["Network", "Aim", "Parameters", "Test accuracy in %: last epoch", "best epoch", "Runs", "Time of a run"]
    without = [f"`{name}`" for name in names if not found.get(name)]
    return [
        *([Table(head, rows, numbers=2)] if rows else []),
        *([Text(f"{NOT_RUN.capitalize()}: {', '.join(without)}.")] if without else []),
    ]


def _verdict(name: str, runs: Runs) -> str:
    """Return whether a network reaches its aim, in a sentence."""
    aim, reached = AIMS[name], last(runs)
    if aim.accuracy is None:
        within = "" if aim.timed else f" ({aim.limit})"
        return f"`{name}`{within} reaches {percent(reached)} %."
    if reached >= aim.accuracy - 1e-9:
        within = "" if aim.timed else f" with {aim.limit}"
        return f"`{name}` reaches its aim: {percent(reached)} %{within}."
    return f"`{name}` misses its aim of {percent(aim.accuracy)} % by {100 * (aim.accuracy - reached):.2f} points."


def _golf(found: Records, own: Records) -> list[Block]:
    """Return what was reached with few parameters, and where these are."""
    small = {name: runs for name, runs in found.items() if models.recipe(name).data == "mnist"}
    there = [name for name in _GOLF if own.get(name)]
    shown: list[Block] = [
        Text(
            "In this game, a network has to recognize as many handwritten digits as possible with few parameters. All "
            "of them count, also biases and the moving statistics of batch normalization, which are not trained. The "
            "accuracy is that of the last epoch, so no epoch was picked by the test set."
        ),
        *_table(own, _GOLF),
        *([Text(" ".join(_verdict(name, own[name]) for name in there))] if there else []),
    ]
    if there:
        caption = (
            "Parameters, and how many test images are wrong, of all networks for MNIST, mean last epoch; filled: ours, "
            "hollow: those of the documents."
        )
        shown.append(Picture("golf", caption, functools.partial(_figure, small)))
    shown += [
        Heading(3, "Where the parameters are"),
        Text(
            "Each row is a layer with what follows it up to the next row: what it leaves of the image, the pixels of "
            "the input that one of its values depends on, and its parameters."
        ),
    ]
    for name in _GOLF:
        shown += [Table([f"`{name}`", "Output", "Receptive field", "Parameters"], _layers(name), numbers=1)]
    return shown


def _figure(groups: Records) -> Any:
    """Draw parameters against accuracy."""
    from . import figures

    return figures.golf(groups, models.beyond())


def _layers(name: str) -> list[list[str]]:
    """Return a row for each layer with parameters, except that batch normalization is added to the row before."""
    model = models.build(name)
    fields = receptive_fields(model.layers, model.input_shape)
    rows: list[list[Any]] = []
    for layer, field in zip(model.layers, fields, strict=True):
        number = layer.count_params()
        words = _in_words(layer)
        if number and not isinstance(layer, BatchNormalization):
            rows.append([words, layer.built_output_shape, field, number])
        elif rows and words:
            rows[-1] = [f"{rows[-1][0]}, {words}", layer.built_output_shape, field, rows[-1][3] + number]
    return [
        [words, "x".join(map(str, shape)), "x".join(map(str, field or ("?",))), f"{number:,}"]
        for words, shape, field, number in rows
    ]


def _in_words(layer: Layer) -> str:
    """Return a layer in a few words; activations are understood."""
    if isinstance(layer, Conv2D | DepthwiseConv2D):
        kind = f"{layer.filters} filters" if isinstance(layer, Conv2D) else "depthwise"
        return f"{kind} of {'x'.join(map(str, layer.kernel_size))}"
    if isinstance(layer, Dense):
        return "dense"
    if isinstance(layer, BatchNormalization):
        return "batch normalization"
    if isinstance(layer, GlobalAveragePooling2D):
        return "mean"
    return "max-pooling" if isinstance(layer, MaxPooling2D) else ""


def _road(tried: Sequence[Record]) -> list[Block]:
    """Return what each idea brought on held-out images."""
    if not tried:
        return [Text("Nothing has been compared yet, so the settings may change.")]
    shown: list[Block] = [
        Text(
            "The first row of a table is what the search began with, the others say what was changed. All were "
            "trained without the last training images and tested on these, with seeds that the results do not have."
        )
    ]
    names = [record["name"] for record in tried]
    for number, record in enumerate(tried, 1):
        last_ones = {title: [curve[-1] for curve in runs.values()] for title, runs in record["answers"].items() if runs}
        first = fmean(next(iter(last_ones.values())))
        rows = [
            [title, str(len(values)), curves.spread(values), f"{100 * (fmean(values) - first):+.2f}" if index else ""]
            for index, (title, values) in enumerate(last_ones.items())
        ]
        about = f"`{record['name']}`, {record['epochs']} epochs, {record['held_out']:,} images held out"
        shown.append(Table([about, "Runs", "Accuracy in %, last epoch", "Points against the first row"], rows))
        shown.append(Text(f"`{record['command']} --folder again` repeats this table."))
        if record["name"] not in names[number:]:  # what was chosen follows the last table of a network
            shown += map(Text, models.recipe(record["name"]).chosen)
    return shown


def _fast(found: Records, own: Records) -> list[Block]:
    """Return what was reached on the other data sets, beside the documents' networks."""
    there = [name for name in _FAST if own.get(name)]
    said = []
    for name in there:
        other = _BESIDE[name]
        beside = f" `{other}` of the documents reaches {percent(last(found[other]))} %." if found.get(other) else ""
        said.append(_verdict(name, own[name]) + beside)
    if there:
        said.append(
            "What these trainings take alone, with two threads, is measured among the [long trainings]"
            "(benchmarks.md#long-trainings) by `python benchmarks/epochs.py`."
        )
    return [*_table(own, _FAST), *map(Text, said)]
