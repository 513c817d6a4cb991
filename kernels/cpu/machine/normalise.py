"""What batch normalisation does to rows that are in the cache: sums, its affine map, and its gradient."""

import math

from .columns import moments
from .jit import helper
from .memory import copy
from .parallel import parallel
from .vectors import VectorWriter
from .written import written


@parallel
def affine_tables(item, worker, gamma, beta, mean, variance, epsilon, lanes, tables):
    """Write mean, scale and shift into three tables: ``y = (x - mean) * scale + shift`` is the normalisation.

    Parameters
    ----------
    item, worker : int
    gamma, beta, mean, variance : (C,) arrays
    epsilon : number
    lanes : int
        How many numbers of each channel are neighbours.
    tables : (3, lanes * C * times) array
        Each row holds ``lanes`` numbers for each channel, and then the same again.
    """
    fill_affine_tables(gamma, beta, mean, variance, epsilon, lanes, tables)


@helper
def fill_affine_tables(gamma, beta, mean, variance, epsilon, lanes, tables):
    """Do the work of :func:`affine_tables`."""
    for i in range(tables.shape[1]):
        c = i // lanes % gamma.size
        tables[0, i] = mean[c]
        tables[1, i] = gamma[c] / math.sqrt(variance[c] + epsilon)
        tables[2, i] = beta[c]


@helper
def affine(x, mean, scale, shift, y):
    """Compute ``y = (x - mean) * scale + shift`` for some rows, with one number per column of each."""
    for m in range(x.shape[0]):
        for c in range(mean.size):
            y[m, c] = (x[m, c] - mean[c]) * scale[c] + shift[c]


@helper
def input_gradient(dy, x, dx, mean, scale, slope, shift):
    """Compute ``dx = scale*dy + slope*(x - mean) + shift`` for some rows, with one number per column of each."""
    for m in range(x.shape[0]):
        for c in range(mean.size):
            dx[m, c] = scale[c] * dy[m, c] + slope[c] * (x[m, c] - mean[c]) + shift[c]


@helper
def moments_of(values, start, count, mean, square):
    """Compute :func:`moments` of ``count`` numbers from ``values[start]`` on, in rows as long as ``mean``."""
    width = mean.size
    moments(values[start : start + count].reshape((count // width, width)), mean, square)


@helper
def back_through_norm(dy, dy_start, z, z_start, count, relu, tables, dz, dz_start, there):
    """Compute the gradient by what a convolution gave its ReLU, from the gradient by a normalisation behind that.

    This is ``scale*dy + slope*(z - mean) + shift`` where the ReLU's result z is positive, else 0.

    Parameters
    ----------
    dy, z : flat arrays
        They are read from ``dy_start`` and ``z_start`` on.
    dy_start, z_start, count : int
    relu : bool
        Whether there is a ReLU.
    tables : (4, width) array
        Mean, scale, slope and shift for each number of a row; ``count`` numbers are whole rows.
    dz : flat array
        It is written from ``dz_start`` on.
    dz_start : int
    there : bool
        Whether dz holds dy already.
    """
    mean, scale, slope, shift = tables[0], tables[1], tables[2], tables[3]
    width, nothing = mean.size, dz.dtype.type(0)
    for at in range(0, count, width):
        if not there:
            copy(dz, dz_start + at, dy, dy_start + at, width)
        row, values = dz[dz_start + at : dz_start + at + width], z[z_start + at : z_start + at + width]
        for c in range(width):
            gradient = scale[c] * row[c] + slope[c] * (values[c] - mean[c]) + shift[c]
            row[c] = gradient if (not relu) | (values[c] > nothing) else nothing


def _normalise_in_python(count, z, start, mean, scale, shift):
    pixel = z[start : start + count]
    pixel[...] = (pixel - mean) * scale + shift


@written(_normalise_in_python, VectorWriter)
def normalise_pixel(write, count, z, mean, scale, shift):
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
    builder = write.builder

    def body(channel):
        place = write.at(z, channel)
        means, scales, shifts = (write.load(write.at(table, channel)) for table in (mean, scale, shift))
        centred = builder.fsub(write.load(place), means, ("contract",))
        write.store(builder.fadd(builder.fmul(centred, scales, ("contract",)), shifts, ("contract",)), place)

    write.loop(count, body)
