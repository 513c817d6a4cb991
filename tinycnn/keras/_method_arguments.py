"""Arguments of a model's methods that Keras has, or had, and what they mean here."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.checks import boolean
from ..core.checks import path as checked_path
from ._telling import PAGE, not_so, told

#: What arguments of Keras 1 and 2 are called now, and those that are about processes, of which there is one here.
_NEW_NAMES = {"nb_epoch": "epochs", "nb_worker": "workers", "max_q_size": "max_queue_size", "pickle_safe": "_"}
_ONE_PROCESS = ("workers", "use_multiprocessing", "max_queue_size", "_")


def as_keras(logs: dict[str, float], return_dict: bool) -> Any:
    """Return logs in the form of Keras's methods for one batch."""
    if boolean(return_dict, "return_dict"):
        return logs
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


def modern(method: str, given: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return the arguments of a method under the names that they have now, without those that have no meaning here.

    Raises
    ------
    TypeError
        If the method does not take an argument; the message suggests the nearest of those that are ``known``.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        new = _NEW_NAMES.get(name, name)
        if new in _ONE_PROCESS:
            if value not in (None, 0, 1, False, 10):
                told(f"{method}: {name} has no effect: batches are made in the process that trains")
        elif name == "show_accuracy":
            raise not_so(method, name, value, "write compile(..., metrics=['accuracy'])")
        else:
            if new not in known:
                near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(sorted(known))}."
                raise TypeError(f"{method} takes no argument {name!r}; {hint} See {PAGE}")
            found[new] = value
    return found


def refuse_callbacks(method: str, callbacks: Any) -> None:
    """Raise if callbacks were given to a method that calls none."""
    if callbacks:
        raise not_so(method, "callbacks", callbacks, "callbacks are for fit")


def destination(method: str, filepath: Any, overwrite: bool, other: dict[str, Any]) -> Path:
    """Return where to write a file, or raise if it exists and must not be overwritten."""
    known = {"include_optimizer", "save_format", "zipped", "save_traces", "options", "signatures", "max_shard_size"}
    if unknown := other.keys() - known:
        raise TypeError(f"{method} takes no argument {min(unknown)!r}")
    where = checked_path(filepath, "filepath")
    if not boolean(overwrite, "overwrite") and where.exists():
        raise ValueError(f"{where} exists already; give another name, or overwrite=True")
    return where
