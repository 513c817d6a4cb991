"""Training that diverges ends with a clear error, and numbers at the limits of float32 give a clear result."""

import math

import numpy as np
import pytest

import tinycnn
from tinycnn import NumericError, Sequential, callbacks, layers, optimizers
from tinycnn.callbacks import Callback, LambdaCallback, TerminateOnNaN


@pytest.fixture(params=tinycnn.core.backend.BACKENDS, autouse=True)
def backend(request):
    with tinycnn.use_backend(request.param):
        yield request.param


def network(optimizer="adam", regularizer=None, normalize=False, classes=3):
    tinycnn.set_seed(1)
    model = Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", name="first"),
            *([layers.BatchNormalization(name="norm")] if normalize else []),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5, activation="relu", name="second", kernel_regularizer=regularizer),
            layers.Dense(classes, activation="softmax", name="last"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(n=24, classes=3):
    rng = np.random.default_rng(0)
    return rng.random((n, 6, 6, 1), dtype=np.float32), rng.integers(0, classes, n)


def fit(model, more=(), x=None, y=None, **arguments):
    images, labels = data()
    x, y = images if x is None else x, labels if y is None else y
    settings = {"batch_size": 8, "epochs": 3, "verbose": 0} | arguments
    return model.fit(x, y, callbacks=list(more), **settings)


class At(Callback):
    """A callback that does something after a given batch of a given epoch."""

    def __init__(self, epoch, batch, action):
        self.when, self.action = (epoch, batch), action

    def on_epoch_begin(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs):
        if (self.epoch, batch) == self.when:
            self.action(self.model)


def put(layer, name, number):
    """Return an action that writes a number into a weight."""

    def action(model):
        weights = model.get_layer(layer).weights()
        weights[name].flat[0] = number

    return action


# Where it began -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("layer", ["first", "second", "last"])
def test_a_weight_that_is_not_finite_names_its_layer(layer, number):
    with pytest.raises(NumericError) as caught:
        fit(network(), [At(1, 1, put(layer, "kernel", number))])
    error = caught.value
    # The loss of the next batch shows it; by then the layers before the bad one may or may not have NaN in their
    # gradients.
    assert (error.epoch, error.batch, error.layer) == (1, 2, layer)
    assert f"its kernel became {number}" in error.what
    assert "epoch 1, batch 2 (both counted from 0)" in str(error)
    assert "learning rate below 0.001" in str(error)


def test_after_an_epochs_last_step_no_loss_would_tell():
    with pytest.raises(NumericError, match=r"epoch 2, batch 2.*a weight is not finite; first in Dense 'second'"):
        fit(network(), [At(2, 2, put("second", "bias", math.inf))])


def test_moving_statistics_are_weights():
    with pytest.raises(NumericError, match="'norm': its moving_variance became inf"):
        fit(network(normalize=True), [At(0, 2, put("norm", "moving_variance", math.inf))])


@pytest.mark.parametrize("layer", ["first", "second", "last"])
def test_a_result_that_is_too_large_names_its_layer(layer):
    """All weights are finite, but a product of them is not."""

    def swell(model):
        for name in ("first", "second", "last"):
            kernel = model.get_layer(name).params["kernel"].value
            kernel[...] = np.abs(kernel) * (np.float32(1e19) if name == layer else 1)
        for name in ("first", "second"):
            model.get_layer(name).params["bias"].value[...] = 1

    model = network(optimizers.SGD(0.0))
    with pytest.raises(NumericError) as caught:
        fit(model, [At(0, 0, swell)], x=np.full((24, 6, 6, 1), 1e25, np.float32))
    assert (caught.value.epoch, caught.value.batch, caught.value.layer) == (0, 1, layer)
    assert "its result holds" in caught.value.what
    # The model is as it was before the batch, because no step was taken.
    assert model.optimizer.iterations == 1
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_an_input_that_is_not_finite_names_the_first_layer():
    x, y = data()
    x[20, 2, 2, 0] = np.nan
    with pytest.raises(NumericError) as caught:
        fit(network(), x=x, y=y, check_finite=False, shuffle=False)
    assert (caught.value.epoch, caught.value.batch, caught.value.layer) == (0, 2, "first")


def test_a_penalty_that_is_too_large_is_named():
    model = network(optimizers.SGD(0.0), regularizer="l2")
    model.get_layer("second").params["kernel"].value[...] = 1e20
    with pytest.raises(NumericError, match="first in Dense 'second': the penalty on its kernel is inf"):
        fit(model)


def test_a_loss_that_is_too_large_looks_on_the_way_back():
    """Squares of results of 1e20 exceed float32, and so does their gradient times an input of 1e20."""
    model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(1, name="only")])
    model.compile(optimizers.SGD(0.0), "mean_squared_error")
    x, y = data()
    with pytest.raises(NumericError, match="first in Dense 'only': the gradient of its kernel holds"):
        fit(model, x=x * np.float32(1e22), y=y[:, None].astype(float))
    model.layers[-1].params["bias"].value[...] = 1e20
    with pytest.raises(NumericError, match="all layers and their gradients are finite"):
        fit(model, x=x, y=y[:, None].astype(float))


