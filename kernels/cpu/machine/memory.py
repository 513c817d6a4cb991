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
from numba.core import cgutils
from numba.extending import intrinsic

from .written import written

_CHAR, _INT, _INDEX = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_CHAR)


def _matmul_add(m, n, k, a, a_start, a_row, a_flip, b, b_start, b_row, b_flip, c, c_start, c_row):
    left = strided(a, a_start, k, m, a_row).T if a_flip else strided(a, a_start, m, k, a_row)
    right = strided(b, b_start, n, k, b_row).T if b_flip else strided(b, b_start, k, n, b_row)
    strided(c, c_start, m, n, c_row)[...] += left @ right


def strided(flat, start, rows, columns, row):
    """Return a matrix that lies in a flat array, for what runs without compiled code."""
    item = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat[start:], (rows, columns), (row * item, item))


@written(_matmul_add)
def matmul_add(write, m, n, k, a, a_row, a_flip, b, b_row, b_flip, c, c_row):
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
    builder = write.builder
    a, b, c = (builder.bitcast(operand, _POINTER) for operand in (a, b, c))
    one = cgutils.alloca_once_value(builder, ir.Constant(write.number, 1.0))
    factor, kind = builder.bitcast(one, _POINTER), ir.Constant(_CHAR, ord("s" if write.bytes == 4 else "d"))
    a_flip, b_flip = (
        builder.select(flip, ir.Constant(_CHAR, ord("t")), ir.Constant(_CHAR, ord("n"))) for flip in (a_flip, b_flip)
    )
    # BLAS is column-major, and a row-major C = A B is a column-major C^T = B^T A^T, so the operands change places.
    layout = [_CHAR] * 3 + [_INDEX] * 3 + [_POINTER, _POINTER, _INDEX, _POINTER, _INDEX, _POINTER, _POINTER, _INDEX]
    gemm = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_INT, layout), "numba_xxgemm")
    builder.call(gemm, [kind, b_flip, a_flip, n, m, k, factor, b, b_row, a, a_row, factor, c, c_row])


def _copy(target, target_start, source, source_start, count):
    target[target_start : target_start + count] = source[source_start : source_start + count]


@written(_copy)
def copy(write, target, source, count):
    """Copy: ``target[target_start : target_start + count] = source[source_start : source_start + count]``."""
    cgutils.raw_memcpy(write.builder, target, source, count, write.bytes)


def _clear(target, start, count):
    target[start : start + count] = 0


@written(_clear)
def clear(write, target, count):
    """Clear: ``target[start : start + count] = 0``."""
    cgutils.memset(write.builder, target, write.builder.mul(count, write.constant(write.bytes)), 0)


def _prefetch(target, start, count):
    """Do nothing: plain Python has no say in what the caches hold."""


@written(_prefetch)
def prefetch(write, target, count):
    """Ask for the cache lines of ``target[start : start + count]``, which will soon be written."""
    builder, first, line = write.builder, write.constant(0), write.constant(64 // write.bytes)
    layout = ir.FunctionType(ir.VoidType(), [_POINTER, _INT, _INT, _INT])
    function = cgutils.get_or_insert_function(builder.module, layout, "llvm.prefetch.p0")
    with cgutils.for_range_slice(builder, first, count, line, _INDEX) as (i, _):
        place = builder.bitcast(builder.gep(target, [i]), _POINTER)
        builder.call(function, [place, *(ir.Constant(_INT, value) for value in (1, 3, 1))])  # to write; near; data


def call_address(builder, function, arguments):
    """Write the call of a function that returns nothing and whose address is known only when the code runs."""
    layout = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(builder.inttoptr(function, layout.as_pointer()), arguments)


@intrinsic
def fused_multiply_add(typingctx, a, b, c):
    """Compute ``a * b + c`` and round once, whatever the compiler would make of the formula."""
    if not a == b == c:
        return None

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), generate


if numba.config.DISABLE_JIT:

    def fused_multiply_add(a, b, c):
        """Compute the same in Python, where it rounds twice."""
        return a * b + c
