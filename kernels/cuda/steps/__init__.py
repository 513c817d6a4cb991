"""A convolution in four steps, each faster than the one before, to be read one after the other.

1. :mod:`.naive`: a thread per result, which reads everything it needs from memory.
2. :mod:`.coalesced`: the same, with neighbouring threads at neighbouring numbers.
3. :mod:`.shared`: a block of threads fetches tiles into shared memory and multiplies from there.
4. :mod:`.registers`: each thread computes a small block of results, from registers.

The last is what the backend uses for everything, with more room for tuning: :mod:`.._product`. To be easy to read these
steps take stride 1, no dilation and one group only; ``forward(x, w, pads, out)`` in each.
"""

from . import coalesced, naive, registers, shared

STEPS = {"naive": naive, "coalesced": coalesced, "shared memory": shared, "register-blocked": registers}
