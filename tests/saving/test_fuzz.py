"""The short form of ``make fuzz``: every reader gets some hundred inputs, and the harness finds what it should find."""

import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import safetensors.numpy
from fuzz import mutations, readers, run
from PIL import Image

from tinycnn import layers
from tinycnn.saving import state_folder as state_files

HERE = Path(__file__).resolve().parents[1]


#: What limits a reader in time and memory.
LIMITS = ("resource", "signal.setitimer", "os.pwrite", "/proc/self/statm")


@pytest.mark.slow
@pytest.mark.needs(*LIMITS)
def test_every_reader_survives(capfd):
    command = [sys.executable, HERE / "fuzz" / "run.py", "--inputs", "300", "--seed", "7"]
    done = subprocess.run(command, timeout=300, check=False)
    out, err = capfd.readouterr()
    assert done.returncode == 0, out + err
    assert all(name in out for name in readers.READERS)


#: The readers of other programs' files; tinycnn's own get ten times as many inputs.
OF_OTHERS = ("keras", "keras_h5", "keras_weights", "pytorch", "onnx")


def test_the_record_is_of_all_readers_and_of_no_finding():
    record = json.loads(run.RECORD.read_text("utf-8"))
    assert record["readers"].keys() == readers.READERS.keys() | {"onnx"}  # it needs an extra
    assert record["findings"] == 0
    page = (HERE.parent / "docs" / "reliability.md").read_text("utf-8")
    assert f"{record['inputs']:,} inputs" in page
    for name, total in record["readers"].items():
        assert total["inputs"] >= (20_000 if name in OF_OTHERS else 200_000)
        assert f"| `{name}` | {total['inputs']:,} | {total['read']:,} | {total['slowest_s']:.2f} s |" in page
        assert total["slowest_s"] < run.SECONDS
        assert total["memory_mb"] < run.MEGABYTES
        assert total["read"] + total["refused"] == total["inputs"]


@pytest.mark.parametrize("name", readers.READERS)
def test_inputs_repeat_and_differ(name):
    reader = readers.READERS[name]
    inputs = [run.made(reader, name, 0, number) for number in range(60)]
    assert inputs == [run.made(reader, name, 0, number) for number in range(60)]
    assert len(set(inputs)) > 40
    assert len(set(inputs) - set(reader.seeds())) > 40


def test_mutations_of_json_reach_every_place():
    value = {"a": [1, {"b": "text"}], "c": None}
    seen = {mutations.json_value(value, random.Random(seed)) for seed in range(500)}
    assert len(seen) > 300
    assert any('"b": "text"' not in text for text in seen)


# What the harness has to find


def raising(path):
    raise AttributeError(f"{path}: 'NoneType' object has no attribute 'read'")


def silent(path):
    raise ValueError("something is wrong")


