"""``ImageDataGenerator``: images changed at random, with Keras's arguments and in Keras's order."""

import numbers
from pathlib import Path
from typing import Any

import numpy as np

from ..core.backend import Backend
from ..core.checks import any_array, array, boolean, choice, integer, items, path, real
from ..core.messages import shown
from ..core.seeding import Stream, generator, new_model_seed
from ..core.types import Array
from ._iterators import DirectoryIterator, NumpyArrayIterator
from ._telling import is_one_of, not_so, told
from ._warping import affine_maps, checked_fill, warped

_EPSILON = 1e-6


class ImageDataGenerator:
    """Batches of images that are turned, shifted, sheared, zoomed, mirrored, brightened and scaled at random.

    The amounts are drawn, and the changes made, in Keras's order; what is drawn follows from a seed, so that a run
    repeats. Pixels are moved by a kernel, a batch at a time. ``Sequential.fit(augment=tinycnn.Augmentation(...))``
    does so without copies, and a fit that was interrupted resumes to the bit with it.

    Parameters
    ----------
    featurewise_center, featurewise_std_normalization : bool
        Whether to subtract the mean of all images, and divide by their standard deviation; ``fit`` computes both.
    samplewise_center, samplewise_std_normalization : bool
        The same with the mean and the deviation of each image.
    zca_whitening, zca_epsilon
        Not possible.
    rotation_range : float
        The largest turn in either direction, in degrees.
    width_shift_range, height_shift_range : float, int or sequence
        The largest shift in either direction: a share of the size if it is below 1, and pixels otherwise; a whole
        number gives shifts of whole pixels, and a sequence those to choose from.
    brightness_range : (float, float), optional
        The limits of what brightness is multiplied by.
    shear_range : float
        The largest shear, in degrees.
    zoom_range : float or (float, float)
        The limits of the zoom, or the largest distance of the zoom from 1.
    channel_shift_range : float
        The largest number that is added to all values.
    fill_mode : {"nearest", "constant", "reflect", "wrap"}
        What lies beyond the border.
    cval : float
        The value there with ``fill_mode="constant"``.
    horizontal_flip, vertical_flip : bool
        Whether to mirror half of the images.
    rescale : float, optional
        What values are multiplied by, after everything else.
    preprocessing_function : callable, optional
        A function of one image (H, W, C), called after the changes and before ``rescale``.
    data_format : None or "channels_last"
        Channels are last.
    validation_split : float
        The share of the images that ``subset="validation"`` takes.
    interpolation_order : 1
        Values between pixels are bilinear.
    dtype : "float32" or None
        Batches are float32.

    Examples
    --------
    >>> import numpy as np
    >>> from tinycnn.keras.preprocessing.image import ImageDataGenerator
    >>> turned = ImageDataGenerator(rotation_range=10, horizontal_flip=True)
    >>> batches = turned.flow(np.ones((50, 8, 8, 1)), batch_size=20)
    >>> len(batches), next(batches).shape
    (3, (20, 8, 8, 1))
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Any = None,
        data_format: Any = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        if zca_whitening:
            cure = "featurewise_center and featurewise_std_normalization are the nearest"
            raise not_so(kind, "zca_whitening", zca_whitening, cure)
        if not is_one_of(data_format, None, "channels_last"):
            cure = "images are (N, H, W, C) here: transpose them with x.transpose(0, 2, 3, 1)"
            raise not_so(kind, "data_format", data_format, cure)
        if not is_one_of(interpolation_order, 1):
            raise not_so(kind, "interpolation_order", interpolation_order, "values between pixels are bilinear")
        if not is_one_of(getattr(dtype, "name", dtype), None, "float32"):
            raise not_so(kind, "dtype", dtype, "batches are float32: leave the argument out")
        self.samplewise_std_normalization = boolean(samplewise_std_normalization, "samplewise_std_normalization")
        self.samplewise_center = boolean(samplewise_center, "samplewise_center") or self.samplewise_std_normalization
        self.featurewise_std_normalization = boolean(featurewise_std_normalization, "featurewise_std_normalization")
        self.featurewise_center = boolean(featurewise_center, "featurewise_center")
        self.featurewise_center |= self.featurewise_std_normalization
        self.rotation_range = real(rotation_range, "rotation_range", 0)
        self.width_shift_range = _shifts(width_shift_range, "width_shift_range")
        self.height_shift_range = _shifts(height_shift_range, "height_shift_range")
        self.brightness_range = None if brightness_range is None else _limits(brightness_range, "brightness_range")
        self.shear_range = real(shear_range, "shear_range", 0)
        one = isinstance(zoom_range, numbers.Real) and not isinstance(zoom_range, bool)
        distance = real(zoom_range, "zoom_range", 0) if one else 0.0
        self.zoom_range = (1 - distance, 1 + distance) if one else _limits(zoom_range, "zoom_range")
        self.channel_shift_range = real(channel_shift_range, "channel_shift_range", 0)
        self.fill_mode, self.cval = checked_fill(fill_mode), real(cval, "cval")
        self.horizontal_flip = boolean(horizontal_flip, "horizontal_flip")
        self.vertical_flip = boolean(vertical_flip, "vertical_flip")
        self.rescale = None if rescale is None else real(rescale, "rescale")
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise TypeError(f"preprocessing_function must be a function; got {shown(preprocessing_function)}")
        self.preprocessing_function = preprocessing_function
        self.validation_split = real(validation_split, "validation_split", 0, below=1)
        self.mean: Array | None = None
        self.std: Array | None = None

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Return batches of images from an array: ``(x, y)``, ``(x, y, sample_weight)``, or images alone.

        Parameters
        ----------
        x : (N, H, W, C) array
            The images.
        y, sample_weight : array of N items, optional
            What goes with them.
        batch_size : int
            The number of images of a batch.
        shuffle : bool
            Whether each epoch has an order of its own.
        seed : int, optional
            What is drawn follows from it.
        save_to_dir, save_prefix, save_format
            A folder that exists, to which every image is written as well; how names begin; and ``"png"`` or ``"jpeg"``.
        ignore_class_split : ignored
        subset : {"training", "validation"}, optional
            The last images without, or the first ones as, the share of ``validation_split``.
        """
        first, last = self._share(subset)
        images = np.atleast_1d(array(x, "x"))
        part = slice(int(first * len(images)), int(last * len(images)))
        if subset is not None:
            y, sample_weight = (
                None if one is None else np.atleast_1d(any_array(one, name))[part]
                for one, name in ((y, "y"), (sample_weight, "sample_weight"))
            )
        batches = NumpyArrayIterator(images[part], y, sample_weight, self._changed, batch_size, shuffle, seed)
        batches.saving = _saving(save_to_dir, save_prefix, save_format)
        return batches

    def flow_from_directory(
        self,
        directory: Any,
        target_size: Any = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Return batches of pictures from a folder that has a folder for each class; see :class:`DirectoryIterator`."""
        if keep_aspect_ratio:
            raise not_so("flow_from_directory", "keep_aspect_ratio", True, "pictures are stretched to target_size")
        batches = DirectoryIterator(
            directory,
            self._changed,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            interpolation=interpolation,
            follow_links=follow_links,
            share=self._share(subset),
        )
        batches.saving = _saving(save_to_dir, save_prefix, save_format)
        return batches

    def _share(self, subset: str | None) -> tuple[float, float]:
        """Return which part of the images a subset takes; as in Keras, validation takes the first ones."""
        if subset is None:
            return 0.0, 1.0
        if not is_one_of(subset, "training", "validation") or not self.validation_split:
            raise ValueError(
                "subset must be 'training' or 'validation', of a generator with a validation_split; got "
                f"{shown(subset)} and validation_split={self.validation_split}"
            )
        return (self.validation_split, 1.0) if subset == "training" else (0.0, self.validation_split)

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute what ``featurewise_center`` and ``featurewise_std_normalization`` need, from images (N, H, W, C)."""
        with np.errstate(over="ignore"):
            images = array(x, "x").astype(np.float32)
        if images.ndim != 4 or not len(images):
            raise ValueError(f"x must be images of shape (N, H, W, C); got shape {images.shape}")
        if boolean(augment, "augment"):
            rng = generator(new_model_seed() if seed is None else integer(seed, "seed", 0), Stream.AUGMENT, 0)
            images = np.concatenate([self._moved(images.copy(), rng) for _ in range(integer(rounds, "rounds"))])
        axes = (0, 1, 2)
        self.mean = images.mean(axis=axes, dtype=np.float64).astype(np.float32)
        self.std = images.std(axis=axes, dtype=np.float64).astype(np.float32)

    def standardize(self, x: Any) -> Array:
        """Return one image, or a batch of them, as it is after the last steps, which are not random."""
        images = array(x, "x").astype(np.float32)
        if self.preprocessing_function is not None:
            function = self.preprocessing_function
            images = function(images) if images.ndim == 3 else np.stack([function(one) for one in images])
        if self.rescale is not None:
            images = images * np.float32(self.rescale)
        axes = tuple(range(images.ndim - 3, images.ndim))
        if self.samplewise_center:
            images = images - images.mean(axis=axes, keepdims=True)
        if self.samplewise_std_normalization:
            images = images / (images.std(axis=axes, keepdims=True) + _EPSILON)
        if self.featurewise_center:
            if self.mean is None or self.std is None:
                told("featurewise_center has no effect until datagen.fit(x) has computed the mean of the images")
            else:
                images = images - self.mean
                if self.featurewise_std_normalization:
                    images = images / (self.std + _EPSILON)
        return images.astype(np.float32)

    def random_transform(self, x: Any, seed: int | None = None) -> Array:
        """Return one image (H, W, C) changed at random, without the last steps."""
        image = array(x, "x").astype(np.float32)
        rng = generator(new_model_seed() if seed is None else integer(seed, "seed", 0), Stream.AUGMENT, 0)
        return self._moved(image[np.newaxis], rng)[0]

    def _changed(self, images: Array, rng: np.random.Generator) -> Array:
        return self.standardize(self._moved(images, rng))

    def _moved(self, images: Array, rng: np.random.Generator) -> Array:
        """Return images (N, H, W, C) with all random changes."""
        n, size = len(images), images.shape[1:3]
        maps = affine_maps(
            size,
            theta=np.deg2rad(rng.uniform(-self.rotation_range, self.rotation_range, n)),
            down=_drawn_shifts(self.height_shift_range, size[0], n, rng),
            right=_drawn_shifts(self.width_shift_range, size[1], n, rng),
            shear=np.deg2rad(rng.uniform(-self.shear_range, self.shear_range, n)),
            zoom=tuple(rng.uniform(*self.zoom_range, (2, n))),
            mirror=(rng.random(n) < 0.5) & self.horizontal_flip,
            upside_down=(rng.random(n) < 0.5) & self.vertical_flip,
        )
        levels = rng.uniform(-self.channel_shift_range, self.channel_shift_range, (n, 1, 1, 1)).astype(np.float32)
        light = None if self.brightness_range is None else rng.uniform(*self.brightness_range, (n, 1, 1, 1))
        if not (maps == np.eye(2, 3)).all():
            images = warped(images, maps, self.fill_mode, self.cval, Backend("cpu"))
        low, high = (edge(images, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
        if self.channel_shift_range:
            images = np.clip(images + levels, low, high)
        if light is not None:  # Keras stretches each image to 0 to 255 and makes it brighter there
            span = np.where(high > low, high - low, 1)
            images = np.clip((images - low) * (255 / span) * light, 0, 255)
        return images.astype(np.float32)


def _saving(folder: Any, prefix: Any, ending: Any) -> tuple[Path, str, str] | None:
    """Return where batches are written, or None if they are not."""
    if folder is None:
        return None
    where = path(folder, "save_to_dir")
    if not where.is_dir():
        raise ValueError(f"save_to_dir must be a folder that exists; got {shown(str(where))}")
    return where, str(prefix), choice(ending, ("png", "jpeg", "jpg"), "save_format")


def _limits(value: Any, name: str) -> tuple[float, float]:
    pair = [real(one, name, 0) for one in items(value, name, "two numbers")]
    if len(pair) != 2:
        raise ValueError(f"{name} must be a smallest and a largest number; got {shown(value)}")
    return pair[0], pair[1]


def _shifts(value: Any, name: str) -> Any:
    """Return a range of shifts: a share or a number of pixels, or a list of shifts to choose from."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return list(range(integer(value, name, 0))) if value else 0.0  # as in Keras, n stands for 0 to n - 1
    if isinstance(value, numbers.Real):
        return real(value, name, 0)
    return [real(one, name) for one in items(value, name, "shifts to choose from")]


def _drawn_shifts(shifts: Any, length: int, n: int, rng: np.random.Generator) -> Array:
    """Return shifts in pixels, one for each image, as Keras draws them."""
    if isinstance(shifts, list):
        drawn = rng.choice(np.array(shifts, np.float64), n) * rng.choice([-1.0, 1.0], n)
        largest = max(shifts)
    else:
        drawn, largest = rng.uniform(-shifts, shifts, n), shifts
    return drawn * length if largest < 1 else drawn
