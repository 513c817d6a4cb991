"""The command line, from its arguments to the files that it writes."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import tinycnn
from tinycnn import cli, datasets, models, testing
from tinycnn.callbacks import BackupAndRestore, Callback, LambdaCallback
from tinycnn.cli import _COMMANDS, _figures, _runs, main, predict, report
from tinycnn.cli import train as train_command
from tinycnn.saving import state_folder
from tinycnn.saving.model_file import save_model
from tinycnn.sequential import Sequential
from tinycnn.training import loop

ROOT = Path(__file__).parents[2]
EVALUATE = loop.evaluate_source
PICTURES = set(_runs.PICTURES)
FILES = PICTURES | {"model.safetensors", "history.csv", "run.json", "checkpoints"}


def test_no_command_needs_more_than_a_plain_installation_to_be_found():
    """The packages of the extras are imported when a command wants them, and never before."""
    program = """
import sys

for extra in ("hypothesis", "starlette", "uvicorn", "h11", "onnx", "h5py", "sklearn", "mpi4py", "IPython", "shtab"):
    sys.modules[extra] = None
from tinycnn.cli import main
sys.exit(main(["check", "chapter01", "mine.py"]))
"""
    Path("mine.py").write_text("", encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "tinycnn[course]" in done.stderr


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """Use 200 + 120 digits, and a separate folder for each test."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((x[:200], y[:200]), (x_test[:120], y_test[:120])))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_pictures(monkeypatch):
    """Draw no pictures, which take most of the time of a small run."""
    monkeypatch.setattr(_figures, "draw_all", lambda *a: [])


def train(*arguments, name="ladder_03", data="digits", backend="reference"):
    extra = [word for key, value in (("--data", data), ("--backend", backend)) if value for word in (key, value)]
    return main(["train", name, *extra, *map(str, arguments)])


def weights(folder, file="model.safetensors"):
    return tinycnn.load_model(Path(folder) / file).get_weights()


