"""``keras.Sequential``: methods and arguments of every version of Keras, and what they return."""

import copy
import json
import pickle
import re

import numpy as np
import pytest

import tinycnn
from tinycnn import keras
from tinycnn.keras._telling import NotHereError


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.random((60, 6, 6, 1)).astype("float32")
    return x, keras.utils.to_categorical(np.arange(60) % 3)


def network(metrics=("accuracy",), optimizer="sgd"):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=optimizer, metrics=list(metrics))
    return model


def test_what_is_trained_is_the_engines_model(data):
    x, y = data
    model = network()
    assert isinstance(model, tinycnn.Sequential)
    tinycnn.set_seed(1)
    engine = tinycnn.Sequential(
        [
            tinycnn.layers.Input((6, 6, 1)),
            tinycnn.layers.Conv2D(4, 3, activation="relu"),
            tinycnn.layers.Flatten(),
            tinycnn.layers.Dense(3, activation="softmax"),
        ]
    )
    engine.compile("sgd", "categorical_crossentropy", ["accuracy"])
    ours = model.fit(x, y, epochs=2, verbose=0).history
    theirs = engine.fit(x, y, epochs=2, verbose=0).history
    assert (
        dict(ours) | {"learning_rate": ours["learning_rate"]} == theirs
    )  # to the bit: the same layers, run as the same kernels
    assert len(model.plan) == len(engine.plan)


def test_arguments_of_keras_1_and_2(data):
    x, y = data
    model = network()
    history = model.fit(x, y, nb_epoch=2, batch_size=20, verbose=0, shuffle="batch")
    assert history.epoch == [0, 1]
    with pytest.warns(UserWarning, match="workers has no effect"):
        model.fit(x, y, verbose=0, workers=4, use_multiprocessing=False)
    with pytest.raises(TypeError, match="fit takes no argument 'epoch'; did you mean 'epochs'"):
        model.fit(x, y, epoch=2)
    with pytest.raises(ValueError, match="metrics="):
        model.fit(x, y, show_accuracy=True)
    with pytest.raises(ValueError, match="validation follows every epoch"):
        model.fit(x, y, validation_freq=2)


def test_the_history_is_found_by_old_names(data):
    x, y = data
    history = network().fit(x, y, validation_split=0.2, verbose=0).history
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]  # as in Keras: no callback sets the rate
    assert history["lr"] == history["learning_rate"] == [pytest.approx(0.01)]
    assert history["acc"] == history["accuracy"]
    assert history["val_acc"] == history["val_accuracy"]
    assert "acc" not in history
    with pytest.raises(KeyError, match="f1; the history has loss"):
        history["f1"]
    short = network(["acc"]).fit(x, y, verbose=0).history
    assert short["accuracy"] == short["acc"]


def test_callbacks_watch_what_is_logged(data, tmp_path):
    x, y = data
    model = network()
    with pytest.warns(UserWarning, match="monitor is 'val_accuracy'"):
        model.fit(
            *(x, y, 20, 2, 0),
            callbacks=[
                keras.callbacks.ReduceLROnPlateau(monitor="val_acc", epsilon=0.01),
                keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}-{val_acc:.2f}.model"), monitor="val_acc"),
            ],
            validation_data=(x, y),
        )
    assert sorted(re.sub(r"\d\.\d\d", "x", path.name) for path in tmp_path.iterdir()) == ["1-x.model", "2-x.model"]


def test_callbacks_that_watch_validation_have_no_effect_without_it(data, tmp_path):
    x, y = data
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=0)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True)
    every = keras.callbacks.ModelCheckpoint(tmp_path / "every")
    with (
        pytest.warns(UserWarning, match="EarlyStopping has no effect: it watches 'val_loss'"),
        pytest.warns(UserWarning, match="ModelCheckpoint has no effect"),
    ):
        history = network().fit(x, y, epochs=3, verbose=0, callbacks=[stopping, best, every])
    assert history.epoch == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["every"]


