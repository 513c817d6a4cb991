"""Keras's layers that change images: at random in training (flips, turns, shifts, zooms, contrast), or to a size.

What the random layers do to an image follows from the layer's seed, the step, and the image's place in the batch, as
everywhere in tinycnn; so a run repeats to the bit and can be resumed.
"""

import math
import numbers
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import choice, integer, items, real
from ..core.messages import shown
from ..core.seeding import Stream, generator_of_step
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..layers import Layer
from ..layers.conv import image_size
from ._telling import is_one_of, not_so
from ._warping import affine_maps, checked_fill, unwarped, warped


class RandomCache(NamedTuple):
    """``step``: the step whose numbers were drawn; ``x``: the images, if the slope depends on them."""

    step: int
    x: Array | None


def limits(factor: Any, name: str, *, symmetric: bool = True) -> tuple[float, float]:
    """Return the limits of a factor: a number f stands for -f and f (or 0 and f), a pair for itself."""
    if isinstance(factor, numbers.Real) and not isinstance(factor, bool):
        high = real(factor, name, 0)
        return (-high if symmetric else 0.0), high
    pair = [real(one, f"{name}[{place}]") for place, one in enumerate(items(factor, name, "two numbers"))]
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ValueError(f"{name} must be a number, or a smallest and a largest one; got {shown(factor)}")
    return pair[0], pair[1]


class RandomImages(Layer):
    """Base of the layers that change images at random in training, and nothing otherwise.

    Parameters
    ----------
    seed : int, optional
        By default it is drawn from the model's seed.
    """

    def __init__(self, seed: int | None = None, **base: Any) -> None:
        super().__init__(**base)
        self.seed = None if seed is None else integer(seed, "seed", minimum=0)

    def output_shape(self, input_shape: Shape) -> Shape:
        size, channels = image_size(self, input_shape)
        return (*size, channels)

    def create(self, input_shape: Shape, rng: np.random.Generator) -> None:
        drawn = int(rng.integers(2**63))
        self.noise_seed = drawn if self.seed is None else self.seed

    def drawn(self, step: int, images: int) -> Any:
        """Return the generator of one step."""
        return generator_of_step(self.noise_seed, Stream.AUGMENT, step)


