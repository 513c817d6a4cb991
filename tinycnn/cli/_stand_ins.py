"""Networks of one layer in which a result of an exercise is one of the layer's numbers, so that the page can show it.

What a case does not have is chosen here, such as images for which a max-pooling has the case's ``argmax``. Functions
that treat each number, or each row, by itself are given all samples as one image.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array
from ..kernels.geometry import Window
from ..layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Layer,
    MaxPooling2D,
)
from ..losses import Loss, SparseCategoricalCrossentropy

#: The logit of a probability of 0.
_FAR = -1000.0


class StandIn(NamedTuple):
    """A network of one layer for a case of an exercise, and where its result is in there.

    Attributes
    ----------
    kernel : str
        The kernel whose place the learner's function takes.
    x : (N, H, W, C) array
        The images, which pass the network together.
    layer : Layer, optional
        The layer; None if only the loss is of interest.
    part : str
        Which of the network's numbers the result is: ``y``, ``dx``, the gradient of a parameter by its name,
        ``statistics`` of a batch, or ``losses``.
    position : int
        Which of the kernel's results it is.
    weights : tuple of array
        The layer's weights.
    dy : array, optional
        The gradient by the layer's result; by default ones.
    loss : Loss, optional
        The loss, if it has another gradient.
    labels : (N,) array, optional
        The labels; by default 0.
    training : bool
        Whether the pass is one as in training.
    renamed : dict of str to str
        What the kernel calls arguments that have another name in the exercise.
    note : str
        What has to be said about the page.
    channels : tuple of str
        What each channel of the images is, if that has a name.
    """

    kernel: str
    x: Array
    layer: Layer | None = None
    part: str = "y"
    position: int = 0
    weights: tuple[Array, ...] = ()
    dy: Array | None = None
    loss: Loss | None = None
    labels: Array | None = None
    training: bool = False
    renamed: Mapping[str, str] = MappingProxyType({})
    note: str = ""
    channels: tuple[str, ...] = ()


Arguments = dict[str, Any]


def _slid(layer: Layer, a: Arguments, size: tuple[int, ...]) -> Any:
    """Let a layer's window have the stride and the pad of a case, which may be any."""
    window = Window((size[0], size[1]), (a["stride"],) * 2, (a["pad"],) * 4)
    vars(layer)["window_over"] = lambda _: window  # in the instance, it stands before the method of the class
    return layer


# Convolution ----------------------------------------------------------------------------------------------------------


def _convolution(a: Arguments, w: Array, x: Array, kernel: str = "conv2d_forward", **more: Any) -> StandIn:
    """Return a convolution; it has a bias if the case has one."""
    name, bias = more.pop("name", "conv2d"), a.get("b")
    convolution = Conv2D(w.shape[3], w.shape[:2], strides=a["stride"], use_bias=bias is not None, name=name)
    weights = (w,) if bias is None else (w, bias)
    return StandIn(kernel, x, _slid(convolution, a, w.shape), weights=weights, **more)


def _conv2d(a: Arguments) -> StandIn:
    return _convolution(a, a["w"], a["x"])


def _conv2d_dx(a: Arguments) -> StandIn:
    x = np.zeros((len(a["dy"]), a["H"], a["W"], a["w"].shape[2]))
    return _convolution(a, a["w"], x, "conv2d_backward_input", part="dx", dy=a["dy"])


def _conv2d_dw(a: Arguments) -> StandIn:
    w = np.zeros((a["KH"], a["KW"], a["x"].shape[3], a["dy"].shape[3]))
    return _convolution(a, w, a["x"], "conv2d_backward_weights", part="kernel", dy=a["dy"])


def _conv2d_db(a: Arguments) -> StandIn:
    dy = a["dy"].reshape(1, -1, *a["dy"].shape[2:])
    made = {"stride": 1, "pad": 0, "b": np.zeros(dy.shape[3])}
    w, x = np.zeros((1, 1, 1, dy.shape[3])), np.zeros((*dy.shape[:3], 1))
    return _convolution(made, w, x, "conv2d_backward_weights", part="bias", position=1, dy=dy)


