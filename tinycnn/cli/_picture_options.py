"""The options of ``tinycnn train`` for a folder of pictures: their checks, and the images that they lead to."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..core.printing import say
from . import _origin
from ._arguments import UsageError
from ._origin import Pictures

#: The options, and where their values stand in the arguments and in :class:`tinycnn.cli._origin.Pictures`.
_OPTIONS = {"--image-size": "image_size", "--validation-split": "validation_split"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add --image-size and --validation-split."""
    size = "resize the pictures of a folder to 64 or 48x64 (HxW)"
    parser.add_argument("--image-size", type=_image_size, metavar="S", help=size)
    share = "share of a folder to test on (default: 0.2)"
    parser.add_argument("--validation-split", type=_share, metavar="S", help=share)


def refuse(args: argparse.Namespace, data: str) -> None:
    """Raise UsageError if one of the options was given for a data set."""
    for option, key in _OPTIONS.items():
        if getattr(args, key) is not None:
            raise UsageError(f"{option} is for a folder of pictures, and {data} is a data set; leave it out")


def check_same(args: argparse.Namespace, saved: Mapping[str, Any], folder: Path) -> None:
    """Raise UsageError if an option differs from what the run in the folder began with."""
    for option, key in _OPTIONS.items():
        value = getattr(args, key)
        if value is not None and value != saved[key]:
            raise UsageError(
                f"cannot resume: the run in {folder} has {option} {_in_words(saved[key])}, but {_in_words(value)} was "
                "given; leave that argument out, or choose another --out"
            )


def text(pictures: Mapping[str, Any]) -> str:
    """Return the options of a run as they are typed, with a space before each."""
    given = {option: pictures[key] for option, key in _OPTIONS.items() if pictures[key] is not None}
    return "".join(f" {option} {_in_words(value)}" for option, value in given.items())


def read(args: argparse.Namespace, settings: Any) -> tuple[Any, Any]:
    """Return the settings of a run with the description of its folder of pictures, and the images.

    Raises
    ------
    UsageError
        If the network cannot take the images, or if a run is to go on with other pictures than it began with.
    """
    from .. import models, use_backend

    say(f"Reading the pictures in {settings.data}")
    known = None if settings.pictures is None else Pictures(**settings.pictures)
    if known is None:
        data, found = _origin.read(settings.data, args.image_size, split=args.validation_split)
    else:
        data, found = _origin.read(settings.data, known.image_size, known.color_mode, known.validation_split)
    if known not in (None, found):
        raise UsageError(
            f"cannot resume: the pictures in {settings.data} are not those with which the run began; bring them back, "
            "or begin anew with --overwrite or another --out"
        )
    try:
        with use_backend("reference"):
            models.build(settings.model, input_shape=found.input_shape, classes=len(found.classes))
    except ValueError as error:
        size = _in_words(list(models.recipe(settings.model).input_shape[:2]))
        raise UsageError(f"{str(error).removeprefix('input_shape: ')}: --image-size {size}") from error
    return replace(settings, pictures=asdict(found)), data


def _in_words(value: Any) -> str:
    """Return the value of --image-size or --validation-split as it is typed."""
    return "x".join(map(str, value)) if isinstance(value, list) else "unset" if value is None else str(value)


def _image_size(text: str) -> list[int]:
    """Return the argument of --image-size as height and width."""
    sides = text.lower().replace("\u00d7", "x").split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdecimal() and 0 < int(side) <= 10_000 for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 64 or 48x64 (height x width)")
    return [int(sides[0]), int(sides[-1])]


def _share(text: str) -> float:
    """Return the argument of --validation-split."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as 0.2")
    return share
