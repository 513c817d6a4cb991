"""Errors of beginners in chapter 10."""

from functools import partial

from planting import Planted, one

_error = partial(one, "chapter10")

_S = "s = weight * s + (1 - weight) * curve[e]"
_CORRECTED = "result[e] = s / (1 - weight ** (e + 1))"
_BEST = "int(np.nanargmin(val_loss))"
_COUNT = "best, waited = val_loss[e], 0\n        else:"
_RISES = "rises = np.sum(np.diff(loss) > 0)"
_OVER = "val_loss[-1] > 1.1 * val_loss[best] and loss[-1] < loss[best]"
_FLAT = "loss[-1] > 0.99 * loss[-1 - E // 3]"
_HIGH = "not np.isfinite(loss).all() or rises > (E - 1) / 3"
_CUT = "S = len(losses) if finite.all() else np.argmin(finite)"
_SLOPES = "slopes = np.diff(losses[:S]) / np.diff(np.log(rates[:S]))"
_CHOSEN = "float(rates[np.argmin(slopes)])"
_THIRD = f"""    if {_FLAT}:
        return "plateau"
"""
_SECOND = f"""    if {_OVER}:
        return "overfitting"
"""

ERRORS = (
    _error("smoothed", "bias left in", _CORRECTED, "result[e] = s", "bias of the beginning left in"),
    Planted(
        "chapter10",
        "smoothed",
        "begins at the first number",
        (("0.0\n", "curve[0]\n"), (_CORRECTED, "result[e] = s")),
        "begin at the first number",
    ),
    _error("smoothed", "shares swapped", _S, "s = (1 - weight) * s + weight * curve[e]", "shares swapped"),
    _error(
        "smoothed",
        "share of the new number forgotten",
        "(1 - weight) * curve[e]",
        "curve[e]",
        "of the new number left out",
    ),
    _error("smoothed", "epochs from 0 in the correction", "(e + 1)", "e", "from 0 in the correction"),
    _error("smoothed", "corrected like the first", "weight ** (e + 1)", "weight", "corrected like the first"),
    _error(
        "smoothed",
        "goes on with the corrected mean",
        _CORRECTED,
        f"{_CORRECTED}\n        s = result[e]",
        "go on with the corrected mean",
    ),
    _error(
        "smoothed", "return in the loop", _CORRECTED, f"{_CORRECTED}\n        return result", "return inside the loop"
    ),
    _error(
        "smoothed",
        "curve changed in place",
        _CORRECTED,
        f"{_CORRECTED}\n        curve[e] = result[e]",
        "argument curve in place",
    ),
    _error("best_epoch", "NaN is the best", "nanargmin", "argmin", "NaN taken for the best"),
    _error("best_epoch", "highest", "nanargmin", "nanargmax", "highest loss"),
    _error(
        "best_epoch", "loss in place of the epoch", _BEST, "float(np.nanmin(val_loss))", "must return a whole number"
    ),
    _error("best_epoch", "from 1", _BEST, f"{_BEST} + 1", "counted from 1"),
    _error(
        "best_epoch",
        "last of several",
        _BEST,
        "len(val_loss) - 1 - int(np.nanargmin(val_loss[::-1]))",
        "last of several",
    ),
    _error(
        "stopping_epoch",
        "compared with the epoch before",
        "val_loss[e] < best",
        "e == 0 or val_loss[e] < val_loss[e - 1]",
        "compared with the one before",
    ),
    _error(
        "stopping_epoch",
        "the same counts as better",
        "val_loss[e] < best",
        "val_loss[e] <= best",
        "same loss count as better",
    ),
    _error(
        "stopping_epoch", "NaN counts as better", "val_loss[e] < best", "not val_loss[e] >= best", "NaN count as better"
    ),
    _error("stopping_epoch", "count never begins anew", "val_loss[e], 0\n", "val_loss[e], waited\n", "not begin anew"),
    _error("stopping_epoch", "one epoch too many", "waited == patience", "waited > patience", "one epoch too many"),
    _error("stopping_epoch", "one epoch too few", "waited == patience", "waited >= patience - 1", "one epoch too few"),
    _error(
        "stopping_epoch",
        "number of epochs",
        "return e\n    return len(val_loss) - 1",
        "return e + 1\n    return len(val_loss)",
        "number of epochs",
    ),
    _error(
        "stopping_epoch", "length at the end", "return len(val_loss) - 1", "return len(val_loss)", "length of the curve"
    ),
    _error("stopping_epoch", "nothing at the end", "    return len(val_loss) - 1", "", "returns None"),
    _error("diagnosis", "NaN passed over", _HIGH, "rises > (E - 1) / 3", "not finite passed over"),
    _error("diagnosis", "rises not counted", _HIGH, "not np.isfinite(loss).all()", "only when the loss is not finite"),
    _error("diagnosis", "one rise is enough", "rises > (E - 1) / 3", "rises > 0", "single rise"),
    _error("diagnosis", "a third is enough", "rises > (E - 1) / 3", "rises >= (E - 1) / 3", "exactly a third"),
    _error(
        "diagnosis",
        "rises of the validation loss",
        _RISES,
        _RISES.replace("loss", "val_loss"),
        "on the validation loss",
    ),
    _error("diagnosis", "gap between the curves", _OVER, "val_loss[-1] > loss[-1]", "every gap between the two curves"),
    _error("diagnosis", "factor forgotten", "1.1 * ", "", "factor 1.1 left out"),
    _error(
        "diagnosis",
        "compared with the first epoch",
        "1.1 * val_loss[best]",
        "1.1 * val_loss[0]",
        "compared with the first",
    ),
    _error("diagnosis", "loss not looked at", " and loss[-1] < loss[best]", "", "has not fallen since"),
    _error("diagnosis", "order", _SECOND + _THIRD, _THIRD + _SECOND, "before overfitting"),
    _error(
        "diagnosis",
        "plateau of the validation loss",
        _FLAT,
        _FLAT.replace("loss", "val_loss"),
        "in the validation loss",
    ),
    _error("diagnosis", "plateau of one epoch", "loss[-1 - E // 3]", "loss[-2]", "one epoch earlier"),
    _error("diagnosis", "another word", '"learning"', '"fine"', "must return one of the words"),
    _error("diagnosis", "nothing returned", '    return "learning"', "", "but returns None"),
    _error("steepest_rate", "lowest loss", _CHOSEN, "float(rates[np.nanargmin(losses)])", "rate of the lowest loss"),
    _error("steepest_rate", "slope against the rate", "np.log(rates[:S])", "rates[:S]", "against the rate itself"),
    _error("steepest_rate", "distances forgotten", _SLOPES, "slopes = np.diff(losses[:S])", "whatever the distance"),
    _error("steepest_rate", "steepest rise", "np.argmin(slopes)", "np.argmax(slopes)", "steepest rise"),
    _error("steepest_rate", "either sign", "np.argmin(slopes)", "np.argmax(abs(slopes))", "either sign"),
    _error("steepest_rate", "not cut", _CUT, "S = len(losses)", "NaN taken for the steepest fall"),
    _error("steepest_rate", "index returned", _CHOSEN, "float(np.argmin(slopes))", "index returned"),
    _error(
        "steepest_rate",
        "the larger rate",
        "rates[np.argmin(slopes)]",
        "rates[np.argmin(slopes) + 1]",
        "larger of the two",
    ),
    _error("counterexample", "a single valley", "[1.0, 4.0, 3.0, 2.0]", "[4.0, 1.0, 2.0, 3.0]", "no counterexample"),
)
