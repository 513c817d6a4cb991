"""The documented networks agree with the documents in every count, every layer and every setting.

The tables here are copied from the documents, not from the package, so an error in either is noticed.
"""

import dataclasses
import json

import numpy as np
import pytest

from tinycnn import Augmentation, Sequential, callbacks, layers, models, optimizers, set_seed, use_backend

# Name: parameters in total, those not trainable, and the layers. C n k: convolution (relu, valid unless said),
# P: max-pooling, D: dropout, F: flatten, FC: dense (relu unless said).
DOCUMENTED = {
    "fashion_base": (3_213_002, 0, "C32 3 same, F, FC128, FC10 softmax"),
    "fashion_improved": (
        437_610,
        1_152,
        "C32 3 same, BN, C32 3 same, BN, P2, D0.25, C64 3 same, BN, C64 3 same, BN, P2, D0.25, "
        "C128 3 same, BN, C128 3 same, BN, P2, D0.25, F, FC128, BN, D0.5, FC10 softmax",
    ),
    "mnist_cnn": (1_625_866, 0, "C32 3 same, C64 3 same, P2, D0.25, F, D0.5, FC128, FC10 softmax"),
    "cifar10_cnn": (
        551_466,
        448,
        "C32 3 same, C32 3 same, BN, P2, D0.2, C64 3 same, C64 3 same, BN, P2, D0.3, "
        "C128 3 same, C128 3 same, BN, P2, D0.4, F, FC128, D0.5, FC10 softmax",
    ),
    "ladder_00": (7_852, 0, "C1 1, P1, F, FC10 softmax"),
    "ladder_01": (1_972, 0, "C1 1, P2, F, FC10 softmax"),
    "ladder_02": (1_710, 0, "C1 3, P2, F, FC10 softmax"),
    "ladder_03": (54_410, 0, "C32 3, P2, F, FC10 softmax"),
    "ladder_04": (542_230, 0, "C32 3, P2, F, FC100, D0.5, FC10 softmax"),
    "ladder_05": (323_734, 0, "C32 9, P2, F, FC100, D0.5, FC10 softmax"),
    "ladder_06": (264_214, 0, "C32 11, P2, F, FC100, D0.5, FC10 softmax"),
    "ladder_07": (162_422, 0, "C16 9, P2, F, FC100, D0.5, FC10 softmax"),
    "ladder_08": (217_782, 0, "C32 9, P2, C32 3, P1, F, FC100, D0.5, FC10 softmax"),
    "ladder_09": (64_182, 0, "C32 9, P2, C32 3, P2, F, FC100, D0.5, FC10 softmax"),
    "ladder_10": (35_030, 0, "C32 9, P2, C32 3, P2, C32 3, P1, F, FC100, D0.5, FC10 softmax"),
    "ladder_11": (22_410, 0, "C32 9, P2, C32 3, P2, C32 3, P1, F, FC10 softmax"),
    "ladder_12": (51_030, 0, "C32 9, P2, C32 3 same, P2, C32 3, P1, F, FC100, D0.5, FC10 softmax"),
    "vanilla_large": (49_220, 0, "C16 3, C32 3, C10 1, P2, C16 3, C32 3, C32 3, C64 3, C10 4 linear, F, softmax"),
    "vanilla": (10_524, 0, "C8 3, C16 3, C10 1, P2, C8 3, C16 3, C16 3, C16 3, C10 4 linear, F, softmax"),
    "go_crazy": (
        13_880,
        192,
        "C12 3, BN, D0.1, C20 3, BN, D0.1, C10 1, P2, C16 3, BN, D0.1, C16 3, BN, D0.1, C16 3, BN, D0.1, "
        "C16 3, BN, D0.1, C10 4 linear, F, softmax",
    ),
    "variant_1": (
        20_010,
        268,
        "C8 3, BN, D0.1, C16 3, BN, D0.1, C32 3, BN, D0.1, C10 1, P2, C16 3, BN, D0.1, C32 3, BN, D0.1, "
        "C10 1, BN, D0.1, C20 3, BN, D0.1, C10 5 linear, F, softmax",
    ),
    "variant_2": (
        12_664,
        228,
        "C10 3, BN, D0.1, C16 3, BN, D0.1, C10 1, C20 3, BN, D0.1, P2, C10 3, BN, D0.1, C16 3, BN, D0.1, "
        "C10 1, BN, D0.1, C16 3, BN, D0.1, C16 3, BN, D0.1, C10 3 linear, F, softmax",
    ),
    "variant_3": (
        15_958,
        308,
        "C64 3, BN, D0.1, C10 1, C16 3, BN, D0.1, C16 3, BN, D0.1, P2, C16 3, BN, D0.1, C16 3, BN, D0.1, "
        "C10 1, BN, D0.1, C16 3, BN, D0.1, C10 5 linear, F, softmax",
    ),
    "variant_4": (
        10_844,
        160,
        "C8 3, BN, D0.1, C16 3, BN, D0.1, C10 1, P2, C8 3, BN, D0.1, C16 3, BN, D0.1, C16 3, BN, D0.1, "
        "C16 3, BN, D0.1, C10 4 linear, F, softmax",
    ),
    "eip4": (
        14_060,
        212,
        "C16 3, BN, D0.1, C16 3, BN, D0.1, C10 1, P2, C16 3, BN, D0.1, C16 3, BN, D0.1, C16 3, BN, D0.1, "
        "C16 3, BN, D0.1, C10 4 linear, BN, D0.1, F, softmax",
    ),
}

