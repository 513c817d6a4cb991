"""Hypothesis strategies for geometries, layers and losses with inputs that fit them, and small networks.

Nothing is drawn and thrown away: output sizes are drawn and input sizes follow from them. So every example is valid,
and shrinking ends at a small case. The numbers in arrays come from a seed, because a gradient check needs numbers in
general position, and Hypothesis prefers special ones (0, 1, equal numbers).

>>> from hypothesis import given
>>> from tinycnn import testing
>>> @given(testing.strategies.layers_with_inputs())
... def test_gradients(case):
...     layer, x = case
...     testing.check_gradients(layer, x)
"""

from ...core.public import listing
from ._values import arrays, separated_arrays
from .geometries import ConvGeometry, PoolGeometry, conv_geometries, pool_geometries
from .layers import layers_with_inputs, register
from .losses import losses_with_inputs, register_loss
from .networks import small_networks

__all__ = [
    "ConvGeometry",
    "PoolGeometry",
    "arrays",
    "conv_geometries",
    "layers_with_inputs",
    "losses_with_inputs",
    "pool_geometries",
    "register",
    "register_loss",
    "separated_arrays",
    "small_networks",
]
__dir__ = listing(__name__)
