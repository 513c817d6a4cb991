"""Pictures of the images themselves, with what the network says about them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..core.checks import choice
from ..core.types import Array
from ._checks import GREY, RED, as_array, axes_or_new, images, labels, names_of, place, points, same_length, whole_count
from ._checks import probabilities as checked_probabilities
from ._sheet import CHARACTER, LINE, WIDTH, Sheet, room


class _Caption(NamedTuple):
    """The text below an image, and whether the prediction is wrong."""

    text: str
    wrong: bool = False


def predictions(
    x: Any,
    y_true: Any,
    probabilities: Any,
    which: str = "best",
    class_names: Sequence[str] | None = None,
    count: int | None = None,
    ax: Any = None,
    figsize: Any = None,
) -> Axes:
    """Draw images with what was predicted for them.

    Parameters
    ----------
    x : (N, H, W), (N, H, W, 1) or (N, H, W, 3) array
        The images, as bytes or as floats in [0, 1].
    y_true : (N,) or (N, 1) integers
    probabilities : (N, classes) array
        The result of ``predict``.
    which : {"best", "worst", "first_100"}
        The images to draw: those of the correct predictions, or of the wrong ones, of which the network is most
        certain; or the first hundred images in their order, 10 × 10, with mistakes red, framed and marked ✗.
    class_names : sequence of str, optional
    count : int, optional
        The largest number of images; by default 10, or 100 for ``first_100``.
    ax : Axes or empty Figure, optional
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    which = choice(which, ("best", "worst", "first_100"), "which")
    x, y_true, p = as_array(x, "x"), labels(y_true, "y_true"), checked_probabilities(probabilities, "probabilities")
    same_length(x=x, y_true=y_true, probabilities=p)
    names = names_of(class_names, max(p.shape[1], int(y_true.max()) + 1))
    count = (100 if which == "first_100" else 10) if count is None else whole_count(count)
    predicted, sure = p.argmax(axis=1), p.max(axis=1)
    wrong = predicted != y_true
    if which == "first_100":
        chosen = np.arange(min(count, len(x)))
        title = f"First {len(chosen)} images: {wrong[chosen].sum()} wrong (red, framed, ✗)"
    else:
        candidates = np.flatnonzero(wrong if which == "worst" else ~wrong)
        # The sort is stable, so that among equally certain predictions the first ones are drawn.
        chosen = candidates[np.argsort(-sure[candidates], kind="stable")][:count]
        kind = "wrong" if which == "worst" else "correct"
        title = f"Most confidently {kind} ({len(candidates):,} of {len(x):,} images are {kind})"

    correction = "✗ {} (is {})" if max(map(len, names)) <= 2 else "✗ {}\nis {}"

    def caption(image: int) -> _Caption:
        said, true = names[predicted[image]], names[y_true[image]]
        if which == "first_100":
            return _Caption(correction.format(said, true), wrong=True) if wrong[image] else _Caption(said)
        if wrong[image]:
            return _Caption(f"true: {true}\n✗ {said}, {sure[image]:.2%}", wrong=True)
        return _Caption(f"{said}\n{sure[image]:.2%}")

    ax = place(ax, figsize)
    # Where there is less room, fewer images stand side by side, so that their captions stay legible.
    columns = 10 if which == "first_100" else max(2, min(5, int(room(ax)[0] / 1.2)))
    return _grid(x, [(image, caption(image)) for image in chosen.tolist()], columns, title, ax)


def samples_per_class(
    x: Any,
    y: Any,
    class_names: Sequence[str] | None = None,
    count: int = 10,
    ax: Any = None,
    figsize: Any = None,
) -> Axes:
    """Draw the first images of each class, one row for each class.

    Parameters
    ----------
    x : (N, H, W), (N, H, W, 1) or (N, H, W, 3) array
        The images, as bytes or as floats in [0, 1].
    y : (N,) or (N, 1) integers
    class_names : sequence of str, optional
    count : int
        The largest number of images in a row.
    ax : Axes or empty Figure, optional
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    x, y, count = as_array(x, "x"), labels(y, "y"), whole_count(count)
    same_length(x=x, y=y)
    names = names_of(class_names, int(y.max()) + 1)
    rows = [np.flatnonzero(y == number)[:count] for number in range(len(names))]
    cells = [(image, row, column) for row, chosen in enumerate(rows) for column, image in enumerate(chosen)]
    shown = images(x[[image for image, _, _ in cells]])
    ax = place(ax, figsize)
    left = max(map(len, names)) * points(9) * CHARACTER
    sheet = Sheet.of(shown, len(names), max(5, *map(len, rows)), left=left, ax=ax)
    ax = sheet.draw(shown, [cell[1:] for cell in cells], ax)
    for row, name in enumerate(names):
        ax.text(
            -0.07 * sheet.left,
            sheet.corner(row, 0)[1] + sheet.height / 2,
            name,
            ha="right",
            va="center",
            fontsize=points(9),
        )
    sheet.title(ax, "Images of each class")
    return ax


def _grid(x: Array, cells: list[tuple[int, _Caption]], columns: int, title: str, ax: Any) -> Axes:
    """Draw images row by row, each with its caption below it."""
    if not cells:
        ax = axes_or_new(ax, WIDTH, 1.2)
        ax.set_axis_off()
        ax.text(0.5, 0.5, "none", ha="center", va="center", color=GREY, transform=ax.transAxes)
        ax.set_title(title)
        return ax
    shown = images(x[[image for image, _ in cells]])
    lines = [caption.text.split("\n") for _, caption in cells]
    longest = max(len(line) for caption in lines for line in caption)
    most = max(map(len, lines))
    rows = -(-len(cells) // columns)
    wide, high = room(ax)
    # The captions are as large as their neighbours leave room for, and take at most two fifths of the height.
    size = min(
        points(9 if columns <= 5 else 7), wide / columns / (longest * CHARACTER), 0.4 * high / rows / (most * LINE)
    )
    sheet = Sheet.of(shown, rows, columns, below=most * size * LINE, ax=ax)
    size = min(size, sheet.across / sheet.inch / (longest * CHARACTER))
    positions = [divmod(cell, columns) for cell in range(len(cells))]
    ax = sheet.draw(shown, positions, ax)
    for (_, caption), (row, column) in zip(cells, positions, strict=True):
        left, top = sheet.corner(row, column)
        ax.text(
            left + sheet.width / 2,
            top + 1.04 * sheet.height,
            caption.text,
            ha="center",
            va="top",
            fontsize=size,
            color=RED if caption.wrong else "k",
        )
        if caption.wrong:
            frame = Rectangle((left, top), sheet.width, sheet.height, fill=False, edgecolor=RED, linewidth=2)
            frame.set_clip_on(False)
            ax.add_patch(frame)
    sheet.title(ax, title)
    return ax
