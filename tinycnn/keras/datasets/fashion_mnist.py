"""Fashion-MNIST: 70,000 pieces of clothing, 28×28 grey."""

import numpy as np

from ...core.public import listing
from ...core.types import Array
from ...datasets import fashion_mnist as engine
from .._telling import looked_up


def load_data() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return ``((x_train, y_train), (x_test, y_test))``, all of them uint8.

    The shapes are (60000, 28, 28), (60000,), (10000, 28, 28), (10000,). ``TINYCNN_DATA``
    names the folder with your own copies; what is not there is downloaded.
    """
    (x, y), (x_test, y_test) = engine.load_data()
    return (x, y.astype(np.uint8)), (x_test, y_test.astype(np.uint8))


__all__ = ["load_data"]
__dir__ = listing(__name__)
__getattr__ = looked_up(__name__, __all__, {})
