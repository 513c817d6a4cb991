"""Adding up together, always in the same order.

A sum over many numbers is cut into chunks, one for each block of threads. Within a block each thread adds up its share;
then half of the threads add the others' sums to their own, then a quarter, until one is left: a tree. The chunks' sums
go to memory, and a second kernel adds them in order. Floating-point addition depends on the order. A sum by atomic
additions, in whatever order the threads come, would give other bits from run to run; this one does not. Partial sums
are float64, which costs little where reading the numbers takes most of the time.
"""

import numpy as np

from ._device import SIMULATED, SUM_CHUNKS, THREADS, block_helper, cuda, helper, kernel, launch, spread

#: A block of :func:`column_sums` is this many columns wide, and each column has this many threads: a power of two.
ACROSS, DOWN = (2, 4) if SIMULATED else (32, 8)
ROWS_PER_THREAD = 2 if SIMULATED else 16


def chunk_count(rows):
    """Return into how many chunks a sum over so many rows is cut, by the number of rows alone."""
    return max(1, min(SUM_CHUNKS, rows // (DOWN * ROWS_PER_THREAD)))


def make_column_sums(terms):
    """Return a kernel for two sums down every column of a (rows, C) matrix.

    Parameters
    ----------
    terms : function
        ``terms(a, b, mean, scale, i, c)`` returns the two numbers to add for element i, in column c.

    Returns
    -------
    kernel
        It takes a and b (flat), mean and scale (C,), memory for (chunks, 2, C) partial sums, rows and C.
    """
    terms = helper(terms)
    shape = (ACROSS * DOWN,)

    @kernel
    def column_sums(a, b, mean, scale, partial, rows, C):
        first = cuda.shared.array(shape, np.float64)
        second = cuda.shared.array(shape, np.float64)
        t = cuda.threadIdx.x
        c, down = cuda.blockIdx.y * ACROSS + t % ACROSS, t // ACROSS
        sum_1, sum_2 = 0.0, 0.0
        if c < C:
            per_chunk = (rows + cuda.gridDim.x - 1) // cuda.gridDim.x
            start = cuda.blockIdx.x * per_chunk
            for row in range(start + down, min(rows, start + per_chunk), DOWN):
                term_1, term_2 = terms(a, b, mean, scale, row * C + c, c)
                sum_1 += term_1
                sum_2 += term_2
        first[t], second[t] = sum_1, sum_2
        cuda.syncthreads()
        half = DOWN // 2
        while half:
            if down < half:
                first[t] += first[t + half * ACROSS]
                second[t] += second[t + half * ACROSS]
            cuda.syncthreads()
            half //= 2
        if down == 0 and c < C:
            partial[(cuda.blockIdx.x * 2) * C + c] = first[t]
            partial[(cuda.blockIdx.x * 2 + 1) * C + c] = second[t]

    return column_sums


@kernel
def _add_chunks(columns, partial, chunks, first, second, divisor):
    """Take the second step: a thread for each column adds the chunks in order."""
    for c in range(cuda.grid(1), columns, cuda.gridsize(1)):
        sum_1, sum_2 = 0.0, 0.0
        for chunk in range(chunks):
            sum_1 += partial[chunk * 2 * columns + c]
            sum_2 += partial[(chunk * 2 + 1) * columns + c]
        first[c] = sum_1 / divisor
        second[c] = sum_2 / divisor


def sum_columns(function, a, b, mean, scale, out, divisor, work):
    """Take both steps.

    Parameters
    ----------
    function : kernel
        From :func:`make_column_sums`.
    a, b, mean, scale : arrays
        Its arguments.
    out : pair of (C,) arrays
        They receive the sums; if both are one array, it receives the second sum.
    divisor : number
        It divides the sums.
    work : callable
        It supplies scratch memory.
    """
    C = out[0].size
    rows = a.size // C
    chunks = chunk_count(rows)
    partial = work((chunks, 2, C), np.float64)
    launch(function, (chunks, -(-C // ACROSS)), ACROSS * DOWN, a, b, mean, scale, partial, rows, C)
    spread(_add_chunks, C, partial, chunks, *out, float(divisor))


_SHARED = (THREADS,)


@block_helper
def block_sum(line, value):
    """Return the sum of ``value`` over a block's threads, to all of them; ``line`` is shared memory."""
    t = cuda.threadIdx.x
    line[t] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half:
        if t < half:
            line[t] += line[t + half]
        cuda.syncthreads()
        half //= 2
    total = line[0]
    cuda.syncthreads()  # before any thread writes there again
    return total


@kernel
def sum_of_squares(x, size, partial):
    """Sum the squares of a chunk in each block."""
    line = cuda.shared.array(_SHARED, np.float64)
    per_chunk = (size + cuda.gridDim.x - 1) // cuda.gridDim.x
    start = cuda.blockIdx.x * per_chunk
    total = 0.0
    for i in range(start + cuda.threadIdx.x, min(size, start + per_chunk), THREADS):
        total += np.float64(x[i]) * np.float64(x[i])
    total = block_sum(line, total)
    if cuda.threadIdx.x == 0:
        partial[cuda.blockIdx.x] = total
