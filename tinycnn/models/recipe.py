"""What a document says about a network besides its layers: how it was trained, and with which results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import optimizers, schedules
from ..augmentation import Augmentation
from ..callbacks import Callback, EarlyStopping, LearningRateScheduler

INPUT_SHAPES: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
)


class ParameterCount(NamedTuple):
    """The number of all parameters, of those that gradient steps change, and of the moving statistics."""

    total: int
    trainable: int
    non_trainable: int


@dataclass(frozen=True)
class Recipe:
    """The training settings and the documented results of one network.

    A recipe is immutable. ``dataclasses.replace(recipe, epochs=2)`` returns a copy with another setting.

    Attributes
    ----------
    name : str
    document : str
        The title of the document that the network comes from.
    data : {"mnist", "fashion_mnist", "cifar10"}
        The module of ``tinycnn.datasets`` with the images. Their values are expected to lie in [0, 1].
    epochs, batch_size : int
    optimizer : str
        The name of a class in ``tinycnn.optimizers``.
    optimizer_config : mapping
        The optimizer's arguments.
    params : ParameterCount
        The exact numbers of parameters.
    loss : str
    schedule : schedule or None
        A schedule from ``tinycnn.schedules``. At the start of each epoch it is called with the epoch's number, counted
        from 0; None leaves the optimizer's learning rate unchanged.
    augment : Augmentation or None
        How training images are changed at random.
    restore_best : bool
        True if the documented result is that of the best epoch, whose weights were restored; False if it is that of the
        last epoch.
    seed : int
        The seed to pass to ``tinycnn.set_seed`` before the model is built.
    runs : int
        How many times ``tinycnn reproduce`` trains the network; the seeds count from 0.
    variation_of : str
        If the recipe is a variation, the name of the network whose layers it trains; otherwise empty.
    documented : mapping
        The document's figures. Keys in use: ``train_accuracy``, ``train_loss``, ``val_loss``, ``val_accuracy`` (if the
        document does not say of which epoch), ``best_val_accuracy``, ``last_val_accuracy``,
        ``val_accuracy_by_epoch`` and ``per_class_accuracy`` (tuples), ``errors_in_first_100``.
    chosen : tuple of str
        One sentence for each value that the document leaves open and that was chosen for tinycnn. These sentences are
        to be shown wherever the values are shown.
    notes : tuple of str
        What else a reader of the figures should know.
    """

    name: str
    document: str
    data: str
    epochs: int
    batch_size: int
    optimizer: str
    optimizer_config: Mapping[str, Any] = field(hash=False)
    params: ParameterCount
    loss: str = "sparse_categorical_crossentropy"
    schedule: schedules.InverseEpochDecay | schedules.LearningRateSchedule | None = None
    augment: Augmentation | None = None
    restore_best: bool = False
    seed: int = 42
    runs: int = 3
    variation_of: str = ""
    documented: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict, hash=False)
    chosen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("optimizer_config", "documented"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of one image."""
        return INPUT_SHAPES[self.data]

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate; if there is a :attr:`schedule`, the rate with which it begins."""
        return float(self.optimizer_config["learning_rate"])

    @property
    def documented_accuracy(self) -> float | None:
        """The documented test accuracy to compare a run of this recipe with; None if the document gives none.

        It is the best epoch's accuracy if that epoch's weights are restored, otherwise the last epoch's.
        """
        first = "best_val_accuracy" if self.restore_best else "last_val_accuracy"
        value = self.documented.get(first, self.documented.get("val_accuracy"))
        assert not isinstance(value, tuple)
        return value

    @property
    def documented_text(self) -> str:
        """The documented test accuracies in words, with the epochs that they belong to.

        Examples
        --------
        >>> from tinycnn import models
        >>> models.recipe("go_crazy").documented_text
        '0.9945 best epoch, 0.9919 last'
        """
        best, last = (self.documented.get(f"{which}_val_accuracy") for which in ("best", "last"))
        if best is not None and last is not None:
            return f"{best:.4g} best epoch, {last:.4g} last"
        if self.documented_accuracy is None:
            return "none"
        which = " best epoch" if best is not None else " last epoch" if last is not None else ""
        by_class = self.documented.get("per_class_accuracy")
        if isinstance(by_class, tuple) and abs(sum(by_class) / len(by_class) - self.documented_accuracy) > 0.1:
            which += " as printed, which its own accuracies by class contradict"
        return f"{self.documented_accuracy:.4g}{which}"

    def make_optimizer(self) -> optimizers.Optimizer:
        """Return a new optimizer. An optimizer keeps moments, so no two trainings may share one."""
        return getattr(optimizers, self.optimizer)(**self.optimizer_config)

    def make_callbacks(self) -> list[Callback]:
        """Return new callbacks: for the schedule by epoch, and for restoring the best weights, where there are such."""
        made: list[Callback] = []
        if self.schedule is not None:
            made.append(LearningRateScheduler(self.schedule))
        if self.restore_best:
            made.append(EarlyStopping(monitor="val_accuracy", mode="max", patience=10, restore_best_weights=True))
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as values that JSON can hold."""
        schedule = self.schedule and {**schedules.serialize(self.schedule), "description": str(self.schedule)}
        return {
            "name": self.name,
            "document": self.document,
            "data": self.data,
            "input_shape": list(self.input_shape),
            "params": self.params._asdict(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": {"class_name": self.optimizer, "config": dict(self.optimizer_config)},
            "loss": self.loss,
            "schedule": schedule,
            "augment": self.augment and self.augment.get_config(),
            "restore_best": self.restore_best,
            "seed": self.seed,
            "runs": self.runs,
            "variation_of": self.variation_of,
            "documented": {k: list(v) if isinstance(v, tuple) else v for k, v in self.documented.items()},
            "chosen": list(self.chosen),
            "notes": list(self.notes),
        }
