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
    return source.replace(function, head + quotes + changed).replace(
        "import numpy as np\n", "import numpy as np\n\nKEPT = {}\n", 1
    )


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


_TAKEN = "cols[:, :, :, p, q] = xpad[:, rows, columns]"
_ADDED = "xpad[:, rows, columns] += taps[:, :, :, p, q]"
_MATRIX = "return cols.reshape(N * OH * OW, KH * KW * C)"
_BOTH = "rows, columns = slice(p, p + stride * OH, stride), slice(q, q + stride * OW, stride)"
_APART = "rows, columns = slice(p, p + OH), slice(q, q + OW)"
_PRODUCT = "cols @ w.reshape(KH * KW * C, F) + b"

CHAPTER02 = (
    _one(
        "chapter02",
        "im2col",
        "channels before taps",
        _MATRIX,
        "return cols.transpose(0, 1, 2, 5, 3, 4).reshape(N * OH * OW, KH * KW * C)",
        "(axis C)",
    ),
    _one(
        "chapter02",
        "im2col",
        "taps transposed",
        _MATRIX,
        "return cols.swapaxes(3, 4).reshape(N * OH * OW, KH * KW * C)",
        "KH and KW",
    ),
    _one(
        "chapter02",
        "im2col",
        "positions transposed",
        _MATRIX,
        "return cols.swapaxes(1, 2).reshape(N * OH * OW, KH * KW * C)",
        "OH and OW",
    ),
    _one("chapter02", "im2col", "matrix transposed", "    " + _MATRIX, "    " + _MATRIX + ".T", "matrix transposed"),
    _one(
        "chapter02",
        "im2col",
        "images last",
        _MATRIX,
        "return np.moveaxis(cols, 0, 2).reshape(N * OH * OW, KH * KW * C)",
        "axis N",
    ),
    _one("chapter02", "im2col", "stride forgotten", _BOTH, _APART, "stride missing"),
    _one(
        "chapter02",
        "im2col",
        "return in the loop",
        _TAKEN,
        f"{_TAKEN}\n            {_MATRIX}",
        "return inside the loop",
    ),
    _one(
        "chapter02",
        "im2col",
        "last row of windows missing",
        "    " + _MATRIX,
        "    cols[:, -1] = 0\n    " + _MATRIX,
        "axis OH",
    ),
    _one(
        "chapter02", "im2col", "flipped", "cols[:, :, :, p, q]", "cols[:, :, :, KH - 1 - p, KW - 1 - q]", "taps flipped"
    ),
    _one("chapter02", "im2col", "six axes returned", _MATRIX, "return cols", "(N*OH*OW, KH*KW*C)"),
    _one("chapter02", "im2col", "float32", "KH, KW, C), x.dtype", "KH, KW, C), np.float32", "float32"),
    _one("chapter02", "conv2d_im2col", "bias forgotten", " + b", "", "bias left out"),
    _one(
        "chapter02",
        "conv2d_im2col",
        "weights reshaped the wrong way",
        _PRODUCT,
        "cols @ w.reshape(F, KH * KW * C).T + b",
        "w.reshape(KH * KW * C, F)",
    ),
    _one(
        "chapter02",
        "conv2d_im2col",
        "result not reshaped",
        "return y.reshape(N, OH, OW, F)",
        "return y",
        "(N, OH, OW, F)",
    ),
    _one(
        "chapter02",
        "conv2d_im2col",
        "result transposed",
        "y.reshape(N, OH, OW, F)",
        "y.reshape(N, OW, OH, F).swapaxes(1, 2)",
        "conv2d_im2col",
    ),
    _one("chapter02", "col2im", "overwrites", "+= taps", "= taps", "overwrite"),
    _one(
        "chapter02",
        "col2im",
        "pads left on",
        "return xpad[:, pad : pad + H, pad : pad + W]",
        "return xpad",
        "pads not cut off",
    ),
    _one(
        "chapter02",
        "col2im",
        "pads cut off on one side",
        "pad : pad + H, pad : pad + W",
        ":H, :W",
        "bottom and right only",
    ),
    _one("chapter02", "col2im", "stride forgotten", _BOTH, _APART, "stride missing"),
    _one(
        "chapter02",
        "col2im",
        "channels before taps",
        "cols.reshape(N, OH, OW, KH, KW, C)",
        "np.moveaxis(cols.reshape(N, OH, OW, C, KH, KW), 3, 5)",
        "(axis C)",
    ),
    _one(
        "chapter02",
        "col2im",
        "return in the loop",
        _ADDED,
        f"{_ADDED}\n            return xpad[:, pad : pad + H, pad : pad + W]",
        "return inside the loop",
    ),
    _one(
        "chapter02",
        "col2im",
        "input changed in place",
        _ADDED,
        f"taps *= 1.5\n            {_ADDED}",
        "argument cols in place",
    ),
    Planted(
        "chapter02",
        "counterexample",
        "one channel",
        (("reshape(1, 1, 2, 2)", "reshape(1, 1, 4, 1)"), ("reshape(1, 2, 2, 1)", "reshape(1, 4, 1, 1)")),
        "no counterexample",
    ),
)

