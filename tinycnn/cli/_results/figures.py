"""Draw the figures from the records and the data sets, without any training."""

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ... import models, plotting
from ...core.types import Array
from ...layers import Conv2D
from ...plotting._checks import GREY, legend_beside
from .. import _data

Record = Mapping[str, Any]
Runs = Sequence[Record]

#: The resolution for pages that show a picture about 880 pixels wide.
DPI = 110
#: The resolution and the largest width in inches of narrow pictures, which are shown a little larger than they are.
FINE_DPI, NARROW = 220, 5.0
#: The size in bytes from which a picture counts as large.
LARGE = 120_000
_SMALL_PANELS = 4


@functools.cache
def data_of(name: str) -> _data.Data:
    """Return a data set, which is loaded only once."""
    return _data.load(name)


def png(figure: Figure) -> bytes:
    """Return the file of a figure; a large one, which holds colour images, is reduced to 256 colours."""
    buffer, small = io.BytesIO(), io.BytesIO()
    dpi = FINE_DPI if figure.get_figwidth() <= NARROW else DPI
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with Image.open(buffer) as opened:
        image = opened.convert("RGB")
    image.save(small, "PNG", optimize=True)
    if small.tell() > LARGE:
        small = io.BytesIO()
        image.quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def curves(runs: Runs) -> Figure:
    """Draw loss and accuracy by epoch for all runs of a network, with the document's values over them."""
    figure = Figure()
    panels = plotting.history(_histories(runs, ("loss", "accuracy", "val_loss", "val_accuracy")), figure)
    _document(panels[1], runs[0]["name"])
    _legend(panels[1])
    figure.suptitle(runs[0]["name"], fontsize=11)
    return figure


def overview(groups: Sequence[Runs]) -> Figure:
    """Draw the validation accuracy of several networks by epoch, in a small panel for each."""
    columns = min(_SMALL_PANELS, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(8 if columns > 1 else 5, 1.9 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, runs in zip(panels, groups, strict=False):
        plotting.history(_histories(runs, ("val_accuracy",)), [panel])
        _document(panel, runs[0]["name"])
        _begin_below_the_second_epoch(panel)
        panel.get_legend().remove()
        panel.set(title=runs[0]["name"], xlabel="", ylabel="")
        panel.title.set_fontsize(9)
        panel.tick_params(labelsize=7)
    handles: dict[str, Any] = {}
    for panel in panels[: len(groups)]:
        handles |= {text: handle for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)}
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    for panel in panels[max(0, len(groups) - columns) : len(groups)]:
        panel.set_xlabel("epoch", fontsize=9)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=3 if columns == 1 else 6,
        frameon=False,
        fontsize=8,
    )
    figure.supylabel("share of test images correct", fontsize=9)
    return figure


def _begin_below_the_second_epoch(panel: Any) -> None:
    """Limit the axis to the epochs from the second on, because one bad first epoch would flatten all other curves."""
    later = np.concatenate([line.get_ydata()[1:] for line in panel.get_lines()])
    if not later.size:
        return
    margin = np.ptp(later) / 20
    panel.set_ylim(max(panel.get_ylim()[0], later.min() - margin), later.max() + margin)


def per_class(runs: Runs) -> Figure:
    """Draw the mean accuracy of each class, beside the document's values."""
    data, recipe = _tested(runs[0]), models.recipe(runs[0]["name"])
    predicted = np.concatenate([_predicted(record) for record in runs])
    documented = recipe.documented.get("per_class_accuracy")
    compared = {"in the document": documented} if isinstance(documented, tuple) else None
    ax = plotting.per_class_accuracy(
        np.tile(data.y_test, len(runs)), predicted, data.class_names, Figure(), compared=compared
    )
    ax.set_title(f"{recipe.name}: accuracy by class")
    return _figure(ax)


def confusion(record: Record) -> Figure:
    """Draw the confusion matrix of one run."""
    data = _tested(record)
    ax = plotting.confusion_matrix(data.y_test, _predicted(record), data.class_names, Figure())
    ax.set_title(f"{record['name']}: test images of each class, by prediction")
    return _figure(ax)


