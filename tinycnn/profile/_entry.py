"""One step of the plan: its time and its work in both directions, as numbers and as text."""

import math
from dataclasses import dataclass
from typing import NamedTuple


class Pass(NamedTuple):
    """One direction, forward or backward, through a step of the plan.

    Attributes
    ----------
    seconds : float
        The median time for a batch.
    work : float
        The operations, or the bytes moved, for a batch; 0 if nothing is computed or moved.
    """

    seconds: float
    work: float

    @property
    def rate(self) -> float:
        """The work per second in units of 10⁹: GFLOP/s or GB/s."""
        return self.work / self.seconds / 1e9


@dataclass(frozen=True)
class Entry:
    """A step of the plan: one layer, or several layers that run as one.

    Attributes
    ----------
    name : str
        The names of the layers, joined by plus signs.
    unit : {"GFLOP/s", "GB/s"}
        The unit of both rates.
    forward : Pass
    backward : Pass or None
        None if training does not reach this step, because it lies below the first layer that is trained.
    """

    name: str
    unit: str
    forward: Pass
    backward: Pass | None

    @property
    def seconds(self) -> float:
        """The time of both directions together."""
        return self.forward.seconds + (self.backward.seconds if self.backward else 0.0)


def pass_texts(one: Pass | None, unit: str, limit: float = math.nan) -> tuple[str, str]:
    """Return a pass's time and speed as text, and the speed as a share of a limit; a dash for what there is not."""
    if one is None:
        return "—", ""
    if not one.work:
        return milliseconds(one.seconds), "—"
    share = "" if math.isnan(limit) else f" {one.rate / limit:4.0%}"
    return milliseconds(one.seconds), f"{one.rate:.3g} {unit}{share}"


def milliseconds(seconds: float) -> str:
    """Return a time as text, in milliseconds."""
    return f"{1000 * seconds:.3f} ms"
