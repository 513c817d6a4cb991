"""Learning-rate schedules: small functions with a configuration that can be saved.

Two clocks exist, and each has its own kind of schedule:

* the **step** clock counts optimizer steps from 0. A :class:`LearningRateSchedule` is called ``schedule(step)`` and is
  passed to an optimizer: ``optimizers.SGD(learning_rate=schedules.CosineDecay(0.1, 1000))``;
* the **epoch** clock counts epochs from 0. :class:`InverseEpochDecay` is called ``schedule(epoch)`` or
  ``schedule(epoch, lr)`` and is passed to ``callbacks.LearningRateScheduler``, which sets the rate at the start of
  each epoch.

The names, arguments and formulas are those of Keras 3, in double precision. Schedules are immutable values: two with
equal arguments are equal, and none remembers the steps it was asked for, so a resumed run continues exactly.

A schedule of your own is a frozen dataclass with one method:

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Halving(LearningRateSchedule):
...     initial_learning_rate: float
...     every: int
...     def rate(self, step):
...         return self.initial_learning_rate * 0.5 ** (step // self.every)
>>> schedule = Halving(0.8, every=10)
>>> [schedule(step) for step in (0, 9, 10, 25)]
[0.8, 0.8, 0.4, 0.2]
>>> deserialize(serialize(schedule), {"Halving": Halving}) == schedule
True
"""

import math
import numbers
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from .core import forms
from .core.checks import arguments, boolean, integer, items, real, scalar
from .core.description import Described, described
from .core.messages import shown
from .core.public import listing
from .core.registry import Registry, custom_classes

__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "InverseEpochDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "deserialize",
    "serialize",
]
__dir__ = listing(__name__)


class _Configured(Described):
    """What every schedule has: a configuration, and a check of the rates it gives."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a schedule from what :meth:`get_config` returned."""
        return cls(**arguments(config, "config"))

    def _checked(self, compute: Callable[[int], float], clock: str, at: int) -> float:
        """Return ``compute(at)`` as a float, or raise if the time or the rate makes no sense."""
        at = scalar(at)
        if isinstance(at, bool) or not isinstance(at, numbers.Real):
            raise TypeError(f"{clock} must be a number; got {shown(at)}")
        if not at >= 0:
            raise ValueError(f"{self!r}: {clock} must be 0 or more; got {shown(at)}")
        try:
            found = compute(at)
        except ArithmeticError as error:
            raise ValueError(f"{self!r} has no learning rate at {clock} {shown(at)}: {error}") from error
        rate = forms.one_number(found, f"{self!r}, at {clock} {shown(at)},")
        if not 0 <= rate < math.inf:
            raise ValueError(
                f"{self!r} gives the learning rate {rate} at {clock} {shown(at)}; it must be finite and not negative"
            )
        return rate


class LearningRateSchedule(_Configured):
    """A learning rate as a function of the optimizer step, counted from 0.

    Subclasses define :meth:`rate`; calling the schedule checks what it returns. Every subclass can be found again by
    its class name (:func:`serialize`, :func:`deserialize`).
    """

    _form = forms.SCHEDULE

    def __call__(self, step: int) -> float:
        """Return the learning rate of one optimizer step.

        Parameters
        ----------
        step : int
            The number of steps taken before this one; the first step of a training run is 0.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the step is negative, or the rate is negative, infinite or not a number.
        """
        return self._checked(self.rate, "step", step)

    def rate(self, step: int) -> float:
        """Return the formula's value, unchecked. Every subclass defines this method."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(step)")


@dataclass(frozen=True)
class Constant(LearningRateSchedule):
    """The same learning rate at every step.

    Parameters
    ----------
    learning_rate : float
        The rate.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _real(self, "learning_rate", minimum=0)

    def rate(self, step: int) -> float:
        """Return ``learning_rate``."""
        return self.learning_rate


