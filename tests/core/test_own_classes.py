"""Losses, metrics, optimizers and others of a user's own: mistakes are reported for the object that makes them."""

import dataclasses
import textwrap

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, activations, initializers, layers, losses, metrics, optimizers, regularizers, schedules
from tinycnn.core import forms
from tinycnn.core.own import Form, OwnReturnError

X, Y = np.random.default_rng(0).random((12, 5)), np.arange(12) % 3


def fitted(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=(), **dense):
    """Fit a model with objects of a user's classes in some of its places."""
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((5,)), layers.Dense(4, **dense), layers.Dense(3, activation="softmax")])
        model.compile(optimizer, loss, metrics)
        model.fit(X, Y, verbose=0)
    return model


def refused(kind, message, **parts):
    """Check that a model with these parts cannot be compiled, or not fitted, and what the error says."""
    with pytest.raises(kind, match=f"(?s){message}"):
        fitted(**parts)


class Absolute(losses.Loss):
    """The mean distance to the one-hot row."""

    def check_targets(self, y, n, output_shape):
        return np.eye(*output_shape)[losses.check_labels(y, n, *output_shape)]

    def forward(self, y_pred, y_true, backend):
        return abs(y_pred - y_true).mean(axis=1), losses.LossCache(y_pred, y_true, None)

    def backward(self, cache, weights, backend):
        slope = np.sign(cache.p - cache.targets).astype(cache.p.dtype)
        return slope * weights[:, None] / weights.dtype.type(cache.p.shape[1])


class First(metrics.Metric):
    """The mean prediction for class 0."""

    name = "first"

    def values(self, y_true, y_pred):
        return y_pred[:, 0]


class Sign(optimizers.Optimizer):
    """It steps by the sign of the gradient."""

    def __init__(self, learning_rate=0.001, **base):
        super().__init__(learning_rate, **base)

    def update(self, value, grad, slots, rate, backend):
        value -= rate * np.sign(grad)


class Squared(activations.ActivationFunction):
    """The square."""

    name, keeps = "squared", "x"

    def forward(self, kernels, x, out=None):
        return x * x

    def backward(self, kernels, dy, kept, out=None):
        return 2 * kept * dy


class L1(regularizers.Regularizer):
    """The sum of absolute values."""

    def penalty(self, value):
        return 0.01 * abs(value).sum()

    def gradient(self, value):
        return 0.01 * np.sign(value)


class Small(initializers.Initializer):
    """Small numbers."""

    def __call__(self, shape, rng):
        return rng.normal(0, 0.001, shape)


