"""Chapter 3: the backward of convolution."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.types import Array
from ...kernels.geometry import Window
from ...kernels.reference import conv
from ..bugs.chapter03 import broken_conv2d_dx
from ..cases import Fill, Geometry, first_only, phases, without_last
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result
from .chapter02 import FROM_BEHIND, cut_from_behind, scattered

DY = Result("dy", ("N", "OH", "OW", "F"))


def right_db(dy: Array) -> Array:
    """Return the gradient with respect to the bias."""
    db: Array = dy.sum(axis=(0, 1, 2))
    return db


def _bias(size: Geometry, fill: Fill) -> dict[str, Any]:
    return {"dy": fill("dy", (size.N, *size.output_size, size.F))}


CONV2D_DB = Exercise(
    name="conv2d_db",
    right=right_db,
    results=(Result("db", ("F",)),),
    phases=phases(_bias, ("dy",)),
    misreadings=(
        Misreading("Is db that of the first image only? Sum over N too.", lambda dy: dy[0].sum(axis=(0, 1))),
        Misreading("Is db that of the last image only? Sum over N too.", lambda dy: dy[-1].sum(axis=(0, 1))),
        Misreading(
            "Is it a mean over N? Sum over the images; the loss has divided by N already.",
            lambda dy: right_db(dy) / len(dy),
        ),
        Misreading("Is it a mean? The gradient is a sum over n, i and j.", lambda dy: dy.mean(axis=(0, 1, 2))),
        Misreading(
            "Is the sum over the batch (axis N) only? The bias is used at each position too.", lambda dy: dy.sum(axis=0)
        ),
        Misreading(
            "Is the sum over the positions only? The bias is used for each image (axis N) too.",
            lambda dy: dy.sum(axis=(1, 2)),
        ),
        Misreading("Are the filters (axis F) added up too? Each filter has a bias of its own.", lambda dy: dy.sum()),
        Misreading("Is the last row of dy (axis OH) left out?", lambda dy: right_db(without_last(dy, 1))),
        Misreading("Is the last column of dy (axis OW) left out?", lambda dy: right_db(without_last(dy, 2))),
        Misreading(
            "Are axes of length 1 kept? db has the shape of b, (F,).", lambda dy: dy.sum(axis=(0, 1, 2), keepdims=True)
        ),
        Misreading("Is the sign wrong?", lambda dy: -right_db(dy)),
    ),
    hints=(
        "b[f] is added to every y[n,i,j,f]. So a small change of b[f] changes how many numbers, and by how much?",
        "Each y[n,i,j,f] changes by as much as b[f]. The changes of the loss add up.",
        "Sum dy over the axes N, OH and OW: dy.sum(axis=(0, 1, 2)).",
    ),
    minutes=10,
)


def right_dw(dy: Array, x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the gradient with respect to the weights, by the reference kernel."""
    dw: Array = conv.conv2d_backward_weights(dy, x, (KH, KW), (stride, stride), (pad,) * 4, (1, 1), 1)[0]
    return dw


def _weights(size: Geometry, fill: Fill) -> dict[str, Any]:
    dy = fill("dy", (size.N, *size.output_size, size.F))
    x = fill("x", (size.N, size.H, size.W, size.C))
    return {"dy": dy, "x": x, "KH": size.KH, "KW": size.KW, "stride": size.stride, "pad": size.pad}


