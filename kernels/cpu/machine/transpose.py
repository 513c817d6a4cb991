"""Transposing a matrix in squares whose side is the length of a vector.

Number by number, a transposition costs half as much as the product of 128 rows that needs it, because each number is
read from another line of memory. A square of L rows is read by rows instead, as L vectors, and transposed in registers
in log2(L) rounds: squares of half the size trade places, then squares of a quarter of it within each of these, down to
single numbers (Eklundh, "A fast computer method for matrix transposing", 1972).
"""

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import helper
from .vectors import VectorWriter
from .written import written


@helper
def transpose(matrix, start, rows, columns, row, out, out_start, out_row):
    """Compute ``out[j, i] = matrix[i, j]`` on flat arrays.

    Parameters
    ----------
    matrix : flat array
        The matrix begins at ``matrix[start]``.
    start, rows, columns : int
    row : int
        Distance between the rows of the matrix.
    out : flat array
        The result begins at ``out[out_start]``.
    out_start : int
    out_row : int
        Distance between the rows of the result.
    """
    side = square_side(out)
    down, across = rows // side * side, columns // side * side
    for i in range(0, down, side):
        for j in range(0, across, side):
            square(matrix, start + i * row + j, row, out, out_start + j * out_row + i, out_row)
    for i in range(rows):
        for j in range(across if i < down else 0, columns):
            out[out_start + j * out_row + i] = matrix[start + i * row + j]


@intrinsic
def square_side(typingctx, array):
    """Return the number of rows and columns of a square: as many as a vector holds numbers."""

    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, VectorWriter(builder, array.dtype).lanes)

    return types.intp(array), generate


def _square_in_python(matrix, start, row, out, out_start, out_row):
    for i in range(4):
        for j in range(4):
            out[out_start + j * out_row + i] = matrix[start + i * row + j]


@written(_square_in_python, VectorWriter)
def square(write, matrix, row, out, out_row):
    """Transpose one square, whose rows lie ``row`` apart; else the parameters are those of :func:`transpose`."""
    builder, lanes = write.builder, range(write.lanes)
    vectors = [write.load(write.at(matrix, builder.mul(row, write.constant(i)))) for i in lanes]
    for i, vector in enumerate(transposed(builder, vectors)):
        write.store(vector, write.at(out, builder.mul(out_row, write.constant(i))))


def transposed(builder, vectors):
    """Return the columns of a square whose rows are given."""
    half = len(vectors) // 2
    while half:
        vectors, half = _trade(builder, vectors, half), half // 2
    return vectors


def _trade(builder, vectors, half):
    """Exchange the upper right and the lower left quarter, in each square of ``2 * half`` rows."""
    lanes = len(vectors)
    columns = range(lanes)
    above = [j if j // half % 2 == 0 else lanes + j - half for j in columns]
    below = [j + half if j // half % 2 == 0 else lanes + j for j in columns]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), lanes), mask) for mask in (above, below)]
    traded = list(vectors)
    for i in range(lanes):
        if i // half % 2 == 0:
            pair = vectors[i], vectors[i + half]
            traded[i], traded[i + half] = (builder.shuffle_vector(*pair, mask) for mask in masks)
    return traded


if numba.config.DISABLE_JIT:

    def square_side(array):
        """Return the side that :func:`square` takes in plain Python."""
        return 4
