"""Records: what a script measured, on what, when, and by which command, as JSON in ``benchmarks/results/``."""

import argparse
import json
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import machine

RESULTS = Path(__file__).with_name("results")

_meanwhile = machine.OtherWork()  # since the script began


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int) -> None:
    """The options that the scripts share."""
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each is measured (default {rounds})")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="of each worker (default: all cores)")
    parser.add_argument("--save", action="store_true", help="keep the record in benchmarks/results/")
    parser.add_argument("--json", type=Path, help="write the record to this file")


def new(kind: str, threads: int, results: Any, **more: Any) -> dict[str, Any]:
    """A record of this run."""
    return {
        "kind": kind,
        "date": date.today().isoformat(),
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": machine.describe(),
        "threads": threads,
        "others": round(_meanwhile.share(), 3),
        **more,
        "results": results,
    }


def write(record: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write it where the command line says."""
    paths = [arguments.json] if arguments.json else []
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        paths.append(RESULTS / f"{record['date']}-{record['kind']}.json")
    for path in paths:
        path.write_text(json.dumps(record, indent=1) + "\n")


def latest(kind: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """The newest record of a kind."""
    paths = sorted(folder.glob(f"*-{kind}.json"))
    return json.loads(paths[-1].read_text()) if paths else None


def origin(record: dict[str, Any]) -> str:
    """When, on what, and by which command it was measured."""
    about = dict(record["machine"])
    hardware = f"{about.pop('cores')} cores of {about.pop('cpu')}"
    versions = ", ".join(f"{name} {number}" for name, number in about.items())
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    others = f"other processes used {record['others']:.0%} of the cores meanwhile"
    return f"{record['date']}, {hardware}, {threads}, float32; {versions}; {others}. `{record['command']}`"
