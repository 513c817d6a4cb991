"""Other processors: the kernels compiled for AVX2, and for any x86-64, give right results.

Numba compiles for a named processor, each time into a cache folder of its own. The kernels run in a process of its own,
which is possible where the named instructions are a part of what this processor has.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AVX2 = "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2,+64bit,+cx16,+sahf,+xsave"
#: Numba's names of a processor and of its features, and the bytes of a vector.
TARGETS = {"haswell": (AVX2, 32), "x86-64": ("", 16)}
#: Largest error over the largest result; Winograd's algorithm rounds more than the definition.
TOLERANCE = {"float32": 3e-5, "float64": 1e-12}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names of x86-64 processors"),
]


def processor_has(*flags):
    """Return whether this processor has the instructions; True if that cannot be found out."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return True
    return set(flags) <= set(next((line for line in lines if line.startswith("flags")), "").split())


def errors_of_kernels():
    """Run in a process of its own; return the vector's bytes, and the relative errors of the kernels by dtype."""
    import numpy as np

    from tinycnn.kernels import cpu, reference
    from tinycnn.kernels.cpu.machine import vectors

    errors = {}
    for dtype in TOLERANCE:
        for name, function, definition, arguments in _calls(np.random.default_rng(0), cpu, reference):
            rounded = [_cast(argument, dtype) for argument in arguments]
            results = function(*rounded)
            expected = definition(*[_cast(argument, "float64") for argument in rounded])
            results, expected = (r if isinstance(r, tuple) else (r,) for r in (results, expected))
            scaled = [
                # A comparison with NaN is false, and its maximum is NaN, so it cannot pass for a small error.
                float(np.abs(a.astype(float) - e).max() / max(1, np.abs(e).max()))
                for a, e in zip(results, expected, strict=True)
            ]
            errors[f"{name} {dtype}"] = max(scaled) if not np.isnan(scaled).any() else None
    return {"vector": vectors.VECTOR_BYTES, "errors": errors}


def _cast(argument, dtype):
    """Convert arrays of reals to a dtype; leave sizes and winners as they are."""
    return argument.astype(dtype) if getattr(getattr(argument, "dtype", None), "kind", "") == "f" else argument


def _calls(rng, cpu, reference):
    """Return calls of kernels with channel counts that fill no vector, and one that fills several and a part."""
    draw = rng.standard_normal
    for C, F, groups, strides, algorithm in [
        (1, 5, 1, (1, 1), "auto"),
        (3, 17, 1, (2, 1), "auto"),
        (6, 10, 2, (1, 1), "auto"),
        (13, 35, 1, (1, 1), "direct"),
        (13, 35, 1, (1, 1), "winograd"),
        (32, 33, 1, (1, 1), "auto"),
    ]:
        x, w, b = draw((5, 9, 11, C)), draw((3, 3, C // groups, F)), draw(F)
        geometry = strides, (1, 1, 1, 1), (1, 1), groups
        dy = draw(reference.conv2d_forward(x, w, b, *geometry).shape)
        for kind, arguments in (
            ("forward", (x, w, b, *geometry)),
            ("backward_input", (dy, w, (9, 11), *geometry)),
            ("backward_weights", (dy, x, (3, 3), *geometry)),
        ):
            name = f"conv2d_{kind}"
            yield (
                f"{name} {C}→{F} in {groups}, {algorithm}",
                lambda *a, name=name, algorithm=algorithm: getattr(cpu, name)(*a, algorithm=algorithm),
                getattr(reference, name),
                arguments,
            )
        yield from _stages(cpu, reference, (x, w, b), geometry, algorithm)
    for inputs, units in ((7, 3), (37, 19), (300, 130)):
        rows, matrix, dy = draw((9, inputs)), draw((inputs, units)), draw((9, units))
        for name, arguments in (
            ("dense_forward", (rows, matrix, draw(units))),
            ("dense_backward_input", (dy, matrix)),
            ("dense_backward_weights", (dy, rows)),
        ):
            yield f"{name} {inputs}→{units}", getattr(cpu, name), getattr(reference, name), arguments
    for C in (1, 5, 33):
        x, pool = draw((4, 9, 7, C)), ((3, 2), (2, 2), (1, 1, 0, 1))
        y, argmax = reference.max_pool2d_forward(x, *pool)
        yield f"max_pool2d_forward {C}", cpu.max_pool2d_forward, reference.max_pool2d_forward, (x, *pool)
        backward = draw(y.shape), argmax, (9, 7), *pool
        yield f"max_pool2d_backward {C}", cpu.max_pool2d_backward, reference.max_pool2d_backward, backward
        gamma, beta = draw(C), draw(C)
        normalize = x, gamma, beta, 1e-3
        yield f"batch_norm_forward {C}", cpu.batch_norm_forward, reference.batch_norm_forward, normalize


def _stages(cpu, reference, arrays, geometry, algorithm):
    """Run convolution, ReLU and pooling in one kernel; the gradient goes to the pixel that won in that kernel."""
    from tinycnn.kernels.geometry import Window

    strides, pads, dilation, groups = geometry
    window, pool = Window((3, 3), strides, pads, dilation), Window((2, 2), (2, 2), (0, 0, 0, 0))
    arguments = window, groups, algorithm, True, pool

    def stage(x, w, b):
        y, argmax = cpu.fused.conv2d_stage_forward(x, w, b, *arguments)
        return y, *cpu.fused.conv2d_stage_backward(y, y, argmax, x, w, *arguments, (True, True))

    def in_turn(x, w, b):
        activated = reference.relu_forward(reference.conv2d_forward(x, w, b, *geometry))
        y, argmax = reference.max_pool2d_forward(activated, *pool[:3])
        dy = reference.relu_backward(
            reference.max_pool2d_backward(y, argmax, activated.shape[1:3], *pool[:3]), activated
        )
        dx = reference.conv2d_backward_input(dy, w, x.shape[1:3], *geometry)
        return y, dx, *reference.conv2d_backward_weights(dy, x, (3, 3), *geometry)

    yield f"stage of {arrays[1].shape[2:]} in {groups}, {algorithm}", stage, in_turn, arrays


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernels_are_right_on_another_processor(target, tmp_path):
    features, width = TARGETS[target]
    if target == "haswell" and not processor_has("avx2", "fma", "bmi2"):
        pytest.skip("this processor has no AVX2")
    code = "import json, test_targets; print(json.dumps(test_targets.errors_of_kernels()))"
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "NUMBA_CPU_NAME": target,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["vector"] == width
    assert len(found["errors"]) > 60
    # None stands for NaN.
    wrong = {
        name: error
        for name, error in found["errors"].items()
        if error is None or not error <= TOLERANCE[name.rpartition(" ")[2]]
    }
    assert wrong == {}
