"""The records: one JSON file for each run, ``NAME-seedS.json``."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.files import write_whole
from ...core.messages import shown
from .._json import without_nan

Record = Mapping[str, Any]
FORMAT = 1
#: The fields with one figure for each epoch, as ``fit`` logs them.
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "seed": int,
    "data": str,
    "params": int,
    "epochs": int,
    **dict.fromkeys(CURVES, list),
    "best_epoch": int,
    "best_val_accuracy": float,
    "last_val_accuracy": float,
    "weights_of_epoch": int,
    "test_accuracy": float,
    "test_loss": (float, type(None)),
    "first_100_errors": int,
    "per_class_accuracy": list,
    "confusion_matrix": list,
    "predicted": str,
    "most_confident_correct": list,
    "most_confident_wrong": list,
    "first_layer_filters": list,
    "seconds": (int, float),
    "seconds_by_epoch": list,
    "images_per_second": (int, float),
    "backend": str,
    "threads": int,
    "versions": dict,
    "machine": dict,
    "command": str,
    "date": str,
    "recipe": dict,
}
#: The fields of a recipe that say how it trains, and not what its document says.
_TRAINING = ("data", "epochs", "batch_size", "optimizer", "loss", "schedule", "augment", "restore_best", "params")


def path_of(folder: Path, name: str, seed: int) -> Path:
    """Return the path of the record of a run."""
    return folder / f"{name}-seed{seed}.json"


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record completely or not at all.

    Each field is written in one line, rows of numbers too, so that the file can be read and compared.
    """
    lines = [
        f"  {json.dumps(key)}: {json.dumps(without_nan(value), ensure_ascii=False, allow_nan=False)}"
        for key, value in record.items()
    ]
    write_whole(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read(path: Path) -> dict[str, Any]:
    """Read a record and make sure that it is complete.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the record is damaged, has another format, or has the name of another run.
    """
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise _damaged(path, f"its format must be {FORMAT} but is {shown(found)}")
    for key, kind in _FIELDS.items():
        if key not in record:
            raise _damaged(path, f"it lacks {key!r}")
        if not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise _damaged(path, f"its {key!r} is a {type(record[key]).__name__}")
    for key in (*CURVES, "seconds_by_epoch"):
        if len(record[key]) != record["epochs"]:
            raise _damaged(path, f"its {key!r} has {len(record[key])} epochs of {record['epochs']}")
    if not all(isinstance(seconds, int | float) for seconds in record["seconds_by_epoch"]):
        raise _damaged(path, "its 'seconds_by_epoch' holds something else than numbers")
    if not isinstance(record["machine"].get("processor"), str) or not isinstance(record["machine"].get("cores"), int):
        raise _damaged(path, "its 'machine' does not say which processor and how many cores")
    named = path_of(path.parent, record["name"], record["seed"])
    if named != path:
        raise _damaged(path, f"its content belongs into a file called {shown(named.name)}")
    return record


def read_all(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return all records in a folder by name, those of each name in the order of their seeds.

    Raises
    ------
    OSError
        If there is no such folder.
    ValueError
        If a file is not a record.
    """
    if not folder.is_dir():
        raise NotADirectoryError(
            f"{folder} is not a folder of records; 'tinycnn reproduce --out {folder}' makes one, and "
            f"'tinycnn train NAME --out {folder}' makes the folder of a run"
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for record in sorted(map(read, folder.glob("*.json")), key=lambda record: record["seed"]):
        found.setdefault(record["name"], []).append(record)
    return found


def seconds(record: Record) -> float:
    """Return the seconds of a run by its median epoch, because other work has delayed some epochs tenfold."""
    return statistics.median(record["seconds_by_epoch"]) * int(record["epochs"])


def numerics(record: Record) -> str:
    """Return the numerics version of a run, or an empty string if it is older than these versions."""
    return str(record["versions"].get("numerics") or "").strip()


def in_short(record: Record) -> dict[str, Any]:
    """Return what is kept of a record that is replaced by a newer one."""
    kept = ("best_val_accuracy", "last_val_accuracy", "images_per_second", "threads", "versions", "date")
    return {key: record[key] for key in kept} | {"seconds": round(seconds(record), 3)}


def differences(record: Record, recipe: Mapping[str, Any]) -> list[str]:
    """Return the settings of training in which a record's recipe differs from another (``Recipe.to_dict``)."""
    return [key for key in _TRAINING if record["recipe"].get(key) != recipe.get(key)]


def _damaged(path: Path, what: str) -> ValueError:
    """Return the error for a file that is no record."""
    return ValueError(
        f"{path} is not a record of 'tinycnn reproduce': {what}; move it out of the folder if it is something else, or "
        "restore it from a copy if it was a record"
    )