# Name: epochs, batch size, optimizer, its rate, the epoch schedule, best epoch's weights restored or not.
COSINE = "half a cosine"
LADDER_BEST = (10, 128, "Adam", 0.001, None, True)
LADDER_LAST = (128, "Adam", 0.001, None, False)
INVERSE = "the inverse of the epoch"
BY_EPOCH = (20, 128, "Adam", 0.003, INVERSE, False)
TRAINING = {
    "fashion_base": (20, 128, "Adam", 0.001, None, False),
    "fashion_improved": (30, 128, "Adam", 0.001, COSINE, False),
    "mnist_cnn": (10, 128, "Adam", 0.001, COSINE, False),
    "cifar10_cnn": (100, 64, "Adam", 0.001, COSINE, False),
    "ladder_00": LADDER_BEST,
    "ladder_01": (10, *LADDER_LAST),
    "ladder_02": (10, *LADDER_LAST),
    "ladder_03": LADDER_BEST,
    "ladder_04": LADDER_BEST,
    "ladder_05": LADDER_BEST,
    "ladder_06": (10, *LADDER_LAST),
    "ladder_07": (9, *LADDER_LAST),
    "ladder_08": LADDER_BEST,
    "ladder_09": LADDER_BEST,
    "ladder_10": (7, *LADDER_LAST),
    "ladder_11": (10, *LADDER_LAST),
    "ladder_12": (9, *LADDER_LAST),
    "vanilla_large": (20, 64, "SGD", 0.01, None, False),
    "vanilla": (20, 64, "SGD", 0.01, None, False),
    "go_crazy": BY_EPOCH,
    "variant_1": BY_EPOCH,
    "variant_2": BY_EPOCH,
    "variant_3": BY_EPOCH,
    "variant_4": BY_EPOCH,
    "eip4": BY_EPOCH,
}

# Name: the documented accuracy that a run of the recipe is compared with, errors in the first 100 test images.
RESULTS = {
    "fashion_base": (0.4369, None),
    "fashion_improved": (0.9401, None),
    "mnist_cnn": (0.992, None),
    "cifar10_cnn": (0.8687, None),
    "ladder_00": (0.927, 4),
    "ladder_01": (0.918, 6),
    "ladder_02": (0.920, 4),
    "ladder_03": (0.983, 3),
    "ladder_04": (0.987, 2),
    "ladder_05": (0.992, 0),
    "ladder_06": (0.991, 0),
    "ladder_07": (0.990, 0),
    "ladder_08": (0.993, 0),
    "ladder_09": (0.993, 1),
    "ladder_10": (0.993, 0),
    "ladder_11": (0.990, 1),
    "ladder_12": (0.991, 0),
    "vanilla_large": (None, None),
    "vanilla": (0.9776, None),
    "go_crazy": (0.9919, None),
    "variant_1": (0.9943, None),
    "variant_2": (None, None),
    "variant_3": (0.9939, None),
    "variant_4": (0.9942, None),
    "eip4": (0.9941, None),
}

