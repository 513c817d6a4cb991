"""The matrix product that convolutions and dense layers are made of, by tiles in shared memory and in registers.

``c[m, n] = sum_k A(m, k) * B(k, n)``, where A and B need not exist: small functions say which number of which array
stands at a place. For a convolution A is the im2col matrix, which is never built; a block of threads fetches the tile
of it that it needs ("implicit GEMM"). Source: Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.

Tiles help because each number of a product is needed many times, and memory is slow. A block fetches ``rows × depth``
numbers of A and ``depth × columns`` of B into shared memory, once, and uses each of them ``columns`` or ``rows`` times
from there. Shared memory would still be too slow, so each thread computes ``down × across`` results: it takes ``down +
across`` numbers from shared memory into registers and does ``down * across`` multiplications with them.

If the result is small and the sum long, as for gradients of weights, the sum is cut into parts for more blocks, and
:data:`_add_parts` adds these in order. The number of parts follows from the shapes, not from the card, because the bits
depend on it.
"""

import functools
from typing import NamedTuple

import numpy as np

from ._device import SIMULATED, cuda, helper, kernel, launch, spread


class Tile(NamedTuple):
    """What a block of threads computes (rows, columns, depth), and what each of its threads computes (down, across)."""

    rows: int
    columns: int
    depth: int
    down: int
    across: int

    @property
    def threads(self):
        """Number of threads of a block."""
        return self.rows // self.down * (self.columns // self.across)


#: A result takes the narrowest tile that holds its columns, else the last.
CARD_TILES = [Tile(64, 16, 16, 4, 1), Tile(64, 32, 16, 4, 2), Tile(64, 64, 16, 4, 4)]
TILES = [Tile(8, 4, 4, 4, 2)] if SIMULATED else CARD_TILES
#: How many blocks are wanted, into how many parts a sum is cut at most, and how many tiles long a part is at least.
WANTED_BLOCKS, MOST_PARTS, SHORTEST_PART = (4, 2, 1) if SIMULATED else (256, 128, 4)


class Factors(NamedTuple):
    """Where the numbers of a product come from, as functions that are compiled into the kernel.

    ``row(geometry, group, m)`` and ``step(geometry, group, k)`` each return three integers.
    ``left(a, geometry, row, step)`` returns A(m, k) from them, so that the divisions in them are done once for many m
    or many k. ``right(b, geometry, group, k, n)`` returns B(k, n). ``along`` says that neighbours in memory differ in
    k, not in n.
    """

    row: object
    step: object
    left: object
    right: object
    along: bool = False


