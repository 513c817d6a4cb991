"""Run a network on copies of its layers, as in inference but ready for a backward; the model itself never changes.

The copies compute as in inference, but keep what backward needs. They are frozen, which makes batch normalisation use
its moving statistics, and a layer that returns its input unchanged in inference (dropout, noise) is skipped.
"""

import copy
from typing import Any, NamedTuple

import numpy as np

from .. import activations
from ..core.backend import Backend
from ..core.types import Array
from ..kernels.threads import one_blas_thread
from ..layers import ActivatedLayer, Activation, Dropout, GaussianNoise, Layer
from ..network.final_activation import ends_in_probabilities, last_that_computes
from ..network.network import Network
from .unchanged import unchanged, walk_backward_unchanged, walk_forward_unchanged

_REFERENCE = Backend("reference")


def _backend_for(layer: Layer) -> Backend:
    """Return what a copy of a layer runs on: a learner's own kernels if the layer has such, or else the reference.

    The reference gives exact zeros where nothing flows, and compiles nothing.
    """
    return _REFERENCE if layer.backend.overlay is None else layer.backend


def _quiet() -> np.errstate:
    """Turn off NumPy's warnings about NaN and infinity, which an error reports later."""
    return np.errstate(over="ignore", invalid="ignore")


class Step(NamedTuple):
    """A layer's copy, its result for a batch, what its backward needs, and whether it returned its input unchanged."""

    layer: Layer
    y: Array
    cache: Any
    passed: bool


def copy_of(layer: Layer) -> Layer:
    """Return a frozen copy on the reference backend, or with the learner's own kernels that the layer has.

    Raises
    ------
    ValueError
        If the layer contains something that cannot be copied.
    """
    memo: dict[int, Any] = {id(layer.backend): _backend_for(layer)}
    arrays = [*layer.weights().values(), *(p.grad for p in layer.params.values())]
    memo |= {id(array): np.array(layer.backend.to_numpy(array)) for array in arrays}
    try:
        twin = copy.deepcopy(layer, memo)
    except Exception as error:  # a layer of the user may hold anything
        raise ValueError(
            f"model: {layer.label} cannot be copied, and pictures are drawn from copies: {error}"
        ) from error
    twin.trainable = False
    return twin


def copies_up_to_scores(model: Network) -> list[Layer]:
    """Return copies of all layers, without a final softmax or sigmoid.

    The probabilities of a softmax depend on each other, and those of a network that is sure have no slope; scores do
    not have these faults.
    """
    twins = [copy_of(layer) for layer in model.layers]
    last = last_that_computes(twins)
    if isinstance(last, ActivatedLayer | Activation) and ends_in_probabilities(last):
        vars(last)["activation"] = activations.get("linear")  # a layer called Softmax lets nobody set it
    return twins


def run(twins: list[Layer], x: Array) -> list[Step]:
    """Return every layer's result for a batch in inference, with what its backward needs.

    Raises
    ------
    ValueError
        If a layer computes something else in training even when it is frozen, because only a forward pass in training
        keeps what backward needs; or if a layer changes its input in place.
    """
    steps = []
    with one_blas_thread(), _quiet():
        for twin, given, y, _ in walk_forward_unchanged(twins, x, training=False):
            cache, passed = None, y is given or (isinstance(twin, Dropout | GaussianNoise) and np.array_equal(y, given))
            if not passed:
                cache = _cache_of(twin, given, y)
            steps.append(Step(twin, y, cache, passed))
    return steps


def _cache_of(twin: Layer, given: Array, y: Array) -> Any:
    """Return what a copy keeps for its backward when it is given a batch for which it gives ``y`` in inference."""
    with unchanged(twin, "forward", {"its input": given}):
        kept, cache = twin.forward(given, training=True)
    if not computes_alike(y, kept):
        raise ValueError(
            f"model: {twin.label} gives another result in training than in inference even when it is "
            "frozen, so its gradient in inference cannot be computed"
        )
    return cache


def computes_alike(y: Array, in_training: Array) -> bool:
    """Return whether a layer's result in training is the one in inference, up to rounding.

    Then what its forward in training keeps is right for a backward through the one in inference.
    """
    scale = float(np.abs(y, where=np.isfinite(y), out=np.zeros_like(y)).max(initial=0))
    return np.allclose(in_training, y, rtol=1e-3, atol=1e-5 * scale, equal_nan=True)


def gradient_by_input(steps: list[Step], dy: Array) -> Array:
    """Return the gradient with respect to the first step's input.

    Parameters
    ----------
    steps : list of Step
    dy : array
        The gradient with respect to the last step's result.

    Raises
    ------
    ValueError
        If the gradient or the last step's result is not finite.
    """
    with one_blas_thread(), _quiet():
        active = [step for step in steps if not step.passed]
        layers, caches = [step.layer for step in active], [step.cache for step in active]
        *_, (_, _, dx) = ((None, dy, dy), *walk_backward_unchanged(layers, caches, dy, {}))
    # A relu stops the gradient of NaN, so the result is checked as well.
    if not all(np.isfinite(array).all() for array in (dx, *(step.y for step in steps[-1:]))):
        raise ValueError("model must give finite numbers, but gives NaN or infinity for this image")
    return dx
