"""Metrics: figures that are exact for any batch size, counts made after training, and settings that are saved."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, layers, load_model, metrics

LABELS = np.array([0, 2, 1])
SCORES = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3]])  # right, second, right
EVERY_METRIC = pytest.mark.parametrize("name", metrics.METRICS)


def targets_for(metric, labels, classes=3):
    """Return the targets in the form that the metric takes."""
    takes_labels = isinstance(metric, metrics.ClassAccuracy) and not metric.rows
    return labels if takes_labels else np.eye(classes)[labels]


def value(metric, y_true, y_pred):
    metric.reset()
    metric.update(np.asarray(y_true), np.asarray(y_pred))
    return metric.result()


# Every metric of the registry ----------------------------------------------------------------------------------


@EVERY_METRIC
def test_does_not_depend_on_the_batches(name):
    @settings(max_examples=20)
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
    def check(sizes, seed):
        rng = np.random.default_rng(seed)
        n = sum(sizes)
        labels, y_pred = rng.integers(0, 7, n), rng.dirichlet(np.ones(7), n)
        metric = metrics.get(name)
        y_true = targets_for(metric, labels, 7)
        for block in np.split(np.arange(n), np.cumsum(sizes)[:-1]):
            metric.update(y_true[block], y_pred[block])
        assert metric.result() == pytest.approx(value(metrics.get(name), y_true, y_pred), rel=1e-12)

    check()


@EVERY_METRIC
def test_starts_empty_and_can_be_reset(name):
    metric = metrics.get(name)
    assert math.isnan(metric.result())
    metric.update(targets_for(metric, LABELS), SCORES)
    assert not math.isnan(metric.result())
    metric.reset()
    assert math.isnan(metric.result())


@EVERY_METRIC
def test_refuses_targets_of_the_wrong_form(name):
    """Nothing is broadcast: labels would silently fit rows of classes if there were equally many of both."""
    metric = metrics.get(name)
    for wrong in (np.eye(3)[:2], LABELS[:2], np.zeros((3, 3, 1)), np.zeros((3, 1))):
        with pytest.raises(ValueError, match=f"metric '{metric.name}' takes"):
            metric.update(wrong, SCORES)


@EVERY_METRIC
@pytest.mark.parametrize("label", [None, "mine"])
def test_config_makes_the_same_metric(name, label):
    metric = metrics.METRICS[name](name=label)
    again = metrics.get({"class_name": type(metric).__name__, "config": metric.get_config()})
    assert again.name == (label or name)
    assert again.get_config() == metric.get_config()
    assert type(again) is type(metric)


@EVERY_METRIC
def test_a_saved_model_has_its_metrics(name, tmp_path):
    tinycnn.set_seed(1)
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(40, 4)), rng.integers(0, 3, 40)
    own = metrics.METRICS[name](name="mine", **({"k": 2} if "top_k" in name else {}))
    y = targets_for(own, labels)
    loss = "categorical_crossentropy" if y.ndim == 2 else "sparse_categorical_crossentropy"
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", loss, [name, own])
    model.fit(x, y, verbose=0, validation_data=(x, y))
    assert set(model.history.history) == {
        *("loss", name, "mine", "val_loss", f"val_{name}", "val_mine"),
        "learning_rate",
    }
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert list(loaded.metrics) == [name, "mine"]
    assert loaded.metrics["mine"].get_config() == own.get_config()
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == expected
    assert expected["mine"] == pytest.approx(value(own, y, model.predict(x)), rel=1e-6)


# By hand -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [metrics.SparseCategoricalAccuracy(), metrics.get("accuracy"), metrics.get("acc")])
def test_accuracy_of_labels(metric):
    assert value(metric, LABELS, SCORES) == 2 / 3


@pytest.mark.parametrize("metric", [metrics.CategoricalAccuracy(), metrics.get("accuracy")])
def test_accuracy_of_rows(metric):
    assert value(metric, np.eye(3)[LABELS], SCORES) == 2 / 3
    assert value(metric, [[0.2, 0.5, 0.3]], [[0.1, 0.6, 0.3]]) == 1


def test_accuracy_of_every_pixel():
    assert value(metrics.get("accuracy"), np.eye(2)[[[0, 1]]], np.eye(2)[[[0, 0]]]) == 0.5


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k(k):
    expected = 2 / 3 if k == 1 else 1
    assert value(metrics.SparseTopKCategoricalAccuracy(k), LABELS, SCORES) == expected
    assert value(metrics.TopKCategoricalAccuracy(k), np.eye(3)[LABELS], SCORES) == expected


def test_top_k_of_equal_predictions():
    """All predictions that share the last place count, as in Keras's in_top_k."""
    top_2 = metrics.SparseTopKCategoricalAccuracy(2)
    scores = np.array([[0.4, 0.2, 0.2, 0.2]])
    assert [value(top_2, [label], scores) for label in range(4)] == [1, 1, 1, 1]
    assert [value(top_2, [label], [[0.3, 0.3, 0.3, 0.1]]) for label in range(4)] == [1, 1, 1, 0]


