"""Initial values: their formulas, their tails, and how they are named and saved."""

import numpy as np
import pytest
from scipy import stats

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
