"""Each callback goes through two fits, because what an earlier fit left must not matter."""

import csv
import math
import sys

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, layers, load_model, metrics, optimizers, schedules
from tinycnn.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)


def model_and_data():
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


class Recorded(Callback):
    """A callback that replaces the figures of an epoch with recorded ones for the callbacks after it."""

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
    """A documented notebook lost 7 of 13 runs because the callback remembered the best value of an earlier fit."""
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


def test_early_stopping_never_stops_after_the_first_epoch():
    """Keras does not stop either. It used to stop after a first epoch with NaN, and to report that it had not."""
    stopping = EarlyStopping("val_accuracy")
    _, seen = fit_recorded([math.nan, 0.1, 0.2, 0.2, 0.3], stopping)
    assert (len(seen), stopping.stopped_epoch) == (4, 3)
    _, seen = fit_recorded([math.nan, math.nan, 0.3], stopping)
    assert (len(seen), stopping.stopped_epoch) == (2, 1)


def test_early_stopping_takes_the_first_of_equal_epochs_and_min_delta_counts():
    stopping = EarlyStopping("val_accuracy", patience=5, min_delta=0.1)
    fit_recorded([0.5, 0.55, 0.7, 0.7], stopping)
    assert (stopping.best, stopping.best_epoch) == (0.7, 2)


def test_early_stopping_of_a_loss_goes_down():
    stopping = EarlyStopping()
    model, x, y = model_and_data()
    figures = Recorded(val_loss=[3.0, math.nan, 2.0])
    model.fit(x, y, epochs=3, verbose=0, callbacks=[figures, stopping], validation_data=(x, y))
    assert (stopping.best, stopping.stopped_epoch) == (3.0, 1)  # NaN is no improvement


def test_early_stopping_needs_its_figure():
    model, x, y = model_and_data()
    with pytest.raises(ValueError, match=r"watches 'val_loss'.*give fit validation_data"):
        model.fit(x, y, verbose=0, callbacks=[EarlyStopping()])


class Distance(metrics.Metric):
    """A user's metric that does not say whether small or large is good."""

    name = "distance"

    def values(self, y_true, y_pred):
        return np.ones(len(y_true))


class Nearness(Distance):
    """The same metric, for which large is good."""

    name = "nearness"
    direction = "max"


@pytest.mark.parametrize(
    ("metric", "key", "mode", "best"),
    [
        (metrics.SparseTopKCategoricalAccuracy(2, name="top2"), "val_top2", "auto", 1),
        (metrics.MeanSquaredError(name="brier_acc"), "brier_acc", "auto", 0),  # the metric knows better than its name
        (Nearness(), "val_nearness", "auto", 1),
        (Distance(name="my_accuracy"), "val_my_accuracy", "auto", 1),
        (Distance(), "distance", "max", 1),
        (Distance(), "distance", "min", 0),
        ("accuracy", "val_accuracy", "auto", 1),
        ("accuracy", "my_loss", "auto", 0),
    ],
)
def test_what_is_better_is_asked_of_the_compiled_metric(tmp_path, metric, key, mode, best):
    """When only the name decided, a figure called top2 led to keeping the worst model."""
    model, x, y = model_and_data()
    if not isinstance(metric, str):
        y_rows = isinstance(metric, metrics.MeanSquaredError)
        y = np.eye(3)[y] if y_rows else y
        loss = "categorical_crossentropy" if y_rows else "sparse_categorical_crossentropy"
        model.compile(optimizers.SGD(0.1), loss, [metric])
    stopping = EarlyStopping(key, patience=9, mode=mode)
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", key, save_best_only=True, mode=mode)
    plateau = ReduceLROnPlateau(key, mode=mode)
    followers = [Recorded(**{key: [0.2, 0.9, 0.1]}), stopping, checkpoint, plateau]
    for _ in range(2):
        model.fit(x, y, epochs=3, verbose=0, callbacks=followers, validation_data=(x, y))
        assert stopping.best == checkpoint.best == plateau.best == (0.9 if best else 0.1)
        assert stopping.best_epoch == (1 if best else 2)


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda key: ModelCheckpoint("m", key, 0, True)])
def test_what_is_better_has_to_be_said_where_nothing_tells(make):
    model, x, y = model_and_data()
    model.compile("sgd", "sparse_categorical_crossentropy", [Distance(), "accuracy"])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"'distance'.*pass mode='min' or mode='max'.*loss, distance, accuracy"):
        model.fit(x, y, verbose=0, callbacks=[make("distance")])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    ("key", "validated", "message"),
    [
        ("val_accuracy", False, "they hold loss, accuracy, learning_rate; give fit validation_data$"),
        ("val_acc", True, "they hold loss, accuracy, val_loss, val_accuracy, learning_rate$"),
    ],
)
def test_a_figure_that_is_not_there(key, validated, message):
    model, x, y = model_and_data()
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0, callbacks=[EarlyStopping(key)], validation_data=(x, y) if validated else None)


