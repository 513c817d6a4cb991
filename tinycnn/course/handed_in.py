"""What a class has handed in: a folder of students' files, read before any of them runs."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .templates import names

__all__ = ["Submission", "handed_in", "one_file"]

#: The largest file that is read, in bytes, how many more modules of a student's folder, and how deep folders are.
MOST_SOURCE, MOST_MODULES, DEEPEST = 1 << 18, 20, 4
#: A file such as ``meyer_anna_1234_chapter01.py``, as learning platforms name it; ``-2`` and ``(2)`` count attempts.
_NAMED = re.compile(r"(?P<student>.+?)[\s_.-]+(?P<chapter>chapter\d\d)(?:-\d+|\s*\(\d+\))?")


class Submission(NamedTuple):
    """One student's file for one chapter.

    Attributes
    ----------
    student : str
    chapter : str
    path : Path, optional
        Where the file is; None if none was handed in.
    source : bytes, optional
        What it holds; None if it was not read.
    problem : str
        Why there is nothing to grade; empty if there is.
    modules : tuple of (str, bytes)
        The names and contents of the other Python files in the student's own folder.
    """

    student: str
    chapter: str
    path: Path | None
    source: bytes | None = None
    problem: str = ""
    modules: tuple[tuple[str, bytes], ...] = ()


def handed_in(folder: Path, chapter: str | None = None) -> list[Submission]:
    """Return what is in a folder, by student and chapter.

    A folder in it is a student's, and holds ``chapter01.py`` and so on; if ``chapter`` is given, a single Python file
    of any name will do. A Python file in it is a student's too: ``anna_chapter01.py``, or with ``chapter`` just
    ``anna.py``. Files called ``chapter01.py`` belong to the student whose name the folder has. Links are not followed.

    Parameters
    ----------
    folder : Path
    chapter : str, optional
        The chapter that is looked for; by default all for which anybody has handed in a file.

    Raises
    ------
    OSError
        If the folder cannot be read.
    ValueError
        If nothing was handed in.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir(follow_symlinks=False):
            files = found.setdefault(_text(entry.name), {})
            for done, paths in _of_student(path, chapter):
                files.setdefault(done, []).extend(paths)
        elif path.suffix == ".py":
            student, name = _read_name(path.stem, folder, chapter)
            if name is not None:
                found.setdefault(student, {}).setdefault(name, []).append(path)
    chapters = [name for name in names() if any(name in files for files in found.values())]
    chapters = chapters if chapter is None else [chapter]
    if not any(files.get(name) for files in found.values() for name in chapters):
        wanted = f"{chapter}.py" if chapter else "files such as chapter01.py"
        hint = "" if chapter else "; name the chapter too if the files have only the students' names"
        raise ValueError(f"{folder} holds no {wanted}, neither in students' folders nor beside each other{hint}")
    return [
        _submission(student, name, files.get(name, []), folder) for student, files in found.items() for name in chapters
    ]


def one_file(path: Path, chapter: str) -> Submission:
    """Return a file that stands for itself; it may import the Python files beside it."""
    if not os.path.lexists(path):
        return Submission("", chapter, None, problem=f"{path.name} was not handed in")
    return _submission("", chapter, [path], None)


def _text(name: str) -> str:
    """Return the name of a file as text that can be written in UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _read_name(stem: str, folder: Path, chapter: str | None) -> tuple[str, str | None]:
    """Return whose file it is, and for which chapter; None if it is not for this one."""
    if stem in names():
        return _text(folder.resolve().name), stem if chapter in (None, stem) else None
    match = _NAMED.fullmatch(stem)
    if match is None:
        return _text(stem), chapter
    name = match["chapter"]
    return _text(match["student"]), name if name in names() and chapter in (None, name) else None


def _of_student(folder: Path, chapter: str | None) -> Iterator[tuple[str, list[Path]]]:
    """Yield the chapters of a student's folder, with the files that could be meant."""
    paths: list[Path] = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        deep = len(here.relative_to(folder).parts) >= DEEPEST
        folders[:] = [] if deep else [name for name in folders if not name.startswith((".", "__"))]
        paths += [here / file for file in files if file.endswith(".py") and not file.startswith(".")]
    for name in names() if chapter is None else (chapter,):
        meant = [path for path in paths if path.stem == name]
        meant = meant or [path for path in paths if (found := _NAMED.fullmatch(path.stem)) and found["chapter"] == name]
        if chapter is not None and not meant:
            meant = [path for path in paths if path.stem not in names()]
        if meant:
            yield name, sorted(meant)


def _submission(student: str, chapter: str, paths: list[Path], folder: Path | None) -> Submission:
    """Return a submission with its contents, or with the reason why there are none.

    ``folder`` is that of the class, in which the files beside one are other students'.
    """
    if not paths:
        return Submission(student, chapter, None, problem="nothing was handed in")
    if len(paths) > 1:
        several = ", ".join(_text(path.name if folder is None else str(path.relative_to(folder))) for path in paths[:4])
        return Submission(student, chapter, None, problem=f"it is not clear which file is meant: {several}")
    [path] = paths
    try:
        source = _read(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Submission(student, chapter, path, problem=f"the file cannot be read: {reason}")
    modules: list[tuple[str, bytes]] = []
    for neighbour in sorted(path.parent.glob("*.py")) if path.parent != folder or path.stem in names() else ():
        its_own = path.parent != folder or neighbour.stem in names()
        if its_own and neighbour != path and len(modules) < MOST_MODULES:
            with contextlib.suppress(OSError, ValueError):
                modules.append((neighbour.name, _read(neighbour)))
    return Submission(student, chapter, path, source, modules=tuple(modules))


def _read(path: Path) -> bytes:
    """Return what a plain file of a sensible size holds, without waiting for a pipe or following a link."""
    kind = path.lstat()
    if not stat.S_ISREG(kind.st_mode):
        raise ValueError("it is no plain file but a link, a folder or something else; hand in the file itself")
    if kind.st_size > MOST_SOURCE:
        raise ValueError(f"it has more than {MOST_SOURCE // 1024} KiB, which no solution needs")
    with path.open("rb") as file:
        return file.read(MOST_SOURCE)
