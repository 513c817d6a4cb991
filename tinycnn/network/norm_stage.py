"""A convolution, its activation, the batch normalization behind it and perhaps a pooling, which run as one in training.

What is saved is memory traffic; ``kernels/cpu/fused/conv_norm.py`` says how.
"""

from typing import Any, NamedTuple

from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.geometry import argmax_dtype
from ..layers import BatchNormalization, MaxPooling2D
from ..layers.conv import weight_gradients
from .stage import ConvStage, is_plain


class NormStageCache(NamedTuple):
    """``x``: the input; ``argmax``, ``z``, ``peaks``, ``mean``, ``variance``: what the kernel returned for backward."""

    x: Array
    argmax: Array
    z: Array
    peaks: Array
    mean: Array
    variance: Array


class NormStage:
    """A stage without pooling, a batch normalization, and perhaps the max-pooling behind that.

    If there are only a few images, or the normalization is frozen and so takes its moving statistics, the parts run one
    after another.

    Parameters
    ----------
    stage : ConvStage
    norm : BatchNormalization
    pool : MaxPooling2D, optional
    """

    def __init__(self, stage: ConvStage, norm: BatchNormalization, pool: MaxPooling2D | None) -> None:
        self.stage, self.norm, self.pool = stage, norm, pool
        self.layers: list[Any] = [stage.conv, norm, *([] if pool is None else [pool])]
        *shared, _ = stage.geometry
        self._geometry = *shared, None if pool is None else pool.window

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of the convolution and of the normalization."""
        return self.stage.params | self.norm.params

    @property
    def name(self) -> str:
        """The layers' names, with a plus between them."""
        return " + ".join(str(layer.name) for layer in self.layers)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, Any]:
        """Return result and cache as :meth:`Layer.forward` does, for all layers of the stage together."""
        if not training or not self.norm.trainable or len(x) < self._kernels.LEAST_IMAGES:
            return self._forward_apart(x, training, step, ws)
        self.stage.conv.check_input(x)
        y, *kept = self._kernels.conv2d_norm_stage_forward(
            x, *self.stage.weights(), *self._geometry, *self.norm.gamma_and_beta(), self.norm.epsilon,
            out=self._memory(len(x), ws), work=ws and ws.scratch(),
        )  # fmt: skip
        cache = NormStageCache(x, *kept)
        self.norm._move_averages(cache.mean, cache.variance)
        return y, cache

    def backward(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> Array:
        """Return dx as :meth:`Layer.backward` does, for all layers of the stage together."""
        if isinstance(cache, NormStageCache):
            return self._run_back(dy, cache, ws, input_gradient=True)
        return self.stage.backward(self._back_to_stage(dy, cache, ws), cache[0], ws=ws)

    def backward_parameters(self, dy: Array, cache: Any, *, ws: Workspace | None = None) -> None:
        """Write the gradients of parameters, as :meth:`Layer.backward_parameters` does."""
        if isinstance(cache, NormStageCache):
            self._run_back(dy, cache, ws, input_gradient=False)
        else:
            self.stage.backward_parameters(self._back_to_stage(dy, cache, ws), cache[0], ws=ws)

    def _forward_apart(self, x: Array, training: bool, step: int, ws: Workspace | None) -> tuple[Array, Any]:
        """Return the result of the parts, one after another, and their caches."""
        x, cache = self.stage.forward(x, training=training, step=step, ws=ws)
        x, norm_cache = self.norm.forward(x, training=training, step=step, ws=ws)
        if self.pool is None:
            return x, (cache, norm_cache)
        x, pool_cache = self.pool.forward(x, training=training, step=step, ws=ws)
        return x, (cache, norm_cache, pool_cache)

    def _back_to_stage(self, dy: Array, caches: Any, ws: Workspace | None) -> Array:
        """Return the gradient by the convolution's result, where the parts ran one after another."""
        if self.pool is not None:
            dy = self.pool.backward(dy, caches[2], ws=ws)
        return self.norm.backward(dy, caches[1], ws=ws)

    def _memory(self, images: int, ws: Workspace | None) -> tuple[Array | None, ...] | None:
        """Return memory for what the kernel returns, or None if it is to make fresh arrays."""
        if ws is None:
            return None
        conv, norm, pool, dtype = self.stage.conv, self.norm, self.pool, self.norm.dtype
        whole, channels = (images, *conv.built_output_shape), (conv.filters,)
        z = ws.keep(conv, "y", whole, dtype)
        mean, variance = (ws.keep(norm, name, channels, dtype) for name in ("mean", "var"))
        if pool is None:
            return ws.keep(norm, "y", whole, dtype), None, z, None, mean, variance
        shape, window = (images, *pool.built_output_shape), pool.window
        assert window is not None
        argmax = ws.keep(pool, "argmax", shape, argmax_dtype(window.size))
        return ws.keep(pool, "y", shape, dtype), argmax, z, ws.keep(pool, "peaks", shape, dtype), mean, variance

    def _run_back(self, dy: Array, cache: NormStageCache, ws: Workspace | None, *, input_gradient: bool) -> Array:
        """Run the kernel of all gradients and return dx; it is empty without ``input_gradient``."""
        self.layers[-1].check_gradient(dy)
        conv, norm, dx = self.stage.conv, self.norm, None
        if ws is not None and input_gradient:
            dx = ws.flow((len(dy), *conv.built_input_shape), conv.dtype)
        gradients = [norm.params[name].grad if name in norm.params else None for name in ("gamma", "beta")]
        gamma, _ = norm.gamma_and_beta()
        result: Array = self._kernels.conv2d_norm_stage_backward(
            dy, cache.argmax, cache.z, cache.peaks, cache.x, conv.params["kernel"].value, *self._geometry, gamma,
            cache.mean, cache.variance, norm.epsilon, (input_gradient, conv.trains),
            out=(dx, *weight_gradients(conv), *gradients), work=ws and ws.scratch(),
        )[0]  # fmt: skip
        return result

    @property
    def _kernels(self) -> Any:
        return self.norm.backend.kernels.fused


def with_norms(plan: list[Any]) -> list[Any]:
    """Return a plan in which each stage with a batch normalization behind it, and the pooling behind that, is one."""
    result: list[Any] = []
    for step in plan:
        last = result[-1] if result else None
        if is_plain(step, BatchNormalization) and isinstance(last, ConvStage) and last.pool is last.norm is None:
            result[-1] = NormStage(last, step, None)
        elif is_plain(step, MaxPooling2D) and isinstance(last, NormStage) and last.pool is None:
            result[-1] = NormStage(last.stage, last.norm, step)
        else:
            result.append(step)
    return result
