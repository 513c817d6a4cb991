"""The same recipes in Keras, which shows whether a target is missed because of the engine or because of the recipe.

``benchmarks/beside_keras.py`` makes the records.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ... import models
from . import curves
from .blocks import Block, Table, Text
from .curves import Record

#: The sub-folder of these records in the folder of the results.
FOLDER = "beside"
#: What the runs of this engine are called there.
OURS = "tinycnn"


def read_all(folder: Path) -> list[Record]:
    """Return the records in a folder of results; see :func:`.curves.read_all`."""
    return curves.read_all(folder / FOLDER, _rows, "runs in two frameworks", "benchmarks/beside_keras.py")


def blocks(found: Sequence[Record]) -> list[Block]:
    """Return a table of both frameworks, if there are any records."""
    if not found:
        return []
    return [
        Text(
            "A document's accuracy is that of one run. To see what other runs of the same recipe reach, we trained the "
            "networks in tinycnn and in Keras itself, with the same images, layers, optimizer and epochs, and with the "
            "same number of seeds. The table gives the test accuracy in %: the mean and, in brackets, the lowest and "
            "the highest run. `python benchmarks/beside_keras.py` repeats the comparison."
        ),
        Table(
            ["Network", "Document", "Trained in", "Runs", "Best epoch", "Last epoch"],
            [row for record in found for row in _rows(record)],
            numbers=3,
        ),
        Text(_verdict(found)),
    ]


def _verdict(found: Sequence[Record]) -> str:
    """Return in words how far the frameworks are apart, and how far the runs of one of them."""
    best = [[[max(curve) for curve in runs.values()] for runs in record["curves"].values() if runs] for record in found]
    apart = max(max(means) - min(means) for means in ([fmean(runs) for runs in both] for both in best))
    within = max(max(runs) - min(runs) for both in best for runs in both)
    return (
        f"In the mean best epoch the two are at most {100 * apart:.2f} points apart. Runs of one framework that differ "
        f"only in their seed are up to {100 * within:.2f} points apart. {_meaning(found)}"
    )


def _meaning(found: Sequence[Record]) -> str:
    """Return in two sentences what it means that these networks miss their targets."""
    lower, reach, runs = [], 0, 0
    for record in found:
        documented = models.recipe(record["name"]).documented_accuracy or 0.0
        theirs = [
            max(curve) for title, curves in record["curves"].items() if title != OURS for curve in curves.values()
        ]
        if theirs and fmean(theirs) < documented:
            lower.append(f"`{record['name']}` by {100 * (documented - fmean(theirs)):.2f}")
        reach, runs = reach + sum(best >= documented for best in theirs), runs + len(theirs)
    return (
        f"Keras itself stays below the document in the mean ({', '.join(lower) or 'in no network'} points), and "
        f"{reach} of its {runs} runs reach the document's figure in their best epoch. So a missed target means that "
        "the document gives one of the better of its possible runs, and not that the engine learns less."
    )


def _rows(record: Record) -> list[list[str]]:
    """Return a row of the table for each framework."""
    documented = models.recipe(record["name"]).documented_accuracy
    document = "none given" if documented is None else curves.spread([documented])
    rows = []
    for title, runs in record["curves"].items():
        if runs:
            best, last = (curves.spread([take(curve) for curve in runs.values()]) for take in (max, lambda c: c[-1]))
            rows.append([f"`{record['name']}`", document, title, str(len(runs)), best, last])
    return rows
