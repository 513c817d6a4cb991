"""Evaluating, predicting and validating on batches of the user's own, and single batches outside of fit."""

import numpy as np
import pytest

import tinycnn
from tinycnn import Sequential, callbacks, layers, losses

X = np.random.default_rng(0).random((50, 4, 4, 1)).astype(np.float32)
Y = np.arange(50) % 3
W = np.random.default_rng(1).uniform(0, 2, 50)
SIZES = (7, 20, 1, 22)


def network(built=True, loss="sparse_categorical_crossentropy"):
    tinycnn.set_seed(2)
    start = [layers.Input((4, 4, 1))] if built else []
    model = Sequential([*start, layers.Conv2D(3, 2, activation="relu"), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", loss, ["accuracy"])
    return model


def batches(weights=False):
    """Return batches of different sizes, which hold all samples in order."""
    parts = [slice(end - size, end) for end, size in zip(np.cumsum(SIZES), SIZES, strict=True)]
    return [(X[part], Y[part], W[part]) if weights else (X[part], Y[part]) for part in parts]


class Again:
    """An iterable that begins anew each time."""

    def __init__(self, found):
        self.found = found

    def __iter__(self):
        return iter(self.found)


class Held(Again):
    """A sequence as Keras has it."""

    def __len__(self):
        return len(self.found)

    def __getitem__(self, index):
        return self.found[index]


KINDS = {"list": list, "generator": iter, "iterable": Again, "sequence": Held}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_KIND
@pytest.mark.parametrize("weights", [False, True])
def test_evaluate_gives_the_bits_of_arrays(kind, weights):
    model = network()
    expected = model.evaluate(X, Y, verbose=0, sample_weight=W if weights else None)
    assert model.evaluate(kind(batches(weights)), verbose=0) == expected


@EVERY_KIND
def test_evaluate_and_predict_some_batches(kind):
    model, first = network(), sum(SIZES[:2])
    assert model.evaluate(kind(batches()), verbose=0, steps=2) == model.evaluate(X[:first], Y[:first], verbose=0)
    if kind is not list:
        assert_same([model.predict(kind(batches()), steps=2)], [model.predict(X[:first])])
    assert_same([model.predict(X, batch_size=10, steps=2)], [model.predict(X[:20])])
    with pytest.raises(ValueError, match=r"^steps is 5, but x has 4 batches; give "):
        model.evaluate(kind(batches()), verbose=0, steps=5)


def test_an_endless_generator():
    def endless():
        while True:
            yield from batches()

    model, source = network(), endless()
    assert model.evaluate(source, verbose=0, steps=4) == model.evaluate(X, Y, verbose=0)
    assert len(model.predict(source, steps=1)) == SIZES[0]  # it goes on where it was left


@pytest.mark.parametrize("found", [lambda b: (x for x, _ in b), lambda b: ((x,) for x, _ in b), iter])
def test_predict_takes_what_a_generator_yields(found):
    model = network()
    assert_same([model.predict(found(batches()))], [model.predict(X)])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda model: model.evaluate([]), ValueError, "x yields no batches; give an iterable that begins anew"),
        (lambda model: model.evaluate(iter([X])), TypeError, r"batch 0 of x: expected \(x, y\) or .*; got array"),
        (lambda model: model.evaluate([(X, Y), (X, Y[:4])]), ValueError, "batch 1 of x: y: expected 50 integer labels"),
        (
            lambda model: model.evaluate([(X, Y)], sample_weight=W),
            ValueError,
            "sample_weight needs arrays, but x holds",
        ),
        (
            lambda model: model.evaluate(X),
            ValueError,
            r"y is missing: evaluate\(x, y\) takes arrays.*got ndarray alone",
        ),
        (lambda model: model.evaluate(5), ValueError, "y is missing.*got int alone"),
        (lambda model: model.predict(iter([])), ValueError, "x yields no batches"),
        (lambda model: model.predict(iter([X[:, :2]])), ValueError, r"batch 0 of x: expected shape \(N, 4, 4, 1\)"),
    ],
)
def test_batches_that_do_not_fit(call, kind, message):
    with pytest.raises(kind, match=message):
        call(network())


