"""Layers that run as one: a convolution, its activation, a pooling, and in prediction a batch normalization."""

from typing import Any, NamedTuple

from ..activations import ReLU
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.geometry import Window, argmax_dtype
from ..layers import BatchNormalization, Conv2D, MaxPooling2D
from ..layers.conv import weight_gradients

#: The methods by which layers run.
METHODS = (
    *("forward", "backward", "backward_parameters", "step_of_mask"),
    *("linear_forward", "linear_backward_input", "linear_backward_parameters"),
)


def is_plain(part: Any, *kinds: type) -> bool:
    """Return whether a layer or an activation is of exactly one of these types, and has the methods of its class."""
    kind = type(part)
    return kind in kinds and not any(callable(getattr(kind, name, None)) for name in vars(part))


class StageCache(NamedTuple):
    """``x`` and ``y``: input and result; ``argmax``: which tap is the largest in each window, if there is pooling."""

    x: Array
    y: Array
    argmax: Array


class ConvStage:
    """A convolution, a ReLU or no activation, and perhaps max-pooling, computed image by image in one kernel.

    Parameters
    ----------
    conv : Conv2D
        With a ReLU as its activation, or with none.
    pool : MaxPooling2D, optional
        The pooling that comes last.
    norm : BatchNormalization, optional
        The normalization between the two; only in a plan for inference.
    """

    def __init__(self, conv: Conv2D, pool: MaxPooling2D | None = None, norm: BatchNormalization | None = None) -> None:
        self.conv, self.pool, self.norm = conv, pool, norm
        self.layers: list[Any] = [layer for layer in (conv, norm, pool) if layer is not None]
        assert conv.window is not None
        #: Window, groups and algorithm of the convolution, whether there is a ReLU, and the window of the pooling.
        self.geometry = (
            conv.window,
            conv.groups,
            conv.algorithm,
            type(conv.activation) is ReLU,
            None if pool is None else pool.window,
        )

    @property
    def params(self) -> dict[str, Parameter]:
        """The parameters of the convolution."""
        return self.conv.params

    @property
    def name(self) -> str:
        """The layers' names, with a plus between them."""
        return " + ".join(str(layer.name) for layer in self.layers)

    def forward(
        self, x: Array, *, training: bool = False, step: int = 0, ws: Workspace | None = None
    ) -> tuple[Array, StageCache | None]:
        """Return result and cache as :meth:`Layer.forward` does, for all layers of the stage together."""
        self.conv.check_input(x)
        return self.run(x, training=training, ws=ws)

    def run(self, x: Array, *, training: bool, ws: Workspace | None) -> tuple[Array, StageCache | None]:
        """Do the same for images that are known to fit, or that are in lanes: (blocks, H, W, C, LANES)."""
        assert not (training and self.norm), "a plan for inference cannot train"
        out, lanes = None, x.shape[4:]
        if ws is not None:
            last = self.layers[-1]
            shape, kind = (len(x), *last.built_output_shape, *lanes), " in lanes" if lanes else ""
            y = ws.keep(last, "y" + kind, shape, last.dtype) if training else ws.flow(shape, last.dtype)
            winners = None
            if self.pool is not None:
                winners = ws.keep(self.pool, "argmax", shape, argmax_dtype(self._pool_window.size))
            out = y, winners
        y, argmax = self._kernels.conv2d_stage_forward(
            x,
            *self.weights(),
            *self.geometry,
            norm=None if self.norm is None else self.norm.inference_terms(),
            out=out,
            work=ws and ws.scratch(),
        )
        return y, (StageCache(x, y, argmax) if training else None)

    def weights(self) -> tuple[Array, Array | None]:
        """Return the kernel and the bias, or None in place of a bias that the convolution does not have."""
        bias = self.conv.params.get("bias")
        return self.conv.params["kernel"].value, None if bias is None else bias.value

    def backward(self, dy: Array, cache: StageCache, *, ws: Workspace | None = None) -> Array:
        """Return dx as :meth:`Layer.backward` does, for all layers of the stage together."""
        self.layers[-1].check_gradient(dy)
        return self.run_back(dy, cache, ws, (True, self.conv.trains))

    def backward_parameters(self, dy: Array, cache: StageCache, *, ws: Workspace | None = None) -> None:
        """Write the convolution's gradients, as :meth:`Layer.backward_parameters` does."""
        self.layers[-1].check_gradient(dy)
        if self.conv.trains:
            self.run_back(dy, cache, ws, (False, True))

    def run_back(self, dy: Array, cache: StageCache, ws: Workspace | None, wants: tuple[bool, bool]) -> Array:
        """Run the kernel; ``wants`` says whether to compute dx, and whether the gradients of the parameters."""
        dx = None
        if ws is not None and wants[0]:
            dx = ws.flow((len(dy), *self.conv.built_input_shape, *dy.shape[4:]), self.conv.dtype)
        dx, _, _ = self._kernels.conv2d_stage_backward(
            dy,
            cache.y,
            cache.argmax,
            cache.x,
            self.conv.params["kernel"].value,
            *self.geometry,
            wants,
            out=(dx, *weight_gradients(self.conv)),
            work=ws and ws.scratch(),
        )
        return dx

    @property
    def _kernels(self) -> Any:
        return self.conv.backend.kernels.fused

    @property
    def _pool_window(self) -> Window:
        assert self.pool is not None
        assert self.pool.window is not None
        return self.pool.window
