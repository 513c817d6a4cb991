"""How a model trains: the loop over epochs and batches, one step, and evaluation."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import callbacks as callbacks_module
from . import fit_state, numeric
from . import metrics as metrics_module
from ._checks import verbosity
from ._types import Array
from .augmentation import Augmentation
from .batches import Batch, Batches, sample_weights
from .inputs import checked_data, images_for, take
from .interrupt import Interrupt, deferred_interrupt
from .kernels.threads import one_blas_thread
from .progress import Progress
from .workspace import Workspace

if TYPE_CHECKING:
    from .callbacks import Callback, History, Logs
    from .model import Sequential

#: Evaluation goes by blocks of this many images whatever ``batch_size`` says: a product's last bits can depend on its
#: number of rows, and ``evaluate`` is to return exactly what ``fit`` logged.
BLOCK = 256


class Session:
    """A fit that is running: its parts, and how far it has come.

    Attributes
    ----------
    epoch, batch : int
        The epoch that is under way, or the next, and how many of its batches are done.
    steps : int
        Batches in the epochs before it, counted from ``initial_epoch``.
    stopped : bool
        It was stopped before it was interrupted: there are no more batches.
    meters : Meters
        The epoch's figures so far.
    identity : dict
        What has to be the same for a saved state to belong to it; empty without a backup.
    """

    def __init__(
        self,
        model: "Sequential",
        batches: Batches,
        followers: "list[Callback]",
        validation_data: tuple[Array, Array, Array | None] | None,
        initial_epoch: int,
        augment: Augmentation | None,
        fuse: bool,
    ) -> None:
        self.model, self.batches, self.augment = model, batches, augment
        self.chain = model.plan if fuse else model.chain
        self.evaluation_chain = model.evaluation_plan if fuse else model.chain
        self.ws = Workspace()
        self.initial_epoch = self.epoch = initial_epoch
        self.batch = self.steps = 0
        self.stopped = False
        backups = [follower for follower in followers if isinstance(follower, callbacks_module.BackupAndRestore)]
        self.backup = backups[0] if backups else None
        # Last: what it saves is what the others have made of a batch or an epoch.
        self.followers = [*(follower for follower in followers if follower is not self.backup), *backups]
        # Keras's callback wants to stop by itself, without an error.
        self.may_raise = not any(isinstance(follower, callbacks_module.TerminateOnNaN) for follower in followers)
        self.new_meters()
        self.identity: dict[str, Any] = {}
        self._saved: Any = None
        if self.backup is not None:
            self.identity = fit_state.identity(model, batches, validation_data, augment, fuse, initial_epoch)
            self._saved = self.backup.begin(self)

    def remembering(self) -> "list[Callback]":
        """The callbacks whose state counts."""
        return [follower for follower in self.followers if follower is not self.backup]

    def begin(self) -> None:
        """Start, or go on from the state that a backup holds."""
        for follower in self.followers:
            _tell(follower.on_train_begin, logs={})
        if self.backup is None:
            return
        if self._saved is None:
            self.backup.save()
            return
        saved, path = self._saved
        if saved.state["batch"]:
            for follower in self.followers:
                _tell(follower.on_epoch_begin, saved.state["epoch"], logs={})
        fit_state.restore(self, saved, path)
        self.backup.restored(path)

    def epochs(self, end: int) -> range:
        """Those that are left before epoch ``end``."""
        return range(self.epoch, end if self.batch or not self.stopped else self.epoch)

    def begin_epoch(self) -> None:
        """Tell the callbacks, unless the epoch has begun before an interruption."""
        if self.batch:
            return
        self.new_meters()
        for follower in self.followers:
            _tell(follower.on_epoch_begin, self.epoch, logs={})

    def new_meters(self) -> None:
        """Begin to gather an epoch's figures."""
        self.meters = Meters(self.model, self.may_raise)

    def begin_batch(self) -> None:
        """Tell the callbacks."""
        for follower in self.followers:
            follower.on_train_batch_begin(self.batch, {})

    def end_batch(self) -> "Logs":
        """Tell the callbacks the epoch's figures so far."""
        self.batch += 1
        logs = self.meters.results()
        for follower in self.followers:
            follower.on_train_batch_end(self.batch - 1, logs)
        return logs

    def end_epoch(self, logs: "Logs") -> None:
        """Tell the callbacks; for those that save, the next epoch is the one under way."""
        epoch = self.epoch
        self.epoch, self.batch, self.steps = epoch + 1, 0, self.steps + self.batch
        for follower in self.followers:
            follower.on_epoch_end(epoch, logs)


