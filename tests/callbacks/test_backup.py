"""With BackupAndRestore a fit that was cut short anywhere goes on and ends with the bits of an uninterrupted one."""

import errno
import functools
import os
import re
import signal
import warnings

import numpy as np
import pytest

import tinycnn
from tinycnn import Augmentation, Sequential, callbacks, layers, load_model, metrics, optimizers, schedules
from tinycnn.callbacks import BackupAndRestore, Callback, LambdaCallback, backup
from tinycnn.core import seeding
from tinycnn.saving.state_folder import StateFolder, read

EPOCHS, BATCHES = 3, 4


@pytest.fixture(autouse=True)
def plain_numpy():
    """Use plain NumPy: the state is the same on every backend, and these networks are too small for threads."""
    with tinycnn.use_backend("reference"):
        yield


class Crash(BaseException):
    """An exception that stands for the end of the process."""


def with_seed(seed, layers):
    """Return a model with a seed that it might have got in a process without ``set_seed``."""
    tinycnn.set_seed(seed)
    model = Sequential(layers)
    seeding._Source.seed = None
    return model


def model_of_all_kinds(seed=1, optimizer=None):
    model = with_seed(
        seed,
        [
            layers.Input((8, 8, 2)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GaussianNoise(0.1),
            layers.Dropout(0.3),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ],
    )
    model.compile(optimizer or optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def small_model(seed=1, optimizer="adam", rate=0.3):
    model = with_seed(
        seed,
        [
            layers.Input((8, 8, 2)),
            layers.Flatten(),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dropout(rate),
            layers.Dense(3, "softmax"),
        ],
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(n=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, 8, 8, 2), dtype=np.float32), rng.integers(0, 3, n)


def fit(model, more=(), epochs=EPOCHS, images=None, **arguments):
    """Train with four batches per epoch, of which the last one is not full."""
    x, y = images or data()
    settings = {"batch_size": 8, "epochs": epochs, "validation_data": data(12, 1), "verbose": 0} | arguments
    return model.fit(x, y, callbacks=list(more), **settings)


class CrashAt(Callback):
    """A crash after a number of batches in this process, before the backup has seen the last of them."""

    def __init__(self, batches, how=Crash):
        self.left, self.how = batches, how

    def on_train_batch_end(self, batch, logs):
        self.left -= 1
        if self.left == 0:
            if self.how is KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)
            else:
                raise self.how


def everything(model):
    """Return everything that a fit changes in a model, as bytes."""
    slots = {key: [slot.tobytes() for slot in group] for key, group in model.optimizer.slots.items() if group}
    weights = {key: value.tobytes() for key, value in model.weights().items()}
    return weights, slots, model.optimizer.iterations, model.optimizer.learning_rate, model.history.history


def interrupted(make, folder, batches, arguments=dict, how=Crash):
    """Fit in processes that end after so many batches, until it is done; return the last model and their number."""
    for attempt in range(1, 100):
        model = make(attempt + 1)
        given = arguments()
        given["more"] = [*given.get("more", ()), CrashAt(batches, how), BackupAndRestore(folder, 1)]
        try:
            fit(model, **given)
        except how:
            continue
        return model, attempt
    raise AssertionError("it does not come to an end")


# The same bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Crash, KeyboardInterrupt])
@pytest.mark.parametrize("backend", tinycnn.core.backend.BACKENDS)
def test_the_bits_of_an_uninterrupted_fit(tmp_path, backend, how):
    """The fit has everything random in it, and every process has another seed, as without ``set_seed``."""
    augmented = {"augment": Augmentation(shift=0.2, flip=True, rotation=10, cutout=0.2)}
    with tinycnn.use_backend(backend):
        whole = model_of_all_kinds()
        fit(whole, **augmented)
        # The first process has the seed of the whole fit; the others take that seed from the state.
        first = model_of_all_kinds()
        with pytest.raises(how):
            fit(first, [CrashAt(2, how), BackupAndRestore(tmp_path, 1)], **augmented)
        model, attempts = interrupted(model_of_all_kinds, tmp_path, 3, lambda: dict(augmented), how)
    assert attempts > 3
    assert everything(model) == everything(whole)
    assert model.seed == whole.seed


@pytest.mark.parametrize("save_freq", ["epoch", 3])
@pytest.mark.parametrize("after", range(1, EPOCHS * BATCHES))
def test_after_any_batch(tmp_path, after, save_freq):
    whole = small_model()
    fit(whole)
    with pytest.raises(Crash):
        fit(small_model(), [BackupAndRestore(tmp_path, save_freq), CrashAt(after)])
    model = small_model(seed=5)
    fit(model, [BackupAndRestore(tmp_path, save_freq)])
    assert everything(model) == everything(whole)


def test_the_position_within_the_epoch_is_kept(tmp_path):
    """With ``save_freq=1`` only the batch that had not been saved is trained again."""
    seen = []
    count = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, logs["loss"])))
    fit(small_model(), [count])
    whole, seen[:] = list(seen), []
    with pytest.raises(Crash):
        fit(small_model(), [count, BackupAndRestore(tmp_path, 1), CrashAt(6)])
    fit(small_model(), [count, BackupAndRestore(tmp_path, 1)])
    assert seen == [*whole[:6], *whole[5:]]


