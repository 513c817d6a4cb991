"""Which layers run as one: the plan, made from a model's layers and from what its backend can do.

A layer by itself reads its input from memory and writes its result there. If the backend has a common kernel for two
neighbours, a *step* takes their place in the plan. It has the methods of a layer and computes what the layers would, up
to rounding. Only exact types are joined (``type(layer) is Conv2D``), because a subclass may do something else; its own
forward and backward always run. On a backend without common kernels the plan is the list of layers.
"""

from collections.abc import Callable
from typing import Any

from ..activations import Linear, ReLU
from ..core.backend import Backend
from ..layers import BatchNormalization, Conv2D, MaxPooling2D
from ..layers.base import Layer
from .final_activation import WithoutActivation
from .lanes import with_lanes
from .norm_stage import with_norms
from .stage import ConvStage, is_plain


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
    return with_norms(with_lanes(plan)) if training else with_lanes(plan)


def parts_of(step: Any) -> list[Any]:
    """Return what runs together in a step of a plan: layers, the last one perhaps without its softmax."""
    return [step] if isinstance(step, Layer | WithoutActivation) else list(step.layers)


def _conv_stage(ahead: list[Any], training: bool) -> ConvStage | None:
    """Return the stage that begins with the first of the layers ahead, or None if it cannot be part of one."""
    conv, *after = ahead
    if not is_plain(conv, Conv2D) or not is_plain(conv.activation, ReLU, Linear) or conv.algorithm == "im2col":
        return None
    norm = after.pop(0) if after and is_plain(after[0], BatchNormalization) and not training else None
    pool = after.pop(0) if after and is_plain(after[0], MaxPooling2D) else None
    return ConvStage(conv, pool, norm)


#: Each function is given the layers ahead, and whether the plan is for training. It returns the step that takes the
#: place of the first layers, or None.
PATTERNS: tuple[Callable[[list[Any], bool], Any], ...] = (_conv_stage,)
#: How many layers a pattern looks at.
LONGEST = 3
