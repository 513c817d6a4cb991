"""The product of :mod:`.micro_kernel` for sixteen images at a time, one in each lane of a vector.

With channels in the lanes of a vector, a layer of 8 or 10 channels leaves lanes idle, and one input channel makes sums
of nine steps. In the layout ``(image blocks, H, W, C, LANES)`` a vector holds the same number of sixteen images, so all
lanes work whatever the number of channels is, and there is nothing to mask. Images were innermost in cuda-convnet, too
(Krizhevsky, "ImageNet classification with deep convolutional neural networks", 2012), as the C H W N of a whole batch.

Two products remain of the one: of images and weights, where an element of A and C is a vector of images and one of B is
a number, spread over the lanes; and of images and gradients, where all three are vectors, and which leaves a sum for
each lane (:func:`add_lanes` adds them up). Both are called by :func:`.micro_kernel.product`, with these differences:

* ``rows``, ``steps`` and all distances count numbers, so neighbours of A and C, and vectors of B, are ``LANES`` apart.
* B lies as it is; nothing is packed.
* Where ``i_row`` is 0, the initial values are a number for each column; where it is negative, the first product has
  none, and no floor; elsewhere they are vectors.

There are always sixteen lanes, which are one register, two or four, so that bits do not depend on the registers' width.
Each sum goes over the steps in order, in blocks that begin at zero.
"""

import functools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import by_itself, helper
from .memory import address
from .transpose import square_side, transposed
from .vectors import REGISTERS, VECTOR_BYTES, VectorTypes

LANES = 16
_INDEX = ir.IntType(64)
_MANY = REGISTERS == 32

#: Heights and widths of the tiles of both products, and how many sums leave registers for what they are made of.
SUMS = 24 if _MANY else 12
IMAGES_BY_WEIGHTS = ((3, 2, 1), (8, 4, 2, 1))
IMAGES_BY_GRADIENTS = ((6, 3, 2, 1) if _MANY else (3, 2, 1), (4, 2, 1))
DEPTH = 256  # steps after which the sums of the first product go to memory
RUN = 48  # the same for the second: so many pixels of an image and its gradient stay in the nearest cache
FEW = 16  # so many rows of the second do not repay a copy of the gradients that they are multiplied by


@functools.cache
def weights_kernel(dtype):
    """Return the address of the compiled product of images and weights."""
    return _address(dtype, False)


@functools.cache
def gradients_kernel(dtype):
    """Return the address of the compiled product of images and gradients."""
    return _address(dtype, True)


def _address(dtype, vectors):
    """Compile one of the products; in plain Python, :func:`.micro_kernel.product` tells them by these numbers."""
    if numba.config.DISABLE_JIT:
        return 2 if vectors else 1
    return _compiled(numba.from_dtype(np.dtype(dtype)), vectors).address