# Validation --------------------------------------------------------------------------------------------------------


@EVERY_KIND
@pytest.mark.parametrize("weights", [False, True])
def test_validation_on_batches_is_that_on_arrays(kind, weights):
    ours, theirs = network(), network()
    found = ours.fit(X, Y, verbose=0, validation_data=kind(batches(weights)))
    expected = theirs.fit(X, Y, verbose=0, validation_data=(X, Y, W) if weights else (X, Y))
    assert found.history == expected.history


@EVERY_KIND
def test_validation_steps(kind):
    """A generator goes on from epoch to epoch; everything else begins anew."""
    ours, first = network(), sum(SIZES[:2])
    found = ours.fit(X, Y, epochs=2, verbose=0, validation_data=kind(batches()), validation_steps=2).history
    theirs = network()
    parts = [(X[:first], Y[:first])] * 2 if kind is not iter else [(X[:first], Y[:first]), (X[first:], Y[first:])]
    for epoch, part in enumerate(parts):
        history = theirs.fit(X, Y, epochs=epoch + 1, initial_epoch=epoch, verbose=0, validation_data=part).history
        assert history["val_loss"] == [found["val_loss"][epoch]]


def test_validation_steps_of_arrays():
    ours, theirs, split = network(), network(), network()
    found = ours.fit(X, Y, 8, verbose=0, validation_data=(X, Y, W), validation_steps=2).history
    assert found == theirs.fit(X, Y, 8, verbose=0, validation_data=(X[:16], Y[:16], W[:16])).history
    found = split.fit(X, Y, 8, verbose=0, validation_split=0.5, validation_steps=2).history
    again = network().fit(X[:25], Y[:25], 8, verbose=0, validation_data=(X[25:41], Y[25:41])).history
    assert found == again


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"validation_steps": 2}, ValueError, "validation_steps needs validation_data or validation_split"),
        ({"validation_data": (X, Y), "validation_steps": 0}, ValueError, "validation_steps must be at least 1"),
        (
            {"validation_data": (X, Y), "validation_steps": 3},
            ValueError,
            "validation_steps must be at most 2, the number",
        ),
        (
            {"validation_data": Held(batches()), "validation_steps": 9},
            ValueError,
            "validation_steps is 9, but validation_",
        ),
        (
            {"validation_data": iter(batches()), "epochs": 2},
            ValueError,
            "validation_data is a list_iterator, which is used up after the first epoch; give validation_steps, or",
        ),
        (
            {"validation_data": iter(batches()), "validation_steps": 3, "epochs": 2},
            ValueError,
            "validation_steps is 3, but validation_data has 1 batches; give an iterable that begins anew",
        ),
        ({"validation_data": 5}, TypeError, r"validation_data must be \(x, y\), .* iterable of such batches; got 5"),
        ({"validation_data": [(X, Y[:3])]}, ValueError, "batch 0 of validation_data: y: expected 50 integer labels"),
    ],
)
def test_validation_that_does_not_fit(given, kind, message):
    with pytest.raises(kind, match=message):
        network().fit(X, Y, verbose=0, **given)


def test_a_fit_goes_on_with_the_batches_that_validation_has_not_seen(tmp_path):
    """A generator in a new process begins at its beginning, so what the earlier process was given is skipped."""

    def endless():
        while True:
            yield from batches()

    def fit(model, epochs, *more):
        watch = [callbacks.BackupAndRestore(tmp_path), *more] if model is not whole else []
        return model.fit(
            X, Y, epochs=epochs, verbose=0, validation_data=endless(), validation_steps=3, callbacks=watch
        ).history

    whole = network()
    expected = fit(whole, 3)
    fit(network(), 1)
    assert fit(network(), 3) == expected


