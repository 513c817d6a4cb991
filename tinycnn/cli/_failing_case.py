"""The smallest case that fails, as a network of one layer that runs on the learner's function, for the page."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..course.exercise import Case

#: What a case of a convolution has, and one of a pooling.
_CONVOLUTION, _POOLING = {"x", "w", "b", "stride", "pad"}, {"x", "KH", "KW", "stride", "pad"}
#: The learner's functions of poolings, and the kernels whose places they take.
_POOLINGS = {"max_pool2d": "max_pool2d_forward", "average_pool2d": "average_pool2d_forward"}


def can_be_shown(name: str, case: Case | None) -> bool:
    """Return whether a case of a function is one of a layer that the page has.

    Pads of a pooling are no zeros, so they cannot be put around the image before; such a case is not shown.
    """
    if case is None:
        return False
    is_pooling = name in _POOLINGS and case.arguments.keys() == _POOLING and case.arguments["pad"] == 0
    return is_pooling or case.arguments.keys() == _CONVOLUTION


def session_of(path: Path, name: str, case: Case) -> Any:
    """Return what the page shows: the case, as a network that runs on the learner's function of this name.

    Raises
    ------
    ValueError
        If the file cannot be loaded.
    """
    from ..explore.mine import KernelFile
    from ..explore.session import Session

    def adapted(module: ModuleType) -> Any:
        function = getattr(module, name)
        if name in _POOLINGS:
            return SimpleNamespace(__file__=module.__file__, **{_POOLINGS[name]: _pooling(function)})
        return SimpleNamespace(__file__=module.__file__, conv2d_forward=_convolution(function, case))

    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, as when the file is graded
    return Session(*network_of(name, case), KernelFile(path, adapted))


def _convolution(function: Any, case: Case) -> Any:
    """Return a kernel that calls the learner's function as the case does, so that the pads are its own."""
    stride, pad = case.arguments["stride"], case.arguments["pad"]

    def conv2d_forward(
        x: Any, w: Any, b: Any, strides: Any, pads: Any, dilation: Any, groups: Any, algorithm: str = "auto"
    ) -> Any:
        rows, columns = slice(pad, x.shape[1] - pad), slice(pad, x.shape[2] - pad)
        return function(x[:, rows, columns].copy(), w.copy(), b.copy(), stride, pad)

    return conv2d_forward


def _pooling(function: Any) -> Any:
    """Return a kernel that calls the learner's function; the engine keeps the winners in a byte each."""

    def pool2d_forward(x: Any, pool_size: Any, strides: Any, pads: Any) -> Any:
        found = function(x.copy(), *pool_size, strides[0], pads[0])
        return (found[0], found[1].astype(np.uint8)) if isinstance(found, tuple) else found

    return pool2d_forward


def network_of(name: str, case: Case) -> tuple[Any, Any]:
    """Return a built network of one layer, and its images: those of the case, with the pads around them."""
    import tinycnn

    from .. import explore, layers

    x, stride, pad = (case.arguments[key] for key in ("x", "stride", "pad"))
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    layer: Any
    if name in _POOLINGS:
        kind = layers.MaxPooling2D if name == "max_pool2d" else layers.AveragePooling2D
        layer = kind((case.arguments["KH"], case.arguments["KW"]), strides=stride, name=name)
    else:
        w = case.arguments["w"]
        layer = layers.Conv2D(w.shape[3], w.shape[:2], strides=stride, name="conv2d")
    with tinycnn.use_backend("reference"):
        model = tinycnn.Sequential([layer, layers.Flatten()], name="failing_case", dtype="float64")
        model.build(x.shape[1:])
    if name not in _POOLINGS:
        model.set_weights([case.arguments["w"], case.arguments["b"]])
    labels = np.zeros(len(x), np.int64)
    names = tuple(f"number {index}" for index in range(int(np.prod(model.output_shape))))
    return model, explore.Data("the case", names, x, labels, x, labels)


def where(place: tuple[int, ...]) -> str:
    """Return the part of the page's address that selects an element of y."""
    n, i, j, f = place
    return f"image=test-{n}&layer=0&at={i},{j},{f}"


def place_text(place: tuple[int, ...]) -> str:
    """Return where on the page an element of y is."""
    n, i, j, f = place
    return f"image {n}, row {i}, column {j}, channel {f} of the result"
