"""A model as one file: safetensors for the arrays, JSON in its metadata for everything else.

Nothing in the file is ever executed. The metadata has one key, ``tinycnn``, because the format writes several in
random order and the same model is to give the same bytes.
"""

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from . import metrics
from ._types import Array
from .layers.base import Layer

if TYPE_CHECKING:
    from .model import Sequential

FORMAT = 1
#: How the name of a file ends that is still being written; one that was left behind by a crash may be deleted.
PART = ".part"
_KEY = "tinycnn"
_WEIGHT, _SLOT = "weights/", "optimizer/"


def save_model(model: "Sequential", path: Any, extra: Mapping[str, Any] | None = None) -> None:
    """See :meth:`Sequential.save`; ``extra`` is further JSON, given back by :func:`read_extra`."""
    arrays, description = contents(model)
    write_whole(path, packed(arrays, description | {"extra": dict(extra or {})}))


def contents(model: "Sequential") -> tuple[dict[str, Array], dict[str, Any]]:
    """All that a model is: its arrays by their names in the file, and everything else, ready for JSON."""
    arrays = {_WEIGHT + key: model.backend.to_numpy(value) for key, value in model.weights().items()}
    description: dict[str, Any] = {"format": FORMAT, "model": model.get_config()}
    if model.compiled:
        description["training"] = {
            "optimizer": {"class_name": type(model.optimizer).__name__, "config": model.optimizer.get_config()},
            "iterations": model.optimizer.iterations,
            "loss": {"class_name": type(model.loss).__name__, "config": model.loss.get_config()},
            "metrics": metrics.serialize(model.metrics),
        }
        for key, slots in model.optimizer.slots.items():
            for name, slot in zip(model.optimizer.slot_names, slots, strict=True):
                arrays[f"{_SLOT}{key}/{name}"] = model.backend.to_numpy(slot)
    return arrays, description


def packed(arrays: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """The bytes of a file."""
    # safetensors writes sliced and Fortran-ordered arrays silently wrong.
    arrays = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    return safetensors.numpy.save(arrays, metadata={_KEY: json.dumps(description, allow_nan=False)})


def load_model(path: Any, custom_objects: dict[str, type[Layer]] | None = None) -> "Sequential":
    """Read a model that :meth:`Sequential.save` wrote; one that was compiled can go on training.

    Parameters
    ----------
    path : path
    custom_objects : dict of str to class, optional
        Layers that are not tinycnn's own, by class name.

    Returns
    -------
    Sequential
        On the backend that is active now.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError, TypeError, KeyError
        If it is not a tinycnn model, or its weights do not fit its configuration.
    """
    with _opened(path) as (file, description):
        model = _model_of(description, custom_objects, path)
        _load_arrays(file, model, path)
    return model


def read_extra(path: Any) -> dict[str, Any]:
    """The ``extra`` that :func:`save_model` was given."""
    with _opened(path) as (_, description):
        return description.get("extra", {})


def write_whole(path: Any, data: bytes) -> None:
    """Write a file completely or not at all.

    To a temporary name beside it, flushed to the disk, then renamed; then the folder is flushed too, because the new
    name is part of it. Whatever fails before the renaming leaves an older file of that name as it was.

    Raises
    ------
    OSError
        That says which file could not be written, and why.
    """
    path = Path(path)
    try:
        _write_whole(path, data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"cannot write {path}: {reason}") from error


def _write_whole(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        # What went wrong is what matters, not that the folder is gone as well.
        with suppress(OSError):
            os.unlink(temporary)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have the disk note which files a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems know no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def _opened(path: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; a model is a file, for example {path / 'model.safetensors'}")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file, _description(file, path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a tinycnn model: {error}") from error


def _description(file: Any, path: Path) -> dict[str, Any]:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise ValueError(f"{path} is not a tinycnn model: its metadata lack the key {_KEY!r}")
    try:
        description = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: its configuration is not readable JSON: {error}") from error
    number = description.get("format") if isinstance(description, dict) else None
    if not isinstance(number, int) or not 1 <= number <= FORMAT:
        raise ValueError(f"{path} has format {number!r}; this version of tinycnn reads 1 to {FORMAT}")
    return description


def _model_of(description: dict[str, Any], custom_objects: dict[str, type[Layer]] | None, path: Any) -> "Sequential":
    from .model import Sequential

    try:
        model = Sequential.from_config(description["model"], custom_objects)
        training = description.get("training")
        if training is not None:
            model.compile(training["optimizer"], training["loss"], training["metrics"])
            model.optimizer.iterations = int(training["iterations"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: its configuration does not make a model: {error}") from error
    return model


def _load_arrays(file: Any, model: "Sequential", path: Any) -> None:
    """Check every name and shape first, then fill the model."""
    targets: dict[str, Array] = {_WEIGHT + key: value for key, value in model.weights().items()}
    if model.compiled:
        targets |= _slot_targets(file, model)
    stored = set(file.keys())
    if stored != targets.keys():
        missing, surplus = sorted(targets.keys() - stored), sorted(stored - targets.keys())
        raise ValueError(f"{path}: the weights do not fit the configuration; missing {missing}, unexpected {surplus}")
    for key, target in targets.items():
        shape = tuple(file.get_slice(key).get_shape())
        if shape != target.shape:
            raise ValueError(f"{path}: {key} has shape {shape}, the configuration wants {target.shape}")
    for key, target in targets.items():
        target[...] = file.get_tensor(key)


def _slot_targets(file: Any, model: "Sequential") -> dict[str, Array]:
    """Fresh optimizer slots for the parameters that the file has some for."""
    names = model.optimizer.slot_names
    targets: dict[str, Array] = {}
    stored = set(file.keys())
    for key, parameter in model.parameters().items():
        wanted = [f"{_SLOT}{key}/{name}" for name in names]
        if wanted and wanted[0] in stored:
            model.optimizer.slots[key] = [np.zeros_like(parameter.value) for _ in names]
            targets |= dict(zip(wanted, model.optimizer.slots[key], strict=True))
    return targets