def test_classes_of_ones_own_work():
    model = fitted(
        Sign(0.01), Absolute(), [First()], activation=Squared(), kernel_regularizer=L1(), kernel_initializer=Small()
    )
    assert set(model.history.history) == {"loss", "first", "learning_rate"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_messages_recommend_works(dtype):
    names = {**vars(tinycnn), "np": np, "dataclasses": dataclasses}
    for form in vars(forms).values():
        if isinstance(form, Form):
            exec(textwrap.dedent(form.smallest.split("\n", 1)[1]), names)
    with tinycnn.use_backend("reference"):
        parts = {"activation": names["Squared"](), "kernel_regularizer": names["L1"]()}
        hidden = layers.Dense(3, kernel_initializer=names["Small"](), **parts)
        model = Sequential([layers.Input((5,)), hidden, layers.Dense(3)], dtype=dtype)
        model.compile(names["Sign"](names["Halving"]()), names["Absolute"](), [names["Distance"]()])
        history = model.fit(X, np.eye(3)[Y], verbose=0).history
    assert history["distance"] == pytest.approx(history["loss"], rel=0.1)


def variant(base, name="Mine", **methods):
    """Return a class of a user's own that differs from another in some methods."""
    return type(name, (base,), {"__module__": __name__, **methods})


KERAS = {
    "loss": (
        losses.Loss,
        {"call": lambda self, y_true, y_pred: 0.0},
        "defines call.* the method is forward.*A loss needs",
    ),
    "loss of another": (Absolute, {}, None),
    "loss that is never called": (losses.MeanSquaredError, {"call": lambda self, y_true, y_pred: 0.0}, "defines call"),
    "loss that is called": (losses.MeanSquaredError, {"__call__": lambda self, t, p: 0.0}, "defines __call__.*forward"),
    "metric": (metrics.Metric, {"update_state": lambda self, y_true, y_pred: None}, "update_state.*method is update"),
    "metric that resets": (First, {"reset_state": lambda self: None}, "reset_state.*method is reset"),
    "metric without any": (metrics.Metric, {}, "does not define values or update.*class Distance"),
    "optimizer": (optimizers.Optimizer, {"update_step": lambda self, g, v, r: None}, "update_step.*method is update"),
    "optimizer's steps": (optimizers.SGD, {"apply_gradients": lambda self, pairs: None}, "apply_gradients.*is step"),
    "optimizer that applies": (optimizers.SGD, {"apply": lambda self, grads: None}, "defines apply.*is step"),
    "optimizer without any": (optimizers.Optimizer, {}, "does not define update or step.*class Sign"),
}
PLACES = {losses.Loss: "loss", metrics.Metric: "metrics", optimizers.Optimizer: "optimizer"}


def place_of(base):
    return next(place for kind, place in PLACES.items() if issubclass(base, kind))


def made(cls):
    return cls(0.1) if issubclass(cls, optimizers.Optimizer) else cls()


@pytest.mark.parametrize("name", KERAS)
def test_classes_written_as_in_keras(name):
    base, methods, message = KERAS[name]
    thing = made(variant(base, **methods))
    parts = {place_of(base): [thing] if issubclass(base, metrics.Metric) else thing}
    if message is None:
        fitted(**parts)
    else:
        refused(TypeError, f"Mine .*{message}", **parts)


@pytest.mark.parametrize("base", [Absolute, losses.SparseCategoricalCrossentropy, First, metrics.ClassAccuracy, Sign])
def test_a_constructor_that_does_not_call_that_of_its_base(base):
    thing = variant(base, __init__=lambda self, *_: setattr(self, "k", 1))(0.1)
    parts = {place_of(base): [thing] if issubclass(base, metrics.Metric) else thing}
    refused(TypeError, r"__init__ of \w+ Mine does not call super\(\).__init__\(\).* needs no more than", **parts)


@pytest.mark.parametrize(
    "parts",
    [{"loss": losses.Loss()}, {"metrics": [metrics.Metric()]}, {"optimizer": optimizers.Optimizer(0.1)}],
)
def test_a_base_class_alone_is_refused_when_the_model_is_compiled(parts):
    refused(TypeError, "does not define .*needs no more than", **parts)


def test_an_argument_that_is_handed_on_to_the_base_is_named():
    cls = variant(optimizers.Optimizer)
    cls.__init__ = lambda self, learning_rate=0.1, name="mine": optimizers.Optimizer.__init__(
        self, learning_rate, name=name
    )
    with pytest.raises(TypeError, match="the base class of Mine takes no argument 'name'"):
        cls()


def function(*given):
    return 0.0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"loss": function}, "^loss: expected a name or an object, and no function; got <function.*class Absolute"),
        ({"optimizer": function}, "^optimizer: expected .* no function.*class Sign"),
        ({"metrics": [function]}, "^metrics: expected .* got <function.*class Distance"),
        ({"metrics": function}, "^metrics: expected .* got <function.*class Distance"),
        ({"loss": Absolute}, "unknown loss .*write an instance, with parentheses"),
        ({"loss": losses.MeanSquaredError}, "unknown loss .*write an instance, with parentheses"),
        ({"optimizer": optimizers.SGD}, "unknown optimizer .*write an instance, with parentheses"),
        ({"metrics": [First]}, "write an instance, with parentheses"),
        ({"metrics": First}, "write an instance, with parentheses"),
        ({"kernel_initializer": function}, "^kernel_initializer: expected .*class Small"),
        ({"kernel_initializer": initializers.HeNormal}, "kernel_initializer: .*write an instance"),
        ({"kernel_regularizer": function}, "^kernel_regularizer: expected .*class L1"),
        ({"activation": np.tanh}, "^activation: expected .*ufunc 'tanh'.*class Squared"),
    ],
)
def test_functions_and_classes_in_place_of_objects(parts, message):
    refused((TypeError, ValueError), message, **parts)


