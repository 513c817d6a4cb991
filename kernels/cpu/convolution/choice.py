"""Which algorithm a convolution takes, and the launch of that algorithm's stage."""

import numpy as np

from ..._arguments import check_algorithm
from ..machine.max_pooling import NO_POOL
from . import direct, direct_plan, lane_winograd, winograd, winograd_tiles

NO_WINNERS = np.empty(0, np.uint8)


def choose(algorithm, x_shape, filters, window, groups, itemsize, pooling=NO_POOL, lanes=1):
    """Return the plan of a convolution, for the direct product or for Winograd's; for im2col, its name.

    Parameters
    ----------
    algorithm : {"auto", "direct", "winograd", "im2col"}
        "auto" decides by the shapes alone.
    x_shape : (N, H, W, C)
    filters : int
    window : Window
    groups, itemsize : int
    pooling : Pooling
        What stands behind the convolution.
    lanes : int
        How many images stand in the place of one. The textbook's im2col has no lanes; the direct product has its place.

    Returns
    -------
    Plan, WinogradPlan or str

    Raises
    ------
    ValueError
        For an unknown algorithm, or for Winograd's with another window than it can do.
    """
    check_algorithm(algorithm)
    N, C, size = x_shape[0], x_shape[3], window.output_size(x_shape[1:3])
    shape = window.size, window.strides, window.dilation, groups
    if algorithm == "winograd" and shape != ((3, 3), (1, 1), (1, 1), 1):
        raise ValueError(
            "algorithm='winograd' needs a 3x3 window with stride 1, dilation 1 and one group; got "
            f"{window} and groups={groups}. Use algorithm='auto'"
        )
    if lanes > 1:
        tiled = [algorithm == "winograd"] * 2
        if algorithm == "auto":
            ends = (C, filters, *size, lane_winograd.FORWARD), (filters, C, *x_shape[1:3], lane_winograd.BACK)
            tiled = [lane_winograd.preferred(*shape, *end) for end in ends]
        return direct_plan.plan(x_shape, filters, window, groups, pooling, itemsize, lanes, tuple(tiled))
    if algorithm == "im2col":
        return algorithm
    if algorithm == "winograd" or (algorithm == "auto" and winograd_tiles.preferred(*shape, C, filters, *size, N)):
        return winograd.plan(x_shape, filters, window, pooling, itemsize)
    return direct_plan.plan(x_shape, filters, window, groups, pooling, itemsize)


def moment_parts(plan):
    """Return of how many parts the forward takes moments, and how many images are in each but the last."""
    p = plan.sizes
    return (p.blocks, p.images) if isinstance(plan, winograd.WinogradPlan) else (p.N, 1)


def launch_forward(plan, x, w, b, floor, y, winners, work, norm=None, moments=None):
    """Run one stage forward, by the algorithm of its plan.

    Parameters
    ----------
    plan : Plan or WinogradPlan
    x, w, b : (N, H, W, C), (KH, KW, C // groups, F) and (F,) arrays
    floor : float
        0 for a ReLU, else minus infinity.
    y : array
        It receives the result, pooled if the plan has a pooling.
    winners : array
        It receives the winning taps; it is empty if there is no pooling.
    work : callable or None
    norm : triple of (F,) arrays, optional
        Mean, scale and shift of a normalisation in front of the pooling.
    moments : pair of (parts, width) float64 arrays, optional
        They receive mean and sum of squared deviations of each column of the result, as a matrix of rows of ``width``
        numbers, for each of the :func:`moment_parts`. There must be no pooling then, and at least 16 images.
    """
    if not y.size:
        return
    if not w.size:  # there is no product, so the bias is the result
        y[...] = np.maximum(b, x.dtype.type(floor))
        if norm is not None:
            y[...] = (y - norm[0]) * norm[1] + norm[2]
        return
    if norm is None:
        nothing = np.empty(0, x.dtype)
        norm = nothing, nothing, nothing
    if moments is None:
        moments = np.empty((2, 0, 0), np.float64)
    module = winograd if isinstance(plan, winograd.WinogradPlan) else direct
    module.launch_forward(plan, x, w, b, floor, y, winners, work, norm, moments)


def launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work, norm=None):
    """Run one stage backward, by the algorithm of its plan.

    Parameters
    ----------
    plan : Plan or WinogradPlan
    dy, y, winners : arrays
        The gradient by the stage's results, and these.
    relu : bool
        Whether the stage has a ReLU.
    x, w : arrays
        Those of the forward pass.
    dx, dw, db : arrays
        They receive the gradients; one that is empty is not computed.
    work : callable or None
    norm : (4, width) array, optional
        The tables of :func:`.normalise.back_through_norm`, of a normalisation in front of the pooling. Then y is the
        ReLU's result, which that normalised.
    """
    if not dy.size or not max(x.size, w.size):
        for gradient in (dx, dw, db):
            gradient[...] = 0
        return
    if norm is None:
        norm = np.empty((4, 0), dy.dtype)
    module = winograd if isinstance(plan, winograd.WinogradPlan) else direct
    module.launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work, norm)