def _dw_without_stride(dy: Array, x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    cols = conv.im2col(x, Window((KH, KW), (1, 1), (pad,) * 4))[:, : dy.shape[1], : dy.shape[2]]
    dw: Array = np.einsum("nijpqc,nijf->pqcf", cols, dy)
    return dw


def _dw_unpadded(dy: Array, x: Array, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return the gradient with respect to the weights with all zeros at the bottom and right."""
    pads = (0, 2 * pad, 0, 2 * pad)
    dw: Array = conv.conv2d_backward_weights(dy, x, (KH, KW), (stride, stride), pads, (1, 1), 1)[0]
    return dw


def _only_tap(dw: Array) -> Array:
    return first_only(first_only(dw, 0), 1)


CONV2D_DW = Exercise(
    name="conv2d_dw",
    right=right_dw,
    results=(Result("dw", ("KH", "KW", "C", "F")),),
    phases=phases(_weights, ("dy", "x")),
    misreadings=(
        Misreading(
            "Is dw that of the first image only? The sum runs over n too (axis N).",
            lambda dy, **a: right_dw(dy=first_only(dy, 0), **a),
        ),
        Misreading(
            "Is dw that of the last image only? Add up the images (axis N): +=.",
            lambda dy, x, **a: right_dw(dy=dy[-1:], x=x[-1:], **a),
        ),
        Misreading(
            "Is dw divided by N? The loss has done that already.", lambda dy, **a: right_dw(dy=dy / len(dy), **a)
        ),
        Misreading(
            "Is dw divided by the number of positions? It is a sum over i and j.",
            lambda dy, **a: right_dw(dy=dy / (dy.shape[1] * dy.shape[2]), **a),
        ),
        Misreading(
            "Is dw flipped? dw[p,q] belongs to the pixels p rows below and q columns right of the corners.",
            lambda **a: right_dw(**a)[::-1, ::-1],
        ),
        Misreading("Are the axes KH and KW of dw swapped?", lambda **a: right_dw(**a).transpose(1, 0, 2, 3)),
        Misreading("Are the axes C and F of dw swapped?", lambda **a: right_dw(**a).transpose(0, 1, 3, 2)),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.",
            _dw_without_stride,
        ),
        Misreading(
            "Is x padded on one side only? The zeros belong on all four sides, as in the forward pass.", _dw_unpadded
        ),
        Misreading("Is the last row of dy (axis OH) left out?", lambda dy, **a: right_dw(dy=without_last(dy, 1), **a)),
        Misreading(
            "Is the last column of dy (axis OW) left out?", lambda dy, **a: right_dw(dy=without_last(dy, 2), **a)
        ),
        Misreading("Is only the first channel (axis C) computed?", lambda x, **a: right_dw(x=first_only(x, 3), **a)),
        Misreading("Is only the first filter (axis F) computed?", lambda dy, **a: right_dw(dy=first_only(dy, 3), **a)),
        Misreading(
            "Is only the first tap computed? Is there a return inside the loop over the taps?",
            lambda **a: _only_tap(right_dw(**a)),
        ),
        Misreading("Is the sign wrong?", lambda dy, **a: right_dw(dy=-dy, **a)),
    ),
    hints=(
        "w[p,q,c,f] is multiplied by one pixel for each image and position. Which pixel, and in which y does it end?",
        "It is the sum, over all images and positions, of the pixel that the tap meets times dy of that position.",
        "Make (N*OH*OW, C) of the pixels that tap (p, q) meets, and (N*OH*OW, F) of dy: pixels.T @ dy is dw[p, q].",
    ),
    minutes=35,
)


def right_dx(dy: Array, w: Array, H: int, W: int, stride: int, pad: int) -> Array:
    """Return the gradient with respect to the images, by the reference kernel.

    Raises
    ------
    ValueError
        If the sizes do not fit each other, as they may in a learner's counterexample.
    """
    OH, OW = Window(w.shape[:2], (stride, stride), (pad,) * 4).output_size((H, W))
    if dy.shape[1:] != (OH, OW, w.shape[3]) or min(OH, OW) < 1:
        raise ValueError(f"dy has the shape {dy.shape}, but the convolution's result has (N, {OH}, {OW}, {w.shape[3]})")
    dx: Array = conv.conv2d_backward_input(dy, w, (H, W), (stride, stride), (pad,) * 4, (1, 1), 1)
    return dx


def _images(size: Geometry, fill: Fill) -> dict[str, Any]:
    dy = fill("dy", (size.N, *size.output_size, size.F))
    w = fill("w", (size.KH, size.KW, size.C, size.F))
    return {"dy": dy, "w": w, "H": size.H, "W": size.W, "stride": size.stride, "pad": size.pad}


def _scatter(**mistake: Any) -> Callable[..., Array]:
    """Return a mistake in where the products of dy and w go."""

    def results(dy: Array, w: Array, H: int, W: int, stride: int, pad: int) -> Array:
        taps = np.einsum("nijf,pqcf->nijpqc", dy, w)
        return scattered(taps, (len(dy), H, W, w.shape[2]), stride, pad, **mistake)

    return results


def _sized_by_dy(dy: Array, w: Array, H: int, W: int, stride: int, pad: int) -> Array:
    """Return a mistake: the padded images are only as large as the windows reach."""
    dxpad = _scatter(cut=-1)(dy, w, H, W, stride, pad)
    rows, columns = ((OH - 1) * stride + KH for OH, KH in zip(dy.shape[1:3], w.shape[:2], strict=True))
    return dxpad[:, :rows, :columns][:, pad : pad + H, pad : pad + W]


CONV2D_DX = Exercise(
    name="conv2d_dx",
    right=right_dx,
    results=(Result("dx", ("N", "H", "W", "C")),),
    phases=phases(_images, ("dy", "w")),
    misreadings=(
        Misreading(
            "Do windows overwrite each other? A pixel gets the sum over all of its windows: +=.", _scatter(add=False)
        ),
        Misreading(
            "Is the kernel flipped? What went through w[p,q] comes back through w[p,q].",
            lambda w, **a: right_dx(w=w[::-1, ::-1], **a),
        ),
        Misreading(
            "Are the axes KH and KW of the kernel swapped?", lambda w, **a: right_dx(w=w.transpose(1, 0, 2, 3), **a)
        ),
        Misreading(
            "Are the axes C and F of the kernel swapped? dy has filters, dx has channels: dy @ w[p, q].T.",
            lambda w, **a: right_dx(w=w.transpose(0, 1, 3, 2), **a),
        ),
        Misreading(
            "Is the stride missing from the positions? Window (i, j) begins at row i*stride, column j*stride.",
            _scatter(step=1),
        ),
        Misreading("Are the pads not cut off? dx has the shape of x.", _scatter(cut=-1)),
        Misreading(
            "Is the size computed from that of dy? Pixels that no window reaches have a gradient too, 0: use H and W.",
            _sized_by_dy,
        ),
        Misreading(FROM_BEHIND, cut_from_behind(right_dx)),
        Misreading(
            "Are the pads cut off at the bottom and right only? The images begin at row pad, column pad.",
            _scatter(cut=0),
        ),
        Misreading("Is the last row of dy (axis OH) left out?", lambda dy, **a: right_dx(dy=without_last(dy, 1), **a)),
        Misreading(
            "Is the last column of dy (axis OW) left out?", lambda dy, **a: right_dx(dy=without_last(dy, 2), **a)
        ),
        Misreading("Is only the first image computed (axis N)?", lambda dy, **a: right_dx(dy=first_only(dy, 0), **a)),
        Misreading(
            "Is only the first filter used? The sum runs over f (axis F).",
            lambda dy, **a: right_dx(dy=first_only(dy, 3), **a),
        ),
        Misreading("Is only the first channel (axis C) computed?", lambda w, **a: right_dx(w=first_only(w, 2), **a)),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            lambda w, **a: right_dx(w=_only_tap(w), **a),
        ),
        Misreading(
            "Is dx divided by N? The loss has done that already.", lambda dy, **a: right_dx(dy=dy / len(dy), **a)
        ),
        Misreading("Is the sign wrong?", lambda dy, **a: right_dx(dy=-dy, **a)),
    ),
    hints=(
        "The pixel (n, i*stride + p, j*stride + q, c) went into y[n,i,j,f], times w[p,q,c,f]. What comes back to it?",
        "Begin with zeros of the padded shape. Each tap adds dy times its weights to the pixels that it met.",
        "dxpad[:, rows, columns] += dy @ w[p, q].T, with the slices of the forward pass; then cut the pads off.",
    ),
    minutes=35,
)

COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_conv2d_dx,
    right=right_dx,
    arguments=(DY, Result("w", ("KH", "KW", "C", "F")), Result("H"), Result("W"), Result("stride"), Result("pad")),
    hints=(
        "Which pixels are written more than once?",
        "With a stride as large as the kernel, no pixel is. What if the stride is smaller?",
        "Take one row: a kernel of two taps, a stride of 1, and a dy of two positions.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter03", "The backward of convolution", "03-backward.md", (CONV2D_DB, CONV2D_DW, CONV2D_DX, COUNTEREXAMPLE)
)
