"""One training in a thread of its own, which goes as far as it is told, and back to any earlier step.

It is an ordinary :meth:`tinycnn.Sequential.fit`. A callback holds it between two batches until the next one may begin;
to go back, the callback leaves the fit with an exception, and the next fit begins where a kept state says. So every bit
is that of a fit that was never held up.
"""

import math
import threading
from typing import Any, NamedTuple, Protocol

from ..core.types import Array
from ..sequential import Sequential
from ..training.callback import Callback, Logs
from ..training.loop import Run
from ..training.non_finite import NumericError
from .events import Events
from .history import History, State, bring, state_of
from .mine import told
from .observing import Examination
from .watching import Watch


class Settings(NamedTuple):
    """How to train: the arguments of ``fit`` that can be chosen."""

    batch_size: int = 32
    shuffle: bool = True
    epochs: int = 1000


class Failure(NamedTuple):
    """Why a training has stopped by itself; ``layer`` is where NaN or infinity began, if that is why."""

    message: str
    layer: str | None


class Group(Protocol):
    """What a lane knows of the others beside it."""

    #: The lock of everything that several threads look at, and the signal that something of it has changed.
    changed: threading.Condition
    events: Events

    def slowest(self, lane: "Lane") -> float:
        """Return how many steps the slowest of the other lanes has taken."""
        ...

    def settled(self, lane: "Lane") -> None:
        """Take note that a lane stands still with new weights; called in the lane's thread."""
        ...


class _LeaveError(Exception):
    """Leaves a fit, to begin again at another step or to end."""


