"""Binary crossentropy: by hand, at its limits, joined with a final sigmoid, and networks with one output everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import (
    Sequential,
    callbacks,
    layers,
    load_model,
    losses,
    metrics,
    optimizers,
    plotting,
    profile,
    regularizers,
    testing,
)
from tinycnn.core.backend import BACKENDS, Backend

EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
BINARY = losses.BinaryCrossentropy


def two_halves(n=48):
    """Return images (n, 6, 6, 1), and whether the left half is the brighter one."""
    rng = np.random.default_rng(0)
    x, y = rng.random((n, 6, 6, 1)).astype(np.float32), np.arange(n) % 2
    x[y == 1, :, :3] += 0.5
    return x, y


def network(loss="binary_crossentropy", end="sigmoid", optimizer="adam", dtype="float32", outputs=1, **given):
    """Return a compiled network with some yes-or-no outputs, and the same initial weights each time."""
    tinycnn.set_seed(5)
    model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(4, 3, activation="relu")], dtype=dtype)
    model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(outputs, activation=None if end == "layer" else end))
    if end == "layer":
        model.add(layers.Activation("sigmoid"))
    model.compile(optimizer, loss, ["accuracy"], **given)
    return model


# The loss --------------------------------------------------------------------------------------------------------


@EVERY_BACKEND
def test_by_hand(backend):
    with tinycnn.use_backend(backend):
        assert BINARY()([1, 0], [[0.8], [0.4]]) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, rel=1e-6)
        several = -(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3
        assert BINARY()([[1, 0, 1]], [[0.8, 0.4, 0.5]]) == pytest.approx(several, rel=1e-6)
        soft = -(0.25 * np.log(0.8) + 0.75 * np.log(0.2))
        assert BINARY()([0.25], [[0.8]]) == pytest.approx(soft, rel=1e-6)
        # Half of 0.2 for each answer: 0.9 and 0.1.
        smooth = -(0.9 * np.log(0.8) + 0.1 * np.log(0.2))
        assert BINARY(label_smoothing=0.2)([1], [[0.8]]) == pytest.approx(smooth, rel=1e-6)


@EVERY_BACKEND
def test_logits_are_those_of_the_sigmoid(backend):
    z = np.random.default_rng(0).normal(scale=3, size=(7, 2, 3))
    y = np.random.default_rng(1).integers(0, 2, z.shape)
    with tinycnn.use_backend(backend):
        assert BINARY(from_logits=True)(y, z) == pytest.approx(BINARY()(y, 1 / (1 + np.exp(-z))), rel=1e-12)


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_have_exact_losses_and_gradients(backend, dtype):
    z = np.array([[1e4], [-1e4], [1e4], [-1e4], [0]], dtype)
    loss, backend = BINARY(from_logits=True), Backend(backend)
    targets = loss.check_targets([1, 0, 0, 1, 1], 5, (1,))
    with np.errstate(all="raise", under="ignore"):
        values, cache = loss.forward(z, targets, backend)
        dz = loss.backward(cache, np.ones(5, dtype), backend)
    np.testing.assert_array_equal(values, np.array([0, 0, 1e4, 1e4, np.log(2)], dtype))
    np.testing.assert_array_equal(dz[:, 0], [0, 0, 1, -1, -0.5])


def test_a_small_loss_keeps_its_digits():
    """The logarithm of a probability near 1 would have lost them."""
    assert BINARY(from_logits=True)([1], np.array([[30.0]])) == pytest.approx(np.exp(-30), rel=1e-9)


def test_a_wrong_answer_of_which_a_network_is_sure_costs_a_finite_amount():
    assert BINARY()([1, 0], [[0.0], [1.0]]) == pytest.approx(-np.log(1e-7), rel=0.05)


def test_labels_take_every_form():
    loss = BINARY()
    for y in ([0, 1], [[0], [1]], [False, True], np.array([0, 1], np.uint8), np.array([0, 1], object), [0.0, 1.0]):
        assert loss.check_targets(y, 2, (1,)).tolist() == [[0], [1]]
    assert loss.check_targets(np.ones((2, 3, 3, 1)), 2, (3, 3, 1)).shape == (2, 3, 3, 1)


@pytest.mark.parametrize(
    ("y", "outputs", "message"),
    [
        ([-1, 1], 1, r"^y: labels .* must be 0 and 1, .*got -1 at index \(0, 0\)\. Use \(y \+ 1\) / 2 if"),
        ([1, 2], 1, r"got 2 at index \(1, 0\)\. Subtract 1 if your classes are 1 and 2"),
        ([0, 5], 1, r"got 5 .* sparse_categorical_crossentropy and an output for every class"),
        ([[1, 0], [0, 1]], 1, r"^y: expected labels of shape \(2,\) or \(2, 1\); got shape \(2, 2\)\. .*use y\[:, 1\]"),
        (np.ones((2, 3)), 1, r"Give the last layer 3 outputs"),
        ([0, 1], 3, r"^y: expected a label for each output, shape \(2, 3\); .* sparse_categorical_crossentropy"),
        ([0, 1, 1], 1, r"^y: expected the shape of the predictions, \(2, 1\); got shape \(3,\)"),
        ([0, np.nan], 1, r"^y: targets must be finite; got nan at index \(1, 0\)"),
    ],
)
def test_labels_that_are_refused(y, outputs, message):
    with pytest.raises(ValueError, match=message):
        BINARY()(y, np.full((2, outputs), 0.5))


# The final sigmoid -----------------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("end", ["sigmoid", "layer"])
def test_gradients_of_a_network(backend, end, outputs):
    x, y = two_halves(5)
    labels = y if outputs == 1 else np.random.default_rng(2).integers(0, 2, (5, outputs))
    with tinycnn.use_backend(backend):
        model = network(BINARY(label_smoothing=0.1), end, dtype="float64", outputs=outputs)
    assert model.chain_loss.from_logits
    assert not model.loss.from_logits
    testing.check_gradients(model, x.astype(float), labels)


@EVERY_BACKEND
@settings(max_examples=15)
@given(data=st.data())
def test_gradients_of_drawn_networks(backend, data):
    """Convolutions of any geometry, one number or several for each image or for each pixel, soft labels, penalties."""
    side, filters, kernel = (data.draw(st.integers(low, high)) for low, high in ((4, 7), (1, 3), (1, 3)))
    outputs, by_pixel, joined = data.draw(st.integers(1, 3)), data.draw(st.booleans()), data.draw(st.booleans())
    strides, padding = data.draw(st.integers(1, 2)), data.draw(st.sampled_from(["same", "valid"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    tinycnn.set_seed(data.draw(st.integers(0, 99)))
    penalty = data.draw(st.sampled_from(["l1", "l2", regularizers.L1L2(0.1, 0.2)]))
    end = layers.Conv2D(outputs, 1) if by_pixel else layers.Dense(outputs)
    with tinycnn.use_backend(backend):
        model = Sequential([layers.Input((side, side, 2))], dtype="float64")
        model.add(
            layers.Conv2D(
                filters, kernel, strides=strides, padding=padding, activation="tanh", kernel_regularizer=penalty
            )
        )
        for layer in (
            *([] if by_pixel else [layers.Flatten()]),
            end,
            *([layers.Activation("sigmoid")] if joined else []),
        ):
            model.add(layer)
    model.compile("sgd", BINARY(from_logits=not joined, label_smoothing=data.draw(st.sampled_from([0.0, 0.3]))))
    shape = (3, *model.output_shape)
    y = rng.uniform(size=shape) if data.draw(st.booleans()) else rng.integers(0, 2, shape)
    testing.check_gradients(model, rng.normal(size=(3, side, side, 2)), y, seed=data.draw(st.integers(0, 99)))


@EVERY_BACKEND
@pytest.mark.parametrize("end", ["sigmoid", "layer"])
def test_a_final_sigmoid_is_joined_with_the_loss(backend, end):
    """Loss and gradients are those on logits, to the bit; predict still returns probabilities."""
    x, y = two_halves()
    with tinycnn.use_backend(backend):
        joined, on_logits = network(end=end), network(BINARY(from_logits=True), end=None)
    logs = [model.train_on_batch(x, y) for model in (joined, on_logits)]
    assert logs[0] == logs[1]
    for ours, theirs in zip(joined.get_weights(), on_logits.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(joined.predict(x), 1 / (1 + np.exp(-on_logits.predict(x))), rtol=1e-5)


def test_a_network_that_is_sure_and_wrong_still_learns():
    """Alone, the sigmoid's slope would be 0 there."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    model.compile(optimizers.SGD(1.0), "binary_crossentropy")
    assert model.train_on_batch([[200.5]], [0])["loss"] == 200.5
    assert model.get_weights()[0].item() == 1 - 200.5


