"""Plans whose stages take images in lanes compute what the layers compute one by one."""

import copy
import pickle

import numba
import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.network import lanes
from tinycnn.network.lane_steps import InLanes, LaneStage, LaneStep
from tinycnn.network.lanes import IntoLanes, OutOfLanes
from tinycnn.network.stage import ConvStage
from tinycnn.training import recorded
from tinycnn.training.step import backward, forward


@pytest.fixture
def eager(monkeypatch):
    """Take lanes wherever channels are few, so that small networks do."""
    monkeypatch.setattr(lanes, "LEAST_WORK", 0)


def make(*parts, backend="cpu", dtype="float32", size=(11, 9, 2)):
    tinycnn.set_seed(0)
    with tinycnn.use_backend(backend):
        model = Sequential([layers.Input(size), *parts, layers.Flatten(), layers.Dense(3)], dtype=dtype)
        model.compile("adam", tinycnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def chain():
    return (
        layers.Conv2D(6, 3, activation="relu"),
        layers.Conv2D(10, 3, padding="same"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.2),
        layers.Conv2D(5, 2, activation="relu"),
    )


def mixed():
    """Return every kind of layer that runs in lanes, between convolutions and behind the last."""
    return (
        layers.Conv2D(6, 3, padding="same", activation="relu"),
        layers.BatchNormalization(momentum=0.8),
        layers.Dropout(0.3),
        layers.Conv2D(7, (1, 3)),
        layers.ELU(),
        layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
        layers.MaxPooling2D(2),
        layers.BatchNormalization(scale=False),
        layers.Activation("gelu"),
        layers.Conv2D(5, 2, activation="relu"),
        layers.AveragePooling2D(2, strides=1, padding="same"),
        layers.BatchNormalization(center=False),
        layers.LeakyReLU(),
    )


def data(images, size=(11, 9, 2)):
    rng = np.random.default_rng(3)
    return rng.standard_normal((images, *size), np.float32), rng.integers(0, 3, images)


def kinds(model, plan="plan"):
    return [type(step).__name__ for step in getattr(model, plan)]


def test_which_stages_take_lanes():
    row = layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(4, 3)
    expected = ["IntoLanes", "LaneStage", "LaneStage", "LaneStage", "OutOfLanes"]
    model = make(*row, size=(20, 20, 1))
    assert kinds(model)[:5] == kinds(model, "prediction_plan")[:5] == expected
    assert "LaneStage" not in kinds(make(layers.Conv2D(8, 1), size=(20, 20, 1)))  # too little work
    assert "LaneStage" not in kinds(make(layers.Conv2D(32, 3), layers.Conv2D(32, 3), size=(20, 20, 1)))
    assert "LaneStage" not in kinds(make(layers.Conv2D(8, 9, algorithm="direct"), size=(20, 20, 1)))
    assert "LaneStage" not in kinds(make(*[layers.Conv2D(8, 3) for _ in range(3)], backend="reference"))


def test_the_summary_and_the_profile_name_what_is_in_lanes(eager, capsys):
    model = make(layers.Conv2D(8, 3), layers.BatchNormalization(), layers.Dropout(0.1), size=(20, 20, 1))
    model.summary(plan=True)
    text = capsys.readouterr().out
    assert all(f"{number} lanes" in text for number in (1, 2, 3))
    assert '"lanes": sixteen images at a time' in text
    names = [entry.name for entry in tinycnn.profile.profile(model, batch_size=16, repeats=1).entries]
    assert names == ["into lanes", "conv2d", "batch_normalization", "dropout", "out of lanes", "flatten", "dense"]


def test_layers_between_stages_run_in_lanes(eager):
    model = make(*mixed())
    assert kinds(model)[:15] == [
        *("IntoLanes", "LaneStage", "LaneNorm", "LaneDropout", "LaneStage", "LaneActivation", "LanePooling"),
        *("LanePooling", "LaneNorm", "LaneActivation", "LaneStage", "LanePooling", "LaneNorm", "LaneActivation"),
        "OutOfLanes",
    ]
    assert kinds(model, "prediction_plan")[:4] == ["IntoLanes", "LaneStage", "LaneDropout", "LaneStage"]
    assert [step.name for step in model.plan[1:3]] == ["conv2d", "batch_normalization"]
    assert model.plan[2].params.keys() == {"gamma", "beta"}


def test_a_row_is_cut_where_a_layer_is_no_layer_of_lanes(eager):
    class Own(layers.Dropout):
        """A user's subclass may do something else."""

    def around(*between):
        return kinds(make(layers.Conv2D(6, 3), *between, layers.Conv2D(6, 3)))

    apart = ["IntoLanes", "LaneStage", "OutOfLanes"]
    for layer in (Own(0.1), layers.GaussianNoise(0.1), layers.Softmax(), layers.Activation("softmax")):
        assert around(layer)[:7] == [*apart, type(layer).__name__, *apart]
    assert around(layers.Conv2D(40, 1))[:5] == [*apart, "ConvStage", "ConvStage"]
    assert kinds(make(layers.BatchNormalization(), layers.Conv2D(6, 3)))[:2] == ["BatchNormalization", "IntoLanes"]
    assert kinds(make(layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D(keepdims=True)))[2:4] == [
        *("OutOfLanes", "GlobalAveragePooling2D")
    ]


def test_the_documented_network_is_one_row():
    model = tinycnn.models.build("go_crazy")
    model.compile("adam", "sparse_categorical_crossentropy")
    for plan in (model.plan, model.evaluation_plan, model.prediction_plan):
        assert isinstance(plan[0], IntoLanes)
        end = next(index for index, step in enumerate(plan) if isinstance(step, OutOfLanes))
        assert all(isinstance(step, LaneStep) for step in plan[1:end])
        assert type(plan[end + 1]) is layers.Flatten


@pytest.mark.parametrize("batch_size", [1, 15, 16, 17, 31, 33])
@pytest.mark.parametrize("parts", [chain, mixed])
def test_training_as_layer_by_layer(eager, parts, batch_size):
    x, y = data(50)  # the last batch is a partial one, with which some of these leave the lanes
    joined, apart = (make(*parts(), dtype="float64") for _ in range(2))
    assert sum(kind == "IntoLanes" for kind in kinds(joined)) == 1
    for model in (joined, apart):
        model.compile(tinycnn.optimizers.SGD(0.05), model.loss)
        model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0, fuse=model is joined)
    for name, weights in joined.weights().items():
        assert np.allclose(weights, apart.weights()[name], rtol=1e-9, atol=1e-11), name
    assert np.allclose(joined.predict(x), apart.predict(x), rtol=1e-9, atol=1e-11)
    assert np.isclose(joined.evaluate(x, y, verbose=0), apart.evaluate(x, y, verbose=0))


