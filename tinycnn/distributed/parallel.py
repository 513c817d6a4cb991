"""What ``fit(distributed=...)`` takes, and the fit that several processes train together."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..core.checks import boolean, integer
from ..core.messages import shown
from ..core.types import Array, Config
from ..core.workspace import Workspace
from ..network.network import Network
from ..training import non_finite
from ..training.batches import ArrayBatches, Batch, SampleSource
from ..training.callback import History, Logs
from ..training.loop import Run
from ..training.sequences import BatchSamples
from . import agreement
from .evaluating import evaluate
from .ranks import Alone, join
from .step import ShardedStep

#: How many shards ``"deterministic"`` stands for: 1, 2 or 4 ranks divide them.
USUAL_SHARDS = 4


class DataParallel:
    """How the processes of an MPI job share each batch of a fit.

    Parameters
    ----------
    shards : int, optional
        Into how many parts a batch is cut. The number of ranks must divide it. Results then have the same bits for any
        number of ranks, also for one process without MPI. By default each rank computes one part, and the parts are
        added in the order that MPI finds fastest.
    synchronized_norm : bool
        Whether each :class:`~tinycnn.layers.BatchNormalization` takes the statistics of the whole batch. By default it
        takes those of its part: then nothing has to be sent in the middle of a step, and a whole step runs as one
        program. A subclass of your own always takes those of its part.

    Examples
    --------
    >>> from tinycnn import distributed
    >>> distributed.DataParallel(shards=8)
    DataParallel(shards=8)
    """

    def __init__(self, shards: int | None = None, synchronized_norm: bool = False) -> None:
        self.shards = None if shards is None else integer(shards, "shards")
        self.synchronized_norm = boolean(synchronized_norm, "synchronized_norm")

    def __repr__(self) -> str:
        more = ", synchronized_norm=True" if self.synchronized_norm else ""
        return f"DataParallel(shards={self.shards}{more})"


def get(wanted: Any) -> DataParallel | None:
    """Return how to train together, or None if one process is to train by itself.

    Parameters
    ----------
    wanted : bool, "deterministic" or DataParallel

    Raises
    ------
    TypeError, ValueError
        If it is anything else.
    """
    if isinstance(wanted, DataParallel):
        return wanted
    if isinstance(wanted, str) and wanted == "deterministic":
        return DataParallel(USUAL_SHARDS)
    try:
        return DataParallel() if boolean(wanted, "distributed") else None
    except TypeError:
        text = f'distributed must be False, True, "deterministic" or DataParallel(shards=8); got {shown(wanted)}'
        raise (ValueError if isinstance(wanted, str) else TypeError)(text) from None


def begin(wanted: Any, history: History) -> "Together | None":
    """Join the job if a fit wants to train together, before anything else in it can fail.

    Raises
    ------
    ImportError
        If MPI is needed and missing.
    """
    parallel = get(wanted)
    return None if parallel is None else Together(parallel, join(needed=parallel.shards is None), history)


class Together:
    """The processes that train one fit together, as the training loop knows them.

    Parameters
    ----------
    parallel : DataParallel
    job : Alone or Job
    history : History
        The one that the fit fills.
    """

    def __init__(self, parallel: DataParallel, job: Alone, history: History) -> None:
        self.parallel, self._job, self._history = parallel, job, history
        self._step = ShardedStep(job, parallel.shards, parallel.synchronized_norm)
        self._after_each_batch = False

    @property
    def leads(self) -> bool:
        """Whether this process prints, saves and runs the callbacks."""
        return self._job.leads

    def identity(self) -> Config:
        """Return what must be the same so that an interrupted fit can go on; the number of ranks may change."""
        shards = self.parallel.shards
        identity: Config = {"shards": f"one for each of {self._job.size} ranks" if shards is None else shards}
        return identity | ({"synchronized_norm": True} if self.parallel.synchronized_norm else {})

    @contextmanager
    def one_voice(self) -> Iterator[None]:
        """Let rank 0 alone warn inside the block, and end all ranks if an error leaves it on this one."""
        with self._job.ended_by_errors(), nullcontext() if self.leads else warnings.catch_warnings():
            if not self.leads:
                warnings.simplefilter("ignore")
            yield

    def compare(self, run: Run) -> None:
        """Raise unless the fit can be shared, and all ranks are about to do the same.

        Raises
        ------
        ValueError
        RuntimeError
            If the program of another rank has ended.
        """
        self._job.meet()
        agreement.compare(run, self._job, repr(self.parallel))
        shards, ranks, size = self.parallel.shards, self._job.size, run.batches.batch_size
        if run.model.backend.on_device:
            raise ValueError(
                f"distributed: the {run.model.backend.name} backend cannot train together with others; use 'cpu'"
            )
        if shards is not None and shards % ranks:
            raise ValueError(
                f"{ranks} ranks do not divide the {shards} shards of a batch; start a number of ranks that does, or "
                f"give distributed=DataParallel(shards={2 * ranks}), which gives other bits"
            )
        least = ranks if shards is None else shards
        if size is not None and size < least:
            raise ValueError(
                f"a batch of {size} images cannot be cut into {least} shards; give batch_size at least {least}"
            )

    def share_beginning(self, run: Run) -> None:
        """Give all ranks what rank 0's callbacks have made of the fit before its first step, such as a state."""
        said = [run.may_raise, run.callbacks.may_change_batches]
        run.may_raise, self._after_each_batch = json.loads(self._job.broadcast(json.dumps(said).encode()))
        if not run.batch:
            run.new_means()
        agreement.share(run, self._job, self._history, at_the_beginning=True)

    def share(self, run: Run) -> None:
        """Give all ranks what a callback has changed on rank 0."""
        agreement.share(run, self._job, self._history)

    def share_after_batch(self, run: Run) -> None:
        """Do the same after a batch, if there is a callback that could have changed something."""
        if self._after_each_batch:
            agreement.share(run, self._job, self._history)

    def epoch(self, run: Run) -> Iterator[Batch]:
        """Yield the batches of an epoch, which are the same on all ranks, each with the images of this rank's part."""
        if isinstance(run.batches, ArrayBatches):
            return run.batches.epoch(run.ws, run.batch, self._step.mine)
        whole = agreement.agreed(
            run.batches.epoch(run.ws, run.batch),
            self._job,
            lambda batch: (batch.y, batch.x, batch.weight),
            agreement.TRAINING,
            run.batch,
        )
        return (batch._replace(x=batch.x[self._step.mine(len(batch.y))]) for batch in whole)

    def take_step(self, run: Run, batch: Batch) -> None:
        """Take a step on a batch, of which this rank computes its part."""
        given = run.settings
        self._step.take(run.model, run.chain, batch, run.means, run.ws, given.augment, fuse=given.fuse)

    def error_of_loss(self, model: Network, batch: Batch, epoch: int, number: int, loss: float) -> Exception:
        """Return the error that all ranks raise: that of the first one which has found the layer among its images."""
        mine = Batch(batch.x, batch.y[self._step.mine(len(batch.y))], None)
        error = non_finite.error_of_loss(model, mine, epoch, number, loss)
        return agreement.first_of(self._job, error, error.layer is not None)

    def evaluate(
        self, run: Run, chain: list[Any], source: SampleSource | BatchSamples, weight: Array | None, ws: Workspace
    ) -> Logs:
        """Return loss and metrics as one process finds them, to the bit; each rank computes some of the blocks."""
        return evaluate(self._job, run.model, chain, source, weight, ws)
