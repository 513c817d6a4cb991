"""The loop over epochs and batches of one ``fit``; a single step is in :mod:`tinycnn.training.step`."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.printing import say
from ..core.workspace import Workspace
from ..kernels.threads import one_blas_thread
from ..network.network import Network
from . import device_memory, non_finite, precompile, recorded
from .arguments import FitSettings
from .batches import ArrayBatches, Batch, Batches, SampleSource, block_size
from .callback import Callback, History, Logs
from .data import Samples
from .evaluation import evaluate_source
from .interrupt import Interrupt, deferred_interrupt
from .progress import Progress
from .running_means import LossNotFiniteError, RunningMeans
from .sequences import BatchSamples
from .step import train_step
from .together import Together

#: On a device, if no callback watches every batch, logs are fetched only after this many batches.
LOOK_EVERY = 100


def fit(
    model: Network,
    batches: Batches,
    validation: Samples | BatchSamples | None,
    settings: FitSettings,
    history: History,
    together: Together | None = None,
) -> None:
    """Train, as :meth:`tinycnn.Sequential.fit` says.

    Parameters
    ----------
    model : Network
        Built and compiled.
    batches : Batches
        The source of the batches.
    validation : Samples or None
        What is evaluated after every epoch.
    settings : FitSettings
        The other arguments of ``fit``.
    history : History
        It is filled with the logs of every epoch.
    together : Together, optional
        The processes that train together; by default this one trains by itself.
    """
    run = Run(model, batches, validation, settings, history, together)
    try:
        run.callbacks.attach(run)
        progress = Progress(settings.verbose if run.leads else 0, settings.epochs)
        if settings.verbose and run.leads and model.backend.has_to_compile():
            text = "Compiling the kernels for this processor, once after an installation; it takes up to half a minute"
            say(text)
        compiled = precompile.shared(model, batches.batch_size, settings.fuse)
        with one_blas_thread(), deferred_interrupt() as interrupt, compiled:
            run.begin()
            try:
                _train(run, progress, interrupt)
            finally:
                progress.close()
            interrupt.check()
    finally:
        run.callbacks.detach()


def _train(run: "Run", progress: Progress, interrupt: Interrupt) -> None:
    """Run the epochs that are left."""
    model, logs = run.model, {}
    for epoch in run.epochs_left():
        run.begin_epoch()
        progress.start(epoch, run.batches.images, run.means.count)
        _train_epoch(run, progress, interrupt)
        progress.trained()
        logs = run.end_epoch()
        progress.finish(logs)
        interrupt.check()
        if model.stop_training:
            break
    run.callbacks.on_train_end(logs)
    run.share()


def _train_epoch(run: "Run", progress: Progress, interrupt: Interrupt) -> None:
    """Make one pass over the data; the logs are means over all its samples, each seen before its step."""
    for batch in () if run.stopped else run.next_batches():
        run.train(batch)
        progress.advance(len(batch.y), run.end_batch())
        interrupt.check(run.callbacks.interrupted)
        if run.model.stop_training:
            break
    # First the loss, whose error says more than one about the weights that it has spoilt.
    run.logs()
    if run.may_raise:
        non_finite.check_weights(run.model, run.epoch, run.batch - 1)


class Run:
    """A fit that is running: what it works with, and how far it has come.

    Attributes
    ----------
    model : Network
        The model that is trained.
    batches : Batches
        The source of the batches.
    validation : Samples or None
        What is evaluated after every epoch.
    settings : FitSettings
        The other arguments of ``fit``.
    callbacks : CallbackList
        The user's callbacks and the history.
    chain : list
        What is trained: the plan, or the single layers if ``settings.fuse`` is False.
    ws : Workspace
        The memory that every step uses again.
    epoch, batch : int
        The epoch that is under way, or the next one, and how many of its batches are done.
    steps : int
        How many batches there were in the epochs before ``epoch``, counted from ``initial_epoch``.
    may_raise : bool
        Whether a loss or a weight that is not finite raises an error, because no callback deals with it.
    stopped : bool
        Whether the fit was stopped before it was interrupted, so that no batches are left.
    means : RunningMeans
        The epoch's loss and metrics so far.
    """

    def __init__(
        self,
        model: Network,
        batches: Batches,
        validation: Samples | BatchSamples | None,
        settings: FitSettings,
        history: History,
        together: Together | None = None,
    ) -> None:
        self.together, self.leads = together, together is None or together.leads
        self.model, self.batches, self.validation, self.settings = model, batches, validation, settings
        self._choose_chains()
        self._records = settings.fuse and recorded.can_record(model)
        expected = self._check_device_memory()
        self.ws = Workspace(model.backend.empty, expected)
        self._validation_source: SampleSource | BatchSamples | None = None
        if isinstance(validation, Samples):
            self._validation_source = SampleSource(model.backend, validation.x, validation.y, model.dtype, expected)
        else:
            self._validation_source = validation
        self.epoch, self.batch, self.steps = settings.initial_epoch, 0, 0
        self.stopped = model.stop_training = False
        params = {"epochs": settings.epochs, "steps": batches.steps, "verbose": settings.verbose}
        self.callbacks = CallbackList([*(settings.callbacks if self.leads else ()), history], model, params)
        self.may_raise = not any(callback.handles_non_finite for callback in self.callbacks)
        # On a host backend logs cost nothing; from a device they are fetched after each batch only if a callback looks.
        self._watched = not model.backend.on_device or any(callback.watches_batches() for callback in self.callbacks)
        # Between two batches, only these can change a layer.
        self._may_change = self.callbacks.are_told_of_batches or not isinstance(batches, ArrayBatches)
        self.new_means()

    def _choose_chains(self) -> None:
        """Take what is to be run from the model; a callback may have changed an attribute of a layer or of the loss."""
        single, plan, evaluation_plan = self.model.chains()
        self.chain = plan if self.settings.fuse else single
        self._evaluation_chain = evaluation_plan if self.settings.fuse else single

    def _check_device_memory(self) -> int:
        """Return how many bytes of a device's memory the run will take, or raise if fewer are free."""
        self._need: device_memory.Need | None = None
        if not self.model.backend.on_device:
            return 0
        evaluated = 0 if self.validation is None else block_size(self.model)
        if isinstance(self.validation, Samples):
            evaluated = min(evaluated, len(self.validation.x))
        self._need = device_memory.training_need(self.model, self.chain, self.settings.augment, evaluated)
        images = self.batches.batch_size or 1
        return device_memory.check(self.model, self._need, images, "training on batches of")

    def begin(self) -> None:
        """Tell the callbacks that training begins, and let them go on from where an earlier run was interrupted."""
        if self.together is not None:
            self.together.compare(self)
        self.callbacks.on_train_begin()
        self.callbacks.resume()
        if self.together is not None:
            self.together.share_beginning(self)
            self._may_change = True

    def share(self) -> None:
        """Give the processes that train together what a callback has changed on the first of them."""
        if self.together is not None:
            self.together.share(self)

    def next_batches(self) -> Iterator[Batch]:
        """Yield the batches of the epoch that are left."""
        return self.batches.epoch(self.ws, self.batch) if self.together is None else self.together.epoch(self)

    def epochs_left(self) -> range:
        """Return the epochs that are left."""
        return range(self.epoch, self.settings.epochs if self.batch or not self.stopped else self.epoch)

    def begin_epoch(self) -> None:
        """Tell the callbacks that an epoch begins, unless it had begun before an interruption."""
        if self.batch:
            return
        self.new_means()
        self.callbacks.on_epoch_begin(self.epoch)
        self.share()
        self._choose_chains()

    def new_means(self) -> None:
        """Begin the means of another epoch."""
        self._logs: Logs = {}
        self.means = RunningMeans(self.model, self.may_raise)

    def train(self, batch: Batch) -> None:
        """Take one step on a batch, after augmentation has changed it."""
        self.callbacks.on_train_batch_begin(self.batch)
        if self._may_change:
            self._choose_chains()
        model, augment = self.model, self.settings.augment
        step, backend = model.optimizer.iterations, model.backend
        if augment is not None and self.together is None:
            batch = batch._replace(x=augment(batch.x, seed=model.seed, step=step, backend=backend, ws=self.ws))
        try:
            # NaN and infinity are looked for here; NumPy's warnings would come first and say less.
            with np.errstate(over="ignore", invalid="ignore"):
                what = model, self.chain, batch, self.means, self.ws
                if self.together is not None:
                    self.together.take_step(self, batch)
                elif self._records:
                    recorded.take_step(train_step, *what)
                else:
                    train_step(*what)
        except LossNotFiniteError as error:
            if error.late:
                raise self._found_late(self.batch, error) from None
            explain = non_finite.error_of_loss if self.together is None else self.together.error_of_loss
            raise explain(model, batch, self.epoch, self.batch, error.value) from None
        except MemoryError as error:
            if self._need is None:
                raise
            raise device_memory.error_of_batch(model, self._need, len(batch.y), self.ws, error) from error
        if model.optimizer.iterations == step:
            raise RuntimeError(
                f"{type(model.optimizer).__name__}.step must count its steps, because each step draws new masks of "
                "dropout and each epoch a new order: call super().step(parameters, backend) or add 1 to self.iterations"
            )

    def end_batch(self) -> Logs:
        """Count the batch, tell the callbacks, and return the epoch's logs so far.

        On a device the logs may be those of an earlier batch if no callback needs them.
        """
        self.batch += 1
        if self._watched or self.batch % LOOK_EVERY == 0:
            self._logs = self.logs()
        self.callbacks.on_train_batch_end(self.batch - 1, self._logs)
        if self.together is not None:
            self.together.share_after_batch(self)
        return self._logs

    def logs(self) -> Logs:
        """Return the epoch's logs so far, over all batches that are done."""
        try:
            return self.means.results()
        except LossNotFiniteError as error:
            raise self._found_late(self.batch - 1, error) from None

    def _found_late(self, newest: int, error: LossNotFiniteError) -> non_finite.NumericError:
        """Return the error for a loss that was read when batch ``newest`` had been trained."""
        return non_finite.error_found_late(self.model, self.epoch, newest - error.late, error.value)

    def end_epoch(self) -> Logs:
        """Evaluate, tell the callbacks, and return the logs; callbacks that save find the next epoch under way."""
        logs = self.logs()
        if self._validation_source is not None:
            self._choose_chains()
            weight = self.validation.weight if isinstance(self.validation, Samples) else None
            what = self._evaluation_chain, self._validation_source, weight, self.ws
            if self.together is None:
                results = evaluate_source(self.model, *what)
            else:
                results = self.together.evaluate(self, *what)
            logs |= {f"val_{name}": value for name, value in results.items()}
        logs["learning_rate"] = self.model.optimizer.learning_rate
        epoch = self.epoch
        self.epoch, self.batch, self.steps = epoch + 1, 0, self.steps + self.batch
        self.callbacks.on_epoch_end(epoch, logs)
        self.share()
        return logs


