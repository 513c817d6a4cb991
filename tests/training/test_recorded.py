"""Recorded steps: the same bits as steps that are taken layer after layer, whatever happens between two of them."""

import threading
from collections import Counter
from types import SimpleNamespace

import numba
import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, callbacks, layers, losses, metrics, optimizers, regularizers, schedules
from tinycnn.kernels import aligned
from tinycnn.kernels.cpu.machine import program as machine
from tinycnn.layers import LAYERS
from tinycnn.training import recorded

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="without compiled kernels there are no programs")

SHAPE, CLASSES, COUNT = (6, 6, 2), 3, 37


def drawn(count=COUNT, seed=0, shape=SHAPE):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(count, *shape)).astype(np.float32), draw.integers(0, CLASSES, count)


def network(*middle, end=None, seed=1, **compiled):
    """Return a compiled model with these layers in the middle."""
    tinycnn.set_seed(seed)
    end = [layers.Flatten(), layers.Dense(CLASSES, activation="softmax")] if end is None else end
    model = Sequential([layers.Input(SHAPE), *middle, *end])
    given = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**given | compiled)
    return model


@pytest.fixture
def count(monkeypatch):
    """Count the recordings, the runs of programs, and the parts of them that are calls of Python."""
    counted, program = Counter(), tinycnn.get_backend().kernels.fused.Program
    run, recording = program.run, program.recording

    def counted_run(self, now):
        counted["runs"] += 1
        counted["python"] = sum(callable(part) and hasattr(part, "__code__") for part in self._parts)
        rows = [part._rows for part in self._parts if hasattr(part, "_rows")]
        counted["behind"] = sum(np.count_nonzero(table[:, machine.THEN]) for table in rows)
        run(self, now)

    def counted_recording(self, now):
        counted["recordings"] += 1
        return recording(self, now)

    monkeypatch.setattr(program, "run", counted_run)
    monkeypatch.setattr(program, "recording", counted_recording)
    return counted


def trained(make, recording=True, **given):
    """Return all that a fit leaves behind: its history, the weights, what the optimizer keeps, and predictions."""
    with pytest.MonkeyPatch.context() as patch:
        if not recording:
            patch.setattr(recorded, "can_record", lambda model: False)
        model, (x, y) = make(), drawn()
        given = {"x": x, "y": y, "batch_size": 8, "epochs": 2, "verbose": 0} | given
        callbacks_of = given.pop("callbacks_of", list)
        history = model.fit(**given, callbacks=callbacks_of()).history
        results = [model.predict(x[:5]) for _ in range(4)]
        if given["y"] is not None:
            results.append(np.array(model.evaluate(x, given["y"], verbose=0)))
    slots = [slot for slots in model.optimizer.slots.values() for slot in slots]
    return history, [array.tobytes() for array in (*model.get_weights(), *slots, *results)], model.optimizer.iterations


def check_same(make, **given):
    """Check that a fit from recordings leaves the same bits as one without."""
    assert trained(make, **given) == trained(make, recording=False, **given)


MIDDLE = {
    "Activation": lambda: layers.Activation("tanh"),
    "AveragePooling2D": lambda: layers.AveragePooling2D(2),
    "BatchNormalization": layers.BatchNormalization,
    "Conv2D": lambda: layers.Conv2D(4, 3, activation="relu"),
    "Dense": lambda: layers.Dense(5, activation="gelu"),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="elu"),
    "Dropout": lambda: layers.Dropout(0.4),
    "ELU": layers.ELU,
    "Flatten": layers.Flatten,
    "GaussianNoise": lambda: layers.GaussianNoise(0.3),
    "GlobalAveragePooling2D": lambda: layers.GlobalAveragePooling2D(keepdims=True),
    "GlobalMaxPooling2D": layers.GlobalMaxPooling2D,
    "LeakyReLU": layers.LeakyReLU,
    "MaxPooling2D": lambda: layers.MaxPooling2D(2),
    "ReLU": layers.ReLU,
    "Rescaling": lambda: layers.Rescaling(0.5, 0.1),
    "Reshape": lambda: layers.Reshape((12, 9)),
    "Softmax": layers.Softmax,
    "ZeroPadding2D": lambda: layers.ZeroPadding2D(1),
}
#: The layers that NumPy computes.
IN_PYTHON = {"Rescaling", "ZeroPadding2D"}


def test_every_layer_is_tried():
    assert {kind.__name__ for kind in LAYERS.values()} == set(MIDDLE)


