"""``Sequential`` as programs for Keras use it: the engine's model with the arguments of any version of Keras."""

import numbers
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from .. import schedules
from ..callbacks import History, LearningRateScheduler, ReduceLROnPlateau
from ..core.checks import array, boolean, integer, items
from ..core.printing import say
from ..core.types import Array
from ..inspection import summary
from ..layers import Layer
from ..sequential import Sequential as EngineSequential
from ..training.callback import Callback
from ..training.sequences import is_sequence
from . import constraints, losses, metrics, optimizers
from ._batches import several
from ._in_files import InFiles
from ._method_arguments import as_keras, modern, refuse_callbacks
from ._missing import ATTRIBUTES
from ._more_losses import fitting
from ._old_methods import OldMethods
from ._spelling import Spelling
from ._telling import Missing, is_one_of, no_attribute, not_here, not_so, told
from .callbacks import LogsByAnyName, modernized, watches_validation

#: The arguments of ``fit`` that are the engine's, or Keras 1's.
_FIT = ("check_finite", "augment", "fuse", "distributed", "epochs")
#: The callbacks that set the learning rate.
_SET_THE_RATE = (LearningRateScheduler, ReduceLROnPlateau)


class Sequential(InFiles, OldMethods):
    """A model of layers in a row, with Keras's arguments; see :class:`tinycnn.Sequential` for what it does.

    Parameters
    ----------
    layers : sequence of layers, optional
        An ``Input`` may come first.
    name : str, optional
        By default ``sequential``.
    trainable : bool
        False freezes all of these layers.
    dtype : {"float32", "float64"}
        The dtype of weights and results.

    Examples
    --------
    >>> from tinycnn import keras
    >>> model = keras.Sequential([keras.layers.Dense(2, input_shape=(3,), activation="softmax")])
    >>> model.compile(loss="categorical_crossentropy", optimizer="adamax", metrics=["accuracy"])
    >>> model.metrics_names
    ['loss', 'accuracy']
    """

    def __init_subclass__(cls, **other: Any) -> None:
        super().__init_subclass__(**other)
        if own := [name for name in ("train_step", "test_step", "predict_step", "call") if name in vars(cls)]:
            raise not_here(
                f"{cls.__name__}.{own[0]}, which fit would not call,",
                "write a loop of your own on model.train_on_batch, or a loss, a layer or an optimizer: docs/how_to/ "
                "shows how",
            )

    def __init__(
        self,
        layers: Iterable[Any] | None = None,
        name: str | None = None,
        *,
        trainable: bool = True,
        dtype: str = "float32",
    ) -> None:
        super().__init__(() if layers is None else layers, name, dtype=dtype)
        if not boolean(trainable, "trainable") and self.layers:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer; ``rebuild`` has no effect."""
        if isinstance(layer, Missing):
            layer()  # it raises the error
        if isinstance(layer, Spelling):
            raise TypeError(f"add takes layers; write an instance, with parentheses: {layer.__name__}(...)")
        if isinstance(layer, EngineSequential):
            raise TypeError(
                f"add takes layers, and {layer.name} is a model; add its layers one by one, before it is built"
            )
        super().add(layer)

    def build(self, input_shape: Any) -> None:
        """Build all layers for samples of a shape; as in Keras it may begin with the batch axis, which is then None."""
        if isinstance(input_shape, tuple | list) and len(input_shape) > 1 and input_shape[0] is None:
            input_shape = tuple(input_shape[1:])
        super().build(input_shape)

    # Compiling ------------------------------------------------------------------------------------------------

    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: Any = False,
        steps_per_execution: Any = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: Any = True,
        **other: Any,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
            A name stands for an optimizer with its default arguments; by default ``rmsprop``, as in Keras.
        loss : str, function or Loss
            A function stands for the loss of its name.
        loss_weights : None or 1
            There is one output, and so one loss.
        metrics : sequence of str, functions or Metric objects, optional
            What ``fit`` and ``evaluate`` report besides the loss.
        weighted_metrics : None or empty
            Metrics count every sample alike.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            They have no effect.
        **other
            Arguments of Keras 1 and 2; only ``sample_weight_mode=None`` and the like have a meaning.
        """
        weights = loss_weights if isinstance(loss_weights, list | tuple) else [loss_weights]
        if metrics is None and not all(one is None or isinstance(one, numbers.Real) for one in weights):
            metrics, weights = loss_weights, []  # compile(optimizer, loss, metrics) of Keras 2
        if not all(is_one_of(one, None, 1, 1.0) for one in weights):
            raise not_so(
                "compile", "loss_weights", loss_weights, "there is one loss: multiply the learning rate instead"
            )
        if weighted_metrics:
            raise not_so("compile", "weighted_metrics", weighted_metrics, "metrics count every sample alike")
        if unknown := {name for name, value in other.items() if value not in (None, {}, [])} - {"class_mode"}:
            raise TypeError(f"compile takes no argument {min(unknown)!r}")
        if loss is None:
            raise ValueError("compile needs a loss, for example loss='categorical_crossentropy'")
        super().compile(_optimizer(optimizer), fitting(losses.get(loss), self.layers), _metrics(metrics))

    @property
    def metrics_names(self) -> list[str]:
        """The names of what ``evaluate`` returns, in its order."""
        return ["loss", *self.metrics] if self.compiled else []

    # Training -------------------------------------------------------------------------------------------------

    def fit(  # type: ignore[override]
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: Any = None,
        validation_steps: Any = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **other: Any,
    ) -> History:
        """Train for some epochs, and return the history; see :meth:`tinycnn.Sequential.fit`.

        Parameters
        ----------
        x, y, batch_size, epochs, verbose, validation_split, validation_data, class_weight, sample_weight
            As in :meth:`tinycnn.Sequential.fit`; ``verbose="auto"`` is 1.
        callbacks : callback, or sequence of callbacks, optional
            ``monitor="val_acc"`` stands for ``val_accuracy`` if that is what is logged, and the other way round.
        shuffle : bool or "batch"
            ``"batch"`` is the same as True.
        initial_epoch : int
            The epoch to begin with.
        steps_per_epoch, validation_steps : number, optional
            How many batches make an epoch; a fraction is rounded up. Batches that have a length begin anew if there
            are not so many.
        validation_batch_size
            It has no effect: results do not depend on it.
        validation_freq : 1
            Validation follows every epoch.
        **other
            ``check_finite``, ``augment``, ``fuse`` and ``distributed`` of the engine; ``nb_epoch``, ``workers`` and the
            like of Keras 1 and 2.
        """
        other = modern("fit", other, _FIT)
        if not is_one_of(validation_freq, 1):
            raise not_so("fit", "validation_freq", validation_freq, "validation follows every epoch")
        single = isinstance(callbacks, Callback)
        chosen = (
            [callbacks] if single else items(() if callbacks is None else callbacks, "callbacks", "Callback objects")
        )
        if self.compiled:
            for callback in chosen:
                modernized(callback, self.metrics)
            self._let_callbacks_set_the_rate(chosen)
        held_out = not is_one_of(validation_split, 0, 0.0, None)
        if held_out and validation_data is not None:
            told("fit: validation_split has no effect, as in Keras, because validation_data is given as well")
            validation_split = 0.0
        validated = held_out or validation_data is not None
        if not validated:
            chosen = [callback for callback in chosen if not watches_validation(callback)]
        if constraints.constrained(self.layers):
            chosen.append(constraints.KeepConstraints())
        steps, x = several(x, steps_per_epoch, "steps_per_epoch")
        if not validated:
            validation_steps = None
        more, validation_data = several(validation_data, validation_steps, "validation_steps")
        given: dict[str, Any] = {"epochs": epochs, **other}
        history = super().fit(
            x,
            y,
            batch_size,
            verbose=verbose,
            callbacks=chosen,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=True if isinstance(shuffle, str) and shuffle == "batch" else shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps,
            validation_steps=more,
            **given,
        )
        setting = any(isinstance(callback, _SET_THE_RATE) for callback in chosen)
        history.history = LogsByAnyName(history.history, rate_is_set=setting)
        return history

    def _let_callbacks_set_the_rate(self, callbacks: list[Any]) -> None:
        """Drop the schedule of ``decay=`` before the first step if a callback sets the rate; Keras 2 let both do it."""
        schedule = self.optimizer.schedule
        setting = next((one for one in callbacks if isinstance(one, _SET_THE_RATE)), None)
        if setting is None or not isinstance(schedule, schedules.InverseTimeDecay) or self.optimizer.iterations:
            return
        told(f"the schedule that stands for decay is dropped, because {type(setting).__name__} sets the learning rate")
        config = self.optimizer.get_config() | {"learning_rate": schedule.initial_learning_rate}
        super().compile(type(self.optimizer)(**config), self.loss, list(self.metrics.values()))

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Take one optimizer step, and return loss and metrics before it: a list, or a number if there are no metrics.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As in :meth:`tinycnn.Sequential.train_on_batch`.
        return_dict : bool
            Return a dict from name to value instead.
        """
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        logs = super().train_on_batch(x, y, **{key: one for key, one in weights.items() if one is not None})
        constraints.apply(self.layers)
        return as_keras(logs, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return loss and metrics of one batch: a list, or a number if there are no metrics."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """Return the results for one batch."""
        return self.predict(x, verbose=0)

    def evaluate(  # type: ignore[override]
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: Any = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **other: Any,
    ) -> Any:
        """Return ``[loss, *metrics]`` on a data set, or the loss alone; see :meth:`tinycnn.Sequential.evaluate`."""
        refuse_callbacks("evaluate", callbacks)
        wanted, x = several(x, steps, "steps")
        arguments = {"sample_weight": sample_weight, "return_dict": return_dict, "steps": wanted}
        return super().evaluate(x, y, batch_size, verbose, **arguments, **modern("evaluate", other, ("check_finite",)))

    def predict(  # type: ignore[override]
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: Any = None,
        callbacks: Any = None,
        **other: Any,
    ) -> Array:
        """Return the results for images, or for the first ``steps`` batches of them."""
        refuse_callbacks("predict", callbacks)
        wanted, x = several(x, steps, "steps")
        if wanted is not None and (is_sequence(x) or hasattr(x, "__next__")):
            batches = (x[index] for index in range(min(wanted, len(x)))) if is_sequence(x) else islice(x, wanted)
            arrays = [array(one[0] if isinstance(one, tuple) else one, "x") for one in batches]
            x = np.concatenate([np.atleast_1d(one) for one in arrays])
            wanted = None
        return super().predict(x, batch_size, steps=wanted, **modern("predict", other, ("check_finite",)))

    # Looking ---------------------------------------------------------------------------------------

    def summary(  # type: ignore[override]
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
        *,
        plan: bool = False,
    ) -> None:
        """Print a table of the layers; only ``print_fn``, and the engine's ``plan``, have an effect."""
        if self.built:
            super().summary(plan, print_fn)
        else:
            (say if print_fn is None else print_fn)(summary.outline(self).for_print())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or by its place."""
        if (name is None) == (index is None):
            raise ValueError("get_layer takes the name of a layer, or its index; give one of them")
        return (
            super().get_layer(name)
            if name is not None
            else self.layers[integer(index, "index", -len(self.layers), len(self.layers) - 1)]
        )

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            raise no_attribute("Sequential", name, ATTRIBUTES[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _optimizer(optimizer: Any) -> Any:
    return optimizers.spelled(optimizer)


def _metrics(wanted: Any) -> Any:
    return metrics.spelled(wanted)
