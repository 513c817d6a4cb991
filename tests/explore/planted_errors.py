"""An error in the solution of each exercise that the page can show, and how it is graded and shown."""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from tinycnn.cli import _failing_case
from tinycnn.course import chapters, grading, templates
from tinycnn.course.exercise import Exercise
from tinycnn.course.grading import Outcome


class Planted(NamedTuple):
    """An error: in a solution, ``right`` is replaced by ``wrong``. ``result`` is the result that becomes wrong."""

    chapter: str
    name: str
    right: str
    wrong: str
    result: int = 0


PLANTED = [
    Planted("chapter01", "pad_image", "padded[:, pad : pad + H, pad : pad + W] = x", "padded[:, :H, :W] = x"),
    Planted("chapter01", "conv2d", "rows, columns] @ w[p, q]", "rows, columns] @ w[q % KH, p % KW]"),
    Planted("chapter01", "conv2d", "rows, columns] @ w[p, q]", "rows, columns] @ w[p, q] * 1.000001"),
    Planted("chapter01", "conv2d", "N, H, W, _ = x.shape", "xpad[1:], (N, H, W, _) = 0, x.shape"),
    Planted("chapter02", "im2col", "cols[:, :, :, p, q] = xpad", "cols[:, :, :, q % KH, p % KW] = xpad"),
    Planted("chapter02", "conv2d_im2col", "y = cols @ w.reshape(", "y = cols @ w[::-1, ::-1].reshape("),
    Planted("chapter02", "col2im", "xpad[:, rows, columns] += taps", "xpad[:, rows, columns] = taps"),
    Planted("chapter03", "conv2d_db", "return dy.sum(", "return dy[:1].sum("),
    Planted("chapter03", "conv2d_dw", "dw[p, q] = met.T", "dw[q % KH, p % KW] = met.T"),
    Planted("chapter03", "conv2d_dw", "dw[p, q] = met.T", "dw[p, q] = met.T / len(x)"),
    Planted("chapter03", "conv2d_dx", "dxpad[:, rows, columns] += dy", "dxpad[:, rows, columns] = dy"),
    Planted(
        "chapter03", "conv2d_dx", "return dxpad[:, pad : pad + H", "dxpad[1:] = 0\n    return dxpad[:, pad : pad + H"
    ),
    Planted("chapter04", "max_pool2d", "constant_values=-np.inf", "constant_values=0"),
    Planted("chapter04", "max_pool2d", "argmax[larger] = p * KW + q", "argmax[larger] = q * KH + p", 1),
    Planted("chapter04", "max_pool2d", "rows, columns] > y", "rows, columns] >= y", 1),
    Planted("chapter04", "max_pool2d_dx", "columns] += dy * won", "columns] = dy * won"),
    Planted("chapter04", "window_counts", "np.int64), pad)", "np.int64), pad, constant_values=1)"),
    Planted("chapter04", "average_pool2d", "return y / counts[:, :, None]", "return y / (KH * KW)"),
    Planted("chapter04", "average_pool2d_dx", "astype(dy.dtype)[:, :, None]", "astype(dy.dtype)[:1, :1, None]"),
    Planted("chapter05", "relu", "return np.maximum(x, 0)", "return abs(x)"),
    Planted("chapter05", "relu_dx", "return dy * (y > 0)", "return dy * (y >= 0)"),
    Planted("chapter05", "sigmoid", "np.where(x < 0, e, 1) / (1 + e)", "np.where(x < 0, 1, e) / (1 + e)"),
    Planted("chapter05", "sigmoid", "np.where(x < 0, e, 1) / (1 + e)", "np.exp(x) / (1 + np.exp(x))"),  # NaN
    Planted("chapter05", "sigmoid_dx", "return dy * y * (1 - y)", "return dy * y"),
    Planted("chapter05", "he_normal", "fan_in, _ = fans", "_, fan_in = fans"),
    Planted("chapter05", "glorot_uniform", "return (2 * u - 1) * limit", "return (u - 1) * limit"),
    Planted("chapter06", "softmax", "return e / e.sum(axis=1, keepdims=True)", "return e / e.sum()"),
    Planted("chapter06", "cross_entropy", "return np.log(total) - z", "return np.log(total) + z"),
    Planted("chapter06", "cross_entropy_dlogits", "return dlogits * dlosses[:, None]", "return p * dlosses[:, None]"),
    Planted("chapter06", "cross_entropy_of_shares", "return -(shares * log_p)", "return (shares * log_p)"),
    Planted("chapter06", "softmax_dx", "return y * (dy - mean)", "return y * dy"),
    Planted("chapter07", "batchnorm_forward", "y = gamma * (x - mean) /", "y = beta + gamma * (x - mean) /"),
    Planted("chapter07", "batchnorm_forward", "return y, mean, variance", "return y, mean + 1, variance", 1),
    Planted("chapter07", "batchnorm_forward", "mean = x.mean(axis=(0, 1, 2))", "mean = x.mean(axis=(0, 1, 2)) + 1", 1),
    Planted("chapter07", "batchnorm_forward", "return y, mean, variance", "return y, mean, variance + 1", 2),
    Planted("chapter07", "batchnorm_layer", "gamma * (x - moving_mean)", "gamma * (x + moving_mean)"),
    Planted("chapter07", "batchnorm_layer", "    new_mean = ", "    y = y - mean\n    new_mean = "),
    Planted("chapter07", "batchnorm_layer", "momentum * moving_mean + (1", "momentum * moving_mean + momentum * (1", 1),
    Planted("chapter07", "batchnorm_layer", "return y, new_mean, new_variance", "return y, new_mean, variance", 2),
    Planted("chapter07", "batchnorm_dgamma_dbeta", "return (dy * xhat).sum(", "return (dy * x).sum("),
    Planted("chapter07", "batchnorm_dgamma_dbeta", "2)), dy.sum(", "2)), -dy.sum(", 1),
    Planted("chapter07", "batchnorm_dx", "return gamma / std * (dy - dbeta / M - ", "return gamma / std * (dy - "),
    Planted("chapter08", "dropout_forward", "return x * mask, mask", "return x * (mask > 0), mask"),
    Planted("chapter08", "dropout_forward", "mask = (u >= rate) / (1 - rate)", "mask = (u >= rate) + 0.0", 1),
    Planted("chapter08", "dropout_forward", "return x * mask, mask", "return x * mask, (mask > 0) + 0.0", 1),
    Planted("chapter08", "dropout_backward", "return dy * mask", "return dy * (mask > 0)"),
    Planted("chapter08", "channel_dropout", "keep = (u >= rate)[", "keep = (u < rate)["),
    Planted("chapter09", "sgd_momentum", "return w + v, v", "return w - v, v"),
    Planted("chapter09", "sgd_momentum", "return w + v, v", "return w + v, -v", 1),
    Planted("chapter09", "adam", "return w - a * m /", "return w - rate * m /"),
    Planted("chapter09", "adam", "(np.sqrt(v) + epsilon), m, v", "(np.sqrt(v) + epsilon), -m, v", 1),
    Planted("chapter09", "adam", "    m = beta_1 * m + (1 - beta_1) * dw", "    m = beta_1 * m + dw", 1),
    Planted("chapter09", "adam", "(np.sqrt(v) + epsilon), m, v", "(np.sqrt(v) + epsilon), m, dw**2", 2),
    Planted("chapter09", "adamw", "return new - rate * decay * w, m, v", "return new - rate * decay * new, m, v"),
    Planted("chapter09", "adamw", "decay * w, m, v", "decay * w, m + decay * w, v", 1),
    Planted("chapter09", "adamw", "decay * w, m, v", "decay * w, m, v + decay", 2),
    Planted(
        "chapter09", "adamw", "return new - rate * decay * w, m, v", "return new - rate * decay * w, m, v + decay", 2
    ),
    Planted("chapter10", "smoothed", "result[e] = s / (1 - weight ** (e + 1))", "result[e] = s"),
]


