"""Callbacks that write files."""

import csv
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from string import Formatter
from typing import Any

from ..core import system
from ..core.checks import boolean, path, real
from ..core.checks import save_freq as checked_save_freq
from ..core.files import append_text, check_destination, make_folder, write_whole
from ..core.messages import shown
from ..training.callback import Callback, Logs
from ..training.non_finite import bad_weight
from .monitor import MonitorCallback


class CSVLogger(Callback):
    """Write one line per epoch to a CSV file, at once, so that an interrupted run loses nothing.

    Where another program keeps the file from being written, as a spreadsheet on Windows does, a warning says so, and
    the lines are written as soon as that is possible.

    Parameters
    ----------
    filename : path
        The file; its folder must exist. What is not a file, such as a folder or a pipe, is refused before training.
    separator : str
        The character between two columns.
    append : bool
        Add to an existing file instead of overwriting it, so that ``fit`` may be called again.
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = path(filename, "filename")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"\0':
            raise ValueError(f"separator must be one character; got {shown(separator)}")
        self.separator = separator
        self.append = boolean(append, "append")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._columns: list[str] | None = None
        check_destination(self.filename)
        if self.append and self.filename.exists():
            with self._reading(), self.filename.open(newline="", encoding="utf-8") as file:
                text = file.read()
                self._columns = next(csv.reader(text.splitlines(), delimiter=self.separator), None)
            if self._columns is not None and "epoch" not in self._columns:
                raise ValueError(
                    f"{self.filename} has no column called 'epoch' (columns are separated by {self.separator!r}), so "
                    "append=True cannot add rows to it; give another filename or separator"
                )
            if self._columns is not None and not text.endswith(("\n", "\r")):
                append_text(self.filename, "\n")
        self._left_out: set[str] = set()
        self._kept = ""  # rows that could not be written yet
        if self._columns is None:
            write_whole(self.filename, b"")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        told = bool(self._kept)
        self._kept += self._lines({"epoch": epoch, **logs})
        try:
            append_text(self.filename, self._kept)
        except PermissionError as error:
            # On Windows a spreadsheet that shows the file keeps others from writing it. A long training goes on.
            if system.can_replace_open_files():
                raise
            if not told:
                message = (
                    f"{error}. Meanwhile the training goes on, and the rows are written as soon as that is possible"
                )
                warnings.warn(message, UserWarning, stacklevel=2)
        else:
            self._kept = ""

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._kept:
            append_text(self.filename, self._kept)
            self._kept = ""

    def get_state(self) -> dict[str, Any]:
        if not self.filename.exists():
            return {"columns": self._columns, "text": self._kept}
        with self._reading(), self.filename.open(newline="", encoding="utf-8") as file:
            return {"columns": self._columns, "text": file.read() + self._kept}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors in reading the file, which anybody may have written, into a ValueError that names the file."""
        try:
            yield
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{self.filename} is not a CSV file, so no rows can be added to it; give another filename: {error}"
            ) from error

    def set_state(self, state: dict[str, Any]) -> None:
        # This drops the rows of epochs that will be trained again, and brings back those before them.
        self._columns, self._kept = state["columns"], ""
        write_whole(self.filename, state["text"].encode())

    def _lines(self, row: dict[str, float]) -> str:
        """Return the line of a row, with the names of the columns before the first one."""
        first = self._columns is None
        left_out = set(row) - set(self._columns or row) - self._left_out
        if left_out and self.append:
            warnings.warn(
                f"{self.filename} has no column for {', '.join(sorted(left_out))}, so these values are left out",
                UserWarning,
                stacklevel=2,
            )
            self._left_out |= left_out
        self._columns = self._columns or list(row)
        lines = StringIO(newline="")
        writer = csv.DictWriter(lines, self._columns, restval="", extrasaction="ignore", delimiter=self.separator)
        if first:
            writer.writeheader()
        writer.writerow(row)
        return lines.getvalue()


