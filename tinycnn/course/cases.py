"""The cases of exercises, as Hypothesis draws them: geometries, unit impulses, whole numbers, random numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from ..core.types import Array
from .exercise import Case, Phase

__all__ = ["Geometry", "first_only", "geometries", "numbers", "phases", "phases_with_hard_cases", "without_last"]

#: The largest error of a result of random numbers, relative to its largest number.
TOLERANCE = 1e-9
#: Makes an array, given its name and its shape.
Fill = Callable[[str, tuple[int, ...]], Array]


def numbers(*values: Any) -> Array:
    """Return numbers, or rows of numbers, as an array of float64."""
    return np.array(values, np.float64)


def first_only(array: Array, axis: int) -> Array:
    """Return an array that is 0 but for the first place along an axis."""
    only = np.zeros_like(array)
    place = (slice(None),) * axis + (slice(0, 1),)
    only[place] = array[place]
    return only


def without_last(array: Array, axis: int) -> Array:
    """Return an array whose last place along an axis is 0."""
    rest = array.copy()
    rest[(slice(None),) * axis + (-1,)] = 0
    return rest


class Geometry(NamedTuple):
    """The sizes of a convolution: images, kernel, channels, filters, stride and pad."""

    N: int
    H: int
    W: int
    C: int
    KH: int
    KW: int
    F: int
    stride: int
    pad: int

    @property
    def output_size(self) -> tuple[int, int]:
        """The number of positions of the kernel, (OH, OW)."""
        rows = (self.H + 2 * self.pad - self.KH) // self.stride + 1
        return rows, (self.W + 2 * self.pad - self.KW) // self.stride + 1


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Draw a geometry with at least one position; up to ``stride - 1`` rows and columns of pixels are met by no tap."""

    def length(kernel: int) -> int:
        positions, left_over = draw(st.integers(1, 3)), draw(st.integers(0, stride - 1))
        return max(1, (positions - 1) * stride + kernel - 2 * pad + left_over)

    KH, KW = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride, pad = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    H, W = length(KH), length(KW)
    N, C, F = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return Geometry(N, H, W, C, KH, KW, F, stride, pad)


def phases(
    make: Callable[[Geometry, Fill], dict[str, Any]],
    ones: tuple[str, ...],
    sizes: "st.SearchStrategy[Geometry] | None" = None,
    tolerance: float = 0.0,
) -> tuple[Phase, ...]:
    """Return the three phases of a function that is linear in each of its arrays.

    Parameters
    ----------
    make : callable
        Takes a geometry and a function that makes an array of a name and a shape; returns the arguments of a call.
    ones : tuple of str
        The arrays that are unit impulses in the first phase; the others are 0 there.
    sizes : SearchStrategy, optional
        It draws a geometry, by default one of a convolution.
    tolerance : float
        The largest relative error for impulses and whole numbers: 0, unless the function divides.
    """
    geometry = geometries() if sizes is None else sizes

    @st.composite
    def impulses(draw: st.DrawFn) -> Case:
        found: dict[str, tuple[int, ...]] = {}

        def fill(name: str, shape: tuple[int, ...]) -> Array:
            array = np.zeros(shape)
            if name in ones:
                found[name] = tuple(draw(st.integers(0, length - 1)) for length in shape)
                array[found[name]] = 1
            return array

        return Case(make(draw(geometry), fill), found)

    def filled(kind: Callable[[np.random.Generator, tuple[int, ...]], Array]) -> st.SearchStrategy[Case]:
        @st.composite
        def cases(draw: st.DrawFn) -> Case:
            rng = np.random.default_rng(draw(st.integers(0, 1000)))
            return Case(make(draw(geometry), lambda name, shape: kind(rng, shape)))

        return cases()

    return (
        Phase("unit impulses", impulses(), 100, tolerance),
        Phase("small whole numbers", filled(_whole), 100, tolerance),
        Phase("random numbers", filled(_random), 50, TOLERANCE),
    )


def phases_with_hard_cases(
    hard: Sequence[dict[str, Any]],
    make: Callable[[st.DrawFn, Fill], dict[str, Any]],
    tolerance: float = TOLERANCE,
) -> tuple[Phase, ...]:
    """Return the three phases of a function that is not linear.

    Parameters
    ----------
    hard : sequence of dict
        The arguments of the calls that are made first, the easiest to read first.
    make : callable
        Takes Hypothesis's ``draw`` and a function that makes an array of a name and a shape; returns the arguments of a
        call.
    tolerance : float
        The largest error relative to the largest number of the right result.
    """

    def filled(kind: Callable[[np.random.Generator, tuple[int, ...]], Array]) -> st.SearchStrategy[Case]:
        @st.composite
        def cases(draw: st.DrawFn) -> Case:
            rng = np.random.default_rng(draw(st.integers(0, 1000)))
            return Case(make(draw, lambda name, shape: kind(rng, shape)))

        return cases()

    return (
        Phase("cases picked by hand", tuple(Case(arguments) for arguments in hard), len(hard), tolerance),
        Phase("small whole numbers", filled(_whole), 100, tolerance),
        Phase("random numbers", filled(_random), 100, tolerance),
    )


def _whole(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return whole numbers from 1 to 9, some of them negative, whose products and sums are exact."""
    return rng.integers(1, 10, shape) * rng.choice([1.0, 1.0, -1.0], shape)


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape)
