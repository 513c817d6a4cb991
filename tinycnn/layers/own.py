"""Layers of a user's own: what they have to define, and errors that name the layer at fault.

The smallest layer has two methods that take nothing but arrays::

    def forward(self, x): return x * x, x                # the result, and what backward needs
    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x

tinycnn itself calls ``forward(x, training=…, step=…, ws=…)`` and ``backward(dy, cache, ws=…)``. When a layer whose
class is not tinycnn's is built, :func:`prepare` finds out which of these keywords its methods take. From then on the
others are left out, and what a method returns is checked, so that a mistake is reported for this layer and not for the
next one.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..core.messages import shown
from ..core.version import is_ours

#: What tinycnn passes to each method by keyword.
KEYWORDS = {"forward": ("training", "step", "ws"), "backward": ("ws",), "backward_parameters": ("ws",)}
#: What errors tell a user about the smallest layer.
SMALLEST = (
    "A layer needs no more than\n"
    "    def forward(self, x): return x * x, x  # the result, and what backward needs\n"
    "    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x"
)


class LayerReturnError(TypeError, ValueError):
    """A method of a user's layer returned what no layer may return: a wrong type, shape or dtype."""


def no_base(layer: Any) -> str:
    """Return the error message for a layer whose ``__init__`` does not call that of its base class."""
    name = type(layer).__name__
    return f"the __init__ of {name} does not call super().__init__(**base); call it first. {SMALLEST}"


def prepare(layer: Any) -> None:
    """Adapt the class of a user's layer before it is built, so that its methods get only the keywords that they take.

    Raises
    ------
    TypeError
        If ``__init__`` does not call that of its base class, or if the class follows Keras where tinycnn differs: it
        has ``call`` in place of ``forward``, or a ``build`` that takes only the shape.
    """
    if not hasattr(layer, "built"):
        raise TypeError(no_base(layer))
    cls = type(layer)
    if is_ours(cls):
        return
    _check_keras_habits(layer, cls)
    for name, keywords in KEYWORDS.items():
        method = inspect.getattr_static(cls, name)
        if inspect.isfunction(method) and not is_ours(method) and not hasattr(method, "_adapts"):
            setattr(cls, name, _adapted(name, method, keywords))


def _check_keras_habits(layer: Any, cls: type) -> None:
    """Raise if a class defines methods as Keras wants them, which tinycnn would not call, or call differently."""
    if is_ours(inspect.getattr_static(cls, "forward")) and callable(getattr(cls, "call", None)):
        raise TypeError(f"{layer.label} defines call, as in Keras; in tinycnn the method is forward. {SMALLEST}")
    try:
        inspect.signature(cls.build).bind(layer, (), rng=None, dtype="float32", backend=None)  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(
            f"{layer.label}: build is called as build(input_shape, rng=…, dtype=…, backend=…), and this one does not "
            "take these arguments. Make parameters in create(self, input_shape, rng) instead, with "
            f"self.add_parameter(name, shape, initializer, rng). {SMALLEST}"
        ) from None


def _adapted(name: str, method: Callable[..., Any], keywords: tuple[str, ...]) -> Callable[..., Any]:
    """Return a method that calls ``method`` with only the keywords that it takes, and checks what it returns."""
    left_out = frozenset(keywords) - _taken(method, keywords)
    drops_cache = name == "forward" and "training" in left_out
    check = {"forward": _check_forward, "backward": _check_backward}.get(name)

    @functools.wraps(method)
    def adapted(self: Any, *arguments: Any, **named: Any) -> Any:
        training = named.get("training")
        if left_out:
            named = {key: value for key, value in named.items() if key not in left_out}
        returned = method(self, *arguments, **named)
        if drops_cache and training is False and isinstance(returned, tuple) and len(returned) == 2:
            returned = returned[0], None  # the method cannot know that its cache is not needed
        # If a subclass calls super().forward(…), only what the subclass itself returns is the layer's result.
        if check is not None and self.built and arguments and getattr(type(self), name) is adapted:
            check(self, arguments[0], returned)
        return returned

    adapted._adapts = True  # type: ignore[attr-defined]
    return adapted


def _taken(method: Callable[..., Any], keywords: tuple[str, ...]) -> frozenset[str]:
    """Return those of the keywords that a method takes."""
    parameters = inspect.signature(method).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(keywords)
    return frozenset(
        parameter.name
        for parameter in parameters
        if parameter.name in keywords and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )


def _check_forward(layer: Any, x: Any, returned: Any) -> None:
    """Raise unless forward returned a result of the right shape and dtype, and a cache."""
    if not (isinstance(returned, tuple) and len(returned) == 2 and layer.backend.owns(returned[0])):
        raise LayerReturnError(
            f"{layer.label}: forward must return two things, the result and what backward needs (None if nothing); "
            f"got {_kind(returned)}. {SMALLEST}"
        )
    _check_array(layer, "forward", returned[0], (len(x), *layer.built_output_shape), "output_shape")


def _check_backward(layer: Any, dy: Any, returned: Any) -> None:
    """Raise unless backward returned a gradient of the right shape and dtype."""
    if not layer.backend.owns(returned):
        raise LayerReturnError(
            f"{layer.label}: backward must return dx, an array, the gradient with respect to forward's x; "
            f"got {_kind(returned)}. {SMALLEST}"
        )
    _check_array(layer, "backward", returned, (len(dy), *layer.built_input_shape), "its input")


def _check_array(layer: Any, method: str, array: Any, expected: tuple[int, ...], source: str) -> None:
    """Raise unless an array that a method returned has the layer's dtype and the shape that ``source`` says."""
    if array.shape != expected:
        cure = "; define output_shape(self, input_shape) if the layer changes the shape" if method == "forward" else ""
        raise LayerReturnError(
            f"{layer.label}: {method} returned an array of shape {array.shape}, but {source} says {expected}{cure}"
        )
    if array.dtype != layer.dtype:
        raise LayerReturnError(
            f"{layer.label}: {method} returned {array.dtype}, but the layer works in {layer.dtype}; compute in the "
            f"dtype of the argument, or return the result as .astype({layer.dtype!r})"
        )


def _kind(value: Any) -> str:
    """Return in words what a method returned."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape:
        return f"one array of shape {value.shape}"
    return shown(value)
