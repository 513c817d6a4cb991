"""A model as one file: safetensors for the arrays, and JSON in its metadata for everything else.

Nothing in the file is ever executed. The metadata have one key, ``tinycnn``, because the format writes several keys in
random order, and the same model has to give the same bytes.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.numpy

from .. import losses, metrics, optimizers
from ..core.checks import boolean, integer
from ..core.description import described
from ..core.files import parse_json, write_whole
from ..core.messages import level_of_caller, shown
from ..core.registry import custom_classes
from ..core.types import Array, Shape
from ..core.version import NUMERICS
from ..kernels import aligned
from ..network.network import MAX_LAYERS, Network
from . import formats, opening

N = TypeVar("N", bound=Network)

#: The format of files that are written. All formats up to it are read; tests/fixtures has a file of each.
FORMAT = 1
_WEIGHT, _SLOT = "weights/", "optimizer/"
#: How the names of those arrays begin that are not part of the model; see :mod:`tinycnn.saving.fit_state`.
STATE = "state/"
_DTYPES = {"float32": "F32", "float64": "F64"}


def save_model(model: Network, path: Any, extra: Mapping[str, Any] | None = None) -> None:
    """Write a model as :meth:`Sequential.save` does, with ``extra``, further JSON that :func:`read_extra` returns."""
    arrays, description = contents(model)
    write_whole(path, packed(arrays, description | {"extra": dict(extra or {})}))


def contents(model: Network, *, training: bool = True) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return everything that makes up a model: its arrays by their names in the file, and the rest as JSON.

    Parameters
    ----------
    model : Network
    training : bool
        Whether optimizer, loss and metrics are part of it, if the model is compiled.

    Raises
    ------
    RuntimeError, TypeError, ValueError
        If a file with these contents could not be loaded; the message says why.
    """
    training = training and model.compiled
    if training:
        model.need_compile()
    _check_loadable(model)
    arrays = {_WEIGHT + key: model.backend.to_numpy(value) for key, value in model.weights().items()}
    description: dict[str, Any] = {"format": FORMAT, "numerics": NUMERICS, "model": model.get_config()}
    if training:
        model.optimizer.follow(model.parameters())
        description["training"] = {
            "optimizer": described(model.optimizer),
            "iterations": integer(model.optimizer.iterations, "the optimizer's iterations", minimum=0),
            "loss": described(model.loss),
            "metrics": metrics.serialize(model.metrics, model.loss.accuracy),
        }
        for key, slots in model.optimizer.slots.items():
            for name, slot in zip(model.optimizer.slot_names, slots, strict=True):
                arrays[f"{_SLOT}{key}/{name}"] = model.backend.to_numpy(slot)
    return arrays, description


def _check_loadable(model: Network) -> None:
    """Raise if a model has more layers than are read, or arrays that its layers would not have after loading."""
    model.need_build()
    if len(model.layers) > MAX_LAYERS:
        raise ValueError(f"{model.name} cannot be saved: it has {len(model.layers)} layers, more than {MAX_LAYERS}")
    for layer in model.layers:
        arrays = {name: (tuple(value.shape), str(value.dtype)) for name, value in layer.weights().items()}
        built = {name: (shape, model.dtype) for name, shape in layer.built_weights.items()}
        for name in {**arrays, **built}:
            if arrays.get(name) != built.get(name):
                found, wanted = (
                    "none" if array is None else "{1} of shape {0}".format(*array)
                    for array in (arrays.get(name), built.get(name))
                )
                raise ValueError(
                    f"{layer.label} cannot be saved: its array {name!r} is {found}, but was {wanted} when it was "
                    "built. Write new values into the arrays that are there: layer.params[name].value[...] = values"
                )


