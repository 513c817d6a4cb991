"""The affine map of a batch normalisation in inference, on pixels that a convolution has just computed."""

import numba
from numba import types
from numba.extending import intrinsic

from .memory import address
from .vectors import VectorWriter


@intrinsic
def normalise_pixel(typingctx, count, z, start, mean, scale, shift):
    """Compute ``z = (z - mean) * scale + shift`` in place, for one pixel.

    Parameters
    ----------
    count : int
        Number of channels.
    z : flat array
        The pixel begins at ``z[start]``.
    start : int
    mean, scale, shift : (C,) arrays
    """
    index = types.intp
    signature = types.void(index, z, index, mean, scale, shift)
    if not z.dtype == mean.dtype == scale.dtype == shift.dtype:
        return None

    def generate(context, builder, signature, args):
        count, z, start, *channelwise = args
        write = VectorWriter(builder, signature.args[1].dtype)
        z = address(context, builder, signature.args[1], z, start)
        zero = context.get_constant(index, 0)
        tables = [
            address(context, builder, kind, table, zero)
            for kind, table in zip(signature.args[3:], channelwise, strict=True)
        ]

        def body(channel):
            place = write.at(z, channel)
            mean, scale, shift = (write.load(write.at(table, channel)) for table in tables)
            centred = builder.fsub(write.load(place), mean, ("contract",))
            write.store(builder.fadd(builder.fmul(centred, scale, ("contract",)), shift, ("contract",)), place)

        write.loop(count, body)
        return context.get_dummy_value()

    return signature, generate


def _in_python(count, z, start, mean, scale, shift):
    """Do the same in NumPy: this runs under ``NUMBA_DISABLE_JIT=1``."""
    pixel = z[start : start + count]
    pixel[...] = (pixel - mean) * scale + shift


if numba.config.DISABLE_JIT:
    normalise_pixel = _in_python
