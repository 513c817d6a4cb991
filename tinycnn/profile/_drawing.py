"""Draw the result of a measurement as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from ..plotting._checks import GREY, PALETTE, axes_or_new, legend_beside, place, points
from ._entry import Entry, pass_texts


def draw(entries: Sequence[Entry], others: Mapping[str, float], title: str, ax: Any, figsize: Any) -> Axes:
    """Draw two bars for each step of the plan, forward above backward, and one for each other part of the step.

    Parameters
    ----------
    entries : sequence of Entry
    others : mapping of str to float
        The seconds of the parts that are no steps of the plan, by name.
    title : str
    ax : Axes or empty Figure, or None
    figsize : (float, float) or None
        The size of a new figure in inches.
    """
    # The hatching distinguishes the directions as well, so that nobody depends on the colour.
    forward = {"label": "forward", "color": PALETTE[0], "edgecolor": PALETTE[0]}
    backward = {"label": "backward", "color": "white", "edgecolor": PALETTE[1], "hatch": "//////"}
    bars: list[tuple[float, float, str, dict[str, Any]]] = []  # position, seconds, text beside the bar, style
    for row, entry in enumerate(entries):
        for position, one, style in ((row - 0.2, entry.forward, forward), (row + 0.2, entry.backward, backward)):
            if one is not None:
                bars.append((position, one.seconds, pass_texts(one, entry.unit)[1].replace("—", ""), style))
    for row, seconds in enumerate(others.values(), len(entries)):
        bars.append((row, seconds, "", {"color": GREY, "edgecolor": GREY}))

    names = [entry.name.replace(" + ", "\n+ ") for entry in entries] + list(others)
    ax = axes_or_new(place(ax, figsize), 7.2, 1.1 + 0.44 * len(names))
    longest = 1000 * max(seconds for _, seconds, _, _ in bars)
    for position, seconds, text, style in bars:
        ax.barh(position, 1000 * seconds, height=0.36, linewidth=0.8, **style)
        ax.text(1000 * seconds + 0.01 * longest, position, text, va="center", fontsize=points(8))
    ax.set_yticks(range(len(names)), names, fontsize=points(9))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.22 * longest)  # leaves room for the text beside the longest bar
    ax.set_xlabel("milliseconds of a training step; beside each bar the speed")
    ax.set_title(title, fontsize=points(9), loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    handles, labels = ax.get_legend_handles_labels()
    legend_beside(ax, handles=dict(zip(labels, handles, strict=True)))
    return ax
