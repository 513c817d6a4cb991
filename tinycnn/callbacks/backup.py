"""The callback that keeps the whole state of a fit, so that nothing is lost when the process ends."""

import os
import time
import warnings
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

from ..core.checks import path, real
from ..core.checks import save_freq as checked_save_freq
from ..core.messages import level_of_caller
from ..core.printing import say
from ..core.types import Config
from ..core.version import versions
from ..network.network import Network
from ..saving import fit_identity, fit_state
from ..saving.state_folder import StateFolder
from ..training.callback import Callback, Logs
from ..training.loop import Run
from ..training.non_finite import bad_weight

#: The attributes that hold the data and the memory of a fit while it runs; no copy has them.
_OF_THE_FIT = ("_run", "_others", "_found")


class _Left(NamedTuple):
    """How a fit with a backup has left a model that is used further, as in a notebook."""

    folder: str
    begun_with: Config
    left: Config


_LEFT: WeakKeyDictionary[Network, _Left] = WeakKeyDictionary()


class BackupAndRestore(Callback):
    """Keep the whole state of a fit in a folder, and go on from there when ``fit`` is called again.

    Call ``fit`` again in the same way, perhaps in a new process. If the folder holds a state, the fit goes on at the
    very batch at which it stopped, and ends with the same bits as a fit that was never interrupted: weights, moving
    statistics, optimizer, ``history``, and what the other callbacks remember (:meth:`Callback.get_state`). An iterator
    has to begin with the same batch as it did the first time.

    ``epochs`` may grow. If the fit was finished, the call says so and trains nothing, unless it asks for more epochs
    than are done.

    Everything else has to be as it was: the model's layers and which of them are trained, the optimizer with its
    learning rate and all other settings, loss, metrics, dtype, data, augmentation, and the seed if one was set. What
    differs is refused, because the state would silently undo it. What the fit itself has changed, such as a learning
    rate that a callback has lowered, is part of the state.

    A state is written before the first batch, as often as ``save_freq`` and ``save_seconds`` say, after every epoch,
    and on Ctrl-C. The files, ``checkpoint-000001.safetensors`` and so on, are written whole or not at all. The last two
    are kept, each with a checksum. A damaged file is reported, and the one before it is used. A state that contains NaN
    or infinity is not written, so that the last good one is kept.

    Unlike Keras's, this callback also goes on within an epoch, keeps the files when training is done, and saves after
    every epoch even if ``save_freq`` counts batches.

    Parameters
    ----------
    backup_dir : path
        A folder for one training; it is made if it does not exist.
    save_freq : "epoch" or int
        Save after this many batches, counted across epochs, as well as after every epoch.
    save_seconds : float, optional
        Save in the middle of an epoch too, if the last state is older than this.

    Raises
    ------
    ValueError
        In ``fit``, if the folder's state belongs to another model, other data or other settings, if all its files are
        damaged, or if two of these callbacks are given.
    OSError
        In ``fit``, if a state cannot be written because no space is left, the folder is gone, or writing is not
        allowed. Training ends at once instead of going on without a backup. Earlier states are still as they were;
        when the cause is removed, the same call goes on from there.

    Warns
    -----
    UserWarning
        If nothing is left to do and ``verbose=0``; if a file is damaged; or if the state was written with other
        versions of NumPy, Numba, Python or tinycnn, which may lead to other bits.
    """

    only_observes = True
    order: ClassVar[int] = 2  # last, so that it saves what the others have made of a batch or an epoch

    def __init__(
        self, backup_dir: str | Path, save_freq: str | int = "epoch", *, save_seconds: float | None = None
    ) -> None:
        self.backup_dir = path(backup_dir, "backup_dir")
        self.save_freq = checked_save_freq(save_freq)
        self.save_seconds = None if save_seconds is None else real(save_seconds, "save_seconds", 0)

    def attach(self, run: Run) -> None:
        if sum(isinstance(callback, BackupAndRestore) for callback in run.callbacks) > 1:
            raise ValueError(
                "callbacks hold more than one BackupAndRestore; a fit has one folder for its states, so leave one out"
            )
        self._run, self._files = run, StateFolder(self.backup_dir)
        self._others = [callback for callback in run.callbacks if callback is not self]
        self._now = fit_identity.settings(run.model)
        self._identity: Config = fit_identity.identity(run, self._begun_with())
        self._files.prepare()
        self._found = self._newest()

    def _begun_with(self) -> Config:
        """Return the settings with which this fit begins, or began if the model is as an earlier call has left it."""
        before = _LEFT.get(self._run.model)
        if before is not None and (before.folder, before.left) == (os.path.realpath(self.backup_dir), self._now):
            return before.begun_with
        return self._now

    def _newest(self) -> tuple[fit_state.Saved, Path] | None:
        """Return the state to go on from, once it is known to belong to this fit; None if the folder holds none."""
        found = self._files.newest()
        if found is None:
            return None
        path, contents = found
        saved = fit_state.decoded(*contents, path)
        if saved.state.get("settings") == self._now:  # the model is just as the state has it, so that nothing is undone
            self._identity |= {name: then for name, then in saved.state["identity"].items() if name in self._now}
        fit_state.check_belongs(saved, self._identity, self._others, path)
        begun = saved.state["epoch"] + (saved.state["batch"] > 0)
        if begun > self.params["epochs"]:
            raise ValueError(
                f"{path} is in epoch {begun} already, but fit was told to stop after {self.params['epochs']}; epochs "
                "may only grow; give at least as many, or use another folder"
            )
        self._warn_of_versions(saved, path)
        return saved, path

    def resume(self) -> None:
        if self._found is None:
            self.save()
            return
        saved, path = self._found
        if saved.state["batch"]:
            self._run.callbacks.on_epoch_begin(saved.state["epoch"])
        fit_state.restore(self._run, saved, self._others, path)
        done = self._what_is_done()
        inside = f", after {self._run.batch} batches" if self._run.batch else ""
        if self.params["verbose"]:
            say(f"{path}: {done}" if done else f"Going on in epoch {self._run.epoch + 1}{inside}, from {path}")
        elif done:  # nobody would see why nothing is trained
            warnings.warn(f"{path}: {done}", UserWarning, stacklevel=level_of_caller())

    def _what_is_done(self) -> str:
        """Return a sentence that says why nothing is left to do, or "" if something is."""
        run = self._run
        if run.stopped and not run.batch:
            return (
                f"training was stopped after {run.epoch} epochs; nothing more to do. To train anew, use another folder"
            )
        if run.epoch >= self.params["epochs"]:
            return (
                f"all {run.epoch} epochs are done; nothing more to do. To train on, ask for more epochs; to train "
                "anew, use another folder"
            )
        return ""

    def interrupted(self) -> None:
        self.save()

    def detach(self) -> None:
        run, identity = getattr(self, "_run", None), getattr(self, "_identity", None)
        if run is not None and identity is not None:
            begun_with = {name: identity[name] for name in self._now}
            _LEFT[run.model] = _Left(os.path.realpath(self.backup_dir), begun_with, fit_identity.settings(run.model))
        for name in _OF_THE_FIT:
            self.__dict__.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in _OF_THE_FIT}

    def save(self) -> None:
        """Write the state as it is now, between two batches."""
        if bad_weight(self.model) is not None:
            # Nobody could use such a state, and it would replace the last one that can be used.
            return
        self._files.write(*fit_state.capture(self._run, self._identity, self._others))
        self._saved_at = time.monotonic()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._saved_at = time.monotonic()

    def watches_batches(self) -> bool:
        return False

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        done = self._run.steps + self._run.batch
        due = isinstance(self.save_freq, int) and done % self.save_freq == 0
        if not due and self.save_seconds is not None:
            due = time.monotonic() - self._saved_at >= self.save_seconds
        if due:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.save()

    def _warn_of_versions(self, saved: fit_state.Saved, path: Path) -> None:
        """Warn if a state was written with other versions of anything that the bits depend on."""
        then: dict[str, Any] = saved.state.get("versions", {})
        changes = [f"{name} {then.get(name)} (now {now})" for name, now in versions().items() if then.get(name) != now]
        if changes:
            warnings.warn(
                f"{path} was written with {', '.join(changes)}; the result may differ in its last bits from that of an "
                "uninterrupted fit",
                UserWarning,
                stacklevel=2,
            )
