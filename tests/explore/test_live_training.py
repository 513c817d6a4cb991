"""A training beside the page has the bits of ``fit``, goes back to any step to the bit, and ends when it is told to."""

import copy
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers import small_network

from tinycnn import Sequential, layers, optimizers, schedules
from tinycnn.explore.history import Curve, History, State, States
from tinycnn.explore.mine import KernelFile
from tinycnn.explore.session import Data, Session
from tinycnn.explore.training import Training
from tinycnn.saving import fit_state, model_file

SECONDS = 30  # longer than any of these trainings; kernels may have to be compiled first
BATCH = 16
PER_EPOCH = 6
RNG = np.random.default_rng(5)
X, Y = RNG.random((BATCH * PER_EPOCH - 3, 6, 6, 1), np.float32), RNG.integers(0, 4, BATCH * PER_EPOCH - 3)
DATA = Data("noise", ("a", "b", "c", "d"), X, Y, X[:40], Y[:40])


def compiled(optimizer: Any = "adam", loss: str = "sparse_categorical_crossentropy") -> Sequential:
    model = small_network()
    model.compile(optimizer, loss, ["accuracy"])
    return model


@pytest.fixture
def trainings() -> Iterator[Any]:
    """Return a function that makes trainings of models, which end after the test."""
    made: list[Training] = []

    def training(model: Sequential, **settings: Any) -> Training:
        made.append(Training(Session(model, DATA)))
        made[-1].begin(**{"batch_size": BATCH} | settings)
        return made[-1]

    yield training
    for one in made:
        one.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("training")]


def settle(training: Training) -> None:
    assert training.wait(SECONDS)


def step(training: Training, times: int = 1) -> None:
    for _ in range(times):
        training.step()
        settle(training)


def contents(training: Training, lane: str = "main") -> dict[str, Any]:
    """Return everything that the next step depends on: weights, averages, moments, the number of steps, the rate."""
    settle(training)
    return everything(training._lanes[lane].model)


def everything(model: Sequential) -> dict[str, Any]:
    arrays, _ = model_file.contents(model)
    numbers = {"iterations": model.optimizer.iterations, "rate": model.optimizer.learning_rate}
    return {name: array.copy() for name, array in arrays.items()} | numbers


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, np.ndarray):
            assert found[name].tobytes() == value.tobytes(), name
        else:
            assert found[name] == value, name


def lane(training: Training, name: str = "main") -> dict[str, Any]:
    found: dict[str, Any] = training.state()["lanes"][name]
    return found


# The same bits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [True, False])
def test_it_has_the_bits_of_fit(trainings: Any, shuffle: bool) -> None:
    model = compiled()
    alone = copy.deepcopy(model)
    alone.fit(X, Y, BATCH, epochs=3, shuffle=shuffle, verbose=0)
    training = trainings(model, epochs=3, shuffle=shuffle)
    step(training, 2)  # interrupted in any way
    training.start()
    time.sleep(0.01)
    training.pause()
    settle(training)
    if lane(training)["status"] != "done":  # on a machine that is busy, the pause may come too late
        training.start()
        settle(training)
    assert lane(training)["status"] == "done"
    assert lane(training)["step"] == 3 * PER_EPOCH
    assert_same(contents(training), everything(alone))