class _Warping(RandomImages):
    """Base of the layers that move pixels.

    Parameters
    ----------
    fill_mode : {"reflect", "nearest", "wrap", "constant"}
        What lies beyond the border.
    interpolation : {"bilinear"}
        How values between pixels are found; there is one way.
    fill_value : float
        The value beyond the border with ``fill_mode="constant"``.
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        **base: Any,
    ) -> None:
        super().__init__(seed, **base)
        self.fill_mode = checked_fill(fill_mode)
        if not is_one_of(interpolation, "bilinear"):
            raise not_so(type(self).__name__, "interpolation", interpolation, "leave it out; values are bilinear")
        self.interpolation = "bilinear"
        self.fill_value = real(fill_value, "fill_value")

    def amounts(self, rng: np.random.Generator, images: int) -> dict[str, Any]:
        """Return what to do to each image, as arguments of :func:`affine_maps` other than those that do nothing."""
        raise NotImplementedError

    def _maps(self, step: int, images: int) -> Array:
        nothing, none = np.zeros(images), np.ones(images)
        usual = {"theta": nothing, "down": nothing, "right": nothing, "shear": nothing, "zoom": (none, none)}
        usual |= {"mirror": nothing > 0, "upside_down": nothing > 0}
        size, _ = image_size(self, self.built_input_shape)
        arguments: dict[str, Any] = usual | self.amounts(self.drawn(step, images), images)
        return affine_maps(size, **arguments)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, RandomCache | None]:
        self.check_input(x)
        if not training:
            return self._handed_on(x, ws), None
        return warped(x, self._maps(step, len(x)), self.fill_mode, self.fill_value, self.backend), RandomCache(
            step, None
        )

    def backward(self, dy: Array, cache: RandomCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        dx = unwarped(self.backend.to_numpy(dy), self._maps(cache.step, len(dy)), self.fill_mode)
        return self.backend.array(dx, self.dtype)


class RandomFlip(_Warping):
    """Exchange left and right, top and bottom, or both, in half of the images.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
        Which flips are drawn, each for half of the images.
    seed : int, optional
        By default it is drawn from the model's seed.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.

    Examples
    --------
    >>> from tinycnn.keras import layers
    >>> layers.RandomFlip("horizontal").output_shape((28, 28, 1))
    (28, 28, 1)
    """

    fixed_arguments = ("fill_mode", "interpolation", "fill_value")

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **base: Any) -> None:
        super().__init__(seed=seed, **base)
        self.mode = choice(mode, ("horizontal_and_vertical", "horizontal", "vertical"), "mode")

    def amounts(self, rng: np.random.Generator, images: int) -> dict[str, Any]:
        mirror, upside_down = (rng.random(images) < 0.5 for _ in range(2))
        return {"mirror": mirror & ("horizontal" in self.mode), "upside_down": upside_down & ("vertical" in self.mode)}

    def get_config(self) -> dict[str, Any]:
        return {key: one for key, one in super().get_config().items() if key not in self.fixed_arguments}


class RandomRotation(_Warping):
    """Turn each image about its centre.

    Parameters
    ----------
    factor : float or (float, float)
        The largest turn in either direction, or the smallest and the largest one, as shares of a whole turn.
    fill_mode, interpolation, seed, fill_value
        As for Keras: what lies beyond the border, ``"bilinear"``, the seed, and the value of ``"constant"``.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.
    """

    def __init__(self, factor: Any, *given: Any, **base: Any) -> None:
        super().__init__(*given, **base)
        self.factor = factor
        self._limits = limits(factor, "factor")

    def amounts(self, rng: np.random.Generator, images: int) -> dict[str, Any]:
        return {"theta": 2 * math.pi * rng.uniform(*self._limits, images)}


class RandomTranslation(_Warping):
    """Shift each image.

    Parameters
    ----------
    height_factor, width_factor : float or (float, float)
        The largest shift in either direction, or the smallest and the largest one, as shares of the image's size.
        Positive numbers shift down and to the right.
    fill_mode, interpolation, seed, fill_value
        As for :class:`RandomRotation`.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.
    """

    def __init__(self, height_factor: Any, width_factor: Any, *given: Any, **base: Any) -> None:
        super().__init__(*given, **base)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._limits = limits(height_factor, "height_factor"), limits(width_factor, "width_factor")

    def amounts(self, rng: np.random.Generator, images: int) -> dict[str, Any]:
        size, _ = image_size(self, self.built_input_shape)
        down, right = (-length * rng.uniform(*both, images) for length, both in zip(size, self._limits, strict=True))
        return {"down": down, "right": right}


class RandomZoom(_Warping):
    """Make each image larger or smaller about its centre.

    Parameters
    ----------
    height_factor : float or (float, float)
        The limits of what is added to 1 to give the part of the image that is seen: negative numbers make what is seen
        larger.
    width_factor : float or (float, float), optional
        The same for the columns; by default they follow the rows.
    fill_mode, interpolation, seed, fill_value
        As for :class:`RandomRotation`.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.
    """

    def __init__(self, height_factor: Any, width_factor: Any = None, *given: Any, **base: Any) -> None:
        super().__init__(*given, **base)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._rows = limits(height_factor, "height_factor")
        self._columns = None if width_factor is None else limits(width_factor, "width_factor")
        for name, both in (("height_factor", self._rows), ("width_factor", self._columns)):
            if both is not None and both[0] <= -1:
                raise ValueError(f"{name} must be greater than -1, and a number less than 1; got {both[0]}")

    def amounts(self, rng: np.random.Generator, images: int) -> dict[str, Any]:
        rows = 1 + rng.uniform(*self._rows, images)
        return {"zoom": (rows, rows if self._columns is None else 1 + rng.uniform(*self._columns, images))}


class RandomContrast(RandomImages):
    """Stretch each channel of an image about its mean: ``y = (x - mean) * f + mean``, and clip it.

    Parameters
    ----------
    factor : float or (float, float)
        f is drawn between ``1 - factor`` and ``1 + factor``; a pair gives both distances.
    value_range : (float, float)
        The results are clipped to these values.
    seed : int, optional
        By default it is drawn from the model's seed.
    **base
        ``name``, ``input_shape`` and ``trainable``, which every layer takes.
    """

    def __init__(
        self, factor: Any, value_range: tuple[float, float] = (0, 255), seed: int | None = None, **base: Any
    ) -> None:
        super().__init__(seed, **base)
        self.factor, self.value_range = (
            factor,
            limits(tuple(items(value_range, "value_range", "two numbers")), "value_range"),
        )
        both = [factor, factor] if isinstance(factor, numbers.Real) else items(factor, "factor", "two numbers")
        if len(both) != 2:
            raise ValueError(f"factor must be a number, or two of them; got {shown(factor)}")
        below, above = both
        self._limits = 1 - real(below, "factor", 0, 1), 1 + real(above, "factor", 0)

    def _stretched(self, x: Array, step: int) -> tuple[Array, Array]:
        factors = self.drawn(step, len(x)).uniform(*self._limits, (len(x), 1, 1, 1)).astype(x.dtype)
        mean = x.mean(axis=(1, 2), keepdims=True)
        return (x - mean) * factors + mean, factors

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, RandomCache | None]:
        self.check_input(x)
        if not training:
            return self._handed_on(x, ws), None
        host = self.backend.to_numpy(x).copy()
        low, high = self.value_range
        y = np.clip(self._stretched(host, step)[0], low, high)
        return self.backend.array(y, self.dtype), RandomCache(step, host)

    def backward(self, dy: Array, cache: RandomCache, *, ws: Workspace | None = None) -> Array:
        self.check_gradient(dy)
        assert cache.x is not None
        y, factors = self._stretched(cache.x, cache.step)
        low, high = self.value_range
        inside = np.where((y >= low) & (y <= high), self.backend.to_numpy(dy), 0)
        dx = inside * factors + (1 - factors) * inside.mean(axis=(1, 2), keepdims=True)
        return self.backend.array(dx, self.dtype)
