"""Make runs of several kinds and seeds, each a curve of accuracies, and write the record after every run."""

import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import machine

from tinycnn.cli._results.beside import OURS
from tinycnn.core.files import write_whole


def complete(
    path: Path,
    about: dict[str, Any],
    key: str,
    titles: Iterable[str],
    seeds: range,
    train: Callable[[str, int], list[float]],
) -> None:
    """Make the runs that a record lacks, and those of this engine again if it computes other bits now.

    Parameters
    ----------
    path : Path
        The file of the record.
    about : dict
        What the record contains in addition to the runs.
    key : str
        The key under which the record contains the runs, as curves by title and seed.
    titles : iterable of str
        The kinds of runs.
    seeds : range
        The seeds of each kind.
    train : callable
        ``train(title, seed)`` returns the accuracy after each epoch.
    """
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {key: {}}
    curves: dict[str, dict[str, list[float]]] = {title: record[key].get(title, {}) for title in titles}
    if record.get("numerics") != about.get("numerics"):
        curves[OURS] = {}
    for title, runs in curves.items():
        for seed in seeds:
            if str(seed) in runs:
                continue
            runs[str(seed)] = curve = train(title, seed)
            print(f"{about['name']}, {title}, seed {seed}: {curve[-1]:.4f} after {len(curve)} epochs", flush=True)
            made = {"epochs": len(curve), "date": date.today().isoformat(), **machine.describe()}
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(about | made | {key: curves}, indent=2) + "\n").encode())
