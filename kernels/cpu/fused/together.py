"""One launch for many small arrays: an optimizer's step over all parameters of a network.

A launch for each bias of ten numbers costs more than its arithmetic. Jitted code cannot cheaply take a list of arrays
of many shapes, but it can take a table of their addresses.
"""

import ctypes
import itertools
import math

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from ..._arguments import FLOATS
from ..machine.arrays import CHUNK
from ..machine.jit import helper, recorder
from ..machine.parallel import parallel


class _Together:
    """Steps for parameters whose arrays stay where they are.

    Parameters
    ----------
    *columns : lists of arrays
        The parameters, their gradients, and what an optimizer keeps for them: C-ordered and of one dtype. The n-th
        arrays of the lists belong together.
    """

    def __init__(self, *columns):
        self._arrays = list(zip(*columns, strict=True))
        self.number = np.dtype(columns[0][0].dtype).type
        self._addresses = np.array([[array.ctypes.data for array in row] for row in self._arrays], np.int64)
        self._example = np.empty(0, self.number)
        self._tables = {}

    @staticmethod
    def fits(*columns):
        """Return whether all arrays can be taken as they are: none of them shares memory with another one."""
        arrays = [array for column in columns for array in column]
        if not arrays or arrays[0].dtype not in FLOATS:
            return False
        places = sorted((array.ctypes.data, array.nbytes) for array in arrays)
        if any(start + size > following for (start, size), (following, _) in itertools.pairwise(places)):
            return False
        alike = all(len({array.shape for array in row}) == 1 for row in zip(*columns, strict=True))
        return alike and all(
            type(array) is np.ndarray and array.flags.carray and array.dtype == arrays[0].dtype for array in arrays
        )

    def holds(self, *columns):
        """Return whether these are the arrays that it was made for."""
        rows = list(zip(*columns, strict=True))
        return len(rows) == len(self._arrays) and all(
            len(row) == len(known) and all(new is old for new, old in zip(row, known, strict=True))
            for row, known in zip(rows, self._arrays, strict=True)
        )

    def launch(self, kernel, rate, learning_rate, step, *constants):
        """Launch a kernel on all pieces; ``rate(learning_rate, step)`` is computed anew when the launch is repeated.

        In a program, the update of a large array of weights runs behind each chunk of the launch that computes its
        gradient, if nothing in between needs the weights as they are.
        """
        givers, program = {}, recorder()
        if program is not None:
            found = {index: program.giver(row[1], row) for index, row in enumerate(self._arrays)}
            givers = {index: giver for index, giver in found.items() if giver is not None}
        rest = [index for index in range(len(self._arrays)) if index not in givers]
        batches = [(rest, CHUNK, None)] if rest else []
        for indices, length, behind in [*batches, *(([i], count, number) for i, (number, count) in givers.items())]:
            pieces = self._pieces(indices, length)
            kernel.launch(
                len(pieces),
                self._addresses,
                pieces,
                self._example,
                rate(learning_rate, step),
                *constants,
                elements=sum(array.size for index in indices for array in self._arrays[index]),
                held=self._arrays,
                renewed=[(3, lambda now: rate(now.learning_rate, now.update))],
                behind=behind,
            )

    def _pieces(self, indices, length):
        """Return a table of the pieces of some rows of arrays: number of the row, start and length of each piece."""
        key = tuple(indices), length
        if key not in self._tables:
            pieces = [
                (index, start, min(length, self._arrays[index][0].size - start))
                for index in indices
                for start in range(0, self._arrays[index][0].size, length)
            ]
            self._tables[key] = np.array(pieces, np.int64).reshape(-1, 3)
        return self._tables[key]


class AdamTogether(_Together):
    """Adam steps for the parameters of a network: its columns are parameters, gradients, m and v.

    A step is defined as ``adam_update`` of each parameter.
    """

    def step(self, step, learning_rate, beta_1, beta_2, epsilon):
        """Take a step of :func:`reference.adam_update` for all parameters."""
        number = self.number

        def rate(learning_rate, step):
            return number(learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step))

        constants = number(1 - beta_1), number(1 - beta_2), number(epsilon)
        self.launch(_adam_together, rate, learning_rate, step, *constants)


class DescentTogether(_Together):
    """Steps of gradient descent for the parameters of a network: its columns are parameters, gradients and velocities.

    A step is defined as ``sgd_update`` of each parameter. Without momentum there is no column of velocities.
    """

    def step(self, step, learning_rate, momentum, nesterov):
        """Take a step of :func:`reference.sgd_update` for all parameters."""
        number = self.number
        self.launch(
            _descend_together, lambda rate, _: number(rate), learning_rate, step, number(momentum), bool(nesterov)
        )


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


@parallel
def _descend_together(i, worker, table, pieces, example, rate, momentum, nesterov):
    """Update a piece: a part of one parameter.

    Parameters
    ----------
    i, worker, pieces, example
        As in :func:`_adam_together`.
    table : (parameters, 2 or 3) int64 array
        The addresses of each parameter, its gradient and its velocity, if there is one.
    rate, momentum, nesterov : numbers
        As in :func:`reference.sgd_update`.
    """
    addresses, start, count = table[pieces[i, 0]], pieces[i, 1], pieces[i, 2]
    parameter = array_at(addresses[0], start, count, example)
    gradient = array_at(addresses[1], start, count, example)
    if addresses.size > 2:
        velocity = array_at(addresses[2], start, count, example)
        momentum_chunk(parameter, gradient, velocity, rate, momentum, nesterov)
    else:
        descent_chunk(parameter, gradient, rate)


@helper
def descent_chunk(parameter, gradient, rate):
    """Take a step of plain descent for some elements of one parameter."""
    for i in range(parameter.size):
        parameter[i] -= rate * gradient[i]


@helper
def momentum_chunk(parameter, gradient, velocity, rate, momentum, nesterov):
    """Take a step of descent with momentum, or with Nesterov's, for some elements of one parameter."""
    for i in range(parameter.size):
        step = rate * gradient[i]
        speed = momentum * velocity[i] - step
        velocity[i] = speed
        parameter[i] += momentum * speed - step if nesterov else speed


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
