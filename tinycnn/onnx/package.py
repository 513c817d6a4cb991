"""The package onnx, which only this room needs, and which versions of the format are written."""

from typing import Any

#: The version of the operators, and of the format around them, that are written. Both are of 2021, so that old programs
#: read the files too. Before that, a batch normalization did not say whether it is that of training. Of all operators
#: that tinycnn needs only GELU came later, and five others express it.
OPSET, IR_VERSION = 15, 8
#: The largest file that a protobuf can be, and so the largest that is written or read.
MAX_BYTES = 2**31 - 1
#: What is written as the program that made a file, and recognized as such.
PRODUCER = "tinycnn"
#: The keys of what a file says about itself besides the network.
LAYOUT, CLASS_NAMES, PREPROCESSING = "input_layout", "class_names", "preprocessing"


def package() -> Any:
    """Return the package onnx.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; the message has the command that cures it.
    """
    try:
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'tinycnn.onnx needs the package onnx ({error}): pip install "tinycnn[onnx]", or in a checkout '
            'pip install -e ".[onnx]"'
        ) from error
    return onnx
