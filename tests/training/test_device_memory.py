"""How much of a device's memory a run takes is computed beforehand, and what does not fit raises a clear error."""

import numpy as np
import pytest
from cuda_backend import cuda, needs_cuda

import tinycnn
from tinycnn import Augmentation, Sequential, callbacks, layers, models
from tinycnn.core.workspace import Workspace
from tinycnn.layers.base import Layer
from tinycnn.training import batches, device_memory
from tinycnn.training.running_means import RunningMeans
from tinycnn.training.step import train_step

LABELS = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
EVERY_LAYER = [
    [layers.Conv2D(3, 3, padding="same", activation="gelu"), layers.MaxPooling2D(2), layers.Flatten()],
    [layers.Conv2D(3, 3, strides=2), layers.ELU(), layers.GaussianNoise(0.1), layers.GlobalMaxPooling2D()],
    [layers.ZeroPadding2D(2), layers.BatchNormalization(), layers.Activation("gelu"), layers.AveragePooling2D(2)],
    [layers.Rescaling(0.5), layers.DepthwiseConv2D(2), layers.ReLU(), layers.Dropout(0.3)],
    [layers.LeakyReLU(), layers.Reshape((3, 12)), layers.Dense(4, activation="gelu"), layers.Softmax()],
    [layers.MaxPooling2D(3, 1, padding="same"), layers.GlobalAveragePooling2D(), layers.Dense(5, activation="tanh")],
]


def built(parts, backend="cpu"):
    tinycnn.set_seed(1)
    with tinycnn.use_backend(backend):
        end = [layers.Flatten(name="end"), layers.Dense(3, activation="softmax", name="classes")]
        model = Sequential([layers.Input((6, 6, 1)), *map(layers.deserialize, map(layers.serialize, parts)), *end])
    model.compile(**LABELS)
    return model


@pytest.mark.parametrize("parts", EVERY_LAYER)
def test_what_layers_keep_is_what_the_workspace_holds(parts):
    model, ws, images = built(parts), Workspace(), 8
    batch = batches.Batch(np.ones((images, 6, 6, 1), np.float32), np.zeros(images, np.int64), None)
    train_step(model, model.chain, batch, RunningMeans(model), ws)
    need = device_memory.training_need(model, model.chain, None, 0)
    held = dict.fromkeys(need.layers, 0)
    for (key, _), buffer in ws._buffers.items():
        # The mean and the variance of a batch normalisation do not grow with the batch.
        if isinstance(key[0], Layer) and key[1] not in ("mean", "var"):
            held[key[0].name] += buffer.nbytes
    assert held == {name: images * size for name, size in need.layers.items()}
    flows = [buffer.nbytes for (key, _), buffer in ws._buffers.items() if key[0] == "flow"]
    assert max(flows) <= images * need.passing


def test_every_layer_is_among_them():
    assert {type(layer) for parts in EVERY_LAYER for layer in parts} == set(layers.LAYERS.values()) - {layers.Input}


def test_the_largest_batch_that_fits():
    need = device_memory.Need({"a": 10, "b": 20}, 5, 7, 256, 3, 1000)
    for images in (1, 10, 100):
        assert need.most(need.bytes(images), 10**6) >= images
    assert need.bytes(20) == 1000 + 20 * 35 + 256 * 3  # the evaluation passes more on than the training
    assert need.bytes(1000) == 1000 + 1000 * (35 + 14)
    assert need.most(need.bytes(1000), 10**6) == 1000
    assert need.most(need.bytes(1000) - 1, 10**6) == 999
    assert need.most(need.bytes(1000), 30) == 30
    assert need.most(900, 10**6) == 0


def test_moments_augmentation_and_validation_are_counted():
    model = models.build("ladder_03")
    model.compile(**LABELS)
    weights = sum(parameter.value.nbytes for parameter in model.parameters().values())
    plain = device_memory.training_need(model, model.plan, None, 0)
    changed = device_memory.training_need(model, model.plan, Augmentation(shift=0.1, blur=0.1, cutout=0.1), 0)
    assert changed.image - plain.image == 4 * 28 * 28 * 4
    assert device_memory.training_need(model, model.plan, None, 256).bytes(1) > plain.bytes(1)
    model.compile("sgd", LABELS["loss"])
    assert plain.fixed - device_memory.training_need(model, model.plan, None, 0).fixed == 2 * weights


