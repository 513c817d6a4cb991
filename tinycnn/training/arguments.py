"""The arguments of ``fit``: they are checked here and put into the form that the training loop takes."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import augmentation
from ..core.checks import boolean, integer, items, real, verbosity
from ..core.messages import shown
from ..network.network import Network
from .batches import USUAL_BATCH, ArrayBatches, Batches, IteratorBatches, images_of
from .callback import Callback
from .data import (
    Samples,
    check_class_weight,
    checked_data,
    sample_weights,
    warn_of_classes_without_weight,
    warn_of_unseen_classes,
)
from .sequences import (
    BatchSamples,
    SequenceBatches,
    are_batches,
    is_iterator,
    is_sequence,
    refuse_targets_of_batches,
)


@dataclass(frozen=True)
class FitSettings:
    """The arguments of :meth:`tinycnn.Sequential.fit` except the data; its docstring describes each of them.

    What can be checked without the model is checked here. After that every field has its normal form.
    """

    batch_size: Any = USUAL_BATCH
    epochs: Any = 1
    verbose: Any = 1
    callbacks: Any = None
    validation_split: Any = 0.0
    validation_data: Any = None
    shuffle: Any = True
    class_weight: Any = None
    sample_weight: Any = None
    initial_epoch: Any = 0
    steps_per_epoch: Any = None
    validation_steps: Any = None
    check_finite: Any = True
    augment: Any = None
    fuse: Any = True

    def __post_init__(self) -> None:
        checked = {
            "batch_size": USUAL_BATCH if self.batch_size is None else integer(self.batch_size, "batch_size"),
            "epochs": integer(self.epochs, "epochs", minimum=0),
            "verbose": verbosity(self.verbose),
            "callbacks": _callbacks(self.callbacks),
            "validation_split": real(self.validation_split, "validation_split", 0, below=1),
            "shuffle": boolean(self.shuffle, "shuffle"),
            "initial_epoch": integer(self.initial_epoch, "initial_epoch", minimum=0),
            "steps_per_epoch": (
                None if self.steps_per_epoch is None else integer(self.steps_per_epoch, "steps_per_epoch")
            ),
            "validation_steps": (
                None if self.validation_steps is None else integer(self.validation_steps, "validation_steps")
            ),
            "check_finite": boolean(self.check_finite, "check_finite"),
            "augment": augmentation.check(self.augment),
            "fuse": boolean(self.fuse, "fuse"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


def prepare(model: Network, x: Any, y: Any, settings: FitSettings) -> tuple[Batches, Samples | BatchSamples | None]:
    """Return the source of the batches, and the samples to evaluate after each epoch (None if there are none).

    Parameters
    ----------
    model : Network
        Built and compiled.
    x, y
        As :meth:`tinycnn.Sequential.fit` takes them.
    settings : FitSettings
        The other arguments of ``fit``.

    Raises
    ------
    TypeError, ValueError
        If the data do not fit the model, or two arguments contradict each other.
    """
    if settings.class_weight is not None:
        check_class_weight(model, settings.class_weight)
    validation = _validation(model, settings)
    if settings.validation_steps is not None and validation is None and not settings.validation_split:
        raise ValueError("validation_steps needs validation_data or validation_split; give one of them")
    if y is None:
        _refuse_with_batches(x, settings)
        steps, check_finite = settings.steps_per_epoch, settings.check_finite
        if settings.class_weight is not None:  # nobody knows yet which classes occur in the batches
            warn_of_classes_without_weight(settings.class_weight, range(max(2, model.output_shape[-1])))
        if is_sequence(x):
            shuffle, weights = settings.shuffle, settings.class_weight
            return SequenceBatches(model, x, shuffle, steps, weights, check_finite), validation
        return IteratorBatches(model, x, steps, settings.class_weight, check_finite), validation
    refuse_targets_of_batches(x)
    x, y = checked_data(model, x, y, settings.check_finite)
    samples = Samples(x, y, sample_weights(model, settings.sample_weight, None, y))
    if settings.validation_split:
        if validation is not None:
            raise ValueError("validation_data and validation_split are both given; give one of them")
        samples, validation = _split(samples, settings.validation_split)
        validation = _first_of(validation, settings)
    if not len(samples.x):
        raise ValueError("x is empty: there is nothing to train on")
    if isinstance(validation, Samples):
        warn_of_unseen_classes(model.loss, samples.y, validation.y, bool(settings.validation_split))
    weight = sample_weights(model, samples.weight, settings.class_weight, samples.y)
    if settings.class_weight is not None:
        labels = model.loss.classes_of(samples.y)
        warn_of_classes_without_weight(settings.class_weight, [] if labels is None else np.unique(labels).tolist())
    samples = samples._replace(weight=weight)
    return ArrayBatches(model, samples, settings.batch_size, settings.shuffle, settings.steps_per_epoch), validation


def _split(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """Split off the last samples for validation, before any shuffling, as in Keras; they keep their weights."""
    length = len(samples.x)
    count = int(length * (1 - share))
    if length and count in (0, length):
        what = "validate" if count else "train"
        raise ValueError(
            f"validation_split={share:g} of {length} images leaves none to {what} on; give another share, or "
            "validation_data"
        )
    first, last = (
        Samples(*(None if part is None else part[here] for part in samples))  # type: ignore[arg-type]
        for here in (slice(count), slice(count, None))
    )
    return first, last


def _callbacks(given: Any) -> tuple[Callback, ...]:
    """Return the callbacks as a tuple, or raise if one of them is not a callback as ``fit`` calls it."""
    callbacks = items(() if given is None else given, "callbacks", "Callback objects")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            hint = "; write an instance, with parentheses" if isinstance(callback, type) else ""
            raise TypeError(f"callbacks must be Callback objects; got {shown(callback)}{hint}")
        _check_methods(callback)
    return tuple(callbacks)


#: What each method of a callback is called with; ``logs`` may be left out where nothing is known yet, or no more.
CALLS: dict[str, tuple[tuple[str, ...], bool]] = {
    "on_train_begin": (("logs",), True),
    "on_train_end": (("logs",), True),
    "on_epoch_begin": (("epoch", "logs"), True),
    "on_epoch_end": (("epoch", "logs"), False),
    "on_train_batch_begin": (("batch", "logs"), False),
    "on_train_batch_end": (("batch", "logs"), False),
}


def _check_methods(callback: Callback) -> None:
    """Raise if a callback has a method ``on_…`` that ``fit`` never calls, or one that cannot be called as it does."""
    name_of_class = type(callback).__name__
    for name in dir(callback):
        method = getattr(callback, name) if name.startswith("on_") else None
        if not callable(method):
            continue
        if name not in CALLS:
            raise ValueError(
                f"callbacks: {name_of_class} has a method {name}, which fit never calls; the methods that it calls are "
                f"{', '.join(sorted(CALLS))}"
            )
        arguments, may_leave_out = CALLS[name]
        if not (_takes(method, arguments) or (may_leave_out and _takes(method, arguments[:-1]))):
            raise TypeError(
                f"callbacks: fit calls {name_of_class}.{name} as {name}({', '.join(arguments)}), but it does not take "
                "these arguments"
            )


def _takes(method: Callable[..., Any], arguments: tuple[str, ...]) -> bool:
    """Return whether a method takes these arguments by position."""
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # some functions that are not written in Python have no signature
        pass
    return True


def _validation(model: Network, settings: FitSettings) -> Samples | BatchSamples | None:
    """Return the checked ``validation_data``, or None if there are none."""
    data = settings.validation_data
    if data is None:
        return None
    if _holds_batches(data):
        steps = settings.validation_steps
        if is_iterator(data) and steps is None and settings.epochs - settings.initial_epoch > 1:
            raise ValueError(
                f"validation_data is a {type(data).__name__}, which is used up after the first epoch; give "
                "validation_steps, or an iterable that begins anew each time (a list, or a class with __iter__)"
            )
        return BatchSamples(model, data, settings.check_finite, "validation_data", steps, "validation_steps")
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(
            f"validation_data must be (x, y), (x, y, sample_weight), or an iterable of such batches; got {shown(data)}"
        )
    images, targets = checked_data(model, data[0], data[1], settings.check_finite, "validation_data: ")
    if not len(images):
        raise ValueError("validation_data is empty: there is nothing to evaluate; give it some images, or leave it out")
    given = data[2] if len(data) == 3 else None
    weight = sample_weights(model, given, None, targets, name="validation_data")
    return _first_of(Samples(images, targets, weight), settings)


def _holds_batches(data: Any) -> bool:
    """Return whether validation data are batches; a list is, if it holds nothing but tuples."""
    if isinstance(data, list):
        return bool(data) and all(isinstance(batch, tuple) for batch in data)
    return not isinstance(data, tuple) and are_batches(data)


def _first_of(samples: Samples, settings: FitSettings) -> Samples:
    """Return the samples of the first ``validation_steps`` batches, or all if that is not given."""
    if settings.validation_steps is None:
        return samples
    name = "validation_steps"
    count = images_of(settings.validation_steps, settings.batch_size, len(samples.x), name)
    return Samples(*(None if part is None else part[:count] for part in samples))  # type: ignore[arg-type]


def _refuse_with_batches(source: Any, settings: FitSettings) -> None:
    """Raise if ``source`` does not yield batches, or if an argument was given that makes sense only with arrays."""
    if not (hasattr(source, "__iter__") or is_sequence(source)) or hasattr(source, "dtype"):
        raise ValueError(
            f"y is missing: fit(x, y) takes arrays, fit(batches) takes an iterable of (x, y) pairs; "
            f"got {type(source).__name__} alone"
        )
    if settings.validation_split > 0:
        raise ValueError("validation_split needs arrays, but x yields batches; give validation_data instead")
    if settings.sample_weight is not None:
        raise ValueError("sample_weight needs arrays, but x yields batches; let it yield (x, y, sample_weight)")