every_name = pytest.mark.parametrize("name", list(DOCUMENTED))


def words(layer: layers.Layer) -> str:
    """Return a layer in the notation of the tables above."""
    config = layer.get_config()
    activation = {"relu": ""}.get(config.get("activation"), f" {config.get('activation')}")
    match layer:
        case layers.Conv2D():
            assert layer.kernel_size[0] == layer.kernel_size[1]
            assert layer.strides == (1, 1)
            assert config["use_bias"]
            same = " same" if layer.padding == "same" else ""
            return f"C{layer.filters} {layer.kernel_size[0]}{same}{activation}"
        case layers.MaxPooling2D():
            assert layer.strides == layer.pool_size
            assert layer.padding == "valid"
            return f"P{layer.pool_size[0]}"
        case layers.Dense():
            assert config["use_bias"]
            return f"FC{layer.units}{activation}"
        case layers.Dropout():
            return f"D{layer.rate}"
        case layers.BatchNormalization():
            return "BN"
        case layers.Flatten():
            return "F"
        case layers.Softmax():
            return "softmax"
    raise AssertionError(f"no documented network has a {layer!r}")


def test_names_are_the_25_in_the_documents_order() -> None:
    assert models.names() == list(DOCUMENTED)
    assert len(models.names()) == 25
    models.names().clear()
    assert len(models.names()) == 25


@every_name
def test_parameter_counts_to_the_unit(name: str) -> None:
    total, non_trainable, _ = DOCUMENTED[name]
    model = models.build(name)
    assert model.count_params() == total
    assert model.count_trainable_params() == total - non_trainable
    assert models.recipe(name).params == (total, total - non_trainable, non_trainable)
    assert sum(w.size for w in model.get_weights()) == total


@every_name
def test_layers_are_the_documented_ones(name: str) -> None:
    assert ", ".join(words(layer) for layer in models.build(name).layers) == DOCUMENTED[name][2]


@every_name
def test_a_built_model_is_named_uncompiled_and_has_ten_outputs(name: str) -> None:
    model = models.build(name)
    assert isinstance(model, Sequential)
    assert model.name == name
    assert not model.compiled
    assert model.input_shape == ((32, 32, 3) if name == "cifar10_cnn" else (28, 28, 1))
    assert model.input_shape == models.recipe(name).input_shape
    assert model.output_shape == (10,)


@every_name
def test_recipes_are_the_documented_training(name: str) -> None:
    recipe = models.recipe(name)
    epochs, batch_size, optimizer, rate, schedule, restore_best = TRAINING[name]
    assert (recipe.name, recipe.epochs, recipe.batch_size) == (name, epochs, batch_size)
    assert (recipe.loss, recipe.seed) == ("sparse_categorical_crossentropy", 42)
    made = recipe.make_optimizer()
    assert type(made) is getattr(optimizers, optimizer)
    assert made.learning_rate == rate
    assert made is not recipe.make_optimizer()
    assert recipe.restore_best is restore_best
    if schedule is INVERSE:
        assert [recipe.schedule(epoch) for epoch in range(3)] == [0.003, 0.0022744503, 0.0018315018]
    elif schedule is COSINE:
        assert [recipe.schedule(share * epochs) for share in (0, 0.5, 1)] == [rate, pytest.approx(rate / 2), 0]
    else:
        assert recipe.schedule is None


@pytest.mark.parametrize("name", ["ladder_00", "ladder_01"])
def test_a_filter_of_one_weight_is_never_dead(name: str) -> None:
    for seed in (0, 1, 2, 42):
        set_seed(seed)
        weight, bias = models.build(name).get_weights()[:2]
        assert 0 < weight.item() < 1.73
        assert bias.item() == 0


