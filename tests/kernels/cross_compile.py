"""Compile every kernel of some networks for another system; ``test_cross_compile.py`` runs this in its own process.

    python tests/kernels/cross_compile.py TARGET NETWORK…

Numba makes the code that it would make there: from its own intermediate code, with that system's width and number of
vector registers, through LLVM's passes for its processor, down to assembly. Only what would load the code into this
process is left out, so nothing that is compiled here can run. The program prints, as JSON, what it found in each
library.
Set ASSEMBLY to a folder to read what was looked at.
"""

import itertools
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm
from numba.core import caching, codegen


@dataclass(frozen=True)
class Target:
    """A system and a processor on it that many people have."""

    triple: str
    cpu: str
    features: str
    registers: tuple[int, int]  #: how many bytes each vector register has, and how many there are


TARGETS = {
    target.triple: target
    for target in (
        Target("arm64-apple-macosx", "apple-m1", "+neon,+fullfp16", (16, 32)),
        Target("aarch64-linux-gnu", "cortex-a76", "+neon,+fullfp16", (16, 32)),
        Target("x86_64-pc-windows-msvc", "haswell", "+avx,+avx2,+fma,+bmi,+bmi2,+f16c", (32, 16)),
    )
}

# How LLVM writes what is looked for; for Apple it writes the kind of a vector behind the instruction. A load into one
# lane leaves the others as they are.
FMA = re.compile(r"\t(fml[as](\.[24][sd]\tv\d+|\tv\d+\.[24][sd]),|vfn?m(add|sub)\d+p[sd]\t)")
LANE = re.compile(r"\t(ld1(\.[bhsd])?\t\{ v\d+(\.[bhsd])? \}\[|v?(insertps|pinsr[bwdq]|mov[hl]p[sd])\t.*\(.*, %xmm)")
# What it says about a block, in comments: that an innermost loop begins, or to which loop a block belongs.
BLOCK = re.compile(r"(\.?L?BB(?P<label>\d+_\d+):|(//|;|#) %bb\.\d+:)")
HEADER = re.compile(r"This Inner Loop Header")
MEMBER = re.compile(r"in Loop: Header=BB(?P<header>\d+_\d+) ")


def innermost_loops(assembly: str) -> list[list[str]]:
    """Return the lines of each loop that holds no other."""
    loops: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}  # and what lies directly in loops that do hold others
    label, lines = "", []
    for line in assembly.splitlines():
        if block := BLOCK.match(line):
            label, lines = block["label"] or "", []
        if HEADER.search(line):
            lines = loops.setdefault(label, [])
        elif member := MEMBER.search(line):
            lines = others.setdefault(member["header"], [])
        lines.append(line)
    return [loops[header] + others.get(header, []) for header in loops]


def looked_at(assembly: str) -> dict[str, int]:
    """Count, in the assembly of one library, the loops that hold no other, and what would make these slow."""
    loops = [
        (sum(map(bool, map(FMA.match, loop))), sum(map(bool, map(LANE.match, loop))))
        for loop in innermost_loops(assembly)
    ]
    return {
        "loops": len(loops),
        "loops of vector fmas": sum(fmas > 0 for fmas, _ in loops),
        "most vector fmas in a loop": max((fmas for fmas, _ in loops), default=0),
        "loops with single-lane loads": sum(lanes > 0 for _, lanes in loops),
        "names of fmaf": len(re.findall(r"\b_?fmaf?\b", assembly)),
    }


class _ForeignCodegen(codegen.JITCPUCodegen):
    """Numba's way from its intermediate code to assembly, for another system; nothing is loaded into this process."""

    target: Target

    def _init(self, module):
        super()._init(module)
        triple = llvm.Target.from_triple(self.target.triple)
        self._tm = triple.create_target_machine(
            cpu=self.target.cpu, features=self.target.features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
        )
        self._tm.set_asm_verbosity(True)
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        self._tm_features = self.target.features
        module.triple, module.data_layout = self.target.triple, self._data_layout

    def _create_empty_module(self, name):
        module = super()._create_empty_module(name)
        module.triple = self.target.triple
        return module

    def _get_host_cpu_name(self):
        return self.target.cpu

    def _add_module(self, module):
        pass

    def set_env(self, env_name, env):
        pass


class _ForeignLibrary(codegen.JITCodeLibrary):
    """One library, whose assembly is looked at in place of being loaded."""

    def _finalize_specific(self):
        pass

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return next(_addresses) if name in {function.name for function in self.get_defined_functions()} else 0


_addresses = itertools.count(2**20, 64)  # nobody calls what lies there, because nothing does


def patch(target: Target) -> dict[str, str]:
    """Let Numba compile for another system from now on; return where it leaves the assembly of each library."""
    assemblies: dict[str, str] = {}

    def finalized(library):
        name = f"{len(assemblies)} {library.name}"  # the same function, for other types, has the same name
        assemblies[name] = library._codegen._tm.emit_assembly(library._final_module)

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    _ForeignCodegen.target = target
    _ForeignCodegen._library_class = _ForeignLibrary
    _ForeignLibrary._finalize_specific = finalized
    codegen.JITCPUCodegen = _ForeignCodegen
    caching.Cache.load_overload = caching.Cache.save_overload = lambda *_: None
    return assemblies


def main() -> None:
    target = TARGETS[sys.argv[1]]
    assemblies = patch(target)
    from tinycnn import models
    from tinycnn.kernels.cpu.machine import lane_kernel, micro_kernel, vectors
    from tinycnn.training import precompile

    for name in sys.argv[2:]:
        model, recipe = models.build(name), models.recipe(name)
        model.compile(recipe.optimizer, "sparse_categorical_crossentropy")
        for batch in (1, 128):  # with fewer than sixteen images, layers do not take them into the lanes
            for compile_it in precompile.needed(model, batch, fuse=True):
                compile_it()
    found = {
        "vectors": [vectors.VECTOR_BYTES, vectors.REGISTERS],
        "heights": {"wide": micro_kernel.WIDE, "gradients": lane_kernel.IMAGES_BY_GRADIENTS[0]},
        "libraries": {name: looked_at(assembly) for name, assembly in assemblies.items()},
    }
    if folder := os.environ.get("ASSEMBLY"):  # keep what was looked at
        for name, assembly in assemblies.items():
            Path(folder, re.sub(r"\W+", "_", name) + ".s").write_text(assembly, "utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
