"""A picture of a model: its layers in a row, as ``plot_model`` draws it."""

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..core.checks import choice
from ..core.files import write_whole
from ..core.messages import shown
from ..sequential import Sequential

#: Measures in inches: the height of a line of text, and the gap between two layers.
_LINE, _GAP = 0.19, 0.28
#: The width of a box for each character of its longest line, and beside the text.
_CHARACTER, _BESIDE = 0.085, 0.3


def draw(model: Any, path: Path, rankdir: str, dpi: int, **shows: bool) -> None:
    """Write the picture to a file, whole or not at all."""
    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a Sequential; got {shown(model)}")
    formats = FigureCanvasAgg.get_supported_filetypes()
    kind = path.suffix.lower().removeprefix(".")
    if kind not in formats:
        raise ValueError(f"to_file must end in .png, .pdf or .svg; got {path.name!r}")
    across = choice(rankdir, ("tb", "lr"), "rankdir") == "lr"
    boxes = _texts(model, shows)
    sizes = [(_BESIDE + _CHARACTER * max(map(len, lines)), _LINE * (len(lines) + 1)) for lines in boxes]
    widths, heights = zip(*sizes, strict=True)
    gaps = _GAP * (len(boxes) + 1)
    width = sum(widths) + gaps if across else max(widths) + 2 * _GAP
    height = max(heights) + 2 * _GAP if across else sum(heights) + gaps
    figure = Figure(figsize=(width, height), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    place, before = _GAP, None
    for lines, (wide, high) in zip(boxes, sizes, strict=True):
        middle = (place + wide / 2, height / 2) if across else (width / 2, place + high / 2)
        near = (place, middle[1]) if across else (middle[0], place)
        if before is not None:
            axes.annotate("", xy=near, xytext=before, arrowprops={"arrowstyle": "-|>", "color": "0.3"})
        axes.add_patch(_box(middle, wide, high))
        axes.text(middle[0], middle[1], "\n".join(lines), ha="center", va="center", fontsize=9)
        before = (place + wide, middle[1]) if across else (middle[0], place + high)
        place += (wide if across else high) + _GAP
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=dpi)
    write_whole(path, content.getvalue())


def _box(middle: tuple[float, float], wide: float, high: float) -> Any:
    from matplotlib.patches import FancyBboxPatch

    corner = middle[0] - wide / 2, middle[1] - high / 2
    return FancyBboxPatch(corner, wide, high, "round,pad=0,rounding_size=0.06", facecolor="#eef3fa", edgecolor="0.3")


def _texts(model: Sequential, shows: dict[str, bool]) -> list[list[str]]:
    """Return the lines in the box of the input, if its shape is known, and of each layer."""
    texts = [["Input", str((None, *model.input_shape))]] if model.built else [["Input"]]
    for layer in model.layers:
        kind = type(layer).__name__
        lines = [f"{layer.name} ({kind})" if shows["names"] else kind]
        activation = getattr(layer, "activation", None)
        if shows["activations"] and activation is not None:
            lines.append(f"activation: {activation.name}")
        if shows["shapes"] and layer.built:
            lines.append(str((None, *layer.built_output_shape)))
        if shows["trainable"] and not layer.trainable:
            lines.append("frozen")
        texts.append(lines)
    return texts
