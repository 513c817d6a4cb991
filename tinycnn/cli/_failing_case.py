"""The smallest case that fails, as a network of one convolution that runs on the learner's function, for the page."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..course.exercise import Case

#: What a case has to have, so that it is a convolution.
_NEEDED = {"x", "w", "b", "stride", "pad"}


def is_convolution(case: Case | None) -> bool:
    """Return whether a case is one of a convolution's forward pass."""
    return case is not None and case.arguments.keys() == _NEEDED


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
        return SimpleNamespace(__file__=module.__file__, conv2d_forward=_kernel(getattr(module, name), case))

    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, as when the file is graded
    return Session(*network_of(case), KernelFile(path, adapted))


def _kernel(function: Any, case: Case) -> Any:
    """Return a kernel that calls the learner's function as the case does, so that the pads are its own."""
    stride, pad = case.arguments["stride"], case.arguments["pad"]

    def conv2d_forward(
        x: Any, w: Any, b: Any, strides: Any, pads: Any, dilation: Any, groups: Any, algorithm: str = "auto"
    ) -> Any:
        rows, columns = slice(pad, x.shape[1] - pad), slice(pad, x.shape[2] - pad)
        return function(x[:, rows, columns].copy(), w.copy(), b.copy(), stride, pad)

    return conv2d_forward


def network_of(case: Case) -> tuple[Any, Any]:
    """Return a built network of one convolution, and its images: those of the case, with the pads around them."""
    import tinycnn

    from .. import explore, layers

    x, w, b, stride, pad = case.arguments.values()
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    convolution = layers.Conv2D(w.shape[3], w.shape[:2], strides=stride, name="conv2d")
    with tinycnn.use_backend("reference"):
        model = tinycnn.Sequential([convolution, layers.Flatten()], name="failing_case", dtype="float64")
        model.build(x.shape[1:])
    model.set_weights([w, b])
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
    return f"image {n}, layer conv2d, row {i}, column {j}, filter {f}"
