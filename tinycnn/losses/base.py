"""What a loss is: a number for each sample, and the gradient of a weighted sum of these numbers."""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core import forms
from ..core.backend import Backend, get_backend
from ..core.checks import array, checked_name, choice
from ..core.description import Described
from ..core.messages import shown
from ..core.types import Array, Config, Shape
from ..core.version import is_ours

#: The reduction of all losses, by its name in Keras.
MEAN = "sum_over_batch_size"


class LossCache(NamedTuple):
    """What the backward pass of a loss needs of the forward pass.

    ``p`` holds the predictions, as probabilities where the loss is about classes. ``targets`` are in the form that the
    kernels take. ``y_pred`` holds the predicted probabilities if backward needs them, and is None otherwise.
    """

    p: Array
    targets: Array
    y_pred: Array | None


class Loss(Described):
    """Base of all losses.

    A loss works on a batch: :meth:`forward` gives one number per sample, and :meth:`backward` gives the gradient of
    their weighted sum. The division by N happens in that sum and nowhere else: for a mean, each weight is 1/N.

    A loss of your own defines ``check_targets``, ``forward`` and ``backward``.

    A loss with an attribute ``from_logits`` takes either probabilities or logits. A model makes a copy of it with
    ``from_logits=True`` to fuse its final activation, which :attr:`takes_over` names, with the loss.

    Parameters
    ----------
    name : str, optional
        What errors call the loss; by default Keras's name for the class.
    reduction : {"sum_over_batch_size", "mean"}
        Both are the mean over the batch; Keras's other reductions do not exist here.
    """

    name: str = "loss"
    #: The activation that turns logits into the probabilities that the loss takes: "softmax" or "sigmoid".
    takes_over: str = "softmax"
    #: The metric that ``metrics=["accuracy"]`` means with this loss.
    accuracy: str = "accuracy"
    _form = forms.LOSS
    _added: ClassVar = {"reduction": MEAN}

    def __init__(self, name: str | None = None, reduction: str = MEAN) -> None:
        self.name = checked_name(type(self).name if name is None else name)
        self.reduction = choice(reduction, (MEAN, "mean"), "reduction")

    def get_config(self) -> Config:
        config = super().get_config()
        if is_ours(type(self)) and config.get("name") == type(self).name:
            del config["name"]  # files of format 1 do not have it
        return config

    def check_targets(self, y: Any, n: int, output_shape: Shape) -> Array:
        """Return the targets in the form that :meth:`forward` takes, or raise an error that says what is wrong.

        Parameters
        ----------
        y : array-like
            The targets of ``n`` samples.
        n : int
            The number of samples.
        output_shape : tuple of int
            The shape of the prediction for one sample.

        Raises
        ------
        ValueError
            If the targets do not fit the predictions.
        """
        raise NotImplementedError(f"{type(self).__name__} must define check_targets(y, n, output_shape)")

    def classes_of(self, targets: Array) -> Array | None:
        """Return the class of each sample (N,), from checked targets; None if they do not name one class each.

        Weights of classes need it, and a warning about classes that training lacks.
        """
        return None

    def forward(self, y_pred: Array, y_true: Array, backend: Backend) -> tuple[Array, Any]:
        """Return the loss of each sample, an (N,) array, and the cache for :meth:`backward`.

        The cache has an attribute ``p``, the predictions that metrics are given.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(y_pred, y_true, backend)")

    def backward(self, cache: Any, weights: Array, backend: Backend) -> Array:
        """Return the gradient of ``sum_n weights[n] * loss[n]`` with respect to ``y_pred``."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(cache, weights, backend)")

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        """Return the mean loss of a batch of predictions; the order of the arguments is Keras's.

        Parameters
        ----------
        y_true : array-like
            The targets, one for each sample.
        y_pred : (N, …) array-like
            The predictions.

        Raises
        ------
        ValueError
            If the shapes do not fit or a target is out of range.
        """
        prediction = array(y_pred, "y_pred")
        if not prediction.ndim:
            raise ValueError(f"y_pred must hold a prediction for each sample; got {shown(y_pred)}")
        if prediction.dtype not in (np.float32, np.float64):
            prediction = prediction.astype(np.float32)
        targets = self.check_targets(y_true, len(prediction), prediction.shape[1:])
        backend = get_backend()
        per_sample, _ = self.forward(backend.own(np.ascontiguousarray(prediction)), targets, backend)
        return float(backend.to_numpy(per_sample).mean(dtype=np.float64))
