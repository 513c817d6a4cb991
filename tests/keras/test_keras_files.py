"""What ``TensorBoard`` and ``plot_model`` write."""

import struct

import numpy as np
import pytest
from PIL import Image

from tinycnn import keras
from tinycnn.keras._event_file import EventFile, masked_crc


def records(path):
    """Return the records of an event file; both checksums of each must be right."""
    data, found = path.read_bytes(), []
    while data:
        length = struct.unpack("<Q", data[:8])[0]
        assert struct.unpack("<I", data[8:12])[0] == masked_crc(data[:8])
        record = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc(record)
        found.append(record)
        data = data[16 + length :]
    return found


def fields(message):
    """Yield the number and the value of each field of a message of protocol buffers."""

    def varint(place):
        value = shift = 0
        while True:
            byte = message[place]
            value |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                return value, place

    place = 0
    while place < len(message):
        key, place = varint(place)
        kind = key & 7
        if kind == 0:
            value, place = varint(place)
        elif kind == 2:
            length, place = varint(place)
            value, place = message[place : place + length], place + length
        else:
            size = {1: 8, 5: 4}[kind]
            value, place = message[place : place + size], place + size
        yield key >> 3, value


def scalars(path):
    """Return the numbers in an event file, as (tag, step, value)."""
    found = []
    for record in records(path)[1:]:
        event = dict(fields(record))
        summary = dict(fields(dict(fields(event[5]))[1]))
        found.append((summary[1].decode(), event[2], struct.unpack("<f", summary[2])[0]))
    return found


def test_an_event_file(tmp_path):
    file = EventFile(tmp_path)
    file.scalar("loss", 0.5, 300)
    file.scalar("loss", -1e-3, 0)
    assert scalars(file.path) == [("loss", 300, 0.5), ("loss", 0, pytest.approx(-1e-3))]
    assert dict(fields(records(file.path)[0]))[3] == b"brain.Event:2"
    assert file.path.name.startswith("events.out.tfevents.")


def test_tensorboard_writes_what_the_history_holds(tmp_path):
    x, y = np.random.default_rng(0).random((40, 5)).astype("float32"), np.arange(40) % 2
    model = keras.Sequential([keras.layers.Dense(2, "softmax", input_shape=(5,))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    board = keras.callbacks.TensorBoard(log_dir=tmp_path / "logs" / "run", update_freq=2)
    history = model.fit(x, y, 10, 2, 0, callbacks=[board], validation_data=(x, y)).history
    [train] = (tmp_path / "logs" / "run" / "train").iterdir()
    [validation] = (tmp_path / "logs" / "run" / "validation").iterdir()
    found = {(tag, step): value for tag, step, value in scalars(train) + scalars(validation)}
    for epoch in range(2):
        assert found["epoch_learning_rate", epoch] == pytest.approx(0.01)
    steps = [step for tag, step, _ in scalars(train) if tag == "batch_loss"]
    assert steps == [2, 4, 6, 8]
    held_out = {(tag, step): value for tag, step, value in scalars(validation)}
    assert held_out["epoch_loss", 1] == pytest.approx(history["val_loss"][1], rel=1e-6)
    training = {(tag, step): value for tag, step, value in scalars(train)}
    assert training["epoch_accuracy", 0] == pytest.approx(history["accuracy"][0])


def test_tensorboard_says_what_has_no_effect():
    with pytest.warns(UserWarning, match="histogram_freq has no effect"):
        keras.callbacks.TensorBoard("logs", histogram_freq=1, write_graph=True)
    with pytest.raises(TypeError, match="takes no argument 'log_folder'"):
        keras.callbacks.TensorBoard(log_folder="logs")
    with pytest.raises(ValueError, match="update_freq must be one of"):
        keras.callbacks.TensorBoard(update_freq="step")


@pytest.mark.parametrize(("rankdir", "taller"), [("TB", True), ("LR", False)])
def test_a_picture_of_a_model(tmp_path, rankdir, taller):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.layers[0].trainable = False
    arguments = {"show_shapes": True, "show_layer_names": True, "show_layer_activations": True, "show_trainable": True}
    keras.utils.plot_model(model, to_file=tmp_path / "m.png", rankdir=rankdir, dpi=50, **arguments)
    with Image.open(tmp_path / "m.png") as picture:
        assert (picture.height > picture.width) == taller
        assert np.asarray(picture.convert("L")).std() > 10
    keras.utils.plot_model(model, str(tmp_path / "m.svg"), show_shapes=True)
    assert "<svg" in (tmp_path / "m.svg").read_text("utf-8")
    with pytest.raises(ValueError, match=r"must end in \.png"):
        keras.utils.plot_model(model, tmp_path / "m.docx")
    with pytest.raises(TypeError, match="model must be a Sequential"):
        keras.utils.plot_model(3, tmp_path / "m.png")
