"""Layers of a user's own: how little they have to define, and errors that name the layer at fault.

The smallest layer has two methods that take nothing but arrays::

    def forward(self, x): return x * x, x                # the result, and what backward needs
    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x

tinycnn itself calls ``forward(x, training=…, step=…, ws=…)`` and ``backward(dy, cache, ws=…)``. When a layer whose
class is not tinycnn's is built, :func:`prepare` looks once at what its methods take. From then on keywords that a
method does not take are left out, and what it returns is checked, so that a mistake is reported for this layer and not
for the next one.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..core.messages import shown
from ..core.version import is_ours

#: What tinycnn passes to each method by keyword.
KEYWORDS = {"forward": ("training", "step", "ws"), "backward": ("ws",), "backward_parameters": ("ws",)}
#: The smallest form of a layer, for errors.
FORM = (
    "A layer needs no more than\n"
    "    def forward(self, x): return x * x, x  # the result, and what backward needs\n"
    "    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x"
)


class LayerReturnError(TypeError, ValueError):
    """A method of a user's layer returned something else than what a layer returns: another type, shape or dtype."""


def no_base(layer: Any) -> str:
    """Return what is wrong with a layer whose base class was never initialised."""
    return f"the __init__ of {type(layer).__name__} does not call super().__init__(**base); call it first. {FORM}"


def prepare(layer: Any) -> None:
    """Look at a layer's class before it is built: leave out keywords that its methods do not take.

    Raises
    ------
    TypeError
        If ``__init__`` did not call its base's, or if the class follows Keras where tinycnn differs: ``call`` in place
        of ``forward``, or a ``build`` that takes nothing but the shape.
    """
    if not hasattr(layer, "built"):
        raise TypeError(no_base(layer))
    cls = type(layer)
    if is_ours(cls):
        return
    _check_habits(layer, cls)
    for name, keywords in KEYWORDS.items():
        method = inspect.getattr_static(cls, name)
        if inspect.isfunction(method) and not is_ours(method) and not hasattr(method, "_adapts"):
            setattr(cls, name, _adapted(name, method, keywords))


def _check_habits(layer: Any, cls: type) -> None:
    """Raise for what a layer of Keras's would define and tinycnn would never call, or call otherwise."""
    if is_ours(inspect.getattr_static(cls, "forward")) and callable(getattr(cls, "call", None)):
        raise TypeError(f"{layer.label} defines call, as in Keras; in tinycnn the method is forward. {FORM}")
    try:
        inspect.signature(cls.build).bind(layer, (), rng=None, dtype="float32", backend=None)  # type: ignore[attr-defined]
    except TypeError:
        raise TypeError(
            f"{layer.label}: build is called as build(input_shape, rng=…, dtype=…, backend=…), and this one does not "
            "take these arguments. Make parameters in create(self, input_shape, rng) instead, with "
            f"self.add_parameter(name, shape, initializer, rng). {FORM}"
        ) from None


def _adapted(name: str, method: Callable[..., Any], keywords: tuple[str, ...]) -> Callable[..., Any]:
    """Return a method that passes on the keywords that ``method`` takes and checks what it returns."""
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
            returned = returned[0], None  # the method cannot know that nobody has a use for its cache
        # Where a subclass calls super().forward(…), only what the subclass returns is the layer's result.
        if check is not None and self.built and arguments and getattr(type(self), name) is adapted:
            check(self, arguments[0], returned)
        return returned

    adapted._adapts = True  # type: ignore[attr-defined]
    return adapted


def _taken(method: Callable[..., Any], keywords: tuple[str, ...]) -> frozenset[str]:
    """Return those keywords that a method takes."""
    parameters = inspect.signature(method).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(keywords)
    return frozenset(
        parameter.name
        for parameter in parameters
        if parameter.name in keywords and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    )


def _check_forward(layer: Any, x: Any, returned: Any) -> None:
    if not (isinstance(returned, tuple) and len(returned) == 2 and layer.backend.owns(returned[0])):
        raise LayerReturnError(
            f"{layer.label}: forward must return two things, the result and what backward needs (None if nothing); "
            f"got {_kind(returned)}. {FORM}"
        )
    _check_array(layer, "forward", returned[0], (len(x), *layer.built_output_shape), "output_shape")


def _check_backward(layer: Any, dy: Any, returned: Any) -> None:
    if not layer.backend.owns(returned):
        raise LayerReturnError(
            f"{layer.label}: backward must return dx, an array, the gradient with respect to forward's x; "
            f"got {_kind(returned)}. {FORM}"
        )
    _check_array(layer, "backward", returned, (len(dy), *layer.built_input_shape), "its input")


def _check_array(layer: Any, method: str, array: Any, expected: tuple[int, ...], source: str) -> None:
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
    """Return what a method returned, in words."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and value.shape:
        return f"one array of shape {value.shape}"
    return shown(value)