class ModelCheckpoint(MonitorCallback):
    """Save the model after every epoch, after the best epochs only, or after a number of batches.

    A file is written whole or not at all (:meth:`tinycnn.Sequential.save`), and by default holds everything that
    training needs to go on. Unlike Keras's, this callback starts each fit afresh, and it raises an error if the logs
    lack what it should watch, instead of saving regardless. A model with a weight that is NaN or infinite is not saved,
    so that the last good file stays. With ``save_best_only``, NaN is never better, not even as the first value.

    Parameters
    ----------
    filepath : path
        The file. Its name may hold fields in braces, with a format if wanted: ``{epoch:02d}`` (counted from 1),
        ``{batch}`` (also from 1, and only if ``save_freq`` counts batches), and any key of the logs, such as
        ``{val_loss:.4f}``. Folders that do not exist are made.
    monitor : str
        The key of the logs that ``save_best_only`` watches.
    verbose : int
        1 prints a line for each file.
    save_best_only : bool
        Save only a model that is better than all before it in this fit.
    save_weights_only : bool
        Save the weights alone (:meth:`tinycnn.Sequential.save_weights`).
    mode : {"auto", "min", "max"}
        Whether small or large is good; ``auto`` takes what the compiled metric says, and ``min`` for a loss.
    save_freq : "epoch" or int
        Save after every epoch, or after this many batches, counted across epochs; the logs are then the means over the
        epoch so far.
    initial_value_threshold : float, optional
        The value that the first saved model has to be better than.

    Attributes
    ----------
    best : float
        The best value of this fit, or the threshold.

    Raises
    ------
    ValueError
        If arguments contradict each other, or the fields of the path are malformed; in ``fit``, if the logs lack a
        field or the key that is watched.
    OSError
        In ``fit``, if a file cannot be written. A path without fields at which there is a folder, a device or a pipe
        is refused before training.
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, verbose=verbose)
        self.filepath = str(path(filepath, "filepath"))
        _fields(self.filepath)
        self.save_best_only = boolean(save_best_only, "save_best_only")
        self.save_weights_only = boolean(save_weights_only, "save_weights_only")
        self.save_freq = checked_save_freq(save_freq)
        if self.save_best_only and self.save_freq != "epoch" and monitor.startswith("val_"):
            raise ValueError(
                f"monitor {monitor!r} is known only at the end of an epoch; with save_freq={save_freq!r} monitor "
                f"{monitor.removeprefix('val_')!r}, or use save_freq='epoch'"
            )
        threshold = initial_value_threshold
        self.initial_value_threshold = None if threshold is None else real(threshold, "initial_value_threshold")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        if not any(name for _, name, _ in _fields(self.filepath)):  # otherwise the name is not known yet
            check_destination(filled(self.filepath, {}))
        self.best = self.worst() if self.initial_value_threshold is None else self.initial_value_threshold
        self._epoch, self._batches = 0, 0

    def _find_direction(self) -> str:
        # Without save_best_only nothing is monitored, so any name may have been given.
        return super()._find_direction() if self.save_best_only else "min"

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def watches_batches(self) -> bool:
        return isinstance(self.save_freq, int)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        self._batches += 1
        if isinstance(self.save_freq, int) and self._batches % self.save_freq == 0:
            self._save({"epoch": self._epoch + 1, "batch": batch + 1}, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1}, logs)

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._batches = state["best"], state["batches"]

    def _save(self, when: dict[str, int], logs: Logs) -> None:
        """Save the model if it is to be saved; ``when`` holds the fields that say when, such as the epoch."""
        path = Path(filled(self.filepath, {**logs, **when}))
        if bad_weight(self.model) is not None:
            self.say(f"epoch {when['epoch']}: not saved, because a weight is not finite")
            return
        if self.save_best_only:
            value = self.figure(logs)
            if not self.better(value, self.best):
                return
            self.best = value
        make_folder(path.parent)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self.say(f"epoch {when['epoch']}: saved {path}")


def filled(path: str, values: dict[str, Any]) -> str:
    """Return a path with its fields filled in. Unlike ``str.format``, this looks up names and nothing else.

    Raises
    ------
    ValueError
        If a field is not a name, is not among the values, or has a format that does not suit its value.

    Examples
    --------
    >>> filled("run-{epoch:02d}-{loss:.3f}.safetensors", {"epoch": 3, "loss": 0.25})
    'run-03-0.250.safetensors'
    """
    parts = []
    for text, name, specification in _fields(path):
        parts.append(text)
        if name is None:
            continue
        if name not in values:
            raise ValueError(f"filepath {path!r}: there is no field {name!r}; the fields are {', '.join(values)}")
        try:
            parts.append(format(values[name], specification))
        except ValueError as error:
            raise ValueError(f"filepath {path!r}: {{{name}:{specification}}} with {values[name]!r}: {error}") from error
    return "".join(parts)


def _fields(path: str) -> list[tuple[str, str | None, str]]:
    """Return (text before it, name, format) of each field; a name must be an identifier, so it reaches nothing else."""
    try:
        parsed = list(Formatter().parse(path))
    except ValueError as error:
        raise ValueError(f"filepath {path!r}: {error}") from error
    fields = []
    for text, name, specification, conversion in parsed:
        if name is not None and (not name.isidentifier() or conversion or "{" in (specification or "")):
            raise ValueError(f"filepath {path!r}: a field must be a name, perhaps with a format, as in {{epoch:02d}}")
        fields.append((text, name, specification or ""))
    return fields
