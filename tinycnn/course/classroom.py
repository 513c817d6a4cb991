"""Grade a class: each submission in processes of its own, with limits, and the verdicts in one report.

All files are read before any of them runs. For each, a process is started that grades (``worker.py``), and that one
starts another which runs the learner's code (``learner.py``) on a copy in a temporary folder. So a submission can
neither reach the verdict on it nor the files and the verdicts of others. This is no sandbox against malice.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from ..core import system
from ..core.version import __version__
from . import worker
from .handed_in import Submission, handed_in, one_file

__all__ = ["ClassReport", "Exercised", "Graded", "grade_class", "grade_one"]

#: How many seconds the grading of one submission may take, unless something else is asked for.
LIMIT = 300.0
#: How long a grader may take to end its learner's process when it is told to end.
_GRACE = 5.0


class Exercised(NamedTuple):
    """How an exercise ended: its name, whether it passed, how many cases were tried, and what is wrong."""

    name: str
    passed: bool
    cases: int
    lines: tuple[str, ...]


class Graded(NamedTuple):
    """How a submission ended.

    Attributes
    ----------
    submission : Submission
    exercises : tuple of Exercised
    digest : str
        The SHA-256 of what was graded; empty if nothing was.
    problem : str
        Why it was not graded, or not to the end; empty if it was.
    seconds : float
    """

    submission: Submission
    exercises: tuple[Exercised, ...]
    digest: str = ""
    problem: str = ""
    seconds: float = 0.0

    @property
    def score(self) -> int:
        """The number of exercises that passed."""
        return sum(exercise.passed for exercise in self.exercises)

    @property
    def passed(self) -> bool:
        """Whether it was graded to the end, and every exercise passed."""
        return not self.problem and self.score == len(self.exercises) > 0


class ClassReport(NamedTuple):
    """What a class has reached, by student and chapter; ``folder`` is where the files are."""

    folder: Path
    seed: int
    graded: tuple[Graded, ...]

    @property
    def passed(self) -> bool:
        """Whether every submission passed."""
        return all(graded.passed for graded in self.graded)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON can hold it; docs/course/classes.md describes the format."""
        return {
            "format": "tinycnn-class",
            "version": 1,
            "tinycnn": __version__,
            "folder": str(self.folder).encode("utf-8", "backslashreplace").decode(),
            "seed": self.seed,
            "passed": self.passed,
            "submissions": [_entry(graded, self.folder) for graded in self.graded],
        }


def _entry(graded: Graded, folder: Path) -> dict[str, Any]:
    """Return the part of a report that is about one submission."""
    path = graded.submission.path
    relative = None if path is None else path.relative_to(folder).as_posix()
    return {
        "student": graded.submission.student,
        "chapter": graded.submission.chapter,
        "file": relative and os.fsencode(relative).decode("utf-8", "backslashreplace"),
        "sha256": graded.digest or None,
        "passed": graded.passed,
        "score": graded.score,
        "max_score": len(graded.exercises),
        "problem": graded.problem or None,
        "seconds": round(graded.seconds, 2),
        "exercises": [
            {"name": one.name, "passed": one.passed, "cases": one.cases, "message": list(one.lines)}
            for one in graded.exercises
        ],
    }


