"""Check the gradients of whole networks: along one random direction, and of some randomly drawn elements."""

import functools
import time
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import array, integer, real
from ..core.messages import shown
from ..core.types import Array
from ..kernels.threads import one_blas_thread
from ..layers import serialize
from ..layers.base import Layer
from ..layers.looking import layers_kept
from ..sequential import Sequential
from ..training.step import backward, walk_forward
from .functions import Function, layer_function
from .gradcheck import ATOL, RTOL, compare
from .report import GradientReport, Row
from .slopes import STEPS, Slopes, Verdict, judge

#: The relative error that a directional check lets pass. With many layers of ReLU, some kinks lie within every step.
DIRECTIONAL_RTOL = 1e-4
#: How far the parameters are moved away from a kink or from a place without a slope, and how often this is tried.
NUDGE, NUDGES = 1e-3, 5


@np.errstate(under="ignore")
def check_directional(
    model: Sequential, x: Any, y: Any, *, seed: int = 0, rtol: float = DIRECTIONAL_RTOL
) -> GradientReport:
    """Compare the slope of the loss along one random direction through all parameters with ``gradient · direction``.

    This takes a few forwards, however many parameters there are. A single wrong element among millions can hide from
    it, so use it in addition to :func:`check_gradients`, not instead of it.

    Parameters
    ----------
    model : Sequential
        It must be compiled, and made with ``dtype="float64"``.
    x : (N, \\*input_shape) float64 array
        The images, or other samples.
    y : (N,) array
        Their labels.
    seed : int
        The seed of the direction.
    rtol : float
        The largest relative error that passes.

    Returns
    -------
    GradientReport
        A report with one row.

    Raises
    ------
    AssertionError
        If the relative error is larger than ``rtol``; or, where there is no derivative along the direction, if what
        the gradient says does not lie between the slopes on the two sides. Also if rounding hides the slope.
    TypeError
        If the model or x is not float64.
    ValueError
        If the model is not compiled, or x does not fit in shape.
    """
    if not isinstance(model, Sequential) or not model.built:
        raise TypeError(
            f"model must be a Sequential that is built (give its first layer an input_shape); got {shown(model)}"
        )
    x = array(x, "x")
    if x.shape[1:] != model.input_shape:
        raise ValueError(f"x must have the shape (N, {', '.join(map(str, model.input_shape))}); got {x.shape}")
    seed, rtol = integer(seed, "seed", 0), real(rtol, "rtol", 0, 1)
    report = GradientReport(f"Directional check of {model.name} (float64, direction seed {seed})")
    losses = model.losses_used() if model.compiled else ()
    with layers_kept(model.layers, *losses, gradients=True):
        _Network(model, x, y).directional(report, seed, rtol)
    if report.failures:
        raise AssertionError("\n".join(report.failures))
    return report


@np.errstate(under="ignore")
def model_report(name: str, *, elements: int = 200, seed: int = 0) -> GradientReport:
    """Return what ``tinycnn gradcheck NAME`` prints: three checks of one documented model.

    The first is for each layer, at a reduced width: every element of dx and of each parameter. The other two are for
    the network as documented: one random direction through all parameters, and ``elements`` randomly drawn elements of
    each parameter.

    Parameters
    ----------
    name : str
        One of :func:`tinycnn.models.names`.
    elements : int
        How many elements of each parameter are drawn.
    seed : int
        The seed of everything that is random: weights, inputs, cotangents, the direction, and the drawn elements.

    Returns
    -------
    GradientReport
        Errors are in its ``failures``; they are not raised.
    """
    from .. import models

    started = time.perf_counter()
    documented = models.build(name)
    report = GradientReport(f"Gradients of {name}: float64, central differences, random cotangents (seed {seed})")
    rng = np.random.default_rng(seed)
    with one_blas_thread():
        for layer in documented.layers:
            _check_reduced(layer, report, rng, seed)
        model = Sequential.from_config(documented.get_config() | {"dtype": "float64", "seed": seed})
        model.compile("sgd", "sparse_categorical_crossentropy")
        x = rng.uniform(0, 1, (2, *model.input_shape))
        network = _Network(model, x, rng.integers(0, model.output_shape[0], len(x)))
        network.directional(report, seed, DIRECTIONAL_RTOL)
        network.drawn_elements(report, elements, seed)
    report.title += f", {time.perf_counter() - started:.1f} s"
    return report


