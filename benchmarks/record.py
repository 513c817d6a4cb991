"""Write and read records as JSON in ``benchmarks/results/``.

A record says what a script measured, on which machine, when, and by which command.
"""

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import machine
from peers import PEERS

from tinycnn.cli._arguments import whole_number
from tinycnn.core.files import check_destination, write_whole

RESULTS = Path(__file__).with_name("results")
#: The folders in it for records of other kinds of machines than the one that is measured as a rule.
MACHINES = ("avx512", "intel")

#: The share of the cores that other processes may use. If two threads get less than two cores, each waits for the other
#: at the end of every kernel, and times grow tenfold.
BUSY = 0.1
_meanwhile = machine.OtherWork()  # It counts from the start of the script.


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int | None = None) -> None:
    """Add the options that the scripts share; ``--rounds`` only if something is measured more than once."""
    if rounds is not None:
        parser.add_argument(
            "--rounds", type=whole_number(1), default=rounds, help=f"number of measurements of each (default {rounds})"
        )
    most = int(os.environ.get("NUMBA_NUM_THREADS", machine.cores()))
    threads = "threads of each worker (default: all cores)"
    parser.add_argument("--threads", type=whole_number(1, most), default=machine.cores(), help=threads)
    parser.add_argument("--save", action="store_true", help="keep the record in benchmarks/results/")
    parser.add_argument(
        "--machine",
        metavar="NAME",
        choices=MACHINES,
        help="keep it in the folder NAME there, because it comes from another kind of machine",
    )
    parser.add_argument("--json", type=_file, help="write the record to this file")


def positive_number(text: str) -> float:
    """Return an argument as a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _file(text: str) -> Path:
    """Return the path of a file that can be written, so that no other one is found out after the measurement."""
    try:
        check_destination(text)
    except OSError as error:
        raise argparse.ArgumentTypeError(error.strerror) from error
    return Path(text)


def new(kind: str, threads: int, results: Any, **more: Any) -> dict[str, Any]:
    """Return a record of this run."""
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


def report(record: dict[str, Any], tables: Callable[[dict[str, Any]], str], arguments: argparse.Namespace) -> None:
    """Print a record as tables, and write it where the command line says."""
    print(f"\n{origin(record)}\n\n{tables(record)}")
    if record["others"] > BUSY:
        print(
            f"\nOther processes used {record['others']:.0%} of the cores, so the figures are worthless; run it again."
        )
    paths = [arguments.json] if arguments.json else []
    if arguments.save or arguments.machine:
        folder = RESULTS / (arguments.machine or "")
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{record['date']}-{record['kind']}.json")
    for path in paths:
        write_whole(path, f"{json.dumps(record, indent=1)}\n".encode())


def latest(kind: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """Return the newest record of a kind, or None if there is none."""
    paths = sorted(folder.glob(f"*-{kind}.json"))
    return json.loads(paths[-1].read_text()) if paths else None


def origin(record: dict[str, Any]) -> str:
    """Say when, on which machine, and by which command a record was measured."""
    about = dict(record["machine"])
    hardware = f"{about.pop('cores')} cores of {about.pop('cpu')}"
    versions = ", ".join(f"{name} {number}" for name, number in about.items())
    threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
    others = f"other processes used {record['others']:.0%} of the cores meanwhile"
    return f"{record['date']}, {hardware}, {threads}, float32; {versions}; {others}. `{record['command']}`"


def absent(record: dict[str, Any]) -> str:
    """List every reason why a peer has no figures, with the networks that it concerns; empty if there is none."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in record["results"]:
        for name, reason in result["missing"].items():
            reasons.setdefault((name, reason), []).append(result["network"])
    lines = [f"- {PEERS[name].title} ({', '.join(networks)}): {reason}" for (name, reason), networks in reasons.items()]
    return "\n".join(["Not measured:", "", *lines]) if lines else ""
