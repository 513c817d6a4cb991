"""Rooms above register what they read; saving itself knows none of them."""

import sys
import types

import pytest

import tinycnn
from tinycnn import Sequential, layers, load_model
from tinycnn.saving import formats

ONNX = b"\x08\x07\x12\x07pytorch\x1a\x052.1.0"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", dict(formats.FORMATS))
    path = tmp_path / "m.onnx"
    path.write_bytes(ONNX)
    return path


def model():
    with tinycnn.use_backend("reference"):
        return Sequential([layers.Input((3,)), layers.Dense(2)])


def module(monkeypatch, **functions):
    made = types.ModuleType("a_reader")
    vars(made).update(functions)
    monkeypatch.setitem(sys.modules, "a_reader", made)


def test_a_room_reads_and_writes_files_of_its_kind(path, monkeypatch, tmp_path):
    calls = []
    module(
        monkeypatch,
        load_model=lambda path, kind, custom_objects, *, compiled, check_finite: (
            calls.append((path, kind, compiled, check_finite)) or "model"
        ),
        load_weights=lambda model, path, *, check_finite: calls.append((model.name, path, check_finite)),
        save_weights=lambda model, path: calls.append((model.name, path)),
    )
    formats.register("onnx", "a_reader", endings=(".xyz",))
    assert load_model(path, compile=False) == "model"
    assert calls.pop() == (path, Sequential, False, True)
    model().load_weights(path, check_finite=False)
    assert calls.pop() == ("sequential", path, False)
    model().save_weights(tmp_path / "A.XYZ")
    assert calls.pop() == ("sequential", tmp_path / "A.XYZ")


def test_a_room_may_leave_out_what_it_does_not_do(path, monkeypatch):
    module(monkeypatch, load_model=lambda *_, **__: "model")
    formats.register("onnx", "a_reader")
    with pytest.raises(ValueError, match="is not a tinycnn model: it is an ONNX model; read its arrays"):
        model().load_weights(path)


def test_the_extra_is_named_that_is_missing(path):
    formats.register("onnx", "a_reader", reads_with="no_such_package", extra="onnx")
    for read in (load_model, model().load_weights):
        with pytest.raises(ValueError, match=r'm\.onnx is an ONNX model; reading it needs the package no_such_package'
                                             r': pip install "tinycnn\[onnx\]"'):  # fmt: skip
            read(path)


def test_without_a_room_a_file_is_refused_as_before(path):
    formats.FORMATS.pop("onnx", None)
    with pytest.raises(ValueError, match="is not a tinycnn model: it is an ONNX model"):
        load_model(path)


def test_readers_are_imported_only_when_they_are_needed(tmp_path):
    import subprocess

    program = "import sys, tinycnn; print([name for name in sys.modules if 'interchange' in name or name == 'h5py'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
