"""The networks that no document has: what they promise, and that they are trained as the others are."""

import math

import numpy as np
import pytest

from tinycnn import models, set_seed, testing
from tinycnn.cli import main
from tinycnn.cli._arguments import model_names
from tinycnn.cli._results import ours

every_name = pytest.mark.parametrize("name", models.beyond())


def test_their_names_are_nobody_elses():
    assert set(models.beyond()) == set(ours.AIMS)
    assert not set(models.beyond()) & {*models.names(), *models.variations()}
    assert model_names() == [*models.names(), *models.variations(), *models.beyond()]
    models.beyond().clear()
    assert models.beyond()


@pytest.mark.parametrize(("name", "limit"), [("golf_10k", 10_000), ("golf_8k", 8_000), ("golf_5k", 5_000)])
def test_golf_counts_all_parameters(name, limit):
    model = models.build(name)
    assert model.count_params() == sum(weights.size for weights in model.get_weights()) < limit
    assert ours.AIMS[name].limit == f"under {limit:,} parameters"


@every_name
def test_counts_are_those_of_the_recipe(name):
    model, params = models.build(name), models.recipe(name).params
    assert (model.count_params(), model.count_trainable_params()) == (params.total, params.trainable)
    assert params.non_trainable == params.total - params.trainable


@every_name
def test_the_schedule_spans_the_epochs_and_no_epoch_is_wasted(name):
    recipe = models.recipe(name)
    schedule, rates = recipe.schedule, [recipe.schedule(epoch) for epoch in range(recipe.epochs)]
    peak = schedule.pct_start * schedule.total_steps - 1  # it may lie between two epochs
    assert schedule(peak) == pytest.approx(schedule.max_learning_rate)
    assert 0 < peak < recipe.epochs - 1
    assert max(rates) == max(rates[math.floor(peak)], rates[math.ceil(peak)])
    assert 1e-3 * max(rates) < rates[-1] < 5e-2 * max(rates)


@every_name
def test_a_few_steps_lower_the_loss(name):
    recipe = models.recipe(name)
    set_seed(0)
    model = models.build(name)
    model.compile(recipe.make_optimizer(), recipe.loss)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 32)
    x = rng.random((32, *recipe.input_shape), np.float32) / 2
    x[np.arange(32), y] += 0.5  # the class is a row
    losses = model.fit(x, y, batch_size=32, epochs=6, verbose=0, augment=None).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
@every_name
def test_their_gradients_are_right(name):
    report = testing.model_report(name)
    assert report.ok, report.failures


def test_they_are_listed_and_summarised(capsys):
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert main(["summary", "golf_10k"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n{name} " in listed for name in models.beyond())
    assert "Recipe of our own" in told
    assert "the document" not in told