class Lane:
    """A training that is held, let go and brought back by others; its steps are counted from 0.

    The methods and attributes for others are used with the group's lock held.

    Parameters
    ----------
    name : str
        What events call it.
    model : Sequential
        Compiled, with the accuracy as its only metric. It belongs to this lane alone.
    data : tuple of arrays
        The images and targets to train on.
    settings : Settings
    examination : Examination
        What the network is examined with.
    history : History
        It may hold what this lane shares with another one that it was forked from.
    goal : float
        How many steps to take; infinity for as many as there are.
    group : Group

    Attributes
    ----------
    step, begun : int
        How many steps are done, and how many have begun.
    settled : bool
        Whether it stands still, and all that is shown of it is of this step.
    failure : Failure or None
        Why it stopped by itself.
    done : bool
        Whether all epochs are done.
    """

    def __init__(
        self,
        name: str,
        model: Sequential,
        data: tuple[Array, Array],
        settings: Settings,
        examination: Examination,
        history: History,
        goal: float,
        group: Group,
    ) -> None:
        self.name, self.model, self.settings, self.history, self.goal = name, model, settings, history, goal
        self.failure: Failure | None = None
        self.settled = self.done = False
        self._watch, self._data, self._group = Watch(name, examination, group.events), data, group
        self._start = history.states.before(goal)
        self.step = self.begun = 0 if self._start is None else self._start.step
        self._leave = self._ended = False
        self._thread = threading.Thread(target=self._live, name=f"training {name}", daemon=True)

    # For others, with the lock held ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def examination(self) -> Examination:
        """What the network is examined with."""
        return self._watch.examination

    @property
    def stands(self) -> bool:
        """Whether it has ended by itself, so that nobody has to wait for it."""
        return self.done or self.failure is not None

    @property
    def status(self) -> str:
        """``running``, ``moving`` (to a step), ``paused``, ``failed`` or ``done``."""
        if self.stands:
            return "done" if self.done else "failed"
        if self.goal == math.inf:
            return "running"
        return "paused" if self.settled else "moving"

    @property
    def position(self) -> int:
        """The step at which a change takes effect now."""
        if self.stands:
            return self.step
        return self.begun if self.goal == math.inf else int(self.goal)

    @property
    def farthest(self) -> int:
        """The last step that can be gone to at once."""
        return max(self.history.batches.last, self.begun)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        rate = self.history.rate_at(self.position)
        return float(self.model.optimizer.learning_rate) if rate is None else rate

    def go_to(self, goal: float) -> None:
        """Go on to a step, or back to it; infinity goes on until somebody says otherwise."""
        if (self.done and goal >= self.step) or (self.failure is not None and goal > self.step):
            return  # there is nothing ahead
        start = None if goal == math.inf else self.history.states.before(goal)
        is_back = goal < self.begun or self.stands
        self.goal = goal
        if start is not None and (is_back or start.step > self.step):
            self._start, self._leave = start, True
            self.step = self.begun = start.step
            self.failure, self.done = None, False
        self.settled = self.settled and self.step == goal and not self._leave

    def set_rate(self, rate: float) -> None:
        """Take the next step with another rate; what was known of later steps is forgotten."""
        at = self.position
        self.history = self.history.until(at)
        self.history.rates[at] = rate
        self._watch.forget(at)
        self._group.events.tell("cut", lane=self.name, step=at)

    def end(self) -> None:
        """Let the thread end after the batch that it is at."""
        self._ended = self._leave = True

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended; without the lock."""
        self._thread.join(seconds)

    def brief(self) -> dict[str, Any]:
        """Return where it is, ready for JSON."""
        return {
            "status": self.status,
            "step": self.step,
            "goal": None if self.goal == math.inf else int(self.goal),
            "farthest": self.farthest,
            "rate": self.rate,
            "failure": None if self.failure is None else self.failure._asdict(),
        }

    def describe(self) -> dict[str, Any]:
        """Return all that is shown of it, ready for JSON."""
        more = {
            "settings": self.settings._asdict(),
            "states": len(self.history.states),
            "state_bytes": self.history.states.nbytes,
        }
        return self.brief() | self.history.describe() | self._watch.describe() | more

    # In the thread --------------------------------------------------------------------------------------------

    def _live(self) -> None:
        """Train until it is to end; each round is one fit."""
        changed = self._group.changed
        while True:
            with changed:
                if self._ended:
                    return
                self._leave = False
            failure = None
            try:
                settings = self.settings._asdict()
                self.model.fit(*self._data, **settings, verbose=0, callbacks=[_Driver(self)], check_finite=False)
                self._show(examine=True)
                self._group.settled(self)
            except _LeaveError:
                continue
            except NumericError as error:
                failure = Failure(str(error), error.layer)
            except (
                Exception,
                SystemExit,
            ) as error:  # a user's own layer or kernel may raise anything; the page shows it
                failure = Failure(told(error), None)
            with changed:
                if not self._leave:
                    self.failure, self.done, self.settled = failure, failure is None, True
                    self._watch.send(self.history, self.brief())
                    self._tell_status()
                    if failure is not None:
                        self._group.events.tell("failed", lane=self.name, step=self.step, **failure._asdict())
                    changed.notify_all()
                changed.wait_for(lambda: self._leave)

    def begin_fit(self, run: Run) -> None:
        """Bring a fit that has just begun to where it is to go on from."""
        with self._group.changed:
            start = self._start
        if start is None:
            self._keep(state_of(run))
        else:
            bring(run, start)
        self._run = run
        self._watch.begin(run)
        with self._group.changed:
            self._leave_if_asked()
        if start is None and self.goal > 0:
            self._show(examine=True)
        self._wait()
        self._watch.batch_begins()

    def after_batch(self) -> None:
        """Note what a batch has shown, and wait until the next one may begin."""
        watch, run = self._watch, self._run
        watch.batch_ends()
        step, figures = run.steps + run.batch, watch.figures(run)
        with self._group.changed:
            self._leave_if_asked()
            self.step = step
            watch.note(self.history.batches.add(step, *figures))
            is_due = self.history.states.is_due(step)
            like = self.history.states.before(math.inf) if is_due else None
            examine = step % watch.examination.every == 0 and step > self.history.validation.last
            self._group.changed.notify_all()
        if is_due:
            self._keep(state_of(run, like))
        if examine or watch.is_due:
            self._show(examine=examine)
        watch.looked()
        self._wait()
        watch.batch_begins()

    def _leave_if_asked(self) -> None:
        """Leave the fit if it is to go on elsewhere; with the lock held."""
        if self._leave:
            raise _LeaveError

    def _keep(self, state: State) -> None:
        """Keep a state, unless the fit is to go on elsewhere meanwhile."""
        with self._group.changed:
            self._leave_if_asked()
            self.history.states.add(state)

    def _wait(self) -> None:
        """Return when the next batch may begin; when the goal is reached, let everything show this very step."""
        changed, is_shown = self._group.changed, False
        while True:
            with changed:
                self._leave_if_asked()
                if self.step < self.goal and self.step <= self._group.slowest(self):
                    rate = self.history.rates.get(self.step)
                    if rate is not None:
                        self.model.optimizer.learning_rate = rate
                    self.begun, self.settled = self.step + 1, False
                    return
                if is_shown and self.step >= self.goal and not self.settled:
                    self.settled = True
                    self._tell_status()
                    changed.notify_all()
                if is_shown or self.step < self.goal:
                    changed.wait()
                    continue
            self._show(examine=True)
            self._group.settled(self)
            is_shown = True

    def _show(self, examine: bool) -> None:
        """Look at the network, and tell what is seen."""
        look = self._watch.look(self.model, examine, has_gradients=self.begun > 0)
        with self._group.changed:
            self._leave_if_asked()
            self._watch.take(look, self.history, self.brief())

    def _tell_status(self) -> None:
        """Tell where it is; with the lock held."""
        self._group.events.tell("status", lanes={self.name: self.brief()})


class _Driver(Callback):
    """The callback through which a lane holds its fit."""

    order = 2  # after all others

    def __init__(self, lane: Lane) -> None:
        self._lane: Lane | None = lane
        self._run: Run | None = None

    def attach(self, run: Run) -> None:
        self._run = run

    def resume(self) -> None:
        assert self._lane is not None
        assert self._run is not None
        self._lane.begin_fit(self._run)

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        assert self._lane is not None
        self._lane.after_batch()

    def detach(self) -> None:
        self._lane = self._run = None
