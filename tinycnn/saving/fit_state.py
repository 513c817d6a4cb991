"""The whole state of a fit: everything that is needed to go on after any batch, to the same bits.

Most of it is in the model's own file format: weights, moving statistics, moments, steps, and the seed. Random numbers
follow from seed and step. This module adds the position within the fit, the sums of the epoch's means, and what the
callbacks remember. It also decides whether a state belongs to the fit that asks for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import optimizers
from ..core.checks import LARGEST, integer
from ..core.files import MAX_DEPTH
from ..core.messages import shown
from ..core.types import Array, Config
from ..core.version import is_ours, versions
from ..network.network import Network
from ..training.callback import Callback
from ..training.loop import Run
from ..training.sequences import BatchSamples
from . import model_file
from .fit_identity import comparable, differences, frozen, settings

FORMAT = 1
#: The settings of callbacks that have to be as they were, in those callbacks that have them.
_WATCHED = ("monitor", "mode", "restore_best_weights", "initial_value_threshold")
#: What a state holds in addition to the number of its format, and the types that each entry may have.
_FIELDS: dict[str, tuple[type, ...]] = {
    "identity": (dict,),
    "versions": (dict,),
    "epoch": (int,),
    "batch": (int,),
    "steps": (int,),
    "stopped": (bool,),
    "meters": (dict, type(None)),
    "frozen": (list,),
    "frozen_layers": (list,),
    "callbacks": (list,),
    "settings": (dict, type(None)),  # the first states that were written lack it
}


class Saved(NamedTuple):
    """A state that was read from a file: ``state`` is decoded, the rest is as in a model's file."""

    arrays: dict[str, Array]
    description: dict[str, Any]
    state: dict[str, Any]


# Saving ---------------------------------------------------------------------------------------------------------


