"""The generic checks that must find a wrong backward. The list is fixed, and knows nothing of any mutant.

Each check walks through a registry (layers, losses, optimizers, kernels), so whatever is added there is checked too.
Hypothesis draws the cases once, always the same ones, and all mutants get the same cases: only the code under test
differs.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import test_kernels_parity as parity
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, layers, losses, optimizers, schedules, testing
from tinycnn.core.backend import BACKENDS, Backend
from tinycnn.kernels import cpu, reference
from tinycnn.layers.base import build_layer
from tinycnn.testing.slopes import STEPS, Slopes, judge

#: How many cases each check draws: enough for every kind of geometry, and few enough for all checks to take a minute.
LAYER_CASES, TIED_CASES, CONTRACT_CASES, LOSS_CASES, NETWORK_CASES, KERNEL_CASES = 24, 6, 3, 4, 5, 14
#: How many examples one run of Hypothesis draws; see :func:`drawn`.
RUN = 4
#: How many elements of each array are compared. All elements of large arrays would take long and say little more.
ELEMENTS = 40
#: The optimizer step at which networks are trained. It is not 0, because code that forgets the step would use 0.
STEP = 5


class Check(NamedTuple):
    """A generic check; ``run()`` raises AssertionError if something is wrong."""

    name: str
    run: Callable[[], None]


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return all checks, in the order in which they are tried."""
    return tuple(
        Check(name, functools.partial(_on_each, function, cases, arguments))
        for name, function, cases, *arguments in _list()
    )


