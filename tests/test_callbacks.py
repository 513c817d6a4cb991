"""Callbacks, each through two fits: what an earlier fit left must not matter."""

import csv
import math

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, layers, optimizers
from tinycnn.callbacks import Callback, CSVLogger, EarlyStopping, History, LearningRateScheduler


def model_and_data():
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


class Recorded(Callback):
    """Replaces an epoch's figures by recorded ones, before callbacks that stand after it."""

    def __init__(self, **figures):
        self.figures = figures

    def on_epoch_end(self, epoch, logs):
        logs.update({key: values[epoch] for key, values in self.figures.items()})


def fit_recorded(values, stopping, **arguments):
    model, x, y = model_and_data()
    seen = []
    keep = Callback()
    keep.on_epoch_end = lambda epoch, logs: seen.append(model.get_weights())
    model.fit(
        x,
        y,
        epochs=len(values),
        verbose=0,
        callbacks=[Recorded(val_accuracy=values), keep, stopping],
        validation_data=(x, y),
        **arguments,
    )
    return model, seen


def test_early_stopping_restores_the_best_epoch_though_it_did_not_stop():
    stopping = EarlyStopping("val_accuracy", patience=10, restore_best_weights=True)
    model, seen = fit_recorded([0.5, 0.9, 0.7], stopping)
    assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (0.9, 1, 0)
    for now, best in zip(model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(now, best)


def test_early_stopping_forgets_an_earlier_fit():
    """A documented notebook lost 7 of 13 runs to a best value that survived in the callback."""
    stopping = EarlyStopping("val_accuracy", patience=10, restore_best_weights=True)
    fit_recorded([0.99, 0.98], stopping)
    model, seen = fit_recorded([0.2, 0.4, 0.6], stopping)
    assert (stopping.best, stopping.best_epoch) == (0.6, 2)
    for now, best in zip(model.get_weights(), seen[2], strict=True):
        np.testing.assert_array_equal(now, best)


def test_early_stopping_stops_after_patience():
    stopping = EarlyStopping("val_accuracy", patience=2)
    model, seen = fit_recorded([0.5, 0.6, 0.6, 0.6, 0.7], stopping)
    assert stopping.stopped_epoch == 3
    assert len(seen) == 4
    assert model.stop_training
    _, seen = fit_recorded([0.1, 0.2, 0.3], stopping)
    assert len(seen) == 3


def test_early_stopping_takes_the_first_of_equal_epochs_and_min_delta_counts():
    stopping = EarlyStopping("val_accuracy", patience=5, min_delta=0.1)
    fit_recorded([0.5, 0.55, 0.7, 0.7], stopping)
    assert (stopping.best, stopping.best_epoch) == (0.7, 2)


def test_early_stopping_of_a_loss_goes_down():
    stopping = EarlyStopping()
    assert stopping.mode == "min"
    model, x, y = model_and_data()
    figures = Recorded(val_loss=[3.0, math.nan, 2.0])
    model.fit(x, y, epochs=3, verbose=0, callbacks=[figures, stopping], validation_data=(x, y))
    assert (stopping.best, stopping.stopped_epoch) == (3.0, 1)  # NaN is no improvement


def test_early_stopping_needs_its_figure():
    model, x, y = model_and_data()
    with pytest.raises(ValueError, match=r"watches 'val_loss'.*give fit validation_data"):
        model.fit(x, y, verbose=0, callbacks=[EarlyStopping()])


def test_learning_rate_scheduler_and_the_logged_rate():
    rates = LearningRateScheduler(lambda epoch, lr: 0.1 / (1 + epoch))
    for _ in range(2):
        model, x, y = model_and_data()
        history = model.fit(x, y, epochs=3, verbose=0, callbacks=[rates])
        assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])


def test_learning_rate_scheduler_hands_on_the_rate_until_now():
    model, x, y = model_and_data()
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, lr: lr / 2)])
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])


@pytest.mark.parametrize(("rate", "kind"), [(-0.1, ValueError), (math.nan, ValueError), (None, TypeError)])
def test_learning_rate_scheduler_refuses_what_is_not_a_rate(rate, kind):
    model, x, y = model_and_data()
    with pytest.raises(kind, match="the schedule's result for epoch 0"):
        model.fit(x, y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, lr: rate)])


def test_history_starts_afresh():
    model, x, y = model_and_data()
    history = History()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[history])
    model.fit(x, y, epochs=1, verbose=0, callbacks=[history])
    assert history.epoch == [0]
    assert all(len(values) == 1 for values in history.history.values())


@pytest.mark.parametrize(("append", "rows"), [(False, 2), (True, 4)])
def test_csv_logger(tmp_path, append, rows):
    logger = CSVLogger(tmp_path / "history.csv", append=append)
    for _ in range(2):
        model, x, y = model_and_data()
        model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0, callbacks=[logger])
    with (tmp_path / "history.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == rows
    assert list(table[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert float(table[-1]["loss"]) == model.history.history["loss"][-1]


def test_csv_logger_writes_each_epoch_at_once(tmp_path):
    path, lines = tmp_path / "history.csv", []
    count = Callback()
    count.on_epoch_end = lambda epoch, logs: lines.append(len(path.read_text().splitlines()))
    model, x, y = model_and_data()
    model.fit(x, y, epochs=2, verbose=0, callbacks=[CSVLogger(path), count])
    assert lines == [2, 3]


def test_stop_training_is_reset():
    model, x, y = model_and_data()
    stop = Callback()
    stop.on_epoch_end = lambda epoch, logs: setattr(model, "stop_training", True)
    assert model.fit(x, y, epochs=3, verbose=0, callbacks=[stop]).epoch == [0]
    assert model.fit(x, y, epochs=3, verbose=0).epoch == [0, 1, 2]
