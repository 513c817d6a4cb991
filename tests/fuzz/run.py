"""Try mutated inputs on every reader: ``python tests/fuzz/run.py`` (``make fuzz``).

Each input gets 2 seconds of CPU time, and 512 MB of memory beyond what the process has already. It must lead to a
result or to a documented exception; everything else is a finding. An input depends only on reader, seed and number, so
a finding can be repeated from its number: ``--only READER --first N --inputs 1 --keep FOLDER`` writes the input to a
file. Readers run in processes of their own, so that crashes and hangs are found too.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE / "record.json"
SECONDS, MEGABYTES = 2.0, 512
#: The seconds without any progress after which a process is killed. They are many, because the machine may be busy.
STALLED = 60.0
#: The number of inputs for one process.
PIECE = 20_000


class TooSlow(BaseException):
    """Raised when an input takes too much time."""


def made(reader: Any, name: str, seed: int, number: int) -> bytes:
    """Return input ``number`` of a reader."""
    rng = random.Random(f"{seed} {name} {number}")
    seeds = _seeds(reader)
    return reader.mutate(rng.choice(seeds), rng, seeds)


@cache
def _seeds(reader: Any) -> list[bytes]:
    return reader.seeds()


def outcome(reader: Any, path: Path) -> str:
    """Read a file; return ``read``, ``refused`` if it was refused as documented, or else what is wrong."""
    try:
        reader.read(path)
    except reader.raises as error:
        return _fault_of_refusal(error, path if reader.names_file else None) or "refused"
    except TooSlow:
        return f"more than {SECONDS:g} s"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]} {_where(error)}"
    return "read"


def _fault_of_refusal(error: Exception, path: Path | None) -> str | None:
    """Return what is wrong with a refusal, if it does not name the file or is too long."""
    text = str(error)
    if path is not None and str(path.parent) not in text:
        return f"does not name the file: {type(error).__name__}: {text[:200]} {_where(error)}"
    if len(text) > 2000:
        return f"a message of {len(text)} characters: {text[:200]!r}"
    return None


def _where(error: BaseException) -> str:
    """Return the last places of the traceback, the innermost first."""
    trace = error.__traceback__
    places = []
    while trace:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"at {' < '.join(reversed(places[-4:]))}"


# A process that reads ---------------------------------------------------------------------------------------------


def work(name: str, seed: int, first: int, last: int, progress: str) -> None:
    """Read inputs ``first`` to ``last - 1``; print a JSON line for each finding, and one at the end."""
    from fuzz import readers

    reader = readers.READERS[name]
    counts = {"read": 0, "refused": 0}
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder, open(progress, "wb", buffering=0) as announced:
        path = Path(folder) / reader.name
        for content in reader.seeds():
            path.write_bytes(content)
            reader.read(path)  # good inputs must be readable; this also imports everything before memory is measured
        before = _limit_memory()
        signal.signal(signal.SIGPROF, _too_slow)
        for number in range(first, last):
            os.pwrite(announced.fileno(), b"%12d" % number, 0)
            for left in Path(folder).iterdir():
                if left.is_file():
                    left.unlink()
            path.write_bytes(made(reader, name, seed, number))
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            found = outcome(reader, path)
            signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - begun)
            if found in counts:
                counts[found] += 1
            else:
                print(json.dumps({"number": number, "fault": found}), flush=True)
    print(json.dumps(counts | {"slowest_s": round(slowest, 3), "memory_mb": max(0, _peak() - before)}), flush=True)


def _limit_memory() -> int:
    """Limit how much more memory the process may take; return the MB that it holds now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    limit = pages * resource.getpagesize() + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _peak()


