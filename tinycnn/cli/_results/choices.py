"""Settings that the documents leave open: what was compared on held out images, and what came out.

The records are made by ``benchmarks/choices.py``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from .blocks import Block, Table, Text

#: In the folder of the records.
FOLDER = "choices"


def read_all(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder of results, by network; none if there are none.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a file is not such a record.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            _rows(record)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is no record of a choice; benchmarks/choices.py makes one") from error
        found.append(record)
    return found


def blocks(found: Sequence[Mapping[str, Any]]) -> list[Block]:
    """A table of all answers, the best of each question in bold."""
    if not found:
        return [Text("Nothing has been compared yet.")]
    held_out = sorted({f"{record['held_out']:,}" for record in found})
    return [
        Text(
            f"Trained without the last {' or '.join(held_out)} training images and tested on those; the mean accuracy "
            "of the last epoch in %, the lowest and highest run in brackets, in bold what the recipes took. The seeds "
            "are others than those of the results. `python benchmarks/choices.py` repeats the comparison."
        ),
        Table(
            ["Network", "Open in the document", "Tried", "Epochs", "Runs", "Accuracy on held out images"],
            [row for record in found for row in _rows(record)],
            numbers=3,
        ),
    ]


def _rows(record: Mapping[str, Any]) -> list[list[str]]:
    last = {title: [curve[-1] for curve in runs.values()] for title, runs in record["answers"].items() if runs}
    best = max(last, key=lambda title: fmean(last[title]))
    rows = []
    for title, values in last.items():
        inside = f" ({100 * min(values):.2f} to {100 * max(values):.2f})" if len(values) > 1 else ""
        shown = f"{100 * fmean(values):.2f}{inside}"
        mark = "**" if title == best else ""
        network, epochs = f"`{record['name']}`", str(record["epochs"])
        tried, accuracy = (f"{mark}{text}{mark}" for text in (title, shown))
        rows.append([network, record["question"], tried, epochs, str(len(values)), accuracy])
    return rows
