"""Initial values of parameters, with Keras's names and formulas."""

import math
from typing import Any

import numpy as np

from ._checks import unknown
from ._types import Array, Config, Shape


class Initializer:
    """Draws the first value of a parameter; called with a shape and a generator."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        """A float64 array of ``shape``; the layer rounds it to its own dtype."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it draws: define __call__(shape, rng)")

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {}


class Zeros(Initializer):
    """All zero: biases, beta, the moving mean."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """All one: gamma, the moving variance."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return np.ones(shape)


class GlorotUniform(Initializer):
    """Uniform in ``±sqrt(6 / (fan_in + fan_out))``: keeps the variance of signals and of gradients level.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    equation 16.
    """

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        fan_in, fan_out = fans(shape)
        limit = math.sqrt(6 / (fan_in + fan_out))
        return rng.uniform(-limit, limit, shape)


def fans(shape: Shape) -> tuple[int, int]:
    """How many values one output is made of, and how many outputs one input goes to.

    Examples
    --------
    >>> fans((3, 3, 32, 64)), fans((784, 10))
    ((288, 576), (784, 10))
    """
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    taps = math.prod(shape[:-2])
    return taps * shape[-2], taps * shape[-1]


INITIALIZERS: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "glorot_uniform": GlorotUniform,
}


def get(initializer: Any) -> Initializer:
    """An initializer from its name, its class name, its configuration, or itself.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(initializer, Initializer):
        return initializer
    config: Config = {}
    name = initializer
    if isinstance(initializer, dict) and initializer.keys() == {"class_name", "config"}:
        name, config = initializer["class_name"], initializer["config"]
    by_name = INITIALIZERS | {cls.__name__: cls for cls in INITIALIZERS.values()}
    if not isinstance(name, str) or name not in by_name:
        raise unknown("initializer", name, INITIALIZERS)
    return by_name[name](**config)
