"""What ``fit``, ``evaluate`` and ``predict`` compute, print and refuse."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers import pooling_network

import tinycnn
from tinycnn import Sequential, callbacks, layers, models, optimizers, plotting, schedules
from tinycnn.callbacks import BackupAndRestore, Callback
from tinycnn.core.workspace import Workspace
from tinycnn.training import loop as training
from tinycnn.training.batches import ArrayBatches
from tinycnn.training.data import Samples


def toy_data(n=300, seed=0):
    """Return images whose class says which of their quarters is bright."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    x = rng.uniform(0, 0.5, (n, 8, 8, 1))
    for i, label in enumerate(y):
        row, column = divmod(label, 2)
        x[i, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.5
    return x.astype(np.float32), y


def toy_model(optimizer="adam", seed=1):
    tinycnn.set_seed(seed)
    model = pooling_network(8, padding="same")
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def test_learns_and_logs():
    x, y = toy_data()
    model = toy_model(optimizers.Adam(0.01))
    history = model.fit(x, y, batch_size=32, epochs=6, validation_data=toy_data(100, 1), verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert history is model.history
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert model.evaluate(x, y, verbose=0)[1] > 0.9


def test_evaluate_is_exactly_the_logged_validation():
    x, y = toy_data(700)
    model = toy_model()
    history = model.fit(x, y, epochs=1, batch_size=64, validation_data=(x, y), verbose=0)
    for batch_size in (1, 32, 10_000):
        loss, accuracy = model.evaluate(x, y, batch_size=batch_size, verbose=0)
        assert (loss, accuracy) == (history.history["val_loss"][0], history.history["val_accuracy"][0])


def test_predict_agrees_with_evaluate(capsys):
    x, y = toy_data(300)
    model = toy_model()
    model.fit(x, y, verbose=0)
    p = model.predict(x)
    assert p.shape == (300, 4)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert (p.argmax(axis=1) == y).mean() == accuracy
    assert -np.log(p[np.arange(300), y]).mean() == pytest.approx(loss, rel=1e-5)
    assert capsys.readouterr().out == ""


def test_predict_of_nothing_is_empty():
    assert toy_model().predict(np.zeros((0, 8, 8, 1))).shape == (0, 4)


def test_the_loss_is_that_of_each_image_before_its_step():
    x, y = toy_data(96)
    model = toy_model(optimizers.SGD(0.0))
    model.layers[3].rate = 0.0
    for layer in model.layers:
        layer.trainable = False  # with fixed averages, training and inference are the same function
    history = model.fit(x, y, batch_size=40, epochs=1, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert history.history["loss"][0] == pytest.approx(loss, rel=1e-6)
    assert history.history["accuracy"][0] == accuracy


def test_frozen_layers_do_not_move():
    x, y = toy_data(64)
    model = toy_model()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[-2], after[-2])


def test_train_on_batch_takes_one_step():
    x, y = toy_data(32)
    model = toy_model()
    logs = model.train_on_batch(x, y)
    assert set(logs) == {"loss", "accuracy"}
    assert model.optimizer.iterations == 1
    assert model.train_on_batch(x, y)["loss"] < logs["loss"]


def test_initial_epoch_counts_on():
    x, y = toy_data(32)
    assert toy_model().fit(x, y, initial_epoch=3, epochs=5, verbose=0).epoch == [3, 4]


def test_integer_and_column_labels_are_the_same():
    x, y = toy_data(64)
    results = []
    for labels in (y, y[:, None], y.astype(np.uint8), y.astype(float), list(y)):
        model = toy_model()
        results.append(model.fit(x, labels, verbose=0).history["loss"])
    assert results.count(results[0]) == len(results)


def test_input_dtypes_give_the_same_training():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (64, 8, 8, 1)), rng.integers(0, 4, 64)
    losses = {
        dtype: toy_model().fit(x.astype(dtype), y, verbose=0).history["loss"][0]
        for dtype in ("float32", "float64", "uint8", "bool")
    }
    assert len(set(losses.values())) == 1


# Determinism


@pytest.mark.parametrize("backend", tinycnn.core.backend.BACKENDS)
def test_same_seed_same_bits(backend):
    x, y = toy_data(200)
    runs = []
    for epochs_before in (0, 1):
        with tinycnn.use_backend(backend):
            if epochs_before:
                toy_model(seed=99).fit(x, y, epochs=1, verbose=0)  # what ran before does not matter
            model = toy_model()
        validation = (x, y) if epochs_before else None
        model.fit(x, y, batch_size=32, epochs=2, validation_data=validation, verbose=0)
        runs.append(model.get_weights())
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_gives_another_run():
    x, y = toy_data(64)
    first, second = toy_model(seed=1), toy_model(seed=2)
    second.set_weights(first.get_weights())
    assert first.fit(x, y, verbose=0).history["loss"] != second.fit(x, y, verbose=0).history["loss"]


_TRAIN = """
import hashlib, sys
sys.path[:0] = {folders!r}
from test_training import toy_data, toy_model
import numba
numba.set_num_threads({threads})
model = toy_model()
x, y = toy_data(200)
model.fit(x, y, batch_size=48, epochs=2, validation_data=(x, y), verbose=0)
digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights()))
print(digest.hexdigest())
"""


def test_same_bits_for_any_number_of_threads(request):
    """Each number of threads needs its own process, because it cannot exceed the one that Numba was started with."""
    digests = set()
    for threads, hash_seed in ((1, "0"), (2, "1"), (4, "2")):
        script = _TRAIN.format(folders=[str(folder) for folder in request.path.parents[:2]], threads=threads)
        environment = {**os.environ, "NUMBA_NUM_THREADS": "4", "PYTHONHASHSEED": hash_seed}
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=request.config.rootpath,
        )
        assert result.returncode == 0, result.stderr
        digests.add(result.stdout.strip())
    assert len(digests) == 1


