"""``tinycnn explore``: which network and which images the page shows."""

import argparse
import contextvars
import io
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, datasets, layers, models
from tinycnn.cli import _data, _moment, explore, main
from tinycnn.training import loop


class _Square(layers.Layer):
    """A layer of a user's own, which no file of a model can bring along."""

    def forward(self, x: Any, *, training: bool = False, step: int = 0, ws: Any = None) -> Any:
        return x * x, x

    def backward(self, dy: Any, cache: Any, *, ws: Any = None) -> Any:
        return 2 * cache * dy


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Use a few drawn digits in place of any data set, a short training, and the backend that needs no compiling."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    few = (x[:256], y[:256]), (x_test[:60], y_test[:60])
    for data in (datasets.mnist, datasets.digits):
        monkeypatch.setattr(data, "load_data", lambda: few)
    monkeypatch.setattr(explore, "SECONDS", 0.2)
    monkeypatch.chdir(tmp_path)
    with tinycnn.use_backend("reference"):
        yield


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what the page would have been served with."""
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    pytest.importorskip("uvicorn", reason="the extra explore is not installed")
    from tinycnn.explore import server
    from tinycnn.explore.preparing import Preparation

    found: list[Any] = []

    def serve(what: Any, *arguments: Any) -> None:
        found.append((what.make(what.tell) if isinstance(what, Preparation) else what, *arguments))

    monkeypatch.setattr(server, "serve", serve)
    return found


def test_a_name_is_trained_for_a_moment(served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "ladder_02", "--port", "9000", "--no-browser"]) == 0
    [(session, port, browser)] = served
    assert (port, browser) == (9000, False)
    assert session.model.name == "ladder_02"
    assert session.model.optimizer.iterations > 0
    assert not session.model.stop_training
    assert session.data.name == "mnist"
    assert "trained on MNIST first: for about" in capsys.readouterr().out


def test_a_slow_machine_takes_enough_batches_and_says_how_long_that_is(
    served: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore, "SECONDS", 0.01)
    monkeypatch.setattr(explore, "LEAST_BATCHES", 12)
    monkeypatch.setattr(_moment, "LINE_SECONDS", 0.05)
    step = loop.train_step

    def slow(*arguments: Any) -> Any:
        time.sleep(0.03)
        return step(*arguments)

    monkeypatch.setattr(loop, "train_step", slow)
    (x, y), test = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((np.tile(x, (8, 1, 1)), np.tile(y, 8)), test))
    assert main(["explore", "ladder_02", "--data", "digits", "--no-browser"]) == 0
    [(session, _, _)] = served
    assert session.model.optimizer.iterations == 12
    said = capsys.readouterr().out
    assert "for about 0 seconds, and for at least 12 batches" in said
    assert "the first batch compiles what is not compiled yet" in said
    assert re.search(r"A batch takes 0\.\d s here, so the 12 batches take about \d+ s", said)
    assert len(re.findall(r"^\d+ batches, \d+ s, loss \d", said, re.M)) >= 3  # signs of life on the way


def test_a_terminal_shows_a_bar_while_a_network_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    told: list[tuple[str, float | None]] = []
    moment = _moment.Moment(0.02, 5, lambda *one: told.append(one))
    model = models.build("ladder_02")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((400, 28, 28, 1)), np.zeros(400), 4, verbose=0, callbacks=[moment])
    moment.close()
    assert 5 <= model.optimizer.iterations < 100
    assert "the first batch compiles" in out.getvalue()
    assert re.search(r"Training 100%\|.*\d+ batches, \d+ s, loss", out.getvalue())
    assert told[0][0].startswith("Training: the first batch compiles")
    assert told[0][1] is None
    assert re.match(r"\d+ batches, \d+ s, loss \d\.\d{3}(\. A batch takes |$)", told[-1][0])
    assert told[-1][1] == 1.0
    assert len(told) == model.optimizer.iterations + 1


def test_how_far_a_training_is_stands_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page gets loss and accuracy of the batches so far, and how long it takes if that is long."""
    told: list[str] = []
    monkeypatch.setattr(explore, "SECONDS", 0.001)
    monkeypatch.setattr(explore, "LEAST_BATCHES", 6)
    (x, y), test = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((np.tile(x, (8, 1, 1)), np.tile(y, 8)), test))
    arguments = argparse.Namespace(network="ladder_02", data="digits", threads=None)
    explore._trained(arguments, lambda text, share=None: told.append(text))
    assert told[0] == "Loading the images"
    assert any(re.match(r"1 batch, 0 s, loss", text) for text in told)
    assert any(re.match(r"2 batches, \d+ s, loss \d\.\d{3}, accuracy \d+\.\d%$", text) for text in told)
    assert re.search(r"accuracy \d+\.\d%\. A batch takes \d\.\d s here, so the \d+ batches take", told[-2])


