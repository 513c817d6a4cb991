"""How a Sequential is built and compiled, what its weights are, and what its summary shows."""

import tracemalloc

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, initializers, layers, losses, metrics, models, optimizers, regularizers
from tinycnn.training import batches


def small(*, dtype="float32", last="softmax"):
    return Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(4, activation=last),
        ],
        name="small",
        dtype=dtype,
    )


class Forgetful(layers.Layer):
    def __init__(self):
        self.rate = 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Conv2D(4, 3, stride=2), "Conv2D takes no argument 'stride'; did you mean 'strides'"),
        (lambda: layers.Dense(4, activaton="relu"), "Dense takes no argument 'activaton'; did you mean 'activation'"),
        (lambda: layers.Flatten(xyz=1), "Flatten takes no argument 'xyz'; it takes input_shape, name, trainable"),
        (lambda: optimizers.Adam(rate=1), "Adam takes no argument 'rate'; it takes beta_1, beta_2, clipnorm"),
        (lambda: small().compile(optimizers.Adam, "mse"), "unknown optimizer .*; write an instance, with parentheses"),
        (lambda: small().compile("adam", losses.MeanSquaredError), "unknown loss .*; write an instance"),
        (lambda: Sequential(layers.Input((3,)), layers.Flatten()), "a Sequential takes one list of layers"),
        (lambda: Sequential([Forgetful()]), r"the __init__ of Forgetful does not call super\(\).__init__"),
        (lambda: layers.Input((None, 28, 28, 1)), r"without the batch axis; got \(None, 28, 28, 1\)"),
        (lambda: Sequential([layers.Flatten()]).build((None, 3)), r"without the batch axis; got \(None, 3\)"),
        (lambda: compiled().evaluate(np.zeros((2, 6, 6, 1))), "y is missing"),
        (lambda: compiled().trace(np.zeros((0, 6, 6, 1))), "x is empty"),
        (lambda: fit_small(callbacks=[callbacks.EarlyStopping]), "Callback objects; got .*; write an instance"),
        (lambda: fit_small(validation_data=(np.zeros((2, 6, 6, 1)), [0, 9])), "^validation_data: y"),
        (lambda: fit_small(validation_data=(np.zeros((2, 6, 6, 1)), [0])), "^validation_data: y"),
    ],
)
def test_common_slips_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def compiled():
    model = small()
    model.compile(loss="sparse_categorical_crossentropy")
    return model


def fit_small(**named):
    return compiled().fit(np.zeros((4, 6, 6, 1)), [0, 1, 2, 3], verbose=0, **named)


def test_what_keras_has_as_a_default_is_taken():
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=None)
    assert list(model.metrics) == []
    assert model.fit(np.zeros((70, 6, 6, 1)), [0] * 70, batch_size=None, verbose=0).params["steps"] == 3


