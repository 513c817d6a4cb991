"""A learner's file of kernels: loaded on purpose, again when it has changed, and with errors that name the line."""

import os
import sys

import numpy as np
import pytest

from tinycnn.explore.mine import KernelFile, KernelFileError

RIGHT = """
from __future__ import annotations
from dataclasses import dataclass

import numpy as np


@dataclass
class Note:
    text: str


def relu_forward(x):
    return np.maximum(x, 0) * 1
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RIGHT, "utf-8")
    return path


def test_a_file_becomes_a_backend(file):
    mine = KernelFile(file)
    assert mine.kernels == ["relu_forward"]
    assert mine.backend.name == "reference"
    assert repr(mine.backend.overlay) == "<relu_forward of mine.py>"
    np.testing.assert_array_equal(mine.backend.kernels.relu_forward(np.array([-1.0, 2.0])), [0, 2])
    assert not list(file.parent.rglob("*.pyc"))


def test_it_is_loaded_again_on_request_even_within_one_second(file):
    mine = KernelFile(os.fspath(file))
    before, times = mine.backend, file.stat()
    assert not mine.changed()
    file.write_text(RIGHT.replace("* 1", "* 3"), "utf-8")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert mine.changed()
    assert mine.backend is before
    mine.reload()
    assert not mine.changed()
    assert mine.backend != before
    assert mine.backend.kernels.relu_forward(np.ones(1)) == 3
    assert before.kernels.relu_forward(np.ones(1)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def relu_forward(x):\n    return (x\n", "^mine.py, line 2: SyntaxError: "),
        ("import numpy as np\n\n1 / 0\n", "^mine.py, line 3: ZeroDivisionError: division by zero"),
        ("import there_is_no_such_module\n", "^mine.py, line 1: ModuleNotFoundError: .*there_is_no_such_module"),
        ("def f():\n    raise SystemExit(3)\nf()\n", "^mine.py, line 2: SystemExit: 3"),
        ("def helper(x):\n    return x\n", "^mine.py: overlay must be .*relu_forward"),
        ("\n\ndef relu_forward(y):\n    return y\n", "^mine.py: overlay: relu_forward \\(mine.py, line 3\\) must take"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E\n", "^mine.py, line 3: E$"),
        ("\0", "^mine.py.*: \\w+Error: "),
        ("x = '\udcff'\n", "^mine.py.*: \\w+Error: "),
    ],
)
def test_errors_name_the_line_and_the_last_good_version_stays(file, text, message):
    mine = KernelFile(file)
    before = mine.backend
    file.write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(KernelFileError, match=message):
        mine.reload()
    assert mine.backend is before
    assert mine.changed()
    file.write_text(RIGHT, "utf-8")
    mine.reload()
    assert not mine.changed()


def test_a_file_that_is_none(file, tmp_path):
    for path in (tmp_path / "other.py", tmp_path, tmp_path / "mine.py" / "x"):
        with pytest.raises(KernelFileError, match=r"^kernels: .* (cannot be read|is not a file)"):
            KernelFile(path)
    mine = KernelFile(file)
    file.unlink()
    assert mine.changed()
    with pytest.raises(KernelFileError, match="cannot be read"):
        mine.reload()
    assert mine.kernels == ["relu_forward"]


def test_a_file_may_have_the_name_of_a_package(tmp_path):
    path = tmp_path / "numpy.py"
    path.write_text(RIGHT, "utf-8")
    assert KernelFile(path).kernels == ["relu_forward"]
    assert sys.modules["numpy"] is np
