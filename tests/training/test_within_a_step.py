"""What layers, losses, metrics and callbacks of a user's own do within a step counts as it does layer by layer."""

import signal

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, callbacks, layers, losses, metrics

SHAPE, CLASSES = (6, 6, 2), 3


def drawn(count=64):
    draw = np.random.default_rng(0)
    return draw.normal(size=(count, *SHAPE)).astype(np.float32), draw.integers(0, CLASSES, count)


def network(*middle, loss="sparse_categorical_crossentropy", metrics=(), optimizer="sgd"):
    tinycnn.set_seed(1)
    model = Sequential([layers.Input(SHAPE), *middle, layers.Flatten(), layers.Dense(CLASSES, activation="softmax")])
    model.compile(optimizer, loss, list(metrics))
    return model


def same_fused(make, y=None, **given):
    """Train fused and layer by layer, and return what both leave behind, which must be the same up to rounding."""
    x, labels = drawn()
    left = []
    for fuse in (True, False):
        model = make()
        history = model.fit(x, labels if y is None else y, batch_size=8, epochs=2, verbose=0, fuse=fuse, **given)
        left.append((history.history, model.get_weights()))
    (histories, weights), (others, other_weights) = left
    for key, values in histories.items():
        np.testing.assert_allclose(values, others[key], rtol=1e-5, err_msg=key)
    for ours, theirs in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    return left


# Labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [10**11, CLASSES, -1])
@pytest.mark.parametrize("fuse", [True, False])
def test_labels_that_a_callback_spoils_are_refused(bad, fuse):
    """A kernel that runs again reads its memory at these places."""
    x, y = drawn()

    def spoil(batch, logs):
        if batch == 4:
            y[:] = bad

    spoiling = callbacks.LambdaCallback(on_train_batch_end=spoil)
    with pytest.raises(ValueError, match=rf"labels must lie in 0 .* got {bad} at index 0"):
        network().fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, fuse=fuse, callbacks=[spoiling])


# Metrics --------------------------------------------------------------------------------------------------------


class Median(metrics.Metric):
    """Keeps what it is given until the end."""

    name = "median"

    def reset(self):
        self.given = []

    def update(self, y_true, y_pred):
        self.given.append((y_true, y_pred))

    def result(self):
        y, p = map(np.concatenate, zip(*self.given, strict=True))
        return float(np.median(p[np.arange(len(y)), y] if y.ndim == 1 else np.abs(p - y)))


class Writing(metrics.Metric):
    """Changes what it is given."""

    name = "writing"

    def values(self, y_true, y_pred):
        y_pred[y_pred < 0.5] = 0
        y_true[...] = 0
        return y_pred[..., 0]