@functools.cache
def _compiled(number, vectors):
    """Compile the loops over tiles; with ``vectors``, the elements of B are vectors too."""
    pointer, index, table = types.CPointer(number), types.intp, types.CPointer(types.int64)
    part = VECTOR_BYTES * 8 // number.bitwidth
    none = np.dtype(number.name).type(-np.inf)

    def images_by_weights(m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row):
        for s in range(0, k, DEPTH):
            count, bound = min(DEPTH, k - s), floor if s + DEPTH >= k else none
            first, first_row = (init, i_row) if s == 0 else (c, c_row)
            apart = LANES if first_row > 0 else 1
            r = 0
            while r < m:
                # A single row has few sums to hide the latency of a multiply-add, so 4 rows are 2 and 2.
                height, column = 2 if m - r == 4 else _largest(IMAGES_BY_WEIGHTS[0], m - r), 0
                while column < f:
                    width = _largest(IMAGES_BY_WEIGHTS[1], min(f - column, SUMS // height))
                    for lane in range(0, LANES, part):
                        _weights_tile(
                            height, width, count, a, lane, rows, r, steps, s, b, s * b_row + column, b_row,
                            first, r * first_row + column * apart + (lane if first_row > 0 else 0), first_row, bound,
                            c, r * c_row + column * LANES + lane, c_row,
                        )  # fmt: skip
                    column += width
                r += height

    def images_by_gradients(m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row):
        panel, few = _panel(b), m <= FEW
        for s in range(0, k, RUN):
            count, column = min(RUN, k - s), 0
            first, first_row = (init, i_row) if s == 0 else (c, c_row)
            apart = LANES if first_row else 1
            while column < f:
                width, r = _largest(IMAGES_BY_GRADIENTS[1], f - column), 0
                near, near_start, row = (b, s * b_row + column * LANES, b_row) if few else (panel, 0, width * LANES)
                for i in range(0 if few else count):
                    if width == 4:  # the compiler writes a loop of known length without a loop
                        for v in range(4 * LANES):
                            panel[i * row + v] = b[(s + i) * b_row + column * LANES + v]
                    else:
                        for v in range(row):
                            panel[i * row + v] = b[(s + i) * b_row + column * LANES + v]
                while r < m:
                    height = _largest(IMAGES_BY_GRADIENTS[0], m - r)
                    for lane in range(0, LANES, part):
                        _gradients_tile(
                            height, width, count, a, lane, rows, r, steps, s, near, near_start + lane, row,
                            first, r * first_row + column * apart + (lane if first_row else 0), first_row, none,
                            c, r * c_row + column * LANES + lane, c_row,
                        )  # fmt: skip
                    r += height
                column += width

    signature = types.void(
        index, index, index, pointer, table, table, pointer, index, pointer, index, number, pointer, index
    )
    return by_itself(signature, images_by_gradients if vectors else images_by_weights)


@helper
def _largest(sizes, room):
    """Return the largest of descending sizes that fits; the last one is 1."""
    for size in sizes:
        if size <= room:
            break
    return size


@intrinsic
def _panel(typingctx, like):
    """Return a pointer to memory for a panel of gradients, which lasts until the calling function returns."""

    def generate(context, builder, signature, args):
        size = RUN * IMAGES_BY_GRADIENTS[1][0] * LANES
        memory = cgutils.alloca_once(builder, ir.ArrayType(args[0].type.pointee, size))
        memory.align = 64
        return builder.bitcast(memory, args[0].type)

    return like(like), generate


def _tile(heights, widths, vectors):
    """Return an intrinsic that computes one tile of one register's lanes, on pointers."""

    @intrinsic
    def tile(
        typingctx, m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c,
        start, c_row
    ):  # fmt: skip
        index = types.intp
        signature = types.void(
            index, index, index, a, index, rows, index, steps, index, b, index, index, init, index, index, floor, c,
            index, index,
        )  # fmt: skip

        def generate(context, builder, signature, args):
            m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor = args[:16]
            c, start, c_row = args[16:]
            write = _LaneTile(builder, signature.args[3].dtype, vectors)
            write.k, write.b_row, write.i_row, write.c_row, write.floor = k, b_row, i_row, c_row, floor
            write.a, write.rows, write.steps = (
                builder.gep(pointer, [at]) for pointer, at in ((a, a_start), (rows, row), (steps, step))
            )
            write.b, write.init, write.c = (
                builder.gep(pointer, [at]) for pointer, at in ((b, b_start), (init, i_start), (c, start))
            )
            write.all_sizes(m, f, heights, widths)
            return context.get_dummy_value()

        return signature, generate

    return tile


# They are global because Numba's cache does not find a function again whose closure holds functions.
_weights_tile = _tile(*IMAGES_BY_WEIGHTS, False)
_gradients_tile = _tile(*IMAGES_BY_GRADIENTS, True)


class _LaneTile(VectorTypes):
    """Writes the instructions of a tile of every size, and a switch between them."""

    def __init__(self, builder, dtype, vectors):
        super().__init__(builder, dtype)
        self.vectors = vectors

    def all_sizes(self, m, f, heights, widths):
        """Write one block for each size of a tile."""
        builder = self.builder
        end = builder.append_basic_block("end")
        switch_value = builder.add(builder.mul(m, self.constant(64)), f)
        blocks = {
            (height, width): builder.append_basic_block(f"lanes_{height}x{width}")
            for height in heights
            for width in widths
            if height * width <= SUMS
        }
        switch = builder.switch(switch_value, next(iter(blocks.values())))
        for number, ((height, width), block) in enumerate(blocks.items()):
            if number:
                switch.add_case(self.constant(height * 64 + width), block)
            builder.position_at_end(block)
            self.one_size(height, width)
            builder.branch(end)
        builder.position_at_end(end)

    def one_size(self, height, width):
        """Write the loop over the steps for a tile of fixed size, and what is done with its sums."""
        builder = self.builder
        pointers = [
            builder.gep(self.a, [builder.load(builder.gep(self.rows, [self.constant(r)]))]) for r in range(height)
        ]
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        before, loop, after = builder.block, builder.append_basic_block("s"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        s, b = builder.phi(_INDEX), builder.phi(self.b.type)
        sums = [[builder.phi(self.vector) for _ in range(width)] for _ in range(height)]
        offset = builder.load(builder.gep(self.steps, [s]))
        fma = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fma.v{self.lanes}f{self.bytes * 8}",
        )
        totals = [[None] * width for _ in range(height)]
        # The shorter side stays in registers while the elements of the other pass by, one at a time.
        if height <= width:
            left = [self.load(builder.gep(pointer, [offset])) for pointer in pointers]
            for j in range(width):
                right = self.element(b, j)
                for r in range(height):
                    totals[r][j] = builder.call(fma, [left[r], right, sums[r][j]])
        else:
            right = [self.element(b, j) for j in range(width)]
            for r, pointer in enumerate(pointers):
                left = self.load(builder.gep(pointer, [offset]))
                for j in range(width):
                    totals[r][j] = builder.call(fma, [left, right[j], sums[r][j]])
        s_next, b_next = builder.add(s, self.constant(1)), builder.gep(b, [self.b_row])
        self.not_unrolled(builder.cbranch(builder.icmp_signed("<", s_next, self.k), loop, after))
        flat = [(s, self.constant(0), s_next), (b, self.b, b_next)]
        flat += [(sums[r][j], zero, totals[r][j]) for r in range(height) for j in range(width)]
        for phi, first, following in flat:
            phi.add_incoming(first, before)
            phi.add_incoming(following, loop)
        builder.position_at_end(after)
        with builder.if_else(builder.icmp_signed("==", self.i_row, self.constant(0))) as (numbers, elsewhere):
            with numbers:
                self.deliver(totals, lambda r, j: self.spread(builder.load(builder.gep(self.init, [self.constant(j)]))))
            with elsewhere, builder.if_else(builder.icmp_signed(">", self.i_row, self.constant(0))) as (vectors, plain):
                with vectors:
                    self.deliver(totals, lambda r, j: self.load(self.place(self.init, self.i_row, r, j)))
                with plain:
                    self.deliver(totals, None)

    def deliver(self, totals, initial):
        """Add any initial values to the sums, and store them with no number below the floor then; NaN stays."""
        builder, floor = self.builder, self.spread(self.floor)
        for r, row in enumerate(totals):
            for j, value in enumerate(row):
                if initial:
                    value = builder.fadd(initial(r, j), value)
                if initial and not self.vectors:  # gradients of weights have no floor
                    value = builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
                place = builder.bitcast(self.place(self.c, self.c_row, r, j), self.vector.as_pointer())
                builder.store(value, place).align = self.bytes

    def element(self, b, column):
        """Load an element of B: a vector, or a number for all lanes."""
        if self.vectors:
            return self.load(self.builder.gep(b, [self.constant(column * LANES)]))
        return self.spread(self.builder.load(self.builder.gep(b, [self.constant(column)])))

    def place(self, pointer, distance, r, column):
        """Return the place of a vector in row r, where rows are ``distance`` apart."""
        builder = self.builder
        return builder.gep(
            pointer, [builder.add(builder.mul(distance, self.constant(r)), self.constant(column * LANES))]
        )

    def load(self, place):
        """Load a vector; the arrays of a workspace are aligned, but those of a user may begin anywhere."""
        value = self.builder.load(self.builder.bitcast(place, self.vector.as_pointer()))
        value.align = self.bytes
        return value


@helper
def add_lanes(sums, start, count, out, out_start):
    """Compute ``out[i] = sums[i, 0] + … + sums[i, LANES - 1]``, from the first lane to the last.

    The result may overwrite the beginning of the sums.
    """
    side = square_side(out)
    for i in range(0, count - side + 1, side):
        _add_lanes_of_square(sums, start + i * LANES, out, out_start + i)
    for i in range(count // side * side, count):
        total = sums[start + i * LANES]
        for lane in range(1, LANES):
            total += sums[start + i * LANES + lane]
        out[out_start + i] = total


@intrinsic
def _add_lanes_of_square(typingctx, sums, start, out, out_start):
    """Do this for as many numbers as a vector holds: transposed in registers, a vector holds one lane of each."""
    index = types.intp

    def generate(context, builder, signature, args):
        write = VectorTypes(builder, out.dtype)
        source = address(context, builder, signature.args[0], args[0], args[1])
        target = address(context, builder, signature.args[2], args[2], args[3])
        total = None
        for part in range(0, LANES, write.lanes):
            rows = []
            for i in range(write.lanes):
                place = builder.gep(source, [write.constant(i * LANES + part)])
                rows.append(builder.load(builder.bitcast(place, write.vector.as_pointer())))
                rows[-1].align = write.bytes
            for lane in transposed(builder, rows):
                total = lane if total is None else builder.fadd(total, lane)
        builder.store(total, builder.bitcast(target, write.vector.as_pointer())).align = write.bytes
        return context.get_dummy_value()

    return types.void(sums, index, out, index), generate


if numba.config.DISABLE_JIT:

    def _add_lanes_of_square(sums, start, out, out_start):
        """Do the same number by number."""
        for i in range(square_side(out)):
            out[out_start + i] = sum(sums[start + i * LANES : start + (i + 1) * LANES])
