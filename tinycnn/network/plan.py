"""Which layers run as one: the plan, made from a model's layers and from what its backend can do.

A layer by itself reads its input from memory and writes its result there. If the backend has a common kernel for two
neighbours, a *step* takes their place in the plan. It has the methods of a layer and computes what the layers would, up
to rounding. Only exact types are joined (``type(layer) is Conv2D``), because a subclass may do something else; its own
forward and backward always run. On a backend without common kernels the plan is the list of layers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..activations import Linear, ReLU
from ..core.backend import Backend
from ..core.parameter import Parameter
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.geometry import Window, argmax_dtype
from ..layers import BatchNormalization, Conv2D, MaxPooling2D
from ..layers.base import Layer
from ..layers.conv import weight_gradients
from .final_softmax import WithoutActivation


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
        self._geometry = (
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
        assert not (training and self.norm), "a plan for inference cannot train"
        self.conv.check_input(x)
        out = None
        if ws is not None:
            y = self.layers[-1].result(ws, len(x), training=training)
            assert y is not None
            winners = None
            if self.pool is not None:
                winners = ws.keep(self.pool, "argmax", y.shape, argmax_dtype(self._pool_window.size))
            out = y, winners
        bias = self.conv.params.get("bias")
        y, argmax = self._kernels.conv2d_stage_forward(
            x,
            self.conv.params["kernel"].value,
            None if bias is None else bias.value,
            *self._geometry,
            norm=None if self.norm is None else self.norm.inference_terms(),
            out=out,
            work=ws and ws.scratch(),
        )
        return y, (StageCache(x, y, argmax) if training else None)

    def backward(self, dy: Array, cache: StageCache, *, ws: Workspace | None = None) -> Array:
        """Return dx as :meth:`Layer.backward` does, for all layers of the stage together."""
        return self._backward(dy, cache, ws, (True, self.conv.trains))

    def backward_parameters(self, dy: Array, cache: StageCache, *, ws: Workspace | None = None) -> None:
        """Write the convolution's gradients, as :meth:`Layer.backward_parameters` does."""
        if self.conv.trains:
            self._backward(dy, cache, ws, (False, True))

    def _backward(self, dy: Array, cache: StageCache, ws: Workspace | None, wants: tuple[bool, bool]) -> Array:
        """Run the kernel; ``wants`` says whether to compute dx, and whether the gradients of the parameters."""
        self.layers[-1].check_gradient(dy)
        dx = self.conv.input_gradient(ws, len(dy)) if wants[0] else None
        dx, _, _ = self._kernels.conv2d_stage_backward(
            dy,
            cache.y,
            cache.argmax,
            cache.x,
            self.conv.params["kernel"].value,
            *self._geometry,
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


def fused(chain: list[Any], backend: Backend, *, training: bool = True) -> list[Any]:
    """Return the plan: ``chain`` with steps in place of the layers that can run as one.

    In inference a batch normalization is a fixed map, so it can join the convolution before it.

    Parameters
    ----------
    chain : list of Layer
        Built layers. The loss may have taken over the softmax of the last one.
    backend : Backend
        The backend of the layers.
    training : bool
        Whether the plan is for training or for inference.
    """
    if not hasattr(backend.kernels, "fused"):
        return list(chain)
    plan: list[Any] = []
    index = 0
    while index < len(chain):
        ahead = chain[index : index + LONGEST]
        step = next((step for pattern in PATTERNS if (step := pattern(ahead, training))), None)
        plan.append(chain[index] if step is None else step)
        index += 1 if step is None else len(step.layers)
    return plan


def parts_of(step: Any) -> list[Any]:
    """Return what runs together in a step of a plan: layers, the last one perhaps without its softmax."""
    return [step] if isinstance(step, Layer | WithoutActivation) else list(step.layers)


def _conv_stage(ahead: list[Any], training: bool) -> ConvStage | None:
    """Return the stage that begins with the first of the layers ahead, or None if it cannot be part of one."""
    conv, *after = ahead
    if type(conv) is not Conv2D or type(conv.activation) not in (ReLU, Linear) or conv.algorithm == "im2col":
        return None
    norm = after.pop(0) if after and type(after[0]) is BatchNormalization and not training else None
    pool = after.pop(0) if after and type(after[0]) is MaxPooling2D else None
    return ConvStage(conv, pool, norm)


#: Each function is given the layers ahead, and whether the plan is for training. It returns the step that takes the
#: place of the first layers, or None.
PATTERNS: tuple[Callable[[list[Any], bool], Any], ...] = (_conv_stage,)
#: How many layers a pattern looks at.
LONGEST = 3
