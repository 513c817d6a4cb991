"""Check everything that a layer promises, except its gradients."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.backend import BACKENDS, Backend
from ..core.description import Named
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels.geometry import Window
from ..layers.base import Layer, build_layer
from ..layers.own import prepare
from ..sequential import Sequential, load_model
from ._calls import gradient_of_input, outcome

#: The largest difference that rounding may make in each dtype, relative to the largest result.
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
    """Check everything that a layer promises except its gradients, for which there is :func:`check_gradients`.

    The promises are these, on every backend and in float32 and float64:

    * Forward returns the shape that ``output_shape`` says, and results and gradients have the dtype of the input.
    * Two forwards and two backwards work in any order, and a second backward gives the same gradients as the first.
    * ``backward_parameters`` gives the same gradients as ``backward``.
    * Without training there is no cache, the same input gives the same result, and buffers do not change.
    * Neither forward nor backward changes its arguments.
    * A workspace does not change the results, even if it was used before.
    * Strided and Fortran-ordered arrays give the same results as C-ordered ones.
    * Batches of 1 and of 0 samples work.
    * An output depends on that part of the input which the layer names (by ``window`` or ``sees_everything``).
    * All backends give the same results.
    * A layer that was saved and loaded gives the same results.

    Parameters
    ----------
    make : Layer class or callable
        ``make(**arguments)`` must return a new layer each time.
    input_shape : tuple of int
        The shape of one sample.
    batch : int
        The number of samples.
    seed : int
        The seed of the initial values, the inputs and the cotangents.
    backends : tuple of str
        The backends to check.
    **arguments
        The arguments for ``make``.

    Raises
    ------
    AssertionError
        If a promise is not kept; the message names the layer and the promise.
    """
    contract = _Contract(lambda: make(**arguments), tuple(input_shape), batch, seed)
    for name in backends:
        for dtype in ROUNDING:
            layer, x, dy = contract.case(name, dtype)
            before_x, before_dy = x.copy(), dy.copy()  # before the first call, because a change may happen only once
            contract.types(layer, x, dy)
            contract.no_cache_without_training(layer, x)
            contract.order_of_calls(layer, x, dy)
            if not (np.array_equal(x, before_x) and np.array_equal(dy, before_dy)):
                raise contract.fail("forward or backward changed its argument; it must work on a copy")
            contract.inference(layer, x, ROUNDING[dtype])
            contract.sight(layer, x)
            contract.workspace(layer, x, dy, ROUNDING[dtype])
            contract.parameters_alone(layer, x, dy)
            contract.memory_layout(layer, x, dy, ROUNDING[dtype])
            contract.small_batches(layer, x, dy)
    contract.same_on_every_backend(backends)
    contract.saved_and_loaded()


class _Contract:
    """The single checks; each takes what it needs from :meth:`case`, and raises AssertionError."""

    def __init__(self, make: Callable[[], Layer], input_shape: Shape, batch: int, seed: int) -> None:
        self._make, self._input_shape, self._batch, self._seed = make, input_shape, batch, seed
        layer = make()
        prepare(layer)
        self._label = layer.label

    def case(self, backend: str, dtype: str) -> tuple[Layer, Array, Array]:
        """Return a built layer, an input and a cotangent, with the same numbers for every backend and dtype."""
        layer = self._make()
        rng = np.random.default_rng(self._seed)
        shape = build_layer(layer, self._input_shape, rng=rng, dtype=dtype, backend=Backend(backend))
        rng = np.random.default_rng(self._seed + 1)
        x = rng.normal(size=(self._batch, *self._input_shape)).astype(dtype)
        return layer, x, rng.normal(size=(self._batch, *shape)).astype(dtype)

    def fail(self, promise: str) -> AssertionError:
        """Return the error that says what is wrong with this layer."""
        return AssertionError(f"{self._label}: {promise}")

    def types(self, layer: Layer, x: Array, dy: Array) -> None:
        """Check the shapes, and that everything has the dtype of the input."""
        y, cache = outcome(layer, x.copy(), training=True)
        dx = gradient_of_input(layer, dy.copy(), cache)
        for result in (y, outcome(layer, x.copy(), training=False)[0]):
            if result.dtype != x.dtype:
                raise self.fail(f"forward returned {result.dtype} for an input of {x.dtype}; it must keep the dtype")
        if not dx.flags.writeable:
            raise self.fail(
                "backward returned a read-only array, but the layer before may write into it; return a copy"
            )
        gradients = {"dx": dx} | {name: p.grad for name, p in layer.params.items() if p.trainable}
        expected = {"dx": x} | {name: p.value for name, p in layer.params.items()}
        for name, gradient in gradients.items():
            if (gradient.shape, gradient.dtype) != (expected[name].shape, expected[name].dtype):
                raise self.fail(
                    f"backward's {name} is {gradient.dtype} of shape {gradient.shape}, "
                    f"not {expected[name].dtype} of shape {expected[name].shape}"
                )

    def inference(self, layer: Layer, x: Array, rounding: float) -> None:
        """Run forward as evaluate and predict do, batch after batch."""
        buffers = {key: value.copy() for key, value in layer.buffers.items()}
        ws = Workspace()
        expected = {"y": outcome(layer, x, training=False)[0].copy()}
        outcome(layer, x * 2, training=False, ws=ws)
        found = {"y": outcome(layer, x, training=False, ws=ws)[0].copy()}
        self._equal(
            found, expected, "without training, forward with a workspace gave another result", tolerance=rounding
        )
        found = {"y": outcome(layer, x, training=False)[0]}
        self._equal(found, expected, "without training, the same input gave another result the second time")
        self._equal(layer.buffers, buffers, "forward without training changed a buffer")

    def sight(self, layer: Layer, x: Array) -> None:
        """Check that each output depends only on its own pixel, unless the layer says otherwise.

        Receptive fields are computed from what the layer says.
        """
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
                "an output depends on other pixels than its own, so receptive fields would be wrong; set self.window "
                "in create, or sees_everything = True in the class"
            )

    def no_cache_without_training(self, layer: Layer, x: Array) -> None:
        """Check that forward returns no cache without training, where nobody has a use for it."""
        if outcome(layer, x, training=False)[1] is not None:
            raise self.fail("forward returned a cache without training; return None there")

    def order_of_calls(self, layer: Layer, x: Array, dy: Array) -> None:
        """Check that a cache stays valid: a second forward must not touch what the first one returned."""
        other, other_dy = x[::-1] * 1.5, dy[::-1] * 0.5
        _, cache_1 = layer.forward(x, training=True, step=1)
        first = self._backward(layer, cache_1, dy)
        again = self._backward(layer, cache_1, dy)
        self._equal(again, first, "a second backward gave other gradients; it must overwrite them, not add")
        second = self._backward(layer, layer.forward(other.copy(), training=True, step=2)[1], other_dy.copy())
        _, cache_1 = layer.forward(x, training=True, step=1)
        _, cache_2 = layer.forward(other.copy(), training=True, step=2)
        found = self._backward(layer, cache_1, dy)
        self._equal(found, first, "after another forward, backward of the first one gave other gradients")
        found = self._backward(layer, cache_2, other_dy.copy())
        self._equal(found, second, "backward of the second of two forwards gave other gradients")

    def workspace(self, layer: Layer, x: Array, dy: Array, rounding: float) -> None:
        """Check that memory which still holds the numbers of an earlier batch does not change the results."""
        expected, ws = self._all_results(layer, x, dy), Workspace()
        self._all_results(layer, x * 2, dy * 2, ws)
        found = self._all_results(layer, x, dy, ws)
        promise = (
            "with a workspace that was used before, the result is another one; what backward needs belongs in ws.keep, "
            "because other layers use the memory of ws.flow and ws.scratch() in between"
        )
        self._equal(found, expected, promise, tolerance=rounding)

    def parameters_alone(self, layer: Layer, x: Array, dy: Array) -> None:
        """Check ``backward_parameters``, which the first layer of a network runs instead of backward."""
        _, cache = layer.forward(x, training=True, step=1)
        expected = self._backward(layer, cache, dy)
        for parameter in layer.params.values():
            if parameter.trainable:
                parameter.grad.fill(np.nan)
        layer.backward_parameters(dy.copy(), cache)
        found = {name: p.grad for name, p in layer.params.items()}
        self._equal(expected | found, expected, "backward_parameters gave other gradients than backward")

    def memory_layout(self, layer: Layer, x: Array, dy: Array, rounding: float) -> None:
        """Check arrays of other layouts; the last bits may differ, because NumPy adds them up in another order."""
        expected = self._all_results(layer, x, dy)
        wide_x, wide_dy = np.repeat(x, 2, axis=0), np.repeat(dy, 2, axis=-1)
        strided = self._all_results(layer, wide_x[::2], wide_dy[..., ::2])
        self._equal(strided, expected, "a strided array gave another result", tolerance=rounding)
        fortran = self._all_results(layer, np.asfortranarray(x), np.asfortranarray(dy))
        self._equal(fortran, expected, "a Fortran-ordered array gave another result", tolerance=rounding)

    def small_batches(self, layer: Layer, x: Array, dy: Array) -> None:
        """Check a batch of one sample and an empty one."""
        _, cache = outcome(layer, x[:1], training=True)
        if gradient_of_input(layer, dy[:1], cache).shape != x[:1].shape:
            raise self.fail("for a batch of one sample, backward returned a gradient of another shape")
        try:
            outcome(layer, x[:0], training=False)
        except ValueError as error:
            raise self.fail(f"an empty batch is refused, but predict of no images must work: {error}") from error
        try:
            _, cache = outcome(layer, x[:0], training=True)
        except ValueError:
            return  # an empty batch has no batch statistics
        gradients = self._backward(layer, cache, dy[:0])
        if gradients["dx"].shape != x[:0].shape:
            raise self.fail("for an empty batch, backward returned a gradient that is not empty")
        if any(np.any(gradient) for gradient in gradients.values()):
            raise self.fail("for an empty batch, backward gave parameters gradients that are not zero")

    def same_on_every_backend(self, backends: tuple[str, ...]) -> None:
        """Check that all backends agree with the first one."""
        for dtype, rounding in ROUNDING.items():
            results = {name: self._all_results(*self.case(name, dtype)) for name in backends}
            reference = results[backends[0]]
            for name in backends[1:]:
                what = f"{name} and {backends[0]} differ in {dtype}"
                self._equal(results[name], reference, what, tolerance=rounding)

    def saved_and_loaded(self) -> None:
        """Check that a layer that was saved and loaded has the same arguments and gives the same results."""
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
            try:
                model.save(path)
            except TypeError as error:
                raise AssertionError(str(error)) from error
            # The layer's own class, and those of the initializers, regularizers and activations that it holds.
            held = [type(value) for value in vars(layer).values() if isinstance(value, Named)]
            loaded = load_model(path, {cls.__name__: cls for cls in (kind, *held)})
        if loaded.layers[0].get_config() != layer.get_config():
            raise self.fail(
                f"saved with the arguments {layer.get_config()}, but loaded with {loaded.layers[0].get_config()}"
            )
        expected, found = (
            self._all_results(m.layers[0], x, np.ones((2, *m.output_shape), np.float32)) for m in (model, loaded)
        )
        self._equal(found, expected, "a layer that was loaded from a file gives another result")

    def _all_results(self, layer: Layer, x: Array, dy: Array, ws: Workspace | None = None) -> dict[str, Array]:
        """Return copies of the result, the gradients and the changed buffers of one step, and put the buffers back."""
        buffers = {key: value.copy() for key, value in layer.buffers.items()}
        y, cache = layer.forward(x, training=True, step=3, ws=ws)
        if ws is not None:  # other layers use the memory in between, and dy arrives in memory that flows
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
        """Return copies of all gradients."""
        dx = layer.backward(dy, cache, ws=ws).copy()
        return {"dx": dx} | {name: p.grad.copy() for name, p in layer.params.items()}

    def _equal(
        self, found: dict[str, Array], expected: dict[str, Array], promise: str, *, tolerance: float = 0.0
    ) -> None:
        """Fail with the broken promise unless all arrays are equal up to rounding."""
        for name, value in expected.items():
            other = found[name]
            scale = float(np.abs(value).max(initial=0.0))
            error = float(np.abs(other - value).max(initial=0.0)) if other.shape == value.shape else np.inf
            if not error <= tolerance * max(scale, 1.0):
                raise self.fail(f"{promise} ({name}: largest difference {error:.2g})")
