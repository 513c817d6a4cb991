"""An object that holds batches, as Keras's Sequence does, is taken by fit, evaluate, predict and validation_data."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, layers
from tinycnn.training import batches

X, Y = np.random.default_rng(0).random((10, 4, 4, 1), np.float32), np.arange(10) % 3


class Held:
    """Batches of three images, the last of which has one; it notes which were asked for."""

    def __init__(self, weights=None, batch_size=3):
        self.asked, self.ends, self._weights, self._size = [], 0, weights, batch_size

    def __len__(self):
        return -(-len(X) // self._size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise AssertionError(f"there is no batch {index}")
        self.asked.append(index)
        here = slice(self._size * index, self._size * (index + 1))
        return (X[here], Y[here]) if self._weights is None else (X[here], Y[here], self._weights[here])

    def on_epoch_end(self):
        self.ends += 1


def made():
    tinycnn.set_seed(2)
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def assert_same(one, other):
    assert one.history.history == other.history.history
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_in_order_it_is_the_same_as_arrays():
    one, other, held = made(), made(), Held()
    one.fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y))
    other.fit(held, epochs=2, shuffle=False, verbose=0, validation_data=Held())
    assert_same(one, other)
    assert held.asked == [0, 1, 2, 3] * 2
    assert held.ends == 2
    assert other.history.params["steps"] == 4


def test_the_order_is_drawn_anew_for_each_epoch_from_the_seed():
    orders = []
    for _ in range(2):
        model, held = made(), Held()
        model.fit(held, epochs=3, verbose=0)
        orders.append(held.asked)
    assert orders[0] == orders[1]
    epochs = [tuple(orders[0][start : start + 4]) for start in (0, 4, 8)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert len(set(epochs)) > 1


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("stop", [(0, 1), (1, 0), (1, 2)])
def test_an_interrupted_fit_goes_on_with_the_batches_that_are_left(shuffle, steps, stop, tmp_path):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            if (len(self.model.history.epoch), batch) == stop:
                raise KeyboardInterrupt

    arguments = {"epochs": 3, "shuffle": shuffle, "steps_per_epoch": steps, "verbose": 0}
    whole, expected = made(), Held()
    whole.fit(expected, **arguments)
    first, second = Held(), Held()
    with pytest.raises(KeyboardInterrupt):
        made().fit(first, callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=1), Stop()], **arguments)
    model = made()
    model.fit(second, callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=1)], **arguments)
    done = stop[0] * (steps or 4) + stop[1] + 1
    assert second.asked == expected.asked[len(expected.asked) - len(second.asked) :]
    assert len(second.asked) >= len(expected.asked) - done
    assert second.ends == expected.ends
    assert_same(model, whole)


def test_another_order_or_length_is_another_training(tmp_path):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made().fit(Held(), verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path, save_freq=1), Stop()])
    for held, shuffle in ((Held(), False), (Held(batch_size=5), True)):
        with pytest.raises(ValueError, match="belongs to another training"):
            made().fit(held, epochs=2, shuffle=shuffle, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended():
    held = Held()
    made().fit(held, epochs=3, steps_per_epoch=3, shuffle=False, verbose=0)
    assert held.asked == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    with pytest.raises(ValueError, match="steps_per_epoch is 5, but x holds 4 batches"):
        made().fit(Held(), steps_per_epoch=5, verbose=0)


@pytest.mark.parametrize("block", [2, 4, 256])
@pytest.mark.parametrize("weights", [None, np.arange(10.0)])
def test_evaluate_and_predict_give_the_same_bits_as_with_arrays(block, weights, monkeypatch):
    """The size of the blocks in which evaluation works is not that of the batches."""
    monkeypatch.setattr(batches, "BLOCK", block)
    model = made()
    expected = model.evaluate(X, Y, verbose=0, sample_weight=weights)
    assert model.evaluate(Held(weights), verbose=0) == expected
    np.testing.assert_array_equal(model.predict(Held(weights)), model.predict(X))

    class Images(Held):
        def __getitem__(self, index):
            return super().__getitem__(index)[0]

    np.testing.assert_array_equal(model.predict(Images()), model.predict(X))
    history = model.fit(X, Y, verbose=0, validation_data=Held(weights)).history
    assert [history["val_loss"][0], history["val_accuracy"][0]] == model.evaluate(Held(weights), verbose=0)


def test_weights_of_samples_and_classes_count():
    one, other = made(), made()
    one.fit(X, Y, 3, shuffle=False, verbose=0, sample_weight=np.arange(10.0), class_weight={0: 1, 1: 2, 2: 3})
    other.fit(Held(np.arange(10.0)), shuffle=False, verbose=0, class_weight={0: 1, 1: 2, 2: 3})
    assert_same(one, other)


def test_a_length_that_changes_with_the_epochs_is_followed():
    class Grows(Held):
        def __len__(self):
            return min(1 + self.ends, 4)

    held = Grows()
    made().fit(held, epochs=3, shuffle=False, verbose=0)
    assert len(held.asked) == 1 + 2 + 3


def with_item(item):
    class Own(Held):
        def __getitem__(self, index):
            return item() if callable(item) else item

    return Own()


class Empty(Held):
    def __len__(self):
        return 0


def broken():
    raise LookupError("the file is gone")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.fit(with_item(X), shuffle=False, verbose=0), r"batch 0 of epoch 1, x\[0\]: expected \(x, y\)"),
        (
            lambda m: m.fit(with_item((X[0], Y[:1])), shuffle=False, verbose=0),
            r"x\[0\]: x: expected .*add the batch axis",
        ),
        (lambda m: m.fit(with_item((X, Y[:3])), shuffle=False, verbose=0), r"x\[0\]: y: expected 10 integer labels"),
        (lambda m: m.evaluate(with_item(X)), r"x\[0\]: expected \(x, y\)"),
        (lambda m: m.predict(with_item(X[0])), r"x\[0\]: expected shape"),
        (lambda m: m.fit(X, Y, verbose=0, validation_data=with_item(X)), r"validation_data\[0\]: expected \(x, y\)"),
        (lambda m: m.fit(Empty(), verbose=0), "x is empty: its length is 0"),
        (lambda m: m.evaluate(Empty(), verbose=0), "x is empty: its length is 0"),
        (lambda m: m.fit(Held(), Y, verbose=0), "holds batches with their targets; leave out y"),
        (lambda m: m.evaluate(Held(), Y, verbose=0), "holds batches with their targets; leave out y"),
        (lambda m: m.fit(Held(), verbose=0, validation_split=0.5), "validation_split needs arrays"),
        (lambda m: m.fit(Held(), verbose=0, sample_weight=Y), "sample_weight needs arrays"),
        (lambda m: m.evaluate(Held(), verbose=0, sample_weight=Y), "sample_weight needs arrays"),
    ],
)
def test_errors_say_which_batch_and_what_to_do(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(made())


def test_an_error_of_the_object_is_its_own_and_says_which_batch_it_was():
    with pytest.raises(LookupError, match="the file is gone") as caught:
        made().fit(with_item(broken), shuffle=False, verbose=0)
    assert "batch 0 of epoch 1" in caught.value.__notes__[0]


def test_lists_and_generators_are_taken_in_their_own_order_as_before():
    one, other = made(), made()
    given = [(X[:3], Y[:3]), (X[3:], Y[3:])]
    one.fit(given, epochs=2, verbose=0)
    other.fit((batch for _ in range(2) for batch in given), epochs=2, steps_per_epoch=2, verbose=0)
    assert_same(one, other)