@pytest.mark.parametrize("name", MIDDLE)
def test_each_layer(name, count):
    def make():
        return network(layers.Dense(3), MIDDLE[name](), layers.Dense(2))

    check_same(make)
    assert count["runs"] >= 4
    # Forward and backward, in a step of training; besides them there are the means.
    trained(make)
    assert count["recordings"] > 2


@pytest.mark.parametrize("name", MIDDLE)
def test_only_layers_of_numpy_run_in_python(name, count):
    model, (x, y) = network(layers.Dense(3), MIDDLE[name](), layers.Dense(2)), drawn()
    model.fit(x[:32], y[:32], batch_size=8, epochs=1, verbose=0)
    assert count["runs"] == 2
    assert count["python"] == 1 + 2 * (name in IN_PYTHON)


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_each_activation(name, count):
    def make():
        return network(layers.Conv2D(3, 2, activation=name), layers.Dense(4, activation=name))

    check_same(make)
    assert count["runs"]


@pytest.mark.parametrize("algorithm", ["direct", "winograd", "im2col"])
def test_each_algorithm(algorithm):
    check_same(lambda: network(layers.Conv2D(4, 3, algorithm=algorithm), layers.MaxPooling2D(2)))


@pytest.mark.parametrize("batch_size", [1, 15, 16, 17, 37, 64])
def test_each_size_of_a_batch(batch_size):
    """The last batch of an epoch has fewer images, and so a program of its own."""
    check_same(
        lambda: network(
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(4, 2),
            layers.Dropout(0.2),
        ),
        batch_size=batch_size,
        epochs=4,
    )


OPTIMIZERS = {
    "Adam": lambda: optimizers.Adam(0.01),
    "a schedule": lambda: optimizers.Adam(schedules.ExponentialDecay(0.01, 3, 0.5)),
    "AdamW": lambda: optimizers.AdamW(0.01),
    "SGD": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "RMSprop": lambda: optimizers.RMSprop(0.01, momentum=0.5),
    "clipnorm": lambda: optimizers.Adam(0.01, clipnorm=0.1),
    "clipvalue": lambda: optimizers.SGD(0.01, clipvalue=0.01),
    "global_clipnorm": lambda: optimizers.Adam(0.01, global_clipnorm=0.1),
    "weight_decay": lambda: optimizers.SGD(0.01, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer(name, count):
    check_same(lambda: network(layers.Conv2D(4, 3), optimizer=OPTIMIZERS[name]()))
    assert count["runs"]


LOSSES = {
    "sparse": ("sparse_categorical_crossentropy", lambda y: y),
    "one-hot": ("categorical_crossentropy", lambda y: np.eye(CLASSES)[y]),
    "smoothed": (losses.CategoricalCrossentropy(label_smoothing=0.2), lambda y: np.eye(CLASSES, dtype=int)[y]),
    "squares": ("mean_squared_error", lambda y: np.eye(CLASSES, dtype=int)[y]),
}


@pytest.mark.parametrize(
    ("optimizer", "dense", "behind"),
    [
        (lambda: optimizers.Adam(0.01), {}, 1),
        (lambda: optimizers.SGD(0.05), {"use_bias": False}, 1),
        (lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True), {}, 1),
        (lambda: optimizers.Adam(0.01), {"kernel_regularizer": regularizers.L2(0.1)}, 0),
        (lambda: optimizers.Adam(0.01, clipvalue=1e-3), {}, 0),
        (lambda: optimizers.RMSprop(0.01), {}, 0),
    ],
)
def test_large_weights_are_updated_behind_their_gradient(optimizer, dense, behind, count):
    def make():
        wide = layers.Dense(4096, activation="relu", **dense)
        middle = layers.Conv2D(2, 1), layers.Flatten(), wide
        return network(*middle, end=[layers.Dense(CLASSES, activation="softmax")], optimizer=optimizer())

    check_same(make, epochs=3)
    assert count["recordings"]
    model, (x, y) = make(), drawn()
    for _ in range(3):
        model.train_on_batch(x, y)
    assert count["behind"] == behind


@pytest.mark.parametrize("units", [20, 600])
@pytest.mark.parametrize("shared", ["parameter", "value", "gradient"])
def test_layers_that_share_an_array_are_updated_one_after_another(shared, units):
    def make():
        first, second = layers.Dense(units, activation="tanh"), layers.Dense(units)
        model = network(layers.Flatten(), layers.Dense(units), first, second, end=[layers.Dense(CLASSES, "softmax")])
        if shared == "parameter":
            second.params["kernel"] = first.params["kernel"]
        elif shared == "value":
            second.params["kernel"].value = first.params["kernel"].value
        else:
            second.params["kernel"].grad = first.params["kernel"].grad
        return model

    check_same(make, epochs=1)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss(name):
    loss, targets = LOSSES[name]
    check_same(lambda: network(layers.Conv2D(4, 3), loss=loss), y=targets(drawn()[1]))


def test_a_loss_that_takes_probabilities():
    class Own(layers.Dense):
        pass  # a subclass is never taken apart, so the loss works on probabilities

    check_same(lambda: network(end=[layers.Flatten(), Own(CLASSES, activation="softmax")]))


@pytest.mark.parametrize("outputs", [1, CLASSES])
@pytest.mark.parametrize("end", [["sigmoid"], [None, layers.Activation("sigmoid")]], ids=["activation", "layer"])
def test_a_final_sigmoid(outputs, end):
    """The loss runs in Python, and the layers before it in the program."""
    y = drawn()[1]

    def make():
        behind = [type(one).from_config(one.get_config()) for one in end[1:]]
        last = [layers.Flatten(), layers.Dense(outputs, activation=end[0]), *behind]
        return network(layers.Conv2D(4, 3), end=last, loss=losses.BinaryCrossentropy(label_smoothing=0.1))

    check_same(make, y=(y > 0).astype(int) if outputs == 1 else np.eye(CLASSES)[y])


def test_logits():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    check_same(lambda: network(end=[layers.Flatten(), layers.Dense(CLASSES)], loss=loss))


@pytest.mark.parametrize("given", [{"class_weight": {0: 1, 1: 3, 2: 0.5}}, {"sample_weight": np.arange(COUNT) / 7}])
def test_weights_of_samples(given):
    check_same(lambda: network(layers.Conv2D(4, 3)), **given)


def test_penalties_and_metrics():
    def make():
        penalised = layers.Conv2D(4, 3, kernel_regularizer=regularizers.L2(0.1))
        return network(penalised, metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(k=2)])

    check_same(make)