def stopping():
    return callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)


def plateau():
    return callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.5)


@pytest.mark.parametrize("after", [1, 5, 8, 9, 11])
def test_callbacks_remember(tmp_path, after):
    def followers(folder):
        folder.mkdir(exist_ok=True)
        return [
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
            callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
            plateau(),
            callbacks.ModelCheckpoint(folder / "best", save_best_only=True),
            callbacks.ModelCheckpoint(folder / "{epoch}-{batch}", save_freq=3),
            callbacks.CSVLogger(folder / "log.csv"),
        ]

    whole = small_model()
    kept = followers(tmp_path / "whole")
    fit(whole, kept, epochs=6)
    with pytest.raises(Crash):
        fit(small_model(), [*followers(tmp_path / "parts"), BackupAndRestore(tmp_path / "b"), CrashAt(after)], epochs=6)
    model, again = small_model(seed=5), followers(tmp_path / "parts")
    fit(model, [BackupAndRestore(tmp_path / "b"), *again], epochs=6)  # it is first in the list, and still acts last
    assert everything(model) == everything(whole)
    for one, other in zip(kept, again, strict=True):
        assert repr(one.get_state()) == repr(other.get_state())
    assert kept[1].stopped_epoch == again[1].stopped_epoch
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes(), path.name


def test_a_callback_of_ones_own_remembers_arrays(tmp_path):
    class Average(Callback):
        """The average of the weights over all steps."""

        def on_train_begin(self):
            self.steps, self.sums, self.best = 0, [np.zeros_like(w) for w in self.model.get_weights()], {"x": -np.inf}

        def on_train_batch_end(self, batch, logs):
            self.steps += 1
            self.best["x"] = max(self.best["x"], np.float64(logs["loss"]))
            for total, weight in zip(self.sums, self.model.get_weights(), strict=True):
                total += weight

        def get_state(self):
            return {"steps": np.int64(self.steps), "sums": self.sums, "best": self.best, "pair": (1, None)}

        def set_state(self, state):
            self.steps, self.sums, self.best = state["steps"], state["sums"], state["best"]
            assert state["pair"] == [1, None]

    whole, average = Average(), Average()
    fit(small_model(), [whole])
    with pytest.raises(Crash):
        fit(small_model(), [Average(), BackupAndRestore(tmp_path, 2), CrashAt(7)])
    fit(small_model(), [average, BackupAndRestore(tmp_path, 2)])
    assert (average.steps, average.best) == (whole.steps, whole.best)
    for ours, theirs in zip(average.sums, whole.sums, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"x": {1, 2}}, r"state.callbacks\[0\].state.x: a state may hold numbers, text, .*got set"),
        ({3: 1}, r"get_state must return a dict with text as keys.*got \{3: 1\}"),
        ({"$array": 1}, r"got '\$array'"),
        (
            {"x": np.array(["text"])},
            r"state.callbacks\[0\].state.x: the arrays of a state must hold numbers .*; got <U4",
        ),
        ({"x": np.ones(2, complex)}, "got complex128"),
        (functools.reduce(lambda inner, _: {"x": inner}, range(40), {}), "a state may be nested at most 32 deep"),
    ],
)
def test_a_state_that_cannot_be_kept(tmp_path, state, message):
    odd = Callback()
    odd.get_state = lambda: state
    with pytest.raises(TypeError, match=message):
        fit(small_model(), [odd, BackupAndRestore(tmp_path)])


def test_a_callback_may_keep_numpys_generator(tmp_path):
    """The state of the generator has integers of 128 bits, which used to be written but could not be read."""

    class Draws(Callback):
        def on_train_begin(self, logs=None):
            self.rng, self.drawn = np.random.default_rng(0), []

        def on_train_batch_end(self, batch, logs):
            self.drawn.append(int(self.rng.integers(1000)))

        def get_state(self):
            return {"rng": self.rng.bit_generator.state, "drawn": self.drawn}

        def set_state(self, state):
            self.rng.bit_generator.state, self.drawn = state["rng"], state["drawn"]

    whole, resumed = Draws(), Draws()
    fit(small_model(), [whole])
    with pytest.raises(Crash):
        fit(small_model(), [Draws(), BackupAndRestore(tmp_path, 2), CrashAt(7)])
    fit(small_model(), [resumed, BackupAndRestore(tmp_path, 2)])
    assert resumed.drawn == whole.drawn


@pytest.mark.parametrize("stop", [6, 2 * BATCHES])
def test_epochs_may_not_shrink(tmp_path, stop):
    """Earlier, the weights after two epochs passed for those after one."""
    csv = tmp_path / "log.csv"
    with pytest.raises(Crash):
        fit(small_model(), [callbacks.CSVLogger(csv), BackupAndRestore(tmp_path / "states", 1), CrashAt(stop)])
    before = csv.read_text()
    with pytest.raises(
        ValueError, match="is in epoch 2 already, but fit was told to stop after 1; epochs may only grow"
    ):
        fit(small_model(), [callbacks.CSVLogger(csv), BackupAndRestore(tmp_path / "states", 1)], epochs=1)
    assert csv.read_text() == before


