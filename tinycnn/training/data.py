"""Checks and batches of what a user hands to fit, evaluate and predict."""

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.backend import Backend
from ..core.checks import array as checked_array
from ..core.checks import boolean
from ..core.types import Array, Shape
from ..core.version import PACKAGE
from ..core.workspace import Workspace
from ..layers import Rescaling

if TYPE_CHECKING:
    from ..sequential import Sequential


#: The ``check_finite`` of functions that have no such argument: x is checked, and no error recommends the argument.
_ALWAYS: Any = object()


def check_images(
    x: Any, input_shape: Shape, *, check_finite: bool = _ALWAYS, scaled: bool = False, name: str = "x"
) -> Array:
    """x as an array of numbers (N, \\*input_shape); it stays in its own dtype, batches are converted one by one.

    Raises
    ------
    TypeError
        If x does not hold numbers.
    ValueError
        If its shape is another, or it holds NaN or infinity (unless ``check_finite`` is False).

    Warns
    -----
    UserWarning
        For images that were not scaled, unless ``scaled`` says that the model does it: integers above 1, or floats
        that, among the first images, are whole numbers from 0 to 255.
    """
    if check_finite is not _ALWAYS:
        boolean(check_finite, "check_finite")
    array = checked_array(x, name)
    if array.shape[1:] != input_shape or array.ndim == 0:
        wanted = ", ".join(map(str, input_shape))
        raise ValueError(f"{name}: expected shape (N, {wanted}), got {array.shape}{_cure(array.shape, input_shape)}")
    if array.dtype.kind == "f" and check_finite and not _all_finite(array):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        cure = "" if check_finite is _ALWAYS else "; pass check_finite=False to let it through"
        raise ValueError(f"{name} holds {array[where]} at index {where}{cure}")
    found = None if scaled or not array.size else _unscaled(array)
    if found is not None:
        warnings.warn(
            f"{name} holds {found}; networks train badly on unscaled images: divide by 255 (x.astype('float32') / 255)",
            UserWarning,
            stacklevel=_level_of_caller(),
        )
    return array


def _unscaled(array: Array) -> str | None:
    """What an array of images that were not scaled holds, in words."""
    if array.dtype.kind in "iu":
        return f"integers up to {array.max()}" if array.max() > 1 else None
    first = array[:256]
    if array.dtype.kind == "f" and first.min() >= 0 and 2 < first.max() <= 255 and (first == np.trunc(first)).all():
        return f"numbers up to {first.max():g}"
    return None


def _level_of_caller() -> int:
    """The ``stacklevel`` with which the function that calls this one has a warning name the user's line."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def _cure(shape: Shape, input_shape: Shape) -> str:
    if (*shape[1:], 1) == input_shape:
        return "; add the channel axis: x[..., None]"
    if shape == input_shape:
        return "; add the batch axis: x[None]"
    if len(shape) == 4 and len(input_shape) == 3 and (shape[2], shape[3], shape[1]) == input_shape:
        return "; channels come last: x.transpose(0, 2, 3, 1)"
    return ""


def _all_finite(array: Array) -> bool:
    """In blocks, so that no boolean array as long as the data is made."""
    return all(np.isfinite(array[i : i + 1024]).all() for i in range(0, len(array), 1024))


def images_for(model: "Sequential", x: Any, check_finite: bool = _ALWAYS, name: str = "x") -> Array:
    """:func:`check_images` for a model; one that begins with ``Rescaling`` scales images itself."""
    scaled = isinstance(model.layers[0], Rescaling)
    return check_images(x, model.input_shape, check_finite=check_finite, scaled=scaled, name=name)


def checked_data(
    model: "Sequential", x: Any, y: Any, check_finite: bool = _ALWAYS, what: str = ""
) -> tuple[Array, Array]:
    """Images and targets as the model takes them, or an error that says what is wrong with them."""
    x = images_for(model, x, check_finite, f"{what}x")
    try:
        return x, model.loss.check_targets(y, len(x), model.output_shape)
    except (TypeError, ValueError) as error:
        if not what:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError  # a subclass may take other arguments
        raise kind(f"{what}{error}") from error


def take(x: Array, index: Array | slice, ws: Workspace, dtype: str, backend: Backend) -> Array:
    """The chosen samples as a C-ordered batch of ``dtype``, in the workspace."""
    chosen = x[index]
    batch = ws.keep("fit", "x", chosen.shape, dtype)
    if backend.on_device:
        batch[...] = chosen.astype(dtype, copy=False)
    else:
        np.copyto(batch, chosen, casting="unsafe")
    return batch
