"""What a document says about a network beside its layers: how it was trained, and what came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import schedules
from ..augmentation import Augmentation

if TYPE_CHECKING:
    from ..callbacks import Callback
    from ..optimizers import Optimizer

INPUT_SHAPES: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
)


class ParameterCount(NamedTuple):
    """Numbers in a network: all, those that gradient steps change, and the moving statistics."""

    total: int
    trainable: int
    non_trainable: int


@dataclass(frozen=True)
class Recipe:
    """The training settings and the documented results of one network. Immutable.

    To change a setting, ``dataclasses.replace(recipe, epochs=2)``.

    Attributes
    ----------
    name : str
    document : str
        Title of the document that the network comes from.
    data : {"mnist", "fashion_mnist", "cifar10"}
        Module of ``tinycnn.datasets`` with the images. Their values are expected in [0, 1].
    epochs, batch_size : int
    optimizer : str
        Class name in ``tinycnn.optimizers``.
    optimizer_config : mapping
        Its arguments.
    params : ParameterCount
        Exact.
    loss : str
    schedule : schedule or None
        Of ``tinycnn.schedules``. Called with the epoch, counted from 0, at the start of each; None leaves the
        optimizer's rate alone.
    augment : Augmentation or None
        What happens to training images.
    restore_best : bool
        Whether the documented result is that of the best epoch, whose weights were restored, or that of the last.
    seed : int
        For ``tinycnn.set_seed`` before the model is built.
    runs : int
        How many times ``tinycnn reproduce`` trains it, with seeds from 0.
    variation_of : str
        The network whose layers are trained, where the recipe is a variation of that network's; else empty.
    documented : mapping
        The document's figures. Keys in use: ``train_accuracy``, ``train_loss``, ``val_loss``, ``val_accuracy`` (the
        document does not say of which epoch), ``best_val_accuracy``, ``last_val_accuracy``,
        ``val_accuracy_by_epoch`` and ``per_class_accuracy`` (tuples), ``errors_in_first_100``.
    chosen : tuple of str
        One sentence for each value that the document leaves open and that was chosen here. To be shown wherever the
        values are shown.
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
        """Shape (H, W, C) of one image."""
        return INPUT_SHAPES[self.data]

    @property
    def learning_rate(self) -> float:
        """The optimizer's; where there is a :attr:`schedule`, the rate that it begins with."""
        return float(self.optimizer_config["learning_rate"])

    @property
    def documented_accuracy(self) -> float | None:
        """The documented test accuracy to compare a run of this recipe with; None where the document gives none.

        The best epoch's if its weights are restored, otherwise the last epoch's.
        """
        first = "best_val_accuracy" if self.restore_best else "last_val_accuracy"
        value = self.documented.get(first, self.documented.get("val_accuracy"))
        assert not isinstance(value, tuple)
        return value

    @property
    def documented_text(self) -> str:
        """The documented test accuracies, and of which epoch, in words.

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

    def make_optimizer(self) -> "Optimizer":
        """Make a fresh optimizer: one keeps moments, so no two trainings may share it."""
        from .. import optimizers

        return getattr(optimizers, self.optimizer)(**self.optimizer_config)

    def make_callbacks(self) -> "list[Callback]":
        """Make fresh callbacks: the epoch schedule, and the early stopping that restores the best weights."""
        from .. import callbacks

        made: list[Callback] = []
        if self.schedule is not None:
            made.append(callbacks.LearningRateScheduler(self.schedule))
        if self.restore_best:
            made.append(
                callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=10, restore_best_weights=True)
            )
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
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
