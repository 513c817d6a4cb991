"""Losses: what every registered loss must do, formulas worked out by hand, stability, and refused targets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinycnn
from tinycnn import Sequential, layers, losses, optimizers, testing
from tinycnn.core.backend import BACKENDS, Backend
from tinycnn.testing import strategies

EVERY_LOSS = pytest.mark.parametrize("name", losses.LOSSES)
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
ROW = [0.2, 0.3, 0.5]


def cases(name):
    """Return a strategy for (loss, predictions, targets); raise a LookupError if nobody said how to draw the loss."""
    return strategies.losses_with_inputs(losses.LOSSES[name])


# Every loss of the registry ------------------------------------------------------------------------------------


@EVERY_LOSS
@EVERY_BACKEND
def test_gradients(name, backend):
    @given(cases(name), st.integers(0, 99))
    def check(case, seed):
        with tinycnn.use_backend(backend):
            testing.check_gradients(*case, seed=seed)

    check()


@EVERY_LOSS
def test_backends_agree(name):
    @settings(max_examples=20)
    @given(cases(name))
    def check(case):
        loss, y_pred, y = case
        targets = loss.check_targets(y, len(y_pred), y_pred.shape[1:])
        weights = np.linspace(0.1, 1, len(y_pred))
        results = []
        for backend in map(Backend, BACKENDS):
            per_sample, cache = loss.forward(y_pred, targets, backend)
            results.append((per_sample, cache.p, loss.backward(cache, weights, backend)))
            assert per_sample.shape == (len(y_pred),)
            assert cache.p.shape == y_pred.shape
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
        assert loss(y, y_pred) == pytest.approx(results[0][0].mean(), rel=1e-12)

    check()


@EVERY_LOSS
@EVERY_BACKEND
def test_float32_and_layouts(name, backend):
    """Targets may be read-only, strided or of another dtype: they are not written to, and results stay float32."""

    @settings(max_examples=20)
    @given(cases(name))
    def check(case):
        loss, y_pred, y = case
        strided = np.repeat(y, 2, axis=0)[::2]
        strided.flags.writeable = False
        prediction = y_pred.astype(np.float32)
        per_sample, cache = loss.forward(
            prediction, loss.check_targets(strided, len(y), y_pred.shape[1:]), Backend(backend)
        )
        dy = loss.backward(cache, np.full(len(y), 1 / len(y), np.float32), Backend(backend))
        assert per_sample.dtype == dy.dtype == np.float32
        assert dy.shape == y_pred.shape
        with tinycnn.use_backend(backend):
            assert per_sample.mean() == pytest.approx(loss(y, y_pred), rel=1e-4, abs=1e-5)

    check()


@EVERY_LOSS
def test_targets_of_another_shape_or_not_finite_are_refused(name):
    """Nothing is broadcast, neither one sample over many nor a missing axis."""

    @settings(max_examples=20)
    @given(cases(name))
    def check(case):
        loss, y_pred, y = case
        doubled = np.concatenate([y_pred, y_pred])
        for wrong, prediction in [
            (y[:1], np.concatenate([doubled, doubled])),
            (y, doubled),
            (np.stack([y, y], axis=-1), y_pred),
            (y.ravel()[0], y_pred),
            (None, y_pred),
        ]:
            with pytest.raises(ValueError, match="y: expected"):
                loss(wrong, prediction)
        for bad in (np.nan, np.inf):
            spoiled = y.astype(float)
            spoiled.flat[-1] = bad
            with pytest.raises(ValueError, match=r"^y: "):
                loss(spoiled, y_pred)
        with pytest.raises(ValueError, match=r"^y: "):
            loss(np.full(y.shape, "a"), y_pred)

    check()


@EVERY_LOSS
def test_config_makes_the_same_loss(name):
    @settings(max_examples=20)
    @given(cases(name))
    def check(case):
        loss, y_pred, y = case
        again = losses.get({"class_name": type(loss).__name__, "config": loss.get_config()})
        assert again.get_config() == loss.get_config()
        assert again(y, y_pred) == loss(y, y_pred)

    check()


@EVERY_LOSS
@EVERY_BACKEND
@pytest.mark.parametrize("end", [["softmax"], [None, layers.Softmax]])
def test_a_network_that_ends_in_softmax(name, backend, end):
    """The network's gradients are right and training lowers the loss, whether or not compile fuses the two."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    if name == "binary_crossentropy":
        pytest.skip("it takes over a sigmoid: see test_binary_crossentropy.py")
    y = labels if name.startswith("sparse") else np.eye(3)[labels]
    with tinycnn.use_backend(backend):
        model = Sequential([layers.Input((4,)), layers.Dense(3, end[0])], dtype="float64")
        for layer in end[1:]:
            model.add(layer())
        model.compile(optimizers.SGD(0.5), name, ["accuracy"])
    assert len(model.chain) == 1 + (name == "mean_squared_error" and len(end) > 1)
    testing.check_gradients(model, x, y)
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert loss == pytest.approx(model.loss(y, model.predict(x)), rel=1e-9)
    assert accuracy == (model.predict(x).argmax(axis=1) == labels).mean()


