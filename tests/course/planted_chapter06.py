"""Errors of beginners in chapter 6."""

from functools import partial

from planting import one

_error = partial(one, "chapter06")

_SHIFTED = "logits - logits.max(axis=1, keepdims=True)"
_LOSS = "np.log(total) - z[np.arange(len(z)), labels]"
_P = "np.exp(z) / total[:, None]"
_MINUS = "dlogits[np.arange(len(p)), labels] -= 1"
_TIMES = "dlogits * dlosses[:, None]"
_SHARES = "-(shares * log_p).sum(axis=1)"
_DX = "y * (dy - mean)"
_MEAN = "(dy * y).sum(axis=1, keepdims=True)"

ERRORS = (
    _error("softmax", "exp overflows", _SHIFTED, "logits", "overflow for a large logit"),
    _error("softmax", "sum over the samples", "e / e.sum(axis=1", "e / e.sum(axis=0", "over the samples (axis N)"),
    _error("softmax", "sum over all", "e / e.sum(axis=1, keepdims=True)", "e / e.sum()", "over all numbers"),
    _error("softmax", "largest of the batch", _SHIFTED, "logits - logits.max()", "largest logit of the whole batch"),
    _error("softmax", "not divided", "e / e.sum(axis=1, keepdims=True)", "e", "not divided by the sum"),
    _error("softmax", "keepdims forgotten", "e / e.sum(axis=1, keepdims=True)", "e / e.sum(axis=1)", "(N, K) ="),
    _error(
        "cross_entropy", "logarithm of p", _LOSS, f"-np.log(({_P})[np.arange(len(z)), labels])", "that has become 0"
    ),
    _error(
        "cross_entropy",
        "small number added",
        _LOSS,
        f"-np.log(({_P})[np.arange(len(z)), labels] + 1e-12)",
        "a small number added to p",
    ),
    _error("cross_entropy", "exp overflows", "z = " + _SHIFTED, "z = logits", "overflow for a large logit"),
    _error("cross_entropy", "minus missing", _LOSS, f"-({_LOSS})", "minus missing"),
    _error(
        "cross_entropy",
        "largest in one term only",
        _LOSS,
        "np.log(total) - logits[np.arange(len(z)), labels]",
        "one of the two terms only",
    ),
    _error("cross_entropy", "logarithm left out", _LOSS, f"1 - ({_P})[np.arange(len(z)), labels]", "not 1 - p"),
    _error(
        "cross_entropy", "all pairs", "z[np.arange(len(z)), labels]", "z[:, labels]", "cross_entropy returns losses"
    ),
    _error("cross_entropy", "labels from 1", "labels]", "labels - 1]", "counted from 1"),
    _error("cross_entropy", "mean of the batch", _LOSS, f"np.mean({_LOSS})", "must return an array (N,)"),
    _error(
        "cross_entropy", "largest logit for the label", _LOSS, "np.log(total) - z.max(axis=1)", "largest logit taken"
    ),
    _error("cross_entropy_dlogits", "1 not subtracted", _MINUS, "pass", "1 not subtracted"),
    _error("cross_entropy_dlogits", "dlosses left out", _TIMES, "dlogits", "dlosses left out"),
    _error("cross_entropy_dlogits", "sign", _TIMES, "-dlogits * dlosses[:, None]", "sign wrong"),
    _error("cross_entropy_dlogits", "first weight for all", _TIMES, "dlogits * dlosses[0]", "count for all"),
    _error("cross_entropy_dlogits", "labels of the neighbours", "labels]", "np.roll(labels, 1)]", "neighbour"),
    _error("cross_entropy_dlogits", "slope of a sigmoid", _TIMES, f"p * (1 - p) * {_TIMES}", "p * (1 - p)"),
    _error(
        "cross_entropy_dlogits",
        "true class only",
        _TIMES,
        f"np.where(dlogits < p, {_TIMES}, 0)",
        "Do only the labels get a gradient?",
    ),
    _error("cross_entropy_dlogits", "a thousandth too small", _TIMES, f"0.999 * {_TIMES}", "is -0.999; -1 is right"),
    _error("cross_entropy_dlogits", "p changed in place", "p.copy()", "p", "argument p in place"),
    _error("cross_entropy_dlogits", "all columns", _MINUS, "dlogits[:, labels] -= 1", "in all rows"),
    _error("cross_entropy_dlogits", "mean twice", _TIMES, f"{_TIMES} / len(p)", "divided by N too"),
    _error("cross_entropy_dlogits", "1 subtracted everywhere", _MINUS, "dlogits -= 1", "for every class"),
    _error(
        "cross_entropy_dlogits", "dlosses along the classes", _TIMES, "dlogits * dlosses", "along the classes (axis K)"
    ),
    _error(
        "cross_entropy_of_shares",
        "shares made labels",
        _SHARES,
        "-log_p[np.arange(len(z)), shares.argmax(axis=1)]",
        "turned into labels",
    ),
    _error("cross_entropy_of_shares", "minus missing", _SHARES, "(shares * log_p).sum(axis=1)", "minus missing"),
    _error(
        "cross_entropy_of_shares",
        "mean of the classes",
        _SHARES,
        "-(shares * log_p).mean(axis=1)",
        "mean over the classes",
    ),
    _error(
        "cross_entropy_of_shares",
        "logits for logarithms",
        "(shares * log_p)",
        "(shares * logits)",
        "logits taken for log(p)",
    ),
    _error("cross_entropy_of_shares", "exp overflows", "z = " + _SHIFTED, "z = logits", "overflow for a large logit"),
    _error("softmax_dx", "slope of a sigmoid", _DX, "dy * y * (1 - y)", "as for a sigmoid"),
    _error("softmax_dx", "sum left out", _DX, "y * dy", "sum left out"),
    _error(
        "softmax_dx", "sum over the samples", _MEAN, "(dy * y).sum(axis=0, keepdims=True)", "over the samples (axis N)"
    ),
    _error("softmax_dx", "sum over all", _MEAN, "(dy * y).sum()", "over all numbers"),
    _error("softmax_dx", "sum of dy alone", _MEAN, "dy.sum(axis=1, keepdims=True)", "sum of dy, without y"),
    _error("softmax_dx", "sum added", _DX, "y * (dy + mean)", "sum added"),
    _error("softmax_dx", "plain mean", _MEAN, "dy.mean(axis=1, keepdims=True)", "plain mean"),
    _error("softmax_dx", "factor y missing", _DX, "dy - mean", "factor y in front missing"),
    _error("softmax_dx", "parentheses forgotten", _DX, "y * dy - mean", "outside of the parentheses"),
    _error("counterexample", "right answer", "np.array([0])", "np.array([1])", "no counterexample"),
    _error("counterexample", "labels are no whole numbers", "np.array([0])", "np.array([0.0])", "of int64"),
)
