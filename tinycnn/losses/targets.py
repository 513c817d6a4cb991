"""Checks of targets, which losses share: labels, rows of probabilities, and numbers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..core.checks import any_array
from ..core.printing import for_print
from ..core.targets import as_numbers
from ..core.types import Array, Shape

#: Whether targets may be NaN or infinite, as ``check_finite=False`` says.
_ANY_NUMBER: ContextVar[bool] = ContextVar("any_number", default=False)


@contextmanager
def letting_through(wanted: bool) -> Iterator[None]:
    """Let targets be NaN or infinite within this block, if that is wanted; labels of classes are always numbers."""
    token = _ANY_NUMBER.set(wanted)
    try:
        yield
    finally:
        _ANY_NUMBER.reset(token)


def check_labels(y: Any, n: int, classes: int) -> Array:
    """Return integer class labels as an (n,) int64 array.

    Labels of shape (n,) and (n, 1) are accepted; nothing is broadcast.

    Raises
    ------
    ValueError
        If the labels have another shape, are not whole numbers or do not lie in ``0 … classes - 1``.
    """
    labels = any_array(y, "y")
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if labels.shape != (n,):
        hint = ""
        if labels.ndim == 2 and len(labels) == n and (labels.shape[1] == classes or _is_one_hot(labels)):
            hint = ". These look like one-hot rows: use y.argmax(axis=1), or the loss categorical_crossentropy."
        elif labels.shape == (1, n):
            hint = ". Use y[0]."
        raise ValueError(f"y: expected {n} integer labels of shape ({n},) or ({n}, 1); got shape {labels.shape}{hint}")
    labels = as_numbers(labels, "y")
    if labels.dtype.kind not in "iubf":
        raise ValueError(f"y: expected integer labels; got values of dtype {labels.dtype}")
    broken = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(n, bool)
    if broken.any():
        at = int(broken.argmax())
        cure = "; for targets that are no classes, use the loss mean_squared_error"
        if np.isnan(labels[at]):
            cure = "; it is missing: leave out samples without a label, keep = ~np.isnan(y); x, y = x[keep], y[keep]"
        raise ValueError(f"y: labels must be whole numbers; got {labels[at]} at index {at}{cure}")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(outside.argmax())
        text = f"y: labels must lie in 0 … {classes - 1} for {classes} outputs; got {labels[at]} at index {at}. "
        raise ValueError(for_print(text + _cure_for_labels(labels, classes)))
    return np.ascontiguousarray(labels, dtype=np.int64)


def _is_one_hot(rows: Array) -> bool:
    """Return whether rows hold a single one, and zeros elsewhere."""
    return rows.size > 0 and bool((np.isin(rows, (0, 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)).all())


def _cure_for_labels(labels: Array, classes: int) -> str:
    """Return a sentence that says what to do about labels outside ``0 … classes - 1``."""
    if labels.min() < 0:
        return "Classes are numbered from 0: renumber them, or leave out samples whose class is not known."
    if labels.min() >= 1 and labels.max() == classes:
        return "Subtract 1 if your classes are numbered from 1."
    return "Correct the labels, or give the last layer an output for every class."


def check_rows(y: Any, n: int, classes: int) -> Array:
    """Return one-hot rows, or rows of probabilities, of shape (n, classes), in the dtype they came in.

    Nothing is broadcast.

    Raises
    ------
    ValueError
        If the rows have another shape, hold a number that is negative or not finite, or do not sum to 1 within 0.001.
    """
    rows = any_array(y, "y")
    if rows.shape != (n, classes):
        labels = classes > 1 and rows.shape in ((n,), (n, 1))
        hint = ". These look like labels: use the loss sparse_categorical_crossentropy." if labels else ""
        raise ValueError(f"y: expected one-hot rows of shape ({n}, {classes}); got shape {rows.shape}{hint}")
    rows = check_numbers(rows, (n, classes))
    negative = rows < 0
    if negative.any():
        at = _first(negative)
        raise ValueError(f"y: one-hot rows and probabilities must not be negative; got {rows[at]} at index {at}")
    sums = rows.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > 1e-3
    if wrong.any():
        row = int(wrong.argmax())
        hint = ". Divide every row by its sum if the numbers are counts or weights." if sums[row] > 0 else ""
        raise ValueError(
            f"y: every row must sum to 1 (one-hot, or probabilities); row {row} sums to {sums[row]:g}{hint}"
        )
    return rows


def check_numbers(y: Any, shape: Shape) -> Array:
    """Return finite real numbers of exactly this shape, in the dtype they came in. Nothing is broadcast.

    Where a model is given ``check_finite=False``, NaN and infinity pass.

    Raises
    ------
    ValueError
        If the array has another shape, or holds NaN, infinity or anything but real numbers.
    """
    numbers = any_array(y, "y")
    if numbers.shape != shape:
        hint = f". Perhaps y.reshape{shape} is meant." if numbers.size == math.prod(shape) and numbers.ndim else ""
        raise ValueError(f"y: expected the shape of the predictions, {shape}; got shape {numbers.shape}{hint}")
    numbers = as_numbers(numbers, "y")
    if numbers.dtype.kind not in "iubf":
        raise ValueError(f"y: targets must be real numbers; got values of dtype {numbers.dtype}")
    finite = np.isfinite(numbers)
    if not finite.all() and not _ANY_NUMBER.get():
        at = _first(~finite)
        raise ValueError(f"y: targets must be finite; got {numbers[at]} at index {at}")
    return numbers


def check_shares(y: Any, shape: Shape) -> Array:
    """Return numbers from 0 to 1 of exactly this shape, such as answers to yes-or-no questions; nothing is broadcast.

    Labels of shape (N,) are accepted too if there is one number for each sample.

    Raises
    ------
    ValueError
        If the array has another shape, or holds a number outside of [0, 1].
    """
    shares = any_array(y, "y")
    if shape[1:] == (1,) and shares.shape == shape[:1]:
        shares = shares[:, np.newaxis]
    if shares.shape != shape and len(shape) == 2 and shares.ndim in (1, 2) and len(shares) == shape[0]:
        raise ValueError(
            f"y: expected {_wanted_shares(shape)}; got shape {shares.shape}.{_cure_for_shares(shares, shape)}"
        )
    shares = check_numbers(shares, shape)
    outside = (shares < 0) | (shares > 1)
    if outside.any():
        at = _first(outside)
        raise ValueError(
            f"y: labels of a binary crossentropy must be 0 and 1, or lie between them; got {shares[at]} at index {at}. "
            + _cure_for_range(shares)
        )
    return shares


def _wanted_shares(shape: Shape) -> str:
    """Return in words which labels fit predictions of a shape (n, outputs)."""
    n, outputs = shape
    return f"labels of shape ({n},) or ({n}, 1)" if outputs == 1 else f"a label for each output, shape {shape}"


def _cure_for_shares(shares: Array, shape: Shape) -> str:
    """Return a sentence that says what to do about labels of another shape, with a space before it; or nothing."""
    outputs = shape[1]
    if outputs == 1 and shares.ndim == 2 and shares.shape[1] == 2:
        return " These look like one-hot rows: use y[:, 1], or Dense(2, activation='softmax') and another crossentropy."
    if outputs == 1 and shares.ndim == 2 and shares.shape[1] > 2:
        return f" Give the last layer {shares.shape[1]} outputs, one for each column."
    if outputs > 1 and shares.shape in ((shape[0],), (shape[0], 1)):
        return (
            " For labels of classes, use the loss sparse_categorical_crossentropy, or give the last layer one output."
        )
    return ""


def _cure_for_range(shares: Array) -> str:
    """Return a sentence that says what to do about labels outside of [0, 1]."""
    if np.isin(shares, (-1, 1)).all():
        return "Use (y + 1) / 2 if your classes are -1 and 1."
    if np.isin(shares, (1, 2)).all():
        return "Subtract 1 if your classes are 1 and 2."
    return "For more than two classes, use sparse_categorical_crossentropy and an output for every class."


def _first(mask: Array) -> tuple[int, ...]:
    """Return the index of the first True in a mask that has one."""
    return tuple(map(int, np.unravel_index(mask.argmax(), mask.shape)))
