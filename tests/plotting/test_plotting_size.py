"""Pictures have the size that they are given, follow the user's text size, and hide neither data nor neighbours."""

import functools
import inspect

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from helpers import assert_nothing_clipped, pooling_network
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import tinycnn
from tinycnn import plotting

RUN = {"loss": [1.0, 0.5], "val_loss": [1.1, 0.6], "accuracy": [0.5, 0.7], "val_accuracy": [0.4, 0.6]}


@pytest.fixture(autouse=True)
def _close():
    with tinycnn.use_backend("reference"):
        yield
    plt.close("all")


@functools.cache
def drawings():
    """Return for each plotting function a call that draws it."""
    tinycnn.set_seed(0)
    with tinycnn.use_backend("reference"):
        model = pooling_network(8)
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x = rng.random((6, 8, 8, 1), dtype=np.float32)
    y = np.arange(6) % 4
    p = model.predict(x)
    trace = model.trace(x, y)
    return {
        "batch_statistics": lambda **to: plotting.batch_statistics(trace, **to),
        "confusion_matrix": lambda **to: plotting.confusion_matrix(y, p, **to),
        "dead_units": lambda **to: plotting.dead_units(trace, **to),
        "dropout_mask": lambda **to: plotting.dropout_mask(trace, **to),
        "feature_maps": lambda **to: plotting.feature_maps(model, x[0], **to),
        "filters": lambda **to: plotting.filters(model, **to),
        "gradient_flow": lambda **to: plotting.gradient_flow(trace, **to),
        "gradient_flows": lambda **to: plotting.gradient_flows({"one": trace, "other": trace}, **to),
        "history": lambda **to: plotting.history(RUN, **to),
        "one_output": lambda **to: plotting.one_output(model, x[0], **to),
        "per_class_accuracy": lambda **to: plotting.per_class_accuracy(y, p, compared={"document": [0.5] * 4}, **to),
        "pooling_winners": lambda **to: plotting.pooling_winners(model, x[0], **to),
        "predictions": lambda **to: plotting.predictions(x, y, p, **to),
        "receptive_field": lambda **to: plotting.receptive_field(model, "conv2d", image=x[0], **to),
        "saliency": lambda **to: plotting.saliency(model, x[0], **to),
        "samples_per_class": lambda **to: plotting.samples_per_class(x, y, **to),
    }


NAMES = [name for name in plotting.__all__ if "ax" in inspect.signature(getattr(plotting, name)).parameters]


def axes_of(drawn):
    return np.atleast_1d(drawn)[0]


def test_every_picture_is_tried():
    assert sorted(drawings()) == NAMES
    for name in NAMES:
        assert "figsize" in inspect.signature(getattr(plotting, name)).parameters


@pytest.mark.parametrize("name", NAMES)
def test_a_given_size_is_kept(name):
    draw = drawings()[name]
    figure = axes_of(draw(figsize=(9, 4.5))).figure
    assert tuple(figure.get_size_inches()) == (9, 4.5)
    assert_nothing_clipped(figure)
    mine = Figure(figsize=(5, 4))
    assert axes_of(draw(ax=mine)).figure is mine
    assert tuple(mine.get_size_inches()) == (5, 4)
    with plt.rc_context({"figure.figsize": (7, 5)}):
        assert tuple(axes_of(draw()).figure.get_size_inches()) == (7, 5)
    with pytest.raises(ValueError, match="figsize must be left out if ax is given"):
        draw(ax=Figure(), figsize=(4, 3))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_clipped_at_the_usual_size(name):
    assert_nothing_clipped(axes_of(drawings()[name]()).figure)


@pytest.mark.parametrize("bad", [0, "ab", (1,), (3, -1), (3, "x"), (np.nan, 2), np.array(3)])
def test_a_size_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="figsize must"):
        plotting.history(RUN, figsize=bad)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["confusion_matrix", "dead_units", "filters", "history", "one_output", "predictions"])
def test_text_follows_the_users_size(name):
    """Nothing is clipped at 14 points, and the mean text is larger than at 8."""
    draw = drawings()[name]
    mean = {}
    for size in (8, 14):
        with plt.rc_context({"font.size": size}):
            figure = axes_of(draw(figsize=(12, 9))).figure
            if size == 14:
                assert_nothing_clipped(figure)
            texts = [text for text in figure.findobj(mpl.text.Text) if text.get_text() and text.get_visible()]
            mean[size] = sum(text.get_fontsize() for text in texts) / len(texts)
    assert mean[14] > 1.2 * mean[8]


def test_lines_follow_the_users_width():
    with plt.rc_context({"lines.linewidth": 4.0, "lines.markersize": 12}):
        [line, *_] = plotting.history(RUN)[0].lines
    assert line.get_linewidth() == 4
    assert line.get_markersize() == 8


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        *((name, None) for name in ("history", "gradient_flow", "per_class_accuracy", "batch_statistics", "saliency")),
        ("gradient_flow", "constrained"),
        ("gradient_flow", "tight"),
        ("per_class_accuracy", "tight"),
    ],
)
def test_nothing_covers_a_neighbour(name, layout):
    """Legends, bars of colours and numbers beside the picture stay within its place in the grid."""
    figure = plt.figure(figsize=(13, 9), layout=layout)
    grid = figure.subplots(2, 2)
    drawn = np.atleast_1d(drawings()[name](ax=grid[0, 0] if name not in ("saliency",) else grid[0]))
    neighbours = [grid[1, 0], *([] if name == "saliency" else [grid[0, 1]])]
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for ax in drawn:
        beside = [*ax.child_axes, *ax.texts, *([ax.get_legend()] if ax.get_legend() else [])]
        for artist in beside:
            box = artist.get_tightbbox(renderer)
            assert box.x1 <= figure.bbox.x1 + 1
            for neighbour in neighbours:
                assert not box.overlaps(neighbour.bbox), (name, layout)


@pytest.mark.parametrize(
    "name", ["history", "gradient_flow", "gradient_flows", "per_class_accuracy", "batch_statistics"]
)
def test_legends_cover_no_data(name):
    drawn = np.atleast_1d(drawings()[name]())
    figure = drawn[0].figure
    figure.canvas.draw()
    legends = [ax.get_legend().get_window_extent() for ax in drawn if ax.get_legend()]
    assert legends
    assert not any(legend.overlaps(ax.bbox) for legend in legends for ax in drawn)


def test_an_invalid_argument_leaves_no_empty_figure():
    for call in (lambda: plotting.filters(3), lambda: plotting.dead_units(3), lambda: plotting.one_output(3, 3)):
        with pytest.raises(ValueError, match="must be"):
            call()
    assert plt.get_fignums() == []