class Doubled(layers.Dense):
    """A user's layer whose backward is not the built-in one."""

    def backward(self, dy, cache, *, ws=None):
        return super().backward(2 * dy, cache, ws=ws)


def test_a_subclass_is_not_taken_apart():
    x, y = two_halves()
    steps = []
    for kind in (layers.Dense, Doubled):
        tinycnn.set_seed(1)
        model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), kind(1, "sigmoid")])
        model.compile(optimizers.SGD(0.1), "binary_crossentropy")
        before = model.get_weights()[0]
        model.train_on_batch(x, y)
        steps.append(model.get_weights()[0] - before)
        assert model.chain_loss.from_logits == (kind is layers.Dense)
    np.testing.assert_allclose(steps[1], 2 * steps[0], rtol=1e-4, atol=1e-7)


def test_one_output_for_each_pixel():
    """A network may end in a convolution; a Flatten behind the sigmoid does not matter, because it works by number."""
    rng = np.random.default_rng(0)
    x = rng.random((6, 5, 5, 1))
    y = (x > 0.5).astype(int)
    for behind in ([], [layers.Flatten()]):
        model = Sequential([layers.Input((5, 5, 1)), layers.Conv2D(1, 1, activation="sigmoid"), *behind])
        model.compile(optimizers.Adam(0.1), "binary_crossentropy", ["accuracy"])
        history = model.fit(x, y.reshape(6, *model.output_shape), epochs=60, verbose=0).history
        assert model.chain_loss.from_logits
        assert history["accuracy"][-1] > 0.9


