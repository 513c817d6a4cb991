"""The targets, which were set before any network was trained, and whether they were reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from ... import models

Record = Mapping[str, Any]
Runs = Sequence[Record]

#: Accuracies are compared as they are printed, in hundredths of a percent, so a rounding error is no miss.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Target:
    """One figure to reach.

    Attributes
    ----------
    name : str
        The name of the network.
    wanted : str
        The target in words.
    least : float
        The smallest figure that meets the target.
    figure : callable
        The function that computes the figure from the records of all runs of the network.
    """

    name: str
    wanted: str
    least: float
    figure: Callable[[Runs], float]

    def verdict(self, runs: Runs) -> tuple[str, str]:
        """Return "met", "missed" or why there is no verdict, and the figure."""
        wanted = models.recipe(self.name).runs
        if not runs:
            return "not run yet", ""
        if [record["seed"] for record in runs] != list(range(wanted)):
            return f"{len(runs)} of {wanted} runs yet", ""
        value = self.figure(runs)
        shown = f"{100 * value:+.2f}" if self.least <= 0 else f"{100 * value:.2f} %"
        return ("met" if value >= self.least - _ROUNDING else "missed"), shown


def best(runs: Runs) -> float:
    """Return the mean accuracy of each run's best epoch."""
    return fmean(record["best_val_accuracy"] for record in runs)


def last(runs: Runs) -> float:
    """Return the mean accuracy of each run's last epoch."""
    return fmean(record["last_val_accuracy"] for record in runs)


def missed_by_last(found: Mapping[str, Runs]) -> list[str]:
    """Return the networks that meet their target for the best epoch, but would miss it for the last epoch."""
    names = []
    for target in all_targets():
        runs = found.get(target.name, ())
        verdicts = target.verdict(runs)[0], replace(target, figure=last).verdict(runs)[0]
        if target.figure is best and verdicts == ("met", "missed"):
            names.append(target.name)
    return names


def by_class(runs: Runs) -> list[float]:
    """Return the mean accuracy of each class."""
    return [fmean(values) for values in zip(*(record["per_class_accuracy"] for record in runs), strict=True)]


def all_targets() -> list[Target]:
    """Return all targets, in the order of the documents."""
    fashion = [
        _classes("fashion_base", 0.05),
        Target("fashion_improved", "last epoch at least 94.01 %", 0.9401, last),
        _classes("fashion_improved", 0.02),
    ]
    pair = [
        Target("mnist_cnn", "last epoch at least 99.20 %", 0.992, last),
        Target("cifar10_cnn", "last epoch at least 86.87 %", 0.8687, last),
    ]
    ladder = [
        _near_best(name, 0.004 if name in ("ladder_00", "ladder_01", "ladder_02") else 0.001)
        for name in models.names()
        if name.startswith("ladder_")
    ]
    small = [_near_best(name, 0.001) for name in ("vanilla", "go_crazy", "variant_1", "variant_3", "variant_4", "eip4")]
    return [*fashion, *pair, *ladder, *small, _near("eip4", "last", 0.9941, 0.001, last)]


def _near_best(name: str, margin: float) -> Target:
    """Return the target that the mean best epoch is at most a margin below the document's accuracy."""
    documented = models.recipe(name).documented
    value = documented.get("best_val_accuracy", models.recipe(name).documented_accuracy)
    assert isinstance(value, float)
    return _near(name, "best", value, margin, best)


def _near(name: str, which: str, documented: float, margin: float, figure: Callable[[Runs], float]) -> Target:
    """Return the target that a figure is at most a margin below a documented accuracy."""
    wanted = f"{which} epoch no more than {100 * margin:.1f} points under {100 * documented:.2f} %"
    return Target(name, wanted, documented - margin, figure)


def _classes(name: str, margin: float) -> Target:
    """Return the target that no class is more than a margin below its documented accuracy."""
    documented = models.recipe(name).documented["per_class_accuracy"]
    assert isinstance(documented, tuple)

    def worst(runs: Runs) -> float:
        return min(ours - theirs for ours, theirs in zip(by_class(runs), documented, strict=True))

    return Target(name, f"no class more than {100 * margin:.0f} points under its documented accuracy", -margin, worst)
