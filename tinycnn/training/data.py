"""Checks of the data that a user gives to fit, evaluate, predict and trace."""

import itertools
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import losses
from ..core.checks import array as checked_array
from ..core.checks import boolean, finite_as, real, scalar
from ..core.messages import level_of_caller, shown
from ..core.types import Array, Shape
from ..layers import Rescaling
from ..losses.targets import letting_through
from ..network.network import Network
from .shapes import cure

#: The ``check_finite`` of functions that have no such argument: x is checked, and no error recommends the argument.
_ALWAYS: Any = object()


class Samples(NamedTuple):
    """Checked images ``x``, targets ``y``, and how much each sample's loss counts (None: all the same)."""

    x: Array
    y: Array
    weight: Array | None


def check_images(
    x: Any,
    input_shape: Shape,
    *,
    check_finite: bool = _ALWAYS,
    scaled: bool = False,
    name: str = "x",
    dtype: str = "float32",
) -> Array:
    """Return x as an array of numbers (N, \\*input_shape), in its own dtype; batches are converted one by one.

    Parameters
    ----------
    x : array
        The images.
    input_shape : tuple of int
        The shape of one sample.
    check_finite : bool
        Whether to look for NaN and infinity.
    scaled : bool
        Whether the model scales images itself, so that pixels up to 255 are right.
    name : str
        What errors call x.
    dtype : str
        What the batches are converted to.

    Raises
    ------
    TypeError
        If x does not hold numbers.
    ValueError
        If x has another shape, or holds NaN, infinity or a number too large for ``dtype`` (unless ``check_finite`` is
        False).

    Warns
    -----
    UserWarning
        If the images seem not to be scaled (and ``scaled`` is False): they are integers above 1, or the first ones hold
        only whole numbers from 0 to 255, of which some are above 2.
    """
    if check_finite is not _ALWAYS:
        boolean(check_finite, "check_finite")
    array = checked_array(x, name)
    if array.shape[1:] != input_shape or array.ndim == 0:
        wanted = ", ".join(map(str, input_shape))
        raise ValueError(f"{name}: expected shape (N, {wanted}), got {array.shape}{cure(array.shape, input_shape)}")
    if array.dtype.kind == "f" and check_finite and not _all_finite(array, dtype):
        where = tuple(int(i) for i in np.argwhere(~finite_as(array, dtype))[0])
        why = f", which is too large for {dtype}" if np.isfinite(array[where]) else ""
        hint = "" if check_finite is _ALWAYS else "; pass check_finite=False to let it through"
        raise ValueError(f"{name} holds {array[where]} at index {where}{why}{hint}")
    found = None if scaled or not array.size else _unscaled(array)
    if found is not None:
        warnings.warn(
            f"{name} holds {found}; networks train badly on unscaled images: divide by 255 (x.astype('float32') / 255)",
            UserWarning,
            stacklevel=level_of_caller(),
        )
    return array


def _unscaled(array: Array) -> str | None:
    """Return in words what images that were not scaled hold, or None if they were scaled."""
    if array.dtype.kind in "iu":
        return f"integers up to {array.max()}" if array.max() > 1 else None
    first = array[:256]
    if array.dtype.kind == "f" and first.min() >= 0 and 2 < first.max() <= 255 and (first == np.trunc(first)).all():
        return f"numbers up to {first.max():g}"
    return None


def _all_finite(array: Array, dtype: str) -> bool:
    """Return whether all numbers are finite, working in blocks so that no array as long as the data is made."""
    return all(finite_as(array[i : i + 1024], dtype).all() for i in range(0, len(array), 1024))


def images_for(model: Network, x: Any, check_finite: bool = _ALWAYS, name: str = "x") -> Array:
    """Return x as :func:`check_images` does for a model; one with ``Rescaling`` before its weights scales images."""
    before = itertools.takewhile(lambda layer: not layer.params, model.layers)
    scaled = any(isinstance(layer, Rescaling) for layer in before)
    return check_images(x, model.input_shape, check_finite=check_finite, scaled=scaled, name=name, dtype=model.dtype)


def checked_data(model: Network, x: Any, y: Any, check_finite: bool = _ALWAYS, what: str = "") -> tuple[Array, Array]:
    """Return images and targets as the model takes them, or raise an error that says what is wrong with them.

    Parameters
    ----------
    model : Network
        Compiled; its loss says what targets are.
    x, y : array
        Images and targets.
    check_finite : bool
        Whether to look for NaN and infinity in the images and in the targets.
    what : str
        How errors begin, for instance ``"validation_data: "``.
    """
    x = images_for(model, x, check_finite, f"{what}x")
    try:
        with letting_through(not check_finite):
            loss = losses.get(model.loss)  # a generator of batches may have set another one by its name
            return x, loss.check_targets(y, len(x), model.output_shape)
    except (TypeError, ValueError) as error:
        if not what:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError  # a subclass may take other arguments
        raise kind(f"{what}{error}") from error