def test_a_direction_that_is_none():
    model, x, y = model_and_data()
    metric = Distance()
    metric.direction = "up"
    model.compile("sgd", "sparse_categorical_crossentropy", [metric])
    with pytest.raises(ValueError, match="direction of metric distance must be one of 'min', 'max'; got 'up'"):
        model.fit(x, y, verbose=0, callbacks=[EarlyStopping("distance")])


def test_a_checkpoint_of_every_epoch_may_name_any_figure(tmp_path):
    fit_checkpoint(ModelCheckpoint(tmp_path / "m", "figure"), epochs=1)
    assert saved(tmp_path) == ["m"]


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


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch: 0.1 / 2**epoch,
        lambda epoch, lr: 0.1 / 2**epoch,
        lambda epoch, lr=None: 0.1 / 2**epoch if lr is not None else 0,  # it gets two arguments if it takes two
        lambda *given: 0.1 / 2 ** given[0] if len(given) == 2 else 0,
        schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5),
    ],
)
def test_learning_rate_scheduler_of_one_argument_or_two(schedule):
    model, x, y = model_and_data()
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(schedule)])
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.025])


def test_an_error_within_a_schedule_of_two_arguments_is_its_own():
    """Keras tries again with one argument and reports the error of that second try."""
    model, x, y = model_and_data()
    with pytest.raises(TypeError, match="unsupported operand"):
        model.fit(x, y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch, lr: epoch + None)])


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


def test_history_has_what_other_callbacks_add():
    model, x, y = model_and_data()
    begun = LambdaCallback(on_train_begin=lambda logs: seen.append(dict(model.history.history)))
    seen = []
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[begun, Recorded(gap=[0.5, 0.25])])
    assert history.history["gap"] == [0.5, 0.25]
    assert seen == [{}]


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


@pytest.mark.parametrize("table", ["epoch;loss\n0;1.0\n", "a,b\n1,2\n"])
def test_csv_logger_adds_to_no_other_table(tmp_path, table):
    """Earlier, empty rows were added."""
    (tmp_path / "history.csv").write_text(table)
    model, x, y = model_and_data()
    with pytest.raises(ValueError, match=r"has no column called 'epoch' .* give another filename or separator"):
        model.fit(x, y, verbose=0, callbacks=[CSVLogger(tmp_path / "history.csv", append=True)])
    assert (tmp_path / "history.csv").read_text() == table


def test_csv_logger_tells_what_it_leaves_out(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n0,1.5")  # an editor may leave out the end of the last line
    model, x, y = model_and_data()
    with pytest.warns(
        UserWarning, match=r"history.csv has no column for accuracy, learning_rate, so these .* left out"
    ) as told:
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=[CSVLogger(path, append=True)])
    assert len(told) == 1
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert [row[0] for row in rows] == ["epoch", "0", "0", "1"]
    assert [float(row[1]) for row in rows[2:]] == history.history["loss"]


def test_anything_may_be_added_to_the_logs(capsys):
    model, x, y = model_and_data()
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(note="fine"))
    model.fit(x, y, verbose=1, callbacks=[note])
    assert "note fine" in capsys.readouterr().out


def test_there_may_be_no_standard_output(monkeypatch):
    model, x, y = model_and_data()
    monkeypatch.setattr(sys, "stdout", None)
    model.fit(x, y, verbose=1)


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


# ReduceLROnPlateau ---------------------------------------------------------------------------------------------


def rates_after(values, callback, fits=1):
    """Return the learning rates after the epochs of the last of several fits with these values of val_loss."""
    for _ in range(fits):
        model, x, y = model_and_data()
        rates = []
        note = LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(model.optimizer.learning_rate))  # noqa: B023
        followers = [Recorded(val_loss=values), callback, note]
        model.fit(x, y, epochs=len(values), verbose=0, callbacks=followers, validation_data=(x, y))
    return pytest.approx(rates)


