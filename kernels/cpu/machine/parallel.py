"""Parallel loops that compile fast: one loop for all kernels, which calls a kernel's chunks by their address.

Numba compiles what a ``prange`` contains four times (as a function, as two wrappers of it, and as a part of its
caller), and again for every caller. For a line of arithmetic that costs nothing, but for a convolution it takes
seconds. Here the loop is compiled once. What it runs is a function of a chunk's number and arguments, which is compiled
by itself, and all that passes between the two is a pair of addresses: that of the function and that of its arguments.
These are laid out from Python, so that no kernel needs compiled code of its own to be called.
"""

import ctypes
import functools
import hashlib
import struct
import types as python_types

import numba
import numpy as np
from numba import prange, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from ...threads import thread_count
from .atomics import call_at
from .jit import LITTLE, by_itself, helper, is_little, kernel, note, parallel_loop, recorder


def worker_count(chunks):
    """Return how many chunks run at the same time; each of these workers needs scratch memory of its own."""
    return min(chunks, thread_count())


class parallel:  # noqa: N801 - a decorator
    """A decorator that makes ``f(chunk, worker, *arguments)`` run for many chunks in parallel.

    ``f.launch(chunks, *arguments)`` calls it for each chunk.

    Chunks with the same worker number run one after another, and can use the same scratch memory. The number of workers
    differs from machine to machine, so results may depend on the chunk, and only scratch memory on the worker.
    Arguments are arrays, numbers, and tuples of numbers.
    """

    def __init__(self, function):
        self.function = function
        self.body = helper(function)
        self._compiled = {}

    def launch(
        self, chunks, *arguments, elements=None, held=None, renewed=(), of_weights=False, gives=None, behind=None
    ):  # fmt: skip
        """Call the function for chunks 0 … chunks-1; which thread takes which chunk is open.

        Parameters
        ----------
        chunks : int
        *arguments
            Those of the function, after its first two. Arrays are contiguous; nothing checks that here.
        elements : int, optional
            How many elements are worked on, where the arguments hold only the addresses of arrays. Little work stays on
            the calling thread; see :func:`.jit.is_little`.
        held : object, optional
            What these addresses belong to; a recorded launch keeps it alive.
        renewed : sequence of (int, callable)
            Numbers of arguments whose values differ from step to step. If the launch is recorded, each run of the
            program takes what the callable returns for the run's ``now``; see :mod:`.program`.
        of_weights : bool
            Whether the results follow from weights alone. A program for weights that never change leaves it out.
        gives, behind
            As in :meth:`.program.Program.note`.
        """
        if numba.config.DISABLE_JIT:
            for chunk in range(chunks):
                self.function(chunk, 0, *arguments)
            return
        # The kind of each argument is always the same, except for the dtype of numbers and arrays.
        dtypes = tuple([getattr(argument, "dtype", None) for argument in arguments])
        compiled = self._compiled.get(dtypes)
        if compiled is None:
            compile_it = functools.partial(self._compile, dtypes, numba.typeof(arguments))
            if note((self, dtypes), compile_it):
                return
            compiled = compile_it()
        address, layout = compiled
        little = is_little(arguments) if elements is None else elements < LITTLE
        program = recorder()
        if program is not None and of_weights and program.frozen:
            program = None
        memory = layout.hold(arguments)
        place = ctypes.addressof(memory)
        if program is not None:
            values = [(layout.place(memory, index, arguments[index]), function) for index, function in renewed]
            row = address, chunks, worker_count(chunks), place
            program.note(row, little, arguments, (memory, held), values, gives, behind)
        _run(1 if little else worker_count(chunks), chunks, address, place)

    def _compile(self, dtypes, kind):
        """Compile for one kind of arguments: return the address of what runs a chunk, and how arguments lie there."""
        digest = hashlib.sha256(str(kind.types).encode()).hexdigest()[:16]
        names = {"body": self.body, "arguments_at": _arguments_at(types.Tuple(kind.types))}
        entry = self._like(_entry, names, digest)
        thread_count()  # starts the threads: code that is read from the cache before that calls address 0
        address = by_itself(types.void(types.int64, types.int64, types.int64), entry).address
        self._compiled[dtypes] = address, _Layout(kind.types)
        return self._compiled[dtypes]

    def _like(self, template, names, suffix):
        """Return a function with the template's code that Numba's cache takes for one of this kernel's file and name.

        There is one function for each kind of arguments. If several processes compile one function for several kinds,
        the cache may give one process the other's code, because it numbers the kinds in the order in which they come.
        The line has to be this kernel's, too: Numba reads the source there, and Python 3.13 refuses half a statement.
        """
        own = self.function.__code__
        code = template.__code__.replace(co_filename=own.co_filename, co_firstlineno=own.co_firstlineno)
        function = python_types.FunctionType(code, names, self.function.__name__)
        function.__qualname__ = f"{self.function.__qualname__}_{suffix}"
        function.__module__ = self.function.__module__
        return function