def packed(arrays: Mapping[str, Array], description: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file with these arrays and this description.

    Raises
    ------
    ValueError
        If the description is nested too deep to be read.
    """
    # safetensors writes sliced and Fortran-ordered arrays silently wrong.
    arrays = {key: np.asarray(value, order="C") for key, value in arrays.items()}
    text = json.dumps(description, allow_nan=False)
    try:
        parse_json(text)
    except ValueError as error:
        raise ValueError(
            f"this cannot be saved, because it could not be read again: {error}; make it flatter"
        ) from error
    return safetensors.numpy.save(arrays, metadata={opening.KEY: text})


def load_model(
    path: Any,
    kind: type[N],
    custom_objects: dict[str, type] | None = None,
    *,
    compiled: bool = True,
    check_finite: bool = True,
) -> N:
    """Return the model in a file, as :func:`tinycnn.load_model` says.

    Parameters
    ----------
    path : path
        The file.
    kind : class
        The class of the model.
    custom_objects : dict of str to class, optional
        The classes in the file that are not tinycnn's own.
    compiled : bool
        Whether to compile the model as it was, if it was compiled.
    check_finite : bool
        Whether to refuse weights that are NaN or infinite.
    """
    boolean(check_finite, "check_finite")
    seen = opening.look(path)
    if seen.other is not None:
        read = formats.function("load_model", seen)
        return read(seen.path, kind, custom_objects, compiled=compiled, check_finite=check_finite)
    with custom_classes(custom_objects), _opened(seen) as (file, description):
        model, input_shape, training = _described(description, kind, path, compiled)
        ignored = STATE if compiled else (STATE, _SLOT)
        _check_arrays(file, model, input_shape, training, path, ignored)
        with _named_errors(path):
            model.build(input_shape)
            if training is not None:
                model.compile(*training)
        targets = Destinations(model, file.keys())
        for key, target in targets.arrays.items():
            target[...] = _checked(file.get_tensor(key), f"{path}: {key}", check_finite)
        targets.adopt_slots()
    return model


def save_weights(model: Network, path: Any) -> None:
    """Write weights as :meth:`Sequential.save_weights` does; the file is that of a model that was not compiled.

    A name that ends as the files of another program do, such as ``.weights.h5``, makes it a file of that program.
    """
    write = formats.writer(path)
    if write is None:
        write_whole(path, packed(*contents(model, training=False)))
    else:
        write(model, path)


def load_weights(model: Network, path: Any, *, check_finite: bool) -> None:
    """Overwrite weights with those in a file, as :meth:`Sequential.load_weights` says."""
    boolean(check_finite, "check_finite")
    seen = opening.look(path)
    if seen.other is not None:
        formats.function("load_weights", seen)(model, seen.path, check_finite=check_finite)
        return
    targets = {_WEIGHT + key: value for key, value in model.weights().items()}
    with _opened(seen) as (file, _):
        stored = {key for key in file.keys() if key.startswith(_WEIGHT)}  # noqa: SIM118  (not a dict)
        wanted = {key: value.shape for key, value in targets.items()}
        found = _compare(file, stored, wanted, model, path, tuple(_DTYPES.values()))
        # All are read before one is changed.
        values = {key: converted(file.get_tensor(key), model, f"{path}: {key}", check_finite) for key in targets}
    for key, target in targets.items():
        target[...] = values[key]
    warn_of_conversion(model, {name for name, code in _DTYPES.items() if code in found}, path)


def warn_of_conversion(model: Network, dtypes: set[str], path: Any) -> None:
    """Warn if the weights of a file had other dtypes than the model, to which they were converted."""
    others = sorted(dtypes - {model.dtype})
    if others:
        warnings.warn(
            f"{path} holds weights of {' and '.join(others)}; they were converted to {model.dtype}, the dtype of "
            f"{model.name}",
            UserWarning,
            stacklevel=level_of_caller(),
        )


def converted(values: Array, model: Network, name: str, check_finite: bool) -> Array:
    """Return the values in the model's dtype, or raise if one is too large for it, or not finite, and must not be."""
    with np.errstate(over="ignore", under="ignore"):
        converted = _checked(values, name, check_finite).astype(model.dtype, copy=False)
    if check_finite and not np.isfinite(converted).all():
        raise ValueError(f"{name} holds {np.abs(values).max():g}, which is too large for {model.dtype}")
    return converted


def read_extra(path: Any) -> dict[str, Any]:
    """Return the ``extra`` that :func:`save_model` was given."""
    seen = opening.look(path)
    if seen.other is not None:
        raise opening.not_ours(seen)
    with _opened(seen) as (_, description):
        extra = description.get("extra", {})
    if not isinstance(extra, dict):
        raise ValueError(f"{path}: its 'extra' must be an object; got {shown(extra)}")
    return extra


@contextmanager
def _opened(seen: opening.Seen) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file of tinycnn for the block, and give the reader of its arrays and its description."""
    path = seen.path
    description = _description(seen)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file, description
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a tinycnn model: {str(error)[:300]}") from error


def _description(seen: opening.Seen) -> dict[str, Any]:
    """Return the description in a header, or raise if it is not that of a format that this version reads."""
    try:
        description = parse_json(seen.description)
    except ValueError as error:
        raise ValueError(f"{seen.path}: its configuration is not readable JSON: {error}") from error
    number = description.get("format") if isinstance(description, dict) else None
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise ValueError(f"{seen.path} has format {shown(number)}; this version of tinycnn reads 1 to {FORMAT}")
    return description


@contextmanager
def _named_errors(path: Any) -> Iterator[None]:
    """Turn whatever a configuration raises into a ValueError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: its configuration does not make a model: {reason}") from error


def _described(
    description: dict[str, Any], kind: type[N], path: Any, compiled: bool
) -> tuple[N, Shape, tuple[Any, Any, Any] | None]:
    """Return the model, not built; the shape to build it for; and what to compile it with, if it is to be compiled."""
    with _named_errors(path):
        model, input_shape = kind.not_built(description["model"])
        if not model.layers:
            raise ValueError("it has no layers")
        if input_shape is None:
            raise ValueError("it has no input_shape")
        training = description.get("training")
        if training is None or not compiled:
            return model, input_shape, None
        if not isinstance(training, dict):
            raise TypeError(f"training must be an object; got {shown(training)}")
        optimizer = optimizers.get(training["optimizer"])
        optimizer.iterations = integer(training["iterations"], "iterations", minimum=0)
        return model, input_shape, (optimizer, losses.get(training["loss"]), training["metrics"])


def _check_arrays(
    file: Any,
    model: Network,
    input_shape: Shape,
    training: tuple[Any, ...] | None,
    path: Any,
    ignored: str | tuple[str, ...],
) -> None:
    """Compare every name, shape and dtype with the configuration, without reading any array.

    Names that begin with one of ``ignored`` are those of arrays that are not wanted.
    """
    with _named_errors(path):
        shapes = model.weight_shapes(input_shape)
    wanted = {_WEIGHT + key: shape for key, shape in shapes.items()}
    # A state of BackupAndRestore is the file of a model too; it also holds what callbacks remember.
    stored = {key for key in file.keys() if not key.startswith(ignored)}  # noqa: SIM118  (not a dict)
    if training is not None:
        wanted |= {key: shapes[parameter] for key, parameter, _ in _slots(shapes, training[0], stored)}
    _compare(file, stored, wanted, model, path)


def _compare(
    file: Any,
    stored: set[str],
    wanted: Mapping[str, Shape],
    model: Network,
    path: Any,
    dtypes: tuple[str, ...] | None = None,
) -> set[str]:
    """Raise unless the stored arrays are the wanted ones in name, shape and dtype; none of them is read.

    By default the dtype must be the model's. Return the dtypes that were found, as safetensors calls them.
    """
    dtypes = (_DTYPES[model.dtype],) if dtypes is None else dtypes
    all_found = set()
    if stored != wanted.keys():
        missing, surplus = sorted(wanted.keys() - stored), sorted(stored - wanted.keys())
        raise ValueError(
            f"{path}: the weights do not fit the configuration; missing {shown(missing)}, unexpected {shown(surplus)}"
        )
    for key, shape in wanted.items():
        part = file.get_slice(key)
        found, dtype = tuple(part.get_shape()), part.get_dtype()
        if found != shape:
            raise ValueError(f"{path}: {key} has shape {shown(found)}, but the configuration says {shape}")
        if dtype not in dtypes:
            raise ValueError(f"{path}: {key} has dtype {dtype}, but the configuration says {_DTYPES[model.dtype]}")
        all_found.add(dtype)
    return all_found


def _slots(parameters: Iterable[str], optimizer: Any, stored: set[str]) -> Iterator[tuple[str, str, int]]:
    """Yield name in the file, parameter, and number of each optimizer slot of the parameters that have any stored."""
    for key in parameters:
        names = [f"{_SLOT}{key}/{name}" for name in optimizer.slot_names]
        if any(name in stored for name in names):
            yield from ((name, key, number) for number, name in enumerate(names))


class Destinations:
    """Where the arrays of a file belong: a model's weights, and slots of its optimizer.

    Parameters
    ----------
    model : Network
        Built; compiled if the file is that of a compiled model.
    stored : iterable of str
        The names of the arrays in the file, which tell which parameters the optimizer remembers.

    Attributes
    ----------
    arrays : dict of str to array
        The arrays to fill, by their names in the file. Slots are fresh arrays until :meth:`adopt_slots`.
    """

    def __init__(self, model: Network, stored: Iterable[str]) -> None:
        self.arrays: dict[str, Array] = {_WEIGHT + key: value for key, value in model.weights().items()}
        self._model, self._slots = model, dict[str, list[Array]]()
        if model.compiled:
            parameters, optimizer = model.parameters(), model.optimizer
            for name, key, number in _slots(parameters, optimizer, set(stored)):
                slots = self._slots.setdefault(key, [])
                slots.append(aligned.zeros_like(parameters[key].value))
                self.arrays[name] = slots[number]

    def adopt_slots(self) -> None:
        """Give the filled slots to the optimizer, in place of those that it has."""
        if self._model.compiled:
            parameters, optimizer = self._model.parameters(), self._model.optimizer
            optimizer.remember({key: parameters[key] for key in self._slots})
            optimizer.slots = self._slots


def _checked(values: Array, name: str, check_finite: bool) -> Array:
    """Return the values, or raise if NaN or infinity is among them and is not allowed."""
    if check_finite and not np.isfinite(values).all():
        raise ValueError(
            f"{name} holds NaN or infinity: the training diverged, or the file is damaged; "
            "pass check_finite=False to read them anyway"
        )
    return values