def _one_hot_taps(KH: int, KW: int, C: int) -> Array:
    """Return weights with a filter for each tap and channel, which takes nothing but that number of the window."""
    return np.eye(KH * KW * C).reshape(KH, KW, C, KH * KW * C)


_AS_FILTERS = "The matrix is shown as a convolution whose filter f takes out what belongs to column f."


def _im2col(a: Arguments) -> StandIn:
    w = _one_hot_taps(a["KH"], a["KW"], a["x"].shape[3])
    return _convolution(a, w, a["x"], name="im2col", note=_AS_FILTERS)


def _col2im(a: Arguments) -> StandIn:
    w = _one_hot_taps(a["KH"], a["KW"], a["shape"][3])
    more = {"part": "dx", "dy": a["cols"], "renamed": {"cols": "dy"}, "name": "col2im", "note": _AS_FILTERS}
    return _convolution(a, w, np.zeros(a["shape"]), "conv2d_backward_input", **more)


def _pad_image(a: Arguments) -> StandIn:
    w = _one_hot_taps(1, 1, a["x"].shape[3])
    note = "Padding is shown as a convolution of one tap, whose filter c takes channel c of the padded image."
    return _convolution(a | {"stride": 1}, w, a["x"], name="pad_image", note=note)


def _window_counts(a: Arguments) -> StandIn:
    note = "The counts are shown as a convolution of ones with ones."
    x, w = np.ones((1, a["H"], a["W"], 1)), np.ones((a["KH"], a["KW"], 1, 1))
    return _convolution(a, w, x, name="window_counts", note=note)


# Pooling --------------------------------------------------------------------------------------------------------------


def _pooling(kind: type[MaxPooling2D | AveragePooling2D], kernel: str, **fixed: Any) -> Callable[[Arguments], StandIn]:
    """Return what makes a pooling of a case."""

    def made(a: Arguments) -> StandIn:
        layer = _slid(kind((a["KH"], a["KW"]), strides=a["stride"], name="pooling"), a, (a["KH"], a["KW"]))
        if "x" in a:
            return StandIn(kernel, a["x"], layer, **fixed)
        x = _won_by(**a) if "argmax" in a else np.zeros((len(a["dy"]), a["H"], a["W"], a["dy"].shape[3]))
        return StandIn(kernel, x, layer, dy=a["dy"], **fixed)

    return made


def _won_by(dy: Array, argmax: Array, H: int, W: int, KH: int, KW: int, stride: int, pad: int) -> Array:
    """Return images of whole numbers in which the pixel that ``argmax`` names is the largest of each window."""
    x = np.zeros((len(dy), H, W, dy.shape[3]))
    for _ in range(H * W):  # a pixel rises above those that it has to be larger than, which may have risen themselves
        before = x.copy()
        for n, i, j, c in np.ndindex(argmax.shape):
            p, q = divmod(int(argmax[n, i, j, c]), KW)
            top, left = i * stride - pad, j * stride - pad
            rows, columns = slice(max(top, 0), top + KH), slice(max(left, 0), left + KW)
            others = x[n, rows, columns, c].copy()
            others[top + p - rows.start, left + q - columns.start] = -1
            x[n, top + p, left + q, c] = max(x[n, top + p, left + q, c], others.max() + 1)
        if np.array_equal(before, x):
            break
    return x


# Activations, softmax and cross-entropy -------------------------------------------------------------------------------


def _elementwise(a: Array) -> Array:
    """Return rows (N, D) as one image of N rows and D columns."""
    return a.reshape(1, *a.shape, 1)


def _rowwise(a: Array) -> Array:
    """Return rows (N, K) as one image of N rows with K channels."""
    return a.reshape(1, len(a), 1, a.shape[1])


