"""Changed training images: shifted, mirrored, turned, blurred, partly hidden, each time anew.

``fit(augment=…)`` changes every training batch, never validation data. What happens to an image follows from the
model's seed, the step and the image's place in the batch, so a run repeats to the bit and can be resumed.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .core.backend import Backend, get_backend
from .core.checks import boolean, integer, real
from .core.messages import shown
from .core.seeding import Stream, generator
from .core.types import Array, Config
from .core.workspace import Workspace


@dataclass(frozen=True)
class Augmentation:
    """How much training images may be changed; each image draws its own amounts, uniformly.

    Parameters
    ----------
    shift : float in [0, 1)
        Largest shift in each direction, as a share of the image's size; whole pixels, zeros come in.
    flip : bool
        Mirror half of the images left to right.
    rotation : float >= 0
        Largest turn in degrees, either way, about the centre; zeros come in.
    blur : float >= 0
        Largest standard deviation, in pixels, of a Gaussian blur.
    cutout : float in [0, 1)
        Side of a square set to 0, as a share of the image's size, centred anywhere in the image (DeVries & Taylor,
        2017).

    Raises
    ------
    TypeError, ValueError
        For an amount that makes no sense.

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
        for name, value in checked.items():  # plain numbers, whatever came
            object.__setattr__(self, name, value)

    def __call__(
        self, x: Array, *, seed: int, step: int, backend: Backend | None = None, ws: Workspace | None = None
    ) -> Array:
        """The changed images; x stays as it is.

        Parameters
        ----------
        x : (N, H, W, C) array of float32 or float64
        seed, step : int
            The same pair gives the same changes.
        backend : Backend, optional
            Whose kernels do it; by default the current one's.
        ws : Workspace, optional

        Raises
        ------
        ValueError
            If x is not a batch of images.
        """
        backend = get_backend() if backend is None else backend
        if not isinstance(backend, Backend):
            raise TypeError(f"backend must be a Backend; got {shown(backend)}")
        if not backend.owns(x) or x.dtype not in (np.float32, np.float64):
            raise TypeError(f"x must be an array of float32 or float64; got {shown(x)}")
        if x.ndim != 4:
            raise ValueError(f"x: augmentation is for images (N, H, W, C); got an array of shape {x.shape}")
        kernels = backend.kernels
        rng = generator(integer(seed, "seed", 0), Stream.AUGMENT, integer(step, "step", 0))
        # All amounts are drawn, used or not: switching one change on leaves the others as they were.
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
        """The arguments, ready for JSON."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def _maps(self, draws: Array, size: tuple[int, int]) -> Array:
        """For each image, the affine map from a pixel of the result to where it comes from."""
        height, width = size
        down, right = (np.round(draws[:, k] * self.shift * size[k]) for k in (0, 1))
        angle = draws[:, 2] * math.radians(self.rotation)
        mirror = np.where((draws[:, 3] < 0) & self.flip, -1.0, 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        maps = np.empty((len(draws), 2, 3))
        maps[:, 0, 0], maps[:, 0, 1] = cosine, -sine
        maps[:, 1, 0], maps[:, 1, 1] = mirror * sine, mirror * cosine
        # The centre, moved by the shift, comes from the centre.
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        moved = middle + np.stack([down, right], axis=1)
        maps[:, :, 2] = middle - np.einsum("nab,nb->na", maps[:, :, :2], moved)
        return maps

    def _boxes(self, draws: Array, size: tuple[int, int]) -> Array:
        """(top, bottom, left, right) of each image's hidden square."""
        side = max(1, round(self.cutout * min(size)))
        edges = []
        for k in (0, 1):
            first = np.floor((draws[:, k] + 1) / 2 * size[k]).astype(np.int64) - side // 2
            edges += [first, first + side]
        return np.stack(edges, axis=1)


def check(augment: Any) -> "Augmentation | None":
    """An Augmentation or None, or an error that says so."""
    if augment is not None and not isinstance(augment, Augmentation):
        raise TypeError(f"augment must be an Augmentation, for example Augmentation(shift=0.1); got {shown(augment)}")
    return augment


def _memory(ws: Workspace | None, name: str, x: Array) -> Array | None:
    return None if ws is None else ws.keep("augmentation", name, x.shape, x.dtype)
