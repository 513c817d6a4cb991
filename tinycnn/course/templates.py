"""The learner's files: the solutions without their bodies, one per chapter, written once and never over something."""

import ast
import os
from pathlib import Path
from typing import NamedTuple

from ..core.files import make_folder, write_whole

__all__ = ["Started", "names", "start", "template", "title"]

_SOLUTIONS = Path(__file__).parent / "solutions"


class Started(NamedTuple):
    """The files that were written, and those that were there already and stay as they are."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def names() -> tuple[str, ...]:
    """Return the names of the chapters, in order.

    Examples
    --------
    >>> names()[0]
    'chapter01'
    """
    return tuple(sorted(path.stem for path in _SOLUTIONS.glob("chapter*.py")))


def solution(name: str) -> str:
    """Return the source of a chapter's solution."""
    return (_SOLUTIONS / f"{name}.py").read_text("utf-8")


def title(name: str) -> str:
    """Return the title of a chapter, which is the first line of its file.

    Examples
    --------
    >>> title("chapter01")
    'convolution by hand'
    """
    first = (ast.get_docstring(ast.parse(solution(name))) or "").partition("\n")[0]
    return first.partition(": ")[2].rstrip(".")


def template(name: str) -> str:
    """Return the text of a learner's file: the solution, in which every body after its docstring is an error.

    Examples
    --------
    >>> print(template("chapter01")[-31:].strip())
    raise NotImplementedError
    """
    source = solution(name)
    lines = source.splitlines()
    for function in reversed([node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]):
        assert function.end_lineno is not None
        lines[function.body[1].lineno - 1 : function.end_lineno] = ["    raise NotImplementedError"]
    return "\n".join(lines) + "\n"


def start(folder: str | os.PathLike[str]) -> Started:
    """Write the chapters' files into a folder, which is made if it is not there.

    A file that exists is never touched.

    Raises
    ------
    OSError
        If the folder or a file cannot be written.
    """
    folder = Path(folder)
    make_folder(folder)
    written, kept = [], []
    for name in names():
        path = folder / f"{name}.py"
        if os.path.lexists(path):
            kept.append(path)
        else:
            write_whole(path, template(name).encode())
            written.append(path)
    return Started(tuple(written), tuple(kept))
