"""What the comparisons share: how they ask for the other package, their tolerances, and what they draw."""

import contextlib
import importlib
import inspect
import os
import re

import hypothesis.strategies as st
import numpy as np
import pytest

from tinycnn import layers, optimizers
from tinycnn.kernels import cpu, reference
from tinycnn.testing import strategies

REQUIRE = "TINYCNN_REQUIRE_COMPAT"

#: The largest error that passes, relative to the largest result (or to 1). The two packages round in different orders,
#: and some results are sums of large terms that cancel. A wrong formula is off by 1e-3 or more.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def require(package):
    """Return the package, or skip the whole test file; with ``TINYCNN_REQUIRE_COMPAT=1`` it fails instead."""
    if os.environ.get(REQUIRE) == "1":
        return importlib.import_module(package)
    return pytest.importorskip(package, reason=f'needs {package}: pip install "tinycnn[compat]"')


@contextlib.contextmanager
def double_precision(keras):
    """Let Keras compute in float64 within this block; its policy for layers outlasts the dtype that it comes from."""
    dtype, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(policy)


def assert_close(found, expected, what, tolerance=TOLERANCE["float64"]):
    """Check that two arrays have one shape and are equal up to rounding; NaN equals nothing."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    error = np.abs(found - expected).max(initial=0.0)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    assert error <= tolerance * scale, f"{what}: off by {error:.3g}, where the largest number is {scale:.3g}"


def constructor_arguments(cls):
    """Return the names of the arguments that a class takes, without those that every layer takes."""
    common = set(inspect.signature(layers.Layer.__init__).parameters)
    parameters = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name not in common]
    return [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


# What is drawn for an optimizer; the names are Keras's. A test fails if an optimizer or an option is missing here.
_RATE = st.floats(1e-3, 0.1)
_MOMENTUM = st.sampled_from([0.0, 0.5, 0.9])
_EPSILON = st.sampled_from([1e-7, 1e-3, 0.1])
_ADAM = {"learning_rate": _RATE, "beta_1": st.floats(0, 0.95), "beta_2": st.floats(0.5, 0.9999), "epsilon": _EPSILON}
OPTIMIZER_OPTIONS = {
    "SGD": {"learning_rate": _RATE, "momentum": _MOMENTUM, "nesterov": st.booleans()},
    "Adam": _ADAM,
    "AdamW": _ADAM | {"weight_decay": st.sampled_from([0.0, 0.004, 0.5])},
    "RMSprop": {
        "learning_rate": _RATE,
        "rho": st.floats(0.5, 0.99),
        "momentum": _MOMENTUM,
        "epsilon": _EPSILON,
        "centered": st.booleans(),
    },
}

CLIPPING = {"clipnorm", "clipvalue", "global_clipnorm"}


def optimizer_options(name):
    """Return a strategy of all constructor arguments of an optimizer; fail if one of them is not known here."""
    known = OPTIMIZER_OPTIONS.get(name)
    if known is None:
        pytest.fail(f"optimizer {name} has no entry in OPTIMIZER_OPTIONS, so that nothing compares it with others")
    base = constructor_arguments(optimizers.Optimizer)  # the arguments that every optimizer takes
    arguments = dict.fromkeys(constructor_arguments(optimizers.OPTIMIZERS[name]) + base)
    known = {"weight_decay": st.sampled_from([None, 0.004, 0.5])} | known
    if unknown := set(arguments) - set(known) - CLIPPING:
        pytest.fail(f"optimizer {name}: nothing is drawn for {sorted(unknown)}; complete OPTIMIZER_OPTIONS")
    options = st.fixed_dictionaries({argument: known[argument] for argument in arguments if argument in known})
    clipping = st.sampled_from([{}, *({argument: 1.0} for argument in arguments if argument in CLIPPING)])
    return st.tuples(options, clipping).map(lambda both: both[0] | both[1])


def clipped(gradients, options):
    """Clip gradients as Keras's arguments for clipping say; at most one of these may be given."""
    if bound := options.get("clipvalue"):
        return {key: np.clip(gradient, -bound, bound) for key, gradient in gradients.items()}
    lengths = {key: np.sqrt(np.sum(gradient**2)) for key, gradient in gradients.items()}
    if bound := options.get("clipnorm"):
        return {key: gradient * min(1.0, bound / lengths[key]) for key, gradient in gradients.items()}
    if bound := options.get("global_clipnorm"):
        factor = min(1.0, bound / np.sqrt(sum(length**2 for length in lengths.values())))
        return {key: gradient * factor for key, gradient in gradients.items()}
    return gradients


STEPS = 50


class Valley:
    """Gradients that depend on the current weights, so that an error in one step is carried on, and on noise.

    The same object gives the same numbers to both packages.
    """

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self.start = {"w": self._rng.normal(size=(3, 4)), "b": self._rng.normal(size=5)}
        self._noise = {key: self._rng.normal(size=(STEPS, *value.shape)) for key, value in self.start.items()}

    def gradient(self, key, value, step):
        return np.sin(value) + self._noise[key][step]


def trajectory(optimizer, valley, backend):
    """Yield the weights after each of ``STEPS`` steps of one of tinycnn's optimizers."""
    from tinycnn.layers import Parameter

    parameters = {key: Parameter(value.copy()) for key, value in valley.start.items()}
    for step in range(STEPS):
        for key, parameter in parameters.items():
            parameter.grad[...] = valley.gradient(key, parameter.value, step)
        optimizer.step(parameters, backend)
        yield {key: parameter.value for key, parameter in parameters.items()}


def conv_algorithms():
    """Return the possible values of Conv2D's argument ``algorithm``, or ``[None]`` if there is no such argument.

    The values are read from the error for a wrong one (``algorithm must be one of 'a', 'b'; got …``), which has the
    same form for every argument with a few choices.
    """
    if "algorithm" not in constructor_arguments(layers.Conv2D):
        kernels = [f"{m.__name__}.{n}" for m in (reference, cpu) for n in m.__all__ if "algorithm" in _arguments(m, n)]
        assert not kernels, f"{kernels} take an algorithm, but Conv2D does not: draw it here"
        return [None]
    with pytest.raises(ValueError, match="algorithm must be one of") as error:
        layers.Conv2D(1, 1, algorithm="none has this name")
    names = re.findall(r"'(\w+)'", str(error.value).split("; got")[0])
    assert len(names) > 1, f"no algorithms found in {error.value}"
    return names


def _arguments(module, name):
    return inspect.signature(getattr(module, name)).parameters


def every_convolution(algorithm=None):
    """Draw geometries of every kind; half of them are 3×3 with stride 1, for which fast algorithms are made.

    For Winograd's algorithm only these are drawn, because it can do no others.
    """
    plain = strategies.conv_geometries(max_stride=1, max_dilation=1, max_group=1, max_output=7, max_channels=5)
    three = plain.map(lambda g: g._replace(kernel_size=(3, 3), input_size=_three(g), pads=_clipped(g)))
    return three if algorithm == "winograd" else st.one_of(strategies.conv_geometries(), three)


def _clipped(g):
    return tuple(min(pad, 2) for pad in g.pads)


def _three(g):
    top, bottom, left, right = _clipped(g)
    # There is at least one pixel, even if that makes the result larger than the drawn one.
    return max(1, g.output_size[0] + 2 - top - bottom), max(1, g.output_size[1] + 2 - left - right)


def with_pads(layer, pads):
    """Make a layer that is not built yet use these pads, instead of those that follow from its argument ``padding``."""
    window_over = layer.window_over
    layer.window_over = lambda size: window_over(size)._replace(pads=tuple(pads))
    return layer
