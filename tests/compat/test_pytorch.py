"""Compare layers, activations, losses, optimizers and whole networks with PyTorch, whose autograd gives the gradients.

Each counterpart is a few lines of PyTorch that compute *forward* only, with the axes of tinycnn (channels last). The
tests fail for anything in tinycnn's registries that has no counterpart here, so a new layer is compared from its first
day.
"""

import math

import numpy as np
import pytest
from compat_helpers import (
    STEPS,
    TOLERANCE,
    Valley,
    assert_close,
    clipped,
    constructor_arguments,
    conv_algorithms,
    every_convolution,
    optimizer_options,
    require,
    trajectory,
    with_pads,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycnn import activations, layers, losses, optimizers, schedules, use_backend
from tinycnn.core.backend import BACKENDS, Backend
from tinycnn.testing import strategies

torch = require("torch")
F = torch.nn.functional
torch.set_num_threads(1)  # the tensors are tiny

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
EVERY_DTYPE = pytest.mark.parametrize("dtype", list(TOLERANCE))
SEEDS = st.integers(0, 2**16)

# Counterparts --------------------------------------------------------------------------------------------------

ACTIVATIONS = {
    "elu": F.elu,
    "exponential": torch.exp,
    "gelu": F.gelu,
    "hard_sigmoid": F.hardsigmoid,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),  # Keras's slope; PyTorch's own is 0.01
    "linear": lambda x: x,
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "relu": F.relu,
    "relu6": F.relu6,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softmax": lambda x: F.softmax(x, -1),
    "softplus": F.softplus,
    "softsign": F.softsign,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activate(layer, y):
    return ACTIVATIONS[layer.activation.name](y)


def images(function):
    """Let a function of (N, C, H, W) work on (N, H, W, C).

    The array is copied with ``clone``. For one channel, ``contiguous`` would leave the strides (25, 1, 5, 1) as they
    are, and with these PyTorch 2.13 on x86 reads memory that it never set (float32, a 4×4 filter, strides (1, 2)).
    """

    def channels_last(x):
        x = x.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
        return function(x).permute(0, 2, 3, 1)

    return channels_last


def pad(x, pads, value=0.0):
    """Pad all four sides separately, because PyTorch's own pads are the same on both sides."""
    top, bottom, left, right = pads
    return F.pad(x, (left, right, top, bottom), value=value)


def conv2d(layer, x, p):
    return activate(layer, convolve(layer.window, x, p["kernel"], p.get("bias"), layer.groups))


def depthwise_conv2d(layer, x, p):
    """Use as many groups as there are channels: (KH, KW, C, M) are C groups of M filters."""
    w = p["kernel"].reshape(*layer.kernel_size, 1, -1)
    return activate(layer, convolve(layer.window, x, w, p.get("bias"), x.shape[-1]))


def convolve(window, x, w, b, groups):
    w = w.permute(3, 2, 0, 1).contiguous()

    def cross_correlate(x):
        return F.conv2d(pad(x, window.pads), w, b, window.strides, dilation=window.dilation, groups=groups)

    return images(cross_correlate)(x)


def max_pooling(layer, x, p):
    window = layer.window
    return images(lambda x: F.max_pool2d(pad(x, window.pads, -math.inf), window.size, window.strides))(x)


def average_pooling(layer, x, p):
    """Leave the pads out of the average: take it with them, and divide by the share of real pixels."""
    window = layer.window

    def average(x):
        return F.avg_pool2d(pad(x, window.pads), window.size, window.strides)

    return images(lambda x: average(x) / average(torch.ones_like(x)))(x)


def batch_normalization(layer, x, p):
    """Normalise as in training, or by the moving statistics if the layer is frozen."""
    axes = (0, x.ndim - 1, *range(1, x.ndim - 1))  # channels second
    frozen = [None, None] if layer.trainable else map(torch.tensor, layer.buffers.values())
    y = F.batch_norm(
        x.permute(axes), *frozen, p.get("gamma"), p.get("beta"), training=layer.trainable, eps=layer.epsilon
    )
    return y.permute((0, *range(2, x.ndim), 1))


def dropout(layer, x, p):
    """Apply tinycnn's own mask, which no other package draws, with PyTorch's arithmetic."""
    kept = layer.kernels.dropout(np.ones(x.shape), layer.rate, layer.noise_seed, STEP[0]) != 0
    return x * torch.tensor(kept) / (1 - layer.rate)


def gaussian_noise(layer, x, p):
    """Add tinycnn's own noise, with PyTorch's arithmetic."""
    return x + torch.tensor(layer.kernels.gaussian_noise(np.zeros(x.shape), layer.stddev, layer.noise_seed, STEP[0]))


STEP = [0]  # the optimizer step, on which the mask of a dropout depends

LAYERS = {
    "Activation": lambda layer, x, p: activate(layer, x),
    "AveragePooling2D": average_pooling,
    "BatchNormalization": batch_normalization,
    "Conv2D": conv2d,
    "Dense": lambda layer, x, p: activate(layer, F.linear(x, p["kernel"].T, p.get("bias"))),
    "DepthwiseConv2D": depthwise_conv2d,
    "Dropout": dropout,
    "ELU": lambda layer, x, p: F.elu(x, layer.alpha),
    "Flatten": lambda layer, x, p: torch.flatten(x, 1),
    "GaussianNoise": gaussian_noise,
    "GlobalAveragePooling2D": lambda layer, x, p: x.mean((1, 2), keepdim=layer.keepdims),
    "GlobalMaxPooling2D": lambda layer, x, p: x.flatten(1, 2).max(1).values.reshape(len(x), *layer.built_output_shape),
    "LeakyReLU": lambda layer, x, p: F.leaky_relu(x, layer.negative_slope),
    "MaxPooling2D": max_pooling,
    "ReLU": lambda layer, x, p: F.relu(x),
    "Rescaling": lambda layer, x, p: x * layer.scale + layer.offset,
    "Reshape": lambda layer, x, p: x.reshape(len(x), *layer.built_output_shape),
    "Softmax": lambda layer, x, p: F.softmax(x, -1),
    "ZeroPadding2D": lambda layer, x, p: images(lambda x: pad(x, np.ravel(layer.padding).tolist()))(x),
}


def cross_entropy(y, targets, options):
    """Compute the losses with PyTorch's function of logits; the logits of probabilities are their logarithms."""
    logits = y if options.get("from_logits") else y.log()
    return F.cross_entropy(logits, targets, reduction="none", label_smoothing=options.get("label_smoothing", 0.0))


def binary_cross_entropy(y, targets, options):
    """Compute the loss with PyTorch's function of logits; the logit of a probability is ``log(p / (1 - p))``."""
    logits = y if options.get("from_logits") else torch.logit(y)
    smoothing = options["label_smoothing"]
    smoothed = targets * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none").mean(-1)


LOSSES = {
    # the kind of targets, and a function of (prediction, targets, options) that returns the loss of each sample
    "sparse_categorical_crossentropy": ("labels", cross_entropy),
    "categorical_crossentropy": ("shares", cross_entropy),
    "binary_crossentropy": ("answers", binary_cross_entropy),
    "mean_squared_error": ("numbers", lambda y, t, o: (y - t).square().mean(-1)),
    "mean_absolute_error": ("numbers", lambda y, t, o: (y - t).abs().mean(-1)),
}


OPTIMIZERS = {
    "SGD": lambda w, o: torch.optim.SGD(
        w, o["learning_rate"], o["momentum"], nesterov=o["nesterov"] and o["momentum"] > 0
    ),
    "Adam": lambda w, o: torch.optim.Adam(w, o["learning_rate"], (o["beta_1"], o["beta_2"])),
    "AdamW": lambda w, o: torch.optim.AdamW(
        w, o["learning_rate"], (o["beta_1"], o["beta_2"]), weight_decay=o["weight_decay"]
    ),
    "RMSprop": lambda w, o: torch.optim.RMSprop(
        w, o["learning_rate"], o["rho"], eps=0.0, momentum=o.get("momentum", 0.0), centered=o.get("centered", False)
    ),
}


def translate_epsilon(name, optimizer, options, step):
    """Make PyTorch's next step, counted from 1, use the epsilon of Keras's formula."""
    if name in ("Adam", "AdamW"):
        # Keras adds epsilon to sqrt(v), PyTorch to sqrt(v / (1 - beta_2**t)).
        optimizer.param_groups[0]["eps"] = options["epsilon"] / math.sqrt(1 - options["beta_2"] ** step)
    if name == "RMSprop":
        # Keras adds epsilon to v, under the root; PyTorch adds it to the root. So v' starts at epsilon, and each step
        # adds again what v' forgets of that: v' = rho * v' + (1 - rho) * (g*g + epsilon) is always v + epsilon.
        for state in optimizer.state.values():
            state["square_avg"] += options["epsilon"] * (1 - options["rho"]) / options["rho"]


def counterpart(table, name):
    """Return an entry of a table, or fail with a message that says what to do."""
    if name not in table:
        kind = next(kind for kind, value in globals().items() if value is table)
        pytest.fail(f"{name!r} has no counterpart in PyTorch: add it to {kind} in this file")
    return table[name]


# Layers --------------------------------------------------------------------------------------------------------


def tensors(layer):
    """Return a layer's parameters as tensors, for which PyTorch computes gradients."""
    return {name: torch.tensor(p.value, requires_grad=True) for name, p in layer.params.items()}


def compare(layer, x, seed, backend, dtype="float64"):
    """Compare forward, dx and the gradient of each parameter, for a random cotangent."""
    rng = np.random.default_rng(seed)
    x = x.astype(dtype)
    layer.build(x.shape[1:], rng=rng, dtype=dtype, backend=Backend(backend))
    for name, value in layer.weights().items():
        value[...] = rng.uniform(0.5, 2, value.shape) if name == "moving_variance" else rng.normal(size=value.shape)
    expected_p = tensors(layer)
    expected_x = torch.tensor(x, requires_grad=True)
    y_expected = counterpart(LAYERS, type(layer).__name__)(layer, expected_x, expected_p)
    y, cache = layer.forward(x, training=True)
    assert_close(y, y_expected.detach(), "y", TOLERANCE[dtype])
    dy = rng.normal(size=y.shape).astype(dtype)
    y_expected.backward(torch.tensor(dy))
    dx = layer.backward(dy, cache)
    assert_close(dx, expected_x.grad, "dx", TOLERANCE[dtype])
    for name, parameter in layer.params.items():
        assert_close(parameter.grad, expected_p[name].grad, f"gradient of {name}", TOLERANCE[dtype])


@EVERY_DTYPE
@EVERY_BACKEND
@pytest.mark.parametrize("name", sorted(layers.LAYERS))
@settings(max_examples=20)
@given(data=st.data())
def test_layer(name, backend, dtype, data):
    counterpart(LAYERS, name)
    layer, x = data.draw(strategies.layers_with_inputs(layers.LAYERS[name]))
    if name == "BatchNormalization" and x.size == x.shape[-1]:
        x = np.concatenate([x, -2 * x])  # PyTorch refuses a single value per channel
    compare(layer, x, data.draw(SEEDS), backend, dtype)


@EVERY_DTYPE
@EVERY_BACKEND
@pytest.mark.parametrize("algorithm", conv_algorithms())
@settings(max_examples=100)
@given(data=st.data())
def test_convolution(algorithm, backend, dtype, data):
    """Draw strides, dilation, groups and four different pads, for every algorithm that the layer can use."""
    g = data.draw(every_convolution(algorithm))
    layer = layers.Conv2D(
        g.filters,
        g.kernel_size,
        strides=g.strides,
        dilation_rate=g.dilation,
        groups=g.groups,
        activation=data.draw(st.sampled_from(sorted(activations.ACTIVATIONS))),
        use_bias=data.draw(st.booleans()),
        **({} if algorithm is None else {"algorithm": algorithm}),
    )
    compare(with_pads(layer, g.pads), data.draw(strategies.arrays(g.input_shape)), data.draw(SEEDS), backend, dtype)


@EVERY_DTYPE
@EVERY_BACKEND
@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D"])
@settings(max_examples=40)
@given(data=st.data())
def test_pooling(name, backend, dtype, data):
    """Draw four different pads. Whole numbers make ties, which go to the first pixel in PyTorch as well."""
    g = data.draw(strategies.pool_geometries())
    x = data.draw(strategies.arrays(g.input_shape))
    if data.draw(st.booleans()):
        x = np.rint(x)
    layer = with_pads(layers.LAYERS[name](g.pool_size, g.strides), g.pads)
    compare(layer, x, data.draw(SEEDS), backend, dtype)


@EVERY_BACKEND
@settings(max_examples=20)
@given(data=st.data())
def test_frozen_batch_normalization(backend, data):
    """Compare a layer that uses its moving statistics: its gradients, and what it computes in inference."""
    layer, x = data.draw(strategies.layers_with_inputs(layers.BatchNormalization))
    layer.trainable = False
    compare(layer, x, data.draw(SEEDS), backend)
    moving = {name: value.copy() for name, value in layer.buffers.items()}
    y, _ = layer.forward(x, training=False)
    assert_close(y, batch_normalization(layer, torch.tensor(x), tensors(layer)).detach(), "y of inference")
    assert all(np.array_equal(moving[name], value) for name, value in layer.buffers.items())


@EVERY_BACKEND
@settings(max_examples=20)
@given(momentum=st.floats(0, 1), shape=st.sampled_from([(4, 3), (2, 3, 2), (2, 3, 4, 5)]), seed=SEEDS)
def test_moving_statistics(backend, momentum, shape, seed):
    """Compare the moving statistics of Keras's rule, in which momentum is the part that stays, with PyTorch's.

    In PyTorch, momentum is the part that is new, and the variance is divided by M - 1 instead of M.
    """
    rng = np.random.default_rng(seed)
    layer = layers.BatchNormalization(momentum=momentum)
    layer.build(shape[1:], dtype="float64", backend=Backend(backend))
    for _ in range(3):
        mean, variance = (torch.tensor(value) for value in layer.buffers.values())
        old = variance.clone()
        x = rng.normal(2, 3, size=shape)
        x_torch = torch.tensor(x).reshape(-1, shape[-1])
        F.batch_norm(x_torch, mean, variance, training=True, momentum=1 - momentum)
        M = len(x_torch)
        layer.forward(x, training=True)
        assert_close(layer.buffers["moving_mean"], mean, "moving_mean")
        expected = momentum * old + (variance - momentum * old) * (M - 1) / M
        assert_close(layer.buffers["moving_variance"], expected, "moving_variance")


@EVERY_BACKEND
@pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))
@settings(max_examples=20)
@given(data=st.data())
def test_activation(name, backend, data):
    """Compare it as a layer and at the end of Dense; large numbers are drawn too, because nothing may overflow."""
    counterpart(ACTIVATIONS, name)
    x = data.draw(strategies.separated_arrays((3, 4, 5))) * data.draw(st.sampled_from([1.0, 30.0, 1000.0]))
    seed = data.draw(SEEDS)
    compare(layers.Activation(name), x, seed, backend)
    compare(layers.Dense(3, activation=name), x, seed, backend)


