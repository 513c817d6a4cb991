"""What ``fit`` is given, checked and put into the form that the training loop takes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import augmentation
from .. import callbacks as callbacks_module
from ..core.checks import boolean, integer, items, real, shown, verbosity
from ..core.types import Array
from ..losses import Crossentropy
from .batches import ArrayBatches, Batches, IteratorBatches, sample_weights
from .data import checked_data

if TYPE_CHECKING:
    from ..callbacks import Callback
    from ..sequential import Sequential

USUAL_BATCH = 32  # Keras's


def prepared(
    model: "Sequential",
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    epochs: int,
    verbose: Any,
    callbacks: "Sequence[Callback]",
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    check_finite: bool,
    augment: Any,
    fuse: Any,
) -> dict[str, Any]:
    """The arguments of :func:`tinycnn.training.loop.fit`; raises for what makes no sense."""
    callbacks = items(callbacks, "callbacks", "Callback objects")
    for callback in callbacks:
        if not isinstance(callback, callbacks_module.Callback):
            hint = "; write an instance, with parentheses" if isinstance(callback, type) else ""
            raise TypeError(f"callbacks must be Callback objects; got {shown(callback)}{hint}")
        _check_methods(callback)
    if sum(isinstance(callback, callbacks_module.BackupAndRestore) for callback in callbacks) > 1:
        raise ValueError("callbacks hold more than one BackupAndRestore; a fit has one folder for its states")
    steps = None if steps_per_epoch is None else integer(steps_per_epoch, "steps_per_epoch")
    validation = _validation(model, validation_data, check_finite)
    if class_weight is not None and not isinstance(model.loss, Crossentropy):
        raise ValueError(
            f"class_weight is for crossentropies, whose targets are classes; the loss is {model.loss.name}: "
            "give each sample its weight, as sample_weight"
        )
    batches: Batches
    if y is None:
        _refuse_with_batches(x, validation_split=validation_split, sample_weight=sample_weight)
        batches = IteratorBatches(model, x, steps, class_weight, check_finite)
    else:
        x, y = checked_data(model, x, y, check_finite)
        given = sample_weights(sample_weight, None, y, model.output_shape[-1])
        count = len(x)
        share = real(validation_split, "validation_split", 0, below=1)
        if share:
            if validation is not None:
                raise ValueError("validation_data and validation_split are both given; give one of them")
            # The last ones, before any shuffling, as in Keras.
            count = int(len(x) * (1 - share))
            if len(x) and count in (0, len(x)):
                what = "validate" if count else "train"
                raise ValueError(f"validation_split={share:g} of {len(x)} images leaves none to {what} on")
            # As in Keras: weights of samples count there too, those of classes do not.
            validation = x[count:], y[count:], None if given is None else given[count:]
        if not count:
            raise ValueError("x is empty: there is nothing to train on")
        given = None if given is None else given[:count]
        weight = sample_weights(given, class_weight, y[:count], model.output_shape[-1])
        size = USUAL_BATCH if batch_size is None else integer(batch_size, "batch_size")
        shuffled = boolean(shuffle, "shuffle")
        batches = ArrayBatches(model, x[:count], y[:count], weight, size, shuffled, steps)
    return {
        "batches": batches,
        "epochs": integer(epochs, "epochs", minimum=0),
        "verbose": verbosity(verbose),
        "callbacks": callbacks,
        "validation_data": validation,
        "initial_epoch": integer(initial_epoch, "initial_epoch", minimum=0),
        "augment": augmentation.check(augment),
        "fuse": boolean(fuse, "fuse"),
    }


def _check_methods(callback: "Callback") -> None:
    known = sorted(name for name in vars(callbacks_module.Callback) if name.startswith("on_"))
    for name in dir(callback):
        if name.startswith("on_") and name not in known and callable(getattr(callback, name)):
            raise ValueError(
                f"callbacks: {type(callback).__name__} has a method {name}, which fit never calls; there are "
                f"{', '.join(known)}"
            )


def _validation(model: "Sequential", data: Any, check_finite: bool) -> tuple[Array, Array, Array | None] | None:
    if data is None:
        return None
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(f"validation_data must be (x, y) or (x, y, sample_weight); got {shown(data)}")
    images, targets = checked_data(model, data[0], data[1], check_finite, "validation_data: ")
    if not len(images):
        raise ValueError("validation_data is empty")
    given = data[2] if len(data) == 3 else None
    return images, targets, sample_weights(given, None, targets, model.output_shape[-1], name="validation_data")


def _refuse_with_batches(source: Any, **unsuitable: Any) -> None:
    if not hasattr(source, "__iter__") or hasattr(source, "dtype"):
        raise ValueError(
            f"y is missing: fit(x, y) takes arrays, fit(batches) takes an iterable of (x, y) pairs; "
            f"got {type(source).__name__} alone"
        )
    for name, value in unsuitable.items():
        if value is not None and value != 0.0:
            raise ValueError(f"{name} is for arrays; let the batches themselves carry it")
