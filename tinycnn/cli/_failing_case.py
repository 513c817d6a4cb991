"""The smallest case that fails, as a network of one layer that runs on the learner's function, for the page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.types import Array, Shape
from ..course.judging import index_text
from ._own_result import adapter
from ._stand_ins import STAND_INS, StandIn
from ._weighted_sums import SUMS

if TYPE_CHECKING:  # the commands are there without the extra course too
    from ..course.exercise import Exercise
    from ..course.grading import Outcome

#: What makes the network of a case, for each exercise that the page has a place for, and each of its results.
PLACES = STAND_INS | SUMS
#: What the page hides: there are not several layers to choose from, there is no answer to look at, and no program in
#: which the lines of Python that it writes would run.
_HIDDEN = "layers,answer,code"
#: How a result is shown that is no number with terms of its own.
_BESIDE = {"losses": "beside the right one", "statistics": "beside a number of its channel"}


def why_not(failed: "Outcome") -> str:
    """Return what to say if the page has no place for what is wrong; nothing if it has one."""
    if failed.case is not None and not any(name == failed.name for name, _ in PLACES):
        return f"The page has no place for {failed.name}, whose result no layer computes. What is wrong is above."
    if not failed.place:  # nor has it one if there is no case
        return f"{failed.name} does not fail by a wrong number, so the page has none to show. What is wrong is above."
    return ""


class Shown(NamedTuple):
    """What the page shows of a failure: a session, the part of the address that selects the number, and what it is."""

    session: Any
    where: str
    text: str


def shown(path: Path, exercise: "Exercise", failed: "Outcome") -> Shown:
    """Return what the page shows of an exercise of a learner's file that failed.

    Raises
    ------
    ValueError
        If the file cannot be loaded.
    """
    from ..explore.mine import KernelFile
    from ..explore.session import Session

    case = failed.case
    assert case is not None
    stand_in = PLACES[failed.name, failed.result](case.arguments)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, as when the file is graded
    expected = exercise.right(**case.arguments)
    shape = np.shape(expected[failed.result] if len(exercise.results) > 1 else expected)
    adapted = adapter(failed.name, case, failed.result, shape, stand_in.kernel, stand_in.position, stand_in.renamed)
    told = _told(stand_in, exercise, failed.result, shape)
    session = Session(*network_of(stand_in, failed.name), KernelFile(path, adapted), True, told)
    number = int(np.ravel_multi_index(failed.place, shape))
    name = f"{exercise.results[failed.result].name}{index_text(failed.place)}"
    how = _BESIDE.get(stand_in.part, "and how it should come about")
    text = f"The page shows {name} of this case, as {failed.name} computes it, {how}."
    return Shown(session, _where(stand_in, session.model, number), f"{text} {stand_in.note}".strip())


def _told(stand_in: StandIn, exercise: "Exercise", number: int, shape: Shape) -> dict[str, Any]:
    """Return what the page has to know of a case: see :class:`~tinycnn.explore.session.Session`."""
    from ..explore.given import WeightedCrossentropy

    weights = stand_in.loss.weights.tolist() if isinstance(stand_in.loss, WeightedCrossentropy) else None
    # The winners have a place beside the values that have won.
    result = exercise.results[0 if stand_in.part == "y" and stand_in.position else number]
    return {
        "function": exercise.name,
        "note": stand_in.note,
        "channels": list(stand_in.channels),
        "weights": weights,
        "result": {"name": result.name, "shape": list(shape), "part": stand_in.part},
    }


def network_of(stand_in: StandIn, name: str) -> tuple[Any, Any]:
    """Return a built and compiled network of this name, and its images."""
    import tinycnn

    from .. import explore, layers
    from ..explore.given import GivenGradient

    x = stand_in.x
    layer = [] if stand_in.layer is None else [stand_in.layer]
    with tinycnn.use_backend("reference"):
        model = tinycnn.Sequential([*layer, layers.Flatten()], name=name, dtype="float64")
        model.build(x.shape[1:])
    if stand_in.weights:
        model.set_weights(list(stand_in.weights))
    dy = np.ones((len(x), *model.output_shape)) if stand_in.dy is None else stand_in.dy.reshape(len(x), -1)
    model.compile("sgd", GivenGradient(dy) if stand_in.loss is None else stand_in.loss)
    labels = np.zeros(len(x), np.int64) if stand_in.labels is None else stand_in.labels
    names = tuple(f"number {index}" for index in range(int(np.prod(model.output_shape))))
    return model, explore.Data("the smallest case that fails", names, x, labels, x, labels)


def _where(stand_in: StandIn, model: Any, number: int) -> str:
    """Return the part of the page's address that selects a number, which is counted in the order of memory."""
    part, first = stand_in.part, model.layers[0]
    about = f"&layer=0&hide={_HIDDEN}{'&mode=training' if stand_in.training else ''}"
    if part == "losses":
        return f"image=test-{number}&view=kernels&compare=1"
    n: Any
    if part == "statistics":
        x = stand_in.x[..., number]
        n, *at = np.unravel_index(int(abs(x - x.mean()).argmax()), x.shape)
        return f"image=test-{n}{about}&seek=number&at={_text((*at, number))}"
    if part in ("y", "dx"):
        shape = first.built_output_shape if part == "y" else first.built_input_shape
        n, *at = np.unravel_index(number, (len(stand_in.x), *shape))
        way = "&way=backward&seek=gradient" if part == "dx" else "&seek=number"
        return f"image=test-{n}{about}{way}&at={_text(at)}"
    index = np.unravel_index(number, first.params[part].value.shape)
    n = _most(stand_in.x, stand_in.dy)
    return f"image=test-{n}{about}&way=backward&seek=weights&weight={part}:{_text(index)}"


def _most(x: Array, dy: Array | None) -> int:
    """Return which image can add most to the gradient of a parameter."""
    largest = [abs(array).reshape(len(x), -1).max(axis=1) for array in (x, np.ones_like(x) if dy is None else dy)]
    return int((largest[0] * largest[1]).argmax())


def _text(index: Any) -> str:
    """Return an index as the address has it."""
    return ",".join(str(int(one)) for one in index)