# Losses --------------------------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("name", sorted(losses.LOSSES))
@settings(max_examples=40)
@given(data=st.data())
def test_loss(name, backend, data):
    """Compare the loss of each sample, and the gradient of their weighted sum, for logits and for probabilities."""
    targets_kind, function = counterpart(LOSSES, name)
    known = {"from_logits": st.booleans(), "label_smoothing": st.sampled_from([0.0, 0.1, 0.5])}
    # A loss's name and reduction do not change the losses of single samples.
    arguments = [a for a in constructor_arguments(losses.LOSSES[name]) if a not in ("name", "reduction")]
    assert set(arguments) <= set(known), f"nothing is drawn for {set(arguments) - set(known)}"
    options = {argument: data.draw(known[argument]) for argument in arguments}
    n, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1 if targets_kind == "answers" else 2, 6))
    rng = np.random.default_rng(data.draw(SEEDS))
    y = rng.normal(scale=3, size=(n, k))
    if not options.get("from_logits", True) and targets_kind == "answers":
        y = 1 / (1 + np.exp(-y.clip(-12, 12)))
    elif not options.get("from_logits", True):
        y = shares(y.clip(-6, 6))  # no probability is so small that the loss cuts it off at 1e-7
    targets = {
        "labels": rng.integers(0, k, n),
        "shares": shares(rng.normal(size=(n, k))),
        "numbers": rng.normal(size=(n, k)),
        "answers": rng.uniform(size=(n, k)).round(rng.integers(0, 2)),
    }[targets_kind]
    weights = rng.uniform(0.1, 1, n)

    loss = losses.LOSSES[name](**options)
    per_sample, cache = loss.forward(y, loss.check_targets(targets, n, (k,)), Backend(backend))
    dy = loss.backward(cache, weights, Backend(backend))
    y_torch = torch.tensor(y, requires_grad=True)
    expected = function(y_torch, torch.tensor(targets), options)
    expected.backward(torch.tensor(weights))
    assert_close(per_sample, expected.detach(), "losses")
    assert_close(dy, y_torch.grad, "gradient")
    with use_backend(backend):
        assert loss(targets, y) == pytest.approx(expected.mean().item(), rel=1e-10)


