"""The few functions of Keras's backend that programs for small networks call."""

from typing import Any, NoReturn

import numpy as np

from ..core.checks import choice
from ..core.public import listing
from ..core.types import Array
from ._missing_backend import BACKEND as _MISSING
from ._telling import looked_up, not_here, not_so, told

_TRANSPOSE = "images are (N, H, W, C) here: transpose them with x.transpose(0, 2, 3, 1), and leave this call out"


def backend() -> str:
    """Return what runs: ``"tinycnn"``."""
    return "tinycnn"


def image_data_format() -> str:
    """Return ``"channels_last"``: images are (N, H, W, C)."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accept ``"channels_last"``, which is so anyway."""
    if choice(data_format, ("channels_first", "channels_last"), "data_format") == "channels_first":
        raise not_so("set_image_data_format", "data_format", data_format, _TRANSPOSE)


def image_dim_ordering() -> str:
    """Return ``"tf"``, Keras 1's word for channels last."""
    return "tf"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Accept ``"tf"``, Keras 1's word for channels last, which is so anyway."""
    if choice(dim_ordering, ("tf", "th"), "dim_ordering") == "th":
        raise not_so("set_image_dim_ordering", "dim_ordering", dim_ordering, _TRANSPOSE)


def floatx() -> str:
    """Return the dtype of models, ``"float32"``."""
    return "float32"


def set_floatx(floatx: str) -> None:
    """Accept ``"float32"``, which is so anyway."""
    if floatx != "float32":
        raise not_so("set_floatx", "floatx", floatx, "write Sequential(dtype='float64')")


def epsilon() -> float:
    """Return the small number that keeps logarithms and divisions finite."""
    return 1e-7


def clear_session(free_memory: bool = True) -> None:
    """Do nothing: a model is freed as soon as no variable holds it."""


reset_uids = clear_session


def set_session(session: Any) -> None:
    """Do nothing: there are no sessions."""
    told("set_session has no effect: tinycnn has no sessions")


def get_value(x: Any) -> Array:
    """Return a number or an array as an array of NumPy's."""
    return np.asarray(x)


eval = get_value


def set_epsilon(value: Any) -> NoReturn:
    """Raise an error: the number is fixed."""
    raise not_here("backend.set_epsilon", "give the layer or the optimizer its epsilon")


__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "eval",
    "floatx",
    "get_value",
    "image_data_format",
    "image_dim_ordering",
    "reset_uids",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_image_dim_ordering",
    "set_session",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