def test_float64():
    def make():
        tinycnn.set_seed(0)
        model = Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(CLASSES)], dtype="float64")
        model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
        model.build(SHAPE)
        return model

    check_same(make)


class Sawtooth(layers.Layer):
    """A layer of a user's own, which NumPy computes."""

    def forward(self, x, *, training=False, step=0):
        return x - np.floor(x), x

    def backward(self, dy, cache):
        return dy


class Bend(activations.ActivationFunction):
    """An activation of a user's own."""

    name = "bend"

    def forward(self, kernels, x, out=None):
        return np.sinh(x, out=out)

    def backward(self, kernels, dy, y, out=None):
        return np.multiply(dy, np.sqrt(1 + y * y), out=out)


class Huber(losses.Loss):
    """A loss of a user's own."""

    def check_targets(self, y, n, output_shape):
        return np.asarray(y, np.float32)

    def forward(self, y_pred, y_true, backend):
        cache = SimpleNamespace(p=y_pred, error=np.clip(y_pred - y_true, -1, 1))
        return np.square(cache.error).mean(axis=1), cache

    def backward(self, cache, weights, backend):
        return (2 / CLASSES * weights[:, None] * cache.error).astype(np.float32)


class Halving(optimizers.Optimizer):
    """An optimizer of a user's own."""

    slot_names = ("last",)

    def __init__(self, learning_rate=0.1):
        super().__init__(learning_rate)

    def update(self, value, grad, slots, rate, backend):
        slots[0] *= 0.5
        slots[0] += grad
        value -= rate * slots[0]


def test_everything_of_a_users_own(count):
    def make():
        return network(
            layers.Conv2D(4, 3, activation="relu"),
            Sawtooth(),
            layers.Conv2D(4, 2, activation=Bend()),
            Sawtooth(),
            end=[layers.Flatten(), layers.Dense(CLASSES)],
            loss=Huber(),
            optimizer=Halving(),
            metrics=[],
        )

    check_same(make, y=np.eye(CLASSES, dtype=np.float32)[drawn()[1]])
    assert count["runs"]


def test_a_method_that_was_replaced_is_called():
    def make():
        model = network(layers.Dense(4), layers.Activation("relu"))
        plain = model.layers[1].forward

        def doubled(x, **given):
            y, cache = plain(x, **given)
            return 2 * y, cache

        model.layers[1].forward = doubled
        return model

    check_same(make)


