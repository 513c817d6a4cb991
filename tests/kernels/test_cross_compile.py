"""Kernels that are compiled for the systems of others have no slow instructions where they spend their time.

Nobody here has these machines, but LLVM writes code for them all the same, and Numba's own code before that.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# It changes Numba, but only in its own process; what it knows about assembly is tested here.
from cross_compile import TARGETS, innermost_loops, looked_at

ROOT = Path(__file__).parents[2]
#: One each with plain convolutions, Winograd's with batch normalization, and images in the lanes of vectors.
NETWORKS = ("mnist_cnn", "cifar10_cnn", "eip4")
ARM = """
.LBB0_1:                                // =>This Loop Header: Depth=1
                                        //     Child Loop BB0_2 Depth 2
\tldr\tx8, [x0]
.LBB0_2:                                //   Parent Loop BB0_1 Depth=1
                                        // =>  This Inner Loop Header: Depth=2
\tldr\tq1, [x1], #16
\tld1\t{ v2.s }[1], [x2]
\tfmla\tv0.4s, v1.4s, v2.s[0]
\ttbz\tw4, #0, .LBB0_2
// %bb.3:                               //   in Loop: Header=BB0_2 Depth=2
\tfmla\tv3.4s, v1.4s, v2.s[0]
\tbl\tfmaf
\tb\t.LBB0_2
.LBB0_4:                                //   in Loop: Header=BB0_1 Depth=1
\tld1\t{ v2.s }[3], [x2]
\tb\t.LBB0_1
.LBB0_5:
\tret
"""
APPLE = """
LBB0_2:                                 ; =>This Inner Loop Header: Depth=1
\tld1.s\t{ v2 }[1], [x2]
\tfmla.4s\tv0, v1, v2[0]
\tb\tLBB0_2
"""
X86 = """
.LBB0_2:                                # =>This Inner Loop Header: Depth=1
\tvinsertps\t$16, 4(%r15,%rdx,4), %xmm5, %xmm5 # xmm5 = xmm5[0],mem[0],xmm5[2,3]
\tvinsertps\t$16, %xmm4, %xmm5, %xmm5
\tvbroadcastss\t(%rax), %ymm0
\tvmaskmovps\t(%rax), %ymm1, %ymm2
\tvfmadd231ps\t%ymm0, %ymm1, %ymm2
\tvfmadd231ss\t%xmm0, %xmm1, %xmm2
\tjne\t.LBB0_2
"""


def test_loops_are_found_with_all_their_blocks():
    [loop] = innermost_loops(ARM)
    assert sum("fmla" in line for line in loop) == 2
    assert not any("[3]" in line for line in loop)


@pytest.mark.parametrize(("assembly", "fmas", "calls"), [(ARM, 2, 1), (APPLE, 1, 0), (X86, 1, 0)])
def test_what_is_looked_for_is_found(assembly, fmas, calls):
    assert looked_at(assembly) == {
        "loops": 1,
        "loops of vector fmas": 1,
        "most vector fmas in a loop": fmas,
        "loops with single-lane loads": 1,
        "names of fmaf": calls,
    }


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.triple)
def test_kernels_for_other_systems_have_no_slow_instructions_in_their_loops(target, tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("cross_compile.py")), target.triple, *NETWORKS]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert tuple(found["vectors"]) == target.registers
    many = target.registers[1] == 32
    assert found["heights"] == {"wide": [8 if many else 6, 4, 2, 1], "gradients": [6, 3, 2, 1] if many else [3, 2, 1]}
    libraries = found["libraries"]
    kernels = {re.sub(r".*[ .]|_[0-9a-f]{16}$", "", name) for name in libraries}
    products = {"micro_kernel", "images_by_weights", "images_by_gradients", "lane_winograd"}
    assert products | {"forward", "backward", "transform_piece", "_pool", "_dropout", "_to_lanes"} <= kernels
    assert not [name for name, counts in libraries.items() if counts["names of fmaf"]]
    slow = {
        name.partition(" ")[2]: counts for name, counts in libraries.items() if counts["loops with single-lane loads"]
    }
    micro = slow.pop("_compiled.<locals>.micro_kernel", None)
    assert slow == {}
    # NEON has no masked loads. Where the last vector of a row of B is cut off, each of the eight sizes of a tile has a
    # loop that loads its numbers one by one; it is run for the last row or two, and the loop for the others is whole.
    if micro:
        assert target.registers[0] == 16
        assert micro["loops with single-lane loads"] == 8
        assert micro["loops of vector fmas"] == 24
        assert micro["most vector fmas in a loop"] == 2 * found["heights"]["wide"][0]
