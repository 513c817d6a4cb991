"""Instructions that jitted code uses: on flat arrays at offsets a matrix product, copy and clear; on numbers an fma.

Numba's ``np.dot`` takes only whole contiguous matrices and always overwrites its result. BLAS's ``gemm``, which it
calls, can do more: read a matrix that lies inside a larger one (its rows ``ld`` elements apart) and add to its result.
These intrinsics write the same call that ``np.dot`` compiles to, with those two freedoms; so no operand has to be cut
out and copied, and sums over tiles need no buffer. As the calls are written directly, they also compile fast.

Nothing is checked here: offsets and sizes come from the wrappers, which know the shapes. Sizes must be positive.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_CHAR, _INT, _INDEX = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_CHAR)


def address(context, builder, array_type, array, offset):
    """Write the pointer to element ``offset`` of a flat contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


@intrinsic
def matmul_add(typingctx, m, n, k, a, a_start, a_row, a_flip, b, b_start, b_row, b_flip, c, c_start, c_row):
    """Compute ``C += op(A) @ op(B)`` on row-major matrices in flat arrays.

    Parameters
    ----------
    m, n, k : int
        op(A) is (m, k), op(B) is (k, n) and C is (m, n).
    a, b, c : flat arrays
        They hold the matrices.
    a_start, b_start, c_start : int
        Offset of each matrix's first element.
    a_row, b_row, c_row : int
        Distance between the rows of each matrix as it is stored.
    a_flip, b_flip : bool
        Whether the stored matrix is read transposed.
    """
    number, index = a.dtype, types.intp
    arguments = [index] * 3 + [a, index, index, types.boolean, b, index, index, types.boolean, c, index, index]
    signature = types.void(*arguments)
    if not number == b.dtype == c.dtype:
        return None

    def generate(context, builder, signature, args):
        m, n, k, a, a_start, a_row, a_flip, b, b_start, b_row, b_flip, c, c_start, c_row = args
        array_types = signature.args[3], signature.args[7], signature.args[11]
        pointers = [
            builder.bitcast(address(context, builder, *operand), _POINTER)
            for operand in zip(array_types, (a, b, c), (a_start, b_start, c_start), strict=True)
        ]
        one = context.get_constant(number, 1.0)
        factor = builder.bitcast(cgutils.alloca_once_value(builder, one), _POINTER)
        kind = ir.Constant(_CHAR, ord("s" if number == types.float32 else "d"))
        flips = [
            builder.select(flip, ir.Constant(_CHAR, ord("t")), ir.Constant(_CHAR, ord("n")))
            for flip in (a_flip, b_flip)
        ]
        # BLAS is column-major, and a row-major C = A B is a column-major C^T = B^T A^T, so the operands change places.
        layout = [_CHAR] * 3 + [_INDEX] * 3 + [_POINTER, _POINTER, _INDEX, _POINTER, _INDEX, _POINTER, _POINTER, _INDEX]
        gemm = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INT, layout), "numba_xxgemm")
        a_pointer, b_pointer, c_pointer = pointers
        operands = [factor, b_pointer, b_row, a_pointer, a_row, factor, c_pointer, c_row]
        builder.call(gemm, [kind, flips[1], flips[0], n, m, k, *operands])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def copy(typingctx, target, target_start, source, source_start, count):
    """Copy: ``target[target_start : target_start + count] = source[source_start : source_start + count]``."""
    index = types.intp
    signature = types.void(target, index, source, index, index)

    def generate(context, builder, signature, args):
        target, target_start, source, source_start, count = args
        to = address(context, builder, signature.args[0], target, target_start)
        origin = address(context, builder, signature.args[2], source, source_start)
        cgutils.raw_memcpy(builder, to, origin, count, signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def clear(typingctx, target, start, count):
    """Clear: ``target[start : start + count] = 0``."""
    index = types.intp
    signature = types.void(target, index, index)

    def generate(context, builder, signature, args):
        target, start, count = args
        to = address(context, builder, signature.args[0], target, start)
        size = builder.mul(count, ir.Constant(_INDEX, signature.args[0].dtype.bitwidth // 8))
        cgutils.memset(builder, to, size, 0)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def prefetch(typingctx, target, start, count):
    """Ask for the cache lines of ``target[start : start + count]``, which will soon be written."""
    index = types.intp
    signature = types.void(target, index, index)

    def generate(context, builder, signature, args):
        target, start, count = args
        line = ir.Constant(_INDEX, 64 * 8 // signature.args[0].dtype.bitwidth)
        to = address(context, builder, signature.args[0], target, start)
        layout = ir.FunctionType(ir.VoidType(), [_POINTER, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, layout, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, ir.Constant(_INDEX, 0), count, line, _INDEX) as (i, _):
            place = builder.bitcast(builder.gep(to, [i]), _POINTER)
            builder.call(function, [place, *(ir.Constant(_INT, value) for value in (1, 3, 1))])  # to write; near; data
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def fused_multiply_add(typingctx, a, b, c):
    """Compute ``a * b + c`` and round once, whatever the compiler would make of the formula."""
    if not a == b == c:
        return None

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), generate


def _python_forms():
    """Return these in plain Python, for debuggers and coverage: they run under ``NUMBA_DISABLE_JIT=1``."""

    def matrix(flat, start, rows, columns, row, flip):
        if flip:
            rows, columns = columns, rows
        item = flat.itemsize
        view = np.lib.stride_tricks.as_strided(flat[start:], (rows, columns), (row * item, item))
        return view.T if flip else view

    def matmul_add(m, n, k, a, a_start, a_row, a_flip, b, b_start, b_row, b_flip, c, c_start, c_row):
        product = matrix(a, a_start, m, k, a_row, a_flip) @ matrix(b, b_start, k, n, b_row, b_flip)
        matrix(c, c_start, m, n, c_row, False)[...] += product

    def copy(target, target_start, source, source_start, count):
        target[target_start : target_start + count] = source[source_start : source_start + count]

    def clear(target, start, count):
        target[start : start + count] = 0

    def prefetch(target, start, count):
        pass

    def fused_multiply_add(a, b, c):
        return a * b + c

    return matmul_add, copy, clear, prefetch, fused_multiply_add


if numba.config.DISABLE_JIT:
    matmul_add, copy, clear, prefetch, fused_multiply_add = _python_forms()
