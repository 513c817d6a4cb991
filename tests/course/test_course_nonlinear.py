"""What the grader of chapters 7 to 10 takes for right is right, and results that are no arrays are judged."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tinycnn import callbacks
from tinycnn.course import chapters, grading, hunting
from tinycnn.course.chapters import chapter07, chapter09, chapter10
from tinycnn.course.exercise import Case, Result
from tinycnn.course.judging import problem_of_result, same
from tinycnn.course.learner import Answer

ROOT = Path(__file__).parents[2]


def judged(result, got, expected):
    """Return the kind and the text of what is wrong with one result, or nothing."""
    answer = Answer("returned", {"result": got, "arguments": []})
    problem = problem_of_result("f", (result,), Case({}), answer, expected, 1e-9)
    return problem and (problem.kind, problem.text)


@pytest.mark.parametrize("got", [0.5, np.float64(0.5), 0.5 + 1e-12])
def test_a_real_number_is_right_up_to_rounding(got):
    assert judged(Result("the rate", kind="real"), got, 0.5) is None


@pytest.mark.parametrize(
    ("got", "kind", "says"),
    [
        (0.5001, "value", "wrong the rate"),
        (float("nan"), "nan", "returns NaN for the rate"),
        (float("inf"), "value", "wrong the rate"),
        (None, "type", "Is there a return at its end?"),
        (True, "type", "must return one number, the rate, but returns bool True"),
        (np.ones(1), "type", "but returns an array of shape (1,)"),
        ("0.5", "type", "but returns str '0.5'"),
    ],
)
def test_what_is_not_the_right_real_number_is_told(got, kind, says):
    found = judged(Result("the rate", kind="real"), got, 0.5)
    assert found[0] == kind
    assert says in found[1]


def test_a_word_is_one_of_some():
    result = Result("the word", words=("plateau", "learning"))
    assert judged(result, "plateau", "plateau") is None
    assert judged(result, "learning", "plateau")[0] == "value"
    for got in ("Plateau", None, 1, np.ones(2)):
        kind, text = judged(result, got, "plateau")
        assert kind == "type"
        assert "one of the words 'plateau', 'learning', but returns" in text


def test_results_that_are_alike_are_found():
    assert same("a", "a")
    assert not same("a", "b")
    assert not same("a", 1.0)
    assert same((1.0, np.ones(2)), [1.0, np.ones(2)])
    assert not same((1.0, np.ones(2)), (1.0, np.ones(3)))
    assert same(None, None)
    assert same([1.0, None], [1.0, None])
    assert not same(None, 1.0)
    assert not same(1.0, None)


@pytest.mark.parametrize(
    ("old", "returned"), [("return result", "None"), ("return result", "{}"), ("return result", "[1]")]
)
def test_the_same_wrong_thing_twice_is_no_memory(old, returned, tmp_path):
    source = (ROOT / "tinycnn" / "course" / "solutions" / "chapter10.py").read_text("utf-8")
    path = tmp_path / "chapter10.py"
    path.write_text(source.replace(old, f"return {returned}"), "utf-8")
    chapter = chapters.chapter("chapter10")
    [outcome] = grading.grade(chapter._replace(exercises=(chapter10.SMOOTHED,)), path).outcomes
    assert "must return an array (E,) = " in outcome.lines[0]
    assert not any("Called again" in line for line in outcome.lines)


def test_the_size_of_a_case_counts_no_nan():
    assert Case({"curve": np.array([1.0, np.nan, np.inf])}).size == (3, 1)


# Hunts with numbers that are not whole ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({3: 1}, ""),
        ({3: "1"}, "epsilon must be a finite number"),
        ({3: float("nan")}, "epsilon must be a finite number"),
        ({3: -1.0}, "do not fit each other: epsilon must be positive"),
        ({2: np.ones(2)}, "do not fit each other: dy and x must have one shape"),
        ({0: np.zeros((1, 1, 2, 1))}, "so they are no counterexample"),
    ],
)
def test_a_counterexample_may_hold_real_numbers(change, says):
    given = [np.array([1.0, 0.0]).reshape(1, 1, 2, 1), np.array([1.0, 3.0]).reshape(1, 1, 2, 1), np.ones(1), 1.0]
    for place, value in change.items():
        given[place] = value

    class Given:
        def call(self, name):
            return Answer("returned", {"result": tuple(given)})

    lines, _ = hunting.lines_of(chapter07.COUNTEREXAMPLE, Given(), [])
    assert (says in "".join(lines)) if says else not lines


# What is taken for right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chapter07", "chapter08", "chapter09", "chapter10"])
def test_the_hard_cases_are_all_tried_and_no_right_result_is_nan(name):
    for exercise in chapters.chapter(name).exercises[:-1]:
        seen = []
        for case in exercise.phases[0].cases:
            right = exercise.right(**case.arguments)
            for one in right if isinstance(right, tuple) else (right,):
                assert isinstance(one, str) or np.isfinite(one).all(), (exercise.name, case)
            seen.append(case)
        assert len(seen) >= 4
        assert all(
            sum(value.size for value in case.arguments.values() if isinstance(value, np.ndarray)) < 60 for case in seen
        )


def test_the_drawn_curves_have_the_answer_that_they_were_drawn_for():
    for loss, val_loss, word in chapter10.DRAWN:
        assert chapter10.right_diagnosis(loss, val_loss) == word
    for word in chapter10.WORDS:
        for epochs in range(6, 13):
            for seed in range(30):
                loss, val_loss = chapter10.drawn_curves(word, epochs, np.random.default_rng(seed))
                assert chapter10.right_diagnosis(loss, val_loss) == word


def test_early_stopping_is_that_of_the_engine():
    class Model:
        stop_training = False

    rng = np.random.default_rng(0)
    for _ in range(300):
        curve = rng.integers(1, 6, rng.integers(1, 12)).astype(float)
        curve[1:][rng.random(len(curve) - 1) < 0.2] = np.nan
        patience = int(rng.integers(1, 4))
        stopper = callbacks.EarlyStopping(patience=patience, mode="min")
        stopper.model = model = Model()
        stopper.on_train_begin({})
        for epoch, loss in enumerate(curve):
            stopper.on_epoch_end(epoch, {"val_loss": loss})
            if model.stop_training:
                break
        assert chapter10.right_stop(curve, patience) == epoch
        assert chapter10.right_best(curve[: epoch + 1]) == stopper.best_epoch


def test_the_decay_is_that_of_the_engine():
    import tinycnn
    from tinycnn import layers, optimizers

    model = tinycnn.Sequential([layers.Input((3,)), layers.Dense(1, use_bias=False)])
    model.compile(optimizers.AdamW(0.5, weight_decay=0.25), "mse")
    before = model.get_weights()[0].astype(np.float64).ravel()
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    model.fit(x, np.array([[3.0]], np.float32), epochs=1, verbose=0)
    dw = 2 * (x.astype(np.float64)[0] @ before - 3.0) * x[0]
    zero = np.zeros(3)
    call = {"dw": dw, "m": zero, "v": zero, "step": 1, "rate": 0.5, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    w, _, _ = chapter09.right_adamw(before, 0.25, **call)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), w, rtol=1e-5)


def test_the_page_on_curves_shows_what_was_recorded():
    text = (ROOT / "docs" / "course" / "10-curves.md").read_text("utf-8")
    record = json.loads((ROOT / "results" / "fashion_base-seed0.json").read_text("utf-8"))
    for name in ("loss", "val_loss"):
        shown = [
            float(number)
            for row in re.findall(rf"^{name} \+?= \[(.*)\]$", text, re.MULTILINE)
            for number in row.split(",")
        ]
        np.testing.assert_allclose(shown, record[name], atol=0.0006)
    large = json.loads((ROOT / "results" / "vanilla_large-seed0.json").read_text("utf-8"))
    assert large["val_loss"][1] > large["val_loss"][0]


def test_a_wrong_word_is_told_with_both_curves(tmp_path):
    source = (ROOT / "tinycnn" / "course" / "solutions" / "chapter10.py").read_text("utf-8")
    path = tmp_path / "chapter10.py"
    path.write_text(source.replace('return "overfitting"', 'return "plateau"'), "utf-8")
    chapter = chapters.chapter("chapter10")
    [outcome] = grading.grade(chapter._replace(exercises=(chapter10.DIAGNOSIS,)), path).outcomes
    assert outcome.lines[0] == "diagnosis(loss, val_loss) returns 'plateau'; 'overfitting' is right."
    assert outcome.lines[1].startswith("loss, of shape (6,), is [6, 4,")
    assert outcome.lines[2].startswith("val_loss, of shape (6,), is [6, 5,")


# Other ways to write it ---------------------------------------------------------------------------------------------

OTHER_WAYS = {
    "chapter07": """