class Counting(schedules.LearningRateSchedule):
    """A schedule that remembers for which steps it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, step):
        self.asked.append(int(step))
        return 0.01 / (1 + len(self.asked))

    def get_config(self):
        return {}


@pytest.mark.parametrize("optimizer", [optimizers.Adam, optimizers.SGD, optimizers.RMSprop, optimizers.AdamW])
def test_a_schedule_is_asked_as_often_as_without_recordings(optimizer):
    found = []

    def make():
        found.append(Counting())
        return network(layers.Dense(3), optimizer=optimizer(found[-1]))

    check_same(make)
    assert found[0].asked == found[1].asked


@pytest.mark.parametrize("name", ["step", "update"])
def test_a_method_of_the_optimizer_that_was_replaced_is_called(name):
    calls = []

    def make():
        model = network(layers.Dense(3))
        plain = getattr(model.optimizer, name)

        def counted(*given):
            calls.append(name)
            return plain(*given)

        setattr(model.optimizer, name, counted)
        return model

    check_same(make)
    assert len(calls) % 2 == 0


def test_a_method_of_the_loss_that_was_replaced_is_called():
    def make():
        model = network(layers.Dense(3))
        plain = model.chain_loss.backward
        model.chain_loss.backward = lambda *given: 3 * plain(*given)
        return model

    check_same(make)


# What changes between two steps ---------------------------------------------------------------------------------


class Between(callbacks.Callback):
    """Do something to the model after each batch."""

    def __init__(self, action):
        self.action = action

    def on_train_batch_end(self, batch, logs=None):
        self.action(self.model, batch)


def set_rate(model, batch):
    model.optimizer.learning_rate = 0.01 / (1 + batch)


def set_dropout(model, batch):
    model.layers[1].rate = 0.1 * batch


def set_epsilon(model, batch):
    model.optimizer.epsilon = 10.0 ** -(batch + 1)


def freeze(model, batch):
    model.layers[0].trainable = batch % 2 == 0


def freeze_parameter(model, batch):
    model.layers[0].params["bias"].trainable = batch % 3 == 0


def overwrite(model, batch):
    model.layers[0].params["kernel"].value[...] *= 0.9


def exchange(model, batch):
    parameter = model.layers[0].params["kernel"]
    parameter.value = parameter.value.copy()


def exchange_gradient(model, batch):
    parameter = model.layers[-1].params["bias"]
    parameter.grad = np.zeros_like(parameter.value)


def exchange_order(model, batch):
    parameter = model.layers[-1].params["kernel"]
    parameter.value = np.asfortranarray(parameter.value)


def exchange_parameter(model, batch):
    layer = model.layers[0]
    layer.params["kernel"].value = aligned.copy(layer.params["kernel"].value)


def set_activation(model, batch):
    model.layers[0].activation = ("relu", "tanh", None)[batch % 3]


def set_regularizer(model, batch):
    model.layers[0].kernel_regularizer = regularizers.L2(0.1) if batch % 2 else None


def set_loss(model, batch):
    if batch == 2:
        model.loss = "sparse_categorical_crossentropy"


def rename(model, batch):
    model.layers[0].name = f"first_{batch}"


def predict(model, batch):
    model.predict(drawn(9)[0])


def set_threads(model, batch):
    numba.set_num_threads(1 + batch % numba.config.NUMBA_NUM_THREADS)


def replace_optimizer(model, batch):
    if batch == 2:
        model.optimizer = optimizers.Adam(0.02)


CHANGES = [
    set_rate, set_dropout, set_epsilon, freeze, freeze_parameter, overwrite, exchange, exchange_gradient,
    exchange_order, exchange_parameter, set_activation, set_regularizer, set_loss, rename, predict, set_threads,
    replace_optimizer,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_callback_changes_counts_from_the_next_step(change):
    threads = numba.get_num_threads()
    try:
        check_same(
            lambda: network(layers.Conv2D(4, 3), layers.Dropout(0.5), layers.Dense(4)),
            callbacks_of=lambda: [Between(change)],
        )
    finally:
        numba.set_num_threads(threads)


def test_nothing_is_recorded_again_if_nothing_changes(count):
    model, (x, y) = network(layers.Conv2D(4, 3)), drawn(40)
    model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=[Between(lambda model, batch: None)])
    assert count == {"recordings": 1, "runs": 23, "python": 1, "behind": 0}


def test_a_layer_that_is_frozen_for_good_is_recorded_once_more(count):
    model, (x, y) = network(layers.Conv2D(4, 3)), drawn(40)

    def freeze_once(model, batch):
        model.layers[0].trainable = False

    model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=[Between(freeze_once)])
    assert count["recordings"] == 1  # it is frozen after the first batch, which is not recorded
    assert count["runs"] == 23


class Remembering(Sawtooth):
    """A layer of a user's own that keeps something at every step."""

    def forward(self, x, *, training=False, step=0):
        self.last = x.mean()
        return super().forward(x, training=training, step=step)


