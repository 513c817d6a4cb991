"""Settings that the documents leave open: what was compared on held out images, and what came out.

The records are made by ``benchmarks/choices.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from . import curves
from .blocks import Block, Table, Text
from .curves import Record

#: In the folder of the records.
FOLDER = "choices"


def read_all(folder: Path) -> list[Record]:
    """The records of a folder of results; see :func:`.curves.read_all`."""
    return curves.read_all(folder / FOLDER, _rows, "a choice", "benchmarks/choices.py")


def blocks(found: Sequence[Record]) -> list[Block]:
    """A table of all answers, the best of each question in bold."""
    if not found:
        return [Text("Nothing has been compared yet.")]
    held_out = sorted({f"{record['held_out']:,}" for record in found})
    return [
        Text(
            f"The networks were trained without the last {' or '.join(held_out)} training images and tested on these. "
            "The table gives the mean accuracy of the last epoch in %, with the lowest and highest run in brackets. "
            "The settings that the recipes use are in bold. The seeds differ from those of the results. `python "
            "benchmarks/choices.py` repeats the comparison."
        ),
        Table(
            ["Network", "Open in the document", "Tried", "Epochs", "Runs", "Accuracy on held out images"],
            [row for record in found for row in _rows(record)],
            numbers=3,
        ),
    ]


def _rows(record: Record) -> list[list[str]]:
    last = {title: [curve[-1] for curve in runs.values()] for title, runs in record["answers"].items() if runs}
    best = max(last, key=lambda title: fmean(last[title]))
    rows = []
    for title, values in last.items():
        mark = "**" if title == best else ""
        network, epochs = f"`{record['name']}`", str(record["epochs"])
        tried, accuracy = (f"{mark}{text}{mark}" for text in (title, curves.spread(values)))
        rows.append([network, record["question"], tried, epochs, str(len(values)), accuracy])
    return rows