def assert_same_run(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (Path(one) / "history.csv").read_bytes() == (Path(other) / "history.csv").read_bytes()
    results = [_runs.read_description(Path(folder))["results"] for folder in (one, other)]
    assert results[0] == results[1]


class InterruptAt(Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.target = epoch

    def on_epoch_begin(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if self.epoch == self.target and batch == 1:
            signal.raise_signal(signal.SIGINT)


def interrupt_at(monkeypatch, epoch):
    add_callback(monkeypatch, InterruptAt(epoch))


def add_callback(monkeypatch, callback):
    fit = Sequential.fit

    def more(self, *args, callbacks, **kwargs):
        return fit(self, *args, callbacks=[*callbacks, callback], **kwargs)

    monkeypatch.setattr(Sequential, "fit", more)


def fake_accuracies(monkeypatch, *figures):
    """Let the next evaluations report these accuracies; the last one is that of the finished model."""
    left = iter(figures)
    monkeypatch.setattr(loop, "evaluate_source", lambda *a: EVALUATE(*a) | {"accuracy": next(left)})


@pytest.mark.parametrize("ends", [3, KeyboardInterrupt])
def test_nothing_interrupts_a_process_that_is_done(monkeypatch, ends):
    def command(argv):
        if ends is KeyboardInterrupt:
            raise KeyboardInterrupt
        return ends

    monkeypatch.setattr(cli, "main", command)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert cli.run_as_process([]) == (130 if ends is KeyboardInterrupt else ends)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        for one, how in before.items():
            signal.signal(one, how)


# What a training leaves -----------------------------------------------------------------------------------------


def test_train_leaves_what_it_says(capsys):
    assert {"curves.png", "first_100.png"} < PICTURES
    assert train("--epochs", 2, "--seed", 7) == 0
    folder = Path("runs/ladder_03-digits")
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width >= 1200
    for path in folder.rglob("*.safetensors"):
        assert path.name == "model.safetensors" or "checkpoint" in path.name
        tinycnn.load_model(path)

    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert [row[0] for row in rows[1:]] == ["0", "1"]

    text = (folder / "run.json").read_text("utf-8")
    run = json.loads(text)
    assert str(Path.cwd()) not in text
    assert (run["model"], run["data"], run["seed"], run["epochs"], run["batch_size"]) == (
        "ladder_03",
        "digits",
        7,
        2,
        128,
    )
    assert run["recipe"]["chosen"]
    assert run["versions"].keys() >= {"python", "numpy", "numba", "tinycnn"}
    assert run["images_per_second"] > 0

    # The figures are those of the model in the file, to the last digit.
    with tinycnn.use_backend("reference"):
        model = tinycnn.load_model(folder / "model.safetensors")
    _, (x, y) = datasets.digits.load_data()
    loss, accuracy = model.evaluate(x[..., None].astype("float32") / np.float32(255), y, verbose=0)
    assert (run["results"]["test_loss"], run["results"]["test_accuracy"]) == (loss, accuracy)
    best = max(float(row[4]) for row in rows[1:])
    assert accuracy == best

    out = capsys.readouterr().out
    errors = run["results"]["errors_in_first_100"]
    assert re.search(
        rf"  54,410 parameters, accuracy {accuracy:.4f}, {errors} errors? in the first 100 test images\n", out
    )
    assert re.search(r": weights of epoch [12] \(2 trained\), \d+\.\d s, [\d,]+ images/s in training\n", out)
    assert f"test accuracy {accuracy:.4f}, test loss {loss:.4f}, with the weights of the epoch that was best on" in out
    assert "images/s" in out
    assert str(folder) in out


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_gives_the_same_bits():
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train("--epochs", 1, "--seed", seed, "--out", folder, name="ladder_04") == 0
    assert_same_run("a", "b")
    assert (weights("a")[0] != weights("c")[0]).any()


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_diverges_says_where_and_keeps_the_last_good_state(monkeypatch, capsys):
    poison = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epoch == 1 and poison.model.layers[-1].params["kernel"].value.fill(np.nan)
    )
    add_callback(monkeypatch, poison)
    assert train("--epochs", 3, "--out", "a") == 1
    error = capsys.readouterr().err
    assert "epoch 1, batch 0" in error
    assert "Dense" in error
    assert len(error.splitlines()) == 1
    assert len(Path("a/history.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert not Path("a/model.safetensors").exists()
    kept = _runs.read_state(Path("a"))
    assert kept.progress.epochs == 1
    assert all(np.isfinite(weight).all() for weight in tinycnn.load_model(kept.path).get_weights())


# Resuming -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ladder_04", "go_crazy"])
@pytest.mark.usefixtures("no_pictures")
def test_resumed_run_has_the_bits_of_an_uninterrupted_one(name):
    """One network has dropout and EarlyStopping, the other batch normalization and an epoch schedule."""
    epochs = (4, 2) if name == "ladder_04" else (2, 1)
    assert train("--epochs", epochs[0], "--out", "whole", name=name) == 0
    assert train("--epochs", epochs[1], "--out", "parts", name=name) == 0
    assert train("--epochs", epochs[0], "--out", "parts", "--resume", name=name) == 0
    assert_same_run("whole", "parts")
    last = [tinycnn.load_model(_runs.read_state(Path(folder)).path) for folder in ("whole", "parts")]
    for a, b in zip(*(model.get_weights() for model in last), strict=True):
        np.testing.assert_array_equal(a, b)


def test_interrupted_run_goes_on_with_the_same_bits(monkeypatch, capsys):
    assert train("--epochs", 3, "--out", "whole") == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=1)
        assert train("--epochs", 3, "--out", "parts") == 130
    out = capsys.readouterr().out
    assert "Interrupted after 1 epoch; every step is kept" in out
    assert "--resume" in out
    # What is kept is the middle of an epoch: two steps of each are done.
    run = _runs.read_description(Path("parts"))
    assert (run["status"], run["results"]["epochs"]) == ("interrupted", 1)
    assert run["results"]["weights_of_epoch"] is None
    assert ": weights of 2 batches of epoch 2 (1 trained), " in out
    assert "optimistic" not in out.partition("Interrupted after")[2]
    assert tinycnn.load_model(Path("parts/model.safetensors")).optimizer.iterations == 2 + 2
    assert {path.name for path in Path("parts").iterdir()} >= FILES
    # Without --epochs, the run has as many epochs as were asked for at first.
    assert train("--out", "parts", "--resume") == 0
    assert "Going on in epoch 2, after 2 batches" in capsys.readouterr().out
    assert_same_run("whole", "parts")


@pytest.mark.usefixtures("no_pictures")
def test_best_weights_survive_an_interruption(monkeypatch):
    """The best epoch is the last one before the interruption."""
    fake_accuracies(monkeypatch, 0.5, 0.9, 0.4, 0.0)
    assert train("--epochs", 3, "--out", "whole") == 0
    fake_accuracies(monkeypatch, 0.5, 0.9, 0.0)
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=2)
        assert train("--epochs", 3, "--out", "parts") == 130
    fake_accuracies(monkeypatch, 0.4, 0.0)
    assert train("--epochs", 3, "--out", "parts", "--resume") == 0
    assert _runs.read_description(Path("parts"))["results"]["weights_of_epoch"] == 1
    assert_same_run("whole", "parts")


@pytest.mark.usefixtures("no_pictures")
def test_best_weights_of_an_earlier_epoch_survive(monkeypatch):
    fake_accuracies(monkeypatch, 0.9, 0.5, 0.4, 0.3, 0.0)
    assert train("--epochs", 4, "--out", "whole") == 0
    fake_accuracies(monkeypatch, 0.9, 0.5, 0.4, 0.0)
    assert train("--epochs", 3, "--out", "parts") == 0
    fake_accuracies(monkeypatch, 0.3, 0.0)
    assert train("--epochs", 4, "--out", "parts", "--resume") == 0
    assert _runs.read_description(Path("parts"))["results"]["weights_of_epoch"] == 0
    assert_same_run("whole", "parts")


@pytest.mark.usefixtures("no_pictures")
def test_early_stopping_goes_on_counting(monkeypatch):
    """Ten epochs without improvement end a run, even if it is resumed in between."""
    fake_accuracies(monkeypatch, *[0.5] * 100)
    assert train("--epochs", 6, "--out", "a", name="ladder_00") == 0
    assert train("--epochs", 30, "--out", "a", "--resume", name="ladder_00") == 0
    results = _runs.read_description(Path("a"))["results"]
    assert (results["epochs"], results["stopped_early"], results["weights_of_epoch"]) == (11, True, 0)


@pytest.mark.usefixtures("no_pictures")
def test_interruption_in_the_first_epoch_keeps_the_steps(monkeypatch, capsys):
    train("--epochs", 1, "--out", "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=0)
        assert train("--epochs", 1, "--out", "a") == 130
    assert "Interrupted after 0 epochs; every step is kept" in capsys.readouterr().out
    assert [path.name for path in Path("a").iterdir()] == ["checkpoints"]
    assert train("--epochs", 1, "--out", "a", "--resume") == 0
    assert_same_run("whole", "a")


class PressTwice(Callback):
    """Presses Ctrl-C twice, the second time within a step or while the state is written."""

    def __init__(self, within):
        self.within = within

    def on_train_batch_end(self, batch, logs):
        if batch == 1:
            signal.raise_signal(signal.SIGINT)
            if self.within == "a step":
                signal.raise_signal(signal.SIGINT)

    def interrupted(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("within", "says"),
    [
        (
            "a step",
            "Interrupted at once, by a second signal. The run is kept as it was after 0 epochs; later steps are",
        ),
        ("writing", "Interrupted after 0 epochs; every step is kept."),
    ],
)
def test_interrupted_twice_says_what_is_lost(monkeypatch, capsys, within, says):
    with monkeypatch.context() as patch:
        add_callback(patch, PressTwice(within))
        assert train("--epochs", 1, "--out", "a") == 130
    assert says in capsys.readouterr().out
    assert _runs.read_state(Path("a")).batch == (0 if within == "a step" else 2)


@pytest.mark.usefixtures("no_pictures")
def test_interrupted_while_the_last_files_are_written(monkeypatch, capsys):
    def press(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_command, "_finish", press)
        assert train("--epochs", 1, "--out", "a") == 130
    out = capsys.readouterr().out
    assert "all epochs are done and kept" in out
    line = next(line for line in out.splitlines() if "--resume" in line)
    assert main(shlex.split(line)[1:]) == 0
    assert {path.name for path in Path("a").iterdir()} >= {"model.safetensors", "history.csv", "run.json"}


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("was_there", [False, True])
def test_a_folder_is_as_it_was_when_nothing_was_begun(monkeypatch, was_there):
    if was_there:
        Path("a").mkdir()
    monkeypatch.setattr(train_command, "_fit", Mock(side_effect=KeyboardInterrupt))
    assert train("--epochs", 1, "--out", "a") == 130
    assert Path("a").exists() == was_there


@pytest.mark.usefixtures("no_pictures")
def test_resume_on_an_empty_or_missing_folder_starts(capsys):
    Path("empty").mkdir()
    train("--epochs", 1, "--out", "whole")
    for folder in ("empty", "missing"):
        assert train("--epochs", 1, "--out", folder, "--resume") == 0
        assert_same_run("whole", folder)


@pytest.mark.usefixtures("no_pictures")
def test_a_damaged_state_is_reported_and_the_one_before_is_used(capsys):
    train("--epochs", 3, "--out", "whole")
    train("--epochs", 2, "--out", "a")
    newest = sorted(Path("a/checkpoints").iterdir())[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    capsys.readouterr()
    assert train("--epochs", 3, "--out", "a", "--resume") == 0
    captured = capsys.readouterr()
    assert [line[:17] for line in captured.err.splitlines()] == ["tinycnn: warning:"]
    assert f"{newest} is damaged" in captured.err
    assert "Going on in epoch 2" in captured.out
    assert_same_run("whole", "a")


# Beginning anew -------------------------------------------------------------------------------------------------


def everything_in(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_run_is_not_overwritten_unasked(capsys):
    train("--epochs", 1, "--seed", 1, "--out", "a run")
    before = everything_in("a run")
    capsys.readouterr()
    assert train("--epochs", 2, "--seed", 2, "--out", "a run") == 2
    error = capsys.readouterr().err
    assert "a run holds a finished run of ladder_03 (1 epoch). To go on with it:" in error
    assert "--overwrite begins anew and deletes what is there" in error
    assert everything_in("a run") == before
    # The line that it shows continues the run.
    [line] = [line for line in error.splitlines() if "--resume" in line]
    assert main(shlex.split(line)[1:]) == 0
    assert _runs.read_state(Path("a run")).progress.epochs == 2


@pytest.mark.usefixtures("no_pictures")
def test_an_unfinished_run_is_not_overwritten_unasked(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=0)
        assert train("--epochs", 1, "--out", "a") == 130
    before = everything_in("a")
    capsys.readouterr()
    assert train("--epochs", 1, "--out", "a") == 2
    assert "holds an unfinished run of ladder_03 (0 epochs)" in capsys.readouterr().err
    assert everything_in("a") == before


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", ["model.safetensors", "history.csv", "run.json", "curves.png"])
def test_a_file_of_ones_own_is_not_overwritten_unasked(name, capsys):
    Path("a").mkdir()
    Path("a", name).write_text("mine", encoding="utf-8")
    for more in ([], ["--resume"]):
        assert train("--epochs", 1, "--out", "a", *more) == 2
        assert name in capsys.readouterr().err
    assert Path("a", name).read_text(encoding="utf-8") == "mine"
    assert train("--epochs", 1, "--out", "a", "--overwrite") == 0
    assert not Path("a", name).exists() or Path("a", name).read_bytes() != b"mine"


@pytest.mark.usefixtures("no_pictures")
def test_the_report_on_an_earlier_run_goes_with_it():
    train("--epochs", 1, "--out", "a")
    assert (report.HTML, report.MARKDOWN) == _runs.REPORTS
    for name in (*_runs.REPORTS, "notes.md"):
        Path("a", name).write_text("on the first run", encoding="utf-8")
    assert train("--epochs", 1, "--out", "a", "--overwrite") == 0
    assert [path.name for path in Path("a").glob("*.md")] == ["notes.md"]
    assert not Path("a", "report.html").exists()


@pytest.mark.usefixtures("no_pictures")
def test_states_that_are_no_runs_are_not_overwritten_unasked(capsys):
    train("--epochs", 1, "--out", "a")
    for path in Path("a").iterdir():
        if path.is_file():
            path.unlink()
    for path in Path("a/checkpoints").iterdir():
        path.write_bytes(b"damaged")
    assert train("--epochs", 1, "--out", "a") == 2
    assert "holds states that cannot be resumed" in capsys.readouterr().err
    assert train("--epochs", 1, "--out", "a", "--overwrite") == 0


class KilledError(BaseException):
    """Stands for the end of the process."""


def killed(*given, **named):
    raise KilledError


@pytest.mark.usefixtures("no_pictures")
def test_the_old_run_stays_whole_until_there_is_a_new_state(monkeypatch):
    train("--epochs", 1, "--seed", 1, "--out", "a")
    for name in (*PICTURES, "notes.txt"):
        Path("a", name).write_text("old", encoding="utf-8")
    before = everything_in("a")
    again = ["--epochs", 1, "--seed", 2, "--out", "a", "--overwrite"]
    # Ctrl-C, an error or the end of the process while data are read, a model is built, or the state is written.
    for how, code in ((KeyboardInterrupt, 130), (OSError("no space left"), 1), (KilledError, None)):
        for place, name in ((models, "build"), (Sequential, "compile"), (state_folder, "sealed")):
            with monkeypatch.context() as patch:
                patch.setattr(place, name, Mock(side_effect=how))
                if code is None:
                    with pytest.raises(KilledError):
                        train(*again)
                else:
                    assert train(*again) == code
            assert everything_in("a") == before
    # From the first state on, nothing of the old run is left beside it.
    seen = []
    look = LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append({path.name for path in Path("a").iterdir()})
    )
    with monkeypatch.context() as patch:
        add_callback(patch, look)
        assert train(*again) == 0
    assert seen[0] == seen[-1] == {"checkpoints", "notes.txt"}
    assert train("--epochs", 1, "--seed", 2, "--out", "whole") == 0
    assert_same_run("whole", "a")
    assert Path("a/notes.txt").read_text(encoding="utf-8") == "old"


@pytest.mark.usefixtures("no_pictures")
def test_a_run_killed_when_it_began_anew_does_not_pass_for_the_finished_one_before(monkeypatch):
    train("--epochs", 1, "--out", "a", "--seed", 2)
    train("--epochs", 2, "--out", "whole", "--seed", 2)
    Path("a/curves.png").write_text("old", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(_runs, "delete_results", killed)
        with pytest.raises(KilledError):
            train("--epochs", 2, "--out", "a", "--seed", 2, "--overwrite")
    assert Path("a/curves.png").exists()
    assert train("--out", "a", "--resume") == 0
    assert not Path("a/curves.png").exists()
    assert_same_run("whole", "a")


def test_resume_and_overwrite_exclude_each_other(capsys):
    assert train("--resume", "--overwrite") == 2
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_epochs_may_not_shrink(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=1)
        assert train("--epochs", 3, "--out", "a run") == 130
    assert "--out 'a run' --resume" in capsys.readouterr().out  # to be pasted into a shell
    before = Path("a run/run.json").read_text(encoding="utf-8")
    assert train("--epochs", 1, "--out", "a run", "--resume") == 1
    assert "is in epoch 2 already, but fit was told to stop after 1" in capsys.readouterr().err
    assert Path("a run/run.json").read_text(encoding="utf-8") == before


@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_run_without_its_states_is_not_overwritten(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(patch, epoch=1)
        train("--epochs", 3, "--out", "a")
    shutil.rmtree("a/checkpoints")
    before = Path("a/model.safetensors").read_bytes()
    assert train("--out", "a", "--resume") == 2
    assert "but none of the states from which a run could continue" in capsys.readouterr().err
    assert Path("a/model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["train", "ladder_00", "--data", "digits", "--out", ""],
        ["reproduce", "ladder_00", "--out", ""],
        ["profile", "ladder_00", "--out", ""],
        ["report", ""],
        ["evaluate", ""],
    ],
)
def test_an_empty_name_is_not_the_current_folder(command, capsys):
    assert main(command) == 2
    assert "the name of a folder is empty; the current folder is called '.'" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.save_weights("a/model.safetensors"),
        lambda model: (model.add(tinycnn.layers.Dense(12)), model.save("a/model.safetensors")),
        lambda model: (model.compile("sgd", model.loss), model.save("a/model.safetensors")),
    ],
)
def test_another_model_in_a_runs_folder_is_refused(change, capsys):
    train("--epochs", 1, "--out", "a")
    change(tinycnn.load_model("a/model.safetensors"))
    for command in (["evaluate", "a"], ["predict", "a", "0"]):
        assert main(command) == 1
        assert "is not the model that this run has written" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_run_without_its_states_is_still_finished(capsys):
    train("--epochs", 1, "--out", "a")
    for path in Path("a/checkpoints").iterdir():
        path.unlink()
    assert train("--out", "a", "--resume") == 0
    assert "is finished: 1 epoch (" in capsys.readouterr().out
    assert train("--epochs", 2, "--out", "a", "--resume") == 2
    assert "none of the states" in capsys.readouterr().err


def test_files_that_a_killed_run_left_half_written_are_deleted():
    Path("a").mkdir()
    for name in (".model.safetensors.k3_x.part", ".curves.png.abcd.part", ".mine.part"):
        Path("a", name).write_text("", encoding="utf-8")
    _runs.prepare(Path("a"))
    assert [path.name for path in Path("a").iterdir()] == [".mine.part"]


@pytest.mark.usefixtures("no_pictures")
def test_a_finished_run_says_so(capsys):
    train("--epochs", 1, "--out", "a")
    before = {path: path.stat().st_mtime_ns for path in Path("a").iterdir()}
    capsys.readouterr()
    for epochs in ([], ["--epochs", 1]):
        assert train(*epochs, "--out", "a", "--resume") == 0
        assert "is finished: 1 epoch (" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path("a").iterdir()} == before


@pytest.mark.usefixtures("no_pictures")
def test_a_run_killed_before_its_last_files_gets_them():
    train("--epochs", 2, "--out", "whole")
    train("--epochs", 2, "--out", "a")
    for name in ("run.json", "model.safetensors"):
        Path("a", name).unlink()
        assert train("--out", "a", "--resume") == 0
        assert_same_run("whole", "a")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", 8], ["seed 42", "8"]),
        (["--batch-size", 5], ["batch size 128", "5"]),
        (["--backend", "cpu"], ["backend reference", "cpu"]),
        (["--data", "mnist"], ["data digits", "mnist"]),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_resume_refuses_other_settings(arguments, words, capsys):
    train("--epochs", 1, "--out", "a", name="ladder_02")
    capsys.readouterr()
    assert main(["train", "ladder_02", "--out", "a", "--resume", *map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


@pytest.mark.usefixtures("no_pictures")
def test_resume_refuses_another_model_and_foreign_files(capsys):
    train("--epochs", 1, "--out", "a", name="ladder_02")
    assert train("--out", "a", "--resume", name="ladder_01") == 2
    assert "model ladder_02" in capsys.readouterr().err
    for path in Path("a/checkpoints").iterdir():
        save_model(tinycnn.load_model(path), path, {"progress": 3})
    assert train("--out", "a", "--resume", name="ladder_02") == 1
    assert "checksum is wrong; there is no state before it" in capsys.readouterr().err
    (x, y), _ = datasets.digits.load_data()
    model = models.build("ladder_02")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:20, ..., None] / 255, y[:20], verbose=0, callbacks=[BackupAndRestore("b/checkpoints")])
    assert train("--out", "b", "--resume", name="ladder_02") == 1
    assert "was not written by 'tinycnn train'" in capsys.readouterr().err


# Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_that_cannot_be_written_is_refused_before_training(monkeypatch, capsys):
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setattr(Sequential, "fit", lambda *a, **k: pytest.fail("trained"))
    for out in ("file", "file/sub"):
        assert train("--out", out) == 1
        err = capsys.readouterr().err
        assert "cannot make the folder" in err
        assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("no_pictures")
def test_images_of_another_shape_are_refused(capsys):
    assert train(name="cifar10_cnn") == 2
    err = capsys.readouterr().err
    assert "cifar10_cnn" in err
    assert "digits" in err
    assert "32×32×3" in err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["trian"], "trian"),
        (["train"], "NAME"),
        (["train", "ladder_3"], "ladder_03"),
        (["train", "ladder_03", "--epochs", "0"], "--epochs"),
        (["train", "ladder_03", "--epochs", "two"], "--epochs"),
        (["train", "ladder_03", "--batch-size", "-1"], "--batch-size"),
        (["train", "ladder_03", "--seed", "-1"], "--seed"),
        (["train", "ladder_03", "--threads", "0"], "--threads"),
        (["train", "ladder_03", "--data", "imagenet"], "imagenet"),
        (["train", "ladder_03", "--backend", "tpu"], "tpu"),
        (["train", "ladder_03", "--epoch", "1"], "--epoch"),
        (["summary", "resnet"], "resnet"),
        (["predict", "runs"], "IMAGE"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments, word, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert word in captured.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "tinycnn: there is no command 'trian'; did you mean train? (see tinycnn --help)"),
        (["zzz"], "tinycnn: there is no command 'zzz'; there are models, summary, train,"),
        (["--verison"], "did you mean --version? (see tinycnn --help)"),
        (["train", "ladder_03", "--epoch", "1"], "did you mean --epochs? (see tinycnn train --help)"),
        (["train", "ladder_03", "--epoch=1"], "there is no option '--epoch'; did you mean --epochs?"),
        (["train", "--epoch", "1"], "there is no option '--epoch'; did you mean --epochs?"),  # NAME is missing too
        (["predict", "a", "b", "--thread", "1"], "did you mean --threads? (see tinycnn predict --help)"),
        (["train", "ladder_03", "--data", "mnits"], "did you mean mnist? (see tinycnn train --help)"),
        (["train", "ladder_03", "--backend", "cdua"], "did you mean cuda? (see tinycnn train --help)"),
        (["train", "ladder_3"], "did you mean 'ladder_03'?"),
        (["completion", "bsh"], "did you mean bash? (see tinycnn completion --help)"),
        (["reproduce", "ladder_3"], "(see tinycnn reproduce --help)"),
        (["reproduce", "ladder_03", "--epochs", "1"], "(see tinycnn reproduce --help)"),  # found by the command itself
        (["models", "all"], "tinycnn models: there is no place for 'all' (see tinycnn models --help)"),
        (["evaluate", "a", "-5"], "tinycnn evaluate: there is no place for '-5' (see tinycnn evaluate --help)"),
        (["evaluate", "-x", "a"], "tinycnn evaluate: there is no option '-x'"),
        (["models", "--color"], "there is no option '--color' (see tinycnn models --help)"),
    ],
)
def test_typing_errors_are_answered_with_a_guess(arguments, expected, capsys):
    assert main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_options_are_looked_for_only_where_they_may_stand(tmp_path, capsys):
    assert main(["predict", "no_run", "--", "--thread"]) != 0
    assert "there is no option" not in capsys.readouterr().err
    assert main(["models", "-h"]) == 0


