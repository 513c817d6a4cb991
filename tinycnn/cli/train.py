"""``tinycnn train NAME``: train a documented network by its recipe."""

import argparse
import contextlib
import json
import os
import statistics
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.backend import BACKENDS, DEVICE_BACKENDS
from ..core.printing import ERR, say
from ..core.system import quoted
from . import _picture_options
from ._arguments import (
    UsageError,
    add_model_name,
    add_threads,
    check_new_folder,
    folder_name,
    set_threads,
    whole_number,
)
from ._origin import check_exists, data_name, is_folder

HELP = "Train a network by its recipe and keep the model and figures"
#: A state is written after every epoch, and during an epoch when the last state is this old. A killed run loses no
#: more than this.
SAVE_SECONDS = 60.0
#: What ``--distributed`` may say, and what ``fit`` is told then.
WAYS: dict[str, bool | str] = {"fast": True, "deterministic": "deterministic"}
EXAMPLE = "tinycnn train ladder_03 --data digits --epochs 3 --out runs/try"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add NAME and the settings that may differ from the recipe's."""
    add_model_name(parser)
    data = "mnist, fashion_mnist, cifar10, digits, or a folder with a folder of pictures for each class"
    parser.add_argument("--data", type=data_name, metavar="DATA", help=data)
    _picture_options.add(parser)
    epochs = "epochs, resumed ones included (default: the recipe's)"
    parser.add_argument("--epochs", type=whole_number(1), metavar="N", help=epochs)
    images = "images per step (default: the recipe's)"
    parser.add_argument("--batch-size", type=whole_number(1), metavar="N", help=images)
    seed = "the same seed gives the same bits (default: recipe's)"
    parser.add_argument("--seed", type=whole_number(0), metavar="S", help=seed)
    parser.add_argument("--backend", choices=BACKENDS + DEVICE_BACKENDS, help="kernels to run on (default: cpu)")
    add_threads(parser)
    parser.add_argument("--distributed", choices=tuple(WAYS), metavar="WAY", help="under mpiexec: fast, deterministic")
    parser.add_argument("--out", metavar="DIR", type=folder_name, help="folder to write into (default: runs/NAME-DATA)")
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument("--resume", action="store_true", help="continue where the run in the folder ended")
    earlier.add_argument(
        "--overwrite", action="store_true", help="begin anew; the new run replaces the one in the folder"
    )


def run(args: argparse.Namespace) -> int:
    """Train the network, together with other processes if mpiexec has started some; return 130 after Ctrl-C."""
    from ..distributed.ranks import join

    try:
        job = join(needed=args.distributed == "fast")
    except (ImportError, RuntimeError) as error:
        raise UsageError(str(error)) from error
    if not job.leads:
        return _follow(args, job)
    told: list[bool] = []
    try:
        return _lead(args, job, told)
    finally:
        if not told:  # nothing is trained, and the others wait to hear of it
            job.broadcast(json.dumps(None).encode())


def _follow(args: argparse.Namespace, job: Any) -> int:
    """Train what rank 0 has decided to train; it prints and writes everything, errors included."""
    from ._runs import Settings

    order = json.loads(job.broadcast(b""))
    if order is None:
        return 0
    with warnings.catch_warnings(), job.ended_by_errors():
        warnings.simplefilter("ignore")  # rank 0 tells of them
        settings, data = Settings.read(order), None
        set_threads(_threads(args, job), settings.backend)
        if is_folder(settings.data):
            settings, data = _picture_options.read(args, settings)
        _fit(settings, data, lambda callbacks, model, data: callbacks)
    return 0


def _threads(args: argparse.Namespace, job: Any) -> int | None:
    """Return how many threads to run on: one where several processes train together, unless somebody has said more."""
    alone = job.size == 1 or "NUMBA_NUM_THREADS" in os.environ
    return args.threads if args.threads is not None or alone else 1


