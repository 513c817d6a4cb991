"""What the training loop knows of several processes that train one fit; :mod:`tinycnn.distributed` has them."""

from collections.abc import Iterator
from typing import Any, Protocol

from ..core.workspace import Workspace
from ..network.network import Network
from .batches import Batch
from .callback import Logs


class Together(Protocol):
    """Several processes that train one fit together; :mod:`tinycnn.distributed` says what each method does."""

    @property
    def leads(self) -> bool:
        """Whether this process prints, saves and runs the callbacks."""
        ...

    def compare(self, run: Any) -> None:
        """Raise unless all processes are about to do the same."""
        ...

    def share_beginning(self, run: Any) -> None:
        """Give all what the first one's callbacks have made of the fit before its first step."""
        ...

    def share(self, run: Any) -> None:
        """Give all what a callback has changed on the first one."""
        ...

    def share_after_batch(self, run: Any) -> None:
        """Do the same after a batch, if a callback could have changed something."""
        ...

    def epoch(self, run: Any) -> Iterator[Batch]:
        """Yield the batches of an epoch, which are the same for all, with the images of this process's part alone."""
        ...

    def take_step(self, run: Any, batch: Batch) -> None:
        """Take a step on a batch, of which this process computes its part."""
        ...

    def error_of_loss(self, model: Network, batch: Batch, epoch: int, number: int, loss: float) -> Exception:
        """Return the error of a loss that is not finite, for which each process has looked among its own images."""
        ...

    def evaluate(self, run: Any, chain: Any, source: Any, weight: Any, ws: Workspace) -> Logs:
        """Return loss and metrics as one process finds them."""
        ...

    def identity(self) -> Any:
        """Return what must be the same so that an interrupted fit can go on, in a form for JSON."""
        ...
