"""Weights from and to PyTorch; Keras's files are read and written by ``load_model``, ``load_weights`` and the like.

``load_weights`` reads a state dict of PyTorch too, if it is a safetensors file. :func:`load_pytorch` is the same with a
say in which module belongs to which layer.
"""

from ..core.public import listing
from .pytorch_files import load_pytorch, save_pytorch
from .pytorch_source import pytorch_source

__all__ = ["load_pytorch", "pytorch_source", "save_pytorch"]
__dir__ = listing(__name__)
