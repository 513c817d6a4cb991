"""The whole state of a fit: what has to be known to go on, after any batch, to the same bits.

Most of it is in the model's own file format (weights, moving statistics, moments, steps, seed); random numbers follow
from seed and step. This module adds where in which epoch the fit is, the sums of the epoch's figures, and what the
callbacks remember; and it says whether a state belongs to the fit that asks for it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import metrics
from ..augmentation import Augmentation
from ..core import seeding
from ..core.checks import LARGEST, integer
from ..core.files import MAX_DEPTH
from ..core.messages import shown
from ..core.types import Array, Config
from ..core.version import is_ours, versions
from ..layers.base import build_layer
from ..training.batches import Batches, checksum
from . import model_file as checkpoint

if TYPE_CHECKING:
    from ..callbacks import Callback
    from ..sequential import Sequential
    from ..training.session import Session

FORMAT = 1
#: What a state holds beside its format, and of which type.
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
}


class Saved(NamedTuple):
    """A state that was read and belongs to the fit: ``state`` is decoded, the rest as in a model's file."""

    arrays: dict[str, Array]
    description: dict[str, Any]
    state: dict[str, Any]


# What has to be the same ----------------------------------------------------------------------------------------


def identity(
    model: "Sequential",
    batches: Batches,
    validation_data: tuple[Array, Array, Array | None] | None,
    augment: Augmentation | None,
    fuse: bool,
    initial_epoch: int,
) -> Config:
    """What decides a fit's bits beside its state, ready for JSON; ``epochs`` may grow.

    Not the seed, which the state brings along; nor a learning rate that is a number and which layers are frozen, which
    callbacks may have changed and the state brings along as well.
    """
    config = model.get_config()
    del config["seed"]
    for layer in config["layers"]:
        layer["config"].pop("trainable", None)
    optimizer = model.optimizer.get_config()
    if model.optimizer.schedule is None:
        del optimizer["learning_rate"]
    validation = None
    if validation_data is not None:
        parts = zip(("x", "y", "sample_weight"), validation_data, strict=True)
        validation = {name: checksum(part) for name, part in parts if part is not None}
    return _plain(
        {
            "model": config,
            "optimizer": {"class_name": type(model.optimizer).__name__} | optimizer,
            "loss": {"class_name": type(model.loss).__name__} | model.loss.get_config(),
            "metrics": metrics.serialize(model.metrics),
            "backend": model.backend.name,
            "data": batches.identity(),
            "validation_data": validation,
            "augment": None if augment is None else augment.get_config(),
            "fuse": fuse,
            "initial_epoch": initial_epoch,
        }
    )


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))


def differences(saved: Any, now: Any, path: str = "") -> Iterator[str]:
    """In words, where two identities differ."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in {**saved, **now}:
            yield from differences(saved.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        for index, pair in enumerate(zip(saved, now, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif saved != now:
        yield f"{path} was {_short(saved)} and is {_short(now)}"


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60]


# Saving ---------------------------------------------------------------------------------------------------------


def capture(session: "Session") -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and description of a fit as it is now, between two batches or two epochs."""
    model = session.model
    arrays, description = checkpoint.contents(model)
    state = {
        "format": FORMAT,
        "identity": session.identity,
        "versions": versions(),
        "epoch": session.epoch,
        "batch": session.batch,
        "steps": session.steps,
        "stopped": model.stop_training,
        "meters": session.meters.get_state() if session.batch else None,
        "frozen": [key for key, parameter in model.parameters().items() if not parameter.trainable],
        "frozen_layers": [layer.name for layer in model.layers if not layer.trainable],
        "callbacks": [_named_state(follower) for follower in session.remembering()],
    }
    own: dict[str, Array] = {}
    description["state"] = _encoded(state, own, "state")
    return arrays | own, description


def _named_state(follower: "Callback") -> dict[str, Any]:
    return {"class_name": type(follower).__name__, "state": follower.get_state()}


