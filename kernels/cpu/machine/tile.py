"""What the tiles of :mod:`.micro_kernel` and of :mod:`.lane_kernel` share: parameters, and sums that stay in registers.

A writer of tiles holds the addresses that a tile begins at, and the numbers that it needs to know, under the names that
they have in :func:`.micro_kernel.product`.
"""

from llvmlite import ir
from numba.core import cgutils

from .vectors import VectorWriter
from .written import written

_INDEX = ir.IntType(64)


def tile_of(writer):
    """Return an intrinsic that computes one tile of a product, on pointers, with the instructions of a writer.

    The parameters are those of :func:`.micro_kernel.product`, but ``row``, ``step`` and what ends in ``_start`` are
    offsets of the tile; m and f are its height and width.
    """

    @written(_on_pointers, writer)
    def tile(write, m, f, k, a, rows, steps, b, b_row, init, i_row, floor, c, c_row):
        write.a, write.rows, write.steps, write.b, write.init, write.c = a, rows, steps, b, init, c
        write.k, write.b_row, write.i_row, write.floor, write.c_row = k, b_row, i_row, floor, c_row
        write.all_sizes(m, f)

    return tile


def _on_pointers(
    m, f, k, a, a_start, rows, row, steps, step, b, b_start, b_row, init, i_start, i_row, floor, c, start, c_row
):
    """Have the parameters of a tile. In plain Python a product is not cut into tiles, so nothing calls this."""


class TileWriter(VectorWriter):
    """Writes the instructions of a tile for each of its sizes."""

    def sizes(self, which, blocks, write_block, end):
        """Write a switch on the number ``which``, and a block for each key of ``blocks``; all go on at ``end``.

        Parameters
        ----------
        which : value
        blocks : dict
            Its keys are values of ``which``, and its values are given to ``write_block``.
        write_block : function
        end : block
        """
        builder = self.builder
        written_blocks = [builder.append_basic_block(f"size_{number}") for number in blocks]
        switch = builder.switch(which, written_blocks[0])
        for block, (number, size) in zip(written_blocks, blocks.items(), strict=True):
            if block is not written_blocks[0]:
                switch.add_case(self.constant(number), block)
            builder.position_at_end(block)
            write_block(*size)
            builder.branch(end)

    def add_up(self, height, width, multiply, *loops):
        """Write loops over the steps of a tile, one after another; return the sums, which begin at zero.

        Parameters
        ----------
        height, width : int
            Rows, and vectors or columns, of the tile.
        multiply : function
            ``multiply(pointers, offset, b, sums, mask)`` writes a step and returns the new sums. ``pointers`` are where
            the tile's rows of A begin, ``offset`` is the step's in them, b is a row of B, and the mask is the loop's.
        *loops : (start, end, mask)
            A loop goes over steps ``start`` … ``end - 1`` that are not negative, of which there may be none unless
            ``start`` is None: then it begins at 0, and there is one at least.
        """
        builder, zero = self.builder, self.constant(0)
        pointers = [builder.gep(self.a, [self.entry(self.rows, self.constant(r))]) for r in range(height)]
        sums = [[self.numbers(0.0)] * width for _ in range(height)]
        for start, end, mask in loops:
            loop, after = builder.append_basic_block("s"), builder.append_basic_block("done")
            first = zero if start is None else builder.select(builder.icmp_signed("<", start, zero), zero, start)
            b_first, before = builder.gep(self.b, [builder.mul(first, self.b_row)]), builder.block
            if start is None:
                builder.branch(loop)
            else:
                builder.cbranch(builder.icmp_signed("<", first, end), loop, after)
            builder.position_at_end(loop)
            s, b = builder.phi(_INDEX), builder.phi(self.b.type)
            running = [[builder.phi(self.vector) for _ in row] for row in sums]
            totals = multiply(pointers, self.entry(self.steps, s), b, running, mask)
            s_next, b_next = builder.add(s, self.constant(1)), builder.gep(b, [self.b_row])
            self.not_unrolled(builder.cbranch(builder.icmp_signed("<", s_next, end), loop, after))
            carried = [(s, first, s_next), (b, b_first, b_next), *_together(running, sums, totals)]
            for phi, value, following in carried:
                phi.add_incoming(value, before)
                phi.add_incoming(following, loop)
            builder.position_at_end(after)
            if start is not None:
                results = [[builder.phi(self.vector) for _ in row] for row in sums]
                for result, value, total in _together(results, sums, totals):
                    result.add_incoming(value, before)
                    result.add_incoming(total, loop)
                totals = results
            sums = totals
        return sums

    def fma(self, *operands):
        """Write a fused multiply-add of vectors; llvmlite's own is for numbers."""
        layout = ir.FunctionType(self.vector, [self.vector] * 3)
        function = f"llvm.fma.v{self.lanes}f{self.bytes * 8}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, layout, function), operands)

    def entry(self, table, index):
        """Load the number at an index of a table."""
        return self.builder.load(self.builder.gep(table, [index]))

    def row(self, pointer, distance, r):
        """Return a pointer to row r, where rows are ``distance`` apart."""
        return self.builder.gep(pointer, [self.builder.mul(distance, self.constant(r))])


def _together(*tables):
    """Yield what belongs together of tables of rows."""
    for rows in zip(*tables, strict=True):
        yield from zip(*rows, strict=True)