def _lead(args: argparse.Namespace, job: Any, told: list[bool]) -> int:
    """Train the network as rank 0, or alone; ``told`` is filled when the other ranks know what to train."""
    from .. import models
    from . import _data, _runs

    check_exists(args.data)
    recipe = models.recipe(args.name)
    folder = args.out or Path("runs") / f"{args.name}-{Path(args.data).resolve().name if args.data else recipe.data}"
    check_new_folder(folder)
    before, finished = _earlier(folder) if args.resume else (None, None)
    known = before.settings if before else finished[0] if finished else None
    settings = _resumed(args, known, folder) if known else _fresh(args, recipe)
    if job.size > 1 and settings.distributed is None:
        if known:
            raise UsageError(
                f"cannot resume: the run in {folder} was begun by one process, and {job.size} were started; run the "
                "command without mpiexec, or choose another --out"
            )
        settings = replace(settings, distributed="fast")
    if not is_folder(settings.data):
        _data.check_fit(args.name, recipe.input_shape, settings.data)
    if finished and (finished[2] or finished[1] >= settings.epochs):
        why = "stopped early" if finished[2] else f"{settings.epochs} were asked for"
        say(f"The run in {folder} is finished: {_epochs(finished[1])} ({why}).")
        return 0
    if not before and not args.overwrite:
        _refuse_an_earlier_run(folder, args.resume)
    settings, data = _picture_options.read(args, settings) if is_folder(settings.data) else (settings, None)
    is_new = not folder.exists()
    _runs.prepare(folder)
    told.append(True)
    job.broadcast(json.dumps(settings.to_dict()).encode())
    with warnings.catch_warnings(), job.ended_by_errors():
        warnings.showwarning = _tell_warning
        threads = set_threads(_threads(args, job), settings.backend)
        replaces = before.replaces if before else bool(_runs.results_in(folder))
        try:
            return _train(folder, settings, threads, data, going_on=before is not None, replaces=replaces)
        finally:
            if is_new:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only if nothing was written into it


def _earlier(folder: Path) -> tuple[Any, Any]:
    """Return the state from which the run in a folder would go on, and the run if it is finished; None for neither."""
    from . import _runs

    before = _runs.read_state(folder)
    if before and before.replaces and not before.progress.epochs:
        # The process was killed before it had deleted the results of the earlier run; its own come after an epoch.
        _runs.delete_results(folder)
    return before, _runs.read_finished(folder)


def _refuse_an_earlier_run(folder: Path, resume: bool) -> None:
    """Raise if a folder holds a run, which would be lost, or a file to which a run would give other contents."""
    from . import _runs

    try:
        before, finished = _runs.read_state(folder), _runs.read_finished(folder)
    except ValueError as error:  # states that are damaged, or not those of a run
        raise UsageError(f"{folder} holds states that cannot be resumed ({error}); {_OTHERWISE}") from error
    files = _runs.results_in(folder)
    if before is None and finished is None and not files:
        return
    if resume:
        raise UsageError(
            f"cannot resume: {folder} holds {', '.join(files[:3])}, but none of the states from which a run could "
            f"continue; {_OTHERWISE}"
        )
    if finished is not None:
        settings, epochs, stopped = finished
        what = f"a finished run of {settings.model} ({_epochs(epochs)})"
        more = "" if stopped else f" --epochs {2 * epochs}"
    elif before is not None:
        settings, more = before.settings, ""
        what = f"an unfinished run of {settings.model} ({_epochs(before.progress.epochs)})"
    else:
        raise UsageError(f"{folder} holds {', '.join(files[:3])}, which would be overwritten; {_OTHERWISE}")
    raise UsageError(
        f"{folder} holds {what}. To go on with it:\n  {_resume_line(settings, folder)}{more}\nOtherwise, {_OTHERWISE}."
    )


_OTHERWISE = "--overwrite begins anew and deletes what is there, and another --out leaves it as it is"


def _resume_line(settings: Any, folder: Path) -> str:
    """Return the command that continues a run."""
    data, out = quoted(settings.data), quoted(str(folder))
    return f"tinycnn train {settings.model} --data {data} --out {out} --resume"


def _fresh(args: argparse.Namespace, recipe: Any) -> Any:
    """Return the settings of a new run: the arguments, and the recipe's settings for what they leave out."""
    from ._runs import Settings

    data = args.data or recipe.data
    if not is_folder(data):
        _picture_options.refuse(args, data)
    return Settings(
        model=args.name,
        data=data,
        epochs=args.epochs or recipe.epochs,
        batch_size=args.batch_size or recipe.batch_size,
        seed=recipe.seed if args.seed is None else args.seed,
        backend=args.backend or "cpu",
        distributed=args.distributed,
    )


