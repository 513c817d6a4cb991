"""What to do about images of a wrong shape: the message of an error says it in code that can be pasted."""

import math

from ..core.printing import for_print
from ..core.types import Shape


def cure(shape: Shape, wanted: Shape) -> str:
    """Return how to turn images of a wrong shape into a batch of the right one; empty if no usual mistake was made.

    Parameters
    ----------
    shape : tuple of int
        The shape of what was given.
    wanted : tuple of int
        The shape of one sample.

    Examples
    --------
    >>> cure((28, 28), (28, 28, 1))
    '; this is one image: add the batch axis and the channel axis, x[None, ..., None]'
    """
    found = _axes(shape, wanted) or _order(shape, wanted) or _numbers(shape, wanted) or _pixels(shape, wanted)
    return f"; {found}" if found else ""


def _axes(shape: Shape, wanted: Shape) -> str:
    """Return what to do if only axes are missing or surplus."""
    if (*shape[1:], 1) == wanted:
        return "add the channel axis: x[..., None]"
    if shape == wanted:
        return "this is one sample: add the batch axis: x[None]"
    if (*shape, 1) == wanted:
        return "this is one image: add the batch axis and the channel axis, x[None, ..., None]"
    if shape[:1] == (1,) and shape[2:] == wanted:
        return "leave out the first axis: x[0]"
    return ""


def _order(shape: Shape, wanted: Shape) -> str:
    """Return what to do if the axes are in another order."""
    if len(wanted) != 3:
        return ""
    H, W, C = wanted
    orders = {(C, H, W): ("channels come last", (1, 2, 0)), (W, H, C): ("rows come before columns", (1, 0, 2))}
    if shape in orders:
        why, axes = orders[shape]
        return f"this is one image, and {why}: x.transpose{axes}[None]"
    if len(shape) == 4 and shape[1:] in orders:
        why, axes = orders[shape[1:]]
        return f"{why}: x.transpose{(0, *(axis + 1 for axis in axes))}"
    if len(shape) == 4 and shape[:3] == wanted:
        return "the batch axis comes first: x.transpose(3, 0, 1, 2)"
    if len(shape) == 3 and (*shape[:2], 1) == wanted and shape[2] not in (3, 4):  # three may be colours
        return "the batch axis comes first: x.transpose(2, 0, 1)[..., None]"
    return ""


def _numbers(shape: Shape, wanted: Shape) -> str:
    """Return what to do if each sample holds the right number of numbers, in another shape."""
    count, target = math.prod(wanted), ", ".join(map(str, wanted))
    if len(shape) > 1 and math.prod(shape[1:]) == count:
        if len(wanted) == 1:
            return "make each sample one row: x.reshape(len(x), -1), or begin the model with a Flatten"
        if len(shape) == 2 and len(wanted) == 3 and wanted[2] > 1:
            H, W, C = wanted
            return (
                f"make each row an image: x.reshape(-1, {target}), or, where all of the first channel comes first as "
                f"in CIFAR-10's files, x.reshape(-1, {C}, {H}, {W}).transpose(0, 2, 3, 1)"
            )
        return f"give each sample its shape: x.reshape(-1, {target})"
    if shape and math.prod(shape) == count:
        return f"this is one sample: give it its shape and the batch axis: x.reshape(1, {target})"
    return ""


def _pixels(shape: Shape, wanted: Shape) -> str:
    """Return what to do if these are images of another size, or with another number of channels."""
    if len(wanted) != 3:
        return ""
    H, W, C = wanted
    if shape[:2] == (H, W) and len(shape) < 4:  # one image
        x, shape = "x[None]", (1, *shape)
    else:
        x = "x"
    if len(shape) == 3:  # no channels
        x, shape = f"{x}[..., None]", (*shape, 1)
    if len(shape) != 4:
        return ""
    (h, w), channels = shape[1:3], shape[3]
    if (h, w) == (H, W):
        if channels == 1:
            return f"the images are grey and the model takes {C} channels: np.repeat({x}, {C}, axis=-1)"
        if C == 1 and channels in (3, 4):
            colours = x if channels == 3 else f"{x}[..., :3]"
            return f"the images are in colour and the model takes grey ones: {colours}.mean(axis=-1, keepdims=True)"
        if (C, channels) == (3, 4):
            return f"leave out the fourth channel, which says how opaque a pixel is: {x}[..., :3]"
    elif channels == C and h and w:
        return for_print(
            f"the images have {h}×{w} pixels and the model takes {H}×{W}: resize them, or make the model with "
            f"Input(({h}, {w}, {C}))"
        )
    return ""