def test_a_loss_that_nobody_draws_fails():
    class Forgotten(losses.Loss):
        name = "forgotten"

    with pytest.raises(
        LookupError, match=r"not know how to draw Forgotten; say how with testing\.strategies\.register_loss"
    ):
        strategies.losses_with_inputs(Forgotten)


@pytest.mark.parametrize("name", ["mse", "mean_squared_error", "MeanSquaredError"])
def test_names(name):
    assert type(losses.get(name)) is losses.MeanSquaredError


# Formulas ------------------------------------------------------------------------------------------------------


def test_from_probabilities_is_from_logits_of_the_softmax():
    z = np.random.default_rng(0).normal(size=(6, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = np.array([0, 1, 2, 3, 0, 1])
    for cls, targets in (
        (losses.SparseCategoricalCrossentropy, y),
        (losses.CategoricalCrossentropy, np.eye(4)[y]),
    ):
        on_p, on_z = (cls(from_logits=flag) for flag in (False, True))
        assert on_p(targets, p) == pytest.approx(on_z(targets, z), rel=1e-12)
        assert on_p(targets, p) == pytest.approx(-np.log(p[np.arange(6), y]).mean(), rel=1e-12)


def test_categorical_crossentropy_by_hand():
    loss = losses.CategoricalCrossentropy()
    assert loss([[0.25, 0.25, 0.5]], [ROW]) == pytest.approx(
        -0.25 * np.log(0.2) - 0.25 * np.log(0.3) - 0.5 * np.log(0.5)
    )
    # A third of 0.3 for each class: [0.1, 0.1, 0.8].
    smooth = losses.CategoricalCrossentropy(label_smoothing=0.3)
    assert smooth([[0, 0, 1]], [ROW]) == pytest.approx(-0.1 * np.log(0.2) - 0.1 * np.log(0.3) - 0.8 * np.log(0.5))


@EVERY_BACKEND
def test_mean_squared_error_by_hand(backend):
    with tinycnn.use_backend(backend):
        assert losses.MeanSquaredError()([[1, 2], [3, 4]], [[1, 4], [0, 4]]) == (0 + 4 + 9 + 0) / 4
        images = np.arange(24.0).reshape(2, 2, 2, 3)
        assert losses.MeanSquaredError()(images, images + 3) == 9
        assert losses.MeanSquaredError()(np.uint8([[200]]), [[100]]) == 100**2  # bytes do not wrap round


@pytest.mark.parametrize("sparse", [True, False])
def test_probabilities_are_divided_by_their_sum(sparse):
    """Keras does so, before it keeps them away from 0; earlier, what was above 1 was cut off."""
    loss = (losses.SparseCategoricalCrossentropy if sparse else losses.CategoricalCrossentropy)()
    y = np.array([1, 0]) if sparse else np.eye(2)[[1, 0]]
    shares = np.array([[2.0, 6.0], [0.01, 0.03]])
    assert loss(y, shares) == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    testing.check_gradients(loss, shares, y)
    assert loss(y, np.zeros((2, 2))) == pytest.approx(np.log(2))  # nothing is divided by 0
    assert loss.backward(loss.forward(np.zeros((2, 2)), y, Backend("cpu"))[1], np.ones(2), Backend("cpu")).tolist() == [
        [0, 0],
        [0, 0],
    ]


# Stability -----------------------------------------------------------------------------------------------------


@EVERY_BACKEND
@pytest.mark.parametrize("size", [1e4, -1e4])
@pytest.mark.parametrize("sparse", [True, False])
def test_extreme_logits(backend, size, sparse):
    logits = np.array([[size, 0.0], [0.0, size]], np.float32)
    loss = (losses.SparseCategoricalCrossentropy if sparse else losses.CategoricalCrossentropy)(from_logits=True)
    y = np.array([0, 1]) if sparse else np.eye(2)
    with tinycnn.use_backend(backend):
        assert loss(y, logits) == (0 if size > 0 else 1e4)
    _, cache = loss.forward(logits, loss.check_targets(y, 2, (2,)), Backend(backend))
    dy = loss.backward(cache, np.ones(2, np.float32), Backend(backend))
    np.testing.assert_array_equal(dy, np.zeros((2, 2)) if size > 0 else [[-1, 1], [1, -1]])


@pytest.mark.parametrize("loss", [losses.SparseCategoricalCrossentropy(), losses.CategoricalCrossentropy()])
def test_a_probability_of_zero_is_a_large_finite_loss(loss):
    y = [0] if loss.name.startswith("sparse") else [[1, 0]]
    assert loss(y, [[0.0, 1.0]]) == pytest.approx(-np.log(1e-7), rel=1e-3)


# Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 2], "expected 2 integer labels"),
        ([[0, 1]], "expected 2 integer labels"),
        ([[0, 0, 1], [0, 1, 0]], r"one-hot rows: use y\.argmax\(axis=1\), or the loss categorical_crossentropy"),
        ([0, 9], r"labels must lie in 0 … 2 for 3 outputs; got 9 at index 1\. Correct the labels, or give the last"),
        ([1, 3], r"got 3 at index 1\. Subtract 1 if your classes are numbered from 1\."),
        ([0, 3], r"got 3 at index 1\. Correct the labels"),
        ([3, 4], r"got 3 at index 0\. Correct the labels"),
        ([1, -1], r"got -1 at index 1\. Classes are numbered from 0: renumber them, or leave out samples"),
        ([1.0, np.inf], "got inf at index 1"),
        ([1, 0.5], r"labels must be whole numbers; got 0\.5 at index 1"),
        ([np.nan, 1], "whole numbers; got nan at index 0"),
        (["a", "b"], r"got values of dtype <U1\. Number the classes, .* np\.unique\(labels, return_inverse=True\)"),
        (None, "expected 2 integer labels"),
    ],
)
def test_labels_that_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        losses.SparseCategoricalCrossentropy()(y, [ROW] * 2)


