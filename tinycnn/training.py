"""How a model trains: the loop over epochs and batches, one step, and evaluation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import callbacks as callbacks_module
from . import metrics as metrics_module
from ._types import Array
from .augmentation import Augmentation
from .batches import Batch, Batches
from .inputs import checked_data, images_for, take, verbosity
from .interrupt import Interrupt, deferred_interrupt
from .kernels.threads import one_blas_thread
from .plan import fused
from .progress import Progress
from .workspace import Workspace

if TYPE_CHECKING:
    from .callbacks import Callback, History, Logs
    from .model import Sequential

#: Evaluation goes by blocks of this many images whatever ``batch_size`` says: a product's last bits can depend on its
#: number of rows, and ``evaluate`` is to return exactly what ``fit`` logged.
BLOCK = 256


def fit(
    model: "Sequential",
    batches: Batches,
    *,
    epochs: int,
    verbose: int,
    callbacks: "Sequence[Callback]",
    validation_data: tuple[Array, Array] | None,
    initial_epoch: int,
    augment: Augmentation | None,
    fuse: bool,
) -> "History":
    """See :meth:`Sequential.fit`; what it takes is checked already (:func:`tinycnn.fitting.prepared`)."""
    history = callbacks_module.History()
    followers = [history, *callbacks]
    for follower in followers:
        follower.model = model
        follower.params = {"epochs": epochs, "steps": batches.steps, "verbose": verbose}
    model.stop_training = False
    model.history = history
    chain = model.plan if fuse else model.chain
    ws, progress = Workspace(), Progress(verbose, epochs)
    if verbose and model.backend.has_to_compile():
        print(
            "Compiling the kernels for this processor: once after an installation, for about half a minute", flush=True
        )
    with one_blas_thread(), deferred_interrupt() as interrupt:
        for follower in followers:
            follower.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                for follower in followers:
                    follower.on_epoch_begin(epoch)
                progress.start(epoch, batches.images)
                logs = _train_epoch(model, chain, batches, augment, ws, progress, followers, interrupt)
                progress.trained()
                if validation_data is not None:
                    results = _evaluate(model, chain, *validation_data, ws)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                logs["learning_rate"] = model.optimizer.learning_rate
                for follower in followers:
                    follower.on_epoch_end(epoch, logs)
                progress.finish(logs)
                interrupt.check()
                if model.stop_training:
                    break
        finally:
            progress.close()
        for follower in followers:
            follower.on_train_end()
    return history


def _train_epoch(
    model: "Sequential",
    chain: list[Any],
    batches: Batches,
    augment: Augmentation | None,
    ws: Workspace,
    progress: Progress,
    followers: "Sequence[Callback]",
    interrupt: Interrupt,
) -> "Logs":
    """One pass over the data; the figures are means over all its images, each seen before its step."""
    meters = Meters(model)
    for number, batch in enumerate(batches.epoch(ws)):
        if augment is not None:
            changed = augment(batch.x, seed=model.seed, step=model.optimizer.iterations, backend=model.backend, ws=ws)
            batch = batch._replace(x=changed)
        train_step(model, chain, batch, meters, ws)
        logs = meters.results()
        for follower in followers:
            follower.on_train_batch_end(number, logs)
        progress.advance(len(batch.y), logs)
        interrupt.check()
        if model.stop_training:
            break
    return meters.results()


def train_step(model: "Sequential", chain: list[Any], batch: Batch, meters: "Meters", ws: Workspace | None) -> None:
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

    losses, loss_cache = model.chain_loss.forward(x, batch.y, backend)
    meters.update(losses, batch.y, loss_cache.p, batch.weight)
    weights = np.full(len(losses), 1 / len(losses), model.dtype)
    if batch.weight is not None:
        weights *= batch.weight
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


def train_on_batch(model: "Sequential", x: Any, y: Any) -> "Logs":
    """See :meth:`Sequential.train_on_batch`."""
    x, y = checked_data(model, x, y)
    if not len(x):
        raise ValueError("x is empty: there is nothing to train on")
    meters = Meters(model)
    with one_blas_thread():
        train_step(model, model.plan, Batch(np.ascontiguousarray(x, dtype=model.dtype), y, None), meters, None)
    return meters.results()


def evaluate(model: "Sequential", x: Any, y: Any, *, verbose: int, check_finite: bool) -> "Logs":
    """See :meth:`Sequential.evaluate`."""
    verbose = verbosity(verbose)
    x, y = checked_data(model, x, y, check_finite)
    if not len(x):
        raise ValueError("x is empty: there is nothing to evaluate")
    with one_blas_thread():
        results = _evaluate(model, model.plan, x, y, Workspace())
    if verbose:
        print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    return results


def predict(model: "Sequential", x: Any, *, check_finite: bool) -> Array:
    """See :meth:`Sequential.predict`."""
    x = images_for(model, x, check_finite)
    result = np.empty((len(x), *model.output_shape), model.dtype)
    ws, chain = Workspace(), fused(model.layers, model.backend)
    with one_blas_thread():
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            y = run(chain, take(x, block, ws, model.dtype), ws)
            result[block] = model.backend.to_numpy(y)
    return result


def run(layers: "Sequence[Any]", x: Array, ws: Workspace | None = None) -> Array:
    """Inference: x down a list of layers."""
    for layer in layers:
        x, _ = layer.forward(x, training=False, ws=ws)
    return x


def _evaluate(model: "Sequential", chain: list[Any], x: Array, y: Array, ws: Workspace) -> "Logs":
    meters = Meters(model)
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        y_pred = run(chain, take(x, block, ws, model.dtype), ws)
        losses, cache = model.chain_loss.forward(y_pred, y[block], model.backend)
        meters.update(losses, y[block], cache.p)
    return meters.results()


class Meters:
    """The mean loss, with the penalties on weights, and the metrics of the images seen so far."""

    def __init__(self, model: "Sequential") -> None:
        self._backend, self._parameters = model.backend, model.parameters()
        self._loss, self._count = 0.0, 0
        self._metrics = {name: metrics_module.get(metric) for name, metric in model.metrics.items()}
        for metric in self._metrics.values():
            metric.reset()

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch: the loss of each sample, labels, predictions, and what each sample's loss counts."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        losses = self._backend.to_numpy(losses)
        total = losses.sum(dtype=np.float64) if weight is None else losses @ weight
        self._loss += float(total) + len(losses) * penalty
        self._count += len(losses)
        for metric in self._metrics.values():
            metric.update(y_true, self._backend.to_numpy(y_pred))

    def results(self) -> "Logs":
        """``loss`` and each metric."""
        return {"loss": self._loss / self._count} | {name: m.result() for name, m in self._metrics.items()}
