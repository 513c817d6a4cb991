"""Find out what the grader says about each planted error, and write the page.

``python tests/course/make_course_table.py`` does it for all chapters; with names of chapters, such as ``chapter04``, it
keeps what the page says about the others. The page is docs/course/grader.md.
"""

import re
import sys
from collections import Counter
from pathlib import Path

from planted import PLANTED, Planted, graded

PAGE = Path(__file__).parents[2] / "docs" / "course" / "grader.md"
INTRODUCTION = """\
# Who grades the grader

A grader that accepts a correct function proves little: it could accept every function. So {count} mistakes that
beginners make were planted in the solutions (`tests/course/planted_chapter01.py` and so on), one at a time. The grader
must reject each within ten seconds and name what is wrong, such as the axis, the term or the argument. The slow tests
check this, and that every solution passes with 50 seeds. To write this page anew, run

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


def row(error: Planted, text: str) -> str:
    """Return a row of the table."""
    text = text.replace("|", "·").replace("*", "\\*")
    return f"| `{error.chapter}.{error.exercise}` | {error.what} | {text} |"


def page(rows: list[str]) -> str:
    """Return the text of the page."""
    head = ["| function | mistake | what the grader says |", "|---|---|---|"]
    counts = Counter(error.chapter for error in PLANTED)
    table = "\n".join(f"| `{chapter}` | {count} |" for chapter, count in counts.items())
    return INTRODUCTION.format(count=len(PLANTED), counts=table) + "\n".join(head + rows) + "\n"


def rows_of_page() -> dict[str, str]:
    """Return the rows that the page has, by the names of their errors."""
    found = re.finditer(r"^\| `(\w+)\.(\w+)` \| (.*?) \| .*$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {Planted(one[1], one[2], one[3], (), "").name: one[0] for one in found}


def main(chapters: list[str]) -> None:
    """Write the page; what the grader says is found out for these chapters, and where the page has no row."""
    known = {} if not chapters else rows_of_page()
    rows = []
    for error in PLANTED:
        if error.chapter in chapters or error.name not in known:
            known[error.name] = row(error, message(error))
        rows.append(known[error.name])
    PAGE.write_text(page(rows), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
