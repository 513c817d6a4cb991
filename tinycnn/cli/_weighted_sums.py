"""Results that are weighted sums and no layer's own number, such as a step of an optimizer, as convolutions of one tap.

Each term is a channel, its weight is that of the only filter, and each element of the result is a pixel. So the page
shows the products that the result should be the sum of.
"""

import math
from collections.abc import Callable

import numpy as np

from ..core.types import Array
from ..initializers import fans
from ..layers import Conv2D
from ._stand_ins import Arguments, StandIn

#: The terms of a sum: what each is called, its weight, and its array.
Terms = list[tuple[str, float, Array]]


def _sum(name: str, terms_of: Callable[[Arguments], Terms]) -> Callable[[Arguments], StandIn]:
    """Return what makes the convolution of a case."""

    def made(a: Arguments) -> StandIn:
        names, weights, arrays = zip(*terms_of(a), strict=True)
        x = np.stack([array.ravel() for array in arrays], axis=-1)[None, None]
        w = np.array(weights, np.float64).reshape(1, 1, -1, 1)
        layer = Conv2D(1, 1, use_bias=False, name=name)
        listed = ", ".join(f"channel {number} is {one}" for number, one in enumerate(names))
        note = f"It is shown as a convolution of one tap, in which {listed}."
        given = _only_of_the_case(a)
        return StandIn("conv2d_forward", x, layer, weights=(w,), renamed=given, note=note, channels=names)

    return made


def _only_of_the_case(a: Arguments) -> dict[str, str]:
    """Return names that no kernel has, so that the function is given the case's arguments and none of the kernel's."""
    return dict.fromkeys(a, "")


# Initial weights ------------------------------------------------------------------------------------------------------


def _he_normal(a: Arguments) -> Terms:
    return [("z", math.sqrt(2 / fans(a["z"].shape)[0]), a["z"])]


def _glorot_uniform(a: Arguments) -> Terms:
    limit = math.sqrt(6 / sum(fans(a["u"].shape)))
    return [("u", 2 * limit, a["u"]), ("ones", -limit, np.ones_like(a["u"]))]


# Moving averages ------------------------------------------------------------------------------------------------------


def _moving(name: str, of_the_batch: Callable[[Array], Array]) -> Callable[[Arguments], Terms]:
    """Return what gives the terms of a moving average, which stays what it is outside of training."""

    def terms(a: Arguments) -> Terms:
        kept = a["momentum"] if a["training"] else 1.0
        return [(name, kept, a[name]), ("that of the batch", 1 - kept, of_the_batch(a["x"]))]

    return terms


def _mean(x: Array) -> Array:
    return np.asarray(x.mean(axis=(0, 1, 2)))


def _variance(x: Array) -> Array:
    return np.asarray(x.var(axis=(0, 1, 2)))


# Steps of optimizers --------------------------------------------------------------------------------------------------


def _velocity(a: Arguments) -> Terms:
    return [("v", a["momentum"], a["v"]), ("dw", -a["rate"], a["dw"])]


def _after_momentum(a: Arguments) -> Terms:
    return [("w", 1.0, a["w"]), *_velocity(a)]


def _mean_of_gradients(a: Arguments) -> Terms:
    return [("m", a["beta_1"], a["m"]), ("dw", 1 - a["beta_1"], a["dw"])]


def _mean_of_squares(a: Arguments) -> Terms:
    return [("v", a["beta_2"], a["v"]), ("the square of dw", 1 - a["beta_2"], np.square(a["dw"]))]


def _after_adam(a: Arguments) -> Terms:
    m, v = (sum(weight * array for _, weight, array in terms(a)) for terms in (_mean_of_gradients, _mean_of_squares))
    rate = a["rate"] * math.sqrt(1 - a["beta_2"] ** a["step"]) / (1 - a["beta_1"] ** a["step"])
    kept = 1 - a["rate"] * a.get("decay", 0.0)
    return [("w", kept, a["w"]), ("m / (sqrt(v) + epsilon) of this step", -rate, m / (np.sqrt(v) + a["epsilon"]))]


# Curves ---------------------------------------------------------------------------------------------------------------


def _smoothed(a: Arguments) -> StandIn:
    """Return a convolution with a channel and a filter for each epoch."""
    E, weight = len(a["curve"]), a["weight"]
    epoch, earlier = np.arange(E), np.arange(E)[:, None]
    shares = (1 - weight) * weight ** np.maximum(epoch - earlier, 0) / (1 - weight ** (epoch + 1))
    w = np.where(earlier <= epoch, shares, 0).reshape(1, 1, E, E)
    note = "It is shown as a convolution of one tap, in which channel e is epoch e, and filter e the result at e."
    layer = Conv2D(E, 1, use_bias=False, name="smoothed")
    x = a["curve"].reshape(1, 1, 1, E)
    epochs = tuple(f"epoch {e}" for e in range(E))
    given = _only_of_the_case(a)
    return StandIn("conv2d_forward", x, layer, weights=(w,), renamed=given, note=note, channels=epochs)


# All of them ----------------------------------------------------------------------------------------------------------

#: What makes the convolution of a case, for each exercise and each of its results that is a weighted sum.
SUMS: dict[tuple[str, int], Callable[[Arguments], StandIn]] = {
    ("he_normal", 0): _sum("he_normal", _he_normal),
    ("glorot_uniform", 0): _sum("glorot_uniform", _glorot_uniform),
    ("batchnorm_layer", 1): _sum("moving_mean", _moving("moving_mean", _mean)),
    ("batchnorm_layer", 2): _sum("moving_variance", _moving("moving_variance", _variance)),
    ("sgd_momentum", 0): _sum("sgd_momentum", _after_momentum),
    ("sgd_momentum", 1): _sum("sgd_momentum", _velocity),
    ("adam", 0): _sum("adam", _after_adam),
    ("adam", 1): _sum("adam", _mean_of_gradients),
    ("adam", 2): _sum("adam", _mean_of_squares),
    ("adamw", 0): _sum("adamw", _after_adam),
    ("adamw", 1): _sum("adamw", _mean_of_gradients),
    ("adamw", 2): _sum("adamw", _mean_of_squares),
    ("smoothed", 0): _smoothed,
}
