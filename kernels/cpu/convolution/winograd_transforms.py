"""Winograd's convolution F(4×4, 3×3): 36 multiplications where the definition takes 144.

Sixteen neighbouring results of a 3×3 convolution depend on a tile of 6×6 numbers. In one dimension, the 4 results of a
filter of 3 taps are coefficients of a product of polynomials, and this product can be found from its values at 6
points: transform tile and filter to their values there, multiply point by point, and transform back. For rows and
columns:

    Y = A^T [ (G g G^T) * (B^T d B) ] A

The sum over channels comes before the transform back. So there is a product of matrices at each of the 36 points,
(tiles × channels) by (channels × filters), and all transforms together are a small part of the work. Sources: Winograd,
"Arithmetic complexity of computations", 1980; Lavin & Gray, "Fast algorithms for convolutional neural networks", 2016.

The input gradient is the same convolution of dy by the filter turned round. The weight gradient is the transposed
algorithm, ``dg = G^T [ (A dY A^T) * (B^T d B) ] G`` or F(3×3, 4×4); it sums over tiles before it transforms back.

The points are 0, ±1/√2, ±√2 and infinity. Rounding errors are amplified by the spread of the points' powers: the usual
0, ±1, ±2 reach 8 where these reach 2.8. As they are pairs ±p, they also share the sums over even and over odd powers.
The largest error against float64, relative to the largest result, is 1e-6 to 3e-6 in float32 and 2e-15 to 6e-15 in
float64, at 32 to 128 channels; the direct product's is 0.3e-6 to 1.3e-6. A NaN or an infinity makes NaN of all results
of its tiles, not only of those whose window it lies in.
"""

import numpy as np
from llvmlite import ir

from ..machine.vectors import VectorWriter
from ..machine.written import written

_INDEX = ir.IntType(64)

P = 0.5**0.5  # the points are ±P and ±2P; their squares are 1/2 and 2, whose product is 1


def values_of_inputs(d):
    """Return ``B^T d`` of 6 neighbouring inputs.

    The row of point p in B^T has the coefficients of the polynomial whose roots are the other points.
    """
    even, odd = (d[4] - d[2] * 2.0, d[4] - d[2] * 0.5), (d[3] - d[1] * 2.0, d[3] - d[1] * 0.5)
    return [
        d[4] - d[2] * 2.5 + d[0],
        even[0] + odd[0] * P,
        even[0] - odd[0] * P,
        even[1] + odd[1] * (2 * P),
        even[1] - odd[1] * (2 * P),
        d[5] - d[3] * 2.5 + d[1],
    ]


def values_of_filter(g):
    """Return ``G g``: the polynomial of 3 taps at each point, divided by the point's distances from the others."""
    even, odd = (g[0] + g[2] * 0.5, g[0] + g[2] * 2.0), (g[1] * P, g[1] * (2 * P))
    return [
        g[0],
        (even[0] + odd[0]) * (-2 / 3),
        (even[0] - odd[0]) * (-2 / 3),
        (even[1] + odd[1]) * (1 / 6),
        (even[1] - odd[1]) * (1 / 6),
        g[2],
    ]


def values_of_gradient(y):
    """Return ``A y``: the polynomial of 4 gradients at each point."""
    even, odd = (y[0] + y[2] * 0.5, y[0] + y[2] * 2.0), (y[1] + y[3] * 0.5, y[1] + y[3] * 2.0)
    return [
        y[0],
        even[0] + odd[0] * P,
        even[0] - odd[0] * P,
        even[1] + odd[1] * (2 * P),
        even[1] - odd[1] * (2 * P),
        y[3],
    ]


def results(m):
    """Return ``A^T m``: from values at the points to 4 neighbouring results."""
    near, far = m[1] + m[2], m[3] + m[4]
    near_odd, far_odd = m[1] - m[2], m[3] - m[4]
    return [
        m[0] + near + far,
        (near_odd + far_odd * 2.0) * P,
        near * 0.5 + far * 2.0,
        (near_odd + far_odd * 8.0) * (P / 2) + m[5],
    ]


def filter_gradient(u):
    """Return ``G^T u``: from values at the points to the gradients of 3 taps."""
    near, far = (u[1] + u[2]) * (-2 / 3), (u[3] + u[4]) * (1 / 6)
    near_odd, far_odd = (u[1] - u[2]) * (-2 / 3 * P), (u[3] - u[4]) * (1 / 3 * P)
    return [u[0] + near + far, near_odd + far_odd, near * 0.5 + far * 2.0 + u[5]]


