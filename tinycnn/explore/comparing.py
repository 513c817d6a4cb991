"""Compare a learner's kernels with the reference's, layer by layer, so that a mistake shows in the layer that makes it.

Each layer with the learner's kernels is given what the same layer got from the reference: its input, the gradient of
its result, and what was kept for its backward. So a layer is wrong only if its own kernels are.

Two results are taken for equal if they differ by no more than rounding. How much that may be follows from the size of
the results and, because sums may cancel, from how far the reference's results move when all numbers that go into them
are moved a little.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.overlay import Overlay
from ..core.types import Array
from ..core.version import is_ours
from ..layers.looking import buffers_kept
from ..losses import LossCache
from ..network.final_activation import layer_of
from ..optimizers import Optimizer
from ..sequential import Sequential
from ..testing.contract import ROUNDING
from ..training.data import images_for
from ..training.step import Passed, walk_forward
from .mine import files_of, in_words, last_place
from .twins import largest, number, run_as_in_prediction, twin

#: The largest difference that is taken for rounding. It is twice what two backends may differ by, because a learner's
#: formula may round more.
TOLERANCE = {dtype: 2 * rounding for dtype, rounding in ROUNDING.items()}
#: The fraction by which numbers are moved at most.
NUDGE = 2.0**-7

Results = dict[str, Array]


def compare(model: Sequential, source: Any, x: Any, y: Any = None, *, training: bool = True) -> list[dict[str, Any]]:
    """Compare a learner's kernels with the reference's in every layer of a network, ready for JSON.

    Parameters
    ----------
    model : Sequential
        A built model on any backend, which stays as it is.
    source : module, any object with functions, or Overlay
        The learner's kernels, as :func:`tinycnn.use_backend` takes them.
    x : (N, \\*input_shape) array
        The images.
    y : array, optional
        Their labels. Without them, or if the model is not compiled, only forward passes are compared.
    training : bool
        Whether layers compute as in training, or as in prediction.

    Returns
    -------
    list of dict
        An entry for each layer. With labels, two more, which are called ``"loss"`` and ``"optimizer"`` (unless the
        optimizer is one of a user's own):

        - ``name``, and ``kernels``, the names of the learner's functions that were called;
        - ``equal``: whether everything in the entry is;
        - ``forward``: the difference of the results, and ``kept``: those of the arrays that the layer keeps, by name;
          for the optimizer, those of all parameters after two steps that began at 0;
        - ``backward``: the difference of dx, and ``gradients``: those of the parameters' gradients, by name. Both are
          None without labels, and where the loss has taken over the layer.

        A difference is a dict: ``equal`` (up to rounding), ``identical`` (every number), ``largest_difference``,
        ``relative`` (to the largest result), ``wrong`` (how many elements) of ``size``, and of the first wrong element
        the index ``first_wrong`` (with the batch axis), what was ``expected`` and what the learner ``got``. Numbers
        that JSON does not have are texts: ``"NaN"``, ``"Infinity"``. Where a learner's function raised an error, it is
        ``{"equal": False, "error": text, "place": {"file", "line", "code"} or None}``.
    """
    pair = _Pair(model, source, training)
    images = np.array(images_for(model, x), pair.right.dtype)
    entries = {str(layer.name): _entry(str(layer.name)) for layer in pair.right.layers}
    value = images
    for right, own in zip(pair.right.layers, pair.own.layers, strict=True):
        value = pair.forward(entries[str(right.name)], right, own, value)
    found = list(entries.values())
    if y is not None and pair.right.compiled:
        found.append(pair.backward(entries, images, y))
        if is_ours(type(model.optimizer)):
            found.append(pair.steps(model.optimizer))
    for entry in found:
        parts = [entry["forward"], entry["backward"], *entry["kept"].values(), *entry["gradients"].values()]
        entry["equal"] = all(part["equal"] for part in parts if part is not None)
    return found


def _entry(name: str) -> dict[str, Any]:
    """Return the entry of a layer of which nothing is known yet."""
    return {"name": name, "kernels": [], "forward": None, "kept": {}, "backward": None, "gradients": {}}


class _Pair:
    """The same network on the reference and with a learner's kernels, which note when they are called."""

    def __init__(self, model: Sequential, source: Any, training: bool) -> None:
        reference = Backend("reference")
        overlay = source if isinstance(source, Overlay) else Overlay(source, reference.kernels)
        self._called: set[str] = set()
        noting = {name: self._noting(name, function) for name, function in overlay.functions.items()}
        self._files = files_of(overlay)
        self._step = model.optimizer.iterations if model.compiled else 0
        self.right = twin(model, reference)
        self.own = twin(model, Backend("reference", Overlay(SimpleNamespace(**noting), reference.kernels)))
        if not training:
            for layer in (*self.right.layers, *self.own.layers):
                run_as_in_prediction(layer)

    def _noting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and notes that it was called."""

        @functools.wraps(function)
        def noting(*arguments: Any) -> Any:
            self._called.add(name)
            return function(*arguments)

        return noting

    def forward(self, entry: dict[str, Any], right: Any, own: Any, x: Array) -> Array:
        """Compare what two layers compute and keep, and return the reference's result."""

        def results(layer: Any, x: Array) -> Results:
            y, cache = layer.forward(x, training=True, step=self._step)
            kept = {
                name: a for name, a in _arrays(cache) if not (np.may_share_memory(a, x) or np.may_share_memory(a, y))
            }
            return kept | {name: a.copy() for name, a in layer.buffers.items()} | {"y": y}

        with _moved(right):
            near = results(right, _nudged(x))
        expected = results(right, x.copy())
        found = self._compared(entry, expected, near, lambda: results(own, x.copy()), "y")
        entry["forward"], entry["kept"] = found.pop("y"), found
        return expected["y"]

    def backward(self, entries: Mapping[str, dict[str, Any]], x: Array, y: Any) -> dict[str, Any]:
        """Compare the loss, whose entry is returned, and the backward of every layer."""
        with buffers_kept(self.right.layers):
            passes = list(walk_forward(self.right.chain, x, step=self._step))
        predicted = passes[-1].y if passes else x
        targets = self.right.loss.check_targets(y, len(x), self.right.output_shape)
        entry, dy = self._loss(predicted, targets)
        for passed, own in zip(reversed(passes), reversed(self.own.chain), strict=True):
            dy = self._backward(entries[str(layer_of(passed.layer).name)], passed, own, dy)
        return entry

    def _loss(self, y_pred: Array, targets: Array) -> tuple[dict[str, Any], Array]:
        """Compare the loss, and return its entry and the gradient by the predictions."""
        weights = np.full(len(y_pred), 1 / len(y_pred), y_pred.dtype)
        _, cache = self.right.chain_loss.forward(y_pred, targets, self.right.backend)

        def losses(model: Sequential, y_pred: Array) -> Results:
            per_sample, cache = model.chain_loss.forward(y_pred, targets, model.backend)
            return {name: a for name, a in _arrays(cache) if not np.may_share_memory(a, y_pred)} | {"y": per_sample}

        def gradient(model: Sequential, weights: Array, cache: Any) -> Results:
            return {"dx": model.chain_loss.backward(cache, weights, model.backend)}

        entry, own, right = _entry("loss"), self.own, self.right
        near, expected = losses(right, _nudged(y_pred)), losses(right, y_pred)
        found = self._compared(entry, expected, near, lambda: losses(own, y_pred.copy()), "y")
        entry["forward"], entry["kept"] = found.pop("y"), found
        near = gradient(right, weights, cache._replace(p=_nudged(cache.p)) if isinstance(cache, LossCache) else cache)
        expected = gradient(right, weights, cache)
        entry["backward"] = self._compared(entry, expected, near, lambda: gradient(own, weights, cache), "dx")["dx"]
        return entry, expected["dx"]

    def _backward(self, entry: dict[str, Any], passed: Passed, own: Any, dy: Array) -> Array:
        """Compare the gradients of two layers, or of their parts in the chain, and return the reference's dx."""
        right, x, _, cache = passed

        def results(link: Any, dy: Array, cache: Any) -> Results:
            dx = link.backward(dy, cache)
            return {name: p.grad.copy() for name, p in link.params.items() if p.trainable} | {"dx": dx}

        with _moved(right):
            _, moved_cache = right.forward(_nudged(x), training=True, step=self._step)
            near = results(right, _nudged(dy), moved_cache)
        expected = results(right, dy.copy(), cache)
        found = self._compared(entry, expected, near, lambda: results(own, dy.copy(), cache), "dx")
        entry["backward"], entry["gradients"] = found.pop("dx"), found
        return expected["dx"]

    def steps(self, optimizer: Optimizer) -> dict[str, Any]:
        """Compare two steps of a new optimizer of the same kind with the reference's gradients, and return the entry.

        The steps begin at 0, because in the last digits of a weight the error of a small step would not show.
        """
        gradients = {key: p.grad.copy() for key, p in self.right.parameters().items()}

        def results(model: Sequential, change: Callable[[Array], Array] = np.copy) -> Results:
            before, parameters = model.get_weights(), model.parameters()
            fresh = type(optimizer).from_config(optimizer.get_config())
            try:
                for key, parameter in parameters.items():
                    parameter.value[...], parameter.grad[...] = 0, change(gradients[key])
                for _ in range(2):
                    fresh.step(parameters, model.backend)
                return {key: parameter.value.copy() for key, parameter in parameters.items()}
            finally:
                model.set_weights(before)

        entry, right = _entry("optimizer"), self.right
        found = self._compared(entry, results(right), results(right, _nudged), lambda: results(self.own), "")
        entry["forward"], entry["kept"] = found.pop("", None), found
        return entry

    def _compared(
        self, entry: dict[str, Any], expected: Results, near: Results, own: Callable[[], Results], main: str
    ) -> dict[str, Any]:
        """Return the difference of each result, or what a page shows of an error in place of the main result."""
        self._called.clear()
        try:
            got = own()
        except Exception as error:  # a learner's code may fail in any way
            place = last_place(error, self._files)
            failed = {"equal": False, "error": in_words(error), "place": None if place is None else place._asdict()}
            return {main: failed}
        finally:
            entry["kernels"] = sorted({*entry["kernels"], *self._called})
        return {name: difference(array, got[name], near[name]) for name, array in expected.items() if name in got}


def difference(expected: Array, got: Array, near: Array) -> dict[str, Any]:
    """Return how far a result is from the expected one, as :func:`compare` says.

    Parameters
    ----------
    expected, got : arrays of one shape
    near : array like expected
        The result when all numbers that go into it are moved by a fraction of up to ``NUDGE``.
    """
    right, own = expected.astype(np.float64), got.astype(np.float64)
    same = (right == own) | (np.isnan(right) & np.isnan(own))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.abs(own - right))
        moved = largest(near.astype(np.float64) - right) / NUDGE
    apart[np.isnan(apart)] = np.inf  # NaN in place of a number, or a number in place of NaN
    size = largest(right)
    tolerance = TOLERANCE.get(expected.dtype.name, 0.0) * max(size, moved)  # integers have to be the same
    wrong, most = apart > tolerance, float(apart.max(initial=0.0))
    first = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape)) if wrong.any() else None
    return {
        "equal": first is None,
        "identical": bool(same.all()),
        "largest_difference": number(most),
        "relative": number(most / size if size else np.inf if most else 0.0),
        "wrong": int(wrong.sum()),
        "size": int(wrong.size),
        "first_wrong": None if first is None else list(first),
        "expected": None if first is None else number(expected[first]),
        "got": None if first is None else number(got[first]),
    }


@contextmanager
def _moved(link: Any) -> Iterator[None]:
    """Move the parameters of a layer a little inside a ``with`` block; its buffers are put back as well."""
    before = [(p.value, p.value.copy()) for p in link.params.values()]
    with buffers_kept([layer_of(link)]):
        try:
            for value, _ in before:
                value[...] = _nudged(value)
            yield
        finally:
            for value, was in before:
                value[...] = was


def _nudged(array: Array) -> Array:
    """Return an array whose numbers are moved by different fractions of themselves, always the same ones."""
    factors = 1 + NUDGE * np.random.default_rng(array.size).uniform(-1, 1, array.shape)
    return (array * factors).astype(array.dtype)


def _arrays(cache: Any, name: str = "") -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a cache, which may be tuples in one another, with their names."""
    if isinstance(cache, np.ndarray):
        yield name, cache
    elif isinstance(cache, tuple):
        names = getattr(cache, "_fields", range(len(cache)))
        for key, value in zip(names, cache, strict=True):
            yield from _arrays(value, f"{name}.{key}" if name else str(key))
