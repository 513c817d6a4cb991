"""Chapter 1: convolution by hand."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...kernels.reference import conv2d_forward
from ..bugs.chapter01 import broken_conv2d
from ..cases import Fill, Geometry, first_only, phases, without_last
from ..exercise import Case, Chapter, Exercise, Hunt, Misreading, Phase, Result


def right_size(length: int, kernel: int, stride: int, pad: int) -> int:
    """Return the number of positions of a kernel along one side."""
    return (length + 2 * pad - kernel) // stride + 1


@st.composite
def _lengths(draw: st.DrawFn) -> Case:
    kernel, stride, pad = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 3))
    length = max(1, kernel - 2 * pad) + draw(st.integers(0, 9))
    return Case({"length": length, "kernel": kernel, "stride": stride, "pad": pad})


OUTPUT_SIZE = Exercise(
    name="output_size",
    right=right_size,
    results=(Result("result"),),
    phases=(Phase("small whole numbers", _lengths(), 200),),
    misreadings=(
        Misreading(
            "Is the pad left out? It adds zeros at both ends.",
            lambda length, kernel, stride, pad: right_size(length, kernel, stride, 0),
        ),
        Misreading(
            "Is the pad counted at one end only? It adds zeros at both ends, 2 * pad in all.",
            lambda length, kernel, stride, pad: (length + pad - kernel) // stride + 1,
        ),
        Misreading(
            "Is the stride left out? The kernel moves by stride pixels.",
            lambda length, kernel, stride, pad: right_size(length, kernel, 1, pad),
        ),
        Misreading(
            "Is the first position forgotten? There is one position before the kernel has moved: + 1.",
            lambda length, kernel, stride, pad: right_size(length, kernel, stride, pad) - 1,
        ),
        Misreading(
            "Is the division rounded up? A move that would leave the image is not made; // rounds down.",
            lambda length, kernel, stride, pad: -(-(length + 2 * pad - kernel) // stride) + 1,
        ),
        Misreading(
            "Is the size of the kernel left out? Its last tap must stay inside.",
            lambda length, kernel, stride, pad: (length + 2 * pad - 1) // stride + 1,
        ),
        Misreading(
            "Is 1 added before the division by the stride? Divide first, then add 1.",
            lambda length, kernel, stride, pad: (length + 2 * pad - kernel + 1) // stride,
        ),
    ),
    hints=(
        "Draw a row of 5 pixels and slide a kernel of 3 taps along it. Count the positions, not the moves.",
        "The kernel starts at the left end. How far can its last tap move until it is on the last pixel or pad?",
        "There is room for (length + 2 * pad - kernel) pixels of movement; // stride gives whole moves; add the start.",
    ),
    minutes=10,
)


def right_pad(x: Array, pad: int) -> Array:
    """Return images with zeros on their four sides."""
    return np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def _images(size: Geometry, fill: Fill) -> dict[str, Any]:
    return {"x": fill("x", (size.N, size.H, size.W, size.C)), "pad": size.pad}


PAD_IMAGE = Exercise(
    name="pad_image",
    right=right_pad,
    results=(Result("the result", ("N", "H + 2*pad", "W + 2*pad", "C")),),
    phases=phases(_images, ("x",)),
    misreadings=(
        Misreading(
            "Are the zeros missing at the bottom and the right? They belong on all four sides.",
            lambda x, pad: np.pad(x, ((0, 0), (pad, 0), (pad, 0), (0, 0))),
        ),
        Misreading(
            "Are the zeros missing at the top and the left? They belong on all four sides.",
            lambda x, pad: np.pad(x, ((0, 0), (0, pad), (0, pad), (0, 0))),
        ),
        Misreading(
            "Are all zeros at the bottom and the right? The image begins at row pad and column pad.",
            lambda x, pad: np.pad(x, ((0, 0), (0, 2 * pad), (0, 2 * pad), (0, 0))),
        ),
        Misreading(
            "Are only the rows (axis H) padded? The columns (axis W) need pads too.",
            lambda x, pad: np.pad(x, ((0, 0), (pad, pad), (0, 0), (0, 0))),
        ),
        Misreading(
            "Are only the columns (axis W) padded? The rows (axis H) need pads too.",
            lambda x, pad: np.pad(x, ((0, 0), (0, 0), (pad, pad), (0, 0))),
        ),
        Misreading(
            "Are the channels padded too? Only the axes H and W get zeros.",
            lambda x, pad: np.pad(x, ((0, 0), (pad, pad), (pad, pad), (pad, pad))),
        ),
        Misreading("Is the batch padded too? Only the axes H and W get zeros.", lambda x, pad: np.pad(x, pad)),
        Misreading(
            "Are the axes H and W padded, or N and H? The axes are (N, H, W, C).",
            lambda x, pad: np.pad(x, ((pad, pad), (pad, pad), (0, 0), (0, 0))),
        ),
        Misreading(
            "Is the border repeated instead of 0?",
            lambda x, pad: np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge"),
        ),
        Misreading(
            "Is the image missing from the padded array? Copy x into its middle.", lambda x, pad: 0 * right_pad(x, pad)
        ),
    ),
    hints=(
        "Make an array of zeros of the padded shape first.",
        "Rows pad to pad + H of the padded array are the rows of the image; the columns are found in the same way.",
        "padded[:, pad : pad + H, pad : pad + W] = x",
    ),
    minutes=10,
)


def right_conv(x: Array, w: Array, b: Array, stride: int, pad: int) -> Array:
    """Return the convolution by the reference kernel."""
    y: Array = conv2d_forward(x, w, b, (stride, stride), (pad,) * 4, (1, 1), 1)
    return y


def _convolution(size: Geometry, fill: Fill) -> dict[str, Any]:
    x = fill("x", (size.N, size.H, size.W, size.C))
    w = fill("w", (size.KH, size.KW, size.C, size.F))
    return {"x": x, "w": w, "b": fill("b", (size.F,)), "stride": size.stride, "pad": size.pad}


def _some_taps(w: Array, *index: Any) -> Array:
    """Return weights that are 0 but for those at an index."""
    some = np.zeros_like(w)
    some[index] = w[index]
    return some


def _one_end(x: Array, w: Array, b: Array, stride: int, pad: int) -> Array:
    y: Array = conv2d_forward(x, w, b, (stride, stride), (pad, 0, pad, 0), (1, 1), 1)
    return y


def _strides(rows: bool, columns: bool) -> Any:
    """Return a mistake: windows lie one pixel apart along an axis without stride; the shape of the result is right."""

    def results(x: Array, w: Array, b: Array, stride: int, pad: int) -> Array:
        OH, OW = right_conv(x, w, b, stride, pad).shape[1:3]
        strides = (stride if rows else 1, stride if columns else 1)
        y: Array = conv2d_forward(x, w, b, strides, (pad,) * 4, (1, 1), 1)
        return y[:, :OH, :OW]

    return results


def _cut(axis: int) -> Any:
    """Return a mistake: the last place along an axis stays 0."""
    return lambda **all_of_them: without_last(right_conv(**all_of_them), axis)


CONV2D = Exercise(
    name="conv2d",
    right=right_conv,
    results=(Result("y", ("N", "OH", "OW", "F")),),
    phases=phases(_convolution, ("x", "w")),
    misreadings=(
        Misreading(
            "Is the bias left out? Add b[f] to every element of filter f.",
            lambda b, **rest: right_conv(b=0 * b, **rest),
        ),
        Misreading(
            "Is the kernel flipped? Tap w[p,q] is met by the pixel p rows below and q columns right of the corner.",
            lambda w, **rest: right_conv(w=w[::-1, ::-1], **rest),
        ),
        Misreading("Is the kernel flipped along its rows?", lambda w, **rest: right_conv(w=w[::-1], **rest)),
        Misreading("Is the kernel flipped along its columns?", lambda w, **rest: right_conv(w=w[:, ::-1], **rest)),
        Misreading(
            "Are the axes KH and KW of the kernel swapped? w[p,q] has the row first.",
            lambda w, **rest: right_conv(w=w.transpose(1, 0, 2, 3), **rest),
        ),
        Misreading(
            "Is the image transposed? x[n,i,j,c] has the row first.",
            lambda x, **rest: right_conv(x=x.transpose(0, 2, 1, 3), **rest),
        ),
        Misreading(
            "Are the axes OH and OW of the result swapped?",
            lambda **all_of_them: right_conv(**all_of_them).transpose(0, 2, 1, 3),
        ),
        Misreading(
            "Are the axes C and F of the kernel swapped? w[p,q,c,f] has the channel before the filter.",
            lambda w, **rest: right_conv(w=w.transpose(0, 1, 3, 2), **rest),
        ),
        Misreading(
            "Is the stride left out? Neighbouring windows lie stride pixels apart.",
            lambda stride, **rest: right_conv(stride=1, **rest),
        ),
        Misreading(
            "Is the stride missing from the positions? Window y[n,i,j] begins at row i*stride, column j*stride.",
            _strides(False, False),
        ),
        Misreading(
            "Is the stride missing from the rows (axis H)? The window of y[n,i,j] begins at row i*stride.",
            _strides(False, True),
        ),
        Misreading(
            "Is the stride missing from the columns (axis W)? The window of y[n,i,j] begins at column j*stride.",
            _strides(True, False),
        ),
        Misreading(
            "Is the pad left out? Its zeros surround the image before the kernel slides over it.",
            lambda pad, **rest: right_conv(pad=0, **rest),
        ),
        Misreading("Is there a pad at the top and left only? The zeros belong on all four sides.", _one_end),
        Misreading("Is the last row of the result (axis OH) left out? There are OH rows, from 0 to OH - 1.", _cut(1)),
        Misreading(
            "Is the last column of the result (axis OW) left out? There are OW columns, from 0 to OW - 1.", _cut(2)
        ),
        Misreading(
            "Is only the first tap used? Is there a return inside the loop over the taps?",
            lambda w, **rest: right_conv(w=_some_taps(w, 0, 0), **rest),
        ),
        Misreading(
            "Is only the first row of taps used? Is there a return inside the loop over p?",
            lambda w, **rest: right_conv(w=_some_taps(w, 0), **rest),
        ),
        Misreading(
            "Does each tap overwrite what the taps before gave? Add them up: +=.",
            lambda w, b, **rest: right_conv(w=_some_taps(w, -1, -1), b=0 * b, **rest),
        ),
        Misreading(
            "Is the bias added once for each tap? It is added once.",
            lambda w, b, **rest: right_conv(w=w, b=b * w.shape[0] * w.shape[1], **rest),
        ),
        Misreading(
            "Is only the first channel used? The sum runs over p, q and c.",
            lambda x, **rest: right_conv(x=first_only(x, 3), **rest),
        ),
        Misreading(
            "Is only the first image computed? The result has N images.",
            lambda x, **rest: right_conv(x=first_only(x, 0), **rest),
        ),
        Misreading(
            "Is only the first filter computed? The result has F filters.",
            lambda **all_of_them: first_only(right_conv(**all_of_them), 3),
        ),
        Misreading(
            "Does every filter get the first filter's bias? Filter f has b[f].",
            lambda b, **rest: right_conv(b=np.full_like(b, b[0]), **rest),
        ),
        Misreading(
            "Is the result the mean over the taps? Convolution is a sum.",
            lambda w, **rest: right_conv(w=w / (w.shape[0] * w.shape[1]), **rest),
        ),
    ),
    hints=(
        "Loop over the taps (p, q), not over the pixels. Which pixels of the padded image does one tap meet?",
        "Tap (p, q) meets rows p, p + stride, p + 2 * stride, ... of the padded image, OH in all: a slice with a step.",
        "The pixels of one tap, (N, OH, OW, C), times w[p, q], (C, F), are one matrix product: @ does it. Add it to y.",
    ),
    minutes=30,
)

COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_conv2d,
    right=right_conv,
    arguments=(
        Result("x", ("N", "H", "W", "C")),
        Result("w", ("KH", "KW", "C", "F")),
        Result("b", ("F",)),
        Result("stride"),
        Result("pad"),
    ),
    hints=(
        "With a kernel of one tap of 1, the result is a choice of pixels. Which does the broken function choose?",
        "Compare how rows and columns are sliced. Which argument do only the rows use?",
        "Take one row of four different pixels, a kernel of one tap and a stride of 2.",
    ),
    minutes=15,
)

CHAPTER = Chapter(
    "chapter01", "Convolution by hand", "01-convolution.md", (OUTPUT_SIZE, PAD_IMAGE, CONV2D, COUNTEREXAMPLE)
)
