"""What programs call ``tf.NAME`` besides ``tf.keras``, and what to do instead."""

from ._missing import table
from ._telling import PAGE

_ARRAYS = "tinycnn works on NumPy arrays, and so NumPy's function of this or a similar name does it"
_NO_TENSORS = (
    "there are no tensors, no graphs and no automatic differentiation: leave the line out, or use TensorFlow itself"
)

_OF_ARRAYS = """
abs add argmax argmin bool cast clip_by_value concat equal exp expand_dims float16 float32 float64 int32 int64
linalg math matmul maximum minimum multiply one_hot ones ones_like pow range reduce_max reduce_mean reduce_min
reduce_sum reshape round shape size sqrt square squeeze stack string tile transpose uint8 where zeros zeros_like
"""
_OF_GRAPHS = """
ConfigProto GPUOptions GradientTape Graph GraphDef InteractiveSession Session Tensor Variable app compat constant
contrib convert_to_tensor debugging enable_eager_execution executing_eagerly flags function get_default_graph
global_variables_initializer placeholder profiler reset_default_graph
"""

NAMES = table(
    ("keras.utils.set_random_seed(seed) does what tf.random.set_seed(seed) does", ("random", "set_random_seed")),
    (
        "give NumPy arrays to fit, with batch_size and shuffle; keras.utils.image_dataset_from_directory and "
        "ImageDataGenerator read pictures",
        ("data",),
    ),
    ("name the activation in a layer, activation='relu'; keras.activations has them as functions of arrays", ("nn",)),
    (
        "keras.preprocessing.image has load_img, img_to_array and ImageDataGenerator; keras.layers has Resizing, "
        "Rescaling and RandomFlip",
        ("image",),
    ),
    (
        "tinycnn uses the cores of the processor by itself: leave the line out",
        ("config", "device", "distribute", "test"),
    ),
    ("Python's logging and warnings serve: leave the line out", ("logging", "get_logger", "autograph")),
    ("keras.callbacks.TensorBoard writes for TensorBoard", ("summary",)),
    (
        "keras.models.load_model and model.save read and write models; tinycnn.onnx.export writes for other programs",
        ("lite", "saved_model", "train"),
    ),
    ("Python's open and os.path serve", ("gfile", "io")),
    (_NO_TENSORS, _OF_GRAPHS.split()),
    (_ARRAYS, _OF_ARRAYS.split()),
)


def unknown(name: str) -> str:
    """Return what to add to the error for an attribute that the package does not have: nothing, or a cure."""
    if name not in NAMES:
        return ""
    if name in ("random", "nn", "config", "test", "set_random_seed"):
        return f"; write from tinycnn.keras import tensorflow as tf in place of import tensorflow as tf. See {PAGE}"
    return f"; {NAMES[name]}. See {PAGE}"
