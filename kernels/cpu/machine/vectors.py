"""Loops over channels that are written vector by vector: for intrinsics, where LLVM makes no vectors of a plain loop.

LLVM makes none, or slow ones, where a loop is short (a pixel of 10 channels does not fill a vector of 16), where the
loop makes choices, and where LLVM cannot see that arrays do not overlap. Here the last vector of a pixel is masked
instead, if it is not whole. A *lane* is the place of one number in a vector.

Whole vectors are never masked: a masked store takes a dozen cycles on some processors with AVX2 (and is a branch for
each lane where there is no such instruction at all), so that masks made Winograd's transforms much slower.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

_INT, _INDEX = ir.IntType(32), ir.IntType(64)


def vector_registers():
    """Return the width of the vector registers that Numba compiles for, in bytes, and their number."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    present = {feature for feature in features.split(",") if feature.startswith("+")}
    if triple.startswith(("aarch64", "arm64")):
        return 16, 32
    if "+avx512f" in present:
        return 64, 32
    return 32 if "+avx" in present else 16, 16


VECTOR_BYTES, REGISTERS = vector_registers()


class VectorTypes:
    """The LLVM types of a number and of a vector of such numbers, for classes that write instructions on them.

    Parameters
    ----------
    builder : llvmlite IRBuilder
    dtype : Numba type
        float32 or float64.
    """

    def __init__(self, builder, dtype):
        self.builder = builder
        self.number = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        self.bytes = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(self.number, self.lanes)

    def spread(self, scalar):
        """Return a vector in which every lane holds the scalar."""
        kind = ir.VectorType(scalar.type, self.lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(nothing, scalar, ir.Constant(_INT, 0))
        places = ir.Constant(ir.VectorType(_INT, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, nothing, places)

    def constant(self, value):
        """Return an integer constant."""
        return ir.Constant(_INDEX, value)

    def not_unrolled(self, branch):
        """Tell LLVM to leave a loop as it is: unrolled twice, a tile of 8 by 2 vectors needs too many registers."""
        module = self.builder.module
        disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        loop = module.add_metadata([disable])
        loop.operands = (loop, disable)  # LLVM knows a loop's node by its first operand, which is the node itself
        branch.set_metadata("llvm.loop", loop)


class VectorWriter(VectorTypes):
    """Writes the instructions of a loop over channels, one vector at a time; a last one that is not whole is masked."""

    def __init__(self, builder, dtype):
        super().__init__(builder, dtype)
        self.mask = None  # for whole vectors
        self.zeros = cgutils.alloca_once_value(builder, self.numbers(0.0))

    def loop(self, count, body):
        """Write ``body(channel)`` for each vector of channels; it is called twice, the second time for a masked one."""
        builder, lanes, first = self.builder, self.constant(self.lanes), self.constant(0)
        whole = builder.sub(count, builder.srem(count, lanes))
        with cgutils.for_range_slice(builder, first, whole, lanes, _INDEX) as (channel, _):
            body(channel)
        with builder.if_then(builder.icmp_signed("<", whole, count)):
            places = ir.Constant(ir.VectorType(_INDEX, self.lanes), list(range(self.lanes)))
            self.mask = builder.icmp_signed("<", places, self.spread(builder.sub(count, whole)))
            body(whole)
            self.mask = None

    def place(self, array, row, column, i, j, channel):
        """Return the address of the vector at row i and column j."""
        builder = self.builder
        offset = builder.add(builder.mul(row, ir.Constant(_INDEX, i)), builder.mul(column, ir.Constant(_INDEX, j)))
        return self.at(array, builder.add(offset, channel))

    def at(self, array, offset):
        """Return the address of the vector that begins at an offset, of floating-point numbers or of small integers."""
        vector = ir.VectorType(array.type.pointee, self.lanes)
        return self.builder.bitcast(self.builder.gep(array, [offset]), vector.as_pointer())

    def load(self, place):
        """Load a vector; it has zeros where the mask says no."""
        vector = place.type.pointee
        if self.mask is None:
            value = self.builder.load(place)
            value.align = self.alignment(vector).constant
            return value
        zero = 0.0 if vector == self.vector else 0
        nothing = ir.Constant(vector, [zero] * self.lanes)
        return self.call("masked.load", vector, vector, place, self.alignment(vector), self.mask, nothing)

    def load_if(self, condition, place):
        """Load the vector at a place if the condition holds; otherwise return zeros and read nothing there."""
        return self.load(self.builder.select(condition, place, self.zeros))

    def store(self, value, place):
        """Store a vector where the mask says yes."""
        if self.mask is None:
            self.builder.store(value, place).align = self.alignment(value.type).constant
            return
        self.call("masked.store", value.type, ir.VoidType(), value, place, self.alignment(value.type), self.mask)

    def numbers(self, value):
        """Return a vector of one number that is known now."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def at_least(self, value, floor):
        """Raise numbers below the floor to it; a comparison with NaN is false, so NaN stays."""
        return self.builder.select(self.builder.fcmp_ordered("<", value, floor), floor, value)

    def alignment(self, vector):
        """Return the alignment of a vector's numbers: the vector may begin anywhere."""
        return ir.Constant(_INT, self.bytes if vector == self.vector else vector.element.width // 8)

    def call(self, name, vector, result, *arguments):
        """Write a call of an LLVM intrinsic on vectors of a kind."""
        kind = f"f{self.bytes * 8}" if vector == self.vector else f"i{vector.element.width}"
        layout = ir.FunctionType(result, [argument.type for argument in arguments])
        name = f"llvm.{name}.v{self.lanes}{kind}.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, layout, name), arguments)
