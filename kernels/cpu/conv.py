"""Convolution: the stages of :mod:`._stage` and :mod:`._winograd_stage` with nothing around them.

Which algorithm runs follows from the shapes alone, or is asked for by name:

* ``direct``: the product of the reference, im2col times weights, with its left factor read where it lies
  (:mod:`._tiles`); any window;
* ``winograd``: a quarter of the multiplications for 3×3 windows (:mod:`._winograd`); chosen where there are enough
  channels;
* ``im2col``: receptive fields copied into a buffer and multiplied by BLAS (:mod:`._im2col`); never chosen, kept to be
  compared with.

Shapes and meanings: see ``reference.conv``.
"""

import numpy as np

from ..geometry import Window
from . import _im2col, _stage, _winograd_stage
from . import _winograd as winograd
from ._arrays import deliver, integers, operand, several, target
from .pool import NO_POOL

__all__ = ["conv2d_backward_input", "conv2d_backward_weights", "conv2d_forward"]


def conv2d_forward(x, w, b, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
    """Image by image; see :func:`reference.conv2d_forward`."""
    x, w = operand("x", x, 4), operand("w", w, 4, x.dtype)
    (KH, KW, _, F), (N, H, W, C) = w.shape, x.shape
    window, groups = _window((KH, KW), strides, pads, dilation), _groups(groups, C, F, w)
    OH, OW = _output_size(window, (H, W))
    b = np.zeros(F, x.dtype) if b is None else operand("b", b, 1, x.dtype, (F,))
    y = target("out", out, (N, OH, OW, F), x.dtype, (x, w, b))
    plan = choose(algorithm, x.shape, F, window, groups, x.itemsize)
    if plan == "im2col" and y.size and w.size:
        _im2col.forward(x, w, b, y, window, groups, work)
    else:
        launch_forward(plan, x, w, b, -np.inf, y, NO_WINNERS, work)
    return deliver(y, out)


def conv2d_backward_input(dy, w, input_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
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
    plan = choose(algorithm, dx.shape, F, window, groups, dx.itemsize)
    if plan == "im2col" and dy.size and w.size:
        _im2col.input_gradient(dy, w, dx, window, groups, work)
    else:
        launch_backward(plan, dy, dy, NO_WINNERS, False, nothing, w, dx, nothing, nothing, work)
    return deliver(dx, out)


def conv2d_backward_weights(dy, x, kernel_size, strides, pads, dilation, groups, algorithm="auto", out=None, work=None):
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
    plan = choose(algorithm, x.shape, F, window, groups, x.itemsize)
    if plan == "im2col" and dy.size and x.size:
        _im2col.weight_gradient(dy, x, dw, db, window, groups, work)
    else:
        launch_backward(plan, dy, dy, NO_WINNERS, False, x, nothing, nothing, dw, db, work)
    return deliver(dw, outs[0]), deliver(db, outs[1])


NO_WINNERS = np.empty(0, np.uint8)
ALGORITHMS = ("auto", "direct", "winograd", "im2col")


def choose(algorithm, x_shape, filters, window, groups, itemsize, pooling=NO_POOL):
    """The plan of the direct product or of Winograd's, by the shapes alone; "im2col" as it is."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, not {algorithm!r}")
    N, C, size = x_shape[0], x_shape[3], window.output_size(x_shape[1:3])
    shape = window.size, window.strides, window.dilation, groups
    if algorithm == "winograd" and shape != ((3, 3), (1, 1), (1, 1), 1):
        raise ValueError(
            f"Winograd's algorithm is for 3×3 windows with stride 1, dilation 1 and one group, not for {window} and "
            f"{groups} groups"
        )
    if algorithm == "im2col":
        return algorithm
    if algorithm == "winograd" or (algorithm == "auto" and winograd.preferred(*shape, C, filters, *size, N)):
        return _winograd_stage.plan(x_shape, filters, window, pooling, itemsize)
    return _stage.plan(x_shape, filters, window, groups, pooling, itemsize)


def launch_forward(plan, x, w, b, floor, y, winners, work, norm=None):
    """One stage forward, by the algorithm of its plan; ``norm``: mean, scale and shift of a normalisation."""
    if not y.size:
        return
    if not w.size:  # without a product to take, the bias is the result
        y[...] = np.maximum(b, x.dtype.type(floor))
        if norm is not None:
            y[...] = (y - norm[0]) * norm[1] + norm[2]
        return
    if norm is None:
        nothing = np.empty(0, x.dtype)
        norm = nothing, nothing, nothing
    module = _winograd_stage if isinstance(plan, _winograd_stage.WinogradPlan) else _stage
    module.launch_forward(plan, x, w, b, floor, y, winners, work, norm)


def launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work):
    """One stage backward, by the algorithm of its plan; an empty dx or dw is not computed."""
    if not dy.size or not max(x.size, w.size):
        for gradient in (dx, dw, db):
            gradient[...] = 0
        return
    module = _winograd_stage if isinstance(plan, _winograd_stage.WinogradPlan) else _stage
    module.launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work)


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