@pytest.mark.parametrize("fits", [1, 2])
@pytest.mark.parametrize(
    ("values", "arguments", "rates"),
    [
        ([3, 2, 1], {"patience": 1}, [0.1, 0.1, 0.1]),
        ([3, 3, 3, 3], {"patience": 2}, [0.1, 0.1, 0.01, 0.01]),
        ([3, 3, 3, 3, 3], {"patience": 2}, [0.1, 0.1, 0.01, 0.01, 0.001]),
        ([3, 4, 2, 4, 4], {"patience": 2, "factor": 0.5}, [0.1, 0.1, 0.1, 0.1, 0.05]),
        # After each cut there is one epoch of rest, which does not count.
        ([3, 3, 3, 3, 3], {"patience": 1, "cooldown": 2, "factor": 0.5}, [0.1, 0.05, 0.05, 0.025, 0.025]),
        ([3, 3, 3, 3, 3], {"patience": 1, "cooldown": 1, "factor": 0.5}, [0.1, 0.05, 0.025, 0.0125, 0.00625]),
        ([3, 3, 3, 3], {"patience": 1, "min_lr": 0.04, "factor": 0.5}, [0.1, 0.05, 0.04, 0.04]),
        # An improvement by less than min_delta does not count.
        ([3, 2.95, 2.5], {"patience": 1, "min_delta": 0.1, "factor": 0.5}, [0.1, 0.05, 0.05]),
        ([3, 2, 1], {"patience": 1, "mode": "max", "factor": 0.5}, [0.1, 0.05, 0.025]),
        ([math.nan, 3, math.nan], {"patience": 1, "factor": 0.5}, [0.05, 0.05, 0.025]),
    ],
)
def test_reduce_lr_on_plateau(values, arguments, rates, fits):
    callback = ReduceLROnPlateau(**arguments)
    assert rates == rates_after(values, callback, fits)


def test_reduce_lr_on_plateau_says_so(capsys):
    rates_after([3, 3], ReduceLROnPlateau(patience=1, verbose=1))
    assert capsys.readouterr().out == "ReduceLROnPlateau: epoch 2: learning rate 0.01 from now on\n"


def test_reduce_lr_on_plateau_refuses_a_schedule():
    model, x, y = model_and_data()
    model.compile(optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.5)), "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises(TypeError, match="the optimizer's comes from ExponentialDecay"):
        model.fit(x, y, verbose=0, callbacks=[ReduceLROnPlateau("loss")])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


# ModelCheckpoint -----------------------------------------------------------------------------------------------


def saved(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def fit_checkpoint(checkpoint, epochs=3, batch_size=20, **figures):
    model, x, y = model_and_data()
    followers = [Recorded(**figures), checkpoint]
    model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=followers, validation_data=(x, y))
    return model


def test_checkpoint_of_every_epoch(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.safetensors")
    for _ in range(2):
        model = fit_checkpoint(checkpoint, val_loss=[3.0, 2.0, 4.0])
        assert saved(tmp_path) == [f"new/{name}.safetensors" for name in ("01-3.00", "02-2.00", "03-4.00")]
    loaded = load_model(tmp_path / "new" / "03-4.00.safetensors")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert loaded.optimizer.iterations == model.optimizer.iterations


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([3, 2, 2, 1], {}, [1, 2, 4]),
        ([1, 2, 0.5, 3], {}, [1, 3]),
        ([math.nan, 2, math.nan, 1], {}, [2, 4]),
        ([3, 2, 1.5, 1], {"initial_value_threshold": 1.8}, [3, 4]),
        ([1, 2, 2, 3], {"mode": "max"}, [1, 2, 4]),
    ],
)
def test_checkpoint_of_the_best(tmp_path, values, arguments, epochs):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, **arguments)
    for _ in range(2):  # what the first fit reached must not matter in the second
        fit_checkpoint(checkpoint, len(values), val_loss=values)
        assert saved(tmp_path) == [str(epoch) for epoch in epochs]
        for path in tmp_path.iterdir():
            path.unlink()


def test_checkpoint_every_so_many_batches(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3)
    for _ in range(2):
        fit_checkpoint(checkpoint, epochs=3, batch_size=5)  # four batches each
        assert saved(tmp_path) == ["1-3", "2-2", "3-1", "3-4"]


