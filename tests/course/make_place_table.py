"""Write the page that lists where ``tinycnn check --explore`` shows each result: docs/course/places.md.

``python tests/course/make_place_table.py`` does it.
"""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import hypothesis

from tinycnn.cli._failing_case import PLACES
from tinycnn.cli._stand_ins import StandIn
from tinycnn.course import chapters, templates
from tinycnn.course.exercise import Case, Exercise, Step

PAGE = Path(__file__).parents[2] / "docs" / "course" / "places.md"
INTRODUCTION = """\
# Where --explore shows a result

`tinycnn check CHAPTER FILE --explore` opens [the page](../explore.md) at the first wrong number of the smallest case
that fails. The page shows a network of one layer that runs on your function, with all images of the case together. It
marks the number: its terms add up to another one, or a slope that was measured is another one. What is no layer's but a
weighted sum, such as a step of an optimizer, is shown as a convolution of one tap. Other results, such as a size or an
epoch, have no place there. `check` then says so, and what it has printed is all there is: the smallest case that fails,
and what is wrong with it. The same goes for a function that raises an error, or returns an array of a wrong shape or
dtype.

The number has the name that it has in the terminal, such as `dw[0,1,0,2]`. If it has several sums, such as one for each
channel, the page opens the one that is wrong, and says what would give your number: the sum without one of them, or
with another sign of it. The terms of a `dw` are those of all images. If one of several results is computed from another
one that is wrong too, such as Adam's `w` from its `m`, that other one is shown. *Draw and find*, *Train* and the tours
are for networks, and are left out; a recording of a case is refused, because a browser cannot run your function.

*Load the file again*, under *Your kernels*, lets the page run on your function as it is now.

To write this page anew, run `python tests/course/make_place_table.py`.
"""
#: Where a result is, by the part of the network that it is; parameters have their own name.
PARTS = {
    "y": "a value of `{layer}`",
    "dx": "a gradient at the input of `{layer}`",
    "statistics": "beside a value of its channel, `{layer}`",
    "losses": "*Your kernels*, beside the right loss",
}
NO_PLACE = "—"


def page() -> str:
    """Return the text of the page."""
    return INTRODUCTION + "".join(map(_table, templates.names()))


def _table(name: str) -> str:
    """Return the table of a chapter."""
    head = f"\n## {chapters.chapter(name).title}\n\n| function | result | where it is shown |\n|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in _rows(name))


def _rows(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each result of each exercise of a chapter."""
    solutions = importlib.import_module(f"tinycnn.course.solutions.{name}")
    for exercise in chapters.chapter(name).exercises:
        signature = f"`{exercise.name}{inspect.signature(getattr(solutions, exercise.name))}`"
        if not isinstance(exercise, Exercise):
            yield signature, "a counterexample", NO_PLACE
            continue
        for number, result in enumerate(exercise.results):
            what = f"`{result.name}`" if result.name.isidentifier() else result.name
            yield signature, what, _place(exercise, number)


def _place(exercise: Step, result: int) -> str:
    """Return where a result is shown, in words."""
    assert isinstance(exercise, Exercise)
    if (exercise.name, result) not in PLACES:
        return NO_PLACE
    made = PLACES[exercise.name, result](_some_case(exercise).arguments)
    return f"{_part(made)}. {made.note}".strip().removesuffix(".")


def _part(made: StandIn) -> str:
    """Return which number of its network a result is."""
    layer = "Flatten" if made.layer is None else type(made.layer).__name__
    if made.kernel == "max_pool2d_forward" and made.position == 1:
        return f"the winner, beside a value of `{layer}`"
    return PARTS.get(made.part, "a gradient by `{part}` of `{layer}`").format(layer=layer, part=made.part)


def _some_case(exercise: Exercise) -> Case:
    """Return a case of an exercise."""
    cases = exercise.phases[0].cases
    if isinstance(cases, tuple):
        return cases[0]
    settings = hypothesis.settings(database=None, deadline=None)
    found: Case = hypothesis.find(cases, lambda case: True, settings=settings)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
