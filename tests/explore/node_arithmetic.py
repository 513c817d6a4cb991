"""Run the page's arithmetic in node, and draw layers and networks to run it on."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.activations import ACTIVATIONS
from tinycnn.explore import protocol

MODULES = Path(protocol.__file__).parent / "page" / "arithmetic"
NODE = shutil.which("node")


def node(cases, folder):
    """Return the results of cases ``(call, *arguments)``; an error is raised as a RuntimeError with its text."""
    if NODE is None:
        pytest.skip("needs node, which runs the page's JavaScript")
    file = folder / "cases.json"
    file.write_text(json.dumps([{"call": call, "arguments": given} for call, *given in cases], default=_written))
    command = [NODE, Path(__file__).with_name("arithmetic_cases.mjs"), MODULES, file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout, object_hook=read)
    assert len(results) == len(cases)
    return results


def _written(value):
    """Return an array, or one of NumPy's numbers, in a form for JSON."""
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"shape": list(value.shape), "dtype": str(value.dtype), "base64": data}
    return value.item()


def read(item):
    """Return what an object stands for: an array, a number that JSON does not have, a result, or itself."""
    if "base64" in item:
        return np.frombuffer(base64.b64decode(item["base64"]), item["dtype"])
    if set(item) == {"number"}:
        return float(item["number"])
    if set(item) == {"shape", "data"}:
        return item["data"].reshape(item["shape"])
    return item


def results_of(cases, folder):
    """Return the results of cases none of which may fail."""
    found = node(cases, folder)
    assert [item["error"] for item in found if "error" in item] == []
    return [item["result"] for item in found]


def one_layer(layer, shape, dtype, seed):
    """Return a network of a single layer with drawn weights, on the reference backend."""
    tinycnn.set_seed(seed)
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input(shape), layer], dtype=dtype)
    model.compile(optimizer="sgd", loss="mean_squared_error")
    model.set_weights(drawn_weights(model, seed))
    return model


def drawn_weights(model, seed):
    """Return normal numbers for all weights; variances are positive."""
    rng = np.random.default_rng(seed)
    drawn = []
    for name, value in model.weights().items():
        numbers = rng.normal(size=value.shape) * 0.5
        drawn.append((np.abs(numbers) + 0.1 if "variance" in name else numbers).astype(value.dtype))
    return drawn


def convolution(seed):
    """Return a drawn convolution and the shape of its input; no kernel is larger than what it slides over."""
    rng = np.random.default_rng(seed)
    depthwise, groups = bool(rng.integers(2)), int(rng.choice([1, 1, 2, 3]))
    H, W, C = (int(n) for n in (*rng.integers(1, 14, 2), groups * rng.integers(1, 4)))
    padding = str(rng.choice(["valid", "same"]))
    dilation = tuple(int(n) for n in rng.choice([1, 1, 2, 3], 2))
    limits = [
        9 if padding == "same" else min(9, 1 + (length - 1) // d) for length, d in zip((H, W), dilation, strict=True)
    ]
    kernel = tuple(int(rng.integers(1, limit + 1)) for limit in limits)
    shared = {
        "strides": tuple(int(n) for n in rng.integers(1, 4, 2)),
        "padding": padding,
        "dilation_rate": dilation,
        "activation": str(rng.choice(sorted(ACTIVATIONS))),
        "use_bias": bool(rng.integers(4)),
    }
    if depthwise:
        return layers.DepthwiseConv2D(kernel, depth_multiplier=int(rng.integers(1, 4)), **shared), (H, W, C)
    return layers.Conv2D(int(groups * rng.integers(1, 4)), kernel, groups=groups, **shared), (H, W, C)


def pooling(seed):
    """Return a drawn pooling layer and the shape of its input."""
    rng = np.random.default_rng(seed)
    H, W, C = (int(n) for n in rng.integers(1, 10, 3))
    padding = str(rng.choice(["valid", "same"]))
    size = tuple(int(rng.integers(1, (5 if padding == "same" else min(5, length)) + 1)) for length in (H, W))
    strides = None if rng.integers(2) else tuple(int(n) for n in rng.integers(1, 4, 2))
    keepdims = bool(rng.integers(2))
    choices = [
        lambda: layers.MaxPooling2D(size, strides=strides, padding=padding),
        lambda: layers.AveragePooling2D(size, strides=strides, padding=padding),
        lambda: layers.GlobalMaxPooling2D(keepdims=keepdims),
        lambda: layers.GlobalAveragePooling2D(keepdims=keepdims),
    ]
    return choices[seed % 4](), (H, W, C)


def others():
    """Return every other kind of layer, each with the shape of an input."""
    made = [
        (layers.Dense(4), (7,)),
        (layers.Dense(5, use_bias=False, activation="tanh"), (1,)),
        (layers.Dense(3, activation="softmax", kernel_regularizer="l2"), (2, 3, 4)),
        (layers.BatchNormalization(epsilon=0.01), (3, 4, 2)),
        (layers.BatchNormalization(scale=False), (5,)),
        (layers.BatchNormalization(center=False), (2, 2, 3)),
        (layers.Dropout(0.4), (4, 5, 2)),
        (layers.GaussianNoise(0.3), (3, 3, 1)),
        (layers.Flatten(), (2, 3, 4)),
        (layers.Reshape((4, -1, 2)), (2, 3, 4)),
        (layers.ZeroPadding2D(((1, 0), (2, 3))), (2, 3, 2)),
        (layers.ZeroPadding2D(2), (1, 1, 1)),
        (layers.Rescaling(1 / 255, offset=-0.1), (3, 3, 2)),
        (layers.ReLU(), (3, 4)),
        (layers.LeakyReLU(0.1), (3, 4)),
        (layers.ELU(0.7), (12,)),
        (layers.Softmax(), (2, 5)),
    ]
    made += [(layers.Activation(name), (2, 3, 4)) for name in sorted(ACTIVATIONS)]
    return made + [(layers.Dense(3, activation=name), (6,)) for name in sorted(ACTIVATIONS)]


def every_layer():
    """Return all drawn layers with the shapes of their inputs."""
    return [convolution(seed) for seed in range(60)] + [pooling(seed) for seed in range(32)] + others()


def drawn(shape, dtype, seed):
    """Return normal numbers, of which some are equal and some are 0, so that maxima are shared and kinks are met."""
    rng = np.random.default_rng([seed, 1])
    x = rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.3, np.round(x), x).astype(dtype)