# On a card, or a pretended one in the simulator -----------------------------------------------------------------

DATA = np.zeros((40, 6, 6, 1), np.float32), np.zeros(40, np.int64)
PARTS = EVERY_LAYER[0]


@pytest.fixture
def small_card(monkeypatch):
    """Return a function that pretends that the card has room for batches of a given number of images, and no more."""

    def pretend(model, images):
        size = device_memory.training_need(model, model.plan, None, 0).bytes(images) / device_memory.USABLE
        monkeypatch.setattr(cuda, "free_bytes", lambda: size + 1)

    return pretend


@pytest.mark.cuda
@needs_cuda
def test_a_batch_that_does_not_fit_is_refused_before_the_run(small_card):
    model, begun = built(PARTS, "cuda"), []
    small_card(model, 6)
    begin = callbacks.LambdaCallback(on_train_begin=lambda: begun.append(True))
    message = r"batches of 32 images needs about .*iB.* free\. Layer 'conv2d' keeps the most: .*batch of 6 would fit"
    with pytest.raises(device_memory.DeviceMemoryError, match=message):
        model.fit(*DATA, batch_size=32, verbose=0, callbacks=[begin])
    with pytest.raises(device_memory.DeviceMemoryError, match="training on 40 images"):
        model.train_on_batch(*DATA)
    assert not begun
    assert model.optimizer.iterations == 0
    model.fit(*DATA, batch_size=6, epochs=1, steps_per_epoch=1, verbose=0)


@pytest.mark.cuda
@needs_cuda
def test_where_not_even_one_image_fits(monkeypatch):
    model = built(PARTS, "cuda")
    monkeypatch.setattr(cuda, "free_bytes", lambda: 10**6)
    for run in (
        lambda: model.fit(*DATA, batch_size=32, verbose=0),
        lambda: model.fit([DATA], verbose=0),
        lambda: model.evaluate(*DATA, verbose=0),
        lambda: model.predict(DATA[0]),
    ):
        with pytest.raises(device_memory.DeviceMemoryError, match=r"976\.6 KiB are free.* Not even one image fits"):
            run()


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize(("room", "copied"), [(1.9, False), (2.1, True)])
def test_data_leave_room_for_the_run(room, copied, monkeypatch):
    """The data are copied to the card if they take at most half of the memory that the run leaves free."""
    sources = []

    class Watched(batches.SampleSource):
        def __init__(self, *values):
            super().__init__(*values)
            sources.append(self)

    monkeypatch.setattr(batches, "SampleSource", Watched)
    monkeypatch.setattr(device_memory, "USABLE", 1)
    model = built(PARTS, "cuda")
    size = device_memory.training_need(model, model.plan, None, 0).bytes(4)
    monkeypatch.setattr(cuda, "free_bytes", lambda: size + room * sum(array.nbytes for array in DATA))
    model.fit(*DATA, batch_size=4, steps_per_epoch=1, verbose=0)
    assert [source._on_device is not None for source in sources] == [copied]


@pytest.mark.cuda
@needs_cuda
def test_running_out_all_the_same_names_layer_and_batch(monkeypatch):
    """This happens if another program takes memory after the check."""
    from tinycnn.kernels.cuda import _device

    model, take = built(PARTS, "cuda"), _device.cuda.device_array

    def taken(count, dtype):
        if count == 32 * 6 * 6 * 3:  # the convolution's result
            raise RuntimeError("[CUresult.CUDA_ERROR_OUT_OF_MEMORY] Call to cuMemAlloc results in …")
        return take(count, dtype)

    monkeypatch.setattr(_device.cuda, "device_array", taken)
    message = r"batch of 32 images: Conv2D 'conv2d': the card has no 13,824 bytes left .* batch of 16 would fit"
    with pytest.raises(device_memory.DeviceMemoryError, match=message):
        model.fit(*DATA, batch_size=32, verbose=0)
    monkeypatch.setattr(_device.cuda, "device_array", lambda *values: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # any other error is raised unchanged
        cuda.empty((123, 457))