@pytest.mark.parametrize(
    ("end", "loss", "message"),
    [
        (None, BINARY(), r"binary_crossentropy expects .*without a sigmoid.*'sigmoid', or use .*BinaryCrossentropy\(f"),
        ("relu", BINARY(), "without a sigmoid"),
        ("sigmoid", BINARY(from_logits=True), r"is a sigmoid, but .* apply another one; leave out from_logits=True"),
        ("softmax", BINARY(from_logits=True), r"is a softmax, but .* apply a sigmoid; leave out from_logits=True"),
        ("softmax", BINARY(), r"is a softmax over one output, which is always 1; use activation='sigmoid'"),
        ("sigmoid", losses.SparseCategoricalCrossentropy(), r"without a softmax.*; for a sigmoid, use losses\.Binary"),
    ],
)
def test_endings_that_make_no_sense(end, loss, message):
    with pytest.raises(ValueError, match=message):
        network(loss, end)


def test_a_softmax_of_several_outputs_is_left_as_it_is():
    """Keras's programs use it with one-hot rows; its results lie between 0 and 1, which is enough for the loss."""
    x, y = two_halves()
    model = network(end="softmax", outputs=2, dtype="float64")
    assert not model.chain_loss.from_logits
    testing.check_gradients(model, x[:4].astype(float), np.eye(2)[y[:4]])
    loss, accuracy = model.evaluate(x, np.eye(2)[y], verbose=0)
    p = model.predict(x)[:, 1]
    assert loss == pytest.approx(-np.log(np.where(y, p, 1 - p)).mean(), rel=1e-9)
    assert accuracy == pytest.approx(((p > 0.5) == y).mean())


# What accuracy means ---------------------------------------------------------------------------------------------


def test_binary_accuracy_by_hand():
    accuracy = metrics.BinaryAccuracy()
    accuracy.update(np.array([1, 0, 1]), np.array([[0.9], [0.5], [0.4]]))  # 1/2 itself does not exceed 1/2
    assert accuracy.result() == pytest.approx(2 / 3)
    accuracy = metrics.BinaryAccuracy(threshold=0.8)
    accuracy.update(np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.7], [0.7, 0.9]]))
    assert accuracy.result() == pytest.approx(3 / 4)
    with pytest.raises(ValueError, match=r"takes targets of the predictions' shape \(2, 2\); got shape \(2,\)"):
        accuracy.update(np.array([0, 1]), np.ones((2, 2)))


@pytest.mark.parametrize("word", ["accuracy", "acc"])
def test_the_word_accuracy_means_that_of_the_loss(word, tmp_path):
    x, _ = two_halves(8)
    y = np.random.default_rng(3).integers(0, 2, (8, 3))
    model = network(outputs=3)
    model.compile("adam", "binary_crossentropy", [word])
    model.save(tmp_path / "model")
    for one in (model, load_model(tmp_path / "model")):
        assert type(one.metrics[word]) is metrics.BinaryAccuracy
        assert one.evaluate(x, y, verbose=0)[1] == pytest.approx(((one.predict(x) > 0.5) == y).mean())


def test_an_accuracy_that_is_given_as_an_object_stays_that(tmp_path):
    model = network(outputs=3)
    model.compile("adam", "binary_crossentropy", [metrics.ClassAccuracy()])
    model.save(tmp_path / "model")
    assert type(load_model(tmp_path / "model").metrics["accuracy"]) is metrics.ClassAccuracy


