"""The part of a model that evaluates, predicts, and takes single batches; :class:`tinycnn.Sequential` adds ``fit``."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core.checks import any_array, array, boolean
from ..core.types import Array
from ..network.network import Network
from . import evaluation
from .callback import Logs
from .predictor import Predictor
from .sequences import are_batches, with_first


class Predicting(Network):
    """A network that can be evaluated and asked for predictions."""

    def _ready(self, x: Any) -> None:
        """Raise unless the model is compiled; build it for the samples in x if it is not built."""
        if self.compiled:
            self._build_for(x)
        self.need_compile()

    def _build_for(self, x: Any) -> None:
        """Build the model for the samples in an array, or raise if it has no layers."""
        if self.layers and not self.built and not are_batches(x):
            found = array(x, "x")
            if found.ndim < 2:
                raise ValueError(f"x must hold samples of shape (N, ...); got shape {found.shape}")
            self.build(found.shape[1:])
        self.need_build()

    def _build_for_batches(self, source: Iterable[Any]) -> Iterable[Any]:
        """Build the model for the first of a user's batches, and return all of them, the first one included."""
        if not self.layers or self.built:
            return source
        batch, source = with_first(source)
        found = any_array(batch[0] if isinstance(batch, tuple | list) and batch else batch, "x of the first batch")
        if found.ndim > 1:
            self.build(found.shape[1:])
        return source

    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = True
    ) -> Any:
        """Take one optimizer step on one batch, and return its ``{"loss": …, "accuracy": …}`` before the step.

        Parameters
        ----------
        x : (N, \\*input_shape) array
            The images.
        y : (N,) or (N, 1) array
            Labels, or whatever targets the loss takes; nothing is broadcast.
        sample_weight : (N,) or (N, 1) array, optional
            How much the loss of each sample counts, as in :meth:`tinycnn.Sequential.fit`.
        class_weight : dict of int to float, optional
            How much the loss of each class counts, as in :meth:`tinycnn.Sequential.fit`.
        return_dict : bool
            False returns ``[loss, *metrics]`` as :meth:`evaluate` does.

        Returns
        -------
        dict of str to float, list of float or float
            The figures of this batch alone. (Keras's go on from batch to batch.)

        Raises
        ------
        TypeError, ValueError
            If the batch does not fit the model.
        """
        as_dict = boolean(return_dict, "return_dict")
        self._ready(x)
        with np.errstate(under="ignore"):
            return _returned(evaluation.train_on_batch(self, x, y, sample_weight, class_weight), as_dict)

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = True) -> Any:
        """Return ``{"loss": …, "accuracy": …}`` of one batch, as :meth:`evaluate` does.

        Parameters
        ----------
        x, y, sample_weight, return_dict
            As in :meth:`train_on_batch`.
        """
        return self.evaluate(x, y, sample_weight=sample_weight, return_dict=return_dict, verbose=0)

    def predict_on_batch(self, x: Any) -> Array:
        """Return the network's results for one batch of images, as :meth:`predict` does."""
        return self.predict(x)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int = 1,
        sample_weight: Any = None,
        return_dict: bool = False,
        check_finite: bool = True,
        steps: int | None = None,
    ) -> Any:
        """Return loss and metrics on a data set, exactly as ``fit`` logs them for ``validation_data``.

        The figures of a fit with ``fuse=False`` may differ in their last bits.

        Parameters
        ----------
        x, y
            As in :meth:`tinycnn.Sequential.fit`: arrays; or an iterable of batches, or an object that holds batches,
            without ``y``.
        batch_size : int, optional
            How many images ``steps`` counts as one batch, by default 32. Evaluation works in blocks of a fixed size, so
            that its result does not depend on this otherwise.
        verbose : {0, 1, 2}
            0 prints nothing.
        sample_weight : (N,) or (N, 1) array, optional
            How much the loss of each sample counts, as in :meth:`tinycnn.Sequential.fit`.
        return_dict : bool
            Return a dict from name to value instead of a list.
        check_finite : bool
            Look for NaN and infinity in images and targets first.
        steps : int, optional
            Evaluate only so many batches, from the first one on. A generator that never ends needs it.

        Returns
        -------
        list of float, float or dict
            ``[loss, *metrics]``; without metrics it is the loss alone, a float.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        TypeError, ValueError
            If data do not fit the model, or there are fewer batches than ``steps``.
        """
        as_dict = boolean(return_dict, "return_dict")
        if y is None:
            if not are_batches(x, alone=True):
                raise ValueError(
                    "y is missing: evaluate(x, y) takes arrays, evaluate(batches) takes an iterable of (x, y) pairs; "
                    f"got {type(x).__name__} alone"
                )
            if self.compiled:
                x = self._build_for_batches(x)
        self._ready(x)
        given = {"verbose": verbose, "sample_weight": sample_weight, "check_finite": check_finite}
        with np.errstate(under="ignore"):
            return _returned(evaluation.evaluate(self, x, y, batch_size, steps, **given), as_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int = 0,
        check_finite: bool = True,
        steps: int | None = None,
    ) -> Array:
        """Return the network's results for images, an (N, \\*output_shape) array; nothing is printed.

        A model that is not built is built for these images, with weights as they are drawn.

        Parameters
        ----------
        x : (N, \\*input_shape) array, iterator of batches, or object that holds batches
            The images; any number of them. Batches are arrays of images, or tuples that begin with one.
        batch_size : int, optional
            How many images ``steps`` counts as one batch, by default 32; it changes nothing else.
        verbose : ignored
            It is accepted because Keras has it.
        check_finite : bool
            Look for NaN and infinity in the images first.
        steps : int, optional
            Predict only so many batches, from the first one on. A generator that never ends needs it.
        """
        if are_batches(x):
            x = self._build_for_batches(x)
        self._build_for(x)
        with np.errstate(under="ignore"):
            return evaluation.predict(self, x, batch_size, steps, check_finite=check_finite)

    def predictor(self) -> Predictor:
        """Return a :class:`Predictor`: a snapshot whose ``predictor(x)`` gives fast what ``predict(x)`` gives now."""
        return Predictor(self)


def _returned(results: Logs, as_dict: bool) -> Any:
    """Return loss and metrics as a dict or as a list; the loss alone is a float."""
    if as_dict:
        return results
    return list(results.values()) if len(results) > 1 else results["loss"]
