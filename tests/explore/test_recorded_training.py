"""A recorded training: its weights are those of a fit, to the bit, and there is room for them in the file."""

import numpy as np
import pytest
from recordings import Swapped, held_in, network, opened, recording_of, session_of

from tinycnn import datasets, layers, models, set_seed
from tinycnn.callbacks import Callback
from tinycnn.explore.fork import prepared
from tinycnn.explore.labels import targets_for
from tinycnn.explore.recorded_training import record
from tinycnn.explore.session import Data, Session


class Weights(Callback):
    """Keeps the weights after every step of a fit."""

    def on_train_begin(self, logs=None):
        self.rows = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs):
        self.rows.append(self.model.get_weights())


def rows_in(training):
    """Return the weights of each checkpoint, in a row."""
    planes = np.bitwise_xor.accumulate(training.arrays["planes"].transpose(1, 2, 0), axis=0)
    return np.ascontiguousarray(planes).view(np.float32)[..., 0]


def test_checkpoints_are_those_of_a_fit(tmp_path):
    session = session_of(network(1, layers.BatchNormalization(), layers.Dropout(0.3)))
    model, weights = prepared(session.model, True), Weights()
    targets = targets_for(model, [int(label) for label in session.data.y_train])
    model.fit(session.data.x_train, targets, batch_size=8, epochs=4, verbose=0, callbacks=[weights])
    training = record(session, epochs=4, batch_size=8, checkpoints=5)
    assert training.description["steps"] == [0, 3, 6, 9, 12]
    for row, step in zip(rows_in(training), training.description["steps"], strict=True):
        assert row.tobytes() == b"".join(array.tobytes() for array in weights.rows[step])
    for found, expected in zip(session.model.get_weights(), weights.rows[-1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [row[0] for row in training.description["state"]["lanes"]["main"]["batches"]["rows"]] == list(range(1, 13))

    path = recording_of(session, tmp_path, training=training)
    cases = [step for k in ("0", "3", "6", "9", "") for step in (("use", k), ("trace", "test-1", None, "prediction"))]
    found = opened(path, *cases[:4], ("layer", 2, 0), *cases[4:])
    assert found["check"]["result"] < 1e-5
    held = found["results"].pop(4)["result"]
    np.testing.assert_array_equal(held["kernel"], weights.rows[3][0])
    assert "d_kernel" in held
    *passes, end = [item["result"] for item in found["results"]][1::2]
    for pass_, step in zip(passes, training.description["steps"][:-1], strict=True):
        with session.changing_weights() as shown:
            shown.set_weights(weights.rows[step])
        expected = session.trace("test-1")[1]
        assert pass_["description"]["remark"].startswith("Recomputed")
        for key in ("3.y", "0.dy"):
            np.testing.assert_allclose(
                pass_["arrays"][key], expected[key], rtol=0, atol=1e-5 * np.abs(expected[key]).max()
            )
    assert end["description"]["remark"].startswith("Recorded from the engine")
    versions = [pass_["description"]["version"] for pass_ in (*passes, end)]
    assert len(set(versions)) == len(versions)


def test_a_checkpoint_that_was_changed_is_refused(tmp_path):
    session = session_of(network())
    training = record(session, epochs=1, batch_size=8, checkpoints=3)
    training.arrays["planes"][2, 1, 40] ^= 128
    found = opened(
        recording_of(session, tmp_path, training=training), ("use", "0"), ("use", str(training.description["steps"][1]))
    )
    assert "result" in found["check"]
    fine, changed = found["results"]
    assert "result" in fine
    assert "This checkpoint is refused: its answer for test-0 is not the engine's" in changed["error"]


def test_there_are_as_many_checkpoints_as_there_is_room_for():
    session = session_of(network())
    all_ = record(session, epochs=6, batch_size=4, checkpoints=31)
    assert len(all_.description["steps"]) == 31
    some = record(session, epochs=6, batch_size=4, checkpoints=31, most_bytes=30_000)
    steps = some.description["steps"]
    assert 3 <= len(steps) < 31
    assert (steps[0], steps[-1]) == (0, 30)
    assert set(steps) <= set(all_.description["steps"])
    assert some.arrays["planes"].shape[1] == len(some.arrays["answers"]) == len(steps)
    least = record(session, epochs=1, batch_size=4, checkpoints=9, most_bytes=1)
    assert least.description["steps"] == [0, 5]


def test_of_a_layer_of_ones_own_only_the_end_is_kept(tmp_path):
    session = session_of(network(1, Swapped()))
    training = record(session, epochs=1, batch_size=8, checkpoints=3)
    assert training.description["steps"] == [3]
    assert "result" in opened(recording_of(session, tmp_path, training=training))["check"]


def test_a_training_that_fails_says_where():
    model = network(optimizer="sgd", loss="mean_squared_error")
    model.optimizer.learning_rate = 1e30
    with pytest.raises(ValueError, match=r"the training failed at step \d+: "):
        record(session_of(model), epochs=3, batch_size=4)


def test_a_training_needs_data():
    with pytest.raises(ValueError, match="no images to train on"):
        record(Session(network()))


@pytest.mark.slow
def test_ladder_10_fits_into_a_megabyte_and_with_its_training_into_five(tmp_path):
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    images = [(array[..., np.newaxis] / np.float32(255)).astype(np.float32) for array in (x, x_test)]
    set_seed(1)
    model = models.build("ladder_10")
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    session = Session(model, Data("digits", datasets.digits.class_names, images[0], y, images[1], y_test))
    training = record(session, epochs=2, batch_size=128)
    assert recording_of(session, tmp_path, training=training).stat().st_size <= 5_000_000
    assert len(training.description["steps"]) >= 25
    path = recording_of(session, tmp_path)
    assert path.stat().st_size <= 1_000_000
    assert len(held_in(path)[0]["labels"]) >= 200
    assert opened(path)["check"]["result"] <= 0.2 * 1e-5
