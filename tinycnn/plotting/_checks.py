"""What the plotting functions share: checks of arguments, the palette, sizes, and figures for when none is given."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, ScaledTranslation

from .. import metrics
from ..core.checks import any_array, integer, real
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


class Place(NamedTuple):
    """Where a new picture is drawn: an empty Figure or, if there is none, a new one; and its size, if one was given."""

    figure: Figure | None
    size: tuple[float, float] | None


def place(ax: Any, figsize: Any = None) -> Any:
    """Return Axes as they are given, and a Place if a picture is to be drawn into a Figure of its own.

    The size is ``figsize``, or that of the given Figure, or the user's ``rcParams["figure.figsize"]``. A size that is
    matplotlib's default counts as not given, and the picture then takes what it needs.
    """
    if figsize is not None:
        if ax is not None:
            raise ValueError("figsize must be left out if ax is given, because what is given has a size already")
        return Place(None, _inches(figsize))
    if ax is not None and not isinstance(ax, Figure):
        return ax
    width, height = mpl.rcParams["figure.figsize"] if ax is None else ax.get_size_inches()
    usual = np.allclose((width, height), mpl.rcParamsDefault["figure.figsize"])
    return Place(ax, None if usual else (float(width), float(height)))


def _inches(figsize: Any) -> tuple[float, float]:
    """Return a size as two numbers of inches; raise ValueError for anything else."""
    several = isinstance(figsize, Sequence | np.ndarray) and not isinstance(figsize, str | bytes)
    if not several or _is_single(figsize) or len(figsize) != 2:
        raise ValueError(f"figsize must be (width, height) in inches; got {shown(figsize)}")
    try:
        width, height = (real(side, "figsize", above=0) for side in figsize)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return width, height


def points(size: float) -> float:
    """Return a size of text for figures whose usual text has 10 points, scaled to the user's ``font.size``."""
    return size * float(mpl.rcParams["font.size"]) / 10


def axes_or_new(ax: Any, width: float, height: float) -> Axes:
    """Return the given Axes, or new ones in a Place, of this size in inches unless the Place has one."""
    if isinstance(ax, Place):
        return new_axes(ax, 1, width, height)[0]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be matplotlib Axes or an empty Figure; got {type(ax).__name__}")
    return ax


def new_axes(place: Place, count: int, width: float, height: float) -> Array:
    """Return Axes side by side in a Place, whose figure gets this size in inches unless the Place has one."""
    figure = place.figure
    if figure is None:
        # Figures of pyplot are found by plt.show(). The import is late because it chooses a backend.
        from matplotlib import pyplot as plt

        figure = plt.figure()
    if figure.axes:
        raise ValueError(f"ax must be Axes or an empty Figure; this Figure already holds {len(figure.axes)} Axes")
    figure.set_size_inches(*(place.size or (width, height)))
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
    if isinstance(ax, Place):
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


class Narrowed:
    """An axes locator that keeps what stands beside or below Axes within their place, so that it hides no neighbour.

    A constrained layout measures what belongs to the Axes and moves the neighbours; everywhere else the Axes themselves
    become smaller.

    Parameters
    ----------
    ax : Axes
    right, below : callable
        The functions that return how many pixels to keep free, for a renderer.
    """

    def __init__(
        self, ax: Axes, right: Callable[[Any], float] | None = None, below: Callable[[Any], float] | None = None
    ) -> None:
        self._ax, self._right, self._below = ax, right, below
        self._before: Any = ax.get_axes_locator()
        locator: Any = self
        ax.set_axes_locator(locator)

    def __call__(self, ax: Axes, renderer: Any) -> Bbox:
        box = self._before(ax, renderer) if self._before else ax.get_position(original=True)
        figure: Any = ax.get_figure(root=True)
        engine = figure.get_layout_engine()
        if engine is not None and not engine.adjust_compatible:  # a constrained layout, also while it is being saved
            return box
        right, below = (of(renderer) if of else 0.0 for of in (self._right, self._below))
        # At least half of the place remains for the picture itself.
        right, below = min(right / figure.bbox.width, box.width / 2), min(below / figure.bbox.height, box.height / 2)
        return Bbox.from_extents(box.x0, box.y0 + below, box.x1 - right, box.y1)

    def get_subplotspec(self) -> Any:
        """Return the Axes' place in a grid, which ``tight_layout`` asks for."""
        return self._ax.get_subplotspec()


def legend_beside(
    ax: Axes,
    title: str | None = None,
    size: Any = "small",
    left: float = 1.02,
    handles: Mapping[str, Any] | None = None,
) -> None:
    """Put a legend to the right of Axes, so that it hides nothing in them, and no neighbour.

    ``handles`` holds what the legend names, by name; by default it is what the Axes contain.
    """
    again = ax.get_legend() is not None
    ax.legend(
        *((list(handles.values()), list(handles)) if handles is not None else ()),
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(left, 1),
        borderaxespad=0,
        fontsize=size,
        title=title,
        title_fontsize=size,
        alignment="left",
    )
    if not again:
        Narrowed(ax, right=lambda renderer: _legend_extent(ax, renderer).width + (left - 1) * ax.bbox.width)


def legend_below(ax: Axes, names: Sequence[str]) -> None:
    """Put a legend below the label of the horizontal axis, in as many columns as the Axes have room for."""
    size = points(8)
    wide = inches_of(ax)[0] / ((max(map(len, names)) + 5) * size * 0.62 / 72)
    down = -3.6 * float(mpl.rcParams["font.size"]) / 72  # the numbers and the label of the axis
    ax.legend(
        frameon=False,
        fontsize=size,
        ncols=min(len(names), max(1, int(wide))),
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes + ScaledTranslation(0, down, ax.figure.dpi_scale_trans),
        borderaxespad=0,
    )
    Narrowed(ax, below=lambda renderer: _legend_extent(ax, renderer).height)


def _legend_extent(ax: Axes, renderer: Any) -> Bbox:
    """Return the box of a legend in pixels, empty if the legend has been removed."""
    legend = ax.get_legend()
    return Bbox([[0, 0], [0, 0]]) if legend is None else legend.get_window_extent(renderer)


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
