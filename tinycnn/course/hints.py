"""Three hints for each exercise, one at a time; which were shown is written into a file beside the learner's."""

import contextlib
import json
from pathlib import Path

from ..core.files import parse_json, write_whole
from .exercise import Step

__all__ = ["next_hint"]

#: The file's name, and how many bytes of one are read.
FILE = ".tinycnn-hints.json"
_MOST = 1 << 16


def next_hint(folder: Path, chapter: str, exercise: Step) -> tuple[int, str]:
    """Return the number of the next hint for an exercise (1 to 3) and the hint; after the third comes the third again.

    A folder that cannot be written begins with the first hint each time.
    """
    path = folder / FILE
    shown = _read(path)
    key = f"{chapter}/{exercise.name}"
    number = min(shown.get(key, 0) + 1, len(exercise.hints))
    with contextlib.suppress(OSError):
        write_whole(path, json.dumps(shown | {key: number}, indent=1).encode())
    return number, exercise.hints[number - 1]


def _read(path: Path) -> dict[str, int]:
    """Return how many hints were shown, by chapter and exercise; a file that is damaged counts as none."""
    try:
        with path.open("rb") as file:
            found = parse_json(file.read(_MOST))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if type(value) is int and value >= 0}
