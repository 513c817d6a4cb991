"""Run the long tests and keep a record of the results (``make soak``).

    python -m soak [PART…] [--short] [--save]

Run it from the folder ``tests``, or with that folder on ``PYTHONPATH``. The exit code is 1 if a promise is not kept.
"""

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from soak.interruptions import environment, interrupted_runs

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
#: The growth of memory and of time that is allowed, because the machine may have other work to do.
MEMORY, SPEED = 0.02, 0.5


def alone(call: str) -> dict[str, Any]:
    """Run a function of ``soak.load`` in a process of its own."""
    code = f"import json, soak.load as load; print(json.dumps(load.{call}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=3600, env=environment(), check=False
    )
    if done.returncode:
        return {"error": f"exit code {done.returncode}: {done.stderr[-2000:]}"}
    return json.loads(done.stdout)


def _uninterrupted(found: dict[str, Any]) -> bool:
    return not found["different"] and not found["errors"]


def _flat(found: dict[str, Any]) -> bool:
    return "error" not in found and found["memory_growth"] < MEMORY and found.get("slower", 0) < SPEED


#: For each part: the function that runs its long or short form, and the one that says whether the promise is kept.
PARTS: dict[str, tuple[Callable[[bool], dict[str, Any]], Callable[[dict[str, Any]], bool]]] = {
    "kills": (lambda short: interrupted_runs(signal.SIGKILL, 10 if short else 200), _uninterrupted),
    "ctrl_c": (lambda short: interrupted_runs(signal.SIGINT, 5 if short else 100), _uninterrupted),
    "steps": (lambda short: alone(f"many_steps({3_200 if short else 60_000})"), _flat),
    "models": (lambda short: alone(f"many_models({60 if short else 200})"), _flat),
    "threads": (
        lambda short: alone(f"several_threads(8, {5 if short else 50})"),
        lambda found: found.get("wrong") == [] and found["hung"] == 0,
    ),
    "children": (
        lambda short: alone("child_processes()"),
        lambda found: found == {"fork": "told to spawn", "spawn": "right"},
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="the parts to run; by default all")
    parser.add_argument("--short", action="store_true", help="run the short forms, as the tests do")
    parser.add_argument("--save", action="store_true", help=f"keep a record in {RESULTS.name}/")
    arguments = parser.parse_args()
    # A command that a shell starts in the background ignores Ctrl-C, and its child processes would do so too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    record: dict[str, Any] = {}
    for name in arguments.parts or PARTS:
        run, good = PARTS[name]
        found = run(arguments.short)
        record[name] = found | {"as_promised": good(found)}
        print(name, json.dumps(record[name]), flush=True)
        if arguments.save:
            path = RESULTS / f"{date.today()}-soak.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(known | {name: record[name]}, indent=2) + "\n")
    return 0 if all(found["as_promised"] for found in record.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
