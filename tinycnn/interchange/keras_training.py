"""How Keras says that a model was compiled, translated into an optimizer, a loss and metrics of tinycnn."""

from collections.abc import Iterator
from typing import Any

from .. import losses, metrics, optimizers, schedules
from ..core.messages import shown
from ..core.types import Config
from .keras_config import arguments_of, class_name, is_nothing, taken_by

#: Arguments of an optimizer that change nothing in what it computes.
_OF_OPTIMIZERS = {
    *("name", "jit_compile", "is_legacy_optimizer", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"),
    *("gradient_accumulation_steps", "weight_decay_vars_to_exclude"),
}
#: Arguments that Keras 2 wrote and that mean nothing at these values.
_DEFAULTS = (("decay", 0.0), ("reduction", "auto"))


def compiled_with(config: Any) -> tuple[Any, Any, list[Any]]:
    """Return the optimizer, the loss and the metrics here of what Keras says about how a model is compiled.

    The optimizer begins anew: its moments and its number of steps are not taken over.

    Raises
    ------
    ValueError, TypeError
        If one of them has no counterpart here.
    """
    if not isinstance(config, dict):
        raise ValueError(f"what it says about training is {shown(config)}")
    optimizer = config.get("optimizer", config.get("optimizer_config"))
    return _optimizer(optimizer), _loss(config.get("loss")), list(_metrics(config.get("metrics")))


def _optimizer(value: Any) -> Any:
    if not isinstance(value, dict):
        return optimizers.get(value)
    name = class_name(value)
    config = _taken_arguments(optimizers.REGISTRY.class_called(name), value, _OF_OPTIMIZERS)
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        schedule = schedules.REGISTRY.class_called(class_name(rate))
        config["learning_rate"] = {
            "class_name": rate["class_name"],
            "config": _taken_arguments(schedule, rate, {"name"}),
        }
    return optimizers.get({"class_name": name, "config": config})


def _loss(value: Any) -> Any:
    if not isinstance(value, dict):
        return losses.get(value)
    name = class_name(value)
    if name == "function":
        return losses.get(value.get("config"))
    config = _taken_arguments(losses.REGISTRY.class_called(name), value, {"name", "dtype", "fn", "axis"})
    return losses.get({"class_name": name, "config": config})


def _taken_arguments(cls: type, description: Any, no_matter: set[str]) -> Config:
    """Return the arguments in a description that a class takes, or raise if there are others that matter."""
    config, taken = {}, taken_by(cls)
    for key, value in arguments_of(description).items():
        if (key, value) in _DEFAULTS:
            continue
        if key in taken:
            config[key] = value
        elif key not in no_matter and not is_nothing(value):
            raise ValueError(f"{cls.__name__} takes no {shown(key)}, which is {shown(value)}")
    return config


def _metrics(value: Any) -> Iterator[Any]:
    """Yield each metric in a list that may be nested, as Keras nests it for several outputs."""
    for entry in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(entry, list):
            yield from _metrics(entry)
        elif isinstance(entry, dict):
            inner: Any = entry.get("config")
            wrapped = entry.get("class_name") == "MeanMetricWrapper" and isinstance(inner, dict)
            yield metrics.get(inner.get("name") if wrapped else inner if isinstance(inner, str) else class_name(entry))
        else:
            yield metrics.get(entry)