def test_own_callbacks_of_keras_2(data):
    x, y = data

    class Losses(keras.callbacks.Callback):
        def on_train_begin(self, logs={}):  # noqa: B006
            self.losses = []

        def on_batch_end(self, batch, logs={}):  # noqa: B006
            self.losses.append(logs.get("loss"))

    losses = Losses()
    network().fit(x, y, batch_size=20, verbose=0, callbacks=losses)
    assert len(losses.losses) == 3
    assert all(np.isfinite(losses.losses))


def test_methods_for_other_calls_than_fit_are_told_to_have_no_effect(data):
    x, y = data
    with pytest.warns(UserWarning, match=r"Watch\.on_test_end is never called"):

        class Watch(keras.callbacks.Callback):
            def on_test_end(self, logs=None):
                raise AssertionError

            def on_epoch_end(self, epoch, logs=None):
                self.seen = logs["val_loss"]

    watch = Watch()
    network().fit(x, y, verbose=0, callbacks=[watch], validation_split=0.5)
    assert np.isfinite(watch.seen)


def test_a_callback_that_sets_the_rate_takes_the_place_of_decay(data):
    x, y = data
    with pytest.warns(UserWarning, match="decay=0.1 stands for"):
        model = network(optimizer=keras.optimizers.SGD(lr=0.5, decay=0.1))
    assert model.optimizer.schedule is not None
    with pytest.warns(UserWarning, match="is dropped, because LearningRateScheduler"):
        history = model.fit(
            x, y, epochs=2, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda e: 0.25)]
        )
    assert history.history["learning_rate"] == [0.25, 0.25]
    assert "learning_rate" in list(history.history)
    assert "accuracy" in history.history


class Batches(keras.utils.Sequence):
    """Three batches, which count how often they are asked for."""

    def __init__(self, x, y):
        super().__init__(workers=2)
        self.x, self.y, self.ended = x, y, 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.x[20 * index : 20 * index + 20], self.y[20 * index : 20 * index + 20]

    def on_epoch_end(self):
        self.ended += 1


def test_generators(data):
    x, y = data
    model, batches = network(), Batches(x, y)
    model.fit_generator(batches, nb_epoch=2, verbose=0)
    assert (model.optimizer.iterations, batches.ended) == (6, 2)
    model.fit_generator(batches, steps_per_epoch=3.5, epochs=1, verbose=0)  # rounded up, and begun anew
    assert model.optimizer.iterations == 10
    arrays = model.evaluate(x, y, verbose=0)
    assert model.evaluate_generator(batches, steps=3) == arrays
    assert model.evaluate(batches, verbose=0, return_dict=True) == dict(zip(model.metrics_names, arrays, strict=True))
    assert np.array_equal(model.predict_generator(batches, steps=2), model.predict(x)[:40])

    def endless():
        while True:
            yield x[:20], y[:20]

    model.fit_generator(
        endless(), steps_per_epoch=2, epochs=2, validation_data=endless(), validation_steps=1, verbose=0
    )
    assert np.array_equal(model.predict_generator(endless(), 2), np.concatenate([model.predict(x[:20])] * 2))
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit_generator(endless(), samples_per_epoch=40, nb_epoch=1)


def test_single_batches_return_what_keras_returns(data):
    x, y = data
    model = network()
    loss, accuracy = model.test_on_batch(x, y)
    found = model.train_on_batch(x, y)
    assert found[1] == accuracy
    assert found[0] == pytest.approx(loss, rel=1e-6)
    assert model.train_on_batch(x, y, return_dict=True).keys() == {"loss", "accuracy"}
    assert isinstance(network(()).train_on_batch(x, y), float)
    assert np.array_equal(model.predict_on_batch(x), model.predict(x))


