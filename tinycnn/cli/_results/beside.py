"""The same recipes in Keras: whether a target was missed by the engine, or by what the recipe can be expected to reach.

The records are made by ``benchmarks/beside_keras.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ... import models
from . import curves
from .blocks import Block, Table, Text
from .curves import Record

#: In the folder of the records.
FOLDER = "beside"


def read_all(folder: Path) -> list[Record]:
    """The records of a folder of results; see :func:`.curves.read_all`."""
    return curves.read_all(folder / FOLDER, _rows, "runs in two frameworks", "benchmarks/beside_keras.py")


def blocks(found: Sequence[Record]) -> list[Block]:
    """A table of both, if there is anything to show."""
    if not found:
        return []
    return [
        Text(
            "A document's accuracy is that of a single run. To see what other runs of the same recipe reach, the "
            "networks that missed their targets were trained both in tinycnn and in Keras itself, with the same "
            "images, layers, optimizer and epochs, and with as many seeds in each. The table gives the mean test "
            "accuracy in %, with the lowest and highest run in brackets. `python benchmarks/beside_keras.py` repeats "
            "the comparison."
        ),
        Table(
            ["Network", "Document", "Trained in", "Runs", "Best epoch", "Last epoch"],
            [row for record in found for row in _rows(record)],
            numbers=3,
        ),
        Text(_verdict(found)),
    ]


def _verdict(found: Sequence[Record]) -> str:
    """How far the frameworks are apart, and the runs of one of them."""
    best = [[[max(curve) for curve in runs.values()] for runs in record["curves"].values() if runs] for record in found]
    apart = max(max(means) - min(means) for means in ([fmean(runs) for runs in both] for both in best))
    within = max(max(runs) - min(runs) for both in best for runs in both)
    return (
        f"By the mean best epoch, the two frameworks are at most {100 * apart:.2f} points apart. Runs in the same "
        f"framework, which differ only in their seed, are up to {100 * within:.2f} points apart."
    )


def _rows(record: Record) -> list[list[str]]:
    documented = models.recipe(record["name"]).documented_accuracy
    document = "none given" if documented is None else curves.spread([documented])
    rows = []
    for title, runs in record["curves"].items():
        if runs:
            best, last = (curves.spread([take(curve) for curve in runs.values()]) for take in (max, lambda c: c[-1]))
            rows.append([f"`{record['name']}`", document, title, str(len(runs)), best, last])
    return rows
