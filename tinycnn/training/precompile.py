"""The first start after an installation, on more than one core: other processes compile what a fit will need last.

A fit compiles each kernel when it first launches it, and the next ones wait. What the other processes compile it finds
in the cache on disk when it comes to it. They walk through a step without launching anything, which tells them what
there is to compile, and begin at its end. The code is the same, whoever compiles it; without them, or if they fail, all
is compiled as it is launched.

:func:`main` is the program of these processes; it reads from its standard input what to compile.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import losses, optimizers
from ..core.version import is_ours
from ..core.workspace import Workspace
from .arguments import USUAL_BATCH

if TYPE_CHECKING:
    from ..sequential import Sequential

#: Other processes, at most; each takes about 200 MB.
HELPERS = 3
PROGRAM = f"from {__name__} import main; main()"


@contextlib.contextmanager
def shared(model: "Sequential", batch_size: int | None, fuse: bool) -> Iterator[None]:
    """Within this block, if nothing is compiled yet, other processes compile what training this model takes.

    They are gone when the block ends.
    """
    helpers: list[subprocess.Popen[bytes]] = []
    try:
        if model.backend.has_to_compile() and _is_ours(model):
            _start(helpers, model, batch_size, fuse)
        yield
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


def _is_ours(model: "Sequential") -> bool:
    """Whether another process can make the same model: it knows no classes but tinycnn's."""
    return all(is_ours(type(part)) for part in (*model.layers, model.loss, model.optimizer))


def _job(model: "Sequential", batch_size: int | None, fuse: bool) -> dict[str, Any]:
    return {
        "model": model.get_config(),
        "loss": {"class_name": type(model.loss).__name__, "config": model.loss.get_config()},
        "optimizer": type(model.optimizer).__name__,
        "batch_size": batch_size or USUAL_BATCH,  # which kernels run may depend on it; batches may be the user's own
        "fuse": fuse,
    }


def _count() -> int:
    """How many may run: where Python is part of another program, that program must not be started again."""
    import numba

    named = "python" in Path(sys.executable or "").name.lower() and not getattr(sys, "frozen", False)
    return min(numba.get_num_threads() - 1, HELPERS) if named else 0


def _start(helpers: list[subprocess.Popen[bytes]], model: "Sequential", batch_size: int | None, fuse: bool) -> None:
    try:
        job = json.dumps(_job(model, batch_size, fuse)).encode()
    except (TypeError, ValueError):  # an initializer of a user's, for example, whose arguments are no JSON
        return
    # They find modules where this process does, and none that lies in the current folder by chance.
    path = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    count = _count()
    for number in range(count):
        with contextlib.suppress(OSError):  # no interpreter to start, or it has ended already
            helper = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, str(number), str(count)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            helpers.append(helper)
            assert helper.stdin is not None
            with helper.stdin:
                helper.stdin.write(job)


def needed(model: "Sequential", batch_size: int, fuse: bool) -> list[Callable[[], Any]]:
    """What a step of training launches, in order, as functions that compile it: nothing is computed."""
    from ..kernels.cpu.machine.jit import noting

    chain, ws = model.plan if fuse else model.chain, Workspace()
    x, caches = np.empty((batch_size, *model.input_shape), model.dtype), []
    with noting() as noted, np.errstate(all="ignore"):
        for layer in chain:
            x, cache = layer.forward(x, training=True, step=0, ws=ws)
            caches.append(cache)
        dy = x
        for layer in reversed(chain):
            dy = layer.backward(dy, caches.pop(), ws=ws)
        model.optimizer.step(model.parameters(), model.backend)
    return list(noted.values())


def main() -> None:
    """Compile one share of what a job takes; the last things first."""
    from ..sequential import Sequential

    number, count = map(int, sys.argv[1:])
    job = json.load(sys.stdin)
    model = Sequential.from_config(job["model"])
    model.compile(optimizers.get(job["optimizer"]), losses.get(job["loss"]))
    for compile_it in needed(model, job["batch_size"], job["fuse"])[::-1][number::count]:
        compile_it()
