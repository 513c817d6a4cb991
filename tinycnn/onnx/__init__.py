"""Models as ONNX files: write them for other programs, and read what other programs have written.

:func:`export` writes what a model predicts. :func:`load` reads a network that is a row of layers, whatever program
wrote it. Both need the extra ``onnx``: ``pip install "tinycnn[onnx]"``.
"""

from ..core.public import listing
from .loading import load
from .package import IR_VERSION, OPSET
from .writing import export

__all__ = ["IR_VERSION", "OPSET", "export", "load"]
__dir__ = listing(__name__)