def _activation(
    name: str, part: str, image: Callable[[Array], Array], before: Callable[[Array], Array], argument: str
) -> Callable[[Arguments], StandIn]:
    """Return what makes an activation; ``before`` returns what it has to be given, from the case's ``argument``."""

    def made(a: Arguments) -> StandIn:
        layer, x = Activation(name, name=name), image(before(a[argument]))
        if part == "dx":
            return StandIn(f"{name}_backward", x, layer, part, dy=image(a["dy"]))
        return StandIn(f"{name}_forward", x, layer, renamed={argument: "x"})

    return made


def _before_relu(y: Array) -> Array:
    return np.where(y > 0, y, -1.0)  # not 0, where the slope jumps


def _before_sigmoid(y: Array) -> Array:
    return _log(y) - _log(1 - y)


def _log(p: Array) -> Array:
    return np.where(p > 0, np.log(np.where(p > 0, p, 1.0)), _FAR)


def _itself(x: Array) -> Array:
    return x


def _logits(a: Array) -> Array:
    """Return logits (N, K) as N images of one row."""
    return a.reshape(len(a), 1, a.shape[1], 1)


def _cross_entropy(a: Arguments) -> StandIn:
    loss = SparseCategoricalCrossentropy(from_logits=True)
    kernel = "softmax_cross_entropy_forward"
    return StandIn(kernel, _logits(a["logits"]), part="losses", loss=loss, labels=a["labels"])


def _cross_entropy_of_shares(a: Arguments) -> StandIn:
    from ..explore.given import GivenShares

    kernel = "categorical_cross_entropy_forward"
    return StandIn(kernel, _logits(a["logits"]), part="losses", loss=GivenShares(a["shares"]))


def _cross_entropy_dlogits(a: Arguments) -> StandIn:
    from ..explore.given import WeightedCrossentropy

    note = "It is the gradient at the logits, which a layer that changes no number has been given."
    more: Any = {"loss": WeightedCrossentropy(a["dlosses"]), "labels": a["labels"], "renamed": {"dlosses": "weights"}}
    return StandIn("softmax_cross_entropy_backward", _logits(_log(a["p"])), part="dx", note=note, **more)


# Batch normalization --------------------------------------------------------------------------------------------------


def _batch(a: Array) -> Array:
    """Return all images as one, of which a batch normalization has the same mean and variance."""
    return a.reshape(1, -1, *a.shape[2:])


def _normalization(kernel: str, **fixed: Any) -> Callable[[Arguments], StandIn]:
    """Return what makes a batch normalization that takes its statistics from the case's images."""

    def made(a: Arguments) -> StandIn:
        C = a["x"].shape[3]
        zero, one = np.zeros(C), np.ones(C)
        names = {"gamma": one, "beta": zero, "moving_mean": zero, "moving_variance": one}
        weights = tuple(a.get(name, otherwise) for name, otherwise in names.items())
        layer = BatchNormalization(epsilon=a["epsilon"], name="batchnorm")
        dy = _batch(a["dy"]) if "dy" in a else None
        return StandIn(kernel, _batch(a["x"]), layer, weights=weights, dy=dy, training=True, **fixed)

    return made


def _batchnorm_layer(a: Arguments) -> StandIn:
    if a["training"]:
        return _normalization("batch_norm_forward")(a)
    names = {"moving_mean": "mean", "moving_variance": "variance"}
    return _normalization("batch_norm_inference_forward", renamed=names)(a)._replace(training=False)


# Dropout --------------------------------------------------------------------------------------------------------------


def _dropout(name: str, mask_of: Callable[[Arguments], Array], kernel: str) -> Callable[[Arguments], StandIn]:
    """Return what makes a dropout with a given mask, as a depthwise convolution whose weights are the mask."""
    note = "The mask is shown as the weights of a depthwise convolution: one channel for each number."

    def made(a: Arguments) -> StandIn:
        mask = mask_of(a).reshape(1, 1, -1, 1)
        layer = DepthwiseConv2D(1, use_bias=False, name=name)
        if "x" in a:
            return StandIn(kernel, a["x"].reshape(1, 1, 1, -1), layer, weights=(mask,), note=note)
        dy = a["dy"].reshape(1, 1, 1, -1)
        return StandIn(kernel, np.zeros_like(dy), layer, "dx", weights=(mask,), dy=dy, note=note)

    return made


