"""What to do about images of a wrong shape: the message of an error says it in code that can be pasted."""

import math
from itertools import accumulate
from operator import mul

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
    if (*shape, 1) == (W, H, C):
        return "this is one image, and rows come before columns: x.transpose(1, 0)[None, ..., None]"
    if (*shape[1:], 1) == (W, H, C):
        return "rows come before columns: x.transpose(0, 2, 1)[..., None]"
    return ""


def _numbers(shape: Shape, wanted: Shape) -> str:
    """Return what to do if each sample holds the right number of numbers, in another shape."""
    if len(shape) > 1 and math.prod(shape[1:]) == math.prod(wanted):
        if len(wanted) == 1:
            return "make each sample one row: x.reshape(len(x), -1), or begin the model with a Flatten"
        found = _reshaped(shape[1:], wanted, "-1")
        return found and f"{'make each row an image' if len(shape) == 2 else 'give each sample its shape'}: {found}"
    if shape and math.prod(shape) == math.prod(wanted):
        found = _reshaped(shape, wanted, "1")
        return found and f"this is one sample: give it its shape and the batch axis: {found}"
    return ""


def _reshaped(found: Shape, wanted: Shape, batch: str) -> str:
    """Return code that gives samples their shape without mixing their axes; empty if ``reshape`` would mix them."""
    keeps_order = _is_split(found, wanted) or _is_split(wanted, found)
    ways = [f"x.reshape({batch}, {', '.join(map(str, wanted))})"] if keeps_order else []
    if len(wanted) == 3 and wanted[2] > 1:
        H, W, C = wanted
        if _is_split(found, (C, H, W)):
            ways.append(f"x.reshape({batch}, {C}, {H}, {W}).transpose(0, 2, 3, 1)")
    return ", or, where all of the first channel comes first as in CIFAR-10's files, ".join(ways)


def _is_split(coarse: Shape, fine: Shape) -> bool:
    """Return whether some of the axes of ``fine``, joined, are those of ``coarse``; axes of length 1 do not count."""
    return set(accumulate(coarse, mul)) <= {1, *accumulate(fine, mul)}


def _pixels(shape: Shape, wanted: Shape) -> str:
    """Return what to do if these are images of another size, or with another number of channels."""
    if len(wanted) != 3:
        return ""
    H, W, C = wanted
    x, steps = "x", []
    if len(shape) == 2 or (len(shape) == 3 and _has_channels(shape, wanted)):  # one image
        x, shape = f"{x}[None]", (1, *shape)
    if len(shape) == 3:  # no channels
        x, shape = f"{x}[..., None]", (*shape, 1)
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3, 4):
        steps.append("channels come last")
        x, shape = f"{x}.transpose(0, 2, 3, 1)", (shape[0], *shape[2:], shape[1])
    if len(shape) != 4:
        return ""
    (h, w), channels = shape[1:3], shape[3]
    if (h, w) != (H, W) and (min(h, w) < 8 or max(h, w) > 4 * min(h, w)):  # rows of numbers are longer, and not images
        return ""
    why, x = _in_colours(x, channels, C)
    if channels != C and not why:
        return ""
    steps += [why] if why else []
    text = f"{', and '.join(steps)}: {x}" if steps else ""
    if (h, w) != (H, W):
        size = for_print(f"the images have {h}×{w} pixels and the model takes {H}×{W}: resize them")
        text = f"{text}; {size}" if text else f"{size}, or make the model with Input(({h}, {w}, {C}))"
    return text


def _has_channels(shape: Shape, wanted: Shape) -> bool:
    """Return whether the last of three axes holds channels, or the first one does."""
    last = shape[2] in (1, 3, 4) and wanted[1] != shape[2]
    first = shape[0] == 3 and shape[1:] != wanted[:2] and shape[1] > 4 < shape[2]
    return shape[:2] == wanted[:2] or last or (first and wanted[2] == 3)


def _in_colours(x: str, channels: int, wanted: int) -> tuple[str, str]:
    """Return why images need another number of channels, and code that makes it; nothing if there is no usual way."""
    if channels == 1 != wanted:
        return f"the images are grey and the model takes {wanted} channels", f"np.repeat({x}, {wanted}, axis=-1)"
    if wanted == 1 and channels in (3, 4):
        colours = x if channels == 3 else f"{x}[..., :3]"
        return "the images are in colour and the model takes grey ones", f"{colours}.mean(axis=-1, keepdims=True)"
    if (wanted, channels) == (3, 4):
        return "leave out the fourth channel, which says how opaque a pixel is", f"{x}[..., :3]"
    return "", x
