"""``--threads`` sets the number of threads in every command that computes, and all give the same bits."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn
from tinycnn.cli import main
from tinycnn.cli._arguments import UsageError, set_threads

ROOT = Path(__file__).parents[2]
TRAINED = ("ladder_10", "go_crazy")

# The commands run in a process of their own, because Numba reads the largest number of threads when it is imported.
# They use 300 digits, so that the last batch is not full, and no figures, which take most of the time of a small run.
_SCRIPT = """
import sys
from tinycnn import datasets
from tinycnn.cli import _figures, main
(x, y), (x_test, y_test) = datasets.digits.load_data()
datasets.digits.load_data = lambda: ((x[:300], y[:300]), (x_test[:100], y_test[:100]))
_figures.draw_all = lambda *a: []
assert "numba" not in sys.modules
codes = [main(command.split()) for command in sys.argv[1:]]
import numba
print("threads:", numba.get_num_threads())
sys.exit(max(codes))
"""


def run_commands(*commands):
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *commands],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(folder):
    weights = tinycnn.load_model(folder / "model.safetensors").get_weights()
    return hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return, for each number of threads, the folder with the networks trained with it, and what was printed."""
    found = {}
    for threads in (1, 2, 4):
        folder = tmp_path_factory.mktemp(f"threads{threads}")
        options = f"--data digits --epochs 1 --batch-size 64 --threads {threads}"
        out = run_commands(*(f"train {name} {options} --out {folder / name}" for name in TRAINED))
        found[threads] = folder, out
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_the_same_bits_for_any_number_of_threads(name, runs):
    assert len({digest(folder / name) for folder, _ in runs.values()}) == 1
    assert tinycnn.load_model(runs[1][0] / name / "model.safetensors").optimizer.iterations == 5


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_training_runs_on_as_many_threads_as_asked_for_and_tells_its_speed(threads, runs):
    _, out = runs[threads]
    assert f"threads: {threads}\n" in out
    assert out.count(f"cpu backend, {threads} thread{'s' if threads > 1 else ''}\n") == len(TRAINED)
    epochs = [line for line in out.splitlines() if line.startswith("Epoch 1/1")]
    ends = [line for line in out.splitlines() if "images/s in training" in line]
    assert len(epochs) == len(ends) == len(TRAINED)
    assert all(" images/s  loss " in line for line in epochs)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate {folder}", "predict {folder} 0 7", "profile ladder_02 --repeats 1"])
def test_the_other_commands_take_threads_beyond_the_cores(command, runs):
    folder = runs[1][0] / "ladder_10"
    threads = (os.cpu_count() or 1) + 3
    with_more = run_commands(f"{command.format(folder=folder)} --threads {threads}")
    assert f"threads: {threads}\n" in with_more
    if "profile" not in command:
        with_one = run_commands(f"{command.format(folder=folder)} --threads 1")
        assert with_one.replace("threads: 1\n", "") == with_more.replace(f"threads: {threads}\n", "")


@pytest.mark.parametrize("command", ["train ladder_02", "evaluate runs", "predict runs 0", "profile ladder_02"])
@pytest.mark.parametrize("count", ["0", "-1", "two", "257"])
def test_too_few_or_too_many_threads_are_refused(command, count, capsys):
    assert main([*command.split(), "--threads", count]) == 2
    err = capsys.readouterr().err
    assert f"argument --threads: '{count}' is not a whole number from 1 to 256" in err


def test_more_threads_than_numba_was_started_with_are_an_error_that_names_the_option():
    import numba

    before = numba.get_num_threads()
    with pytest.raises(UsageError, match=r"--threads 256: .*between 1 and"):
        set_threads(256, "cpu")
    assert numba.get_num_threads() == before
