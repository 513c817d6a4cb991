"""Checks of arguments that the compiled backends share. Errors name the argument, what was expected and what came."""

import operator

import numpy as np

from .geometry import Window

ALGORITHMS = ("auto", "direct", "winograd", "im2col")  # names that a backend with fewer algorithms accepts and ignores
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_array(name, array, ndim, dtype, shape):
    """Raise an error unless an array has this dtype (None: float32 or float64), ndim and shape."""
    if dtype is None:
        if array.dtype not in FLOATS:
            raise TypeError(
                f"{name} must be float32 or float64; got {array.dtype}. Convert it with {name}.astype('float32')"
            )
    elif array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} to go with the other arguments; got {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions; got shape {array.shape}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}; got {array.shape}")


def check_out(name, out, shape, dtype):
    """Raise an error unless ``out`` has the shape and the dtype of the result."""
    if out.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, that of the result; got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} like the result; got {out.dtype}")


def check_fit(name_a, a, axis_a, name_b, b, axis_b):
    """Raise an error unless axis ``axis_a`` of array a is as long as axis ``axis_b`` of array b."""
    if a.shape[axis_a] != b.shape[axis_b]:
        raise ValueError(
            f"{name_a} and {name_b} do not fit: axis {axis_a} of {name_a} must be as long as axis {axis_b} of "
            f"{name_b}; got shapes {a.shape} and {b.shape}"
        )


def integers(name, values, count, least):
    """Return ``values`` as a tuple of ``count`` plain ints; raise an error if one is below ``least``."""
    try:
        numbers = tuple(operator.index(value) for value in values)
    except TypeError:
        raise TypeError(f"{name} must be {_wanted(count)}; got {_shown(values, count)}") from None
    if len(numbers) != count or min(numbers) < least:
        raise ValueError(f"{name} must be {_wanted(count)}, at least {least}; got {_shown(values, count)}")
    return numbers


def _wanted(count):
    """Return what an error of :func:`integers` says was expected."""
    return "an integer" if count == 1 else f"{count} integers"


def _shown(values, count):
    """Return what an error of :func:`integers` says came: one value without the tuple around it."""
    return repr(values[0] if count == 1 else values)


def several(out, count):
    """Return ``out`` of a kernel with ``count`` results as a tuple; without ``out`` it holds ``count`` times None."""
    if out is None:
        return (None,) * count
    if len(out) != count:
        raise ValueError(f"out must hold {count} arrays, one for each result; got {len(out)}")
    return out


def check_algorithm(algorithm):
    """Raise an error if a convolution has no algorithm of this name."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}")


def convolution_window(size, strides, pads, dilation):
    """Return the checked :class:`Window` of a convolution."""
    return Window(
        integers("kernel_size", size, 2, 1),
        integers("strides", strides, 2, 1),
        integers("pads", pads, 4, 0),
        integers("dilation", dilation, 2, 1),
    )


def group_count(groups, C, F, w=None):
    """Return the number of groups, checked against C channels, F filters and the channels that the weights have."""
    (groups,) = integers("groups", (groups,), 1, 1)
    if C % groups or F % groups:
        raise ValueError(f"groups must divide the {C} channels and the {F} filters; got groups={groups}")
    if w is not None and w.shape[2] * groups != C:
        raise ValueError(f"w must have {C // groups} channels per group (its third axis); got shape {w.shape}")
    return groups


def pooling_window(pool_size, strides, pads):
    """Return the checked :class:`Window` of a pooling, whose pads are smaller than the window."""
    size = integers("pool_size", pool_size, 2, 1)
    window = Window(size, integers("strides", strides, 2, 1), integers("pads", pads, 4, 0))
    if max(window.pads[:2]) >= size[0] or max(window.pads[2:]) >= size[1]:
        raise ValueError(f"pads must be smaller than the window, which has size {size}; got pads={window.pads}")
    return window


def output_size(window, input_size):
    """Return ``(OH, OW)``; raise an error if no window fits into an image of ``input_size``."""
    size = window.output_size(input_size)
    if min(size) < 1:
        raise ValueError(
            f"x of size {input_size} is smaller than the window {window}, with its pads: at least one window must fit. "
            "Use larger images, a smaller window or more padding"
        )
    return size


def check_gradient(dy, window, input_size, F, N=None):
    """Raise an error unless dy has the shape (N, OH, OW, F) of the forward pass's result."""
    expected = (len(dy) if N is None else N, *output_size(window, input_size), F)
    if dy.shape != expected:
        raise ValueError(f"dy must have shape {expected}, that of the forward pass's result; got {dy.shape}")