def test_a_learning_rate_that_is_a_function_or_a_class():
    with pytest.raises(TypeError, match=r"(?s)learning_rate must be a number or a schedule; got .*class Halving"):
        optimizers.SGD(function)
    with pytest.raises(TypeError, match=r"got <class .*CosineDecay'>; write an instance, with parentheses"):
        optimizers.SGD(schedules.CosineDecay)
    with pytest.raises(TypeError, match="schedule Mine does not define rate or __call__"):
        optimizers.SGD(variant(schedules.LearningRateSchedule)())


def test_add_weight_says_how_sums_are_kept():
    with pytest.raises(TypeError, match="metric Mine: there is no add_weight; a metric keeps its sums as attributes"):
        variant(First, __init__=lambda self: self.add_weight(name="total", initializer="zeros"))()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"loss": variant(Absolute, forward=lambda self, y_true, y_pred, backend: 0)()},
            r"loss Mine: forward is called as forward\(y_pred, y_true, backend\)",
        ),
        ({"metrics": [variant(First, values=lambda self, y_pred, y_true: 0)()]}, r"metric Mine: values is called as"),
        ({"metrics": [variant(First, update=lambda self, y_true: 0)()]}, r"metric Mine: update is called as"),
        ({"optimizer": variant(Sign, update=lambda self, w, g: None)(0.1)}, "optimizer Mine: update is called as"),
    ],
)
def test_arguments_in_another_order_or_too_few(parts, message):
    refused(TypeError, message, **parts)


def test_small_classes_written_as_in_keras():
    as_keras = variant(initializers.Initializer, __call__=lambda self, shape, dtype=None: np.zeros(shape))
    refused(TypeError, r"initializer Mine: __call__ is called as __call__\(shape, rng\)", kernel_initializer=as_keras())
    as_keras = variant(regularizers.Regularizer, __call__=lambda self, x: 0.0)
    refused(TypeError, r"regularizer Mine defines __call__, as in Keras.*is penalty", kernel_regularizer=as_keras())
    as_keras = variant(activations.ActivationFunction, __call__=lambda self, x: x)
    refused(TypeError, r"activation Mine defines __call__, as in Keras.*is forward", activation=as_keras())


LOSS = {
    "targets of nothing": ("check_targets", lambda *_: None, ".* 12 rows.*got None"),
    "targets of another length": ("check_targets", lambda *_: np.zeros(3), r"12 rows.*got an array of .* shape \(3,\)"),
    "targets of text": ("check_targets", lambda *_: np.full(12, "a"), "the targets"),
    "the loss alone": ("forward", lambda self, p, y, b: abs(p - y).mean(axis=1), "two things"),
    "a mean": ("forward", lambda self, p, y, b: (abs(p - y).mean(), losses.LossCache(p, y, None)), r"shape \(12,\)"),
    "a row": ("forward", lambda self, p, y, b: (abs(p - y), losses.LossCache(p, y, None)), r"shape \(12,\).*first"),
    "a list": ("forward", lambda self, p, y, b: ([0.0] * 12, losses.LossCache(p, y, None)), r"shape \(12,\); got \[0"),
    "no p": ("forward", lambda self, p, y, b: (abs(p - y).mean(axis=1), (p, y)), "has no attribute p"),
    "p of labels": (
        "forward",
        lambda self, p, y, b: (abs(p - y).mean(axis=1), losses.LossCache(p.argmax(1), y, None)),
        r"cache with the predictions, of shape \(12, 3\).*has p of shape \(12,\)",
    ),
    "gradient of another dtype": ("backward", lambda self, c, w, b: (c.p - c.targets).astype("f8"), "got float64"),
    "gradient by sample": ("backward", lambda self, c, w, b: w, r"shape of y_pred, \(12, 3\); got .* shape \(12,\)"),
    "a masked gradient": ("backward", lambda self, c, w, b: np.ma.array(c.p), "got a MaskedArray of float32"),
    "no gradient": ("backward", lambda self, c, w, b: None, "; got None"),
}


@pytest.mark.parametrize("name", LOSS)
def test_what_a_loss_returns(name):
    method, body, message = LOSS[name]
    refused(OwnReturnError, f"^Mine.{method} must return.*{message}", loss=variant(Absolute, **{method: body})())


@pytest.mark.parametrize(
    ("method", "returned", "message"),
    [
        ("values", 0.5, "values must return an array with a number for each sample, and not their mean"),
        ("values", None, "values must return .*; got None"),
        ("values", np.array(["a"]), "values must return"),
        ("result", np.ones(3), r"result must return one number; got an array of float64 with shape \(3,\)"),
        ("result", None, "result must return one number; got None"),
    ],
)
def test_what_a_metric_returns(method, returned, message):
    refused(OwnReturnError, f"^Mine.{message}", metrics=[variant(First, **{method: lambda *_: returned})()])


