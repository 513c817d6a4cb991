"""``Sequential``, and models from files and from their configurations."""

import json
from typing import Any

from ..core.checks import boolean
from ..core.checks import path as checked_path
from ..core.messages import shown
from ..core.public import listing
from ..core.seeding import new_model_seed
from ..interchange import keras_config
from ..saving import model_file
from ..sequential import Sequential as EngineSequential
from . import _image_layers, _more_layers, _more_losses, _more_metrics, _more_optimizers, _resizing
from ._missing import MODELS, UTILS
from ._sequential import Sequential
from ._spelling import engine_class
from ._telling import looked_up
from .layers import Input

#: The classes of this room that files may name, which the engine does not know.
_OWN: dict[str, type] = {
    **{
        cls.__name__: cls
        for cls in (
            _image_layers.RandomContrast,
            _image_layers.RandomFlip,
            _image_layers.RandomRotation,
            _image_layers.RandomTranslation,
            _image_layers.RandomZoom,
            _resizing.Resizing,
            _more_layers.Permute,
            _more_layers.SeparableConv2D,
        )
    },
    **_more_losses.LOSSES,
    **_more_metrics.METRICS,
    **_more_optimizers.OPTIMIZERS,
}


def _classes(custom_objects: Any) -> Any:
    """Return a user's own classes, and those of this room."""
    if custom_objects is None:
        return _OWN
    if not isinstance(custom_objects, dict):
        return custom_objects  # the engine says what is wrong with it
    return _OWN | {name: engine_class(one) for name, one in custom_objects.items()}


def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Sequential:
    """Read a model that :meth:`Sequential.save` wrote, or one of Keras's; see :func:`tinycnn.load_model`.

    Parameters
    ----------
    filepath : path
        The file.
    custom_objects : dict of str to class, optional
        The classes in the file that are not tinycnn's own, by their names.
    compile : bool
        Whether to compile the model as it was.
    safe_mode : bool
        It has no effect: nothing in a file is ever executed.
    """
    return model_file.load_model(
        checked_path(filepath, "filepath"), Sequential, _classes(custom_objects), compiled=boolean(compile, "compile")
    )


def save_model(model: EngineSequential, filepath: Any, overwrite: bool = True, **other: Any) -> None:
    """Write a model to a file, as its own method does."""
    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a keras.Sequential; got {shown(model)}")
    model.save(filepath, overwrite, **other)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Sequential:
    """Return the model that :meth:`Sequential.to_json` described, here or in Keras, with fresh weights.

    Raises
    ------
    ValueError
        If the text is not such a description.
    """
    try:
        content = json.loads(json_string)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"json_string must be what model.to_json() returned; {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"json_string must be what model.to_json() returned; got {shown(json_string)}")
    if content.get("backend") != "tinycnn":  # Keras's own
        try:
            translated = keras_config.translate(content)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"json_string must be what model.to_json() returned; {error}") from error
        content = {"config": {"seed": new_model_seed(), **translated}}
    return Sequential.from_config(content.get("config") or {}, _classes(custom_objects))


def clone_model(model: EngineSequential) -> Sequential:
    """Return a model with the same layers and weights of its own, drawn anew."""
    if not isinstance(model, EngineSequential):
        raise TypeError(f"model must be a Sequential; got {shown(model)}")
    return Sequential.from_config(model.get_config() | {"seed": new_model_seed()}, _OWN)


__all__ = ["Input", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, MODELS | UTILS)
