"""What has to be the same so that a fit can go on from a state: all that determines its bits apart from the state."""

import json
from collections.abc import Iterator
from typing import Any

from .. import metrics
from ..core import seeding
from ..core.description import described
from ..core.types import Config
from ..network.network import Network
from ..training.batches import checksum
from ..training.loop import Run
from ..training.sequences import BatchSamples


def settings(model: Network) -> Config:
    """Return how a model is compiled, in a form for JSON: all that a state would bring along apart from numbers.

    A fit may change some of it, as a callback does that lowers the learning rate or freezes a layer.
    """
    config = model.get_config()
    del config["seed"]
    config.pop("frozen", None)  # it stands below, always
    return _plain(
        {
            "model": config,
            "optimizer": {"class_name": type(model.optimizer).__name__} | described(model.optimizer)["config"],
            "loss": {"class_name": type(model.loss).__name__} | described(model.loss)["config"],
            "metrics": metrics.serialize(model.metrics, model.loss.accuracy),
            "frozen": frozen(model),
        }
    )


def frozen(model: Network) -> list[str]:
    """Return the names of the parameters that are not trained."""
    return [key for key, parameter in model.parameters().items() if not parameter.trainable]


def identity(run: Run, begun_with: Config) -> Config:
    """Return what determines a fit's bits in addition to its state, in a form for JSON; ``epochs`` may grow.

    Parameters
    ----------
    run : Run
        The fit.
    begun_with : dict
        The :func:`settings` with which the fit began, perhaps before an interruption.
    """
    model, given = run.model, run.settings
    validation: Any = None
    if isinstance(run.validation, BatchSamples):
        validation = run.validation.identity()
    elif run.validation is not None:
        parts = zip(("x", "y", "sample_weight"), run.validation, strict=True)
        validation = {name: checksum(part) for name, part in parts if part is not None}
    backend = model.backend
    more = {
        "backend": backend.name if backend.overlay is None else f"{backend.name} with {backend.overlay!r}",
        "data": run.batches.identity(),
        "validation_data": validation,
        "augment": None if given.augment is None else given.augment.get_config(),
        "fuse": given.fuse,
        "initial_epoch": given.initial_epoch,
        # The state brings its own seed, which only somebody who has set another one would miss.
        "set_seed": seeding.given_seed(model.seed),
    }
    if run.together is not None:  # fits of one process, and those before there were others, do not say
        more["distributed"] = run.together.identity()
    return begun_with | _plain(more)


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    return json.loads(json.dumps(value))


def differences(saved: Any, now: Any, path: str = "") -> Iterator[str]:
    """Yield, in words, each place in which two identities differ."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in {**saved, **now}:
            yield from differences(saved.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        for index, pair in enumerate(zip(saved, now, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif saved != now:
        yield f"{path} was {_short(saved)} and is {_short(now)}"


def _short(value: Any) -> str:
    """Return a short text for a value of an identity."""
    if isinstance(value, dict | list):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60]


def comparable(now: Config, then: Config) -> Config:
    """Return an identity without what need not be the same as in a state's: a seed that nobody has set.

    The first states that were written do not say with which rate and which frozen layers their fit began.
    """
    now = _plain(now)
    if now["set_seed"] is None or "set_seed" not in then:
        now["set_seed"] = then.get("set_seed")
    if "frozen" not in then:
        del now["frozen"]
        for layer in now["model"]["layers"]:
            layer["config"].pop("trainable", None)
        if not isinstance(now["optimizer"].get("learning_rate"), dict):
            now["optimizer"].pop("learning_rate", None)
    return now
