"""Deliberately wrong code: mutants of kernels, layers, losses, optimizers and the training loop, mostly of backward.

A mutant is a function that replaces a right one. It gets the right function as ``right``, and then the arguments. A
mutant of a kernel replaces it in every backend, unless it says otherwise. Then comparing the backends with each other
finds nothing, and only a check of the mathematics can find the error.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from tinycnn import layers, losses, optimizers
from tinycnn.core.workspace import Workspace
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.reference.conv import tap_slices
from tinycnn.layers.base import ActivatedLayer
from tinycnn.training import evaluation, loop, step

#: The reference's kernels as they are before anything is replaced. Unlike those of cpu, they do not check shapes.
TEXTBOOK = SimpleNamespace(**{name: getattr(reference, name) for name in reference.__all__})


class Patch(NamedTuple):
    """``wrong`` replaces ``owner.name``, an attribute of a module or a class."""

    owner: Any
    name: str
    wrong: Callable[..., Any]

    @property
    def right(self) -> Any:
        """The function that is there now."""
        return vars(self.owner)[self.name]


class Mutant(NamedTuple):
    """One error: its name, the part of tinycnn, what is wrong, and the functions that it replaces."""

    name: str
    part: str
    what: str
    patches: tuple[Patch, ...]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the error into the code inside a ``with`` block."""
        with contextlib.ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(replaced(patch.owner, patch.name, functools.partial(patch.wrong, patch.right)))
            yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace ``owner.name`` inside a ``with`` block, by a plain function so that it becomes a method of a class."""
    with mock.patch.object(owner, name, lambda *arguments, **named: function(*arguments, **named)):
        yield


def _where_defined(owner: Any, name: str) -> Any:
    """Return the module itself, or the class among a class and its bases that defines the method."""
    classes = owner.__mro__ if isinstance(owner, type) else [owner]
    return next(place for place in classes if name in vars(place))


MUTANTS: list[Mutant] = []


def mutant(part: str, what: str, *targets: tuple[Any, str]) -> Callable[..., Any]:
    """Add a mutant to :data:`MUTANTS`: the decorated function replaces each of the targets."""

    def register(wrong: Callable[..., Any]) -> Callable[..., Any]:
        patches = tuple(Patch(_where_defined(owner, name), name, wrong) for owner, name in targets)
        MUTANTS.append(Mutant(wrong.__name__, part, what, patches))
        return wrong

    return register


def kernel(part: str, name: str, what: str, backends: tuple[ModuleType, ...] = (reference, cpu)) -> Callable[..., Any]:
    """Add a mutant that replaces a kernel in the given backends."""
    return mutant(part, what, *((backend, name) for backend in backends))


def deliver(results: Any, out: Any) -> Any:
    """Return the results, in the memory from the caller if there is any."""
    if out is None:
        return results
    if not isinstance(results, tuple):
        out[...] = results
        return out
    for target, result in zip(out, results, strict=True):
        target[...] = result
    return out


# Convolution: the input's gradient ----------------------------------------------------------------------------

CONV, CONV_DX, CONV_DW = "Conv2D", "conv2d_backward_input", "conv2d_backward_weights"


@kernel(CONV, CONV_DX, "the kernel is not flipped on the way back")
def conv_dx_not_flipped(right, dy, w, *rest, **memory):
    return right(dy, w[::-1, ::-1], *rest, **memory)


@kernel(CONV, CONV_DX, "the kernel is flipped along the rows only")
def conv_dx_flipped_halfway(right, dy, w, *rest, **memory):
    return right(dy, w[:, ::-1], *rest, **memory)


@kernel(CONV, CONV_DX, "pads of top and bottom swapped")
def conv_dx_pads_swapped_vertically(right, dy, w, size, strides, pads, *rest, **memory):
    return right(dy, w, size, strides, (pads[1], pads[0], *pads[2:]), *rest, **memory)


@kernel(CONV, CONV_DX, "pads of left and right swapped")
def conv_dx_pads_swapped_horizontally(right, dy, w, size, strides, pads, *rest, **memory):
    return right(dy, w, size, strides, (*pads[:2], pads[3], pads[2]), *rest, **memory)


@kernel(CONV, CONV_DX, "stride off by one")
def conv_dx_stride_off_by_one(right, dy, w, size, strides, *rest, **memory):
    return TEXTBOOK.conv2d_backward_input(dy, w, size, tuple(max(1, s - 1) for s in strides), *rest, **memory)


@kernel(CONV, CONV_DX, "strides of rows and columns swapped where they fit")
def conv_dx_strides_swapped(right, dy, w, size, strides, *rest, **memory):
    smaller = tuple(min(a, b) for a, b in zip(strides, strides[::-1], strict=True))
    return TEXTBOOK.conv2d_backward_input(dy, w, size, smaller, *rest, **memory)


@kernel(CONV, CONV_DX, "dilation ignored")
def conv_dx_dilation_ignored(right, dy, w, size, strides, pads, dilation, *rest, **memory):
    return TEXTBOOK.conv2d_backward_input(dy, w, size, strides, pads, (1, 1), *rest, **memory)


@kernel(CONV, CONV_DX, "groups mixed: each takes the gradient of the next one's filters")
def conv_dx_groups_mixed(right, dy, w, size, strides, pads, dilation, groups, *rest, **memory):
    mixed = np.roll(dy, dy.shape[-1] // groups, axis=-1)
    return right(mixed, w, size, strides, pads, dilation, groups, *rest, **memory)


@kernel(CONV, CONV_DX, "the last filter is left out of the sum")
def conv_dx_last_filter_missing(right, dy, w, *rest, **memory):
    dy = dy.copy()
    dy[..., -1] = 0
    return right(dy, w, *rest, **memory)


@kernel(CONV, CONV_DX, "the last row of pixels gets nothing")
def conv_dx_last_row_missing(right, *arguments, **memory):
    dx = right(*arguments, **memory)
    dx[:, -1] = 0
    return dx


@kernel(CONV, CONV_DX, "the last column of dy is not sent back")
def conv_dx_last_output_column_missing(right, dy, *rest, **memory):
    dy = dy.copy()
    dy[:, :, -1] = 0
    return right(dy, *rest, **memory)


@kernel(CONV, CONV_DX, "overlapping windows overwrite each other instead of adding up")
def conv_dx_overwrites(right, dy, w, size, strides, pads, dilation, groups, algorithm, out=None, work=None):
    KH, KW, CG, F = w.shape
    N, OH, OW, _ = dy.shape
    window = reference.conv.Window((KH, KW), strides, pads, dilation)
    dxpad = np.zeros((N, size[0] + sum(pads[:2]), size[1] + sum(pads[2:]), CG * groups), dy.dtype)
    for channels, filters in reference.conv.group_slices(groups, CG, F // groups):
        for p in range(KH):
            for q in range(KW):
                dxpad[:, *tap_slices(p, q, (OH, OW), window), channels] = dy[..., filters] @ w[p, q, :, filters].T
    return deliver(dxpad[:, pads[0] : pads[0] + size[0], pads[2] : pads[2] + size[1]], out)


@kernel(CONV, CONV_DX, "0.1 % too large")
def conv_dx_slightly_too_large(right, *arguments, **memory):
    dx = right(*arguments, **memory)
    dx *= dx.dtype.type(1.001)
    return dx


@kernel(CONV, CONV_DX, "memory brought by the caller is added to, not overwritten")
def conv_dx_accumulates(right, *arguments, out=None, work=None):
    dx = right(*arguments)
    return deliver(dx if out is None else dx + out, out)


# Convolution: the parameters' gradients -----------------------------------------------------------------------


@kernel(CONV, CONV_DW, "dw is flipped, as if it were a true convolution's")
def conv_dw_flipped(right, *arguments, **memory):
    dw, db = right(*arguments, **memory)
    dw[...] = dw[::-1, ::-1].copy()
    return dw, db


@kernel(CONV, CONV_DW, "rows and columns of dw's taps transposed")
def conv_dw_taps_transposed(right, *arguments, **memory):
    dw, db = right(*arguments, **memory)
    dw[...] = dw.transpose(1, 0, 2, 3).reshape(dw.shape)
    return dw, db


@kernel(CONV, CONV_DW, "x is not moved by its pads: all of them lie at the bottom and the right")
def conv_dw_not_padded(right, dy, x, size, strides, pads, *rest, **memory):
    return right(dy, x, size, strides, (0, pads[0] + pads[1], 0, pads[2] + pads[3]), *rest, **memory)


@kernel(CONV, CONV_DW, "pads of top and bottom swapped")
def conv_dw_pads_swapped(right, dy, x, size, strides, pads, *rest, **memory):
    return right(dy, x, size, strides, (pads[1], pads[0], *pads[2:]), *rest, **memory)


@kernel(CONV, CONV_DW, "stride off by one")
def conv_dw_stride_off_by_one(right, dy, x, size, strides, pads, dilation, groups, algorithm, **memory):
    smaller = tuple(max(1, s - 1) for s in strides)
    xpad = np.pad(x, ((0, 0), pads[:2], pads[2:], (0, 0)))
    rows, columns = (
        (o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(dy.shape[1:3], smaller, dilation, size, strict=True)
    )
    cut = np.ascontiguousarray(xpad[:, :rows, :columns])
    return TEXTBOOK.conv2d_backward_weights(dy, cut, size, smaller, (0, 0, 0, 0), dilation, groups, **memory)


@kernel(CONV, CONV_DW, "groups mixed: each filter meets the next group's channels")
def conv_dw_groups_mixed(right, dy, x, size, strides, pads, dilation, groups, *rest, **memory):
    mixed = np.roll(x, x.shape[-1] // groups, axis=-1)
    return right(dy, mixed, size, strides, pads, dilation, groups, *rest, **memory)


@kernel(CONV, CONV_DW, "divided by the batch's size a second time")
def conv_dw_mean_of_batch(right, dy, *rest, **memory):
    dw, db = right(dy, *rest, **memory)
    dw /= max(1, len(dy))
    return dw, db


@kernel(CONV, CONV_DW, "the bias gradient is that of the first image")
def conv_db_of_one_image(right, dy, *rest, **memory):
    dw, db = right(dy, *rest, **memory)
    db[...] = dy[:1].sum(axis=(0, 1, 2))
    return dw, db


@kernel(CONV, CONV_DW, "the bias gradient is that of one pixel")
def conv_db_of_one_pixel(right, dy, *rest, **memory):
    dw, db = right(dy, *rest, **memory)
    db[...] = dy[:, 0, 0].sum(axis=0)
    return dw, db


@kernel(CONV, CONV_DW, "dw and db are added to what was there, not written over it")
def conv_dw_accumulates(right, *arguments, out=None, work=None):
    results = right(*arguments)
    return deliver(results if out is None else tuple(r + o for r, o in zip(results, out, strict=True)), out)


# Convolution: errors of one backend ---------------------------------------------------------------------------


@mutant(CONV, "cpu only: the last image gets the result of the one before", (cpu.convolution.direct, "launch_forward"))
def cpu_conv_last_image_missing(right, plan, x, w, b, floor, y, *rest):
    right(plan, x, w, b, floor, y, *rest)
    if len(y) > 1:
        y[-1] = y[-2]


@mutant(CONV, "cpu only: pads wider than the window are cut to it", (cpu.convolution.direct, "launch_backward"))
def cpu_conv_no_negative_pads(right, plan, *rest):
    pixels, *tables = plan.met
    right(plan._replace(met=(pixels - max(0, pixels[0]), *tables)), *rest)


# Max-pooling --------------------------------------------------------------------------------------------------

POOL, POOL_DX = "MaxPooling2D", "max_pool2d_backward"


def per_tap(dy, size, pool_size, strides, pads, out, share, overwrite=False):
    """Return the dx of a pooling in which the tap (p, q) of each window gets ``share(p, q)`` of dy."""
    N, OH, OW, C = dy.shape
    window = reference.conv.Window(pool_size, strides, pads)
    dxpad = np.zeros((N, size[0] + sum(pads[:2]), size[1] + sum(pads[2:]), C), dy.dtype)
    for p in range(pool_size[0]):
        for q in range(pool_size[1]):
            where, part = tap_slices(p, q, (OH, OW), window), share(p, q)
            if overwrite:
                dxpad[:, *where] = np.where(part != 0, part, dxpad[:, *where])
            else:
                dxpad[:, *where] += part
    return deliver(dxpad[:, pads[0] : pads[0] + size[0], pads[2] : pads[2] + size[1]], out)


#: For each argmax that the forward below returned: argmax itself, so that its id is not used again, then x and y.
_SEEN: dict[int, tuple[Any, Any, Any]] = {}


def _pool_remembers(right, x, *rest, **memory):
    y, argmax = right(x, *rest, **memory)
    if len(_SEEN) > 100:
        _SEEN.clear()
    _SEEN[id(argmax)] = argmax, x.copy(), y.copy()
    return y, argmax


def _pool_gives_to_all(right, dy, argmax, size, pool_size, strides, pads, out=None, work=None):
    if id(argmax) not in _SEEN:
        return right(dy, argmax, size, pool_size, strides, pads, out=out)
    _, x, y = _SEEN[id(argmax)]
    window = reference.conv.Window(pool_size, strides, pads)
    xpad = np.pad(x, ((0, 0), pads[:2], pads[2:], (0, 0)), constant_values=-np.inf)

    def share(p, q):
        return np.where(xpad[:, *tap_slices(p, q, dy.shape[1:3], window)] == y, dy, 0)

    return per_tap(dy, size, pool_size, strides, pads, out, share)


MUTANTS.append(
    Mutant(
        "pool_ties_to_both",
        POOL,
        "of equal pixels each gets the whole gradient",
        tuple(
            Patch(backend, name, wrong)
            for backend in (reference, cpu)
            for name, wrong in (("max_pool2d_forward", _pool_remembers), (POOL_DX, _pool_gives_to_all))
        ),
    )
)


@kernel(POOL, "max_pool2d_forward", "cpu only: of equal pixels the last wins", backends=(cpu,))
def cpu_pool_last_wins(right, x, pool_size, strides, pads, out=None, work=None):
    # The same windows, over the image turned by 180 degrees. What no window reached is cut off, or reduces the pad.
    (H, W), (top, bottom, left, right_pad) = x.shape[1:3], pads
    OH, OW = reference.conv.Window(pool_size, strides, pads).output_size((H, W))
    below = H + top + bottom - ((OH - 1) * strides[0] + pool_size[0])
    beside = W + left + right_pad - ((OW - 1) * strides[1] + pool_size[1])
    cut = x[:, : H - max(0, below - bottom), : W - max(0, beside - right_pad)]
    turned = (max(0, bottom - below), top, max(0, right_pad - beside), left)
    y, argmax = right(cut[:, ::-1, ::-1], pool_size, strides, turned)
    last = pool_size[0] * pool_size[1] - 1
    return deliver((y[:, ::-1, ::-1].copy(), (last - argmax)[:, ::-1, ::-1].astype(argmax.dtype)), out)


@kernel(POOL, POOL_DX, "a pixel that won several windows keeps the last one's gradient only")
def pool_dx_overwrites(right, dy, argmax, size, pool_size, strides, pads, out=None, work=None):
    return per_tap(
        dy, size, pool_size, strides, pads, out,
        lambda p, q: np.where(argmax == p * pool_size[1] + q, dy, 0), overwrite=True,
    )  # fmt: skip


@kernel(POOL, POOL_DX, "the winner's number is read with rows and columns exchanged")
def pool_dx_argmax_transposed(right, dy, argmax, size, pool_size, strides, pads, out=None, work=None):
    return per_tap(
        dy, size, pool_size, strides, pads, out, lambda p, q: np.where(argmax == q * pool_size[0] + p, dy, 0)
    )


@kernel(POOL, POOL_DX, "pads of top and bottom, left and right swapped")
def pool_dx_pads_swapped(right, dy, argmax, size, pool_size, strides, pads, **memory):
    return right(dy, argmax, size, pool_size, strides, (pads[1], pads[0], pads[3], pads[2]), **memory)


@kernel(POOL, POOL_DX, "stride off by one")
def pool_dx_stride_off_by_one(right, dy, argmax, size, pool_size, strides, pads, **memory):
    smaller = tuple(max(1, s - 1) for s in strides)
    return TEXTBOOK.max_pool2d_backward(dy, argmax, size, pool_size, smaller, pads, **memory)


@kernel(POOL, POOL_DX, "every pixel of a window gets its mean gradient, as in average pooling")
def pool_dx_spread_evenly(right, dy, argmax, size, pool_size, strides, pads, out=None, work=None):
    share = dy / dy.dtype.type(pool_size[0] * pool_size[1])
    return per_tap(dy, size, pool_size, strides, pads, out, lambda p, q: share)


@kernel(POOL, POOL_DX, "the first channel's winners serve for all channels")
def pool_dx_winners_of_one_channel(right, dy, argmax, *rest, **memory):
    return right(dy, np.repeat(argmax[..., :1], dy.shape[-1], axis=-1), *rest, **memory)


AVERAGE = "AveragePooling2D"


@kernel(AVERAGE, "average_pool2d_backward", "not divided by the number of pixels")
def average_dx_not_divided(right, dy, size, pool_size, strides, pads, out=None, work=None):
    return per_tap(dy, size, pool_size, strides, pads, out, lambda p, q: dy)


@kernel(AVERAGE, "average_pool2d_backward", "pads count as pixels at the border")
def average_dx_counts_pads(right, dy, size, pool_size, strides, pads, out=None, work=None):
    share = dy / dy.dtype.type(pool_size[0] * pool_size[1])
    return per_tap(dy, size, pool_size, strides, pads, out, lambda p, q: share)


# Batch normalisation ------------------------------------------------------------------------------------------

NORM, NORM_DX, FROZEN_DX = "BatchNormalization", "batch_norm_backward", "batch_norm_inference_backward"


def _norm(dy, x, gamma, mean, variance, epsilon, out, *, mean_term=1, xhat_term=1, divisor=None, inside=True):
    """Compute the paper's formulas, with switches for errors."""
    axes, M = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    deviation = np.sqrt(variance + x.dtype.type(epsilon)) if inside else np.sqrt(variance) + x.dtype.type(epsilon)
    xhat = (x - mean) / deviation
    dgamma, dbeta = (dy * xhat).sum(axis=axes), dy.sum(axis=axes)
    divisor = M if divisor is None else divisor(M)
    dx = gamma / deviation * (dy - mean_term * dbeta / divisor - xhat * (xhat_term * dgamma / divisor))
    return deliver((dx.astype(x.dtype), dgamma, dbeta), out)