@dataclass(frozen=True)
class _Decay(LearningRateSchedule):
    """Base of the schedules that depend on ``step / decay_steps``."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        _real(self, "initial_learning_rate", minimum=0)
        _real(self, "decay_steps", above=0)
        self._check_decay_rate()
        boolean(self.staircase, "staircase")

    def _check_decay_rate(self) -> None:
        _real(self, "decay_rate", minimum=0)

    def _units(self, step: int) -> float:
        """Return ``step / decay_steps``, rounded down on a staircase."""
        units = step / self.decay_steps
        return math.floor(units) if self.staircase else units


@dataclass(frozen=True)
class InverseTimeDecay(_Decay):
    """A rate that falls like 1 / time.

    The rate is ``initial_learning_rate / (1 + decay_rate * step / decay_steps)``. With `staircase`, the quotient
    ``step / decay_steps`` is rounded down.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0.
    decay_steps : float
        The number of steps in a unit of time. The number of steps in an epoch makes the epoch the unit.
    decay_rate : float
        How much the divisor grows per unit of time.
    staircase : bool
        Whether the rate changes only after each whole unit of time.

    Examples
    --------
    >>> schedule = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 30)]
    [0.1, 0.0667, 0.05, 0.025]
    """

    def rate(self, step: int) -> float:
        """Return ``initial_learning_rate / (1 + decay_rate * step / decay_steps)``."""
        return self.initial_learning_rate / (1 + self.decay_rate * self._units(step))


@dataclass(frozen=True)
class ExponentialDecay(_Decay):
    """A rate that is multiplied by the same factor in every `decay_steps` steps.

    The rate is ``initial_learning_rate * decay_rate ** (step / decay_steps)``. With `staircase`, the quotient
    ``step / decay_steps`` is rounded down.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0.
    decay_steps : float
        The number of steps in which the rate is multiplied by `decay_rate` once.
    decay_rate : float
        The factor. Above 1 the rate grows, which is useful in a search for the largest usable rate.
    staircase : bool
        Whether the rate changes only after each whole `decay_steps`.

    Examples
    --------
    >>> schedule = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.25)
    >>> [schedule(step) for step in (0, 5, 10)]
    [0.1, 0.05, 0.025]
    """

    def _check_decay_rate(self) -> None:
        _real(self, "decay_rate", above=0)

    def rate(self, step: int) -> float:
        """Return ``initial_learning_rate * decay_rate ** (step / decay_steps)``."""
        return self.initial_learning_rate * self.decay_rate ** self._units(step)


@dataclass(frozen=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """A constant rate up to and including each boundary, and a last one for ever after.

    Parameters
    ----------
    boundaries : sequence of int
        The steps after which the rate changes, strictly increasing. The step that equals a boundary still has the rate
        before it, as in Keras.
    values : sequence of float
        The rates, one more than there are boundaries.

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> [schedule(step) for step in (0, 100, 101, 200, 201)]
    [0.1, 0.1, 0.01, 0.01, 0.001]
    """

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        given = items(self.boundaries, "boundaries", "integers"), items(self.values, "values", "numbers")
        boundaries = tuple(integer(b, f"boundaries[{i}]", 0) for i, b in enumerate(given[0]))
        values = tuple(real(v, f"values[{i}]", 0) for i, v in enumerate(given[1]))
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                "values must have one item more than boundaries; "
                f"got {len(values)} values and {len(boundaries)} boundaries"
            )
        if any(after <= before for before, after in pairwise(boundaries)):
            raise ValueError(f"boundaries must increase strictly; got {list(boundaries)}")
        _replace(self, "boundaries", boundaries)
        _replace(self, "values", values)

    def rate(self, step: int) -> float:
        """Return ``values[i]``, where i is the number of boundaries below `step`."""
        return self.values[bisect_left(self.boundaries, step)]


@dataclass(frozen=True)
class CosineDecay(LearningRateSchedule):
    """Half a cosine wave from the full rate down to `alpha` times it, after an optional linear warm-up.

    Without `warmup_target`, the rate is ``initial_learning_rate * ((1 - alpha) * (1 + cos(pi * t)) / 2 + alpha)`` with
    ``t = min(step / decay_steps, 1)``. With it, the rate first goes in a straight line from `initial_learning_rate` to
    `warmup_target` in `warmup_steps` steps, and the wave starts there.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of step 0.
    decay_steps : float
        The length of the wave, not counting the warm-up.
    alpha : float
        The final rate as a fraction of the wave's first rate.
    warmup_target : float, optional
        The rate at which the warm-up ends and the wave begins.
    warmup_steps : float
        The length of the warm-up. It needs a `warmup_target`, without which Keras ignores it silently; here that is an
        error.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017, equation 5, without restarts.

    Examples
    --------
    >>> schedule = CosineDecay(0.0, decay_steps=100, warmup_target=0.2, warmup_steps=10)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 60, 110, 500)]
    [0.0, 0.1, 0.2, 0.1, 0.0, 0.0]
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        _real(self, "initial_learning_rate", minimum=0)
        _real(self, "decay_steps", above=0)
        _real(self, "alpha", minimum=0, maximum=1)
        _real(self, "warmup_steps", minimum=0)
        if self.warmup_target is not None:
            _real(self, "warmup_target", minimum=0)
        elif self.warmup_steps > 0:
            raise ValueError("warmup_steps needs a warmup_target, the rate at which the warm-up ends: pass both")

    def rate(self, step: int) -> float:
        """Return a point of the warm-up's line, then ``peak * ((1 - alpha) * (1 + cos(pi * t)) / 2 + alpha)``."""
        peak = self.initial_learning_rate if self.warmup_target is None else self.warmup_target
        if step < self.warmup_steps:
            return self.initial_learning_rate + (peak - self.initial_learning_rate) * step / self.warmup_steps
        t = min((step - self.warmup_steps) / self.decay_steps, 1.0)
        return peak * _cosine(1.0, self.alpha, t)


