"""Training beside the page: start, pause, one batch, another rate, back to any step, and a fork with one change.

Nothing here knows about HTTP. What happens is told as :class:`~tinycnn.explore.events.Events`, and
:meth:`Training.state` returns everything that somebody needs who comes later.

>>> import numpy as np
>>> from tinycnn import Sequential, layers, set_seed
>>> from tinycnn.explore import Data, Session
>>> from tinycnn.explore.training import Training
>>> set_seed(1)
>>> model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
>>> x, y = np.random.default_rng(0).random((64, 4, 4, 1), np.float32), np.arange(64) % 2
>>> training = Training(Session(model, Data("noise", ("even", "odd"), x, y, x, y)))
>>> training.begin()
>>> training.step()
>>> training.wait(60), training.state()["lanes"]["main"]["step"]
(True, 1)
>>> training.close()
"""

import math
import threading
from typing import Any

from ..core.checks import boolean, choice, integer, real
from ..core.types import Array
from ..sequential import Sequential
from .events import Events
from .fork import CHANGES, changed, check_has_rate, checked_value, prepared, title
from .history import History
from .labels import label_of, targets_for
from .lane import Lane, Settings
from .observing import Examination
from .session import Session
from .settling import settles_after

MAIN, FORK = "main", "fork"
#: How long the end of a training is waited for, in seconds: about as long as a batch may take.
PATIENCE = 5.0


