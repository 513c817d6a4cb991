"""Figures of records in words, as the reports print them."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ...models.recipe import Recipe
from . import curves, records
from .targets import Runs

NOT_RUN = "not run yet"


def percent(share: Any) -> str:
    """Return a share in percent, with two digits after the point."""
    return f"{100 * share:.2f}"


def percent_1(share: float) -> str:
    """Return a share in percent, with one digit after the point."""
    return f"{100 * share:.1f}"


def spread(runs: Runs, key: str) -> str:
    """Return the mean, and the lowest and highest value, in percent."""
    if not runs:
        return NOT_RUN
    return curves.spread([record[key] for record in runs])


def params(runs: Runs) -> str:
    """Return the number of parameters in the runs."""
    return f"{runs[0]['params']:,}" if runs else ""


def count(runs: Runs, recipe: Recipe) -> str:
    """Return the number of runs, and how many there are to be."""
    return str(len(runs)) if len(runs) == recipe.runs else f"{len(runs)} of {recipe.runs}"


def time(runs: Runs) -> str:
    """Return the mean time of the runs, and their speed."""
    return time_of(list(map(records.seconds, runs)), [record["images_per_second"] for record in runs])


def threads(runs: Runs) -> str:
    """Return the number of threads of the runs, or the lowest and the highest."""
    fewest, most = (limit(record["threads"] for record in runs) for limit in (min, max))
    numbers = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{numbers} {'thread' if most == 1 else 'threads'}"


def time_of(seconds: Sequence[float], speeds: Sequence[float]) -> str:
    """Return the mean of times in words, and the speed that all the runs have together."""
    if not seconds:
        return ""
    minutes, rest = divmod(round(fmean(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    length = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{length}, {fmean(speeds, weights=seconds):,.0f} images/s"
