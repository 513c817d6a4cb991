"""Whether a layer's backward is the derivative of its forward, so that a wrong layer turns red."""

import dataclasses
import time
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.types import Array
from ..layers import Layer
from ..sequential import Sequential
from ..testing.functions import layer_function
from ..testing.gradcheck import ATOL, RTOL, compare
from ..testing.report import GradientReport
from ..training.data import images_for
from ..training.step import walk_forward
from .mine import in_words
from .twins import number, run_as_in_prediction, twin

#: About how many seconds the check of a layer may take, and how many evaluations one element takes at most.
SECONDS, EVALUATIONS = 5.0, 6


def check_layer(
    model: Sequential,
    layer: int,
    x: Any,
    *,
    training: bool = False,
    elements: int = 100,
    seed: int = 0,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Return whether a layer's backward is the derivative of its forward, ready for JSON.

    The layer of a float64 copy, with the model's own kernels if they are a learner's, is given what reaches it in a
    pass, and a random gradient of its result. Drawn elements of dx and of each trained parameter are compared with
    numerical slopes as :func:`tinycnn.testing.check_gradients` does it.

    Parameters
    ----------
    model : Sequential
        A built model on any backend but ``cuda``, which stays as it is.
    layer : int
        The layer's number, counted from 0.
    x : (N, \\*input_shape) array
        The images of the pass; a few are enough.
    training : bool
        Whether the layer computes as in training, or as in prediction.
    elements : int
        How many elements of each array are drawn; all of them if it has fewer.
    seed : int
        The seed of what is drawn.
    seconds : float
        About how long this may take; fewer elements are drawn if it would take longer.

    Returns
    -------
    dict
        ``name``; ``ok``, False if a gradient is wrong; and ``arrays``, which has for ``dx`` and for each parameter
        ``ok`` (None if rounding hides all slopes), the numbers of elements ``checked``, at ``kinks`` and ``hidden`` by
        rounding, the ``largest_error`` of those that agree, relative, and a ``message`` that names what is wrong.

    Raises
    ------
    KeyError
        If there is no such layer.
    """
    if not 0 <= layer < len(model.layers):
        raise KeyError(f"there is no layer {layer}; they are numbered from 0 to {len(model.layers) - 1}")
    reference = twin(model, Backend("reference"), "float64")
    own = reference if model.backend.overlay is None else twin(model, model.backend, "float64")
    for one in () if training else {*reference.layers, *own.layers}:
        run_as_in_prediction(one)
    value = np.array(images_for(model, x), model.dtype).astype(np.float64)
    step = model.optimizer.iterations if model.compiled else 0
    for passed in walk_forward(reference.layers[:layer], value, step=step):
        value = passed.y
    found: dict[str, Any] = {"name": str(model.layers[layer].name)}
    try:
        found["arrays"] = _checked_arrays(own.layers[layer], np.array(value, order="C"), elements, seed, seconds)
    except Exception as error:  # a layer, or a kernel, of a user's own may fail in any way
        found["arrays"] = {"dx": _failed(in_words(error))}
    return found | {"ok": all(array["ok"] is not False for array in found["arrays"].values())}


def _checked_arrays(layer: Layer, x: Array, elements: int, seed: int, seconds: float) -> dict[str, Any]:
    """Return for each array of a float64 layer what its check found."""
    if not np.isfinite(x).all():
        return {
            "dx": _failed(
                "the layer is given NaN or infinity, for which there is no gradient; look at the layer before"
            )
        }
    function = layer_function(layer, x, seed=seed)
    found = {}
    with function.frozen():
        begun = time.perf_counter()
        function.forward()
        one = max(time.perf_counter() - begun, 1e-9)
        elements = max(1, min(elements, int(seconds / len(function.arrays) / (EVALUATIONS * one))))
        for name, array in function.arrays.items():
            report = GradientReport(layer.label)
            alone = dataclasses.replace(function, arrays={name: array})
            try:
                compare(alone, report, seed=seed, rtol=RTOL, atol=ATOL, max_elements=elements)
            except (AssertionError, RuntimeError) as error:
                report.failures.append(str(error))
            found[name] = _found(report)
    return found


def _found(report: GradientReport) -> dict[str, Any]:
    """Return what the report about one array says, ready for JSON."""
    message = "\n".join(report.failures)
    if not report.rows:
        return _failed(message)
    (row,) = report.rows
    ok = None if row.hidden and not row.checked else report.ok
    counts = {"checked": row.checked, "kinks": row.kinks, "hidden": row.hidden}
    return {"ok": ok, **counts, "largest_error": number(row.largest_error), "message": message}


def _failed(message: str) -> dict[str, Any]:
    """Return the result for an array that could not be checked at all."""
    return {"ok": False, "checked": 0, "kinks": 0, "hidden": 0, "largest_error": 0.0, "message": message}