def test_initializers_of_a_layer_of_ones_own_may_be_names():
    class Own(layers.Layer):
        def create(self, input_shape, rng):
            self.add_parameter("w", (2,), "ones", rng)
            self.add_buffer("seen", (2,), "zeros")

    layer = Own()
    layer.build((2,))
    np.testing.assert_array_equal(list(layer.weights().values()), [[1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (layers.Layer, lambda cls: {"layer": cls()}),
        (layers.Dense, lambda cls: {"layer": cls(3)}),
        (optimizers.SGD, lambda cls: {"optimizer": cls(0.1)}),
        (losses.CategoricalCrossentropy, lambda cls: {"loss": cls()}),
        (metrics.ClassAccuracy, lambda cls: {"metrics": [cls()]}),
        (initializers.Zeros, lambda cls: {"layer": layers.Dense(3, bias_initializer=cls())}),
        (regularizers.L2, lambda cls: {"layer": layers.Dense(3, bias_regularizer=cls(0.1))}),
    ],
)
def test_a_class_of_ones_own_with_tinycnns_name_cannot_be_mistaken_for_it(kind, parts, tmp_path):
    """Earlier, the user's class was written, and tinycnn's class of the same name was read."""
    names = {layers.Layer: "ReLU", optimizers.Optimizer: "Adam", initializers.Initializer: "Zeros"}
    name = names.get(kind, kind.__name__)
    body = {"__call__": lambda self, shape, rng: np.zeros(shape)} if kind is initializers.Initializer else {}
    chosen = parts(type(name, (kind,), body))
    model = Sequential([layers.Input((3,)), chosen.pop("layer", layers.Flatten()), layers.Dense(2, "softmax")])
    model.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy"} | chosen)
    with pytest.raises(ValueError, match=f"your own class {name} has the name of one of tinycnn's classes"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("end", "loss", "message"),
    [
        ([layers.Dense(3)], "sparse_categorical_crossentropy", "without a softmax"),
        ([layers.Dense(3, "softmax"), layers.Softmax()], "sparse_categorical_crossentropy", "two softmaxes in a row"),
        ([layers.Dense(3, "softmax")], losses.CategoricalCrossentropy(from_logits=True), "is a softmax, but the loss"),
    ],
)
def test_compile_looks_at_the_end_of_a_model_that_is_not_built_too(end, loss, message):
    with pytest.raises(ValueError, match=message):
        Sequential(end).compile(loss=loss)


def test_a_compile_that_fails_changes_nothing():
    model = small()
    model.compile("sgd", "categorical_crossentropy")
    before = model.optimizer, model.loss, model.chain_loss
    smoothed = losses.CategoricalCrossentropy(label_smoothing=0.5)
    for arguments in (("sgd", smoothed, ["acuracy"]), ("sgd", losses.CategoricalCrossentropy(from_logits=True))):
        with pytest.raises(ValueError, match=r"acuracy|from_logits"):
            model.compile(*arguments)
        assert (model.optimizer, model.loss, model.chain_loss) == before


def test_an_optimizer_of_another_model_is_refused_every_time():
    optimizer = optimizers.Adam()
    first, second = small(), Sequential([layers.Input((4,)), layers.Dense(2, activation="softmax")])
    first.compile(optimizer, "sparse_categorical_crossentropy")
    first.train_on_batch(np.zeros((1, 6, 6, 1)), [0])
    for _ in range(2):
        with pytest.raises(ValueError, match="used by another model"):
            second.compile(optimizer, "sparse_categorical_crossentropy")
        with pytest.raises(RuntimeError, match="not compiled"):
            second.train_on_batch(np.zeros((1, 4)), [0])


def test_a_layer_of_ones_own_may_keep_its_activation_as_a_name():
    class Named(layers.Flatten):
        def __init__(self, activation="relu", **base):
            super().__init__(**base)
            self.activation = activation
            self.window = 3

    model = Sequential([layers.Input((3,)), Named(), layers.Dense(2, activation="softmax"), Named()])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.summary()


def test_trainable_of_a_model_sets_and_asks_every_layer():
    """``trainable`` used to be an ordinary attribute that did nothing."""
    model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = np.ones((4, 3)), np.array([0, 1, 0, 1])
    before = model.get_weights()
    model.trainable = False
    assert not model.trainable
    assert [layer.trainable for layer in model.layers] == [False, False]
    assert model.count_trainable_params() == 0
    model.fit(x, y, verbose=0)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.layers[1].trainable = True
    assert model.trainable
    model.fit(x, y, verbose=0)
    moved = [not np.array_equal(*pair) for pair in zip(model.get_weights(), before, strict=True)]
    assert moved == [False, False, True, True]
    model.trainable = True
    assert all(layer.trainable for layer in model.layers)


def test_trainable_of_a_model_is_a_truth_value_and_needs_layers():
    with pytest.raises(TypeError, match="trainable must be True or False; got 0"):
        Sequential([layers.Dense(2)]).trainable = 0
    with pytest.raises(RuntimeError, match="has no layers yet"):
        Sequential().trainable = False


def test_input_shape_on_the_first_layer_is_an_input():
    model = Sequential([layers.Conv2D(2, 3, input_shape=(5, 5, 1)), layers.Flatten()])
    assert (model.input_shape, model.output_shape) == ((5, 5, 1), (18,))


def test_a_model_without_input_is_built_by_fit():
    model = Sequential([layers.Flatten(), layers.Dense(2, activation="softmax")])
    with pytest.raises(RuntimeError, match="not built"):
        model.count_params()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.ones((4, 3, 3, 1)), [0, 1, 0, 1], verbose=0)
    assert model.count_params() == 20


def test_names_are_keras_names_and_unique():
    model = Sequential([layers.Input((8,)), layers.Dense(2), layers.Dense(2), layers.ReLU(), layers.Dense(2, name="x")])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "re_lu", "x"]
    with pytest.raises(ValueError, match="two layers are called 'x'"):
        model.add(layers.Dense(1, name="x"))


def test_a_layer_belongs_to_one_model():
    layer = layers.Dense(2)
    Sequential([layers.Input((3,)), layer])
    with pytest.raises(ValueError, match="belongs to one model"):
        Sequential([layers.Input((3,)), layer])