def test_backends_take_the_same_steps():
    """Gradients are compared, not weights after many steps: Adam makes full steps of the rounding of tiny gradients."""
    x, y = toy_data(64)
    gradients = {}
    for backend in tinycnn.core.backend.BACKENDS:
        with tinycnn.use_backend(backend):
            model = toy_model("sgd")
        model.train_on_batch(x, y)
        gradients[backend] = {key: p.grad for key, p in model.parameters().items()}
    for key, gradient in gradients["reference"].items():
        np.testing.assert_allclose(gradients["cpu"][key], gradient, rtol=1e-3, atol=1e-6)


# What is printed


def test_lines_where_there_is_no_terminal(capsys):
    x, y = toy_data(64)
    toy_model().fit(x, y, epochs=2, validation_data=(x, y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2  ")
    for word in ("images/s", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert word in lines[1]


def test_silence(capsys):
    x, y = toy_data(64)
    model = toy_model()
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert capsys.readouterr() == ("", "")


# Bad input


@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [
        (np.zeros((4, 8, 8)), [0] * 4, ValueError, r"add the channel axis: x\[..., None\]"),
        (np.zeros((8, 8, 1)), [0], ValueError, r"add the batch axis: x\[None\]"),
        (np.zeros((4, 8, 8, 3)), [0] * 4, ValueError, r"expected shape \(N, 8, 8, 1\), got \(4, 8, 8, 3\)"),
        (np.zeros((4, 8, 8, 1)), [0] * 3, ValueError, r"expected 4 integer labels of shape \(4,\)"),
        (np.zeros((4, 8, 8, 1)), np.eye(4), ValueError, "one-hot rows: use y.argmax"),
        (np.zeros((4, 8, 8, 1)), [0, 1, 2, 4], ValueError, "labels must lie in 0 … 3 for 4 outputs; got 4 at"),
        (np.zeros((4, 8, 8, 1)), [0, 1, 2, -1], ValueError, "got -1 at index 3"),
        (np.zeros((4, 8, 8, 1)), [0.5] * 4, ValueError, "must be whole numbers; got 0.5 at index 0"),
        (np.full((4, 8, 8, 1), np.nan), [0] * 4, ValueError, r"x holds nan at index \(0, 0, 0, 0\)"),
        (np.zeros((0, 8, 8, 1)), [], ValueError, "x is empty"),
        (np.array([["a"]]), [0], TypeError, "array of numbers"),
        (None, [0], TypeError, "array of numbers"),
        (np.zeros((4, 8, 8, 1)), None, ValueError, "y is missing"),
        (None, None, ValueError, "y is missing"),
    ],
)
def test_data_that_does_not_fit(x, y, kind, message):
    with pytest.raises(kind, match=message):
        toy_model().fit(x, y, verbose=0)


def test_infinity_is_found_wherever_it_is_and_can_be_let_through():
    x, y = toy_data(1500)
    x[1400, 3, 2, 0] = np.inf
    with pytest.raises(ValueError, match=r"inf at index \(1400, 3, 2, 0\); pass check_finite=False"):
        toy_model().evaluate(x, y, verbose=0)
    with np.errstate(invalid="ignore"):
        toy_model().predict(x, check_finite=False)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, x, y, good: model.fit(x, y, verbose=0),
        lambda model, x, y, good: model.fit([(x, y)], verbose=0),
        lambda model, x, y, good: model.fit(good, y, verbose=0, validation_data=(x, y)),
        lambda model, x, y, good: model.train_on_batch(x, y),
        lambda model, x, y, good: model.evaluate(x, y, verbose=0),
        lambda model, x, y, good: model.predict(x),
        lambda model, x, y, good: model.trace(x, y),
        lambda model, x, y, good: plotting.saliency(model, x[0]),
    ],
)
def test_unscaled_images_warn(call, dtype):
    x = np.full((4, 8, 8, 1), 255, dtype)
    with pytest.warns(UserWarning, match="up to 255; networks train badly on unscaled images: divide by 255") as record:
        call(toy_model(), x, [0, 1, 2, 3], x / 255)
    assert [warning.filename for warning in record] == [__file__]  # it points at the user's line