@kernel(NORM, NORM_DX, "without the x̂ term, the way through the variance")
def norm_dx_without_xhat_term(right, *arguments, out=None, work=None):
    return _norm(*arguments, out, xhat_term=0)


@kernel(NORM, NORM_DX, "without the mean term, the way through the mean")
def norm_dx_without_mean_term(right, *arguments, out=None, work=None):
    return _norm(*arguments, out, mean_term=0)


@kernel(NORM, NORM_DX, "the statistics are taken for constants")
def norm_dx_constant_statistics(right, *arguments, out=None, work=None):
    return _norm(*arguments, out, mean_term=0, xhat_term=0)


@kernel(NORM, NORM_DX, "divided by M - 1, as if the variance were the unbiased one")
def norm_dx_unbiased_variance(right, *arguments, out=None, work=None):
    return _norm(*arguments, out, divisor=lambda M: max(1, M - 1))


@kernel(NORM, NORM_DX, "epsilon is added outside the square root")
def norm_dx_epsilon_outside(right, dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    # Where the variance is 0, both formulas would divide by something tiny; this keeps the error finite.
    safe = np.maximum(variance, x.dtype.type(1e-6))
    return _norm(dy, x, gamma, mean, safe, epsilon, out, inside=False)


@kernel(NORM, NORM_DX, "gamma is left out of dx")
def norm_dx_without_gamma(right, dy, x, gamma, *rest, **memory):
    return right(dy, x, np.ones_like(gamma), *rest, **memory)


@kernel(NORM, NORM_DX, "dgamma is the sum of dy · x: not normalised")
def norm_dgamma_not_normalised(right, dy, x, *rest, **memory):
    dx, dgamma, dbeta = right(dy, x, *rest, **memory)
    dgamma[...] = (dy * x).sum(axis=tuple(range(x.ndim - 1)))
    return dx, dgamma, dbeta


@kernel(NORM, NORM_DX, "dgamma is 0.1 % too small")
def norm_dgamma_slightly_too_small(right, *arguments, **memory):
    dx, dgamma, dbeta = right(*arguments, **memory)
    dgamma *= dgamma.dtype.type(0.999)
    return dx, dgamma, dbeta


@kernel(NORM, NORM_DX, "dbeta is a mean, not a sum")
def norm_dbeta_is_a_mean(right, dy, *rest, **memory):
    dx, dgamma, dbeta = right(dy, *rest, **memory)
    dbeta[...] = dy.mean(axis=tuple(range(dy.ndim - 1)))
    return dx, dgamma, dbeta


@kernel(NORM, FROZEN_DX, "a frozen layer goes back by the formula for batch statistics")
def frozen_norm_dx_by_batch_formula(right, dy, x, gamma, mean, variance, epsilon, out=None, work=None):
    return TEXTBOOK.batch_norm_backward(dy, x, gamma, mean, variance, epsilon, out=out)


@kernel(NORM, FROZEN_DX, "a frozen layer's gamma is left out of dx")
def frozen_norm_dx_without_gamma(right, dy, x, gamma, *rest, **memory):
    return right(dy, x, np.ones_like(gamma), *rest, **memory)


@mutant(
    NORM,
    "backward takes the moving averages in place of the batch's statistics",
    (layers.BatchNormalization, "backward"),
)
def norm_backward_by_moving_averages(right, self, dy, cache, *, ws=None):
    moving = cache._replace(mean=self.buffers["moving_mean"], variance=self.buffers["moving_variance"])
    return right(self, dy, moving, ws=ws)


@mutant(NORM, "cpu only: the last, incomplete chunk of rows is left out", (cpu.batchnorm, "_chunks"))
def cpu_norm_last_chunk_missing(right, x):
    rows, chunks = right(x)
    return rows, max(min(chunks, 1), x.size // max(1, x.shape[-1]) // rows)


# Dense --------------------------------------------------------------------------------------------------------

DENSE, DENSE_DX, DENSE_DW = "Dense", "dense_backward_input", "dense_backward_weights"


@kernel(DENSE, DENSE_DX, "the weights are read in another memory order instead of transposed")
def dense_dx_not_transposed(right, dy, w, **memory):
    return right(dy, np.ascontiguousarray(w.reshape(w.shape[::-1]).T), **memory)


@kernel(DENSE, DENSE_DX, "the last unit is left out of the sum")
def dense_dx_last_unit_missing(right, dy, w, **memory):
    dy = dy.copy()
    dy[:, -1] = 0
    return right(dy, w, **memory)


@kernel(DENSE, DENSE_DW, "the bias gradient is that of one sample")
def dense_db_of_one_sample(right, dy, x, **memory):
    dw, db = right(dy, x, **memory)
    db[...] = dy[:1].sum(axis=0)
    return dw, db


@kernel(DENSE, DENSE_DW, "the bias gradient is a mean, not a sum")
def dense_db_is_a_mean(right, dy, x, **memory):
    dw, db = right(dy, x, **memory)
    db /= max(1, len(dy))
    return dw, db


@kernel(DENSE, DENSE_DW, "the bias gradient is 0.1 % too large")
def dense_db_slightly_too_large(right, dy, x, **memory):
    dw, db = right(dy, x, **memory)
    db *= db.dtype.type(1.001)
    return dw, db


@kernel(DENSE, DENSE_DW, "dw is laid out as its transpose")
def dense_dw_transposed(right, dy, x, **memory):
    dw, db = right(dy, x, **memory)
    dw[...] = dw.T.reshape(dw.shape).copy()
    return dw, db


@kernel(DENSE, DENSE_DW, "dw is added to what was there, not written over it")
def dense_dw_accumulates(right, dy, x, out=None, work=None):
    dw, db = right(dy, x)
    return deliver((dw, db) if out is None else (dw + out[0], db), out)


@mutant(
    DENSE,
    "cpu only: a result's blocks that are neither in the first row nor the first column stay empty",
    (cpu, "dense_forward"),
)
def cpu_dense_inner_blocks_missing(right, x, w, b, **memory):
    y = right(x, w, b, **memory)
    y[cpu.dense.TALL :, cpu.dense._panel(x) :] = 0
    return y


# Activations --------------------------------------------------------------------------------------------------

RELU, SOFTMAX = "ReLU", "Softmax"


@kernel(RELU, "relu_backward", "the slope is 1 everywhere")
def relu_slope_one(right, dy, y, out=None, work=None):
    return deliver(dy.copy(), out)


@kernel(RELU, "relu_backward", "the slope of negative numbers is 0.001, not 0")
def relu_leaks(right, dy, y, out=None, work=None):
    return deliver(np.where(y > 0, dy, dy * dy.dtype.type(0.001)), out)


@kernel(RELU, "relu_backward", "the mask is where dy is positive, not y")
def relu_mask_from_gradient(right, dy, y, **memory):
    return right(dy, dy.copy(), **memory)


@kernel(RELU, "relu_backward", "the mask is inverted")
def relu_mask_inverted(right, dy, y, out=None, work=None):
    return deliver(np.where(y > 0, 0, dy).astype(dy.dtype), out)


@kernel(SOFTMAX, "softmax_backward", "each number by itself: dy · y · (1 - y)")
def softmax_elementwise(right, dy, y, out=None, work=None):
    return deliver(dy * y * (1 - y), out)


@kernel(SOFTMAX, "softmax_backward", "without the sum")
def softmax_without_sum(right, dy, y, out=None, work=None):
    return deliver(dy * y, out)


@kernel(SOFTMAX, "softmax_backward", "the sum runs over the whole batch")
def softmax_sum_over_batch(right, dy, y, out=None, work=None):
    return deliver(y * (dy - (dy * y).sum()), out)


@kernel(SOFTMAX, "softmax_backward", "the sum is taken of dy alone")
def softmax_sum_of_dy(right, dy, y, out=None, work=None):
    return deliver(y * (dy - dy.mean(axis=-1, keepdims=True)), out)


@kernel("ELU", "elu_backward", "the slope of negative numbers is the function's value, without alpha")
def elu_slope_without_alpha(right, dy, y, alpha, out=None, work=None):
    return deliver(np.where(y > 0, dy, dy * y), out)


@kernel("Sigmoid", "sigmoid_backward", "tanh's slope, 1 - y²")
def sigmoid_slope_of_tanh(right, dy, y, out=None, work=None):
    return deliver(dy * (1 - y * y), out)


# Dropout ------------------------------------------------------------------------------------------------------

DROPOUT = "Dropout"


def _dropout_backward(what):
    return mutant(DROPOUT, what, (layers.Dropout, "backward"))


@_dropout_backward("without the scale")
def dropout_without_scale(right, self, dy, cache, *, ws=None):
    dx = right(self, dy, cache, ws=ws)
    dx *= dx.dtype.type(1 - self.rate)
    return dx


@_dropout_backward("scaled twice")
def dropout_scaled_twice(right, self, dy, cache, *, ws=None):
    dx = right(self, dy, cache, ws=ws)
    dx *= dx.dtype.type(1 / (1 - self.rate))
    return dx


@_dropout_backward("another mask than forward's: that of the next step")
def dropout_mask_of_next_step(right, self, dy, cache, *, ws=None):
    return right(self, dy, cache._replace(step=cache.step + 1), ws=ws)


@_dropout_backward("the mask of step 0, whatever the step")
def dropout_mask_of_step_zero(right, self, dy, cache, *, ws=None):
    return right(self, dy, cache._replace(step=0), ws=ws)


@_dropout_backward("the mask is inverted")
def dropout_mask_inverted(right, self, dy, cache, *, ws=None):
    scale = dy.dtype.type(1 / (1 - self.rate))
    return scale * dy - right(self, dy.copy(), cache)


@_dropout_backward("no mask: dy as it came")
def dropout_passes_all(right, self, dy, cache, *, ws=None):
    return dy


# Losses -------------------------------------------------------------------------------------------------------

LOSS, LOSS_DX = "Cross-entropy", "softmax_cross_entropy_backward"


@kernel(LOSS, LOSS_DX, "not divided by N: the weights of the samples are ignored")
def loss_weights_ignored(right, p, labels, weights, **memory):
    return right(p, labels, np.ones_like(weights), **memory)


@kernel(LOSS, LOSS_DX, "every sample gets the first one's weight")
def loss_first_weight_for_all(right, p, labels, weights, **memory):
    return right(p, labels, np.repeat(weights[:1], len(weights)), **memory)


@kernel(LOSS, LOSS_DX, "divided by N a second time")
def loss_divided_twice(right, p, labels, weights, **memory):
    return right(p, labels, weights / weights.dtype.type(max(1, len(weights))), **memory)


@kernel(LOSS, LOSS_DX, "p alone: the label is not subtracted")
def loss_label_not_subtracted(right, p, labels, weights, out=None, work=None):
    return deliver(p * weights[:, None], out)


@kernel(LOSS, LOSS_DX, "the labels of the neighbours in the batch")
def loss_labels_shifted(right, p, labels, weights, **memory):
    return right(p, np.roll(labels, 1), weights, **memory)


@kernel(LOSS, LOSS_DX, "the squared error's gradient through a softmax taken for independent numbers")
def loss_squared_error(right, p, labels, weights, out=None, work=None):
    difference = right(p, labels, weights)
    return deliver(difference * p * (1 - p), out)


@kernel(LOSS, LOSS_DX, "0.1 % too small")
def loss_slightly_too_small(right, p, labels, weights, **memory):
    return right(p, labels, weights * weights.dtype.type(0.999), **memory)


@mutant(LOSS, "by probabilities: not divided by them", (losses.SparseCategoricalCrossentropy, "backward"))
def loss_not_divided_by_probability(right, self, cache, weights, backend):
    return right(self, cache._replace(y_pred=None), weights, backend)


@mutant(
    LOSS, "by probabilities: only the true class gets a gradient", (losses.SparseCategoricalCrossentropy, "backward")
)
def loss_true_class_only(right, self, cache, weights, backend):
    gradient = right(self, cache, weights, backend)
    if cache.y_pred is None:
        return gradient
    targets = cache.targets
    true = targets > 0 if targets.ndim == 2 else np.arange(gradient.shape[1]) == targets[:, None]
    return np.where(true, gradient, 0)


@kernel("Squared error", "mean_squared_error_backward", "without the factor 2")
def squared_error_halved(right, y, targets, weights, **memory):
    return right(y, targets, weights / weights.dtype.type(2), **memory)


@kernel("Squared error", "mean_squared_error_backward", "a sum over each sample's numbers, not their mean")
def squared_error_summed(right, y, targets, weights, **memory):
    return right(y, targets, weights * weights.dtype.type(y.shape[1]), **memory)


@kernel(LOSS, "categorical_cross_entropy_backward", "only the most probable of the shares counts")
def categorical_hardened(right, p, shares, weights, **memory):
    hard = np.zeros_like(shares)
    np.put_along_axis(hard, shares.argmax(axis=1)[:, None], 1, axis=1)
    return right(p, hard, weights, **memory)


# Optimizers ---------------------------------------------------------------------------------------------------

SGD, ADAM, OPTIMIZER = "SGD", "Adam", "Optimizer"


@kernel(SGD, "sgd_update", "uphill: the sign is wrong")
def sgd_uphill(right, parameter, gradient, *rest):
    right(parameter, -gradient, *rest)


@kernel(SGD, "sgd_update", "Nesterov's look ahead is left out")
def sgd_nesterov_is_plain(right, parameter, gradient, velocity, rate, momentum, nesterov):
    right(parameter, gradient, velocity, rate, momentum, False)


@kernel(SGD, "sgd_update", "the velocity is not kept")
def sgd_velocity_lost(right, parameter, gradient, velocity, *rest):
    right(parameter, gradient, None if velocity is None else np.zeros_like(velocity), *rest)


@kernel(SGD, "sgd_update", "steps 0.1 % too long")
def sgd_slightly_too_fast(right, parameter, gradient, velocity, rate, *rest):
    right(parameter, gradient, velocity, rate * 1.001, *rest)


def _adam(parameter, g, m, v, t, rate, beta_1, beta_2, epsilon, *, first=True, second=True, inside=False):
    """Compute the paper's formulas, with switches for errors."""
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    if first:
        rate /= 1 - beta_1**t
    if second:
        rate *= (1 - beta_2**t) ** 0.5
    parameter -= (rate * m / (np.sqrt(v + epsilon) if inside else np.sqrt(v) + epsilon)).astype(parameter.dtype)


@kernel(ADAM, "adam_update", "without bias correction")
def adam_without_bias_correction(right, *arguments):
    _adam(*arguments, first=False, second=False)


@kernel(ADAM, "adam_update", "without the second moment's bias correction")
def adam_without_second_correction(right, *arguments):
    _adam(*arguments, second=False)


@kernel(ADAM, "adam_update", "epsilon inside the square root")
def adam_epsilon_inside(right, *arguments):
    _adam(*arguments, inside=True)


@kernel(ADAM, "adam_update", "the two moments' memories exchanged")
def adam_betas_swapped(right, parameter, g, m, v, t, rate, beta_1, beta_2, epsilon):
    right(parameter, g, m, v, t, rate, beta_2, beta_1, epsilon)


@kernel(ADAM, "adam_update", "the first moment is kept where the second belongs, and the other way round")
def adam_moments_swapped(right, parameter, g, m, v, t, *rest):
    if t % 2 == 0:  # they change places from one step to the next
        first, second = v.copy(), m.copy()
        m[...], v[...] = first, np.abs(second)
    right(parameter, g, m, v, t, *rest)


@kernel(ADAM, "adam_update", "the step is counted from 2")
def adam_step_off_by_one(right, parameter, g, m, v, t, *rest):
    right(parameter, g, m, v, t + 1, *rest)


@mutant(OPTIMIZER, "parameters of one shape share one state", (optimizers.Optimizer, "step"))
def optimizer_state_shared(right, self, parameters, backend):
    shared = {}
    for key, p in parameters.items():
        if p.trainable:
            empty = self.slots.get(key) or [np.zeros_like(p.value) for _ in self.slot_names]
            self.slots[key] = shared.setdefault(p.value.shape, empty)
    right(self, parameters, backend)


@mutant(OPTIMIZER, "a step is counted for each parameter", (optimizers.Optimizer, "step"))
def optimizer_counts_parameters(right, self, parameters, backend):
    for key, p in parameters.items():
        right(self, {key: p}, backend)


@mutant(OPTIMIZER, "frozen parameters are moved too", (optimizers.Optimizer, "step"))
def optimizer_moves_frozen(right, self, parameters, backend):
    trainable = {key: p.trainable for key, p in parameters.items()}
    for p in parameters.values():
        p.trainable = True
    right(self, parameters, backend)
    for key, p in parameters.items():
        p.trainable = trainable[key]


@mutant(OPTIMIZER, "a schedule is asked for the next step's rate", (optimizers.Optimizer, "step"))
def optimizer_rate_of_next_step(right, self, parameters, backend):
    self.iterations += 1
    rate = self.learning_rate
    self.iterations -= 1
    with mock.patch.object(type(self), "learning_rate", rate):
        right(self, parameters, backend)


# How layers and the training loop pass gradients on -----------------------------------------------------------

FLATTEN, PLUMBING, TRAINING = "Flatten", "Layers", "Training"
#: Where a training step is called.
STEPS = ((loop, "train_step"), (evaluation, "train_step"))


@mutant(FLATTEN, "dx is filled column by column", (layers.Flatten, "backward"))
def flatten_fortran_order(right, self, dy, cache, *, ws=None):
    return np.ascontiguousarray(dy.reshape((len(dy), *self.built_input_shape)[::-1]).T)


@mutant(FLATTEN, "dx is filled channels first", (layers.Flatten, "backward"))
def flatten_channels_first(right, self, dy, cache, *, ws=None):
    n, *middle, channels = len(dy), *self.built_input_shape
    return np.ascontiguousarray(np.moveaxis(dy.reshape(n, channels, *middle), 1, -1)) if middle else dy


@mutant(PLUMBING, "an activation's layer passes dy on as it came", (layers.Activation, "backward"))
def activation_layer_skips_backward(right, self, dy, cache, *, ws=None):
    return dy


@mutant(PLUMBING, "an activation's layer works in the caller's dy", (layers.Activation, "backward"))
def activation_layer_overwrites_dy(right, self, dy, cache, *, ws=None):
    dx = right(self, dy, cache, ws=ws)
    if dy.flags.writeable:
        dy[...] = dx
    return dx


@mutant(PLUMBING, "an activation's layer keeps its input where the result belongs", (layers.Activation, "forward"))
def activation_layer_keeps_input(right, self, x, **rest):
    before = x.copy()
    y, cache = right(self, x, **rest)
    return y, (None if cache is None else type(cache)(before))


@mutant(PLUMBING, "Conv2D and Dense forget their activation on the way back", (ActivatedLayer, "_through_activation"))
def activation_forgotten(right, self, dy, cache, ws):
    return dy


@mutant(
    PLUMBING,
    "the parameters of Conv2D and Dense get the gradient from above the activation",
    (ActivatedLayer, "backward"),
)
def parameters_above_activation(right, self, dy, cache, *, ws=None):
    above = dy.copy()
    dx = right(self, dy, cache, ws=ws)
    if self.trainable:
        self.linear_backward_parameters(above, cache.inner, ws=ws)
    return dx


@mutant(PLUMBING, "a frozen Conv2D or Dense passes no gradient on", (ActivatedLayer, "backward"))
def frozen_layer_blocks(right, self, dy, cache, *, ws=None):
    dx = right(self, dy, cache, ws=ws)
    return dx if self.trainable else np.zeros_like(dx)


@mutant(
    PLUMBING,
    "the first layer's parameters get the gradient from above the activation",
    (ActivatedLayer, "backward_parameters"),
)
def first_layer_above_activation(right, self, dy, cache, *, ws=None):
    self.linear_backward_parameters(dy, cache.inner, ws=ws)


def _dense_remembers(right, self, x, **rest):
    result = right(self, x, **rest)
    self.remembered = result[1] or self.remembered
    return result


def _dense_recalls(right, self, dz, cache, *, ws=None):
    right(self, dz, self.remembered if len(self.remembered.x) == len(cache.x) else cache, ws=ws)


MUTANTS.append(
    Mutant(
        "second_batch_overwrites_cache",
        PLUMBING,
        "Dense keeps what backward needs on itself, where the next batch overwrites it",
        (
            Patch(layers.Dense, "linear_forward", _dense_remembers),
            Patch(layers.Dense, "linear_backward_parameters", _dense_recalls),
        ),
    )
)


def _with_weights(model, factor):
    """Inside a ``with`` block, multiply the weights 1/N that the loss's backward is given by a factor."""
    kind = type(model.chain_loss)
    backward = kind.backward

    def wrong(self, cache, weights, backend):
        return backward(self, cache, weights * weights.dtype.type(factor(len(weights))), backend)

    return mock.patch.object(kind, "backward", wrong)


@mutant(TRAINING, "the step does not divide the loss by N", *STEPS)
def step_not_divided(right, model, *rest):
    with _with_weights(model, lambda n: n):
        right(model, *rest)


@mutant(TRAINING, "the step's gradient is 0.1 % too large", *STEPS)
def step_slightly_too_long(right, model, *rest):
    with _with_weights(model, lambda n: 1.001):
        right(model, *rest)


@mutant(TRAINING, "the step is taken before backward, with the last batch's gradients", *STEPS)
def step_before_backward(right, model, *rest):
    model.optimizer.step(model.parameters(), model.backend)
    with mock.patch.object(model.optimizer, "step", return_value=None):
        right(model, *rest)


@mutant(TRAINING, "backward ends one layer early", (step, "first_trained"))
def backward_ends_early(right, chain):
    return min(right(chain) + 1, len(chain))


@mutant(TRAINING, "layers share the memory of what they keep for backward", (Workspace, "keep"))
def kept_memory_shared(right, self, owner, name, shape, dtype):
    return right(self, "everyone", name, shape, dtype)
