"""What this package is called and which version of it this is."""

from importlib.metadata import version
from platform import python_version
from typing import Any

__version__ = "0.1.0"

#: Which bits the kernels compute: raised whenever a result changes, however little. It is written into models, states
#: and records, so that one can see whether two of them can have the same bits.
#:
#: 1. Sums go on from the initial value of their result, in one chain.
#: 2. Sums of more than 256 terms are made of blocks that begin at zero (``kernels/cpu/machine/micro_kernel.py``), and
#:    rows of convolutions of few channels add up the gradients of their weights in lanes (``network/lanes.py``).
#: 3. Bands of rows add up the gradients of these weights, and batch normalization in such a row takes its statistics in
#:    lanes (``kernels/cpu/fused/lane_norm.py``).
#: 4. A batch normalization behind a convolution takes its statistics image by image
#:    (``kernels/cpu/fused/conv_norm.py``). Images in lanes have Winograd's convolution, and input gradients leave out
#:    products with zeros.
NUMERICS = 4

#: How the full name of every module of tinycnn begins; a class from any other module is somebody else's.
PACKAGE = "tinycnn."


def is_ours(thing: Any) -> bool:
    """Return whether a class or a function is defined in tinycnn itself.

    Examples
    --------
    >>> from tinycnn import layers
    >>> is_ours(layers.Dense), is_ours(int)
    (True, False)
    """
    return str(getattr(thing, "__module__", "")).startswith(PACKAGE)


def versions() -> dict[str, str]:
    """Return the versions of everything that the bits of a result depend on, apart from the machine."""
    ours = {"tinycnn": __version__, "numerics": str(NUMERICS)}
    return ours | {"python": python_version()} | {name: version(name) for name in ("numpy", "numba")}
