"""Pictures and folders of pictures, under the names of Keras 2; ``keras.utils`` has some of them too."""

from ...core.public import listing
from .._image_dataset import image_dataset_from_directory
from .._telling import looked_up
from . import image

_MISSING = dict.fromkeys(
    ("text_dataset_from_directory", "timeseries_dataset_from_array", "text", "sequence", "timeseries"),
    "tinycnn works on images; use Keras itself for sequences",
)

__all__ = ["image", "image_dataset_from_directory"]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, _MISSING)
