"""Find the pictures of each class in a folder, and split them in the same way on any file system.

Nothing here depends on the order in which a file system lists its files, nor on how it writes accents: names are
compared in Unicode's composed form, and which pictures are test pictures follows from a hash of seed and name.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.messages import shown
from ._formats import DataFileError
from ._image_file import SUFFIXES

#: How many bad files an error lists.
MOST_LISTED = 10
#: The share of the pictures that are held out, unless the folder says which these are.
USUAL_SPLIT = 0.2
#: The names of the folders that hold the two halves of data which somebody has split already.
TRAIN, TEST = "train", ("test", "val", "valid", "validation")
#: Words in the names of folders that show that they hold halves and no classes.
_WORDS_OF_HALVES = {TRAIN, *TEST, "training", "testing", "eval", "evaluation", "dev", "holdout"}
#: Pictures in formats that are not read. To leave them out without a word would lose what somebody has collected.
OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".jp2", ".jxl", ".tga", ".svg", ".psd"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2"),
)
#: What macOS puts into archives beside the pictures.
_NO_CLASS = "__MACOSX"


class Entry(NamedTuple):
    """A picture: its file, its label, and its name in the folder, which is the same on any file system."""

    path: Path
    label: int
    name: str


class Found(NamedTuple):
    """The classes by name, and the pictures to train on and to test on, each in the order that the seed gives."""

    class_names: tuple[str, ...]
    train: list[Entry]
    test: list[Entry]


def find(root: Path, share: float | None, seed: int, follow_links: bool) -> Found:
    """Return the pictures of a folder that holds a folder for each class.

    Parameters
    ----------
    root : Path
    share : float or None
        Which share of each class is tested on; None for :data:`USUAL_SPLIT`, unless the folder is split already.
    seed : int
        What decides which pictures these are, and the order of all of them.
    follow_links : bool
        Whether links may lead out of the folder.

    Raises
    ------
    DataFileError
        If the folder does not hold a folder with pictures for each of at least two classes, or links lead out of it.
    ValueError
        If a share is given for a folder that is split already.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder; give one that holds a folder with pictures for each class")
    bad: list[str] = []
    halves = _halves(root)
    if halves is not None:
        if share is not None:
            raise ValueError(
                f"validation_split: {root} is split already, into {halves[0].name} and {halves[1].name}; leave "
                "validation_split out"
            )
        names, train = _classes(halves[0], root, follow_links, bad)
        of_test, test = _classes(halves[1], root, follow_links, bad, may_be_empty=True)
        if unknown := [name for name in of_test if name not in names]:
            raise DataFileError(f"{halves[1]} has classes that {halves[0]} lacks: {listed(unknown)}")
        numbers = [names.index(name) for name in of_test]
        test = [entry._replace(label=numbers[entry.label]) for entry in test]
        report(bad, root)
        return Found(names, _ordered(train, seed), _ordered(test, seed))
    names, entries = _classes(root, root, follow_links, bad)
    report(bad, root)
    train, test = _split(_ordered(entries, seed), len(names), USUAL_SPLIT if share is None else share)
    if not test and share != 0:
        raise DataFileError(
            f"{root} has only one picture of each class, so that none can be held out; add some, or give "
            "validation_split=0"
        )
    return Found(names, train, test)


def report(bad: Sequence[str], root: Path) -> None:
    """Raise DataFileError if there are bad files; the message lists the first ten."""
    if not bad:
        return
    more = [f"and {len(bad) - MOST_LISTED} more"] if len(bad) > MOST_LISTED else []
    head = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    raise DataFileError("\n  ".join([f"{root} holds {head} that cannot be used:", *bad[:MOST_LISTED], *more]))


def listed(names: Sequence[str]) -> str:
    """Return at most ten names as text."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def _halves(root: Path) -> tuple[Path, Path] | None:
    """Return the folders with the training and the test pictures, if the folder is split already."""
    folders = {path.name.lower(): path for path in _folders(root)}
    exact = TRAIN in folders and set(folders) <= {TRAIN, *TEST}
    if not exact and not _look_like_halves(list(folders.values())):
        return None
    if not exact or len(folders) != 2:
        raise DataFileError(
            f"{root} holds the folders {listed(sorted(folders))}; it must hold either a folder for each class, or "
            f"{TRAIN} and one of {', '.join(TEST)}, with a folder for each class in each of the two"
        )
    [test] = folders.keys() - {TRAIN}
    return folders[TRAIN], folders[test]


def _look_like_halves(folders: Sequence[Path]) -> bool:
    """Return whether two folders are called training, test_set or so, and the same folders lie in both of them.

    They would otherwise become two classes, each with the pictures of all classes.
    """
    named = [path for path in folders if _WORDS_OF_HALVES & set(re.split("[^a-z]+", path.name.lower()))]
    inner = [{path.name for path in _folders(half)} for half in named]
    return any(one & other for one, other in itertools.combinations(inner, 2))


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, without those that are hidden."""
    found = [path for path in folder.iterdir() if _counts(path) and path.is_dir()]
    return sorted(found, key=lambda path: (_composed(path.name), path.name))


