"""Where a window lies: the shape arithmetic that layers and kernels share."""

from typing import NamedTuple

import numpy as np

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


class Window(NamedTuple):
    """A sliding window over the two spatial axes."""

    size: Pair
    strides: Pair
    pads: Pads
    dilation: Pair = (1, 1)

    def output_size(self, input_size: Pair) -> Pair:
        """Return the number of window positions in each direction, ``(OH, OW)``.

        ``OH = (H + top + bottom - d*(KH - 1) - 1) // s + 1``, with s the stride and d the dilation, and OW likewise. A
        number is not positive where no window fits. Source: Dumoulin & Visin, "A guide to convolution arithmetic for
        deep learning", 2016, relationship 15.

        Examples
        --------
        >>> Window(size=(3, 3), strides=(1, 1), pads=(0, 0, 0, 0)).output_size((28, 28))
        (26, 26)
        """
        top, bottom, left, right = self.pads
        extents = self.extent()
        rows = (input_size[0] + top + bottom - extents[0]) // self.strides[0] + 1
        columns = (input_size[1] + left + right - extents[1]) // self.strides[1] + 1
        return rows, columns

    def extent(self) -> Pair:
        """Return how many input pixels a window spans in each direction, from its first tap to its last inclusive."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True))  # type: ignore[return-value]


def same_pads(input_size: Pair, size: Pair, strides: Pair, dilation: Pair = (1, 1)) -> Pads:
    """Return the pads that make ``OH = ceil(H / s)`` and ``OW = ceil(W / s)``.

    If the total is odd, the extra row or column is at the bottom or right. This is the rule of TensorFlow and Keras.
    Source: TensorFlow, "Neural network ops: notes on padding".

    Examples
    --------
    >>> same_pads((28, 28), size=(3, 3), strides=(1, 1))
    (1, 1, 1, 1)
    >>> same_pads((5, 5), size=(2, 2), strides=(1, 1))
    (0, 1, 0, 1)
    """
    pads: list[int] = []
    for length, kernel, stride, gap in zip(input_size, size, strides, dilation, strict=True):
        outputs = -(-length // stride)
        total = max(0, (outputs - 1) * stride + gap * (kernel - 1) + 1 - length)
        pads += [total // 2, total - total // 2]
    return tuple(pads)  # type: ignore[return-value]


def argmax_dtype(pool_size: Pair) -> type[np.integer]:
    """Return the dtype that numbers the taps of a window: uint8 for up to 256 taps (the usual case), else int32."""
    return np.uint8 if pool_size[0] * pool_size[1] <= 256 else np.int32
