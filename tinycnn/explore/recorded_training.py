"""A training for a recording: its curves, and the weights at some of its steps, which the page's slider shows.

>>> import numpy as np
>>> from tinycnn import Sequential, layers, set_seed
>>> from tinycnn.explore import Data, Session
>>> from tinycnn.explore.recorded_training import record
>>> set_seed(1)
>>> model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
>>> x, y = np.random.default_rng(0).random((64, 4, 4, 1), np.float32), np.arange(64) % 2
>>> record(Session(model, Data("noise", ("even", "odd"), x, y, x, y)), epochs=3, checkpoints=4).description["steps"]
[0, 2, 4, 6]
"""

import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import integer
from ..core.types import Array
from . import protocol
from .session import Session
from .thinning import as_planes
from .training import MAIN, Training

#: How many sets of weights are recorded, and how many bytes of the file they may take (in base64).
CHECKPOINTS, MOST_BYTES = 30, 4_000_000
#: How long to wait before looking again whether a training stands still.
_SECONDS = 0.5


class RecordedTraining(NamedTuple):
    """What a recording keeps of a training.

    Attributes
    ----------
    description : dict
        ``state``: what :meth:`tinycnn.explore.training.Training.state` returned at its end; ``steps``: those of the
        checkpoints; ``places``: the number of the layer, the name and the shape of each array in a row of weights.
    arrays : dict of str to array
        ``planes``: the weights, one row for each checkpoint, in the form of :func:`tinycnn.explore.thinning.as_planes`;
        ``answers``: what the network answered at each checkpoint for the image ``test-0``, layer by layer.
    """

    description: dict[str, Any]
    arrays: dict[str, Array]


def record(
    session: Session,
    *,
    epochs: int = 3,
    batch_size: int = 32,
    checkpoints: int = CHECKPOINTS,
    most_bytes: int = MOST_BYTES,
    tell: Callable[[int], None] = lambda step: None,
) -> RecordedTraining:
    """Train a session's network anew on its data, and return what a recording keeps of that.

    The session's network has the weights of the end then, so that :func:`tinycnn.explore.recording.write_recording`
    records these.

    Parameters
    ----------
    session : Session
        It must have data. The training begins with the weights with which the network was made.
    epochs, batch_size : int
        As in :meth:`tinycnn.Sequential.fit`.
    checkpoints : int
        How many sets of weights are kept, from before the first step to the end, if there is room for them.
    most_bytes : int
        How many bytes of the file they may take; fewer sets are kept if these would take more.
    tell : function
        Is called with the number of steps that were taken, now and then.

    Raises
    ------
    ValueError
        If the session has no data, or the training fails, for example because the loss is NaN.
    """
    checkpoints = integer(checkpoints, "checkpoints", minimum=2)
    training = Training(session)
    training.begin(batch_size=batch_size, epochs=epochs)
    try:
        training.start()
        last = _wait(training, tell)
        steps = sorted({round(last * n / (checkpoints - 1)) for n in range(checkpoints)})
        rows = {step: _weights_at(training, step, tell) for step in steps}
        state = training.state()
    finally:
        training.close()
    places = [
        (number, name, list(value.shape))
        for number, layer in enumerate(session.model.layers)
        for name, value in layer.weights().items()
    ]
    # Of a network with layers of somebody's own, a browser could show none of them.
    kinds = [layer["kind"] for layer in protocol.describe(session.model)["layers"]]
    steps = [last] if protocol.OWN in kinds else steps
    steps, planes = _fitting(steps, rows, most_bytes)
    answers = np.stack([_answer(session, rows[step]) for step in steps])
    return RecordedTraining({"state": state, "steps": steps, "places": places}, {"planes": planes, "answers": answers})


def _wait(training: Training, tell: Callable[[int], None]) -> int:
    """Wait until a training stands still, and return at which step it does."""
    while not training.wait(_SECONDS):
        tell(training.state()["lanes"][MAIN]["step"])
    lane = training.state()["lanes"][MAIN]
    if lane["status"] == "failed":
        raise ValueError(f"the training failed at step {lane['step']}: {lane['failure']['message']}")
    return int(lane["step"])


def _weights_at(training: Training, step: int, tell: Callable[[int], None]) -> list[Array]:
    """Return the weights after a step."""
    training.rewind(step)
    _wait(training, tell)
    return training.current_weights()


def _fitting(steps: list[int], rows: dict[int, list[Array]], most_bytes: int) -> tuple[list[int], Array]:
    """Return as many of the steps as there is room for, with the first and the last one, and their weights."""
    while True:
        planes = as_planes(np.stack([np.concatenate([array.ravel() for array in rows[step]]) for step in steps]))
        size = math.ceil(len(zlib.compress(planes.tobytes(), 9)) / 3) * 4  # in base64
        if size <= most_bytes or len(steps) <= 2:
            return steps, planes
        count = max(2, min(len(steps) - 1, int(len(steps) * most_bytes / size)))
        steps = [steps[round(n * (len(steps) - 1) / (count - 1))] for n in range(count)]


def _answer(session: Session, weights: list[Array]) -> Array:
    """Return what the network gives with these weights for the first image, and leave them in it."""
    with session.changing_weights() as model:
        model.set_weights(weights)
    _, arrays = session.trace("test-0")
    return arrays[f"{len(session.model.layers) - 1}.y"]
