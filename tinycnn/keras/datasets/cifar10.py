"""CIFAR-10: 60,000 photographs, 32×32 in colour."""

import numpy as np

from ...core.public import listing
from ...core.types import Array
from ...datasets import cifar10 as engine
from .._telling import looked_up


def load_data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return ``((x_train, y_train), (x_test, y_test))``, all of them uint8.

    The shapes are (50000, 32, 32, 3), (50000, 1), (10000, 32, 32, 3), (10000, 1). ``TINYCNN_DATA``
    names the folder with your own copies; what is not there is downloaded.
    """
    (x, y), (x_test, y_test) = engine.load_data()
    return (x, y.astype(np.uint8)[:, np.newaxis]), (x_test, y_test.astype(np.uint8)[:, np.newaxis])


__all__ = ["load_data"]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, {})