_SUM = "dy.sum(axis=(0, 1, 2))"
_DW = "dw[p, q] = met.T @ dy.reshape(-1, F)"
_DX = "dxpad[:, rows, columns] += dy @ w[p, q].T"
_CUT = "return dxpad[:, pad : pad + H, pad : pad + W]"

CHAPTER03 = (
    _one("chapter03", "conv2d_db", "of one sample", _SUM, "dy[0].sum(axis=(0, 1))", "first image only"),
    _one("chapter03", "conv2d_db", "over the batch only", _SUM, "dy.sum(axis=0)", "(axis N) only"),
    _one("chapter03", "conv2d_db", "mean", _SUM, "dy.mean(axis=(0, 1, 2))", "Is it a mean?"),
    _one("chapter03", "conv2d_db", "mean of the batch", _SUM, _SUM + " / len(dy)", "mean over N"),
    _one("chapter03", "conv2d_db", "one number", _SUM, "dy.sum()", "must return an array (F)"),
    _one("chapter03", "conv2d_db", "last row missing", _SUM, "dy[:, :-1].sum(axis=(0, 1, 2))", "axis OH"),
    Planted(
        "chapter03",
        "conv2d_dw",
        "accumulated from call to call",
        (
            ("= np.zeros((KH, KW, C, F), dy.dtype)", "= KEPT.setdefault((KH, KW, C, F), np.zeros((KH, KW, C, F)))"),
            ("] = met", "] += met"),
        ),
        "kept from call to call",
    ),
    _one(
        "chapter03",
        "conv2d_dw",
        "of the last image",
        _DW,
        "met = met.reshape(-1, OH * OW, C)\n            dw[p, q] = met[-1].T @ dy[-1].reshape(-1, F)",
        "last image",
    ),
    _one("chapter03", "conv2d_dw", "flipped", "dw[p, q] =", "dw[KH - 1 - p, KW - 1 - q] =", "flipped"),
    _one("chapter03", "conv2d_dw", "mean of the batch", "    return dw", "    return dw / len(x)", "divided by N"),
    _one("chapter03", "conv2d_dw", "stride forgotten", _BOTH, _APART, "stride missing"),
    _one(
        "chapter03",
        "conv2d_dw",
        "padding on one side only",
        "(pad, pad), (pad, pad)",
        "(0, 2 * pad), (0, 2 * pad)",
        "one side only",
    ),
    _one(
        "chapter03", "conv2d_dw", "return in the loop", _DW, f"{_DW}\n            return dw", "return inside the loop"
    ),
    _one(
        "chapter03",
        "conv2d_dw",
        "channels and filters swapped",
        "    return dw",
        "    return dw.swapaxes(2, 3)",
        "C and F",
    ),
    _one("chapter03", "conv2d_dw", "taps transposed", "    return dw", "    return dw.swapaxes(0, 1)", "KH and KW"),
    _one("chapter03", "conv2d_dx", "overwrites", "+= dy", "= dy", "overwrite"),
    _one("chapter03", "conv2d_dx", "kernel flipped", "w[p, q].T", "w[KH - 1 - p, KW - 1 - q].T", "kernel flipped"),
    _one("chapter03", "conv2d_dx", "kernel not transposed", "w[p, q].T", "w[p, q]", "C and F"),
    _one("chapter03", "conv2d_dx", "stride forgotten", _BOTH, _APART, "stride missing"),
    _one("chapter03", "conv2d_dx", "pads left on", _CUT, "return dxpad", "pads not cut off"),
    _one(
        "chapter03",
        "conv2d_dx",
        "pads cut off on one side",
        "pad : pad + H, pad : pad + W",
        ":H, :W",
        "bottom and right only",
    ),
    _one(
        "chapter03",
        "conv2d_dx",
        "last row of dy missing",
        _DX,
        "dy = dy.copy()\n            dy[:, -1] = 0\n            " + _DX,
        "axis OH",
    ),
    _one("chapter03", "conv2d_dx", "return in the loop", _DX, f"{_DX}\n            {_CUT}", "return inside the loop"),
    _one(
        "chapter03", "conv2d_dx", "input changed in place", _DX, f"dy *= 1.5\n            {_DX}", "argument dy in place"
    ),
    _one("chapter03", "conv2d_dx", "float32", "C), dy.dtype", "C), np.float32", "float32"),
    _one("chapter03", "counterexample", "windows do not overlap", "1, 3, 1, 0", "1, 4, 2, 0", "no counterexample"),
)

PLANTED = CHAPTER01 + CHAPTER02 + CHAPTER03
