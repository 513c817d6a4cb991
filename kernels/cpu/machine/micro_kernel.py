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
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import by_itself, helper
from .memory import address, copy
from .vectors import REGISTERS, VECTOR_BYTES, VectorTypes

_BOOL, _INT, _INDEX = ir.IntType(1), ir.IntType(32), ir.IntType(64)

TALL = (8, 4, 2, 1)  # heights of tiles that are one vector wide
# The heights of tiles that are two vectors wide: they use 2 * height + 3 of 32 registers, or of 16.
WIDE = TALL if REGISTERS == 32 else (6, 4, 2, 1)
DEPTH = 256  # steps after which sums go to memory: this many rows of a panel stay in the nearest cache


@intrinsic
def product(
    typingctx, micro, m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c,
    start, c_row,
):  # fmt: skip
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
    index, number = types.intp, a.dtype
    signature = types.void(
        index, index, index, index, a, index, rows, index, steps, index, b, index, index, init, index, index, number,
        c, index, index,
    )  # fmt: skip
    if not number == b.dtype == init.dtype == c.dtype:
        return None

    def generate(context, builder, signature, args):
        micro, m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor = args[:17]
        c, start, c_row = args[17:]
        kinds = signature.args
        pairs = zip(
            (kinds[4], kinds[6], kinds[8], kinds[10], kinds[13], kinds[17]), (a, rows, steps, b, init, c),
            (a_start, row, step, b_start, i_start, start), strict=True,
        )  # fmt: skip
        a, rows, steps, b, init, c = (address(context, builder, *pair) for pair in pairs)
        arguments = [m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row]
        layout = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.inttoptr(micro, layout.as_pointer()), arguments)
        return context.get_dummy_value()

    return signature, generate


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
                    tile(
                        height, width, depth, a, rows, r, steps, s, b, s * b_row + column * k, b_row,
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


@intrinsic
def tile(
    typingctx, m, f, k, a, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c, start, c_row
):
    """Compute one tile of a product, on pointers.

    Its height m is one of ``TALL`` if it is one vector wide, and of ``WIDE`` if it is two. The parameters are those of
    :func:`product`, but ``row``, ``step``, ``b_start``, ``i_start`` and ``start`` are offsets of the tile, and f is its
    width.
    """
    index = types.intp
    signature = types.void(
        index, index, index, a, rows, index, steps, index, b, index, index, init, index, index, floor, c, index, index
    )

    def generate(context, builder, signature, args):
        m, f, k, a, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c, start, c_row = args
        write = _TileWriter(builder, signature.args[3].dtype, f)
        write.k, write.b_row, write.i_row, write.c_row, write.floor = k, b_row, i_row, c_row, floor
        write.a, write.rows, write.steps = a, builder.gep(rows, [row]), builder.gep(steps, [step])
        write.b, write.init, write.c = builder.gep(b, [b_start]), builder.gep(init, [i_start]), builder.gep(c, [start])
        write.all_sizes(m, f)
        return context.get_dummy_value()

    return signature, generate


class _TileWriter(VectorTypes):
    """Writes the instructions of a tile, for every height and both widths, and a switch between them."""

    def __init__(self, builder, dtype, f):
        super().__init__(builder, dtype)
        self.f = f

    def all_sizes(self, m, f):
        """Write one block for each size of a tile, with a last vector that is whole or partly outside C."""
        builder = self.builder
        end = builder.append_basic_block("end")
        for heights, vectors in ((WIDE, 2), (TALL, 1)):
            width = self.constant(vectors * self.lanes)
            for whole, fits in ((True, "=="), (False, "<")):
                if not whole:  # what is no wider than one vector belongs to the blocks of one
                    narrower = builder.icmp_signed(">", f, self.constant((vectors - 1) * self.lanes))
                    condition = builder.and_(narrower, builder.icmp_signed(fits, f, width))
                else:
                    condition = builder.icmp_signed(fits, f, width)
                with builder.if_then(condition):
                    blocks = [builder.append_basic_block(f"tile_{rows}x{vectors}") for rows in heights]
                    switch = builder.switch(m, blocks[0])
                    for rows, block in zip(heights, blocks, strict=True):
                        if block is not blocks[0]:
                            switch.add_case(self.constant(rows), block)
                        builder.position_at_end(block)
                        self.one_size(rows, vectors, whole)
                        builder.branch(end)
                    builder.position_at_end(builder.append_basic_block("never"))
        builder.branch(end)
        builder.position_at_end(end)

    def one_size(self, rows, vectors, whole):
        """Write a tile of fixed size, whose last vector is ``whole`` or partly outside C.

        Where it is partly outside, the vectors of most rows of B may still be loaded whole: what is behind a row is the
        next one, and what comes of it is never stored. Only the last rows are loaded with a mask, because the memory
        behind them may belong to nobody. A mask at every step would cost two registers, and a branch on some machines.
        """
        builder = self.builder
        missing = builder.sub(self.constant(vectors * self.lanes), self.f)
        self.mask, masked_steps = None, self.constant(0)
        if not whole:
            lanes = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
            inside = builder.trunc(builder.sub(self.constant(self.lanes), missing), _INT)
            self.mask = builder.icmp_signed("<", lanes, self.spread(inside))
            up = builder.sub(builder.add(missing, self.b_row), self.constant(1))
            masked_steps = builder.udiv(up, self.b_row)
        pointers = [builder.gep(self.a, [self.entry(self.rows, self.constant(r))]) for r in range(rows)]
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        sums = [[zero] * vectors for _ in range(rows)]
        unmasked = builder.sub(self.k, masked_steps)
        sums = self.steps_loop(self.constant(0), unmasked, pointers, sums, masked=False)
        if not whole:
            start = builder.select(builder.icmp_signed("<", unmasked, self.constant(0)), self.constant(0), unmasked)
            sums = self.steps_loop(start, self.k, pointers, sums, masked=True)
        for r in range(rows):
            first = self.load_row(self.row(self.init, self.i_row, r), vectors, masked=not whole)
            values = [builder.fadd(*pair) for pair in zip(first, sums[r], strict=True)]
            self.store_row(self.row(self.c, self.c_row, r), values)

    def steps_loop(self, start, end, pointers, sums, *, masked):
        """Write the loop over steps ``start`` … ``end - 1``, of which there may be none; return the new sums."""
        builder = self.builder
        loop, after = builder.append_basic_block("s"), builder.append_basic_block("done")
        b_start = builder.gep(self.b, [builder.mul(start, self.b_row)])
        before = builder.block
        builder.cbranch(builder.icmp_signed("<", start, end), loop, after)
        builder.position_at_end(loop)
        s, b = builder.phi(_INDEX), builder.phi(self.b.type)
        running = [[builder.phi(self.vector) for _ in row] for row in sums]
        offset = self.entry(self.steps, s)
        right = self.load_row(b, len(sums[0]), masked=masked)
        fma = self.function("fma", self.vector, [self.vector] * 3)
        totals = []
        for pointer, row_sums in zip(pointers, running, strict=True):
            left = self.spread(builder.load(builder.gep(pointer, [offset])))
            totals.append([builder.call(fma, [left, *pair]) for pair in zip(right, row_sums, strict=True)])
        s_next, b_next = builder.add(s, self.constant(1)), builder.gep(b, [self.b_row])
        self.not_unrolled(builder.cbranch(builder.icmp_signed("<", s_next, end), loop, after))
        flat = [
            (s, start, s_next),
            (b, b_start, b_next),
            *(item for rows in zip(running, sums, totals, strict=True) for item in zip(*rows, strict=True)),
        ]
        for phi, first, following in flat:
            phi.add_incoming(first, before)
            phi.add_incoming(following, loop)
        builder.position_at_end(after)
        results = [[builder.phi(self.vector) for _ in row] for row in sums]
        for result, first, total in (
            item for rows in zip(results, sums, totals, strict=True) for item in zip(*rows, strict=True)
        ):
            result.add_incoming(first, before)
            result.add_incoming(total, loop)
        return results

    def load(self, place):
        """Load a vector from any address."""
        value = self.builder.load(place)
        value.align = self.bytes
        return value

    def load_row(self, pointer, count, *, masked):
        """Load neighbouring vectors of a row; if ``masked``, the last one only as far as C is wide."""
        places = [self.vector_at(pointer, v) for v in range(count)]
        if not masked:
            return [self.load(place) for place in places]
        nothing = ir.Constant(self.vector, [0.0] * self.lanes)
        load = self.function("masked.load", self.vector, [places[-1].type, _INT, self.mask.type, self.vector], ".p0")
        last = self.builder.call(load, [places[-1], self.alignment, self.mask, nothing])
        return [*(self.load(place) for place in places[:-1]), last]

    def store_row(self, pointer, values):
        """Store a row of C with no number below the floor; a comparison with NaN is false, so NaN stays."""
        builder, floor = self.builder, self.spread(self.floor)
        values = [builder.select(builder.fcmp_ordered("<", value, floor), floor, value) for value in values]
        places = [self.vector_at(pointer, v) for v in range(len(values))]
        whole = len(values) if self.mask is None else len(values) - 1
        for value, place in zip(values[:whole], places[:whole], strict=True):
            builder.store(value, place).align = self.bytes
        if self.mask is None:
            return
        kinds = [self.vector, places[-1].type, _INT, self.mask.type]
        save = self.function("masked.store", ir.VoidType(), kinds, ".p0")
        builder.call(save, [values[-1], places[-1], self.alignment, self.mask])

    def entry(self, table, index):
        """Load the number at an index of a table."""
        return self.builder.load(self.builder.gep(table, [index]))

    def row(self, pointer, distance, r):
        """Return a pointer to row r, where rows are ``distance`` apart."""
        return self.builder.gep(pointer, [self.builder.mul(distance, self.constant(r))])

    def vector_at(self, pointer, v):
        """Return a pointer to the v-th vector behind a pointer."""
        place = self.builder.gep(pointer, [self.constant(v * self.lanes)])
        return self.builder.bitcast(place, self.vector.as_pointer())

    @property
    def alignment(self):
        """The alignment of a vector's numbers: the vector may begin anywhere."""
        return ir.Constant(_INT, self.bytes)

    def function(self, name, result, arguments, suffix=""):
        """Return an LLVM intrinsic on this writer's vectors."""
        kind = f"v{self.lanes}f{self.bytes * 8}"
        return cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(result, arguments), f"llvm.{name}.{kind}{suffix}"
        )


