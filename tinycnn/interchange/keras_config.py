"""The configuration of a Keras model, translated into that of a model of tinycnn.

Names and meanings are the same, so that an argument is handed on if the class here takes it. What a class does not take
must be at a value that changes nothing. Whatever cannot be translated is listed, all of it at once.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from .. import initializers, regularizers
from .. import layers as layers_module
from ..core.messages import shown
from ..core.types import Config
from ..network.network import MAX_LAYERS

#: What errors list at most.
_LISTED = 6
#: Arguments of Keras that change nothing in what a network computes, whatever they are.
_NO_MATTER = {
    *("batch_input_shape", "batch_shape", "build_config", "dtype", "autocast", "lora_alpha", "ragged", "sparse"),
    *("renorm_clipping", "renorm_momentum", "fused"),
}
#: How the names of arguments end that only training has.
_IN_TRAINING = ("_constraint", "activity_regularizer")
#: Values that change nothing, for arguments that a class here lacks.
_NOTHING: tuple[Any, ...] = (None, False, "channels_last", [], {})
#: Names of arguments in Keras 2.
_RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}
#: The classes of models that are read. Keras 2 called a functional model "Model" before it was called "Functional".
_MODELS = ("Sequential", "Functional", "Model")


def translate(config: Any, left_out: list[str] | None = None, narrow: set[str] | None = None) -> Config:
    """Return the configuration here of a model that Keras describes.

    Parameters
    ----------
    config : dict
        What Keras writes: ``{"class_name": "Sequential", "config": {…}}``.
    left_out : list of str, optional
        Is told what is left out because it acts in training only.
    narrow : set of str, optional
        Is told the policies by which layers compute with fewer digits than here.

    Raises
    ------
    ValueError
        If it is not a row of layers, or a layer cannot be translated; the message lists all of them.
    """
    kind, inner = class_name(config), config.get("config")
    if kind not in _MODELS:
        raise ValueError(f"it is a {shown(kind)}; only Sequential models and functional ones in a row are read")
    entries = _entries(inner) if kind == "Sequential" else _row(_entries(inner))
    input_shape, dtypes = None, set()
    problems, described = list[str](), list[Config]()
    left_out = [] if left_out is None else left_out
    for entry in entries:
        name, arguments = class_name(entry), arguments_of(entry)
        if input_shape is None:
            batch = arguments.get("batch_shape", arguments.get("batch_input_shape"))
            input_shape = batch[1:] if isinstance(batch, list) else None
        if name == "InputLayer":
            continue
        dtypes.add(_dtype(arguments.get("dtype")))
        try:
            described.append(_layer(name, arguments, left_out))
        except (ValueError, TypeError) as error:
            problems.append(f"{shown(arguments.get('name', name))}: {error}")
    if problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise ValueError(f"tinycnn has no counterpart for {'; '.join(problems[:_LISTED])}{more}")
    if input_shape is None and isinstance(inner, dict) and isinstance(inner.get("build_input_shape"), list):
        input_shape = inner["build_input_shape"][1:]
    if input_shape is None:
        raise ValueError("it does not say the shape of its input; build it in Keras before it is saved")
    if narrow is not None:
        narrow |= {dtype for dtype in dtypes if "float16" in dtype}
    return {
        "name": inner.get("name") if isinstance(inner, dict) else None,
        "dtype": "float64" if "float64" in dtypes else "float32",
        "input_shape": input_shape,
        "layers": described,
    }


# The row of layers ------------------------------------------------------------------------------------------------


def _entries(inner: Any) -> list[Any]:
    """Return the descriptions of a model's layers; those of a Sequential were all of its config before Keras 2.2.3."""
    entries = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(entries, list) or len(entries) > MAX_LAYERS:
        raise ValueError(f"its layers must be a list of at most {MAX_LAYERS}; got {shown(entries)}")
    return entries


def _row(entries: list[Any]) -> list[Any]:
    """Return the descriptions of a functional model's layers in the order in which data pass through them.

    Raises
    ------
    ValueError
        If they are not in a row: one has several inputs, or is used twice.
    """
    below: dict[str | None, list[Any]] = {}
    for entry in entries:
        name, nodes = _name(entry), entry.get("inbound_nodes", [])
        sources = list(_histories(nodes))
        if len(sources) > 1 or (isinstance(nodes, list) and len(nodes) > 1):
            raise ValueError(f"its layers are not in a row: {shown(name)} has several inputs, or is used several times")
        below.setdefault(sources[0] if sources else None, []).append(entry)
    row: list[Any] = []
    at: str | None = None
    while at in below and len(row) < len(entries):
        if len(below[at]) > 1:
            raise ValueError(f"its layers are not in a row: {len(below[at])} of them take the same input")
        row += below[at]
        at = _name(row[-1])
    if len(row) < len(entries):
        raise ValueError("its layers are not in a row")
    return row


def _name(entry: Any) -> str:
    """Return the name of a layer of a functional model."""
    class_name(entry)
    return str(entry.get("name", arguments_of(entry).get("name")))


def _histories(value: Any) -> Iterator[str]:
    """Yield the names of the layers that an entry ``inbound_nodes`` names, as Keras 2 and as Keras 3 write it."""
    if isinstance(value, dict):
        history = value.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
            return
        for item in value.values():
            yield from _histories(item)
    elif isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
            yield value[0]
            return
        for item in value:
            yield from _histories(item)


def class_name(description: Any) -> str:
    name = description.get("class_name") if isinstance(description, dict) else None
    if not isinstance(name, str):
        raise ValueError(f"a layer or a model is described by its class_name and its config; got {shown(description)}")
    return name


