"""Looking into a model changes nothing, whatever a layer or a loss of one's own holds in plain attributes."""

import contextlib
import io
import itertools

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, layers, losses, plotting, regularizers, testing
from tinycnn.profile import profile

X, Y = np.random.default_rng(0).random((6, 6, 6, 1)), np.arange(6) % 3


class Running(layers.Layer):
    """Keep running state in every form that comes to mind, and let the result depend on all of it."""

    def __init__(self, **base):
        super().__init__(**base)
        self.mean = 0.0
        self.array = np.zeros(1)
        self.seen, self.counts, self.nested = [], {"passes": 0}, [({"array": np.zeros(2)},)]
        self.rng = np.random.default_rng(0)
        self.counter = itertools.count()
        self.inner = layers.BatchNormalization()

    def create(self, input_shape, rng):
        self.inner.build(input_shape, dtype=self.dtype)
        self.add_parameter("shift", (1,), "zeros", rng)
        self.flat = self.params["shift"].grad.reshape(-1)  # a view, which has to stay one

    def forward(self, x, *, training=False):
        if training:
            self.mean = 0.9 * self.mean + 0.1 * float(x.mean())
            self.array += 1
            self.seen.append(len(x))
            self.counts["passes"] += 1
            self.nested[0][0]["array"][:] += 1
            self.rng.random()
            next(self.counter)
            self.inner.forward(x, training=True)
            self.late = True
        return x + self.params["shift"].value, x

    def backward(self, dy, cache):
        self.flat[:] = dy.sum()
        return dy.copy()

    def state(self):
        held = (self.mean, self.array.tolist(), self.seen, dict(self.counts), self.nested[0][0]["array"].tolist())
        inner = [weight.tolist() for weight in self.inner.get_weights()]
        return repr((*held, self.rng.bit_generator.state, self.counter, inner, hasattr(self, "late")))


class Counting(losses.SparseCategoricalCrossentropy):
    """A loss that remembers how often it was asked."""

    asked = 0

    def forward(self, y_pred, y_true, backend):
        self.asked += 1
        return super().forward(y_pred, y_true, backend)


def made(loss=None):
    tinycnn.set_seed(0)
    with tinycnn.use_backend("reference"):
        model = Sequential(
            [
                layers.Input((6, 6, 1)),
                layers.Conv2D(2, 3, activation="relu"),
                layers.BatchNormalization(),
                Running(),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ],
            dtype="float64",
        )
    model.compile("adam", loss or "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(X, Y, batch_size=3, verbose=0)
    return model


def summary(model):
    with contextlib.redirect_stdout(io.StringIO()):
        model.summary(plan=True)


def pictures(model):
    plotting.feature_maps(model, X[0], layer=0)
    plotting.saliency(model, X[0])


LOOKS = {
    "summary": summary,
    "trace": lambda model: model.trace(X, Y),
    "trace without labels": lambda model: model.trace(X),
    "check_gradients": lambda model: testing.check_gradients(model, X[:2], Y[:2], max_elements=2),
    "check_directional": lambda model: testing.check_directional(model, X, Y),
    "profile": lambda model: profile(model, 4, 1),
    "pictures": pictures,
    "evaluate and predict": lambda model: (model.evaluate(X, Y, verbose=0), model.predict(X)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_looking_changes_nothing(look):
    model, other = made(), made()
    running = model.layers[2]
    before = running.state(), [p.grad.tobytes() for p in model.parameters().values()]
    names, identities = set(vars(running)), {name: id(value) for name, value in vars(running).items()}
    with contextlib.suppress(AssertionError):
        LOOKS[look](model)
    assert before == (running.state(), [p.grad.tobytes() for p in model.parameters().values()])
    assert names == set(vars(running))
    assert identities == {name: id(value) for name, value in vars(running).items()}
    for one in (model, other):
        one.fit(X, Y, batch_size=3, verbose=0)
    assert running.state() == other.layers[2].state()
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("look", ["trace", "check_gradients", "check_directional", "profile"])
def test_a_loss_that_counts_is_left_as_it_was(look):
    model = made(Counting())
    before = model.loss.asked, model.chain_loss.asked
    LOOKS[look](model)
    assert before == (model.loss.asked, model.chain_loss.asked)


class Warming(activations.ActivationFunction):
    """It grows with every pass."""

    name, keeps = "warming", "x"

    def __init__(self):
        self.passes = np.zeros(1)

    def forward(self, kernels, x, out=None):
        self.passes += 1
        return x * self.passes

    def backward(self, kernels, dy, kept, out=None):
        return dy * self.passes


class Asked(regularizers.Regularizer):
    """It remembers how often it was asked."""

    def __init__(self):
        self.asked = 0

    def penalty(self, value):
        self.asked += 1
        return 0.0

    def gradient(self, value):
        self.asked += 1
        return 0 * value


@pytest.mark.parametrize("look", ["summary", "trace", "trace without labels", "profile"])
def test_activations_and_regularizers_that_remember_are_left_as_they_were(look):
    activation, regularizer = Warming(), Asked()
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((6, 6, 1))], dtype="float64")
        model.add(layers.Conv2D(2, 3, activation=activation, kernel_regularizer=regularizer))
        model.add(layers.Flatten())
        model.add(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    before = activation.passes.tolist(), regularizer.asked
    LOOKS[look](model)
    assert before == (activation.passes.tolist(), regularizer.asked)


def test_a_look_that_fails_changes_nothing_either():
    class Fails(layers.Flatten):
        def forward(self, x, *, training=False):
            if training:
                raise ZeroDivisionError
            return super().forward(x, training=training)

    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((6, 6, 1)), Running(), Fails()])
    before = model.layers[0].state()
    for look in (lambda: model.trace(X), model.summary):
        with pytest.raises(ZeroDivisionError):
            look()
    assert model.layers[0].state() == before


def test_what_cannot_be_copied_stands_for_itself():
    class Logging(layers.Flatten):
        def __init__(self, **base):
            super().__init__(**base)
            self.file, self.seen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), []

        def forward(self, x):
            self.seen.append(1)
            self.file.write(".")
            return super().forward(x)

        def backward(self, dy, cache):
            return super().backward(dy, cache)

    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((6, 6, 1)), Logging()])
    model.trace(X)
    assert model.layers[0].seen == []


def test_a_gradient_that_is_written_through_a_view_arrives():
    testing.check_gradients(Running(), X)
    assert made().trace(X, Y)["running"].gradients["shift"] != 0
