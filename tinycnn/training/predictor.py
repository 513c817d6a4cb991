"""A snapshot of a model for fast predictions: what follows from the weights alone is computed once."""

import contextlib
import copy
import math
import threading
from typing import Any

import numpy as np

from ..core.checks import boolean
from ..core.messages import shown
from ..core.types import Array, Shape
from ..core.workspace import Workspace
from ..kernels.threads import one_blas_thread
from ..network.network import Network
from ..network.plan import fused
from . import step as steps
from .batches import block_size, take
from .data import images_for
from .recorded import MOST, lanes
from .stand_ins import Now, part_or_stand_in

#: Nothing is different from one prediction to the next.
NOW = Now()


class Predictor:
    """The predictions of a model as it was when the predictor was made.

    The predictor has copies of the weights, in the order in which kernels read them and, for Winograd's convolution,
    transformed; and for each number of images it has a recorded program. So a call is much faster than
    :meth:`tinycnn.Sequential.predict` if images come one by one. Training the model further does not change it.

    Results differ from those of ``predict`` in nothing. Calls from several threads run one after another.

    Parameters
    ----------
    model : Sequential
        A model that is built. It is copied, and free to change.

    Raises
    ------
    TypeError
        If ``model`` is not a Sequential.
    RuntimeError
        If it is not built.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        The shape of one image, and of one result.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import Sequential, layers
    >>> model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()])
    >>> predictor = model.predictor()
    >>> image = np.ones((1, 8, 8, 1), np.float32)
    >>> np.array_equal(predictor(image), model.predict(image))
    True
    """

    def __init__(self, model: Network) -> None:
        if not isinstance(model, Network):
            raise TypeError(f"model must be a Sequential; got {shown(model)}")
        model.need_build()
        self._model = _copy_of(model)
        self.input_shape: Shape = model.input_shape
        self.output_shape: Shape = model.output_shape
        self._chain = fused(list(self._model.layers), self._model.backend, training=False)
        self._size = block_size(self._model)
        self._has_looked = False
        self._begin()

    def _begin(self) -> None:
        """Begin without any programs."""
        self._ws = _Lasting(self._model.backend.empty)
        self._programs: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy, which records programs of its own."""
        return {
            name: value for name, value in vars(self).items() if name not in ("_ws", "_programs", "_lock", "_chain")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._chain = fused(list(self._model.layers), self._model.backend, training=False)
        self._begin()

    def __call__(self, x: Any, *, check_finite: bool = True) -> Array:
        """Return the results for images, an (N, \\*output_shape) array.

        Parameters
        ----------
        x : (N, \\*input_shape) array
            The images; any number of them.
        check_finite : bool
            Look for NaN and infinity in the images first.

        Raises
        ------
        TypeError
            If x does not hold numbers.
        ValueError
            If x has another shape, or holds NaN or infinity (unless ``check_finite`` is False).
        """
        x = self._checked(x, boolean(check_finite, "check_finite"))
        if len(x) <= self._size:
            return self._block(x)
        blocks = [self._block(x[start : start + self._size]) for start in range(0, len(x), self._size)]
        return np.concatenate(blocks)

    def _checked(self, x: Any, check_finite: bool) -> Array:
        """Return checked images. All that :meth:`Sequential.predict` checks is checked at the first call."""
        fits = type(x) is np.ndarray and x.dtype == self._model.dtype and x.shape[1:] == self.input_shape and x.ndim > 0
        # A sum of squares is finite if all numbers are, unless they are large; then the slower check looks at each.
        if self._has_looked and fits and (not check_finite or math.isfinite(np.vdot(x, x))):
            return x
        x = images_for(self._model, x, check_finite)
        self._has_looked = True
        return x

    def _block(self, x: Array) -> Array:
        """Return the results for a block of images."""
        key = len(x), lanes(self._model)
        with self._lock:
            program, given, result = self._programs.get(key) or self._record(x, key)
            if program is None:
                result = self._infer(x)
            else:
                np.copyto(given, x, casting="unsafe")
                # Kernels call no BLAS, and the context costs as much as a small network.
                with one_blas_thread() if program.has_calls else contextlib.nullcontext():
                    program.run(NOW)
            found: Array = self._model.backend.to_numpy(result).copy()
            return found

    def _record(self, x: Array, key: Any) -> tuple[Any, Any, Any]:
        """Record a program for a number of images; return it, or None, and where it reads and writes."""
        if len(self._programs) >= MOST:
            self._programs.clear()
        program, given, result = None, None, None
        if lanes(self._model):
            program = self._model.backend.kernels.fused.Program(frozen=True)
            given = self._model.backend.empty(x.shape, self._model.dtype)
            np.copyto(given, x, casting="unsafe")
            with one_blas_thread(), program.recording(NOW):
                result = steps.infer([part_or_stand_in(part, program) for part in self._chain], given, self._ws)
            program = program if program.refusal is None else None
        self._programs[key] = program, given, result
        return self._programs[key]

    def _infer(self, x: Array) -> Array:
        """Return the results without a program."""
        images = take(x, slice(None), self._ws, self._model.dtype, self._model.backend)
        with one_blas_thread():
            return steps.infer(self._chain, images, self._ws)

    def __repr__(self) -> str:
        return f"<Predictor of {self._model.name!r}: {self.input_shape} -> {self.output_shape}>"


class _Lasting(Workspace):
    """A workspace whose scratch memory belongs to one launch each, because some of it holds what is computed once."""

    def scratch(self) -> Any:
        return self._empty


def _copy_of(model: Network) -> Network:
    """Return a copy of a model with its weights, without optimizer and loss."""
    twin = copy.copy(model)
    vars(twin).update(_idle=[], _predicting=([], []), _chains=None, _chained=[], _made_for=[], history=None)
    vars(twin)["layers"] = copy.deepcopy(list(model.layers))
    for name in ("optimizer", "loss", "chain_loss", "metrics"):
        vars(twin).pop(name, None)
    twin.compiled = False
    return twin