def first_100(record: Record) -> Figure:
    """Draw the first 100 test images with the mistakes in red."""
    data = _tested(record)
    said = np.eye(len(data.class_names))[_predicted(record)[:100]]
    ax = plotting.predictions(data.x_test[:100], data.y_test[:100], said, "first_100", data.class_names, ax=Figure())
    ax.set_title(f"{record['name']}: {record['first_100_errors']} of the first 100 test images wrong (red, framed, ✗)")
    return _figure(ax)


def surest(record: Record, which: str) -> Figure:
    """Draw the correct answers ("best") or the mistakes ("worst") of which one run is most certain."""
    data, right = _tested(record), which == "best"
    shown = record["most_confident_correct" if right else "most_confident_wrong"]
    images = [entry["image"] for entry in shown]
    p = np.zeros((len(shown), len(data.class_names)))
    for row, entry in zip(p, shown, strict=True):
        row[entry["predicted"]] = entry["probability"]
    ax = plotting.predictions(data.x_test[images], data.y_test[images], p, which, data.class_names, ax=Figure())
    count = int((_predicted(record) == data.y_test).sum())
    kind, number = ("correct predictions", count) if right else ("mistakes", len(data.y_test) - count)
    ax.set_title(f"{record['name']}: the surest of {number:,} {kind}, with their probabilities")
    return _figure(ax)


def samples(name: str) -> Figure:
    """Draw test images of each class of a data set."""
    data = data_of(name)
    ax = plotting.samples_per_class(data.x_test, data.y_test, data.class_names, ax=Figure())
    ax.set_title(f"{data.title}: test images of each class")
    return _figure(ax)


def filters(record: Record) -> Figure:
    """Draw the filters of the first convolution after training."""
    model = models.build(record["name"])
    first = next(layer for layer in model.layers if isinstance(layer, Conv2D))
    first.params["kernel"].value[...] = np.array(record["first_layer_filters"], model.dtype)
    ax = plotting.filters(model, ax=Figure())
    ax.set_title(f"{record['name']}: {ax.get_title()}")
    return _figure(ax)


def golf(groups: Mapping[str, Runs], own: Sequence[str]) -> Figure:
    """Draw parameters against the mean accuracy of the last epoch, filled for our own networks."""
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    ax = figure.subplots()
    places = {}
    for name, runs in groups.items():
        size, error = runs[0]["params"], 100 * (1 - np.mean([record["last_val_accuracy"] for record in runs]))
        places[name] = size, error
        ours = name in own
        ax.plot(size, error, "o", markersize=7, color="C0" if ours else GREY, fillstyle="full" if ours else "none")
    ax.set(xscale="log", yscale="log", xlabel="parameters", ylabel="test images wrong in %, last epoch")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    ax.grid(alpha=0.3)
    figure.draw_without_rendering()  # it settles where points lie
    _name_points(ax, dict(sorted(places.items(), key=lambda item: item[0] not in own)), own)
    return figure


#: Where the name of a point may stand: how many points of type beside it, and which part of the name is there.
_BESIDE = [
    *((5, 3, "left", "bottom"), (5, -3, "left", "top"), (-5, 3, "right", "bottom"), (-5, -3, "right", "top")),
    *((7, 0, "left", "center"), (-7, 0, "right", "center"), (0, 6, "center", "bottom"), (0, -6, "center", "top")),
]
#: The same farther away, where a line leads to the point.
_AWAY = [
    *((14, 14, "left", "bottom"), (14, -14, "left", "top"), (-14, 14, "right", "bottom"), (-14, -14, "right", "top")),
    *((26, 22, "left", "bottom"), (26, -22, "left", "top"), (-26, 22, "right", "bottom"), (-26, -22, "right", "top")),
    *((0, 28, "center", "bottom"), (0, -28, "center", "top"), (40, 0, "left", "center"), (-40, 0, "right", "center")),
]
_RADIUS = 5  # of a point's circle, in points of type, with its line


