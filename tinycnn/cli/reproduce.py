"""``tinycnn reproduce NAME…``: train networks by their recipes and record the results."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError, add_threads, check_new_folder, folder_name, set_threads, whole_number

HELP = "Train networks by their recipes and keep a record of each run"
EXAMPLE = "tinycnn reproduce ladder_03 ladder_09 --seeds 1 --out results/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME and the options of the runs."""
    names = "networks to train, or all, those of the documents and their variations (default: all)"
    parser.add_argument("names", metavar="NAME", nargs="*", default=["all"], help=names)
    seeds = "number of runs of each network, with seeds 0 to N-1 (default: the recipe's, 3, or 1 for the longest)"
    parser.add_argument("--seeds", type=whole_number(1, 1000), metavar="N", help=seeds)
    out = "folder for the records (default: results)"
    parser.add_argument("--out", type=folder_name, default=Path("results"), metavar="DIR", help=out)
    hold_out = (
        "for choosing settings: test on the last N training images instead of the test set, and keep these records "
        "apart"
    )
    parser.add_argument("--hold-out", type=whole_number(1), metavar="N", help=hold_out)
    epochs = "number of epochs instead of the recipe's; only with --hold-out"
    parser.add_argument("--epochs", type=whole_number(1), metavar="N", help=epochs)
    again = "replace records of another numerics version or recipe, whose bits cannot be repeated any more"
    parser.add_argument("--again", action="store_true", help=again)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Train what was not trained here yet, and compare it with the records that there are.

    Returns
    -------
    int
        1 if a record could not be repeated and there is no reason for it, 130 after Ctrl-C, and 0 else.
    """
    from ..core.backend import get_backend
    from ..core.version import NUMERICS
    from . import _data, _runs
    from ._results import records, repeated, running

    if args.epochs and not args.hold_out:
        raise UsageError("--epochs needs --hold-out, for choosing settings; a reproduction has the recipe's epochs")
    wanted = list(_wanted(args))
    # Records of choices are not results, so they are kept where neither a report nor git looks for them.
    folder = args.out / running.WORK / f"held-out-{args.hold_out}" if args.hold_out else args.out
    if (folder / _runs.RUN).exists():
        raise UsageError(f"{folder} holds a run of 'tinycnn train'; give another folder for records as --out")
    check_new_folder(folder)
    _runs.prepare(folder)
    # All existing records are read first, so that a damaged one is found before hours of work.
    done = {(r["name"], r["seed"]): r for group in records.read_all(folder).values() for r in group}
    threads = set_threads(args.threads, get_backend().name)
    data: Any = None
    as_expected = True
    for recipe, seed in wanted:
        path, old = records.path_of(folder, recipe.name, seed), done.get((recipe.name, seed))
        outdated = repeated.outdated(old, recipe.to_dict(), NUMERICS) if old else ""
        replaces = old if outdated and args.again else None
        repetition = running.repetition(folder, recipe.name, seed)
        if old and not replaces and running.is_done(folder, recipe.name, seed):
            say(f"{path} is there{_remark(outdated)}")
            if repetition.exists():  # its outcome counts as often as somebody asks
                as_expected &= _tell_comparison(path, old, repetition)
            continue
        if data is None or data.name != recipe.data:
            data = _data.load(recipe.data)
        images = running.hold_out(data, args.hold_out) if args.hold_out else data
        say(f"{recipe.name}, seed {seed}: {recipe.epochs} epochs on {images.title}")
        target = repetition if old and not replaces else path
        try:
            record = running.reproduce(
                recipe, seed, images, folder, threads, _command(args, recipe, seed), target, replaces
            )
        except KeyboardInterrupt:
            say("\nInterrupted. What is done is kept; the same command continues from there.")
            return 130
        _tell(record, recipe, target)
        if old:
            as_expected &= _tell_comparison(path, old, target)
        say("")
    return 0 if as_expected else 1


def _wanted(args: argparse.Namespace) -> Iterator[tuple[Any, int]]:
    """Yield recipes and seeds in the order of the arguments; all names are looked up before any network is trained."""
    from .. import models

    documented = [*models.names(), *models.variations()]
    names = documented if "all" in args.names else list(dict.fromkeys(args.names))
    try:
        recipes = [models.recipe(name) for name in names]
    except ValueError as error:
        raise UsageError(str(error)) from None
    for recipe in recipes:
        if args.epochs:
            recipe = replace(recipe, epochs=args.epochs)
        for seed in range(args.seeds or recipe.runs):
            yield recipe, seed


def _command(args: argparse.Namespace, recipe: Any, seed: int) -> str:
    """Return the command that gives the same figures, with no more runs than necessary and no folders."""
    choosing = f" --hold-out {args.hold_out}" if args.hold_out else ""
    epochs = f" --epochs {args.epochs}" if args.epochs else ""
    return f"tinycnn reproduce {recipe.name} --seeds {seed + 1}{choosing}{epochs}"


def _tell_comparison(path: Path, old: dict[str, Any], target: Path) -> bool:
    """Print how a record compares with that of another run; return whether this is as expected."""
    from ._results import records, repeated

    comparison = repeated.compare(old, records.read(target))
    say(f"  beside {path}: {comparison.said}")
    return comparison.as_expected


def _remark(outdated: str) -> str:
    """Return what to do about a record whose bits cannot be repeated any more."""
    return f", {outdated}; with --again, a new run replaces it" if outdated else ""


def _tell(record: dict[str, Any], recipe: Any, path: Path) -> None:
    """Print the results of a run."""
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    documented = recipe.documented_accuracy
    say(
        f"{record['name']}, seed {record['seed']}: accuracy {record['best_val_accuracy']:.4f} in the best epoch "
        f"({record['best_epoch']}), {record['last_val_accuracy']:.4f} in the last ({record['epochs']})"
        + ("" if documented is None else f"; documented {documented:.4g}")
    )
    say(
        f"  {record['first_100_errors']} errors in the first 100 images, {record['seconds']:.0f} s, "
        f"{record['images_per_second']:,.0f} images/s; {path}"
    )
