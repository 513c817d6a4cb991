"""Layers in a row: how a network is built, named and described. Data and files are not known here."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from .. import layers as layers_module
from ..core import seeding
from ..core.backend import Backend, get_backend
from ..core.checks import boolean, checked_name, choice, integer, items, optional_name, shape, word
from ..core.messages import shown, snake_case, unknown
from ..core.parameter import Parameter, overwrite
from ..core.printing import for_print
from ..core.registry import custom_classes
from ..core.types import Array, Config, Shape
from ..layers.base import Layer, build_layer
from ..layers.own import no_base, prepare
from .compiling import Compiling

#: The most layers that a configuration may describe; building a thousand takes a tenth of a second.
MAX_LAYERS = 1000
#: What is fixed once the layers are built, because arrays and seeds of theirs follow from it.
_FIXED = ("dtype", "backend", "seed")


class Network(Compiling):
    """A list of layers, each of which takes what the one before it gives; :class:`tinycnn.Sequential` trains it.

    Parameters
    ----------
    layers : iterable of Layer or Input
        In the order in which data pass through them.
    name : str, optional
        By default the name of the class in snake case.
    dtype : {"float32", "float64"}
        The dtype of weights and results.
    """

    def __init__(
        self, layers: Iterable[Layer | layers_module.Input] = (), name: str | None = None, *, dtype: str = "float32"
    ) -> None:
        if isinstance(name, Layer):
            raise TypeError("layers: a Sequential takes one list of layers, Sequential([first, second, ...])")
        super().__init__()
        self.name = optional_name(name) or snake_case(type(self).__name__)
        self.dtype = choice(dtype, ("float32", "float64"), "dtype")
        self.seed = seeding.new_model_seed()
        self.layers: list[Layer] = []
        self.built = False
        self.stop_training = False
        self._input_shape: Shape | None = None
        self._frozen: list[str] | None = None  # the parameters to freeze when they are made; None: see the layers
        for layer in items(layers, "layers", "layers"):
            self.add(layer)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            value = checked_name(value)
        if name in _FIXED and vars(self).get("built") and value != vars(self).get(name):
            raise RuntimeError(
                f"{name} is fixed when the layers of {self.name} are built, and it is {vars(self)[name]!r}; make a new "
                f"model to have {shown(value)}"
            )
        super().__setattr__(name, value)

    # Building -------------------------------------------------------------------------------------------------

    def add(self, layer: Layer | layers_module.Input) -> None:
        """Append a layer, and build it at once if the shape of its input is known.

        Raises
        ------
        TypeError
            If ``layer`` is not a layer.
        ValueError
            If it cannot take the result of the layer before it, is part of a model already, or has the name of another
            layer.
        """
        if isinstance(layer, layers_module.Input):
            if self.layers or self._input_shape is not None:
                raise ValueError("an Input must come first in a Sequential, and only once; remove this one")
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
        """Build all layers for samples of ``input_shape``; this is needed only if no ``Input`` gave the shape.

        Building for the same shape once more changes nothing.

        Raises
        ------
        RuntimeError
            If the model is built already, for another shape.
        ValueError
            If a layer cannot take what it would be given; the model is not built then.
        """
        if self._input_shape is not None:
            if shape(input_shape, "input_shape") == self._input_shape:
                return
            raise RuntimeError(
                f"{self.name} is built already, for shape {self._input_shape}, not for {shown(input_shape)}; make a "
                "new model"
            )
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
        self._freeze()
        if self.compiled:
            self.make_chain(self.optimizer, self.loss)

    def build_again(self, *, seed: int | None = None, dtype: str | None = None) -> None:
        """Make all weights anew, from another seed or in another dtype; each parameter stays frozen if it is."""
        frozen = self._frozen_parameters()
        self.built = False  # seed and dtype can be set now
        self.seed, self.dtype = self.seed if seed is None else seed, self.dtype if dtype is None else dtype
        for index, layer in enumerate(self.layers):
            backend = self.backend
            rng = seeding.generator(self.seed, seeding.Stream.INITIALISE, index)
            build_layer(layer, layer.built_input_shape, rng=rng, dtype=self.dtype, backend=backend)
        self.built, self._frozen = True, frozen
        self._freeze()

    def _build_layer(self, layer: Layer, index: int) -> None:
        if index == 0:
            self.backend: Backend = get_backend()
        previous = self.layers[index - 1].built_output_shape if index else self._input_shape
        assert previous is not None
        rng = seeding.generator(self.seed, seeding.Stream.INITIALISE, index)
        build_layer(layer, previous, rng=rng, dtype=self.dtype, backend=self.backend)
        self.built = True

    def _give_name(self, layer: Layer) -> None:
        """Name a layer after its class if it has no name, or raise if another layer has its name."""
        taken = {other.name for other in self.layers}
        if layer.name is None:
            base = snake_case(type(layer).__name__)
            count = 0
            while (name := f"{base}_{count}" if count else base) in taken:
                count += 1
            layer.name = name
        elif layer.name in taken:
            raise ValueError(f"two layers are called {layer.name!r}; give each layer of a model its own name")

    def get_layer(self, name: str) -> Layer:
        """Return the layer with this name, or raise a ValueError that suggests the nearest name."""
        name = word(name, "name")
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown("layer", name, [str(layer.name) for layer in self.layers], "name")

    @property
    def input_shape(self) -> Shape:
        """The shape of one sample."""
        if not self.built:
            self.need_build()
        assert self._input_shape is not None
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of one result."""
        if not self.built or not self.layers or not self.layers[-1].built:
            self.need_build()
        return self.layers[-1].built_output_shape

    @property
    def trainable(self) -> bool:
        """Whether any layer is trainable. Setting it sets it for all layers that the model has so far, as in Keras."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = boolean(value, "trainable")
        if not self.layers:
            raise RuntimeError(f"{self.name} has no layers yet; set trainable when they are added")
        for layer in self.layers:
            layer.trainable = value

    def need_build(self) -> None:
        """Raise RuntimeError unless the model has layers and is built."""
        if not self.layers:
            raise RuntimeError(f"{self.name} has no layers yet; add some")
        if not self.built:
            raise RuntimeError(f"{self.name} is not built: begin with layers.Input(shape), or call build(shape) or fit")
        for layer in self.layers:
            if not layer.built:
                raise RuntimeError(f"{layer.label} was put into {self.name}.layers by hand; use {self.name}.add(layer)")
            prepare(layer)  # one of its methods may have been replaced since it was built
        given = self._input_shape
        for layer in self.layers:
            if layer.built_input_shape != given:
                raise RuntimeError(
                    f"{self.name}.layers was changed by hand: {layer.label} was built for samples of shape "
                    f"{layer.built_input_shape} and is given {given} now; make a new model of new layers"
                )
            given = layer.built_output_shape

    # Weights --------------------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters, each under its name ``layer/parameter``."""
        self._check_names()
        return {f"{layer.name}/{key}": p for layer in self.layers for key, p in layer.params.items()}

    def add_penalty_gradients(self) -> None:
        """Add the gradients of all penalties on weights to those that backward has written: once after each of them."""
        for parameter in self.parameters().values():
            parameter.add_penalty_gradient()

    def _check_names(self) -> None:
        """Raise if two layers have the same name, perhaps after renaming: the weights of one would be lost."""
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two layers are called {twice!r}; give each layer of a model its own name")

    def weights(self) -> dict[str, Array]:
        """Return parameters and buffers, each under its name ``layer/parameter``; the arrays themselves, not copies."""
        self.need_build()
        self._check_names()
        return {f"{layer.name}/{key}": value for layer in self.layers for key, value in layer.weights().items()}

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, layer by layer: kernel, bias; or gamma, beta, moving mean, moving variance."""
        return [self.backend.to_numpy(value).copy() for value in self.weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Overwrite all weights with arrays in the order of :meth:`get_weights`.

        Raises
        ------
        ValueError
            If their number or a shape differs; nothing has been changed then.
        """
        overwrite(self.weights(), weights, self.name)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the shapes that :meth:`weights` have for samples of ``input_shape``, without making them."""
        shapes = {}
        for layer in self.layers:
            for key, found in layer.weight_shapes(input_shape).items():
                shapes[f"{layer.name}/{key}"] = found
            input_shape = layer.output_shape(input_shape)
        return shapes

    def count_params(self) -> int:
        """Return how many numbers the layers hold in parameters and buffers."""
        self.need_build()
        return sum(layer.count_params() for layer in self.layers)

    def count_trainable_params(self) -> int:
        """Return how many numbers training changes."""
        self.need_build()
        return sum(int(p.value.size) for p in self.parameters().values() if p.trainable)

    # Description ----------------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Return what :meth:`from_config` needs to make the same model without its weights, in a form for JSON."""
        frozen = self._frozen_parameters() if self.built else self._frozen
        return {
            "name": self.name,
            "dtype": self.dtype,
            "seed": self.seed,
            "input_shape": None if self._input_shape is None else list(self._input_shape),
            "layers": [layers_module.serialize(layer) for layer in self.layers],
            **({} if frozen is None else {"frozen": frozen}),
        }

    def _frozen_parameters(self) -> list[str] | None:
        """Return the names of all frozen parameters, or None if these are just the parameters of frozen layers."""
        if all(p.trainable == layer.trainable for layer in self.layers for p in layer.params.values()):
            return None
        return [key for key, parameter in self.parameters().items() if not parameter.trainable]

    def _freeze(self) -> None:
        """Freeze those parameters that :meth:`from_config` was told to freeze, and no others."""
        if self._frozen is None:
            return
        parameters = self.parameters()
        if unknown := set(self._frozen) - parameters.keys():
            raise ValueError(f"frozen: {self.name} has no parameter {shown(min(unknown))}")
        for key, parameter in parameters.items():
            parameter.trainable = key not in self._frozen
        self._frozen = None

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, type] | None = None) -> Self:
        """Return the model that :meth:`get_config` described, with fresh weights drawn from the same seed.

        Raises
        ------
        ValueError, TypeError
            If the configuration does not describe a model; the message names the entry.
        """
        with custom_classes(custom_objects):
            model, input_shape = cls.not_built(config)
        if input_shape is not None:
            model.build(input_shape)
        return model

    @classmethod
    def not_built(cls, config: Config) -> tuple[Self, Shape | None]:
        """Return the model that a configuration describes before it is built, and the shape to build it for."""
        wanted = ("name", "dtype", "seed", "input_shape", "layers")
        if not isinstance(config, dict) or not all(key in config for key in wanted):
            raise ValueError(f"config must be a dict with {', '.join(wanted)}; got {shown(config)}")
        descriptions = config["layers"]
        if not isinstance(descriptions, list | tuple) or len(descriptions) > MAX_LAYERS:
            raise ValueError(f"layers must be a list of at most {MAX_LAYERS} descriptions; got {shown(descriptions)}")
        model = cls(name=config["name"], dtype=config["dtype"])
        model.seed = integer(config["seed"], "seed", minimum=0)
        for description in descriptions:
            layer = layers_module.deserialize(description)
            model._give_name(layer)
            model.layers.append(layer)
        frozen = config.get("frozen")
        if frozen is not None:
            model._frozen = [word(key, "frozen") for key in items(frozen, "frozen", "names of parameters")]
        input_shape = config["input_shape"]
        if input_shape is None and model.layers:
            input_shape = model.layers[0].input_shape
        return model, None if input_shape is None else shape(input_shape, "input_shape")

    def __repr__(self) -> str:
        return for_print(f"<{type(self).__name__} {self.name!r}: {len(self.layers)} layers>")
