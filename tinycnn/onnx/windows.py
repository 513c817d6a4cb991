"""Operators of ONNX with a window: convolution, pooling, and the frame that is put around images before them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import layers
from ..core.messages import shown
from ..core.types import Array
from ..kernels.geometry import same_pads
from .assembly import Assembly
from .axes import FIRST, pads_of
from .constants import Constants
from .nodes import Node, axes_of

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
_NO_PADS = (0, 0, 0, 0)


class _Geometry(NamedTuple):
    """A window: strides, dilation, pads (top, bottom, left, right), and the pads that would make it ``same``."""

    strides: Pair
    dilation: Pair
    pads: Pads
    same: Pads


def _geometry(a: Assembly, node: Node, kernel: Pair) -> _Geometry:
    """Return a node's window, with explicit pads, for the images that it is given."""
    a.need_axes(node, FIRST)
    strides, dilation = (_positive(node, name, node.integers(name, 2, [1, 1])) for name in ("strides", "dilations"))
    size = a.sample[0], a.sample[1]
    same = same_pads(size, kernel, strides, dilation)
    top, left, bottom, right = node.integers("pads", 4, [0, 0, 0, 0]) or _NO_PADS
    pads = top, bottom, left, right
    auto = node.text("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        pads = same
    elif auto == "SAME_LOWER":  # the odd row or column comes first
        pads = same[1], same[0], same[3], same[2]
    elif auto == "VALID":
        pads = _NO_PADS
    elif auto != "NOTSET":
        raise ValueError(f"{node.label}: its auto_pad is {shown(auto)}, which ONNX does not have")
    if min(pads) < 0 or max(pads) > 2**31:
        raise ValueError(
            f"{node.label}: its pads are {shown(list(pads))}; they must not cut images or be as large as this"
        )
    return _Geometry(strides, dilation, pads, same)


def _positive(node: Node, name: str, numbers: list[int] | None) -> Pair:
    if numbers is None or len(numbers) != 2 or not all(0 < number < 2**31 for number in numbers):
        raise ValueError(f"{node.label}: its {name} must be two positive numbers; got {shown(numbers)}")
    return numbers[0], numbers[1]


def _put_around(a: Assembly, pads: Pads) -> None:
    """Add a frame of zeros."""
    top, bottom, left, right = pads
    a.add(layers.ZeroPadding2D, padding=((top, bottom), (left, right)))


def _take_frame(a: Assembly, kernel: Pair, strides: Pair, dilation: Pair) -> bool:
    """Take away a frame of zeros that ``padding="same"`` makes, as Keras writes it; return whether it was one."""
    if a.named or not a.is_plain() or not a.drafts or a.drafts[-1].kind is not layers.ZeroPadding2D:
        return False
    (top, bottom), (left, right) = a.drafts[-1].config["padding"]
    H, W, C = a.sample
    size = H - top - bottom, W - left - right
    if same_pads(size, kernel, strides, dilation) != (top, bottom, left, right):
        return False
    a.drafts.pop()
    a.sample = (*size, C)
    return True


def conv(a: Assembly, node: Node, constants: Constants) -> None:
    """Add a Conv2D, or a DepthwiseConv2D where each channel is a group of its own."""
    weights, bias = constants.needed(node, 1, "weights"), constants.of(node, 2)
    if weights.ndim != 4 or a.rank != 4:
        raise ValueError(
            f"{node.label}: it is a convolution over {weights.ndim - 2} axes; tinycnn has those of images only"
        )
    filters, channels, KH, KW = weights.shape
    groups = node.integer("group", 1)
    strides, dilation, pads, same = _geometry(a, node, _positive(node, "weights", [KH, KW]))
    if groups < 1 or channels * groups != a.sample[2] or filters < 1 or filters % groups:
        raise ValueError(
            f"{node.label}: weights of shape {shown(weights.shape)} in {groups} groups do not fit images of "
            f"{a.sample[2]} channels"
        )
    if (node.integers("kernel_shape") or [KH, KW]) != [KH, KW]:
        raise ValueError(f"{node.label}: its kernel_shape is another one than that of its weights")
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"{node.label}: its bias has the shape {shown(bias.shape)}; there are {filters} filters")
    if pads == _NO_PADS and _take_frame(a, (KH, KW), strides, dilation):
        padding = "same"
    elif pads in (_NO_PADS, same):
        padding = "valid" if pads == _NO_PADS else "same"
    else:
        _put_around(a, pads)
        padding = "valid"
    window = {
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilation,
        "use_bias": bias is not None,
    }
    kernel = weights.transpose(2, 3, 1, 0)
    others = [] if bias is None else [bias]
    if groups == a.sample[2] > 1:
        each = filters // groups
        kernel = kernel.reshape(KH, KW, groups, each)
        a.add(layers.DepthwiseConv2D, [kernel, *others], kernel_size=(KH, KW), depth_multiplier=each, **window)
    else:
        a.add(layers.Conv2D, [kernel, *others], filters=filters, kernel_size=(KH, KW), groups=groups, **window)


