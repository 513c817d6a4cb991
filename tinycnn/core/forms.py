"""What losses, metrics, optimizers and other small classes of a user's have to define, and may return."""

import numbers
from typing import Any

import numpy as np

from .own import Form, OwnReturnError, calculates_otherwise, kind_of
from .types import Array


def _is_array(value: Any, kinds: str = "fiub") -> bool:
    """Return whether a value is an array of numbers, on the host or on a device; matrices and masked arrays are not."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return hasattr(value, "shape") and kind in tuple(kinds) and not calculates_otherwise(value)


def _as_array(value: Any) -> Array | None:
    """Return numbers, or lists of them, as an array; None if the value is something else."""
    try:
        values = value if _is_array(value) else np.asarray(value)
    except Exception:  # rows of different lengths; or a user's object, which may fail in any way
        return None
    return values if _is_array(values) else None


def one_number(value: Any, what: str) -> float:
    """Return a number that a user's method returned as a float, or raise; ``what`` is what returned it."""
    if isinstance(value, np.ndarray) and not value.shape and value.dtype.kind in "fiub":
        value = value.item()
    if not isinstance(value, numbers.Real | np.bool_):
        raise OwnReturnError(f"{what} must return one number; got {kind_of(value)}")
    return float(value)


def _like(thing: Any, method: str, value: Any, model: Array, what: str) -> Array:
    """Return an array if it has the shape and the dtype of another one, or raise; ``what`` says what the other is."""
    if not _is_array(value) or tuple(value.shape) != tuple(model.shape):
        raise OwnReturnError(
            f"{type(thing).__name__}.{method} must return an array of the shape of {what}, {tuple(model.shape)}; "
            f"got {kind_of(value)}"
        )
    if value.dtype != model.dtype:
        raise OwnReturnError(
            f"{type(thing).__name__}.{method} must return an array of the dtype of {what}, {model.dtype}; got "
            f"{value.dtype}. Compute in the dtype of the arguments, or return .astype({str(model.dtype)!r})"
        )
    return value


def _writable(array: Array) -> Array:
    """Return an array into which the layer that gets it may write: a copy of one that numpy.broadcast_to made."""
    return array.copy() if isinstance(array, np.ndarray) and not array.flags.writeable else array


# Losses ---------------------------------------------------------------------------------------------------------


