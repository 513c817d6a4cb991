"""Evaluating, predicting, and training on a single batch: what a model does outside of ``fit``."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.checks import boolean, integer, verbosity
from ..core.printing import say
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.threads import one_blas_thread
from ..network.network import Network
from . import device_memory, recorded
from .batches import Batch, SampleSource, block_size, images_of, take
from .callback import Logs
from .data import check_class_weight, checked_data, images_for, sample_weights
from .interrupt import deferred_interrupt
from .running_means import RunningMeans
from .sequences import BatchSamples, are_batches, refuse_targets_of_batches
from .step import train_step


def train_on_batch(model: Network, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Logs:
    """Take one optimizer step on one batch, as :meth:`tinycnn.Sequential.train_on_batch` says."""
    x, y = checked_data(model, x, y)
    if not len(x):
        raise ValueError("x is empty: there is nothing to train on")
    if class_weight is not None:
        check_class_weight(model, class_weight)
    weight = sample_weights(model, sample_weight, class_weight, y, name="train_on_batch")
    if model.backend.on_device:
        need = device_memory.training_need(model, model.plan, None, 0)
        device_memory.check(model, need, len(x), "training on")
    means, plan = RunningMeans(model), model.plan
    with one_blas_thread(), model.lent_workspace() as ws:
        batch = Batch(take(x, slice(None), ws, model.dtype, model.backend), y, weight)
        with deferred_interrupt() as interrupt:
            if recorded.can_record(model):
                recorded.take_step(train_step, model, plan, batch, means, ws)
            else:
                train_step(model, plan, batch, means, ws)
        interrupt.check()
    return means.results()


def evaluate(
    model: Network,
    x: Any,
    y: Any,
    batch_size: int | None,
    steps: int | None,
    *,
    verbose: int,
    sample_weight: Any,
    check_finite: bool,
) -> Logs:
    """Return loss and metrics on a data set, as :meth:`tinycnn.Sequential.evaluate` says."""
    verbose = verbosity(verbose)
    steps = None if steps is None else integer(steps, "steps")
    source: SampleSource | BatchSamples
    weight = None
    if y is None:
        if sample_weight is not None:
            raise ValueError("sample_weight needs arrays, but x holds batches; let it give (x, y, sample_weight)")
        source = BatchSamples(model, x, boolean(check_finite, "check_finite"), steps=steps)
        _check_device_memory(model, block_size(model))
    else:
        refuse_targets_of_batches(x)
        x, y = checked_data(model, x, y, check_finite)
        if not len(x):
            raise ValueError("x is empty: there is nothing to evaluate")
        weight = sample_weights(model, sample_weight, None, y, name="evaluate")
        if steps is not None:
            wanted = slice(images_of(steps, batch_size, len(x)))
            x, y, weight = x[wanted], y[wanted], None if weight is None else weight[wanted]
        source = SampleSource(model.backend, x, y, model.dtype, _check_device_memory(model, len(x)))
    with one_blas_thread(), model.lent_workspace() as ws:
        results = evaluate_source(model, model.evaluation_plan, source, weight, ws)
    if verbose:
        say("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    return results


def evaluate_source(
    model: Network, chain: list[Any], source: SampleSource | BatchSamples, weight: Array | None, ws: Workspace
) -> Logs:
    """Return loss and metrics on all samples of a source, in blocks whose size follows from the network alone."""
    means = RunningMeans(model)
    for x, y, targets, weights in blocks(model, source, weight, ws):
        losses, cache = model.chain_loss.forward(recorded.infer(model, chain, x, ws), targets, model.backend)
        means.update(losses, y, cache.p, weights)
    return means.results()


def blocks(
    model: Network,
    source: SampleSource | BatchSamples,
    weight: Array | None,
    ws: Workspace,
    wanted: Callable[[int], bool] = lambda number: True,
) -> Iterator[tuple[Array, Array, Array, Array | None]]:
    """Yield for each block the images, the targets on the host and for the loss, and the weights if there are any.

    The images of a block that is not wanted may be missing; blocks are counted from 0.
    """
    size = block_size(model)
    if isinstance(source, BatchSamples):
        for x, y, weights in source.blocks(size):
            yield take(x, slice(None), ws, model.dtype, model.backend), y, y, weights
        return
    for number, start in enumerate(range(0, len(source), size)):
        x, targets, y = source.batch(start, start + size, ws, None if wanted(number) else _nothing)
        yield x, y, targets, None if weight is None else weight[start : start + size]


def _nothing(images: int) -> slice:
    """Return that no image of a block is needed."""
    return slice(0, 0)


def predict(model: Network, x: Any, batch_size: int | None, steps: int | None, *, check_finite: bool) -> Array:
    """Return the network's results for images, as :meth:`tinycnn.Sequential.predict` says."""
    steps = None if steps is None else integer(steps, "steps")
    if are_batches(x):
        blocks = BatchSamples(model, x, check_finite, steps=steps).images(block_size(model))
        results = [_predict(model, block) for block in blocks]
        return np.concatenate(results or [np.empty((0, *model.output_shape), model.dtype)])
    x = images_for(model, x, check_finite)
    return _predict(model, x if steps is None else x[: images_of(steps, batch_size, len(x))])


def _predict(model: Network, x: Array) -> Array:
    """Return the network's results for checked images."""
    result = np.empty((len(x), *model.output_shape), model.dtype)
    size = block_size(model)
    _check_device_memory(model, len(x))
    with one_blas_thread(), model.lent_workspace() as ws:
        for start in range(0, len(x), size):
            block = slice(start, start + size)
            y = recorded.infer(model, model.prediction_plan, take(x, block, ws, model.dtype, model.backend), ws)
            result[block] = model.backend.to_numpy(y)
    return result


def _check_device_memory(model: Network, images: int) -> int:
    """Return how many bytes of the device's memory a block of images takes, or raise if fewer are free."""
    if not model.backend.on_device:
        return 0
    need = device_memory.evaluation_need(model)
    return device_memory.check(model, need, min(images, block_size(model)), "predicting")