import numpy as np

def batchnorm_forward(x, gamma, beta, epsilon):
    flat = x.reshape(-1, x.shape[-1])
    mean, variance = flat.mean(0), flat.var(0)
    return (x - mean) * (gamma / (variance + epsilon) ** 0.5) + beta, mean, variance

def batchnorm_layer(x, gamma, beta, moving_mean, moving_variance, momentum, epsilon, training):
    if training:
        y, mean, variance = batchnorm_forward(x, gamma, beta, epsilon)
        moving_mean = moving_mean + (1 - momentum) * (mean - moving_mean)
        moving_variance = moving_variance + (1 - momentum) * (variance - moving_variance)
    else:
        y = gamma * (x - moving_mean) / (moving_variance + epsilon) ** 0.5 + beta
    return [y, moving_mean, moving_variance]

def batchnorm_dgamma_dbeta(dy, x, mean, variance, epsilon):
    dgamma, dbeta = np.zeros(x.shape[3]), np.zeros(x.shape[3])
    for n in range(len(x)):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                dgamma += dy[n, i, j] * (x[n, i, j] - mean) / np.sqrt(variance + epsilon)
                dbeta += dy[n, i, j]
    return dgamma, dbeta

def batchnorm_dx(dy, x, gamma, mean, variance, epsilon):
    # Step by step, as algorithm 1 of the paper has it backwards.
    M, std = x[..., 0].size, np.sqrt(variance + epsilon)
    dxhat = dy * gamma
    dvariance = (dxhat * (x - mean)).sum((0, 1, 2)) * -0.5 / std**3
    dmean = -dxhat.sum((0, 1, 2)) / std + dvariance * (-2 * (x - mean)).sum((0, 1, 2)) / M
    return dxhat / std + dvariance * 2 * (x - mean) / M + dmean / M
