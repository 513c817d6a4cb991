"""What ``profile`` counts, what it leaves unchanged, and what it shows."""

import time

import numpy as np
import pytest
from matplotlib.figure import Figure

import tinycnn
from tinycnn import Sequential, layers, models, profile
from tinycnn.cli import main
from tinycnn.layers import Conv2D, Dense, DepthwiseConv2D
from tinycnn.profile import _measuring
from tinycnn.training import recorded


def small_model(loss="sparse_categorical_crossentropy", **first):
    model = Sequential(
        [
            layers.Input((8, 10, 2)),
            layers.Conv2D(6, 3, strides=(1, 2), groups=2, activation="relu", **first),
            layers.MaxPooling2D(2),
            layers.Conv2D(4, 3, padding="same", activation="tanh"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", loss, ["accuracy"])
    return model


def entries_of(model, **arguments):
    return {entry.name: entry for entry in profile.profile(model, 3, 1, **arguments).entries}


@pytest.mark.parametrize(
    ("layer", "shape", "terms"),
    [
        (Conv2D(6, (3, 2)), (5, 6, 4), 3 * 5 * 6 * (3 * 2 * 4)),
        (Conv2D(6, 3, strides=2, padding="same"), (5, 6, 4), 3 * 3 * 6 * (3 * 3 * 4)),
        (Conv2D(6, 3, groups=2), (5, 6, 4), 3 * 4 * 6 * (3 * 3 * 2)),
        (Conv2D(6, 3, dilation_rate=2), (5, 6, 4), 1 * 2 * 6 * (3 * 3 * 4)),
        (DepthwiseConv2D(3, depth_multiplier=2), (5, 6, 4), 3 * 4 * 8 * (3 * 3)),
        (Dense(7), (12,), 12 * 7),
        (Dense(7), (2, 3, 12), 2 * 3 * 12 * 7),
    ],
)
def test_operations_are_two_for_each_term_of_the_definition(layer, shape, terms):
    layer.build(shape)
    assert profile.flops(layer) == 2 * terms


def test_work_of_each_direction():
    entries = entries_of(small_model())
    first = 3 * 2 * (6 * 4 * 6) * (3 * 3 * 1)
    second = 3 * 2 * (3 * 2 * 4) * (3 * 3 * 6)
    works = {name: (entry.forward.work, entry.backward.work) for name, entry in entries.items()}
    assert works == {
        "conv2d + max_pooling2d": (first, first),  # the gradient with respect to the images is not needed
        "conv2d_1": (second, 2 * second),
        "batch_normalization": (3 * 2 * 24 * 4, 3 * 2 * 24 * 4),
        "flatten": (0, 0),
        "dropout": (3 * 2 * 24 * 4, 3 * 2 * 24 * 4),
        "dense": (3 * 2 * 24 * 5, 2 * 3 * 2 * 24 * 5),
    }
    assert [entries[name].unit for name in ("conv2d_1", "dense", "dropout")] == ["GFLOP/s", "GFLOP/s", "GB/s"]
    entry = entries["dense"]
    assert entry.forward.rate == pytest.approx(entry.forward.work / entry.forward.seconds / 1e9)


def test_what_moves_nothing_has_no_speed():
    model = Sequential(
        [layers.Input((6,)), layers.Dense(4), layers.GaussianNoise(0.1), layers.Activation("linear"), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    entries = entries_of(model)
    assert entries["gaussian_noise"].forward.work == 3 * 2 * 4 * 4
    assert entries["gaussian_noise"].backward.work == 0
    assert [one.work for one in (entries["activation"].forward, entries["activation"].backward)] == [0, 0]


def test_unfused_layers_are_measured_one_by_one():
    model = small_model()
    assert list(entries_of(model, fuse=False)) == [layer.name for layer in model.layers]
    # 8×10 becomes 6×4 of 6 channels, then 3×2; float32, 3 images.
    assert entries_of(model, fuse=False)["max_pooling2d"].forward.work == 3 * 4 * (6 * 4 * 6 + 3 * 2 * 6)


def test_below_the_first_trained_layer_there_is_no_backward():
    frozen = entries_of(small_model(trainable=False))
    assert frozen["conv2d + max_pooling2d"].backward is None
    # conv2d_1 is now the first layer that is trained.
    assert frozen["conv2d_1"].backward.work == frozen["conv2d_1"].forward.work
    model = small_model()
    model.layers[2].trainable = False
    entry = entries_of(model)["conv2d_1"]
    assert entry.backward.work == entry.forward.work  # only the gradient with respect to the input
    for layer in model.layers:
        layer.trainable = False
    with pytest.raises(ValueError, match="something to train"):
        profile.profile(model, 3, 1)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy", "mse"])
def test_the_model_is_left_as_it_was(loss):
    model = small_model(loss)
    x = np.random.default_rng(0).random((4, 8, 10, 2), dtype=np.float32)
    y = np.array([0, 4, 2, 2]) if loss.startswith("sparse") else np.eye(5)[[0, 4, 2, 2]]
    model.train_on_batch(x, y)
    weights, optimizer = model.get_weights(), model.optimizer
    slots = {key: [slot.copy() for slot in slots] for key, slots in optimizer.slots.items()}
    profile.profile(model, 3, 2)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    assert model.optimizer is optimizer
    assert optimizer.iterations == 1
    for key, before in slots.items():
        np.testing.assert_array_equal(optimizer.slots[key], before)


def test_the_sum_of_the_parts_and_the_rate():
    """The whole step is measured by itself, as `fit` takes it, so it is not compared with the sum of its parts."""
    result = profile.profile(small_model(), 64, 15)
    assert result.total == sum(entry.seconds for entry in result.entries) + result.loss + result.optimizer
    assert result.images_per_second == 64 / result.step
    assert min(result.loss, result.optimizer, *(entry.forward.seconds for entry in result.entries)) > 0


@pytest.mark.parametrize("fuse", [True, False])
def test_the_parts_are_measured_in_a_program_if_fit_runs_one(fuse, monkeypatch):
    """However often the step is measured, Python walks through it only until it has been recorded."""
    walk, counts = _measuring.train_step, []
    for repeats in (2, 9):
        walks = []
        monkeypatch.setattr(_measuring, "train_step", lambda *a, walks=walks: walks.append(1) or walk(*a))
        profile.profile(small_model(), 3, repeats, fuse=fuse)
        counts.append(len(walks))
    in_program = fuse and recorded.can_record(small_model())
    assert counts[1] - counts[0] == (0 if in_program else 2 * 7)


def test_a_slow_layer_shows():
    class Slow(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            time.sleep(0.05)
            return x, x

        def backward(self, dy, cache, *, ws=None):
            return dy

    model = Sequential([layers.Input((4,)), layers.Dense(3), Slow(name="slow"), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    result = profile.profile(model, 2, 3)
    slow = result.entries[1]
    assert slow.name == "slow"
    assert slow.forward.seconds >= 0.05
    assert slow.backward.seconds < 0.05
    assert result.step >= 0.05


def test_the_table_and_the_picture():
    model = small_model(trainable=False)
    result = profile.profile(model, 3, 1)
    lines = str(result).splitlines()
    assert "training step of 3 images, float32, cpu backend" in lines[0]
    rows = {line.split("  ")[0]: line for line in lines[3:-3]}
    assert list(rows) == [*(entry.name for entry in result.entries), "loss", "optimizer"]
    assert "GFLOP/s" in rows["dense"]
    assert "GB/s" in rows["dropout"]
    assert "/s" not in rows["flatten"]
    assert f"{result.images_per_second:,.0f} images/s" in lines[-2]
    ax = result.plot(Figure())
    # Each step has two bars, but the frozen one has none for backward; loss and optimizer have one bar each.
    assert len(ax.patches) == 2 * len(result.entries) - 1 + 2
    assert max(patch.get_width() for patch in ax.patches) == pytest.approx(
        1000 * max([result.loss, result.optimizer, *(e.forward.seconds for e in result.entries)]
                   + [e.backward.seconds for e in result.entries if e.backward])
    )  # fmt: skip
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["forward", "backward"]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"model": None}, TypeError, "model must be a Sequential; got NoneType"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"repeats": 0}, ValueError, "repeats must be at least 1; got 0"),
        ({"fuse": "yes"}, TypeError, "fuse must be True or False; got 'yes'"),
    ],
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        profile.profile(**{"model": small_model()} | arguments)


def test_it_needs_a_compiled_model():
    with pytest.raises(RuntimeError, match="not built"):
        profile.profile(Sequential([layers.Dense(3)]))
    with pytest.raises(RuntimeError, match="not compiled"):
        profile.profile(models.build("ladder_00"))


# The command ----------------------------------------------------------------------------------------------------


def test_the_command_prints_and_draws(tmp_path, capsys):
    arguments = ["profile", "ladder_02", "--batch-size", "4", "--repeats", "1"]
    assert main([*arguments, "--out", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert "conv2d + max_pooling2d" in out
    assert "training step of 4 images" in out
    assert f"in {tmp_path / 'new'}: profile.png" in out
    assert (tmp_path / "new" / "profile.png").read_bytes()[:4] == b"\x89PNG"
    assert main([*arguments, "--no-fuse"]) == 0
    out = capsys.readouterr().out
    assert "conv2d + max_pooling2d" not in out
    assert "nothing fused" in out
    assert "profile.png" not in out


@pytest.mark.parametrize("option", ["--batch-size", "--repeats", "--threads"])
def test_the_command_refuses_nothing_at_all(option, capsys):
    assert main(["profile", "ladder_02", option, "0"]) == 2
    assert option in capsys.readouterr().err


# The plan in the summary ----------------------------------------------------------------------------------------


def steps_shown(capsys, model):
    capsys.readouterr()
    model.summary(plan=True)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.rpartition(" B ")[2].strip() for line in lines if " B " in line and "(N, " in line}


def test_the_summary_numbers_the_steps(capsys):
    assert steps_shown(capsys, small_model()) == {
        "conv2d": "1",
        "max_pooling2d": "1",
        "conv2d_1": "2",
        "batch_normalization": "3",
        "flatten": "4",
        "dropout": "5",
        "dense": "6 + loss",
    }


def test_a_softmax_of_its_own_is_the_losss(capsys):
    model = Sequential([layers.Input((4,)), layers.Dense(3), layers.Softmax()])
    assert steps_shown(capsys, model) == {"dense": "1", "softmax": "2"}  # the loss is not known yet
    model.compile("adam", "sparse_categorical_crossentropy")
    assert steps_shown(capsys, model) == {"dense": "1", "softmax": "loss"}


def test_the_plan_of_a_model_that_was_compiled_before_it_was_built(capsys):
    model = Sequential([layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.build((4,))
    assert steps_shown(capsys, model) == {"dense": "1 + loss"}


def test_without_being_asked_the_summary_says_nothing_of_steps(capsys):
    small_model().summary()
    assert "Step" not in capsys.readouterr().out
    with pytest.raises(TypeError, match="plan must be True or False; got 1"):
        small_model().summary(plan=1)


def test_the_reference_backend_fuses_nothing(capsys):
    with tinycnn.use_backend("reference"):
        model = small_model()
    assert list(steps_shown(capsys, model).values()) == ["1", "2", "3", "4", "5", "6", "7 + loss"]


def test_the_command_shows_the_plan(capsys):
    assert main(["summary", "ladder_02", "--plan"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("max_pooling2d ")]
    assert line.split()[-1] == "1"


def test_speeds_are_shares_of_what_the_machine_can_do():
    result = profile.profile(small_model(), batch_size=4, repeats=2)
    assert 0.1 < result.limit < 1e5
    text = repr(result)
    share = result.entries[0].forward.rate / result.limit
    assert f"GFLOP/s {share:4.0%}" in text
    assert f"percent of {result.limit:.3g} GFLOP/s" in text


def test_the_whole_step_is_that_of_fit(monkeypatch):
    taken = []
    plain = recorded.take_step
    monkeypatch.setattr(recorded, "take_step", lambda *given: (taken.append(1), plain(*given)))
    profile.profile(small_model(), batch_size=4, repeats=2)
    assert len(taken) == (5 if recorded.lanes(small_model()) else 0)
    profile.profile(small_model(), batch_size=4, repeats=2, fuse=False)
    assert len(taken) == (5 if recorded.lanes(small_model()) else 0)
