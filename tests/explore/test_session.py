"""The state behind the page: images by their ids, and the passes that are made of them."""

import numpy as np
import pytest

from tinycnn import Sequential, layers, losses
from tinycnn.explore.labels import targets_for
from tinycnn.explore.session import MOST_OWN, MOST_TRACES, Data, Session


def model(*more, outputs: int = 3, activation: str = "softmax", **compiled) -> Sequential:
    made = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            *more,
            layers.Flatten(),
            layers.Dense(outputs, activation=activation),
        ]
    )
    if compiled:
        made.compile(**compiled)
    return made


def data() -> Data:
    rng = np.random.default_rng(0)
    x = rng.random((40, 8, 8, 1), np.float32)
    y = rng.integers(0, 3, 40)
    return Data("drawn", ("a", "b", "c"), x[:32], y[:32], x[32:], y[32:])


@pytest.mark.parametrize("mode", ["prediction", "training"])
def test_a_pass_is_the_trace_of_that_image(mode: str) -> None:
    session = Session(model(layers.Dropout(0.5)), data())
    description, arrays = session.trace("test-2", mode=mode)
    x, y = session.data.x_test[2:3], session.data.y_test[2:3]
    trace = session.model.trace(x, y, training=mode == "training")
    for number, entry in enumerate(trace):
        np.testing.assert_array_equal(arrays[f"{number}.y"], entry.y[0])
        np.testing.assert_array_equal(arrays[f"{number}.dy"], entry.dy[0])
    assert description["label"] == description["true"] == y[0]
    assert description["loss"] == trace.loss
    _, held = session.layer(description["trace"], 0)
    np.testing.assert_array_equal(held["d_kernel"], trace[0].gradients["kernel"])


def test_in_prediction_the_page_knows_how_far_predict_is() -> None:
    session = Session(model(), data())
    description, arrays = session.trace("test-0")
    apart = np.abs(session.model.predict(session.data.x_test[:1])[0] - arrays["2.y"]).max()
    assert description["fused"]["largest"] == pytest.approx(float(apart))
    assert description["fused"]["equal"] == (apart == 0)


def test_batch_normalization_gets_a_batch_in_training_and_its_moving_statistics_in_prediction() -> None:
    session = Session(model(layers.BatchNormalization()), data())
    before = {name: array.copy() for name, array in session.model.layers[1].buffers.items()}
    description, arrays = session.trace("train-3", mode="training")
    assert description["batch"] == 32
    assert np.abs(arrays["1.mean"]).max() > 0
    description, arrays = session.trace("train-3")
    assert description["batch"] == 1
    np.testing.assert_array_equal(arrays["1.mean"], before["moving_mean"])
    for name, array in before.items():
        np.testing.assert_array_equal(session.model.layers[1].buffers[name], array)


def test_an_image_of_ones_own_has_no_label_and_gets_the_most_probable_class() -> None:
    session = Session(model())
    name = session.add_image(np.full((8, 8, 1), 0.5), "mine")
    description, _ = session.trace(name)
    assert description["true"] is None
    assert description["label"] == session.model.predict(np.full((1, 8, 8, 1), 0.5))[0].argmax()
    assert session.class_names == ["0", "1", "2"]


def test_a_chosen_class_decides_the_gradients() -> None:
    session = Session(model(), data())
    _, first = session.trace("test-0", label=0)
    _, second = session.trace("test-0", label=1)
    assert not np.array_equal(first["0.dy"], second["0.dy"])


def test_only_the_last_images_and_passes_are_kept() -> None:
    session = Session(model(), data())
    names = [session.add_image(np.zeros((8, 8, 1)), str(n)) for n in range(MOST_OWN + 1)]
    with pytest.raises(KeyError, match="no image"):
        session.image(names[0])
    assert session.image(names[-1]).title == str(MOST_OWN)
    numbers = [session.trace("test-0")[0]["trace"] for _ in range(MOST_TRACES + 1)]
    with pytest.raises(KeyError, match="choose the image again"):
        session.layer(numbers[0], 0)
    session.layer(numbers[-1], 0)
    with session.changing_weights():
        pass
    with pytest.raises(KeyError, match="choose the image again"):
        session.layer(numbers[-1], 0)
    assert session.version == 2