def objects(*values):
    found = np.empty(len(values), object)
    found[:] = values
    return found


@pytest.mark.parametrize(
    "y",
    [
        objects(2, 0),
        objects(np.int8(2), np.bool_(False)),
        objects(2.0, 0.0),
        objects(2, False),
        np.array([[2], [0]], object),
        np.array([2, 0], np.uint8),
        np.array([2.0, 0.0]),
        [2, 0],
    ],
)
def test_labels_of_any_kind_of_whole_number_are_taken(y):
    """Tables give columns of Python objects."""
    labels = losses.SparseCategoricalCrossentropy().check_targets(y, 2, (3,))
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0]


def test_truth_values_are_labels_of_two_classes():
    for y in (np.array([True, False]), objects(True, False)):
        assert losses.SparseCategoricalCrossentropy().check_targets(y, 2, (2,)).tolist() == [1, 0]


def test_arguments_have_keras_order():
    """A reduction that does not exist must not become the name."""
    with pytest.raises(ValueError, match="reduction must be one of"):
        losses.MeanSquaredError("sum")
    assert losses.MeanSquaredError("mean", "mine").get_config() == {"reduction": "mean", "name": "mine"}
    assert losses.MeanSquaredError().get_config() == {}


def test_targets_may_be_objects_that_are_numbers():
    assert losses.MeanSquaredError()(np.array([[0, 1]], object), [[0.5, 2]]) == 0.625
    assert losses.CategoricalCrossentropy()(np.array([[0, 1.0]], object), [[0.25, 0.75]]) == pytest.approx(
        0.28768, rel=1e-4
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (objects("cat", "dog"), r"got 'cat' at index 0.*names, y = np\.unique\(labels, return_inverse=True\)"),
        (objects(0, b"dog"), r"got b'dog' at index 1.*return_inverse=True"),
        (np.array(["cat", "dog"]), r"dtype <U3\. .*return_inverse=True"),
        (np.array([b"cat", b"dog"]), r"dtype \|S3\. .*return_inverse=True"),
        (np.array(["cat", "dog"], np.dtypes.StringDType()), r"dtype StringDType\(\)\. .*return_inverse=True"),
        (np.ma.array([0, 1], mask=[False, True]), "y is masked at index 1; leave out"),
        (objects(0, None), "got None at index 1. It is missing: leave out"),
        (objects(0, float("nan")), r"whole numbers; got nan at index 1; it is missing: .*keep = ~np\.isnan\(y\)"),
        (np.array([0, np.nan]), r"whole numbers; got nan at index 1; it is missing"),
        (
            objects(0, 1.5),
            "whole numbers; got 1.5 at index 1; for targets that are no classes, use the loss mean_squared",
        ),
        (objects(0, [1]), r"got \[1\] at index 1"),
        (objects(0, 10**30), "a number is too large"),
        (np.array([0, 1], "datetime64[D]"), r"expected integer labels; got values of dtype datetime64\[D\]"),
        (np.array([0, 1j]), "expected integer labels; got values of dtype complex128"),
        (np.eye(5)[:2], r"got shape \(2, 5\)\. These look like one-hot rows"),
        (np.eye(3, dtype=bool)[:2], r"got shape \(2, 3\)\. These look like one-hot rows"),
        (np.array([[0, 1]]), r"got shape \(1, 2\)\. Use y\[0\]\."),
    ],
)
def test_what_is_wrong_with_labels_is_named_with_its_cure(y, message):
    with pytest.raises(ValueError, match=message):
        losses.SparseCategoricalCrossentropy()(y, [ROW] * 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["cat", "dog"], "These look like labels: use the loss sparse_categorical_crossentropy"),
        (objects(0, 1), "These look like labels"),
        (np.array([[1, 0, 0], [0, None, 1]], object), r"got None at index \(1, 1\). It is missing"),
    ],
)
def test_what_is_wrong_with_rows_is_named_too(y, message):
    with pytest.raises(ValueError, match=message):
        losses.CategoricalCrossentropy()(y, [ROW] * 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"one-hot rows of shape \(2, 3\); got shape \(2,\)\. These look like labels: use the loss sparse_"),
        ([[0], [1]], "These look like labels"),
        ([[1, 0, 0]], r"got shape \(1, 3\)$"),
        ([[1, 0, 0], [0, -0.5, 1.5]], r"must not be negative; got -0\.5 at index \(1, 1\)"),
        ([[1, 0, 0], [0, 0.5, 0.6]], r"row 1 sums to 1\.1\. Divide every row by its sum"),
        ([[1, 0, 0], [0, 0, 0]], r"row 1 sums to 0$"),
        ([[1, 0, 0], [0, np.nan, 1]], r"targets must be finite; got nan at index \(1, 1\)"),
        ([[1, 0, 0], [0, 1j, 1]], "real numbers; got values of dtype complex128"),
    ],
)
def test_rows_that_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        losses.CategoricalCrossentropy()(y, [ROW] * 2)