def test_a_users_layer_is_named_too():
    class Explode(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return x / np.float32(step < 2), None

        def backward(self, dy, cache, *, ws=None):
            return dy

    model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), Explode(name="mine"), layers.Dense(3)])
    model.compile("sgd", tinycnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    with np.errstate(divide="ignore"), pytest.raises(NumericError, match=r"batch 2.*Explode 'mine': its result holds"):
        fit(model)


def test_the_search_leaves_the_moving_statistics_alone(backend):
    """The search runs the batch again, and batch normalization would otherwise count it twice."""
    model = network(optimizers.SGD(0.0), normalize=True)
    x, y = data()
    batch = tinycnn.training.batches.Batch(model.backend.array(x, "float32"), y, None)
    before = [weight.tobytes() for weight in model.get_weights()]
    tinycnn.training.non_finite.error_of_loss(model, batch, 0, 0, math.nan)
    assert [weight.tobytes() for weight in model.get_weights()] == before


def test_the_error_is_an_arithmetic_one_and_has_no_cause_to_read():
    with pytest.raises(FloatingPointError) as caught:
        fit(network(), [At(0, 0, put("last", "kernel", math.nan))])
    assert caught.value.__suppress_context__


# Keras's way ----------------------------------------------------------------------------------------------------


def test_terminate_on_nan_keeps_keras_behaviour(capsys):
    """Training stops without an error after the step of the bad batch, and the epoch ends as usual."""
    ends = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append((epoch, logs["loss"])))
    history = fit(network(), [At(1, 0, put("last", "kernel", math.nan)), TerminateOnNaN(), note])
    assert history.epoch == [0, 1]
    assert math.isnan(ends[-1][1])
    assert capsys.readouterr().out == "TerminateOnNaN: batch 1: the loss is nan; training stops\n"


def test_train_on_batch_only_tells():
    model = network()
    put("last", "kernel", math.nan)(model)
    with np.errstate(all="ignore"):
        assert math.isnan(model.train_on_batch(*data())["loss"])


def test_the_last_good_files_are_kept(tmp_path):
    followers = [
        At(1, 1, put("first", "kernel", math.nan)),
        callbacks.ModelCheckpoint(tmp_path / "each.safetensors", save_freq=1),
        callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1),
    ]
    with pytest.raises(NumericError):
        fit(network(), followers)
    newest = max((tmp_path / "backup").iterdir())
    for path in (tmp_path / "each.safetensors", newest):
        model = tinycnn.load_model(path)
        assert model.optimizer.iterations == 4
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


# At the limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW])
def test_a_learning_rate_of_a_million(optimizer):
    """Training ends with an error or with finite weights, and never silently with NaN."""
    model, caught = network(optimizer(1e6)), None
    try:
        losses = fit(model, epochs=20).history["loss"]
    except NumericError as error:
        caught = error
    if caught is None:
        assert np.isfinite(losses).all()
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
    else:
        assert caught.layer is not None
        assert model.optimizer.iterations == 3 * caught.epoch + caught.batch


@pytest.mark.parametrize("cure", [{"clipnorm": 1.0}, {"clipvalue": 0.5}, {"global_clipnorm": 1.0}])
def test_clipping_is_a_cure_for_gradients_that_explode(cure):
    """Least squares are fitted with steps that are too long, so that each error is larger than the one before."""

    def train(**clipping):
        tinycnn.set_seed(1)
        model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(5, name="inner"), layers.Dense(1)])
        model.compile(optimizers.SGD(0.05, **clipping), "mean_squared_error")
        x, y = data()
        return fit(model, x=10 * x, y=y[:, None].astype(float), epochs=40).history["loss"]

    with pytest.raises(NumericError, match="the loss is inf"):
        train()
    assert np.isfinite(train(**cure)).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30])
@pytest.mark.parametrize("normalize", [False, True])
def test_images_that_are_all_alike(value, normalize):
    """Through batch normalization too: a variance of 0 has epsilon added. All that can be learned is how common a
    class is."""
    model = network(optimizers.Adam(0.05), normalize=normalize)
    x, y = np.full((24, 6, 6, 1), value, np.float32), np.array([0] * 12 + [1] * 6 + [2] * 6)
    history = fit(model, x=x, y=y, epochs=60, batch_size=24, validation_data=(x, y))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.isfinite(history.history["val_loss"]).all()
    entropy = -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))
    assert history.history["loss"][-1] == pytest.approx(entropy, abs=0.02)
    np.testing.assert_allclose(model.predict(x[:1]), model.predict(x[-1:]))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("classes", [1, 3])
def test_one_class_only(normalize, classes):
    """With a softmax over one class there is nothing to learn, and the loss is 0."""
    model = network(optimizers.Adam(0.01), normalize=normalize, classes=classes)
    x, _ = data()
    history = fit(model, x=x, y=np.zeros(24, int), epochs=30)
    assert history.history["accuracy"][-1] == 1
    assert history.history["loss"][-1] < 0.05
    if classes == 1:
        assert set(history.history["loss"]) == {0.0}
        np.testing.assert_array_equal(model.predict(x), 1)


@pytest.mark.parametrize("normalize", [False, True])
def test_a_single_sample(normalize):
    model = network(optimizers.Adam(0.01), normalize=normalize)
    x, y = data(1)
    history = fit(model, x=x, y=y, epochs=50, validation_data=(x, y))
    assert np.isfinite(history.history["val_loss"]).all()
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_smallest_and_the_largest_float32():
    """Subnormal numbers count as what they are or as 0, and the largest numbers lead to a clear error."""
    x, y = data()
    assert np.isfinite(fit(network(), x=x * np.float32(1e-42), y=y).history["loss"]).all()
    with pytest.raises(NumericError):
        fit(network(), x=np.full_like(x, np.finfo(np.float32).max), y=y)
