"""Chapter 10: reading a training curve."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ...core.types import Array
from ..bugs.chapter10 import broken_stopping_epoch
from ..cases import Fill, numbers, phases_with_hard_cases
from ..exercise import Chapter, Exercise, Hunt, Misreading, Result

CURVE = ("E",)
NAN = float("nan")


# Smoothing -------------------------------------------------------------------------------------------------------


def right_smoothed(curve: Array, weight: float) -> Array:
    """Return the mean of what was before each epoch, the last counting most: a sum of all with their shares."""
    shares = weight ** np.arange(len(curve))
    found: Array = np.array([(shares[e::-1] * curve[: e + 1]).sum() / shares[: e + 1].sum() for e in range(len(curve))])
    return found


def _noisy(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    curve = fill("curve", (draw(st.integers(1, 6)),))
    return {"curve": curve, "weight": draw(st.sampled_from((0.5, 0.75, 0.9, 0.0)))}


def _running(
    start: Callable[[Array], float] = lambda curve: 0.0,
    old: Callable[[float], float] = lambda weight: weight,
    new: Callable[[float], float] = lambda weight: 1 - weight,
    corrected: Callable[[float, float, int], float] = lambda s, weight, e: s / (1 - weight ** (e + 1)),
    kept: bool = False,
) -> Callable[..., Array]:
    """Return a mistake in the running mean.

    Parameters
    ----------
    start : callable
        The mean before the first epoch, given the curve.
    old, new : callable
        The shares of the mean so far and of a new number, given the weight.
    corrected : callable
        The result, given the mean, the weight and the epoch.
    kept : bool
        Whether the next epoch goes on with the result in place of the mean.
    """

    def results(curve: Array, weight: float) -> Array:
        s, found = start(curve), np.zeros_like(curve)
        for e in range(len(curve)):
            s = old(weight) * s + new(weight) * curve[e]
            found[e] = corrected(s, weight, e)
            s = found[e] if kept else s
        return found

    return results


def _as_it_is(s: float, weight: float, e: int) -> float:
    return s


SMOOTHED = Exercise(
    name="smoothed",
    right=right_smoothed,
    results=(Result("result", CURVE),),
    phases=phases_with_hard_cases(
        [
            {"curve": numbers(4), "weight": 0.5},
            {"curve": numbers(4, 1), "weight": 0.0},
            {"curve": numbers(4, 1), "weight": 0.5},
            {"curve": numbers(3, 3, 3), "weight": 0.75},
            {"curve": numbers(8, 0, 0), "weight": 0.75},
            {"curve": numbers(8, -4, 1, 6), "weight": 0.999},
        ],
        _noisy,
    ),
    misreadings=(
        Misreading(
            "Is the bias of the beginning left in? s begins at 0, so it is too small at first: divide by "
            "1 - weight**(e + 1).",
            _running(corrected=_as_it_is),
        ),
        Misreading(
            "Does s begin at the first number? It begins at 0, and the division takes out the bias of that.",
            _running(start=lambda curve: float(curve[0]), corrected=_as_it_is),
        ),
        Misreading(
            "Does s begin at the first number, and is it corrected too? It begins at 0.",
            _running(start=lambda curve: float(curve[0])),
        ),
        Misreading(
            "Is the weight the share of the new number? It is the share of what was before.",
            lambda curve, weight: _running(
                old=lambda weight: 1 - weight,
                new=lambda weight: weight,
                corrected=lambda s, weight, e: float(np.divide(s, 1 - (1 - weight) ** (e + 1))),
            )(curve, weight),
        ),
        Misreading(
            "Are the shares swapped? s = weight * s + (1 - weight) * curve[e].",
            _running(old=lambda weight: 1 - weight, new=lambda weight: weight),
        ),
        Misreading("Is the share 1 - weight of the new number left out?", _running(new=lambda weight: 1.0)),
        Misreading(
            "Are epochs counted from 0 in the correction? After the first epoch, e = 0, it is 1 - weight**1.",
            _running(corrected=lambda s, weight, e: float(np.divide(s, 1 - weight**e))),
        ),
        Misreading(
            "Is every epoch corrected like the first, by 1 - weight? It is 1 - weight**(e + 1).",
            _running(corrected=lambda s, weight, e: s / (1 - weight)),
        ),
        Misreading(
            "Does the next epoch go on with the corrected mean? It goes on with s.",
            _running(kept=True),
        ),
        Misreading(
            "Is it the plain mean of all epochs so far? Later ones count more.",
            lambda curve, weight: np.cumsum(curve) / np.arange(1, len(curve) + 1),
        ),
        Misreading("Is the curve returned as it is?", lambda curve, weight: curve.copy()),
        Misreading(
            "Is the curve read from its end? The mean at e knows only the epochs up to e.",
            lambda curve, weight: right_smoothed(curve[::-1], weight)[::-1],
        ),
        Misreading(
            "Is only the first epoch written? Is there a return inside the loop?",
            lambda curve, weight: np.where(np.arange(len(curve)) == 0, right_smoothed(curve, weight), 0.0),
        ),
    ),
    hints=(
        "It is the mean m of Adam, with its bias taken out. A curve that is 3 everywhere must stay 3 everywhere.",
        "Loop over the epochs, and keep s from one to the next. What do you divide by in the first one, e = 0?",
        "s = weight * s + (1 - weight) * curve[e]; result[e] = s / (1 - weight ** (e + 1)).",
    ),
    minutes=20,
)


# The best epoch --------------------------------------------------------------------------------------------------


def right_best(val_loss: Array) -> int:
    """Return the first epoch with the lowest number."""
    return int(np.argmin(np.where(np.isnan(val_loss), np.inf, val_loss)))


def _with_nan(draw: st.DrawFn, curve: Array) -> Array:
    """Return a curve of which some numbers after the first are NaN, if so drawn."""
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        curve[1:][rng.random(len(curve) - 1) < 0.3] = NAN
    return curve


def _losses(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    return {"val_loss": _with_nan(draw, abs(fill("val_loss", (draw(st.integers(1, 8)),))))}


def _first_valley(val_loss: Array) -> int:
    rises = np.flatnonzero(np.diff(val_loss) >= 0)
    return int(rises[0]) if rises.size else len(val_loss) - 1


BEST = Exercise(
    name="best_epoch",
    right=right_best,
    results=(Result("the best epoch"),),
    phases=phases_with_hard_cases(
        [
            {"val_loss": numbers(3)},
            {"val_loss": numbers(3, 2, 1)},
            {"val_loss": numbers(3, 1, 2)},
            {"val_loss": numbers(3, 1, 2, 1)},
            {"val_loss": numbers(4, 2, 3, 1, 5)},
            {"val_loss": numbers(3, NAN, 1)},
            {"val_loss": numbers(3, 1, NAN)},
        ],
        _losses,
    ),
    misreadings=(
        Misreading(
            "Is it the last of several epochs with the lowest loss? It is the first.",
            lambda val_loss: len(val_loss) - 1 - right_best(val_loss[::-1]),
        ),
        Misreading(
            "Is it the epoch with the highest loss? The lowest is the best.",
            lambda val_loss: int(np.nanargmax(val_loss)),
        ),
        Misreading(
            "Is NaN taken for the best? np.argmin stops at it; np.nanargmin passes over it.",
            lambda val_loss: int(np.argmin(val_loss)),
        ),
        Misreading("Is the epoch before the first rise taken for the best? A later one may be lower.", _first_valley),
        Misreading("Are epochs counted from 1? The first is 0.", lambda val_loss: right_best(val_loss) + 1),
        Misreading("Is it the last epoch? The best may be earlier.", lambda val_loss: len(val_loss) - 1),
        Misreading("Is it the first epoch, always?", lambda val_loss: 0),
    ),
    hints=(
        "NumPy has a function that gives the place of the lowest number.",
        "np.argmin takes NaN for the lowest number of all. Which one does not?",
        "int(np.nanargmin(val_loss))",
    ),
    minutes=10,
)


# Early stopping --------------------------------------------------------------------------------------------------


def right_stop(val_loss: Array, patience: int) -> int:
    """Return the last epoch of a training with early stopping: the first epoch that is so far from the best before."""
    for e in range(patience, len(val_loss)):
        if e - right_best(val_loss[: e + 1]) >= patience:
            return e
    return len(val_loss) - 1


def _stopping(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    curve = _with_nan(draw, abs(fill("val_loss", (draw(st.integers(1, 8)),))))
    return {"val_loss": curve, "patience": draw(st.integers(1, 3))}


def _counted(
    better: Callable[[float, float, float], bool] = lambda now, best, before: now < best,
    reset: bool = True,
    late: int = 0,
    moved: bool = False,
) -> Callable[..., int]:
    """Return a mistake in early stopping.

    Parameters
    ----------
    better : callable
        Whether an epoch is better, given its loss, the best and that of the epoch before.
    reset : bool
        Whether the count begins anew at a better epoch.
    late : int
        By how many epochs more than the patience are waited for.
    moved : bool
        Whether the best is replaced by each epoch's loss.
    """

    def results(val_loss: Array, patience: int) -> int:
        best, before, waited = np.inf, np.inf, 0
        for e, now in enumerate(val_loss):
            if better(now, best, before):
                best, waited = now, 0 if reset else waited
            else:
                waited += 1
                best = now if moved else best
            before = now
            if waited >= patience + late:
                return e
        return len(val_loss) - 1

    return results


STOPPING = Exercise(
    name="stopping_epoch",
    right=right_stop,
    results=(Result("the last epoch"),),
    phases=phases_with_hard_cases(
        [
            {"val_loss": numbers(3, 2, 1), "patience": 1},
            {"val_loss": numbers(3, 4, 5), "patience": 1},
            {"val_loss": numbers(3, 4, 5, 6), "patience": 2},
            {"val_loss": numbers(3, 3, 3), "patience": 1},
            {"val_loss": numbers(2, 5, 4, 3), "patience": 2},
            {"val_loss": numbers(5, 6, 4, 6, 3, 6), "patience": 2},
            {"val_loss": numbers(5, NAN, NAN, 1), "patience": 2},
            {"val_loss": numbers(5), "patience": 3},
            {"val_loss": numbers(5, 6, 7), "patience": 3},
        ],
        _stopping,
    ),
    misreadings=(
        Misreading(
            "Is each epoch compared with the one before? It is compared with the best so far.",
            _counted(lambda now, best, before: now < before),
        ),
        Misreading(
            "Is each epoch compared with the one before? It is compared with the best so far, and NaN is never better.",
            _counted(lambda now, best, before: not now >= before),
        ),
        Misreading(
            "Does an epoch with the same loss count as better? Better means lower.",
            _counted(lambda now, best, before: now <= best),
        ),
        Misreading(
            "Does NaN count as better? Comparisons with NaN are false: ask for loss < best, not for loss >= best.",
            _counted(lambda now, best, before: not now >= best),
        ),
        Misreading("Does the count not begin anew when an epoch is better? Set it to 0 there.", _counted(reset=False)),
        Misreading(
            "Is one epoch too many waited for? The training stops as soon as patience epochs in a row were not better.",
            _counted(late=1),
        ),
        Misreading("Is one epoch too few waited for?", _counted(late=-1)),
        Misreading(
            "Is the best replaced by a loss that is not lower? Only a better one replaces it.", _counted(moved=True)
        ),
        Misreading(
            "Is it the best epoch that is returned? It is the one after which the training stops.",
            lambda val_loss, patience: right_best(val_loss[: right_stop(val_loss, patience) + 1]),
        ),
        Misreading(
            "Is it the number of epochs that is returned? The last of them is one less, because epochs count from 0.",
            lambda val_loss, patience: right_stop(val_loss, patience) + 1,
        ),
        Misreading("Does the training never stop early?", lambda val_loss, patience: len(val_loss) - 1),
        Misreading(
            "Is the length of the curve returned where the training does not stop? Its last epoch is one less.",
            lambda val_loss, patience: (
                right_stop(val_loss, patience)
                if right_stop(np.append(val_loss, -np.inf), patience) < len(val_loss)
                else len(val_loss)
            ),
        ),
    ),
    hints=(
        "Keep two things from epoch to epoch: the best loss so far, and how many epochs ago that was.",
        "The best begins at np.inf. A lower loss replaces it and sets the count to 0; any other adds 1 to the count.",
        "if val_loss[e] < best: best, waited = val_loss[e], 0, else waited += 1; at waited == patience, return e.",
    ),
    minutes=25,
)


# What is going on ------------------------------------------------------------------------------------------------

#: What may be said of a training.
WORDS = ("rate too high", "overfitting", "plateau", "learning")


def right_diagnosis(loss: Array, val_loss: Array) -> str:
    """Return the word for a training."""
    return rule()(loss, val_loss)


def rule(
    *,
    swings: Callable[[Array, Array], bool] = lambda loss, val: bool(3 * (loss[1:] > loss[:-1]).sum() > len(loss) - 1),
    finite: bool = True,
    over: Callable[[Array, Array, int], bool] = lambda loss, val, best: bool(
        val[-1] > 1.1 * val[best] and loss[-1] < loss[best]
    ),
    flat: Callable[[Array, Array], bool] = lambda loss, val: bool(loss[-1] > 0.99 * loss[-1 - len(loss) // 3]),
    order: tuple[int, ...] = (0, 1, 2),
) -> Callable[[Array, Array], str]:
    """Return the rule by which a training is judged, or one that differs in a part.

    Parameters
    ----------
    swings : callable
        Whether the loss rises too often, given both curves.
    finite : bool
        Whether a loss that is not finite counts.
    over : callable
        Whether the network overfits, given both curves and the epoch with the lowest validation loss.
    flat : callable
        Whether the loss has stopped falling, given both curves.
    order : tuple of int
        In which order the three are asked.
    """

    def judged(loss: Array, val_loss: Array) -> str:
        best = int(np.argmin(val_loss))
        true = (
            swings(loss, val_loss) or (finite and not np.isfinite(loss).all()),
            over(loss, val_loss, best),
            flat(loss, val_loss),
        )
        return next((WORDS[number] for number in order if true[number]), "learning")

    return judged


def drawn_curves(kind: str, epochs: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the loss and the validation loss of a training of which it is known how it goes.

    Parameters
    ----------
    kind : str
        One of ``WORDS``.
    epochs : int
        At least 6.
    rng : Generator
    """
    e = np.arange(epochs)
    high, fall = rng.integers(4, 9), rng.choice([0.6, 0.7, 0.8])
    loss, val = high * fall**e, high * fall**e * 1.05 + 0.5
    if kind == "rate too high":
        if rng.random() < 0.4:
            loss[-rng.integers(1, 4) :] = rng.choice([np.nan, np.inf])
        else:
            loss = loss[0] + rng.integers(1, 4, epochs) * np.where(e % 2 == 1, 1.0, -1.0)
    elif kind == "overfitting":
        turn = rng.integers(1, epochs - 2)
        val = np.where(e <= turn, val, val[turn] * (1 + 0.2 * (e - turn)))
    elif kind == "plateau":
        last = epochs - 1 - epochs // 3
        loss, val = np.where(e <= last, loss, loss[last]), np.where(e <= last, val, val[last])
    elif rng.random() < 0.5:
        loss[2] = loss[1] * 1.1  # a single rise is no diagnosis
    return loss.round(3), val.round(3)


