"""The example programs run, and print and leave what they say."""

import re
import runpy
from pathlib import Path

import pytest

import tinycnn
from tinycnn import datasets

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def few_digits(monkeypatch, tmp_path):
    """A few hundred digits, the backend that needs no compiling, and a folder of its own."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((x[:500], y[:500]), (x_test[:120], y_test[:120])))
    monkeypatch.chdir(tmp_path)
    with tinycnn.use_backend("reference"):
        yield


def test_first_program(few_digits, capsys):
    namespace = runpy.run_path(str(EXAMPLES / "first_program.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "Epoch 3/3" in out
    assert f"test accuracy {namespace['accuracy']:.4f}" in out
    # Learned something: chance is 0.1.
    assert namespace["accuracy"] > 0.3
    assert Path("first_program.png").read_bytes().startswith(b"\x89PNG")


def test_ladder(few_digits, capsys):
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    assert len(ladder["LADDER"]) == 13
    ladder["main"](
        ["--data", "digits", "--epochs", "2", "--limit", "200", "--only", "ladder_02", "ladder_01", "--out", "x"]
    )
    out = capsys.readouterr().out
    # In the order asked for, tables and logs first, the sentences again at the end.
    assert re.search(r"Model: 'ladder_02'.*Epoch 2/2.*Model: 'ladder_01'.*Epoch 2/2", out, re.DOTALL)
    assert len(re.findall(r"complexity 1,710 parameters / accuracy 0\.\d{4} / errors \d+ in the first 100", out)) == 2
    assert len(re.findall(r"complexity 1,972 parameters", out)) == 2
    names = {path.name for path in Path("x").iterdir()}
    assert names == {"ladder.png"} | {f"ladder_0{n}_{what}.png" for n in (1, 2) for what in ("curves", "first_100")}


def test_ladder_starts_early_stopping_afresh(few_digits, capsys):
    """The notebook's mistake: a poor second network went back to epoch 1 because the first had been better."""
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    ladder["main"](["--data", "digits", "--epochs", "3", "--only", "ladder_03", "ladder_02", "--out", "x"])
    logged = capsys.readouterr().out.split("Model: ")[2]
    accuracies = re.findall(r"val_accuracy (0\.\d+)", logged)
    best = 1 + accuracies.index(max(accuracies))
    assert f"(weights of epoch {best})" in logged
    assert f"accuracy {max(accuracies)} / errors" in logged


def test_ladder_refuses_other_networks(few_digits, capsys):
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    with pytest.raises(SystemExit, match="2"):
        ladder["main"](["--only", "go_crazy"])
    assert "ladder_12" in capsys.readouterr().err
