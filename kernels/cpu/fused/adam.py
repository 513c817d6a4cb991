"""One launch for many small arrays: an Adam step over all parameters of a network.

A launch for each bias of ten numbers costs more than its arithmetic. Jitted code cannot cheaply take a list of arrays
of many shapes, but it can take a table of their addresses.
"""

import ctypes
import math

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from ..._arguments import FLOATS
from ..machine.arrays import CHUNK
from ..machine.jit import helper
from ..machine.parallel import parallel


class AdamTogether:
    """Adam steps for parameters whose arrays stay where they are.

    A step is defined as ``adam_update`` of each parameter.

    Parameters
    ----------
    parameters, gradients, ms, vs : lists of arrays
        C-ordered and of one dtype; the n-th arrays of the lists belong together.
    """

    def __init__(self, parameters, gradients, ms, vs):
        self._arrays = list(zip(parameters, gradients, ms, vs, strict=True))
        self._number = np.dtype(parameters[0].dtype).type
        self._addresses = np.array([[array.ctypes.data for array in row] for row in self._arrays], np.int64)
        pieces = [
            (index, start, min(CHUNK, array.size - start))
            for index, array in enumerate(parameters)
            for start in range(0, array.size, CHUNK)
        ]
        self._pieces = np.array(pieces, np.int64).reshape(-1, 3)
        self._example = np.empty(0, self._number)
        self._elements = sum(array.size for row in self._arrays for array in row)

    @staticmethod
    def fits(parameters, gradients, ms, vs):
        """Return whether all arrays can be taken as they are."""
        arrays = [*parameters, *gradients, *ms, *vs]
        if not arrays or arrays[0].dtype not in FLOATS:
            return False
        alike = all(len({array.shape for array in row}) == 1 for row in zip(parameters, gradients, ms, vs, strict=True))
        return alike and all(
            type(array) is np.ndarray and array.flags.carray and array.dtype == arrays[0].dtype for array in arrays
        )

    def holds(self, parameters, gradients, ms, vs):
        """Return whether these are the arrays that it was made for."""
        rows = zip(parameters, gradients, ms, vs, strict=True)
        return len(parameters) == len(self._arrays) and all(
            new is old
            for row, known in zip(rows, self._arrays, strict=True)
            for new, old in zip(row, known, strict=True)
        )

    def step(self, step, learning_rate, beta_1, beta_2, epsilon):
        """Take a step of :func:`reference.adam_update` for all parameters."""
        number = self._number

        def corrected(step, learning_rate):
            return number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))

        constants = number(1 - beta_1), number(1 - beta_2), number(epsilon)
        arguments = self._addresses, self._pieces, self._example, corrected(step, learning_rate), *constants
        renewed = [(3, lambda now: corrected(now.update, now.learning_rate))]
        work = {"elements": self._elements, "held": self._arrays}
        _adam_together.launch(len(self._pieces), *arguments, **work, renewed=renewed)


@parallel
def _adam_together(i, worker, table, pieces, example, rate, rest_1, rest_2, epsilon):
    """Update a piece: a part of one parameter.

    Parameters
    ----------
    i, worker : int
    table : (parameters, 4) int64 array
        The addresses of each parameter, its gradient, its m and its v.
    pieces : (chunks, 3) int64 array
        Of each piece the parameter's number, where the part begins, and how long it is.
    example : array
        It has the dtype of all arrays.
    rate, rest_1, rest_2, epsilon : numbers
        As in :func:`adam_chunk`.
    """
    addresses, start, count = table[pieces[i, 0]], pieces[i, 1], pieces[i, 2]
    parameter = array_at(addresses[0], start, count, example)
    gradient = array_at(addresses[1], start, count, example)
    m, v = array_at(addresses[2], start, count, example), array_at(addresses[3], start, count, example)
    adam_chunk(parameter, gradient, m, v, rate, rest_1, rest_2, epsilon)


@helper
def adam_chunk(parameter, gradient, m, v, rate, rest_1, rest_2, epsilon):
    """Take the step of :func:`reference.adam_update` for some elements of one parameter.

    ``rate`` is corrected for the bias; ``rest_1`` and ``rest_2`` are ``1 - beta_1`` and ``1 - beta_2``.
    """
    for i in range(parameter.size):
        g = gradient[i]
        m[i] += rest_1 * (g - m[i])
        v[i] += rest_2 * (g * g - v[i])
        parameter[i] -= rate * m[i] / (math.sqrt(v[i]) + epsilon)


@helper
def array_at(address, start, count, example):
    """Return ``count`` numbers of the example's dtype, from number ``start`` of what lies at an address."""
    return numba.carray(pointer(address + start * example.itemsize, example), (count,))


@intrinsic
def pointer(typingctx, address, example):
    """Turn an address into a pointer to numbers of the example's dtype."""
    signature = types.CPointer(example.dtype)(address, example)

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return signature, generate


def _python_form(address, start, count, example):
    """Do the same as :func:`array_at` in Python: this runs under ``NUMBA_DISABLE_JIT=1``."""
    size = count * example.itemsize
    memory = (ctypes.c_char * size).from_address(int(address) + int(start) * example.itemsize)
    return np.frombuffer(memory, example.dtype)


if numba.config.DISABLE_JIT:
    array_at = _python_form
