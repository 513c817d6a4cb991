"""The content of the pictures, as matplotlib's objects report it, and the arguments that are refused."""

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

from helpers import assert_nothing_clipped
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tinycnn import plotting
from tinycnn.callbacks import History
from tinycnn.plotting._checks import RED

RUN = {
    "loss": [0.9, 0.5, 0.3],
    "accuracy": [0.6, 0.8, 0.9],
    "val_loss": [0.7, 0.4, 0.35],
    "val_accuracy": [0.7, 0.8, 0.85],
    "learning_rate": [0.1, 0.1, 0.1],
}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture
def sure():
    """Return 200 grey images of three classes; image 3 is clearly wrong, 7 barely, and all from 100 on are right."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 3
    p = np.full((200, 3), 0.1)
    p[np.arange(200), y] = 0.8
    p[3] = [0.01, 0.01, 0.98]
    p[7] = [0.4, 0.3, 0.3]
    p[12] = [0.99, 0.005, 0.005]
    return rng.integers(0, 256, (200, 6, 5), dtype=np.uint8), y, p


def texts(ax):
    return [text.get_text() for text in ax.texts]


# Curves ---------------------------------------------------------------------------------------------------------


def test_history_counts_epochs_from_1():
    loss, accuracy = plotting.history(RUN)
    train, validation = loss.lines
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(train.get_ydata(), RUN["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), RUN["val_loss"])
    np.testing.assert_array_equal(accuracy.lines[1].get_ydata(), RUN["val_accuracy"])
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    # The lines do not differ by colour alone.
    assert train.get_linestyle() != validation.get_linestyle()
    assert train.get_marker() != validation.get_marker()
    assert loss.get_title() == "Loss"
    assert accuracy.get_ylabel() == "share of images correct"


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_history_has_whole_epochs_as_ticks(epochs):
    panels = plotting.history({"loss": list(np.linspace(1, 0.5, epochs))})
    [loss] = panels
    ticks = loss.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))
    assert_nothing_clipped(loss.figure)


def test_history_takes_what_fit_returns_and_resumed_epochs():
    history = History()
    history.on_train_begin()
    history.on_epoch_end(0, {"loss": 1.0, "accuracy": 0.5})
    assert plotting.history(history)[0].lines[0].get_ydata() == [1.0]
    history.epoch = [3]
    assert plotting.history(history)[0].lines[0].get_xdata() == [4]
    assert plotting.history({"a": history, "b": RUN})[0].lines[0].get_xdata() == [4]
    resumed = plotting.history({"epoch": [5, 6], "loss": [0.2, 0.1]})
    np.testing.assert_array_equal(resumed[0].lines[0].get_xdata(), [6, 7])


def test_history_of_several_runs_names_each_once():
    loss, accuracy = plotting.history({f"run {n}": RUN for n in range(13)})
    assert len(loss.lines) == 26
    names = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert names == [f"run {n}" for n in range(13)]
    looks = {(line.get_color(), line.get_marker()) for line in loss.lines}
    assert len(looks) == 13
    assert_nothing_clipped(loss.figure)


def test_history_draws_into_given_axes():
    one = Figure().add_subplot()
    assert len(plotting.history(RUN, ax=one)) == 2
    two = Figure().subplots(1, 2)
    panels = plotting.history(RUN, ax=two)
    assert list(panels) == list(two)
    assert plt.get_fignums() == []


def test_history_survives_a_run_that_diverged():
    loss, _ = plotting.history({"loss": [1.0, np.nan], "accuracy": [0.1, 0.1]})
    assert_nothing_clipped(loss.figure)


def test_history_takes_no_notice_of_what_it_does_not_draw():
    """A callback's own entries may be words, or missing in some epochs."""
    loss, _ = plotting.history(RUN | {"extra": [1.0], "when": ["12:00", "12:01", "12:02"], "note": "x"})
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), RUN["loss"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val_loss": ["low"] * 3}, r"history\['val_loss'\] must be a list of numbers"),
        ({"accuracy": 0.5}, r"history\['accuracy'\] must be a list with a number for each epoch; got 0.5"),
        ({"accuracy": [0.5]}, r"history must hold lists of the same length.*'accuracy': 1"),
        ({"epoch": [0, 1]}, r"history must hold lists of the same length.*'epoch': 2"),
    ],
)
def test_history_names_the_list_that_does_not_fit(changed, message):
    with pytest.raises(ValueError, match=message):
        plotting.history(RUN | changed)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        [1, 2],
        {"lr": [1]},
        {"loss": [1, 2], "accuracy": [1]},
        {"loss": "ab"},
        {"loss": 0.5},
        {"run": RUN, "other": 3},
    ],
)
def test_history_refuses(bad):
    with pytest.raises(ValueError, match="history"):
        plotting.history(bad)