def _tell(method: "Callable[..., None]", *arguments: int, logs: "Logs") -> None:
    """Call a callback's method; where there are no figures yet, a user's may leave out ``logs``."""
    try:
        inspect.signature(method).bind(*arguments, logs)
    except TypeError:
        method(*arguments)
    else:
        method(*arguments, logs)


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
    """See :meth:`Sequential.fit`; what it takes is checked already (:func:`tinycnn.fitting.prepared`)."""
    # After the user's own: what those add to the logs is kept too.
    history = callbacks_module.History()
    model.stop_training = False
    session = Session(model, batches, [*callbacks, history], validation_data, initial_epoch, augment, fuse)
    for follower in session.followers:
        follower.model = model
        follower.params = {"epochs": epochs, "steps": batches.steps, "verbose": verbose}
    model.history = history
    progress = Progress(verbose, epochs)
    if verbose and model.backend.has_to_compile():
        print(
            "Compiling the kernels for this processor: once after an installation, for about half a minute", flush=True
        )
    with one_blas_thread(), deferred_interrupt() as interrupt:
        session.begin()
        logs: Logs = {}
        try:
            for epoch in session.epochs(epochs):
                session.begin_epoch()
                progress.start(epoch, batches.images, session.meters.count)
                _train_epoch(session, progress, interrupt)
                progress.trained()
                logs = session.meters.results()
                if validation_data is not None:
                    results = _evaluate(model, session.evaluation_chain, *validation_data, session.ws)
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
            _tell(follower.on_train_end, logs=logs)
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
            raise numeric.error_of_loss(model, batch, session.epoch, session.batch, error.value) from None
        progress.advance(len(batch.y), session.end_batch())
        if interrupt.pressed and session.backup is not None:
            session.backup.save()
        interrupt.check()
        if model.stop_training:
            break
    if session.may_raise:
        numeric.check_weights(model, session.epoch, session.batch - 1)


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


def evaluate(model: "Sequential", x: Any, y: Any, *, verbose: int, sample_weight: Any, check_finite: bool) -> "Logs":
    """See :meth:`Sequential.evaluate`."""
    verbose = verbosity(verbose)
    x, y = checked_data(model, x, y, check_finite)
    if not len(x):
        raise ValueError("x is empty: there is nothing to evaluate")
    weight = sample_weights(sample_weight, None, y, model.output_shape[-1], name="evaluate")
    with one_blas_thread(), model.lent_workspace() as ws:
        results = _evaluate(model, model.evaluation_plan, x, y, weight, ws)
    if verbose:
        print("  ".join(f"{name} {value:.4f}" for name, value in results.items()))
    return results


def predict(model: "Sequential", x: Any, *, check_finite: bool) -> Array:
    """See :meth:`Sequential.predict`."""
    x = images_for(model, x, check_finite)
    result = np.empty((len(x), *model.output_shape), model.dtype)
    chain = model.prediction_plan
    with one_blas_thread(), model.lent_workspace() as ws:
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


def _evaluate(model: "Sequential", chain: list[Any], x: Array, y: Array, weight: Array | None, ws: Workspace) -> "Logs":
    meters = Meters(model)
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        y_pred = run(chain, take(x, block, ws, model.dtype), ws)
        losses, cache = model.chain_loss.forward(y_pred, y[block], model.backend)
        meters.update(losses, y[block], cache.p, None if weight is None else weight[block])
    return meters.results()


class Meters:
    """The mean loss, with the penalties on weights, and the metrics of the images seen so far.

    Parameters
    ----------
    model : Sequential
    finite : bool
        Raise a :class:`tinycnn.numeric.LossNotFiniteError` for a batch whose loss is NaN or infinite.
    """

    def __init__(self, model: "Sequential", finite: bool = False) -> None:
        self._backend, self._parameters, self._finite = model.backend, model.parameters(), finite
        self._loss, self.count = 0.0, 0
        self._metrics = {name: metrics_module.get(metric) for name, metric in model.metrics.items()}
        for metric in self._metrics.values():
            metric.reset()

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch: the loss of each sample, labels, predictions, and what each sample's loss counts."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        losses = self._backend.to_numpy(losses)
        total = losses.sum(dtype=np.float64) if weight is None else losses @ weight
        total = float(total) + len(losses) * penalty
        if self._finite and not math.isfinite(total):
            raise numeric.LossNotFiniteError(total / len(losses))
        self._loss += total
        self.count += len(losses)
        for metric in self._metrics.values():
            metric.update(y_true, self._backend.to_numpy(y_pred))

    def results(self) -> "Logs":
        """``loss`` and each metric."""
        return {"loss": self._loss / self.count} | {name: m.result() for name, m in self._metrics.items()}

    def get_state(self) -> dict[str, Any]:
        """The sums so far, ready for JSON."""
        metrics = {name: metric.get_state() for name, metric in self._metrics.items()}
        return {"loss": self._loss, "count": self.count, "metrics": metrics}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`get_state` gave."""
        self._loss, self.count = state["loss"], state["count"]
        for name, metric in self._metrics.items():
            metric.set_state(state["metrics"][name])
