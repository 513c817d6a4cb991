"""Strategies for the shapes of batches, and for the numbers in them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array, Shape

Draw = Callable[..., Any]
SEEDS = st.integers(0, 2**16)


def images(max_size: int = 5) -> st.SearchStrategy[Shape]:
    """Draw the shape (N, H, W, C) of a small batch of images."""
    return st.tuples(st.integers(1, 3), st.integers(1, max_size), st.integers(1, max_size), st.integers(1, 3))


def batches() -> st.SearchStrategy[Shape]:
    """Draw the shape of a small batch of images, rows of images, or vectors."""
    return st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)


@st.composite
def arrays(draw: Draw, shape: Shape, *, dtype: str = "float64") -> Array:
    """Draw an array of normally distributed numbers, from a drawn seed.

    Parameters
    ----------
    shape : tuple of int
        The shape of the array, with the batch axis if it is to be a batch.
    dtype : str

    Returns
    -------
    strategy of arrays
    """
    return np.random.default_rng(draw(SEEDS)).normal(size=shape).astype(dtype)


@st.composite
def separated_arrays(draw: Draw, shape: Shape, *, dtype: str = "float64") -> Array:
    """Draw an array of numbers in [-1, 1] that differ from each other and from 0 by at least one over their count.

    So a max-pool has no ties, and a ReLU is nowhere at its kink. The idea is Chainer's
    (``pooling_nd_helper.shuffled_linspace``).

    Parameters
    ----------
    shape : tuple of int
        The shape of the array, with the batch axis if it is to be a batch.
    dtype : str

    Returns
    -------
    strategy of arrays
    """
    count = int(np.prod(shape))
    ranks = np.random.default_rng(draw(SEEDS)).permutation(count)
    return ((2 * ranks + 1 - count + (count % 2)) / max(count, 1)).reshape(shape).astype(dtype)
