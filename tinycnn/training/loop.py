"""How a model trains: the loop over epochs and batches, one step, and evaluation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import callbacks as callbacks_module
from ..augmentation import Augmentation
from ..core.checks import verbosity
from ..core.types import Array
from ..core.workspace import Workspace
from ..kernels.threads import one_blas_thread
from . import device_memory
from . import non_finite as numeric
from . import precompile as compiling
from .batches import Batch, Batches, sample_weights
from .data import checked_data, images_for, take
from .feed import Feed, block_size
from .interrupt import Interrupt, deferred_interrupt
from .progress import Progress
from .running_means import Meters
from .session import Session, tell

if TYPE_CHECKING:
    from ..callbacks import Callback, History, Logs
    from ..sequential import Sequential


def train_step(model: "Sequential", chain: list[Any], batch: Batch, meters: Meters, ws: Workspace | None) -> None:
    """Forward, loss, backward, one optimizer step.

    The whole of learning: x goes down the list of layers, each keeping what its backward needs; the loss says how
    wrong the result is and which way it should change; that gradient goes back up the list, each layer taking from
    it the gradients of its own parameters and handing on the gradient of its input.
    """
    step, backend = model.optimizer.iterations, model.backend
    x, caches = batch.x, []
    for layer in chain:
        x, cache = layer.forward(x, training=True, step=step, ws=ws)
        caches.append(cache)

    losses, loss_cache = model.chain_loss.forward(x, batch.y if batch.targets is None else batch.targets, backend)
    meters.update(losses, batch.y, loss_cache.p, batch.weight)
    weights = backend.full(len(losses), 1 / len(losses), model.dtype)
    if batch.weight is not None:
        weights *= backend.own(batch.weight.astype(model.dtype))
    dy = model.chain_loss.backward(loss_cache, weights, backend)

    first = _first_trained(chain)
    for index in range(len(chain) - 1, first, -1):
        dy = chain[index].backward(dy, caches.pop(), ws=ws)
    if first < len(chain):
        chain[first].backward_parameters(dy, caches.pop(), ws=ws)
    parameters = model.parameters()
    for parameter in parameters.values():
        parameter.add_penalty_gradient()
    model.optimizer.step(parameters, backend)


def _first_trained(chain: list[Any]) -> int:
    """Index of the first layer with something to train: backward need not go below it."""
    for index, layer in enumerate(chain):
        if any(parameter.trainable for parameter in layer.params.values()):
            return index
    return len(chain)


def fit(
    model: "Sequential",
    batches: Batches,
    *,
    epochs: int,
    verbose: int,
    callbacks: "Sequence[Callback]",
    validation_data: tuple[Array, Array, Array | None] | None,
    initial_epoch: int,
    augment: Augmentation | None,
    fuse: bool,
) -> "History":
    """See :meth:`Sequential.fit`; what it takes is checked already (:func:`tinycnn.training.arguments.prepared`)."""
    # After the user's own: what those add to the logs is kept too.
    history = callbacks_module.History()
    model.stop_training = False
    followers = [*callbacks, history]
    for follower in followers:
        follower.model = model
        follower.params = {"epochs": epochs, "steps": batches.steps, "verbose": verbose}
    session = Session(model, batches, followers, validation_data, initial_epoch, augment, fuse)
    model.history = history
    progress = Progress(verbose, epochs)
    if verbose and model.backend.has_to_compile():
        print(
            "Compiling the kernels for this processor: once after an installation, for up to half a minute", flush=True
        )
    compiled = compiling.shared(model, batches.batch_size, fuse)
    with one_blas_thread(), deferred_interrupt() as interrupt, compiled:
        session.begin()
        logs: Logs = {}
        try:
            for epoch in session.epochs(epochs):
                session.begin_epoch()
                progress.start(epoch, batches.images, session.meters.count)
                _train_epoch(session, progress, interrupt)
                progress.trained()
                logs = session.figures()
                if session.validation is not None:
                    evaluated = session.validation, session.validation_weight
                    results = _evaluate(model, session.evaluation_chain, *evaluated, session.ws)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                logs["learning_rate"] = model.optimizer.learning_rate
                session.end_epoch(logs)
                progress.finish(logs)
                interrupt.check()
                if model.stop_training:
                    break
        finally:
            progress.close()
        for follower in session.followers:
            tell(follower.on_train_end, logs=logs)
        interrupt.check()
    return history


def _train_epoch(session: Session, progress: Progress, interrupt: Interrupt) -> None:
    """One pass over the data; the figures are means over all its images, each seen before its step."""
    model, ws = session.model, session.ws
    for batch in () if session.stopped else session.batches.epoch(ws, session.batch):
        session.begin_batch()
        if session.augment is not None:
            step, backend = model.optimizer.iterations, model.backend
            batch = batch._replace(x=session.augment(batch.x, seed=model.seed, step=step, backend=backend, ws=ws))
        try:
            # NaN and infinity are looked for here; NumPy's warnings would come first and say less.
            with np.errstate(over="ignore", invalid="ignore"):
                train_step(model, session.chain, batch, session.meters, ws)
        except numeric.LossNotFiniteError as error:
            if error.late:
                number = session.batch - error.late
                raise numeric.error_found_late(model, session.epoch, number, error.value) from None
            raise numeric.error_of_loss(model, batch, session.epoch, session.batch, error.value) from None
        except MemoryError as error:
            if session.need is None:
                raise
            raise device_memory.error_of_batch(model, session.need, len(batch.y), ws, error) from error
        progress.advance(len(batch.y), session.end_batch())
        if interrupt.pressed and session.backup is not None:
            session.backup.save()
        interrupt.check()
        if model.stop_training:
            break
    session.figures()  # a loss that is not finite says more than the weights that it has spoilt
    if session.may_raise:
        numeric.check_weights(model, session.epoch, session.batch - 1)


def train_on_batch(model: "Sequential", x: Any, y: Any) -> "Logs":
    """See :meth:`Sequential.train_on_batch`."""
    x, y = checked_data(model, x, y)
    if not len(x):
        raise ValueError("x is empty: there is nothing to train on")
    if model.backend.on_device:
        need = device_memory.training_need(model, model.plan, None, 0)
        device_memory.check(model, need, len(x), "training on")
    meters = Meters(model)
    with one_blas_thread():
        images = model.backend.own(np.ascontiguousarray(x, dtype=model.dtype))
        train_step(model, model.plan, Batch(images, y, None), meters, None)
    return meters.results()


def evaluate(model: "Sequential", x: Any, y: Any, *, verbose: int, sample_weight: Any, check_finite: bool) -> "Logs":
    """See :meth:`Sequential.evaluate`."""
    verbose = verbosity(verbose)
    x, y = checked_data(model, x, y, check_finite)
    if not len(x):
        raise ValueError("x is empty: there is nothing to evaluate")
    weight = sample_weights(sample_weight, None, y, model.output_shape[-1], name="evaluate")
    expected = _check_evaluation(model, len(x))
    with one_blas_thread(), model.lent_workspace() as ws:
        feed = Feed(model.backend, x, y, model.dtype, expected)
        results = _evaluate(model, model.evaluation_plan, feed, weight, ws)
    if verbose:
        print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    return results


def predict(model: "Sequential", x: Any, *, check_finite: bool) -> Array:
    """See :meth:`Sequential.predict`."""
    x = images_for(model, x, check_finite)
    result = np.empty((len(x), *model.output_shape), model.dtype)
    chain = model.prediction_plan
    size = block_size(model)
    _check_evaluation(model, len(x))
    with one_blas_thread(), model.lent_workspace() as ws:
        for start in range(0, len(x), size):
            block = slice(start, start + size)
            y = run(chain, take(x, block, ws, model.dtype, model.backend), ws)
            if y.shape != result[block].shape:  # which NumPy would broadcast
                raise ValueError(
                    f"{model.layers[-1].label}: forward returned {y.shape}, output_shape says {result[block].shape}"
                )
            result[block] = model.backend.to_numpy(y)
    return result


def _check_evaluation(model: "Sequential", images: int) -> int:
    """Raise unless a block of images fits on the model's device; the bytes that it takes there."""
    if not model.backend.on_device:
        return 0
    need = device_memory.evaluation_need(model)
    return device_memory.check(model, need, min(images, block_size(model)), "predicting")


def run(layers: "Sequence[Any]", x: Array, ws: Workspace | None = None) -> Array:
    """Inference: x down a list of layers."""
    for layer in layers:
        x, _ = layer.forward(x, training=False, ws=ws)
    return x


def _evaluate(model: "Sequential", chain: list[Any], feed: Feed, weight: Array | None, ws: Workspace) -> "Logs":
    meters, size = Meters(model), block_size(model)
    for start in range(0, len(feed), size):
        x, targets, y = feed.batch(start, start + size, ws)
        losses, cache = model.chain_loss.forward(run(chain, x, ws), targets, model.backend)
        meters.update(losses, y, cache.p, None if weight is None else weight[start : start + size])
    return meters.results()
