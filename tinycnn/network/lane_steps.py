"""Steps of a plan whose images lie in the lanes of vectors: a stage, and each layer that can stand between two stages.

What passes between them is an :class:`InLanes`. Lanes of its last block that hold no image are zero where the images
come in, and may hold any finite number later: no image sees them, statistics leave them out, and their gradients are
zero.
"""

from typing import Any, ClassVar, NamedTuple

from .. import activations
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.geometry import argmax_dtype
from ..layers import (
    ELU,
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Dropout,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
)
from ..layers.activation import ActivationCache
from ..layers.base import Nothing
from ..layers.batchnorm import BatchNormCache
from ..layers.dropout import DropoutCache
from ..layers.pool import MaxPoolCache
from .stage import ConvStage, is_plain


class InLanes(NamedTuple):
    """A batch in lanes: ``array`` is (blocks, H, W, C, LANES), and ``images`` is how many lanes are not empty."""

    array: Array
    images: int


class LaneStep:
    """Base of the steps: a batch that is not in lanes passes to the methods of what the step stands for.

    Parameters
    ----------
    single : Layer or ConvStage
        It has the methods of a layer.
    """

    def __init__(self, single: Any) -> None:
        self.single, self.name = single, single.name

    @property
    def layers(self) -> list[Any]:
        """The layers that the step stands for."""
        return [self.single]

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of these layers."""
        return self.single.params

    def forward(self, x: Any, *, training: bool = False, step: int = 0, ws: Workspace | None = None) -> tuple[Any, Any]:
        """Return result and cache as :meth:`Layer.forward` does."""
        if not isinstance(x, InLanes):
            return self.single.forward(x, training=training, step=step, ws=ws)
        y, cache = self.run(x, training=training, step=step, ws=ws)
        return InLanes(y, x.images), cache

    def backward(self, dy: Any, cache: Any, *, ws: Workspace | None = None) -> Any:
        """Return dx as :meth:`Layer.backward` does."""
        if not isinstance(dy, InLanes):
            return self.single.backward(dy, cache, ws=ws)
        return InLanes(self.run_back(dy, cache, ws), dy.images)

    def backward_parameters(self, dy: Any, cache: Any, *, ws: Workspace | None = None) -> None:
        """Write the gradients of parameters as :meth:`Layer.backward_parameters` does."""
        if not isinstance(dy, InLanes):
            self.single.backward_parameters(dy, cache, ws=ws)
        else:
            self.run_back(dy, cache, ws, input_gradient=False)

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        """Return the result for images in lanes, and the cache (None unless ``training``)."""
        raise NotImplementedError

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        """Write the gradients of parameters and return dx; it is not read where ``input_gradient`` is False."""
        raise NotImplementedError

    def _result(self, x: InLanes, ws: Workspace | None, *, training: bool) -> Array | None:
        """Return memory for a layer's result, or None if the kernel is to make a fresh array."""
        if ws is None:
            return None
        shape = self._shape(x, self.single.built_output_shape)
        return ws.keep(self.single, "y in lanes", shape, x.array.dtype) if training else ws.flow(shape, x.array.dtype)

    def _input_gradient(self, dy: InLanes, ws: Workspace | None) -> Array | None:
        """Return memory for dx, or None if the kernel is to make a fresh array."""
        return None if ws is None else ws.flow(self._shape(dy, self.single.built_input_shape), dy.array.dtype)

    @staticmethod
    def _shape(x: InLanes, sample: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in lanes of as many samples as there are in x."""
        return len(x.array), *sample, x.array.shape[-1]

    @property
    def _fused(self) -> Any:
        return self.single.backend.kernels.fused


class LaneStage(LaneStep):
    """A convolution with its neighbours.

    Parameters
    ----------
    stage : ConvStage
    """

    def __init__(self, stage: ConvStage) -> None:
        super().__init__(stage)
        self.stage = stage

    @property
    def layers(self) -> list[Any]:
        return self.stage.layers

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        return self.stage.run(x.array, training=training, ws=ws)

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        if not input_gradient and not self.stage.conv.trains:
            return dy.array
        return self.stage.run_back(dy.array, cache, ws, (input_gradient, self.stage.conv.trains))


class LaneDropout(LaneStep):
    """A dropout, whose mask is that of the usual layout."""

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, DropoutCache | None]:
        if not training:
            return x.array, None
        return self._mask(x.array, step, self._result(x, ws, training=True)), DropoutCache(step)

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        return self._mask(dy.array, cache.step, None if ws is None else dy.array)

    def _mask(self, x: Array, step: int, out: Array | None) -> Array:
        """Return x, or a gradient, with the mask of a step applied."""
        step = self.single.step_of_mask(step)
        return self._fused.lane_dropout(x, self.single.rate_of_kernels, self.single.noise_seed, step, out=out)


class LaneActivation(LaneStep):
    """An activation of single numbers: its kernels take arrays of any shape. Softmax is none of these."""

    functions: ClassVar = (
        *(activations.ELU, activations.GELU, activations.LeakyReLU, activations.Linear),
        *(activations.ReLU, activations.Sigmoid, activations.Tanh),
    )

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        function = self.single.activation
        y = function.forward(self.single.kernels, x.array, out=self._result(x, ws, training=training))
        return y, (ActivationCache(function.to_keep(x.array, y)) if training else None)

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        out = None if ws is None else dy.array
        return self.single.activation.backward(self.single.kernels, dy.array, cache.kept, out=out)


class LanePooling(LaneStep):
    """A pooling: its kernels take the lanes for more channels."""

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        pool, out, work = self.single, self._result(x, ws, training=training), ws and ws.scratch()
        images, y = _as_channels(x.array), None if out is None else _as_channels(out)
        cache: Any = Nothing()
        if type(pool) is AveragePooling2D:
            y = pool.kernels.average_pool2d_forward(images, *pool.geometry(), out=y, work=work)
        else:
            outs = None
            if ws is not None and y is not None:
                outs = y, ws.keep(pool, "argmax in lanes", y.shape, argmax_dtype(pool.geometry()[0]))
            y, argmax = pool.kernels.max_pool2d_forward(images, *pool.geometry(), out=outs, work=work)
            cache = MaxPoolCache(argmax)
        return y.reshape(self._shape(x, pool.built_output_shape)), (cache if training else None)

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        pool, out, work = self.single, self._input_gradient(dy, ws), ws and ws.scratch()
        arguments = pool.built_input_shape[:2], *pool.geometry()
        gradient, dx = _as_channels(dy.array), None if out is None else _as_channels(out)
        if type(pool) is AveragePooling2D:
            dx = pool.kernels.average_pool2d_backward(gradient, *arguments, out=dx, work=work)
        else:
            dx = pool.kernels.max_pool2d_backward(gradient, cache.argmax, *arguments, out=dx, work=work)
        return dx.reshape(self._shape(dy, pool.built_input_shape))


class LaneNorm(LaneStep):
    """A batch normalization, whose statistics leave out lanes without an image."""

    def run(self, x: InLanes, *, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        norm, by_batch = self.single, training and self.single.trainable
        y, work = self._result(x, ws, training=training), ws and ws.scratch()
        if by_batch:
            gamma, beta = norm.gamma_and_beta()
            out = None if ws is None else (y, *(ws.keep(norm, s, gamma.shape, norm.dtype) for s in ("mean", "var")))
            y, mean, variance = self._fused.lane_norm_forward(*x, gamma, beta, norm.epsilon, out=out, work=work)
            norm._move_averages(mean, variance)
        else:
            _, _, mean, variance, _ = terms = norm.inference_terms()
            y = self._fused.lane_norm_inference_forward(*x, *terms, out=y, work=work)
        return y, (BatchNormCache(x.array, mean, variance, by_batch) if training else None)

    def run_back(self, dy: InLanes, cache: Any, ws: Workspace | None, *, input_gradient: bool = True) -> Array:
        norm, dx = self.single, self._input_gradient(dy, ws)
        gradients = [norm.params[name].grad if name in norm.params else None for name in ("gamma", "beta")]
        gamma, _ = norm.gamma_and_beta()
        dx, _, _ = self._fused.lane_norm_backward(
            dy.array, cache.x, dy.images, gamma, cache.mean, cache.variance, norm.epsilon, cache.by_batch,
            out=(dx, *gradients), work=ws and ws.scratch(),
        )  # fmt: skip
        return dx


def _as_channels(array: Array) -> Array:
    """Return images whose lanes are taken for more channels: (blocks, H, W, C * LANES)."""
    return array.reshape(*array.shape[:3], -1)


#: Which step stands for a layer of exactly this type.
STEPS: dict[type, type[LaneStep]] = {
    **dict.fromkeys((Activation, ELU, LeakyReLU, ReLU), LaneActivation),
    **dict.fromkeys((AveragePooling2D, MaxPooling2D), LanePooling),
    BatchNormalization: LaneNorm,
    Dropout: LaneDropout,
}


def lane_layer(layer: Any) -> LaneStep | None:
    """Return the step for a layer of images, or None if there is none."""
    kind = STEPS.get(type(layer))
    if kind is None or not is_plain(layer, type(layer)) or len(layer.built_output_shape) != 3:
        return None
    if kind is LaneActivation and not is_plain(layer.activation, *LaneActivation.functions):
        return None
    return kind(layer)
