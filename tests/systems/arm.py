"""Run tests as on Linux on ARM: Debian's Python for ARM, and the packages' wheels for it, under qemu (``make arm``).

    python tests/systems/arm.py [--save] [TEST…]

Without tests it runs those of :data:`SUBSET`. Nothing of the emulated system is installed: its Python is unpacked into
the folder `.arm`, where the packages and the compiled kernels lie too, so a second run starts sooner. It needs Linux,
and the programs of :data:`PROGRAMS`; as root it installs those that are missing with apt-get, and otherwise it says
which. Arithmetic is that of ARM to the bit, but emulation takes ten to twenty times as long, so times say nothing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
#: What is kept: the emulated system, the packages, and the compiled kernels.
FOLDER = ROOT / ".arm"
#: The programs that are needed, and the packages of Debian and Ubuntu that have them.
PROGRAMS = {"qemu-aarch64-static": "qemu-user-static", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"}
#: Debian's release, whose Python it is, and a processor that many people have (that of a Raspberry Pi 5).
RELEASE, PYTHON, PROCESSOR = "bookworm", "3.11", "cortex-a76"
#: The tests that are run without being named: parity with the reference, layers, the same bits, and whole models.
SUBSET = (
    "tests/kernels/test_kernels_parity.py",
    "tests/kernels/test_numerics.py",
    "tests/kernels/test_kernels_threads.py",
    "tests/kernels/test_replay.py",
    "tests/layers",
    "tests/training/test_hard_cases.py",
    "tests/training/test_recorded.py",
    "tests/training/test_same_bits.py",
    "tests/sequential/test_model.py",
    "tests/models/test_models.py",
)
#: How the kernel knows a program for 64-bit ARM, as it has to be told (binfmt_misc): by the first bytes of its file.
MAGIC = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
)
REGISTRY = "/proc/sys/fs/binfmt_misc"


def fail(message: str) -> None:
    raise SystemExit(f"arm: {message}")


def find_programs() -> None:
    """Install the programs that are missing, or end and say which."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", *sorted(missing)], check=True, stdout=sys.stderr)
        missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing:
        fail(f"on Debian or Ubuntu, run: sudo apt-get install {' '.join(sorted(missing))}")


def make_system(folder: Path) -> None:
    """Unpack Debian's Python for ARM; no program of it runs for that, so it needs neither root nor emulation."""
    if folder.exists():
        return
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    include = f"python{PYTHON},libstdc++6,libgcc-s1,libgomp1,tzdata,media-types"
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--arch=arm64", f"--include={include}", RELEASE, "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        unpack = ["tar", "-xf", "-", "-C", str(new), "--no-same-owner", "--exclude=./dev"]
        unpacked = subprocess.run(unpack, stdin=made.stdout, check=False)
    if made.returncode or unpacked.returncode:
        fail(f"Debian's packages for ARM could not be unpacked into {new}; the lines above say why")
    new.rename(folder)


def install_packages(folder: Path) -> None:
    """Unpack the wheels for ARM of what the tests need; this machine's own program does that."""
    if folder.exists():
        return
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if not uv:
        fail("uv was not found, which installs the packages; run: pip install uv")
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    subprocess.run(
        [
            *(str(uv), "pip", "install", "-q", "--python", sys.executable, "--target", str(new)),
            *("--python-platform", "aarch64-manylinux_2_28", "--python-version", PYTHON, "--only-binary", ":all:"),
            *("-r", "pyproject.toml", "--extra", "test"),
        ],
        check=True,
        cwd=ROOT,
    )
    new.rename(folder)


def join_packages(system: Path, packages: Path) -> None:
    """Let the emulated Python find the packages by itself, because tests give their own processes another path."""
    folder = system / "usr" / "lib" / "python3" / "dist-packages"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "packages.pth").write_text(f"{packages}\n", "utf-8")


def environment() -> dict[str, str]:
    """Return the environment of the emulated Python; CI makes Hypothesis draw the same examples each time."""
    left_out = {"VIRTUAL_ENV", "PYTHONPATH", "NUMBA_CACHE_DIR", "TINYCNN_DATA", "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in left_out} | {
        "CI": "1",
        "MPLBACKEND": "agg",
        "QEMU_CPU": PROCESSOR,
        "QEMU_LD_PREFIX": str(FOLDER / "system"),
        "XDG_CACHE_HOME": str(FOLDER / "cache"),
    }


