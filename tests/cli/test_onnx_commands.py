"""The commands that write ONNX files and read them."""

import json
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import datasets
from tinycnn.cli import _figures, main

pytest.importorskip("onnx.helper", reason="the package onnx (extra onnx) is not installed")
import onnx


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Return the folder of a short run on a few digits, in the current folder."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((x[:64], y[:64]), (x_test[:64], y_test[:64])))
    monkeypatch.setattr(_figures, "draw_all", lambda *a: [])
    monkeypatch.chdir(tmp_path)
    assert main(["train", "ladder_02", "--data", "digits", "--epochs", "1", "--backend", "reference"]) == 0
    capsys.readouterr()
    return "runs/ladder_02-digits"


def test_a_run_goes_out_and_comes_back(run, tmp_path, capsys):
    assert main(["export", run, "a.onnx"]) == 0
    out = capsys.readouterr().out
    assert "opset 15, IR version 8" in out
    assert "input   (N, 28, 28, 1) float32" in out
    assert "pixels from 0 to 255, divided by 255" in out
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(metadata["class_names"]) == list(datasets.digits.class_names)
    assert main(["export", f"{run}/model.safetensors", "b.onnx", "--layout", "NCHW", "--dtype", "float64"]) == 0
    assert "input   (N, 1, 28, 28) float64" in capsys.readouterr().out
    for name in ("a", "b"):
        assert main(["import-onnx", f"{name}.onnx", f"{name}.safetensors"]) == 0
        assert f"{name}.safetensors: takes (N, 28, 28, 1), gives (N, 10)" in capsys.readouterr().out
        x = np.random.default_rng(0).random((3, 28, 28, 1))
        with tinycnn.use_backend("reference"):
            expected = tinycnn.load_model(f"{run}/model.safetensors").predict(x)
            found = tinycnn.load_model(f"{name}.safetensors").predict(x)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_run_on_pictures_of_ones_own(run, tmp_path, capsys):
    """The classes are those of the pictures; the path of their folder is not written into the file."""
    path = tmp_path / run / "run.json"
    description = json.loads(path.read_text("utf-8"))
    classes = [f"class {number}" for number in range(10)]
    pictures = {"classes": classes, "image_size": [28, 28], "color_mode": "grayscale", "digest": "x"}
    description |= {"data": "private/pictures", "pictures": pictures | {"validation_split": None}}
    path.write_text(json.dumps(description), "utf-8")
    assert main(["export", run, "a.onnx"]) == 0
    assert "divided by 255; trained on pictures of 28x28 pixels" in capsys.readouterr().out
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert json.loads(metadata["class_names"]) == classes
    assert b"private" not in (tmp_path / "a.onnx").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["export", "nowhere", "a.onnx"], 2, "nowhere is no folder of a run and no model's file"),
        (["export", "x", "a.pb"], 2, "'a.pb' must end in .onnx"),
        (["export", "", "a.onnx"], 2, "the name of a folder is empty"),
        (["import-onnx", "a.onnx", "a.onnx"], 2, "'a.onnx' must end in .safetensors"),
        (["import-onnx", "", "a.safetensors"], 2, "the name of a file is empty"),
        (["import-onnx", "no.onnx", "a.safetensors"], 1, "no such file: no.onnx"),
        (["import-onnx", "bad.onnx", "a.safetensors"], 1, "bad.onnx is not a whole ONNX model"),
        (["import-onnx", "bad.onnx", "folder.safetensors"], 1, "cannot write folder.safetensors: it is a folder"),
        (["import-onnx", "self.safetensors", "self.safetensors"], 2, "self.safetensors is the file to read"),
        (["import-onnx", "bad.onnx", "a.safetensors", "--input-shape", "28x28"], 2, "'28x28' is not a shape"),
    ],
)
def test_what_goes_wrong(arguments, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("bad.onnx", "self.safetensors"):
        (tmp_path / name).write_bytes(b"\x08\x07\x12\x07pytorch")
    (tmp_path / "folder.safetensors").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(arguments) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_the_package_the_cure_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    assert main(["import-onnx", str(tmp_path / "m.onnx"), str(tmp_path / "m.safetensors")]) == 1
    assert 'pip install "tinycnn[onnx]"' in capsys.readouterr().err