def _entry(chunk, worker, address):
    """Read the arguments from their address and run one chunk."""
    body(chunk, worker, *arguments_at(address))  # noqa: F821 - _like supplies both names


class _Layout:
    """How arguments of known types lie in memory: as the members of a structure in C, each at a place that fits it.

    Parameters
    ----------
    kinds : sequence of Numba types
    """

    def __init__(self, kinds):
        forms = [_form(kind) for kind in kinds]
        self._all = struct.Struct("".join(forms))
        self._memory = ctypes.c_char * self._all.size
        self._starts = [
            struct.calcsize("".join(forms[: i + 1])) - struct.calcsize(form) for i, form in enumerate(forms)
        ]

    def hold(self, arguments):
        """Return memory that holds the arguments; whoever gives its address away has to keep it, and them."""
        values = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                size, shape = argument.size, argument.shape
                values += (0, 0, size, argument.itemsize, _address(argument) if size else 0, *shape, *argument.strides)
            elif isinstance(argument, tuple):
                values += argument
            else:
                values.append(argument)
        memory = self._memory()
        self._all.pack_into(memory, 0, *values)
        return memory

    def place(self, memory, index, value):
        """Return the place of one argument, a number, within that memory, as an array of one number of its kind."""
        return np.frombuffer(memory, value.dtype, 1, self._starts[index])


def _address(array, in_buffer=ctypes.c_char.from_buffer, address=ctypes.addressof):
    """Return where an array's elements begin; if it is writable, without its own attributes, which are slower."""
    try:
        return address(in_buffer(array))
    except (TypeError, ValueError, BufferError):
        return array.ctypes.data


def _form(kind):
    """Return how values of a type lie in memory, in the letters of :mod:`struct`."""
    if isinstance(kind, types.Array):  # who owns it, twice; how many elements, of how many bytes; where; shape, strides
        return f"{5 + 2 * kind.ndim}q"
    if isinstance(kind, types.BaseTuple):
        parts = [_form(part) for part in kind]
        widest = max(parts, key=struct.calcsize, default="b")
        return f"0{widest}{''.join(parts)}0{widest}"  # it begins and ends where its widest member could
    return "?" if kind == types.boolean else np.dtype(kind.name).char


def _arguments_at(kind):
    """Return an intrinsic that reads a tuple of arguments of known types.

    It leaves out who owns the memory of the arrays. The caller holds it, so nothing has to be counted here; and in a
    recorded launch that note is out of date.
    """

    @intrinsic
    def arguments_at(typingctx, address):
        def generate(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], context.get_value_type(kind).as_pointer())
            value = builder.load(pointer)
            for index, part in enumerate(kind.types):
                if isinstance(part, types.Array):
                    array = cgutils.create_struct_proxy(part)(context, builder, builder.extract_value(value, index))
                    array.meminfo = cgutils.get_null_value(array.meminfo.type)
                    array.parent = cgutils.get_null_value(array.parent.type)
                    value = builder.insert_value(value, array._getvalue(), index)
            return impl_ret_borrowed(context, builder, kind, value)

        return kind(types.int64), generate

    return arguments_at


@parallel_loop
def _side_by_side(workers, chunks, function, arguments):
    """Run the one parallel loop; as it knows only addresses, it is compiled once."""
    for worker in prange(workers):
        number = np.int64(worker)
        for chunk in range(number * chunks // workers, (number + 1) * chunks // workers):
            call_at(function, chunk, number, arguments)


@kernel
def _run(workers, chunks, function, arguments):
    """Run the loop, or one like it: a parallel loop would wake the other threads, for nothing where one worker is."""
    if workers == 1:
        for chunk in range(chunks):
            call_at(function, chunk, 0, arguments)
    else:
        _side_by_side(workers, chunks, function, arguments)
