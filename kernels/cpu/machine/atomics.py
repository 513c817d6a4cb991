"""What lanes that run side by side need: counters, waiting, and calls by address."""

import sys

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .memory import call_address

_INDEX = ir.IntType(64)


@intrinsic
def call_at(typingctx, function, chunk, worker, arguments):
    """Call the function at an address with a chunk's number, a worker's number, and the address of its arguments."""

    def generate(context, builder, signature, args):
        call_address(builder, args[0], args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@intrinsic
def add(typingctx, counter, count):
    """Add to the counter at an address and return what it was before; no other thread comes in between."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _INDEX.as_pointer()), args[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def get(typingctx, counter):
    """Return the counter at an address; what others wrote before they last added to it can be read from then on."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], _INDEX.as_pointer()), "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def pause(typingctx):
    """Tell the processor that this thread is waiting, where it has an instruction for that."""

    def generate(context, builder, signature, args):
        triple = builder.module.triple
        if triple.startswith(("x86_64", "amd64")):
            function, kinds, values = "llvm.x86.sse2.pause", [], []
        elif triple.startswith(("aarch64", "arm64")):
            function, kinds, values = "llvm.aarch64.hint", [ir.IntType(32)], [ir.IntType(32)(1)]
        else:
            return context.get_dummy_value()
        declared = builder.module.globals.get(function)
        builder.call(declared or ir.Function(builder.module, ir.FunctionType(ir.VoidType(), kinds), function), values)
        return context.get_dummy_value()

    return types.void(), generate


#: Let other threads of the machine run, as the operating system calls it.
give_way = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())