@pytest.mark.parametrize(
    "name", ["", "test", "test-", "test-8", "test--1", "test-1.0", "test-²", "own-1", "x-0", "test-99999999999"]
)
def test_there_is_no_such_image(name: str) -> None:
    with pytest.raises(KeyError, match="no image"):
        Session(model(), data()).image(name)


def test_wrong_arguments_are_named() -> None:
    session = Session(model(), data())
    with pytest.raises(ValueError, match="label"):
        session.trace("test-0", label=3)
    with pytest.raises(ValueError, match="mode"):
        session.trace("test-0", mode="both")
    with pytest.raises(ValueError, match="shape"):
        session.add_image(np.zeros((8, 9, 1)), "wide")
    with pytest.raises(KeyError, match="no layer 9"):
        session.layer(session.trace("test-0")[0]["trace"], 9)
    with pytest.raises(ValueError, match="do not fit"):
        Session(model(), data()._replace(x_test=np.zeros((1, 9, 9, 1), np.float32)))
    with pytest.raises(ValueError, match="into a row of numbers"):
        Session(Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3)]))
    with pytest.raises(RuntimeError, match="build"):
        Session(Sequential([layers.Dense(3)]))


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "expected"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", [1, 0]),
        (3, "softmax", "categorical_crossentropy", [[0, 1, 0], [1, 0, 0]]),
        (3, "linear", "mean_squared_error", [[0, 1, 0], [1, 0, 0]]),
        (1, "sigmoid", "mean_squared_error", [[1], [0]]),
        (1, "sigmoid", "binary_crossentropy", [[1], [0]]),
        (3, "sigmoid", "binary_crossentropy", [[0, 1, 0], [1, 0, 0]]),
    ],
)
def test_labels_take_the_form_that_the_loss_wants(outputs, activation, loss, expected) -> None:
    made = model(outputs=outputs, activation=activation, optimizer="sgd", loss=loss)
    np.testing.assert_array_equal(targets_for(made, [1, 0]), expected)
    session = Session(made)
    session.trace(session.add_image(np.zeros((8, 8, 1)), "black"), label=1)


def test_a_number_that_one_output_is_to_give_stays_itself() -> None:
    """It was cut to a whole number, as if it were a class."""
    y = np.array([[3.7], [-0.25], [2.0], [7]])
    x = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    made = model(outputs=1, activation="linear", optimizer="sgd", loss="mse")
    session = Session(made, Data("drawn", ("a",), x, y, x, y))
    assert [session.image(f"test-{number}").label for number in range(4)] == [3.7, -0.25, 2, 7]
    description, _ = session.trace("test-0")
    assert description["loss"] == made.trace(x[:1], y[:1], training=False).loss
    assert description["label"] == description["true"] == 3.7
    assert isinstance(Session(model(), data()).image("test-0").label, int)


def test_the_class_of_one_logit_is_that_of_its_probability() -> None:
    made = model(outputs=1, activation="linear", optimizer="sgd", loss=losses.BinaryCrossentropy(from_logits=True))
    made.set_weights([0 * weight for weight in made.get_weights()[:-1]] + [np.array([0.25], np.float32)])
    session = Session(made)
    assert session.trace(session.add_image(np.zeros((8, 8, 1)), "black"))[0]["label"] == 1


def test_a_model_without_a_loss_gets_the_one_that_fits_its_end() -> None:
    assert Session(model()).model.loss.from_logits is False
    made = Session(model(activation="linear"), data())
    assert isinstance(made.model.loss, losses.SparseCategoricalCrossentropy)
    assert made.model.loss.from_logits
    made.trace("test-0")
    made = Session(model(outputs=1, activation="sigmoid"))
    assert made.class_names == ["0", "1"]
    assert isinstance(made.model.loss, losses.BinaryCrossentropy)
    assert not made.model.loss.from_logits
    made.trace(made.add_image(np.zeros((8, 8, 1)), "black"))
    assert Session(model(outputs=1, activation="linear")).model.loss.from_logits
