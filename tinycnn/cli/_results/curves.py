"""Records that scripts in ``benchmarks/`` make: accuracies after each epoch of several runs, by title and seed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Record = Mapping[str, Any]


def read_all(folder: Path, rows: Callable[[Record], Any], what: str, script: str) -> list[Record]:
    """The records of a folder, by network; none if there are none.

    Parameters
    ----------
    folder : Path
    rows : callable
        What a report makes of a record; it fails for a file that is none.
    what, script : str
        What a record tells of, and what makes one.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If a file is not such a record.
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
    """The mean in percent, with the lowest and the highest if there are several."""
    inside = f" ({100 * min(values):.2f} to {100 * max(values):.2f})" if len(values) > 1 else ""
    return f"{100 * fmean(values):.2f}{inside}"