def capture(run: Run, now: Config, callbacks: Sequence[Callback]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the description of a fit as it is now, between two batches or two epochs.

    Parameters
    ----------
    run : Run
        The fit.
    now : dict
        The fit's :func:`.fit_identity.identity`.
    callbacks : sequence of Callback
        The callbacks whose state is part of it.
    """
    model = run.model
    arrays, description = model_file.contents(model)
    state = {
        "format": FORMAT,
        "identity": now,
        "versions": versions(),
        "epoch": run.epoch,
        "batch": run.batch,
        "steps": run.steps,
        "stopped": model.stop_training,
        "meters": run.means.get_state() if run.batch else None,
        "frozen": frozen(model),
        "frozen_layers": [layer.name for layer in model.layers if not layer.trainable],
        "callbacks": [_named_state(callback) for callback in callbacks],
        "settings": settings(model),
    }
    own: dict[str, Array] = {}
    description["state"] = _encoded(state, own, "state")
    return arrays | own, description


def _named_state(callback: Callback) -> dict[str, Any]:
    """Return a callback's state with its class, or raise if it is not one that could be read back."""
    name, state = type(callback).__name__, callback.get_state()
    if not _is_state(state):
        raise TypeError(f"{name}: get_state must return a dict with text as keys, {{}} if nothing; got {shown(state)}")
    return {"class_name": name, "state": state, "watches": _watched(callback)}


def _watched(callback: Callback) -> Config:
    """Return what a callback watches, and what else its state would undo.

    A best value of something else would be of no use to it, and best weights would be restored, or be missing, whatever
    it has been told.
    """
    kinds = str | bool | int | float | None
    return {name: vars(callback)[name] for name in _WATCHED if isinstance(vars(callback).get(name, ...), kinds)}


def _encoded(value: Any, arrays: dict[str, Array], path: str, level: int = 2) -> Any:
    """Return a value as JSON can hold it; arrays go into ``arrays``, and a reference takes their place.

    What could not be read back is refused here, while nothing is lost yet.
    """
    if level > MAX_DEPTH:
        raise TypeError(f"{shown(path)}: a state may be nested at most {MAX_DEPTH} deep; make it flatter")
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise TypeError(f"{path}: the arrays of a state must hold numbers of at most 64 bits; got {value.dtype}")
        arrays[key := f"{model_file.STATE}{len(arrays)}"] = value
        return {"$array": key}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise TypeError(f"{path}: the keys of a state must be text that does not begin with '$'; got {key!r}")
        return {key: _encoded(item, arrays, f"{path}.{key}", level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item, arrays, f"{path}[{index}]", level + 1) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"{path}: a state may hold numbers, text, None, lists, dicts and NumPy arrays; got {type(value).__name__}"
    )


def _decoded(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the value that :func:`_encoded` was given."""
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$array"}:
        return arrays[value["$array"]]
    if value.keys() == {"$float"}:
        return float(value["$float"])
    return {key: _decoded(item, arrays) for key, item in value.items()}


# Going on -------------------------------------------------------------------------------------------------------


def decoded(arrays: dict[str, Array], description: dict[str, Any], path: Any) -> Saved:
    """Return the checked state from the contents of a file.

    Raises
    ------
    ValueError
        If the file does not hold a state, or its format is a later one.
    """
    try:
        state = _decoded(description["state"], arrays)
        number = state["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not the state of a training: {shown(error)}") from error
    if type(number) is not int or number != FORMAT:
        raise ValueError(f"{path} holds a state of format {shown(number)}; this version of tinycnn reads {FORMAT}")
    for key, kind in _FIELDS.items():
        if type(state.get(key)) not in kind:
            raise ValueError(f"{path} is not the state of a training: its {key!r} is {shown(state.get(key))}")
    counts = state["epoch"], state["batch"], state["steps"]
    if min(counts) < 0 or max(counts) > LARGEST:
        raise ValueError(f"{path} is not the state of a training: its counts of epochs and batches are {shown(counts)}")
    for entry in state["callbacks"]:
        keys = entry.keys() - {"watches"} if isinstance(entry, dict) else None  # the first states lack it
        if keys != {"class_name", "state"} or not _is_state(entry["state"]):
            raise ValueError(f"{path} is not the state of a training: its 'callbacks' hold {shown(entry)}")
    return Saved(arrays, description, state)


def _is_state(value: Any) -> bool:
    """Return whether a value is a dict, as the state of a callback is."""
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def check_belongs(saved: Saved, now: Config, callbacks: Sequence[Callback], path: Any) -> None:
    """Raise unless a state belongs to the fit that wants to go on from it.

    Raises
    ------
    ValueError
        If anything differs that determines the bits; the message says what.
    """
    then = saved.state["identity"]
    different = list(differences(then, comparable(now, then)))
    if not different:
        for entry, callback in _pairs(saved, callbacks, path):
            now_watched = _watched(callback)
            then_watched = now_watched | entry.get("watches", {})  # earlier states lack some
            different += differences(then_watched, now_watched, type(callback).__name__)
    if different:
        more = f", and {len(different) - 3} more" if len(different) > 3 else ""
        shortened = "; ".join(text[:200] for text in different[:3])  # names may be of any length
        raise ValueError(
            f"{path} belongs to another training: {shortened}{more}. Give fit what it was given then, or use another "
            "folder"
        )


def _pairs(saved: Saved, callbacks: Sequence[Callback], path: Any) -> list[tuple[dict[str, Any], Callback]]:
    """Return what is saved of each callback, with the callback; those of the same class get their states in order."""
    left = list(callbacks)
    pairs = []
    for entry in saved.state["callbacks"]:
        name = entry["class_name"]
        match = next((callback for callback in left if type(callback).__name__ == name), None)
        if match is not None:
            left.remove(match)
            pairs.append((entry, match))
        elif entry["state"]:
            raise ValueError(f"{path} holds the state of {shown(name)}, which is not among the callbacks; add it")
    return pairs


def restore(run: Run, saved: Saved, callbacks: Sequence[Callback], path: Any) -> None:
    """Bring model, callbacks and data to the point that a state describes.

    Raises
    ------
    ValueError
        If something in the state does not fit; the model must not be used then.
    """
    state = saved.state
    with _named_errors(path):
        restore_model(run.model, saved)
        pairs = _pairs(saved, callbacks, path)
        for entry, callback in pairs:
            if is_ours(type(callback)):  # a user's callback may change the kinds of its values
                _check_like(entry["state"], callback.get_state(), type(callback).__name__)
    for entry, callback in pairs:
        _set_state(callback, entry["state"], path)
    with _named_errors(path):
        run.epoch, run.batch, run.steps = state["epoch"], state["batch"], state["steps"]
        run.model.stop_training = run.stopped = state["stopped"]
        run.new_means()
        if run.batch:
            fresh, users_metrics = run.means.get_state(), run.means.names_of_users_metrics()
            # A user's metric may change the kinds of its values.
            fresh["metrics"] |= {name: {} for name in users_metrics}
            _check_like(state["meters"], fresh, "meters")
            if state["meters"]["count"] < 1:
                raise ValueError("its 'meters' have seen no sample")
            run.means.set_state(state["meters"])
        epochs = run.epoch - run.settings.initial_epoch
        run.batches.skip(epochs, run.steps)
        if isinstance(run.validation, BatchSamples):
            run.validation.skip(epochs)


@contextmanager
def _named_errors(path: Any) -> Iterator[None]:
    """Turn what a state that does not fit raises into a ValueError that names its file."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: its state does not fit this version of tinycnn: {shown(error)}") from error


def _set_state(callback: Callback, state: dict[str, Any], path: Any) -> None:
    """Give a callback its state, and name it if that fails."""
    try:
        callback.set_state(state)
    except Exception as error:  # whatever a user's callback raises
        raise ValueError(
            f"{path}: {type(callback).__name__}.set_state failed with the state in this file: {shown(error)}"
        ) from error


def _check_like(found: Any, fresh: Any, name: str) -> None:
    """Raise unless a state that was read has the keys and the kinds of values that its owner would give now."""
    if isinstance(found, dict) and isinstance(fresh, dict) and (found.keys() == fresh.keys() or not fresh):
        for key in fresh:
            _check_like(found[key], fresh[key], f"{name}.{key}")
    elif isinstance(fresh, dict) or (found is not None and fresh is not None and _kind(found) is not _kind(fresh)):
        raise ValueError(f"the state of {name} is {shown(found)}, which is of another kind than {shown(fresh)}")


def _kind(value: Any) -> type:
    """Return the type of a value; integers and floats count as one."""
    return float if type(value) is int else type(value)


def restore_model(model: Network, saved: Saved) -> None:
    """Give a model the seed, the frozen layers, the optimizer's settings, the steps and the arrays of a state."""
    if model.seed != saved.description["model"]["seed"]:
        model.build_again(seed=integer(saved.description["model"]["seed"], "seed", minimum=0))
        model.make_chain(model.optimizer, model.loss)
    frozen, frozen_layers = set(saved.state["frozen"]), set(saved.state["frozen_layers"])
    for layer in model.layers:
        layer.trainable = layer.name not in frozen_layers
    for key, parameter in model.parameters().items():
        parameter.trainable = key not in frozen
    training = saved.description["training"]
    _restore_optimizer(model.optimizer, training)
    _fill(model, {key: array for key, array in saved.arrays.items() if not key.startswith(model_file.STATE)})


def _restore_optimizer(optimizer: optimizers.Optimizer, training: dict[str, Any]) -> None:
    """Give an optimizer its steps, and the settings that callbacks may have changed, such as a lower learning rate."""
    optimizer.iterations = training["iterations"]
    config = training["optimizer"]["config"]
    if optimizer.schedule is None and "learning_rate" in config:  # a user's own may fix it
        optimizer.learning_rate = config["learning_rate"]
    if is_ours(type(optimizer)):
        saved = optimizers.get(training["optimizer"])
        for name in config.keys() - {"learning_rate"}:
            if getattr(optimizer, name) != getattr(saved, name):  # some cannot be set, and no callback can change them
                setattr(optimizer, name, getattr(saved, name))


def _fill(model: Network, arrays: Mapping[str, Array]) -> None:
    """Fill weights and optimizer slots; names, shapes and dtypes are compared before anything changes."""
    targets = model_file.Destinations(model, arrays)
    if arrays.keys() != targets.arrays.keys():
        missing, surplus = sorted(targets.arrays.keys() - arrays.keys()), sorted(arrays.keys() - targets.arrays.keys())
        raise ValueError(f"its arrays are not those of the model: missing {missing}, unexpected {surplus}")
    for key, target in targets.arrays.items():
        if (arrays[key].shape, arrays[key].dtype) != (target.shape, target.dtype):
            raise ValueError(
                f"{key} is {arrays[key].dtype} of shape {arrays[key].shape}; expected {target.dtype} of {target.shape}"
            )
    for key, target in targets.arrays.items():
        target[...] = arrays[key]
    targets.adopt_slots()
