"""Sequential: a list of layers that is built, compiled, trained and asked."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from . import layers as layers_module
from . import losses, optimizers
from .augmentation import Augmentation
from .callbacks import Callback, History, Logs
from .core import seeding
from .core.backend import Backend, get_backend
from .core.checks import array, boolean, choice, integer, items, optional_name, shape, shown, unknown, word
from .core.checks import path as checked_path
from .core.registry import custom_classes
from .core.types import Array, Config, Shape
from .core.workspace import Workspace
from .inspection import summary
from .inspection.trace import Trace, trace
from .layers.base import Layer, Parameter, build_layer, no_base, overwrite, snake_case
from .metrics import by_name as metrics_by_name
from .network.final_softmax import check_end, training_chain
from .network.plan import fused
from .saving import model_file as checkpoint
from .training import arguments as fitting
from .training import loop as training

#: Of a model that a configuration describes: building a thousand takes a tenth of a second.
MAX_LAYERS = 1000
#: Memory that a model keeps between two predictions, at most.
IDLE_BYTES = 256 << 20


class Sequential:
    """Layers in a row: each one's result is the next one's input.

    Parameters
    ----------
    layers : iterable of Layer or Input
        An ``Input`` first (or ``input_shape=`` on the first layer) builds the model at once; without it the first
        ``fit`` does.
    name : str, optional
    dtype : {"float32", "float64"}
        float64 is for checking gradients.

    Attributes
    ----------
    layers : list of Layer
    seed : int
        Everything random in this model follows from it; drawn from :func:`tinycnn.set_seed`, or fresh.
    backend : Backend
        The one that was active when the model was built.
    input_shape, output_shape : tuple of int
        Of one sample.
    optimizer, loss, metrics
        Set by :meth:`compile`.
    history : History or None
        Of the last ``fit``.
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
        if isinstance(name, Layer):
            raise TypeError("layers: a Sequential takes one list of layers, Sequential([first, second, …])")
        self.name = optional_name(name) or snake_case(type(self).__name__)
        self.dtype = choice(dtype, ("float32", "float64"), "dtype")
        self.seed = seeding.new_model_seed()
        self.layers: list[Layer] = []
        self.built = False
        self.compiled = False
        self.stop_training = False
        self.history: History | None = None
        self._input_shape: Shape | None = None
        self._chain: list[Any] | None = None
        self._idle: list[Workspace] = []
        self._predicting: tuple[list[Layer], list[Any]] = [], []
        for layer in items(layers, "layers", "layers"):
            self.add(layer)

    # Building -------------------------------------------------------------------------------------------------

    def add(self, layer: Layer | layers_module.Input) -> None:
        """Append a layer; it is built at once if the shape of its input is known.

        Raises
        ------
        TypeError
            If it is not a layer.
        ValueError
            If it does not fit, is part of a model already, or its name is taken.
        """
        if isinstance(layer, layers_module.Input):
            if self.layers or self._input_shape is not None:
                raise ValueError("an Input stands first in a Sequential, and only once")
            self._input_shape = layer.shape
            return
        if not isinstance(layer, Layer):
            hint = "; write an instance, with parentheses" if isinstance(layer, type) else ""
            raise TypeError(f"layer: a Sequential takes layers; got {shown(layer)}{hint}")
        if not hasattr(layer, "built"):
            raise TypeError(f"layer: {no_base(layer)}")
        if layer.built or any(layer is other for other in self.layers):
            raise ValueError(f"{layer.label} is built already: a layer belongs to one model, at one place")
        before = self._input_shape, layer.name
        try:
            if not self.layers and self._input_shape is None:
                self._input_shape = layer.input_shape
            self._give_name(layer)
            if self._input_shape is not None:
                self._build_layer(layer, len(self.layers))
        except Exception:
            self._input_shape, layer.name = before
            raise
        self.layers.append(layer)
        self.compiled = False

    def build(self, input_shape: Shape) -> None:
        """Build all layers for samples of ``input_shape``; needed only where no ``Input`` gave it."""
        if self._input_shape is not None:
            raise RuntimeError(f"{self.name} is built already, for samples of shape {self._input_shape}")
        for layer in self.layers:
            if layer.built:
                raise ValueError(f"{layer.label} is built already: a layer belongs to one model, at one place")
        try:
            self._input_shape = shape(input_shape, "input_shape")
            for index, layer in enumerate(self.layers):
                self._build_layer(layer, index)
        except Exception:
            self._input_shape, self.built = None, False
            for layer in self.layers:
                layer.built = False
            raise
        if self.compiled:
            self._make_chain(self.optimizer, self.loss)

    def _build_layer(self, layer: Layer, index: int) -> None:
        if index == 0:
            self.backend: Backend = get_backend()
        previous = self.layers[index - 1].built_output_shape if index else self._input_shape
        assert previous is not None
        rng = seeding.generator(self.seed, seeding.Stream.INITIALISE, index)
        build_layer(layer, previous, rng=rng, dtype=self.dtype, backend=self.backend)
        self.built = True

    def _give_name(self, layer: Layer) -> None:
        taken = {other.name for other in self.layers}
        if layer.name is None:
            base = snake_case(type(layer).__name__)
            count = 0
            while (name := f"{base}_{count}" if count else base) in taken:
                count += 1
            layer.name = name
        elif layer.name in taken:
            raise ValueError(f"two layers are called {layer.name!r}; names within a model differ")

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample."""
        self._need_build()
        assert self._input_shape is not None
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one result."""
        self._need_build()
        return self.layers[-1].built_output_shape

    @property
    def trainable(self) -> bool:
        """Whether any layer is trainable; setting it sets every layer that the model has then, as in Keras."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = boolean(value, "trainable")
        if not self.layers:
            raise RuntimeError(f"{self.name} has no layers yet; set trainable when they are added")
        for layer in self.layers:
            layer.trainable = value

    def _need_build(self) -> None:
        if not self.layers:
            raise RuntimeError(f"{self.name} has no layers yet; add some")
        if not self.built:
            raise RuntimeError(f"{self.name} is not built: begin with layers.Input(shape), or call build(shape) or fit")
        for layer in self.layers:
            if not layer.built:
                raise RuntimeError(f"{layer.label} was put into {self.name}.layers by hand; use {self.name}.add(layer)")

    # Training and asking --------------------------------------------------------------------------------------

    def compile(self, optimizer: Any = "adam", loss: Any = None, metrics: Sequence[Any] | None = None) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        metrics : sequence of str or Metric, optional

        Raises
        ------
        ValueError
            For an unknown name (with the nearest valid one), or a loss that does not fit the last layer: a softmax
            with ``from_logits=True``, no softmax with ``from_logits=False``, two softmaxes in a row.
        """
        if loss is None:
            raise ValueError("compile needs a loss, for example loss='sparse_categorical_crossentropy'")
        chosen = optimizers.get(optimizer), losses.get(loss), metrics_by_name(() if metrics is None else metrics)
        if self.built:
            self._make_chain(*chosen[:2])
        else:
            check_end(self.layers, chosen[1])
            self._chain = None
        self.optimizer, self.loss, self.metrics = chosen
        self.compiled = True

    def _make_chain(self, optimizer: optimizers.Optimizer, loss: losses.Loss) -> None:
        """Work out how to train, or raise and change nothing."""
        chain, chain_loss = training_chain(list(self.layers), loss)
        parameters = self.parameters()
        optimizer.check(parameters)
        if optimizer.slots.keys() - parameters.keys():
            raise ValueError("the optimizer has been used by another model; make a new one")
        self._chained = list(self.layers)
        self._chain, self.chain_loss = chain, chain_loss
        self._plan = fused(chain, self.backend)
        self._evaluation_plan = fused(chain, self.backend, training=False)

    @property
    def chain(self) -> list[Any]:
        """The layers as training runs them: without a final softmax that the loss took over."""
        assert self._chain is not None
        return self._chain

    @property
    def plan(self) -> list[Any]:
        """The chain with steps in place of the layers that run as one, see :mod:`tinycnn.network.plan`."""
        assert self._chain is not None
        return self._plan

    @contextlib.contextmanager
    def lent_workspace(self) -> Iterator[Workspace]:
        """A workspace for one call: the last call's, whose memory the system need not hand out again, if it is free."""
        try:
            ws = self._idle.pop()
        except IndexError:  # the first call, or another thread has it
            ws = Workspace(self.backend.empty)
        yield ws
        if not self._idle and ws.nbytes() <= IDLE_BYTES:
            self._idle.append(ws)

    @property
    def evaluation_plan(self) -> list[Any]:
        """As :attr:`plan`, for layers that do not train: batch normalisation is a fixed map then."""
        assert self._chain is not None
        return self._evaluation_plan

    @property
    def prediction_plan(self) -> list[Any]:
        """As :attr:`evaluation_plan`, of all layers: a final softmax too."""
        layers, plan = self._predicting
        if layers != self.layers:
            layers = list(self.layers)
            plan = fused(layers, self.backend, training=False)
            self._predicting = layers, plan  # at once, for other threads
        return plan

    def parameters(self) -> dict[str, Parameter]:
        """All parameters by ``layer/parameter``."""
        self._check_names()
        return {f"{layer.name}/{key}": p for layer in self.layers for key, p in layer.params.items()}

    def _check_names(self) -> None:
        """A layer may have been renamed: of two with one name, one's weights would be lost."""
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two layers are called {twice!r}; names within a model differ")

    def _ready(self, x: Any) -> None:
        if not self.compiled:
            raise RuntimeError(
                f"{self.name} is not compiled: call model.compile(optimizer='adam', "
                "loss='sparse_categorical_crossentropy', metrics=['accuracy']) first"
            )
        if not self.built:
            if not self.layers:
                raise RuntimeError(f"{self.name} has no layers yet; add some")
            self.build(array(x, "x").shape[1:])
        if self._chain is None:
            self._make_chain(self.optimizer, self.loss)
        if self._chained != self.layers:
            raise RuntimeError(f"the layers of {self.name} have changed since it was compiled: compile it again")

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        check_finite: bool = True,
        augment: Augmentation | None = None,
        fuse: bool = True,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : (N, \\*input_shape) array, or iterable of batches
            Any real dtype; batches are converted to the model's. An iterable or generator yields ``(x, y)`` or
            ``(x, y, sample_weight)``; then ``y`` is left out.
        y : (N,) or (N, 1) array
            Labels, or what the loss takes; nothing is broadcast.
        batch_size : int
            Images per optimizer step; the last batch of an epoch may be smaller.
        epochs : int
            The epoch to stop before, counted from 0: ``initial_epoch=3, epochs=5`` runs two.
        verbose : {0, 1, 2}
            0 silent; 1 a bar in a terminal, one line per epoch elsewhere; 2 one line per epoch.
        callbacks : sequence of Callback, optional
        validation_split : float in [0, 1)
            Hold out that share of the images, the last ones, as validation data; with their ``sample_weight``.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Evaluated after every epoch.
        shuffle : bool
            A new order each epoch, by the model's seed.
        class_weight : dict of int to float, optional
            What the loss of each class counts in training, for a crossentropy; every class of the labels needs one.
        sample_weight : (N,) array, optional
            What the loss of each sample counts. The loss is ``sum(weight * loss) / N``, as in Keras; metrics count
            every sample alike, as those of Keras's ``metrics=``.
        initial_epoch : int
        steps_per_epoch : int, optional
            End an epoch after that many batches; needed for a generator that never ends. With ``shuffle=False`` the
            next epoch goes on behind them, and after the last batch with the first; else it draws a new order.
        check_finite : bool
            Look for NaN and infinity in the inputs once, before training.
        augment : Augmentation, optional
            Changes every training batch.
        fuse : bool
            Let neighbouring layers run as one where the backend can (see ``summary(plan=True)``); False runs every
            layer by itself, with the same result up to rounding.

        Returns
        -------
        History
            ``history.history`` has ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and ``learning_rate``, a
            value per epoch.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        TypeError, ValueError
            For data that does not fit the model; the message says what was expected and what came.
        KeyboardInterrupt
            After Ctrl-C, at the end of the step that was running.
        """
        if y is None and self.layers:
            self._need_build()  # batches tell their shape too late
        self._ready(x)
        prepared = fitting.prepared(
            self,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=() if callbacks is None else callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            check_finite=check_finite,
            augment=augment,
            fuse=fuse,
        )
        return training.fit(self, **prepared)

    def train_on_batch(self, x: Any, y: Any) -> Logs:
        """One optimizer step on one batch; returns its ``{"loss": …, "accuracy": …}`` before the step."""
        self._ready(x)
        return training.train_on_batch(self, x, y)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int = 1,
        sample_weight: Any = None,
        return_dict: bool = False,
        check_finite: bool = True,
    ) -> Any:
        """Loss and metrics on a data set, exactly as ``fit`` logs them for ``validation_data``, unless ``fuse=False``.

        Parameters
        ----------
        x, y
            As in :meth:`fit`.
        batch_size : ignored
            Evaluation goes in fixed blocks, so that its result does not depend on this.
        verbose : {0, 1, 2}
            0 prints nothing.
        sample_weight : (N,) array, optional
            What the loss of each sample counts, as in :meth:`fit`.
        return_dict : bool
            A dict by name instead of a list.

        Returns
        -------
        list of float or dict
            ``[loss, *metrics]``; the loss alone where there are no metrics.
        """
        as_dict = boolean(return_dict, "return_dict")
        if y is None:
            raise ValueError("y is missing: evaluate(x, y) takes arrays; of batches, put all into one array")
        self._ready(x)
        results = training.evaluate(self, x, y, verbose=verbose, sample_weight=sample_weight, check_finite=check_finite)
        if as_dict:
            return results
        return list(results.values()) if len(results) > 1 else results["loss"]

    def predict(self, x: Any, batch_size: int | None = None, verbose: int = 0, check_finite: bool = True) -> Array:
        """The network's results for a batch, (N, \\*output_shape); prints nothing.

        Parameters
        ----------
        x : (N, \\*input_shape) array
        batch_size, verbose : ignored
            Taken for Keras's sake.
        """
        self._need_build()
        return training.predict(self, x, check_finite=check_finite)

    # Looking --------------------------------------------------------------------------------------------------

    def trace(self, x: Any, y: Any = None) -> Trace:
        """Every array of the training pass that this batch would cause: nothing fused, nothing stepped.

        Parameters
        ----------
        x : (N, \\*input_shape) array
        y : (N,) array, optional
            With labels (and a compiled model) the way back is traced too.

        Returns
        -------
        Trace
            Per layer ``x``, ``y``, ``cache``, ``dy``, ``dx``, ``parameters``, ``gradients``; prints as a table.

        Examples
        --------
        >>> import numpy as np
        >>> from tinycnn import Sequential, layers
        >>> model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Flatten()])
        >>> [entry.y.shape for entry in model.trace(np.ones((1, 4, 4, 1)))]
        [(1, 2, 2, 2), (1, 8)]
        """
        if y is None:
            self._need_build()
        else:
            self._ready(x)
        return trace(self, x, y)

    def count_params(self) -> int:
        """All numbers the model holds, trained or not."""
        self._need_build()
        return sum(layer.count_params() for layer in self.layers)

    def count_trainable_params(self) -> int:
        """The numbers that training moves."""
        self._need_build()
        return sum(int(p.value.size) for p in self.parameters().values() if p.trainable)

    def summary(self, plan: bool = False) -> None:
        """Print a table: each layer's name, output shape, parameters, receptive field, and cache per image.

        Parameters
        ----------
        plan : bool
            Add a column with the number of the step that a layer is part of in training: layers of one number run as
            one kernel (see :mod:`tinycnn.network.plan`).
        """
        self._need_build()
        if self.compiled and self._chain is None:
            self._make_chain(self.optimizer, self.loss)
        print(summary.table(self, boolean(plan, "plan")))

    def get_layer(self, name: str) -> Layer:
        """The layer of that name."""
        name = word(name, "name")
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("layer", name, [str(layer.name) for layer in self.layers], "name")

    # Weights and files ----------------------------------------------------------------------------------------

    def weights(self) -> dict[str, Array]:
        """Parameters and buffers by ``layer/parameter``, in order; the arrays themselves, not copies."""
        self._need_build()
        self._check_names()
        return {f"{layer.name}/{key}": value for layer in self.layers for key, value in layer.weights().items()}

    def get_weights(self) -> list[Array]:
        """Copies of all weights: per layer kernel, bias, or gamma, beta, moving mean, moving variance."""
        return [self.backend.to_numpy(value).copy() for value in self.weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Overwrite all weights; the inverse of :meth:`get_weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing is changed then.
        """
        overwrite(self.weights(), weights, self.name)

    def save(self, path: Any) -> None:
        """Write configuration, weights, and the state of training to one safetensors file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.
        """
        checkpoint.save_model(self, checked_path(path))

    def save_weights(self, path: Any) -> None:
        """Write the weights, without the state of training, to one safetensors file, whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.
        """
        self._need_build()
        checkpoint.save_weights(self, checked_path(path))

    def load_weights(self, path: Any, *, check_finite: bool = True) -> None:
        """Overwrite all weights by those of a file of :meth:`save_weights` or :meth:`save`.

        Parameters
        ----------
        path : path
        check_finite : bool
            Refuse weights that are NaN or infinite.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If a name, shape or dtype differs; nothing is changed then.
        """
        self._need_build()
        checkpoint.load_weights(self, path, check_finite=check_finite)

    def get_config(self) -> Config:
        """What :meth:`from_config` needs to make the same model, ready for JSON; without weights."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "seed": self.seed,
            "input_shape": None if self._input_shape is None else list(self._input_shape),
            "layers": [layers_module.serialize(layer) for layer in self.layers],
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, type] | None = None) -> "Sequential":
        """The model that :meth:`get_config` described, with fresh weights by the same seed.

        Raises
        ------
        ValueError, TypeError
            If it describes none; the message names the entry.
        """
        with custom_classes(custom_objects):
            model, input_shape = cls._described(config)
        if input_shape is not None:
            model.build(input_shape)
        return model

    @classmethod
    def _described(cls, config: Config) -> tuple["Sequential", Shape | None]:
        """The model, not built, and the shape to build it for."""
        wanted = ("name", "dtype", "seed", "input_shape", "layers")
        if not isinstance(config, dict) or not all(key in config for key in wanted):
            raise ValueError(f"config must be a dict with {', '.join(wanted)}; got {shown(config)}")
        described = config["layers"]
        if not isinstance(described, list | tuple) or len(described) > MAX_LAYERS:
            raise ValueError(f"layers must be a list of at most {MAX_LAYERS} descriptions; got {shown(described)}")
        model = cls(name=config["name"], dtype=config["dtype"])
        model.seed = integer(config["seed"], "seed", minimum=0)
        for description in described:
            layer = layers_module.deserialize(description)
            model._give_name(layer)
            model.layers.append(layer)
        input_shape = config["input_shape"]
        if input_shape is None and model.layers:
            input_shape = model.layers[0].input_shape
        return model, None if input_shape is None else shape(input_shape, "input_shape")

    def _weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """What the shapes of :meth:`weights` would be; takes no memory for them."""
        shapes = {}
        for layer in self.layers:
            for key, found in layer.weight_shapes(input_shape).items():
                shapes[f"{layer.name}/{key}"] = found
            input_shape = layer.output_shape(input_shape)
        return shapes

    def __call__(self, *given: Any, **named: Any) -> NoReturn:
        """Raise a TypeError that says how to ask a model."""
        raise TypeError(f"{self.name} is no function: model.predict(x) gives its results, model.trace(x) all arrays")

    def __repr__(self) -> str:
        return f"<Sequential {self.name!r}: {len(self.layers)} layers>"
