"""The example programs run, print what they say, and write the files that they say."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import datasets, models

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def few_digits(monkeypatch, tmp_path):
    """Use a few hundred digits, the backend that needs no compiling, and a folder of the test's own."""
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
    # The network has learned something, because chance would be 0.1.
    assert namespace["accuracy"] > 0.3
    assert Path("first_program.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_ladder(few_digits, capsys):
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    assert len(ladder["LADDER"]) == 13
    ladder["main"](
        ["--data", "digits", "--epochs", "2", "--limit", "200", "--only", "ladder_02", "ladder_01", "--out", "x"]
    )
    out = capsys.readouterr().out
    # The output has the order that was asked for: tables and logs first, the sentences again at the end.
    assert re.search(r"Model: 'ladder_02'.*Epoch 2/2.*Model: 'ladder_01'.*Epoch 2/2", out, re.DOTALL)
    assert len(re.findall(r"1,710 parameters, accuracy 0\.\d{4}, \d+ errors? in the first 100 test images", out)) == 2
    assert len(re.findall(r": 1,972 parameters, ", out)) == 2
    names = {path.name for path in Path("x").iterdir()}
    assert names == {"ladder.png"} | {f"ladder_0{n}_{what}.png" for n in (1, 2) for what in ("curves", "first_100")}


@pytest.mark.slow
def test_ladder_starts_early_stopping_afresh(few_digits, capsys):
    """In the notebook, a poor second network went back to epoch 1 because the first one had been better."""
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    ladder["main"](["--data", "digits", "--epochs", "3", "--only", "ladder_03", "ladder_02", "--out", "x"])
    logged = capsys.readouterr().out.split("Model: ")[2]
    accuracies = re.findall(r"val_accuracy (0\.\d+)", logged)
    best = 1 + accuracies.index(max(accuracies))
    assert f"(weights of epoch {best}, 3 trained)" in logged
    assert f"accuracy {max(accuracies)}, " in logged


def test_ladder_refuses_other_networks(few_digits, capsys):
    ladder = runpy.run_path(str(EXAMPLES / "mnist_ladder.py"))
    with pytest.raises(SystemExit, match="2"):
        ladder["main"](["--only", "go_crazy"])
    assert "ladder_12" in capsys.readouterr().err


@pytest.mark.slow
def test_fashion_pair(few_digits, capsys):
    pair = runpy.run_path(str(EXAMPLES / "fashion_pair.py"))
    pair["main"](["--data", "digits", "--epochs", "1", "--limit", "48", "--blur", "--out", "x"])
    out = capsys.readouterr().out
    names = ("fashion_base", "fashion_improved", "fashion_blurred")
    for name in names:
        pattern = rf"^{name}: train accuracy [01]\.\d{{4}}, validation accuracy [01]\.\d{{4}}$"
        assert len(re.findall(pattern, out, re.MULTILINE)) == 2
    assert len(re.findall(r"^by class:( [01]\.\d{3}){10}$", out, re.MULTILINE)) == 3
    assert {path.name for path in Path("x").iterdir()} == {f"{name}.png" for name in names}


def test_fashion_pair_with_so_few_images_that_a_class_has_none(few_digits, capsys, recwarn):
    pair = runpy.run_path(str(EXAMPLES / "fashion_pair.py"))
    pair["main"](["--data", "digits", "--epochs", "1", "--limit", "8", "--out", "x"])
    out = capsys.readouterr().out
    assert len(re.findall(r"^by class:(?: [01]\.\d{3}| —){10}$", out, re.MULTILINE)) == 2
    assert "nan" not in out
    assert not [warning for warning in recwarn if "empty" in str(warning.message)]


@pytest.mark.parametrize("name", ["eip4", "fashion_pair", "mnist_and_cifar", "mnist_ladder", "under_15k"])
@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--epochs", "-1"], ["--limit", "0"]])
def test_less_than_one_epoch_or_image_is_refused(name, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](arguments)
    assert "--epochs and --limit must be at least 1" in capsys.readouterr().err


def test_fashion_pair_blurs_within_images():
    blurred = runpy.run_path(str(EXAMPLES / "fashion_pair.py"))["blurred"]
    x = np.zeros((3, 9, 9, 1), np.float32)
    x[1, 4, 4] = 1
    both = blurred(x)
    assert both.shape == (6, 9, 9, 1)
    np.testing.assert_array_equal(both[:3], x)
    assert not both[3].any()
    assert not both[5].any()
    assert 0.1 < both[4, 4, 4, 0] < 0.2
    assert both[4].sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_mnist_and_cifar(few_digits, capsys):
    example = runpy.run_path(str(EXAMPLES / "mnist_and_cifar.py"))
    example["main"](["--data", "digits", "--epochs", "1", "--limit", "48", "--out", "x"])
    out = capsys.readouterr().out
    assert re.search(r"^mnist_cnn: final accuracy [01]\.\d{4} \(documented: 0\.9920\)$", out, re.MULTILINE)
    assert re.search(r"^cifar10_cnn: final accuracy [01]\.\d{4} \(documented: 0\.8687\)$", out, re.MULTILINE)
    assert {path.name for path in Path("x").iterdir()} == {
        f"{name}_{picture}.png"
        for name in ("mnist_cnn", "cifar10_cnn")
        for picture in ("curves", "best", "worst", "classes")
    }


@pytest.mark.slow
def test_under_15k(few_digits, capsys):
    example = runpy.run_path(str(EXAMPLES / "under_15k.py"))
    example["main"](["--data", "digits", "--epochs", "2", "--limit", "64", "--out", "x"])
    out = capsys.readouterr().out
    table = re.findall(r"^(\w+) +([\d,]+) +\d+  (none|0\.\d+.*)$", out, re.MULTILINE)
    assert [name for name, _, _ in table] == sorted(
        example["NETWORKS"], key=lambda name: models.recipe(name).params.total
    )
    assert ("go_crazy", "13,880", "0.9945 best epoch, 0.9919 last") in table
    # This is the document's schedule, set at the start of each epoch.
    assert re.search(r"Epoch 1/2 .* learning_rate 0\.003\n", out)
    assert re.search(r"Epoch 2/2 .* learning_rate 0\.00227", out)
    assert re.search(r"go_crazy: validation accuracy best [01]\.\d{4}, last [01]\.\d{4}", out)
    assert {path.name for path in Path("x").iterdir()} == {"go_crazy_curves.png", "receptive_fields.png"}


def test_the_schedule_of_under_15k_is_the_recipes():
    schedule = runpy.run_path(str(EXAMPLES / "under_15k.py"))["schedule"]
    for epoch in range(20):
        assert schedule(epoch, 1.0) == models.recipe("go_crazy").schedule(epoch)


@pytest.mark.slow
def test_eip4(few_digits, capsys):
    example = runpy.run_path(str(EXAMPLES / "eip4.py"))
    example["main"](["--data", "digits", "--epochs", "1", "--limit", "64", "--out", "x"])
    out = capsys.readouterr().out
    assert re.search(r"Epoch 1/1 .* accuracy 0\.\d{4} .* val_accuracy 0\.\d{4}", out)
    words = (
        "convolution",
        "filters",
        "activation",
        "3×3 convolution",
        "1×1 convolution",
        "receptive field",
        "epochs",
    )
    for word in words:
        assert re.search(rf"^{word}: .+", out, re.MULTILINE)
    # These numbers can be computed by hand: 16·10 weights and 10 biases; 26²·16 results of 9 products.
    assert "with 170 parameters" in out
    assert "97,344 products" in out
    assert {path.stem for path in Path("x").iterdir()} == {w.replace(" ", "_").replace("×", "x") for w in words}