@pytest.mark.parametrize("bad", ["left", [1, 2], [None]])
def test_history_refuses_axes(bad):
    with pytest.raises(ValueError, match="ax must"):
        plotting.history(RUN, ax=bad)


# Classes --------------------------------------------------------------------------------------------------------


def test_confusion_matrix_counts_and_shares():
    ax = plotting.confusion_matrix([0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 1], ["cat", "dog", "eel"])
    cells = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}
    # x is the predicted class, y the true one; empty cells stay empty.
    assert cells == {(0, 0): "3", (1, 0): "1", (1, 1): "1", (1, 2): "1"}
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [0, 1, 0]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "eel"]
    assert ax.get_ylabel() == "true class"
    assert_nothing_clipped(ax.figure)


def test_confusion_matrix_is_the_same_in_every_style():
    with plt.style.context(["ggplot", {"image.origin": "lower", "image.interpolation": "bilinear"}]):
        ax = plotting.confusion_matrix([0, 0, 1], [0, 1, 1])
    [image] = ax.images
    assert (image.origin, image.get_interpolation()) == ("upper", "nearest")
    assert ax.get_ylim() == (1.5, -0.5)
    assert not any(line.get_visible() for line in ax.get_xgridlines())


def test_confusion_matrix_takes_probabilities_and_columns_of_labels():
    ax = plotting.confusion_matrix(np.array([[0], [1]]), np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]]))
    np.testing.assert_allclose(ax.images[0].get_array(), [[1, 0, 0], [1, 0, 0], [0, 0, 0]])


def test_per_class_accuracy():
    ax = plotting.per_class_accuracy([0, 0, 0, 0, 1, 3], [0, 0, 0, 1, 1, 1])
    assert [bar.get_width() for bar in ax.patches] == [0.75, 1, 0, 0]
    # A class without images is not a class with none correct.
    assert texts(ax) == ["0.750", "1.000", "no images", "0.000"]
    assert "0.6667" in ax.get_xlabel()
    assert_nothing_clipped(ax.figure)


def test_per_class_accuracy_beside_others():
    ax = plotting.per_class_accuracy([0, 0, 1], [0, 1, 1], compared={"documented": [0.75, 0.9]})
    marks = next(line for line in ax.lines if line.get_label() == "documented")
    np.testing.assert_array_equal(marks.get_xdata(), [0.75, 0.9])
    np.testing.assert_array_equal(marks.get_ydata(), [0, 1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["here", "documented"]
    with pytest.raises(ValueError, match=r"compared\['theirs'\] must hold 2 accuracies"):
        plotting.per_class_accuracy([0, 0, 1], [0, 1, 1], compared={"theirs": [0.5]})


@pytest.mark.parametrize("draw", [plotting.confusion_matrix, plotting.per_class_accuracy])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("classes", [26, 100])
def test_many_classes_stay_legible(draw, given, classes):
    """Names and numbers do not overlap and are legible, or they are left out."""
    mine = Figure(figsize=(12, 5)).subplots(1, 2)[0] if given else None
    y = np.arange(classes).repeat(20)
    ax = draw(y, np.roll(y, 10), ax=mine)
    ax.figure.canvas.draw()
    labels = [label for label in ax.get_yticklabels() if label.get_text()]
    assert len(labels) > 10
    for column in (labels, [text for text in ax.texts if text.get_position()[0] in (0, 1.02)]):
        boxes = [text.get_window_extent() for text in column]
        for one, other in pairwise(boxes):
            assert other.y1 < one.y0 + 2
    assert all(text.get_fontsize() >= 4 for text in ax.texts)
    assert bool(ax.texts) == (not given or classes == 26)


@pytest.mark.parametrize("draw", [plotting.confusion_matrix, plotting.per_class_accuracy])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("y_true", ([0.5, 1.0], [0, 1])),
        ("y_true", ([], [])),
        ("y_true", ([-1, 0], [0, 0])),
        ("y_true", (np.zeros((2, 2), int), [0, 1])),
        ("y_pred", ([0, 1], [0.2, 0.7])),
        ("y_pred", ([0, 1], [[0.2, np.nan], [0.5, 0.5]])),
        ("equally long", ([0, 1], [0, 1, 1])),
        ("class_names", ([0, 1], [0, 1], ["one"])),
        ("class_names", ([0, 1], [0, 1], "ab")),
        ("ax", ([0, 1], [0, 1], None, "here")),
    ],
)
def test_classes_refuse(draw, name, arguments):
    with pytest.raises(ValueError, match=name):
        draw(*arguments)


