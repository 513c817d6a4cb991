"""A network whose single output is a number has a target in place of a class wherever the page asks about it."""

import copy
import json

import numpy as np
import pytest
from one_number import SIDE, data, network, session
from recordings import opened, recording_of

from tinycnn import Sequential, layers, losses
from tinycnn.explore import survey
from tinycnn.explore.looking import WAYS, looked_at
from tinycnn.explore.pictures import FastAnswers
from tinycnn.explore.recorded_training import record
from tinycnn.explore.session import Session
from tinycnn.explore.training import Training
from tinycnn.inspection import attribution
from tinycnn.inspection.answers import gives_one_number

SECONDS = 60


class OwnSigmoid(layers.Dense):
    """A layer of a user's own that ends in a sigmoid."""


class OwnLoss(losses.MeanSquaredError):
    """A loss of a user's own."""

    name = "own_loss"


@pytest.mark.parametrize(
    ("end", "loss", "is_number"),
    [
        (layers.Dense(1), "mse", True),
        (layers.Dense(1, activation="tanh"), "mse", True),
        (layers.Dense(1), OwnLoss(), True),
        (layers.Dense(1, activation="sigmoid"), "mse", False),
        (OwnSigmoid(1, activation="sigmoid"), "mse", False),
        (layers.Dense(1, activation="sigmoid"), "binary_crossentropy", False),
        (layers.Dense(1), losses.BinaryCrossentropy(from_logits=True), False),
        (layers.Dense(2), "mse", False),
        (layers.Dense(1), None, False),
    ],
)
def test_the_loss_and_the_end_say_whether_it_is_a_number(end, loss, is_number):
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), end])
    if loss is not None:
        model.compile("sgd", loss)
    assert gives_one_number(model) is is_number


def test_the_page_is_told():
    found = session().describe()
    assert (found["gives_one_number"], found["classes"]) == (True, [])
    described = Session(network("sigmoid")).describe()
    assert (described["gives_one_number"], described["classes"]) == (False, ["0", "1"])


@pytest.mark.parametrize("label", [None, 2.5, -3, 0])
def test_the_gradients_are_those_of_the_loss_for_the_target(label):
    found = session()
    description, arrays = found.trace("test-1", label)
    target = float(found.data.y_test[1]) if label is None else label
    answer = float(found.model.predict(found.data.x_test[1:2])[0, 0])
    assert description["label"] == target
    assert description["true"] == float(found.data.y_test[1])
    assert float(description["loss"]) == pytest.approx((answer - target) ** 2, rel=1e-4)
    assert float(arrays["3.dy"][0]) == pytest.approx(2 * (answer - target), rel=1e-4)


def test_an_image_without_a_target_has_the_target_0():
    found = session()
    description, arrays = found.trace(found.add_image(np.ones((SIDE, SIDE, 1)), "white"))
    assert (description["label"], description["true"]) == (0, None)
    assert float(arrays["3.dy"][0]) == pytest.approx(2 * float(arrays["3.y"][0]), rel=1e-6)


@pytest.mark.parametrize("label", ["2", True, np.nan, np.inf, 1e300])
def test_what_is_no_target_is_refused(label):
    with pytest.raises((TypeError, ValueError), match="label must be"):
        session().trace("test-0", label)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_test": data().y_test[:-1]}, r"y_test must hold one label for each of 40 images; got shape \(39,\)"),
        ({"y_train": np.eye(40)}, r"y_train must hold .* got shape \(40, 40\); of one-hot rows, give y.argmax"),
        ({"y_train": np.full(40, np.nan)}, "y_train must hold finite numbers, the targets; got nan at index 0"),
    ],
)
def test_targets_that_no_image_can_have_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Session(network(), data()._replace(**change))


def test_a_column_of_targets_is_as_good_as_a_row():
    given = data()
    found = Session(network(), given._replace(y_test=given.y_test[:, np.newaxis]))
    np.testing.assert_array_equal(found.data.y_test, given.y_test)