def pool(kind: Any) -> Callable[[Assembly, Node, Constants], None]:
    """Return what adds a pooling layer of a class."""
    takes_maximum = kind is layers.MaxPooling2D

    def convert(a: Assembly, node: Node, constants: Constants) -> None:
        if a.rank != 4:
            raise ValueError(f"{node.label}: it is given an array of {a.rank} axes; tinycnn pools images only")
        kernel = _positive(node, "kernel_shape", node.integers("kernel_shape", 2))
        strides, dilation, pads, same = _geometry(a, node, kernel)
        if dilation != (1, 1):
            raise ValueError(f"{node.label}: its windows are dilated, and those of tinycnn's pooling are not")
        counted = bool(node.integer("count_include_pad", 0)) and not takes_maximum and pads != _NO_PADS
        if a.frame is not None and takes_maximum:
            if any(frame >= kernel[side // 2] for side, frame in enumerate(a.frame)):
                raise ValueError(f"{node.label}: a window would see nothing but the frame around the image")
            pads = tuple(map(sum, zip(pads, a.frame, strict=True)))  # type: ignore[assignment]
            a.frame = None
        if node.integer("ceil_mode", 0):
            longer = _to_whole_windows((a.sample[0], a.sample[1]), kernel, strides, pads)
            if counted and longer != pads:
                raise ValueError(f"{node.label}: it counts zeros around the image on two sides only (ceil_mode)")
            pads = longer
        if counted or (takes_maximum and pads not in (_NO_PADS, same) and a.not_negative()):
            _put_around(a, pads)
            pads = _NO_PADS
        if pads not in (_NO_PADS, same):
            zeros = "" if takes_maximum else " without counting them"
            raise ValueError(
                f"{node.label}: it puts {shown(list(pads))} pads around images{zeros}, which padding='same' does not "
                f"do for images of {a.sample[0]}x{a.sample[1]}; the nearest is {kind.__name__}(padding='same')"
            )
        padding = "valid" if pads == _NO_PADS else "same"
        a.add(kind, pool_size=kernel, strides=strides, padding=padding)

    return convert


def _to_whole_windows(size: Pair, kernel: Pair, strides: Pair, pads: Pads) -> Pads:
    """Return pads that are long enough at the end for a last window that begins inside the image (``ceil_mode``)."""
    found = list(pads)
    for axis, (length, k, s) in enumerate(zip(size, kernel, strides, strict=True)):
        before, after = pads[2 * axis : 2 * axis + 2]
        outputs = math.ceil((length + before + after - k) / s) + 1
        outputs -= (outputs - 1) * s >= length + before
        found[2 * axis + 1] = max(after, (outputs - 1) * s + k - length - before)
    return found[0], found[1], found[2], found[3]


def global_pool(kind: Any, *, reduces: bool = False) -> Callable[[Assembly, Node, Constants], None]:
    """Return what adds a layer that pools whole images; ``reduces`` if the operator says over which axes."""

    def convert(a: Assembly, node: Node, constants: Constants) -> None:
        keepdims = True
        if reduces:
            axes = axes_of(node, a.rank, constants.of(node, 1), None)
            over = {a.axes[axis] for axis in axes or ()}
            if a.rank != 4 or over != {1, 2}:
                raise ValueError(f"{node.label}: it is not over the rows and columns of images, as {kind.__name__} is")
            keepdims = bool(node.integer("keepdims", 1))
        elif a.rank != 4:
            raise ValueError(f"{node.label}: it is given an array of {a.rank} axes; tinycnn pools images only")
        else:
            a.need_axes(node, FIRST)
        a.add(kind, keepdims=keepdims)

    return convert


def zero_pad(a: Assembly, node: Node, constants: Constants) -> None:
    """Add a ZeroPadding2D, or keep pads that a maximum ignores for the pooling that follows."""
    mode = node.text("mode", "constant")
    pads = pads_of(node, a.rank, constants)
    by_axis = {a.axes[axis]: both for axis, both in enumerate(pads)}
    if min(map(min, pads)) < 0 or max(map(max, pads)) > 2**31:
        raise ValueError(f"{node.label}: its pads are {shown(pads)}; they must not cut images or be as large as this")
    frame = (*by_axis.get(1, (0, 0)), *by_axis.get(2, (0, 0)))
    if a.rank != 4 or any(any(both) for axis, both in by_axis.items() if axis not in (1, 2)):
        if not any(map(any, pads)):
            return
        raise ValueError(f"{node.label}: it makes other axes longer than the rows and columns of images")
    value = _value(node, constants)
    if mode == "edge" or (mode == "constant" and value <= np.finfo(np.float32).min):
        a.frame = frame if any(frame) else None
    elif mode != "constant" or value != 0:
        what = f"{value:g}" if mode == "constant" else f"what mode={shown(mode)} says"
        raise ValueError(f"{node.label}: it fills the frame with {what}; the nearest is ZeroPadding2D")
    elif any(frame):
        _put_around(a, frame)


def _value(node: Node, constants: Constants) -> float:
    """Return the number that fills the frame."""
    given: Array | None = constants.of(node, 2)
    if given is None:
        return node.number("value", 0.0)
    if given.size != 1:
        raise ValueError(f"{node.label}: it fills the frame with {given.size} numbers")
    return float(given.reshape(-1)[0])