@pytest.mark.parametrize("kind", [Median, Writing])
def test_a_metric_may_keep_and_change_what_it_is_given(kind):
    _, (_, weights) = same_fused(lambda: network(metrics=[kind()]))
    _, (_, without) = same_fused(network)
    for ours, theirs in zip(weights, without, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mean_squared_error"])
def test_evaluation_gives_a_metric_arrays_of_its_own(loss):
    x, y = drawn(600)
    y = y if loss.startswith("sparse") else np.eye(CLASSES)[y]
    model = network(loss=loss, metrics=[Median()])
    expected = Median()
    expected.update(y, model.predict(x))
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(expected.result(), rel=1e-6)


# Layers and losses that change something within a step ------------------------------------------------------------


class Assigning(layers.Layer):
    """Scales its input; gives its parameter new arrays in place of writing into those that are there."""

    normalizes = False

    def create(self, input_shape, rng):
        self.add_parameter("scale", input_shape[-1:], "ones", rng)

    def forward(self, x):
        scale = self.params["scale"]
        if self.normalizes:
            scale.value = scale.value / np.linalg.norm(scale.value)
        return x * scale.value, x

    def backward(self, dy, cache):
        self.params["scale"].grad = (dy * cache).sum(axis=(0, 1, 2))
        return dy * self.params["scale"].value


class Normalizing(Assigning):
    normalizes = True


@pytest.mark.parametrize("kind", [Assigning, Normalizing])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_layer_may_assign_the_arrays_of_its_parameters(kind, optimizer):
    (_, weights), _ = same_fused(lambda: network(kind(), optimizer=optimizer))
    assert np.abs(weights[0] - (1 / np.sqrt(2) if kind.normalizes else 1)).max() > 1e-4


def test_a_gradient_of_another_shape_is_refused():
    class Wrong(Assigning):
        calls = 0

        def backward(self, dy, cache):
            dx = super().backward(dy, cache)
            self.calls += 1
            if self.calls > 3:
                self.params["scale"].grad = self.params["scale"].grad.sum(keepdims=True)
            return dx

    x, y = drawn()
    with pytest.raises(ValueError, match=r"backward must give scale a gradient of shape \(2,\); got shape \(1,\)"):
        network(Wrong()).fit(x, y, batch_size=8, verbose=0)


class Meddling(layers.Layer):
    """Changes another layer within a step."""

    def __init__(self, change, **given):
        super().__init__(**given)
        self.change = change

    def forward(self, x, *, training=False, step=0, ws=None):
        if training:
            self.change(step)
        return x, None

    def backward(self, dy, cache, *, ws=None):
        return dy


@pytest.mark.parametrize("what", ["an attribute", "an array", "trainable"])
def test_what_a_layer_changes_of_another_is_no_silent_error(what):
    other = layers.Dropout(0.1) if what == "an attribute" else layers.Conv2D(2, 1)

    def change(step):
        if what == "an attribute":
            other.rate = 0.1 * (step % 5)
        elif what == "an array":
            other.params["kernel"].value = other.params["kernel"].value * 0.9
        else:
            other.trainable = bool(step % 2)

    x, y = drawn()
    model = network(Meddling(change), other)
    before = None

    def note(batch, logs):
        nonlocal before
        before = [weight.copy() for weight in model.get_weights()[2:]]

    noting = callbacks.LambdaCallback(on_train_batch_end=note)
    with pytest.raises(RuntimeError, match="changed an attribute or an array of another layer"):
        model.fit(x, y, batch_size=8, epochs=1, verbose=0, callbacks=[noting])
    for now, then in zip(model.get_weights()[2:] if what != "an attribute" else [], before, strict=False):
        np.testing.assert_array_equal(now, then)
    model = network(Meddling(change), layers.Activation("relu"))
    model.fit(x, y, batch_size=8, epochs=1, verbose=0, fuse=False)


class Polyak(losses.CategoricalCrossentropy):
    """Sets the rate of the step that it belongs to."""

    model = None

    def forward(self, *given, **named):
        result = super().forward(*given, **named)
        if self.model is not None:
            self.model.optimizer.learning_rate = 0.1 * float(result[0].mean())
        return result


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_loss_may_set_the_rate_of_its_step(optimizer):
    def make():
        loss = Polyak()
        model = network(loss=loss, optimizer=optimizer)
        loss.model = model
        return model

    same_fused(make, y=np.eye(CLASSES)[drawn()[1]])


# Weights in other arrays ------------------------------------------------------------------------------------------


LAYERS = {
    "Conv2D": lambda: layers.Conv2D(4, 3),
    "Conv2D with groups": lambda: layers.Conv2D(4, 3, groups=2),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    "Dense": lambda: layers.Dense(4),
}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("which", ["value", "grad"])
def test_weights_in_fortrans_order_are_the_layers_own(name, which, backend):
    with tinycnn.use_backend(backend):
        x, y = drawn()
        model = network(LAYERS[name]())
        parameter = model.layers[0].params["kernel"]
        setattr(parameter, which, np.asfortranarray(getattr(parameter, which)))
        before = parameter.value.copy()
        for _ in range(3):
            model.predict(x)
        model.fit(x, y, batch_size=8, verbose=0)
        assert np.abs(parameter.value - before).max() > 1e-4
        model.set_weights([weight * 0 for weight in model.get_weights()])
        np.testing.assert_array_equal(model.predict(x), np.float32(1 / CLASSES))


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (np.ones((3, 3, 4, 2), np.float32), r"shape \(3, 3, 4, 2\)"),
        (np.ones(72, np.float32), r"shape \(72,\)"),
        (3.0, "3.0"),
        ([1.0], r"\[1.0\]"),
    ],
)
def test_weights_of_another_shape_are_refused(given, got):
    parameter = network(layers.Conv2D(4, 3)).layers[0].params["kernel"]
    with pytest.raises(ValueError, match=rf"expected an array of shape \(3, 3, 2, 4\); got {got}"):
        parameter.value = given


# Methods that are replaced ----------------------------------------------------------------------------------------


def replaced_activation(model):
    model.layers[0].activation.forward = lambda kernels, x, out=None: np.sin(x)


def replaced_linear_part(model):
    layer, before = model.layers[0], model.layers[0].linear_forward

    def twice(*given, **named):
        y, cache = before(*given, **named)
        return 2 * y, cache

    layer.linear_forward = twice


