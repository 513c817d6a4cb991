"""Mistakes, confusions and exciting images are found as a plain search finds them, once, and can be stopped."""

import threading
import time

import numpy as np
import pytest

from tinycnn import Sequential, layers, metrics
from tinycnn.explore import survey
from tinycnn.explore.pictures import FastAnswers
from tinycnn.explore.session import Data, Session
from tinycnn.explore.tasks import Task, Tasks


class Slow(layers.Layer):
    """A layer of a user's own that waits for each batch."""

    def forward(self, x, *, training=False, step=0, ws=None):
        time.sleep(0.02)
        return x.copy(), ()

    def backward(self, dy, cache, *, ws=None):
        return dy.copy()


class Broken(layers.Layer):
    """A layer of a user's own that fails in prediction."""

    def forward(self, x, *, training=False, step=0, ws=None):
        raise ZeroDivisionError("never mind")

    def backward(self, dy, cache, *, ws=None):
        return dy


def session(*first, count=600, classes=4):
    model = Sequential(
        [
            layers.Input((8, 7, 1)),
            *first,
            layers.Conv2D(5, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((count, 8, 7, 1), np.float32), rng.integers(0, 4, count)
    return Session(model, Data("drawn", tuple("abcd"), x[:50], y[:50], x, y))


def survey_of(found, **settings):
    return survey.Survey(found, FastAnswers(found), **settings)


def result(task):
    assert task.ended.wait(60)
    assert task.error is None
    return task.result


@pytest.fixture(scope="module")
def both():
    found = session()
    asked = survey_of(found)
    return found, result(asked.answers("test")), asked


def test_answers_are_those_of_predict(both):
    found, answers, _ = both
    p = found.model.predict(found.data.x_test)
    y = found.data.y_test
    np.testing.assert_array_equal(answers.predicted, p.argmax(axis=1))
    np.testing.assert_allclose(answers.p_predicted, p.max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(answers.loss.mean(), found.model.evaluate(found.data.x_test, y, verbose=0), rtol=1e-5)


def test_a_network_that_gives_nan_answers_nothing():
    """NumPy's argmax takes NaN for the largest number, so every image would count as the first class."""
    found = session()
    with found.changing_weights() as model:
        model.layers[0].params["kernel"].value[...] = np.nan
    task = survey_of(found).answers("test")
    assert task.ended.wait(60)
    assert "the network gives NaN" in task.error


def test_worst_images(both):
    found, answers, _ = both
    p, y = found.model.predict(found.data.x_test), found.data.y_test
    numbers = survey.worst(answers, "loss", 10)
    assert set(numbers) == set(np.argsort(p[np.arange(len(y)), y])[:10])
    assert (np.diff(answers.loss[numbers]) <= 0).all()
    sure = survey.worst(answers, "sure", 7)
    wrong = p.argmax(axis=1) != y
    assert wrong[sure].all()
    np.testing.assert_allclose(p[sure].max(axis=1), np.sort(p[wrong].max(axis=1))[::-1][:7])
    right = answers._replace(predicted=answers.true)
    assert len(survey.worst(right, "sure", 7)) == 0


def test_confusion_and_the_images_behind_each_cell(both):
    found, answers, _ = both
    counts = survey.confusion(answers, 4)
    np.testing.assert_array_equal(
        counts, metrics.confusion_matrix(found.data.y_test, found.model.predict(found.data.x_test))
    )
    for true, predicted in np.ndindex(4, 4):
        numbers = survey.behind(answers, true, predicted, 1000)
        assert len(numbers) == counts[true, predicted]
        assert (answers.true[numbers] == true).all()
        assert (answers.predicted[numbers] == predicted).all()
        assert (np.diff(answers.p_predicted[numbers]) <= 0).all()


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_exciting_images(both, layer):
    found, _, asked = both
    excited = result(asked.excited("test", layer))
    y = found.model.trace(found.data.x_test)[layer].y
    flat = y.reshape(len(y), -1, y.shape[-1])
    for channel in range(y.shape[-1]):
        strongest = flat[..., channel].max(axis=1)
        order = np.argsort(-strongest, kind="stable")[: survey.MOST_EXCITING]
        np.testing.assert_allclose(excited.value[:, channel], strongest[order], rtol=1e-6)
        for value, image, place in zip(*(array[:, channel] for array in excited), strict=True):
            assert flat[image, place, channel] == pytest.approx(value)
            index, field = survey.seen_at(found.model.layers[: layer + 1], int(place), channel)
            assert y[(image, *index)] == pytest.approx(value)
            row, column, height, width = field
            assert 0 <= row <= row + height <= 8
            assert 0 <= column <= column + width <= 7


def test_the_field_is_where_the_result_comes_from(both):
    """What lies outside the rectangle may change without changing the result; inside it may not."""
    found, _, _ = both
    rng = np.random.default_rng(1)
    x = found.data.x_test[:1]
    for place in range(6):
        index, (row, column, height, width) = survey.seen_at(found.model.layers[:2], place, 2)
        outside = rng.random(x.shape, np.float32)
        outside[:, row : row + height, column : column + width] = x[:, row : row + height, column : column + width]
        first, second = (found.model.trace(one)[1].y[(0, *index)] for one in (x, outside))
        assert first == second
        assert (height, width) == (4, 4)


def test_a_layer_of_a_users_own_may_see_anything():
    class Half(layers.Layer):
        def output_shape(self, input_shape):
            return (input_shape[0] // 2, *input_shape[1:])

        def forward(self, x, *, training=False, step=0, ws=None):
            return np.ascontiguousarray(x[:, : x.shape[1] // 2]), ()

    found = session(Half(), count=20)
    excited = result(survey_of(found).excited("test", 1))
    assert survey.seen_at(found.model.layers[:2], int(excited.place[0, 0]), 0)[1] is None


def test_a_survey_is_made_once_for_each_version_of_the_weights(both):
    found = session(count=40)
    asked = survey_of(found)
    first = asked.answers("test")
    before = result(first)
    assert asked.answers("test") is first
    assert asked.answers("test", again=True) is first
    with found.changing_weights() as model:
        model.set_weights([array + 1 for array in model.get_weights()])
    assert asked.answers("test") is first  # whoever waits for it still gets it
    second = asked.answers("test", again=True)
    assert second is not first
    assert (result(second).p_true != before.p_true).any()
    assert (first.version, second.version) == (1, 2)


def test_a_survey_works_on_the_weights_of_one_moment():
    found = session(Slow(), count=2000)
    asked = survey_of(found)
    before = found.model.predict(found.data.x_test)
    task = asked.answers("test")
    while not task.version:
        time.sleep(0.001)
    with found.changing_weights() as model:
        model.set_weights([array + 1 for array in model.get_weights()])
    np.testing.assert_allclose(result(task).p_predicted, before.max(axis=1), rtol=1e-6)


def test_a_survey_can_be_stopped_and_keeps_what_it_has_found():
    found = session(Slow(), count=5000)
    asked = survey_of(found)
    task = asked.excited("test", 1)
    while not task.done:
        time.sleep(0.001)
    asked.stop()
    excited = result(task)
    assert task.cut == "it was stopped"
    assert 0 < task.done < 5000
    assert excited.image.max() < task.done
    # Asked again, it begins anew.
    again = asked.excited("test", 1, again=True)
    assert again is not task
    asked.stop()
    result(again)


def test_a_survey_ends_after_some_time():
    found = session(Slow(), count=5000)
    task = survey_of(found, seconds=0.05).answers("test")
    answers = result(task)
    assert task.cut == "the limit of 0.05 seconds was reached"
    assert 0 < len(answers.true) == task.done < 5000


def test_an_error_of_a_users_own_layer_is_kept():
    found = session(Broken())
    task = survey_of(found).excited("test", 0)
    assert task.ended.wait(60)
    message, place = task.error.splitlines()
    assert message == "ZeroDivisionError: never mind"
    assert place.startswith("test_survey.py, line ")


def test_results_that_are_not_finite_excite_nobody():
    found = session(count=30)
    with found.changing_weights() as model:
        weights = model.get_weights()
        weights[0][..., 1] = np.nan
        model.set_weights(weights)
    excited = result(survey_of(found).excited("test", 0))
    assert np.isneginf(excited.value[:, 1]).all()
    assert np.isfinite(excited.value[:, [0, 2, 3, 4]]).all()


def test_one_task_works_at_a_time():
    tasks, at_work, most = Tasks(60), [], []

    def work(task):
        at_work.append(task)
        most.append(len(at_work))
        for _ in task.blocks(1):
            time.sleep(0.001)
        at_work.remove(task)

    begun = [tasks.ask(key, 20, work, 1, False) for key in range(5)]
    assert all(task.ended.wait(30) for task in begun)
    assert most == [1] * 5


def test_a_task_that_was_stopped_while_it_waited_does_nothing():
    task = Task(10, 60)
    task.stop()
    seen = []
    task.run(lambda task: seen.extend(task.blocks(1)), threading.Lock())
    assert (seen, task.cut, task.done) == ([], "it was stopped", 0)


def test_what_does_not_exist_is_refused():
    asked = survey_of(session(count=10))
    with pytest.raises(ValueError, match="no set of images 'other'; there are 'test' and 'train'"):
        asked.answers("other")
    with pytest.raises(ValueError, match="layer must be from 0 to 3; got 4"):
        asked.excited("test", 4)
    with pytest.raises(ValueError, match="labels of the test set go from 0 to 3, but the network has 3 classes"):
        survey_of(session(count=10, classes=3)).answers("test")
    without = session(count=10)
    without.data = None
    with pytest.raises(ValueError, match="there are none; start the page with --data"):
        survey_of(without).answers("test")


def test_one_output_stands_for_two_classes():
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).random((20, 4, 4, 1), np.float32)
    y = np.arange(20) % 2
    found = Session(model, Data("drawn", ("no", "yes"), x, y, x, y))
    answers = result(survey_of(found).answers("test"))
    np.testing.assert_array_equal(answers.predicted, model.predict(x)[:, 0] > 0.5)