def _list() -> Iterator[tuple[Any, ...]]:
    """Yield (name, function, cases, further arguments) for each check."""
    for name, layer_class in layers.LAYERS.items():
        cases = drawn(testing.strategies.layers_with_inputs(layer_class), LAYER_CASES)
        for backend in BACKENDS:
            yield f"gradients of {name} ({backend})", gradients, cases, backend, True
            yield f"equal numbers of {name} ({backend})", equal_numbers, list(enumerate(cases[:TIED_CASES])), backend
        yield f"gradients of {name}, frozen", gradients, cases[: LAYER_CASES // 2], BACKENDS[-1], False
    for name, loss_class in losses.LOSSES.items():
        for backend in BACKENDS:
            yield f"gradients of {name} ({backend})", loss_gradients, list(range(LOSS_CASES)), backend, loss_class
    for name, layer_class in layers.LAYERS.items():
        cases = drawn(testing.strategies.layers_with_inputs(layer_class), CONTRACT_CASES)
        yield f"contract of {name}", contract, cases
    networks = drawn(testing.strategies.small_networks(), NETWORK_CASES)
    for backend in BACKENDS:
        yield f"gradients of networks with their loss ({backend})", network_gradients, networks, backend
        yield f"a training step is the slope of the mean loss ({backend})", step_is_the_slope, networks, backend
        yield f"a step takes each image once ({backend})", images_count_alike, networks, backend
        yield f"fit and single steps train alike ({backend})", memory_changes_nothing, networks, backend
    for name in optimizers.OPTIMIZERS:
        for backend in BACKENDS:
            cases = [(config, rate) for config in CONFIGS.get(name, [{}]) for rate in RATES]
            yield f"formula of {name} ({backend})", formula, cases, backend, name
    for name in reference.__all__:
        yield f"cpu equals reference: {name}", equal_kernels, drawn(parity.CASES[name], KERNEL_CASES), name
    for test in (parity.test_convolution_of_the_usual_sizes, parity.test_dense_of_the_usual_sizes):
        what = test.__name__.removeprefix("test_").replace("_", " ")
        yield f"cpu equals reference: {what}", usual_sizes, _usual_sizes(test), test


def _on_each(function: Callable[..., None], cases: list[Any], arguments: list[Any]) -> None:
    """Run a check on each of its cases."""
    for case in cases:
        tinycnn.set_seed(0)  # initial values are drawn from this seed
        function(case, *arguments)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw ``count`` examples, the same ones each time.

    They come from several short runs, each with its own seed. Within one run, Hypothesis often varies what it drew
    before. Every run begins with the simplest example, which is kept only once.
    """
    found: list[Any] = []
    for run in range(-(-count // RUN)):
        examples = _examples(strategy, RUN + 1, run)
        found += examples[1:] if run else examples[:RUN]
    return found[:count]


def _examples(strategy: st.SearchStrategy[Any], count: int, number: int) -> list[Any]:
    """Return the examples of one run of Hypothesis with the seed ``number``."""
    examples: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        examples.append(example)

    collect()
    return examples


# Layers and losses --------------------------------------------------------------------------------------------


def gradients(case: Any, backend: str, training: bool) -> None:
    """Run ``check_gradients`` on a new copy of the layer."""
    layer, x = case
    with tinycnn.use_backend(backend):
        fresh = type(layer).from_config(layer.get_config())
        testing.check_gradients(fresh, x, training=training, max_elements=ELEMENTS)


def equal_numbers(case: Any, backend: str) -> None:
    """Check that the gradients of inputs with equal numbers add up to the slope of moving all inputs together.

    Where a pooling has a tie, moving one of the equal pixels has no derivative, so that ``check_gradients`` counts such
    elements and does not compare them; but moving all pixels has one.
    """
    number, (layer, x) = case
    rng = np.random.default_rng(number)
    fresh = type(layer).from_config(layer.get_config())
    shape = build_layer(fresh, x.shape[1:], rng=rng, dtype="float64", backend=Backend(backend))
    x, dy = rng.integers(0, 3, x.shape).astype(np.float64), rng.normal(size=(len(x), *shape))
    before = {name: value.copy() for name, value in fresh.buffers.items()}

    def product(moved: float) -> Any:
        for name, value in fresh.buffers.items():
            value[...] = before[name]
        return dy * fresh.forward(x + moved, training=True, step=STEP)[0]

    def slopes(h: float) -> Slopes:
        here = product(0.0)
        noise = 8 * np.finfo(np.float64).eps * float(np.abs(here).sum()) / h
        return Slopes.of((here - product(-h)) / h, (product(h) - here) / h, noise)

    dx = fresh.backward(dy.copy(), fresh.forward(x, training=True, step=STEP)[1])
    verdict = judge(float(dx.sum()), slopes, 1e-5, 1e-9)
    assert verdict.agrees or verdict.hidden, (
        f"{fresh.label}: with equal numbers in x, all elements of dx add up to {dx.sum():.9g}, but if all of x grows, "
        f"the result grows by {verdict.numeric:.9g}"
    )


def loss_gradients(case: int, backend: str, loss_class: type[losses.Loss]) -> None:
    """Run ``check_gradients`` on a loss, with logits and with probabilities if it accepts both."""
    rng = np.random.default_rng(case)
    shape = int(rng.integers(1, 6)), int(rng.integers(2, 7))
    z, labels = rng.normal(size=shape), rng.integers(0, shape[1], shape[0])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    knows_both = "from_logits" in inspect.signature(loss_class).parameters
    made = [(loss_class(from_logits=flag), z if flag else p) for flag in (True, False)] if knows_both else []
    for loss, predictions in made or [(loss_class(), z)]:
        try:
            y = loss.check_targets(labels, *shape[:1], shape[1:])
        except ValueError:  # this loss wants a row of numbers for each sample
            y = 0.7 * np.eye(shape[1])[labels] + 0.3 * np.eye(shape[1])[::-1][labels]
        with tinycnn.use_backend(backend):
            testing.check_gradients(loss, predictions, y)


def contract(case: Any) -> None:
    """Run ``assert_layer_contract`` on the layer."""
    layer, x = case
    testing.assert_layer_contract(type(layer).from_config, x.shape[1:], config=layer.get_config())


# Networks -----------------------------------------------------------------------------------------------------


def copy_of(model: Sequential, backend: str, optimizer: Any = "sgd") -> Sequential:
    """Return a compiled copy of the network, with the same initial weights."""
    with tinycnn.use_backend(backend):
        copy = Sequential.from_config(model.get_config())
    copy.compile(optimizer, "sparse_categorical_crossentropy")
    copy.optimizer.iterations = STEP
    return copy


def network_gradients(case: Any, backend: str) -> None:
    """Run ``check_gradients`` on a network together with its loss."""
    model, x, y = case
    testing.check_gradients(copy_of(model, backend), x, y, max_elements=ELEMENTS // 4)


def step_is_the_slope(case: Any, backend: str) -> None:
    """Check that a step at rate 1 moves each parameter by the slope of the batch's mean loss, and no frozen one."""
    drawn_model, x, y = case
    for frozen in (None, -1, 0):  # no layer, the last, the first; all the others must learn in each case
        model = copy_of(drawn_model, backend, optimizers.SGD(1.0))
        if frozen is not None:
            model.layers[frozen].trainable = False
        before = {key: value.copy() for key, value in model.weights().items()}
        model.train_on_batch(x, y)
        moved = {key: before[key] - p.value for key, p in model.parameters().items()}
        _restore(model, before)
        rng = np.random.default_rng(0)
        for key, p in model.parameters().items():
            if not p.trainable:
                assert not moved[key].any(), f"{key} is frozen, but a training step moved it"
                continue
            direction = rng.normal(size=p.value.shape)
            expected, errors = float((moved[key] * direction).sum()), []
            for h in STEPS:
                ends = []
                for sign in (1, -1):
                    p.value += sign * h * direction
                    ends.append(_mean_loss(model, x, y))
                    _restore(model, before)
                slope = (ends[0] - ends[1]) / (2 * h)
                errors.append((abs(slope - expected) - 1e-15 / h) / max(abs(slope), abs(expected), 1e-8))
            assert min(errors) < 1e-4, (
                f"a step did not move {key} by the slope of the loss: relative error {min(errors):.2g}"
            )


def _restore(model: Sequential, weights: dict[str, Any]) -> None:
    for key, value in model.weights().items():
        value[...] = weights[key]


def _mean_loss(model: Sequential, x: Any, y: Any) -> float:
    value = x
    for layer in model.chain:
        value, _ = layer.forward(value, training=True, step=STEP)
    # Regularizers add their penalty to the loss.
    penalty = sum(p.penalty() for p in model.parameters().values() if hasattr(p, "penalty"))
    return float(model.chain_loss.forward(value, y, model.backend)[0].mean()) + penalty


def images_count_alike(case: Any, backend: str) -> None:
    """Check that a batch in reverse order, and one with each image twice, lead to the same step."""
    drawn_model, x, y = case
    steps = []
    for order in (slice(None), slice(None, None, -1), [*range(len(x)), *range(len(x))]):
        model = copy_of(drawn_model, backend, optimizers.SGD(1.0))
        for layer in model.layers:
            for noise in {"rate", "stddev"} & vars(layer).keys():
                setattr(layer, noise, 0.0)  # noise differs from image to image
        model.train_on_batch(x[order], y[order])
        steps.append(model.get_weights())
    for other, what in ((steps[1], "in reverse order"), (steps[2], "with each image twice")):
        for a, b in zip(steps[0], other, strict=True):
            error = np.abs(a - b).max(initial=0)
            assert error <= 1e-9, f"a batch {what} leads to another step: largest difference {error:.2g}"


def memory_changes_nothing(case: Any, backend: str) -> None:
    """Check that ``fit``, which uses its memory again, trains like ``train_on_batch``, which does not."""
    drawn_model, x, y = case
    x, y = np.concatenate([x, -x, 2 * x]), np.concatenate([y, y, y])
    size = len(x) * 2 // 5 + 1  # so that the last batch is smaller
    batches = [slice(start, start + size) for start in range(0, len(x), size)]
    by_fit, by_hand = (copy_of(drawn_model, backend, optimizers.SGD(0.1, momentum=0.9)) for _ in range(2))
    by_fit.fit(x, y, batch_size=size, epochs=2, shuffle=False, verbose=0)
    for batch in batches * 2:
        by_hand.train_on_batch(x[batch], y[batch])
    for key, value in by_fit.weights().items():
        error = np.abs(value - by_hand.weights()[key]).max(initial=0)
        assert error <= 1e-9, f"fit makes another {key} than single steps do: largest difference {error:.2g}"


# Optimizers: the formulas of Keras 3 once more, in float64 and written to be read ------------------------------


def _sgd(w: Any, g: Any, state: dict[str, Any], rate: float, t: int, momentum: float = 0.0, nesterov: bool = False):
    state["v"] = momentum * state.get("v", 0.0) - rate * g
    return w + (momentum * state["v"] - rate * g if nesterov else state["v"])


def _adam(w: Any, g: Any, state: dict[str, Any], rate: float, t: int, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * g**2
    return w - rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * state["m"] / (np.sqrt(state["v"]) + epsilon)


def _adamw(w: Any, g: Any, state: dict[str, Any], rate: float, t: int, weight_decay: float = 0.004, **config: float):
    return _adam(w - rate * weight_decay * w, g, state, rate, t, **config)


def _rmsprop(
    w: Any, g: Any, state: dict[str, Any], rate: float, t: int, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False
):
    state["s"] = rho * state.get("s", 0.0) + (1 - rho) * g**2
    state["m"] = rho * state.get("m", 0.0) + (1 - rho) * g
    variance = state["s"] - state["m"] ** 2 if centered else state["s"]
    state["v"] = momentum * state.get("v", 0.0) + rate * g / np.sqrt(variance + epsilon)
    return w - state["v"]


#: The formula for each optimizer in the registry; the check fails if one is missing.
FORMULAS: dict[str, Callable[..., Any]] = {"SGD": _sgd, "Adam": _adam, "AdamW": _adamw, "RMSprop": _rmsprop}
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}],
    "Adam": [{}, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}],
    "AdamW": [{}, {"beta_1": 0.8, "weight_decay": 0.1}],
    "RMSprop": [{}, {"rho": 0.8, "momentum": 0.9, "epsilon": 1e-3}, {"centered": True}],
}
RATES = (0.1, schedules.ExponentialDecay(0.1, 2, 0.5))