def test_it_trains_on_the_bits_of_fit_without_an_accuracy():
    found = session()
    alone = copy.deepcopy(found.model)
    alone.fit(found.data.x_train, found.data.y_train[:, np.newaxis], 16, epochs=2, verbose=0)
    training = Training(found)
    training.begin(batch_size=16, epochs=2, fresh=False)
    try:
        training.start()
        assert training.wait(SECONDS)
        lane = training.state()["lanes"]["main"]
        for weights, expected in zip(training.current_weights(), alone.get_weights(), strict=True):
            assert weights.tobytes() == expected.tobytes()
        main = training._lanes["main"]
        found_now = main.examination.of(main.model)
        training.fork("scale", 2.0)
        assert training.wait(SECONDS)
        json.dumps(training.state(), allow_nan=False)
    finally:
        training.close()
    assert {row[2] for row in lane["batches"]["rows"] + lane["validation"]["rows"]} == {None}
    answers, y = alone.predict(found.data.x_test)[:, 0], found.data.y_test
    losses_ = (answers - y) ** 2
    assert (found_now.loss, found_now.accuracy) == (pytest.approx(losses_.mean(), rel=1e-5), None)
    assert [one["image"] for one in lane["worst"]] == [f"test-{at}" for at in np.argsort(-losses_)[:8]]
    for one in lane["worst"]:
        at = int(one["image"].removeprefix("test-"))
        assert one.keys() == {"image", "label", "answer", "loss"}
        assert (one["label"], one["answer"]) == (pytest.approx(y[at]), pytest.approx(answers[at], rel=1e-5))
        assert one["loss"] == pytest.approx(losses_[at], rel=1e-4)


def test_the_gallery_has_the_largest_losses():
    found = session()
    task = survey.Survey(found, FastAnswers(found)).answers("test")
    assert task.ended.wait(SECONDS)
    assert task.error is None
    answers = found.model.predict(found.data.x_test)[:, 0]
    np.testing.assert_allclose(task.result.answer, answers, rtol=1e-6)
    np.testing.assert_array_equal(task.result.target, found.data.y_test)
    losses_ = (answers - found.data.y_test) ** 2
    np.testing.assert_allclose(task.result.loss, losses_, rtol=1e-4)
    np.testing.assert_array_equal(survey.worst(task.result, "loss", 5), np.argsort(-losses_)[:5])


@pytest.mark.parametrize("way", WAYS)
def test_where_it_looks_is_about_the_number(way):
    found = session()
    description, arrays = looked_at(found, FastAnswers(found), way, "test-2")
    assert (description["label"], description["is_highest"]) == (None, True)
    assert "number" in description["text"]
    assert "class" not in description["text"]
    assert np.abs(arrays["map"]).max() > 0
    with pytest.raises(ValueError, match="label must be left out, because brightness gives a number"):
        looked_at(found, FastAnswers(found), way, "test-2", 1)


