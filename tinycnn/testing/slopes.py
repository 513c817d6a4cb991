"""Numerical slopes on the two sides of a point, and the comparison of an analytic slope with them.

The slope of a function at v is measured with a step h: ``(L(v) - L(v - h)) / h`` on the left and
``(L(v + h) - L(v)) / h`` on the right. Where the function is smooth, the two come together as the step shrinks, and
their mean, the central difference, is compared with the analytic slope. Where they stay apart however small the step
is, there is no derivative (a ReLU at 0, a tie in a max-pool). Such a point is a kink, and the analytic slope has to lie
between the two. The idea is from Chainer's ``gradient_check.numerical_grad``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.types import Array

#: The steps, which are tried in turn until the analytic and the numeric slope agree. The first one is best for smooth
#: functions; the others help where a kink is near or the curvature is high.
STEPS = (1e-5, 1e-6, 1e-7)
#: A wider step for gradients that are too small to be told from the rounding of the first one, and one at which only
#: functions that are nearly linear agree.
WIDE, WIDEST = 1e-3, 0.1
#: The rounding that a slope may contain, relative to the gradients around it. More would hide the errors that a check
#: looks for, so a step with more rounding decides nothing.
ALLOWED_ROUNDING = 1e-3


class Slopes(NamedTuple):
    """The slopes of ``sum(dy * y)`` on the two sides of a point, measured with one step."""

    left: float
    right: float
    #: The bounds of every slope that takes some outputs from the left and the others from the right.
    low: float
    high: float
    #: The most by which rounding can change a slope.
    noise: float

    @classmethod
    def of(cls, left: Array, right: Array, noise: float) -> "Slopes":
        """Add up the slopes of the single outputs."""
        low, high = np.minimum(left, right), np.maximum(left, right)
        return cls(float(left.sum()), float(right.sum()), float(low.sum()), float(high.sum()), noise)

    @property
    def central(self) -> float:
        """The central difference."""
        return (self.left + self.right) / 2

    @property
    def gap(self) -> float:
        """How far the two sides are apart; it shrinks with the step where a function is smooth, but not at a kink."""
        return abs(self.right - self.left)


class Verdict(NamedTuple):
    """What :func:`judge` found.

    Attributes
    ----------
    agrees : bool
        Whether the analytic slope agrees with the numeric one. At a kink, any slope between the two sides agrees.
    numeric : float
        The numeric slope that it was compared with.
    kink : bool
        Whether the point has no derivative: the gap between the two sides does not shrink with the step.
    hidden : bool
        Whether rounding is so large that it would hide an error. Nothing speaks against the analytic slope then, but
        nothing confirms it either.
    """

    agrees: bool
    numeric: float
    kink: bool = False
    hidden: bool = False
    #: The most by which rounding can have changed ``numeric``.
    noise: float = 0.0


def judge(
    value: float,
    at: Callable[[float], Slopes],
    rtol: float,
    atol: float,
    scale: float = np.inf,
    steps: tuple[float, ...] = STEPS,
) -> Verdict:
    """Compare an analytic slope with numeric ones.

    Parameters
    ----------
    value : float
        The analytic slope.
    at : callable
        ``at(h)`` returns the :class:`Slopes` for step ``h``.
    rtol, atol : float
        The relative and the absolute difference that passes.
    scale : float
        The size of the gradients around, with which rounding is compared. Infinity allows any rounding.
    steps : tuple of float
        The steps to try, in this order.
    """
    first = at(steps[0])
    h, slopes, clear, tolerance = steps[0], first, first, np.nan
    for step in steps:
        found = at(step)
        precise = found.noise <= ALLOWED_ROUNDING * max(abs(value), abs(found.central), scale)
        # Forward may not be defined at this distance; then a smaller step may help.
        if not (np.isfinite(found.gap) and (precise or found.noise == 0)):
            continue
        clear = found if np.isnan(tolerance) else clear
        h, slopes = step, found
        tolerance = rtol * max(abs(value), abs(slopes.central)) + atol + slopes.noise
        smooth = slopes.gap <= 1e-2 * max(abs(slopes.left), abs(slopes.right)) + 10 * tolerance
        if smooth and abs(value - slopes.central) <= tolerance:
            return Verdict(True, slopes.central, noise=slopes.noise)
    if np.isnan(tolerance):
        if len(steps) > len(STEPS) and (found := at(WIDEST)).noise <= ALLOWED_ROUNDING * abs(found.central):
            confirmed = abs(value - found.central) <= rtol * abs(found.central) + atol + found.noise
            if confirmed and found.gap <= 1e-2 * abs(found.central):
                return Verdict(True, found.central, noise=found.noise)
        return Verdict(False, first.central, hidden=abs(value - first.central) <= first.noise, noise=first.noise)
    # A gap that comes from curvature shrinks as the step does; one that has not shrunk is a kink. A gap within the
    # tolerance matters only if the analytic slope disagrees: where several outputs have kinks, it may take a slope of
    # its own for each, and then lie outside both sides by more than they are apart.
    agrees = abs(value - slopes.central) <= tolerance
    if slopes.gap > max(tolerance if agrees else slopes.noise, 3 * h / steps[0] * first.gap):
        within = slopes.low - tolerance <= value <= slopes.high + tolerance
        return Verdict(within, slopes.central, kink=True, noise=slopes.noise)
    # There is no kink within the last step. What is left of the gap is curvature, which cancels in the central slope.
    shown = slopes if agrees else clear  # the first step that is not hidden by rounding has the least of it
    return Verdict(agrees, shown.central, noise=shown.noise)