def test_metrics_of_other_settings_are_refused(tmp_path):
    def model(k):
        model = small_model()
        model.compile("adam", model.loss, [metrics.SparseTopKCategoricalAccuracy(k, name="top")])
        return model

    fit(model(1), [BackupAndRestore(tmp_path)], epochs=1)
    with pytest.raises(ValueError, match=r"metrics\[0\].config.k was 1 and is 2"):
        fit(model(2), [BackupAndRestore(tmp_path)])


def test_batches_with_other_weights_of_classes_are_refused(tmp_path):
    x, y = data()
    batches, weights = [(x[:8], y[:8])] * BATCHES, {0: 1.0, 1: 2.0, 2: 1.0}
    small_model().fit(batches, epochs=1, verbose=0, callbacks=[BackupAndRestore(tmp_path)], class_weight=weights)
    small_model().fit(batches, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path)], class_weight=weights)
    with pytest.raises(ValueError, match="class_weight was a dict of 3 and is None"):
        small_model().fit(batches, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)])


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
        lambda: optimizers.AdamW(0.01, global_clipnorm=1.0),
        lambda: optimizers.Adam(schedules.CosineDecay(0.01, 10, warmup_steps=3, warmup_target=0.02)),
    ],
)
def test_every_optimizer(tmp_path, optimizer):
    whole = small_model(optimizer=optimizer())
    fit(whole)
    model, _ = interrupted(lambda seed: small_model(optimizer=optimizer()), tmp_path, 5)
    assert everything(model) == everything(whole)


class WorstClass(metrics.Metric):
    """A metric whose state is a number at first, and an array from then on."""

    name = "worst"

    def reset(self):
        self.hits, self.count = 0, 0

    def update(self, y_true, y_pred):
        self.hits = self.hits + np.bincount(y_true[y_pred.argmax(axis=1) == y_true], minlength=3).astype(float)
        self.count += len(y_true)

    def result(self):
        return float(np.min(self.hits / self.count))

    def get_state(self):
        return {"hits": self.hits, "count": self.count}

    def set_state(self, state):
        self.hits, self.count = state["hits"], state["count"]


def test_a_metric_of_ones_own_may_change_the_kind_of_its_state(tmp_path):
    def make(seed=1):
        model = small_model(seed)
        model.compile("adam", "sparse_categorical_crossentropy", [WorstClass()])
        return model

    whole = make()
    fit(whole)
    with pytest.raises(Crash):
        fit(make(), [CrashAt(2), BackupAndRestore(tmp_path, 1)])
    model, _ = interrupted(make, tmp_path, 3)
    assert everything(model) == everything(whole)


def test_weights_of_samples_and_a_split(tmp_path):
    weights = np.linspace(0.5, 2, 30)
    arguments = {"sample_weight": weights, "validation_split": 0.2, "validation_data": None, "shuffle": False}
    whole = small_model()
    fit(whole, **arguments)
    model, _ = interrupted(lambda seed: small_model(), tmp_path, 5, lambda: dict(arguments))
    assert everything(model) == everything(whole)


@pytest.mark.parametrize("kind", ["list", "iterator", "endless"])
def test_batches_of_an_iterable(tmp_path, kind):
    x, y = data(40)
    pieces = [(x[k : k + 8], y[k : k + 8]) for k in range(0, 40, 8)]

    def source():
        if kind == "list":
            return {"x": pieces[:4]}
        many = iter(pieces * 3) if kind == "iterator" else (pieces[k % 5] for k in range(10**6))
        return {"x": many, "steps_per_epoch": BATCHES}

    def run(model, more):
        model.fit(**source(), epochs=EPOCHS, verbose=0, callbacks=more)

    whole = small_model()
    run(whole, [])
    for after in (3, 2, 5):
        with pytest.raises(Crash):
            run(small_model(), [BackupAndRestore(tmp_path, 1), CrashAt(after)])
    model = small_model(seed=3)
    run(model, [BackupAndRestore(tmp_path, 1)])
    assert everything(model) == everything(whole)


def test_frozen_layers_and_a_callback_that_thaws_them(tmp_path):
    def run(more):
        model = small_model()
        model.layers[1].trainable = False
        thaw = Callback()

        def begin(epoch):
            if epoch == 1:
                model.layers[1].trainable = True

        thaw.on_epoch_begin = begin
        fit(model, [thaw, *more])
        return everything(model)

    whole = run([])
    with pytest.raises(Crash):
        run([BackupAndRestore(tmp_path), CrashAt(2 * BATCHES + 2)])
    assert run([BackupAndRestore(tmp_path)]) == whole


def test_a_callback_that_stops_within_an_epoch(tmp_path):
    """The process is killed between the stop and the end of the epoch, so that only validation remains."""

    def stop_at(batch):
        return LambdaCallback(on_train_batch_end=lambda number, logs: number == batch and stop())

    def stop():
        current[0].stop_training = True

    current = [small_model()]
    fit(current[0], [stop_at(1)])
    whole = everything(current[0])
    current[0] = small_model()
    with pytest.raises(Crash):
        fit(current[0], [stop_at(1), EndOfEpoch(), BackupAndRestore(tmp_path, 1)])
    current[0] = small_model()
    fit(current[0], [stop_at(1), BackupAndRestore(tmp_path, 1)])
    assert everything(current[0]) == whole
    assert len(current[0].history.epoch) == 1


