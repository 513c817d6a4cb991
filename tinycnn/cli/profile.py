"""``tinycnn profile NAME``: measure where the time of a training step goes."""

import argparse

from ..core.printing import say
from ._arguments import add_model_name, add_threads, check_new_folder, folder_name, set_threads, whole_number

HELP = "Measure where a training step's time goes, layer by layer"
EXAMPLE = "tinycnn profile ladder_10 --out runs/profile"

PICTURE = "profile.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME and the options of the measurement."""
    add_model_name(parser)
    images = "images per step (default: the recipe's)"
    parser.add_argument("--batch-size", type=whole_number(1), metavar="N", help=images)
    repeats = "number of steps to take the median of (default: 20)"
    parser.add_argument("--repeats", type=whole_number(1), metavar="N", default=20, help=repeats)
    add_threads(parser)
    parser.add_argument("--no-fuse", action="store_true", help="run every layer by itself, without fusing layers")
    parser.add_argument("--out", metavar="DIR", type=folder_name, help=f"draw the result as {PICTURE} into this folder")


def run(args: argparse.Namespace) -> int:
    """Print the table, and draw the bars if --out is given."""
    set_threads(args.threads, "cpu")
    from .. import models, use_backend
    from ..profile import profile
    from ..training import precompile as compiling
    from . import _runs

    if args.out is not None:
        check_new_folder(args.out)
        _runs.prepare(args.out)
    recipe = models.recipe(args.name)
    with use_backend("cpu"):
        model = models.build(args.name)
    model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
    if model.backend.has_to_compile():
        say("Compiling the kernels for this processor, once after an installation")
    batch_size, fuse = args.batch_size or recipe.batch_size, not args.no_fuse
    with compiling.shared(model, batch_size, fuse):
        result = profile(model, batch_size, args.repeats, fuse=fuse)
    say(str(result))
    if args.out is not None:
        from matplotlib.figure import Figure

        from . import _figures

        _figures.save(result.plot(Figure()).figure, args.out / PICTURE)
        say(f"  in {args.out}: {PICTURE}")
    return 0
