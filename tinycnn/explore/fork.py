"""The same training with one thing changed, and everything else as it was."""

import copy
from typing import Any

from ..core.checks import boolean, choice, real
from ..inspection.answers import gives_one_number
from ..layers import BatchNormalization, Layer
from ..sequential import Sequential
from .lane import Settings

#: What can be changed, and how it is called.
CHANGES = {
    "rate": "another learning rate",
    "shuffle": "another order of the images",
    "batch_norm": "no batch normalization",
    "scale": "initial weights of another scale",
}


def prepared(model: Sequential, fresh: bool) -> Sequential:
    """Return a copy of a network that can be trained beside it; its metric is the accuracy, if it has classes.

    Parameters
    ----------
    model : Sequential
        A compiled model; it stays as it is.
    fresh : bool
        Whether to begin with the weights with which the model was made, and with an optimizer that has taken no step.
    """
    made = copy.deepcopy(model)
    optimizer = made.optimizer
    if fresh:
        made.build_again()
        optimizer = type(optimizer).from_config(optimizer.get_config())
    made.compile(optimizer, made.loss, [] if gives_one_number(made) else ["accuracy"])
    return made


def checked_value(change: Any, value: Any, model: Sequential, settings: Settings) -> float | bool:
    """Return the value of a change, or raise an error that says why it cannot be made.

    Parameters
    ----------
    change : str
        One of :data:`CHANGES`.
    value : float or bool
        The new rate; whether to shuffle; False for no batch normalization; the factor for all initial kernels.
    model, settings
        What is changed.

    Raises
    ------
    TypeError, ValueError
        If there is no such change, or it would change nothing.
    """
    change = choice(change, CHANGES, "change")
    if change == "rate":
        check_has_rate(model)
        return real(value, "value", above=0)
    if change == "scale":
        factor = real(value, "value", above=0, maximum=1000)
        if factor == 1:
            raise ValueError("value: a factor of 1 changes nothing; give another one")
        return factor
    wanted = boolean(value, "value")
    if change == "shuffle" and wanted == settings.shuffle:
        raise ValueError(f"value: shuffle is {wanted} already; give {not wanted}")
    if change == "batch_norm":
        if wanted:
            raise ValueError("value: only False is possible, which leaves all batch normalizations out")
        if not any(isinstance(layer, BatchNormalization) for layer in model.layers):
            raise ValueError(f"{model.name} has no batch normalization that could be left out; choose another change")
    return wanted


def check_has_rate(model: Sequential) -> None:
    """Raise ValueError if a schedule determines the learning rate, so that it cannot be set."""
    schedule = model.optimizer.schedule
    if schedule is not None:
        raise ValueError(
            f"the learning rate of {model.name} comes from {type(schedule).__name__} and cannot be set as well; "
            "compile it with a number as the learning rate"
        )


def changed(original: Sequential, change: str, value: float | bool) -> Sequential:
    """Return a copy of a network as it was before the first step, with one thing changed that concerns the network."""
    made = copy.deepcopy(original)
    if change == "batch_norm":
        # Such a layer keeps the shape, so its neighbours fit each other; all other weights stay as they are.
        made.layers = [layer for layer in made.layers if not isinstance(layer, BatchNormalization)]
        kept = made.parameters().keys()
        made.optimizer.slots = {name: slots for name, slots in made.optimizer.slots.items() if name in kept}
    if change == "scale":
        for layer in made.layers:
            _scale(layer, float(value))
    made.compile(made.optimizer, made.loss, list(made.metrics.values()))
    return made


def _scale(layer: Layer, factor: float) -> None:
    """Multiply those weights of a layer that are drawn at random: kernels, but neither biases nor gamma."""
    for parameter in layer.params.values():
        if parameter.value.ndim > 1:
            values = layer.backend.to_numpy(parameter.value)
            parameter.value[...] = values * values.dtype.type(factor)


def title(change: str, value: float | bool, step: int) -> str:
    """Return what a fork is, in words."""
    if change == "rate":
        return f"learning rate {value:g} from step {step}"
    if change == "scale":
        return f"initial weights times {value:g}"
    if change == "shuffle":
        return "images shuffled" if value else "images not shuffled"
    return CHANGES[change]
