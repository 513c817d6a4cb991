"""Pictures of how the gradient flows: to each layer in training, and to each pixel of an image."""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from ..core.types import Array
from ..inspection import attribution
from ..inspection.trace import LayerTrace, Trace
from ..sequential import Sequential
from ._checks import (
    GREY,
    IMAGE,
    PALETTE,
    RED,
    Narrowed,
    axes_or_new,
    legend_beside,
    panels_of,
    place,
    points,
    shown,
)
from ._inside import backdrop, check_model, image_shape, one_image, traced

_RESULT = "result"
#: The marker and colour of the result, which has the colour of the text, and of each parameter. All parameters with
#: other names, such as those of the user's own layers, share the last entry.
_LOOKS = {
    _RESULT: ("o", None),
    "kernel": ("s", PALETTE[0]),
    "bias": ("^", PALETTE[4]),
    "gamma": ("D", PALETTE[1]),
    "beta": ("v", PALETTE[3]),
    "": ("P", PALETTE[2]),
}


def gradient_flow(trace_or_model: Any, x: Any = None, y: Any = None, ax: Any = None, figsize: Any = None) -> Axes:
    """Draw how large the gradients are in each layer, from the first at the top to the last.

    The line shows the gradient of the loss with respect to each layer's result. The marks beside it show the gradients
    with respect to the layer's parameters. All are root mean squares (rms) on a logarithmic axis: if the line falls by
    powers of ten towards the first layer, the gradient vanishes; if it rises, the gradient explodes.

    Parameters
    ----------
    trace_or_model : Trace or Sequential
        The result of ``model.trace(x, y)``; or a compiled model, which is traced now. Its gradients stay as they are.
    x, y : array
        If a model is given, a batch as ``fit`` takes it.
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
    trace = _with_gradients(trace_or_model, x, y)
    ax = axes_or_new(place(ax, figsize), 6.4, 1.6 + 0.24 * len(trace))
    if _flow(ax, trace, _range([trace])):
        legend_beside(ax, "gradient by", points(8))
    return ax


def gradient_flows(traces: Any, ax: Any = None, figsize: Any = None) -> Array:
    """Draw the gradient flows of several networks, or of one at several times, side by side on the same scale.

    Parameters
    ----------
    traces : mapping of str to Trace
        The results of ``model.trace(x, y)`` by name: ``{"sigmoid": first.trace(x, y), "relu": second.trace(x, y)}``.
    ax : Axes, sequence of Axes, or Figure, optional
        Axes for each panel, or single Axes, which are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (P,) array of Axes
        A panel for each trace, drawn as by :func:`gradient_flow`.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    if not isinstance(traces, Mapping) or not traces:
        raise ValueError(f"traces must be a mapping of names to traces, such as {{'relu': trace}}; got {shown(traces)}")
    for name, trace in traces.items():
        if not isinstance(trace, Trace) or trace.loss is None or not len(trace):
            raise ValueError(f"traces[{name!r}] must be a trace with labels, model.trace(x, y); got {shown(trace)}")
    longest = max(map(len, traces.values()))
    panels = panels_of(place(ax, figsize), len(traces), 4.6, 1.6 + 0.24 * longest)
    limits = _range(traces.values())
    drawn = [_flow(panel, trace, limits) for panel, trace in zip(panels, traces.values(), strict=True)]
    for panel, (name, trace) in zip(panels, traces.items(), strict=True):
        panel.set_title(f"{name}, loss {trace.loss:.4g}")
    for panel, before, trace in zip(panels[1:], traces.values(), list(traces.values())[1:], strict=False):
        # The same layers have the same rows, and names may be long.
        panel.tick_params(labelleft=[entry.name for entry in before] != [entry.name for entry in trace])
    if any(drawn):
        # The legend names what is drawn in any of the panels.
        pairs = [zip(*panel.get_legend_handles_labels(), strict=True) for panel in panels]
        handles = {label: line for pair in pairs for line, label in pair}
        legend_beside(panels[-1], "gradient by", points(8), handles=handles)
    return panels


