"""The pictures of the report: which there are, their captions, and how each is drawn."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ... import datasets, models
from .blocks import Block, Picture
from .targets import Runs

Records = Mapping[str, Runs]

#: Whose loss and accuracy are shown in full: those with documented curves, and the deepest.
_DETAILED = [
    *("ladder_03", "ladder_09", "ladder_10", "fashion_base", "fashion_improved", "mnist_cnn", "cifar10_cnn", "eip4")
]


def _figures() -> Any:
    """The module that draws; imported when something is drawn, because matplotlib takes its time."""
    from . import figures

    return figures


def _pictures(
    found: Records,
    names: Sequence[str],
    kind: str,
    caption: Callable[[str], str],
    draw: Callable[[Runs], Any],
) -> list[Block]:
    """A picture for each of the networks that have been run."""
    return [
        Picture(f"{name}-{kind}", caption(name), functools.partial(draw, found[name]))
        for name in names
        if name in found
    ]


def overview(found: Records, names: Sequence[str], file: str, what: str) -> list[Block]:
    """The accuracy of each network by epoch, and details of some."""
    groups = [found[name] for name in names if name in found]
    if not groups:
        return []
    documented = [models.recipe(name).documented for name in names if name in found]
    drawn = [
        "a line for each seed",
        "dotted: the document's accuracy (if there are two lines, the higher one is its best epoch)",
    ]
    if any("val_accuracy_by_epoch" in figures for figures in documented):
        drawn.append("crosses: the document's accuracy of each epoch")
    drawn.append("a first epoch may lie below the range that is shown")
    caption = f"{what}: test accuracy after each epoch, {'; '.join(drawn)}."
    small = Picture(f"{file}-accuracy", caption, lambda: _figures().overview(groups))
    detailed = [name for name in names if name in found and name in _DETAILED]
    return [small, *_pictures(found, detailed, "curves", _curves_caption, lambda runs: _figures().curves(runs))]


def _curves_caption(name: str) -> str:
    drawn = "crosses: the document's accuracy of each epoch"
    if "val_accuracy_by_epoch" not in models.recipe(name).documented:
        drawn = "dotted: the document's accuracy"
    return f"`{name}`: loss and accuracy by epoch, on training images (hollow) and test images (filled); {drawn}."


def by_class(found: Records, names: Sequence[str]) -> list[Block]:
    """The accuracy of each class."""
    return _pictures(found, names, "per-class", _class_caption, lambda runs: _figures().per_class(runs))


def _class_caption(name: str) -> str:
    beside = "" if "per_class_accuracy" not in models.recipe(name).documented else "; diamonds: the document's accuracy"
    return f"`{name}`: share of each class's test images that are classified correctly, mean over the runs{beside}."


def grids(found: Records, names: Sequence[str]) -> list[Block]:
    """The first 100 test images."""

    def caption(name: str) -> str:
        return (
            f"`{name}`, seed 0: the first 100 test images with the predictions; mistakes are red, framed and marked ✗."
        )

    return _pictures(found, names, "first-100", caption, lambda runs: _figures().first_100(runs[0]))


def confusions(found: Records, names: Sequence[str]) -> list[Block]:
    """What is taken for what."""

    def caption(name: str) -> str:
        return f"`{name}`, seed 0: how many test images of each class (rows) were taken for each class (columns)."

    return _pictures(found, names, "confusion", caption, lambda runs: _figures().confusion(runs[0]))


def surest(found: Records, names: Sequence[str]) -> list[Block]:
    """The correct predictions and the mistakes that a network is surest of."""

    def caption(which: str, name: str) -> str:
        kind = "correct predictions" if which == "best" else "mistakes"
        return f"`{name}`, seed 0: the {kind} of which the network is most certain, with their probabilities."

    shown: list[Block] = []
    for name in names:
        for which in ("best", "worst"):
            said = functools.partial(caption, which)
            draw = functools.partial(lambda which, runs: _figures().surest(runs[0], which), which)
            # A network that diverged is sure of nothing.
            if name in found and _sure(found[name][0], which):
                shown += _pictures(found, [name], which, said, draw)
    return shown


def _sure(record: Mapping[str, Any], which: str) -> bool:
    shown = record["most_confident_correct" if which == "best" else "most_confident_wrong"]
    return bool(shown) and all(entry["probability"] is not None for entry in shown)


def filters(found: Records, names: Sequence[str]) -> list[Block]:
    """The filters of the first convolution."""

    def caption(name: str) -> str:
        return f"`{name}`, seed 0: the filters of the first convolution after training."

    return _pictures(found, names, "filters", caption, lambda runs: _figures().filters(runs[0]))


def samples(found: Records, data: str, names: Sequence[str]) -> list[Block]:
    """Images of a data set, if a network for it has been run."""
    if not any(name in found for name in names):
        return []
    title = datasets.get(data).title
    return [Picture(f"{data}-samples", f"{title}: test images of each class.", lambda: _figures().samples(data))]