def test_a_layer_in_two_models_that_wait_for_their_input():
    layer = layers.Dense(2)
    first, second = Sequential([layer]), Sequential([layer])
    first.build((3,))
    weights = first.get_weights()
    with pytest.raises(ValueError, match="belongs to one model"):
        second.build((4,))
    np.testing.assert_array_equal(first.get_weights()[0], weights[0])


def test_after_a_shape_that_did_not_fit_another_one_may():
    model = Sequential([layers.Conv2D(2, 5), layers.Conv2D(2, 5), layers.Flatten(), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="conv2d_1"):
        model.fit(np.ones((2, 8, 8, 1)), [0, 1], verbose=0)
    with pytest.raises(ValueError, match="conv2d_1"):
        model.predict(np.ones((2, 8, 8, 1)))
    assert not model.built
    model.fit(np.ones((2, 9, 9, 1)), [0, 1], verbose=0)
    assert model.input_shape == (9, 9, 1)


def test_an_evaluation_within_a_fit_has_sums_of_its_own():
    x, y = np.random.default_rng(0).normal(size=(20, 6, 6, 1)), np.arange(20) % 3

    def history(*watchers):
        tinycnn.set_seed(0)
        model = Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
        return model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=list(watchers)).history

    class Curious(callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            self.model.evaluate(x[:3], y[:3], verbose=0)

    assert history(Curious()) == history()


def test_large_images_are_predicted_few_at_a_time():
    model = Sequential([layers.Input((256, 256, 1)), layers.Conv2D(8, 1), layers.GlobalAveragePooling2D()])
    assert batches.block_size(model) == 32
    assert batches.block_size(models.build("cifar10_cnn")) == batches.block_size(models.build("variant_3")) == 256
    x = np.random.default_rng(0).random((40, 256, 256, 1), np.float32)
    tracemalloc.start()
    y = model.predict(x)
    assert tracemalloc.get_traced_memory()[1] < 1.5 * (32 * 256 * 256 * 9 * 4)
    tracemalloc.stop()
    np.testing.assert_array_equal(y[39:], model.predict(x[32:])[7:])


@pytest.mark.parametrize(
    ("item", "message"), [(layers.Dense, "with parentheses"), ("dense", "takes layers"), (None, "takes layers")]
)
def test_only_layers_can_be_added(item, message):
    with pytest.raises(TypeError, match=message):
        Sequential([item])


def test_a_second_input_is_refused():
    with pytest.raises(ValueError, match="only once"):
        Sequential([layers.Input((3,)), layers.Input((3,))])


def test_a_layer_that_did_not_fit_leaves_nothing_behind():
    model, layer = Sequential(), layers.Conv2D(2, 9, input_shape=(3, 3, 1))
    with pytest.raises(ValueError, match="does not fit"):
        model.add(layer)
    assert layer.name is None
    model.add(layers.Dense(2, input_shape=(8,)))
    assert (model.input_shape, model.output_shape) == ((8,), (2,))


def test_renamed_layers_cannot_lose_their_weights():
    model = compiled()
    model.layers[0].name = "dense"
    for call in (model.weights, model.get_weights, lambda: model.train_on_batch(np.zeros((1, 6, 6, 1)), [0])):
        with pytest.raises(ValueError, match="two layers are called 'dense'"):
            call()


def test_layers_changed_by_hand_are_noticed():
    model = compiled()
    model.layers.pop()
    with pytest.raises(RuntimeError, match="have changed since it was compiled: compile it again"):
        model.evaluate(np.zeros((1, 6, 6, 1)), [0])
    model.layers.append(layers.Dense(2))
    with pytest.raises(RuntimeError, match=r"Dense was put into small.layers by hand; use small.add\(layer\)"):
        model.predict(np.zeros((1, 6, 6, 1)))


@pytest.mark.parametrize("result", [lambda x: x[:, :1], lambda x: x[:1]])
def test_predict_spreads_no_result(result):
    class Short(layers.Layer):
        def forward(self, x, *, training=False, step=0, ws=None):
            return result(x), None

    model = Sequential([layers.Input((4,)), Short()])
    with pytest.raises(ValueError, match=r"Short 'short': forward returned .* output_shape says \(3, 4\)"):
        model.predict(np.zeros((3, 4)))


def test_a_failed_build_can_be_tried_again():
    model = Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    with pytest.raises(ValueError, match="does not fit"):
        model.build((2, 2, 1))
    model.build((4, 4, 1))
    assert model.output_shape == (8,)


def test_weights_are_in_keras_order():
    model = small()
    assert list(model.weights()) == [
        "conv2d/kernel",
        "conv2d/bias",
        "batch_normalization/gamma",
        "batch_normalization/beta",
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
        "dense/kernel",
        "dense/bias",
    ]
    assert [w.shape for w in model.get_weights()[:3]] == [(3, 3, 1, 3), (3,), (3,)]


def test_get_and_set_weights():
    model, other = small(), small()
    assert not np.array_equal(model.get_weights()[0], other.get_weights()[0])
    other.set_weights(model.get_weights())
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    copies = model.get_weights()
    copies[0][...] = 99
    assert not (model.get_weights()[0] == 99).any()


def test_set_weights_changes_nothing_when_something_is_wrong():
    model = small()
    before = model.get_weights()
    wrong = [np.ones_like(weight) for weight in before]
    wrong[-1] = np.ones(5)
    with pytest.raises(ValueError, match=r"dense/bias: expected shape \(4,\), got \(5,\)"):
        model.set_weights(wrong)
    with pytest.raises(ValueError, match="8 weight arrays; got 1"):
        model.set_weights(before[:1])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_get_layer():
    model = small()
    assert model.get_layer("dense") is model.layers[-1]
    with pytest.raises(ValueError, match="did you mean 'dense'"):
        model.get_layer("dens")


# Seeds and backends


def test_seeds_name_models():
    tinycnn.set_seed(42)
    first, second = small(), small()
    tinycnn.set_seed(42)
    again = small()
    np.testing.assert_array_equal(first.get_weights()[0], again.get_weights()[0])
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


@pytest.mark.parametrize(("seed", "kind"), [(-1, ValueError), (1.5, TypeError), (None, TypeError)])
def test_bad_seeds(seed, kind):
    with pytest.raises(kind, match="seed"):
        tinycnn.set_seed(seed)


def test_a_model_keeps_its_backend():
    with tinycnn.use_backend("reference"):
        model = small()
        assert tinycnn.get_backend().name == "reference"
    assert tinycnn.get_backend().name == "cpu"
    assert model.backend.name == "reference"
    assert {layer.backend.name for layer in model.layers} == {"reference"}


def test_a_backend_is_looked_for_at_once():
    with pytest.raises(ValueError, match="unknown backend 'nope'"):
        tinycnn.use_backend("nope")


def test_unknown_backend():
    with pytest.raises(ValueError, match="unknown backend 'gpu'"), tinycnn.use_backend("gpu"):
        pass


# Compile


def test_compile_refuses_a_softmax_before_a_loss_on_logits():
    with pytest.raises(ValueError, match="is a softmax, but the loss"):
        small().compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))


