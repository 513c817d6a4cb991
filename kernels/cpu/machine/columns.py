"""Sums over the rows of a matrix that stay in registers, and sums of arrays that lie behind one another.

In a plain loop over the numbers of a row, each is added to a sum in memory. Here a few vectors of columns are taken at
a time, and their sums stay in registers while all rows go by. The order of each sum is that of the plain loop, so its
bits are the same.
"""

from llvmlite import ir
from numba.core import cgutils

from .jit import helper
from .vectors import VECTOR_BYTES, VectorTypes
from .written import written

_INDEX = ir.IntType(64)
TOGETHER = 4  # vectors of columns: so many sums hide the latency of an addition


class _ColumnWriter(VectorTypes):
    """Writes sums in float64 over the rows of matrices of any type."""

    def add_up(self, rows, width, totals, terms):
        """Write the sums of each column.

        Parameters
        ----------
        rows, width : int
            Of the matrices.
        totals : list of addresses
            Where the sums go: a number for each column.
        terms : function
            ``terms(load, at, column)`` returns what a row adds to each of the totals, as vectors of float64, where
            ``load(array, at)`` loads the vector at a place of a matrix, or at a column of a table.
        """
        builder, first, whole = self.builder, self.constant(0), VECTOR_BYTES // 8
        for vectors, lanes in ((TOGETHER, whole), (1, whole), (1, 1)):
            kind, step = ir.VectorType(ir.DoubleType(), lanes), self.constant(vectors * lanes)
            end = builder.add(first, builder.mul(builder.sdiv(builder.sub(width, first), step), step))
            sums = [[cgutils.alloca_once(builder, kind) for _ in totals] for _ in range(vectors)]

            def load(array, at, lanes=lanes):
                vector = ir.VectorType(array.type.pointee, lanes)
                value = builder.load(builder.bitcast(builder.gep(array, [at]), vector.as_pointer()))
                value.align = 4 if vector.element == ir.FloatType() else 8
                return value

            with cgutils.for_range_slice(builder, first, end, step, _INDEX) as (column, _):
                columns = [builder.add(column, self.constant(v * lanes)) for v in range(vectors)]
                for place in (place for row in sums for place in row):
                    builder.store(ir.Constant(kind, [0.0] * lanes), place)
                with cgutils.for_range(builder, rows) as row:
                    start = builder.mul(row.index, width)
                    for at, places in zip(columns, sums, strict=True):
                        for place, term in zip(places, terms(load, builder.add(start, at), at), strict=True):
                            builder.store(builder.fadd(builder.load(place), term, ("contract",)), place)
                for at, places in zip(columns, sums, strict=True):
                    for total, place in zip(totals, places, strict=True):
                        target = builder.bitcast(builder.gep(total, [at]), kind.as_pointer())
                        builder.store(builder.load(place), target).align = 8
            first = end

    def double(self, vector):
        """Return a vector as float64."""
        if vector.type.element == ir.DoubleType():
            return vector
        return self.builder.fpext(vector, ir.VectorType(ir.DoubleType(), vector.type.count))

    def product(self, a, b):
        """Return the product of two vectors, which may be fused with what it is added to."""
        return self.builder.fmul(a, b, ("contract",))

    def difference(self, a, b):
        """Return the difference of two vectors."""
        return self.builder.fsub(a, b, ("contract",))


def _sums_in_python(x, rows, width, total):
    total[:] = 0
    for row in x.reshape(rows, width):
        total += row


@written(_sums_in_python, _ColumnWriter, alike=False)
def column_sums(write, x, rows, width, total):
    """Compute ``total[c] = sum over r of x[r, c]``."""
    write.add_up(rows, width, [total], lambda load, at, c: [write.double(load(x, at))])


def _squares_in_python(x, rows, width, mean, total):
    total[:] = 0
    for row in x.reshape(rows, width):
        total += (row - mean) ** 2


@written(_squares_in_python, _ColumnWriter, alike=False)
def column_squares(write, x, rows, width, mean, total):
    """Compute ``total[c] = sum over r of (x[r, c] - mean[c])**2``, with means in float64."""

    def terms(load, at, column):
        deviation = write.difference(write.double(load(x, at)), load(mean, column))
        return [write.product(deviation, deviation)]

    write.add_up(rows, width, [total], terms)


def _products_in_python(dy, x, rows, width, mean, products, sums):
    products[:] = sums[:] = 0
    for gradient, row in zip(dy.reshape(rows, width), x.reshape(rows, width), strict=True):
        products += gradient * (row - mean)
        sums += gradient


@written(_products_in_python, _ColumnWriter, alike=False)
def column_products(write, dy, x, rows, width, mean, products, sums):
    """Compute the sums over r of ``dy[r, c] * (x[r, c] - mean[c])`` and of ``dy[r, c]``, with means in float64."""

    def terms(load, at, column):
        gradient = write.double(load(dy, at))
        deviation = write.difference(write.double(load(x, at)), load(mean, column))
        return [write.product(gradient, deviation), gradient]

    write.add_up(rows, width, [products, sums], terms)


def _scaled_in_python(dy, x, rows, width, mean, inverse, products, sums):
    products[:] = sums[:] = 0
    for gradient, row in zip(dy.reshape(rows, width), x.reshape(rows, width), strict=True):
        products += gradient * ((row - mean) * inverse)
        sums += gradient


@written(_scaled_in_python, _ColumnWriter, alike=False)
def column_scaled_products(write, dy, x, rows, width, mean, inverse, products, sums):
    """Compute the sums over r of ``dy[r, c] * ((x[r, c] - mean[c]) * inverse[c])`` and of ``dy[r, c]``."""

    def terms(load, at, column):
        gradient = load(dy, at)
        scaled = write.product(write.difference(load(x, at), load(mean, column)), load(inverse, column))
        return [write.double(write.product(gradient, scaled)), write.double(gradient)]

    write.add_up(rows, width, [products, sums], terms)


@helper
def moments(x, mean, square):
    """Compute mean and sum of squared deviations of each column, in two passes over rows that are in the cache."""
    rows, width = x.shape
    column_sums(x, rows, width, mean)
    for c in range(width):
        mean[c] /= rows
    column_squares(x, rows, width, mean, square)


def _parts_in_python(x, start, count, parts, distance):
    for part in range(1, parts):
        behind = start + part * distance
        x[start : start + count] += x[behind : behind + count]


@written(_parts_in_python)
def add_parts(write, x, count, parts, distance):
    """Add to ``count`` numbers from ``x[start]`` on those of all parts behind them, which lie ``distance`` apart."""
    builder, first, one = write.builder, write.constant(0), write.constant(1)
    for lanes in (write.lanes, 1):
        vector, step = ir.VectorType(write.number, lanes), write.constant(lanes)
        end = builder.mul(builder.sdiv(count, step), step)
        total = cgutils.alloca_once(builder, vector)
        with cgutils.for_range_slice(builder, first, end, step, _INDEX) as (i, _):
            place = builder.bitcast(builder.gep(x, [i]), vector.as_pointer())
            builder.store(builder.load(place, align=write.bytes), total)
            with cgutils.for_range_slice(builder, one, parts, one, _INDEX) as (part, _):
                behind = builder.gep(x, [builder.add(i, builder.mul(part, distance))])
                value = builder.load(builder.bitcast(behind, vector.as_pointer()), align=write.bytes)
                builder.store(builder.fadd(builder.load(total), value), total)
            builder.store(builder.load(total), place, align=write.bytes)
        first = end
