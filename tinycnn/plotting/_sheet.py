"""Draw many small images as one array with captions in between; a hundred Axes would take seconds."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ..core.types import Array
from ._checks import IMAGE, Place, axes_or_new, inches_of, points

#: Measures of a new picture in inches: its width, the height of its title, and its margin.
WIDTH, TITLE, MARGIN = 8.0, 0.36, 0.06
#: The height and width of a character in inches, for each point of its size.
LINE, CHARACTER = 1.25 / 72, 0.62 / 72
#: The height in inches of a colour bar with its numbers and label, below the images.
BAR = 0.62
#: From blue through white to red (ColorBrewer's RdBu); distinguishable in every common kind of colour blindness.
DIVERGING = "RdBu_r"
#: The gap between images, as a share of an image's width.
_GAP = 0.16


def room(ax: Any) -> tuple[float, float]:
    """Return the width and height in inches that images may take; a picture without a given size has any height."""
    if isinstance(ax, Place):
        width, height = ax.size or (WIDTH, math.inf)
        return max(width - 2 * MARGIN, width / 2), max(height - points(TITLE) - MARGIN, height / 2)
    return inches_of(ax) if isinstance(ax, Axes) else (WIDTH - 2 * MARGIN, math.inf)


class Sheet(NamedTuple):
    """The layout of the images in a picture. All lengths are in pixels of the images.

    Attributes
    ----------
    height, width : int
        The size of an image.
    rows, columns : int
    down, across : int
        The distance from one image to the next.
    left, foot, side : float
        The room for text before the first column and below the last row, and the room to leave free on both sides.
    inch : float
        How many pixels make an inch.
    """

    height: int
    width: int
    rows: int
    columns: int
    down: int
    across: int
    left: float
    foot: float
    side: float
    inch: float

    @classmethod
    def of(
        cls,
        shown: Array,
        rows: int,
        columns: int,
        *,
        below: float = 0,
        left: float = 0,
        foot: float = 0,
        fewest: int = 1,
        ax: Any = None,
    ) -> "Sheet":
        """Lay out images of shape (N, H, W) or (N, H, W, 3).

        ``below``, ``left`` and ``foot`` are the inches for text below each image, to the left of all images, and at the
        foot of the picture. If ``ax`` is Axes, the images become so small that everything fits into them; the text
        takes at most three quarters of the width and height. Fewer than ``fewest`` columns are centred, and their
        images are no larger than those of ``fewest`` columns.
        """
        height, width = shown.shape[1:3]
        gap = math.ceil(_GAP * width)
        across = width + gap
        wide, high = room(ax)
        inch = max(
            (max(columns, fewest) * across - gap) / max(wide - left, wide / 4),
            rows * (height + gap) / max(high - foot - rows * below, high / 4),
        )
        down = height + gap + math.ceil(below * inch)
        side = max(0, fewest - columns) * across / 2
        return cls(height, width, rows, columns, down, across, left * inch, foot * inch, side, inch)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return the left and the top of an image."""
        return column * self.across, row * self.down

    def size(self) -> tuple[int, int]:
        """Return the height and width of all images, without a gap after the last column, which would be off centre."""
        return self.rows * self.down, (self.columns - 1) * self.across + self.width

    def draw(self, shown: Array, positions: Sequence[tuple[int, ...]], ax: Any, **style: Any) -> Axes:
        """Draw the images into one white array, in the given Axes or in a new figure of suitable height.

        Images (N, H, W, 3) hold colours. Images (N, H, W) hold numbers; the arguments ``style`` of ``imshow`` give
        these their colours.
        """
        height, width = self.size()
        blank = 1.0 if shown.ndim == 4 else np.nan
        canvas = np.full((height, width, *shown.shape[3:]), blank)
        for image, (row, column) in zip(shown, positions, strict=True):
            left, top = self.corner(row, column)
            canvas[top : top + self.height, left : left + self.width] = image
        if not isinstance(ax, Axes):
            inside, inches = room(ax)
            if inches == math.inf:
                inches = inside * (height + self.foot) / (width + self.left + 2 * self.side)
            ax = axes_or_new(ax, WIDTH, inches + points(TITLE) + MARGIN)
            # The position is set here because a layout engine does not know how high the images' aspect makes the Axes.
            ax.figure.set_layout_engine("none")
            wide, high = ax.figure.get_size_inches()
            ax.set_position(((wide - inside) / 2 / wide, min(MARGIN, high / 4) / high, inside / wide, inches / high))
        ax.imshow(canvas, **IMAGE, extent=(0, width, height, 0), **style)
        ax.set_xlim(-self.left - self.side, width + self.side)
        ax.set_ylim(height + self.foot, 0)
        ax.set_axis_off()
        return ax

    def title(self, ax: Axes, text: str, **style: Any) -> None:
        """Write the title, small enough for the picture's width, because there may be other Axes beside it."""
        title = ax.set_title(text, **style)
        wide = (self.size()[1] + self.left + 2 * self.side) / self.inch
        title.set_fontsize(min(title.get_fontsize(), wide / (len(text) * CHARACTER)))

    def colour_bar(self, ax: Axes, label: str) -> None:
        """Draw a colour bar at the foot, which shows what the colours of the numbers mean."""
        total = self.size()[0] + self.foot
        # The bar's numbers and label come below it.
        bar = ax.inset_axes((0.25, points(0.42) * self.inch / total, 0.5, 0.12 * self.inch / total))
        ax.figure.colorbar(ax.images[0], cax=bar, orientation="horizontal")
        bar.tick_params(labelsize=points(8))
        bar.set_xlabel(label, fontsize=points(8))
