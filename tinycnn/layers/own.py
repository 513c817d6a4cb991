"""Layers of a user's own: what they have to define, and errors that name the layer at fault.

The smallest layer has two methods that take nothing but arrays::

    def forward(self, x): return x * x, x                # the result, and what backward needs
    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x

tinycnn itself calls ``forward(x, training=…, step=…, ws=…)`` and ``backward(dy, cache, ws=…)``. When a layer whose
class is not tinycnn's is built, :func:`prepare` finds out which of these keywords its methods take. From then on the
others are left out, and what a method returns is checked, so that a mistake is reported for this layer and not for the
next one. A method that is replaced later, as in a notebook, is looked at again before the model is next used.
"""

import difflib
import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from ..core.messages import shown
from ..core.own import OwnReturnError, calculates_otherwise, can_be_called, kind_of
from ..core.printing import for_print
from ..core.version import is_ours

#: What tinycnn passes to each method by keyword.
KEYWORDS = {"forward": ("training", "step", "ws"), "backward": ("ws",), "backward_parameters": ("ws",)}
#: What errors tell a user about the smallest layer.
SMALLEST = (
    "A layer needs no more than\n"
    "    def forward(self, x): return x * x, x  # the result, and what backward needs\n"
    "    def backward(self, dy, cache): return 2 * cache * dy  # the gradient with respect to x"
)


#: The classes of tinycnn itself that have been met.
_OURS: set[type] = set()


class LayerReturnError(OwnReturnError):
    """A method of a user's layer returned what no layer may return: a wrong type, shape or dtype."""


def no_base(layer: Any) -> str:
    """Return the error message for a layer whose ``__init__`` does not call that of its base class."""
    name = type(layer).__name__
    return f"the __init__ of {name} does not call super().__init__(**base); call it first. {SMALLEST}"


def prepare(layer: Any) -> None:
    """Adapt the methods of a user's layer, so that they get only the keywords that they take, and check their results.

    Raises
    ------
    TypeError
        If ``__init__`` does not call that of its base class; if a method cannot be called as tinycnn calls it; or if
        the class follows Keras where tinycnn differs: it has ``call`` in place of ``forward``, or a ``build`` that
        takes only the shape.
    """
    if not hasattr(layer, "built"):
        raise TypeError(no_base(layer))
    cls = type(layer)
    if cls in _OURS:  # this is asked before every prediction
        return
    if is_ours(cls):
        _OURS.add(cls)
        return
    if not layer.built:
        _check_keras_habits(layer, cls)
    for name in KEYWORDS:
        if name in vars(layer):  # a function that __init__ has put there
            if not isinstance(vars(layer)[name], _OnInstance):
                vars(layer)[name] = _OnInstance(layer, name, vars(layer)[name])
            continue
        home = _home(cls, name)
        attribute = vars(home)[name]
        # Where only forward was replaced, the inherited backward has to report a cache that this forward did not keep.
        if name == "backward" and is_ours(home) and home.__name__ != "Layer" and not is_ours(_home(cls, "forward")):
            cls.backward = _adapted(layer, name, attribute)
        # A decorator that uses functools.wraps copies the mark of what it wraps, but the mark names what it belongs to.
        if not is_ours(home) and getattr(attribute, "_adapted_is", None) is not attribute:
            setattr(home, name, _adapted(layer, name, attribute))


def _home(cls: type, name: str) -> type:
    """Return the class that defines a method which ``cls`` has."""
    return next(base for base in cls.__mro__ if name in vars(base))


def _check_keras_habits(layer: Any, cls: type) -> None:
    """Raise if a class defines methods as Keras wants them, which tinycnn would not call, or call differently."""
    if is_ours(inspect.getattr_static(layer, "forward")) and callable(getattr(cls, "call", None)):
        raise TypeError(f"{layer.label} defines call, as in Keras; in tinycnn the method is forward. {SMALLEST}")
    arguments = {"rng": None, "dtype": "float32", "backend": None}
    if not can_be_called(layer.build, (), **arguments):
        text = (
            f"{layer.label}: build is called as build(input_shape, rng=…, dtype=…, backend=…), and this one does not "
            "take these arguments. Make parameters in create(self, input_shape, rng) instead, with "
            f"self.add_parameter(name, shape, initializer, rng). {SMALLEST}"
        )
        raise TypeError(for_print(text))
    if not can_be_called(layer.create, (), None):
        raise TypeError(f"{layer.label}: create is called as create(input_shape, rng); let it take these two arguments")


def _adapted(layer: Any, name: str, attribute: Any) -> Callable[..., Any]:
    """Return a method that stands for ``attribute``, which may be a function, a staticmethod, a partialmethod, …"""

    def bound(self: Any) -> Callable[..., Any]:
        return attribute.__get__(self, type(self)) if hasattr(attribute, "__get__") else attribute

    left_out = _left_out(layer, name, bound(layer))

    def adapted(self: Any, *arguments: Any, **named: Any) -> Any:
        # If a subclass calls super().forward(…), only what the subclass returns is the layer's result.
        outermost = getattr(self, "built", False) and getattr(type(self), name) is adapted
        return _call(self, name, bound(self), left_out, arguments, named, outermost)

    if inspect.isfunction(attribute):
        functools.update_wrapper(adapted, attribute)
    adapted._adapted_is = adapted  # type: ignore[attr-defined]
    return adapted


