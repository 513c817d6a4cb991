"""Checks of arguments that are no arrays, for the backends with thin functions around compiled ones."""

import operator


def integers(name, values, count, least):
    """A tuple of ``count`` plain ints, none below ``least``."""
    try:
        numbers = tuple(operator.index(value) for value in values)
    except TypeError:
        raise TypeError(f"{name} must be {count} integers, not {values!r}") from None
    if len(numbers) != count or min(numbers) < least:
        raise ValueError(f"{name} must be {count} integers of at least {least}, not {values!r}")
    return numbers


def several(out, count):
    """``out`` of a kernel with several results as a tuple of that length, Nones where the caller brought nothing."""
    if out is None:
        return (None,) * count
    if len(out) != count:
        raise ValueError(f"out must hold {count} arrays, not {len(out)}")
    return out