# Images ---------------------------------------------------------------------------------------------------------


def test_best_are_correct_and_surest_first(sure):
    ax = plotting.predictions(*sure, "best", ["a", "b", "c"], count=3)
    assert texts(ax) == ["a\n99.00%", "a\n80.00%", "b\n80.00%"]
    assert ax.patches == [] or len(ax.patches) == 0
    assert "198 of 200" in ax.get_title()


def test_worst_are_wrong_and_surest_first(sure):
    ax = plotting.predictions(*sure, "worst", ["a", "b", "c"])
    assert texts(ax) == ["true: a\n✗ c, 98.00%", "true: b\n✗ a, 40.00%"]
    assert {text.get_color() for text in ax.texts} == {RED}
    assert len(ax.patches) == 2


def test_first_100_marks_mistakes_by_more_than_colour(sure):
    ax = plotting.predictions(*sure, "first_100")
    captions = texts(ax)
    assert len(captions) == 100
    assert captions[3] == "✗ 2 (is 0)"
    assert captions[4] == "1"
    assert [number for number, caption in enumerate(captions) if "✗" in caption] == [3, 7]
    assert ax.texts[3].get_color() == RED != to_hex(ax.texts[4].get_color())
    assert len(ax.patches) == 2
    assert "2 wrong" in ax.get_title()


def test_images_are_drawn_where_they_belong(sure):
    x, y, p = sure
    canvas = plotting.predictions(x, y, p, "first_100").images[0].get_array()
    height, width = x.shape[1:]
    np.testing.assert_allclose(canvas[:height, :width, 0], x[0] / 255)
    # The eleventh image begins the second row, somewhere below the first one's caption.
    column = canvas[height:, :width, 1]
    tops = [top for top in range(len(column) - height) if np.allclose(column[top : top + height], x[10] / 255)]
    assert len(tops) == 1


def test_a_perfect_network_has_no_worst(sure):
    x, y, _ = sure
    ax = plotting.predictions(x, y, np.eye(3)[y], "worst")
    assert texts(ax) == ["none"]
    assert "0 of 200" in ax.get_title()


def test_samples_have_a_row_for_each_class(sure):
    x, y, _ = sure
    ax = plotting.samples_per_class(x, y, ["ant", "bee", "cow"], count=4)
    assert texts(ax) == ["ant", "bee", "cow"]
    canvas = ax.images[0].get_array()
    np.testing.assert_allclose(canvas[:6, :5, 0], x[0] / 255)
    np.testing.assert_allclose(canvas[-(len(canvas) // 3) :][:6, :5, 0], x[2] / 255)
    assert_nothing_clipped(ax.figure)


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(0).random((100, 4, 7), dtype=np.float32),
        np.random.default_rng(0).random((100, 4, 4, 1)),
        np.random.default_rng(0).random((100, 5, 4, 3)),
        np.random.default_rng(0).normal(size=(100, 4, 4)),
        np.zeros((100, 3, 3), bool),
    ],
)
@pytest.mark.parametrize("which", ["best", "worst", "first_100"])
def test_any_images_and_long_names_fit(x, which):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(10), 100)
    names = ["T-shirt/top", "Ankle boot", *"abcdefgh"]
    ax = plotting.predictions(x, rng.integers(0, 10, 100), p, which, names)
    canvas = ax.images[0].get_array()
    assert canvas.min() >= 0
    assert canvas.max() <= 1
    assert_nothing_clipped(ax.figure)


