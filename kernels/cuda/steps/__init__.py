"""A convolution in four steps, each faster than the one before, to be read one after the other.

1. :mod:`.naive`: a thread per result, which reads everything it needs from memory.
2. :mod:`.coalesced`: the same, with neighbouring threads at neighbouring numbers.
3. :mod:`.shared`: a block of threads fetches tiles into shared memory and multiplies from there.
4. :mod:`.registers`: each thread computes a small block of results, from registers.

The backend uses the last step for everything, with more room for tuning: :mod:`.._product`. To be easy to read, these
steps have only stride 1, no dilation and one group. Each has ``forward(x, w, pads, out)``.
"""

from . import coalesced, naive, registers, shared

STEPS = {"naive": naive, "coalesced": coalesced, "shared memory": shared, "register-blocked": registers}
