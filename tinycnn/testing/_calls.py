"""Call a layer's forward and backward for a check, and check first what they return."""

from typing import Any

import numpy as np

from ..core.messages import shown
from ..core.types import Array
from ..core.workspace import Workspace
from ..layers.base import Layer
from ..layers.own import LayerReturnError


def outcome(layer: Layer, x: Array, *, training: bool, step: int = 0, ws: Workspace | None = None) -> tuple[Array, Any]:
    """Return the result and the cache of ``forward``; raise AssertionError if it returned anything else."""
    try:
        found = layer.forward(x, training=training, step=step, ws=ws)
    except LayerReturnError as error:
        raise AssertionError(str(error)) from error
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], np.ndarray)):
        raise AssertionError(
            f"{layer.label}: forward must return two things, the result and the cache (None if training is False); "
            f"got {shown(found)}"
        )
    expected = (len(x), *layer.built_output_shape)
    if found[0].shape != expected:
        raise AssertionError(f"{layer.label}: output_shape says {expected}, but forward returned {found[0].shape}")
    return found


def gradient_of_input(layer: Layer, dy: Array, cache: Any, *, ws: Workspace | None = None) -> Array:
    """Return the result of ``backward``; raise AssertionError if it is not an array."""
    try:
        dx = layer.backward(dy, cache, ws=ws)
    except LayerReturnError as error:
        raise AssertionError(str(error)) from error
    if not isinstance(dx, np.ndarray):
        raise AssertionError(f"{layer.label}: backward must return dx, an array; got {shown(dx)}")
    return dx