def test_checkpoint_of_the_best_batch(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{batch}-{loss:.3f}", "loss", save_best_only=True, save_freq=1)
    fit_checkpoint(checkpoint, epochs=1, batch_size=5)
    assert f"{checkpoint.best:.3f}" == min(name.split("-")[1] for name in saved(tmp_path))


def test_checkpoint_of_the_weights_alone(tmp_path):
    model, x, y = model_and_data()
    model.fit(x, y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "w.safetensors", save_weights_only=True)])
    other, _, _ = model_and_data()
    other.load_weights(tmp_path / "w.safetensors")
    assert all(map(np.array_equal, other.get_weights(), model.get_weights()))
    assert not load_model(tmp_path / "w.safetensors").compiled


def test_checkpoint_says_where(tmp_path, capsys):
    fit_checkpoint(ModelCheckpoint(tmp_path / "m{epoch}", verbose=1), epochs=1)
    assert capsys.readouterr().out == f"ModelCheckpoint: epoch 1: saved {tmp_path / 'm1'}\n"


@pytest.mark.parametrize(
    "path", ["{}", "{0}", "{epoch.__class__}", "{epoch[0]}", "{epoch!r}", "{loss:{epoch}}", "{epoch", "m}"]
)
def test_checkpoint_paths_hold_names_only(path):
    with pytest.raises(ValueError, match="filepath"):
        ModelCheckpoint(path)


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("{val_los}", {}, "there is no field 'val_los'; the fields are loss, accuracy, val_loss"),
        ("{batch}", {}, "there is no field 'batch'"),
        ("{loss:d}", {}, "{loss:d} with"),
        ("m", {"monitor": "val_figure", "save_best_only": True}, "ModelCheckpoint watches 'val_figure'"),
    ],
)
def test_checkpoint_of_what_is_not_there(tmp_path, path, arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_checkpoint(ModelCheckpoint(tmp_path / path, **arguments))
    assert saved(tmp_path) == []


def test_braces_in_a_path(tmp_path):
    fit_checkpoint(ModelCheckpoint(tmp_path / "{{{epoch}}}"), epochs=1)
    assert saved(tmp_path) == ["{1}"]


# The others ----------------------------------------------------------------------------------------------------


def test_terminate_on_nan(capsys):
    callback = TerminateOnNaN()
    for _ in range(2):
        model, x, y = model_and_data()
        fine = model.fit(x, y, epochs=2, verbose=0, callbacks=[callback])
        assert len(fine.epoch) == 2
        assert not model.stop_training
        capsys.readouterr()
        model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
        assert model.fit(x, y, epochs=5, batch_size=5, verbose=0, callbacks=[callback]).epoch == [0]
        assert model.stop_training
        assert capsys.readouterr().out.startswith("TerminateOnNaN: batch 0: the loss is nan; training stops\n")


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_terminate_on_nan_of_infinity(loss):
    callback = TerminateOnNaN()
    callback.model = model = model_and_data()[0]
    callback.on_train_batch_end(3, {"loss": 1.0})
    assert not model.stop_training
    callback.on_train_batch_end(4, {"loss": loss})
    assert model.stop_training


def test_lambda_callback_is_called_as_in_keras():
    calls = []
    callback = LambdaCallback(
        on_epoch_begin=lambda epoch, logs: calls.append(("epoch begin", epoch, len(logs))),
        on_epoch_end=lambda epoch, logs: calls.append(("epoch end", epoch, "loss" in logs)),
        on_train_begin=lambda logs: calls.append(("train begin", len(logs))),
        on_train_end=lambda logs: calls.append(("train end", "loss" in logs)),
        on_train_batch_begin=lambda batch, logs: calls.append(("batch begin", batch, len(logs))),
        on_train_batch_end=lambda batch, logs: calls.append(("batch end", batch, "loss" in logs)),
    )
    batches = [call for batch in (0, 1) for call in (("batch begin", batch, 0), ("batch end", batch, True))]
    epoch = [("epoch begin", 0, 0), *batches, ("epoch end", 0, True)]
    for _ in range(2):
        model, x, y = model_and_data()
        model.fit(x, y, batch_size=10, verbose=0, callbacks=[callback])
        assert calls == [("train begin", 0), *epoch, ("train end", True)]
        calls.clear()


class WithLogs(Callback):
    """A callback whose methods take ``logs``, as people write them for Keras."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(logs)

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(logs)

    def on_train_end(self, logs):
        self.calls.append(sorted(logs))


class WithoutLogs(Callback):
    """A callback whose methods leave ``logs`` out."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self):
        self.calls.append("train")

    def on_epoch_begin(self, epoch):
        self.calls.append(epoch)

    def on_train_end(self):
        self.calls.append("end")


def test_logs_are_passed_as_in_keras_and_may_be_left_out_where_they_are_empty():
    model, x, y = model_and_data()
    keras_like, short = WithLogs(), WithoutLogs()
    model.fit(x, y, verbose=0, callbacks=[keras_like, short])
    assert keras_like.calls == [{}, {}, {}, ["accuracy", "learning_rate", "loss"]]
    assert short.calls == ["train", 0, "end"]


def test_a_method_that_takes_neither_is_refused():
    class Wrong(Callback):
        def on_epoch_begin(self):
            pass

    model, x, y = model_and_data()
    with pytest.raises(TypeError, match=r"fit calls Wrong.on_epoch_begin as on_epoch_begin\(epoch, logs\)"):
        model.fit(x, y, verbose=0, callbacks=[Wrong()])


@pytest.mark.parametrize("name", ["on_batch_end", "on_test_end", "on_predict_begin", "on_epoch_ends"])
def test_a_method_that_is_never_called_is_refused(name):
    model, x, y = model_and_data()
    callback = type("Mine", (Callback,), {name: lambda self, *given: None, "on_gpu": False})()
    with pytest.raises(ValueError, match=f"Mine has a method {name}, which fit never calls; .* are on_epoch_begin"):
        model.fit(x, y, verbose=0, callbacks=[callback])


def test_lambda_callback_of_some_points():
    model, x, y = model_and_data()
    seen = []
    model.fit(x, y, epochs=2, verbose=0, callbacks=[LambdaCallback(on_epoch_end=lambda *given: seen.append(given[0]))])
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end must be a function; got 3"),
        (lambda: LearningRateScheduler(lambda: 0.1), TypeError, r"function of \(epoch, lr\) or of \(epoch\)"),
        (lambda: LearningRateScheduler(0.1), TypeError, r"function of \(epoch, lr\) or of \(epoch\); got 0.1"),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, "factor must be > 0 and < 1"),
        (lambda: ReduceLROnPlateau(patience=-1), ValueError, "patience must be at least 0"),
        (lambda: ReduceLROnPlateau(mode="down"), ValueError, "mode must be one of 'auto', 'min', 'max'"),
        (lambda: ModelCheckpoint("m", save_weights_only=1), TypeError, "save_weights_only must be True or False"),
        (lambda: ModelCheckpoint("m", save_freq="batch"), ValueError, "save_freq must be 'epoch' or a number"),
        (lambda: ModelCheckpoint("m", save_freq=0), ValueError, "save_freq must be at least 1"),
        (
            lambda: ModelCheckpoint("m", save_best_only=True, save_freq=5),
            ValueError,
            "'val_loss' is known only at the end of an epoch; with save_freq=5 monitor 'loss'",
        ),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_every_callback_is_offered():
    """A class that is missing from the list would escape every test that goes through the list."""
    classes, found = [Callback], {"Callback"}
    while classes:
        classes += (cls := classes.pop()).__subclasses__()
        # The command line, the page and Keras's names have callbacks of their own, which other tests may have
        # imported.
        if cls.__module__.startswith("tinycnn.") and not cls.__module__.startswith(
            ("tinycnn.cli.", "tinycnn.explore.", "tinycnn.keras.")
        ):
            found.add(cls.__name__)
    assert found | {"Logs"} == set(callbacks.__all__)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("on_epoch_end", lambda self, epoch: None),
        ("on_train_end", lambda self, logs, more: None),
        ("on_train_batch_begin", lambda self: None),
    ],
)
def test_methods_that_cannot_be_called_are_told_before_training(name, method):
    model, x, y = model_and_data()
    with pytest.raises(TypeError, match=rf"callbacks: fit calls Odd.{name} as {name}\("):
        model.fit(x, y, verbose=0, callbacks=[type("Odd", (Callback,), {name: method})()])


def test_a_fit_within_a_fit_has_its_own_history():
    model, x, y = model_and_data()

    class Nested(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 0:
                self.model.fit(x, y, verbose=0)

    assert model.fit(x, y, epochs=2, verbose=0, callbacks=[Nested()]).epoch == [0, 1]