def test_predictions_of_keras_2(data):
    x, _ = data
    model = network()
    assert np.array_equal(model.predict_classes(x), model.predict(x).argmax(axis=1))
    assert np.array_equal(model.predict_proba(x), model.predict(x, 16, 0))
    assert len(model.predict(x, batch_size=8, steps=2)) == 16
    one = keras.Sequential([keras.layers.Dense(1, activation="sigmoid", input_shape=(3,))])
    assert one.predict_classes(np.ones((4, 3))).shape == (4, 1)
    with pytest.raises(ValueError, match="callbacks are for fit"):
        model.predict(x, callbacks=[keras.callbacks.Callback()])


def test_compile_as_in_keras(data):
    model = network()
    model.compile(loss="mse")
    assert type(model.optimizer).__name__ == "RMSprop"  # Keras's default
    model.compile("adam", "categorical_crossentropy", ["accuracy"])  # the order of Keras 2
    assert model.metrics_names == ["loss", "accuracy"]
    model.compile("adam", "categorical_crossentropy", loss_weights=[1.0], metrics=[["acc", "mae"]])
    assert model.metrics_names == ["loss", "acc", "mae"]
    for arguments, message in (
        ({"loss_weights": [0.5]}, "multiply the learning rate"),
        ({"weighted_metrics": ["acc"]}, "count every sample alike"),
        ({"metrics": ["F1Score"]}, "confusion_matrix"),
        ({"optimiser": "adam"}, "takes no argument 'optimiser'"),
    ):
        with pytest.raises((TypeError, ValueError, NotHereError), match=message):
            model.compile(loss="mse", **arguments)
    with pytest.raises(ValueError, match="compile needs a loss"):
        model.compile("adam")


def test_ends_that_do_not_fit_the_loss_train_as_in_keras(data, tmp_path):
    x, y = data

    def model(end, loss):
        keras.utils.set_random_seed(1)
        found = keras.Sequential([keras.layers.Flatten(input_shape=(6, 6, 1)), keras.layers.Dense(3, activation=end)])
        found.compile("sgd", loss)
        return found

    with pytest.warns(UserWarning, match="from_logits=True is left out, because Dense 'dense' ends in a softmax"):
        meant = model("softmax", keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1))
    assert meant.loss.label_smoothing == 0.1
    usual = model("softmax", keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    assert meant.fit(x, y, verbose=0).history == usual.fit(x, y, verbose=0).history
    for loss, targets in (("categorical_crossentropy", y), ("sparse_categorical_crossentropy", y.argmax(axis=1))):
        with pytest.warns(UserWarning, match="ends in a sigmoid, and its outputs are divided by their sum"):
            shares = model("sigmoid", loss)
        losses = shares.fit(x, targets, epochs=20, verbose=0).history["loss"]
        outputs = shares.predict(x)
        shared = outputs / outputs.sum(axis=1, keepdims=True)
        expected = -np.log(shared[np.arange(60), y.argmax(axis=1)]).mean()
        assert shares.evaluate(x, targets, verbose=0) == pytest.approx(expected, rel=1e-4)
        assert losses[-1] < losses[0]
        shares.save(tmp_path / "m.safetensors")
        again = keras.models.load_model(tmp_path / "m.safetensors")
        assert again.evaluate(x, targets, verbose=0) == shares.evaluate(x, targets, verbose=0)
    with pytest.raises(ValueError, match="without a softmax"):
        model(None, "categorical_crossentropy")


def test_metrics_that_count(data):
    x, _ = data
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Flatten(input_shape=(6, 6, 1)), keras.layers.Dense(1, activation="sigmoid")])
    wanted = [keras.metrics.Precision(), keras.metrics.Recall(thresholds=0.4), keras.metrics.AUC(name="area")]
    model.compile("sgd", "binary_crossentropy", wanted)
    labels = np.arange(60) % 2
    found = model.evaluate(x, labels, verbose=0, return_dict=True)
    outputs = model.predict(x)[:, 0]
    yes = outputs > 0.5
    assert found["precision"] == pytest.approx((yes & (labels == 1)).sum() / max(yes.sum(), 1))
    assert found["recall"] == pytest.approx(((outputs > 0.4) & (labels == 1)).sum() / 30)
    assert 0 <= found["area"] <= 1
    assert set(model.fit(x, labels, verbose=0, validation_data=(x, labels)).history) >= {"area", "val_recall"}
    with pytest.raises(ValueError, match="the ROC curve is the one"):
        keras.metrics.AUC(curve="PR")


