"""The slope of a sum by one element, and a verdict on the analytic one; in doubt, rounding is measured."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.types import Array
from ..testing.gradcheck import ATOL, RTOL
from ..testing.slopes import ALLOWED_ROUNDING, STEPS, WIDE, Slopes, Verdict, judge

#: The relative steps with which a result's rounding is measured, and at how many points. The later ones are for results
#: that stand still within the ones before.
TINY, POINTS = (1e-10, 1e-8, 1e-7), 7


class Probe:
    """Moves one element of an array and measures how a sum follows.

    Parameters
    ----------
    outputs : callable
        It returns the parts of the sum for the array as it is now, and how far rounding can move each of them.
    array : float64 array
        It is moved in place, and always put back.
    element : tuple of int
    """

    def __init__(self, outputs: Callable[[], tuple[Array, Array]], array: Array, element: tuple[int, ...]) -> None:
        self._outputs, self._array, self._element = outputs, array, element
        self._value = float(array[element])
        self._size = max(min(rms_of(array), 1.0) or 1.0, abs(self._value))
        self._here, self._rounding = self._outputs()
        self._measured = 0.0
        self._found: dict[float, Slopes] = {}

    def distance(self, h: float) -> float:
        """Return by how much the element is moved for a relative step."""
        return h * self._size

    def _moved(self, distance: float) -> Array:
        """Return the outputs with the element moved, and move it back."""
        self._array[self._element] = self._value + distance
        try:
            return self._outputs()[0]
        finally:
            self._array[self._element] = self._value

    def at(self, h: float) -> Slopes:
        """Return the slopes for a relative step."""
        step = self.distance(h)
        if h not in self._found:
            with np.errstate(all="ignore"):
                up, down = (self._moved(step) - self._here) / step, (self._here - self._moved(-step)) / step
            # A part that does not change may be so large that the step does not show in it.
            moved = (up != 0) | (down != 0)
            noise = 4 * max(float(self._rounding[moved].sum()), float(self._rounding.max())) / step
            self._found[h] = Slopes.of(down, up, noise)
        return self._found[h]._replace(noise=max(self._found[h].noise, self._measured / step))

    def verdict(self, value: float, rms: float, affordable: int) -> Verdict:
        """Compare an analytic slope with the numeric one.

        Before it is called wrong, or the point a kink, it is measured how much rounding there is.
        """
        first = self.at(STEPS[0])
        if value == first.central == first.gap == 0:
            return Verdict(True, 0.0)  # nothing depends on the element, and the gradient says so
        verdict = self._judged(value, rms, affordable)
        done = verdict.hidden or (verdict.agrees and not verdict.kink)
        # Each point takes one evaluation, and each step two; the steps may be other ones with another rounding.
        if done or 2 * affordable < 2 * (len(STEPS) + 1) + len(TINY) * POINTS:
            return verdict
        self._measured = self._noise()
        return self._judged(value, rms, affordable)

    def _judged(self, value: float, rms: float, affordable: int) -> Verdict:
        """Judge an analytic slope with the rounding that is known."""
        first = self.at(STEPS[0])
        precise = first.noise <= ALLOWED_ROUNDING * max(abs(value), abs(first.central), rms)
        steps = STEPS if precise else (*STEPS, WIDE)
        return judge(value, self.at, RTOL, ATOL * rms, rms, steps[:affordable])

    def _noise(self) -> float:
        """Return a bound for the rounding of the sum of the outputs, from its third differences over tiny steps.

        Source: J. J. Moré and S. M. Wild, Estimating computational noise, SIAM Journal on Scientific Computing 33
        (2011). The differences of a smooth function vanish with the third power of the step, those of rounding do not.
        """
        for h in TINY:
            step = self.distance(h)
            values = [float((self._moved(i * step) - self._here).sum()) for i in range(POINTS)]
            noise = 8 * rms_of(np.diff(values, 3)) / np.sqrt(20)  # 20 = 6! / (3!)²
            if noise:
                return float(noise)
        return 0.0

    def step_of(self, verdict: Verdict) -> float:
        """Return the relative step at which a verdict's slope was measured."""
        return next((h for h, found in self._found.items() if found.central == verdict.numeric), STEPS[0])


def rms_of(array: Any) -> float:
    """Return the root mean square of the finite numbers of an array."""
    finite = np.asarray(array, np.float64)[np.isfinite(array)]
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
