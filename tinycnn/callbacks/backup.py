"""The callback that keeps the whole state of a fit, so that nothing is lost when the process ends."""

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.checks import choice, integer, path, real
from ..core.version import versions
from ..saving import fit_state
from ..saving.state_folder import StateFolder
from ..training.callback import Callback, Logs
from ..training.non_finite import bad_weight

if TYPE_CHECKING:
    from ..training.session import Session


class BackupAndRestore(Callback):
    """Keep the whole state of a fit in a folder, and go on from there when ``fit`` is called again.

    Call ``fit`` in the same way as before, in a new process too: if the folder holds a state, the fit goes on at the
    very batch, and ends with the bits of a fit that was never interrupted: weights, moving statistics, optimizer,
    ``history`` and what the other callbacks remember (:meth:`Callback.get_state`). ``epochs`` may grow. After a
    finished fit there is nothing more to do. Data that an iterator yields has to begin as it began at first.

    A state is written before the first batch, as often as ``save_freq`` and ``save_seconds`` say, after every epoch,
    and on Ctrl-C. The files, ``checkpoint-000001.safetensors`` and so on, are written whole or not at all; the last
    two are kept, each with a checksum. A damaged one is reported, and the one before it is used. A state with NaN or
    infinity in it is not written, so that the last good one is kept.

    Unlike Keras's, it also counts what is inside an epoch, keeps the files when training is done, and saves after
    every epoch also when ``save_freq`` counts batches.

    Parameters
    ----------
    backup_dir : path
        A folder for one training; it is made.
    save_freq : "epoch" or int
        An integer counts batches, across epochs.
    save_seconds : float, optional
        Save also in the middle of an epoch when the last state is older than that.

    Raises
    ------
    ValueError
        In ``fit``: if the folder's state belongs to another model, other data or other settings, or if all its files
        are damaged.
    OSError
        In ``fit``, if a state cannot be written (no space left, no right to write, the folder is gone): training ends
        at once instead of going on without a backup. The states before it are as they were; when there is room again,
        the same call goes on from there.

    Warns
    -----
    UserWarning
        If a file is damaged, or the state was written with other versions of NumPy, Numba, Python or tinycnn, which
        may give other bits.
    """

    def __init__(
        self, backup_dir: str | Path, save_freq: str | int = "epoch", *, save_seconds: float | None = None
    ) -> None:
        self.backup_dir = path(backup_dir, "backup_dir")
        self.save_freq = (
            choice(save_freq, ("epoch",), "save_freq")
            if isinstance(save_freq, str)
            else integer(save_freq, "save_freq")
        )
        self.save_seconds = None if save_seconds is None else real(save_seconds, "save_seconds", 0)

    def begin(self, session: "Session") -> tuple[fit_state.Saved, Path] | None:
        """Find the state to go on from, if there is one; called by ``fit`` before anything else happens."""
        self._session, self._files = session, StateFolder(self.backup_dir)
        try:
            self._files.prepare()
        except OSError as error:
            raise type(error)(error.errno, f"cannot make the folder {self.backup_dir}: {error.strerror}") from error
        found = self._files.newest()
        if found is None:
            return None
        path, contents = found
        saved = fit_state.decoded(*contents, path)
        fit_state.check_belongs(saved, session.identity, session.remembering(), path)
        begun = saved.state["epoch"] + (saved.state["batch"] > 0)
        if begun > self.params["epochs"]:
            raise ValueError(
                f"{path} is in epoch {begun} already, and fit is to stop after {self.params['epochs']}; epochs may "
                "only grow"
            )
        self._warn_of_versions(saved, path)
        return saved, path

    def restored(self, path: Path) -> None:
        """Say where the fit goes on."""
        epoch, epochs = self._session.epoch, self.params["epochs"]
        if not self.params["verbose"]:
            return
        if self._session.stopped and not self._session.batch:
            print(f"{path}: training was stopped after {epoch} epochs; nothing more to do")
        elif epoch >= epochs:
            print(f"{path}: all {epoch} epochs are done; nothing more to do")
        else:
            inside = f", after {self._session.batch} batches" if self._session.batch else ""
            print(f"Going on in epoch {epoch + 1}{inside}, from {path}")

    def save(self) -> None:
        """Write the state as it is now, between two batches."""
        if bad_weight(self.model) is not None:
            # Of no use to anybody, and it would push out the last state that is.
            return
        self._files.write(*fit_state.capture(self._session))
        self._saved_at = time.monotonic()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._saved_at = time.monotonic()

    def watches_batches(self) -> bool:
        return False

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        done = self._session.steps + self._session.batch
        due = isinstance(self.save_freq, int) and done % self.save_freq == 0
        if not due and self.save_seconds is not None:
            due = time.monotonic() - self._saved_at >= self.save_seconds
        if due:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self.save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        del self._session  # it holds the data and the memory of the fit

    def _warn_of_versions(self, saved: fit_state.Saved, path: Path) -> None:
        then: dict[str, Any] = saved.state.get("versions", {})
        changes = [
            f"{name} {then.get(name)} and now {now}" for name, now in versions().items() if then.get(name) != now
        ]
        if changes:
            warnings.warn(
                f"{path} was written with {', '.join(changes)}; the bits may be others than without the interruption",
                UserWarning,
                stacklevel=2,
            )
