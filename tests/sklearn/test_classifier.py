"""The classifier does what scikit-learn expects of one, on images and on rows of pixels."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers import cores

pytest.importorskip("sklearn.base", reason='needs pip install -e ".[sklearn]"')

from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tinycnn
from tinycnn import Sequential, callbacks, layers, optimizers
from tinycnn.sklearn import CNNClassifier

#: Why a check of scikit-learn is expected to fail.
MINIBATCHES = "a minibatch of repeated samples is not one of samples with weights: each batch takes a step of its own"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": MINIBATCHES,
}


def dense(input_shape, classes):
    """Return a network that takes samples of any shape."""
    return with_hidden(16, classes)


def with_hidden(units, classes):
    hidden, last = layers.Dense(units, activation="relu"), layers.Dense(classes, activation="softmax")
    return Sequential([layers.Flatten(), hidden, last])


def convolution(input_shape, classes):
    return Sequential(
        [
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(momentum=0.8),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def small(model=convolution, **settings):
    return CNNClassifier(model, **{"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "random_state": 0} | settings)


class OfAnyShape:
    """The function above as an object whose name is the same in every process that runs these tests."""

    def __call__(self, input_shape, classes):
        return dense(input_shape, classes)

    def __repr__(self):
        return "OfAnyShape()"


@parametrize_with_checks(
    [CNNClassifier(OfAnyShape(), epochs=40, batch_size=16, learning_rate=0.02, random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_what_scikit_learn_checks(estimator, check):
    check(estimator)


def logits(input_shape, classes):
    return Sequential([layers.Flatten(), layers.Dense(classes)])


@pytest.fixture(scope="module")
def digits():
    """Return bytes (N, 8, 8) of the digits 0 to 2, and their labels."""
    x, y = load_digits(n_class=3, return_X_y=True)
    return np.rint(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), y


# Data ------------------------------------------------------------------------------------------------------------


def test_images_and_rows_are_the_same_data(digits):
    x, y = digits
    scaled = np.divide(x, 255, dtype=np.float32)
    first = small().fit(x, y)
    assert first.score(x, y) > 0.97
    assert (first.n_features_in_, first.input_shape_) == (64, (8, 8, 1))
    expected = first.predict_proba(x)
    for other in (x[..., None], x.reshape(-1, 64), scaled, scaled[..., None], scaled.reshape(-1, 64)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(small().fit(other, y).predict_proba(other), expected)
            np.testing.assert_array_equal(first.predict_proba(other), expected)
    np.testing.assert_array_equal(first.predict_proba(scaled.tolist()), expected)


def test_rows_in_colour_need_their_shape():
    rng = np.random.default_rng(0)
    x = rng.random((30, 6, 5, 3), np.float32)
    y = (x[..., 0].mean(axis=(1, 2)) > 0.5).astype(int)
    by_images = small().fit(x, y)
    by_rows = small(image_shape=(6, 5, 3)).fit(x.reshape(30, 90), y)
    assert by_rows.input_shape_ == (6, 5, 3)
    np.testing.assert_array_equal(by_images.predict_proba(x), by_rows.predict_proba(x.reshape(30, 90)))
    np.testing.assert_array_equal(by_images.predict_proba(x), by_rows.predict_proba(x))
    with pytest.raises(ValueError, match=r"give image_shape=\(H, W, C\)"):
        small().fit(x.reshape(30, 90), y)
    with pytest.raises(ValueError, match=r"ladder_03 takes images, but X has 90 features.*image_shape"):
        small("ladder_03").fit(x.reshape(30, 90), y)
    assert small(dense).fit(x.reshape(30, 90), y).input_shape_ == (90,)


@pytest.mark.parametrize(
    ("image_shape", "kind", "text"),
    [
        ((4, 16), ValueError, r"X holds images of the shape \(8, 8, 1\); leave image_shape out"),
        ((64,), ValueError, r"image_shape must be \(H, W\) or"),
        ("8x8", TypeError, "image_shape must be a tuple"),
        ((8, 0), ValueError, "image_shape"),
    ],
)
def test_shapes_that_are_wrong(digits, image_shape, kind, text):
    x, y = digits
    with pytest.raises(kind, match=text):
        small(image_shape=image_shape).fit(x, y)
    with pytest.raises(ValueError, match=r"image_shape=\(8, 9, 1\) has 72 pixels and channels, but X has 64"):
        small(image_shape=(8, 9)).fit(x.reshape(-1, 64), y)


def test_images_of_another_shape_are_refused(digits):
    x, y = digits
    network = small().fit(x, y)
    for other in (x.reshape(-1, 4, 16), x.reshape(-1, 16, 4, 1)):
        with pytest.raises(ValueError, match="this classifier was trained on"):
            network.predict(other)
    with pytest.raises(ValueError, match="X has 63 features, but CNNClassifier is expecting 64"):
        network.predict(x.reshape(-1, 64)[:, 1:])
    with pytest.raises(ValueError, match=r"\(N, H, W\) or \(N, H, W, C\)"):
        small().fit(x[None, ..., None], y)
    with pytest.raises(NotFittedError):
        small().predict(x)


def test_a_network_that_divides_by_255_itself_gets_bytes(digits):
    x, y = digits
    network = small(lambda shape, classes: Sequential([layers.Rescaling(1 / 255), *dense(shape, classes).layers]))
    assert network.fit(x, y).score(x, y) > 0.95
    plain = small(dense).fit(x, y)
    np.testing.assert_allclose(network.predict_proba(x), plain.predict_proba(x), atol=0.2)


@pytest.mark.parametrize("kind", [int, "float32"])
def test_bytes_and_numbers_on_the_scale_of_bytes_are_not_mixed(digits, kind):
    x, y = digits
    assert x.dtype == np.uint8
    network = small(dense, epochs=1).fit(x, y)
    before = network.predict_proba(x)
    for action in (network.predict, network.predict_proba, lambda x: network.partial_fit(x, y)):
        with pytest.raises(ValueError, match=r"numbers up to \d+ of the dtype .*trained on bytes"):
            action(x.astype(kind))
    np.testing.assert_array_equal(network.predict_proba(x), before)
    np.testing.assert_allclose(network.predict_proba(x / 255), before, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the numbers are large
        network = small(dense, epochs=1).fit(x.astype(kind), y)
    with pytest.raises(ValueError, match="X holds bytes, which are divided by 255, but"):
        pickle.loads(pickle.dumps(network)).predict(x)  # noqa: S301
    network = small(dense, epochs=1).fit(x / 255, y)
    np.testing.assert_allclose(network.predict_proba(x), network.predict_proba(x / 255), atol=1e-6)


def test_a_network_that_divides_by_255_itself_takes_one_scale_in_all_dtypes(digits):
    x, y = digits
    network = small(lambda shape, classes: Sequential([layers.Rescaling(1 / 255), *dense(shape, classes).layers]))
    expected = network.fit(x, y).predict_proba(x)
    for kind in (int, "float32"):
        np.testing.assert_allclose(network.predict_proba(x.astype(kind)), expected, atol=1e-6)


# Networks --------------------------------------------------------------------------------------------------------


def test_documented_networks_adapt(digits):
    x, y = digits
    network = small("ladder_03", epochs=3).fit(x, y)
    assert network.model_.name == "ladder_03"
    assert network.model_.output_shape == (3,)
    assert network.score(x, y) > 0.95
    with pytest.raises(ValueError, match=r"ladder_09 cannot take images of 8x8x1.*28x28"):
        small("ladder_09").fit(x, y)
    with pytest.raises(ValueError, match=r"^model: unknown model 'ladder_3'; did you mean 'ladder_03'"):
        small("ladder_3").fit(x, y)


def test_a_sequential_is_copied_and_made_anew(digits):
    x, y = digits
    plain = convolution(None, 3)
    built = Sequential([layers.Input((8, 8, 1)), *convolution(None, 3).layers])
    built.compile("sgd", "sparse_categorical_crossentropy")
    before = built.get_weights()
    expected = small().fit(x, y).predict_proba(x)
    for model in (plain, built):
        estimator = small(model)
        np.testing.assert_array_equal(estimator.fit(x, y).predict_proba(x), expected)
        np.testing.assert_array_equal(clone(estimator).fit(x, y).predict_proba(x), expected)
        assert estimator.model is model
    assert not plain.built
    for a, b in zip(before, built.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="is built for samples of the shape"):
        small(built).fit(x.reshape(-1, 4, 16), y)


def test_a_network_without_softmax_is_trained_on_logits(digits):
    x, y = digits

    network = small(logits, epochs=3).fit(x, y)
    p = network.predict_proba(x)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    assert network.history_["loss"][-1] < 0.2
    loaded = pickle.loads(pickle.dumps(network))  # noqa: S301
    # One image at a time: whether results are logits is not guessed from them.
    np.testing.assert_array_equal(np.concatenate([loaded.predict_proba(x[i : i + 1]) for i in range(20)]), p[:20])

    def softmax(shape, classes):
        return Sequential([layers.Flatten(), layers.Dense(classes, activation="softmax")])

    def never_negative(shape, classes):
        return Sequential([layers.Flatten(), layers.Dense(classes, activation="relu")])

    np.testing.assert_allclose(small(never_negative).fit(x, y).predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    same = small(softmax, epochs=3).fit(x, y)
    np.testing.assert_allclose(same.predict_proba(x), p, atol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_two_classes_may_have_one_output(digits, activation):
    x, y = digits
    x, y = x[y < 2], np.array(["no", "yes"])[y[y < 2]]

    def single(shape, classes):
        return Sequential([layers.Flatten(), layers.Dense(1, activation=activation)])

    network = small(single, early_stopping=True).fit(x, y)
    assert network.score(x, y) > 0.97
    p = network.predict_proba(x)
    assert p.shape == (len(x), 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert log_loss(y, p) < 0.2
    assert network.history_["val_accuracy"][-1] > 0.9
    x, y = digits
    with pytest.raises(ValueError, match=r"shape \(1,\), but y has 3 classes"):
        small(single).fit(x, y)


def test_a_softmax_of_one_number_is_refused(digits):
    x, y = digits
    model = Sequential([layers.Flatten(), layers.Dense(1, activation="softmax")])
    with pytest.raises(ValueError, match="softmax of a single number, which is always 1"):
        small(model).fit(x[y < 2], y[y < 2])


@pytest.mark.parametrize(
    ("model", "kind", "text"),
    [
        (3, TypeError, "model must be the name of a documented network, a Sequential, or a function"),
        (Sequential, TypeError, "model must be"),
        (lambda: None, TypeError, "does not take these two arguments"),
        (lambda shape, classes: None, TypeError, "returned None"),
        (Sequential(), ValueError, "has no layers"),
        (lambda shape, classes: dense(shape, 4), ValueError, r"gives results of the shape \(4,\), but y has 3 classes"),
        (lambda shape, classes: Sequential([layers.Conv2D(2, 9)]), ValueError, "cannot take samples of the shape"),
    ],
)
def test_what_is_no_network(digits, model, kind, text):
    x, y = digits
    with pytest.raises(kind, match=text):
        small(model).fit(x, y)


# Training --------------------------------------------------------------------------------------------------------


def test_labels_of_any_kind(digits):
    x, y = digits
    expected = small().fit(x, y)
    names = np.array(["nought", "one", "two"])
    for labels in (names[y], names.astype(object)[y], y * 10 - 7, y.astype(float)):
        network = small().fit(x, labels)
        np.testing.assert_array_equal(network.classes_, np.unique(labels))
        np.testing.assert_array_equal(network.predict(x), network.classes_[expected.predict(x)])
        assert network.score(x, labels) == expected.score(x, y)
    with pytest.raises(ValueError, match="one class only"):
        small().fit(x, np.zeros(len(x)))


def test_the_seed_decides_everything(digits):
    x, y = digits
    a, b, c = (small(random_state=seed).fit(x, y).predict_proba(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    np.random.seed(5)  # noqa: NPY002  (this is what scikit-learn means by None)
    a = small(random_state=None).fit(x, y).predict_proba(x)
    np.random.seed(5)  # noqa: NPY002
    np.testing.assert_array_equal(a, small(random_state=None).fit(x, y).predict_proba(x))
    shared = np.random.RandomState(3)
    a, b = (small(random_state=shared).fit(x, y).predict_proba(x) for _ in range(2))
    assert (a != b).any()


def test_weights_of_samples_and_classes(digits):
    x, y = digits
    one = small(class_weight={0: 1, 1: 50, 2: 1}).fit(x, y)
    other = small().fit(x, y, sample_weight=np.where(y == 1, 50.0, 1.0))
    np.testing.assert_array_equal(one.predict_proba(x), other.predict_proba(x))
    assert (one.predict_proba(x) != small().fit(x, y).predict_proba(x)).any()
    few = np.flatnonzero((y != 2) | (np.arange(len(y)) % 40 == 0))
    counts = np.bincount(y[few])
    balanced = small(class_weight="balanced").fit(x[few], y[few])
    by_hand = small(class_weight={k: len(few) / (3 * n) for k, n in enumerate(counts)}).fit(x[few], y[few])
    np.testing.assert_array_equal(balanced.predict_proba(x), by_hand.predict_proba(x))
    for weights, text in ((np.zeros(len(x)), "zero"), (-np.ones(len(x)), "negative")):
        with pytest.raises(ValueError, match=text):
            small().fit(x, y, sample_weight=weights)


def test_early_stopping_goes_back_to_the_best_weights(digits):
    x, y = digits
    network = small(epochs=40, early_stopping=True, n_iter_no_change=2, validation_fraction=0.2).fit(x, y)
    seen = network.history_["val_accuracy"]
    assert network.n_iter_ == len(seen) < 40
    assert max(seen) == seen[-3]
    shorter = small(epochs=len(seen) - 2, early_stopping=True, validation_fraction=0.2).fit(x, y)
    np.testing.assert_array_equal(network.predict_proba(x), shorter.predict_proba(x))
    with pytest.raises(ValueError, match="validation_fraction"):
        small(early_stopping=True, validation_fraction=1.0).fit(x, y)


def test_partial_fit_and_warm_start_go_on(digits):
    x, y = digits
    whole = small(epochs=3).fit(x, y)
    parts = small()
    parts.partial_fit(x, y, classes=[0, 1, 2])
    for _ in range(2):
        parts.partial_fit(x, y)
    np.testing.assert_array_equal(whole.predict_proba(x), parts.predict_proba(x))
    assert parts.n_iter_ == len(parts.history_["loss"]) == 3
    warm = small(epochs=1, warm_start=True)
    for _ in range(3):
        warm.fit(x, y)
    np.testing.assert_array_equal(whole.predict_proba(x), warm.predict_proba(x))
    assert log_loss(y, warm.predict_proba(x)) < log_loss(y, small(epochs=1).fit(x, y).predict_proba(x))


def test_what_partial_fit_refuses(digits):
    x, y = digits
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small().partial_fit(x, y)
    with pytest.raises(ValueError, match="label 2, which is not one of the classes"):
        small().partial_fit(x, y, classes=[0, 1])
    network = small().partial_fit(x[y < 2], y[y < 2], classes=[0, 1, 2])
    assert network.predict_proba(x).shape == (len(x), 3)
    with pytest.raises(ValueError, match="are not those of the first call"):
        network.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="balanced"):
        small(class_weight="balanced").partial_fit(x, y, classes=[0, 1, 2])
    assert small(class_weight={0: 2, 1: 1, 2: 1}).partial_fit(x[y < 2], y[y < 2], classes=[0, 1, 2])


def test_a_fit_that_is_refused_leaves_the_network_before_it(digits):
    x, y = digits
    network, new = small(dense, epochs=1).fit(x, y), small(dense)
    before = network.predict_proba(x)
    refused = [
        (x[:, 2:], np.zeros(len(x)), None, "one class only, 0.0;"),
        (x, y, np.full(len(x), -1.0), "sample_weight"),
        (x[:, 2:], np.append(y[1:], 3), np.zeros(len(x)), "zero|non-zero"),
    ]
    for images, labels, weights, message in refused:
        for estimator in (network, new):
            with pytest.raises(ValueError, match=message):
                estimator.fit(images, labels, sample_weight=weights)
    with pytest.raises(ValueError, match="sample_weight"):
        new.partial_fit(x, y, classes=[0, 1, 2], sample_weight=np.full(len(x), -1.0))
    np.testing.assert_array_equal(network.predict_proba(x), before)
    assert network.n_features_in_ == 64
    with pytest.raises(NotFittedError):
        new.predict(x)


def test_optimizers_and_callbacks_are_copied(digits):
    x, y = digits
    calls = []
    counting = callbacks.LambdaCallback(on_train_begin=lambda logs: calls.append(1))
    optimizer, before = optimizers.SGD(0.1, momentum=0.9), dict(vars(counting))
    network = small(optimizer=optimizer, learning_rate=None, callbacks=[counting])
    a = network.fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(a, network.fit(x, y).predict_proba(x))
    assert optimizer.iterations == 0
    assert vars(counting) == before
    assert len(calls) == 2
    assert small(optimizer=optimizer, learning_rate=0.05).fit(x, y).model_.optimizer.learning_rate == 0.05
    assert network.model_.optimizer.learning_rate == 0.1
    with pytest.raises(ValueError, match="unknown optimizer"):
        small(optimizer="adm").fit(x, y)


def test_a_backend_by_name(digits):
    x, y = digits
    built = Sequential([layers.Input((8, 8, 1)), *dense(None, 3).layers])
    with pytest.raises(ValueError, match="was built on the backend 'cpu'; give a network that is not built"):
        small(built, backend="reference").fit(x, y)
    assert small(backend="reference", epochs=1).fit(x[:50], y[:50]).model_.backend.name == "reference"
    with tinycnn.use_backend("reference"):
        assert small(epochs=1).fit(x[:50], y[:50]).model_.backend.name == "reference"


# With the rest of scikit-learn -----------------------------------------------------------------------------------


def test_a_pickle_holds_the_weights_once(digits):
    x, y = digits
    network = small(wide, epochs=2).fit(x, y)
    size = sum(weight.nbytes for weight in network.model_.get_weights())
    content = pickle.dumps(network)
    assert size > 10**6
    assert len(content) < 1.02 * size
    loaded = pickle.loads(content)  # noqa: S301
    np.testing.assert_array_equal(loaded.predict_proba(x), network.predict_proba(x))
    assert not loaded.model_.compiled
    assert network.model_.compiled, "the original goes on as before"
    assert loaded.partial_fit(x, y).score(x, y) > 0.9
    copied = copy.deepcopy(network)
    copied.partial_fit(x, y)
    np.testing.assert_array_equal(network.predict_proba(x), pickle.loads(content).predict_proba(x))  # noqa: S301


def wide(shape, classes):
    return with_hidden(5000, classes)


def test_a_pipeline_with_data_frames_inside():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    x, y = load_digits(n_class=3, return_X_y=True, as_frame=True)
    scaler = MinMaxScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, small()).fit(x, y)
    assert pipeline.score(x, y) > 0.95
    assert list(pipeline[-1].feature_names_in_) == list(x.columns)
    assert isinstance(scaler.transform(x), pandas.DataFrame)


def test_a_pipeline(digits):
    x, y = digits
    rows = x.reshape(-1, 64).astype(float)
    pipeline = make_pipeline(StandardScaler(), small(dense))
    assert pipeline.fit(rows, y).score(rows, y) > 0.97
    assert clone(pipeline).fit(rows, y).score(rows, y) == pipeline.score(rows, y)


class Threads(BaseEstimator):
    """Tells how many threads kernels run on where it is fitted."""

    def fit(self, X, y):
        from tinycnn.kernels.threads import thread_count

        self.count = thread_count()
        return self

    def score(self, X, y):
        return self.count


@pytest.mark.slow
def test_processes_share_the_cores_and_give_the_same_bits(digits):
    x, y = digits
    assert set(cross_val_score(Threads(), x[..., None], y, cv=2, n_jobs=2)) == {max(1, cores() // 2)}
    grid = {"learning_rate": [0.01, 0.001], "model": [convolution, "ladder_03", convolution(None, 3)]}
    found = [GridSearchCV(small(epochs=2), grid, cv=2, n_jobs=jobs).fit(x[..., None], y) for jobs in (1, 2)]
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(*(search.cv_results_[name] for search in found))
    np.testing.assert_array_equal(*(search.predict_proba(x[..., None]) for search in found))
    assert found[0].best_score_ > 0.9


def test_threads_give_the_same_bits(digits):
    joblib = pytest.importorskip("joblib")
    x, y = digits
    alone = cross_val_score(small(epochs=2), x, y, cv=4, scoring="neg_log_loss")
    with joblib.parallel_config("threading"):
        np.testing.assert_array_equal(
            cross_val_score(small(epochs=2), x, y, cv=4, scoring="neg_log_loss", n_jobs=2), alone
        )


@pytest.mark.parametrize("model", ["ladder_03", convolution, convolution(None, 3)])
def test_a_notebook_shows_it(model):
    assert "CNNClassifier" in small(model)._repr_html_()
    assert "model=" in repr(small(model))


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1; got 0"),
        ({"batch_size": "many"}, TypeError, "batch_size must be an integer"),
        ({"verbose": "yes"}, TypeError, "verbose must be an integer"),
        ({"callbacks": 3}, TypeError, "callbacks must be a list of Callback objects"),
        ({"callbacks": [3]}, TypeError, "callbacks must be Callback objects"),
        ({"warm_start": "no"}, TypeError, "warm_start must be True or False"),
        ({"early_stopping": 1}, TypeError, "early_stopping must be True or False"),
        ({"validation_fraction": 2}, ValueError, "validation_fraction must be"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be"),
        ({"augment": 3}, TypeError, "augment"),
        ({"backend": "gpu"}, ValueError, "gpu"),
        ({"random_state": "x"}, ValueError, "cannot be used to seed"),
    ],
)
def test_parameters_are_checked(digits, settings, kind, text):
    x, y = digits
    with pytest.raises(kind, match=text):
        small(**settings).fit(x, y)


def test_verbose_prints_an_epoch_per_line(digits, capsys):
    x, y = digits
    small(epochs=2).fit(x, y)
    assert capsys.readouterr().out == ""
    small(epochs=2, verbose=True).fit(x, y)
    assert "Epoch 2/2" in capsys.readouterr().out


def test_cross_validation_on_images(digits):
    x, y = digits
    scores = cross_val_score(small(), x[..., None], np.array(["a", "b", "c"])[y], cv=3)
    assert scores.min() > 0.9


def test_the_tags_say_that_images_are_taken():
    from sklearn.utils import get_tags

    tags = get_tags(CNNClassifier())
    assert tags.input_tags.three_d_array
    assert tags.input_tags.two_d_array
    assert tags.estimator_type == "classifier"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("import sys; sys.modules['sklearn'] = None", 'needs scikit-learn: pip install "tinycnn[sklearn]"'),
        ("import sklearn; sklearn.__version__ = '1.5.2'", "needs scikit-learn 1.6 or newer, and 1.5.2 is installed"),
    ],
)
def test_without_scikit_learn_or_with_an_old_one(lines, text):
    code = f"import tinycnn\n{lines}\ntry:\n    tinycnn.sklearn\nexcept ImportError as error:\n    print(error)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert text in done.stdout