def test_gradients_that_cannot_be_written_are_copied():
    mean = lambda self, c, w, b: np.broadcast_to(w.mean() * np.ones_like(c.p[:1]), c.p.shape)  # noqa: E731
    fitted(loss=variant(Absolute, backward=mean)())
    ones = lambda self, kernels, dy, kept, out=None: np.broadcast_to(np.ones_like(dy[:1]), dy.shape)  # noqa: E731
    fitted(activation=variant(Squared, backward=ones)())


@pytest.mark.parametrize("keeps", ["z", 3, ["x"]])
def test_what_an_activation_keeps(keeps):
    mine = variant(Squared, keeps=keeps)()
    refused(ValueError, "activation Mine: keeps must be 'x', 'y' or None.*; got", activation=mine)


def test_a_metric_takes_labels_as_a_loss_does():
    first, labels = First(), np.array([0, 1], object)
    first.update(labels, np.eye(2))
    assert first.result() == 0.5
    with pytest.raises(ValueError, match="return_inverse=True"):
        first.update(["cat", "dog"], np.eye(2))


def test_numbers_of_numpys_are_numbers():
    for number in (np.float32(0.5), np.array(0.5), np.int64(1), True):
        fitted(metrics=[variant(First, result=lambda *_, number=number: number)()])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"optimizer": variant(Sign, update=lambda self, value, grad, slots, rate, backend: value - rate * grad)()},
            "Mine.update must change value in place and return nothing; got an array",
        ),
        ({"optimizer": optimizers.SGD(variant(schedules.Constant, rate=lambda *_: None)(0.1))}, "Mine.*one number"),
        (
            {"optimizer": optimizers.SGD(variant(schedules.Constant, __call__=lambda *_: np.ones(2))(0.1))},
            "Mine must return one number; got an array",
        ),
        ({"kernel_regularizer": variant(L1, penalty=lambda self, value: value)()}, "Mine.penalty must return one"),
        ({"kernel_regularizer": variant(L1, gradient=lambda *_: 1.0)()}, r"Mine.gradient .* the weights, \(5, 4\)"),
        ({"kernel_initializer": variant(Small, __call__=lambda *_: np.ones(3))()}, r"Mine must .* \(5, 4\); got"),
        ({"kernel_initializer": variant(Small, __call__=lambda *_: [[1], [1, 2]])()}, "Mine must return an array"),
        ({"kernel_initializer": variant(Small, __call__=lambda *_: np.ones((5, 4), complex))()}, "got .* complex128"),
        ({"activation": variant(Squared, forward=lambda self, kernels, x, out=None: x[:1])()}, "Mine.forward .* of x"),
        (
            {"activation": variant(Squared, backward=lambda self, k, dy, kept, out=None: dy.astype("f8"))()},
            "Mine.backward must return an array of the dtype of dy, float32; got float64",
        ),
    ],
)
def test_what_others_return(parts, message):
    refused(OwnReturnError, message, **parts)


def test_only_what_the_outermost_class_returns_counts():
    def forward(self, y_pred, y_true, backend):
        halves, cache = Half.forward(self, y_pred, y_true, backend)
        return halves.mean(axis=1), cache

    Half = variant(Absolute, "Half", forward=lambda self, p, y, b: (abs(p - y), losses.LossCache(p, y, None)))
    fitted(loss=variant(Half, forward=forward)())


def test_a_gradient_of_a_penalty_may_have_another_precision():
    fitted(kernel_regularizer=variant(L1, gradient=lambda self, value: np.float64(0.01) * np.sign(value))())


def test_steps_of_an_optimizer_that_are_not_counted():
    class Still(optimizers.Optimizer):
        def step(self, parameters, backend):
            for parameter in parameters.values():
                parameter.value -= self.learning_rate * parameter.grad

    with pytest.raises(RuntimeError, match=r"Still.step must count.*super\(\).step.*or add 1"):
        fitted(Still(0.1))

    class Counting(Still):
        def step(self, parameters, backend):
            super().step(parameters, backend)
            self.iterations += 1

    fitted(Counting(0.1))