def test_variations_train_the_layers_of_a_network_in_another_way() -> None:
    assert not set(models.variations()) & set(models.names())
    for name in models.variations():
        varied, model = models.recipe(name), models.build(name)
        network = models.recipe(varied.variation_of)
        assert model.name == name
        assert model.count_params() == network.params.total
        assert varied.augment != network.augment
    assert models.recipe("cifar10_cnn_noaug").augment is None
    assert models.recipe("cifar10_cnn").augment == Augmentation(shift=0.1, flip=True)
    assert models.recipe("fashion_improved_blur").augment == Augmentation(flip=True, blur=1.0)
    assert models.recipe("fashion_improved").augment == Augmentation(flip=True)
    said = [models.recipe(name).chosen[0] for name in ("cifar10_cnn_noaug", "cifar10_cnn")]
    assert said[0] == "Augmentation: none."
    assert "mirrored" in said[1]


@every_name
def test_recipes_have_the_documented_results(name: str) -> None:
    recipe = models.recipe(name)
    accuracy, errors = RESULTS[name]
    assert recipe.documented_accuracy == accuracy
    assert recipe.documented.get("errors_in_first_100") == errors


@every_name
def test_recipes_name_what_was_chosen(name: str) -> None:
    recipe = models.recipe(name)
    said = " ".join(recipe.chosen)
    assert all(sentence.endswith(".") for sentence in recipe.chosen + recipe.notes)
    if not name.startswith("ladder"):
        assert "Loss: " in said
        assert "Seed: 42." in said  # the ladder's document says 42 itself
    has_chosen_dropout = name in ("fashion_improved", "mnist_cnn", "cifar10_cnn", "eip4")
    assert ("Dropout rate" in said) is has_chosen_dropout
    assert ("as go_crazy" in said) is name.startswith("variant")


@every_name
def test_chosen_dropout_rates_are_the_ones_used(name: str) -> None:
    chosen = [sentence for sentence in models.recipe(name).chosen if sentence.startswith("Dropout")]
    used = {str(layer.rate) for layer in models.build(name).layers if isinstance(layer, layers.Dropout)}
    for sentence in chosen:
        assert used
        assert all(rate in sentence for rate in used)


def test_further_documented_figures() -> None:
    documented = {name: models.recipe(name).documented for name in models.names()}
    assert {name: d["best_val_accuracy"] for name, d in documented.items() if "best_val_accuracy" in d} == {
        "ladder_00": 0.927,
        "ladder_03": 0.983,
        "ladder_04": 0.987,
        "ladder_05": 0.992,
        "ladder_08": 0.993,
        "ladder_09": 0.993,
        "vanilla": 0.9823,
        "go_crazy": 0.9945,
        "variant_1": 0.9943,
        "variant_3": 0.9940,
        "eip4": 0.9947,
    }
    assert {name: d["train_accuracy"] for name, d in documented.items() if "train_accuracy" in d} == {
        "fashion_base": 0.9333,
        "fashion_improved": 0.9810,
        "eip4": 0.9581,
    }
    assert (documented["eip4"]["train_loss"], documented["eip4"]["val_loss"]) == (0.0901, 0.0200)
    base = np.array(documented["fashion_base"]["per_class_accuracy"])
    improved = np.array(documented["fashion_improved"]["per_class_accuracy"])
    assert base.mean() == pytest.approx(0.8438, abs=1e-9)  # the document's own average
    assert improved.mean() == pytest.approx(0.9401, abs=1e-9)
    assert base.argmin() == improved.argmin() == 6  # the shirt
    curves = {name: d["val_accuracy_by_epoch"] for name, d in documented.items() if "val_accuracy_by_epoch" in d}
    assert {name: (len(curve), max(curve)) for name, curve in curves.items()} == {
        "ladder_03": (10, 0.9828),
        "ladder_09": (10, 0.9931),
        "ladder_10": (7, 0.9931),
    }


def test_documents() -> None:
    titles = [models.recipe(name).document for name in models.names()]
    assert list(dict.fromkeys(titles)) == [
        "computer-vision homework 13",
        "Convolutional Neural Network",
        "The MNIST ladder (a notebook that adds one idea at a time)",
        "Assignment 4 Breakdown",
        "EIP4, week 2",
    ]
    assert [titles.count(title) for title in dict.fromkeys(titles)] == [2, 2, 13, 7, 1]


def test_data_sets() -> None:
    data = {name: models.recipe(name).data for name in models.names()}
    assert [name for name, where in data.items() if where == "fashion_mnist"] == ["fashion_base", "fashion_improved"]
    assert [name for name, where in data.items() if where == "cifar10"] == ["cifar10_cnn"]
    assert list(data.values()).count("mnist") == 22