@pytest.mark.parametrize(("later", "told"), [(0.01, False), (2.0, True)])
def test_a_batch_that_compiles_does_not_count(
    later: float, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second batch may compile as well; it was said that 50 batches take minutes, which then took seconds."""
    times = iter([30.0, 38.0, *(38.0 + later * n for n in range(1, 100))])
    monkeypatch.setattr(_moment.time, "perf_counter", lambda: next(times))
    moment, model = _moment.Moment(10.0, 50, lambda text, share: None), models.build("ladder_02")
    moment.model = model  # which a callback does not keep alive
    for batch in range(4):
        moment.on_train_batch_end(batch, {"loss": 1.0})
    assert ("A batch takes 2.0 s here, so the 50 batches take about 98 s" in capsys.readouterr().out) == told


@pytest.mark.parametrize("fails", ["load", "nan"])
def test_what_goes_wrong_before_there_is_a_page_ends_the_command(
    fails: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has opened the page, so nobody is waited for."""
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    pytest.importorskip("uvicorn", reason="the extra explore is not installed")

    def absent() -> Any:
        raise OSError("MNIST could not be downloaded")

    if fails == "load":
        monkeypatch.setattr(datasets.mnist, "load_data", absent)
    else:
        monkeypatch.setattr(_data, "scaled", lambda images: np.full((*images.shape, 1), 3e38, np.float32))
    begin = time.monotonic()
    # In this thread, an event loop of another test may be running.
    command = ["explore", "ladder_02", "--no-browser"]
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(contextvars.copy_context().run, main, command).result(60) == 1
    assert time.monotonic() - begin < 8
    out, err = capsys.readouterr()
    assert "The page is at" in out
    assert ("MNIST could not be downloaded" if fails == "load" else "the loss is nan; first in Conv2D") in err


def test_averages_that_have_not_settled_are_said(served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "go_crazy", "--data", "digits", "--no-browser"]) == 0
    [(session, _, _)] = served
    assert f"come from {session.model.optimizer.iterations} batches; they settle" in capsys.readouterr().out
    assert session.describe()["batches"] == session.model.optimizer.iterations
    assert main(["explore", "ladder_02", "--no-browser"]) == 0
    assert "moving averages" not in capsys.readouterr().out


def test_a_run_of_that_name_is_taken(served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ladder_02", "--data", "digits", "--epochs", "1", "--backend", "reference"]) == 0
    capsys.readouterr()
    assert main(["explore", "ladder_02"]) == 0
    assert "Found a run of ladder_02" in capsys.readouterr().out
    assert main(["explore", "runs/ladder_02-digits"]) == 0
    assert main(["explore", "ladder_02", "--data", "mnist"]) == 0
    assert "trained on MNIST" in capsys.readouterr().out
    first, second, third = (session for session, _, _ in served)
    assert first.data.name == second.data.name == "digits"
    assert third.data.name == "mnist"
    np.testing.assert_array_equal(first.model.get_weights()[0], second.model.get_weights()[0])


def test_a_file_has_no_images_unless_they_are_named(served: list[Any]) -> None:
    models.build("ladder_02").save("mine.safetensors")
    assert main(["explore", "mine.safetensors"]) == 0
    assert main(["explore", "mine.safetensors", "--data", "digits"]) == 0
    assert [session.data and session.data.name for session, _, _ in served] == [None, "digits"]


def test_a_network_that_gives_a_number_has_the_labels_as_its_targets(served: list[Any]) -> None:
    model = Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mean_squared_error")
    model.save("number.safetensors")
    assert main(["explore", "number.safetensors", "--data", "digits"]) == 0
    [(session, _, _)] = served
    assert session.class_names == []
    assert session.image("test-0").label == session.data.y_test[0]


def test_kernels_of_a_learner_run_on_the_page(served: list[Any]) -> None:
    Path("mine.py").write_text("def relu_forward(x):\n    return x * (x > 0)\n", encoding="utf-8")
    assert main(["explore", "ladder_03", "--data", "digits", "--kernels", "mine.py"]) == 0
    [(session, _, _)] = served
    assert session.mine.kernels == ["relu_forward"]
    assert session.model.backend == session.mine.backend


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "no folder of a run, no file and no documented network"),
        (["ladder_02", "--data", "cifar10"], "images of 28×28×1"),
        (["ladder_02", "--kernels", "none.py"], "none.py cannot be read"),
        (["ladder_02", "--kernels", "broken.py"], "broken.py"),
        (["ladder_02", "--port", "0"], "not a whole number from 1 to 65535"),
        (["ladder_02", "--record", "page.txt"], "must end in .html"),
        (["ladder_02", "--record", "page.html", "--port", "9000"], "serves nothing"),
        (["ladder_02", "--record", "page.html", "--kernels", "mine.py"], "leave --kernels or --record out"),
        (["ladder_02", "--record-training", "2"], "--record page.html"),
        (["wide.safetensors"], "does not turn images into classes"),
        (["nan.safetensors"], "In a program, tinycnn.explore.show(tinycnn.load_model("),
        (["own.safetensors"], "In a program, tinycnn.explore.show(tinycnn.load_model("),
        (["plain.safetensors", "--record", "page.html"], "a recording needs images"),
    ],
)
def test_what_does_not_work_is_named(
    served: list[Any], arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.py").write_text("def relu_forward(x:\n", encoding="utf-8")
    Sequential([layers.Input((8,)), layers.Dense(2)]).save("wide.safetensors")
    models.build("ladder_02").save("plain.safetensors")
    spoilt = models.build("ladder_02")
    spoilt.set_weights([np.full_like(weight, np.nan) for weight in spoilt.get_weights()])
    spoilt.save("nan.safetensors")
    Sequential([layers.Input((8, 8, 1)), _Square(), layers.Flatten(), layers.Dense(2)]).save("own.safetensors")
    assert main(["explore", *arguments]) in (1, 2)
    assert says in capsys.readouterr().err
    assert not served


def test_without_the_extra_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert main(["explore", "ladder_02"]) == 1
    assert 'pip install "tinycnn[explore]"' in capsys.readouterr().err


@pytest.mark.parametrize("training", [[], ["--record-training", "1"]])
def test_a_recording_is_one_file(training: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "ladder_02", "--data", "digits", "--record", "page.html", *training]) == 0
    assert "page.html: " in capsys.readouterr().out
    assert Path("page.html").read_text("utf-8").startswith("<!doctype html>")