def test_standardised_images_do_not_warn(recwarn):
    x = np.random.default_rng(0).normal(size=(600, 8, 8, 1))
    assert x.max() > 3
    toy_model().predict(x)
    toy_model().predict(np.full((4, 8, 8, 1), 1.5))  # values a little above 1 do not look like bytes
    assert not recwarn.list


def test_a_split_that_leaves_nothing_says_so():
    x, y = toy_data(5)
    with pytest.raises(ValueError, match=r"validation_split=0.9 of 5 images leaves none to train on"):
        toy_model().fit(x, y, verbose=0, validation_split=0.9)
    with pytest.raises(ValueError, match=r"validation_split=1e-17 of 5 images leaves none to validate on"):
        toy_model().fit(x, y, verbose=0, validation_split=1e-17)


def test_a_model_that_rescales_takes_bytes_without_a_warning(recwarn):
    model = Sequential(
        [layers.Input((2, 2, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.full((4, 2, 2, 1), 200, np.uint8), [0, 1, 0, 1], verbose=0)
    model.predict(np.full((4, 2, 2, 1), 200, np.uint8))
    assert not [w for w in recwarn if "divide by 255" in str(w.message)]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"epochs": -1}, ValueError, "epochs must be at least 0"),
        ({"verbose": 3}, ValueError, "verbose must be 'auto', 0, 1 or 2"),
        ({"shuffle": "yes"}, TypeError, "shuffle must be True or False"),
        (
            {"validation_data": 5},
            TypeError,
            r"must be \(x, y\), \(x, y, sample_weight\), or an iterable of such batches; got 5",
        ),
        ({"validation_data": (np.zeros((1, 8, 8, 2)), [0])}, ValueError, "validation_data: x: expected shape"),
        ({"callbacks": [print]}, TypeError, "must be Callback objects"),
    ],
)
def test_bad_arguments_of_fit(arguments, kind, message):
    x, y = toy_data(8)
    with pytest.raises(kind, match=message):
        toy_model().fit(x, y, **({"verbose": 0} | arguments))


# Ctrl-C