def _counts(path: Path) -> bool:
    """Return whether something is not hidden; macOS puts its own data into files that begin with a point."""
    return not path.name.startswith(".") and path.name != _NO_CLASS


def _composed(name: str) -> str:
    """Return a name in Unicode's composed form; some file systems take letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def _classes(
    folder: Path, root: Path, follow_links: bool, bad: list[str], may_be_empty: bool = False
) -> tuple[tuple[str, ...], list[Entry]]:
    """Return the names of the classes in a folder, and their pictures."""
    folders = _folders(folder)
    names = tuple(_composed(path.name) for path in folders)
    if len(names) < 2 and not may_be_empty:
        raise DataFileError(_too_few(folder, names))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataFileError(
            f"{folder} has two folders for the class {listed(twice)}, which differ in how accents are written"
        )
    real_root = root.resolve()
    entries, empty = [], []
    for label, path in enumerate(folders):
        if not _is_text(path.name):
            bad.append(f"{shown(path.name)} has a name that is not UTF-8; rename it")
            continue
        before = len(bad)
        found = [
            Entry(file, label, "/".join(map(_composed, file.relative_to(root).parts)))
            for file in _pictures(path, real_root, follow_links, bad, ())
        ]
        entries += found
        if not found and len(bad) == before:
            empty.append(path.name)
    if empty and not may_be_empty:
        raise DataFileError(
            f"{folder} has no pictures of {'the class' if len(empty) == 1 else 'the classes'} {listed(empty)}: put "
            f"some ({', '.join(SUFFIXES[:3])}, ...) into {'this folder' if len(empty) == 1 else 'these folders'}, or "
            "remove what is empty"
        )
    return names, entries


def _too_few(folder: Path, names: tuple[str, ...]) -> str:
    """Return the error for a folder with fewer than two classes."""
    wanted = "a folder for each class, at least two, such as cat/ and dog/, with its pictures in it"
    if names:
        return f"{folder} holds only one folder, {names[0]}; it must hold {wanted}"
    return f"{folder} holds no folders; it must hold {wanted}"


def _is_text(name: str) -> bool:
    """Return whether a name is text; Python stands for other bytes with characters that nothing can encode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pictures(folder: Path, root: Path, follow_links: bool, bad: list[str], above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the pictures in a folder and in the folders within it, and say which entries cannot be used."""
    real = _leads_to(folder)
    if not (follow_links or real.is_relative_to(root)):
        bad.append(f"{folder} is a link that leads out of the folder; put the files themselves there")
        return
    if real in above:
        bad.append(f"{folder} is a link that leads back to a folder around it")
        return
    for path in sorted(filter(_counts, folder.iterdir()), key=lambda path: (_composed(path.name), path.name)):
        if path.is_dir():
            yield from _pictures(path, root, follow_links, bad, (*above, real))
        elif path.suffix.lower() in OTHER_PICTURES:
            bad.append(f"{path} is a picture in a format that cannot be read: save it as JPEG or PNG")
        elif path.suffix.lower() not in SUFFIXES:
            continue
        elif not _is_text(path.name):
            bad.append(f"{folder / shown(path.name)} has a name that is not UTF-8; rename it")
        elif path.is_symlink() and not follow_links and not _leads_to(path).is_relative_to(root):
            bad.append(f"{path} is a link that leads out of the folder; put the file itself there")
        else:
            yield path


def _leads_to(path: Path) -> Path:
    """Return where a link leads; what leads to itself stays, and reading it will say so."""
    return Path(os.path.realpath(path))


def _ordered(entries: list[Entry], seed: int) -> list[Entry]:
    """Return pictures in an order that depends on nothing but the seed and their names."""
    return sorted(entries, key=lambda entry: hashlib.sha256(f"{seed}/{entry.name}".encode()).digest())


def _split(entries: list[Entry], classes: int, share: float) -> tuple[list[Entry], list[Entry]]:
    """Return the pictures to train on and to test on: the same share of each class, and at least one of each."""
    counts = [0] * classes
    for entry in entries:
        counts[entry.label] += 1
    left = [min(max(round(share * count), 1), count - 1) if share else 0 for count in counts]
    train: list[Entry] = []
    test: list[Entry] = []
    for entry in entries:
        left[entry.label] -= 1
        (test if left[entry.label] >= 0 else train).append(entry)
    return train, test
