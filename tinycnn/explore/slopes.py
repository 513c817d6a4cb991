"""Numerical slopes beside analytic gradients, for one element of any array of a pass.

The analytic gradient is that of the pass which is shown, in the model's dtype. The numerical slope is measured on a
copy of the network in float64 on the reference backend, because in float32 rounding hides it. What decides whether the
two agree is the analytic gradient of a float64 copy with the model's own kernels; its difference to the one that is
shown is rounding.
"""

import functools
import operator
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.backend import Backend
from ..core.types import Array, Shape
from ..inspection.trace import Trace
from ..layers.looking import buffers_kept
from ..network.final_activation import layer_of
from ..sequential import Sequential
from ..testing.slopes import Verdict
from ..training.data import images_for
from ..training.step import walk_forward
from .probe import Probe, rms_of
from .score import compile_for_score, targets_of_score
from .twins import number, twin

#: The most seconds that one answer may take.
SECONDS = 2.0
#: How many steps a verdict needs: with a single one, a kink could not be told from an error.
FEWEST = 2


class _Place(NamedTuple):
    """An array whose elements are moved: ``array`` itself, its analytic gradients, and what depends on it.

    ``link`` is the number of the first part of the chain that has to run again, and ``start`` is what it is given.
    """

    array: Array
    shown: Array
    exact: Array
    link: int
    start: Array
    penalty: Callable[[], float]


