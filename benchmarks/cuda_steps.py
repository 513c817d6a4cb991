"""Measure the teaching steps of a convolution beside the backend's own convolution, on this machine's card.

    python benchmarks/cuda_steps.py

Every step is first compared with the reference. Rates count useful arithmetic only: two operations for each
multiplication and addition of the convolution, and none for what is computed and thrown away.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable

import cuda_name  # noqa: F401  (It must be imported before anything that imports numba-cuda.)
import numpy as np

from tinycnn.core.backend import unavailable
from tinycnn.kernels import reference

#: Images, height, width, channels and filters of layers of ``mnist_cnn`` and ``cifar10_cnn``, and of a wider layer.
SHAPES = [(128, 28, 28, 32, 64), (64, 32, 32, 32, 32), (64, 16, 16, 64, 64), (64, 14, 14, 128, 128)]
PADS, WINDOW = (1, 1, 1, 1), (3, 3)


def seconds(function, least=0.2):
    """Return the seconds of one call, when many calls are made in a row and nothing waits between them."""
    from tinycnn.kernels import cuda

    function()  # The first call compiles.
    count, elapsed = 1, 0.0
    while elapsed < least:
        cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            function()
        cuda.synchronize()
        elapsed = time.perf_counter() - start
        count *= 1 if elapsed >= least else 4
    return elapsed / count


def measured(shape, rng):
    """Yield name and GFLOP/s of each way to compute one shape, checked against the reference on the first image."""
    from tinycnn.kernels import cuda
    from tinycnn.kernels.cuda.steps import STEPS

    N, H, W, C, F = shape
    x, w = rng.standard_normal((N, H, W, C), np.float32), rng.standard_normal((*WINDOW, C, F), np.float32)
    geometry = (1, 1), PADS, (1, 1), 1
    expected = reference.conv2d_forward(x[:1], w, None, *geometry)
    on_card, weights, y = cuda.upload(x), cuda.upload(w), cuda.empty((N, H, W, F))
    ways: dict[str, Callable[[], object]] = {
        name: functools.partial(step.forward, on_card, weights, PADS, y) for name, step in STEPS.items()
    }
    ways["the backend"] = lambda: cuda.conv2d_forward(on_card, weights, None, *geometry, out=y)
    operations = 2 * N * H * W * C * F * WINDOW[0] * WINDOW[1]
    for name, way in ways.items():
        y[...] = np.nan
        way()
        np.testing.assert_allclose(y[:1].to_numpy(), expected, atol=1e-4 * np.abs(expected).max(), err_msg=name)
        yield name, operations / seconds(way) / 1e9


def refuse_without_card():
    """End the script with the reason if there is nothing to measure."""
    missing = unavailable("cuda")
    if missing is None:
        from tinycnn.kernels import cuda

        missing = "this is the simulator, and its times say nothing about a card" if cuda.SIMULATED else None
    if missing is not None:
        sys.exit(f"nothing measured: {missing}")


def main():
    """Measure every shape and print a table."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    refuse_without_card()
    rng = np.random.default_rng(0)
    print("GFLOP/s, forward, 3×3, float32")
    for shape in SHAPES:
        print("N, H, W, C, F =", shape)
        for name, rate in measured(shape, rng):
            print(f"  {name:<18}{rate:>10,.0f}")


if __name__ == "__main__":
    main()
