"""Compile a helper no further than the kernels that call it need, which saves a third of a first start.

Numba compiles each function that a jitted function calls like any other: LLVM optimises it and makes machine code of
it. Then each caller, which has a copy of it, is optimised and made machine code of in turn. Nobody runs a helper by
itself, so the compiler here stops at the helper's LLVM code, which is all that Numba links into its callers.

It consists of Numba's own passes (see "Customizing the Compiler" in Numba's manual), with another class for the code
that they write. This class overrides methods that Numba does not document. Where one of them is missing, Numba compiles
helpers as it always does, with the same results.

A helper raises no error that holds values of its arguments: Numba gives the means for that to code that it loads.
"""

import functools

from numba import _dynfunc
from numba.core import codegen, compiler
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _LinkedOnly:
    """Code that becomes a part of other code, and is optimised and made machine code of as a part of that."""

    def _optimize_final_module(self):
        """Leave it as it is."""

    def _finalize_final_module(self):
        """Make no machine code."""
        self._finalized = True


@functools.cache
def _linked_only(usual):
    """Return the class of a helper's code, given the class that its compiler's code usually has."""
    return type(f"LinkedOnly{usual.__name__}", (_LinkedOnly, usual), {})


@register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringForCallers(NativeLowering):
    """Write a helper's LLVM code, and nothing to call it with from Python."""

    _name = "lowering_for_callers"

    def run_pass(self, state):
        writer = state.targetctx.codegen()
        state.library = _linked_only(writer._library_class)(writer, state.func_id.func_qualname)
        flags = state.flags
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        super().run_pass(state)
        lowered = state["cr"]
        # Numba's dispatcher insists on something that can be called. Python calls the function that is not compiled.
        entry = _dynfunc.make_function(
            lowered.fndesc.lookup_module(), state.func_id.func_name, "", 0, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=entry)
        return True


class _HelperCompiler(compiler.Compiler):
    """Numba's pipeline, but for the pass that writes the code."""

    def define_pipelines(self):
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [
                (_LoweringForCallers if step is NativeLowering else step, text) for step, text in pipeline.passes
            ]
            pipeline.finalize()
        return pipelines


def _is_possible():
    """Return whether this version of Numba has what is overridden and used above."""
    overridden = [name for name in vars(_LinkedOnly) if not name.startswith("__")]
    return (
        all(hasattr(codegen.JITCodeLibrary, name) for name in overridden)
        and hasattr(codegen.JITCPUCodegen, "_library_class")
        and hasattr(_dynfunc, "make_function")
    )


#: What a helper is compiled with, besides Numba's usual options.
OPTIONS = {"pipeline_class": _HelperCompiler} if _is_possible() else {}