class CallbackList:
    """All callbacks of a fit, which are told one after another what happens.

    Before and after a batch only those callbacks are called that define the method.

    Parameters
    ----------
    callbacks : sequence of Callback
        In the order in which ``fit`` was given them.
    model : Network
        What each callback finds as its ``model``.
    params : dict
        What each callback finds as its ``params``.
    """

    def __init__(self, callbacks: Sequence[Callback], model: Network, params: dict[str, Any]) -> None:
        self._callbacks = sorted(callbacks, key=lambda callback: callback.order)
        for callback in self._callbacks:
            callback.model, callback.params = model, params
        self._before_batch = self._defining("on_train_batch_begin")
        self._after_batch = self._defining("on_train_batch_end")

    def __iter__(self) -> Any:
        return iter(self._callbacks)

    @property
    def are_told_of_batches(self) -> bool:
        """Whether any callback defines a method that is called for each batch."""
        return bool(self._before_batch or self._after_batch)

    @property
    def may_change_batches(self) -> bool:
        """Whether any callback defines such a method without the promise to change nothing in it."""
        methods = *self._before_batch, *self._after_batch
        return any(not getattr(getattr(method, "__self__", None), "only_observes", False) for method in methods)

    def _defining(self, name: str) -> list[Callable[..., None]]:
        """Return the methods called ``name`` of all callbacks that do not just inherit the empty one."""
        methods = [getattr(callback, name) for callback in self._callbacks]
        return [method for method in methods if getattr(method, "__func__", None) is not getattr(Callback, name)]

    def attach(self, run: Run) -> None:
        """Tell each callback which fit this is."""
        for callback in self._callbacks:
            callback.attach(run)

    def resume(self) -> None:
        """Let each callback bring the fit to where an earlier one was interrupted."""
        for callback in self._callbacks:
            callback.resume()

    def interrupted(self) -> None:
        """Tell each callback that Ctrl-C was pressed."""
        for callback in self._callbacks:
            callback.interrupted()

    def detach(self) -> None:
        """Tell each callback that the fit is over."""
        for callback in self._callbacks:
            callback.detach()

    def on_train_begin(self) -> None:
        """Tell each callback that training begins."""
        for callback in self._callbacks:
            _tell(callback.on_train_begin, logs={})

    def on_epoch_begin(self, epoch: int) -> None:
        """Tell each callback that an epoch begins."""
        for callback in self._callbacks:
            _tell(callback.on_epoch_begin, epoch, logs={})

    def on_train_batch_begin(self, batch: int) -> None:
        """Tell the callbacks that define the method that a batch begins."""
        for method in self._before_batch:
            method(batch, {})

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Tell the callbacks that define the method that a batch is done."""
        for method in self._after_batch:
            method(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Tell each callback that an epoch is done, validation included."""
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Tell each callback that training is done."""
        for callback in self._callbacks:
            _tell(callback.on_train_end, logs=logs)


def _tell(method: Callable[..., None], *arguments: int, logs: Logs) -> None:
    """Call a method of a callback, with ``logs`` if it takes them."""
    try:
        inspect.signature(method).bind(*arguments, logs)
    except TypeError:
        method(*arguments)
    else:
        method(*arguments, logs)
