"""The race to an accuracy on MNIST: its watch, its process, and what is printed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
import pytest

from tinycnn import datasets, models
from tinycnn.cli import _data, main, speedrun
from tinycnn.cli._data import Data, scaled
from tinycnn.cli._speedrun import race, runner
from tinycnn.cli._speedrun.plan import PLANS

#: Stands for the process that trains: seed 1 of target 99.4 fails, the others tell an accuracy.
_PROCESS = """
import json, sys, time
target, seed, threads = sys.argv[1:]
if target == "99.4" and seed == "1":
    print("something went wrong\\nValueError: no images", file=sys.stderr)
    sys.exit(3)
time.sleep(0.05)
print("x" * 100_000, file=sys.stderr)
print(json.dumps({"accuracy": 0.9912 - int(seed) / 500, "seconds": {"training": 0.25, "test": 0.125}}), flush=True)
time.sleep(0.3)  # the end of the process is not part of the race
"""


@pytest.fixture
def other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "OURS", (sys.executable, "-c", _PROCESS))
    monkeypatch.setattr(datasets.mnist, "load_data", lambda: None)


def test_a_race_prints_every_run_and_the_mean(other_process: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speedrun", "--seeds", "1", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "MNIST to 99.0 % from the start of the process, 1 thread," in said
    assert "(training 0.25, test 0.12)  accuracy 99.12 %\n" in said
    assert said.count("seed 0") == 1  # the first run is not counted
    assert "mean of 1 run:" in said
    assert "1 of 1 reached 99.0 %" in said


def test_a_missed_accuracy_is_said_and_is_the_exit_status(
    other_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speedrun", "--seeds", "2", "--threads", "1"]) == 1
    said = capsys.readouterr().out
    assert "accuracy 98.92 %  missed" in said
    assert "1 of 2 reached" in said


def test_a_process_that_fails_is_quoted(other_process: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speedrun", "--target", "99.4", "--seeds", "2", "--threads", "1"]) == 1
    error = capsys.readouterr().err
    assert "the run with seed 1 ended without a result: ValueError: no images" in error


def test_the_watch_stops_at_the_message() -> None:
    lap = race.lap((sys.executable, "-c", _PROCESS, "99.0", "3", "1"), 3)
    assert lap.seed == 3
    assert lap.seconds >= 0.05
    assert lap.accuracy == pytest.approx(0.9852)
    assert lap.warnings == "x" * 100_000 + "\n"
    slow = 'import time; print(\'{"accuracy": 1, "seconds": {}}\', flush=True); time.sleep(3)'
    assert race.lap((sys.executable, "-c", slow), 0).seconds < 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "98"], "98 is not one of 99.0, 99.4"),
        (["--seeds", "0"], "'0' is not a whole number"),
        (["--threads", "none"], "'none' is not a whole number"),
    ],
)
def test_wrong_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speedrun", *arguments]) == 2
    assert said in capsys.readouterr().err.replace("'98'", "98")


def test_every_target_has_a_plan() -> None:
    assert tuple(PLANS) == speedrun.TARGETS
    for name, plan in PLANS.items():
        assert plan.accuracy == pytest.approx(float(name) / 100)
        assert plan.schedule(60_000).total_steps == plan.steps(60_000) == plan.epochs * -(-60_000 // plan.batch_size)
        assert plan.build().output_shape == (10,)
        assert (plan.steps(60_000), 60_000) == (plan.schedule(60_000).total_steps, runner.TRAINING_IMAGES)
    assert "speedrun" not in models.names()


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> Data:
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    data = Data("mnist", "Digits", tuple("0123456789"), scaled(x[:1280]), y[:1280], scaled(x_test[:300]), y_test[:300])
    monkeypatch.setattr(_data, "load", lambda name: data)
    monkeypatch.setattr(runner, "TRAINING_IMAGES", len(data.x_train))
    return data


@pytest.mark.parametrize("target", PLANS)
def test_a_process_trains_and_tells_the_accuracy_of_its_network(
    digits: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    plan = PLANS[target]._replace(epochs=2)
    monkeypatch.setitem(PLANS, target, plan)
    told = []
    for seed in ("0", "0", "1"):
        runner.main([target, seed, "2"])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["seconds"].keys() == {"imports", "images", "training", "test"}
    assert all(seconds >= 0 for seconds in told[0]["seconds"].values())
    assert told[0]["accuracy"] == told[1]["accuracy"] != told[2]["accuracy"]
    model = plan.compiled(0, len(digits.x_train))
    model.fit(digits.x_train, digits.y_train, batch_size=plan.batch_size, epochs=2, verbose=0)
    right = model.predict(digits.x_test).argmax(axis=1) == digits.y_test
    assert told[0]["accuracy"] == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_a_speedrun_reaches_its_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    if "TINYCNN_DATA" not in os.environ:
        pytest.skip("TINYCNN_DATA does not say where MNIST is")
    code: Any = main(["speedrun", "--seeds", "1"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "1 of 1 reached 99.0 %" in said


def test_files_in_the_current_folder_are_not_imported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "statistics.py").write_text("raise RuntimeError('my own file')")
    monkeypatch.chdir(tmp_path)
    command = (*race.OURS[:2], "-c", 'import tinycnn, statistics; print(\'{"accuracy": 1, "seconds": {}}\')')
    assert race.lap(command, 0, race.environment()).accuracy == 1
