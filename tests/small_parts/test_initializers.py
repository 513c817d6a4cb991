"""Initial values: their formulas, their tails, and how they are named and saved."""

import numpy as np
import pytest
from scipy import stats

import tinycnn
from tinycnn import initializers, layers

SHAPE = (3, 3, 40, 80)  # fans 360 and 720

NORMAL = "glorot_normal", "he_normal", "lecun_normal"
VARIANCE = {"glorot": 2 / (360 + 720), "he": 2 / 360, "lecun": 1 / 360}


def draw(name, shape=SHAPE, **config):
    description = {"class_name": name, "config": config}
    return initializers.get(description)(shape, np.random.default_rng(0)).ravel()


@pytest.mark.parametrize("kind", VARIANCE)
def test_uniform_scaling(kind):
    values, limit = draw(f"{kind}_uniform"), np.sqrt(3 * VARIANCE[kind])
    assert 0.999 * limit < np.abs(values).max() <= limit
    assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", VARIANCE)
def test_normal_scaling(kind):
    """Values are cut off at two standard deviations, and the standard deviation after the cut is the wanted one."""
    values, stddev = draw(f"{kind}_normal"), np.sqrt(VARIANCE[kind])
    assert values.std() == pytest.approx(stddev, rel=0.01)
    assert stats.kstest(values, stats.truncnorm(-2, 2, scale=stddev / stats.truncnorm(-2, 2).std()).cdf).pvalue > 1e-3


def test_plain_distributions():
    assert stats.kstest(draw("random_normal", mean=1, stddev=0.5), stats.norm(1, 0.5).cdf).pvalue > 1e-3
    assert stats.kstest(draw("random_uniform", minval=-1, maxval=3), stats.uniform(-1, 4).cdf).pvalue > 1e-3
    cut = stats.truncnorm(-2, 2, loc=1, scale=0.5)
    assert stats.kstest(draw("truncated_normal", mean=1, stddev=0.5), cut.cdf).pvalue > 1e-3
    assert (draw("constant", value=0.25) == 0.25).all()


@pytest.mark.parametrize("name", sorted(initializers.INITIALIZERS))
def test_names_shapes_and_descriptions(name):
    initializer = initializers.get(name)
    assert type(initializers.get(type(initializer).__name__)) is type(initializer)
    again = initializers.get(initializer.describe())
    for shape in ((), (3,), (2, 3), (2, 2, 3, 4)):
        first, second = (i(shape, np.random.default_rng(1)) for i in (initializer, again))
        assert first.shape == shape
        np.testing.assert_array_equal(first, second)


def test_arguments_survive_saving():
    layer = layers.Dense(2, bias_initializer=initializers.RandomNormal(mean=1, stddev=0.1))
    again = layers.deserialize(layers.serialize(layer))
    assert (again.bias_initializer.mean, again.bias_initializer.stddev) == (1, 0.1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="stddev must be >= 0"):
        initializers.RandomNormal(stddev=-1)
    with pytest.raises(ValueError, match="maxval must be >= 2, the value of minval; got 1"):
        initializers.RandomUniform(2, 1)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling_has_the_variance_that_it_says(mode, distribution):
    shape = (3, 3, 64, 128)
    values = initializers.VarianceScaling(3.0, mode, distribution, seed=1)(shape, np.random.default_rng())
    fan = {"fan_in": 9 * 64, "fan_out": 9 * 128, "fan_avg": 9 * 96}[mode]
    assert values.var() == pytest.approx(3 / fan, rel=0.02)
    assert values.mean() == pytest.approx(0, abs=1e-3)
    limit = {"truncated_normal": 2 / 0.8796, "uniform": np.sqrt(3), "untruncated_normal": np.inf}[distribution]
    assert abs(values).max() <= limit * np.sqrt(3 / fan) * 1.001


def test_variance_scaling_without_arguments_is_lecun_normal():
    draws = [cls(seed=0)((3, 3, 2, 4), None) for cls in (initializers.VarianceScaling, initializers.LecunNormal)]
    np.testing.assert_array_equal(*draws)
    assert type(initializers.get("variance_scaling")) is initializers.VarianceScaling


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": 0}, "scale must be > 0"),
        ({"mode": "fan"}, "mode must be one of 'fan_in', 'fan_out', 'fan_avg'; got 'fan'"),
        ({"distribution": "normal"}, "distribution must be one of 'truncated_normal', "),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_arguments_of_variance_scaling(given, message):
    with pytest.raises(ValueError, match=message):
        initializers.VarianceScaling(**given)


SEEDED = [cls for cls in initializers.INITIALIZERS.values() if hasattr(cls(), "seed")]


@pytest.mark.parametrize("cls", SEEDED)
def test_a_seed_of_ones_own(cls):
    assert len(SEEDED) == 10
    generator = np.random.default_rng(3)
    before = generator.bit_generator.state
    first, again = (cls(seed=7)((4, 5), generator) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert generator.bit_generator.state == before
    assert not np.array_equal(first, cls(seed=8)((4, 5), generator))
    drawn = cls()((4, 5), generator)
    assert not np.array_equal(drawn, cls()((4, 5), generator))
    assert initializers.get({"class_name": cls.__name__, "config": cls(seed=7).get_config()}).seed == 7


def test_a_layer_with_a_seeded_initializer_begins_alike_in_every_model():
    kernels = []
    for seed in (0, 1):
        tinycnn.set_seed(seed)
        layer = layers.Dense(3, kernel_initializer=initializers.HeNormal(seed=5))
        layer.build((4,))
        kernels.append(layer.params["kernel"].value)
    np.testing.assert_array_equal(*kernels)
