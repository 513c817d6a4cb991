"""How a model trains: the loop over epochs and batches, one step, and evaluation."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import callbacks as callbacks_module
from . import metrics as metrics_module
from ._checks import boolean, choice, integer
from ._types import Array
from .inputs import check_images, take
from .interrupt import deferred_interrupt
from .kernels.threads import one_blas_thread
from .progress import Progress
from .seeding import Stream, generator
from .workspace import Workspace

if TYPE_CHECKING:
    from .callbacks import Callback, History, Logs
    from .model import Sequential

#: Evaluation goes by blocks of this many images whatever ``batch_size`` says: a product's last bits can depend on its
#: number of rows, and ``evaluate`` is to return exactly what ``fit`` logged.
BLOCK = 256


def fit(
    model: "Sequential",
    x: Any,
    y: Any,
    *,
    batch_size: int,
    epochs: int,
    verbose: int,
    callbacks: "Sequence[Callback]",
    validation_data: tuple[Any, Any] | None,
    shuffle: bool,
    initial_epoch: int,
    check_finite: bool,
) -> "History":
    """See :meth:`Sequential.fit`."""
    batch_size, epochs = integer(batch_size, "batch_size"), integer(epochs, "epochs", minimum=0)
    initial_epoch, shuffle = integer(initial_epoch, "initial_epoch", minimum=0), boolean(shuffle, "shuffle")
    verbose = _verbosity(verbose)
    x, y = _checked_data(model, x, y, check_finite, "")
    if not len(x):
        raise ValueError("x is empty: there is nothing to train on")
    if validation_data is not None:
        validation_data = _checked_data(model, *_pair(validation_data), check_finite, "validation ")
    history = callbacks_module.History()
    followers = [history, *callbacks]
    for follower in followers:
        if not isinstance(follower, callbacks_module.Callback):
            raise TypeError(f"callbacks must be Callback objects; got {follower!r}")
        follower.model = model
        follower.params = {"epochs": epochs, "steps": math.ceil(len(x) / batch_size), "verbose": verbose}

    model.stop_training = False
    model.history = history
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
                progress.start(epoch, len(x))
                logs = _train_epoch(model, x, y, batch_size, shuffle, ws, progress, followers, interrupt)
                progress.trained()
                if validation_data is not None:
                    results = _evaluate(model, *validation_data, ws)
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
    x: Array,
    y: Array,
    batch_size: int,
    shuffle: bool,
    ws: Workspace,
    progress: Progress,
    followers: "Sequence[Callback]",
    interrupt: Any,
) -> "Logs":
    """One pass over the data; the figures are means over all its images, each seen before its step."""
    meters = Meters(model)
    order = np.arange(len(x))
    if shuffle:
        generator(model.seed, Stream.SHUFFLE, model.optimizer.iterations).shuffle(order)
    for batch, start in enumerate(range(0, len(x), batch_size)):
        index = order[start : start + batch_size] if shuffle else slice(start, start + batch_size)
        labels = y[index]
        train_step(model, take(x, index, ws, model.dtype), labels, meters, ws)
        logs = meters.results()
        for follower in followers:
            follower.on_train_batch_end(batch, logs)
        progress.advance(len(labels), logs)
        interrupt.check()
    return meters.results()


def train_step(model: "Sequential", x: Array, y: Array, meters: "Meters", ws: Workspace | None) -> None:
    """Forward, loss, backward, one optimizer step.

    The whole of learning: x goes down the list of layers, each keeping what its backward needs; the loss says how
    wrong the result is and which way it should change; that gradient goes back up the list, each layer taking from
    it the gradients of its own parameters and handing on the gradient of its input.
    """
    step, backend = model.optimizer.iterations, model.backend
    caches = []
    for layer in model.chain:
        x, cache = layer.forward(x, training=True, step=step, ws=ws)
        caches.append(cache)

    losses, loss_cache = model.chain_loss.forward(x, y, backend)
    meters.update(losses, y, loss_cache.p)
    weights = np.full(len(y), 1 / len(y), model.dtype)
    dy = model.chain_loss.backward(loss_cache, weights, backend)

    first = model.first_trained()
    for index in range(len(model.chain) - 1, first, -1):
        dy = model.chain[index].backward(dy, caches.pop(), ws=ws)
    if first < len(model.chain):
        model.chain[first].backward_parameters(dy, caches.pop(), ws=ws)
    parameters = model.parameters()
    for parameter in parameters.values():
        parameter.add_penalty_gradient()
    model.optimizer.step(parameters, backend)


def train_on_batch(model: "Sequential", x: Any, y: Any) -> "Logs":
    """See :meth:`Sequential.train_on_batch`."""
    x, y = _checked_data(model, x, y, True, "")
    if not len(x):
        raise ValueError("x is empty: there is nothing to train on")
    meters = Meters(model)
    with one_blas_thread():
        train_step(model, np.ascontiguousarray(x, dtype=model.dtype), y, meters, None)
    return meters.results()


def evaluate(model: "Sequential", x: Any, y: Any, *, verbose: int, check_finite: bool) -> "Logs":
    """See :meth:`Sequential.evaluate`."""
    verbose = _verbosity(verbose)
    x, y = _checked_data(model, x, y, check_finite, "")
    if not len(x):
        raise ValueError("x is empty: there is nothing to evaluate")
    with one_blas_thread():
        results = _evaluate(model, x, y, Workspace())
    if verbose:
        print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    return results


def predict(model: "Sequential", x: Any, *, check_finite: bool) -> Array:
    """See :meth:`Sequential.predict`."""
    x = check_images(x, model.input_shape, check_finite=check_finite)
    result = np.empty((len(x), *model.output_shape), model.dtype)
    ws = Workspace()
    with one_blas_thread():
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            y = run(model.layers, take(x, block, ws, model.dtype), ws)
            result[block] = model.backend.to_numpy(y)
    return result


def run(layers: "Sequence[Any]", x: Array, ws: Workspace | None = None) -> Array:
    """Inference: x down a list of layers."""
    for layer in layers:
        x, _ = layer.forward(x, training=False, ws=ws)
    return x


def _evaluate(model: "Sequential", x: Array, y: Array, ws: Workspace) -> "Logs":
    meters = Meters(model)
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        y_pred = run(model.chain, take(x, block, ws, model.dtype), ws)
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

    def update(self, losses: Array, y_true: Array, y_pred: Array) -> None:
        """Add a batch: the loss of each sample, labels, predictions."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        self._loss += float(self._backend.to_numpy(losses).sum(dtype=np.float64)) + len(losses) * penalty
        self._count += len(losses)
        for metric in self._metrics.values():
            metric.update(y_true, self._backend.to_numpy(y_pred))

    def results(self) -> "Logs":
        """``loss`` and each metric."""
        return {"loss": self._loss / self._count} | {name: m.result() for name, m in self._metrics.items()}


def _checked_data(model: "Sequential", x: Any, y: Any, check_finite: bool, what: str) -> tuple[Array, Array]:
    x = check_images(x, model.input_shape, check_finite=check_finite, name=f"{what}x")
    return x, model.loss.check_targets(y, len(x), model.output_shape)


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"validation_data must be a pair (x, y); got {type(data).__name__}")
    return data[0], data[1]


def _verbosity(verbose: Any) -> int:
    if isinstance(verbose, str):
        choice(verbose, ("auto",), "verbose")
        return 1
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose must be 0, 1 or 2; got {verbose!r}")
    return int(verbose)