def _encoded(value: Any, arrays: dict[str, Array], path: str, level: int = 2) -> Any:
    """A value as JSON can hold it; arrays go into ``arrays`` and a reference takes their place.

    What could not be read again is refused here, while nothing is lost yet.
    """
    if level > MAX_DEPTH:
        raise TypeError(f"{shown(path)}: a state is nested at most {MAX_DEPTH} deep")
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise TypeError(f"{path}: arrays of a state hold numbers of at most 64 bits; got {value.dtype}")
        arrays[key := f"{checkpoint.STATE}{len(arrays)}"] = value
        return {"$array": key}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise TypeError(f"{path}: a key of a state is text that does not begin with '$'; got {key!r}")
        return {key: _encoded(item, arrays, f"{path}.{key}", level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item, arrays, f"{path}[{index}]", level + 1) for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path}: a state holds numbers, text, lists, dicts and NumPy arrays; got {type(value).__name__}")


def _decoded(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The inverse of :func:`_encoded`."""
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
    """What a state's file holds.

    Raises
    ------
    ValueError
        If it is none, or of a later format.
    """
    try:
        state = _decoded(description["state"], arrays)
        number = state["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no state of a training: {shown(error)}") from error
    if type(number) is not int or number != FORMAT:
        raise ValueError(f"{path} holds a state of format {shown(number)}; this version of tinycnn reads {FORMAT}")
    for key, kind in _FIELDS.items():
        if type(state.get(key)) not in kind:
            raise ValueError(f"{path} is no state of a training: its {key!r} is {shown(state.get(key))}")
    counts = state["epoch"], state["batch"], state["steps"]
    if min(counts) < 0 or max(counts) > LARGEST:
        raise ValueError(f"{path} is no state of a training: its counts of epochs and batches are {shown(counts)}")
    for entry in state["callbacks"]:
        if not isinstance(entry, dict) or entry.keys() != {"class_name", "state"} or not _is_state(entry["state"]):
            raise ValueError(f"{path} is no state of a training: its 'callbacks' hold {shown(entry)}")
    return Saved(arrays, description, state)


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def check_belongs(saved: Saved, now: Config, followers: "Sequence[Callback]", path: Any) -> None:
    """Raise unless a state belongs to the fit that wants to go on from it.

    Raises
    ------
    ValueError
        With what differs.
    """
    different = [text[:200] for text in differences(saved.state.get("identity"), now)]  # names may be of any length
    if different:
        more = f", and {len(different) - 3} more" if len(different) > 3 else ""
        raise ValueError(
            f"{path} belongs to another training: {'; '.join(different[:3])}{more}. Give fit what it was given then, "
            "or another folder"
        )
    _pairs(saved, followers, path)


def _pairs(saved: Saved, followers: "Sequence[Callback]", path: Any) -> list[tuple["Callback", dict[str, Any]]]:
    """Each callback with the state that is its own: the first of a class in one list with the first in the other."""
    left = list(followers)
    pairs = []
    for entry in saved.state["callbacks"]:
        name, state = entry["class_name"], entry["state"]
        match = next((follower for follower in left if type(follower).__name__ == name), None)
        if match is not None:
            left.remove(match)
            pairs.append((match, state))
        elif state:
            raise ValueError(f"{path} holds the state of {shown(name)}, which is not among the callbacks; add it")
    return pairs


def restore(session: "Session", saved: Saved, path: Any) -> None:
    """Bring model, callbacks and data to where the state is.

    Raises
    ------
    ValueError
        If something in the state does not fit; then the model is not to be used.
    """
    state = saved.state
    try:
        _restore_model(session.model, saved)
        for follower, own in _pairs(saved, session.remembering(), path):
            if is_ours(type(follower)):  # a user's may change its kind
                _check_like(own, follower.get_state(), type(follower).__name__)
            follower.set_state(own)
        session.epoch, session.batch, session.steps = state["epoch"], state["batch"], state["steps"]
        session.model.stop_training = session.stopped = state["stopped"]
        session.new_meters()
        if session.batch:
            fresh, theirs = session.meters.get_state(), session.meters.of_users()
            fresh["metrics"] |= {name: {} for name in theirs}  # theirs may change its kind, as a user's callback may
            _check_like(state["meters"], fresh, "meters")
            if state["meters"]["count"] < 1:
                raise ValueError("its meters have seen no sample")
            session.meters.set_state(state["meters"])
        session.batches.skip(session.epoch - session.initial_epoch, session.steps)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: its state does not fit this version of tinycnn: {shown(error)}") from error


def _check_like(found: Any, fresh: Any, name: str) -> None:
    """Compare a state that was read with what its owner would give now: the same keys, and values of the same kind."""
    if isinstance(found, dict) and isinstance(fresh, dict) and (found.keys() == fresh.keys() or not fresh):
        for key in fresh:
            _check_like(found[key], fresh[key], f"{name}.{key}")
    elif isinstance(fresh, dict) or (found is not None and fresh is not None and _kind(found) is not _kind(fresh)):
        raise ValueError(f"the state of {name} is {shown(found)}, which is of another kind than {shown(fresh)}")


def _kind(value: Any) -> type:
    """Its type; whole and broken numbers are one."""
    return float if type(value) is int else type(value)


def _restore_model(model: "Sequential", saved: Saved) -> None:
    if model.seed != saved.description["model"]["seed"]:
        _draw_anew(model, saved.description["model"]["seed"])
    frozen, frozen_layers = set(saved.state["frozen"]), set(saved.state["frozen_layers"])
    for layer in model.layers:
        layer.trainable = layer.name not in frozen_layers
    for key, parameter in model.parameters().items():
        parameter.trainable = key not in frozen
    training = saved.description["training"]
    model.optimizer.iterations = training["iterations"]
    if model.optimizer.schedule is None:
        model.optimizer.learning_rate = training["optimizer"]["config"]["learning_rate"]
    _fill(model, {key: array for key, array in saved.arrays.items() if not key.startswith(checkpoint.STATE)})


def _draw_anew(model: "Sequential", seed: int) -> None:
    """Give a model another seed: what its layers drew, masks of dropout among it, is drawn again from that one."""
    model.seed = integer(seed, "seed", minimum=0)
    for index, layer in enumerate(model.layers):
        rng = seeding.generator(seed, seeding.Stream.INITIALISE, index)
        build_layer(layer, layer.built_input_shape, rng=rng, dtype=model.dtype, backend=model.backend)
    model._make_chain(model.optimizer, model.loss)


def _fill(model: "Sequential", arrays: Mapping[str, Array]) -> None:
    """Weights and optimizer slots; names, shapes and dtypes are compared before anything changes."""
    parameters, optimizer = model.parameters(), model.optimizer
    targets = {f"{checkpoint._WEIGHT}{key}": value for key, value in model.weights().items()}
    slots: dict[str, list[Array]] = {}
    for key, parameter in parameters.items():
        names = [f"{checkpoint._SLOT}{key}/{name}" for name in optimizer.slot_names]
        if any(name in arrays for name in names):
            slots[key] = [np.zeros_like(parameter.value) for _ in names]
            targets |= dict(zip(names, slots[key], strict=True))
    if arrays.keys() != targets.keys():
        raise ValueError(f"it lacks {sorted(targets.keys() - arrays.keys())}, or has more than the model")
    for key, target in targets.items():
        if (arrays[key].shape, arrays[key].dtype) != (target.shape, target.dtype):
            raise ValueError(f"{key} is {arrays[key].dtype} {arrays[key].shape}, not {target.dtype} {target.shape}")
    for key, target in targets.items():
        target[...] = arrays[key]
    optimizer.remember({key: parameters[key] for key in slots})
    optimizer.slots = slots