@pytest.mark.parametrize("replace", [replaced_activation, replaced_linear_part])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_replaced_methods_are_called(replace, activation, when):
    x, _ = drawn()
    model = network(layers.Conv2D(4, 3, activation=activation))
    expected = network(layers.Conv2D(4, 3, activation=activation))
    for one in (model, expected):
        if when == "before":
            replace(one)
        for _ in range(4):
            one.predict(x[:8]) if one is model else None
        if when == "after":
            replace(one)
    for _ in range(4):
        found = model.predict(x[8:16])
    np.testing.assert_allclose(found, expected.trace(x[8:16], training=False)[-1].y, rtol=1e-5, atol=1e-6)


def test_a_replaced_method_of_a_class_is_called(monkeypatch):
    x, _ = drawn()
    monkeypatch.setattr(activations.Tanh, "forward", lambda self, kernels, x, out=None: np.sin(x))
    model = network(layers.Conv2D(4, 3, activation="tanh"))
    for _ in range(4):
        first = model.predict(x[:8])
    found = model.predict(x[8:16])
    assert not np.array_equal(first, found)
    np.testing.assert_allclose(found, model.trace(x[8:16], training=False)[-1].y, rtol=1e-5, atol=1e-6)


# Before a batch -----------------------------------------------------------------------------------------------------


def set_activation(model):
    model.layers[0].activation = "tanh"


def set_loss(model):
    model.loss = "mean_squared_error"


def compile_again(model):
    model.compile("sgd", "mean_squared_error")


@pytest.mark.parametrize("change", [set_activation, set_loss, compile_again])
@pytest.mark.parametrize("how", ["callback", "generator"])
def test_what_is_changed_before_a_batch_counts_for_it(change, how):
    y = np.eye(CLASSES)[drawn()[1]]
    seen = []
    for fuse in (True, False):
        model, losses_seen = network(layers.Conv2D(4, 3, activation="relu"), loss="categorical_crossentropy"), []

        def begin(batch, logs=None, model=model):
            if batch == 3:
                change(model)

        def batches(begin=begin):
            x, _ = drawn()
            for number in range(8):
                if how == "generator":
                    begin(number)
                yield x[8 * number : 8 * number + 8], y[8 * number : 8 * number + 8]

        def end(batch, logs, into=losses_seen):
            into.append(logs["loss"])

        watching = callbacks.LambdaCallback(on_train_batch_end=end)
        if how == "callback":
            watching = callbacks.LambdaCallback(on_train_batch_begin=begin, on_train_batch_end=end)
        model.fit(batches(), verbose=0, fuse=fuse, callbacks=[watching])
        seen.append(losses_seen)
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-5)
    constant = network(layers.Conv2D(4, 3, activation="relu"), loss="categorical_crossentropy")
    x, _ = drawn()
    constant.fit(x[:24], y[:24], batch_size=8, shuffle=False, verbose=0)
    change(constant)
    fourth = constant.evaluate(x[24:32], y[24:32], verbose=0)
    assert seen[0][3] * 4 - seen[0][2] * 3 == pytest.approx(fourth, rel=1e-4)


# Numbers that are too large, and Ctrl-C ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_numbers_too_large_for_the_network_are_refused():
    model = network()
    x = np.zeros((3, *SHAPE))
    x[1, 0, 0, 1] = -1e300
    uses = model.predict, lambda x: model.fit(x, [0, 1, 2], verbose=0), lambda x: model.train_on_batch(x, [0] * 3)
    for use in uses:
        with pytest.raises(ValueError, match=r"x holds -1e\+300 at index \(1, 0, 0, 1\), which is too large for float"):
            use(x)
    with pytest.raises(ValueError, match=r"kernel: 1e\+300 is too large for float32"):
        model.set_weights([np.full(weight.shape, 1e300) for weight in model.get_weights()])
    wide = Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(2)], dtype="float64")
    assert np.isfinite(wide.predict(x / 1e10)).all()


def test_ctrl_c_leaves_no_half_of_a_single_step(monkeypatch):
    x, y = drawn()
    model, expected = network(layers.Conv2D(4, 3)), network(layers.Conv2D(4, 3))
    for _ in range(4):
        expected.train_on_batch(x, y)
        update = model.optimizer.step

        def interrupted(*given, update=update):
            signal.raise_signal(signal.SIGINT)
            update(*given)

        monkeypatch.setattr(model.optimizer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.train_on_batch(x, y)
        monkeypatch.undo()
    assert model.optimizer.iterations == expected.optimizer.iterations == 4
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
