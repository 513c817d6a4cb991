"""Checks of arguments that are no arrays, for the backends with thin functions around compiled ones."""

import operator

from .geometry import Window

ALGORITHMS = ("auto", "direct", "winograd", "im2col")  # of convolutions; a backend may have fewer and ignore the name


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


def check_algorithm(algorithm):
    """Raise an error if a convolution has no algorithm of this name."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm!r}")


def convolution_window(size, strides, pads, dilation):
    """The window's description, checked."""
    return Window(
        integers("kernel_size", size, 2, 1),
        integers("strides", strides, 2, 1),
        integers("pads", pads, 4, 0),
        integers("dilation", dilation, 2, 1),
    )


def group_count(groups, C, F, w=None):
    """The number of groups, checked against channels, filters and the weights' own channels."""
    (groups,) = integers("groups", (groups,), 1, 1)
    if C % groups or F % groups:
        raise ValueError(f"groups must divide the {C} channels and the {F} filters, {groups} does not")
    if w is not None and w.shape[2] * groups != C:
        raise ValueError(f"w must have {C // groups} channels per group, not shape {w.shape}")
    return groups


def pooling_window(pool_size, strides, pads):
    """The window's description, checked."""
    size = integers("pool_size", pool_size, 2, 1)
    window = Window(size, integers("strides", strides, 2, 1), integers("pads", pads, 4, 0))
    if max(window.pads[:2]) >= size[0] or max(window.pads[2:]) >= size[1]:
        raise ValueError(f"pads {window.pads} must be smaller than the window {size}")
    return window


def output_size(window, input_size):
    """``(OH, OW)``, or a complaint that no window fits."""
    size = window.output_size(input_size)
    if min(size) < 1:
        raise ValueError(f"x of size {input_size} is smaller than the window {window}")
    return size


def check_gradient(dy, window, input_size, F, N=None):
    """dy must have the shape of the forward pass's result."""
    expected = (len(dy) if N is None else N, *output_size(window, input_size), F)
    if dy.shape != expected:
        raise ValueError(f"dy must have shape {expected}, not {dy.shape}")
