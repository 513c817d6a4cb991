"""Settings that the documents leave open: what was compared on held-out images, and with which results.

``benchmarks/choices.py`` makes the records.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from . import curves
from .blocks import Block, Table, Text
from .curves import Record

#: The sub-folder of these records in the folder of the results.
FOLDER = "choices"


def read_all(folder: Path) -> list[Record]:
    """Return the records in a folder of results; see :func:`.curves.read_all`."""
    return curves.read_all(folder / FOLDER, _rows, "a choice", "benchmarks/choices.py")


def blocks(found: Sequence[Record]) -> list[Block]:
    """Return a table of everything that was tried, with the best of each comparison in bold."""
    if not found:
        return [Text("Nothing has been compared yet.")]
    held_out = sorted({f"{record['held_out']:,}" for record in found})
    return [
        Text(
            f"These networks were trained without the last {' or '.join(held_out)} training images and tested on "
            "those. The table gives the mean accuracy of the last epoch in %, with the lowest and the highest run in "
            "brackets; what the recipes use is in bold. The seeds differ from those of the results. "
            "`python benchmarks/choices.py --folder again` repeats the comparison."
        ),
        Table(
            ["Network", "Open in the document", "Tried", "Epochs", "Runs", "Accuracy on held-out images"],
            [row for record in found for row in _rows(record)],
            numbers=3,
        ),
    ]


def _rows(record: Record) -> list[list[str]]:
    """Return a row of the table for each setting that was tried."""
    last = {title: [curve[-1] for curve in runs.values()] for title, runs in record["answers"].items() if runs}
    best = max(last, key=lambda title: fmean(last[title]))
    rows = []
    for title, values in last.items():
        mark = "**" if title == best else ""
        network, epochs = f"`{record['name']}`", str(record["epochs"])
        tried, accuracy = (f"{mark}{text}{mark}" for text in (title, curves.spread(values)))
        rows.append([network, record["question"], tried, epochs, str(len(values)), accuracy])
    return rows