def _range(traces: Iterable[Trace]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis on which all gradients of traces have room.

    Such an axis has no place for zero, and no axis has one for NaN, so both are drawn at its left end.
    """
    numbers = np.array([value for trace in traces for entry in trace for value in _rms_by_name(entry).values()])
    fine = numbers[np.isfinite(numbers) & (numbers > 0)]
    return (fine.min() / 10, fine.max() * 3) if fine.size else (0.1, 10.0)


def _flow(ax: Axes, trace: Trace, limits: tuple[float, float]) -> bool:
    """Draw the gradients of a trace on an axis with these ends, and return whether a legend has anything to name."""
    values = [_rms_by_name(entry) for entry in trace]
    low, high = limits
    rows = range(len(values))
    line = np.array([by_name[_RESULT] for by_name in values])
    line[~(line > 0)] = np.nan
    ax.plot(line, rows, color=GREY, linewidth=1, zorder=1)
    labelled: set[str] = set()
    for row, by_name in zip(rows, values, strict=True):
        for name, value in by_name.items():
            marker, colour = _LOOKS.get(name, _LOOKS[""])
            label = name if name in _LOOKS else "other parameters"
            colour = colour or mpl.rcParams["text.color"]  # so that it is not black on a black background
            fine = np.isfinite(value) and value > 0
            ax.plot(
                value if fine else low,
                row,
                marker,
                color=colour if fine else RED,
                fillstyle="full" if fine else "none",
                markersize=5,
                linestyle="none",
                label="_" if label in labelled or not fine else label,
                clip_on=False,
            )
            if fine:
                labelled.add(label)
        bad = [f"{name}: {'0' if value == 0 else value}" for name, value in by_name.items() if not 0 < value < np.inf]
        if bad:
            ax.text(low * (high / low) ** 0.02, row, ", ".join(bad), va="center", fontsize=points(7), color=RED)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.set_yticks(rows, [entry.name for entry in trace], fontsize=points(8))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(title=f"Gradient flow, loss {trace.loss:.4g}", xlabel="rms of the gradient of the loss (logarithmic)")
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    return bool(labelled)


def saliency(model: Any, image: Any, label: Any = None, ax: Any = None, figsize: Any = None) -> Array:
    """Draw which pixels the score of a class depends on: the image, and beside it ``|d score / d pixel|``.

    The score is the input of the final softmax. If a pixel has several channels, the largest value is drawn. The
    network runs as in inference, without dropout and with the moving statistics of batch normalisation. Source:
    Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks: visualising image classification models and
    saliency maps", 2013, section 3.

    Parameters
    ----------
    model : Sequential
    image : (H, W, C), (1, H, W, C) or, with one channel, (H, W) array
        One image as the model takes it.
    label : int, optional
        The class; by default the one with the highest score. A network that gives a number, as in a regression, has
        none: its score is that number.
    ax : Axes, sequence of two Axes, or Figure, optional
        Single Axes are divided. An empty Figure gets new Axes, like a new figure.
    figsize : (float, float), optional
        The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
        that, and otherwise what the picture needs.

    Returns
    -------
    (2,) array of Axes
        The Axes of the image and those of the map, whose numbers are ``axes[1].images[0].get_array()``.

    Raises
    ------
    ValueError
        If an argument is not valid; the message names it.
    """
    model = check_model(model)
    image_shape(model)
    x = one_image(model, image)
    strength, chosen, is_highest = attribution.saliency(model, x, label)

    left, right = panels_of(place(ax, figsize), 2, 3.6, 3.6, right=points(0.75))
    left.imshow(backdrop(x), **IMAGE)
    left.set_title("Image", fontsize=points(10))
    drawn = right.imshow(strength, **IMAGE, cmap="magma", vmin=0, vmax=float(strength.max()) or 1.0)
    which = "the network's number" if chosen is None else f"class {chosen}" + (" (highest score)" if is_highest else "")
    right.set_title(f"Saliency for {which}", fontsize=points(10))
    bar = right.inset_axes((1.04, 0, 0.05, 1))
    if not isinstance(ax, Axes):  # the parts of single Axes leave this room already
        wide = points(0.75) * right.figure.dpi
        Narrowed(right, right=lambda _: wide)
    right.figure.colorbar(drawn, cax=bar)
    bar.tick_params(labelsize=points(8))
    bar.set_ylabel(f"|d {'number' if chosen is None else 'score'} / d pixel|", fontsize=points(8))
    for panel in (left, right):
        panel.set_xticks([])
        panel.set_yticks([])
    return np.array([left, right])


def _with_gradients(trace_or_model: Any, x: Any, y: Any) -> Trace:
    """Return the trace that is given, or the trace of the model that is given; it has to hold gradients."""
    if isinstance(trace_or_model, Sequential):
        model = check_model(trace_or_model, "trace_or_model")
        for name, value in (("x", x), ("y", y)):
            if value is None:
                raise ValueError(f"{name} must be given with a model: gradient_flow(model, x, y)")
        if not model.compiled:
            raise ValueError(f"trace_or_model must be compiled, because gradients need a loss; {model.name} is not")
    trace = traced(trace_or_model, x, y)
    if trace.loss is None or not len(trace):
        raise ValueError("trace_or_model must hold gradients; trace with labels: model.trace(x, y)")
    return trace


def _rms_by_name(entry: LayerTrace) -> dict[str, float]:
    """Return the root mean square of each gradient of a layer."""
    arrays: Iterable[tuple[str, Any]] = [(_RESULT, entry.dy), *entry.gradients.items()]
    return {name: float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) for name, array in arrays}
