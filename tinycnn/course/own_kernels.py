"""The learner's functions of chapters 2 to 6 as kernels, so that a network runs on them.

The course's functions have short signatures: one stride and one pad for all sides. Here they are given what a layer
asks of a kernel, and whatever they cannot do is refused. A dense layer is a convolution of images of one pixel.
"""

import ast
import importlib
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array, Shape
from ..kernels.geometry import Window, argmax_dtype
from . import child

__all__ = ["FUNCTIONS", "OwnFunction", "OwnFunctionError", "gathered", "kernels", "solutions"]

#: The functions that a network needs, and the chapters in which they are written.
FUNCTIONS = {
    "conv2d_im2col": "chapter02",
    "conv2d_db": "chapter03",
    "conv2d_dw": "chapter03",
    "conv2d_dx": "chapter03",
    "max_pool2d": "chapter04",
    "max_pool2d_dx": "chapter04",
    "relu": "chapter05",
    "relu_dx": "chapter05",
    "softmax": "chapter06",
    "cross_entropy": "chapter06",
    "cross_entropy_dlogits": "chapter06",
}
_CHAPTERS = sorted(set(FUNCTIONS.values()))


class OwnFunctionError(Exception):
    """A learner's function raised an error or returned what does not fit; the message says which, where and what."""


class OwnFunction(NamedTuple):
    """A function of the course.

    Attributes
    ----------
    name : str
    path : Path or None
        The learner's file; None if the function comes from the solutions.
    function : callable
    """

    name: str
    path: Path | None
    function: Callable[..., Any]

    def call(self, *arguments: Any) -> Any:
        """Call the function; an error that it raises becomes an ``OwnFunctionError``."""
        try:
            return self.function(*arguments)
        except (Exception, SystemExit) as error:
            raise OwnFunctionError(f"{self.name} {_in_words(error, self.path)}") from error

    def array(self, shape: Shape, *arguments: Any) -> Array:
        """Call the function, and return its array of this shape and of the first argument's dtype."""
        return self.checked(self.call(*arguments), shape, arguments[0].dtype)

    def checked(self, returned: Any, shape: Shape, dtype: np.dtype) -> Array:
        """Return an array that was returned, or raise an ``OwnFunctionError`` if it does not fit."""
        if not isinstance(returned, Array):
            raise OwnFunctionError(
                f"{self.name} returned {type(returned).__name__}; an array of shape {shape} is right"
            )
        kinds = "iu" if dtype.kind == "i" else dtype.kind
        if returned.shape != shape or returned.dtype.kind not in kinds:
            got = f"an array of {returned.dtype} with the shape {returned.shape}"
            raise OwnFunctionError(f"{self.name} returned {got}; {dtype} with the shape {shape} is right")
        return returned.astype(dtype, copy=False)


def solutions() -> dict[str, OwnFunction]:
    """Return the solutions' functions by their names."""
    modules = {name: importlib.import_module(f".solutions.{name}", __package__) for name in _CHAPTERS}
    return {name: OwnFunction(name, None, getattr(modules[FUNCTIONS[name]], name)) for name in FUNCTIONS}


def gathered(folder: Path) -> dict[str, OwnFunction]:
    """Return the functions of a learner's folder by their names; what is not written yet comes from the solutions.

    The files are executed, in this process.

    Raises
    ------
    OwnFunctionError
        If a file cannot be read or loaded.
    """
    found, folder = solutions(), folder.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last, as when a file is graded
    for chapter in _CHAPTERS:
        path = folder / f"{chapter}.py"
        if not path.is_file():
            continue
        try:
            source = path.read_bytes()
            module = child.loaded(str(path), source)
        except (Exception, SystemExit) as error:
            raise OwnFunctionError(f"{path.name} {_in_words(error, path)}") from error
        unwritten = _unwritten(source)
        for name in FUNCTIONS:
            function = getattr(module, name, None)
            if FUNCTIONS[name] == chapter and callable(function) and name not in unwritten:
                found[name] = OwnFunction(name, path, function)
    return found


def _unwritten(source: bytes) -> set[str]:
    """Return the names of the functions that are as ``tinycnn course start`` wrote them."""
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and ast.unparse(node.body[-1]) == "raise NotImplementedError"
    }


