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
import itertools

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import by_itself, helper
from .tile import TileWriter, tile_of
from .transpose import square_side, transposed
from .vectors import REGISTERS, VECTOR_BYTES, VectorWriter
from .written import written

LANES = 16
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


class _LaneTile(TileWriter):
    """Writes the instructions of a tile of every size, and a switch between them."""

    def all_sizes(self, m, f):
        """Write one block for each size of a tile."""
        heights, widths = self.sides
        sizes = itertools.product(heights, widths)
        blocks = {height * 64 + width: (height, width) for height, width in sizes if height * width <= SUMS}
        end = self.builder.append_basic_block("end")
        self.sizes(self.builder.add(self.builder.mul(m, self.constant(64)), f), blocks, self.one_size, end)
        self.builder.position_at_end(end)

    def one_size(self, height, width):
        """Write the loop over the steps for a tile of fixed size, and what is done with its sums."""
        builder = self.builder
        totals = self.add_up(height, width, self.multiply, (None, self.k, None))
        with builder.if_else(builder.icmp_signed("==", self.i_row, self.constant(0))) as (numbers, elsewhere):
            with numbers:
                self.deliver(totals, lambda r, j: self.spread(self.entry(self.init, self.constant(j))))
            with elsewhere, builder.if_else(builder.icmp_signed(">", self.i_row, self.constant(0))) as (vectors, plain):
                with vectors:
                    self.deliver(totals, lambda r, j: self.load(self.vector_at(self.init, self.i_row, r, j)))
                with plain:
                    self.deliver(totals, None)

    def multiply(self, pointers, offset, b, sums, mask):
        """Write a step. The shorter side stays in registers while the elements of the other pass by, one at a time."""
        height, width = len(sums), len(sums[0])
        totals = [[None] * width for _ in range(height)]
        if height <= width:
            left = [self.load(self.at(pointer, offset)) for pointer in pointers]
            for j in range(width):
                right = self.element(b, j)
                for r in range(height):
                    totals[r][j] = self.fma(left[r], right, sums[r][j])
        else:
            right = [self.element(b, j) for j in range(width)]
            for r, pointer in enumerate(pointers):
                left = self.load(self.at(pointer, offset))
                for j in range(width):
                    totals[r][j] = self.fma(left, right[j], sums[r][j])
        return totals

    def deliver(self, totals, initial):
        """Add any initial values to the sums, and store them with no number below the floor then; NaN stays."""
        floor = self.spread(self.floor)
        for r, row in enumerate(totals):
            for j, value in enumerate(row):
                if initial:
                    value = self.builder.fadd(initial(r, j), value)
                if initial and not self.vectors:  # gradients of weights have no floor
                    value = self.at_least(value, floor)
                self.store(value, self.vector_at(self.c, self.c_row, r, j))

    def element(self, b, column):
        """Load an element of B: a vector, or a number for all lanes."""
        if self.vectors:
            return self.load(self.at(b, self.constant(column * LANES)))
        return self.spread(self.entry(b, self.constant(column)))

    def vector_at(self, pointer, distance, r, column):
        """Return the place of a vector in row r, where rows are ``distance`` apart."""
        return self.at(self.row(pointer, distance, r), self.constant(column * LANES))


class _WeightsTile(_LaneTile):
    sides, vectors = IMAGES_BY_WEIGHTS, False


class _GradientsTile(_LaneTile):
    sides, vectors = IMAGES_BY_GRADIENTS, True


_weights_tile, _gradients_tile = tile_of(_WeightsTile), tile_of(_GradientsTile)


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


def _add_lanes_in_python(sums, start, out, out_start):
    for i in range(square_side(out)):
        out[out_start + i] = sum(sums[start + i * LANES : start + (i + 1) * LANES])


@written(_add_lanes_in_python, VectorWriter)
def _add_lanes_of_square(write, sums, out):
    """Do this for as many numbers as a vector holds: transposed in registers, a vector holds one lane of each."""
    total = None
    for part in range(0, LANES, write.lanes):
        rows = [write.load(write.at(sums, write.constant(i * LANES + part))) for i in range(write.lanes)]
        for lane in transposed(write.builder, rows):
            total = lane if total is None else write.builder.fadd(total, lane)
    write.store(total, write.at(out, write.constant(0)))
