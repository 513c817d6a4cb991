"""Find out what the grader says about each planted error; ``python tests/course/make_course_table.py`` writes the page.

The page is docs/course/grader.md.
"""

from collections import Counter
from pathlib import Path

from planted import PLANTED, Planted, graded

PAGE = Path(__file__).parents[2] / "docs" / "course" / "grader.md"
INTRODUCTION = """\
# Who grades the grader

A grader that accepts a correct function proves little: it could accept every function. So {count} mistakes that
beginners make were planted in the solutions (`tests/course/planted.py`), one at a time. The grader must reject each
within ten seconds and name what is wrong, such as the axis, the term or the argument. The slow tests check this, and
that every solution passes with 50 seeds. To write this page anew, run

```sh
python tests/course/make_course_table.py
```

| chapter | mistakes |
|---|---:|
{counts}

"""


def message(error: Planted) -> str:
    """Return what the grader says about an error: the sentence that names it."""
    outcome, _ = graded(error)
    assert not outcome.passed, f"{error.name} passes"
    return next((line for line in outcome.lines if error.says in line), "**not named**")


def page(messages: dict[str, str]) -> str:
    """Return the text of the page."""
    rows = ["| function | mistake | what the grader says |", "|---|---|---|"]
    for error in PLANTED:
        text = messages[error.name].replace("|", "·").replace("*", "\\*")
        rows.append(f"| `{error.chapter}.{error.exercise}` | {error.what} | {text} |")
    counts = Counter(error.chapter for error in PLANTED)
    table = "\n".join(f"| `{chapter}` | {count} |" for chapter, count in counts.items())
    return INTRODUCTION.format(count=len(PLANTED), counts=table) + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page({error.name: message(error) for error in PLANTED}), "utf-8")
