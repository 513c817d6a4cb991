"""Errors of beginners, planted in the solutions: edits of the source, and words that the grader's message must have."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[2]))

from tinycnn.course import chapters, grading
from tinycnn.course.grading import Outcome

SOLUTIONS = Path(__file__).parents[2] / "tinycnn" / "course" / "solutions"


class Planted(NamedTuple):
    """An error: where it is, what it is, the edits that make it, and what the grader has to say."""

    chapter: str
    exercise: str
    what: str
    #: Pairs of a text that is in the function's source once, and what takes its place.
    edits: tuple[tuple[str, str], ...]
    #: It must be in the message.
    says: str

    @property
    def name(self) -> str:
        return f"{self.chapter}-{self.exercise}-{self.what}".replace(" ", "_")


def planted_in(source: str, error: Planted) -> str:
    """Return the source of a solution with an error."""
    start = source.index(f"def {error.exercise}(")
    end = source.find("\n\n\ndef ", start)
    function = source[start : None if end < 0 else end]
    head, quotes, body = function.rpartition('"""')
    changed = body
    for old, new in error.edits:
        assert changed.count(old) == 1, f"{error.name}: {old!r} is there {changed.count(old)} times"
        changed = changed.replace(old, new)
    return source.replace(function, head + quotes + changed)


def graded(error: Planted, seed: int = 0) -> tuple[Outcome, float]:
    """Return the outcome of the exercise with the error, and the seconds that it took."""
    chapter = chapters.chapter(error.chapter)
    only = tuple(exercise for exercise in chapter.exercises if exercise.name == error.exercise)
    assert only, f"{error.chapter} has no exercise {error.exercise}"
    source = planted_in((SOLUTIONS / f"{error.chapter}.py").read_text("utf-8"), error)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{error.chapter}.py"
        path.write_text(source, "utf-8")
        begun = time.monotonic()
        report = grading.grade(chapter._replace(exercises=only), path, seed)
        seconds = time.monotonic() - begun
    return report.outcomes[0], seconds


def _one(chapter: str, exercise: str, what: str, old: str, new: str, says: str) -> Planted:
    return Planted(chapter, exercise, what, ((old, new),), says)


_SIZE = "return (length + 2 * pad - kernel) // stride + 1"
_PLACED = "padded[:, pad : pad + H, pad : pad + W] = x"
_LOOP = "            y += xpad[:, rows, columns] @ w[p, q]"
_ROWS = "rows = slice(p, p + stride * (OH - 1) + 1, stride)"

CHAPTER01 = (
    _one("chapter01", "output_size", "stride forgotten", " // stride", "", "stride left out"),
    _one("chapter01", "output_size", "first position forgotten", " + 1", "", "first position forgotten"),
    _one("chapter01", "output_size", "pad at one end", "2 * pad", "pad", "at one end only"),
    _one("chapter01", "output_size", "true division", "//", "/", "use //"),
    _one(
        "chapter01",
        "output_size",
        "rounded up",
        _SIZE,
        "return -(-(length + 2 * pad - kernel) // stride) + 1",
        "rounded up",
    ),
    _one(
        "chapter01",
        "pad_image",
        "top and left only",
        "H + 2 * pad, W + 2 * pad",
        "H + pad, W + pad",
        "bottom and the right",
    ),
    _one(
        "chapter01", "pad_image", "image in the corner", _PLACED, "padded[:, :H, :W] = x", "at the bottom and the right"
    ),
    _one("chapter01", "pad_image", "image not copied", _PLACED, "", "missing from the padded array"),
    _one("chapter01", "pad_image", "float32", "x.dtype", "np.float32", "returns the result as float32"),
    _one("chapter01", "conv2d", "kernel flipped", "w[p, q]", "w[KH - 1 - p, KW - 1 - q]", "kernel flipped"),
    _one("chapter01", "conv2d", "axes of the kernel swapped", "w[p, q]", "w[q, p]", "axes KH and KW"),
    _one(
        "chapter01",
        "conv2d",
        "stride forgotten in the slices",
        _ROWS,
        "rows = slice(p, p + OH)",
        "from the rows (axis H)",
    ),
    _one("chapter01", "conv2d", "bias forgotten", " + b", "", "bias left out"),
    _one(
        "chapter01",
        "conv2d",
        "bias for each tap",
        _LOOP,
        _LOOP + " + (b if p or q else 0)",
        "bias added once for each tap",
    ),
    _one("chapter01", "conv2d", "bias of the first filter", " + b", " + b[0]", "first filter's bias"),
    _one(
        "chapter01", "conv2d", "return in the loop", _LOOP, f"{_LOOP}\n            return y", "return inside the loop"
    ),
    _one("chapter01", "conv2d", "return in the outer loop", _LOOP, f"{_LOOP}\n        return y", "first row of taps"),
    _one("chapter01", "conv2d", "overwrites", "y +=", "y[...] =", "overwrite"),
    _one("chapter01", "conv2d", "last row missing", "    return y", "    y[:, -1] = 0\n    return y", "axis OH"),
    _one(
        "chapter01",
        "conv2d",
        "only the first image",
        _LOOP,
        _LOOP.replace("y +=", "y[:1] +=").replace("xpad[:,", "xpad[:1,"),
        "first image",
    ),
    _one(
        "chapter01",
        "conv2d",
        "only the first channel",
        _LOOP,
        "            y += xpad[:, rows, columns, :1] @ w[p, q, :1]",
        "first channel",
    ),
    _one("chapter01", "conv2d", "float32", "x.dtype) + b", "np.float32) + b.astype(np.float32)", "float32"),
    _one(
        "chapter01", "conv2d", "input changed in place", _LOOP, "            x *= 1.5\n" + _LOOP, "argument x in place"
    ),
    _one("chapter01", "conv2d", "pad forgotten", "xpad = pad_image(x, pad)", "xpad, pad = x, 0", "pad left out"),
    _one(
        "chapter01",
        "conv2d",
        "wrong axes of the result",
        "    return y",
        "    return y.transpose(0, 2, 1, 3)",
        "OH and OW",
    ),
    _one("chapter01", "conv2d", "endless loop", _LOOP, "            while True: pass", "does not end"),
    _one("chapter01", "conv2d", "index out of the image", "w[p, q]", "w[p + 1, q]", "IndexError in line"),
    _one(
        "chapter01",
        "counterexample",
        "no counterexample",
        "return x, w, np.zeros(1), 2, 0",
        "return x, w, np.zeros(1), 1, 0",
        "no counterexample",
    ),
)

PLANTED = CHAPTER01