def _name_points(ax: Any, places: Mapping[str, tuple[float, float]], own: Sequence[str]) -> None:
    """Write each point's name at the first place where it covers no other name and no point."""
    points = ax.transData.transform(list(places.values()))
    radius = _RADIUS * ax.figure.dpi / 72
    line = {"arrowstyle": "-", "lw": 0.5, "color": GREY}
    taken: list[Any] = []
    for index, (name, place) in enumerate(places.items()):
        tried = []
        for right, up, across, along in [*_BESIDE, *_AWAY]:
            away = (right, up, across, along) in _AWAY
            label = ax.annotate(
                *(name, place, (right, up)), textcoords="offset points", fontsize=8 if name in own else 6.5,
                ha=across, va=along, in_layout=False, arrowprops=line if away else None,
            )  # fmt: skip
            label.get_window_extent()  # it puts the name in its place, and with the line it is too large
            box = Text.get_window_extent(label)
            apart = np.hypot(*(np.clip(points, box.min, box.max) - points).T)
            outside = not (ax.bbox.contains(*box.min) and ax.bbox.contains(*box.max))
            # Beside another point, it would be taken for that one's name, unless a line leads to its own.
            beside = 0 if away else int((apart < 1.5 * apart[index]).sum()) - 1
            covered = box.count_overlaps(taken) + int((apart < radius).sum()) + beside + 10 * outside
            tried.append((covered, label, box))
        _, best, box = min(tried, key=lambda one: one[0])  # the first of equal ones
        taken.append(box)
        for _, label, _ in tried:
            if label is not best:
                label.remove()


def _histories(runs: Runs, keys: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return runs as ``plotting.history`` takes them, with NaN for null."""
    return {
        f"seed {record['seed']}": {key: [np.nan if v is None else v for v in record[key]] for key in keys}
        for record in runs
    }


def _document(panel: Any, name: str) -> None:
    """Draw the document's values: its accuracy of each epoch, or one accuracy as a line."""
    recipe = models.recipe(name)
    by_epoch = recipe.documented.get("val_accuracy_by_epoch")
    if isinstance(by_epoch, tuple):
        epochs = range(1, len(by_epoch) + 1)
        panel.plot(
            epochs, by_epoch, "x", color="k", markersize=7, markeredgewidth=1.6, label="document, each epoch", zorder=5
        )
    elif recipe.documented_accuracy is not None and name != "fashion_base":
        # The printed accuracy of fashion_base contradicts the accuracies of its classes, whose mean can be compared.
        both = [recipe.documented.get(f"{which}_val_accuracy") for which in ("best", "last")]
        for index, value in enumerate({value for value in both if value is not None} or {recipe.documented_accuracy}):
            label = None if index else "document's accuracy"
            panel.axhline(value, color=GREY, linestyle=":", linewidth=1.5, label=label)
    elif name == "fashion_base":
        classes = np.mean(recipe.documented["per_class_accuracy"])
        panel.axhline(classes, color=GREY, linestyle=":", linewidth=1.5, label="mean of the document's classes")


def _legend(panel: Any) -> None:
    """Draw the legend again, with what was drawn since."""
    legend_beside(panel, panel.get_legend().get_title().get_text() or None)


def _tested(record: Record) -> _data.Data:
    """Return the data set that a record was tested on."""
    data = data_of(models.recipe(record["name"]).data)
    if len(data.y_test) != len(record["predicted"]):
        raise ValueError(
            f"the record of {record['name']}, seed {record['seed']}, is of {len(record['predicted']):,} test images; "
            f"{data.title} has {len(data.y_test):,}"
        )
    return data


def _predicted(record: Record) -> Array:
    """Return the predicted class of each test image."""
    return np.array([int(digit) for digit in record["predicted"]])


def _figure(ax: Any) -> Figure:
    """Return the figure of Axes."""
    figure: Figure = ax.figure
    return figure
