"""Initial values of parameters, with Keras's names and formulas."""

import math
from typing import Any, ClassVar, Literal

import numpy as np

from .core.checks import real
from .core.public import listing
from .core.registry import Named, Registry
from .core.types import Array, Shape

__dir__ = listing(__name__)


class Initializer(Named):
    """A rule that draws the first value of a parameter; it is called with a shape and a random generator."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        """Return a float64 array of ``shape``; the layer rounds it to its own dtype."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it draws: define __call__(shape, rng)")


class Zeros(Initializer):
    """All numbers are 0. Biases, beta and the moving mean begin like this."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """All numbers are 1. Gamma and the moving variance begin like this."""

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return np.ones(shape)


class Constant(Initializer):
    """All numbers equal ``value``.

    Parameters
    ----------
    value : float
        The number to fill the parameter with.
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = real(value, "value")

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)


class RandomUniform(Initializer):
    """Uniformly distributed numbers in ``[minval, maxval)``.

    Parameters
    ----------
    minval, maxval : float
        The ends of the interval.

    Raises
    ------
    ValueError
        If ``maxval`` is below ``minval``.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05) -> None:
        self.minval = real(minval, "minval")
        self.maxval = real(maxval, "maxval")
        if self.maxval < self.minval:
            raise ValueError(f"maxval must be >= {self.minval:g}, the value of minval; got {self.maxval:g}")

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class RandomNormal(Initializer):
    """Numbers from a normal distribution.

    Parameters
    ----------
    mean, stddev : float
        The mean and the standard deviation of the distribution; ``stddev`` must not be negative.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05) -> None:
        self.mean = real(mean, "mean")
        self.stddev = real(stddev, "stddev", 0)

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Numbers from a normal distribution; those more than two standard deviations from the mean are drawn again.

    Parameters
    ----------
    mean, stddev : float
        The mean and the standard deviation before the tails are cut off. Cutting them off makes the standard
        deviation 0.88 times as large.
    """

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return self.mean + self.stddev * truncated_normal(shape, rng)


class VarianceScaling(Initializer):
    """Base of the initializers with the variance ``scale / fan``.

    With it neither signals nor gradients grow or vanish from layer to layer. ``fan`` is the number of values that an
    output is computed from (``"in"``), or the mean (``"average"``) of that number and of the number of outputs that a
    value contributes to: see :func:`fans`.
    """

    scale: ClassVar[float]
    fan: ClassVar[Literal["in", "average"]]
    distribution: ClassVar[Literal["uniform", "truncated normal"]]

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        fan_in, fan_out = fans(shape)
        variance = self.scale / (fan_in if self.fan == "in" else (fan_in + fan_out) / 2)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        return math.sqrt(variance) / TRUNCATED_STDDEV * truncated_normal(shape, rng)


class GlorotUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(6 / (fan_in + fan_out))``.

    This keeps the variance of signals and of gradients level from layer to layer.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    equation 16.
    """

    scale, fan, distribution = 1, "average", "uniform"


class GlorotNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``2 / (fan_in + fan_out)``.

    Source: Glorot & Bengio, 2010, equation 12.
    """

    scale, fan, distribution = 1, "average", "truncated normal"


class HeUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(6 / fan_in)``, with the same variance as :class:`HeNormal`."""

    scale, fan, distribution = 2, "in", "uniform"


class HeNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``2 / fan_in``.

    The factor 2 is for ReLU, which stops half of the signal.

    Source: He, Zhang, Ren & Sun, "Delving deep into rectifiers", 2015, equation 10.
    """

    scale, fan, distribution = 2, "in", "truncated normal"


class LecunUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(3 / fan_in)``, with the same variance as :class:`LecunNormal`."""

    scale, fan, distribution = 1, "in", "uniform"


class LecunNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``1 / fan_in``.

    Source: LeCun, Bottou, Orr & Müller, "Efficient backprop", 1998, equation 16.
    """

    scale, fan, distribution = 1, "in", "truncated normal"


#: The standard deviation of a standard normal variable that is cut off at ±2.
TRUNCATED_STDDEV = 0.87962566103423978


def truncated_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Return standard normal numbers between -2 and 2; about one number in 22 has to be drawn again.

    Examples
    --------
    >>> x = truncated_normal((1000,), np.random.default_rng(0))
    >>> bool(1.9 < abs(x).max() <= 2)
    True
    """
    values = rng.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(np.count_nonzero(outside))
    return values


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many values one output is computed from, and how many outputs one value contributes to.

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
    "constant": Constant,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
}


REGISTRY = Registry("initializer", Initializer, INITIALIZERS)


def get(initializer: Any, name: str = "") -> Initializer:
    """Return an initializer from its name, its class name, its configuration, or itself.

    Parameters
    ----------
    initializer : str, dict or Initializer
    name : str, optional
        The argument that it was given for, for errors.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    return REGISTRY.find(initializer, name)