def formula(case: Any, backend: str, name: str) -> None:
    """Compare some steps with the formula: for gradients of all sizes, and one parameter frozen, two of one shape."""
    assert name in FORMULAS, f"write the formula of {name} for FORMULAS in {__name__}"
    config, rate = case
    optimizer = optimizers.OPTIMIZERS[name](learning_rate=rate, **config)
    rng = np.random.default_rng(0)
    shapes = {"a": (3,), "b": (2, 3), "c": (3,), "frozen": (3,)}
    parameters = {key: layers.Parameter(rng.normal(size=shape), key != "frozen") for key, shape in shapes.items()}
    values, states = {key: p.value.copy() for key, p in parameters.items()}, {key: {} for key in shapes}
    for t in range(1, 7):
        rate_now = rate(t - 1) if callable(rate) else rate
        for key, p in parameters.items():
            gradient = rng.normal(size=shapes[key]) * 10.0 ** rng.uniform(-8, 1, shapes[key])
            p.grad[...] = gradient
            if p.trainable:
                values[key] = FORMULAS[name](values[key], gradient, states[key], rate_now, t, **config)
        gradients = {key: p.grad.copy() for key, p in parameters.items()}
        optimizer.step(parameters, Backend(backend))
        for key, p in parameters.items():
            assert np.array_equal(p.grad, gradients[key]), f"{name}: step {t} changed the gradient of {key}"
            error = np.abs(p.value - values[key]).max()
            assert error <= 1e-12, f"{name}({config}): parameter {key} is off by {error:.2g} after step {t}"