def test_compile_refuses_a_linear_end_and_names_both_cures():
    with pytest.raises(ValueError, match=r"activation='softmax', or use .*from_logits=True"):
        small(last=None).compile("sgd", "sparse_categorical_crossentropy")


@pytest.mark.parametrize("behind", [layers.Flatten, lambda: layers.Reshape((12,))])
def test_a_softmax_over_a_part_of_the_classes_is_refused(behind):
    model = Sequential([layers.Input((4, 4, 1)), layers.Conv2D(3, 3, activation="softmax"), behind()])
    with pytest.raises(
        ValueError, match=r"Conv2D 'conv2d' is a softmax over .* \(2, 2, 3\), so .* 4 times 3 probabilities"
    ):
        model.compile("sgd", "sparse_categorical_crossentropy")


def test_compile_refuses_two_softmaxes():
    model = small()
    model.add(layers.Softmax())
    with pytest.raises(ValueError, match="two softmaxes in a row: Dense 'dense' and Softmax 'softmax'"):
        model.compile("sgd", "sparse_categorical_crossentropy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adamm", "loss": "sparse_categorical_crossentropy"}, "did you mean 'adam'"),
        ({"loss": "sparse_crossentropy"}, "did you mean 'sparse_categorical_crossentropy'"),
        ({"loss": "sparse_categorical_crossentropy", "metrics": ["acuracy"]}, "did you mean 'accuracy'"),
        ({}, "compile needs a loss"),
    ],
)
def test_compile_suggests_the_nearest_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        small().compile(**arguments)


def test_fit_before_compile():
    with pytest.raises(RuntimeError, match=r"not compiled: call model\.compile"):
        small().fit(np.ones((1, 6, 6, 1)), [0])


class Halved(layers.Dense):
    """A user's layer whose backward is not the built-in one."""

    def backward(self, dy, cache, *, ws=None):
        return super().backward(dy / 2, cache, ws=ws)