def test_callbacks_follow_the_recipe_and_are_fresh() -> None:
    (stopping,) = models.recipe("ladder_09").make_callbacks()
    assert isinstance(stopping, callbacks.EarlyStopping)
    assert (stopping.monitor, stopping.patience, stopping.restore_best_weights) == ("val_accuracy", 10, True)
    assert models.recipe("ladder_09").make_callbacks()[0] is not stopping
    (scheduler,) = models.recipe("eip4").make_callbacks()
    assert isinstance(scheduler, callbacks.LearningRateScheduler)
    assert models.recipe("ladder_10").make_callbacks() == []


def test_the_schedule_rules_a_training() -> None:
    recipe = models.recipe("go_crazy")
    rng = np.random.default_rng(0)
    x, y = rng.random((4, 28, 28, 1), np.float32), np.arange(4)
    with use_backend("reference"):
        set_seed(recipe.seed)
        model = models.build(recipe.name)
        model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
        history = model.fit(x, y, batch_size=2, epochs=3, callbacks=recipe.make_callbacks(), verbose=0)
    assert history.history["learning_rate"] == pytest.approx([0.003, 0.0022744503, 0.0018315018], rel=1e-12)


def test_a_seed_decides_the_weights_and_two_builds_share_nothing() -> None:
    weights = []
    for _ in range(2):
        set_seed(42)
        weights.append(models.build("ladder_02").get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    first, second = models.build("ladder_02"), models.build("ladder_02")
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])
    assert not {id(layer) for layer in first.layers} & {id(layer) for layer in second.layers}


@every_name
def test_to_dict_is_json_and_complete(name: str) -> None:
    recipe = models.recipe(name)
    there_and_back = json.loads(json.dumps(recipe.to_dict(), allow_nan=False))
    assert there_and_back == recipe.to_dict()
    assert {field.name for field in dataclasses.fields(recipe)} - {"optimizer_config"} <= there_and_back.keys()
    assert there_and_back["optimizer"] == {"class_name": recipe.optimizer, "config": dict(recipe.optimizer_config)}
    again = optimizers.get(there_and_back["optimizer"])
    assert again.get_config() == recipe.make_optimizer().get_config()


def test_to_dict_describes_the_schedule() -> None:
    assert models.recipe("variant_1").to_dict()["schedule"] == {
        "class_name": "InverseEpochDecay",
        "config": {"initial_learning_rate": 0.003, "decay_rate": 0.319, "digits": 10},
        "description": "round(0.003 / (1 + 0.319 * epoch), 10), epoch from 0, set at the start of each epoch",
    }
    assert models.recipe("vanilla").to_dict()["schedule"] is None


def test_recipes_cannot_be_changed_but_replaced() -> None:
    recipe = models.recipe("ladder_00")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        recipe.optimizer_config["learning_rate"] = 1.0  # type: ignore[index]
    with pytest.raises(TypeError):
        recipe.documented["best_val_accuracy"] = 1.0  # type: ignore[index]
    assert dataclasses.replace(recipe, epochs=1).epochs == 1
    assert models.recipe("ladder_00") == recipe
    assert recipe.epochs == 10
    assert len({models.recipe(name) for name in models.names()}) == 25


@pytest.mark.parametrize("ask", [models.build, models.recipe])
@pytest.mark.parametrize(("wrong", "near"), [("ladder_3", "ladder_03"), ("go_crasy", "go_crazy"), ("EIP4", "eip4")])
def test_unknown_names_get_the_nearest_and_all(ask, wrong: str, near: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"'{wrong}'.*did you mean '{near}'") as caught:
        ask(wrong)
    assert all(name in str(caught.value) for name in models.names())


def test_a_name_unlike_any_gets_the_list_only() -> None:
    with pytest.raises(ValueError, match="unknown model 'zzzzzz'; known: ") as caught:
        models.build("zzzzzz")
    assert "did you mean" not in str(caught.value)


def test_the_learning_rate_of_every_recipe():
    for name in models.names():
        recipe = models.recipe(name)
        assert recipe.learning_rate == recipe.make_optimizer().learning_rate
        assert recipe.learning_rate > 0