def shares(logits):
    """Return rows of positive numbers whose sum is 1."""
    e = np.exp(logits)
    return e / e.sum(axis=-1, keepdims=True)


# Optimizers ----------------------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
@settings(max_examples=15)
@given(data=st.data())
def test_optimizer(name, backend, data):
    """Compare fifty steps at a constant rate, one by one."""
    make = counterpart(OPTIMIZERS, name)
    options = data.draw(optimizer_options(name))
    valley = Valley(data.draw(SEEDS))
    weights = {key: torch.tensor(value) for key, value in valley.start.items()}
    theirs = make(list(weights.values()), options)
    if name == "RMSprop":
        for w in weights.values():
            theirs.state[w] = {key: torch.zeros_like(w) for key in ("momentum_buffer", "grad_avg")}
            theirs.state[w] |= {"step": torch.tensor(0.0), "square_avg": torch.full_like(w, options["epsilon"])}
    ours = trajectory(optimizers.OPTIMIZERS[name](**options), valley, Backend(backend))
    for step, position in enumerate(ours):
        gradients = clipped({key: valley.gradient(key, w.numpy(), step) for key, w in weights.items()}, options)
        for key, w in weights.items():
            w.grad = torch.tensor(gradients[key])
            if name != "AdamW" and options["weight_decay"]:  # only AdamW decays weights directly in PyTorch
                w *= 1 - options["learning_rate"] * options["weight_decay"]
        translate_epsilon(name, theirs, options, step + 1)
        theirs.step()
        for key, w in weights.items():
            assert_close(position[key], w, f"{key} after step {step + 1}")
    assert step == STEPS - 1


