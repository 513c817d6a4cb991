"""Records of scripts in ``benchmarks/``: accuracies after each epoch of several runs, by title and seed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Record = Mapping[str, Any]


def read_all(folder: Path, rows: Callable[[Record], Any], what: str, script: str) -> list[Record]:
    """Return the records in a folder, by network; the list is empty if there are none.

    Parameters
    ----------
    folder : Path
    rows : callable
        The function that makes a report's rows of a record; it fails for a file that is no record.
    what, script : str
        What a record is about, and the script that makes one, for the error message.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a file is no such record.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            rows(record)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is no record of {what}; {script} makes one") from error
        found.append(record)
    return found


def spread(values: Sequence[float]) -> str:
    """Return the mean in percent, with the lowest and the highest value if there are several."""
    inside = f" ({100 * min(values):.2f} to {100 * max(values):.2f})" if len(values) > 1 else ""
    return f"{100 * fmean(values):.2f}{inside}"
