"""The pages of the course say what the chapters are."""

import inspect
import re
from pathlib import Path

import pytest

from tinycnn import course
from tinycnn.course import chapters, templates
from tinycnn.course.exercise import Hunt

FOLDER = Path(__file__).parents[2] / "docs" / "course"
SECTIONS = ("The formula", "In twenty lines", "Exercises", "Bug hunt", "In the documented networks")


@pytest.mark.parametrize("name", course.names())
def test_a_page_has_its_parts_and_its_table_of_exercises(name):
    chapter = chapters.chapter(name)
    text = (FOLDER / chapter.page).read_text("utf-8")
    assert chapter.name == name
    assert chapter.title.lower() == templates.title(name).lower()
    assert text.startswith(f"# {int(name[-2:])}. {chapter.title}\n\n![")
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS
    assert "<summary>Solutions</summary>" in text
    rows = re.findall(r"^\| `(\w+)\(.*?\)` \| .* \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert [(row[0], int(row[2])) for row in rows] == [(one.name, one.minutes) for one in chapter.exercises]
    for function, lines, _ in rows:
        assert int(lines) == lines_of(name, function) <= 15
    for exercise in chapter.exercises:
        assert len(exercise.hints) == 3
        if isinstance(exercise, Hunt):
            assert inspect.getsource(exercise.broken) in text


def lines_of(name, function):
    """Count the lines of a solution after its docstring."""
    body = templates.solution(name).split(f"def {function}(")[1].split('"""')[2].split("\n\n\n")[0]
    return len(body.strip().splitlines())


def test_the_index_lists_every_chapter():
    text = (FOLDER / "index.md").read_text("utf-8")
    rows = re.findall(r"^\| `(chapter\d+)` \| \[(.*?)\]\((.*?)\) \| (.*?) \| (\d+) \|$", text, re.MULTILINE)
    wanted = []
    for name in course.names():
        chapter = chapters.chapter(name)
        functions = ", ".join(f"`{exercise.name}`" for exercise in chapter.exercises)
        minutes = sum(exercise.minutes for exercise in chapter.exercises)
        wanted.append((name, chapter.title, chapter.page, functions, str(minutes)))
    assert rows == wanted
