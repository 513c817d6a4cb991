"""The arithmetic of the comparison, which always uses medians on both sides, and the tables."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Ratio(NamedTuple):
    """How many times as fast tinycnn is: the ratio of medians, and the lowest and highest ratio of one round."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}× ({self.low:.2f} to {self.high:.2f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare the times of two workers that took turns; the ratio is above 1 if ours are shorter."""
    rounds = [their / our for our, their in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(theirs) / statistics.median(ours), min(rounds), max(rounds))


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean, which suits ratios because the mean of r and 1/r is 1."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def fastest(times: Mapping[str, Sequence[float]], ours: Sequence[str]) -> str | None:
    """Return the peer with the shortest median time, or None if there is no peer."""
    peers = {name: statistics.median(seconds) for name, seconds in times.items() if name not in ours}
    return min(peers, key=peers.__getitem__) if peers else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned, all but the first to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def padded(line: Sequence[str]) -> str:
        first, *others = line
        cells = [first.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    return "\n".join([padded(lines[0]), f"| {' | '.join(rule)} |", *map(padded, lines[1:])])