def arguments_of(description: Any) -> Config:
    found = description.get("config")
    if not isinstance(found, dict):
        raise ValueError(f"the arguments of a {shown(description['class_name'])} are {shown(found)}")
    return found


def _dtype(value: Any) -> str:
    """Return the dtype of a layer, or the name of its policy; one of mixed precision keeps weights in float32."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, dict) else None
    return value if isinstance(value, str) else "float32"


# One layer --------------------------------------------------------------------------------------------------------


def _layer(name: str, arguments: Config, left_out: list[str]) -> Config:
    """Return the description here of a layer; raise ValueError or TypeError with what has no counterpart.

    What only training has is added to ``left_out``.
    """
    arguments = {_RENAMED.get((name, key), key): value for key, value in arguments.items()}
    name, arguments = _other_class(name, arguments)
    if name in _MODELS:
        raise ValueError(
            "it is a model by itself; a network is one row here, so write its layers in its place and save again"
        )
    try:
        cls = layers_module.REGISTRY.class_called(name)
    except ValueError:  # the list of all layers would be in the message for each of them
        raise ValueError(f"there is no layer {shown(name)}") from None
    taken = taken_by(cls)
    config: Config = {}
    for key, value in arguments.items():
        if key in taken:
            config[key] = _value(key, value)
        elif is_nothing(value) or key in _NO_MATTER:
            continue
        elif key.endswith(_IN_TRAINING):
            left_out.append(f"{key} of {arguments.get('name', name)}"[:120])
        else:
            raise ValueError(f"{name} takes no {shown(key)}, which is {shown(value)}")
    if cls is layers_module.BatchNormalization or cls is layers_module.Softmax:
        config["axis"] = _last_axis(config.get("axis", -1))
    described = {"class_name": name, "config": {k: v for k, v in config.items() if v is not _LEFT_OUT}}
    layers_module.deserialize(described)  # so that what a layer does not take is listed with the rest
    return described


def _other_class(name: str, arguments: Config) -> tuple[str, Config]:
    """Return class and arguments of a layer that has another class here."""
    if name in ("ReLU", "LeakyReLU"):
        arguments = {key: _number(value) for key, value in arguments.items()}
    if name == "Identity":
        name, arguments = "Activation", {"activation": "linear"} | arguments
    if name == "ReLU":
        rest = {key: value for key, value in arguments.items() if key not in ("threshold", "negative_slope") or value}
        leaky = "negative_slope" in rest and "threshold" not in rest
        return "LeakyReLU" if leaky and "negative_slope" not in taken_by(layers_module.ReLU) else name, rest
    return name, arguments


def _number(value: Any) -> Any:
    """Return the number in a list of one, as which Keras 2 wrote some."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def taken_by(cls: type) -> set[str]:
    """Return the names of the arguments that the constructor of a class takes, those of its bases included."""
    names = {
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for parameter in inspect.signature(vars(base)["__init__"]).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return names - {"self", "input_shape"} - set(getattr(cls, "fixed_arguments", ()))


def is_nothing(value: Any) -> bool:
    return any(value is nothing or (type(value) is type(nothing) and value == nothing) for nothing in _NOTHING)


#: Stands for an argument that is left at its default.
_LEFT_OUT: Any = object()


def _value(key: str, value: Any) -> Any:
    """Return the value of an argument as the class here takes it."""
    if key.endswith("_initializer"):
        return _initializer(value)
    if key.endswith("_regularizer"):
        return _regularizer(value)
    if key == "activation":
        return _activation(value)
    if key == "seed" and not isinstance(value, int | None):  # Keras 3 describes a generator
        return None
    return value


def _plain(value: Any) -> Any:
    """Return a description without what Keras adds to it: the module of the class, and the name it is registered by."""
    if isinstance(value, dict) and "class_name" in value:
        return {"class_name": value["class_name"], "config": value.get("config", {})}
    return value


def _initializer(value: Any) -> Any:
    """Return an initializer, or the default for one that is not known here: the weights come from the file."""
    plain = _plain(value)
    try:
        initializers.get(plain)
    except (ValueError, TypeError):
        return _LEFT_OUT
    return plain


def _regularizer(value: Any) -> Any:
    plain = _plain(value)
    inner = plain.get("config") if isinstance(plain, dict) else None
    if isinstance(inner, dict) and plain.get("class_name") == "L1L2" and not inner.get("l1"):
        plain = {"class_name": "L2", "config": {"l2": inner.get("l2", 0.0)}}  # Keras 2 described L2 like this
    regularizers.get(plain)
    return plain


def _activation(value: Any) -> Any:
    """Return an activation: a name, a function that Keras describes by its name, or a layer in its place."""
    if isinstance(value, dict):
        if value.get("class_name") == "function" and isinstance(value.get("config"), str):
            return value["config"]
        if value.get("class_name") in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
            # Translated as a layer, so that an argument that has no counterpart is refused here, too.
            found = _layer(value["class_name"], arguments_of(value), [])
            name, config = found["class_name"], found["config"]
            wanted = {
                "LeakyReLU": {"negative_slope": config.get("negative_slope", 0.3)},
                "ELU": {"alpha": config.get("alpha", 1.0)},
            }
            return {"class_name": name, "config": wanted.get(name, {})}
        if value.get("class_name") == "Activation":
            return _activation(arguments_of(value).get("activation"))
    return _plain(value)


def _last_axis(axis: Any) -> Any:
    """Return -1 for the last axis of an image, in the ways in which Keras wrote it; other axes as they are."""
    return -1 if _number(axis) == 3 else _number(axis)
