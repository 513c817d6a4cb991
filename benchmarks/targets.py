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


#: The networks with few channels, where frameworks are weakest.
FEW_CHANNELS = ("vanilla", "go_crazy")


def training(ratios: dict[str, float]) -> list[Check]:
    """Check the ratios to the fastest peer, by network, for training."""
    checks = [Check("geometric mean of the networks", 2.2, 3.0, figures.geometric_mean(ratios.values()))]
    worst = min(ratios, key=ratios.__getitem__)
    checks.append(Check(f"the slowest network ({worst})", 1.15, 1.35, ratios[worst]))
    others = {name: value for name, value in ratios.items() if name != worst}
    if others:
        second = min(others, key=others.__getitem__)
        checks.append(Check(f"every other network (slowest: {second})", 1.7, 2.5, others[second]))
    checks += [Check(f"few channels: {name}", 2.5, 4.0, ratios[name]) for name in FEW_CHANNELS if name in ratios]
    return checks


def inference(ratios: dict[str, float]) -> list[Check]:
    """Check the ratios to the fastest peer, by network, for predictions of whole batches."""
    return [Check("geometric mean of the networks", 1.5, 2.0, figures.geometric_mean(ratios.values()))]


def latency(ratios: dict[str, float]) -> list[Check]:
    """Check the ratios to the fastest peer, by network, for predictions of one image."""
    return [Check("geometric mean of the networks", 1.0, 3.0, figures.geometric_mean(ratios.values()))]


def teaching(ratios: dict[str, float]) -> list[Check]:
    """Check the ratios to an engine in plain NumPy, by network."""
    return [Check(name, 15, 15, value) for name, value in ratios.items()]


COMPARISONS = {"training": training, "inference": inference, "latency": latency, "teaching": teaching}