class PressCtrlC(Callback):
    def __init__(self, number):
        self.number = number

    def on_train_batch_end(self, batch, logs):
        if batch == 1:
            signal.raise_signal(self.number)
            self.iterations = self.model.optimizer.iterations  # still reached: the step is finished first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_training_after_the_step(number):
    """So does ``kill`` where it is to act as Ctrl-C, as in the commands."""
    before = signal.signal(number, signal.default_int_handler)
    x, y = toy_data(128)
    model, press = toy_model(), PressCtrlC(number)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=32, epochs=3, callbacks=[press], verbose=0)
    assert model.optimizer.iterations == press.iterations == 2
    assert signal.signal(number, before) is signal.default_int_handler


# Workspaces


def test_a_users_layer_needs_no_workspace():
    """A layer that ignores ``ws`` and returns fresh arrays trains to the same bits as one that uses it."""

    class Plain(layers.Dense):
        def forward(self, x, *, training=False, step=0, ws=None):
            return super().forward(x, training=training)

        def backward(self, dy, cache, *, ws=None):
            return super().backward(dy.copy(), cache)

    x, y = toy_data(100)
    results = []
    for kind in (layers.Dense, Plain):
        tinycnn.set_seed(0)
        model = Sequential(
            [layers.Input((8, 8, 1)), layers.Flatten(), kind(16, activation="relu"), layers.Dense(4, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=2, verbose=0)
        results.append(model.get_weights())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fit_and_train_on_batch_take_the_same_steps():
    """Only ``fit`` has a workspace, so this shows that no memory is reused while it is still needed."""
    x, y = toy_data(96)
    by_fit, by_hand = toy_model(), toy_model()
    by_fit.fit(x, y, batch_size=40, shuffle=False, epochs=2, verbose=0)
    for _ in range(2):
        for start in range(0, 96, 40):
            by_hand.train_on_batch(x[start : start + 40], y[start : start + 40])
    for ours, theirs in zip(by_fit.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Schedules and documented models


def test_a_schedule_gives_each_step_its_rate():
    x, y = toy_data(64)
    schedule = schedules.PiecewiseConstantDecay([2], [0.5, 0.25])
    model = toy_model(optimizers.SGD(schedule))
    seen = []
    watch = callbacks.Callback()
    watch.on_train_batch_end = lambda batch, logs: seen.append(model.optimizer.learning_rate)
    model.fit(x, y, batch_size=16, verbose=0, callbacks=[watch])
    assert seen == [schedule(step) for step in (1, 2, 3, 4)]
    with pytest.raises(TypeError, match="given by PiecewiseConstantDecay"):
        model.optimizer.learning_rate = 0.1


@pytest.mark.parametrize("name", ["ladder_03", "go_crazy", "eip4"])
def test_documented_models_take_a_step(name):
    model = models.build(name)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (8, *model.input_shape)), rng.integers(0, 10, 8)
    first = model.train_on_batch(x, y)["loss"]
    assert np.isfinite(first)


@pytest.mark.slow
def test_the_first_run_says_that_it_compiles(tmp_path, request):
    script = "import sys; sys.path[:0] = {!r}; from test_training import *; toy_model().fit(*toy_data(8))"
    for expected in (True, False):
        result = subprocess.run(
            [sys.executable, "-c", script.format([str(folder) for folder in request.path.parents[:2]])],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            cwd=request.config.rootpath,
        )
        assert ("Compiling the kernels" in result.stdout) == expected


# Where batches come from


def batches_of(x, y, size=32):
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


def weights_after(**arguments):
    model = toy_model()
    model.fit(verbose=0, **arguments)
    return model.get_weights()


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_list_and_a_generator_are_the_same_as_arrays():
    x, y = toy_data(96)
    arrays = weights_after(x=x, y=y, batch_size=32, shuffle=False, epochs=2)
    assert_same(weights_after(x=batches_of(x, y), epochs=2), arrays)

    def endless():
        while True:
            yield from batches_of(x, y)

    assert_same(weights_after(x=endless(), steps_per_epoch=3, epochs=2), arrays)


def batches_seen(model, x, y, **arguments):
    """Return, epoch by epoch, the number of each batch's first image and the length of the batch."""
    seen = []

    class Note(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append([])

    plain = training.train_step

    def step(model, chain, batch, meters, ws):
        seen[-1].append((round(10 * float(batch.x[0, 0])), len(batch.y)))
        return plain(model, chain, batch, meters, ws)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_step", step)
        model.fit(x, y, verbose=0, fuse=False, callbacks=[Note(), *arguments.pop("callbacks", [])], **arguments)
    return seen


def ten_images():
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((2,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, np.arange(10)[:, None].repeat(2, 1) / 10, np.arange(10) % 2


def test_steps_per_epoch_without_shuffling_goes_on_where_the_last_epoch_ended():
    """In an earlier version, each epoch trained on the same first batches and never saw the rest of the images."""
    model, x, y = ten_images()
    seen = batches_seen(model, x, y, batch_size=3, steps_per_epoch=3, shuffle=False, epochs=5)
    assert seen == [
        [(0, 3), (3, 3), (6, 3)],
        [(9, 1), (0, 3), (3, 3)],
        [(6, 3), (9, 1), (0, 3)],
        [(3, 3), (6, 3), (9, 1)],
        [(0, 3), (3, 3), (6, 3)],
    ]


@pytest.mark.parametrize("after", [1, 3, 4, 6, 7, 8])
def test_steps_per_epoch_without_shuffling_goes_on_after_an_interruption(tmp_path, after):
    class Fail(Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs):
            self.steps += 1
            if self.steps == after:
                raise RuntimeError

    arguments = {"batch_size": 3, "steps_per_epoch": 3, "shuffle": False, "epochs": 3}
    whole, x, y = ten_images()
    expected = [batch for epoch in batches_seen(whole, x, y, **arguments) for batch in epoch]
    model, _, _ = ten_images()
    with pytest.raises(RuntimeError):
        model.fit(x, y, verbose=0, fuse=False, callbacks=[Fail(), BackupAndRestore(tmp_path, 1)], **arguments)
    model, _, _ = ten_images()
    arguments["callbacks"] = [BackupAndRestore(tmp_path, 1)]
    left = [batch for epoch in batches_seen(model, x, y, **arguments) for batch in epoch]
    assert left == expected[after - 1 :]  # the last batch had not been kept
    for ours, theirs in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_bar_knows_how_many_images_an_epoch_has():
    model, x, y = ten_images()
    batches = ArrayBatches(model, Samples(x, y, None), batch_size=3, shuffle=False, steps=3)
    counts = []
    for _ in range(3):
        counts.append((batches.images, sum(len(batch.y) for batch in batches.epoch(Workspace()))))
    assert counts == [(9, 9), (7, 7), (7, 7)]


def test_steps_per_epoch_cuts_an_epoch_of_arrays_short():
    x, y = toy_data(96)
    model = toy_model()
    model.fit(x, y, batch_size=32, steps_per_epoch=2, verbose=0)
    assert model.optimizer.iterations == 2
    with pytest.raises(ValueError, match="steps_per_epoch is 4, but 96 images in batches of 32 make 3"):
        model.fit(x, y, batch_size=32, steps_per_epoch=4, verbose=0)


@pytest.mark.parametrize(
    ("make", "arguments", "kind", "message"),
    [
        (lambda x, y: iter(batches_of(x, y)), {"epochs": 2}, ValueError, "ran out in epoch 2 of this fit after 0"),
        (lambda x, y: batches_of(x, y), {"steps_per_epoch": 5}, ValueError, "after 3; expected steps_per_epoch=5"),
        (lambda x, y: [x], {}, TypeError, r"batch 0 of epoch 1: expected \(x, y\)"),
        (lambda x, y: [(x, y), (x[:, :4], y)], {}, ValueError, "batch 1 of epoch 1: x: expected shape"),
        (lambda x, y: [(x, y[:5])], {}, ValueError, "batch 0 of epoch 1: y.*expected 96 integer labels"),
        (lambda x, y: [(x, y, None, None)], {}, TypeError, "expected .x, y. or .x, y, sample_weight.*got a tuple of 4"),
        (lambda x, y: [(x[:0], y[:0])], {}, ValueError, "batch 0 of epoch 1: x is empty"),
        (lambda x, y: [(x * np.nan, y)], {}, ValueError, "batch 0 of epoch 1: x holds nan"),
        (lambda x, y: batches_of(x, y), {"validation_split": 0.1}, ValueError, "validation_split needs arrays"),
        (lambda x, y: batches_of(x, y), {"sample_weight": [1]}, ValueError, "sample_weight needs arrays"),
        (lambda x, y: [(x, y, np.ones(3))], {}, ValueError, r"sample_weight must have shape \(96,\)"),
    ],
)
def test_batches_that_do_not_fit(make, arguments, kind, message):
    with pytest.raises(kind, match=message):
        toy_model().fit(make(*toy_data(96)), verbose=0, **arguments)


def test_validation_split_holds_out_the_last():
    x, y = toy_data(100)
    model, other = toy_model(), toy_model()
    history = model.fit(x, y, validation_split=0.25, verbose=0)
    expected = other.fit(x[:75], y[:75], validation_data=(x[75:], y[75:]), verbose=0)
    assert history.history == expected.history
    with pytest.raises(ValueError, match="both given"):
        model.fit(x, y, validation_split=0.25, validation_data=(x, y))
    with pytest.raises(ValueError, match="validation_split must be"):
        model.fit(x, y, validation_split=1.5)


def test_weights_of_samples_and_classes():
    """A sample of weight 0 is as good as absent, except in the division by N; class weights are sample weights."""
    x, y = toy_data(64)
    table = {0: 0.5, 1: 2.0, 2: 0.0, 3: 1.0}
    by_class = weights_after(x=x, y=y, class_weight=table)
    by_sample = weights_after(x=x, y=y, sample_weight=[table[label] for label in y])
    in_batches = weights_after(x=[(x, y, np.array([table[label] for label in y]))])
    assert_same(by_class, by_sample)
    assert_same(weights_after(x=x, y=y, batch_size=64, shuffle=False, class_weight=table), in_batches)
    assert_same(weights_after(x=x, y=y, sample_weight=np.ones(64)), weights_after(x=x, y=y))


@pytest.mark.parametrize("shape", [(1,), (4, 4, 1)])
def test_weights_of_classes_need_a_loss_of_classes(shape):
    """Earlier, a number for each image was taken for one column of classes, and an image for several rows of them."""
    model = Sequential([layers.Input((8,)), layers.Dense(np.prod(shape)), layers.Reshape(shape)])
    model.compile("sgd", "mse")
    x, y = np.ones((6, 8)), np.ones((6, *shape))
    for data in ({"x": x, "y": y}, {"x": [(x, y)]}):
        with pytest.raises(ValueError, match=r"class_weight needs a crossentropy .*mean_squared_error.*sample_weight"):
            model.fit(**data, verbose=0, class_weight={0: 1.0})
    model.fit(x, y, verbose=0, sample_weight=np.ones(6))


def losses_of(model, x, y):
    """Return ``-log p`` of each image's class, computed by hand."""
    return -np.log(model.predict(x).astype(np.float64)[np.arange(len(y)), y])


@pytest.mark.parametrize("n", [8, 300])  # one block, and more than one
def test_evaluate_weighs_samples(n):
    x, y = toy_data(n)
    model, weight = toy_model(), np.linspace(0, 3, n)
    plain, weighted = (model.evaluate(x, y, verbose=0, sample_weight=given) for given in (None, weight))
    assert weighted[0] == pytest.approx((weight * losses_of(model, x, y)).sum() / n, rel=1e-5)
    assert weighted[1] == plain[1]  # metrics are not weighted
    assert model.evaluate(x, y, verbose=0, sample_weight=np.ones(n)) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("class_weight", [None, dict.fromkeys(range(4), 5.0)])
def test_weights_of_samples_count_in_validation_and_those_of_classes_do_not(class_weight):
    x, y = toy_data(80)
    weight = np.linspace(0, 3, 80)
    fits = {
        "split": {"x": x, "y": y, "sample_weight": weight, "validation_split": 0.25},
        "data": {"x": x[:60], "y": y[:60], "validation_data": (x[60:], y[60:], weight[60:])},
    }
    for arguments in fits.values():
        model = toy_model("sgd")
        logs = model.fit(**arguments, class_weight=class_weight, verbose=0).history
        by_hand = (weight[60:] * losses_of(model, x[60:], y[60:])).sum() / 20
        assert logs["val_loss"][0] == pytest.approx(by_hand, rel=1e-5)
        assert [logs["val_loss"][0], logs["val_accuracy"][0]] == model.evaluate(
            x[60:], y[60:], verbose=0, sample_weight=weight[60:]
        )


@pytest.mark.filterwarnings("error:class_weight")
@pytest.mark.filterwarnings("ignore:validation holds")
def test_classes_of_the_training_images_alone_need_weights():
    x, y = toy_data(16)
    y[:] = [0, 1] * 6 + [2, 3] * 2
    toy_model().fit(x, y, verbose=0, class_weight={0: 1.0, 1: 2.0}, validation_split=0.25)


@pytest.mark.parametrize("as_batches", [False, True])
def test_a_class_without_a_weight_counts_as_one_and_is_named(as_batches):
    x, y = toy_data(16)
    y[:] = [0, 1, 2, 3] * 4
    data = {"x": [(x, y)]} if as_batches else {"x": x, "y": y, "batch_size": 16, "shuffle": False}
    some, whole = toy_model(), toy_model()
    with pytest.warns(UserWarning, match="class_weight has no weight for classes 1, 3, which counts as 1, as in Keras"):
        some.fit(**data, verbose=0, class_weight={0: 5.0, 2: 0.5})
    whole.fit(**data, verbose=0, class_weight={0: 5.0, 1: 1.0, 2: 0.5, 3: 1.0})
    assert_same(some.get_weights(), whole.get_weights())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, x, y: model.evaluate(x, y, sample_weight=[1.0]), r"evaluate: sample_weight must have shape"),
        (
            lambda model, x, y: model.fit(x, y, validation_data=(x, y, np.full(8, -1))),
            "validation_data: sample_weight must be finite and not negative",
        ),
    ],
)
def test_bad_weights_of_validation(call, message):
    with pytest.raises(ValueError, match=message):
        call(toy_model(), *toy_data(8))


def test_the_weighted_loss_is_keras_loss():
    """The loss is ``sum(weight * loss) / N``, so the weights are not normalised."""
    x, y = toy_data(64)
    logs = [
        toy_model("sgd").fit(x, y, batch_size=64, verbose=0, sample_weight=np.full(64, weight)).history["loss"][0]
        for weight in (1, 3)
    ]
    assert logs[1] == pytest.approx(3 * logs[0], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"class_weight": [1, 1, 1, 1]}, TypeError, "must be a dict"),
        ({"class_weight": {7: 1.0}}, ValueError, "keys must be classes from 0 to 3; got 7"),
        ({"class_weight": dict.fromkeys(range(4), -1)}, ValueError, "class_weight of class 0"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight must have shape \(8,\)"),
        ({"sample_weight": [np.nan] * 8}, ValueError, "finite and not negative"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be at least 1"),
        ({"augment": "flip"}, TypeError, "augment must be an Augmentation"),
    ],
)
def test_bad_weights_and_steps(arguments, kind, message):
    x, y = toy_data(8)
    y[:4] = [0, 1, 2, 3]
    with pytest.raises(kind, match=message):
        toy_model().fit(x, y, verbose=0, **arguments)


def test_a_callback_can_stop_within_an_epoch():
    x, y = toy_data(96)
    model, stop = toy_model(), Callback()
    stop.on_train_batch_end = lambda batch, logs: setattr(model, "stop_training", batch == 1)
    history = model.fit(x, y, batch_size=16, epochs=3, callbacks=[stop], verbose=0)
    assert model.optimizer.iterations == 2
    assert history.epoch == [0]