@helper
def quotient(a, b):
    """Return ``a // b`` of numbers from 0 to 2**32 - 1; the card divides 32 bits much faster than 64."""
    return np.int64(np.uint32(a) // np.uint32(b))


def multiply(factors, a, b, bias, c, size, groups, stride, geometry, work):
    """Compute c. The columns of all groups stand side by side in its rows, which are ``stride`` numbers long.

    Parameters
    ----------
    factors : Factors
    a, b, c : arrays
    bias : array or None
        It is added to every row.
    size : (M, N, K)
        The sizes of one group's product.
    groups, stride : int
    geometry : tuple of int
        What the functions of ``factors`` need.
    work : callable
        It supplies scratch memory.
    """
    M, N, K = size
    tile = next((tile for tile in TILES if tile.columns >= N), TILES[-1])
    function = _compiled(factors, tile, np.dtype(a.dtype).type)
    blocks = -(-M // tile.rows), -(-N // tile.columns)
    parts = part_count(blocks[0] * blocks[1] * groups, K, tile.depth)
    per_part = -(-K // (parts * tile.depth)) * tile.depth
    result = c if parts == 1 else work((parts, groups, M, N), a.dtype)
    add_bias = bias is not None and parts == 1
    launch(
        function,
        (*blocks, groups * parts),
        tile.threads,
        a,
        b,
        bias if add_bias else b,
        add_bias,
        result,
        M,
        N,
        K,
        groups,
        per_part,
        stride if parts == 1 else 0,
        geometry,
    )
    if parts > 1:
        spread(
            _add_parts, groups * M * N, result, parts, b if bias is None else bias, bias is not None, c, M, N, stride
        )


def part_count(blocks, K, depth):
    """Return into how many parts the sum over K is cut, for a result that takes so many blocks."""
    return max(1, min(-(-WANTED_BLOCKS // blocks), K // (depth * SHORTEST_PART), MOST_PARTS))


@functools.cache
def _compiled(factors, tile, number):
    """Return the kernel for one tile, whose sizes are constants to the compiler: it unrolls the loops over them."""
    rows, columns, depth, down, across = tile
    threads, threads_across, threads_down = tile.threads, columns // across, rows // down
    left_shape, right_shape, sums_shape = (depth, rows + 1), (depth, columns + 1), (down, across)
    fetched_rows, row_gap = rows * depth // threads, threads // depth
    fetched_right = columns * depth // threads
    state_shape = (fetched_rows, 3)
    along, column_gap, step_gap = factors.along, threads // depth, threads // columns
    row_of, step_of, left_of, right_of = factors[:4]

    @kernel
    def product(a, b, bias, add_bias, c, M, N, K, groups, per_part, stride, geometry):
        left = cuda.shared.array(left_shape, number)
        right = cuda.shared.array(right_shape, number)
        sums = cuda.local.array(sums_shape, number)  # small, with all indices known, so it lies in registers
        state = cuda.local.array(state_shape, np.int64)
        for i in range(down):
            for j in range(across):
                sums[i, j] = number(0)
        t = cuda.threadIdx.x
        first_row, first_column = cuda.blockIdx.x * rows, cuda.blockIdx.y * columns
        group, part = cuda.blockIdx.z % groups, cuda.blockIdx.z // groups

        # In every step this thread fetches these rows of the left tile.
        fetch_k, fetch_row = t % depth, t // depth
        for r in range(fetched_rows):
            m = min(first_row + fetch_row + r * row_gap, M - 1)
            state[r, 0], state[r, 1], state[r, 2] = row_of(geometry, group, m)

        stop = min(K, (part + 1) * per_part)
        for start in range(part * per_part, stop, depth):
            k = start + fetch_k
            step = step_of(geometry, group, k)
            for r in range(fetched_rows):
                m = fetch_row + r * row_gap
                value = number(0)
                if k < stop and first_row + m < M:
                    value = left_of(a, geometry, (state[r, 0], state[r, 1], state[r, 2]), step)
                left[fetch_k, m] = value
            for r in range(fetched_right):
                if along:
                    k_here, column = t % depth, t // depth + r * column_gap
                else:
                    k_here, column = t // columns + r * step_gap, t % columns
                value = number(0)
                if start + k_here < stop and first_column + column < N:
                    value = right_of(b, geometry, group, start + k_here, first_column + column)
                right[k_here, column] = value
            cuda.syncthreads()  # both tiles are there
            for d in range(depth):
                for i in range(down):
                    value = left[d, t // threads_across + i * threads_down]
                    for j in range(across):
                        sums[i, j] += value * right[d, t % threads_across + j * threads_across]
            cuda.syncthreads()  # no thread needs them any more

        for i in range(down):
            m = first_row + t // threads_across + i * threads_down
            for j in range(across):
                n = first_column + t % threads_across + j * threads_across
                if m < M and n < N:
                    if stride == 0:
                        c[(cuda.blockIdx.z * M + m) * N + n] = sums[i, j]
                    elif add_bias:
                        c[m * stride + group * N + n] = sums[i, j] + bias[group * N + n]
                    else:
                        c[m * stride + group * N + n] = sums[i, j]

    return product


@kernel
def _add_parts(count, partial, parts, bias, add_bias, c, M, N, stride):
    """Add the parts of each result in order, with a thread per result."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        total = partial[i]
        for part in range(1, parts):
            total += partial[part * count + i]
        group, m, n = i // (M * N), i // N % M, i % N
        if add_bias:
            total += bias[group * N + n]
        c[m * stride + group * N + n] = total
