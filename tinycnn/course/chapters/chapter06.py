"""Chapter 6: softmax cross-entropy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...core.types import Array
from ...kernels.reference import activation, loss
from ..bugs.chapter06 import broken_cross_entropy
from ..cases import Fill, numbers, phases_with_hard_cases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result

CLASSES = ("N", "K")
SAMPLES = ("N",)


def _labels(*labels: int) -> Array:
    return np.array(labels, np.int64)


def _size(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(1, 3)), draw(st.integers(1, 4))


def _some_labels(draw: st.DrawFn, size: tuple[int, int]) -> Array:
    return _labels(*(draw(st.integers(0, size[1] - 1)) for _ in range(size[0])))


def one_hot(labels: Array, K: int) -> Array:
    """Return rows that are 1 at the label and 0 elsewhere."""
    return np.eye(K)[labels]


# Softmax ------------------------------------------------------------------------------------------------------------


def right_softmax(logits: Array) -> Array:
    """Return softmax by the reference kernel."""
    p: Array = activation.softmax_forward(logits)
    return p


def _over(axis: int | None, largest: int | None) -> Callable[..., Array]:
    """Return the mistake of a sum over another axis, or over all numbers; ``largest`` is that of the maximum."""

    def results(logits: Array) -> Array:
        e = np.exp(logits - logits.max(axis=largest, keepdims=True))
        p: Array = e / e.sum(axis=axis, keepdims=True)
        return p

    return results


def _shifted_by_all(logits: Array) -> Array:
    e = np.exp(logits - logits.max())
    p: Array = e / e.sum(axis=1, keepdims=True)
    return p


SOFTMAX = Exercise(
    name="softmax",
    right=right_softmax,
    results=(Result("p", CLASSES),),
    phases=phases_with_hard_cases(
        [
            {"logits": numbers((0, 0))},
            {"logits": numbers((1, 0))},
            {"logits": numbers((0,))},
            {"logits": numbers((1000, 0))},
            {"logits": numbers((-1000, -1000))},
            {"logits": numbers((0, 1), (2, 3))},
            {"logits": numbers((0, 0), (1000, 1000))},
        ],
        lambda draw, fill: {"logits": fill("logits", _size(draw))},
    ),
    misreadings=(
        Misreading(
            "Does exp overflow for a large logit? Subtract the largest logit of each row first; p stays the same.",
            lambda logits: np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        ),
        *(
            Misreading(
                "Is it a sum over the samples (axis N)? The sum runs over the classes (axis K).", _over(0, largest)
            )
            for largest in (0, 1, None)
        ),
        *(
            Misreading("Is it a sum over all numbers? Each sample (axis N) has a sum of its own.", _over(None, largest))
            for largest in (0, 1, None)
        ),
        Misreading(
            "Is the largest logit of the whole batch subtracted? A row far below it becomes 0 / 0: subtract that of "
            "each row (axis K).",
            _shifted_by_all,
        ),
        Misreading(
            "Is it not divided by the sum? The probabilities of a row add up to 1.",
            lambda logits: np.exp(logits - logits.max(axis=1, keepdims=True)),
        ),
        Misreading(
            "Is it not divided by the sum? The probabilities of a row add up to 1.", lambda logits: np.exp(logits)
        ),
        Misreading("Is it the logarithm of p?", lambda logits: np.log(right_softmax(logits))),
        Misreading(
            "Is exp left out? The logits themselves may be negative.",
            lambda logits: logits / logits.sum(axis=1, keepdims=True),
        ),
        Misreading("Is the sign of the logits wrong?", lambda logits: right_softmax(-logits)),
        Misreading(
            "Is it the sigmoid of each logit? The probabilities of a row add up to 1.",
            lambda logits: activation.sigmoid_forward(logits),
        ),
        Misreading(
            "Is it 1 for the largest logit and 0 for the others?",
            lambda logits: one_hot(logits.argmax(axis=1), logits.shape[1]),
        ),
    ),
    hints=(
        "Softmax stays the same if a number is subtracted from all logits of a row. Which number makes exp safe?",
        "Subtract the largest logit of each row. Then no exponential exceeds 1, and at least one is 1.",
        "e = np.exp(logits - logits.max(axis=1, keepdims=True)); divide e by its sum over axis 1, with keepdims=True.",
    ),
    minutes=20,
)


# Cross-entropy ------------------------------------------------------------------------------------------------------


def right_losses(logits: Array, labels: Array) -> Array:
    """Return the losses by the reference kernel."""
    if labels.shape != logits.shape[:1] or labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError("labels must be one whole number from 0 to K - 1 for each row of logits")
    losses: Array = loss.softmax_cross_entropy_forward(logits, labels)[0]
    return losses


def _batch(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    return {"logits": fill("logits", size), "labels": _some_labels(draw, size)}


def _of_label(array: Array, labels: Array) -> Array:
    """Return the number of each row that belongs to its label."""
    return array[np.arange(len(array)), labels]


def _losses(change: Callable[[Array, Array], Any]) -> Callable[..., Any]:
    """Return a mistake: ``change`` takes the logarithms of p, and the labels."""

    def results(logits: Array, labels: Array) -> Any:
        z = logits - logits.max(axis=1, keepdims=True)
        return change(z - np.log(np.exp(z).sum(axis=1, keepdims=True)), labels)

    return results


def _log_of_p(least: float = 0.0, extra: float = 0.0) -> Callable[..., Array]:
    """Return the mistake of a logarithm of probabilities, which may have become 0."""

    def results(logits: Array, labels: Array) -> Array:
        return -np.log(np.maximum(_of_label(right_softmax(logits), labels), least) + extra)

    return results


_SUM_FIRST = (
    "Is the logarithm taken of a probability that has become 0? Take it of the sum: log(sum of exp(z)) - z[label], "
    "with z the logits minus the largest of their row."
)
_CLIPPED = (
    "Is a small number added to p, or p cut off? Then a badly wrong answer costs too little: take the logarithm of the "
    "sum, and not of p."
)

CROSS_ENTROPY = Exercise(
    name="cross_entropy",
    right=right_losses,
    results=(Result("losses", SAMPLES),),
    phases=phases_with_hard_cases(
        [
            {"logits": numbers((0, 0)), "labels": _labels(0)},
            {"logits": numbers((1, 0)), "labels": _labels(1)},
            {"logits": numbers((0, 0, 2)), "labels": _labels(2)},
            {"logits": numbers((1000, 0)), "labels": _labels(0)},
            {"logits": numbers((1000, 0)), "labels": _labels(1)},
            {"logits": numbers((1, 2), (3, 5)), "labels": _labels(0, 1)},
            {"logits": numbers((-1000, -1001), (1000, 1001)), "labels": _labels(0, 1)},
        ],
        _batch,
    ),
    misreadings=(
        Misreading(_SUM_FIRST, _log_of_p()),
        Misreading(
            "Does exp overflow for a large logit? Subtract the largest logit of each row first.",
            lambda logits, labels: (
                -np.log(_of_label(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels))
            ),
        ),
        Misreading(
            "Does exp overflow for a large logit? Subtract the largest logit of each row first.",
            lambda logits, labels: np.log(np.exp(logits).sum(axis=1)) - _of_label(logits, labels),
        ),
        *(Misreading(_CLIPPED, _log_of_p(extra=10.0**-power)) for power in range(6, 17)),
        *(Misreading(_CLIPPED, _log_of_p(least=10.0**-power)) for power in range(6, 17)),
        Misreading(
            "Is the minus missing? The logarithm of a probability is negative, and a loss is not.",
            _losses(lambda log_p, labels: _of_label(log_p, labels)),
        ),
        Misreading(
            "Is the largest logit subtracted in one of the two terms only? It belongs into both.",
            lambda logits, labels: (
                np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)) - _of_label(logits, labels)
            ),
        ),
        Misreading(
            "Is the logarithm left out? It is -log(p), not 1 - p.",
            _losses(lambda log_p, labels: 1 - _of_label(np.exp(log_p), labels)),
        ),
        Misreading(
            "Is the logarithm left out? It is -log(p), not -p.",
            _losses(lambda log_p, labels: -_of_label(np.exp(log_p), labels)),
        ),
        Misreading(
            "Is the sum over all classes (axis K) taken? Only the class of the label counts.",
            _losses(lambda log_p, labels: -log_p.sum(axis=1)),
        ),
        Misreading(
            "Is the first class taken for every sample? The class of sample n is labels[n].",
            _losses(lambda log_p, labels: -log_p[:, 0]),
        ),
        Misreading(
            "Is the label of the first sample taken for all? The class of sample n is labels[n].",
            _losses(lambda log_p, labels: -log_p[:, labels[0]]),
        ),
        Misreading(
            "Are the labels counted from 1? They begin with 0.",
            _losses(lambda log_p, labels: -_of_label(log_p, labels - 1)),
        ),
        Misreading(
            "Is the class of the largest logit taken? The class of the label counts.",
            _losses(lambda log_p, labels: -log_p.max(axis=1)),
        ),
        Misreading(
            "Are all pairs of samples and labels taken? Index with both: z[np.arange(N), labels].",
            _losses(lambda log_p, labels: -log_p[:, labels]),
        ),
        Misreading(
            "Is it the mean over the batch? One loss for each sample is wanted.",
            _losses(lambda log_p, labels: -_of_label(log_p, labels).mean()),
        ),
        Misreading(
            "Are the losses divided by N? The mean is taken later.",
            _losses(lambda log_p, labels: -_of_label(log_p, labels) / len(labels)),
        ),
        Misreading(
            "Is it the logarithm to base 2?", _losses(lambda log_p, labels: -_of_label(log_p, labels) / np.log(2))
        ),
        Misreading(
            "Is it the logarithm to base 10?", _losses(lambda log_p, labels: -_of_label(log_p, labels) / np.log(10))
        ),
    ),
    hints=(
        "-log(e_t / sum) is log(sum) - log(e_t), and log(e_t) is the logit itself.",
        "Subtract the largest logit of each row first, and call the result z. Then log(sum of exp(z)) is harmless.",
        "z[np.arange(len(z)), labels] takes from each row the number of its label.",
    ),
    minutes=30,
)


# Its gradient -------------------------------------------------------------------------------------------------------


def right_dlogits(dlosses: Array, p: Array, labels: Array) -> Array:
    """Return the gradient with respect to the logits, by the reference kernel."""
    dlogits: Array = loss.softmax_cross_entropy_backward(p, labels, dlosses)
    return dlogits


def _gradients(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    dlosses, p = fill("dlosses", size[:1]), right_softmax(fill("logits", size))
    return {"dlosses": dlosses, "p": p, "labels": _some_labels(draw, size)}


def _dlogits(change: Callable[[Array, Array, Array], Any]) -> Callable[..., Any]:
    """Return a mistake: ``change`` takes dlosses as a column, p, and the one-hot rows of the labels."""
    return lambda dlosses, p, labels: change(dlosses[:, None], p, one_hot(labels, p.shape[1]))


CROSS_ENTROPY_DLOGITS = Exercise(
    name="cross_entropy_dlogits",
    right=right_dlogits,
    results=(Result("dlogits", CLASSES),),
    phases=phases_with_hard_cases(
        [
            {"dlosses": np.array([1.0]), "p": numbers((0.25, 0.75)), "labels": _labels(1)},
            {"dlosses": np.array([1.0]), "p": numbers((0, 1)), "labels": _labels(0)},
            {"dlosses": np.array([0.5]), "p": numbers((0.5, 0.25, 0.25)), "labels": _labels(0)},
            {"dlosses": np.array([2.0, 3.0]), "p": numbers((0.25, 0.75), (0.5, 0.5)), "labels": _labels(0, 1)},
            {"dlosses": np.array([1.0, -2.0]), "p": numbers((0.125, 0.875), (1, 0)), "labels": _labels(1, 0)},
        ],
        _gradients,
    ),
    misreadings=(
        Misreading("Is 1 not subtracted at the label?", _dlogits(lambda d, p, t: p * d)),
        Misreading("Is dlosses left out? Row n is multiplied by dlosses[n].", _dlogits(lambda d, p, t: p - t)),
        Misreading(
            "Is the sign wrong? It is p minus 1, so that a step downhill makes p larger.",
            _dlogits(lambda d, p, t: (t - p) * d),
        ),
        Misreading(
            "Do only the labels get a gradient? The logits of the other classes get p * dlosses.",
            _dlogits(lambda d, p, t: (p - t) * t * d),
        ),
        Misreading("Is 1 subtracted for every class? Only at the label.", _dlogits(lambda d, p, t: (p - 1) * d)),
        Misreading(
            "Is it divided by N too? dlosses says already how much each sample counts.",
            _dlogits(lambda d, p, t: (p - t) * d / len(p)),
        ),
        Misreading(
            "Is it divided by N in place of dlosses? dlosses says how much each sample counts.",
            _dlogits(lambda d, p, t: (p - t) / len(p)),
        ),
        Misreading(
            "Is dlosses multiplied along the classes (axis K)? It belongs to the samples (axis N): dlosses[:, None].",
            _dlogits(lambda d, p, t: (p - t) * d[:, 0]),
        ),
        Misreading(
            "Does the first sample's loss count for all? Row n is multiplied by dlosses[n].",
            _dlogits(lambda d, p, t: (p - t) * d[0]),
        ),
        Misreading(
            "Is 1 subtracted after the product? The whole of p - 1 is multiplied by dlosses.",
            _dlogits(lambda d, p, t: p * d - t),
        ),
        Misreading(
            "Is it the gradient with respect to p, -1 / p, and not to the logits?",
            _dlogits(lambda d, p, t: -d * t / p),
        ),
        Misreading(
            "Is it the product with the slope p * (1 - p)? The logarithm cancels it.",
            _dlogits(lambda d, p, t: (p - t) * p * (1 - p) * d),
        ),
        Misreading(
            "Is only the first sample computed (axis N)?",
            _dlogits(lambda d, p, t: (p - t) * d * (np.arange(len(p)) < 1)[:, None]),
        ),
        Misreading(
            "Are the labels counted from 1? They begin with 0.",
            lambda dlosses, p, labels: right_dlogits(dlosses, p, (labels - 1) % p.shape[1]),
        ),
        *(
            Misreading(
                "Has each sample the label of its neighbour in the batch (axis N)? The class of sample n is labels[n].",
                lambda dlosses, p, labels, by=by: right_dlogits(dlosses, p, np.roll(labels, by)),
            )
            for by in (1, -1)
        ),
        Misreading(
            "Does each column of a label get the 1 subtracted, in all rows? Index with both: [np.arange(N), labels].",
            lambda dlosses, p, labels: (p - one_hot(labels, p.shape[1]).max(axis=0)) * dlosses[:, None],
        ),
    ),
    hints=(
        "For one sample the loss is log(sum of exp(z)) - z[label]. What is the slope of the first term with respect to "
        "z[k]?",
        "It is p[k]. The second term subtracts 1, at the label only. Then each row is multiplied by its dlosses[n].",
        "Work on p.copy(): subtract 1 at [np.arange(len(p)), labels], and multiply by dlosses[:, None].",
    ),
    minutes=25,
)


# Shares in place of labels ------------------------------------------------------------------------------------------


def right_losses_of_shares(logits: Array, shares: Array) -> Array:
    """Return the losses for shares, by the reference kernel."""
    losses: Array = loss.categorical_cross_entropy_forward(logits, shares)[0]
    return losses


def _batch_with_shares(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    logits = fill("logits", size)
    rows = one_hot(_some_labels(draw, size), size[1]) if draw(st.booleans()) else right_softmax(fill("shares", size))
    return {"logits": logits, "shares": rows}


def _of_shares(change: Callable[[Array, Array], Any]) -> Callable[..., Any]:
    """Return a mistake: ``change`` takes the logarithms of p, and the shares."""
    return lambda logits, shares: _losses(change)(logits, shares)


CROSS_ENTROPY_OF_SHARES = Exercise(
    name="cross_entropy_of_shares",
    right=right_losses_of_shares,
    results=(Result("losses", SAMPLES),),
    phases=phases_with_hard_cases(
        [
            {"logits": numbers((1, 0)), "shares": numbers((1, 0))},
            {"logits": numbers((1, 0)), "shares": numbers((0.25, 0.75))},
            {"logits": numbers((0, 0, 3)), "shares": numbers((0.25, 0.25, 0.5))},
            {"logits": numbers((1000, 0)), "shares": numbers((0, 1))},
            {"logits": numbers((1000, 0)), "shares": numbers((1, 0))},
            {"logits": numbers((1, 2), (3, 5)), "shares": numbers((0.5, 0.5), (0, 1))},
        ],
        _batch_with_shares,
    ),
    misreadings=(
        Misreading(
            "Are shares turned into labels? A row may be divided among several classes (axis K), and each counts with "
            "its share.",
            lambda logits, shares: right_losses(logits, shares.argmax(axis=1)),
        ),
        Misreading(
            "Is the minus missing? The logarithm of a probability is negative, and a loss is not.",
            _of_shares(lambda log_p, t: (t * log_p).sum(axis=1)),
        ),
        Misreading(
            "Is it a sum over the samples (axis N)? The sum runs over the classes (axis K).",
            _of_shares(lambda log_p, t: -(t * log_p).sum(axis=0)),
        ),
        Misreading(
            "Is it the mean over the classes (axis K)? It is a sum.",
            _of_shares(lambda log_p, t: -(t * log_p).mean(axis=1)),
        ),
        Misreading(
            "Are the shares left out? Class k counts with its share.", _of_shares(lambda log_p, t: -log_p.sum(axis=1))
        ),
        Misreading(
            "Is the logarithm left out? It is log(p), not p.",
            _of_shares(lambda log_p, t: -(t * np.exp(log_p)).sum(axis=1)),
        ),
        Misreading(
            "Are p and the shares swapped? The logarithm is taken of p.",
            lambda logits, shares: -(right_softmax(logits) * np.log(shares)).sum(axis=1),
        ),
        Misreading(
            "Is the logarithm taken of a probability that has become 0? Compute log(p) as z - log(sum of exp(z)), with "
            "z the logits minus the largest of their row.",
            lambda logits, shares: -(shares * np.log(right_softmax(logits))).sum(axis=1),
        ),
        Misreading(
            "Does exp overflow for a large logit? Subtract the largest logit of each row first.",
            lambda logits, shares: -(shares * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1),
        ),
        *(
            Misreading(
                _CLIPPED,
                lambda logits, shares, extra=10.0**-power: (
                    -(shares * np.log(right_softmax(logits) + extra)).sum(axis=1)
                ),
            )
            for power in range(6, 17)
        ),
        Misreading(
            "Is it the mean over the batch? One loss for each sample is wanted.",
            _of_shares(lambda log_p, t: -(t * log_p).sum(axis=1).mean()),
        ),
        Misreading(
            "Are the losses divided by N? The mean is taken later.",
            _of_shares(lambda log_p, t: -(t * log_p).sum(axis=1) / len(t)),
        ),
        Misreading(
            "Are the logits taken for log(p)? log(p) is z - log(sum of exp(z)).",
            lambda logits, shares: -(shares * logits).sum(axis=1),
        ),
    ),
    hints=(
        "With one-hot rows it must give what cross_entropy gives for the labels.",
        "log(p) of all classes is z - log(sum of exp(z)), with z the logits minus the largest of their row.",
        "-(shares * log_p).sum(axis=1), with keepdims=True in the sum of the exponentials.",
    ),
    minutes=20,
)


# Softmax alone ------------------------------------------------------------------------------------------------------


def right_softmax_dx(dy: Array, y: Array) -> Array:
    """Return the gradient of softmax by the reference kernel."""
    dx: Array = activation.softmax_backward(dy, y)
    return dx


def _gradients_of_softmax(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    size = _size(draw)
    return {"dy": fill("dy", size), "y": right_softmax(fill("logits", size))}


SOFTMAX_DX = Exercise(
    name="softmax_dx",
    right=right_softmax_dx,
    results=(Result("dx", CLASSES),),
    phases=phases_with_hard_cases(
        [
            {"dy": numbers((4, 0)), "y": numbers((0.5, 0.5))},
            {"dy": numbers((3, 3)), "y": numbers((0.25, 0.75))},
            {"dy": numbers((1, 2)), "y": numbers((0, 1))},
            {"dy": numbers((4, 0, 8)), "y": numbers((0.5, 0.25, 0.25))},
            {"dy": numbers((4, 0), (-2, 1)), "y": numbers((0.5, 0.5), (0.25, 0.75))},
        ],
        _gradients_of_softmax,
    ),
    misreadings=(
        Misreading(
            "Is only y * (1 - y) taken, as for a sigmoid? Each logit changes all probabilities of its row (axis K).",
            lambda dy, y: dy * y * (1 - y),
        ),
        Misreading(
            "Is the sum left out? Each logit changes all probabilities of its row (axis K).", lambda dy, y: dy * y
        ),
        Misreading(
            "Is it a sum over the samples (axis N)? The sum runs over the classes (axis K).",
            lambda dy, y: y * (dy - (dy * y).sum(axis=0, keepdims=True)),
        ),
        Misreading(
            "Is it a sum over all numbers? Each sample (axis N) has a sum of its own.",
            lambda dy, y: y * (dy - (dy * y).sum()),
        ),
        Misreading("Is the sum added? It is subtracted.", lambda dy, y: y * (dy + (dy * y).sum(axis=1, keepdims=True))),
        Misreading(
            "Is it the sum of dy, without y? Each dy[n,j] counts with y[n,j].",
            lambda dy, y: y * (dy - dy.sum(axis=1, keepdims=True)),
        ),
        Misreading(
            "Is it the plain mean of dy? Each dy[n,j] counts with y[n,j].",
            lambda dy, y: y * (dy - dy.mean(axis=1, keepdims=True)),
        ),
        Misreading("Is the factor y in front missing?", lambda dy, y: dy - (dy * y).sum(axis=1, keepdims=True)),
        Misreading(
            "Is the sum outside of the parentheses? The factor y belongs to both terms.",
            lambda dy, y: y * dy - (dy * y).sum(axis=1, keepdims=True),
        ),
        Misreading(
            "Is it the mean over the classes (axis K)? It is a sum.",
            lambda dy, y: y * (dy - (dy * y).mean(axis=1, keepdims=True)),
        ),
        Misreading(
            "Is y put into softmax again? It is the result of softmax already.",
            lambda dy, y: right_softmax_dx(dy, right_softmax(y)),
        ),
        Misreading("Is the sign wrong?", lambda dy, y: -right_softmax_dx(dy, y)),
        Misreading(
            "Is dx divided by N? The loss has done that already.", lambda dy, y: right_softmax_dx(dy, y) / len(dy)
        ),
    ),
    hints=(
        "If logit k grows a little, y[k] grows by y[k] * (1 - y[k]), and every other y[j] falls by y[j] * y[k].",
        "So dx[k] = dy[k] * y[k] - sum over all j of dy[j] * y[j] * y[k]. Take y[k] out of both terms.",
        "mean = (dy * y).sum(axis=1, keepdims=True), then y * (dy - mean).",
    ),
    minutes=30,
)

COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_cross_entropy,
    right=right_losses,
    arguments=(Result("logits", CLASSES), Result("labels", SAMPLES, dtype="int64")),
    hints=(
        "What is the largest loss that this function can return?",
        "-log(1e-7) is about 16. What should the loss be if the network is very sure, and wrong?",
        "Take two logits that lie 100 apart, and the label of the smaller one.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter06",
    "Softmax cross-entropy",
    "06-cross-entropy.md",
    (
        SOFTMAX,
        CROSS_ENTROPY,
        CROSS_ENTROPY_DLOGITS,
        CROSS_ENTROPY_OF_SHARES,
        SOFTMAX_DX,
        COUNTEREXAMPLE,
    ),
)
