"""What all ranks have to have in common: compared when a fit begins, and kept the same while it goes on."""

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.types import Array
from ..core.version import is_ours, versions
from ..saving import fit_state
from ..saving.fit_identity import differences, identity, settings
from ..training.batches import checksum
from ..training.callback import History
from ..training.loop import Run
from .ranks import AgreedError, Alone

_SAME_DATA = "give all ranks the same data in the same order; which images a rank takes is decided in fit"
#: What an error says can be done about a difference, by how the name of the difference begins.
_CURES = {
    "seed": "call tinycnn.set_seed with the same number on all ranks before the model is made",
    "weights": "let all ranks make the model in the same way, or load the same file",
    "code": "install the same tinycnn on all hosts",
    "program": "run the same program, with the same files, on all hosts",
    "versions": "install the same versions on all hosts",
    "data.x": _SAME_DATA,
    "data.y": _SAME_DATA,
    "validation_data": "give the same validation data to all ranks",
}
_FINGERPRINT_BYTES = 16
T = TypeVar("T")


def compare(run: Run, job: Alone, mode: str) -> None:
    """Raise unless all ranks are about to do the same; the error names what differs.

    Raises
    ------
    AgreedError
        On all ranks.
    """
    given = run.settings
    mine = identity(run, settings(run.model)) | {
        "distributed": mode,
        "epochs": given.epochs,
        "validation_split": given.validation_split,
        "check_finite": given.check_finite,
        "validation_steps": given.validation_steps,
        "seed": run.model.seed,
        "versions": versions(),
        "code": _digest_of_code(),
        "program": _digests_of_own_code(run),
        "weights": {name: checksum(np.atleast_1d(value)) for name, value in run.model.weights().items()},
    }
    first = json.loads(job.broadcast(json.dumps(mine, sort_keys=True).encode()))
    different = list(differences(first, json.loads(json.dumps(mine))))
    refuse_together(job, "" if not different else _in_words(different, job.rank))


def _in_words(different: list[str], rank: int) -> str:
    """Return what an error says of the differences between rank 0 and another one."""
    texts = _of_ranks(different)
    more = f", and {len(texts) - 3} more" if len(texts) > 3 else ""
    cures = [cure for kind, cure in _CURES.items() if any(text.startswith(kind) for text in texts)]
    cure = cures[0] if cures else "give fit the same arguments on all ranks"
    return f"rank {rank} differs from rank 0: {'; '.join(text[:200] for text in texts[:3])}{more}. To cure it, {cure}"


def _of_ranks(different: Iterable[str]) -> list[str]:
    """Return what :func:`differences` says of two moments as something that it says of two ranks."""
    return [text.replace(" was ", " is ", 1).replace(" and is ", " on rank 0 and ", 1) for text in different]


def refuse_together(job: Alone, problem: str) -> None:
    """Raise an error on all ranks if any of them has found a problem: that of the first of them.

    Raises
    ------
    AgreedError
    """
    found = np.zeros((job.size, 1), np.int64)
    job.gather(np.array([len(problem)], np.int64), found)
    if found.any():
        text = job.broadcast(problem.encode(), int(np.flatnonzero(found)[0]))
        raise AgreedError(text.decode())


def first_of(job: Alone, error: Exception, knows: bool) -> Exception:
    """Return the error of the first rank that knows more than others, to be raised by all; alone it is one's own."""
    if job.size == 1:
        return error
    found = np.zeros((job.size, 1), np.int64)
    job.gather(np.array([knows], np.int64), found)
    return AgreedError(job.broadcast(str(error).encode(), int(found[:, 0].argmax())).decode())