def both_ways(transform, size, read):
    """Apply a transform to the columns, then to the rows, of a square of ``size``; yield (row, column, value)."""
    columns = [transform([read(i, j) for i in range(size)]) for j in range(size)]
    for i in range(len(columns[0])):
        for j, value in enumerate(transform([column[i] for column in columns])):
            yield i, j, value


class _Vector:
    """A value whose arithmetic writes instructions, so that the formulas above also serve as their own compiler."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __add__(self, other):
        return _Vector(self.builder, self.builder.fadd(self.value, other.value, ("contract",)))

    def __sub__(self, other):
        return _Vector(self.builder, self.builder.fsub(self.value, other.value, ("contract",)))

    def __mul__(self, factor):
        factors = ir.Constant(self.value.type, [factor] * self.value.type.count)
        return _Vector(self.builder, self.builder.fmul(self.value, factors, ("contract",)))


class _TileWriter(VectorWriter):
    """Reads vectors that the formulas can be applied to, from tiles that may reach beyond an image."""

    def load(self, place):
        """Load a vector, as an operand of the formulas."""
        return _Vector(self.builder, super().load(place))

    def inside(self, i, j, height, width):
        """Write whether row i and column j lie within the tile's part of the image."""
        builder = self.builder
        return builder.and_(
            builder.icmp_signed(">", height, ir.Constant(_INDEX, i)),
            builder.icmp_signed(">", width, ir.Constant(_INDEX, j)),
        )


def tile_transform(transform, size, part=False):
    """Return an intrinsic that applies a transform to the rows and columns of one square, for a number of channels.

    Parameters
    ----------
    transform : function
        One of those above.
    size : int
        Rows and columns of the source's square.
    part : bool
        Whether a part of the square may not exist; numbers there count as zero.

    Returns
    -------
    intrinsic
        Its parameters are those of :func:`result_tile` as far as ``height, width``: rows and columns that the source
        has.
    """

    def in_python(count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width):
        def read(i, j):
            place = s_start + i * s_row + j * s_column
            inside = not part or (i < height and j < width)
            return source[place : place + count] if inside else np.zeros(count, source.dtype)

        for i, j, value in both_ways(transform, size, read):
            place = t_start + i * t_row + j * t_column
            target[place : place + count] = value

    @written(in_python, _TileWriter)
    def whole_tile(write, count, source, s_row, s_column, target, t_row, t_column, height, width):
        def body(channel):
            def read(i, j):
                place = write.place(source, s_row, s_column, i, j, channel)
                return write.load_if(write.inside(i, j, height, width), place) if part else write.load(place)

            for i, j, value in both_ways(transform, size, read):
                write.store(value.value, write.place(target, t_row, t_column, i, j, channel))

        write.loop(count, body)

    return whole_tile


input_tile = tile_transform(values_of_inputs, 6)
filter_tile = tile_transform(values_of_filter, 3)
gradient_tile = tile_transform(values_of_gradient, 4, part=True)
filter_gradient_tile = tile_transform(filter_gradient, 6)


def _result_in_python(
    count, source, s_start, s_row, s_column, target, t_start, t_row, t_column, height, width, bias, b_start, floor
):
    def read(i, j):
        place = s_start + i * s_row + j * s_column
        return source[place : place + count]

    for i, j, value in both_ways(results, 6, read):
        if i < height and j < width:
            value = value + bias[b_start : b_start + count]
            place = t_start + i * t_row + j * t_column
            target[place : place + count] = np.where(value < floor, floor, value)


@written(_result_in_python, _TileWriter)
def result_tile(write, count, source, s_row, s_column, target, t_row, t_column, height, width, bias, floor):
    """Transform values at the points to results; add the bias, apply the floor, and store the part inside the image.

    Parameters
    ----------
    count : int
        Number of channels.
    source : flat array
        The square begins at ``source[s_start]``.
    s_start, s_row, s_column : int
        Its start, and the distances between its rows and columns.
    target : flat array
        Its square begins at ``target[t_start]``.
    t_start, t_row, t_column : int
    height, width : int
        Rows and columns of the result that lie inside the image.
    bias : flat array
        It is read from ``bias[b_start]`` on.
    b_start : int
    floor : number
        0 for a ReLU, else minus infinity.
    """
    floor = write.spread(floor)

    def body(channel):
        offset = write.load(write.at(bias, channel))

        def read(i, j):
            return write.load(write.place(source, s_row, s_column, i, j, channel))

        for i, j, value in both_ways(results, 6, read):
            with write.builder.if_then(write.inside(i, j, height, width)):
                value = write.at_least((value + offset).value, floor)
                write.store(value, write.place(target, t_row, t_column, i, j, channel))

    write.loop(count, body)
