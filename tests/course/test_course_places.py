"""The page that lists where ``tinycnn check --explore`` shows each result is that of the exercises as they are."""

import pytest

pytest.importorskip("hypothesis", reason="the extra course is not installed")
pytest.importorskip("starlette", reason="the extra explore is not installed")

from make_place_table import NO_PLACE, PAGE, page

from tinycnn.cli._failing_case import PLACES
from tinycnn.course import chapters, templates
from tinycnn.course.exercise import Exercise


def test_the_page_is_that_of_the_exercises() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python tests/course/make_place_table.py"


def test_every_place_is_one_of_an_exercise_and_stands_on_the_page() -> None:
    exercises = [one for name in templates.names() for one in chapters.chapter(name).exercises]
    results = {
        (one.name, number) for one in exercises if isinstance(one, Exercise) for number in range(len(one.results))
    }
    assert set(PLACES) == {(name, number) for name, number in results if (name, 0) in PLACES}
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(results) + sum(not isinstance(one, Exercise) for one in exercises)
    assert sum(not row.endswith(f"| {NO_PLACE} |") for row in rows) == len(PLACES)
