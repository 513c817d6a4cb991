"""Arguments for every kernel that are small enough for the simulator; the tests of the cuda backend share them."""

import numpy as np

from tinycnn.kernels import reference

CURVES = {"elu": (0.5,), "gelu": (), "leaky_relu": (0.2,), "relu": (), "sigmoid": (), "tanh": ()}
#: strides, pads, dilation, groups; input size, kernel size, channels, filters
CONVOLUTIONS = [
    ((1, 1), (1, 1, 1, 1), (1, 1), 1, (4, 5), (3, 3), 3, 5),
    ((2, 1), (1, 0, 2, 1), (1, 2), 2, (5, 6), (2, 3), 4, 6),
    ((1, 2), (0, 2, 0, 0), (2, 1), 3, (5, 4), (3, 2), 3, 3),
    ((3, 3), (0, 0, 0, 0), (1, 1), 1, (5, 4), (1, 1), 2, 9),
]
POOLS = [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (2, 1), (1, 2, 1, 0))]


def arguments():
    """Return for each kernel a list of argument tuples without ``out`` and ``work``; floats are float64."""
    rng = np.random.default_rng(0)
    cases = {name: [] for name in reference.__all__}

    def draw(*shape):
        return np.asarray(rng.standard_normal(shape))

    def positive(*shape):
        return np.asarray(rng.uniform(0.1, 2, shape))

    def add(name, *values):
        # Arithmetic turns an array without axes into a number.
        cases[name].append(tuple(np.asarray(v) if isinstance(v, np.generic) else v for v in values))

    for number, (*geometry, size, window, C, F) in enumerate(CONVOLUTIONS):
        x, w = draw(2, *size, C), draw(*window, C // geometry[3], F)
        dy = draw(*reference.conv2d_forward(x, w, None, *geometry).shape)
        add("conv2d_forward", x, w, draw(F) if number % 2 else None, *geometry)
        add("conv2d_backward_input", dy, w, size, *geometry)
        add("conv2d_backward_weights", dy, x, window, *geometry)
    for pool in POOLS:
        x = rng.integers(-2, 3, (2, 5, 4, 3)).astype(float)  # these contain ties
        y, argmax = reference.max_pool2d_forward(x, *pool)
        add("max_pool2d_forward", x, *pool)
        add("average_pool2d_forward", x, *pool)
        add("max_pool2d_backward", draw(*y.shape), argmax, (5, 4), *pool)
        add("average_pool2d_backward", draw(*y.shape), (5, 4), *pool)
    for N, inputs, outputs in [(3, 9, 5), (1, 23, 1), (0, 3, 2)]:
        add("dense_forward", draw(N, inputs), draw(inputs, outputs), draw(outputs) if N else None)
        add("dense_backward_input", draw(N, outputs), draw(inputs, outputs))
        add("dense_backward_weights", draw(N, outputs), draw(N, inputs))
    for shape in [(3, 2, 5, 3), (41, 5), (1, 1)]:
        x, C = 3 + draw(*shape), shape[-1]
        add("batch_norm_forward", x, draw(C), draw(C), 1e-3)
        add("batch_norm_backward", draw(*shape), x, draw(C), draw(C), positive(C), 1e-3)
        add("batch_norm_inference_forward", x, draw(C), draw(C), draw(C), positive(C), 1e-3)
        add("batch_norm_inference_backward", draw(*shape), x, draw(C), draw(C), positive(C), 1e-3)
        add("move_average", draw(C), draw(C), 0.99)
    for shape in [(5, 7), (0, 3), ()]:
        for name, constants in CURVES.items():
            add(f"{name}_forward", 30 * draw(*shape), *constants)
            add(f"{name}_backward", draw(*shape), draw(*shape), *constants)
        add("dropout", draw(*shape), 0.4, 3, 4)
        add("gaussian_noise", draw(*shape), 0.4, 2**62, 4)
        add("scale_gradient", draw(*shape), 0.3)
        add("clip_gradient", draw(*shape), 0.5)
        add("gradient_norm", draw(*shape))
        for nesterov in (False, True):
            add("sgd_update", draw(*shape), draw(*shape), draw(*shape), 0.1, 0.9, nesterov)
        add("sgd_update", draw(*shape), draw(*shape), None, 0.1, 0.0, False)
        moments = draw(*shape), positive(*shape)
        add("adam_update", draw(*shape), draw(*shape), *moments, 3, 1e-3, 0.9, 0.999, 1e-7)
        for mean, velocity in [(None, None), (0.1 * draw(*shape), draw(*shape))]:
            square = positive(*shape)
            add("rmsprop_update", draw(*shape), draw(*shape), square, mean, velocity, 1e-2, 0.9, 0.8, 1e-7)
    add("gradient_norm", draw(151))
    for N, K in [(5, 4), (1, 1), (0, 3)]:
        labels, shares = rng.integers(0, K, N), rng.dirichlet([1] * K, N)
        p = reference.softmax_forward(draw(N, K))
        add("softmax_forward", 50 * draw(N, K))
        add("softmax_backward", draw(N, K), p)
        add("softmax_cross_entropy_forward", draw(N, K), labels)
        add("softmax_cross_entropy_backward", p, labels, draw(N))
        add("categorical_cross_entropy_forward", draw(N, K), shares)
        add("categorical_cross_entropy_backward", p, shares, draw(N))
        add("mean_squared_error_forward", draw(N, 3 * K), draw(N, 3 * K))
        add("mean_squared_error_backward", draw(N, K), draw(N, K), draw(N))
    x = draw(3, 4, 5, 2)
    add("warp_images", x, draw(3, 2, 3))
    add("blur_images", x, np.array([0.0, 0.4, 1.5]))
    add("cut_out_images", x, rng.integers(-2, 8, (3, 4)))
    return cases


def converted(values, dtype, upload=lambda array: array):
    """Return the arguments after ``upload``: floating arrays in ``dtype``, and copies of the others."""

    def one(value):
        if not isinstance(value, np.ndarray):
            return value
        return upload(value.astype(dtype) if value.dtype.kind == "f" else value.copy())

    return tuple(map(one, values))


def results(values, returned):
    """Return a kernel's results, which are what it returned or the arrays that it updated."""
    if returned is None:
        return tuple(value for value in values if hasattr(value, "shape"))
    return returned if isinstance(returned, tuple) else (returned,)
