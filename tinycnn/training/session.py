"""A fit that is running: what it consists of, how far it has come, and who is told."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import callbacks as callbacks_module
from ..augmentation import Augmentation
from ..core.types import Array
from ..core.workspace import Workspace
from ..saving import fit_state
from . import device_memory
from . import non_finite as numeric
from .batches import Batches
from .feed import Feed, block_size
from .running_means import Meters

if TYPE_CHECKING:
    from ..callbacks import Callback, Logs
    from ..sequential import Sequential

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
            tell(follower.on_train_begin, logs={})
        if self.backup is None:
            return
        if self._saved is None:
            self.backup.save()
            return
        saved, path = self._saved
        if saved.state["batch"]:
            for follower in self.followers:
                tell(follower.on_epoch_begin, saved.state["epoch"], logs={})
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
            tell(follower.on_epoch_begin, self.epoch, logs={})

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


def tell(method: "Callable[..., None]", *arguments: int, logs: "Logs") -> None:
    """Call a callback's method; where there are no figures yet, a user's may leave out ``logs``."""
    try:
        inspect.signature(method).bind(*arguments, logs)
    except TypeError:
        method(*arguments)
    else:
        method(*arguments, logs)
