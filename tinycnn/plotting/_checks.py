"""What the plotting functions share: checks of arguments, the palette, and figures for when none is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import metrics
from ..core.checks import any_array, integer
from ..core.messages import shown
from ..core.types import Array

#: The pictures accept the same arguments as the metrics.
labels, probabilities, as_array = metrics.class_numbers, metrics.probabilities, any_array
#: The palette of Okabe & Ito without its yellow, which is too light for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
#: The colour of mistakes, which always have a mark as well.
RED = "#C1121F"
GREY = "#555555"
#: Arguments of ``imshow`` that put the first row at the top and keep pixels as they are, whatever style is in use.
IMAGE: dict[str, Any] = {"origin": "upper", "interpolation": "nearest"}


def axes_or_new(ax: Any, width: float, height: float) -> Axes:
    """Return the given Axes, or new ones of this size in inches, in the given empty Figure or in a new one."""
    if ax is None or isinstance(ax, Figure):
        return new_axes(ax, 1, width, height)[0]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be matplotlib Axes or an empty Figure; got {type(ax).__name__}")
    return ax


def new_axes(figure: Figure | None, count: int, width: float, height: float) -> Array:
    """Return Axes side by side in the given empty Figure or in a new one, which gets this size in inches."""
    if figure is None:
        # Figures of pyplot are found by plt.show(). The import is late because it chooses a backend.
        from matplotlib import pyplot as plt

        figure = plt.figure()
    if figure.axes:
        raise ValueError(f"ax must be Axes or an empty Figure; this Figure already holds {len(figure.axes)} Axes")
    figure.set_size_inches(width, height)
    figure.set_layout_engine("constrained")
    return figure.subplots(1, count, squeeze=False)[0]


def inches_of(ax: Axes) -> tuple[float, float]:
    """Return the present width and height of Axes in inches; a layout engine may still change them a little."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def panels_of(ax: Any, count: int, width: float = 4, height: float = 3.2, right: float = 0) -> Array:
    """Return Axes for panels side by side: new ones of this size in inches, those given, or parts of the one given.

    The parts leave room between them for numbers and labels, and ``right`` inches for what is beside the last panel.
    """
    if ax is None or isinstance(ax, Figure):
        return new_axes(ax, count, width * count, height)
    if isinstance(ax, Axes):
        if count == 1:
            return np.array([ax])
        ax.set_axis_off()
        inches, _ = inches_of(ax)
        gap, free = min(0.75 / inches, 0.25), min(right / inches, 0.25)
        share = (1 - free - gap * (count - 1)) / count
        return np.array([ax.inset_axes(((share + gap) * panel, 0, share, 1)) for panel in range(count)])
    if not isinstance(ax, Sequence | np.ndarray) or _is_single(ax) or len(ax) != count:
        raise ValueError(f"ax must be Axes, or a sequence of {count}, one for each panel; got {shown(ax)}")
    return np.array([axes_or_new(panel, 0, 0) for panel in ax])


def legend_beside(ax: Axes, title: str | None = None, size: Any = "small", left: float = 1.02) -> None:
    """Put a legend to the right of Axes, so that it hides nothing in them."""
    ax.legend(
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(left, 1),
        borderaxespad=0,
        fontsize=size,
        title=title,
        title_fontsize=size,
        alignment="left",
    )


def whole_count(value: Any, name: str = "count") -> int:
    """Return a whole number of at least 1; raise ValueError for anything else."""
    try:
        return integer(value, name)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _is_single(value: Any) -> bool:
    """Return whether a value is an array without axes, which has no length."""
    return isinstance(value, np.ndarray) and value.ndim == 0


def same_length(**arrays: Array) -> None:
    """Raise ValueError unless all arrays have the same number of rows."""
    for name, array in arrays.items():
        if np.ndim(array) == 0:
            raise ValueError(f"{name} must be an array with a row for each sample; got {shown(array)}")
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} has {len(array)}" for name, array in arrays.items())
        raise ValueError(f"{' and '.join(arrays)} must have the same length; {lengths}")


def names_of(class_names: Sequence[str] | None, classes: int) -> list[str]:
    """Return a name for each class: the given one, or the number of the class."""
    if class_names is None:
        return [str(number) for number in range(classes)]
    if isinstance(class_names, str | bytes) or not isinstance(class_names, Sequence | np.ndarray):
        raise ValueError(f"class_names must be a sequence of names; got {shown(class_names)}")
    if (isinstance(class_names, np.ndarray) and class_names.ndim != 1) or len(class_names) < classes:
        raise ValueError(f"class_names must be a sequence of at least {classes} names; got {shown(class_names)}")
    return [str(name) for name in class_names]


def images(x: Any, name: str = "x") -> Array:
    """Return RGB images (N, H, W, 3) in [0, 1] for images (N, H, W) or (N, H, W, 1 or 3) of bytes or of floats.

    If floats lie outside [0, 1], as in normalised images, all images are scaled together so that they fill [0, 1].
    """
    array = as_array(x, name)
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size or array.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must hold images, shape (N, H, W), (N, H, W, 1) or (N, H, W, 3); "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array.dtype == np.uint8:
        array = array / 255
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must hold finite numbers; it holds NaN or infinity")
    if low < 0 or high > 1:
        array = (array - low) / ((high - low) or 1)
    return np.broadcast_to(array, (*array.shape[:3], 3))
