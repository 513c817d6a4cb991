"""What is inside a network, as bytes that any reader of safetensors can read."""

import numpy as np
import pytest

from tinycnn import Sequential, layers, models
from tinycnn.activations import ReLU
from tinycnn.explore import protocol


class Mirror(layers.Layer):
    """A layer of a user's own, whose settings JSON cannot hold."""

    def __init__(self, thing=None, **base):
        super().__init__(**base)
        self.thing = thing

    def forward(self, x, *, training=False, step=0, ws=None):
        return x[:, :, ::-1].copy(), None

    def backward(self, dy, cache, *, ws=None):
        return dy[:, :, ::-1].copy()


class Mine(ReLU):
    """An activation of a user's own."""


def network() -> Sequential:
    model = Sequential(
        [
            layers.Input((9, 9, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same", groups=2, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            Mirror(object()),
            layers.Dropout(0.5),
            layers.Activation(Mine()),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_the_description_says_what_each_layer_is() -> None:
    found = protocol.describe(network())
    conv, norm, pool, mirror, dropout, own, flat, dense = found["layers"]
    assert conv["kind"] == "Conv2D"
    assert conv["groups"] == 2
    assert conv["window"] == {"size": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "dilation": [1, 1]}
    assert conv["parameters"]["kernel"] == {"shape": [3, 3, 1, 4], "trainable": True}
    assert conv["activation"] == {"name": "relu"}
    assert norm["buffers"] == {"moving_mean": {"shape": [4]}, "moving_variance": {"shape": [4]}}
    assert norm["activation"] is None
    assert pool["field"] == [5, 5]
    assert (mirror["kind"], mirror["class"], mirror["settings"]) == ("own", "Mirror", None)
    assert own["activation"] == {"name": "own", "class": "Mine"}
    assert dropout["settings"]["rate"] == 0.5
    assert flat["output_shape"] == dense["input_shape"] == [16]
    assert found["loss"] == {"name": "sparse_categorical_crossentropy", "from_logits": False}


def test_a_pass_has_the_bits_of_the_trace() -> None:
    model = network()
    x = np.random.default_rng(0).random((3, 9, 9, 2), np.float32)
    trace = model.trace(x, [0, 1, 2])
    arrays = protocol.of_trace(trace, image=1)
    np.testing.assert_array_equal(arrays["x"], x[1])
    for number, entry in enumerate(trace):
        np.testing.assert_array_equal(arrays[f"{number}.y"], entry.y[1])
        np.testing.assert_array_equal(arrays[f"{number}.dy"], entry.dy[1])
    np.testing.assert_array_equal(arrays["0.z"], trace[0].z[1])
    np.testing.assert_array_equal(arrays["1.mean"], trace[1].cache.mean)
    np.testing.assert_array_equal(arrays["2.argmax"], trace[2].cache.argmax[1])
    np.testing.assert_array_equal(arrays["4.mask"], trace[4].mask[1])
    # The gradient by a layer's input is that by the result before it, and is not sent twice.
    assert [name for name in arrays if name.endswith(".dx")] == ["0.dx"]


def test_what_was_packed_is_read_with_the_same_bits() -> None:
    model = network()
    trace = model.trace(np.ones((1, 9, 9, 2)), [1])
    arrays = protocol.of_trace(trace) | protocol.of_layer(trace[0])
    description, same = protocol.unpack(protocol.pack(protocol.describe(model), arrays))
    assert description == protocol.describe(model)
    assert set(same) == set(arrays) > {"kernel", "bias", "d_kernel", "d_bias"}
    for name, array in arrays.items():
        assert same[name].dtype == array.dtype
        np.testing.assert_array_equal(same[name], array)


def test_without_labels_there_are_no_gradients() -> None:
    arrays = protocol.of_trace(network().trace(np.ones((1, 9, 9, 2))))
    assert not [name for name in arrays if "d" in name.partition(".")[2][:1]]


@pytest.mark.parametrize("name", [*models.names(), *models.variations()])
def test_every_documented_network_is_described(name: str) -> None:
    model = models.build(name)
    found = protocol.describe(model)
    assert [layer["kind"] for layer in found["layers"]] == [type(layer).__name__ for layer in model.layers]
    assert protocol.unpack(protocol.pack(found, {}))[0] == found


@pytest.mark.parametrize("data", [b"", b"\0" * 16, b"\x02\0\0\0\0\0\0\0{}"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="data must be the bytes that pack has returned"):
        protocol.unpack(data)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        protocol.pack({"loss": float("nan")}, {})