FAULTS = {"raising": raising, "silent": silent}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_reader_is_found(name, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    reader = readers.Reader(lambda: [b"x"], mutations.blind, FAULTS[name])
    assert run.outcome(reader, tmp_path / "file") not in ("read", "refused")


WORKER = """
import sys, os, signal, ctypes
sys.path[:0] = [{tests!r}, {root!r}]
from fuzz import mutations, readers, run
run.SECONDS = 0.3
def read(path):
    content = path.read_bytes()
    if content != b"good" and {what!r} == "hang":
        while True: pass
    if content != b"good" and {what!r} == "memory":
        bytearray(2**30)
    if content != b"good" and {what!r} == "crash":
        ctypes.string_at(0)
readers.READERS["x"] = readers.Reader(lambda: [b"good"], lambda data, rng, others: b"bad", read)
run.work("x", 0, 3, 4, {progress!r})
"""


@pytest.mark.needs(*LIMITS)
@pytest.mark.parametrize(("what", "fault"), [("hang", "more than 0.3 s"), ("memory", "MemoryError"), ("crash", None)])
def test_a_process_tells_of_hangs_memory_and_crashes(what, fault, tmp_path):
    code = WORKER.format(tests=str(HERE), root=str(HERE.parent), what=what, progress=str(tmp_path / "progress"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if fault is None:
        assert done.returncode < 0
        assert run._announced(tmp_path / "progress") == 3
    else:
        assert fault in json.loads(done.stdout.splitlines()[0])["fault"], done.stderr


# What was found, each as small as it can be


def png_of(*chunks):
    """Return a PNG of 2×2 grey pixels with further chunks before the pixels."""
    [head, *rest] = mutations._png_chunks(readers.pictures()[0])
    made = b"".join(
        struct.pack(">I", len(content) if length is None else length)
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content, length in [(*head, None), *chunks, *((*chunk, None) for chunk in rest)]
    )
    return b"\x89PNG\r\n\x1a\n" + made


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png_of((b"iCCP", b"", None)), id="an empty colour profile: IndexError"),
        pytest.param(png_of((b"IDAT", b"x", 2**31 - 1)), id="a chunk that claims 2 GB: MemoryError"),
        pytest.param(png_of((b"PLTE", b"x", 2**31 - 1)), id="a palette that claims 2 GB: MemoryError"),
    ],
)
def test_damaged_pictures(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png (cannot be read as|is not) a picture"):
        readers.read_picture(tmp_path / "a.png")


def test_a_strip_of_a_picture(tmp_path):
    """Its transparency used to be examined row by row, which took 12 s for two million rows."""
    Image.new("RGBA", (2, 70_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="or 65,535 on a side"):
        readers.read_picture(tmp_path / "a.png")
    Image.new("RGBA", (2, 60_000)).save(tmp_path / "a.png")
    readers.read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("layer", [layers.AveragePooling2D, layers.MaxPooling2D])
def test_a_window_of_two_million_pixels(layer):
    """Prediction used to take seconds and hundreds of megabytes, only to return zeros."""
    with pytest.raises(ValueError, match="more than the limit of 4096 in a direction and 65536 taps"):
        layer((1, 2_000_000), strides=(1, 2), padding="same").output_shape((4, 3, 2))
    assert layer((4, 4096), strides=1, padding="same").output_shape((4, 3, 2)) == (4, 3, 2)


def test_a_table_that_is_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"epoch,loss\n0,\xff\n")
    with pytest.raises(ValueError, match=r"a\.csv is not a CSV file, so no rows can be added to it"):
        readers.append_to_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": "1"}, "its 'epoch' is '1'"),
        ({"batch": -1}, "its counts of epochs and batches are"),
        ({"steps": 10**30}, "its counts of epochs and batches are"),
        ({"versions": True}, "its 'versions' is True"),
        ({"callbacks": [3]}, "its 'callbacks' hold 3"),
        ({"callbacks": [{"class_name": "EarlyStopping"}]}, "its 'callbacks' hold"),
        ({"callbacks": [{"class_name": "y" * 3000, "state": {"wait": 1}}]}, "holds the state of 'yyy"),
        ({"identity": {"data": {"y" * 3000: 1}}}, "belongs to another training"),
        ({"meters": {"loss": 0.0, "count": 0, "metrics": {}}}, "does not fit"),
    ],
)
def test_states_of_other_kinds(change, message, tmp_path):
    """The states have a correct checksum, as a state from somebody who means harm would have."""
    header, _ = mutations._split(readers.state_contents()[1])
    description = json.loads(header["__metadata__"]["tinycnn"])
    del description["sha256"]
    description["state"].update(change)
    arrays = safetensors.numpy.load(readers.state_contents()[1])
    path = tmp_path / "checkpoint-000001.safetensors"
    path.write_bytes(state_files.sealed(arrays, description))
    with pytest.raises(ValueError, match=message) as refused:
        readers.resume(path)
    assert len(str(refused.value)) < 1000
