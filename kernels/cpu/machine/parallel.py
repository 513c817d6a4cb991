"""Parallel loops that compile fast: one loop for all kernels, which calls a kernel's chunks by their address.

Numba compiles what a ``prange`` contains four times (as a function, as two wrappers of it, and as a part of its
caller), and again for every caller. For a line of arithmetic that costs nothing, but for a convolution it takes
seconds. Here the loop is compiled once. What it runs is a function of a chunk's number and arguments, which is compiled
by itself, and all that passes between the two is a pair of addresses: that of the function and that of its arguments.
"""

import functools
import hashlib
import types as python_types

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ... import aligned
from ...threads import thread_count
from .atomics import call_at
from .jit import LITTLE, by_itself, helper, is_little, kernel, note, parallel_loop, recorder

_INDEX = ir.IntType(64)


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
            Those of the function, after its first two.
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
        address, launch, layout = compiled
        little = is_little(arguments) if elements is None else elements < LITTLE
        program, place = recorder(), 0
        workers = 1 if little and program is None else worker_count(chunks)
        if program is not None and not (of_weights and program.frozen):
            memory = aligned.zeros(layout.size, np.uint8)
            place = memory.ctypes.data
            values = [(layout.place(memory, index, arguments[index]), function) for index, function in renewed]
            row = address, chunks, workers, place
            program.note(row, little, arguments, (memory, held), values, gives, behind)
        launch(1 if little else workers, chunks, address, place, arguments)

    def _compile(self, dtypes, kind):
        """Compile for one kind of arguments: return the address of what runs a chunk, and what launches the loop."""
        digest = hashlib.sha256(str(kind.types).encode()).hexdigest()[:16]
        names = {"body": self.body, "arguments_at": _arguments_at(types.Tuple(kind.types))}
        entry = self._like(_entry, names, digest)
        address = by_itself(types.void(types.int64, types.int64, types.int64), entry).address
        launcher = self._like(_launch, {"run": _run, "put": _put}, f"launch_{digest}")
        launch = kernel(launcher)
        thread_count()  # starts the threads: code that is read from the cache before that calls address 0
        launch.jitted.compile((types.int64, types.int64, types.int64, types.int64, kind))
        self._compiled[dtypes] = address, launch, _Layout(kind)
        return self._compiled[dtypes]

    def _like(self, template, names, suffix):
        """Return a function with the template's code that Numba's cache takes for one of this kernel's file and name.

        There is one function for each kind of arguments. If several processes compile one function for several kinds,
        the cache may give one process the other's code, because it numbers the kinds in the order in which they come.
        """
        code = template.__code__.replace(co_filename=self.function.__code__.co_filename)
        function = python_types.FunctionType(code, names, self.function.__name__)
        function.__qualname__ = f"{self.function.__qualname__}_{suffix}"
        function.__module__ = self.function.__module__
        return function


def _entry(chunk, worker, address):
    """Read the arguments from their address and run one chunk."""
    body(chunk, worker, *arguments_at(address))  # noqa: F821 - _like supplies both names


def _launch(workers, chunks, function, place, arguments):
    """Put the arguments where the chunks can read them, and run the loop."""
    run(workers, chunks, function, put(arguments, place))  # noqa: F821 - _like supplies these, too


class _Layout:
    """How a tuple of arguments lies in memory: ``size`` bytes."""

    def __init__(self, kind):
        context = cpu_target.target_context
        self._struct = ir.LiteralStructType([context.get_value_type(part) for part in kind.types])
        self._data = context.target_data
        self.size = self._struct.get_abi_size(self._data)

    def place(self, memory, index, value):
        """Return the place of one argument within bytes, as an array of one number of its kind."""
        start = self._struct.get_element_offset(self._data, index)
        return memory[start : start + value.itemsize].view(value.dtype)


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


@intrinsic
def _put(typingctx, arguments, place):
    """Put a tuple at an address, or for this call on the stack if that is 0, and return where it is."""

    def generate(context, builder, signature, args):
        value, place = args
        stack = builder.ptrtoint(cgutils.alloca_once(builder, value.type), _INDEX)
        chosen = builder.select(builder.icmp_unsigned("==", place, _INDEX(0)), stack, place)
        builder.store(value, builder.inttoptr(chosen, value.type.as_pointer()))
        return chosen

    return types.int64(arguments, types.int64), generate


@parallel_loop
def _run(workers, chunks, function, arguments):
    """Run the one parallel loop; as it knows only addresses, it is compiled once."""
    if workers == 1:  # a parallel loop would wake the other threads, for nothing
        for chunk in range(chunks):
            call_at(function, chunk, 0, arguments)
        return
    for worker in prange(workers):
        number = np.int64(worker)
        for chunk in range(number * chunks // workers, (number + 1) * chunks // workers):
            call_at(function, chunk, number, arguments)
