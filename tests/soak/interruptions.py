"""End runs by a signal at random moments, again and again; they must reach the same bits as an undisturbed run."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent
#: The first has dropout, and EarlyStopping, whose best weights are part of the state. The second has batch
#: normalization and a learning rate for each epoch.
NETWORKS, EPOCHS = ("ladder_09", "go_crazy"), 6
#: The exit codes that a process may have: 0 if it ends by itself; 130 or -SIGINT after Ctrl-C, the latter if Python
#: itself was about to end; -SIGKILL if it was killed.
ENDS = {signal.SIGINT: {0, 130, -signal.SIGINT}, signal.SIGKILL: {0, -signal.SIGKILL}}
HANG = 300


def environment() -> dict[str, str]:
    """Return environment variables with which a process finds this checkout and its tests."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}


def start(network: str, folder: Path, threads: int = 1) -> subprocess.Popen:
    """Start a run; return when it has loaded everything and is about to begin, go on, or say that it is finished."""
    process = subprocess.Popen(
        [sys.executable, "-m", "soak.small_run", network, str(folder), str(EPOCHS), str(threads)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    next((line for line in process.stdout if line == "ready\n"), None)
    return process


def result(folder: Path) -> dict[str, object]:
    """Return what must be the same in every byte; the times are left out."""
    states = sorted(folder.glob("checkpoints/*"))
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "history": (folder / "history.csv").read_bytes(),
        "results": json.loads((folder / "run.json").read_text())["results"],
        "states": len(states),
        "half written": [path.name for path in folder.rglob(".*")],
    }


def interrupted_runs(how: signal.Signals, times: int, seed: int = 0) -> dict[str, object]:
    """End runs by a signal, ``times`` times in all; each run must have the same result as an undisturbed one.

    Returns
    -------
    dict
        How often each thing happened. ``different`` and ``errors`` must be empty.
    """
    rng, counts = random.Random(seed), Counter[str]()
    errors: list[str] = []
    expected: dict[str, dict[str, object]] = {}
    longest: dict[str, float] = {}
    different: list[int] = []
    # The files are kept in memory if there is such a folder. A kill does not harm them there either, and a disk would
    # take most of the time.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        root = Path(name)
        for network in NETWORKS:
            process, began = start(network, root / network), time.perf_counter()
            process.communicate(timeout=HANG)
            # The time from the start of a training to its last file; most signals should come within it.
            longest[network] = time.perf_counter() - began
            expected[network] = result(root / network)
        while counts["signals"] < times and not errors:
            folder = root / f"run {counts['runs']}"
            network = NETWORKS[counts["runs"] % len(NETWORKS)]
            counts["runs"] += 1
            for life in itertools.count():
                process = start(network, folder, rng.choice((1, 1, 2)))
                if counts["signals"] < times:
                    # Each resumed run gets more time, so that it ends even if the machine has become slower.
                    time.sleep(rng.uniform(0, longest[network]) * rng.choice((0.2, 1)) * (1 + life / 5))
                    process.send_signal(how)
                out, error = process.communicate(timeout=HANG)
                if process.returncode not in ENDS[how] or error not in ("", "tinycnn: interrupted\n"):
                    errors.append(f"exit code {process.returncode}: {error}{out}")
                    break
                counts["went on within an epoch"] += ", after" in out and "Going on" in out
                if process.returncode == 0:
                    break
                counts["signals"] += 1
                if counts["signals"] % 20 == 0:
                    print(dict(counts), "different:", different, file=sys.stderr, flush=True)
                counts["half written files"] += len(list(folder.rglob(".*")))
            if not errors and result(folder) != expected[network]:
                different.append(counts["runs"])
    return {
        **counts,
        "seconds of a whole run": round(max(longest.values()), 2),
        "different": different,
        "errors": errors,
    }
