"""The smallest case that fails, as a network of one convolution, so that its right result can be followed on a page."""

from typing import Any

import numpy as np

from ..course.exercise import Case

#: What a case has to have, so that it is a convolution.
_NEEDED = {"x", "w", "b", "stride", "pad"}


def is_convolution(case: Case | None) -> bool:
    """Return whether a case is one of a convolution's forward pass."""
    return case is not None and case.arguments.keys() == _NEEDED


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


def place_text(place: tuple[int, ...]) -> str:
    """Return where on the page an element of y is."""
    n, i, j, f = place
    return f"image {n}, layer conv2d, row {i}, column {j}, filter {f}"
