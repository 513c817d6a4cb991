"""After how many batches the moving averages of batch normalization can be trusted in prediction."""

import math

from ..layers import BatchNormalization
from ..sequential import Sequential

#: The share of a moving average that may still be what it began with.
SHARE = 0.05


def settles_after(model: Sequential) -> int:
    """Return after how many batches at most 5 % of every moving average is what it began with.

    An average that keeps the share ``momentum`` of itself in each batch has ``momentum ** n`` of its start after ``n``
    batches. Until that is small, a network that has learned well in training can be near chance in prediction.

    Returns
    -------
    int
        0 without batch normalization.

    Examples
    --------
    >>> from tinycnn import layers
    >>> settles_after(Sequential([layers.Input((4,)), layers.BatchNormalization(momentum=0.99), layers.Dense(2)]))
    299
    >>> settles_after(Sequential([layers.Input((4,)), layers.Dense(2)]))
    0
    """
    momenta = [layer.momentum for layer in model.layers if isinstance(layer, BatchNormalization)]
    slow = [momentum for momentum in momenta if 0 < momentum < 1]  # the others never move, or are never late
    return max((math.ceil(math.log(SHARE) / math.log(momentum)) for momentum in slow), default=0)
