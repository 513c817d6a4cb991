"""Compiling ahead: after an installation, other processes compile the kernels that a fit will need last.

A fit compiles each kernel when it first launches it, while everything else waits. On more than one core, other
processes walk through a training step meanwhile without launching anything, which shows them what there is to compile,
and begin at the end. What they compile, the fit finds in the cache on disk when it comes to it. The code is the same
whoever compiles it. Without these processes, or if they fail, everything is compiled when it is launched.

:func:`main` is the program of these processes; it reads from its standard input what to compile.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import losses, optimizers
from ..core.registry import described
from ..core.version import is_ours
from ..core.workspace import Workspace
from ..network.network import Network
from .batches import USUAL_BATCH
from .step import backward, forward

#: At most so many other processes are started; each takes about 200 MB.
HELPERS = 3
PROGRAM = f"from {__name__} import main; main()"


@contextlib.contextmanager
def shared(model: Network, batch_size: int | None, fuse: bool) -> Iterator[None]:
    """Have other processes compile what training this model takes, as long as the block runs, if nothing is compiled.

    They have ended when the block ends.
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


def _is_ours(model: Network) -> bool:
    """Return whether another process can make the same model; it knows no classes but tinycnn's."""
    return all(is_ours(type(part)) for part in (*model.layers, model.loss, model.optimizer))


def _job(model: Network, batch_size: int | None, fuse: bool) -> dict[str, Any]:
    return {
        "model": model.get_config(),
        "loss": described(model.loss),
        "optimizer": type(model.optimizer).__name__,
        "batch_size": batch_size
        or USUAL_BATCH,  # which kernels run may depend on it, and a user's own batches do not tell it
        "fuse": fuse,
    }


def _count() -> int:
    """Return how many processes may run; where Python is part of another program, that must not be started again."""
    import numba

    named = "python" in Path(sys.executable or "").name.lower() and not getattr(sys, "frozen", False)
    return min(numba.get_num_threads() - 1, HELPERS) if named else 0


def _start(helpers: list[subprocess.Popen[bytes]], model: Network, batch_size: int | None, fuse: bool) -> None:
    try:
        job = json.dumps(_job(model, batch_size, fuse)).encode()
    except (TypeError, ValueError):  # an initializer of a user's, for example, whose arguments are no JSON
        return
    # They find modules where this process finds them, and none that lies in the current folder by chance.
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


def needed(model: Network, batch_size: int, fuse: bool) -> list[Callable[[], Any]]:
    """Return what a training step launches, in order, as functions that compile it; nothing is computed."""
    from ..kernels.cpu.machine.jit import noting

    chain, ws = model.plan if fuse else model.chain, Workspace()
    x = np.empty((batch_size, *model.input_shape), model.dtype)
    with noting() as noted, np.errstate(all="ignore"):
        y, caches = forward(chain, x, ws=ws)
        backward(chain, caches, y, ws=ws)
        model.optimizer.step(model.parameters(), model.backend)
    return list(noted.values())


def main() -> None:
    """Compile one share of what a job takes, the last things first."""
    number, count = map(int, sys.argv[1:])
    job = json.load(sys.stdin)
    model = Network.from_config(job["model"])
    model.compile(optimizers.get(job["optimizer"]), losses.get(job["loss"]))
    for compile_it in needed(model, job["batch_size"], job["fuse"])[::-1][number::count]:
        compile_it()
