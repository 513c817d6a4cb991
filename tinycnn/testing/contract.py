"""What every layer promises, checked at once."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.backend import BACKENDS, Backend
from ..core.registry import Named
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window
from ..layers.base import Layer, build_layer
from ..layers.own import prepare
from ..sequential import Sequential, load_model
from ._calls import gradient_of_input, outcome

#: Largest difference, relative to the largest result, that rounding may make in each dtype.
ROUNDING = {"float32": 2e-5, "float64": 1e-11}


def assert_layer_contract(
    make: Callable[..., Layer],
    input_shape: Shape,
    *,
    batch: int = 3,
    seed: int = 0,
    backends: tuple[str, ...] = BACKENDS,
    **arguments: Any,
) -> None:
    """Check everything but gradients that a layer promises (see :func:`check_gradients` for those).

    The shape rule is what forward returns; two forwards and two backwards work in any order; backward is idempotent;
    no cache without training, where the same input gives the same result and buffers stay; inputs and gradients stay
    as they are; results and gradients have the input's dtype; a workspace changes nothing, also when used again;
    ``backward_parameters`` gives backward's gradients; strided and Fortran-ordered arrays give the same result;
    batches of 1 and of 0; float32 and float64; what an output sees is what the layer says (``window``,
    ``sees_everything``); the same result on every backend; saving and loading.

    Parameters
    ----------
    make : Layer class or callable
        ``make(**arguments)`` gives a fresh layer each time.
    input_shape : tuple of int
        Of one sample.
    batch, seed : int
    backends : tuple of str
    **arguments
        For the constructor.

    Raises
    ------
    AssertionError
        Naming the layer and the promise that is not kept.
    """
    contract = _Contract(lambda: make(**arguments), tuple(input_shape), batch, seed)
    for name in backends:
        for dtype in ROUNDING:
            layer, x, dy = contract.case(name, dtype)
            before_x, before_dy = x.copy(), dy.copy()  # before any call: a change may be one that happens only once
            contract.types(layer, x, dy)
            contract.no_cache_without_training(layer, x)
            contract.order_of_calls(layer, x, dy)
            if not (np.array_equal(x, before_x) and np.array_equal(dy, before_dy)):
                raise contract.fail("forward or backward changed its argument")
            contract.inference(layer, x, ROUNDING[dtype])
            contract.sight(layer, x)
            contract.workspace(layer, x, dy, ROUNDING[dtype])
            contract.parameters_alone(layer, x, dy)
            contract.memory_layout(layer, x, dy, ROUNDING[dtype])
            contract.small_batches(layer, x, dy)
    contract.same_on_every_backend(backends)
    contract.saved_and_loaded()


class _Contract:
    def __init__(self, make: Callable[[], Layer], input_shape: Shape, batch: int, seed: int) -> None:
        self._make, self._input_shape, self._batch, self._seed = make, input_shape, batch, seed
        layer = make()
        prepare(layer)
        self._label = layer.label

    def case(self, backend: str, dtype: str) -> tuple[Layer, Array, Array]:
        """A built layer, an input and a cotangent: the same numbers for every backend and dtype."""
        layer = self._make()
        rng = np.random.default_rng(self._seed)
        shape = build_layer(layer, self._input_shape, rng=rng, dtype=dtype, backend=Backend(backend))
        rng = np.random.default_rng(self._seed + 1)
        x = rng.normal(size=(self._batch, *self._input_shape)).astype(dtype)
        return layer, x, rng.normal(size=(self._batch, *shape)).astype(dtype)

    def fail(self, promise: str) -> AssertionError:
        return AssertionError(f"{self._label}: {promise}")

    def types(self, layer: Layer, x: Array, dy: Array) -> None:
        """Shapes, and the input's dtype everywhere."""
        y, cache = outcome(layer, x.copy(), training=True)
        dx = gradient_of_input(layer, dy.copy(), cache)
        for result in (y, outcome(layer, x.copy(), training=False)[0]):
            if result.dtype != x.dtype:
                raise self.fail(f"forward returned {result.dtype} for an input of {x.dtype}")
        if not dx.flags.writeable:
            raise self.fail("backward returned a read-only array: the layer before may write into it; return a copy")
        gradients = {"dx": dx} | {name: p.grad for name, p in layer.params.items() if p.trainable}
        expected = {"dx": x} | {name: p.value for name, p in layer.params.items()}
        for name, gradient in gradients.items():
            if (gradient.shape, gradient.dtype) != (expected[name].shape, expected[name].dtype):
                raise self.fail(
                    f"backward's {name} is {gradient.dtype} of shape {gradient.shape}, "
                    f"not {expected[name].dtype} of shape {expected[name].shape}"
                )

    def inference(self, layer: Layer, x: Array, rounding: float) -> None:
        """What evaluate and predict do, batch after batch."""
        buffers = {key: value.copy() for key, value in layer.buffers.items()}
        ws = Workspace()
        expected = {"y": outcome(layer, x, training=False)[0].copy()}
        outcome(layer, x * 2, training=False, ws=ws)
        found = {"y": outcome(layer, x, training=False, ws=ws)[0].copy()}
        self._equal(found, expected, "without training, a workspace made another result", tolerance=rounding)
        found = {"y": outcome(layer, x, training=False)[0]}
        self._equal(found, expected, "without training, the same input gave another result")
        self._equal(layer.buffers, buffers, "forward without training changed a buffer")

    def sight(self, layer: Layer, x: Array) -> None:
        """A layer of images that says nothing else works pixel by pixel: receptive fields rely on it."""
        H_and_W = self._input_shape[:2]
        said = layer.sees_everything or isinstance(layer.window, Window)
        if said or len(self._input_shape) != 3 or layer.built_output_shape[:-1] != H_and_W:
            return
        moved = x.copy()
        moved[:, 0, 0] += 1
        before, after = (outcome(layer, images, training=False)[0] for images in (x, moved))
        changed = (before != after).any(axis=(0, -1))
        changed[0, 0] = False
        if changed.any():
            raise self.fail(
                "an output depends on other pixels than its own; say so, for the receptive field, by a window or by "
                "sees_everything = True in the class"
            )

    def no_cache_without_training(self, layer: Layer, x: Array) -> None:
        if outcome(layer, x, training=False)[1] is not None:
            raise self.fail("forward returned a cache without training")
        if outcome(layer, x, training=True)[1] is None:
            raise self.fail("forward returned no cache in training")

    def order_of_calls(self, layer: Layer, x: Array, dy: Array) -> None:
        """Caches are the caller's: a second forward must not touch what the first one returned."""
        other, other_dy = x[::-1] * 1.5, dy[::-1] * 0.5
        _, cache_1 = layer.forward(x, training=True, step=1)
        first = self._backward(layer, cache_1, dy)
        again = self._backward(layer, cache_1, dy)
        self._equal(again, first, "backward twice gave other gradients: it must overwrite, not add")
        second = self._backward(layer, layer.forward(other.copy(), training=True, step=2)[1], other_dy.copy())
        _, cache_1 = layer.forward(x, training=True, step=1)
        _, cache_2 = layer.forward(other.copy(), training=True, step=2)
        found = self._backward(layer, cache_1, dy)
        self._equal(found, first, "after another forward, backward of the first gave other gradients")
        found = self._backward(layer, cache_2, other_dy.copy())
        self._equal(found, second, "backward of a second forward gave other gradients")

    def workspace(self, layer: Layer, x: Array, dy: Array, rounding: float) -> None:
        """Training brings memory in which the last batch's numbers still lie."""
        expected, ws = self._all_results(layer, x, dy), Workspace()
        self._all_results(layer, x * 2, dy * 2, ws)
        found = self._all_results(layer, x, dy, ws)
        promise = (
            "with a workspace that was used before it gave another result; what backward needs belongs into ws.keep, "
            "because other layers use the memory of ws.flow and ws.scratch() in between"
        )
        self._equal(found, expected, promise, tolerance=rounding)

    def parameters_alone(self, layer: Layer, x: Array, dy: Array) -> None:
        """What the first layer of a network runs in place of backward."""
        _, cache = layer.forward(x, training=True, step=1)
        expected = self._backward(layer, cache, dy)
        for parameter in layer.params.values():
            if parameter.trainable:
                parameter.grad.fill(np.nan)
        layer.backward_parameters(dy.copy(), cache)
        found = {name: p.grad for name, p in layer.params.items()}
        self._equal(expected | found, expected, "backward_parameters gave other gradients than backward")

    def memory_layout(self, layer: Layer, x: Array, dy: Array, rounding: float) -> None:
        """NumPy adds up a Fortran-ordered array in another order, so the last bits may differ."""
        expected = self._all_results(layer, x, dy)
        wide_x, wide_dy = np.repeat(x, 2, axis=0), np.repeat(dy, 2, axis=-1)
        strided = self._all_results(layer, wide_x[::2], wide_dy[..., ::2])
        self._equal(strided, expected, "a strided array gave another result", tolerance=rounding)
        fortran = self._all_results(layer, np.asfortranarray(x), np.asfortranarray(dy))
        self._equal(fortran, expected, "a Fortran-ordered array gave another result", tolerance=rounding)

    def small_batches(self, layer: Layer, x: Array, dy: Array) -> None:
        _, cache = outcome(layer, x[:1], training=True)
        if gradient_of_input(layer, dy[:1], cache).shape != x[:1].shape:
            raise self.fail("a batch of one gave a gradient of another shape")
        try:
            outcome(layer, x[:0], training=False)
        except ValueError as error:
            raise self.fail(f"an empty batch is refused: {error}") from error
        try:
            _, cache = outcome(layer, x[:0], training=True)
        except ValueError:
            return  # batch statistics do not exist for an empty batch
        gradients = self._backward(layer, cache, dy[:0])
        if gradients["dx"].shape != x[:0].shape:
            raise self.fail("an empty batch gave a gradient that is not empty")
        if any(np.any(gradient) for gradient in gradients.values()):
            raise self.fail("an empty batch gave gradients that are not zero")

    def same_on_every_backend(self, backends: tuple[str, ...]) -> None:
        for dtype, rounding in ROUNDING.items():
            results = {name: self._all_results(*self.case(name, dtype)) for name in backends}
            reference = results[backends[0]]
            for name in backends[1:]:
                what = f"{name} and {backends[0]} differ in {dtype}"
                self._equal(results[name], reference, what, tolerance=rounding)

    def saved_and_loaded(self) -> None:
        layer = self._make()
        kind = type(layer)
        try:
            layer.get_config()
        except TypeError as error:
            raise AssertionError(str(error)) from error
        model = Sequential([layer], name="contract")
        model.build(self._input_shape)
        x = np.random.default_rng(self._seed).normal(size=(2, *self._input_shape)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            model.save(path)
            # Its own class, and those of the initializers, regularizers and activations that it holds.
            held = [type(value) for value in vars(layer).values() if isinstance(value, Named)]
            loaded = load_model(path, {cls.__name__: cls for cls in (kind, *held)})
        if loaded.layers[0].get_config() != layer.get_config():
            raise self.fail(f"loaded with {loaded.layers[0].get_config()}, saved with {layer.get_config()}")
        expected, found = (
            self._all_results(m.layers[0], x, np.ones((2, *m.output_shape), np.float32)) for m in (model, loaded)
        )
        self._equal(found, expected, "loaded from a file it gives another result")

    def _all_results(self, layer: Layer, x: Array, dy: Array, ws: Workspace | None = None) -> dict[str, Array]:
        buffers = {key: value.copy() for key, value in layer.buffers.items()}
        y, cache = layer.forward(x, training=True, step=3, ws=ws)
        if ws is not None:  # other layers come before the way back, and what it brings lies in memory that flows
            brought = ws.flow(dy.shape, dy.dtype)
            ws.spoil()
            brought[...] = dy
            dy = brought
        y = y.copy()
        moved = {key: value.copy() for key, value in layer.buffers.items()}
        for key, value in buffers.items():
            layer.buffers[key][...] = value
        return {"y": y, **self._backward(layer, cache, dy, ws), **moved}

    def _backward(self, layer: Layer, cache: Any, dy: Array, ws: Workspace | None = None) -> dict[str, Array]:
        dx = layer.backward(dy, cache, ws=ws).copy()
        return {"dx": dx} | {name: p.grad.copy() for name, p in layer.params.items()}

    def _equal(
        self, found: dict[str, Array], expected: dict[str, Array], promise: str, *, tolerance: float = 0.0
    ) -> None:
        for name, value in expected.items():
            other = found[name]
            scale = float(np.abs(value).max(initial=0.0))
            error = float(np.abs(other - value).max(initial=0.0)) if other.shape == value.shape else np.inf
            if not error <= tolerance * max(scale, 1.0):
                raise self.fail(f"{promise} ({name}: largest difference {error:.2g})")