def _python_form():
    """Return the definition in NumPy, for a debugger and for coverage: it runs under ``NUMBA_DISABLE_JIT=1``."""

    def matrix(flat, start, rows, columns, row):
        item = flat.itemsize
        return np.lib.stride_tricks.as_strided(flat[start:], (rows, columns), (row * item, item))

    def grid(start, rows, row, columns, vectors):
        """Return the places of a matrix whose elements are vectors of lanes, (16, rows, columns), or numbers."""
        lanes, apart = (16, 16) if vectors else (1, 1)
        return start + np.arange(lanes)[:, None, None] + np.arange(rows)[:, None] * row + np.arange(columns) * apart

    def product(
        micro, m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c, start,
        c_row
    ):  # fmt: skip
        places = a_start + rows[row : row + m, None] + steps[step : step + k]
        if micro:  # one of the products of :mod:`.lane_kernel`; 2 is the one in which B is vectors, too
            left = np.moveaxis(a[places[..., None] + np.arange(16)], -1, 0)
            right = b[grid(b_start, k, b_row, f, micro == 2)]
            total = left @ right
            if i_row >= 0:
                total += init[grid(i_start, m, i_row, f, i_row > 0)]
            c[grid(start, m, c_row, f, True)] = np.where(total < floor, floor, total)
            return
        left = a[places]
        panel = panel_width(c.itemsize)
        for column in range(0, f, panel):
            width = min(panel, f - column)
            right = matrix(b, b_start + column * k, k, width, b_row)
            total = matrix(init, i_start + column, m, width, i_row) + left @ right
            matrix(c, start + column, m, width, c_row)[...] = np.where(total < floor, floor, total)

    return product


if numba.config.DISABLE_JIT:
    product = _python_form()
