"""Compiling ahead: after an installation, other processes compile the kernels that a fit will need last.

A fit compiles each kernel when it first launches it, while everything else waits. If there is more than one core, other
processes help. They walk through a training step without launching anything, which shows them what has to be compiled,
and compile it from the end. The fit finds what they have compiled in the cache on disk. The code is the same, whoever
compiles it. Without these processes, or if they fail, each kernel is compiled when it is first launched.

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
from ..core.description import described
from ..core.version import is_ours
from ..core.workspace import Workspace
from ..kernels.threads import thread_count
from ..network.network import Network
from .batches import USUAL_BATCH
from .step import backward, forward

#: The most processes that are started; each takes about 200 MB.
HELPERS = 3
PROGRAM = f"from {__name__} import main; main()"


@contextlib.contextmanager
def shared(model: Network, batch_size: int | None, fuse: bool) -> Iterator[None]:
    """Let other processes compile what training this model needs while the block runs, if nothing is compiled yet.

    The processes have ended when the block ends.
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
    """Return what another process has to know to compile for this model, in a form that JSON can hold."""
    return {
        "model": model.get_config(),
        "loss": described(model.loss),
        "optimizer": type(model.optimizer).__name__,
        # Which kernels run may depend on the batch size, and a user's own batches do not tell theirs.
        "batch_size": batch_size or USUAL_BATCH,
        "fuse": fuse,
    }


def _count() -> int:
    """Return how many processes to start: none if Python runs inside another program, which would start again."""
    is_python = "python" in Path(sys.executable or "").name.lower() and not getattr(sys, "frozen", False)
    return min(thread_count() - 1, HELPERS) if is_python else 0


def _start(helpers: list[subprocess.Popen[bytes]], model: Network, batch_size: int | None, fuse: bool) -> None:
    """Start the processes, tell each of them its share, and add them to ``helpers``."""
    try:
        job = json.dumps(_job(model, batch_size, fuse)).encode()
    except (TypeError, ValueError):  # for example, JSON cannot hold the arguments of a user's own initializer
        return
    # The processes find modules where this one finds them, and none that lies in the current folder by chance.
    path = [*filter(None, sys.path), str(Path(__file__).parents[2])]
    count = _count()
    for number in range(count):
        with contextlib.suppress(OSError):  # there is no interpreter to start, or it has ended already
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
    """Return functions that compile the kernels of a training step, in the order of their use; nothing is computed."""
    from ..kernels.cpu.machine.jit import noting

    chain, ws = model.plan if fuse else model.chain, Workspace()
    x = np.empty((batch_size, *model.input_shape), model.dtype)
    with noting() as noted, np.errstate(all="ignore"):
        y, caches = forward(chain, x, ws=ws)
        backward(chain, caches, y, ws=ws)
        model.optimizer.step(model.parameters(), model.backend)
    return list(noted.values())


def main() -> None:
    """Compile this process's share of the kernels that a job needs, the last ones first."""
    number, count = map(int, sys.argv[1:])
    job = json.load(sys.stdin)
    model = Network.from_config(job["model"])
    model.compile(optimizers.get(job["optimizer"]), losses.get(job["loss"]))
    for compile_it in needed(model, job["batch_size"], job["fuse"])[::-1][number::count]:
        compile_it()