class RememberingHuber(Huber):
    """A loss of a user's own that does the same, and takes labels."""

    def check_targets(self, y, n, output_shape):
        return np.asarray(y)

    def forward(self, y_pred, y_true, backend):
        self.last = y_true[0]
        return super().forward(y_pred, np.eye(CLASSES, dtype=np.float32)[y_true], backend)


def test_what_runs_in_python_may_change_at_every_step(count):
    def make():
        own = {"loss": RememberingHuber(), "optimizer": Halving(), "metrics": []}
        return network(Remembering(), layers.Conv2D(4, 3), end=[layers.Flatten(), layers.Dense(CLASSES)], **own)

    model, (x, labels) = make(), drawn()
    model.fit(x[:32], labels[:32], batch_size=8, epochs=5, verbose=0)
    assert count["recordings"] == 1
    assert count["runs"] == 18
    check_same(make, y=labels)


def test_layer_by_layer_records_nothing(count):
    model, (x, y) = network(layers.Conv2D(4, 3)), drawn(40)
    model.fit(x, y, batch_size=8, epochs=5, verbose=0, fuse=False)
    assert not count


def test_an_error_between_two_steps_leaves_the_model_usable():
    def fail(model, batch):
        if batch == 3:
            raise ZeroDivisionError

    def make():
        model, (x, y) = network(layers.Conv2D(4, 3), layers.BatchNormalization()), drawn()
        with pytest.raises(ZeroDivisionError):
            model.fit(x, y, batch_size=8, verbose=0, callbacks=[Between(fail)])
        return model

    check_same(make)


def test_a_loss_that_is_not_finite_stops_before_the_update():
    """As without recording: the weights are those before the step, and the error says where NaN began."""

    def weights(recording):
        with pytest.MonkeyPatch.context() as patch:
            if not recording:
                patch.setattr(recorded, "can_record", lambda model: False)
            model, (x, y) = network(layers.Conv2D(4, 3)), drawn(40)
            x[35] = np.nan
            with pytest.raises(tinycnn.NumericError, match="batch 4") as caught:
                model.fit(x, y, batch_size=8, verbose=0, shuffle=False, check_finite=False)
        return [array.tobytes() for array in model.get_weights()], str(caught.value), model.optimizer.iterations

    assert weights(True) == weights(False)


def test_two_fits_in_two_threads():
    found = [None] * 2

    def fit(index):
        found[index] = trained(lambda: models[index], epochs=6)

    makes = [lambda: network(layers.Conv2D(4, 3), seed=0), lambda: network(layers.Dense(4), seed=1)]
    models = [make() for make in makes]
    threads = [threading.Thread(target=fit, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [trained(make, recording=False, epochs=6) for make in makes]


def test_batches_of_a_users_own():
    x, y = drawn()

    def batches():
        return [(x[start : start + 8].copy(), y[start : start + 8].copy()) for start in range(0, COUNT, 8)]

    with pytest.MonkeyPatch.context() as patch:
        found = trained(network, x=batches(), y=None, batch_size=None, epochs=3)
        patch.setattr(recorded, "can_record", lambda model: False)
        assert found == trained(network, x=batches(), y=None, batch_size=None, epochs=3)


def test_predictions_follow_the_weights(count):
    model, (x, y) = network(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.MaxPooling2D(2)), drawn(40)
    for _ in range(3):
        model.predict(x[:1])
    assert count["runs"] == 1
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    after = model.predict(x[:1])
    fresh = network(layers.Conv2D(4, 3), layers.BatchNormalization(), layers.MaxPooling2D(2))
    fresh.set_weights(model.get_weights())
    assert np.array_equal(after, fresh.predict(x[:1]))
    model.layers[1].epsilon = 0.5
    assert not np.array_equal(after, model.predict(x[:1]))


def test_recordings_do_not_pile_up():
    model, (x, _) = network(layers.Conv2D(4, 3)), drawn(200)
    for images in range(1, 100):
        for _ in range(2):
            model.predict(x[:images])
    (workspace,) = model._idle
    assert len(workspace.recorded) <= recorded.MOST


def test_larger_memory_makes_recordings_invalid():
    """What a buffer held that is gone now must not be read."""
    model, (x, _) = network(layers.Conv2D(4, 3)), drawn(200)
    for _ in range(4):
        small = model.predict(x[:3])
    model.predict(x)
    assert np.array_equal(model.predict(x[:3]), small)