class EndOfEpoch(Callback):
    """A callback that crashes at the end of an epoch."""

    def on_epoch_end(self, epoch, logs):
        raise Crash


def test_the_same_model_object_goes_on(tmp_path):
    """In a notebook the same cell is run again, with the model as the interrupted fit left it."""
    whole = small_model()
    fit(whole, [plateau()])
    model = small_model()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            fit(model, [plateau(), BackupAndRestore(tmp_path), CrashAt(3, KeyboardInterrupt)])
    fit(model, [plateau(), BackupAndRestore(tmp_path)])
    assert everything(model) == everything(whole)


# Where it goes on -----------------------------------------------------------------------------------------------


def test_a_finished_fit_says_so_and_may_grow(tmp_path, capsys):
    whole = small_model()
    fit(whole, epochs=5)
    once = small_model()
    fit(once, [BackupAndRestore(tmp_path)])
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = small_model(seed=9)
    fit(again, [BackupAndRestore(tmp_path)], verbose=1)
    assert "all 3 epochs are done; nothing more to do" in capsys.readouterr().out
    assert everything(again) == everything(once)
    silent = small_model(seed=4)
    with pytest.warns(UserWarning, match=r"all 3 epochs are done; .* ask for more epochs; .* use another folder"):
        fit(silent, [BackupAndRestore(tmp_path)], verbose=0)
    assert everything(silent) == everything(once)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    fit(again, [BackupAndRestore(tmp_path)], epochs=5, verbose=1)
    assert "Going on in epoch 4, from" in capsys.readouterr().out
    assert everything(again) == everything(whole)


def test_a_fit_that_stopped_early_is_finished_and_has_its_best_weights(tmp_path, capsys):
    whole, early = small_model(optimizer=optimizers.SGD(0.5)), stopping()
    fit(whole, [early], epochs=40)
    assert early.stopped_epoch
    model = small_model(optimizer=optimizers.SGD(0.5))
    fit(model, [stopping(), BackupAndRestore(tmp_path)], epochs=40)
    for epochs in (40, 50):
        again = small_model(seed=7, optimizer=optimizers.SGD(0.5))
        fit(again, [stopping(), BackupAndRestore(tmp_path)], epochs=epochs, verbose=1)
        assert f"stopped after {early.stopped_epoch + 1} epochs; nothing more to do" in capsys.readouterr().out
        assert everything(again) == everything(whole) == everything(model)


def test_two_files_are_kept_and_each_is_a_model(tmp_path):
    model = small_model()
    fit(model, [BackupAndRestore(tmp_path, 1), stopping()])
    # The first state is written before any step, then one after each batch and one at the end of each epoch.
    last = 1 + EPOCHS * (BATCHES + 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"checkpoint-{number:06d}.safetensors" for number in (last - 1, last)
    ]
    for path in tmp_path.iterdir():
        assert load_model(path).optimizer.iterations == EPOCHS * BATCHES


def test_a_state_is_written_when_the_last_is_old(tmp_path):
    numbers = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: numbers.append(max(os.listdir(tmp_path))))
    for seconds in (0, 1000):
        fit(small_model(), [note, BackupAndRestore(tmp_path, save_seconds=seconds)], epochs=1)
        assert len(set(numbers)) == (BATCHES if seconds == 0 else 1)
        numbers.clear()
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 16}, "data.batch_size was 8 and is 16"),
        ({"images": data(31)}, "data.images was 30 and is 31"),
        ({"images": data(30, 5)}, "data.x was"),
        ({"validation_data": data(12, 5)}, "validation_data.x was"),
        ({"validation_data": None}, "validation_data was a dict of 2 and is None"),
        ({"shuffle": False}, "data.shuffle was True and is False"),
        ({"augment": Augmentation(shift=0.1)}, "augment was None and is a dict"),
        ({"fuse": False}, "fuse was True and is False"),
        ({"initial_epoch": 1}, "initial_epoch was 0 and is 1"),
        ({"steps_per_epoch": 2}, "data.steps_per_epoch was 4 and is 2"),
        ({"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}, "data.sample_weight was None and is"),
    ],
)
def test_other_data_or_settings_are_refused(tmp_path, arguments, message):
    fit(small_model(), [BackupAndRestore(tmp_path)], epochs=1)
    csv = tmp_path.parent / f"{tmp_path.name}.csv"
    csv.write_text("mine")
    with pytest.raises(ValueError, match=f"belongs to another training: {message}.*or use another folder"):
        fit(small_model(), [callbacks.CSVLogger(csv), BackupAndRestore(tmp_path)], **arguments)
    assert csv.read_text() == "mine"  # nothing has begun yet


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: small_model(optimizer=optimizers.SGD(0.1)), "optimizer.class_name was 'Adam' and is 'SGD'"),
        (lambda: small_model(optimizer=optimizers.Adam(beta_1=0.8)), "optimizer.beta_1 was 0.9 and is 0.8"),
        (lambda: small_model(rate=0.4), r"model.layers\[3\].config.rate was 0.3 and is 0.4"),
        (model_of_all_kinds, "model.layers was a list of 5 and is a list of 8"),
    ],
)
def test_another_model_is_refused(tmp_path, model, message):
    fit(small_model(), [BackupAndRestore(tmp_path)], epochs=1)
    with pytest.raises(ValueError, match=f"belongs to another training: {message}"):
        fit(model(), [BackupAndRestore(tmp_path)])


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        (optimizers.SGD(0.01), optimizers.SGD(0.5), "optimizer.learning_rate was 0.01 and is 0.5"),
        (
            optimizers.SGD(0.1),
            optimizers.SGD(schedules.CosineDecay(0.1, 9)),
            "optimizer.learning_rate was 0.1 and is a dict",
        ),
        (
            optimizers.SGD(schedules.CosineDecay(0.1, 9)),
            optimizers.SGD(0.1),
            "optimizer.learning_rate was a dict of 2 and is 0.1",
        ),
        (
            optimizers.SGD(schedules.CosineDecay(0.1, 9)),
            optimizers.SGD(schedules.CosineDecay(0.2, 9)),
            "optimizer.learning_rate.config.initial_learning_rate was 0.1 and is 0.2",
        ),
        (optimizers.SGD(0.1), optimizers.SGD(0.1, momentum=0.9), "optimizer.momentum was 0.0 and is 0.9"),
        (optimizers.SGD(0.1), optimizers.SGD(0.1, clipnorm=1), "optimizer.clipnorm was None and is 1.0"),
        (optimizers.SGD(0.1), optimizers.SGD(0.1, weight_decay=0.1), "optimizer.weight_decay was None and is 0.1"),
    ],
)
def test_another_setting_of_the_optimizer_is_refused(tmp_path, then, now, message):
    fit(small_model(optimizer=then), [BackupAndRestore(tmp_path)], epochs=1)
    with pytest.raises(ValueError, match=f"belongs to another training: {message}"):
        fit(small_model(optimizer=now), [BackupAndRestore(tmp_path)])