@pytest.mark.parametrize("end", ["activation", "layer"])
def test_fused_and_unfused_endings_agree(end):
    """A network has the same loss and gradients with softmax inside Dense, with softmax as a layer, and on logits."""
    x, y = np.random.default_rng(0).normal(size=(5, 8)), np.array([0, 1, 2, 3, 0])
    results = []
    for ending, loss in [(end, "sparse_categorical_crossentropy"), ("logits", None)]:
        tinycnn.set_seed(3)
        model = Sequential([layers.Input((8,))], dtype="float64")
        model.add(layers.Dense(4, activation="softmax" if ending == "activation" else None))
        if ending == "layer":
            model.add(layers.Softmax())
        model.compile("sgd", loss or losses.SparseCategoricalCrossentropy(from_logits=True))
        logs = model.train_on_batch(x, y)
        results.append((logs["loss"], model.get_weights()[0]))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_a_subclass_is_never_taken_apart():
    """The subclass's softmax runs, and its own backward too: half the gradient gives half the step."""
    x, y, steps = np.random.default_rng(0).normal(size=(5, 8)), np.array([0, 1, 2, 3, 0]), []
    for kind in (layers.Dense, Halved):
        tinycnn.set_seed(3)
        model = Sequential([layers.Input((8,)), kind(4, activation="softmax")], dtype="float64")
        before = model.get_weights()[0]
        model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        model.train_on_batch(x, y)
        steps.append(model.get_weights()[0] - before)
    np.testing.assert_allclose(steps[1], steps[0] / 2, rtol=1e-6)


# The summary


def test_summary(capsys):
    model = small()
    model.summary()
    text = capsys.readouterr().out
    assert "batch_normalization (BatchNormalization)" in text
    assert "Total params: 94" in text
    assert "Trainable params: 88" in text
    assert "Non-trainable params: 6" in text
    rows = {line.split()[0]: line for line in text.splitlines() if "(N, " in line}
    assert "3×3" in rows["conv2d"]
    assert "4×4" in rows["max_pooling2d"]
    assert "6×6" in rows["dense"]
    # The input (36 floats) and the activation's result (16 * 3) of each image; then one byte per pooled number.
    assert f"{4 * (36 + 48)} B" in rows["conv2d"]
    assert f"{2 * 2 * 3} B" in rows["max_pooling2d"]
    np.testing.assert_array_equal(model.layers[1].buffers["moving_variance"], 1)


def test_receptive_field_counts_strides_and_dilation():
    model = Sequential(
        [
            layers.Input((40, 40, 1)),
            layers.Conv2D(1, 3),
            layers.MaxPooling2D(2),
            layers.Conv2D(1, 3, dilation_rate=2),
        ]
    )
    fields = tinycnn.inspection.summary.receptive_fields(model.layers, model.input_shape)
    assert fields == [(3, 3), (4, 4), (12, 12)]


def test_cache_sizes_are_the_same_each_time():
    """Arrays are told apart by their addresses, so none may be freed and give its address to the next one."""
    models = [tinycnn.models.build("ladder_10") for _ in range(3)]
    sizes = {tuple(tinycnn.inspection.summary.cache_bytes(model)) for _ in range(5) for model in models}
    assert len(sizes) == 1
    # Pooling gave 2×2×32 floats and relu gave 100; no other layer keeps the first of these arrays.
    assert dict(zip([layer.name for layer in models[0].layers], sizes.pop(), strict=True))["dense"] == 4 * (128 + 100)


def test_a_model_is_no_function_and_says_what_to_call():
    with pytest.raises(TypeError, match=r"small is not a function; call model.predict\(x\) for its results"):
        small()(np.ones((1, 6, 6, 1)), training=False)


def test_summary_is_given_to_another_function(capsys):
    small().summary()
    printed, texts = capsys.readouterr().out, []
    small().summary(print_fn=texts.append)
    assert texts == [printed.removesuffix("\n")]
    assert capsys.readouterr().out == ""
    with pytest.raises(TypeError, match="print_fn must be a function; got 'log'"):
        small().summary(print_fn="log")


def test_evaluate_some_batches_only():
    x, y = np.random.default_rng(0).random((70, 6, 6, 1)), np.arange(70) % 3
    weight = np.arange(70.0)
    with tinycnn.use_backend("reference"):
        model = small()
        model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
        for steps, batch_size, images in ((1, None, 32), (2, 20, 40), (3, None, 70), (np.int64(1), np.int64(7), 7)):
            found = model.evaluate(x, y, batch_size, verbose=0, sample_weight=weight, steps=steps)
            assert found == model.evaluate(x[:images], y[:images], verbose=0, sample_weight=weight[:images])
        with pytest.raises(ValueError, match="steps must be at most 3, the number of batches of 32 in 70"):
            model.evaluate(x, y, verbose=0, steps=4)
        with pytest.raises(ValueError, match="steps must be at least 1"):
            model.evaluate(x, y, verbose=0, steps=0)