@pytest.mark.parametrize("which", ["best", "worst", "first_100"])
@pytest.mark.parametrize("given", [False, True])
def test_captions_of_neighbours_do_not_overlap(which, given):
    """This holds in a new figure and in Axes of a third of a figure's width, which the title does not leave either."""
    rng = np.random.default_rng(1)
    names = ["automobile"] * 10
    p = np.eye(10)[rng.integers(0, 10, 100)]
    mine = Figure(figsize=(12, 8)).subplots(2, 3)[0, 2] if given else None
    ax = plotting.predictions(rng.random((100, 32, 32, 3)), np.arange(100) % 10, p, which, names, ax=mine)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    for one, other in pairwise(boxes):
        assert other.y1 < one.y0 + 1 or other.x0 > one.x1 - 1
    title = ax.title.get_window_extent()
    assert ax.bbox.x0 - 1 <= title.x0 <= title.x1 <= ax.bbox.x1 + 1


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (3, 3)])
def test_parts_of_one_axes_leave_each_other_room(shape):
    figure = Figure(figsize=(13, 10))
    mine = figure.subplots(*shape).ravel()[0]
    left, right = plotting.history(RUN, ax=mine)
    figure.canvas.draw()
    assert left.get_tightbbox().x1 < right.get_tightbbox().x0


def test_pictures_go_where_they_are_told(sure):
    figure = Figure()
    ax = plotting.predictions(*sure, ax=figure)
    assert isinstance(ax, Axes)
    assert ax.figure is figure
    mine = Figure().add_subplot()
    assert plotting.samples_per_class(*sure[:2], ax=mine) is mine
    assert plotting.confusion_matrix([0, 1], [0, 1], ax=mine) is mine
    # A figure of pyplot is only made if no Axes are given.
    assert plt.get_fignums() == []
    plotting.confusion_matrix([0, 1], [0, 1])
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("which", {"which": "middle"}),
        ("x", {"x": np.zeros((200, 4))}),
        ("x", {"x": np.zeros((200, 4, 4, 2))}),
        ("x", {"x": np.full((200, 4, 4), np.nan)}),
        ("x", {"x": np.full((200, 4, 4), "a")}),
        ("have the same length", {"x": np.zeros((199, 4, 4))}),
        ("y_true", {"y_true": np.full(200, 0.5)}),
        ("have the same length", {"y_true": np.zeros(3, int)}),
        ("probabilities", {"probabilities": np.full((200, 3), 7.0)}),
        ("probabilities", {"probabilities": np.full((200, 3), np.nan)}),
        ("probabilities", {"probabilities": np.zeros(200)}),
        ("class_names", {"class_names": ["a", "b"]}),
        ("count", {"count": 0}),
        ("count", {"count": 2.5}),
        ("ax", {"ax": 3}),
    ],
)
def test_predictions_refuse(sure, name, change):
    x, y, p = sure
    with pytest.raises(ValueError, match=name):
        plotting.predictions(**({"x": x, "y_true": y, "probabilities": p} | change))


def test_samples_refuse(sure):
    x, y, _ = sure
    with pytest.raises(ValueError, match="have the same length"):
        plotting.samples_per_class(x, y[:5])
    with pytest.raises(ValueError, match="y must"):
        plotting.samples_per_class(x, y / 2)
    with pytest.raises(ValueError, match="count"):
        plotting.samples_per_class(x, y, count="3")