class Graded(NamedTuple):
    """A learner's file with an error, the exercise, and how it ended."""

    path: Path
    exercise: Exercise
    outcome: Outcome

    def numbers(self, module: Any) -> Any:
        """Return the result that is wrong, as a module's function computes it for the smallest case that fails."""
        found = getattr(module, self.exercise.name)(**self.outcome.case.arguments)
        return found[self.outcome.result] if len(self.exercise.results) > 1 else found

    @property
    def right(self) -> Any:
        """The same result as it should be."""
        found = self.exercise.right(**self.outcome.case.arguments)
        return found[self.outcome.result] if len(self.exercise.results) > 1 else found

    def shown(self, path: Path | None = None) -> Any:
        """Return what the page shows of it, as the functions of this or of another file compute it."""
        return _failing_case.shown(path or self.path, self.exercise, self.outcome)


def graded(planted: Planted, folder: Path) -> Graded:
    """Grade one exercise of a file in which an error was planted."""
    source = templates.solution(planted.chapter)
    assert source.count(planted.right) == 1, planted
    path = folder / f"{planted.chapter}.py"
    path.write_text(source.replace(planted.right, planted.wrong), "utf-8")
    chapter = chapters.chapter(planted.chapter)
    [exercise] = [one for one in chapter.exercises if one.name == planted.name]
    with mock.patch.object(grading, "LOOKING", 0.0):  # which mistake it is does not matter here
        [outcome] = grading.grade(chapter._replace(exercises=(exercise,)), path).outcomes
    assert not outcome.passed
    assert outcome.result == planted.result, outcome
    assert outcome.place, outcome
    return Graded(path, exercise, outcome)


def loaded(path: Path) -> Any:
    """Return a learner's module."""
    spec = importlib.util.spec_from_file_location("a_learners", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