def grade_class(
    folder: str | os.PathLike[str],
    chapter: str | None = None,
    *,
    seed: int = 0,
    jobs: int | None = None,
    limit: float = LIMIT,
    progress: Callable[[Graded], None] = lambda graded: None,
) -> ClassReport:
    """Grade what is in a folder.

    Parameters
    ----------
    folder : path
    chapter : str, optional
        The chapter that is graded; by default all for which anybody has handed in a file.
    seed : int
        Decides which cases are drawn, the same for all.
    jobs : int, optional
        How many submissions are graded at the same time; by default half as many as there are cores.
    limit : float
        How many seconds the grading of one submission may take.
    progress : callable
        It is called with each submission that is finished.

    Returns
    -------
    ClassReport

    Raises
    ------
    OSError
        If the folder cannot be read, or on Windows.
    ValueError
        If nothing was handed in.
    """
    _check_system()
    folder = Path(folder)
    submissions = handed_in(folder, chapter)
    graders = _Graders(seed, limit)
    graded: dict[int, Graded] = {}
    pool = ThreadPoolExecutor(jobs or max(1, (os.cpu_count() or 1) // 2))
    try:
        futures = {pool.submit(graders.grade, one): number for number, one in enumerate(submissions)}
        for future in as_completed(futures):
            graded[futures[future]] = future.result()
            progress(future.result())
    finally:  # after Ctrl-C no grader is left
        graders.stop()
        pool.shutdown(cancel_futures=True)
    return ClassReport(folder, seed, tuple(graded[number] for number in range(len(submissions))))


def grade_one(path: str | os.PathLike[str], chapter: str, *, seed: int = 0, limit: float = LIMIT) -> Graded:
    """Grade a single file as one of a class is graded; a file that is not there is one that was not handed in.

    Raises
    ------
    OSError
        On Windows.
    """
    _check_system()
    return _Graders(seed, limit).grade(one_file(Path(path), chapter))


def _check_system() -> None:
    if system.on_windows():
        raise OSError("a class cannot be graded on Windows; run this command in WSL, the Linux within Windows")


class _Graders:
    """Starts a grader for each submission, and ends those that are left."""

    def __init__(self, seed: int, limit: float) -> None:
        self.seed, self.limit = seed, limit
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), False

    def stop(self) -> None:
        """End all graders that are running, and start no further one."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def grade(self, submission: Submission) -> Graded:
        """Grade one submission; whatever happens to its grader is told in the result."""
        if submission.source is None:
            return Graded(submission, _none_passed(submission, submission.problem), problem=submission.problem)
        assert submission.path is not None
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tinycnn-class-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / submission.path.name
            for name, content in (*submission.modules, (copy.name, submission.source)):
                (Path(folder) / name).write_bytes(content)
            asked = {"chapter": submission.chapter, "path": str(copy), "seed": self.seed}
            found = self._run(json.dumps(asked | {"source": submission.source.decode("latin-1")}).encode())
        exercises, problem = _read_answer(submission, found)
        digest = hashlib.sha256(submission.source).hexdigest()
        return Graded(submission, exercises, digest, problem, time.monotonic() - begun)

    def _run(self, asked: bytes) -> bytes | str:
        """Return what a grader writes, or why it wrote nothing."""
        with self._lock:
            if self._stopped:
                return "the class was not graded to the end"
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(Path(worker.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
            self._running.add(process)
        try:
            answer, errors = process.communicate(asked, timeout=self.limit)
        except subprocess.TimeoutExpired:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_GRACE)
            return f"it was not graded to its end within {self.limit:.0f} s"
        except KeyboardInterrupt:
            process.terminate()  # then it ends the learner's process, too
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
            raise
        finally:
            with self._lock:
                self._running.discard(process)
            process.kill()
            process.wait()
        if process.returncode != 0:
            last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
            return f"its grader ended with the code {process.returncode} {last}".strip()
        return answer


def _none_passed(submission: Submission, why: str) -> tuple[Exercised, ...]:
    """Return the exercises of a chapter, none of them passed."""
    from .chapters import chapter

    return tuple(Exercised(one.name, False, 0, (why,)) for one in chapter(submission.chapter).exercises)


def _read_answer(submission: Submission, found: bytes | str) -> tuple[tuple[Exercised, ...], str]:
    """Return the exercises as a grader's answer has them, and why there is no such answer."""
    if isinstance(found, bytes):
        try:
            exercises = tuple(
                Exercised(one["name"], one["passed"] is True, one["cases"], tuple(one["lines"]))
                for one in json.loads(found)
            )
        except (ValueError, KeyError, TypeError):
            found = "its grader wrote what is no answer"
        else:
            none = _none_passed(submission, "")
            if [one.name for one in exercises] == [one.name for one in none]:
                return exercises, ""
            found = "its grader wrote of other exercises"
    return _none_passed(submission, found), found
