"""What a training remembers: thinned curves, the changes of its learning rate, and states to go back to.

Going back to a step means: bring the whole state of an earlier step into the fit, and train the batches in between once
more. All random numbers follow from the seed and the number of the step, so that this gives the same bits. Memory has a
limit: when there are too many states, every second one is dropped, and later ones are kept half as often.
"""

from typing import Any, NamedTuple, Self

import numpy as np

from ..saving import fit_state
from ..training.loop import Run

#: How many rows a curve has at most; a page shows about as many points side by side.
MOST_ROWS = 1500
#: How many bytes of states one training keeps, and how many states; at least two are always kept.
MOST_BYTES, MOST_STATES = 256 << 20, 512
#: A state is kept after so many steps at first.
FIRST_STRIDE = 16
#: About how many bytes a state takes beside its arrays.
_DESCRIPTION = 4 << 10

Row = tuple[float | None, ...]


class Curve:
    """Figures by step. With too many rows, every second one is dropped, so that the memory never grows.

    Parameters
    ----------
    stride : int
        Only steps that are multiples of it have a row.
    most : int
        How many rows there may be.

    Attributes
    ----------
    rows : list of tuple
        The step, then the figures.
    last : int
        The newest step that was added, whether it has a row or not; -1 before the first one.
    """

    def __init__(self, stride: int = 1, most: int = MOST_ROWS) -> None:
        self.stride, self._most = stride, most
        self.rows: list[Row] = []
        self.last = -1

    def add(self, step: int, *figures: float | None) -> Row | None:
        """Add the figures of a step, and return the row; None if the step is known already or gets no row."""
        if step <= self.last:
            return None
        self.last = step
        if step % self.stride:
            return None
        self.rows.append((step, *figures))
        if len(self.rows) > self._most:
            self.stride *= 2
            self.rows = [row for row in self.rows if row[0] is not None and row[0] % self.stride == 0]
        return (step, *figures)

    def until(self, step: int) -> Self:
        """Return a copy without what came after a step."""
        made = type(self)(self.stride, self._most)
        made.rows = [row for row in self.rows if row[0] is not None and row[0] <= step]
        made.last = min(self.last, step)
        return made


class State(NamedTuple):
    """The whole state of a fit between two batches, after ``step`` of them."""

    step: int
    saved: fit_state.Saved

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return _DESCRIPTION + sum(array.nbytes for array in self.saved.arrays.values())


def state_of(run: Run, like: State | None = None) -> State:
    """Return the state of a fit as it is now, between two batches.

    Parameters
    ----------
    run : Run
    like : State, optional
        Another state of the same training. Describing layers and settings takes longer than a small network's step, so
        what cannot have changed since is taken from there.
    """
    if like is None:
        arrays, description = fit_state.capture(run, {}, ())
        # The arrays are those that the next step changes.
        copies = {name: np.array(array) for name, array in arrays.items()}
        return State(run.steps + run.batch, fit_state.decoded(copies, description, "a state in memory"))
    model, optimizer = run.model, run.model.optimizer
    arrays = {f"weights/{name}": array for name, array in model.weights().items()}
    for parameter, slots in optimizer.slots.items():
        arrays |= {
            f"optimizer/{parameter}/{name}": slot for name, slot in zip(optimizer.slot_names, slots, strict=True)
        }
    training = dict(like.saved.description["training"])
    training["iterations"] = optimizer.iterations
    described = training["optimizer"]
    if optimizer.schedule is None and "learning_rate" in described["config"]:
        rate = {"learning_rate": optimizer.learning_rate}
        training["optimizer"] = {**described, "config": described["config"] | rate}
    means = run.means.get_state() if run.batch else None
    place = {"epoch": run.epoch, "batch": run.batch, "steps": run.steps, "meters": means}
    copies = {name: np.array(model.backend.to_numpy(array)) for name, array in arrays.items()}
    description = like.saved.description | {"training": training}
    return State(run.steps + run.batch, fit_state.Saved(copies, description, like.saved.state | place))


def bring(run: Run, state: State) -> None:
    """Bring a fit that has just begun to a state."""
    fit_state.restore(run, state.saved, (), "a state in memory")


class States:
    """States by their steps, of which there are never too many.

    Parameters
    ----------
    stride : int
        A state is due after so many steps.
    most_bytes, most : int
        How much memory they may take, and how many there may be.

    Attributes
    ----------
    nbytes : int
        About how much memory they take.
    """

    def __init__(self, stride: int = FIRST_STRIDE, most_bytes: int = MOST_BYTES, most: int = MOST_STATES) -> None:
        self.stride, self._most_bytes, self._most = stride, most_bytes, most
        self._held: dict[int, State] = {}
        self.nbytes = 0

    def is_due(self, step: int) -> bool:
        """Return whether the state after this step is to be added."""
        return step % self.stride == 0 and step not in self._held

    def add(self, state: State) -> None:
        """Keep a state, and drop every second one if there are too many."""
        self._held[state.step] = state
        self.nbytes += state.nbytes
        while len(self._held) > 2 and (len(self._held) > self._most or self.nbytes > self._most_bytes):
            self.stride *= 2
            self._hold({step: kept for step, kept in self._held.items() if step % self.stride == 0})

    def _hold(self, states: dict[int, State]) -> None:
        """Keep these states and no others."""
        self._held, self.nbytes = states, sum(state.nbytes for state in states.values())

    def before(self, step: float) -> State | None:
        """Return the newest state before a step, so that at least one batch leads there; for step 0 its own.

        None as long as nothing has been kept.
        """
        steps = [kept for kept in self._held if kept < max(step, 1)]
        return self._held[max(steps)] if steps else None

    def until(self, step: int) -> Self:
        """Return a copy without the states after a step; the states themselves are shared."""
        made = type(self)(self.stride, self._most_bytes, self._most)
        made._hold({kept: state for kept, state in self._held.items() if kept <= step})
        return made

    def __len__(self) -> int:
        return len(self._held)


class History:
    """Everything that a training remembers of its steps.

    Parameters
    ----------
    validate_every : int
        After how many steps the network is examined.

    Attributes
    ----------
    batches : Curve
        For each step the loss of its batch, before the step, and the accuracy.
    validation : Curve
        For some steps the loss and the accuracy on images that are not trained on.
    states : States
        Where to go back to.
    rates : dict of int to float
        The learning rate from a step on, for each step at which it was set.
    """

    def __init__(self, validate_every: int) -> None:
        self.batches, self.validation, self.states = Curve(), Curve(validate_every), States()
        self.rates: dict[int, float] = {}

    def until(self, step: int) -> "History":
        """Return a copy without what came after a step."""
        made = History(1)
        made.batches, made.validation = self.batches.until(step), self.validation.until(step)
        made.states = self.states.until(step)
        made.rates = {at: rate for at, rate in self.rates.items() if at <= step}
        return made

    def rate_at(self, step: int) -> float | None:
        """Return the rate with which the step after so many is taken; None if a schedule determines it."""
        return self.rates[max(at for at in self.rates if at <= step)] if self.rates else None

    def describe(self) -> dict[str, Any]:
        """Return the curves and the changes of the rate, ready for JSON."""
        return {
            "batches": {"stride": self.batches.stride, "rows": list(self.batches.rows)},
            "validation": {"stride": self.validation.stride, "rows": list(self.validation.rows)},
            "rates": sorted(self.rates.items()),
        }