def _targets(loss: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check what check_targets returned: an array with an entry for each sample."""
    if len(given) > 1 and not (_is_array(returned) and returned.shape and len(returned) == given[1]):
        raise OwnReturnError(
            f"{type(loss).__name__}.check_targets must return the targets as an array of numbers with {given[1]} rows, "
            f"one for each sample; got {kind_of(returned)}. For example: return losses.check_numbers(y, (n, "
            "*output_shape))"
        )
    return returned


def _losses(loss: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check what a loss's forward returned: one number for each sample, and a cache with the predictions."""
    name = type(loss).__name__
    if not given:
        return returned
    y_pred = given[0]
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise OwnReturnError(
            f"{name}.forward must return two things, the loss of each sample and what backward needs; got "
            f"{kind_of(returned)}. {LOSS.smallest}"
        )
    losses, cache = returned
    if not _is_array(losses, "f") or tuple(losses.shape) != (len(y_pred),):
        raise OwnReturnError(
            f"{name}.forward must return the loss of each sample, floats of shape {(len(y_pred),)}; got "
            f"{kind_of(losses)}. Take the mean over all axes but the first"
        )
    shape = getattr(getattr(cache, "p", None), "shape", None)
    if shape is None or tuple(shape) != tuple(y_pred.shape):
        found = "has no attribute p" if shape is None else f"has p of shape {tuple(shape)}"
        raise OwnReturnError(
            f"{name}.forward must return a cache with the predictions, of shape {tuple(y_pred.shape)}, as its "
            f"attribute p, which metrics are given; the cache {found}. For example: "
            "losses.LossCache(y_pred, y_true, None)"
        )
    return returned


def _loss_gradient(loss: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check what a loss's backward returned: a gradient of the predictions' shape, in the dtype of the weights."""
    if len(given) < 2:
        return returned
    cache, weights = given[:2]
    model = np.broadcast_to(np.zeros((), weights.dtype), cache.p.shape)
    return _writable(_like(loss, "backward", returned, model, "y_pred"))


LOSS = Form(
    kind="loss",
    calls={
        "check_targets": ("y", "n", "output_shape"),
        "forward": ("y_pred", "y_true", "backend"),
        "backward": ("cache", "weights", "backend"),
    },
    needed=(("check_targets",), ("forward",), ("backward",)),
    keras={"call": "forward", "__call__": "forward"},
    smallest=(
        "A loss needs no more than\n"
        "    class Absolute(losses.Loss):\n"
        "        def check_targets(self, y, n, output_shape): return losses.check_numbers(y, (n, *output_shape))\n"
        "        def forward(self, y_pred, y_true, backend):  # by sample\n"
        "            return abs(y_pred - y_true).mean(axis=1), losses.LossCache(y_pred, y_true, None)\n"
        "        def backward(self, cache, weights, backend):\n"
        "            slope = np.sign(cache.p - cache.targets) / cache.p.shape[1]\n"
        "            return (weights[:, None] * slope).astype(weights.dtype)"
    ),
    returns={"check_targets": _targets, "forward": _losses, "backward": _loss_gradient},
    kept="reduction",
)

# Metrics --------------------------------------------------------------------------------------------------------


def _values(metric: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check what values returned: several numbers, because the mean of the means of batches is not the mean."""
    values = _as_array(returned)
    if values is None or not values.shape:
        raise OwnReturnError(
            f"{type(metric).__name__}.values must return an array with a number for each sample, and not their mean, "
            f"which result computes over all batches; got {kind_of(returned)}"
        )
    return returned


METRIC = Form(
    kind="metric",
    calls={"update": ("y_true", "y_pred"), "values": ("y_true", "y_pred"), "result": (), "reset": ()},
    needed=(("values", "update"),),
    keras={"update_state": "update", "reset_state": "reset", "reset_states": "reset", "call": "values"},
    smallest=(
        "A metric needs no more than\n"
        "    class Distance(metrics.Metric):\n"
        "        name = 'distance'\n"
        "        def values(self, y_true, y_pred): return abs(y_pred - y_true).mean(axis=1)  # one for each sample"
    ),
    returns={
        "values": _values,
        "result": lambda metric, _, returned: one_number(returned, f"{type(metric).__name__}.result"),
    },
    kept="name",
)

# Optimizers -----------------------------------------------------------------------------------------------------


def _nothing(optimizer: Any, given: tuple[Any, ...], returned: Any) -> None:
    """Check that update returned nothing, because it has to change the weights in place."""
    if returned is not None:
        raise OwnReturnError(
            f"{type(optimizer).__name__}.update must change value in place and return nothing; got "
            f"{kind_of(returned)}. Write value -= rate * grad, not value = value - rate * grad"
        )


OPTIMIZER = Form(
    kind="optimizer",
    calls={"update": ("value", "grad", "slots", "rate", "backend"), "step": ("parameters", "backend")},
    needed=(("update", "step"),),
    keras={"update_step": "update", "apply_gradients": "step", "apply": "step", "get_updates": "update"},
    smallest=(
        "An optimizer needs no more than\n"
        "    class Sign(optimizers.Optimizer):\n"
        "        def __init__(self, learning_rate=0.001, **base): super().__init__(learning_rate, **base)\n"
        "        def update(self, value, grad, slots, rate, backend): value -= rate * np.sign(grad)  # in place"
    ),
    returns={"update": _nothing},
    kept="iterations",
)

# What layers are given ------------------------------------------------------------------------------------------


def _initial(initializer: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check what an initializer made: numbers of the shape that it was asked for."""
    values = _as_array(returned)
    if given and (values is None or tuple(values.shape) != tuple(given[0])):
        raise OwnReturnError(
            f"{type(initializer).__name__} must return an array of numbers of shape {tuple(given[0])}; got "
            f"{kind_of(returned)}"
        )
    return returned


INITIALIZER = Form(
    kind="initializer",
    calls={"__call__": ("shape", "rng")},
    needed=(("__call__",),),
    keras={},
    smallest=(
        "An initializer needs no more than\n"
        "    class Small(initializers.Initializer):\n"
        "        def __call__(self, shape, rng): return rng.normal(0, 0.001, shape)"
    ),
    returns={"__call__": _initial},
    foreign=("dtype",),
)


def _penalty_gradient(regularizer: Any, given: tuple[Any, ...], returned: Any) -> Any:
    """Check a penalty's gradient: numbers of the weights' shape; their precision does not matter."""
    if not given:
        return returned
    if _is_array(returned, "fiub"):
        returned = returned.astype(given[0].dtype, copy=False)
    return _like(regularizer, "gradient", returned, given[0], "the weights")


REGULARIZER = Form(
    kind="regularizer",
    calls={"penalty": ("value",), "gradient": ("value",)},
    needed=(("penalty",), ("gradient",)),
    keras={"__call__": "penalty", "call": "penalty"},
    smallest=(
        "A regularizer needs no more than\n"
        "    class L1(regularizers.Regularizer):\n"
        "        def penalty(self, value): return 0.01 * float(abs(value).sum())  # one number\n"
        "        def gradient(self, value): return 0.01 * np.sign(value)  # an array like value"
    ),
    returns={
        "penalty": lambda one, _, returned: one_number(returned, f"{type(one).__name__}.penalty"),
        "gradient": _penalty_gradient,
    },
)


def _activated(method: str, what: str) -> Any:
    """Return the check of an activation's forward or backward, whose result is like its first array argument."""

    def check(activation: Any, given: tuple[Any, ...], returned: Any) -> Any:
        return _writable(_like(activation, method, returned, given[1], what)) if len(given) > 1 else returned

    return check


ACTIVATION = Form(
    kind="activation",
    calls={"forward": ("kernels", "x", "out="), "backward": ("kernels", "dy", "kept", "out=")},
    needed=(("forward",), ("backward",)),
    keras={"call": "forward", "__call__": "forward"},
    smallest=(
        "An activation needs no more than\n"
        "    class Squared(activations.ActivationFunction):\n"
        "        name, keeps = 'squared', 'x'  # what backward is given: x, y or None\n"
        "        def forward(self, kernels, x, out=None): return x * x\n"
        "        def backward(self, kernels, dy, kept, out=None): return 2 * kept * dy"
    ),
    returns={"forward": _activated("forward", "x"), "backward": _activated("backward", "dy")},
)

SCHEDULE = Form(
    kind="schedule",
    calls={"__call__": ("step",)},
    needed=(("rate", "__call__"),),
    keras={},
    smallest=(
        "A schedule needs no more than\n"
        "    @dataclasses.dataclass(frozen=True)\n"
        "    class Halving(schedules.LearningRateSchedule):\n"
        "        first: float = 0.1\n"
        "        def rate(self, step): return self.first * 0.5 ** (step // 1000)"
    ),
    returns={"__call__": lambda one, _, returned: one_number(returned, type(one).__name__)},
)
