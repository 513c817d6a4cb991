"""A file that is not a model of tinycnn is named as what it is, with the way to take its weights over."""

import gzip
import io
import json
import pickle
import socket
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import safetensors.numpy
from helpers import installed

import tinycnn
from tinycnn import Sequential, callbacks, layers, load_model

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(range(200))
OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
ARRAYS = {"conv1.weight": np.zeros((2, 1, 3, 3), np.float32), "conv1.bias": np.zeros(2, np.float32)}


def small_model():
    with tinycnn.use_backend("reference"):
        return Sequential([layers.Input((3,)), layers.Dense(2)])


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, bytes(100))
    return file.getvalue()


def archived():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights"))
    return file.getvalue()


def of_numpy(save, *arrays):
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def a_model(folder, cut=None):
    small_model().save(folder / "whole")
    return (folder / "whole").read_bytes()[:cut]


KERAS, TORCH, NUMPY = ("load it with Keras, and save it as a .keras file", "safetensors.torch.save_file",
                       "read its arrays with numpy.load")  # fmt: skip
CONTENTS = {
    "MATLAB 7.3": (b"MATLAB 7.3 MAT-file".ljust(512) + HDF5, r"a file of MATLAB \(.mat\)", "read its arrays with"),
    "text in another encoding": ("größe: 3\n".encode("latin-1"), "it is text", "model.save writes"),
    "text in wide characters": ("weights\n".encode("utf-16"), "it is text", "model.save writes"),
    "SavedModel, zipped": (zipped("saved_model.pb"), "a SavedModel of TensorFlow, zipped", KERAS),
    "PyTorch": (zipped("archive/data.pkl", "archive/data/0", "archive/version"), "a file of PyTorch", TORCH),
    "old PyTorch": (OLD_TORCH, "a file of PyTorch", TORCH),
    "npz": (of_numpy(np.savez, np.zeros(3)), r"an archive of NumPy arrays \(.npz\)", NUMPY),
    "npz, compressed": (of_numpy(np.savez_compressed, np.zeros(3)), "an archive of NumPy arrays", NUMPY),
    "npy": (of_numpy(np.save, np.zeros(3)), r"an array of NumPy \(.npy\)", NUMPY),
    **{
        f"pickle {protocol}": (pickle.dumps([np.zeros(3)], protocol), "a Python pickle", "tinycnn reads no pickles")
        for protocol in (0, 2, 3, 4, 5)
    },
    "joblib": (zlib.compress(bytes(500)), "compressed by zlib", "reads no pickles"),
    # Its first eight bytes would be the length of a header of 560 kB.
    "gzip": (gzip.compress(np.random.default_rng(0).bytes(10**6), mtime=0), "compressed by gzip", "unpack it first"),
    "zip": (zipped("readme"), "a ZIP archive", "unpack it first"),
    "tar": (archived(), "a tar archive", "unpack it first"),
    "JSON of Keras": (b'{"class_name": "Sequential"}', "JSON, as Keras's to_json", "model.save writes"),
    "JSON": (b" {}", "it is JSON;", "model.save writes"),
    "CSV": ("epoch,loss\n0,0.5 \u00e9\n".encode(), "it is text", "model.save writes"),
    "short text": (b"a", "it is text", "model.save writes"),
    "web page": (b"\n<!DOCTYPE html><html>", "a web page, as a failed download", "download the file again"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS", "git lfs pull"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture", "model.save writes"),
    "empty": (b"", "it is empty", "was cut short"),
    "safetensors, cut": (safetensors.numpy.save(ARRAYS)[:-1], "80 bytes, but only 79 are there", "copy or download"),
}  # fmt: skip


def refused(path, *messages):
    for load in (load_model, small_model().load_weights):
        with pytest.raises((ValueError, OSError)) as raised:
            load(path)
        text = str(raised.value)
        assert text.startswith(f"{path} is not a ")
        for message in messages:
            assert raised.match(message)
        assert "\n" not in text
        assert len(text) < 600


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_named_as_what_it_is(tmp_path, kind):
    content, what, cure = CONTENTS[kind]
    # The content decides, and not the name.
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    refused(path, what, cure)


def test_an_onnx_model_is_named_with_or_without_the_package(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x08\x07\x12\x07pytorch\x1a\x052.1.0")
    message = (
        "not a whole ONNX model.*copy or export it again" if installed("onnx") else r'pip install "tinycnn\[onnx\]"'
    )
    for load in (load_model, small_model().load_weights):
        with pytest.raises(ValueError, match=message) as raised:
            load(path)
        assert str(raised.value).startswith(f"{path} is ")


@pytest.mark.parametrize("cut", [9, 40, 200, -1, -20])
def test_a_model_that_was_cut_short(tmp_path, cut):
    path = tmp_path / "part"
    path.write_bytes(a_model(tmp_path, cut))
    refused(path, "cut short")


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        (
            ARRAYS,
            r"of another program with 2 arrays \('conv1.bias', 'conv1.weight'\), because its metadata lack the key",
        ),
        ({}, "of another program with no arrays"),
    ],
)
def test_a_safetensors_file_of_another_program_is_no_model(tmp_path, arrays, what):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.numpy.save(arrays, {"format": "pt"}))
    with pytest.raises(ValueError, match=what) as raised:
        load_model(path)
    assert raised.match("call their model's load_weights with the file")


def test_folders_are_named_as_what_they_are(tmp_path):
    made = {}
    for name, file in (("keras", "saved_model.pb"), ("run", "model.safetensors"), ("empty", None)):
        made[name] = tmp_path / name
        made[name].mkdir()
        if file:
            (made[name] / file).touch()
    refused(made["keras"], "it is a folder, a SavedModel of TensorFlow; load it with Keras")
    refused(made["run"], f"it is a folder; give the file in it, {made['run'] / 'model.safetensors'}")
    refused(made["empty"], "it is a folder; a model is a file, for example")
    model = small_model()
    model.compile("sgd", "mse")
    data = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    model.fit(*data, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / "states")])
    refused(tmp_path / "states", "states of a training; give the file of one, such as .*checkpoint-000002.safetensors")


@pytest.mark.parametrize("offsets", [5, "80", [1], [0, "80"], [0, None], {"0": 1}, [0, 10**400]])
def test_headers_that_lie_about_the_end(tmp_path, offsets):
    header = {"a": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}
    text = json.dumps(header).encode()
    path = tmp_path / "file"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    refused(path)


def test_a_socket_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        with pytest.raises(ValueError, match="not a plain file"):
            load_model("socket")