""",
    "chapter08": """
import itertools
import numpy as np

def draw_numbers(seed, step, shape):
    return np.random.default_rng((seed, step)).uniform(size=shape)

def dropout_forward(x, u, rate, training):
    mask = np.where(u < rate, 0.0, 1 / (1 - rate)) if training else np.ones(x.shape)
    return x * mask, mask

def dropout_backward(dy, mask):
    return np.where(mask == 0, 0.0, dy * mask)

def channel_dropout(x, u, rate):
    y = x / (1 - rate)
    for n in range(x.shape[0]):
        for c in range(x.shape[3]):
            if u[n, c] < rate:
                y[n, :, :, c] = 0
    return y

def average_output(x, w, rate):
    total = 0
    for mask in itertools.product([0, 1], repeat=len(x)):
        k = sum(mask)
        total += (1 - rate) ** k * rate ** (len(x) - k) * max(0, np.dot(mask, x * w) / (1 - rate))
    return total
""",
    "chapter09": """
import numpy as np

def sgd_momentum(w, dw, v, rate, momentum):
    v = v.copy()
    v *= momentum
    v -= rate * dw
    return w + v, v

def adam(w, dw, m, v, step, rate, beta_1, beta_2, epsilon):
    m, v = m + (1 - beta_1) * (dw - m), v + (1 - beta_2) * (dw * dw - v)
    mhat, vhat = m / (1 - beta_1**step), v / (1 - beta_2**step)
    return w - rate * mhat / (np.sqrt(vhat) + epsilon / np.sqrt(1 - beta_2**step)), m, v

def adamw(w, dw, m, v, step, rate, decay, beta_1, beta_2, epsilon):
    return adam(w - rate * decay * w, dw, m, v, step, rate, beta_1, beta_2, epsilon)

def cosine_rate(step, rate, warmup_steps, decay_steps):
    if step < warmup_steps:
        return np.linspace(0, rate, warmup_steps + 1)[step]
    if step >= warmup_steps + decay_steps:
        return 0
    return rate * np.cos(np.pi * (step - warmup_steps) / decay_steps / 2) ** 2
""",
    "chapter10": """
import math
import numpy as np

def smoothed(curve, weight):
    result = []
    for e in range(len(curve)):
        shares = [weight ** (e - k) for k in range(e + 1)]
        result.append(sum(share * number for share, number in zip(shares, curve)) / sum(shares))
    return np.array(result)

def best_epoch(val_loss):
    best = 0
    for e in range(1, len(val_loss)):
        if val_loss[e] < val_loss[best] or math.isnan(val_loss[best]):
            best = e
    return best

def stopping_epoch(val_loss, patience):
    best = 0
    for e, number in enumerate(val_loss):
        if number < val_loss[best]:
            best = e
        if e - best >= patience:
            break
    return e

def diagnosis(loss, val_loss):
    rises = sum(after > before for before, after in zip(loss, loss[1:]))
    best = list(val_loss).index(min(val_loss))
    if any(math.isnan(number) or math.isinf(number) for number in loss) or rises / (len(loss) - 1) > 1 / 3:
        return "rate too high"
    if val_loss[-1] / val_loss[best] > 1.1 and loss[best] > loss[-1]:
        return "overfitting"
    earlier = loss[len(loss) - 1 - len(loss) // 3]
    return "plateau" if loss[-1] / earlier > 0.99 else "learning"

def steepest_rate(rates, losses):
    best, lowest = rates[0], math.inf
    for s in range(len(rates) - 1):
        if not math.isfinite(losses[s + 1]):
            break
        slope = (losses[s + 1] - losses[s]) / math.log10(rates[s + 1] / rates[s])
        if slope < lowest:
            best, lowest = rates[s], slope
    return best
""",
}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_a_right_function_may_be_written_in_another_way(name, tmp_path):
    path = tmp_path / f"{name}.py"
    path.write_text(OTHER_WAYS[name], "utf-8")
    report = grading.grade(chapters.chapter(name), path)
    failed = [(outcome.name, outcome.lines) for outcome in report.outcomes[:-1] if not outcome.passed]
    assert not failed
