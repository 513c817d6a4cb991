"""Sequential: the model that a user holds. It builds, trains, evaluates, predicts, shows and saves a row of layers."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

import numpy as np

from . import layers as layers_module
from .augmentation import Augmentation
from .core.checks import also_called, boolean, function
from .core.checks import path as checked_path
from .core.printing import say
from .distributed import DataParallel, parallel
from .inspection import summary
from .inspection.trace import Trace, trace
from .layers.base import Layer
from .saving import model_file
from .training import arguments, loop
from .training.callback import Callback, History
from .training.predicting import Predicting
from .training.sequences import are_batches


class Sequential(Predicting):
    """A model of layers in a row: the result of each layer is the input of the next one.

    Parameters
    ----------
    layers : iterable of Layer or Input
        If an ``Input`` comes first, or the first layer has an ``input_shape=``, the model is built at once; otherwise
        the first ``fit`` builds it.
    name : str, optional
        By default ``sequential``.
    dtype : {"float32", "float64"}
        The dtype of weights and results; float64 is meant for checking gradients.

    Attributes
    ----------
    layers : list of Layer
    seed : int
        Everything random in this model follows from it. It is drawn from the seed of :func:`tinycnn.set_seed`, or
        fresh if none was set.
    backend : Backend
        The one that was active when the model was built.
    input_shape, output_shape : tuple of int
        The shapes of one sample and of its result.
    optimizer, loss, metrics
        What :meth:`compile` was given.
    history : History or None
        The logs of the last ``fit``.
    stop_training : bool
        A callback sets it to end ``fit`` after the epoch, or in ``on_train_batch_end`` after the batch.

    Examples
    --------
    >>> from tinycnn import Sequential, layers
    >>> model = Sequential([
    ...     layers.Input((28, 28, 1)),
    ...     layers.Conv2D(8, 3, activation="relu"),
    ...     layers.MaxPooling2D(2),
    ...     layers.Flatten(),
    ...     layers.Dense(10, activation="softmax"),
    ... ])
    >>> model.count_params()
    13610
    """

    def __init__(
        self, layers: Iterable[Layer | layers_module.Input] = (), name: str | None = None, *, dtype: str = "float32"
    ) -> None:
        super().__init__(layers, name, dtype=dtype)
        self.history: History | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.history is not None:
            self.history.model = self  # copies of callbacks have no model

    # Training and predicting ----------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        check_finite: bool = True,
        augment: Augmentation | None = None,
        fuse: bool = True,
        distributed: bool | str | DataParallel = False,
    ) -> History:
        """Train for some epochs, and return the history.

        Parameters
        ----------
        x : (N, \\*input_shape) array, iterable of batches, or object that holds batches
            The images, in any real dtype; batches are converted to the model's. An iterable or a generator yields
            ``(x, y)`` or ``(x, y, sample_weight)``; ``y`` is left out then. So it is with an object that has
            ``__len__`` and ``__getitem__`` and whose items are such batches, for example Keras's ``Sequence``; its
            ``on_epoch_end`` is called if it has one.
        y : (N,) or (N, 1) array
            Labels, or whatever targets the loss takes; nothing is broadcast.
        batch_size : int, optional
            Images per optimizer step, by default 32; the last batch of an epoch may be smaller. It is not used if ``x``
            yields batches.
        epochs : int
            Total number of epochs, those before ``initial_epoch`` included: ``initial_epoch=3, epochs=5`` runs two.
        verbose : {0, 1, 2}
            0 prints nothing; 1 shows a bar in a terminal, and prints a line per epoch elsewhere; 2 always prints a
            line per epoch.
        callbacks : sequence of Callback, optional
            What is called at fixed points of the fit (:mod:`tinycnn.callbacks`).
        validation_split : float in [0, 1)
            Hold out this share of the images, taken from the end, as validation data; they keep their
            ``sample_weight``.
        validation_data : (x, y), (x, y, sample_weight), iterable of such batches, or object that holds them, optional
            What is evaluated after every epoch. A list is taken for batches if it holds tuples only.
        shuffle : bool
            Draw a new order of the images, or of the batches of an object that holds batches, for each epoch, from the
            model's seed. Iterables are taken in their own order.
        class_weight : dict of int to float, optional
            How much the loss of each class counts in training. The loss must be a crossentropy. A class that is
            left out counts as 1, as in Keras, and a warning names it.
        sample_weight : (N,) or (N, 1) array, optional
            How much the loss of each sample counts. The loss is ``sum(weight * loss) / N``, as in Keras; metrics count
            every sample alike, as Keras's ``metrics=`` do.
        initial_epoch : int
            The epoch to begin with, counted from 0.
        steps_per_epoch : int, optional
            End an epoch after this many batches; a generator that never ends needs it. With ``shuffle=False`` the next
            epoch goes on with the batch after them, and with the first one after the last; otherwise it draws a new
            order.
        validation_steps : int, optional
            Evaluate only so many batches after each epoch; a generator that never ends needs it. It begins with the
            first batch each time, unless the batches come from a generator, which goes on.
        check_finite : bool
            Look for NaN and infinity in images and targets once, before training.
        augment : Augmentation, optional
            Random changes that are made to every training batch.
        fuse : bool
            Let neighbouring layers run as one where the backend can (see ``summary(plan=True)``), and a whole step from
            the third one on; False runs every layer by itself, with the same result up to rounding.
        distributed : bool, "deterministic" or DataParallel
            Train together with the other processes of an MPI job (:mod:`tinycnn.distributed`), which call ``fit`` in
            the same way; ``batch_size`` counts the images of all. True is the fastest way. ``"deterministic"`` cuts
            each batch into four shards and gives the same bits for 1, 2 and 4 processes.

        Returns
        -------
        History
            ``history.history`` has ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and ``learning_rate``, each
            with one value per epoch.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        TypeError, ValueError
            If data do not fit the model; the message says what was expected and what was given.
        NumericError
            If the loss or a weight becomes NaN or infinite.
        KeyboardInterrupt
            After Ctrl-C, at the end of the step that was running.
        """
        history = History()
        together = parallel.begin(distributed, history)
        with nullcontext() if together is None else together.one_voice():
            if y is None and self.compiled and are_batches(x, alone=True):
                x = self._build_for_batches(x)
            self._ready(x)
            settings = arguments.FitSettings(
                batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks, augment=augment, fuse=fuse,
                validation_split=validation_split, validation_data=validation_data, shuffle=shuffle,
                class_weight=class_weight, sample_weight=sample_weight, initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch, validation_steps=validation_steps, check_finite=check_finite,
            )  # fmt: skip
            with np.errstate(under="ignore"):  # what is too small for its dtype is 0, whatever np.seterr says
                batches, validation = arguments.prepare(self, x, y, settings)
                self.history = history
                loop.fit(self, batches, validation, settings, history, together)
        return history

    # Looking inside -------------------------------------------------------------------------------------------

    def trace(self, x: Any, y: Any = None, *, training: bool = True) -> Trace:
        """Return every array of one pass of this batch; no layers are fused, and no step is taken.

        Parameters
        ----------
        x : (N, \\*input_shape) array
            The batch.
        y : (N,) array, optional
            Labels. With them, the backward pass is traced too; the model must be compiled.
        training : bool
            True traces the pass of a training step. False traces one as in prediction: dropout and noise change
            nothing, and batch normalization uses its moving statistics, through which gradients then pass as well.

        Returns
        -------
        Trace
            For each layer ``x``, ``y``, ``cache``, ``dy``, ``dx``, ``parameters`` and ``gradients``; ``print`` shows it
            as a table.

        Examples
        --------
        >>> import numpy as np
        >>> from tinycnn import Sequential, layers
        >>> model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Flatten()])
        >>> [entry.y.shape for entry in model.trace(np.ones((1, 4, 4, 1)))]
        [(1, 2, 2, 2), (1, 8)]
        """
        if y is None:
            self.need_build()
        else:
            self._ready(x)
        with np.errstate(under="ignore"):
            return trace(self, x, y, boolean(training, "training"))

    def summary(self, plan: bool = False, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print a table: each layer's name, output shape, parameters, receptive field, and cache per image.

        Parameters
        ----------
        plan : bool
            Number the steps of the plan for training; layers with the same number run together as one kernel.
        print_fn : function of a string, optional
            Is given the table instead of ``print``, for example ``logging.info``.
        """
        self.need_build()
        show = say if print_fn is None else function(print_fn, "print_fn")
        show(summary.table(self, boolean(plan, "plan")).for_print())

    def _repr_html_(self) -> str:
        """Return a table of the layers as HTML; notebooks call this method."""
        return summary.outline(self).html()

    # Files ----------------------------------------------------------------------------------------------------

    @also_called("path", "filepath")
    def save(self, filepath: Any) -> None:
        """Write configuration, weights, and the state of training to one safetensors file, whole or not at all.

        Parameters
        ----------
        filepath : path
            The file. The keyword may also be ``path``, here and in the other methods that read or write files.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.
        """
        model_file.save_model(self, checked_path(filepath, "filepath"))

    @also_called("path", "filepath")
    def save_weights(self, filepath: Any) -> None:
        """Write the weights, without the state of training, to one file, whole or not at all.

        Parameters
        ----------
        filepath : path
            The file. If its name ends in ``.h5`` or ``.hdf5``, it is one for Keras (``.weights.h5``), which needs the
            extra ``keras``; otherwise it is a safetensors file.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.
        """
        self.need_build()
        model_file.save_weights(self, checked_path(filepath, "filepath"))

    @also_called("path", "filepath")
    def load_weights(self, filepath: Any, *, check_finite: bool = True) -> None:
        """Overwrite all weights with those in a file that :meth:`save_weights` or :meth:`save` wrote.

        Parameters
        ----------
        filepath : path
            The file. It may also be one of Keras (``.weights.h5``, ``.h5``, ``.keras``), or a state dict of PyTorch as
            a safetensors file.
        check_finite : bool
            Refuse weights that are NaN or infinite.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If a name or shape differs, or a number is too large for the model's dtype; nothing is changed then.

        Warns
        -----
        UserWarning
            If the weights have another dtype than the model; they are converted.
        """
        self.need_build()
        model_file.load_weights(self, checked_path(filepath, "filepath"), check_finite=check_finite)

    def __call__(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says what to call instead."""
        raise TypeError(
            f"{self.name} is not a function; call model.predict(x) for its results, or model.trace(x) for all arrays"
        )


@also_called("path", "filepath")
def load_model(
    filepath: Any, custom_objects: dict[str, type] | None = None, compile: bool = True, *, check_finite: bool = True
) -> Sequential:
    """Read a model that :meth:`Sequential.save` or Keras wrote; one that was compiled can go on training.

    The file may come from anybody. Nothing in it is executed, names in it are never used as paths, and its weights are
    compared with its configuration before memory is taken for them. Limits are 4 GiB for a file, 64 MiB for its header,
    1000 layers, and 2**28 numbers for an array.

    Parameters
    ----------
    filepath : path
        The file; the keyword may also be ``path``.
    custom_objects : dict of str to class, optional
        The classes in the file that are not tinycnn's own, by their names. They may be layers, losses, metrics,
        optimizers, schedules, activations, initializers or regularizers.
    compile : bool
        False leaves out how the model was trained, its optimizer, loss and metrics; classes that only they need may be
        missing then.
    check_finite : bool
        Refuse weights that are NaN or infinite. False reads them, to look at a model whose training diverged.

    Returns
    -------
    Sequential
        A model on the backend that is active now.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError, TypeError, KeyError
        If it is not a tinycnn model, or its weights do not fit its configuration.
    """
    wanted = {"compiled": boolean(compile, "compile"), "check_finite": check_finite}
    return model_file.load_model(checked_path(filepath, "filepath"), Sequential, custom_objects, **wanted)
