"""Which algorithm a convolution takes, and the launch of that algorithm's stage."""

import numpy as np

from ..._arguments import check_algorithm
from ..machine.max_pooling import NO_POOL
from . import direct, direct_plan, winograd, winograd_tiles

NO_WINNERS = np.empty(0, np.uint8)


def choose(algorithm, x_shape, filters, window, groups, itemsize, pooling=NO_POOL):
    """The plan of the direct product or of Winograd's, by the shapes alone; "im2col" as it is."""
    check_algorithm(algorithm)
    N, C, size = x_shape[0], x_shape[3], window.output_size(x_shape[1:3])
    shape = window.size, window.strides, window.dilation, groups
    if algorithm == "winograd" and shape != ((3, 3), (1, 1), (1, 1), 1):
        raise ValueError(
            f"Winograd's algorithm is for 3×3 windows with stride 1, dilation 1 and one group, not for {window} and "
            f"{groups} groups"
        )
    if algorithm == "im2col":
        return algorithm
    if algorithm == "winograd" or (algorithm == "auto" and winograd_tiles.preferred(*shape, C, filters, *size, N)):
        return winograd.plan(x_shape, filters, window, pooling, itemsize)
    return direct_plan.plan(x_shape, filters, window, groups, pooling, itemsize)


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
    module = winograd if isinstance(plan, winograd.WinogradPlan) else direct
    module.launch_forward(plan, x, w, b, floor, y, winners, work, norm)


def launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work):
    """One stage backward, by the algorithm of its plan; an empty dx or dw is not computed."""
    if not dy.size or not max(x.size, w.size):
        for gradient in (dx, dw, db):
            gradient[...] = 0
        return
    module = winograd if isinstance(plan, winograd.WinogradPlan) else direct
    module.launch_backward(plan, dy, y, winners, relu, x, w, dx, dw, db, work)
