"""``tinycnn explore RUN_OR_MODEL_OR_NAME``: open a page on which every number in a network can be followed."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError, add_threads, model_names, set_threads, whole_number
from ._origin import check_exists, data_name, is_folder

HELP = "See inside a network, down to single products, in a browser"
EXAMPLE = "tinycnn explore ladder_03 --data digits"

#: How long a network that was only named is trained before it is shown, and on how many images at most.
SECONDS, IMAGES = 10.0, 20_000
#: On a slow or busy machine it is trained longer than that, until it has seen this many batches.
LEAST_BATCHES = 50
#: The folder in which ``tinycnn train`` keeps its runs.
RUNS = Path("runs")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the network and the options."""
    text = "folder of a run, model's file (.safetensors), or documented network, which is then trained for a moment"
    parser.add_argument("network", metavar="RUN_OR_MODEL_OR_NAME", help=text)
    data = "data set or folder of pictures to look at (default: the network's own)"
    parser.add_argument("--data", type=data_name, metavar="DATA", help=data)
    kernels = "Python file with kernels of your own, which take the place of the reference's; it is executed"
    parser.add_argument("--kernels", metavar="FILE", type=Path, help=kernels)
    port = "port on this machine (default: 8712, or a free one)"
    parser.add_argument("--port", type=whole_number(1, 65535), metavar="N", help=port)
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    record = "write one file that opens in a browser without this program, instead of serving the page"
    parser.add_argument("--record", metavar="FILE", type=_html_name, help=record)
    training = "record a training of this many epochs too, which begins anew; the network is then what it ends with"
    parser.add_argument("--record-training", metavar="EPOCHS", type=whole_number(1, 1000), help=training)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, or write a recording of it."""
    from .. import explore

    if args.record_training is not None and args.record is None:
        raise UsageError("--record-training belongs to a recording; name its file with --record page.html")
    if args.record is not None and (args.port is not None or args.no_browser):
        raise UsageError("--record writes a file and serves nothing; leave --port and --no-browser out")
    if args.record is not None and args.kernels is not None:
        raise UsageError("a recording has a forward pass of its own, in the browser; leave --kernels or --record out")
    if args.record is None:
        explore.need_extra()
    from ..explore.mine import KernelFile
    from ..explore.preparing import Preparation
    from ..explore.session import Session

    mine = None if args.kernels is None else KernelFile(args.kernels)
    path = _found(args)
    what: Session | Preparation
    if path is not None:
        what = _session_of(*_load(path, args), mine)
    else:
        title = _training_of(args)
        say(title)
        what = Preparation(title, lambda tell: _session_of(*_trained(args, tell), mine))
    if args.record is not None:
        session = what.make(lambda text, share=None: None) if isinstance(what, Preparation) else what
        _record(session, args.record, args.record_training)
        return 0
    from ..explore import server

    server.serve(what, args.port, not args.no_browser)
    return 0


def _session_of(model: Any, data: Any, mine: Any) -> Any:
    """Return what the page shows of a network, its data or None, and a learner's kernels or None."""
    from ..explore.session import Data, Session
    from ..inspection import answers

    images = None
    if data is not None:
        images = Data(*(getattr(data, name) for name in Data._fields))
        images = images._replace(
            x_train=answers.as_trained(model, images.x_train), x_test=answers.as_trained(model, images.x_test)
        )
    return Session(model, images, mine)


def _record(session: Any, path: Path, epochs: int | None) -> None:
    """Write a recording, and say where and how large it is."""
    from ..core.messages import bytes_text
    from ..explore import recorded_training, recording

    if session.data is None:
        raise UsageError("a recording needs images; name the data set with --data")
    training = None
    if epochs is not None:
        say(f"Training for {epochs} {'epoch' if epochs == 1 else 'epochs'}, to be recorded")
        training = recorded_training.record(session, epochs=epochs)
    size = recording.write_recording(session, path, training=training)
    say(f"{path}: {bytes_text(size)}. It opens in a browser, without a server and without a network")