# Single batches ----------------------------------------------------------------------------------------------------


def test_weights_of_a_batch():
    table = {0: 0.5, 1: 2.0, 2: 1.0}
    by_class, by_sample, by_fit = network(), network(), network()
    logs = by_class.train_on_batch(X, Y, class_weight=table, sample_weight=W[:, None])
    assert by_sample.train_on_batch(X, Y, W * [table[one] for one in Y]) == logs
    history = by_fit.fit(X, Y, 50, shuffle=False, verbose=0, class_weight=table, sample_weight=W).history
    assert logs == {key: history[key][0] for key in ("loss", "accuracy")}
    for other in (by_sample, by_fit):
        assert_same(by_class.get_weights(), other.get_weights())
    with pytest.raises(ValueError, match="train_on_batch: sample_weight must have shape"):
        by_fit.train_on_batch(X, Y, sample_weight=[1.0])
    with pytest.raises(ValueError, match="class_weight needs a crossentropy"):
        network(loss="mse").train_on_batch(X, np.eye(3)[Y], class_weight=table)


def test_single_batches_without_a_step():
    model = network()
    before = model.get_weights()
    assert model.test_on_batch(X, Y, W) == model.evaluate(X, Y, verbose=0, sample_weight=W, return_dict=True)
    assert model.test_on_batch(X, Y, return_dict=False) == model.evaluate(X, Y, verbose=0)
    assert_same([model.predict_on_batch(X)], [model.predict(X)])
    assert_same(model.get_weights(), before)
    assert model.train_on_batch(X, Y, return_dict=False) == network().evaluate(X, Y, verbose=0)


# Models that are not built -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.predict(iter(batches())),
        lambda model: model.predict(Held(batches())),
        lambda model: model.predict_on_batch(X),
        lambda model: model.evaluate(X, Y, verbose=0),
        lambda model: model.evaluate(batches(), verbose=0),
        lambda model: model.evaluate(iter(batches()), verbose=0),
        lambda model: model.test_on_batch(X, Y)["loss"],
        lambda model: model.train_on_batch(X, Y)["loss"],
        lambda model: model.fit(iter(batches()), verbose=0).history["loss"],
        lambda model: model.fit(batches(), verbose=0).history["loss"],
        lambda model: model.fit(Held(batches()), verbose=0, shuffle=False).history["loss"],
    ],
)
def test_a_model_builds_itself_from_what_it_is_given(use):
    model = network(built=False)
    assert_same([use(model)], [use(network())])
    assert model.input_shape == (4, 4, 1)


def test_building_once_more_for_the_same_shape_changes_nothing():
    model = network()
    before = model.get_weights()
    model.build((4, 4, 1))
    model.build([4, 4, 1])
    assert_same(model.get_weights(), before)
    with pytest.raises(RuntimeError, match=r"is built already, for shape \(4, 4, 1\), not for \(5, 4, 1\); make a new"):
        model.build((5, 4, 1))


# What is not finite ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [lambda y: (X, y), lambda y: ([(X, y)],)], ids=["arrays", "batches"])
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_check_finite_is_about_targets_too(given, call):
    y = np.eye(3)[Y]
    y[3, 1] = np.nan
    model = network(loss=losses.MeanSquaredError())
    with pytest.raises(ValueError, match=r"targets must be finite; got nan at index \(3, 1\)"):
        getattr(model, call)(*given(y), verbose=0)
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", "mse")
    let_through = {"verbose": 0, "check_finite": False}
    if call == "evaluate":
        assert np.isnan(model.evaluate(*given(y), **let_through))
    else:
        history = model.fit(*given(y), **let_through, callbacks=[callbacks.TerminateOnNaN()])
        assert np.isnan(history.history["loss"][-1])
    labels = Y.astype(float)
    labels[0] = np.nan  # no class has such a number
    with pytest.raises(ValueError, match="labels must be whole numbers; got nan"):
        getattr(network(), call)(*given(labels), **let_through)
