"""Errors of beginners are rejected, and named; the page that says so is up to date."""

from collections import Counter

import pytest
from make_course_table import PAGE, page, row
from planted import PLANTED, graded

from tinycnn import course

SAID: dict[str, str] = {}
#: One error of each kind runs with the quick tests.
QUICK = {
    PLANTED[0].name,
    *(error.name for error in PLANTED if error.what in ("kernel flipped", "input changed in place")),
}


@pytest.mark.parametrize(
    "error",
    [pytest.param(error, marks=() if error.name in QUICK else pytest.mark.slow, id=error.name) for error in PLANTED],
)
def test_a_planted_error_is_rejected_and_named(error):
    outcome, seconds = graded(error)
    assert not outcome.passed
    SAID[error.name] = next((line for line in outcome.lines if error.says in line), "")
    assert SAID[error.name], "\n".join(outcome.lines)
    assert seconds < 10


@pytest.mark.slow
def test_the_page_shows_what_the_grader_says():
    if len(SAID) < len(PLANTED):
        pytest.skip("it compares what the tests above found; run them all")
    rows = [row(error, SAID[error.name]) for error in PLANTED]
    assert PAGE.read_text("utf-8") == page(rows), "run python tests/course/make_course_table.py"


def test_each_chapter_has_at_least_ten_errors_with_names_of_their_own():
    assert len({error.name for error in PLANTED}) == len(PLANTED)
    counts = Counter(error.chapter for error in PLANTED)
    assert counts.keys() == set(course.names())
    assert min(counts.values()) >= 10
    for error in PLANTED:
        assert f"| `{error.chapter}.{error.exercise}` | {error.what} |" in PAGE.read_text("utf-8")