def test_rows_that_sum_to_one_nearly():
    """Probabilities in single precision, or rounded to four places, are accepted."""
    assert losses.CategoricalCrossentropy()([[0.3333, 0.3333, 0.3333]], [ROW]) > 0


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, 2.0], r"the shape of the predictions, \(2, 1\); got shape \(2,\)\. Perhaps y\.reshape\(2, 1\) is meant"),
        ([[1.0]], r"got shape \(1, 1\)$"),
        (3.0, r"got shape \(\)$"),
        ([[1.0], [np.inf]], r"got inf at index \(1, 0\)"),
    ],
)
def test_numbers_that_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        losses.MeanSquaredError()(y, [[1.0], [2.0]])


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_predictions_that_are_images_are_refused(name):
    with pytest.raises(ValueError, match="Add a Flatten or a global pooling layer before the first Dense"):
        losses.get(name)([0], np.zeros((1, 2, 2, 3)))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: losses.CategoricalCrossentropy(label_smoothing=1.1), ValueError, "label_smoothing must be >= 0 and"),
        (lambda: losses.CategoricalCrossentropy(from_logits=1), TypeError, "from_logits must be True or False"),
        (lambda: losses.get("categorical_crossentropi"), ValueError, "did you mean 'categorical_crossentropy'"),
        (lambda: losses.SparseCategoricalCrossentropy()([0], 5), ValueError, "y_pred must hold a prediction for each"),
    ],
)
def test_bad_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# Keras's arguments that every loss has ------------------------------------------------------------------------------


@EVERY_LOSS
def test_name_and_reduction(name):
    cls = losses.LOSSES[name]
    assert (cls().name, cls().reduction, cls(name=None).name) == (name, "sum_over_batch_size", name)
    assert not {"name", "reduction"} & cls().get_config().keys()  # as in files of earlier versions
    loss = cls(name="mine", reduction="mean")
    again = losses.get({"class_name": cls.__name__, "config": loss.get_config()})
    assert (again.name, again.reduction) == ("mine", "mean")
    for reduction in ("sum", "none", None, "mean_with_sample_weight"):
        with pytest.raises(ValueError, match="reduction must be one of 'sum_over_batch_size', 'mean'; got"):
            cls(reduction=reduction)
