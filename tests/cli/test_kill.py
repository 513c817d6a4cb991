"""``kill`` ends a command as Ctrl-C does: nothing is lost, and nothing goes on without it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinycnn import cli
from tinycnn.core import launched

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without telling it")

LAP = """
import sys
from tinycnn import cli
from tinycnn.cli._speedrun import race

child = "import os, pathlib, time; pathlib.Path('child').write_text(str(os.getpid())); time.sleep(60)"
cli.main = lambda argv: race.lap([sys.executable, "-c", child], 0)
sys.exit(cli.run_as_process())
"""


def wait_for(condition) -> None:
    """Return when a condition holds, and fail if it does not within a minute."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def killed(command: list[str], begun) -> tuple[int, str]:
    """Start a program, kill it when it has begun, and return its exit code and what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_for(begun)
            process.terminate()
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    return process.returncode, said


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[2]))


def test_a_training_is_kept() -> None:
    arguments = ["train", "ladder_03", "--data", "digits", "--epochs", "100000", "--out", "run"]
    begun = Path("run/checkpoints")
    code, said = killed([sys.executable, "-m", "tinycnn", *arguments], lambda: any(begun.glob("*.safetensors")))
    assert code == 130, said
    assert "Interrupted" in said
    assert "--resume" in said
    assert "Traceback" not in said


def test_what_a_command_has_started_ends_with_it() -> None:
    child = Path("child")
    code, said = killed([sys.executable, "-c", LAP], lambda: child.exists() and child.read_text("utf-8"))
    assert code == 130, said
    number = int(child.read_text("utf-8"))

    def gone() -> bool:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone)


COLLECTION = """
import gc, signal, sys, time
from tinycnn import cli

def press(phase, info):
    gc.callbacks.remove(press)
    signal.raise_signal(signal.SIGINT)

def work(argv):
    gc.callbacks.append(press)
    gc.collect()
    time.sleep(60)
    return 0

class Broken:
    def __del__(self):
        raise ValueError("from a finalizer")

cli.main = work
if sys.argv[1] == "an error":
    cli.main = lambda argv: Broken() and 0
sys.exit(cli.run_as_process())
"""


@pytest.mark.parametrize(("what", "ends"), [("Ctrl-C", 130), ("an error", 0)])
def test_ctrl_c_within_a_garbage_collection_is_not_lost(what: str, ends: int) -> None:
    """Python prints what is raised there, and goes on; Hypothesis has a function there while functions are graded."""
    command = [sys.executable, "-c", COLLECTION, what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == ends, done.stderr
    assert done.stdout == ""
    assert ("from a finalizer" in done.stderr) == (what == "an error")
    assert ("Traceback" in done.stderr) == (what == "an error")


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch):
    """Let a test change what Ctrl-C and kill do in this process."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield lambda: signal.getsignal(signal.SIGTERM)
    for one, how in before.items():
        signal.signal(one, how)


def test_it_acts_while_a_command_runs(monkeypatch: pytest.MonkeyPatch, handler) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setattr(cli, "main", lambda argv: int(handler() is signal.default_int_handler))
    assert cli.run_as_process([]) == 1
    assert handler() == signal.SIG_IGN  # what is left is the end of the process


@pytest.mark.parametrize("why", ["a rank of a job", "what the program's parent has set"])
def test_not_where_others_decide(monkeypatch: pytest.MonkeyPatch, handler, why: str) -> None:
    wanted = signal.SIG_DFL
    if why == "a rank of a job":
        monkeypatch.setitem(launched.os.environ, "PMI_SIZE", "2")
    else:
        wanted = signal.SIG_IGN
    signal.signal(signal.SIGTERM, wanted)
    monkeypatch.setattr(cli, "main", lambda argv: int(handler() == wanted))
    assert cli.run_as_process([]) == 1
    assert handler() == wanted
