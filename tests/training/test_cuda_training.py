"""Training on a device gives the same figures as on the CPU, a step reads nothing back, and all of ``fit`` works."""

import numpy as np
import pytest
from cuda_backend import cuda, needs_cuda

import tinycnn
from tinycnn import Augmentation, Sequential, callbacks, layers, losses, optimizers
from tinycnn.training import batches
from tinycnn.training import loop as training

pytestmark = [pytest.mark.cuda, needs_cuda]


def small_model(backend, **compiling):
    tinycnn.set_seed(1)
    with tinycnn.use_backend(backend):
        model = Sequential(
            [
                layers.Input((4, 4, 1)),
                layers.ZeroPadding2D(((1, 0), (0, 1))),
                layers.Conv2D(2, 2, activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(2),
                layers.Dropout(0.2),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
        settings = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
        model.compile(**settings | compiling)
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.random((6, 4, 4, 1)).astype("float32"), rng.integers(0, 3, 6)


FIT = {"batch_size": 4, "epochs": 2, "verbose": 0}


def test_like_the_cpu(data):
    """Figures and gradients are compared, and not weights after some steps: Adam turns rounding into full steps."""
    host, device = small_model("cpu"), small_model("cuda")
    for model in (host, device):
        model.fit(*data, **FIT, validation_data=(data[0][:3], data[1][:3]))
    for key, values in host.history.history.items():
        assert device.history.history[key] == pytest.approx(values, rel=1e-4), key
    np.testing.assert_allclose(device.predict(data[0]), host.predict(data[0]), atol=1e-4)
    assert device.evaluate(*data, verbose=0) == pytest.approx(host.evaluate(*data, verbose=0), rel=1e-4)


def test_a_step_reads_nothing_back(data, monkeypatch):
    """Reading waits for the device, so figures are read only at the end of an epoch."""
    from tinycnn.kernels.cuda import _device

    step, read = training.train_step, []

    def counted(*arguments):
        before = _device.transfers["to_host"]
        step(*arguments)
        read.append(_device.transfers["to_host"] - before)

    monkeypatch.setattr(training, "train_step", counted)
    small_model("cuda").fit(*data, **FIT)
    assert read == [0] * 4


def test_an_epoch_reads_as_much_back_whatever_its_steps(data):
    from tinycnn.kernels.cuda import _device

    read = []
    for batch_size in (6, 1):
        model, before = small_model("cuda"), _device.transfers["to_host"]
        model.fit(*data, batch_size=batch_size, verbose=0)
        read.append(_device.transfers["to_host"] - before)
    assert read[0] == read[1]


def test_the_same_bits_again_and_after_an_interruption(data, tmp_path):
    whole = small_model("cuda")
    whole.fit(*data, **FIT)

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            if self.model.optimizer.iterations == 2:
                raise RuntimeError("the power is gone")

    backup = callbacks.BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(RuntimeError, match="power"):
        small_model("cuda").fit(*data, **FIT, callbacks=[backup, Stop()])
    # A callback that saves comes last and did not see the second batch, so this batch is done again.
    resumed = small_model("cuda")
    resumed.fit(*data, **FIT, callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=1)])
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert whole.history.history == resumed.history.history


def test_a_model_loads_on_another_backend(data, tmp_path):
    model = small_model("cuda")
    model.fit(*data, **FIT | {"epochs": 1})
    model.save(tmp_path / "model.safetensors")
    for backend in ("cpu", "cuda"):
        with tinycnn.use_backend(backend):
            loaded = tinycnn.load_model(tmp_path / "model.safetensors")
        assert loaded.backend.name == backend
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(loaded.predict(data[0][:2]), model.predict(data[0][:2]), atol=1e-6)
        loaded.fit(*data, **FIT | {"epochs": 1})


def test_every_way_to_give_data(data, tmp_path):
    x, y = data
    model = small_model("cuda", optimizer=optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0, weight_decay=0.01))
    stop = callbacks.EarlyStopping(monitor="loss", patience=3, restore_best_weights=True)
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "best.safetensors", monitor="loss", save_best_only=True)
    augment = Augmentation(shift=0.2, flip=True, blur=0.3, cutout=0.3)
    history = model.fit(x, y, **FIT, callbacks=[stop, checkpoint], augment=augment, sample_weight=np.ones(6))
    assert np.isfinite(history.history["loss"]).all()
    assert (tmp_path / "best.safetensors").exists()
    model.fit([(x[:4], y[:4]), (x[4:], y[4:])], epochs=1, verbose=0)
    assert np.isfinite(model.train_on_batch(x, y)["loss"])


def test_one_hot_rows_and_large_data(data, monkeypatch):
    """Data that do not fit on the card are copied there batch by batch, and give the same figures."""
    x, y = (data[0] * 255).astype("uint8"), np.eye(3)[data[1]]
    seen = []
    for share in (0.5, 0):
        monkeypatch.setattr(batches, "LARGEST_SHARE", share)
        model = small_model("cuda", loss="categorical_crossentropy")
        with pytest.warns(UserWarning, match="unscaled"):
            seen.append(model.fit(x, y, **FIT).history)
    assert seen[0] == seen[1]


def test_one_output_is_like_that_of_the_cpu(data):
    x, y = data[0], data[1] % 2
    seen = []
    for backend in ("cpu", "cuda"):
        tinycnn.set_seed(1)
        with tinycnn.use_backend(backend):
            model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
        model.compile(optimizers.SGD(0.1), losses.BinaryCrossentropy(label_smoothing=0.1), ["accuracy"])
        history = model.fit(x, y, **FIT, validation_data=iter([(x, y)] * 2), validation_steps=1).history
        seen.append([*history.values(), model.predict(x).ravel().tolist()])
    for ours, theirs in zip(*seen, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_looking_inside(data, capsys):
    model, host = small_model("cuda"), small_model("cpu")
    for ours, theirs in zip(model.trace(*data), host.trace(*data), strict=True):
        for name in ("y", "dx"):
            assert isinstance(getattr(ours, name), np.ndarray)
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-4)
    model.summary()
    assert "cuda backend" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_is_found(data):
    model = small_model("cuda")
    model.layers[1].params["kernel"].value[...] = np.nan
    with pytest.raises(tinycnn.training.non_finite.NumericError, match="epoch 0, batch 0"):
        model.fit(*data, **FIT)


def test_a_layer_for_numpy_works_by_way_of_the_host():
    class Square(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return x**2, x

        def backward(self, dy, cache, *, ws=None):
            return 2 * cache * dy

    with tinycnn.use_backend("cuda"):
        model = Sequential([layers.Input((3,)), Square(), layers.Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    model.fit(np.ones((4, 3)), np.array([0, 1, 0, 1]), verbose=0)


def test_arrays_of_two_backends_are_told_apart(data):
    ours, theirs = small_model("cuda"), small_model("cpu")
    with pytest.raises(TypeError, match="takes arrays on its device, which backend"):
        ours.layers[0].forward(data[0])
    for backend in ("cpu", "reference"):
        with pytest.raises(TypeError, match=f"backend '{backend}' takes NumPy arrays; got DeviceArray"):
            small_model(backend).layers[0].forward(cuda.upload(data[0]))
    kernels = [model.layers[1].params["kernel"] for model in (ours, theirs)]
    kernels[0].value, kernels[1].value = kernels[1].value, kernels[0].value
    with pytest.raises(TypeError, match="w must be an array of the cuda backend"):
        ours.fit(*data, **FIT)
    with pytest.raises(TypeError, match="w must be a NumPy array"):
        theirs.fit(*data, **FIT, fuse=False)
