"""Initial values of parameters, with Keras's names and formulas."""

import math
from typing import Any, ClassVar

import numpy as np

from .core import forms
from .core.checks import choice, integer, real
from .core.description import Named
from .core.public import listing
from .core.registry import Registry
from .core.types import Array, Shape

__dir__ = listing(__name__)


class Initializer(Named):
    """A rule that draws the first value of a parameter; it is called with a shape and a random generator."""

    _form = forms.INITIALIZER

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


class _Random(Initializer):
    """Base of the initializers that draw random numbers.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    _added: ClassVar = {"seed": None}

    def __init__(self, seed: int | None) -> None:
        self.seed = None if seed is None else integer(seed, "seed", minimum=0)

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return self.draw(shape, rng if self.seed is None else np.random.default_rng(self.seed))

    def draw(self, shape: Shape, rng: np.random.Generator) -> Array:
        """Return numbers that are drawn from this generator."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(shape, rng)")


class RandomUniform(_Random):
    """Uniformly distributed numbers in ``[minval, maxval)``.

    Parameters
    ----------
    minval, maxval : float
        The ends of the interval.
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.

    Raises
    ------
    ValueError
        If ``maxval`` is below ``minval``.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = real(minval, "minval")
        self.maxval = real(maxval, "maxval")
        if self.maxval < self.minval:
            raise ValueError(f"maxval must be >= {self.minval:g}, the value of minval; got {self.maxval:g}")

    def draw(self, shape: Shape, rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class RandomNormal(_Random):
    """Numbers from a normal distribution.

    Parameters
    ----------
    mean, stddev : float
        The mean and the standard deviation of the distribution; ``stddev`` must not be negative.
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = real(mean, "mean")
        self.stddev = real(stddev, "stddev", 0)

    def draw(self, shape: Shape, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Numbers from a normal distribution; those more than two standard deviations from the mean are drawn again.

    Parameters
    ----------
    mean, stddev : float
        The mean and the standard deviation before the tails are cut off. Cutting them off makes the standard
        deviation 0.88 times as large.
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def draw(self, shape: Shape, rng: np.random.Generator) -> Array:
        return self.mean + self.stddev * truncated_normal(shape, rng)


class VarianceScaling(_Random):
    """Numbers with the variance ``scale / fan``, where fan is a number of connections: see :func:`fans`.

    With it neither signals nor gradients grow or vanish from layer to layer. The initializers that are named after
    their authors are this one with fixed arguments.

    Parameters
    ----------
    scale : float > 0
        The variance is this number divided by ``fan``.
    mode : {"fan_in", "fan_out", "fan_avg"}
        Whether ``fan`` is the number of values that an output is computed from, the number of outputs that a value
        contributes to, or the mean of both.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        The distribution. A truncated normal one has no numbers beyond two of its standard deviations, which is chosen
        so that the variance is right after truncation.
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import initializers
    >>> kernel = initializers.VarianceScaling(2, "fan_in", seed=0)((3, 3, 64, 64), np.random.default_rng())
    >>> bool(abs(kernel.var() * 3 * 3 * 64 / 2 - 1) < 0.03)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        self.scale = real(scale, "scale", above=0)
        self.mode = choice(mode, ("fan_in", "fan_out", "fan_avg"), "mode")
        self.distribution = choice(distribution, ("truncated_normal", "untruncated_normal", "uniform"), "distribution")

    def draw(self, shape: Shape, rng: np.random.Generator) -> Array:
        fan_in, fan_out = fans(shape)
        variance = self.scale / {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0, math.sqrt(variance), shape)
        return math.sqrt(variance) / TRUNCATED_STDDEV * truncated_normal(shape, rng)


class GlorotUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(6 / (fan_in + fan_out))``.

    This keeps the variance of signals and of gradients level from layer to layer.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
    equation 16.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``2 / (fan_in + fan_out)``.

    Source: Glorot & Bengio, 2010, equation 12.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(6 / fan_in)``, with the same variance as :class:`HeNormal`.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``2 / fan_in``.

    The factor 2 is for ReLU, which stops half of the signal.

    Source: He, Zhang, Ren & Sun, "Delving deep into rectifiers", 2015, equation 10.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniformly distributed numbers in ``±sqrt(3 / fan_in)``, with the same variance as :class:`LecunNormal`.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Numbers from a truncated normal distribution with the variance ``1 / fan_in``.

    Source: LeCun, Bottou, Orr & Müller, "Efficient backprop", 1998, equation 16.

    Parameters
    ----------
    seed : int, optional
        Draw the same numbers at every call, from this seed, whatever the seed of the model.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1, "fan_in", "truncated_normal", seed)


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
    "variance_scaling": VarianceScaling,
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