def test_a_generator_is_validated_on_in_every_epoch(data):
    x, y = data
    generator = keras.preprocessing.image.ImageDataGenerator()
    model = network()
    train, held_out = generator.flow(x, y, batch_size=16), generator.flow(x, y, batch_size=16)
    history = model.fit(train, epochs=3, validation_data=held_out, verbose=0).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(x, y, verbose=0)[0], rel=1e-6)
    assert model.optimizer.iterations == 12
    before = train.epochs
    model.fit(train, epochs=1, validation_data=held_out, steps_per_epoch=10, validation_steps=10, verbose=0)
    assert model.optimizer.iterations == 22
    assert train.epochs == before + 3  # ten steps of four batches: it began anew twice, and ended
    model.fit(x, y, verbose=0, validation_steps=3)  # without validation data it means nothing, as in Keras
    assert len(model.predict(held_out, steps=2)) == 32
    assert len(model.predict(held_out)) == 60


def test_checkpoints_after_every_so_many_epochs(data, tmp_path):
    x, y = data
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}"), period=2, save_weights_only=True)
    network().fit(x, y, epochs=5, verbose=0, callbacks=[checkpoint])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4"]


def test_a_description_of_kerass_own_is_read():
    entry = {"class_name": "InputLayer", "config": {"batch_shape": [None, 4, 4, 1], "dtype": "float32"}}
    dense = {"class_name": "Dense", "config": {"name": "out", "units": 2, "activation": "softmax"}}
    content = {"class_name": "Sequential", "config": {"name": "net", "layers": [entry, {"class_name": "Flatten",
               "config": {"name": "flat"}}, dense]}, "keras_version": "3.15.0", "backend": "torch"}  # fmt: skip
    model = keras.models.model_from_json(json.dumps(content))
    assert (model.output_shape, model.layers[1].name) == ((2,), "out")


def test_summaries_before_and_after_building(capsys):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.summary()
    assert "not built yet" in capsys.readouterr().out
    model.build((None, 3))
    assert model.input_shape == (3,)
    lines = []
    model.summary(line_length=80, print_fn=lines.append)
    assert "Total params: 8" in lines[0]
    assert model.get_layer(index=0) is model.get_layer("dense") is model.layers[0]


def test_files(data, tmp_path):
    x, y = data
    model = network(["mae"], keras.optimizers.Nadam(0.01))
    model.fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match=r"\.h5 files are written in tinycnn's own format"):
        model.save(tmp_path / "m.h5", include_optimizer=True)
    again = keras.models.load_model(tmp_path / "m.h5")
    assert type(again) is keras.Sequential
    assert again.metrics_names == ["loss", "mae"]
    assert type(again.optimizer) is type(model.optimizer)
    model.fit(x, y, epochs=2, initial_epoch=1, verbose=0)
    again.fit(x, y, epochs=2, initial_epoch=1, verbose=0)
    assert np.array_equal(model.predict(x), again.predict(x))  # its moments were loaded, too
    assert not keras.models.load_model(tmp_path / "m.h5", compile=False).compiled
    model.save_weights(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="exists already"):
        model.save_weights(tmp_path / "w.safetensors", overwrite=False)
    other = network()
    other.load_weights(tmp_path / "w.safetensors")
    assert np.array_equal(model.predict(x), other.predict(x))
    with pytest.raises(ValueError, match=r"set_weights"):
        other.load_weights(tmp_path / "w.safetensors", by_name=True)