@dataclass(frozen=True)
class OneCycle(LearningRateSchedule):
    """A rate that rises to a maximum and then falls to almost nothing, once in the whole training.

    Half a cosine wave rises from ``max_learning_rate / div_factor`` to `max_learning_rate`, which is reached at step
    ``pct_start * total_steps - 1``. A second one falls to ``max_learning_rate / (div_factor * final_div_factor)`` at
    step ``total_steps - 1``. Later steps keep that last rate (PyTorch raises an error there).

    Parameters
    ----------
    max_learning_rate : float
        The largest rate.
    total_steps : int
        The number of steps in the whole training: epochs times steps per epoch.
    pct_start : float
        The fraction of the steps in which the rate rises; it has to amount to more than one step.
    div_factor, final_div_factor : float
        The largest rate divided by the first one, and the first rate divided by the last one.

    References
    ----------
    Smith & Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017,
    section 3. The paper's phases are straight lines; the two cosine phases and the argument names are those of
    PyTorch's ``OneCycleLR``. The momentum does not change.

    Examples
    --------
    >>> schedule = OneCycle(1.0, total_steps=21, pct_start=0.5238095238095238, div_factor=10.0, final_div_factor=10.0)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 15, 20, 99)]
    [0.1, 0.55, 1.0, 0.505, 0.01, 0.01]
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        _real(self, "max_learning_rate", minimum=0)
        _replace(self, "total_steps", integer(self.total_steps, "total_steps"))
        _real(self, "pct_start", above=0, below=1)
        _real(self, "div_factor", above=0)
        _real(self, "final_div_factor", above=0)
        if self.pct_start * self.total_steps <= 1:
            raise ValueError(
                f"pct_start must leave more than one step for the rise; {self.pct_start} of total_steps = "
                f"{self.total_steps} leaves {self.pct_start * self.total_steps:g}. Increase one of them."
            )

    def rate(self, step: int) -> float:
        """Return a point of the cosine wave that rises, or of the one that falls."""
        first = self.max_learning_rate / self.div_factor
        top = self.pct_start * self.total_steps - 1
        if step <= top:
            return _cosine(first, self.max_learning_rate, step / top)
        t = min((step - top) / (self.total_steps - 1 - top), 1.0)
        return _cosine(self.max_learning_rate, first / self.final_div_factor, t)


@dataclass(frozen=True)
class InverseEpochDecay(_Configured):
    """A rate that falls like 1 / epoch, constant within an epoch: the schedule of the documented small networks.

    The rate is ``round(initial_learning_rate / (1 + decay_rate * epoch), digits)``, with epochs counted from 0. The
    schedule belongs in ``callbacks.LearningRateScheduler`` and not in an optimizer, which counts steps. Apart from the
    rounding, ``InverseTimeDecay(initial_learning_rate, steps_per_epoch, decay_rate, staircase=True)`` does the same in
    an optimizer.

    Parameters
    ----------
    initial_learning_rate : float
        The rate of epoch 0.
    decay_rate : float
        How much the divisor grows per epoch.
    digits : int
        The number of decimal places that are kept.

    Examples
    --------
    >>> schedule = InverseEpochDecay(0.003, 0.319)
    >>> [schedule(epoch) for epoch in range(3)]
    [0.003, 0.0022744503, 0.0018315018]
    >>> print(schedule)
    round(0.003 / (1 + 0.319 * epoch), 10), epoch from 0, set at the start of each epoch
    """

    initial_learning_rate: float
    decay_rate: float
    digits: int = 10

    def __post_init__(self) -> None:
        _real(self, "initial_learning_rate", minimum=0)
        _real(self, "decay_rate", minimum=0)
        _replace(self, "digits", integer(self.digits, "digits", 0))

    def __call__(self, epoch: int, lr: float | None = None) -> float:
        """Return the learning rate of one epoch.

        Parameters
        ----------
        epoch : int
            The epoch, counted from 0.
        lr : float, optional
            The rate so far, which is ignored; Keras passes it to every epoch schedule.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the epoch is negative.
        """
        return self._checked(self._rate, "epoch", epoch)

    def _rate(self, epoch: int) -> float:
        return round(self.initial_learning_rate / (1 + self.decay_rate * epoch), self.digits)

    def __str__(self) -> str:
        formula = f"round({self.initial_learning_rate} / (1 + {self.decay_rate} * epoch), {self.digits})"
        return f"{formula}, epoch from 0, set at the start of each epoch"


def serialize(schedule: LearningRateSchedule | InverseEpochDecay) -> dict[str, Any]:
    """Describe a schedule in values that JSON can hold.

    Returns
    -------
    dict
        ``{"class_name": ..., "config": ...}``, as in Keras.
    """
    if not isinstance(schedule, _Configured):
        raise TypeError(f"schedule must be a schedule; got {shown(schedule)}")
    return described(schedule)


def deserialize(description: Mapping[str, Any], custom_objects: dict[str, type] | None = None) -> Any:
    """Make a schedule from what :func:`serialize` returned.

    Parameters
    ----------
    description : dict
        With the keys ``class_name`` and ``config``.
    custom_objects : dict of str to class, optional
        Schedules that are not tinycnn's own, by the names of their classes.

    Raises
    ------
    ValueError
        If ``description`` has another form, or no schedule has that class name.
    """
    with custom_classes(custom_objects):
        return REGISTRY.read(description, "description")


SCHEDULES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        Constant,
        CosineDecay,
        ExponentialDecay,
        InverseEpochDecay,
        InverseTimeDecay,
        OneCycle,
        PiecewiseConstantDecay,
    )
}
REGISTRY: Registry[Any] = Registry("schedule", LearningRateSchedule, SCHEDULES)


def _cosine(start: float, end: float, t: float) -> float:
    """Return a point of half a cosine wave that goes from `start` at t = 0 to `end` at t = 1."""
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


def _replace(schedule: _Configured, name: str, value: Any) -> None:
    """Put an argument's normal form in its place while a frozen schedule is being made."""
    object.__setattr__(schedule, name, value)


def _real(schedule: _Configured, name: str, **limits: float) -> None:
    """Check the number ``schedule.name`` and make it a plain float."""
    _replace(schedule, name, real(getattr(schedule, name), name, **limits))