def _digest_of_code() -> str:
    """Return a hash of the sources of the engine and of its kernels."""
    kernels = importlib.import_module("tinycnn.kernels")
    digest = hashlib.blake2b(digest_size=_FINGERPRINT_BYTES)
    for folder in (Path(__file__).parents[1], Path(str(kernels.__file__)).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def _digests_of_own_code(run: Run) -> dict[str, str]:
    """Return, by the name of each class of the user's that the fit runs, a hash of the file that it was read from."""
    model, digests = run.model, {}
    for one in (*model.layers, model.loss, model.optimizer, *model.metrics, run.settings.augment):
        file = getattr(sys.modules.get(type(one).__module__), "__file__", None)
        if file and not is_ours(type(one)) and Path(file).is_file():  # what was typed into a prompt has none
            found = hashlib.blake2b(Path(file).read_bytes(), digest_size=_FINGERPRINT_BYTES)
            digests[type(one).__name__] = found.hexdigest()
    return digests


#: What errors say of the batches to train on, and of blocks of the images in those to evaluate.
TRAINING = (
    "batch {number} of this epoch has {what}; let x yield the same whole batches on all ranks, for example from a "
    "generator with a fixed seed, and fit gives each rank its part"
)
VALIDATION = (
    "block {number} of the images in validation_data has {what}; let validation_data yield the same batches on all "
    "ranks, for example from a generator with a fixed seed, and fit gives each rank its part"
)


def agreed(
    batches: Iterator[T],
    job: Alone,
    parts_of: Callable[[T], tuple[Array, Array, Array | None]],
    text: str,
    first: int = 0,
) -> Iterator[T]:
    """Yield a user's batches once every rank has the same one.

    Parameters
    ----------
    batches : iterator
    job : Alone or Job
    parts_of : function
        Returns the targets, the images and the weights of a batch, or None for weights that are all 1.
    text : str
        What an error says: :data:`TRAINING` or :data:`VALIDATION`.
    first : int
        The number of the first batch.

    Raises
    ------
    AgreedError
        If a batch differs, or the batches end on one rank before they do on another.
    """
    if job.size == 1:
        yield from batches
        return
    number = first
    for batch in batches:
        y, x, weight = parts_of(batch)
        checksums = checksum(y), checksum(x), -1 if weight is None else checksum(weight)
        _check_batch(job, [len(y), *checksums], text, number)
        yield batch
        number += 1
    _check_batch(job, [-1, 0, 0, 0], text, number)


def _check_batch(job: Alone, mine: list[int], text: str, number: int) -> None:
    """Raise unless all ranks have the same batch; the first number says how many images it has, -1 that there is none.

    Raises
    ------
    AgreedError
    """
    found = np.empty((job.size, len(mine)), np.int64)
    job.gather(np.array(mine, np.int64), found)
    other = next((rank for rank in range(job.size) if (found[rank] != found[0]).any()), None)
    if other is None:
        return
    images, others = int(found[0, 0]), int(found[other, 0])
    what = f"{_images(images)} on rank 0 and {_images(others)} on rank {other}"
    if images == others:
        what = f"other images, targets or weights on rank {other} than on rank 0"
    raise AgreedError(text.format(number=number, what=what))


def _images(count: int) -> str:
    return "no images, because the batches have ended," if count < 0 else f"{count} images"


def share(run: Run, job: Alone, history: History, *, at_the_beginning: bool = False) -> None:
    """Give all ranks what rank 0 has, if a callback has changed anything there, and its decision to stop.

    Parameters
    ----------
    run : Run
    job : Alone or Job
    history : History
        The rank's own; what other callbacks have put into it on rank 0 is shared too.
    at_the_beginning : bool
        Whether rank 0 may have gone on from a state, so that the position in the fit is shared as well.

    Raises
    ------
    AgreedError
        On all ranks, if what a callback has changed cannot be given to the others, such as another loss.
    """
    if job.size == 1:
        return
    arrays, description = fit_state.capture(run, {}, [history])
    prints = np.empty((job.size, _FINGERPRINT_BYTES), np.uint8)
    job.gather(_fingerprint(arrays, description), prints)
    if (prints == prints[0]).all():
        return
    arrays, description = _broadcast(job, arrays, description)
    problem = "" if job.leads else _take_over(run, arrays, description, history, at_the_beginning)
    refuse_together(job, problem)


def _take_over(
    run: Run, arrays: dict[str, Array], description: dict[str, Any], history: History, at_the_beginning: bool
) -> str:
    """Give this rank what rank 0 has, and return in words what could not be given."""
    saved = fit_state.decoded(arrays, description, "what rank 0 has sent")
    if at_the_beginning:
        fit_state.restore(run, saved, [history], "what rank 0 has sent")
    else:
        fit_state.restore_model(run.model, saved)
        history.set_state(saved.state["callbacks"][0]["state"])
        run.model.stop_training = saved.state["stopped"]
    wanted, mine = saved.state["settings"], settings(run.model)
    for layer, theirs, own in zip(run.model.layers, wanted["model"]["layers"], mine["model"]["layers"], strict=True):
        for name, value in theirs["config"].items():
            if own["config"].get(name) != value:  # such as a rate of dropout; what is fixed cannot have been changed
                setattr(layer, name, value)
    left = _of_ranks(differences(wanted, settings(run.model)))
    if not left:
        return ""
    return (
        f"a callback has changed on rank 0 what cannot be given to the other ranks: {'; '.join(left)[:400]}; let all "
        "ranks make this change before fit"
    )


def _fingerprint(arrays: dict[str, Array], description: dict[str, Any]) -> Array:
    """Return a hash of a state."""
    digest = hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=_FINGERPRINT_BYTES)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return np.frombuffer(digest.digest(), np.uint8)


def _broadcast(
    job: Alone, arrays: dict[str, Array], description: dict[str, Any]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return rank 0's state."""
    kinds = {name: (array.dtype.str, array.shape) for name, array in arrays.items()} if job.leads else {}
    kinds, description = json.loads(job.broadcast(json.dumps([kinds, description]).encode()))
    received = {}
    for name, (dtype, shape) in kinds.items():
        data = job.broadcast(np.ascontiguousarray(arrays[name]).tobytes() if job.leads else b"")
        received[name] = np.frombuffer(data, dtype).reshape(shape).copy()
    return received, description