def test_layers_of_this_room_are_loaded(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomContrast(0.1),
            keras.layers.Resizing(6, 6),
            keras.layers.SeparableConv2D(4, 3),
            keras.layers.Permute((2, 1, 3)),
            keras.layers.GlobalMaxPooling2D(),
        ]
    )
    model.save(tmp_path / "m.safetensors")
    x = np.random.default_rng(0).random((3, 8, 8, 3)).astype("float32")
    again = keras.models.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again.predict(x), model.predict(x))


def test_json(data):
    x, _ = data
    model = network()
    content = json.loads(model.to_json(indent=2))
    assert content["class_name"] == "Sequential"
    again = keras.models.model_from_json(model.to_json())
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(x), model.predict(x))
    for text in (
        "",
        "[]",
        '{"class_name": "Sequential", "config": {}, "keras_version": "2.2.4"}',
        '{"backend": "tinycnn"}',
    ):
        with pytest.raises(ValueError, match=r"json_string must be|config must be"):
            keras.models.model_from_json(text)


def test_a_clone_has_other_weights():
    model = network()
    clone = keras.models.clone_model(model)
    assert clone.count_params() == model.count_params()
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])


def test_copies_and_pickles_of_a_model(data):
    x, y = data
    model = network()
    model.fit(x, y, verbose=0)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        assert type(again) is keras.Sequential
        assert np.array_equal(again.predict(x), model.predict(x))
        assert again.history.history["acc"] == model.history.history["acc"]


def test_models_of_keras_are_read(tmp_path):
    from fixtures import __path__ as fixtures

    for name in ("model.keras", "model.h5", "keras2.h5"):
        path = f"{fixtures[0]}/keras/{name}"
        model = keras.models.load_model(path)
        assert type(model) is keras.Sequential
        assert model.metrics_names == ["loss", "accuracy"]
        assert not keras.models.load_model(path, compile=False).compiled
    model.save_weights(tmp_path / "x.weights.h5")
    weights = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in weights])
    model.load_weights(tmp_path / "x.weights.h5")
    assert all(map(np.array_equal, model.get_weights(), weights))


def test_what_a_model_does_not_have():
    model = network()
    for use, message in (
        (lambda: model.inputs, "one row of layers"),
        (model.pop, "make a new model"),
        (model.to_yaml, "to_json"),
    ):
        with pytest.raises(NotHereError, match=message):
            use()
    assert not hasattr(model, "nothing_like_it")
    with pytest.raises(TypeError, match=r"with parentheses: Dense\("):
        keras.Sequential([keras.layers.Dense])
    with pytest.raises(TypeError, match="is a model; add its layers"):
        keras.Sequential([model])
    frozen = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))], trainable=False)
    assert frozen.count_trainable_params() == 0


def test_random_layers_repeat_to_the_bit(data):
    x, y = data

    def trained():
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                keras.layers.RandomRotation(0.1),
                keras.layers.RandomTranslation(0.1, 0.1),
                keras.layers.Flatten(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile("adam", "categorical_crossentropy")
        model.fit(x, y, epochs=3, batch_size=16, verbose=0)
        return model.get_weights()

    assert all(map(np.array_equal, trained(), trained()))


def test_labels_of_cifar_10_have_the_shape_that_keras_gives(monkeypatch):
    from tinycnn.keras.datasets import cifar10, mnist

    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4)
    monkeypatch.setattr("tinycnn.datasets.cifar10.load_data", lambda: ((images, labels), (images, labels)))
    monkeypatch.setattr("tinycnn.datasets.mnist.load_data", lambda: ((images, labels), (images, labels)))
    (_, y), (_, y_test) = cifar10.load_data()
    assert (y.shape, y.dtype, y_test[3][0]) == ((4, 1), np.uint8, 3)
    (_, y), _ = mnist.load_data("mnist.npz")
    assert (y.shape, y.dtype) == ((4,), np.uint8)