def _html_name(text: str) -> Path:
    """Return the name of the file for ``--record``."""
    if not text.lower().endswith((".html", ".htm")):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .html, so that a browser opens it")
    return Path(text)


def _found(args: argparse.Namespace) -> Path | None:
    """Return the folder or the file in which the network lies; None if it has to be trained first."""
    check_exists(args.data)
    path = Path(args.network)
    if path.exists():
        return path
    if args.network not in model_names():
        raise UsageError(
            f"{args.network} is no folder of a run, no file and no documented network; 'tinycnn models' lists these"
        )
    found = _run_of(args.network, args.data)
    if found is not None:
        say(f"Found a run of {args.network}: {found}")
    return found


def _load(path: Path, args: argparse.Namespace) -> tuple[Any, Any]:
    """Return the model that lies in a folder or a file, and its data or None."""
    from . import predict

    try:
        loaded = predict.load(path, args.data, args.threads)
    except ValueError as error:
        # A command cannot be given a class, nor be told to read NaN; a program can.
        if "unknown layer" not in str(error) and "holds NaN or infinity" not in str(error):
            raise
        program = "tinycnn.explore.show(tinycnn.load_model(path, custom_objects=..., check_finite=False), data)"
        raise ValueError(f"{error}. In a program, {program} shows such a model too") from error
    return loaded.model, None if loaded.data is None else loaded.data.load()


def _run_of(name: str, data: str | None) -> Path | None:
    """Return the newest finished run of a network in ``runs/``, on this data set if one is asked for."""
    from . import _runs

    found = []
    for folder in RUNS.glob(f"{name}-*") if RUNS.is_dir() else ():
        finished = _runs.read_finished(folder)
        if finished is not None and finished[0].model == name and data in (None, finished[0].data):
            found.append(folder)
    return max(found, key=lambda folder: (folder / _runs.MODEL).stat().st_mtime, default=None)


def _training_of(args: argparse.Namespace) -> str:
    """Return what a documented network without a run is trained on, and for how long, in a sentence."""
    from .. import datasets, models
    from . import _data

    recipe = models.recipe(args.network)
    name = args.data or recipe.data
    if is_folder(name):
        raise UsageError(
            f"{args.network} has no run in {RUNS}/ on the pictures in {name}; train it first: tinycnn train "
            f"{args.network} --data {name}"
        )
    _data.check_fit(args.network, recipe.input_shape, name)
    return (
        f"{args.network} has no run in {RUNS}/, so it is trained on {datasets.get(name).title} first: for about "
        f"{SECONDS:.0f} seconds, and for at least {LEAST_BATCHES} batches"
    )


def _trained(args: argparse.Namespace, tell: Callable[..., None]) -> tuple[Any, Any]:
    """Return a documented network after some seconds of training, and its data; ``tell`` hears how far it is."""
    from .. import models, set_seed
    from ..explore.settling import settles_after
    from . import _data
    from ._moment import Moment

    recipe = models.recipe(args.network)
    set_threads(args.threads, "cpu")
    tell("Loading the images")
    data = _data.load(args.data or recipe.data)
    set_seed(recipe.seed)
    model = models.build(args.network)
    model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
    x, y = data.x_train[:IMAGES], data.y_train[:IMAGES]
    moment = Moment(SECONDS, min(LEAST_BATCHES, -(-len(x) // recipe.batch_size)), tell)
    try:
        model.fit(x, y, recipe.batch_size, epochs=1, verbose=0, callbacks=[moment])
    finally:
        moment.close()
    model.stop_training = False
    tell("Looking how well it does on test images", 1.0)
    accuracy = model.evaluate(data.x_test[:1000], data.y_test[:1000], verbose=0)[1]
    say(f"Accuracy on {min(1000, len(data.x_test))} test images: {accuracy:.1%}. 'tinycnn train' trains it in full")
    if model.optimizer.iterations < (enough := settles_after(model)):
        say(
            f"The moving averages of batch normalization come from {model.optimizer.iterations} batches; they settle "
            f"after about {enough}, and until then the answers can be near chance"
        )
    return model, data
