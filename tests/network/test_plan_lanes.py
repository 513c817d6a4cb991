"""Plans whose stages take images in lanes compute what the layers compute one by one."""

import numba
import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers
from tinycnn.network import lanes
from tinycnn.network.lanes import IntoLanes, LaneStage, OutOfLanes
from tinycnn.network.stage import ConvStage
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
    model = make(layers.Conv2D(8, 3), layers.Conv2D(8, 3), size=(20, 20, 1))
    model.summary(plan=True)
    text = capsys.readouterr().out
    assert "1 lanes" in text
    assert "2 lanes" in text
    assert '"lanes": sixteen images at a time' in text
    names = [entry.name for entry in tinycnn.profile.profile(model, batch_size=16, repeats=1).entries]
    assert names == ["into lanes", "conv2d", "conv2d_1", "out of lanes", "flatten", "dense"]


@pytest.mark.parametrize("batch_size", [1, 15, 16, 17, 33])
def test_training_as_layer_by_layer(eager, batch_size):
    x, y = data(50)
    joined, apart = (make(*chain(), dtype="float64") for _ in range(2))
    assert [kind for kind in kinds(joined) if "Lane" in kind] == [
        *("IntoLanes", "LaneStage", "LaneStage", "OutOfLanes"),
        *("IntoLanes", "LaneStage", "OutOfLanes"),
    ]
    joined.fit(x, y, batch_size=batch_size, epochs=2, verbose=0)
    apart.fit(x, y, batch_size=batch_size, epochs=2, verbose=0, fuse=False)
    for name, weights in joined.weights().items():
        assert np.allclose(weights, apart.weights()[name], rtol=1e-9, atol=1e-11), name
    assert np.allclose(joined.predict(x), apart.predict(x), rtol=1e-9, atol=1e-11)
    assert np.isclose(joined.evaluate(x, y, verbose=0), apart.evaluate(x, y, verbose=0))


@pytest.mark.parametrize("frozen", [(), (0,), (0, 1), (1,), (0, 1, 4)])
@pytest.mark.parametrize("in_front", [False, True])
def test_gradients_where_layers_are_frozen(eager, frozen, in_front):
    x, y = data(35)
    # A layer in front wants dx of the first convolution.
    joined, apart = (
        make(*[layers.BatchNormalization() for _ in range(in_front)], *chain(), dtype="float64") for _ in range(2)
    )
    for model in (joined, apart):
        for index in frozen:
            model.layers[index + in_front].trainable = False
        model.fit(x, y, batch_size=35, verbose=0, fuse=model is joined)
    for name, weights in joined.weights().items():
        assert np.allclose(weights, apart.weights()[name], rtol=1e-9, atol=1e-11), name


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


def test_nan_in_one_image_stays_there(eager):
    model, (x, _) = make(*chain()), data(20)
    clean = model.predict(x)
    x[4] = np.nan
    found = model.predict(x, check_finite=False)
    others = np.arange(20) != 4
    assert np.isnan(found[4]).all()
    assert np.array_equal(found[others], clean[others])


def test_same_bits_for_any_number_of_threads(eager):
    x, y = data(70)
    results, threads = [], numba.get_num_threads()
    try:
        for count in range(1, threads + 1):
            numba.set_num_threads(count)
            model = make(*chain())
            model.fit(x, y, batch_size=32, epochs=2, verbose=0)
            results.append(model.get_weights())
    finally:
        numba.set_num_threads(threads)
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


def test_two_passes_before_their_two_backwards(eager):
    model = make(*chain())
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