class Training:
    """The training of a session's network, which everybody who looks at the page shares.

    It trains a copy. Whenever the training stands still, the session's network gets its weights. All methods may be
    called from any thread, and none waits for a batch except :meth:`wait` and :meth:`close`.

    A change at an earlier step makes the steps after it unknown again; without one, they are trained once more with the
    same changes, to the same bits.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    events : Events
        What happens: ``progress`` (curves, gradient norms, filters), ``examined`` (validation and the worst images),
        ``status``, ``cut`` (what came after a step is forgotten), ``failed``, ``weights`` (the session's network has
        new ones), ``reset`` (ask for the state).
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.events = Events()
        self.changed = threading.Condition()
        self._lanes: dict[str, Lane] = {}
        self._title = ""
        self._original: Sequential | None = None
        self._data: tuple[Array, Array] | None = None
        self._before: int | None = 0  # how many batches the weights had been trained on at step 0, if that is known
        self._making = threading.Lock()  # whoever makes or ends lanes holds it; threads are waited for meanwhile

    # What somebody may want -----------------------------------------------------------------------------------

    def begin(
        self, *, batch_size: Any = 32, rate: Any = None, shuffle: Any = True, epochs: Any = 1000, fresh: Any = True
    ) -> None:
        """Begin a training at step 0, where it stands still; one that was there before ends.

        Parameters
        ----------
        batch_size, shuffle, epochs
            As in :meth:`tinycnn.Sequential.fit`.
        rate : float, optional
            The learning rate; by default that of the model's optimizer.
        fresh : bool
            Whether to begin with new weights, those with which the model was made, or to go on from those it has.

        Raises
        ------
        ValueError, TypeError
            If an argument is wrong, or the session has no data.
        """
        data = self._session.data
        if data is None:
            raise ValueError("there are no images to train on; open the page with --data")
        settings = Settings(
            integer(batch_size, "batch_size", maximum=4096), boolean(shuffle, "shuffle"), integer(epochs, "epochs")
        )
        rate = None if rate is None else real(rate, "rate", above=0)
        with self._session.lock:
            original = prepared(self._session.model, boolean(fresh, "fresh"))
            before = 0 if fresh else self._session.batches
        if rate is not None:
            check_has_rate(original)
            original.optimizer.learning_rate = rate
        labels = [label_of(original, label) for label in data.y_train]
        targets = data.x_train, targets_for(original, labels)
        examination = Examination(data, original, settings.batch_size)
        with self._making:
            self._end()
            self._before = before
            self._begin(original, targets, settings, examination)

    def _begin(
        self, original: Sequential, data: tuple[Array, Array], settings: Settings, examination: Examination
    ) -> None:
        """Add the main lane of a new training."""
        with self.changed:
            self._original, self._data, self._title = original, data, ""
            history = History(examination.every)
            if original.optimizer.schedule is None:
                history.rates[0] = float(original.optimizer.learning_rate)
            self._add(MAIN, changed(original, "", 0), settings, history, 0)
            self.events.tell("reset")

    def start(self) -> None:
        """Go on until :meth:`pause`, with the changes that were made at later steps before."""
        with self.changed:
            self._need_to_go_on()
            self._go(math.inf)

    def pause(self) -> None:
        """Stand still after the batches that have begun."""
        with self.changed:
            self._main()
            running = [lane for lane in self._lanes.values() if lane.status == "running"]
            begun = [lane.begun for lane in running]
            for lane in running:
                # Otherwise the fork is still catching up.
                lane.go_to(max(begun) if max(begun) - min(begun) <= 1 else lane.begun)
            self._tell()

    def step(self) -> None:
        """Train one batch more; with a fork that is behind, only the fork does."""
        with self.changed:
            self._need_to_go_on()
            lanes = [lane for lane in self._lanes.values() if not lane.stands]
            target = min(lane.position for lane in lanes) + 1
            for lane in lanes:
                lane.go_to(max(lane.position, target))
            self._tell()

    def change_rate(self, rate: Any, lane: Any = MAIN) -> None:
        """Take the next step with another learning rate; what was known of later steps is forgotten."""
        with self.changed:
            self._main()
            found = self._lanes[choice(lane, self._lanes, "lane")]
            check_has_rate(found.model)
            found.set_rate(real(rate, "rate", above=0))
            self._tell()

    def rewind(self, step: Any) -> None:
        """Go to a step that was trained before, and stand still there: everything is as it was then, to the bit."""
        with self.changed:
            farthest = self._main().farthest
            step = integer(step, "step", minimum=0)
            if step > farthest:
                raise ValueError(f"step must be at most {farthest}, because no more steps were trained; got {step}")
            self._go(step)

    def fork(self, change: Any, value: Any, step: Any = None) -> None:
        """Train a second network with one change, on the same batches, up to where the first one is; then both go on.

        Another learning rate begins at a step; every other change begins at step 0. An earlier fork ends.

        Parameters
        ----------
        change : {"rate", "shuffle", "batch_norm", "scale"}
        value : float or bool
            The new rate; whether to shuffle; False for no batch normalization; the factor for all initial kernels.
        step : int, optional
            Where another rate begins; by default where the training is.

        Raises
        ------
        ValueError, TypeError
            If the change is not possible.
        """
        with self.changed:
            main = self._main()
            assert self._original is not None
            value = checked_value(change, value, self._original, main.settings)
            at, settings = 0, main.settings
            if change == "rate":
                at = main.position if step is None else integer(step, "step", minimum=0, maximum=main.position)
                history = main.history.until(at)
                history.rates[at] = float(value)
            else:
                if step not in (None, 0):
                    raise ValueError(f"step: {CHANGES[change]} can only begin at step 0; leave it out")
                history = History(main.examination.every)
                history.rates = dict(main.history.rates)
            if change == "shuffle":
                settings = settings._replace(shuffle=bool(value))
            original = self._original
        model = changed(original, change, value)
        with self._making:
            self._end(FORK)
            with self.changed:
                main = self._main()
                self._title = title(change, value, at)
                self._add(FORK, model, settings, history, math.inf if main.status == "running" else main.position)
                self.events.tell("reset")

    def drop_fork(self) -> None:
        """End the fork, if there is one."""
        with self._making:
            self._end(FORK)
            self.events.tell("reset")

    def stop(self) -> None:
        """End the training, so that another one can begin; the session keeps the weights that it was given last."""
        with self._making:
            self._end()
            self.events.tell("reset")

    def close(self) -> None:
        """End the training and all listeners, because the page ends."""
        self.events.close()
        self._end()

    # What there is to see -------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that is shown, ready for JSON, and the number of the last event that is part of it."""
        data = self._session.data
        with self.changed:
            state: dict[str, Any] = {"sequence": self.events.last, "lanes": {}}
            optimizer = self._session.model.optimizer
            state["defaults"] = {
                "rate": None if optimizer.schedule is not None else float(optimizer.learning_rate),
                "optimizer": type(optimizer).__name__,
                "images": 0 if data is None else len(data.x_train),
            }
            if self._original is not None and self._data is not None and self._lanes:
                main = self._lanes[MAIN]
                images = len(self._data[0])
                state |= {
                    "images": images,
                    "steps_per_epoch": math.ceil(images / main.settings.batch_size),
                    "examined": {"images": len(main.examination.x), "every": main.examination.every},
                    "changes": {name: self._can(name) for name in CHANGES},
                    "fork": self._title,
                    "batches_before": self._before,
                    "settles_after": settles_after(self._original),
                    "lanes": {name: lane.describe() for name, lane in self._lanes.items()},
                }
            return state

    def wait(self, seconds: float) -> bool:
        """Wait until everything stands still, and return whether it does."""
        with self.changed:
            return self.changed.wait_for(lambda: all(lane.settled for lane in self._lanes.values()), seconds)

    def current_weights(self, lane: str = MAIN) -> list[Array]:
        """Return copies of the weights of a lane that stands still, in the order of ``model.get_weights()``.

        Raises
        ------
        ValueError
            If it is training; the weights could be those of two steps.
        """
        with self.changed:
            found = self._lanes[choice(lane, self._lanes, "lane")]
            if not found.settled:
                raise ValueError("the training is running; pause it first")
            return found.model.get_weights()

    # For the lanes --------------------------------------------------------------------------------------------

    def slowest(self, lane: Lane) -> float:
        """Return how many steps the slowest of the other lanes has taken; they keep in step."""
        others = [other.step for other in self._lanes.values() if other is not lane and not other.stands]
        return min(others, default=math.inf)

    def settled(self, lane: Lane) -> None:
        """Give the weights of the main lane to the session; called in its thread, while it stands still."""
        with self._session.lock:
            with self.changed:
                if self._lanes.get(MAIN) is not lane:  # it is a fork, or was ended while it waited for the session
                    return
            with self._session.changing_weights() as model:
                model.set_weights(lane.model.get_weights())
                self._session.batches = None if self._before is None else self._before + lane.step
            self.events.tell("weights", version=self._session.version)

    # ----------------------------------------------------------------------------------------------------------

    def _main(self) -> Lane:
        """Return the main lane, or raise ValueError if there is no training."""
        if MAIN not in self._lanes:
            raise ValueError("there is no training yet; begin one first")
        return self._lanes[MAIN]

    def _need_to_go_on(self) -> None:
        """Raise ValueError if there is no training, or the main lane cannot take another step."""
        main = self._main()
        if main.failure is not None:
            raise ValueError(
                f"the training has failed at step {main.step}; go back to an earlier step, and change the rate there"
            )
        if main.done:
            raise ValueError(f"all {main.settings.epochs} epochs are done; go back, or begin with more epochs")

    def _add(self, name: str, model: Sequential, settings: Settings, history: History, goal: float) -> None:
        """Start a lane."""
        assert self._data is not None
        assert self._session.data is not None
        examination = Examination(self._session.data, model, settings.batch_size)
        lane = Lane(name, model, self._data, settings, examination, history, goal, self)
        self._lanes[name] = lane
        lane.begin()

    def _go(self, goal: float) -> None:
        """Let all lanes go to a step."""
        for lane in self._lanes.values():
            lane.go_to(goal)
        self._tell()

    def _tell(self) -> None:
        """Tell everybody where the lanes are, and the lanes that something has changed."""
        self.events.tell("status", lanes={name: lane.brief() for name, lane in self._lanes.items()})
        self.changed.notify_all()

    def _can(self, change: str) -> bool:
        """Return whether a change is possible with some value."""
        assert self._original is not None
        tried = {"rate": 1.0, "scale": 2.0, "shuffle": not self._main().settings.shuffle, "batch_norm": False}
        try:
            checked_value(change, tried[change], self._original, self._main().settings)
        except ValueError:
            return False
        return True

    def _end(self, name: str | None = None) -> None:
        """End a lane, or all of them, and wait for a moment until its threads are done."""
        with self.changed:
            names = [name] if name is not None else list(self._lanes)
            ended = [self._lanes.pop(one) for one in names if one in self._lanes]
            for lane in ended:
                lane.end()
            self.changed.notify_all()
        for lane in ended:
            lane.join(PATIENCE)
