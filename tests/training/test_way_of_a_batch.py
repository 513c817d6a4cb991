"""The files that a batch passes on its way to a kernel are those that docs/design.md lists, in the same order."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.training import recorded

ROOT = Path(tinycnn.__file__).parents[1]
PAGE = ROOT / "docs" / "design.md"
#: The most files, and the most lines of each.
MOST_FILES, MOST_LINES = {"reference": 8, "cpu": 12}, 400


def small_model(backend):
    tinycnn.set_seed(0)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((8, 8, 1)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def ours(code):
    """Return the path of a function's file within the checkout, or None if it is not one of tinycnn's."""
    path = Path(code.co_filename)
    inside = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("tinycnn", "kernels")
    return str(path.relative_to(ROOT)) if inside else None


def files_passed(backend, kernel, *, fuse=True, of=2):
    """Return the files on the stack when a batch is asked for, and those entered from then to the kernel.

    It is the second batch: with the first one memory is asked for and kernels are loaded.
    """
    passed, batches, arrived = [], 0, False

    def note(file):
        if file is not None and file not in passed:
            passed.append(file)

    def watch(frame, event, argument):
        nonlocal batches, arrived
        file = ours(frame.f_code) if event == "call" and not arrived else None
        if file is None:
            return
        if file == "tinycnn/training/batches.py" and frame.f_code.co_name == "epoch":
            batches += 1
        if batches == of:
            stack, above = [], frame
            while above is not None:
                stack.append(ours(above.f_code))
                above = above.f_back
            for one in reversed(stack):
                note(one)
            arrived = frame.f_code.co_name == kernel

    x, y = np.random.default_rng(0).random((96, 8, 8, 1), np.float32), np.arange(96) % 10
    model = small_model(backend)
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        model.fit(x, y, verbose=0, fuse=fuse)
    finally:
        sys.setprofile(before)
    assert arrived
    return passed


@pytest.mark.parametrize(
    ("backend", "kernel", "fuse"),
    [
        ("reference", "conv2d_forward", True),
        ("cpu", "conv2d_forward", False),
        ("cpu", "conv2d_stage_forward", True),
    ],
)
def test_the_way_is_short_and_its_files_are_too(backend, kernel, fuse, monkeypatch):
    """The way of a step that is not recorded; it is the same while a step is recorded, with the recorder around it."""
    monkeypatch.setattr(recorded, "can_record", lambda model: False)
    files = files_passed(backend, kernel, fuse=fuse)
    assert len(files) <= MOST_FILES[backend], files
    lengths = {file: len((ROOT / file).read_text("utf-8").splitlines()) for file in files}
    assert {file: length for file, length in lengths.items() if length > MOST_LINES} == {}


def test_from_the_third_batch_on_the_way_ends_in_the_program():
    files = files_passed("cpu", "launch", of=3)
    assert files[-1] == "kernels/cpu/machine/jit.py"
    assert "kernels/cpu/machine/program.py" in files
    assert "tinycnn/training/step.py" not in files
    assert len(files) <= MOST_FILES["cpu"], files


def test_the_design_page_walks_through_these_files():
    section = re.search(r"## The way of a batch\n(.*?)\n## ", PAGE.read_text("utf-8"), re.DOTALL)[1]
    shown = re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)
    assert shown == files_passed("reference", "conv2d_forward")