def _training(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    kind, epochs = draw(st.sampled_from(WORDS)), draw(st.integers(6, 12))
    loss, val = drawn_curves(kind, epochs, np.random.default_rng(draw(st.integers(0, 1000))))
    return {"loss": loss, "val_loss": val}


#: Trainings with a known answer, drawn by hand: the loss, the validation loss, and the word.
DRAWN: tuple[tuple[Array, Array, str], ...] = (
    (numbers(6, 4, 3, 2, 1.5, 1), numbers(6, 5, 4, 3.5, 3, 2.5), "learning"),
    (numbers(6, 4, 3, 2, 1.5, 1), numbers(6, 5, 4, 4.5, 5, 5.5), "overfitting"),
    (numbers(6, 4, 3, 2, 2, 2), numbers(6, 5, 4, 3, 3, 3), "plateau"),
    (numbers(6, 4, 3, 2, NAN, NAN), numbers(6, 5, 4, 3, NAN, NAN), "rate too high"),
    (numbers(6, 9, 5, 9, 4, 8), numbers(6, 9, 5, 9, 4, 8), "rate too high"),
    (numbers(6, 4, 5, 3, 2, 1), numbers(6, 5, 6, 4, 3, 2), "learning"),
    (numbers(6, 4, 3, 2, 1.5, 1), numbers(6, 5, 4, 3, 3.25, 3.2), "learning"),
    (numbers(6, 4, 3, 2, 2, 2), numbers(6, 5, 4, 4.1, 4.2, 4.3), "plateau"),
    (numbers(6, 4, 3, 3, 3, 3), numbers(6, 5, 2, 3, 3, 3), "plateau"),
    (numbers(6, 4, 3, 2, 1.995, 1.99), numbers(6, 5, 4, 5, 6, 7), "overfitting"),
    (numbers(6, 4, 3, 2, 1, 0.995), numbers(6, 5, 4, 3, 2, 1.995), "learning"),
    (numbers(0.6, 0.4, 0.3, 0.02, 0.015, 0.01), numbers(0.6, 0.5, 0.4, 0.3, 0.29, 0.28), "learning"),
    (numbers(6, 4, 3, 2, 1.5, 1), numbers(6, 5, 4, 3, 3, 3), "learning"),
    (numbers(6, 3, 2, 1, 3, 5), numbers(6, 3, 2, 1, 3, 5), "rate too high"),
    (numbers(7, 6, 5, 6, 4, 5, 3), numbers(8, 7, 6, 5, 4.5, 4, 3.5), "learning"),
    (numbers(6, 5, 4, 3, 2, 1.5, 3), numbers(6, 5, 4, 3, 2, 1.5, 3), "plateau"),
)


DIAGNOSIS = Exercise(
    name="diagnosis",
    right=right_diagnosis,
    results=(Result("the word", words=WORDS),),
    phases=phases_with_hard_cases([{"loss": loss, "val_loss": val} for loss, val, _ in DRAWN], _training),
    misreadings=(
        Misreading(
            "Is a loss that is not finite passed over? NaN or infinity anywhere means that the rate was too high.",
            rule(finite=False),
        ),
        Misreading(
            "Is the rate found too high only when the loss is not finite? More than a third of rises means it too.",
            rule(swings=lambda loss, val: False),
        ),
        Misreading("Is the rate never found too high?", rule(swings=lambda loss, val: False, finite=False)),
        Misreading(
            "Is exactly a third of rises enough for you? It takes more than a third.",
            rule(swings=lambda loss, val: bool(3 * (loss[1:] > loss[:-1]).sum() >= len(loss) - 1)),
        ),
        Misreading(
            "Is a single rise of the loss taken for too high a rate? It takes more than a third of the E - 1 changes.",
            rule(swings=lambda loss, val: bool((loss[1:] > loss[:-1]).any())),
        ),
        Misreading(
            "Are rises counted on the validation loss? They are counted on the loss.",
            rule(swings=lambda loss, val: bool(3 * (val[1:] > val[:-1]).sum() > len(val) - 1)),
        ),
        Misreading(
            "Is the loss only compared at its ends? Count the rises from epoch to epoch.",
            rule(swings=lambda loss, val: bool(loss[-1] > loss[0])),
        ),
        Misreading(
            "Is every gap between the two curves taken for overfitting? Compare the last validation loss with its own "
            "lowest.",
            rule(over=lambda loss, val, best: bool(val[-1] > loss[-1])),
        ),
        Misreading(
            "Is every gap of a tenth between the curves taken for overfitting? Compare the last validation loss with "
            "its own lowest.",
            rule(over=lambda loss, val, best: bool(val[-1] > 1.1 * loss[-1])),
        ),
        Misreading(
            "Is the last validation loss compared with the first? Compare it with the lowest.",
            rule(over=lambda loss, val, best: bool(val[-1] > 1.1 * val[0] and loss[-1] < loss[best])),
        ),
        Misreading(
            "Is the last validation loss compared with the one before? Compare it with the lowest.",
            rule(over=lambda loss, val, best: bool(val[-1] > val[-2])),
        ),
        Misreading(
            "Is the factor 1.1 left out? A validation loss that is a little above its lowest is noise.",
            rule(over=lambda loss, val, best: bool(val[-1] > val[best] and loss[-1] < loss[best])),
        ),
        Misreading(
            "Is overfitting found although the loss has not fallen since the best epoch? Both conditions are needed.",
            rule(over=lambda loss, val, best: bool(val[-1] > 1.1 * val[best])),
        ),
        Misreading("Is overfitting never found?", rule(over=lambda loss, val, best: False)),
        Misreading(
            "Is the plateau looked for before overfitting? The first of the list that is true counts.",
            rule(order=(0, 2, 1)),
        ),
        Misreading(
            "Is overfitting looked for before too high a rate? The first of the list that is true counts.",
            rule(order=(1, 0, 2)),
        ),
        Misreading(
            "Is the plateau looked for in the validation loss? It is one of the loss.",
            rule(flat=lambda loss, val: bool(val[-1] > 0.99 * val[-1 - len(val) // 3])),
        ),
        Misreading(
            "Is the last loss compared with that of one epoch earlier? Go back E // 3 epochs.",
            rule(flat=lambda loss, val: bool(loss[-1] > 0.99 * loss[-2])),
        ),
        Misreading(
            "Is the last loss compared with that of epoch E // 3, counted from the start? Go back from the end.",
            rule(flat=lambda loss, val: bool(loss[-1] > 0.99 * loss[len(loss) // 3])),
        ),
        Misreading(
            "Is the difference 0.01 and not 1 percent? Compare with 0.99 times the earlier loss.",
            rule(flat=lambda loss, val: bool(loss[-1 - len(loss) // 3] - loss[-1] < 0.01)),
        ),
        Misreading("Is a plateau never found?", rule(flat=lambda loss, val: False)),
        Misreading(
            "Are loss and val_loss swapped? loss is that on the training images.",
            lambda loss, val_loss: right_diagnosis(val_loss, loss),
        ),
    ),
    hints=(
        "Four returns, in the order of the list: the first that is true ends the function.",
        "np.diff(loss) > 0 has one True for each rise; np.isfinite(loss).all() is False if a number is NaN or inf.",
        "best = np.argmin(val_loss); overfitting: val_loss[-1] > 1.1 * val_loss[best] and loss[-1] < loss[best].",
    ),
    minutes=30,
)


# A range of rates ------------------------------------------------------------------------------------------------


def _slopes(rates: Array, losses: Array) -> Array:
    """Return the slopes up to the first loss that is not finite."""
    bad = np.flatnonzero(~np.isfinite(losses))
    S = int(bad[0]) if bad.size else len(losses)
    found: Array = (losses[1:S] - losses[: S - 1]) / (np.log(rates[1:S]) - np.log(rates[: S - 1]))
    return found


def right_steepest(rates: Array, losses: Array) -> float:
    """Return the rate at which the loss falls fastest."""
    return float(rates[np.argmin(_slopes(rates, losses))])


def _ranges(draw: st.DrawFn, fill: Fill) -> dict[str, Any]:
    S = draw(st.integers(3, 6))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    rates = np.cumprod(rng.choice([2.0, 4.0, 10.0], S)) / 10_000
    losses = abs(fill("losses", (S,)))
    if draw(st.booleans()):
        losses[S - draw(st.integers(1, S - 2)) :] = draw(st.sampled_from((NAN, np.inf)))
    slopes = np.sort(_slopes(rates, losses))
    assume(len(slopes) < 2 or slopes[1] - slopes[0] > 1e-6)  # rounding must not decide which is the steepest
    return {"rates": rates, "losses": losses}


def _range(*pairs: tuple[float, float]) -> dict[str, Any]:
    return {"rates": numbers(*(rate for rate, _ in pairs)), "losses": numbers(*(loss for _, loss in pairs))}


def _at(place: Callable[[Array, Array], Any]) -> Callable[..., float]:
    """Return a mistake: the rate of another place."""
    return lambda rates, losses: float(rates[int(place(rates, losses))])


STEEPEST = Exercise(
    name="steepest_rate",
    right=right_steepest,
    results=(Result("the rate", kind="real"),),
    phases=phases_with_hard_cases(
        [
            _range((0.001, 5), (0.01, 4), (0.1, 1)),
            _range((0.001, 5), (0.01, 2), (0.1, 1), (1, 3)),
            _range((0.001, 5), (0.002, 4), (0.1, 2)),
            _range((0.001, 6), (0.01, 5), (0.1, 2), (1, NAN)),
            _range((0.001, 6), (0.01, 5), (0.1, 2), (1, np.inf)),
            _range((0.001, 6), (0.01, 5), (0.1, 2), (1, 1.5), (10, NAN), (100, 0)),
            _range((0.001, 5), (0.01, 6), (0.1, 8)),
        ],
        _ranges,
    ),
    misreadings=(
        Misreading(
            "Is it the rate of the lowest loss? There the loss is about to rise; look for the steepest fall.",
            _at(lambda rates, losses: np.nanargmin(losses)),
        ),
        Misreading(
            "Is NaN taken for the steepest fall? Cut both arrays before the first loss that is not finite.",
            _at(lambda rates, losses: np.argmin(np.diff(losses) / np.diff(np.log(rates)))),
        ),
        Misreading(
            "Is what comes after NaN counted? Cut both arrays before the first loss that is not finite.",
            _at(lambda rates, losses: np.nanargmin(np.diff(losses) / np.diff(np.log(rates)))),
        ),
        Misreading(
            "Is the slope taken against the rate itself? Take it against the logarithm of the rate.",
            _at(lambda rates, losses: np.argmin(_slopes(np.exp(rates), losses))),
        ),
        Misreading(
            "Is it the largest fall between neighbours, whatever the distance of their rates? Divide by the difference "
            "of their logarithms.",
            _at(lambda rates, losses: np.argmin(_slopes(np.exp(np.arange(len(rates))), losses))),
        ),
        Misreading(
            "Is it the steepest rise? The lowest slope is the steepest fall.",
            _at(lambda rates, losses: np.argmax(_slopes(rates, losses))),
        ),
        Misreading(
            "Is it the steepest slope of either sign? Only a fall counts.",
            _at(lambda rates, losses: np.argmax(abs(_slopes(rates, losses)))),
        ),
        Misreading(
            "Is it the larger of the two rates? The slope at s is that from s to s + 1, and the result is rates[s].",
            _at(lambda rates, losses: np.argmin(_slopes(rates, losses)) + 1),
        ),
        Misreading(
            "Is the index returned in place of the rate?",
            lambda rates, losses: float(np.argmin(_slopes(rates, losses))),
        ),
        Misreading(
            "Is the slope returned in place of the rate?", lambda rates, losses: float(_slopes(rates, losses).min())
        ),
        Misreading("Is it the largest rate, always?", _at(lambda rates, losses: -1)),
    ),
    hints=(
        "Rates are tried at equal factors, such as 0.001, 0.01, 0.1. So measure distances between their logarithms.",
        "np.diff(losses) / np.diff(np.log(rates)) has the slopes. First cut off what comes after the first NaN or inf.",
        "finite = np.isfinite(losses); S = len(losses) if finite.all() else np.argmin(finite); then losses[:S].",
    ),
    minutes=20,
)


def right_of_hunt(val_loss: Array, patience: int) -> int:
    """Return what the bug hunt's function should return."""
    return right_stop(val_loss, int(patience))


COUNTEREXAMPLE = Hunt(
    name="counterexample",
    broken=broken_stopping_epoch,
    right=right_of_hunt,
    arguments=(Result("val_loss", CURVE), Result("patience")),
    hints=(
        "With what does the function compare an epoch? With what should it?",
        "A curve can fall from one epoch to the next and still be above its lowest point.",
        "Take a patience of 2, and a curve that rises high after its best epoch and then falls slowly.",
    ),
    minutes=10,
)

CHAPTER = Chapter(
    "chapter10",
    "Reading a training curve",
    "10-curves.md",
    (SMOOTHED, BEST, STOPPING, DIAGNOSIS, STEEPEST, COUNTEREXAMPLE),
)
