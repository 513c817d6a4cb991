"""Intrinsics that are written instruction by instruction: the types of their parameters, and where their arrays lie.

Numba asks of each intrinsic what types it takes, and hands its arrays over as structures. Both follow from the names of
its parameters, so a function that writes instructions has to hold nothing else.
"""

import functools
import inspect

import numba
from numba import types
from numba.extending import intrinsic

from .vectors import VectorTypes


def written(in_python, writer=VectorTypes, alike=True):
    """Return a decorator: it makes an intrinsic, for jitted code, of a function that writes instructions.

    The intrinsic has the parameters of ``in_python``: integers, truth values, flat arrays or pointers, and numbers of
    the first array's type.

    Parameters
    ----------
    in_python : function
        The same without compiled code. It takes the intrinsic's place under ``NUMBA_DISABLE_JIT=1``, for debuggers and
        for coverage.
    writer : class
        :class:`.vectors.VectorTypes` or one derived from it. The function that writes instructions gets an instance,
        then the values of the parameters that it shares with ``in_python``. In place of an array it gets the address of
        an element: of the first, or of the one whose number is the parameter behind, if it has no such parameter.
    alike : bool
        Whether all arrays of floating-point numbers must have one type.
    """

    def decorate(write_instructions):
        if numba.config.DISABLE_JIT:
            return in_python
        parameters = inspect.signature(in_python).parameters.values()
        used = inspect.signature(write_instructions).parameters

        @functools.wraps(write_instructions)
        def typed(typingctx, *given):
            arrays = [kind for kind in given if isinstance(kind, types.Array | types.CPointer)]
            if alike and len({kind.dtype for kind in arrays if isinstance(kind.dtype, types.Float)}) > 1:
                return None
            taken = [_taken(kind, arrays[0].dtype) for kind in given]

            def generate(context, builder, signature, args):
                values = []
                for parameter, kind, value in zip(parameters, signature.args, args, strict=True):
                    if parameter.name not in used:
                        values[-1] = builder.gep(values[-1], [value])
                    elif isinstance(kind, types.Array):
                        values.append(context.make_array(kind)(context, builder, value).data)
                    else:
                        values.append(value)
                write_instructions(writer(builder, arrays[0].dtype), *values)
                return context.get_dummy_value()

            return types.void(*taken), generate

        first = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typed.__signature__ = inspect.Signature([first, *parameters])
        return intrinsic(typed)

    return decorate


def _taken(kind, number):
    """Return the type as which an argument of a type is taken."""
    if isinstance(kind, types.Integer):
        return types.intp
    return number if isinstance(kind, types.Float) else kind