def warn_of_unseen_classes(loss: losses.Loss, train: Array, validation: Array, split: bool) -> None:
    """Warn if validation holds a class that training lacks, because such images are hardly ever classified correctly.

    Parameters
    ----------
    loss : Loss
        It says which classes targets stand for, if any.
    train, validation : array
        Checked targets.
    split : bool
        Whether ``validation_split`` chose the validation images, which are then the last ones.

    Warns
    -----
    UserWarning
        The message names the classes and the cure.
    """
    given, wanted = loss.classes_of(train), loss.classes_of(validation)
    if given is None or wanted is None:
        return
    seen, asked = np.bincount(given), np.bincount(wanted)
    unseen = [label for label in np.flatnonzero(asked) if label >= len(seen) or not seen[label]]
    if not unseen:
        return
    one = len(unseen) == 1
    which = f"class{'' if one else 'es'} {', '.join(map(str, unseen[:10]))}{', ...' if len(unseen) > 10 else ''}"
    cure = (
        "validation_split takes the last images, so shuffle first: "
        "order = np.random.default_rng(0).permutation(len(x)); x, y = x[order], y[order]"
        if split
        else f"put images of {'this class' if one else 'these classes'} into x and y too"
    )
    warnings.warn(
        f"validation holds {int(asked[unseen].sum())} images of {which}, but training holds none; {cure}",
        UserWarning,
        stacklevel=level_of_caller(),
    )


def sample_weights(model: Network, given: Any, class_weight: Any, y: Array, name: str = "fit") -> Array | None:
    """Return the weight of each sample from ``sample_weight`` and ``class_weight``, or None if all weights are 1.

    Parameters
    ----------
    model : Network
        Compiled; its loss says which classes the targets stand for.
    given : array or None
        The ``sample_weight`` (N,) or (N, 1).
    class_weight : dict or None
        The weight of each class; one that is left out has the weight 1, as in Keras.
    y : array
        Checked targets.
    name : str
        How errors about ``given`` begin.

    Raises
    ------
    TypeError, ValueError
        If the weights have the wrong length, are negative or not finite, or the targets are no classes.
    """
    weight = None
    if given is not None:
        weight = checked_array(given, f"{name}: sample_weight").astype(np.float64)
        if weight.shape == (len(y), 1):
            weight = weight[:, 0]
        if weight.shape != (len(y),):
            raise ValueError(f"{name}: sample_weight must have shape ({len(y)},) or ({len(y)}, 1); got {weight.shape}")
        bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
        if len(bad):
            raise ValueError(
                f"{name}: sample_weight must be finite and not negative; got {weight[bad[0]]:g} at index {bad[0]}"
            )
    if class_weight is not None:
        labels = model.loss.classes_of(y)
        if labels is None:
            raise ValueError(
                f"class_weight needs targets of one class for each sample; those of {model.loss.name} are not, or name "
                "several classes or none. Leave class_weight out, and give each sample its weight as sample_weight"
            )
        by_class = _class_weights(class_weight, model)[labels]
        weight = by_class if weight is None else weight * by_class
    return weight


def check_class_weight(model: Network, class_weight: Any) -> None:
    """Raise unless these are weights of the classes that the targets of a model's loss stand for."""
    if type(model.loss).classes_of is losses.Loss.classes_of:
        raise ValueError(
            f"class_weight needs a crossentropy as the loss, because its targets are classes; the loss is "
            f"{model.loss.name}. Leave class_weight out, and give each sample its weight as sample_weight"
        )
    _class_weights(class_weight, model)


def _class_weights(class_weight: Any, model: Network) -> Array:
    """Return the weight of each class, which is 1 for a class that ``class_weight`` leaves out.

    Raises
    ------
    TypeError, ValueError
        If it is not a dict from classes to numbers that are not negative.
    """
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight must be a dict from class to weight; got {type(class_weight).__name__}")
    classes = max(2, model.output_shape[-1])  # one output stands for two classes
    table = np.ones(classes)
    for given, weight in class_weight.items():
        label = scalar(given)
        if not isinstance(label, int | np.integer | np.bool_) or not 0 <= label < classes:
            raise ValueError(f"class_weight: its keys must be classes from 0 to {classes - 1}; got {shown(label)}")
        table[int(label)] = real(weight, f"class_weight of class {label}", 0)
    return table


def warn_of_classes_without_weight(class_weight: dict[Any, Any], classes: Iterable[int]) -> None:
    """Warn of those of some classes that ``class_weight`` leaves out, which may be an oversight.

    Warns
    -----
    UserWarning
        The message names the classes.
    """
    missing = sorted(set(classes) - {int(label) for label in class_weight})
    if not missing:
        return
    which = f"class{'' if len(missing) == 1 else 'es'} {', '.join(map(str, missing[:10]))}"
    warnings.warn(
        f"class_weight has no weight for {which}{', ...' if len(missing) > 10 else ''}, which counts as 1, as in "
        "Keras; give every class a weight if that is not meant",
        UserWarning,
        stacklevel=level_of_caller(),
    )