def test_top_k_of_what_is_not_finite_is_wrong():
    assert value(metrics.SparseTopKCategoricalAccuracy(2), [0], [[np.nan, np.nan, np.nan]]) == 0


def test_mean_squared_error():
    metric = metrics.MeanSquaredError()
    assert value(metric, [[1.0, 2.0]], [[1.0, 4.0]]) == 2
    assert value(metric, np.uint8([[200]]), np.float32([[100]])) == 100**2
    assert value(metric, np.zeros((2, 2, 3)), np.full((2, 2, 3), 3.0)) == 9


def test_two_of_one_name_are_refused():
    two = [metrics.SparseTopKCategoricalAccuracy(2), metrics.SparseTopKCategoricalAccuracy(3)]
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
    with pytest.raises(ValueError, match="two columns of the logs are called 'sparse_top_k_categorical_accuracy'"):
        model.compile("sgd", "sparse_categorical_crossentropy", two)
    with pytest.raises(ValueError, match="two columns of the logs are called 'loss'"):
        metrics.by_name(metrics.MeanSquaredError(name="loss"))


def test_what_words_say_is_saved_as_words():
    """Files of the first version hold metrics like this."""
    chosen = metrics.by_name(["acc", metrics.CategoricalAccuracy(), metrics.TopKCategoricalAccuracy(3, name="top_3")])
    top_3 = {"class_name": "TopKCategoricalAccuracy", "config": {"name": "top_3", "k": 3}}
    assert metrics.serialize(chosen) == ["acc", "categorical_accuracy", top_3]
    assert metrics.serialize(metrics.by_name(metrics.serialize(chosen))) == metrics.serialize(chosen)


class Slashed(metrics.Metric):
    """A metric whose name a model could be saved with but not loaded with."""

    name = "precision/macro"


def test_values_of_ones_own_may_be_a_list():
    class Listed(metrics.Metric):
        def values(self, y_true, y_pred):
            return [1.0, 3.0]

    metric = Listed()
    metric.update(np.zeros(2), np.zeros(2))
    assert metric.result() == 2


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: metrics.TopKCategoricalAccuracy(0), ValueError, "k must be at least 1"),
        (lambda: metrics.get("acuracy"), ValueError, "did you mean 'accuracy'"),
        (lambda: metrics.MeanSquaredError(name=""), ValueError, "name must be a non-empty string"),
        (lambda: Slashed(), ValueError, "name must be .* without '/'; got 'precision/macro'"),
        (
            lambda: metrics.by_name([metrics.MeanSquaredError(name="epoch")]),
            ValueError,
            "two columns of the logs are called 'epoch'",
        ),
        (
            lambda: metrics.by_name([metrics.MeanSquaredError(name="learning_rate")]),
            ValueError,
            "two columns of the logs",
        ),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# After training ------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.data())
def test_confusion_matrix_counts_pairs(data):
    k, n = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 30))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=n, max_size=n))
    true, predicted = zip(*pairs, strict=True)
    counts = metrics.confusion_matrix(true, predicted, num_classes=k)
    assert counts.tolist() == [[pairs.count((t, p)) for p in range(k)] for t in range(k)]
    shares = metrics.per_class_accuracy(true, predicted, num_classes=k)
    for label, share in enumerate(shares):
        own = [t == p for t, p in pairs if t == label]
        assert math.isnan(share) if not own else share == pytest.approx(sum(own) / len(own))


def test_confusion_matrix_of_probabilities_has_a_column_for_each_class():
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    assert metrics.confusion_matrix([[0], [1]], scores).tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(metrics.per_class_accuracy([0, 1], scores), [1, 0, np.nan])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1, 1]), "y_true and y_pred must be equally long; got 2 and 3"),
        (([0, 5], [0, 1], 3), "num_classes must be at least 6"),
        (([0.5, 1], [0, 1]), "y_true must hold class numbers, integers from 0; got values of dtype float64"),
        (([0, -1], [0, 1]), "y_true must hold class numbers, integers from 0 to 9999; got -1 at index 1"),
        (([0, 1], [[0.5, 0.6], [2.0, 0.1]]), r"y_pred must hold .*, from 0 to 1; got 2\.0 at index \(1, 0\)"),
        (([0, 1], np.zeros((0, 2))), r"y_pred must hold probabilities of at least one sample; got shape \(0, 2\)"),
        (([], []), "y_true must hold class numbers"),
    ],
)
@pytest.mark.parametrize("function", [metrics.confusion_matrix, metrics.per_class_accuracy])
def test_confusion_matrix_refuses(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        (lambda y_true, y_pred: 0.0, "subclass metrics.Metric instead"),
        (metrics.ClassAccuracy, "write an instance, with parentheses"),
    ],
)
def test_what_is_no_metric_says_what_is(metric, hint):
    with pytest.raises(TypeError, match=f"metrics: expected names or Metric objects; got .*; {hint}"):
        metrics.by_name([metric])