def _resumed(args: argparse.Namespace, saved: Any, folder: Path) -> Any:
    """Return the settings of the run in the folder; refuse arguments that differ, except for ``--epochs``."""
    asked = {"model": args.name, "data": args.data, "batch_size": args.batch_size, "seed": args.seed}
    for key, value in (asked | {"backend": args.backend, "distributed": args.distributed}).items():
        if value is not None and value != getattr(saved, key):
            raise UsageError(
                f"cannot resume: the run in {folder} has {key.replace('_', ' ')} {getattr(saved, key)}, "
                f"but {value} was given; leave that argument out, or choose another --out"
            )
    if saved.pictures is None:
        _picture_options.refuse(args, saved.data)
    else:
        _picture_options.check_same(args, saved.pictures, folder)
    return replace(saved, epochs=args.epochs or saved.epochs)


def _train(folder: Path, settings: Any, threads: int, data: Any, going_on: bool, replaces: bool) -> int:
    """Train with these settings, from the beginning or from the last state, and write the files of the run.

    ``data`` are the images of a folder of pictures, or None for a data set, which is then loaded.
    """
    import tinycnn

    from .. import distributed
    from ..callbacks import EarlyStopping
    from . import _data, _runs

    data = _data.load(settings.data) if data is None else data
    backup = _runs.Backup(folder, anew=not going_on, save_seconds=SAVE_SECONDS)
    recorders: list[Any] = []

    def with_files(callbacks: list[Any], model: Any, data: Any) -> list[Any]:
        """Return a recipe's callbacks with those that write the files of the run."""
        stopping = next((callback for callback in callbacks if isinstance(callback, EarlyStopping)), None)
        recorders.append(_runs.Recorder(folder, settings, stopping, replaces))
        processes = f", {distributed.size()} processes" if distributed.size() > 1 else ""
        say(
            f"Training {settings.model} ({model.count_params():,} parameters) on {data.title}, "
            f"{len(data.x_train):,} images, {settings.backend} backend, {threads} thread{'s' if threads > 1 else ''}"
            f"{processes}"
        )
        return [*callbacks, *recorders, backup]

    try:
        model = _fit(settings, data, with_files)
    except KeyboardInterrupt:
        if not backup.begun:
            say("\nInterrupted before the first step: there is nothing to keep, and the folder is as it was.")
            return 130
        with tinycnn.use_backend(settings.backend):
            return _interrupted(folder, settings, threads, data, recorders[0].done)
    try:
        with tinycnn.use_backend(settings.backend):
            _finish(folder, settings, recorders[0].progress, threads, model, data)
    except KeyboardInterrupt:
        say(
            "\nInterrupted while the files of the run were written; all epochs are done and kept. Write them with:\n"
            f"  {_resume_line(settings, folder)}",
            wrap=False,
        )
        return 130
    return 0


def _fit(settings: Any, data: Any, with_more: Callable[[list[Any], Any, Any], list[Any]]) -> Any:
    """Make the network, train it, and return it; ``with_more`` adds to the recipe's callbacks."""
    import tinycnn

    from .. import models
    from . import _data

    data = _data.load(settings.data) if data is None else data
    recipe = models.recipe(settings.model)
    with tinycnn.use_backend(settings.backend):
        tinycnn.set_seed(settings.seed)
        model = models.build(settings.model, input_shape=data.x_train.shape[1:], classes=len(data.class_names))
        model.compile(recipe.make_optimizer(), recipe.loss, ["accuracy"])
        model.fit(
            data.x_train,
            data.y_train,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_data=(data.x_test, data.y_test),
            callbacks=with_more(recipe.make_callbacks(), model, data),
            augment=recipe.augment,
            distributed=False if settings.distributed is None else WAYS[settings.distributed],
        )
    return model


