"""A course in which the learner writes the functions of a network, and a grader finds the smallest case that fails.

``tinycnn course start DIR`` writes a file for each chapter; ``tinycnn check chapter01 FILE`` grades one. The pages are
in docs/course/. Grading needs the extra ``course``: ``pip install "tinycnn[course]"``.
"""

import os
from typing import TYPE_CHECKING

from ..core.messages import unknown
from ..core.public import listing
from .templates import Started, names, start

if TYPE_CHECKING:
    from .grading import Report

__all__ = ["Started", "check", "names", "start"]
__dir__ = listing(__name__)


def check(chapter: str, path: str | os.PathLike[str], seed: int = 0) -> "Report":
    """Grade a learner's file.

    The file is executed, in a process of its own with limits on time and memory. That protects from mistakes and is no
    sandbox: the code may do what its user may do.

    Parameters
    ----------
    chapter : str
        The name of a chapter, such as ``"chapter01"``.
    path : path
        The learner's file.
    seed : int
        Decides which cases are drawn.

    Returns
    -------
    Report
        Its ``passed`` says whether all exercises passed.

    Raises
    ------
    ValueError
        If there is no such chapter.
    OSError
        If the file cannot be read.
    ModuleNotFoundError
        If the extra ``course`` is not installed.
    """
    if chapter not in names():
        raise unknown("chapter", chapter, names())
    need_extra()
    from . import chapters, grading

    return grading.grade(chapters.chapter(chapter), os.fspath(path), seed)


def need_extra() -> None:
    """Raise ModuleNotFoundError, with what to install, if the extra ``course`` is not installed."""
    try:
        import hypothesis  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hypothesis":
            raise
        raise ModuleNotFoundError(
            'grading needs Hypothesis: pip install "tinycnn[course]", or in a checkout pip install -e ".[course]"'
        ) from None