@pytest.mark.parametrize("size", [(1, 1, 3), (1, 5, 2), (7, 3, 1)])
def test_small_and_odd_images(eager, size):
    parts = (
        *(layers.Conv2D(4, 3, padding="same", activation="relu"), layers.BatchNormalization(), layers.Dropout(0.2)),
        *(layers.MaxPooling2D(2, padding="same"), layers.Conv2D(3, 1), layers.AveragePooling2D(2, padding="same")),
    )
    x, y = data(40, size)
    results = []
    for fuse in (True, False):
        model = make(*[copy.deepcopy(part) for part in parts], size=size, dtype="float64")
        model.fit(x, y, batch_size=17, verbose=0, fuse=fuse)
        results.append([*model.get_weights(), model.predict(x)])
    assert all(np.allclose(one, other, rtol=1e-9, atol=1e-11) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("images", [17, 33])
def test_every_gradient_is_that_of_the_reference(eager, images):
    x, _ = data(images)
    x = x.astype(np.float64)
    models = [make(*mixed(), dtype="float64", backend=backend) for backend in ("cpu", "reference")]
    found = []
    for model in models:
        y, caches = forward(model.plan, x, step=3)
        dy = np.random.default_rng(5).standard_normal(y.shape)
        dx = backward(model.plan, caches, dy)
        buffers = [array for layer in model.layers for array in layer.buffers.values()]
        found.append([y, dx, *buffers, *(parameter.grad for parameter in model.parameters().values())])
    assert isinstance(models[0].plan[1].forward(models[0].plan[0].forward(x)[0])[0], InLanes)
    for fast, slow in zip(*found, strict=True):
        assert np.allclose(fast, slow, rtol=1e-8, atol=1e-11)


def test_what_changes_between_two_steps(eager):
    """Layers are frozen and let go again, and their constants change; the next step does as the layers say."""
    x, y = data(34)
    results = []
    for fuse in (True, False):
        model = make(*mixed(), dtype="float64")
        model.compile(tinycnn.optimizers.SGD(0.05), model.loss)
        norm, dropout, elu, function = (model.layers[index] for index in (1, 2, 4, 8))
        changes = [(norm, "trainable", False), (model.layers[0], "trainable", False), (norm, "trainable", True)]
        changes += [(dropout, "rate", 0.6), (norm, "momentum", 0.1), (elu, "alpha", 0.3), (norm, "epsilon", 0.5)]
        changes += [(function, "activation", "softmax"), (function, "activation", "tanh")]
        for layer, name, value in changes:
            setattr(layer, name, value)
            model.fit(x, y, batch_size=34, verbose=0, fuse=fuse)
        results.append(model.get_weights())
    assert all(np.allclose(one, other, rtol=1e-9, atol=1e-11) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("frozen", [(), (0,), (0, 1), (1,), (0, 1, 3), (0, 1, 3, 7, 9, 11)])
@pytest.mark.parametrize("in_front", [False, True])
@pytest.mark.parametrize("parts", [chain, mixed])
def test_gradients_where_layers_are_frozen(eager, parts, frozen, in_front):
    x, y = data(35)
    # A layer in front wants dx of the first convolution.
    joined, apart = (
        make(*[layers.BatchNormalization() for _ in range(in_front)], *parts(), dtype="float64") for _ in range(2)
    )
    frozen = [index for index in frozen if index + in_front < len(joined.layers) - 2]
    for model in (joined, apart):
        for index in frozen:
            model.layers[index + in_front].trainable = False
        model.fit(x, y, batch_size=35, verbose=0, fuse=model is joined)
    for name, weights in joined.weights().items():
        assert np.allclose(weights, apart.weights()[name], rtol=1e-9, atol=1e-11), name


def test_a_copy_of_a_compiled_network_computes_the_same(eager):
    model = make(*chain())
    x, _ = data(17)
    assert "IntoLanes" in kinds(model)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        np.testing.assert_array_equal(made.predict(x), model.predict(x))


@pytest.mark.parametrize("images", [1, 15, 16, 17, 40])
def test_prediction_against_the_reference(eager, images):
    x, _ = data(images)
    fast, slow = (
        make(layers.Conv2D(7, 3), layers.BatchNormalization(), layers.MaxPooling2D(2), dtype="float64", backend=backend)
        for backend in ("cpu", "reference")
    )
    for model in (fast, slow):
        for value in model.layers[1].weights().values():
            value[...] = np.random.default_rng(4).uniform(0.5, 1.5, value.shape)
    assert "LaneStage" in kinds(fast, "prediction_plan")
    assert np.allclose(fast.predict(x), slow.predict(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("parts", [chain, mixed])
def test_nan_in_one_image_stays_there(eager, parts):
    model, (x, _) = make(*parts()), data(20)
    clean = model.predict(x)
    x[4] = np.nan
    found = model.predict(x, check_finite=False)
    others = np.arange(20) != 4
    assert np.isnan(found[4]).all()
    assert np.array_equal(found[others], clean[others])


@pytest.mark.parametrize("parts", [chain, mixed])
def test_same_bits_for_any_number_of_threads(eager, parts):
    x, y = data(70)
    results, threads = [], numba.get_num_threads()
    try:
        for count in range(1, threads + 1):
            numba.set_num_threads(count)
            model = make(*parts())
            model.fit(x, y, batch_size=32, epochs=2, verbose=0)
            results.append(model.get_weights())
    finally:
        numba.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="without compiled kernels there are no programs")
def test_a_recorded_step_leaves_the_same_bits(eager, monkeypatch):
    (x, y), results, programs = data(51), [], []
    record = recorded._record_step

    def noted(train_step, model, chain, now, ws, key):
        record(train_step, model, chain, now, ws, key)
        programs.append(ws.recorded[key].program)

    monkeypatch.setattr(recorded, "_record_step", noted)
    for recording in (True, False):
        monkeypatch.setattr(recorded, "can_record", lambda model, recording=recording: recording)
        model = make(*mixed())
        model.fit(x, y, batch_size=17, epochs=2, verbose=0)
        results.append([*model.get_weights(), *(model.predict(x) for _ in range(4))])
    assert len(programs) == 1
    assert programs[0] is not None  # nothing in a row of lanes stands against it
    assert all(map(np.array_equal, *results))


@pytest.mark.parametrize("parts", [chain, mixed])
def test_two_passes_before_their_two_backwards(eager, parts):
    model = make(*parts())
    one, two = data(17)[0], data(33)[0][::-1].copy()
    plan = model.plan
    expected = []
    for x in (one, two):
        y, caches = forward(plan, x)
        expected.append(backward(plan, caches, np.ones_like(y)))
    (y1, c1), (y2, c2) = forward(plan, one), forward(plan, two)
    assert np.array_equal(backward(plan, c1, np.ones_like(y1)), expected[0])
    assert np.array_equal(backward(plan, c2, np.ones_like(y2)), expected[1])


def test_turns_change_nothing_but_the_layout(eager):
    model = make(layers.Conv2D(8, 3), layers.Conv2D(8, 3), size=(20, 20, 1))
    into, first, second, out = model.plan[:4]
    assert isinstance(into, IntoLanes)
    assert isinstance(first, LaneStage)
    assert isinstance(first.stage, ConvStage)
    assert isinstance(out, OutOfLanes)
    x = data(18, (20, 20, 1))[0]
    packed, _ = into.forward(x)
    assert packed.images == 18
    assert np.array_equal(into.backward(packed, None), x)
    with pytest.raises(ValueError, match="conv2d"):
        into.forward(x[..., :0])
    assert second.params.keys() == {"kernel", "bias"}