class NumericalSlopes:
    """The slopes of a loss, or of a class's score, by every element of every array of one pass.

    Parameters
    ----------
    model : Sequential
        A built model on any backend but ``cuda``, which stays as it is.
    x : (N, \\*input_shape) array
        The images of the pass.
    y : array, optional
        Their labels: the slopes are those of the mean loss, with the penalties on weights, as in ``model.trace(x, y)``.
    score : int, optional
        The number of an output: the slopes are those of this output for one image, before a final softmax. Either ``y``
        or ``score`` has to be given.
    image : int
        The number of that image in the batch. Arrays of this image are those that are moved.
    training : bool
        Whether the pass is one as in training, with the masks of the next step and the statistics of the batch.

    Raises
    ------
    ValueError
        If both or neither of ``y`` and ``score`` are given, or if ``score`` or ``image`` is out of range. In
        prediction, also if a layer of a user's own computes something else there than in training.
    RuntimeError
        If ``y`` is given and the model is not compiled, so that there is no loss.
    """

    def __init__(
        self,
        model: Sequential,
        x: Any,
        y: Any = None,
        *,
        score: int | None = None,
        image: int = 0,
        training: bool = False,
    ) -> None:
        if (y is None) == (score is None):
            raise ValueError("give either y, the labels for the loss, or score, the number of an output; not both")
        if score is None:
            model.need_compile()
        images = np.array(images_for(model, x), model.dtype)
        if not 0 <= image < len(images):
            raise ValueError(
                f"image must be a number from 0 to {len(images) - 1}, for {len(images)} images; got {image}"
            )
        self._training, self._image = training, image
        self._step = model.optimizer.iterations if model.compiled else 0
        self._network = twin(model, Backend("reference"), "float64")
        exact = self._network if model.backend.overlay is None else twin(model, model.backend, "float64")
        shown = model
        if score is not None:
            shown = twin(model, model.backend)
            y = targets_of_score(model, score, image, len(images))
            for network in (shown, exact, self._network):
                compile_for_score(network, self._step)
        self._shown: Trace = shown.trace(images, y, training=training)
        self._exact: Trace = exact.trace(images.astype(np.float64), y, training=training)
        self._targets = self._network.loss.check_targets(y, len(images), self._network.output_shape)
        self._values = [images.astype(np.float64)]
        self._seconds: list[float] = []
        self._after: list[int] = []
        self._run_once()

    def _run_once(self) -> None:
        """Keep what each part of the chain is given, and how long it takes."""
        chain = self._network.chain
        with buffers_kept(self._network.layers):
            begun = time.perf_counter()
            for passed in walk_forward(chain, self._values[0], training=self._training, step=self._step):
                self._values.append(np.array(passed.y, order="C"))
                self._seconds.append(time.perf_counter() - begun)
                begun = time.perf_counter()
        run = [layer_of(link) for link in chain]
        done = 0
        for layer in self._network.layers:  # a softmax that the loss has taken over is no part of the chain
            done = run.index(layer) + 1 if layer in run else done
            self._after.append(done)

    def at(self, name: str, index: Sequence[int], seconds: float = SECONDS) -> dict[str, Any]:
        """Return the slope by one element, ready for JSON.

        Parameters
        ----------
        name : str
            An array, as :mod:`tinycnn.explore.protocol` calls it: ``"x"``, ``"3.y"``, or ``"3.kernel"`` for a trained
            parameter.
        index : sequence of int
            The element; without the batch axis.
        seconds : float
            The most time that this may take. If there is not enough for all steps, fewer are tried.

        Returns
        -------
        dict
            - ``array``, ``index``;
            - ``analytic``: the gradient that the pass shows; ``analytic_64``: the same in float64;
            - ``numeric``: the central difference, with ``left`` and ``right``, the slopes on the two sides, ``step``,
              by how much the element was moved, and ``noise``, the most that rounding can have changed it by;
            - ``relative_error``: ``|analytic - numeric|`` divided by the larger of the two; 0 if both are 0;
            - ``verdict``: ``"agrees"``; ``"wrong"``; ``"kink"``, if there is no derivative at this point; ``"hidden"``,
              if the slope is so small that rounding hides it; or ``"slow"``, if there is no time for two steps;
              then ``numeric`` is None, and ``seconds`` says how long they would take.

            Numbers that JSON does not have are texts: ``"NaN"``, ``"Infinity"``.

        Raises
        ------
        KeyError
            If there is no such array, or it has no gradient because it is frozen.
        ValueError
            If there is no such element.
        """
        place = self._place(name)
        element = _element(name, index, place.array.shape)
        shown, exact = float(place.shown[element]), float(place.exact[element])
        found: dict[str, Any] = {"array": name, "index": list(element), "analytic": number(shown)}
        found["analytic_64"] = number(exact)
        one = max(sum(self._seconds[place.link :]), 1e-9)
        affordable = int(seconds / (2 * one))
        if affordable < FEWEST:
            return found | {"numeric": None, "verdict": "slow", "seconds": number(2 * FEWEST * one)}
        probe = Probe(functools.partial(self._outputs, place), place.array, element)
        verdict = probe.verdict(exact, rms_of(place.exact), affordable)
        h = probe.step_of(verdict)
        slopes = probe.at(h)
        error = abs(shown - verdict.numeric) / (max(abs(shown), abs(verdict.numeric)) or 1.0)
        return found | {
            "numeric": number(verdict.numeric),
            "left": number(slopes.left),
            "right": number(slopes.right),
            "step": number(probe.distance(h)),
            "noise": number(verdict.noise),
            "relative_error": number(error),
            "verdict": _in_a_word(verdict),
        }

    def _place(self, name: str) -> _Place:
        """Return where an array is, and what depends on it."""
        before, _, key = name.partition(".")
        if name == "x":
            return self._of_image(self._shown[0].dx, self._exact[0].dx, 0)
        layers = self._network.layers
        if not (before.isascii() and before.isdecimal() and len(before) < 6 and int(before) < len(layers)):
            raise KeyError(
                f"there is no array {name[:40]!r}; there are 'x', '0.y', '0.kernel', and so on to {len(layers) - 1}.y"
            )
        layer = int(before)
        if key == "y":
            return self._of_image(self._shown[layer].dy, self._exact[layer].dy, self._after[layer])
        shown, exact = self._shown[layer].gradients, self._exact[layer].gradients
        if key not in shown:
            has = (
                "it is frozen" if key in self._network.layers[layer].params else f"it has {', '.join(shown) or 'none'}"
            )
            raise KeyError(f"layer {layer} has no trained parameter {key[:40]!r}: {has}")
        parameter, link = layers[layer].params[key], self._after[layer] - 1
        return _Place(parameter.value, shown[key], exact[key], link, self._values[link], parameter.penalty)

    def _of_image(self, shown: Array | None, exact: Array | None, link: int) -> _Place:
        """Return the array that the chain has before one of its parts, for the one image."""
        assert shown is not None
        assert exact is not None
        start, image = self._values[link], self._image
        return _Place(start[image], shown[image], exact[image], link, start, lambda: 0.0)

    def _outputs(self, place: _Place) -> tuple[Array, Array]:
        """Return the parts whose sum is the loss or the score, and how far rounding can move each of them."""
        value = place.start
        links = self._network.chain[place.link :]
        with np.errstate(all="ignore"), buffers_kept([layer_of(link) for link in links]):
            for passed in walk_forward(links, value, training=self._training, step=self._step):
                value = passed.y
            losses, _ = self._network.chain_loss.forward(value, self._targets, self._network.backend)
            size = np.abs(value).reshape(len(value), -1).max(axis=1, initial=0.0)
        rounding = np.finfo(np.float64).eps * (np.abs(losses) + size) / len(losses)
        penalty = place.penalty()
        return np.append(losses / len(losses), penalty), np.append(rounding, np.finfo(np.float64).eps * abs(penalty))


def _element(name: str, index: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Return a checked index."""
    element = tuple(operator.index(i) for i in index)
    if len(element) != len(shape) or not all(0 <= i < length for i, length in zip(element, shape, strict=True)):
        raise ValueError(f"index: {name} has the shape {shape}; there is no element {list(element)}")
    return element


def _in_a_word(verdict: Verdict) -> str:
    """Return what the page says about a slope."""
    if verdict.kink:
        return "kink"
    if verdict.hidden:
        return "hidden"
    return "agrees" if verdict.agrees else "wrong"