def frozen(model):
    model.layers[1].trainable = False


def frozen_in_part(model):
    model.layers[1].params["bias"].trainable = False


def other_loss(model):
    model.compile(model.optimizer, "mse")


def more_regular(model):
    model.layers[1].kernel_regularizer = tinycnn.regularizers.L2(0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (frozen, r"model.layers\[1\].config.trainable was True and is False"),
        (frozen_in_part, "frozen|trainable"),
        (other_loss, "loss.class_name was 'SparseCategoricalCrossentropy' and is 'MeanSquaredError'"),
        (more_regular, r"model.layers\[1\].config.kernel_regularizer was None and is a dict"),
    ],
)
def test_another_setting_of_the_model_is_refused(tmp_path, change, message):
    x, y = data()
    for one, other in ((lambda model: None, change), (change, lambda model: None)):
        folder = tmp_path / str(one is change)
        model = small_model()
        one(model)
        targets = [(x, np.eye(3)[y] if model.loss.name == "mean_squared_error" else y)] * BATCHES
        model.fit(targets, epochs=1, verbose=0, callbacks=[BackupAndRestore(folder)])
        model = small_model()
        other(model)
        with pytest.raises(ValueError, match="belongs to another training") as raised:
            model.fit(targets, epochs=2, verbose=0, callbacks=[BackupAndRestore(folder)])
        if one is not change:
            assert re.search(message, str(raised.value))