def _tell_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Print a warning in one line, without its place in the program."""
    ERR.say(f"tinycnn: warning: {message}")


def _interrupted(folder: Path, settings: Any, threads: int, data: Any, done: tuple[int, ...]) -> int:
    """After Ctrl-C, write the files of the run as far as it has come, and print how to continue.

    ``done`` are the epochs and batches that were done, which is more than what is kept if Ctrl-C was pressed twice.
    """
    import tinycnn

    from . import _runs

    kept = _runs.read_state(folder)
    assert kept is not None
    after = _epochs(kept.progress.epochs)
    if done in ((), (kept.progress.epochs, kept.batch)):
        what = f"after {after}; every step is kept."
    else:
        more = f" and {kept.batch} batches" if kept.batch else ""
        what = f"at once, by a second signal. The run is kept as it was after {after}{more}; later steps are lost."
    say(
        f"\nInterrupted {what} Continue with:\n  {_resume_line(settings, folder)}",
        wrap=False,
    )
    if kept.progress.epochs:
        # The model that was in training is not used, because Ctrl-C, pressed twice, may leave half a step behind.
        model = tinycnn.load_model(kept.path)
        _finish(folder, settings, kept.progress, threads, model, data, interrupted_after=kept.batch)
    return 130


def _epochs(count: int) -> str:
    """Return a number of epochs in words."""
    return f"{count} epoch{'' if count == 1 else 's'}"


def _finish(
    folder: Path,
    settings: Any,
    progress: Any,
    threads: int,
    model: Any,
    data: Any,
    interrupted_after: int | None = None,
) -> None:
    """Test the model, write the files of the run, and print the results.

    ``interrupted_after`` is the number of batches that an interrupted run had done of its next epoch.
    """
    from . import _about, _figures, _runs

    loss, accuracy = model.evaluate(data.x_test, data.y_test, verbose=0)
    probabilities = model.predict(data.x_test)
    errors = int((probabilities[:100].argmax(axis=1) != data.y_test[:100]).sum())
    interrupted = interrupted_after is not None
    weights_of = progress.epochs - 1 if interrupted or progress.best_epoch is None else progress.best_epoch
    speed = statistics.median(len(data.x_train) / max(seconds, 1e-9) for seconds in progress.train_seconds)
    results = {
        "epochs": progress.epochs,
        "stopped_early": progress.stopped,
        "weights_of_epoch": None if interrupted_after else weights_of,
        "params": model.count_params(),
        "test_loss": loss,
        "test_accuracy": accuracy,
        "errors_in_first_100": errors,
        "last_epoch": progress.logs(progress.epochs - 1),
    }
    model.save(folder / _runs.MODEL)
    _runs.write_history(folder, progress)
    pictures = _figures.draw_all(folder, progress.history, data, probabilities)
    # This file is written last, because it says that all the others are there.
    _runs.write_description(
        folder,
        {
            **settings.to_dict(),
            "status": "interrupted" if interrupted else "finished",
            "command": _command(settings),
            "threads": threads,
            "results": results,
            "images_per_second": round(speed, 1),
            "wall_time_s": round(sum(progress.seconds), 3),
            "versions": _about.versions(),
            "machine": _about.machine(),
            "recipe": _recipe(settings.model),
        },
    )
    kept = f"epoch {weights_of + 1}"
    if interrupted_after:
        kept = f"{interrupted_after} batches of epoch {progress.epochs + 1}"
    remarks = _remarks(settings, interrupted)
    say(
        f"\n{settings.model} on {data.title}: weights of {kept} ({progress.epochs} trained), "
        f"{sum(progress.seconds):.1f} s, {speed:,.0f} images/s in training"
    )
    say(f"  test accuracy {accuracy:.4f}, test loss {loss:.4f}{remarks}")
    say(
        f"  {model.count_params():,} parameters, accuracy {accuracy:.4f}, "
        f"{errors} error{'' if errors == 1 else 's'} in the first {min(100, len(data.x_test))} test images"
    )
    say(f"  in {folder}: {', '.join([_runs.MODEL, _runs.HISTORY, _runs.RUN, *pictures])}")


def _remarks(settings: Any, interrupted: bool) -> str:
    """Return how the epoch was chosen and, if the run is on the document's data, the figure to compare with."""
    from .. import models

    recipe = models.recipe(settings.model)
    chosen = ""
    if recipe.restore_best and not interrupted:
        chosen = ", with the weights of the epoch that was best on these test images, so slightly optimistic"
    if recipe.documented_accuracy is None or settings.data != recipe.data:
        return chosen
    return f"{chosen} (the document: {recipe.documented_text})"


def _command(settings: Any) -> str:
    """Return the command that gives the same figures, without ``--out``, which only concerns this machine."""
    more = "" if settings.pictures is None else _picture_options.text(settings.pictures)
    return (
        f"tinycnn train {settings.model} --data {quoted(settings.data)}{more} --epochs {settings.epochs} "
        f"--batch-size {settings.batch_size} --seed {settings.seed} --backend {settings.backend}"
        f"{'' if settings.distributed is None else f' --distributed {settings.distributed}'}"
    )


def _recipe(name: str) -> dict[str, Any]:
    """Return a recipe as JSON can hold it."""
    from .. import models

    return models.recipe(name).to_dict()