def _in_words(error: BaseException, path: Path | None) -> str:
    """Return an error as a sentence, with the line of the learner's file in which it arose."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    where = f" in line {lines[-1]} of {path.name}" if lines and path is not None else ""
    message = str(error)[:400]
    if "read-only" in message:
        message += "; a function must not change its arguments, so work on a copy"
    return f"raises {type(error).__name__}{where}{': ' if message else ''}{message}"


def kernels(functions: Mapping[str, OwnFunction]) -> Any:
    """Return an object with kernels that call these functions, as :func:`tinycnn.use_backend` takes it."""
    conv, conv_db, conv_dw, conv_dx, pool, pool_dx, relu, relu_dx, softmax, losses, dlogits = (
        functions[name] for name in FUNCTIONS
    )

    def conv2d_forward(
        x: Array, w: Array, b: Array | None, strides: Any, pads: Any, dilation: Any, groups: Any
    ) -> Array:
        stride, pad = _one_of_each(strides, pads, dilation, groups)
        OH, OW = Window(w.shape[:2], strides, pads).output_size(x.shape[1:3])
        bias = np.zeros(w.shape[3], w.dtype) if b is None else b
        return conv.array((len(x), OH, OW, w.shape[3]), x, w, bias, stride, pad)

    def conv2d_backward_input(
        dy: Array, w: Array, input_size: Any, strides: Any, pads: Any, dilation: Any, groups: Any
    ) -> Array:
        stride, pad = _one_of_each(strides, pads, dilation, groups)
        return conv_dx.array((len(dy), *input_size, w.shape[2]), dy, w, *input_size, stride, pad)

    def conv2d_backward_weights(
        dy: Array, x: Array, kernel_size: Any, strides: Any, pads: Any, dilation: Any, groups: Any
    ) -> tuple[Array, Array]:
        stride, pad = _one_of_each(strides, pads, dilation, groups)
        C, F = x.shape[3], dy.shape[3]
        return conv_dw.array((*kernel_size, C, F), dy, x, *kernel_size, stride, pad), conv_db.array((F,), dy)

    def max_pool2d_forward(x: Array, pool_size: Any, strides: Any, pads: Any) -> tuple[Array, Array]:
        returned = pool.call(x, *pool_size, *_one_of_each(strides, pads))
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise OwnFunctionError(f"{pool.name} must return 2 results, (y, argmax)")
        shape = (len(x), *Window(pool_size, strides, pads).output_size(x.shape[1:3]), x.shape[3])
        y, argmax = pool.checked(returned[0], shape, x.dtype), pool.checked(returned[1], shape, np.dtype(np.int64))
        return y, argmax.astype(argmax_dtype(pool_size))

    def max_pool2d_backward(
        dy: Array, argmax: Array, input_size: Any, pool_size: Any, strides: Any, pads: Any
    ) -> Array:
        shape, sizes = (len(dy), *input_size, dy.shape[3]), (*input_size, *pool_size, *_one_of_each(strides, pads))
        return pool_dx.array(shape, dy, argmax.astype(np.int64), *sizes)

    # A dense layer: every sample is an image of one pixel, and the kernel has one tap.
    def dense_forward(x: Array, w: Array, b: Array | None) -> Array:
        return conv2d_forward(x[:, None, None], w[None, None], b, (1, 1), (0,) * 4, (1, 1), 1)[:, 0, 0]

    def dense_backward_input(dy: Array, w: Array) -> Array:
        return conv2d_backward_input(dy[:, None, None], w[None, None], (1, 1), (1, 1), (0,) * 4, (1, 1), 1)[:, 0, 0]

    def dense_backward_weights(dy: Array, x: Array) -> tuple[Array, Array]:
        pixels = (dy[:, None, None], x[:, None, None])
        dw, db = conv2d_backward_weights(*pixels, (1, 1), (1, 1), (0,) * 4, (1, 1), 1)
        return dw[0, 0], db

    def relu_forward(x: Array) -> Array:
        return relu.array(x.shape, x)

    def relu_backward(dy: Array, y: Array) -> Array:
        return relu_dx.array(y.shape, dy, y)

    def softmax_forward(x: Array) -> Array:
        return softmax.array(x.shape, x)

    def softmax_cross_entropy_forward(logits: Array, labels: Array) -> tuple[Array, Array]:
        return losses.array(labels.shape, logits, labels), softmax.array(logits.shape, logits)

    def softmax_cross_entropy_backward(p: Array, labels: Array, weights: Array) -> Array:
        return dlogits.array(p.shape, weights, p, labels)

    return SimpleNamespace(
        conv2d_forward=conv2d_forward,
        conv2d_backward_input=conv2d_backward_input,
        conv2d_backward_weights=conv2d_backward_weights,
        max_pool2d_forward=max_pool2d_forward,
        max_pool2d_backward=max_pool2d_backward,
        dense_forward=dense_forward,
        dense_backward_input=dense_backward_input,
        dense_backward_weights=dense_backward_weights,
        relu_forward=relu_forward,
        relu_backward=relu_backward,
        softmax_forward=softmax_forward,
        softmax_cross_entropy_forward=softmax_cross_entropy_forward,
        softmax_cross_entropy_backward=softmax_cross_entropy_backward,
    )


def _one_of_each(strides: Any, pads: Any, dilation: Any = (1, 1), groups: int = 1) -> tuple[int, int]:
    """Return the stride and the pad of a window that is treated alike in all directions, as the course's are."""
    if len(set(strides)) > 1 or len(set(pads)) > 1 or set(dilation) != {1} or groups != 1:
        raise ValueError(
            "the course's functions take one stride and one pad, no dilation and no groups; got the strides "
            f"{strides}, the pads {pads}, the dilation {dilation} and {groups} groups"
        )
    return strides[0], pads[0]
