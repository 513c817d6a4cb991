"""Convolution: the stages of :mod:`.convolution` with nothing around them.

The algorithm follows from the shapes alone, or is asked for by name:

* ``direct``: the reference's product of im2col and weights, whose left factor is read where it lies
  (:mod:`.machine.micro_kernel`); it can do any window.
* ``winograd``: a quarter of the multiplications for 3×3 windows (:mod:`.convolution.winograd`); it is chosen if there
  are enough channels.
* ``im2col``: receptive fields are copied into a buffer and multiplied by BLAS (:mod:`.convolution.im2col`); it is never
  chosen, and kept for comparison.

See ``reference.conv`` for shapes and meanings.
"""

import numpy as np

from .._arguments import check_gradient, convolution_window, group_count, integers, output_size, several
from .convolution import im2col
from .convolution.choice import NO_WINNERS, choose, launch_backward, launch_forward
from .machine.arrays import deliver, operand, target

__all__ = ["conv2d_backward_input", "conv2d_backward_weights", "conv2d_forward"]


def conv2d_forward(x, w, b, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Convolve image by image; see :func:`reference.conv2d_forward`."""
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    (KH, KW, _, F), (N, H, W, C) = w.shape, x.shape
    window, groups = convolution_window((KH, KW), strides, pads, dilation), group_count(groups, C, F, w)
    OH, OW = output_size(window, (H, W))
    b = np.zeros(F, x.dtype) if b is None else operand("b", b, 1, x.dtype, (F,))
    y = target("out", out, (N, OH, OW, F), x.dtype, (x, w, b))
    plan = choose(algorithm, x.shape, F, window, groups, x.itemsize)
    if plan == "im2col" and y.size and w.size:
        im2col.forward(x, w, b, y, window, groups, work)
    else:
        launch_forward(plan, x, w, b, -np.inf, y, NO_WINNERS, work)
    return deliver(y, out)


def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Convolve dy by the flipped weights; see :func:`reference.conv2d_backward_input`."""
    dy, w = operand("dy", dy, 4), operand("w", w, 4, dy.dtype)
    (KH, KW, CG, F), input_size = w.shape, integers("input_size", input_size, 2, 1)
    window = convolution_window((KH, KW), strides, pads, dilation)
    (groups,) = integers("groups", (groups,), 1, 1)
    C = CG * groups
    groups = group_count(groups, C, F, w)
    check_gradient(dy, window, input_size, F)
    dx = target("out", out, (len(dy), *input_size, C), dy.dtype, (dy, w))
    nothing = np.empty(0, dy.dtype)
    plan = choose(algorithm, dx.shape, F, window, groups, dx.itemsize)
    if plan == "im2col" and dy.size and w.size:
        im2col.input_gradient(dy, w, dx, window, groups, work)
    else:
        launch_backward(plan, dy, dy, NO_WINNERS, False, nothing, w, dx, nothing, nothing, work)
    return deliver(dx, out)


def conv2d_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Add up a dw for each chunk of images, and sum these in order; see :func:`reference.conv2d_backward_weights`."""
    dy, x = operand("dy", dy, 4), operand("x", x, 4, dy.dtype)
    (N, H, W, C), F = x.shape, dy.shape[-1]
    kernel_size = integers("kernel_size", kernel_size, 2, 1)
    window, groups = convolution_window(kernel_size, strides, pads, dilation), group_count(groups, C, F)
    check_gradient(dy, window, (H, W), F, N)
    shape = (*kernel_size, C // groups, F)
    outs = several(out, 2)
    dw = target("out[0]", outs[0], shape, x.dtype, (dy, x))
    db = target("out[1]", outs[1], (F,), x.dtype, (dy, x, dw))
    nothing = np.empty(0, dy.dtype)
    plan = choose(algorithm, x.shape, F, window, groups, x.itemsize)
    if plan == "im2col" and dy.size and x.size:
        im2col.weight_gradient(dy, x, dw, db, window, groups, work)
    else:
        launch_backward(plan, dy, dy, NO_WINNERS, False, x, nothing, nothing, dw, db, work)
    return deliver(dw, outs[0]), deliver(db, outs[1])
