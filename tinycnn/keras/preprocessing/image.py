"""``ImageDataGenerator``, and pictures as files and arrays."""

from ...core.public import listing
from .._generator import ImageDataGenerator
from .._image_dataset import image_dataset_from_directory
from .._iterators import DirectoryIterator, NumpyArrayIterator
from .._pictures import array_to_img, img_to_array, load_img, save_img
from .._telling import looked_up

_MISSING = dict.fromkeys(
    ("random_rotation", "random_shift", "random_shear", "random_zoom", "random_brightness", "random_channel_shift"),
    "ImageDataGenerator(...).random_transform(image) does it",
) | dict.fromkeys(
    ("Iterator", "smart_resize", "apply_affine_transform", "apply_brightness_shift", "apply_channel_shift"),
    "load_img(path, target_size=..., keep_aspect_ratio=True) resizes, and ImageDataGenerator moves images",
)

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "NumpyArrayIterator",
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "save_img",
]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