def _peak() -> int:
    """Return the largest memory that the process has held, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _too_slow(*_: object) -> None:
    raise TooSlow


# The process that watches -----------------------------------------------------------------------------------------


def run_piece(name: str, seed: int, first: int, last: int) -> dict[str, Any]:
    """Try inputs ``first`` to ``last - 1`` in a process of their own; if it dies, go on in a new one."""
    total = _nothing()
    total["inputs"] = last - first
    while first < last:
        first = _run_process(name, seed, first, last, total)
    return total


def _run_process(name: str, seed: int, first: int, last: int, total: dict[str, Any]) -> int:
    """Run one process until it ends or is killed; return the number of the input to go on with."""
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        command = [sys.executable, __file__, "--work", name, str(seed), str(first), str(last), str(progress)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        with (Path(folder) / "out").open("w+") as out, (Path(folder) / "err").open("w+") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
            stalled = _watch(process, progress)
            out.seek(0)
            err.seek(0)
            for line in out:
                _add(total, json.loads(line))
            if process.returncode == 0:
                return last
            at = _announced(progress)
            if at is None:
                raise SystemExit(f"{name}: the process failed before its first input:\n{err.read()[-3000:]}")
            fault = "no answer, killed" if stalled else f"exit code {process.returncode}: {err.read()[-300:]}"
            _add(total, {"number": at, "fault": fault})
            return at + 1


def _watch(process: subprocess.Popen[bytes], progress: Path) -> bool:
    """Wait until the process ends; return True if it had to be killed."""
    at, since = None, time.monotonic()
    while True:
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            now = _announced(progress)
            if now != at or now is None:
                at, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                process.kill()
                process.wait()
                return True
        else:
            return False


def _announced(progress: Path) -> int | None:
    """Return the number of the input that the process is reading, or None before the first one."""
    text = progress.read_bytes() if progress.exists() else b""
    return int(text) if text else None


def _nothing() -> dict[str, Any]:
    """Return the figures of no work at all."""
    return {"inputs": 0, "read": 0, "refused": 0, "findings": [], "slowest_s": 0.0, "memory_mb": 0}


def _add(total: dict[str, Any], line: dict[str, Any]) -> None:
    """Add a finding, or the figures of a piece of work, to a total."""
    if "fault" in line:
        total["findings"].append(line)
        return
    for key, value in line.items():
        total[key] = max(total[key], value) if key in ("slowest_s", "memory_mb") else total[key] + value


def pieces(names: list[str], first: int, inputs: int) -> Iterator[tuple[str, int, int]]:
    """Yield pieces of work, with the readers in turn, so that a run that is ended early has tried all of them."""
    for begin in range(first, first + inputs, PIECE):
        for name in names:
            yield name, begin, min(begin + PIECE, first + inputs)


def run(names: list[str], seed: int, first: int, inputs: int, processes: int, quiet: bool = False) -> dict[str, Any]:
    """Run all readers; return what was tried and found, by reader."""
    results: dict[str, Any] = {}
    with ThreadPoolExecutor(processes) as pool:
        jobs = [(name, pool.submit(run_piece, name, seed, a, b)) for name, a, b in pieces(names, first, inputs)]
        for done, (name, job) in enumerate(jobs, 1):
            piece = job.result()
            _add(results.setdefault(name, _nothing()), piece)
            for finding in piece["findings"]:
                print(f"{name} {finding['number']}: {finding['fault']}", flush=True)
            if not quiet and done % 20 == 0:
                print(f"{done} of {len(jobs)} pieces", flush=True)
    return results


def record(results: dict[str, Any], seed: int, first: int, seconds: float) -> None:
    """Write the record of what was tried; it includes the earlier record, for the inputs before ``first``.

    Readers that were not tried keep their figures.
    """
    from importlib.metadata import version

    results = {name: {**total, "findings": len(total["findings"])} for name, total in results.items()}
    before = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else None
    if before and first:
        if before["seed"] != seed or any(before["readers"][name]["inputs"] != first for name in results):
            raise SystemExit(
                f"{RECORD.name} does not cover the inputs before number {first} with seed {seed}; "
                "use --first 0 to begin anew"
            )
        for name, total in results.items():
            _add(total, before["readers"][name])
    if before and (first or before["readers"].keys() - results.keys()):
        seconds += before["seconds"]
        results = {**before["readers"], **results}
    written = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": _processor(), "system": platform.system(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("numpy", "pillow", "safetensors")},
        "seed": seed,
        "seconds": round(seconds),
        "limits": {"seconds": SECONDS, "megabytes": MEGABYTES},
        "inputs": sum(total["inputs"] for total in results.values()),
        "findings": sum(total["findings"] for total in results.values()),
        "readers": results,
    }
    RECORD.write_text(json.dumps(written, indent=1) + "\n", "utf-8")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main() -> int:
    if sys.argv[1:2] == ["--work"]:
        name, seed, first, last, progress = sys.argv[2:]
        work(name, int(seed), int(first), int(last), progress)
        return 0
    from fuzz import readers

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000, help="for each reader (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=readers.READERS, default=list(readers.READERS), metavar="READER")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--processes", type=int, default=_cores())
    parser.add_argument("--save", action="store_true", help=f"write {RECORD.name} if nothing is found")
    parser.add_argument("--keep", type=Path, help="write the inputs into this folder instead of reading them")
    args = parser.parse_args()
    if not sys.platform.startswith("linux") and not args.keep:
        parser.error("readers are limited in time and memory as Linux does it; run this on Linux or in WSL")
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        for name in args.only:
            for number in range(args.first, args.first + args.inputs):
                (args.keep / f"{name}-{number}").write_bytes(made(readers.READERS[name], name, args.seed, number))
        return 0
    begun = time.monotonic()
    results = run(args.only, args.seed, args.first, args.inputs, args.processes)
    for name, total in results.items():
        print(
            f"{name:16} {total['inputs']:>8,} inputs  {total['read']:>8,} read  {len(total['findings'])} findings  "
            f"slowest {total['slowest_s']:.2f} s  memory {total['memory_mb']} MB"
        )
    found = any(total["findings"] for total in results.values())
    if args.save and not found:  # findings must be fixed before a record is written
        record(results, args.seed, args.first, time.monotonic() - begun)
    return int(found)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.path.insert(0, str(HERE.parents[1]))
    raise SystemExit(main())