def _check_reduced(layer: Layer, report: GradientReport, rng: np.random.Generator, seed: int) -> None:
    """Check every element of a narrow copy of a layer, on a small input."""
    description = serialize(layer)
    config = description["config"] | {"name": layer.name, "input_shape": None}
    for width in ("filters", "units"):
        if width in config:
            config[width] = min(config[width], 4)
    shape = layer.built_input_shape
    if layer.window is not None:
        extent = layer.window.extent()
        small = [min(length, size + 3) for length, size in zip(shape, extent, strict=False)]
        shape = (*small, min(shape[-1], 3))
    elif len(shape) == 3:
        shape = (min(shape[0], 4), min(shape[1], 4), min(shape[2], 3))
    elif len(shape) == 1:
        shape = (min(shape[0], 24),)
    copy = type(layer).from_config(config)
    x = rng.normal(size=(3, *shape))
    function = layer_function(copy, x, seed=seed)
    with function.frozen():
        compare(function, report, seed=seed, rtol=RTOL, atol=ATOL, layer_name=layer.name, note="every element, reduced")


class _Network:
    """A compiled float64 model on one batch.

    The inputs of all layers are kept, so that after a change in one layer only the layers from there on are run.
    """

    def __init__(self, model: Sequential, x: Any, y: Any) -> None:
        if model.dtype != "float64":
            raise TypeError(
                f"{model.name} was built in {model.dtype}; gradients are checked in float64: make the model with "
                "dtype='float64'"
            )
        if np.asarray(x).dtype != np.float64:
            raise TypeError(
                f"x must be float64, because gradients are checked in float64; got {np.asarray(x).dtype}. "
                "Use x.astype('float64')"
            )
        if not model.compiled:
            raise ValueError(
                f"model: {model.name} is not compiled, and a directional check needs a loss; call compile first"
            )
        self.model = model
        self.y = model.loss.check_targets(y, len(x), model.output_shape)
        self.parameters = {key: p for key, p in model.parameters().items() if p.trainable}
        self._x = np.ascontiguousarray(x)
        self._saved = {key: value.copy() for key, value in model.weights().items()}
        self.run()

    def run(self) -> None:
        """Run forward with the parameters as they are now, and keep the input and the cache of every layer."""
        passes = list(walk_forward(self.model.chain, self._x))
        self._inputs = [*(passed.x for passed in passes), passes[-1].y if passes else self._x]
        self._caches = [passed.cache for passed in passes]
        _, self._loss_cache = self.model.chain_loss.forward(self._inputs[-1], self.y, self.model.backend)

    def losses(self, first: int = 0) -> Array:
        """Return the loss of each sample; only the layers from number ``first`` on are run."""
        y_pred = self._inputs[first]
        for passed in walk_forward(self.model.chain[first:], y_pred):  # no cache is kept: they may be large
            y_pred = passed.y
        return self.model.chain_loss.forward(y_pred, self.y, self.model.backend)[0]

    def gradients(self, weights: Array) -> dict[str, Array]:
        """Return the gradient of ``sum_n weights[n] * loss[n]`` with respect to each parameter."""
        dy = self.model.chain_loss.backward(self._loss_cache, weights, self.model.backend)
        backward(self.model.chain, list(self._caches), dy)
        return {key: p.grad.copy() for key, p in self.parameters.items()}

    def directional(self, report: GradientReport, seed: int, rtol: float) -> None:
        """Add the row for one direction through all parameters.

        If the loss has a kink here, the parameters are moved away from it a little and the check is made there. This
        happens, for instance, where a layer outputs only zeros: with biases of 0, every result of the next layer is
        then exactly at the kink of its ReLU. The same is done where the slope is 0, because the images of a batch pull
        the parameters in opposite directions: a wrong gradient could be 0 there, too.
        """
        rng = np.random.default_rng(seed)
        direction = {key: rng.normal(size=p.value.shape) for key, p in self.parameters.items()}
        kinks = 0
        try:
            verdict, expected = self._compare_along(direction, rtol)
            for _ in range(NUDGES):
                if not (verdict.kink or (verdict.hidden and abs(expected) <= np.finfo(np.float64).eps)):
                    break
                kinks += verdict.kink
                for p in self.parameters.values():
                    p.value += NUDGE * rng.normal(size=p.value.shape)
                self.run()
                verdict, expected = self._compare_along(direction, rtol)
        finally:
            self._restore()
            self.run()
            self._restore()  # a second time, because the forward has changed the moving statistics
        slope, hidden = verdict.numeric, int(verdict.hidden)
        error = 0.0 if hidden else abs(slope - expected) / max(abs(slope), abs(expected), 1e-300)
        size = (sum(p.value.size for p in self.parameters.values()),)
        counts = int(not (verdict.kink or hidden)), kinks, error
        report.rows.append(Row("whole network", "one direction", size, *counts, "random direction", hidden))
        if hidden:
            report.failures.append(
                f"{self.model.name}: along a random direction (seed {seed}) nothing can be checked, because the loss "
                "hides its own changes by rounding; check with weights or inputs that let the loss change more"
            )
        elif not verdict.agrees:
            report.failures.append(
                f"{self.model.name}: along a random direction (seed {seed}) the loss changes by {slope:.9g}, but the "
                f"gradients say {expected:.9g}; relative error {error:.2g}"
            )

    def _restore(self) -> None:
        """Put back the weights and buffers that the model had at the beginning."""
        for key, value in self.model.weights().items():
            value[...] = self._saved[key]

    def _compare_along(self, direction: dict[str, Array], rtol: float) -> tuple[Verdict, float]:
        """Return the verdict on the slope, and gradient · direction, for the parameters as they are now."""
        length = np.sqrt(sum(np.square(d).sum() for d in direction.values()))
        gradients = self.gradients(np.full(len(self.y), 1 / len(self.y)))
        expected = float(sum((gradients[key] * d).sum() for key, d in direction.items()) / length)
        here = self.losses()

        rounding = float(np.finfo(np.float64).eps * np.abs(here).mean())

        @functools.cache
        def slopes(h: float) -> Slopes:
            ahead, behind = (self._moved_losses(direction, sign * h / length) for sign in (1, -1))
            return Slopes.of((here - behind) / (h * len(here)), (ahead - here) / (h * len(here)), 4 * rounding / h)

        first = slopes(STEPS[0])
        verdict = judge(expected, slopes, rtol, 0.0, scale=0.0)
        nothing = expected == first.gap == first.central == 0  # as of a network whose result is always 0
        return verdict._replace(agrees=True, hidden=False) if nothing else verdict, expected

    def _moved_losses(self, direction: dict[str, Array], distance: float) -> Array:
        """Return the loss of each sample after all parameters were moved along the direction; move them back."""
        before = {key: p.value.copy() for key, p in self.parameters.items()}
        try:
            for key, p in self.parameters.items():
                p.value += distance * direction[key]
            return self.losses()
        finally:
            for key, p in self.parameters.items():
                p.value[...] = before[key]

    def drawn_elements(self, report: GradientReport, elements: int, seed: int) -> None:
        """Add the rows for some randomly drawn elements of each parameter."""
        for index, layer in enumerate(self.model.chain):
            trained = {key: p.value for key, p in layer.params.items() if p.trainable}
            name = str(self.model.layers[index].name)

            def gradients(dy: Array, name: str = name, keys: tuple[str, ...] = tuple(trained)) -> dict[str, Array]:
                by_name = self.gradients(dy)
                return {key: by_name[f"{name}/{key}"] for key in keys}

            function = Function(
                f"{self.model.name}, layer {name!r}",
                trained,
                partial(self.losses, index),
                gradients,
                [],
                [],
                composite=True,
            )
            compare(
                function,
                report,
                seed=seed,
                rtol=RTOL,
                atol=ATOL,
                max_elements=elements,
                layer_name=name,
                note="drawn elements, full network",
            )
