"""Every kernel compiles for two generations of cards, without a card, and fits into their registers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install -e '.[cuda]'")

pytestmark = pytest.mark.cuda

HERE = Path(__file__).parent
#: Kernels that compute in float64 whatever their arrays hold, because they sum up or the textbook uses float64.
DOUBLE = {"column_sums", "_add_chunks", "sum_of_squares", "_root_of_sum", "_squared_error", "_gaussian_noise", "_blur"}


@pytest.mark.parametrize("architecture", ["8.0", "9.0"])
def test_every_kernel_compiles(architecture, record_property):
    environment = {
        **os.environ,
        "NUMBA_ENABLE_CUDASIM": "0",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
    }
    command = [sys.executable, HERE / "cuda_ptx.py", architecture]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "libnvvm" in result.stderr.lower() or "NvvmSupportError" in result.stderr:
        pytest.skip("the compiler library libNVVM is missing: pip install -e '.[cuda]'")
    assert result.returncode == 0, result.stderr[-2000:]
    report = json.loads(result.stdout)
    found = report["compiled"]
    from tinycnn.kernels import reference

    assert report["called"] == sorted(reference.__all__)
    for entry in found:
        name = entry["function"].rpartition(".")[2]
        if entry["dtype"] == "float32" and name not in DOUBLE:
            assert not entry["float64"], f"{name} computes in float64: a literal in it?"
        if "registers" in entry:
            assert entry["spills"] == 0, entry
            assert entry["registers"] <= 128, entry  # two blocks of 256 threads at once
            assert entry["shared"] <= 48 * 1024, entry
        record_property(f"{entry['kernel']} {entry['dtype']} {name}", json.dumps(entry))