def test_tinycnn_alone_prints_the_help(capsys):
    assert main(["--help"]) == 0
    expected = capsys.readouterr()
    assert main([]) == 0
    assert capsys.readouterr() == expected
    assert expected.out.startswith("usage: tinycnn [-h]")


def test_every_help_fits_a_screen_and_has_an_example(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in ([], *([name] for name in _COMMANDS)):
        assert main([*command, "--help"]) == 0
        out = capsys.readouterr().out
        assert len(out.splitlines()) <= 30
        assert max(map(len, out.splitlines())) <= 80
        assert "example:\n  tinycnn " in out


def test_the_list_of_commands_has_a_line_for_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, command in _COMMANDS.items():  # how far the column is from the left depends on Python
        assert [line for line in lines if re.fullmatch(rf"  {name} +{re.escape(command.HELP)}", line)]


# Looking --------------------------------------------------------------------------------------------------------


def test_models_lists_all(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("mnist" in line or "cifar10" in line for line in lines[1:26]) == 25
    assert lines[11].split() == ["ladder_06", "264,214", "mnist", "0.991", "last", "epoch"]
    assert lines[1].endswith("0.4369 last epoch as printed, which its own accuracies by class contradict")


def test_summary_shows_what_was_chosen(capsys):
    assert main(["summary", "variant_1"]) == 0
    out = capsys.readouterr().out
    for text in (
        "Total params: 20,010",
        "Non-trainable params: 268",
        "as go_crazy",
        "best epoch: 0.9943",
        "0.319 * epoch",
    ):
        assert text in out


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_gradcheck_tells_by_its_code(ok, code, monkeypatch, capsys):
    class Report:
        def __init__(self, name):
            self.ok, self.name = ok, name

        def __str__(self):
            return f"table of {self.name}"

    monkeypatch.setattr(testing, "model_report", Report, raising=False)
    assert main(["gradcheck", "ladder_02"]) == code
    assert capsys.readouterr().out == "table of ladder_02\n"


@pytest.mark.usefixtures("no_pictures")
def test_evaluate_repeats_the_run(capsys):
    train("--epochs", 1, "--out", "a", name="ladder_02")
    results = _runs.read_description(Path("a"))["results"]
    capsys.readouterr()
    assert main(["evaluate", "a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["loss", f"{results['test_loss']:.4f}"]
    assert lines[2].split() == ["accuracy", f"{results['test_accuracy']:.4f}"]
    rows = [line.split() for line in lines[5:]]
    assert sum(int(row[1]) for row in rows) == 120
    assert sum(int(row[2]) for row in rows) == round(120 * (1 - results["test_accuracy"]))


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "0"]])
def test_a_folder_without_a_run_is_refused(command, capsys):
    name, *rest = command
    assert main([name, "nowhere", *rest]) == 1
    assert "nowhere" in capsys.readouterr().err
    Path("broken").mkdir()
    for text in ("{", "[]", '{"model": 3}'):
        Path("broken/run.json").write_text(text, encoding="utf-8")
        assert main([name, "broken", *rest]) == 1
        assert "run.json" in capsys.readouterr().err
    Path("broken/run.json").write_text(
        '{"model": "ladder_02", "data": "digits", "backend": "reference"}', encoding="utf-8"
    )
    assert main([name, "broken", *rest]) == 1
    assert "model.safetensors" in capsys.readouterr().err


# Predicting -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_pictures")
def test_predict_pictures_and_numbers(capsys):
    train("--epochs", 1, "--out", "a", name="ladder_03")
    _, (x, y) = datasets.digits.load_data()
    Image.fromarray(x[5]).save("five.png")
    capsys.readouterr()
    assert main(["predict", "a", "5", "five.png"]) == 0
    charts = capsys.readouterr().out.splitlines()
    first, second = charts[:11], charts[11:]
    assert f"test image 5 (true class {y[5]})" in first[0]
    # A picture of the right size is taken as it is.
    assert second[0].startswith("five.png: ")
    assert first[1:] == second[1:]
    shares = [float(line.split()[1]) for line in first[1:]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.1)


def test_bars_fall_back_to_ascii():
    p = np.array([0.5, 0.499, 0.001])
    unicode = predict.chart(p, ["a", "b", "c"], "utf-8").splitlines()
    assert unicode[0].endswith("█" * 20)
    assert unicode[1].endswith("█" * 19 + "▉") or unicode[1].endswith("█" * 20)
    ascii_only = predict.chart(p, ["a", "b", "c"], "ascii")
    assert ascii_only.isascii()
    assert ascii_only.splitlines()[0].endswith(" " + "#" * 20)


# The process ----------------------------------------------------------------------------------------------------


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tinycnn", *arguments],
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        timeout=100,
    )


