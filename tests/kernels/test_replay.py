"""The launches of a kernel, run again on the same arrays with other values, give the results for these values.

So a training step can be recorded as a list of launches. What a kernel computed from values in Python, or copied, would
stay as it was when the step was recorded.
"""

import functools

import numpy as np
import pytest
from test_kernels_threads import large_arguments, small_arguments

from tinycnn.kernels import cpu, reference
from tinycnn.kernels.cpu.machine.parallel import parallel
from tinycnn.kernels.geometry import Window

#: The weights of a blur are computed in Python from the strengths that were drawn; images are changed before a step.
BEFORE_A_STEP = {"blur_images"}


def cases():
    """Return kernels and arguments by name: of all kernels, of each algorithm, and of a stage with a normalisation."""
    arguments = large_arguments() | small_arguments()
    found = {name: (getattr(cpu, name), arguments[name]) for name in reference.__all__ if name not in BEFORE_A_STEP}
    for name in [name for name in found if name.startswith("conv2d")]:
        for algorithm in ("im2col", "winograd"):
            found[f"{name}, {algorithm}"] = functools.partial(getattr(cpu, name), algorithm=algorithm), arguments[name]
    rng = np.random.default_rng(0)
    x, w, b, *norm = (rng.uniform(0.1, 1, s).astype(np.float32) for s in ((5, 8, 8, 3), (3, 3, 3, 4), *[(4,)] * 5))
    window, pool = Window((3, 3), (1, 1), (0,) * 4), Window((2, 2), (2, 2), (0,) * 4)

    def stage(x, w, b, *norm):
        return cpu.fused.conv2d_stage_forward(x, w, b, window, 1, "auto", True, pool, (*norm, 1e-3))

    found["a stage"] = stage, (x, w, b, *norm)
    found["a stage in lanes"] = stage, (cpu.fused.to_lanes(x), w, b, *norm)
    return found


CASES = cases()


def arrays(values):
    """Return the arrays among some values."""
    return [value for value in values if isinstance(value, np.ndarray)]


def results(kernel, arguments):
    """Return the arrays that a kernel returns or, if it returns nothing, those that it was given."""
    returned = kernel(*arguments)
    return arrays(arguments if returned is None else returned if isinstance(returned, tuple) else (returned,))


def recorded(kernel, arguments, monkeypatch):
    """Return the results of a kernel, and a function that repeats its launches."""
    launches, launch = [], parallel.launch

    def record(self, *given, **named):
        launches.append(functools.partial(launch, self, *given, **named))
        launches[-1]()

    with monkeypatch.context() as patch:
        patch.setattr(parallel, "launch", record)
        found = results(kernel, arguments)
    return found, lambda: [again() for again in launches]


@pytest.mark.parametrize("name", CASES)
def test_a_replay_computes_from_the_values_of_now(name, monkeypatch):
    kernel, given = CASES[name]
    arguments = [value.copy() if isinstance(value, np.ndarray) else value for value in given]
    found, replay = recorded(kernel, arguments, monkeypatch)
    for array, before in zip(arrays(arguments), arrays(given), strict=True):
        array[...] = np.roll(before.reshape(-1)[::-1], 1).reshape(before.shape)
    expected = results(kernel, [value.copy() if isinstance(value, np.ndarray) else value for value in arguments])
    replay()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
