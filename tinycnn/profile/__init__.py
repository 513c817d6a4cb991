"""Measure where the time of a training step goes: the time and the speed of every step of the plan.

Convolutions and dense layers compute products, and their speed is counted in operations: one multiplication and one
addition for each term of their definition, whatever algorithm computes it. All other layers do little arithmetic on
many numbers, and their speed is the memory traffic that their definition needs: the input is read once and the result
is written once. This is the *roofline* model of Williams, Waterman & Patterson ("Roofline: an insightful visual
performance model for multicore architectures", 2009): a kernel is limited either by the arithmetic of the processor or
by its memory.

>>> from tinycnn import models, profile
>>> model = models.build("ladder_02")
>>> model.compile("adam", "sparse_categorical_crossentropy")
>>> result = profile.profile(model, batch_size=8, repeats=1)
>>> [entry.name for entry in result.entries]
['conv2d + max_pooling2d', 'flatten', 'dense']
>>> result.entries[0].unit, result.entries[0].forward.seconds > 0
('GFLOP/s', True)
"""

from ..core.public import listing
from ._entry import Entry, Pass
from ._measuring import WARM_UP, profile
from ._result import Profile
from ._work import flops

__all__ = ["WARM_UP", "Entry", "Pass", "Profile", "flops", "profile"]
__dir__ = listing(__name__)