def prefix(python: Path) -> list[str]:
    """Return what stands before a command so that it, and all that it starts, may be programs for ARM.

    Where the machine does not start these by itself, it is told to in a namespace of its own, which ends with the
    command; nothing is changed for others.
    """
    works = [str(python), "-c", ""]
    try:
        if not subprocess.run(works, env=environment(), capture_output=True, check=False).returncode:
            return []
    except OSError:  # "Exec format error"
        pass
    rule = f":qemu-aarch64:M::{MAGIC[0]}:{MAGIC[1]}:{shutil.which('qemu-aarch64-static')}:F"
    script = f'mount -t binfmt_misc none {REGISTRY} && printf %s "$0" > {REGISTRY}/register && exec "$@"'
    found = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, rule]
    tried = subprocess.run([*found, *works], env=environment(), capture_output=True, text=True, check=False)
    if tried.returncode:
        fail(
            f"this machine does not start programs for ARM ({tried.stderr.strip()}); let it, for example with the "
            "package binfmt-support, or use a kernel of 6.7 or newer that allows user namespaces"
        )
    return found


def counted(report: Path) -> dict[str, Any]:
    """Return how many tests there were in pytest's report, and the names of those that failed."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return {
        "passed": len(cases) - len(failed) - len(skipped),
        "failed": [f"{case.get('classname')}::{case.get('name')}" for case in failed],
        "skipped": len(skipped),
    }


def described(command: list[str]) -> dict[str, str]:
    """Return what runs the tests: the machine itself, the emulator, and what the emulated Python says it is."""
    code = (
        "import json, platform, llvmlite, numba, numpy, scipy\n"
        "print(json.dumps({'machine': platform.machine(), 'system': platform.platform(), "
        "'python': platform.python_version(), 'numpy': numpy.__version__, 'scipy': scipy.__version__, "
        "'numba': numba.__version__, 'llvmlite': llvmlite.__version__}))"
    )
    inside = subprocess.run([*command, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    emulator = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True)
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    cpu = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "host": cpu[0] if cpu else "unknown",
        "cores": str(len(os.sched_getaffinity(0))),
        "emulator": emulator.stdout.splitlines()[0],
        "processor": PROCESSOR,
    } | json.loads(inside.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="arm", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tests", nargs="*", metavar="TEST", help="files or names of tests, as for pytest")
    parser.add_argument("--save", action="store_true", help="keep a record in benchmarks/results/")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        fail("it needs Linux, where qemu can run programs for another processor")
    tests = arguments.tests or list(SUBSET)
    find_programs()
    make_system(FOLDER / "system")
    install_packages(FOLDER / "packages")
    join_packages(FOLDER / "system", FOLDER / "packages")
    python = FOLDER / "system" / "usr" / "bin" / f"python{PYTHON}"
    command = [*prefix(python), str(python)]
    compiled = any(FOLDER.glob("cache/tinycnn/*/*.nbc")) or any(FOLDER.glob("cache/tinycnn/*/*/*.nbc"))
    machine = described(command)
    print(json.dumps(machine), flush=True)
    report, start = FOLDER / "report.xml", time.monotonic()
    report.unlink(missing_ok=True)
    options = ["-m", "pytest", "-n", str(len(os.sched_getaffinity(0))), f"--junitxml={report}"]
    status = subprocess.run([*command, *options, *tests], cwd=ROOT, env=environment(), check=False).returncode
    if not report.exists():
        return status or 1
    record = {
        "command": " ".join(["python", "tests/systems/arm.py", *sys.argv[1:]]),
        "machine": machine,
        "tests": tests,
        "kernels_compiled_before": compiled,
        "minutes": round((time.monotonic() - start) / 60, 1),
        **counted(report),
    }
    print(json.dumps(record, indent=2))
    if arguments.save:
        path = RESULTS / f"{date.today()}-arm.json"
        path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