# Kernels ------------------------------------------------------------------------------------------------------


def equal_kernels(case: Any, name: str) -> None:
    """Run the parity test of this kernel, with and without memory from the caller."""
    for dtype in (np.float64, np.float32):
        arguments = parity.convert(case, dtype)
        expected = parity.call(reference, name, parity.convert(arguments, np.float64))
        with _saying(f"cpu and reference differ in {np.dtype(dtype)}"):
            parity.assert_close(parity.call(cpu, name, arguments), expected, dtype)
        if name not in parity.UPDATES_IN_PLACE:
            outs = tuple(parity.poisoned(e.shape, dtype if e.dtype.kind == "f" else e.dtype) for e in expected)
            memory = {"out": outs if len(outs) > 1 else outs[0], "work": parity.poisoned}
            with _saying(f"cpu and reference differ in {np.dtype(dtype)}, in memory from the caller"):
                parity.assert_close(parity.call(cpu, name, arguments, **memory), expected, dtype)


@contextlib.contextmanager
def _saying(message: str) -> Iterator[None]:
    """Give a message to bare assertions, which have none outside pytest."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(message) from error


def _usual_sizes(test: Any) -> list[Any]:
    """Return the parameters of a parity test of large arrays."""
    [sizes] = [mark.args[1] for mark in test.pytestmark if isinstance(mark.args[0], tuple)]
    return sizes


def usual_sizes(case: Any, test: Any) -> None:
    """Run a parity test of large arrays."""
    with _saying(f"cpu and reference differ for sizes {case}"):
        test(*case, np.float32)