@settings(max_examples=30)
@given(
    steps=st.integers(2, 60),
    share=st.floats(0.2, 0.8),
    factors=st.tuples(st.floats(1.5, 50), st.floats(1.5, 1e5)),
    rate=st.floats(1e-4, 1),
)
def test_one_cycle(steps, share, factors, rate):
    """Compare the one schedule that Keras does not have."""
    steps += math.ceil(1.01 / share)  # both packages need more than one step for the rise
    ours = schedules.OneCycle(rate, steps, share, *factors)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        rate,
        total_steps=steps,
        pct_start=share,
        div_factor=factors[0],
        final_div_factor=factors[1],
        cycle_momentum=False,
    )
    for step in range(steps):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9, abs=1e-15), f"step {step}"
        optimizer.step()
        if step < steps - 1:
            theirs.step()


# Whole networks ------------------------------------------------------------------------------------------------


@EVERY_BACKEND
@settings(max_examples=15)
@given(data=st.data())
def test_network(backend, data):
    """Compare three training steps of a small network, fused as ``compile`` fuses it: losses and all weights."""
    with use_backend(backend):
        model, x, labels = data.draw(strategies.small_networks())
    weights = [tensors(layer) for layer in model.layers]
    sgd = torch.optim.SGD([w for p in weights for w in p.values()], lr=model.optimizer.learning_rate)
    for step in range(3):
        STEP[0] = step
        y = torch.tensor(x)
        for layer, p in zip(model.layers, weights, strict=True):
            y = counterpart(LAYERS, type(layer).__name__)(layer, y, p)
        loss = F.nll_loss(y.log(), torch.tensor(labels))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        assert model.train_on_batch(x, labels)["loss"] == pytest.approx(loss.item(), rel=1e-9), f"step {step}"
        for layer, p in zip(model.layers, weights, strict=True):
            for name, parameter in layer.params.items():
                assert_close(parameter.value, p[name].detach(), f"step {step}: {layer.name}/{name}", 1e-9)
    STEP[0] = 0
