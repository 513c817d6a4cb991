"""Random changes to training images: shifts, mirroring, rotation, blur and hidden squares, drawn anew for each batch.

``fit(augment=…)`` changes every training batch and never the validation data. The model's seed, the step and the
image's place in the batch determine what happens to an image, so a run repeats to the bit and can be resumed.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .core.backend import Backend, get_backend
from .core.checks import boolean, integer, real
from .core.messages import shown
from .core.public import listing
from .core.seeding import StepOfPart, Stream, generator_of_step
from .core.types import Array, Config
from .core.workspace import Workspace

__dir__ = listing(__name__)


@dataclass(frozen=True)
class Augmentation:
    """How much training images may be changed. Each image draws its own amounts, uniformly.

    Parameters
    ----------
    shift : float in [0, 1)
        The largest shift in each direction, as a share of the image's size. Images move by whole pixels, and zeros
        fill the gap.
    flip : bool
        Whether half of the images, chosen at random, are mirrored left to right.
    rotation : float in [0, 180]
        The largest rotation in degrees, in either direction, about the centre. Zeros fill the gaps.
    blur : float in [0, 100]
        The largest standard deviation, in pixels, of a Gaussian blur.
    cutout : float in [0, 1)
        The side of a square that is set to 0, as a share of the image's shorter side. Its centre may lie anywhere in
        the image. Source: DeVries & Taylor, 2017.

    Raises
    ------
    TypeError
        If ``flip`` is not a bool or another amount is not a number.
    ValueError
        If an amount is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn import Augmentation
    >>> augment = Augmentation(shift=0.1, flip=True)
    >>> augment(np.zeros((8, 28, 28, 1), "float32"), seed=0, step=0).shape
    (8, 28, 28, 1)
    """

    shift: float = 0.0
    flip: bool = False
    rotation: float = 0.0
    blur: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        checked = {
            "shift": real(self.shift, "shift", 0, below=1),
            "flip": boolean(self.flip, "flip"),
            "rotation": real(self.rotation, "rotation", 0, 180),
            "blur": real(self.blur, "blur", 0, 100),
            "cutout": real(self.cutout, "cutout", 0, below=1),
        }
        for name, value in checked.items():  # Store plain numbers, whatever type was given.
            object.__setattr__(self, name, value)

    def __call__(
        self, x: Array, *, seed: int, step: int, backend: Backend | None = None, ws: Workspace | None = None
    ) -> Array:
        """Return the changed images and leave x as it is.

        Parameters
        ----------
        x : (N, H, W, C) array of float32 or float64
            The images.
        seed, step : int, not negative
            The same pair gives the same changes.
        backend : Backend, optional
            The backend whose kernels do the work; by default the current one.
        ws : Workspace, optional
            Memory to reuse; without it every result is a fresh array.

        Raises
        ------
        TypeError
            If x is not an array of the backend with dtype float32 or float64, or another argument has a wrong type.
        ValueError
            If x is not a batch of images, or ``seed`` or ``step`` is negative.
        """
        backend = get_backend() if backend is None else backend
        if not isinstance(backend, Backend):
            raise TypeError(f"backend must be a Backend; got {shown(backend)}")
        if not backend.owns(x) or x.dtype not in (np.float32, np.float64):
            raise TypeError(f"x must be an array of float32 or float64; got {shown(x)}")
        if x.ndim != 4:
            raise ValueError(f"x: augmentation is for images (N, H, W, C); got an array of shape {x.shape}")
        kernels = backend.kernels
        number = integer(step, "step", 0)
        step = step if isinstance(step, StepOfPart) else number
        rng = generator_of_step(integer(seed, "seed", 0), Stream.AUGMENT, step)
        # All amounts are drawn, used or not, so that switching one change on leaves the others as they were.
        draws = rng.uniform(-1, 1, (len(x), 7))
        if self.shift or self.flip or self.rotation:
            maps = backend.own(self._maps(draws[:, :4], x.shape[1:3]).astype(x.dtype))
            x = kernels.warp_images(x, maps, out=_memory(ws, "warp", x), work=ws and ws.scratch())
        if self.blur:
            sigmas = backend.own((np.abs(draws[:, 4]) * self.blur).astype(x.dtype))
            x = kernels.blur_images(x, sigmas, out=_memory(ws, "blur", x), work=ws and ws.scratch())
        if self.cutout:
            boxes = backend.own(self._boxes(draws[:, 5:], x.shape[1:3]))
            x = kernels.cut_out_images(x, boxes, out=_memory(ws, "cut", x), work=ws and ws.scratch())
        return x

    def get_config(self) -> Config:
        """Return the constructor's arguments, ready for JSON."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def _maps(self, draws: Array, size: tuple[int, int]) -> Array:
        """Return, for each image, the affine map from a pixel of the result to the place that it comes from."""
        height, width = size
        down, right = (np.round(draws[:, k] * self.shift * size[k]) for k in (0, 1))
        angle = draws[:, 2] * math.radians(self.rotation)
        mirror = np.where((draws[:, 3] < 0) & self.flip, -1.0, 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        maps = np.empty((len(draws), 2, 3))
        maps[:, 0, 0], maps[:, 0, 1] = cosine, -sine
        maps[:, 1, 0], maps[:, 1, 1] = mirror * sine, mirror * cosine
        # The centre of the image ends up where the shift moves it.
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        moved = middle + np.stack([down, right], axis=1)
        maps[:, :, 2] = middle - np.einsum("nab,nb->na", maps[:, :, :2], moved)
        return maps

    def _boxes(self, draws: Array, size: tuple[int, int]) -> Array:
        """Return the square to hide in each image, as the rows (top, bottom, left, right) of an (N, 4) array."""
        side = max(1, round(self.cutout * min(size)))
        edges = []
        for k in (0, 1):
            first = np.floor((draws[:, k] + 1) / 2 * size[k]).astype(np.int64) - side // 2
            edges += [first, first + side]
        return np.stack(edges, axis=1)


def check(augment: Any) -> "Augmentation | None":
    """Return ``augment`` if it is an Augmentation or None, and raise a TypeError otherwise."""
    if augment is not None and not isinstance(augment, Augmentation):
        raise TypeError(f"augment must be an Augmentation, for example Augmentation(shift=0.1); got {shown(augment)}")
    return augment


def _memory(ws: Workspace | None, name: str, x: Array) -> Array | None:
    """Return memory for an array like x, or None without a workspace."""
    return None if ws is None else ws.keep("augmentation", name, x.shape, x.dtype)