def test_module_is_the_command():
    result = command("--version")
    assert result.stdout.split() == ["tinycnn", tinycnn.__version__]
    assert command("summary").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])  # Windows's console has cp1252
def test_a_terminal_without_unicode_is_no_error(encoding):
    result = command("summary", "ladder_00", PYTHONIOENCODING=encoding)
    assert result.returncode == 0
    assert "Total params: 7,852" in result.stdout
    assert "------" in result.stdout
    assert "?" not in result.stdout
    result = command("train", "cifar10_cnn", "--data", "digits", PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert "32x32x3" in result.stderr


def test_help_imports_nothing_slow():
    code = "import sys; from tinycnn.cli import main; main(['--help']); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    modules = set(result.stdout.split())
    assert not modules & {"numba", "matplotlib", "PIL", "pooch"}


def test_more_threads_than_cores_and_a_closed_pipe():
    code = (
        "import os, sys; from tinycnn.cli._arguments import set_threads;"
        "print(set_threads(os.cpu_count() + 3, 'cpu') - os.cpu_count(), set_threads(5, 'reference'))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert result.stdout.split() == ["3", "1"]
    shell = f"'{sys.executable}' -m tinycnn models | true"
    result = subprocess.run(
        shell, shell=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert result.stderr == ""
