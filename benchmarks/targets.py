"""The targets that tinycnn should reach, and how they are checked against records."""

from collections.abc import Iterable
from typing import NamedTuple

import figures


class Check(NamedTuple):
    """A target and what was measured.

    Attributes
    ----------
    what : str
        What is measured.
    must, aim : float
        The value that must be reached, and the better value that is aimed at.
    measured : float
        The value that was measured.
    unit : str
        The unit of the three values.
    at_most : bool
        Whether the measured value has to be that or less, instead of that or more.
    """

    what: str
    must: float
    aim: float
    measured: float
    unit: str = "×"
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """One of ``aim``, ``reached`` and ``missed``; NaN counts as missed."""
        for bound, word in ((self.aim, "aim"), (self.must, "reached")):
            if self.measured <= bound if self.at_most else self.measured >= bound:
                return word
        return "missed"


def table(checks: Iterable[Check]) -> str:
    """Return the checks as a table."""
    rows = [
        (c.what, f"{c.must:g}{c.unit}", f"{c.aim:g}{c.unit}", f"{c.measured:.2f}{c.unit}", c.verdict) for c in checks
    ]
    return figures.table(("target", "must reach", "aim", "measured", ""), rows)


class Ratios(NamedTuple):
    """How many times as fast as the fastest peer tinycnn is, by network.

    ``all`` is what a user calls first (``fit``, ``predict``) against all peers, ``predictor`` is a predictor against
    all peers, and ``frameworks`` is ``predict`` against those that train as well.
    """

    all: dict[str, float]
    predictor: dict[str, float]
    frameworks: dict[str, float]


#: What training must reach, and what is aimed at, for each network.
TRAINING = {
    "vanilla": (3.0, 4.0),
    "go_crazy": (3.0, 4.0),
    "ladder_03": (3.5, 5.0),
    "ladder_10": (3.0, 4.0),
    "mnist_cnn": (2.4, 2.9),
    "fashion_base": (1.35, 1.6),
    "fashion_improved": (1.7, 2.1),
    "cifar10_cnn": (2.1, 2.5),
}


def training(ratios: Ratios) -> list[Check]:
    """Check the ratios for training."""
    checks = _mean("geometric mean of the networks", ratios.all, 2.5, 3.2)
    return checks + [Check(name, *TRAINING[name], value) for name, value in ratios.all.items() if name in TRAINING]


def inference(ratios: Ratios) -> list[Check]:
    """Check the ratios for predictions of whole batches."""
    return _mean("a predictor, geometric mean", ratios.predictor, 1.3, 1.8)


def latency(ratios: Ratios) -> list[Check]:
    """Check the ratios for predictions of one image."""
    against_all = _mean("a predictor, geometric mean", ratios.predictor, 1.0, 1.5)
    return against_all + _mean("`predict` against all but ONNX Runtime, geometric mean", ratios.frameworks, 1.0, 2.0)


def teaching(ratios: Ratios) -> list[Check]:
    """Check the ratios to an engine in plain NumPy."""
    return [Check(name, 15, 15, value) for name, value in ratios.all.items()]


def _mean(what: str, ratios: dict[str, float], must: float, aim: float) -> list[Check]:
    """Return the check of a geometric mean, or nothing if nothing was measured."""
    return [Check(what, must, aim, figures.geometric_mean(ratios.values()))] if ratios else []


COMPARISONS = {"training": training, "inference": inference, "latency": latency, "teaching": teaching}
