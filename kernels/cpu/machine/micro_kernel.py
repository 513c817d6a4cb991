"""A matrix product whose left factor is never built: the micro-kernel under convolutions and dense layers.

``C[r, f] = max(init[r, f] + sum_s A[r, s] * B[s, f], floor)`` with ``A[r, s] = a[rows[r] + steps[s]]``.

Every matrix that a convolution multiplies has that form: the address of a number in an image is the address of a pixel
plus the offset of a tap. With ``rows`` the output pixels and ``steps`` the taps, A is the im2col matrix and C the
result. With the two tables exchanged, A is its transpose and C the gradient of the weights. With rows and columns in
their place, A is an ordinary matrix. Strides, dilation and groups are in the tables, so no code here knows of them.

The product goes by tiles of C of up to 8 rows by 2 vectors. A tile stays in registers while one loop runs over s, which
loads two vectors of B and then, for each row, one number of A, spread over a vector, for two fused multiply-adds. That
is the micro-kernel of Goto & van de Geijn ("Anatomy of high-performance matrix multiplication", 2008) and Van Zee & van
de Geijn ("BLIS", 2015), with the table of pointers of Dukhan ("The indirect convolution algorithm", 2019) in place of
a packed A. LLVM does not find this form in a loop nest, so the intrinsic below writes it down, instruction by
instruction. There are eight rows because their eight addresses fit into the integer registers, and because eight sums
are the fewest that hide the latency of a multiply-add.

Each element of C is summed over s in blocks of :data:`DEPTH` steps, in order, whatever tile it lies in: its bits depend
on nothing else. A block's sum begins at zero and is added to C at its end, so that rounding errors grow with the length
of a block and the number of blocks, and not with their product.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types

from .jit import by_itself, helper
from .memory import call_address, copy, strided
from .tile import TileWriter, tile_of
from .vectors import REGISTERS, VECTOR_BYTES
from .written import written

_INT = ir.IntType(32)

TALL = (8, 4, 2, 1)  # heights of tiles that are one vector wide
# The heights of tiles that are two vectors wide: they use 2 * height + 3 of 32 registers, or of 16.
WIDE = TALL if REGISTERS == 32 else (6, 4, 2, 1)
DEPTH = 256  # steps after which sums go to memory: this many rows of a panel stay in the nearest cache


def _product_in_python(
    micro, m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c, start, c_row
):
    places = a_start + rows[row : row + m, None] + steps[step : step + k]
    if micro:  # one of the products of :mod:`.lane_kernel`; 2 is the one in which B is vectors, too
        left = np.moveaxis(a[places[..., None] + np.arange(16)], -1, 0)
        total = left @ b[_grid(b_start, k, b_row, f, micro == 2)]
        if i_row >= 0:
            total += init[_grid(i_start, m, i_row, f, i_row > 0)]
        c[_grid(start, m, c_row, f, True)] = np.where(total < floor, floor, total)
        return
    panel = panel_width(c.itemsize)
    for column in range(0, f, panel):
        width = min(panel, f - column)
        right = strided(b, b_start + column * k, k, width, b_row)
        total = strided(init, i_start + column, m, width, i_row) + a[places] @ right
        strided(c, start + column, m, width, c_row)[...] = np.where(total < floor, floor, total)


def _grid(start, rows, row, columns, vectors):
    """Return the places of a matrix whose elements are vectors of lanes, (16, rows, columns), or numbers."""
    lanes, apart = (16, 16) if vectors else (1, 1)
    return start + np.arange(lanes)[:, None, None] + np.arange(rows)[:, None] * row + np.arange(columns) * apart


@written(_product_in_python)
def product(write, micro, m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row):
    """Compute the product above for m rows, f columns and k > 0 steps, on flat arrays.

    Parameters
    ----------
    micro : int
        :func:`micro_kernel` of the arrays' dtype.
    m, f, k : int
        Rows and columns of C, and steps of the sum.
    a : flat array
        A's numbers; ``a[a_start + rows[row + r] + steps[step + s]]`` is A[r, s].
    a_start : int
    rows, steps : int64 arrays
        The two tables; they are read from ``rows[row]`` and ``steps[step]`` on.
    row, step : int
    b : flat array
        B begins at ``b[b_start]``. If it is no wider than a panel, its row s begins ``s * b_row`` further on; a wider
        one lies in panels, see :func:`pack`.
    b_start, b_row : int
    init : flat array
        Row r of the initial values begins at ``init[i_start + r*i_row]``. A bias has ``i_row = 0``; C itself may be
        given, to be added to.
    i_start, i_row : int
    floor : number
        0 for a ReLU, else minus infinity; NaN passes.
    c : flat array
        Row r of C begins at ``c[start + r*c_row]``.
    start, c_row : int
    """
    call_address(write.builder, micro, [m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row])


@functools.cache
def micro_kernel(dtype):
    """Return the address of the compiled micro-kernel for arrays of a dtype; it is compiled when first asked for."""
    if numba.config.DISABLE_JIT:
        return 0
    return _compiled(numba.from_dtype(np.dtype(dtype))).address


@functools.cache
def _compiled(number):
    """Compile the loop over tiles for one type of numbers."""
    pointer, index = types.CPointer(number), types.intp
    table = types.CPointer(types.int64)
    lanes = VECTOR_BYTES * 8 // number.bitwidth
    none = np.dtype(number.name).type(-np.inf)

    def micro_kernel(m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row):
        for s in range(0, k, DEPTH):
            depth, bound = min(DEPTH, k - s), floor if s + DEPTH >= k else none
            first, first_row = (init, i_row) if s == 0 else (c, c_row)
            for column in range(0, f, 2 * lanes):
                width, r = min(2 * lanes, f - column), 0
                while r < m:
                    height = tile_height(m - r, width > lanes)
                    _tile(
                        height, width, depth, a, 0, rows, r, steps, s, b, s * b_row + column * k, b_row,
                        first, r * first_row + column, first_row, bound, c, r * c_row + column, c_row,
                    )  # fmt: skip
                    r += height

    signature = types.void(
        index, index, index, pointer, table, table, pointer, index, pointer, index, number, pointer, index
    )
    return by_itself(signature, micro_kernel)


@helper
def tile_height(rows, wide):
    """Return the height of the tallest tile that fits into so many rows."""
    tallest = WIDE[0] if wide else TALL[0]
    if rows >= tallest:
        return tallest
    return 4 if rows >= 4 else (2 if rows >= 2 else 1)


@helper
def panel_width(dtype_bytes):
    """Return the number of columns of a panel: two vectors."""
    return 2 * VECTOR_BYTES // dtype_bytes


@helper
def pack(k, f, source, source_start, source_row, panels, start):
    """Lay out a wide B as :func:`product` reads it: panels of two vectors, with the k rows of each together.

    In a matrix of 64 or 128 columns, the same columns of all rows compete for a few lines of the nearest cache; in a
    panel they are neighbours. What lies beyond the last column is never stored, and is not set here.

    Parameters
    ----------
    k, f : int
        Rows and columns of B.
    source : flat array
        Row s of B begins at ``source[source_start + s*source_row]``.
    source_start, source_row : int
    panels : flat array
        The panels begin at ``panels[start]``.
    start : int
    """
    panel = panel_width(panels.itemsize)
    for column in range(0, f, panel):
        for s in range(k):
            at = start + column * k + s * panel
            copy(panels, at, source, source_start + s * source_row + column, min(panel, f - column))


def packed_size(k, f, itemsize):
    """Return how many numbers a B of k rows and f columns takes in panels; 0 if it needs none."""
    panel = 2 * VECTOR_BYTES // itemsize
    return k * -(-f // panel) * panel if f > panel else 0


class _PanelTile(TileWriter):
    """Writes the instructions of a tile, for every height and both widths, and a switch between them.

    A tile's height m is one of ``TALL`` if it is one vector wide, and of ``WIDE`` if it is two; f is its width.
    """

    def all_sizes(self, m, f):
        """Write one block for each size of a tile, with a last vector that is whole or partly outside C."""
        builder, self.f = self.builder, f
        end = builder.append_basic_block("end")
        for heights, vectors in ((WIDE, 2), (TALL, 1)):
            width = self.constant(vectors * self.lanes)
            for whole in (True, False):
                condition = builder.icmp_signed("==" if whole else "<", f, width)
                if not whole:  # what is no wider than one vector belongs to the blocks of one
                    wider = builder.icmp_signed(">", f, self.constant((vectors - 1) * self.lanes))
                    condition = builder.and_(wider, condition)
                with builder.if_then(condition):
                    self.sizes(m, {rows: (rows, vectors, whole) for rows in heights}, self.one_size, end)
                    builder.position_at_end(builder.append_basic_block("never"))
        builder.branch(end)
        builder.position_at_end(end)

    def one_size(self, rows, vectors, whole):
        """Write a tile of fixed size, whose last vector is ``whole`` or partly outside C.

        Where it is partly outside, the vectors of most rows of B may still be loaded whole: what is behind a row is the
        next one, and what comes of it is never stored. Only the last rows are loaded with a mask, because the memory
        behind them may belong to nobody. A mask at every step would cost two registers, and a branch on some machines.
        """
        builder, zero = self.builder, self.constant(0)
        missing = builder.sub(self.constant(vectors * self.lanes), self.f)
        mask, loops = None, [(zero, self.k, None)]
        if not whole:
            lanes = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
            inside = builder.trunc(builder.sub(self.constant(self.lanes), missing), _INT)
            mask = builder.icmp_signed("<", lanes, self.spread(inside))
            up = builder.sub(builder.add(missing, self.b_row), self.constant(1))
            unmasked = builder.sub(self.k, builder.udiv(up, self.b_row))
            loops = [(zero, unmasked, None), (unmasked, self.k, mask)]
        sums, floor = self.add_up(rows, vectors, self.multiply, *loops), self.spread(self.floor)
        for r in range(rows):
            first = self.load_row(self.row(self.init, self.i_row, r), vectors, mask)
            values = [self.at_least(builder.fadd(*pair), floor) for pair in zip(first, sums[r], strict=True)]
            for value, place in self.places(self.row(self.c, self.c_row, r), values, mask):
                self.store(value, place)

    def multiply(self, pointers, offset, b, sums, mask):
        """Write a step: two vectors of B, and for each row a number of A that is spread over a vector."""
        right, totals = self.load_row(b, len(sums[0]), mask), []
        for pointer, row in zip(pointers, sums, strict=True):
            left = self.spread(self.entry(pointer, offset))
            totals.append([self.fma(left, *pair) for pair in zip(right, row, strict=True)])
        return totals

    def load_row(self, pointer, count, mask):
        """Load neighbouring vectors of a row."""
        return [self.load(place) for _, place in self.places(pointer, range(count), mask)]

    def places(self, pointer, vectors, mask):
        """Yield each of neighbouring vectors with its place; the mask is for the last one, which C may cut off."""
        for number, vector in enumerate(vectors, 1):
            self.mask = mask if number == len(vectors) else None
            yield vector, self.at(pointer, self.constant((number - 1) * self.lanes))
        self.mask = None


_tile = tile_of(_PanelTile)