def test_one_output_and_another_loss():
    """The mean squared error does not say that targets are classes; 0 and 1 do."""
    x, y = two_halves()
    model = network("mse")
    assert model.evaluate(x, y[:, None], verbose=0)[1] == ((model.predict(x)[:, 0] > 0.5) == y).mean()
    with pytest.raises(ValueError, match=r"'accuracy' of a network with one output takes 0 and 1 .*; got 0.25"):
        model.evaluate(x, np.full((48, 1), 0.25), verbose=0)


# Networks with one output ------------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("fuse", [True, False])
def test_training_and_what_is_reported(backend, fuse):
    x, y = two_halves()
    with tinycnn.use_backend(backend):
        model = network(optimizer=optimizers.Adam(0.02))
    history = model.fit(x, y, 16, 25, validation_data=(x, y[:, None]), verbose=0, fuse=fuse).history
    assert history["accuracy"][-1] > 0.95
    assert history["loss"][-1] < history["loss"][0] / 2
    found = model.evaluate(x, y, verbose=0)
    close = {"rel": 0} if fuse else {"rel": 1e-5}
    assert [history["val_loss"][-1], history["val_accuracy"][-1]] == pytest.approx(found, **close)
    assert model.loss(y, model.predict(x)) == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_programs_have_the_bits_of_single_layers(smoothing):
    """From the third batch on a recorded program runs; each batch alone is a new program."""
    x, y = two_halves()
    results = []
    for alone in (False, True):
        model = network(BINARY(label_smoothing=smoothing))
        for _ in range(4):
            for start in range(0, 48, 16):
                batch = x[start : start + 16], y[start : start + 16]
                if alone:
                    model._idle.clear()  # forgets what was recorded
                model.train_on_batch(*batch)
        results.append(model.get_weights())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_classes_and_samples():
    x, y = two_halves()
    table = {0: 1.0, 1: 3.0}
    by_class, by_sample = network(), network()
    by_class.fit(x, y, epochs=2, verbose=0, class_weight=table)
    by_sample.fit(x, y[:, None], epochs=2, verbose=0, sample_weight=np.where(y, 3.0, 1.0)[:, None])
    for ours, theirs in zip(by_class.get_weights(), by_sample.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    several = network(outputs=2)
    one_hot = np.eye(2, dtype=int)[y]
    several.fit(x, one_hot, verbose=0, class_weight=table)
    with pytest.raises(ValueError, match=r"class_weight needs targets of one class .* several classes or none"):
        several.fit(x, np.ones((48, 2)), verbose=0, class_weight=table)


def test_a_class_that_training_lacks_is_named():
    x, y = two_halves()
    with pytest.warns(UserWarning, match="validation holds 24 images of class 1, but training holds none"):
        network().fit(x[y == 0], y[y == 0], validation_data=(x, y), verbose=0)


def test_a_fit_goes_on_to_the_bit(tmp_path):
    x, y = two_halves()

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            if self.model.optimizer.iterations == 5:
                raise KeyboardInterrupt

    whole = network()
    whole.fit(x, y, 16, 4, verbose=0)
    backup = callbacks.BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        network().fit(x, y, 16, 4, verbose=0, callbacks=[backup, Stop()])
    resumed = network()
    history = resumed.fit(x, y, 16, 4, verbose=0, callbacks=[backup])
    assert history.history == whole.history.history
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_keeps_it(tmp_path):
    x, y = two_halves()
    model = network(BINARY(label_smoothing=0.2))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert again.loss.label_smoothing == 0.2


def test_looking_inside(capsys):
    x, y = two_halves(3)
    model = network()
    trace = model.trace(x, y)
    np.testing.assert_allclose(trace[-1].dy[:, 0], (model.predict(x)[:, 0] - y) / 3, rtol=1e-5, atol=1e-7)
    model.summary(plan=True)
    assert "+ loss" in capsys.readouterr().out


def test_a_profile():
    found = profile.profile(network(), 4, fuse=False)
    assert found.loss > 0
    assert [entry.name for entry in found.entries][-1] == "dense"


def test_pictures():
    x, y = two_halves(12)
    model = network()
    p = model.predict(x)
    plotting.predictions(x, y, p, "first_100")
    assert metrics.confusion_matrix(y, p).sum() == 12
    assert metrics.confusion_matrix(y, np.full((12, 1), 0.2)).tolist() == [[6, 0], [6, 0]]
    assert metrics.per_class_accuracy(y, np.full((12, 1), 0.7)).tolist() == [0.0, 1.0]
    plotting.confusion_matrix(y, p)
    plotting.saliency(model, x[0], 0)
