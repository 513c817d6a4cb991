"""Runs of several kinds and seeds, each a curve of accuracies, in a record that is written after every run."""

import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import machine

from tinycnn.core.files import write_whole


def complete(
    path: Path,
    about: dict[str, Any],
    key: str,
    titles: Iterable[str],
    seeds: range,
    train: Callable[[str, int], list[float]],
) -> None:
    """Make the runs that a record lacks.

    Parameters
    ----------
    path : Path
        Of the record.
    about : dict
        What stands in the record beside the runs.
    key : str
        Under which the record has them: a curve by title and seed.
    titles : iterable of str
    seeds : range
    train : callable
        ``train(title, seed)`` gives the accuracy after each epoch.
    """
    known = json.loads(path.read_text())[key] if path.exists() else {}
    curves: dict[str, dict[str, list[float]]] = {title: known.get(title, {}) for title in titles}
    for title, runs in curves.items():
        for seed in seeds:
            if str(seed) in runs:
                continue
            runs[str(seed)] = curve = train(title, seed)
            print(f"{about['name']}, {title}, seed {seed}: {curve[-1]:.4f} after {len(curve)} epochs", flush=True)
            made = {"epochs": len(curve), "date": date.today().isoformat(), **machine.describe()}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(about | made | {key: curves}, indent=2) + "\n").encode())
