"""Convolution without a matrix of receptive fields: the stages of :mod:`._stage` with nothing around them.

The reference copies every receptive field into a row and multiplies the rows by the weights. Here the same product is
taken with its left factor read where it lies, see :mod:`._tiles`. Shapes and meanings: see ``reference.conv``.
"""

import itertools

import numpy as np

from ..geometry import Window
from ._arrays import deliver, integers, operand, several, target
from ._stage import backward, forward, plan

__all__ = ["conv2d_backward_input", "conv2d_backward_weights", "conv2d_forward"]


def conv2d_forward(x, w, b, strides, pads, dilation, groups, out=None, work=None):
    """Image by image; see :func:`reference.conv2d_forward`."""
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    (KH, KW, _, F), (N, H, W, C) = w.shape, x.shape
    window, groups = _window((KH, KW), strides, pads, dilation), _groups(groups, C, F, w)
    OH, OW = _output_size(window, (H, W))
    b = np.zeros(F, x.dtype) if b is None else operand("b", b, 1, x.dtype, (F,))
    y = target("out", out, (N, OH, OW, F), x.dtype, (x, w, b))
    launch_forward(plan(x.shape, F, window, groups, itemsize=x.itemsize), x, w, b, -np.inf, y, NO_WINNERS, work)
    return deliver(y, out)


def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups, out=None, work=None):
    """A convolution of dy by the flipped weights; see :func:`reference.conv2d_backward_input`."""
    dy, w = operand("dy", dy, 4), operand("w", w, 4, dy.dtype)
    (KH, KW, CG, F), input_size = w.shape, integers("input_size", input_size, 2, 1)
    window = _window((KH, KW), strides, pads, dilation)
    (groups,) = integers("groups", (groups,), 1, 1)
    C = CG * groups
    groups = _groups(groups, C, F, w)
    _check_gradient(dy, window, input_size, F)
    dx = target("out", out, (len(dy), *input_size, C), dy.dtype, (dy, w))
    nothing = np.empty(0, dy.dtype)
    shaped = plan(dx.shape, F, window, groups, itemsize=dx.itemsize)
    launch_backward(shaped, dy, dy, NO_WINNERS, False, nothing, w, dx, nothing, nothing, work)
    return deliver(dx, out)


def conv2d_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups, out=None, work=None):
    """Each chunk of images adds up a dw of its own; these are then summed in order.

    See :func:`reference.conv2d_backward_weights`.
    """
    dy, x = operand("dy", dy, 4), operand("x", x, 4, dy.dtype)
    (N, H, W, C), F = x.shape, dy.shape[-1]
    kernel_size = integers("kernel_size", kernel_size, 2, 1)
    window, groups = _window(kernel_size, strides, pads, dilation), _groups(groups, C, F)
    _check_gradient(dy, window, (H, W), F, N)
    shape = (*kernel_size, C // groups, F)
    outs = several(out, 2)
    dw = target("out[0]", outs[0], shape, x.dtype, (dy, x))
    db = target("out[1]", outs[1], (F,), x.dtype, (dy, x, dw))
    nothing = np.empty(0, dy.dtype)
    launch_backward(
        plan(x.shape, F, window, groups, itemsize=x.itemsize),
        dy,
        dy,
        NO_WINNERS,
        False,
        x,
        nothing,
        nothing,
        dw,
        db,
        work,
    )
    return deliver(dw, outs[0]), deliver(db, outs[1])


NO_WINNERS = np.empty(0, np.uint8)


def launch_forward(shaped, x, w, b, floor, y, winners, work):
    """Give :func:`._stage.forward` its scratch memory and run it."""
    p, canvas, _, pooling, (pixels, taps, _, _), sizes = shaped
    if not y.size:
        return
    if not w.size:
        y[...] = np.maximum(b, x.dtype.type(floor))
        return
    empty = work or np.empty
    scratch = empty((p.chunks, sizes.canvas + (sizes.z if pooling.OH else 0)), x.dtype)
    panels = empty((sizes.weights,), x.dtype)
    forward(
        p, canvas, pooling, x.reshape(-1), w.reshape(-1), b, x.dtype.type(floor), y.reshape(-1), winners.reshape(-1),
        pixels, taps, panels, scratch.reshape(-1), sizes.canvas,
    )  # fmt: skip


def launch_backward(shaped, dy, y, winners, relu, x, w, dx, dw, db, work):
    """Give :func:`._stage.backward` its scratch memory and run it; an empty dx or dw is not computed."""
    p, canvas, back, pooling, tables, sizes = shaped
    if not (dy.size and p.C and p.taps):
        for gradient in (dx, dw, db):
            gradient[...] = 0
        return
    z = sizes.z if pooling.OH or relu else 0
    offsets = tuple(itertools.accumulate((sizes.canvas, z, sizes.panels, sizes.back)))
    empty = work or np.empty
    scratch = empty((p.chunks_backward, offsets[3]), dy.dtype)
    weights = p.taps * (p.C // p.groups) * p.F
    partial = empty((p.chunks_backward, weights + p.F if dw.size else 0), dy.dtype)
    flipped, packed_flipped = empty((weights if dx.size else 0,), dy.dtype), empty((sizes.flipped,), dy.dtype)
    arrays = (array.reshape(-1) for array in (dy, y, winners))
    gradients = (array.reshape(-1) for array in (x, w, dx, dw, db))
    backward(
        p, canvas, back, pooling, *arrays, relu, *gradients, (dx.size > 0, dw.size > 0), *tables,
        np.zeros(p.C, dy.dtype), flipped, packed_flipped, partial.reshape(-1), scratch.reshape(-1), offsets,
    )  # fmt: skip


def _window(size, strides, pads, dilation):
    """The window's description, checked."""
    return Window(
        integers("kernel_size", size, 2, 1),
        integers("strides", strides, 2, 1),
        integers("pads", pads, 4, 0),
        integers("dilation", dilation, 2, 1),
    )


def _groups(groups, C, F, w=None):
    """The number of groups, checked against channels, filters and the weights' own channels."""
    (groups,) = integers("groups", (groups,), 1, 1)
    if C % groups or F % groups:
        raise ValueError(f"groups must divide the {C} channels and the {F} filters, {groups} does not")
    if w is not None and w.shape[2] * groups != C:
        raise ValueError(f"w must have {C // groups} channels per group, not shape {w.shape}")
    return groups


def _output_size(window, input_size):
    """``(OH, OW)``, or a complaint that no window fits."""
    size = window.output_size(input_size)
    if min(size) < 1:
        raise ValueError(f"x of size {input_size} is smaller than the window {window}")
    return size


def _check_gradient(dy, window, input_size, F, N=None):
    """dy must have the shape of the forward pass's result."""
    expected = (len(dy) if N is None else N, *_output_size(window, input_size), F)
    if dy.shape != expected:
        raise ValueError(f"dy must have shape {expected}, not {dy.shape}")
