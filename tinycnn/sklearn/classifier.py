"""The classifier: what scikit-learn calls, and how it becomes a fit of a network."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from ..augmentation import Augmentation
from ..callbacks import Callback, EarlyStopping
from ..core.backend import get_backend, use_backend
from ..core.checks import boolean, integer, items, real
from ..core.messages import shown
from ..core.types import Array, Shape
from ..optimizers import Optimizer
from ..sequential import Sequential
from . import images, networks


class CNNClassifier(ClassifierMixin, BaseEstimator):
    """A network as a scikit-learn classifier.

    X holds images, (N, H, W) or (N, H, W, C), or rows of pixels, (N, features). Rows whose length is a square are taken
    as square grey pictures, unless ``image_shape`` says what they are. Bytes (uint8) are divided by 255; other numbers
    are taken as they are, and should not be much larger than 1. The labels y may be of any kind that can be sorted.

    The same ``random_state`` gives the same bits, in one process or in many.

    Parameters
    ----------
    model : str, Sequential or function
        The name of a documented network (:func:`tinycnn.models.names`), which adapts to the images and the number of
        classes; a Sequential, which is best not built yet; or a function that is given the shape of a sample and the
        number of classes, and returns a Sequential. A Sequential is copied, its weights are made anew, and how it is
        compiled does not matter. Two classes may have a single output, the probability of the second one. A network
        that ends neither in a softmax nor in a sigmoid is trained on logits.
    epochs : int
        How many times ``fit`` goes through the images, at most.
    batch_size : int
        Images per step of the optimizer.
    optimizer : str or Optimizer
        A name, or an optimizer with its settings, which is copied.
    learning_rate : float or schedule, optional
        Instead of the optimizer's own.
    class_weight : dict or "balanced", optional
        How much the loss of each class counts; ``"balanced"`` makes all classes count alike, however many images they
        have.
    image_shape : (H, W) or (H, W, C), optional
        What the numbers of a row are: the image, row by row, with the channels of a pixel side by side.
    augment : Augmentation, optional
        Random changes of the training images.
    early_stopping : bool
        Hold out some images, stop when the accuracy on them no longer rises, and go back to the best weights.
    validation_fraction : float in (0, 1)
        The share of each class that ``early_stopping`` holds out.
    n_iter_no_change : int
        How many epochs without a better accuracy ``early_stopping`` waits.
    callbacks : sequence of Callback, optional
        What else is called during a fit; each fit gets copies.
    warm_start : bool
        Whether ``fit`` goes on with the weights that it finds, instead of making them anew.
    random_state : int, RandomState or None
        What initial weights, the order of the images, dropout, augmentation and what is held out follow from.
    verbose : {0, 1, 2}
        0 prints nothing; 1 shows the progress.
    backend : {"cpu", "reference", "cuda"}, optional
        The kernels to run on, by default those that are active when ``fit`` is called.

    Attributes
    ----------
    classes_ : (classes,) array
        The labels, sorted.
    model_ : Sequential
        The trained network.
    input_shape_ : tuple of int
        The shape of one sample as the network gets it.
    n_features_in_ : int
        How many numbers a sample has.
    feature_names_in_ : array of str
        The names of the columns, if X was a data frame.
    n_iter_ : int
        How many epochs were trained.
    history_ : dict of str to list of float
        Loss and accuracy by epoch, with ``val_accuracy`` if ``early_stopping`` held images out.

    Notes
    -----
    A pickle holds the weights once, and neither the optimizer's memory nor anything compiled. ``partial_fit`` and
    ``warm_start`` go on from it with a new optimizer. A network on a GPU becomes one on the backend ``cpu``.

    Processes that scikit-learn starts (``n_jobs``) share the cores: joblib gives each of them its part of the threads.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tinycnn.sklearn import CNNClassifier
    >>> x, y = load_digits(return_X_y=True)  # pictures of 8x8 pixels as rows, with values from 0 to 16
    >>> network = CNNClassifier("ladder_03", epochs=10, batch_size=32, learning_rate=0.003, random_state=0)
    >>> network.fit(x[:1500] / 16, y[:1500]).score(x[1500:] / 16, y[1500:]) > 0.88
    True
    >>> network.predict_proba(x[:2] / 16).shape
    (2, 10)
    """

    def __init__(
        self,
        model: str | Sequential | Callable[[Shape, int], Sequential] = "ladder_09",
        *,
        epochs: int = 3,
        batch_size: int = 128,
        optimizer: str | Optimizer = "adam",
        learning_rate: Any = None,
        class_weight: dict[Any, float] | str | None = None,
        image_shape: tuple[int, ...] | None = None,
        augment: Augmentation | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        callbacks: Sequence[Callback] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        backend: str | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.image_shape = image_shape
        self.augment = augment
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.backend = backend

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network, from new weights unless ``warm_start`` is set.

        Parameters
        ----------
        X : (N, H, W), (N, H, W, C) or (N, features) array
        y : (N,) array
            The labels.
        sample_weight : (N,) array, optional
            How much the loss of each image counts.

        Raises
        ------
        TypeError, ValueError
            If data, labels or parameters are not what they should be, or the network cannot take such images.
        NumericError
            If the loss or a weight becomes NaN or infinite.
        """
        going_on = boolean(self.warm_start, "warm_start") and hasattr(self, "model_")
        with self._unchanged_if_refused():
            rows, y, shape = self._training_data(X, y, reset=not going_on)
            found = np.unique(y)
            if going_on:
                self._check_labels(found)
            else:
                self._begin(found, shape, rows)
            stopping = boolean(self.early_stopping, "early_stopping")
            return self._train(rows, y, sample_weight, integer(self.epochs, "epochs"), stopping)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch, on these images.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : (classes,) array, optional
            All labels that there will be; the first call needs them.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`fit`; or if ``classes`` is missing in the first call or differs in a later one.
        """
        first = not hasattr(self, "model_")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all images at once, and partial_fit sees a part; give a dict"
            )
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit: all labels that there will be")
        if classes is not None and not first and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={shown(classes)} are not those of the first call: {shown(self.classes_.tolist())}"
            )
        with self._unchanged_if_refused():
            rows, y, shape = self._training_data(X, y, reset=first)
            if first:
                self._begin(np.unique(classes), shape, rows)
            self._check_labels(np.unique(y))
            return self._train(rows, y, sample_weight, 1, False)

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each image, an (N,) array.

        Parameters
        ----------
        X : array
            Images as in :meth:`fit`, of the same shape.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, an (N, classes) array in the order of ``classes_``.

        Parameters
        ----------
        X : array
            Images as in :meth:`fit`, of the same shape.
        """
        check_is_fitted(self, "model_")
        rows, given = images.as_rows(X)
        rows = validate_data(self, rows, reset=False)
        images.check_same(given, self.input_shape_)
        return networks.probabilities(self.model_, self.model_.predict(self._samples(rows)))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn should know: images are taken as well as rows."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the weights once, and neither the optimizer's memory nor anything compiled."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = networks.for_pickle(state["model_"])
        return state

    @contextlib.contextmanager
    def _unchanged_if_refused(self) -> Iterator[None]:
        """Put back what was there before if data or parameters are refused: an earlier network goes on predicting."""
        before = dict(self.__dict__)
        try:
            yield
        except (TypeError, ValueError):
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _training_data(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array, Shape]:
        """Return X as rows, the labels, and the shape of one sample; ``reset`` says whether a training begins."""
        rows, given = images.as_rows(X)
        rows, y = validate_data(self, rows, y, reset=reset)
        check_classification_targets(y)
        if reset:
            return rows, column_or_1d(y, warn=True), images.input_shape(given, self.image_shape, rows.shape[1])
        images.check_same(given, self.input_shape_)
        return rows, column_or_1d(y, warn=True), self.input_shape_

    def _begin(self, classes: Array, shape: Shape, rows: Array) -> None:
        """Make a network with new weights."""
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {shown(classes.tolist()[0])}; a classifier needs at least two classes"
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with contextlib.nullcontext() if self.backend is None else use_backend(self.backend):
            made, wanted = networks.make(self.model, shape, len(classes), seed), get_backend().name
        if self.backend is not None and made.backend.name != wanted:
            raise ValueError(
                f"backend={wanted!r}, but {made.name} was built on the backend {made.backend.name!r}; give a "
                "network that is not built, without an Input"
            )
        self.model_ = made
        self.classes_, self.input_shape_, self.n_iter_ = classes, shape, 0
        self._largest = images.largest(rows)
        self.history_: dict[str, list[float]] = {}

    def _samples(self, rows: Array) -> Array:
        """Return rows as the network takes them, on the scale of those that it was trained on first."""
        takes_bytes = networks.takes_bytes(self.model_)
        if not takes_bytes:
            images.check_scale(rows, self._largest)
        return images.as_images(rows, self.input_shape_, takes_bytes)

    def _check_labels(self, found: Array) -> None:
        """Raise ValueError if there are labels that the network does not know."""
        unknown, known = found[~np.isin(found, self.classes_)].tolist(), self.classes_.tolist()
        if unknown:
            raise ValueError(f"y holds the label {shown(unknown[0])}, which is not one of the classes: {shown(known)}")

    def _train(self, rows: Array, y: Array, sample_weight: Any, epochs: int, stopping: bool) -> Self:
        """Train the network on checked data."""
        labels = np.searchsorted(self.classes_, y)
        weight = self._weights(rows, y, labels, sample_weight)
        samples = self._samples(rows)
        callbacks = copy.deepcopy(items(self.callbacks or (), "callbacks", "Callback objects"))
        # True is 1 to scikit-learn, and what is more than 2 is as much as possible.
        verbose = integer(int(self.verbose) if isinstance(self.verbose, bool) else self.verbose, "verbose", minimum=0)
        # Checked even if they are not used, so that a search over them does not try what is wrong.
        share = real(self.validation_fraction, "validation_fraction", above=0, below=1)
        patience = integer(self.n_iter_no_change, "n_iter_no_change")
        validation = None
        if stopping:
            seed = self.model_.seed % 2**32
            kept, held = train_test_split(np.arange(len(y)), test_size=share, stratify=labels, random_state=seed)
            validation = samples[held], labels[held]
            samples, labels, weight = samples[kept], labels[kept], None if weight is None else weight[kept]
            callbacks.append(EarlyStopping("val_accuracy", patience=patience, mode="max", restore_best_weights=True))
        if not self.model_.compiled:
            optimizer = networks.optimizer_of(self.optimizer, self.learning_rate)
            self.model_.compile(optimizer, networks.loss_of(self.model_), ["accuracy"])
        history = self.model_.fit(
            samples,
            labels,
            batch_size=self.batch_size,
            epochs=epochs,
            verbose=min(verbose, 2),
            callbacks=callbacks,
            validation_data=validation,
            sample_weight=weight,
            augment=self.augment,
        )
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)
        self.n_iter_ += len(history.epoch)
        return self

    def _weights(self, rows: Array, y: Array, labels: Array, sample_weight: Any) -> Array | None:
        """Return how much the loss of each sample counts, or None if all count alike."""
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, rows, dtype=np.float64)
        if weight is not None and not weight.any():
            raise ValueError("sample_weight is zero for every sample, so there is nothing to train on")
        if self.class_weight is None:
            return weight
        if self.class_weight == "balanced":
            by_class = compute_sample_weight("balanced", y)
        else:
            by_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)[labels]
        return by_class if weight is None else weight * by_class