def _mask_alone(a: Arguments) -> StandIn:
    """Return the network whose result is the mask itself, because it is given ones."""
    return _dropped_out(a | {"x": np.ones_like(a["x"])})._replace(renamed={"x": ""})


def _mask_of_numbers(a: Arguments) -> Array:
    return (a["u"] >= a["rate"]) / (1 - a["rate"]) if a["training"] else np.ones(a["x"].shape)


def _mask_of_channels(a: Arguments) -> Array:
    mask = (a["u"] >= a["rate"]) / (1 - a["rate"])
    return np.broadcast_to(mask[:, None, None, :], a["x"].shape)


# All of them ----------------------------------------------------------------------------------------------------------

_dropped_out = _dropout("dropout", _mask_of_numbers, "conv2d_forward")

#: What makes the network of a case, for each exercise and each of its results that are those of a layer.
STAND_INS: dict[tuple[str, int], Callable[[Arguments], StandIn]] = {
    ("pad_image", 0): _pad_image,
    ("conv2d", 0): _conv2d,
    ("im2col", 0): _im2col,
    ("conv2d_im2col", 0): _conv2d,
    ("col2im", 0): _col2im,
    ("conv2d_db", 0): _conv2d_db,
    ("conv2d_dw", 0): _conv2d_dw,
    ("conv2d_dx", 0): _conv2d_dx,
    ("max_pool2d", 0): _pooling(MaxPooling2D, "max_pool2d_forward"),
    ("max_pool2d", 1): _pooling(MaxPooling2D, "max_pool2d_forward", position=1),
    ("max_pool2d_dx", 0): _pooling(MaxPooling2D, "max_pool2d_backward", part="dx"),
    ("window_counts", 0): _window_counts,
    ("average_pool2d", 0): _pooling(AveragePooling2D, "average_pool2d_forward"),
    ("average_pool2d_dx", 0): _pooling(AveragePooling2D, "average_pool2d_backward", part="dx"),
    ("relu", 0): _activation("relu", "y", _elementwise, _itself, "x"),
    ("relu_dx", 0): _activation("relu", "dx", _elementwise, _before_relu, "y"),
    ("sigmoid", 0): _activation("sigmoid", "y", _elementwise, _itself, "x"),
    ("sigmoid_dx", 0): _activation("sigmoid", "dx", _elementwise, _before_sigmoid, "y"),
    ("softmax", 0): _activation("softmax", "y", _rowwise, _itself, "logits"),
    ("cross_entropy", 0): _cross_entropy,
    ("cross_entropy_dlogits", 0): _cross_entropy_dlogits,
    ("cross_entropy_of_shares", 0): _cross_entropy_of_shares,
    ("softmax_dx", 0): _activation("softmax", "dx", _rowwise, _log, "y"),
    ("batchnorm_forward", 0): _normalization("batch_norm_forward"),
    ("batchnorm_forward", 1): _normalization("batch_norm_forward", position=1, part="statistics"),
    ("batchnorm_forward", 2): _normalization("batch_norm_forward", position=2, part="statistics"),
    ("batchnorm_layer", 0): _batchnorm_layer,
    ("batchnorm_dgamma_dbeta", 0): _normalization("batch_norm_backward", position=1, part="gamma"),
    ("batchnorm_dgamma_dbeta", 1): _normalization("batch_norm_backward", position=2, part="beta"),
    ("batchnorm_dx", 0): _normalization("batch_norm_backward", part="dx"),
    ("dropout_forward", 0): _dropped_out,
    ("dropout_forward", 1): _mask_alone,
    ("dropout_backward", 0): _dropout("dropout", lambda a: np.asarray(a["mask"]), "conv2d_backward_input"),
    ("channel_dropout", 0): _dropout("channel_dropout", _mask_of_channels, "conv2d_forward"),
}
