"""Batch normalizations that take the statistics of the whole batch, computed shard by shard; no MPI is needed here."""

import distributed_job as job
import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, distributed, layers
from tinycnn.core.workspace import Workspace
from tinycnn.distributed.parallel import DataParallel
from tinycnn.distributed.ranks import Alone
from tinycnn.distributed.step import ShardedStep
from tinycnn.training.batches import Batch
from tinycnn.training.running_means import RunningMeans
from tinycnn.training.step import train_step

WHOLE = DataParallel(4, synchronized_norm=True)


class OwnStatistics(layers.Layer):
    """A layer of a user's own with a buffer that its forward changes."""

    def create(self, input_shape, rng):
        self.add_buffer("seen", input_shape[-1:], "zeros")

    def forward(self, x, *, training=False, step=0, ws=None):
        if training:
            self.buffers["seen"] += 0.5 * (x.mean(axis=tuple(range(x.ndim - 1))) - self.buffers["seen"])
        return x.copy(), layers.base.Nothing()

    def backward(self, dy, cache, *, ws=None):
        return dy.copy()


def network(*, dtype="float64", scale=True, first=False, optimizer=None, own=False):
    tinycnn.set_seed(3)
    norm = layers.BatchNormalization(scale=scale, momentum=0.7)
    model = Sequential(
        [
            layers.Input((6, 6, 2)),
            *([norm] if first else []),
            layers.Conv2D(3, 3, activation="relu"),
            *([] if first else [norm]),
            *([OwnStatistics()] if own else []),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4),
            layers.BatchNormalization(center=False),
            layers.Dense(5, activation="softmax"),
        ],
        dtype=dtype,
    )
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    model.compile(optimizer or tinycnn.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    return model


def batch_of(model, images, weighted):
    rng = np.random.default_rng(images)
    x = rng.normal(size=(images, *model.input_shape)).astype(model.dtype)
    weight = rng.random(images) if weighted else None
    return Batch(x, rng.integers(0, 5, images), weight)


def step_of(model, batch, shards=4):
    """Take a step of shards side by side, and return gradients and buffers."""
    step = ShardedStep(Alone(), shards, synchronized_norm=True)
    step.take(model, model.plan, batch, RunningMeans(model), Workspace(), None)
    return results(model)


def results(model):
    gradients = {name: p.grad.copy() for name, p in model.parameters().items()}
    return gradients | {name: value.copy() for name, value in model.weights().items() if name not in gradients}


@pytest.mark.parametrize("images", [3, 10, 16])
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("build", [{}, {"scale": False}, {"first": True}], ids=["usual", "without gamma", "first"])
def test_gradients_and_statistics_are_those_of_the_whole_batch(images, weighted, build):
    model, other = network(**build), network(**build)
    batch = batch_of(model, images, weighted)
    found = step_of(model, batch)
    train_step(other, other.chain, batch, RunningMeans(other))
    for name, value in results(other).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_gradients_equal_central_differences(backend):
    """The loss is weighted by random numbers, one for each image: a cotangent."""
    with tinycnn.use_backend(backend):
        model = network()
    batch = batch_of(model, 7, weighted=True)

    def loss():
        means = RunningMeans(model)
        ShardedStep(Alone(), 4, synchronized_norm=True).take(model, model.plan, batch, means, Workspace(), None)
        return means.results()["loss"]

    loss()
    gradients = {name: parameter.grad.copy() for name, parameter in model.parameters().items()}
    h = 1e-5
    for name, parameter in model.parameters().items():
        flat = parameter.value.reshape(-1)
        differences = []
        for index in range(flat.size):
            before = flat[index]
            flat[index] = before + h
            above = loss()
            flat[index] = before - h
            differences.append((above - loss()) / (2 * h))
            flat[index] = before
        np.testing.assert_allclose(gradients[name].reshape(-1), differences, rtol=1e-6, atol=1e-8, err_msg=name)


def test_a_frozen_normalization_and_a_layer_of_ones_own_stay_what_they_are():
    model, other = network(own=True), network(own=True)
    for one in (model, other):
        one.layers[1].trainable = False
        one.compile(tinycnn.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    batch = batch_of(model, 10, weighted=False)
    found = step_of(model, batch)
    train_step(other, other.chain, batch, RunningMeans(other))
    frozen = {f"batch_normalization/{name}" for name in ("gamma", "beta")}  # nothing reads their gradients
    for name, value in results(other).items():  # what a mean over shards moves is a mean over the batch
        if name not in frozen:
            np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("synchronized", [False, True])
def test_what_a_layer_of_ones_own_keeps_moves_by_the_weighted_mean_of_shards(synchronized):
    model, other = network(own=True, first=True), network(own=True, first=True)
    batch = batch_of(model, 7, weighted=False)
    for one in (model, other):  # what comes before the layer must not depend on shards
        one.layers[0].trainable = False
        one.compile(tinycnn.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    step = ShardedStep(Alone(), 4, synchronized_norm=synchronized)
    step.take(model, model.plan, batch, RunningMeans(model), Workspace(), None)
    train_step(other, other.chain, batch, RunningMeans(other))
    name = "own_statistics/seen"
    np.testing.assert_allclose(model.weights()[name], other.weights()[name], rtol=1e-12)


def test_a_fit_is_that_of_one_process_up_to_rounding():
    found, usual = (
        job.train(
            job.network("float64", optimizer=tinycnn.optimizers.SGD(0.05)), way, epochs=10, steps_per_epoch=5,
            augment=tinycnn.Augmentation(flip=True),
        )
        for way in (WHOLE, False)
    )  # fmt: skip
    for name, values in usual["history"].items():
        np.testing.assert_allclose(found["history"][name], values, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("shards", [2, 8])
def test_statistics_of_the_whole_batch_do_not_depend_on_the_shards(shards):
    found = [step_of(network(), batch_of(network(), 10, True), count) for count in (4, shards)]
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-10, atol=1e-13, err_msg=name)


def test_it_is_not_the_same_as_statistics_of_shards():
    assert job.same_bits(WHOLE)["weights"] != job.same_bits("deterministic")["weights"]


def test_layers_between_two_normalizations_run_as_one():
    model = network(dtype="float32")
    step = ShardedStep(Alone(), 4, synchronized_norm=True)
    step.take(model, model.plan, batch_of(model, 64, False), RunningMeans(model), Workspace(), None)
    fused = [type(part).__name__ for part in step._side_by_side._chain]
    step.take(model, model.plan, batch_of(model, 64, False), RunningMeans(model), Workspace(), None, fuse=False)
    single = [type(part).__name__ for part in step._side_by_side._chain]
    assert single.count("_Normalise") == fused.count("_Normalise") == 2
    assert "Conv2D" in single
    assert "Conv2D" not in fused


def test_without_a_normalization_nothing_is_different():
    x, y = job.data()
    runs = []
    for way in (WHOLE, "deterministic"):
        model = job.network(norm=False)
        model.fit(x, y, batch_size=16, verbose=0, distributed=way)
        runs.append(job.digest(model))
    assert runs[0] == runs[1]


def test_what_it_says_of_itself():
    assert repr(WHOLE) == "DataParallel(shards=4, synchronized_norm=True)"
    with pytest.raises(TypeError, match="synchronized_norm must be"):
        distributed.DataParallel(synchronized_norm="yes")
