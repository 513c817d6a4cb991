"""The grader of one submission of a class, in a process of its own: ``classroom.py`` starts this file as a script.

It reads what to grade from standard input, as JSON, and writes how the exercises ended to standard output. The
learner's code does not run here but in a process that this one starts (``learner.py``), so that nothing which that code
does can reach the verdict, and nothing which happens to this process can reach the verdicts of others.
"""

import json
import signal
import sys
from pathlib import Path
from typing import NoReturn

__all__ = ["main"]


def _stop(*_: object) -> NoReturn:
    """End as Python ends, so that the learner's process is ended too."""
    sys.exit(1)


def main() -> None:
    """Grade one submission."""
    signal.signal(signal.SIGTERM, _stop)
    sys.path.append(str(Path(__file__).parents[2]))
    from tinycnn.course import chapters, grading

    asked = json.load(sys.stdin)
    chapter = chapters.chapter(asked["chapter"])
    source = asked["source"].encode("latin-1")
    report = grading.grade_source(chapter, Path(asked["path"]), source, asked["seed"])
    keys = ("name", "passed", "cases", "lines")
    found = [dict(zip(keys, (one.name, one.passed, one.cases, one.lines), strict=True)) for one in report.outcomes]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