def test_a_seed_that_was_set_is_not_replaced(tmp_path):
    def model(seed=None, before=0):
        if seed is not None:
            tinycnn.set_seed(seed)
        for _ in range(before):
            Sequential([layers.Input((8, 8, 2)), layers.Flatten(), layers.Dense(1)])
        model = Sequential([layers.Input((8, 8, 2)), layers.Flatten(), layers.Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    try:
        fit(model(1), [BackupAndRestore(tmp_path)], epochs=1)
        with pytest.raises(ValueError, match="belongs to another training: set_seed was 1 and is 2"):
            fit(model(2), [BackupAndRestore(tmp_path)], epochs=2)
        # The cell of a notebook that makes the model may be run again, without the one that sets the seed.
        fit(model(1, before=3), [BackupAndRestore(tmp_path)], epochs=2)
        seeding._Source.seed = None
        fit(model(), [BackupAndRestore(tmp_path)], epochs=3)
        fit(model(), [BackupAndRestore(tmp_path / "unset")], epochs=1)
        with pytest.raises(ValueError, match="set_seed was None and is 5"):
            fit(model(5), [BackupAndRestore(tmp_path / "unset")], epochs=2)
    finally:
        seeding._Source.seed = None


class Halves(Callback):
    """Lowers the rate and the decay, each to half of what it is."""

    def on_epoch_end(self, epoch, logs):
        self.model.optimizer.learning_rate *= 0.5
        self.model.optimizer.weight_decay *= 0.5


@pytest.mark.parametrize("after", [2, 6, 9])
def test_what_the_fit_itself_has_changed_is_kept(tmp_path, after):
    """In a new process the optimizer is compiled as at first; in the same one it is as the fit has left it."""

    def make():
        return small_model(optimizer=optimizers.SGD(0.3, weight_decay=0.1))

    whole = make()
    fit(whole, [Halves()])
    for same in (False, True):
        folder = tmp_path / f"{same}"
        model = make()
        with pytest.raises(Crash):
            fit(model, [Halves(), BackupAndRestore(folder, 3), CrashAt(after)])
        model = model if same else make()
        fit(model, [Halves(), BackupAndRestore(folder, 3)])
        assert everything(model) == everything(whole)
        assert model.optimizer.weight_decay == whole.optimizer.weight_decay
    # One that was changed by hand since is not.
    model.optimizer.learning_rate = 0.7
    with pytest.raises(ValueError, match=r"optimizer.learning_rate was 0.3 and is 0.7"):
        fit(model, [Halves(), BackupAndRestore(folder, 3)], epochs=4)


def test_what_the_fit_has_changed_since_the_last_state_is_kept(tmp_path):
    """In the same process, the model's rate is neither that of the beginning nor that of the state."""

    def halves():
        def halve(epoch, logs):
            current[0].optimizer.learning_rate *= 0.5

        return LambdaCallback(on_epoch_begin=halve)

    current = [small_model(optimizer=optimizers.SGD(0.3))]
    fit(current[0], [halves()])
    whole = everything(current[0])
    current[0] = small_model(optimizer=optimizers.SGD(0.3))
    with pytest.raises(Crash):
        fit(current[0], [halves(), BackupAndRestore(tmp_path), CrashAt(BATCHES + 2)])
    fit(current[0], [halves(), BackupAndRestore(tmp_path)])
    assert everything(current[0]) == whole


def test_a_model_that_was_read_from_a_state_goes_on(tmp_path):
    whole = small_model(optimizer=optimizers.SGD(0.3, weight_decay=0.1))
    fit(whole, [Halves()])
    fit(small_model(optimizer=optimizers.SGD(0.3, weight_decay=0.1)), [Halves(), BackupAndRestore(tmp_path)], epochs=1)
    model = load_model(max(tmp_path.iterdir()))
    fit(model, [Halves(), BackupAndRestore(tmp_path)])
    assert everything(model) == everything(whole)


def test_another_backend_is_refused(tmp_path):
    fit(small_model(), [BackupAndRestore(tmp_path)], epochs=1)
    with tinycnn.use_backend("cpu"):
        model = small_model()
    with pytest.raises(ValueError, match="backend was 'reference' and is 'cpu'"):
        fit(model, [BackupAndRestore(tmp_path)])


def test_a_callback_that_is_missing_is_named(tmp_path):
    fit(small_model(), [stopping(), BackupAndRestore(tmp_path)], epochs=1)
    with pytest.raises(ValueError, match="holds the state of 'EarlyStopping', which is not among the callbacks"):
        fit(small_model(), [BackupAndRestore(tmp_path)])
    # A callback that is new starts afresh.
    fit(small_model(), [stopping(), plateau(), BackupAndRestore(tmp_path)])


def test_a_callback_that_watches_something_else_is_refused(tmp_path):
    """The best loss that the state brings along is no accuracy."""

    def best(monitor, mode="auto"):
        return callbacks.EarlyStopping(monitor, mode=mode), BackupAndRestore(tmp_path)

    fit(small_model(), best("val_loss"), epochs=1)
    for given, message in (
        (("val_accuracy",), "monitor was 'val_loss' and is 'val_accuracy'"),
        (
            ("val_loss", "max"),
            "mode was 'auto' and is 'max'",
        ),
    ):
        with pytest.raises(ValueError, match=f"belongs to another training: EarlyStopping.{message}"):
            fit(small_model(), best(*given))
    fit(small_model(), best("val_loss"))


@pytest.mark.parametrize(
    ("kind", "then", "now"),
    [
        (callbacks.EarlyStopping, {"restore_best_weights": True}, {"restore_best_weights": False}),
        (callbacks.EarlyStopping, {"restore_best_weights": False}, {"restore_best_weights": True}),
        (callbacks.ModelCheckpoint, {"initial_value_threshold": None}, {"initial_value_threshold": 0.001}),
    ],
)
def test_settings_of_callbacks_that_a_state_would_undo_are_refused(tmp_path, kind, then, now):
    def watching(given):
        more = {"filepath": tmp_path / "best", "save_best_only": True} if kind is callbacks.ModelCheckpoint else {}
        return kind(monitor="loss", **more, **given), BackupAndRestore(tmp_path / "states")

    fit(small_model(), watching(then), epochs=1)
    [[name, value]] = now.items()
    with pytest.raises(ValueError, match=f"{kind.__name__}.{name} was {then[name]} and is {value}"):
        fit(small_model(), watching(now))
    fit(small_model(), watching(then))


class FixedRate(optimizers.SGD):
    """Its learning rate is no argument."""

    def __init__(self, momentum=0.5):
        super().__init__(0.01, momentum)


def test_an_optimizer_whose_rate_is_no_argument_goes_on(tmp_path):
    whole = small_model(optimizer=FixedRate())
    fit(whole)
    fit(small_model(optimizer=FixedRate()), [BackupAndRestore(tmp_path)], epochs=1)
    resumed = small_model(optimizer=FixedRate())
    fit(resumed, [BackupAndRestore(tmp_path)])
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_version_is_told(tmp_path, monkeypatch):
    fit(small_model(), [BackupAndRestore(tmp_path)], epochs=1)
    monkeypatch.setattr(backup, "versions", lambda: {"tinycnn": "9.9"})
    with pytest.warns(UserWarning, match=r"written with tinycnn .* \(now 9.9\); the result may differ"):
        fit(small_model(), [BackupAndRestore(tmp_path)])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: BackupAndRestore("b", "batch"), ValueError, "save_freq must be 'epoch' or a number of batches"),
        (lambda: BackupAndRestore("b", 0), ValueError, "save_freq must be at least 1"),
        (lambda: BackupAndRestore("b", save_seconds=-1), ValueError, "save_seconds must be >= 0"),
        (lambda: fit(small_model(), [BackupAndRestore("a"), BackupAndRestore("b")]), ValueError, "more than one"),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# Damage ---------------------------------------------------------------------------------------------------------


def two_states(folder):
    fit(small_model(), [BackupAndRestore(folder, 2)], epochs=1)
    return sorted(folder.iterdir())


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    path = two_states(tmp_path)[-1]
    whole = path.read_bytes()
    read(path)
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(600), *range(600, header, 7), *range(header, len(whole), 13), len(whole) - 1]
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="is damaged, or not the state"):
            read(path)
    for broken in (whole[:-1], whole[: len(whole) // 2], whole[:50], b"", whole + b"\0", bytes(len(whole))):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="is damaged, or not the state"):
            read(path)


def test_the_one_before_a_damaged_state_is_used(tmp_path):
    whole = small_model()
    fit(whole)
    older, newest = two_states(tmp_path)
    newest.write_bytes(newest.read_bytes()[:-1])
    model = small_model(seed=3)
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged.*going back to {older.name}"):
        fit(model, [BackupAndRestore(tmp_path)])
    assert everything(model) == everything(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StateFolder(tmp_path).newest()


def test_the_good_one_is_kept_when_the_damaged_one_is_replaced(tmp_path):
    older, newest = two_states(tmp_path)
    newest.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="going back"), pytest.raises(Crash):
        fit(small_model(), [BackupAndRestore(tmp_path, 1), CrashAt(1)])
    # One more state was written after the one that is gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == [older.name, "checkpoint-000005.safetensors"]


def test_if_all_are_damaged_nothing_is_begun(tmp_path):
    for path in two_states(tmp_path):
        path.write_bytes(b"damaged")
    with (
        pytest.warns(UserWarning, match="going back"),
        pytest.raises(ValueError, match=r"there is no state before it. Delete it to begin anew"),
    ):
        fit(small_model(), [BackupAndRestore(tmp_path)])


# When a file cannot be written ----------------------------------------------------------------------------------


class Faults:
    """Counts the operations on the disk while it is in place, and makes the one with the number ``at`` fail.

    If ``error`` is an OSError, only that operation fails. If it is Crash, nothing more happens from there on, as in a
    process that is killed, not even what cleans up. A write that fails has written half of its data.
    """

    def __init__(self, monkeypatch, at=None, error=None):
        self.at, self.error, self.done, self.dead = at, error, [], False
        for module, name in [
            (os, "fdopen"),
            (os, "fsync"),
            (os, "chmod"),
            (os, "replace"),
            (os, "open"),
            (os, "unlink"),
        ]:
            monkeypatch.setattr(module, name, self.failing(name, getattr(module, name)))

    def step(self, name):
        if self.dead:
            raise Crash
        self.done.append(name)
        if len(self.done) - 1 == self.at:
            self.dead = self.error is Crash
            raise self.error() if self.error is Crash else OSError(self.error, os.strerror(self.error))

    def failing(self, name, function):
        def called(*args, **kwargs):
            self.step("make" if name == "open" and not os.path.isdir(args[0]) else name)
            result = function(*args, **kwargs)
            return File(self, result) if name == "fdopen" else result

        return called


class File:
    """A file whose writes and flushes can fail; a failed write leaves half of the data, as a full disk does."""

    def __init__(self, faults, file):
        self.faults, self.file = faults, file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        try:
            self.faults.step("write")
        except BaseException:
            self.file.write(content[: len(content) // 2])
            raise
        return self.file.write(content)

    def flush(self):
        self.faults.step("flush")
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


def run_with(faults_at, error, folder, monkeypatch):
    """Run a small fit with a disk that fails once; return what was done to the disk, and how the fit ended."""
    ended = None
    with monkeypatch.context() as patch:
        faults = Faults(patch, faults_at, error)
        try:
            fit(small_model(), [BackupAndRestore(folder, 3)], epochs=2)
        except (OSError, Crash) as caught:
            ended = caught
    return faults.done, ended


LIKE_A_FULL_DISK = [pytest.param(number, marks=pytest.mark.slow) for number in (errno.EIO, errno.EROFS)]


@pytest.mark.parametrize("error", [errno.ENOSPC, Crash, *LIKE_A_FULL_DISK])
def test_a_fault_at_every_write_flush_and_rename(tmp_path, monkeypatch, error):
    """After each fault the folder holds a whole state from before or after it, and going on ends with the same bits."""
    whole = small_model()
    fit(whole, epochs=2)
    done, ended = run_with(None, None, tmp_path / "none", monkeypatch)
    assert ended is None
    assert {"make", "fdopen", "write", "flush", "fsync", "chmod", "replace", "open", "unlink"} == set(done)
    assert done.count("replace") == 5  # at first, 3rd batch, end of epoch, 6th batch, end of epoch
    assert done.count("fsync") == 10  # each file, and each time its folder
    for at, what in enumerate(done):
        folder = tmp_path / f"{at}"
        _, ended = run_with(at, error, folder, monkeypatch)
        written = done[: at + 1].count("replace") - (what == "replace")
        if error is Crash:
            assert type(ended) is Crash
        else:
            assert ended.errno == error
            assert "cannot " in str(ended)
            assert str(folder) in str(ended)
            assert not list(folder.glob(".*"))
        found = StateFolder(folder).newest()
        assert (found is not None) == bool(written), what
        if found:
            assert found[0].name == f"checkpoint-{written:06d}.safetensors"
        model = small_model(seed=4)
        if not written:
            model = small_model()  # its seed is not that of the state yet
        fit(model, [BackupAndRestore(folder, 3)], epochs=2)
        assert everything(model) == everything(whole), what
        # What was left half written is gone; an old state that was not deleted goes with the next that is written.
        assert not list(folder.glob(".*"))
        assert len(list(folder.iterdir())) <= 3


def test_a_folder_that_is_removed_meanwhile(tmp_path):
    folder = tmp_path / "gone"

    def remove(epoch, logs):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    model = small_model()
    with pytest.raises(FileNotFoundError, match=r"cannot write .*gone"):
        fit(model, [LambdaCallback(on_epoch_end=remove), BackupAndRestore(folder)])
    assert model.optimizer.iterations == BATCHES


@pytest.mark.needs("os.geteuid")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_becomes_read_only(tmp_path):
    model = small_model()
    lock = LambdaCallback(on_train_batch_end=lambda batch, logs: tmp_path.chmod(0o500))
    try:
        with pytest.raises(PermissionError, match="cannot write"):
            fit(model, [lock, BackupAndRestore(tmp_path)])
    finally:
        tmp_path.chmod(0o700)
    assert StateFolder(tmp_path).newest() is not None


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot make the folder"):
        fit(small_model(), [BackupAndRestore(tmp_path / "file" / "b")])


def test_a_state_with_nan_is_not_written(tmp_path):
    poison = LambdaCallback(on_train_batch_end=lambda batch, logs: batch == 2 and poisoned())
    model = small_model()

    def poisoned():
        model.layers[1].params["kernel"].value[0, 0] = np.nan

    with pytest.raises(tinycnn.NumericError):
        fit(model, [poison, BackupAndRestore(tmp_path, 1)])
    _, (arrays, description) = StateFolder(tmp_path).newest()
    assert description["state"]["batch"] == 2
    assert all(np.isfinite(array).all() for array in arrays.values())


# ModelCheckpoint ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(1, EPOCHS))
def test_going_on_from_a_file_of_modelcheckpoint(tmp_path, after):
    """At the end of an epoch the model's own file is enough to go on: ``load_model(…).fit(initial_epoch=…)``."""
    augment = Augmentation(shift=0.2, flip=True)
    whole = model_of_all_kinds()
    fit(whole, [callbacks.ModelCheckpoint(tmp_path / "{epoch}")], augment=augment)
    loaded = load_model(tmp_path / str(after))
    fit(loaded, initial_epoch=after, augment=augment)
    ours, theirs = everything(whole), everything(loaded)
    assert ours[:-1] == theirs[:-1]
    assert {key: values[after:] for key, values in ours[-1].items()} == theirs[-1]


def test_modelcheckpoint_does_not_overwrite_what_is_good_with_nan(tmp_path):
    model = small_model()
    path = tmp_path / "model"

    def poisoned(batch, logs):
        if batch == 2:
            model.layers[-1].params["bias"].value[0] = np.inf

    followers = [LambdaCallback(on_train_batch_end=poisoned), callbacks.ModelCheckpoint(path, save_freq=1)]
    with pytest.raises(tinycnn.NumericError):
        fit(model, followers)
    assert load_model(path).optimizer.iterations == 2


def test_a_metric_in_the_middle_of_an_epoch(tmp_path):
    """A metric with sums of its own goes on from them."""

    def make(seed=1):
        model = small_model()
        model.compile("adam", "sparse_categorical_crossentropy", [metrics.SparseTopKCategoricalAccuracy(2), "accuracy"])
        return model

    whole = make()
    fit(whole)
    model, _ = interrupted(make, tmp_path, 3)
    assert everything(model) == everything(whole)


@pytest.mark.parametrize("state", [None, [1], {1: 2}])
def test_a_state_that_could_not_be_read_back_is_refused_at_once(tmp_path, state):
    class Forgets(Callback):
        def get_state(self):
            return state

    with pytest.raises(TypeError, match="Forgets: get_state must return a dict"):
        fit(small_model(), [Forgets(), BackupAndRestore(tmp_path)])


def test_a_callback_that_cannot_take_its_state_is_named(tmp_path):
    class Fails(Callback):
        def set_state(self, state):
            raise TypeError("mine")

    fit(small_model(), [Fails(), BackupAndRestore(tmp_path)], epochs=1)
    with pytest.raises(ValueError, match=r"Fails\.set_state failed .*mine"):
        fit(small_model(), [Fails(), BackupAndRestore(tmp_path)])
