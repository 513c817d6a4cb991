"""How a model trains: the loop over epochs and batches, one step, and evaluation."""

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import callbacks as callbacks_module
from . import device_memory, fit_state, numeric
from . import metrics as metrics_module
from ._checks import verbosity
from ._types import Array
from .augmentation import Augmentation
from .batches import Batch, Batches, sample_weights
from .feed import Feed
from .inputs import checked_data, images_for, take
from .interrupt import Interrupt, deferred_interrupt
from .kernels.threads import one_blas_thread
from .progress import Progress
from .tape import Entry, Tape
from .workspace import Workspace

if TYPE_CHECKING:
    from .callbacks import Callback, History, Logs
    from .model import Sequential

#: Evaluation goes by blocks of this many images whatever ``batch_size`` says: a product's last bits can depend on its
#: number of rows, and ``evaluate`` is to return exactly what ``fit`` logged.
BLOCK = 256
#: Of large images fewer, so that no result between two layers holds more numbers than this; batch_size has no say.
BLOCK_NUMBERS = 2**24

#: With a backend on a device and nobody who watches every batch, figures are fetched every so many batches.
LOOK_EVERY = 100


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
        evaluated = 0 if validation_data is None else len(validation_data[0])
        self.need: device_memory.Need | None = None
        expected = 0
        if model.backend.on_device:
            self.need = device_memory.training_need(model, self.chain, augment, min(evaluated, block_size(model)))
            expected = device_memory.check(model, self.need, batches.batch_size or 1, "training on batches of")
        self.ws = Workspace(model.backend.empty, expected)
        self.validation: Feed | None = None
        if validation_data is not None:
            x, y, self.validation_weight = validation_data
            self.validation = Feed(model.backend, x, y, model.dtype, expected)
        self.initial_epoch = self.epoch = initial_epoch
        self.batch = self.steps = 0
        self.stopped = False
        backups = [follower for follower in followers if isinstance(follower, callbacks_module.BackupAndRestore)]
        self.backup = backups[0] if backups else None
        # Last: what it saves is what the others have made of a batch or an epoch.
        self.followers = [*(follower for follower in followers if follower is not self.backup), *backups]
        # Keras's callback wants to stop by itself, without an error.
        self.may_raise = not any(isinstance(follower, callbacks_module.TerminateOnNaN) for follower in followers)
        # On a host backend figures cost nothing; from a device they are fetched where somebody looks.
        self.watched = not model.backend.on_device or any(follower.watches_batches() for follower in self.followers)
        self._logs: Logs = {}
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
        self._logs = {}
        self.meters = Meters(self.model, self.may_raise)

    def begin_batch(self) -> None:
        """Tell the callbacks."""
        for follower in self.followers:
            follower.on_train_batch_begin(self.batch, {})

    def end_batch(self) -> "Logs":
        """Tell the callbacks the epoch's figures so far; from a device, for none that looks, those of a while ago."""
        self.batch += 1
        if self.watched or self.batch % LOOK_EVERY == 0:
            self._logs = self.figures()
        for follower in self.followers:
            follower.on_train_batch_end(self.batch - 1, self._logs)
        return self._logs

    def figures(self) -> "Logs":
        """The epoch's figures so far, all batches that are done counted in."""
        try:
            return self.meters.results()
        except numeric.LossNotFiniteError as error:
            number = self.batch - 1 - error.late
            raise numeric.error_found_late(self.model, self.epoch, number, error.value) from None

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
            result[block] = model.backend.to_numpy(y)
    return result


def block_size(model: "Sequential") -> int:
    """How many images evaluate and predict take at a time: it follows from the network's shapes alone."""
    largest = max(math.prod(shape) for shape in (model.input_shape, *(x.built_output_shape for x in model.layers)))
    return max(1, min(BLOCK, BLOCK_NUMBERS // max(1, largest)))


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


class Meters:
    """The mean loss, with the penalties on weights, and the metrics of the images seen so far.

    Parameters
    ----------
    model : Sequential
    finite : bool
        Raise a :class:`tinycnn.numeric.LossNotFiniteError` for a batch whose loss is NaN or infinite.
    """

    def __init__(self, model: "Sequential", finite: bool = False) -> None:
        self._parameters, self._finite = model.parameters(), finite
        self._tape = Tape(model.backend) if model.backend.on_device else None
        self._loss, self.count = 0.0, 0
        # Copies: an evaluation in a callback, or in another thread, has sums of its own.
        self._metrics = {name: copy.deepcopy(metrics_module.get(metric)) for name, metric in model.metrics.items()}
        for metric in self._metrics.values():
            metric.reset()

    def update(self, losses: Array, y_true: Array, y_pred: Array, weight: Array | None = None) -> None:
        """Add a batch: the loss of each sample, labels, predictions, and what each sample's loss counts."""
        penalty = sum(parameter.penalty() for parameter in self._parameters.values())
        entry = Entry(len(losses), y_true, weight, penalty)
        if self._tape is None:
            self._add(losses, y_pred, entry)
            return
        if not self._tape.fits(losses, y_pred):
            self._read()
        self._tape.add(losses, y_pred, entry)

    def _read(self) -> None:
        """Take up what a device has noted."""
        notes = [] if self._tape is None else list(self._tape.read())
        for late, note in zip(range(len(notes) - 1, -1, -1), notes, strict=True):
            self._add(*note, late=late)

    def _add(self, losses: Array, y_pred: Array, entry: Entry, late: int = 0) -> None:
        total = losses.sum(dtype=np.float64) if entry.weight is None else losses @ entry.weight
        total = float(total) + len(losses) * entry.penalty
        if self._finite and not math.isfinite(total):
            raise numeric.LossNotFiniteError(total / len(losses), late)
        self._loss += total
        self.count += len(losses)
        for metric in self._metrics.values():
            metric.update(entry.y_true, y_pred)

    def results(self) -> "Logs":
        """``loss`` and each metric."""
        self._read()
        return {"loss": self._loss / self.count} | {name: m.result() for name, m in self._metrics.items()}

    def get_state(self) -> dict[str, Any]:
        """The sums so far, ready for JSON."""
        self._read()
        metrics = {name: metric.get_state() for name, metric in self._metrics.items()}
        return {"loss": self._loss, "count": self.count, "metrics": metrics}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`get_state` gave."""
        self._loss, self.count = state["loss"], state["count"]
        for name, metric in self._metrics.items():
            metric.set_state(state["metrics"][name])
