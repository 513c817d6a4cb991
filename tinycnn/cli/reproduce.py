"""``tinycnn reproduce NAME…``: train documented networks by their recipes and record what comes out."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ._arguments import UsageError, add_threads, folder_name, set_threads, whole_number

HELP = "Train networks by their recipes with several seeds; keep a record of each run"
EXAMPLE = "tinycnn reproduce ladder_03 ladder_09 --seeds 1 --out results/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME and how often."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", default=["all"], help="networks or variations (default: all, every one)"
    )
    parser.add_argument(
        "--seeds",
        type=whole_number(1, 1000),
        metavar="N",
        help="runs of each, with seeds 0 to N-1 (default: 3, or 1 for the longest; the recipe says)",
    )
    parser.add_argument("--out", type=folder_name, default=Path("results"), metavar="DIR", help="folder of the records")
    parser.add_argument(
        "--hold-out",
        type=whole_number(1),
        metavar="N",
        help="to choose settings: test on the last N training images instead of the test set, and record it apart",
    )
    parser.add_argument(
        "--epochs", type=whole_number(1), metavar="N", help="instead of the recipe's; with --hold-out only"
    )
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Train what has no record yet; 130 after Ctrl-C."""
    from ..core.backend import get_backend
    from . import _data, _runs
    from ._results import records, running

    if args.epochs and not args.hold_out:
        raise UsageError("--epochs is for choosing settings, with --hold-out; a reproduction has the recipe's epochs")
    wanted = list(_wanted(args))
    # Records of choices are not results: they lie where no report looks for them, and git does not either.
    folder = args.out / running.WORK / f"held-out-{args.hold_out}" if args.hold_out else args.out
    _runs.prepare(folder)
    # All of the records that are there, before hours of work.
    done = {(r["name"], r["seed"]): r for group in records.read_all(folder).values() for r in group}
    threads = set_threads(args.threads, get_backend().name)
    data: Any = None
    for recipe, seed in wanted:
        path = records.path_of(folder, recipe.name, seed)
        if (recipe.name, seed) in done:
            _tell_old(path, records.differences(done[recipe.name, seed], recipe.to_dict()))
            continue
        if data is None or data.name != recipe.data:
            data = _data.load(recipe.data)
        images = running.hold_out(data, args.hold_out) if args.hold_out else data
        print(f"{recipe.name}, seed {seed}: {recipe.epochs} epochs on {images.title}", flush=True)
        try:
            record = running.reproduce(recipe, seed, images, folder, threads, _command(args, recipe, seed))
        except KeyboardInterrupt:
            print("\nInterrupted. What is done is kept; the same command goes on.")
            return 130
        _tell(record, recipe, path)
    return 0


def _wanted(args: argparse.Namespace) -> Iterator[tuple[Any, int]]:
    """Recipes and seeds, in the order asked for; every name is looked up before any is trained."""
    from .. import models

    everything = [*models.names(), *models.variations()]
    names = everything if "all" in args.names else list(dict.fromkeys(args.names))
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
    """What to type for the same figures: no more runs than it takes, and nobody else's folders."""
    choosing = f" --hold-out {args.hold_out}" if args.hold_out else ""
    epochs = f" --epochs {args.epochs}" if args.epochs else ""
    return f"tinycnn reproduce {recipe.name} --seeds {seed + 1}{choosing}{epochs}"


def _tell_old(path: Path, differing: list[str]) -> None:
    """That a run is done, and whether its recipe has changed since."""
    other = f", by an older recipe (another {', '.join(differing)}): delete it to repeat the run" if differing else ""
    print(f"{path} is there{other}")


def _tell(record: dict[str, Any], recipe: Any, path: Path) -> None:
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    documented = recipe.documented_accuracy
    print(
        f"{record['name']}, seed {record['seed']}: accuracy {record['best_val_accuracy']:.4f} in the best epoch "
        f"({record['best_epoch']}), {record['last_val_accuracy']:.4f} in the last ({record['epochs']})"
        + ("" if documented is None else f"; documented {documented:.4g}")
    )
    print(
        f"  {record['first_100_errors']} errors in the first 100 images, {record['seconds']:.0f} s, "
        f"{record['images_per_second']:,.0f} images/s; {path}\n",
        flush=True,
    )