TWO = DATA._replace(class_names=("no", "yes"), y_train=Y % 2, y_test=Y[:40] % 2)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mean_squared_error"])
def test_a_network_with_one_output_has_the_bits_of_fit(loss: str) -> None:
    """It tells two classes apart; it goes back, and what an examination finds is what evaluate says."""
    model = Sequential([layers.Input(X.shape[1:]), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile("adam", loss, ["accuracy"])
    alone = copy.deepcopy(model)
    alone.fit(X, (Y % 2)[:, None], BATCH, epochs=2, verbose=0)
    training = Training(Session(model, TWO))
    training.begin(batch_size=BATCH, epochs=2)
    step(training, 4)
    fourth = contents(training)
    training.start()
    settle(training)
    assert_same(contents(training), everything(alone))
    found = training._lanes["main"].examination.of(training._lanes["main"].model)
    assert [found.loss, found.accuracy] == pytest.approx(
        alone.evaluate(X[:40], (Y[:40] % 2)[:, None], verbose=0), rel=1e-5
    )
    p = alone.predict(X[:40])[:, 0]
    for one in found.worst:
        number = int(one["image"].removeprefix("test-"))
        right = p[number] if one["label"] else 1 - p[number]
        assert one["probability"] == pytest.approx(right, rel=1e-4)
        assert one["predicted"] == int(p[number] > 0.5)
    training.rewind(4)
    assert_same(contents(training), fourth)
    training.fork("scale", 2.0)
    settle(training)
    training.close()


def test_labels_of_more_classes_than_a_network_has_are_refused() -> None:
    model = Sequential([layers.Input(X.shape[1:]), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    training = Training(Session(model, DATA))
    with pytest.raises(
        ValueError, match=r"labels of a binary crossentropy must be 0 and 1, .*an output for every class"
    ):
        training.begin(batch_size=BATCH)
    training.close()


def test_it_goes_on_from_a_model_that_was_trained(trainings: Any) -> None:
    model = compiled()
    model.fit(X, Y, BATCH, verbose=0)
    alone = copy.deepcopy(model)
    alone.fit(X, Y, BATCH, verbose=0)
    training = trainings(model, fresh=False, epochs=1)
    training.start()
    assert_same(contents(training), everything(alone))


def test_the_losses_are_those_of_each_batch_before_its_step(trainings: Any) -> None:
    model = compiled()
    alone = copy.deepcopy(model)
    batches = [slice(start, start + BATCH) for start in range(0, len(X), BATCH)] * 2
    losses = [alone.train_on_batch(X[batch], Y[batch]) for batch in batches]
    training = trainings(model, shuffle=False, epochs=2)
    training.start()
    settle(training)
    rows = lane(training)["batches"]["rows"]
    assert [row[0] for row in rows] == list(range(1, 2 * PER_EPOCH + 1))
    np.testing.assert_allclose([row[1] for row in rows], [one["loss"] for one in losses], rtol=1e-6)
    np.testing.assert_allclose([row[2] for row in rows], [one["accuracy"] for one in losses], rtol=1e-12)


@pytest.mark.parametrize(
    "optimizer", ["adam", optimizers.SGD(0.05, momentum=0.9), "rmsprop"], ids=["adam", "sgd", "rms"]
)
def test_any_step_comes_back_to_the_bit_through_changes_of_the_rate(trainings: Any, optimizer: Any) -> None:
    training = trainings(compiled(optimizer))
    training._lanes["main"].history.states = States(stride=4, most=4)  # so that states are dropped
    seen = {0: contents(training)}
    for number in range(1, 21):
        if number in (5, 9, 18):
            training.change_rate(0.03 / number)
        step(training)
        seen[number] = contents(training)
    for back in (20, 19, 7, 8, 0, 17, 4, 12, 1, 20):
        training.rewind(back)
        assert_same(contents(training), seen[back])
        assert lane(training)["step"] == back
        assert lane(training)["rate"] == seen[min(back + 1, 20)]["rate"]
    training.rewind(3)
    settle(training)
    step(training, 8)  # onwards by itself, through both changes
    assert_same(contents(training), seen[11])
    assert [row[0] for row in lane(training)["batches"]["rows"]] == list(range(1, 21))


def test_a_change_at_an_earlier_step_forgets_what_came_after_it(trainings: Any) -> None:
    training = trainings(compiled())
    step(training, 4)
    training.change_rate(0.5)
    step(training, 4)
    wanted = contents(training)
    training.rewind(2)
    settle(training)
    training.change_rate(0.001)
    state = lane(training)
    assert state["farthest"] == 2
    assert state["rates"] == [(0, 0.001), (2, 0.001)]
    assert [row[0] for row in state["batches"]["rows"]] == [1, 2]
    with pytest.raises(ValueError, match="at most 2"):
        training.rewind(3)
    step(training, 2)
    training.change_rate(0.5)
    step(training, 4)
    assert_same(contents(training), wanted)


def test_going_back_while_it_runs(trainings: Any) -> None:
    training = trainings(compiled())
    step(training, 3)
    wanted = contents(training)
    training.start()
    while lane(training)["step"] < 30:
        time.sleep(0.001)
    training.rewind(3)
    assert_same(contents(training), wanted)
    training.start()
    training.rewind(20)
    training.rewind(3)  # before it got there
    assert_same(contents(training), wanted)


def test_kernels_of_ones_own_train_too(trainings: Any, tmp_path: Any) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\n\n\ndef relu_forward(x):\n    return np.maximum(x, 0.01 * x)\n", "utf-8")
    session = Session(compiled(), DATA, mine=KernelFile(file))
    alone = copy.deepcopy(session.model)
    alone.compile("adam", "sparse_categorical_crossentropy")
    alone.fit(X, Y, BATCH, epochs=2, verbose=0)
    training = Training(session)
    training.begin(batch_size=BATCH, epochs=2)
    training.start()
    assert_same(contents(training), everything(alone))
    training.close()


# Forks --------------------------------------------------------------------------------------------------------------


def test_a_fork_with_another_rate_has_the_bits_of_a_training_of_its_own(trainings: Any) -> None:
    model = compiled()
    training = trainings(copy.deepcopy(model))
    step(training, 7)
    training.fork("rate", 0.1, 5)
    step(training, 3)
    other = trainings(model)
    step(other, 5)
    other.change_rate(0.1)
    step(other, 5)
    assert_same(contents(training, "fork"), contents(other))
    both = training.state()["lanes"]
    assert both["fork"]["batches"]["rows"] == lane(other)["batches"]["rows"]
    assert both["fork"]["batches"]["rows"][:6] == both["main"]["batches"]["rows"][:6]
    assert both["fork"]["batches"]["rows"][6:] != both["main"]["batches"]["rows"][6:]
    assert training.state()["fork"] == "learning rate 0.1 from step 5"
    training.rewind(4)  # before the fork
    settle(training)
    assert_same(contents(training, "fork"), contents(training))


def test_a_fork_without_batch_normalization_differs_in_nothing_else(trainings: Any) -> None:
    model = compiled()
    training = trainings(copy.deepcopy(model))
    step(training, 8)
    training.fork("batch_norm", False)
    alone = copy.deepcopy(model)
    alone.layers = [one for one in alone.layers if not isinstance(one, layers.BatchNormalization)]
    alone.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    alone.fit(X, Y, BATCH, epochs=2, verbose=0)
    step(training, 2 * PER_EPOCH - 8)
    assert_same(contents(training, "fork"), everything(alone))
    assert lane(training, "fork")["step"] == lane(training)["step"] == 2 * PER_EPOCH


def test_a_fork_with_another_scale_multiplies_kernels_alone(trainings: Any) -> None:
    model = compiled()
    training = trainings(copy.deepcopy(model))
    training.fork("scale", 3)
    found, wanted = contents(training, "fork"), contents(training)
    for name, array in wanted.items():
        if name.endswith("kernel"):
            np.testing.assert_array_equal(found[name], 3 * array)
        elif isinstance(array, np.ndarray):
            np.testing.assert_array_equal(found[name], array)


def test_a_fork_in_the_given_order(trainings: Any) -> None:
    model = compiled()
    alone = copy.deepcopy(model)
    alone.fit(X, Y, BATCH, epochs=2, shuffle=False, verbose=0)
    training = trainings(model, epochs=2)
    training.start()
    training.fork("shuffle", False)
    settle(training)
    assert_same(contents(training, "fork"), everything(alone))


def test_both_keep_in_step(trainings: Any) -> None:
    training = trainings(compiled())
    training.fork("scale", 2.0)
    training.start()
    while (steps := [one["step"] for one in training.state()["lanes"].values()])[0] < 60:
        assert abs(steps[0] - steps[1]) <= 1
        time.sleep(0.002)
    training.pause()
    settle(training)
    steps = [one["step"] for one in training.state()["lanes"].values()]
    assert steps[0] == steps[1]
    training.drop_fork()
    assert list(training.state()["lanes"]) == ["main"]


def test_a_pause_ends_every_way_of_waiting(trainings: Any) -> None:
    training = trainings(compiled())
    step(training)
    for _ in range(10):
        training.fork("scale", 2)  # it begins at step 0, while the other one waits for it at step 1
        training.start()
        training.pause()
        settle(training)
        training.rewind(1)
        settle(training)


@pytest.mark.parametrize(
    ("change", "value", "message"),
    [
        ("rate", 0, "value must be > 0"),
        ("rate", float("nan"), "value must be"),
        ("rate", "0.1", "value must be a number"),
        ("scale", 1, "changes nothing"),
        ("scale", 1e9, "value must be"),
        ("shuffle", True, "shuffle is True already"),
        ("shuffle", 1, "must be True or False"),
        ("batch_norm", True, "only False"),
        ("dropout", 1, "change must be one of"),
        (["rate"], 1, "change must be one of"),
    ],
)
def test_changes_that_are_none_are_refused(trainings: Any, change: Any, value: Any, message: str) -> None:
    training = trainings(compiled())
    with pytest.raises((ValueError, TypeError), match=message):
        training.fork(change, value)
    assert list(training.state()["lanes"]) == ["main"]


def test_what_is_not_possible_is_said_before(trainings: Any) -> None:
    decaying = optimizers.SGD(schedules.ExponentialDecay(0.1, decay_steps=5, decay_rate=0.5))
    model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(4, activation="softmax")])
    model.compile(decaying, "sparse_categorical_crossentropy")
    training = trainings(model)
    assert training.state()["changes"] == {"rate": False, "shuffle": True, "batch_norm": False, "scale": True}
    for refused in (lambda: training.change_rate(0.1), lambda: training.fork("rate", 0.1)):
        with pytest.raises(ValueError, match="ExponentialDecay"):
            refused()
    step(training, 5)
    assert lane(training)["rate"] == pytest.approx(0.05)


# What goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_infinity_stops_it_and_names_the_layer(trainings: Any) -> None:
    training = trainings(compiled(optimizers.SGD(0.1)))
    step(training, 4)
    wanted = contents(training)
    training.change_rate(1e30)
    training.start()
    settle(training)
    failed = lane(training)
    assert failed["status"] == "failed"
    assert failed["failure"]["layer"] in {one.name for one in training._session.model.layers}
    assert "first in" in failed["failure"]["message"]
    json.dumps(training.state(), allow_nan=False)
    assert [event.kind for event in training.events.after(0) or []].count("failed") == 1
    assert np.isfinite(np.concatenate([array.ravel() for array in training._session.model.get_weights()])).all()
    for refused in (training.start, training.step):
        with pytest.raises(ValueError, match="go back"):
            refused()
    training.rewind(4)
    assert_same(contents(training), wanted)
    training.change_rate(0.01)
    step(training)
    assert lane(training)["status"] == "paused"


class Breaks(layers.Layer):
    """Raises an error at one step, as a layer does that somebody is still writing."""

    def forward(self, x, *, training=False, step=0, ws=None):
        if training and step == 3:
            raise ZeroDivisionError("<b>mine</b>")
        return x.copy(), None

    def backward(self, dy, cache, *, ws=None):
        return dy.copy()


def test_an_error_in_a_layer_of_ones_own_is_shown(trainings: Any) -> None:
    model = Sequential([layers.Input((6, 6, 1)), Breaks(), layers.Flatten(), layers.Dense(4, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    training = trainings(model)
    training.start()
    settle(training)
    assert lane(training)["failure"]["message"].startswith("ZeroDivisionError: <b>mine</b>")
    assert lane(training)["step"] == 3
    training.rewind(2)
    settle(training)
    assert lane(training)["status"] == "paused"


@pytest.mark.parametrize(
    "call",
    [
        lambda training: training.begin(batch_size=0),
        lambda training: training.begin(batch_size=10**9),
        lambda training: training.begin(rate=-1),
        lambda training: training.begin(shuffle="no"),
        lambda training: training.begin(epochs=1.5),
        lambda training: training.rewind(-1),
        lambda training: training.rewind(1),
        lambda training: training.rewind(0.5),
        lambda training: training.change_rate(None),
        lambda training: training.change_rate(0.1, "fork"),
        lambda training: training.fork("rate", 0.1, 7),
        lambda training: training.fork("scale", 2, 1),
    ],
)
def test_wrong_arguments_change_nothing(trainings: Any, call: Any) -> None:
    training = trainings(compiled())
    settle(training)
    before = training.state()
    with pytest.raises((ValueError, TypeError)):
        call(training)
    assert training.state()["lanes"] == before["lanes"]


def test_without_data_or_without_a_training() -> None:
    training = Training(Session(compiled()))
    with pytest.raises(ValueError, match="no images to train on"):
        training.begin()
    for call in (training.start, training.pause, training.step, lambda: training.rewind(0)):
        with pytest.raises(ValueError, match="no training yet"):
            call()
    assert training.state()["lanes"] == {}
    training.close()


# What is seen -------------------------------------------------------------------------------------------------------


def test_the_session_gets_the_weights_when_it_stands_still(trainings: Any) -> None:
    training = trainings(compiled())
    settle(training)
    session = training._session
    before, version = session.model.get_weights(), session.version
    step(training, 3)
    assert session.version > version
    for found, wanted, old in zip(session.model.get_weights(), training.current_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert not np.array_equal(found, old)


def test_a_running_training_lends_no_weights(trainings: Any) -> None:
    training = trainings(compiled())
    training.start()
    with pytest.raises(ValueError, match="pause it first"):
        training.current_weights()


def test_the_state_is_complete_and_fits_json(trainings: Any) -> None:
    training = trainings(compiled())
    step(training, 2)
    state = json.loads(json.dumps(training.state(), allow_nan=False))
    found = state["lanes"]["main"]
    assert found["filters"]["shape"] == [3, 3, 3, 1]
    kernel = training.current_weights()[0]
    shown = np.array(found["filters"]["weights"]).reshape(3, 3, 3, 1) / 127 * found["filters"]["scale"]
    np.testing.assert_allclose(np.moveaxis(shown, 0, -1), kernel, atol=found["filters"]["scale"] / 200)
    assert [name for name, _ in found["norms"]] == ["conv2d", "batch_normalization", "dense"]
    assert all(norm > 0 for _, norm in found["norms"])
    assert state["steps_per_epoch"] == PER_EPOCH
    loss, _ = training._session.model.evaluate(DATA.x_test, DATA.y_test, verbose=0)
    predicted = training._session.model.predict(DATA.x_test)
    each = -np.log(predicted[np.arange(40), DATA.y_test])
    worst = found["worst"]
    assert [one["image"] for one in worst] == [f"test-{n}" for n in np.argsort(-each)[: len(worst)]]
    assert worst[0]["loss"] == pytest.approx(each.max(), rel=1e-5)
    assert worst[0]["predicted"] == predicted[int(worst[0]["image"][5:])].argmax()
    examined = [event for event in training.events.after(0) or [] if event.kind == "examined"][-1]
    accuracy = (predicted.argmax(-1) == DATA.y_test).mean()
    assert examined.content["figures"] == pytest.approx((loss, accuracy), rel=1e-5)


def test_what_listeners_hear_is_what_the_state_says(trainings: Any) -> None:
    training = trainings(compiled())
    settle(training)
    start = training.state()
    rows, number = {row[0]: row for row in start["lanes"]["main"]["batches"]["rows"]}, start["sequence"]
    training.start()
    while len(rows) < 100:
        for event in training.events.wait(number, SECONDS) or pytest.fail("an event was forgotten"):
            assert event.number == number + 1
            number = event.number
            if event.kind == "progress":
                rows |= {row[0]: row for row in event.content["batches"]["rows"]}
    training.pause()
    settle(training)
    for event in training.events.after(number) or []:
        if event.kind == "progress":
            rows |= {row[0]: row for row in event.content["batches"]["rows"]}
    assert list(rows.values()) == lane(training)["batches"]["rows"]


def test_nobody_has_to_listen(trainings: Any) -> None:
    training = trainings(compiled())
    for _ in range(300):
        training.events.tell("progress")
    assert training.events.after(0) is None
    assert len(training.events.after(training.events.last - 5) or []) == 5
    assert training.events.after(training.events.last) == []
    assert training.events.after(training.events.last + 1) is None


def test_another_training_takes_the_place_of_the_first(trainings: Any) -> None:
    training = trainings(compiled())
    training.start()
    training.begin(batch_size=8)
    settle(training)
    assert lane(training)["settings"]["batch_size"] == 8
    assert lane(training)["step"] == 0
    training.stop()
    assert training.state()["lanes"] == {}


# Memory -------------------------------------------------------------------------------------------------------------


def test_a_curve_never_grows_and_can_be_cut() -> None:
    curve = Curve(most=10)
    for number in range(1, 1000):
        curve.add(number, number / 2)
    assert len(curve.rows) <= 10
    assert curve.rows == [(n, n / 2) for n in range(curve.stride, 1000, curve.stride)]
    assert curve.add(999, 0.0) is None
    cut = curve.until(500)
    assert cut.rows[-1][0] <= 500
    assert cut.last == 500
    assert len(curve.rows) <= 10


def state_with(step: int) -> State:
    return State(step, fit_state.Saved({"w": np.zeros(1000)}, {}, {}))


def test_states_stay_within_their_limits() -> None:
    states = States(stride=2, most=8)
    for step in range(0, 1000, 2):
        if states.is_due(step):
            states.add(state_with(step))
    assert len(states) <= 8
    assert states.before(0).step == 0
    assert states.before(1).step == 0
    for step in (7, 300, 999):
        assert step - states.stride <= states.before(step).step < step
    assert states.before(states.stride).step == 0  # so that a batch leads there
    bounded = States(stride=1, most_bytes=5 * state_with(0).nbytes)
    for step in range(100):
        if bounded.is_due(step):
            bounded.add(state_with(step))
    assert bounded.nbytes <= 5 * state_with(0).nbytes
    assert bounded.before(100).step + bounded.stride >= 99


def test_a_rate_holds_until_the_next_one() -> None:
    history = History(10)
    assert history.rate_at(5) is None
    history.rates = {0: 0.1, 4: 0.2, 9: 0.3}
    assert [history.rate_at(step) for step in (0, 3, 4, 8, 9, 100)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    assert history.until(4).rates == {0: 0.1, 4: 0.2}