class _OnInstance:
    """Stands for a function that a layer's ``__init__`` has put in place of a method."""

    def __init__(self, layer: Any, name: str, function: Callable[..., Any]) -> None:
        # The reference is weak because the layer holds this object; a circle would keep the layer's arrays alive.
        self._layer = weakref.ref(layer)
        self._name, self._function = name, function
        self._left_out = _left_out(layer, name, function)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_layer": self._layer()}  # copies of references refer to the original

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _layer=weakref.ref(state["_layer"]))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        layer = self._layer()
        assert layer is not None
        return _call(layer, self._name, self._function, self._left_out, arguments, named, layer.built)


def _left_out(layer: Any, name: str, method: Callable[..., Any]) -> frozenset[str]:
    """Return the keywords that a method does not take, or raise if it cannot be called without them."""
    keywords = KEYWORDS[name]
    taken, function = set(keywords), method
    while True:  # a decorated function takes what it and everything that it wraps take
        taken &= _taken(function, keywords)
        if not hasattr(function, "__wrapped__"):
            break
        function = function.__wrapped__
    arrays = ("x",) if name == "forward" else ("dy", "cache")
    misspelt = _misspelt(method, keywords)
    if misspelt is not None:
        raise TypeError(
            f"{layer.label}: {name} takes {misspelt[0]!r}, which tinycnn never passes; did you mean {misspelt[1]!r}?"
        )
    if not can_be_called(method, *arrays, **dict.fromkeys(taken)):
        raise TypeError(
            f"{layer.label}: {name} is called as {name}({', '.join(arrays)}), and with {', '.join(keywords)} by "
            f"keyword if it takes them; this one cannot be called in this way. {SMALLEST}"
        )
    return frozenset(keywords) - taken


def _taken(function: Callable[..., Any], keywords: tuple[str, ...]) -> set[str]:
    """Return those keywords that a function takes."""
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    except ValueError:  # some functions that are not written in Python have no signature
        return set(keywords)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return set(keywords)
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {one.name for one in parameters if one.name in keywords and one.kind in by_name}


def _misspelt(method: Callable[..., Any], keywords: tuple[str, ...]) -> tuple[str, str] | None:
    """Return an optional argument that looks like one of the keywords, and that keyword."""
    try:
        parameters = inspect.signature(method).parameters.values()
    except ValueError:
        return None
    for one in parameters:
        near = difflib.get_close_matches(one.name, keywords, n=1, cutoff=0.7)
        if one.default is not one.empty and one.name not in keywords and near:
            return one.name, near[0]
    return None


def _call(
    layer: Any,
    name: str,
    method: Callable[..., Any],
    left_out: frozenset[str],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    checked: bool,
) -> Any:
    """Call a user's method without the keywords that it does not take, and check what it returns."""
    training = named.get("training")
    if left_out:
        named = {key: value for key, value in named.items() if key not in left_out}
    try:
        returned = method(*arguments, **named)
    except (AttributeError, TypeError) as error:
        if name != "forward" and len(arguments) == 2 and arguments[1] is None:
            raise LayerReturnError(
                f"{layer.label}: {name} failed, and the cache that it was given is None ({error}). If forward calls "
                "super().forward, let it take the keyword training and pass it on: "
                "super().forward(x, training=training)"
            ) from error
        raise
    if not checked or not arguments:
        return returned
    if name == "forward":
        _check_forward(layer, arguments[0], returned)
        if training is False and "training" in left_out:
            returned = returned[0], None  # the method cannot know that nobody has a use for its cache
    elif name == "backward":
        _check_backward(layer, arguments[0], returned)
        if not layer.backend.on_device and not returned.flags.writeable:
            returned = returned.copy()  # the layer before may write into it
    return returned


def _check_forward(layer: Any, x: Any, returned: Any) -> None:
    """Raise unless forward returned a result of the right shape and dtype, and a cache."""
    if not (isinstance(returned, tuple) and len(returned) == 2 and layer.backend.owns(returned[0])):
        raise LayerReturnError(
            f"{layer.label}: forward must return two things, the result and what backward needs (None if nothing); "
            f"got {_kind(returned)}. {SMALLEST}"
        )
    _check_array(layer, "forward", returned[0], (len(x), *layer.built_output_shape), "output_shape says")


def _check_backward(layer: Any, dy: Any, returned: Any) -> None:
    """Raise unless backward returned a gradient of the right shape and dtype."""
    if not layer.backend.owns(returned):
        raise LayerReturnError(
            f"{layer.label}: backward must return dx, an array, the gradient with respect to forward's x; "
            f"got {_kind(returned)}. {SMALLEST}"
        )
    expected = len(dy), *layer.built_input_shape
    _check_array(layer, "backward", returned, expected, "dx must have the shape of forward's x,")


def _check_array(layer: Any, method: str, array: Any, expected: tuple[int, ...], source: str) -> None:
    """Raise unless an array that a method returned has the layer's dtype and the shape that ``source`` says."""
    if array.shape != expected:
        cure = "; define output_shape(self, input_shape) if the layer changes the shape" if method == "forward" else ""
        raise LayerReturnError(
            f"{layer.label}: {method} returned an array of shape {array.shape}, but {source} {expected}{cure}"
        )
    if calculates_otherwise(array):
        raise LayerReturnError(
            f"{layer.label}: {method} returned {kind_of(array)}; return a plain array, as np.asarray makes it"
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