def test_saliency_is_the_slope_of_the_number():
    model, x = network(), data().x_test[:1]
    strength = attribution.saliency(model, x).strength
    for at in ((2, 3), (7, 7), (11, 0)):
        up, down = (x.astype(np.float64) for _ in range(2))
        up[0, *at], down[0, *at] = up[0, *at] + 1e-3, down[0, *at] - 1e-3
        slope = float(model.predict(up)[0, 0] - model.predict(down)[0, 0]) / 2e-3
        assert strength[at] == pytest.approx(abs(slope), rel=0.02, abs=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_grad_cam_shows_what_makes_the_number_larger_whatever_its_sign(sign):
    """A network that ends in minus the sum of a map has no cell that makes its number larger."""
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(1, 3, activation="relu", kernel_initializer="ones"),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    model.compile("sgd", "mse")
    model.set_weights([sign * one if one.shape[0] == 36 else one for one in model.get_weights()])
    x = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    strength = attribution.grad_cam(model, x)[0].strength
    assert (strength > 0).all() if sign > 0 else (strength == 0).all()


def test_occlusion_is_the_fall_of_the_number():
    found = session()
    x = found.data.x_test[:1]
    _, arrays = looked_at(found, FastAnswers(found), "occlusion", "test-0")
    hidden = x.copy()
    side = round(SIDE / attribution.SQUARES)
    border = np.concatenate([x[0, 0], x[0, -1], x[0, :, 0], x[0, :, -1]])
    hidden[0, :side, :side] = np.median(border)
    fall = float(found.model.predict(x)[0, 0] - found.model.predict(hidden)[0, 0])
    assert arrays["map"][0, 0] == pytest.approx(fall, rel=1e-3, abs=1e-5)  # one square alone hides the corner


def test_a_recording_computes_with_any_target(tmp_path):
    found = session()
    training = record(found, epochs=1, batch_size=8, checkpoints=3)
    path = recording_of(found, tmp_path, training=training)
    pixels = [128] * (4 * SIDE * SIDE)
    calls = [
        ("trace", "test-5", 2.5, "prediction"),
        ("trace", "test-0", None, "prediction"),
        ("drawing", f"/api/pictures/drawing?height={2 * SIDE}&width={2 * SIDE}&channels=1&keep=1", pixels),
        ("trace", "own-1", None, "prediction"),
    ]
    result = opened(path, *calls)
    assert result["refusals"] == {"values": "", "gradients": ""}
    typed, own, drawn, followed = (one["result"] for one in result["results"])
    description, arrays = found.trace("test-5", 2.5)
    assert typed["description"]["label"] == 2.5
    assert typed["description"]["loss"] == pytest.approx(float(description["loss"]), rel=1e-4)
    np.testing.assert_allclose(typed["arrays"]["0.dx"], arrays["0.dx"], rtol=1e-3, atol=1e-6)
    assert own["description"]["remark"].startswith("Recorded")
    answer = found.model.predict(np.full((1, SIDE, SIDE, 1), 128 / 255))[0]
    np.testing.assert_allclose(drawn["arrays"]["number"], answer, rtol=1e-5)
    assert drawn["description"]["predicted"] is None
    assert (followed["description"]["label"], followed["description"]["true"]) == (0, None)


def test_the_server_takes_a_number_and_refuses_questions_about_classes():
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    from serving import serving

    found = session()
    pixels = np.full((SIDE, SIDE, 1), 128, np.uint8)
    with serving(found) as client:
        description, _ = client.arrays("/api/trace", {"image": "test-1", "label": 0.25})
        assert description["label"] == 0.25
        assert "label must be a number" in client.error("/api/trace", {"image": "test-1", "label": "x"})
        about = client.json("/api/pictures")
        assert about["classes"] == []
        description, arrays = client.arrays(
            f"/api/pictures/drawing?height={SIDE}&width={SIDE}&channels=1", pixels.tobytes()
        )
        np.testing.assert_array_equal(arrays["number"], found.model.predict(pixels[np.newaxis] / np.float32(255))[0])
        for path in ("worst?by=sure", "confusion?set=test", "cell?true=0&predicted=1", "looking?image=test-0&label=1"):
            assert "brightness gives a number and no classes" in client.error(f"/api/pictures/{path}")
        while True:
            description, _ = client.arrays("/api/pictures/worst?by=loss&count=3")
            if not description.get("working"):
                break
        [first, *_] = description["items"]
        at = int(first["image"].removeprefix("test-"))
        assert first["true"] == float(found.data.y_test[at])
        assert first["answer"] == pytest.approx(float(found.model.predict(found.data.x_test)[at, 0]), rel=1e-5)
        assert first["loss"] == pytest.approx((first["answer"] - first["true"]) ** 2, rel=1e-4)
