"""The result of a measurement, which prints as a table."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.table import Table
from ._entry import Entry, milliseconds, pass_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Profile:
    """The result of :func:`profile`; it prints as a table.

    Attributes
    ----------
    title : str
        What was measured, and under which conditions.
    batch_size : int
    entries : tuple of Entry
        The steps of the plan, in its order.
    loss, optimizer : float
        The seconds of the loss with the metrics, forward and backward, and the seconds of the optimizer's step.
    step : float
        The seconds of a whole training step, as ``fit`` takes it: without reading the clock in between, and by one call
        if the backend can record steps.
    limit : float
        How many operations the machine does per second in units of 10⁹ (GFLOP/s) if it does nothing else: those of a
        product of two large matrices on the same backend. NaN if it was not measured.
    """

    title: str
    batch_size: int
    entries: tuple[Entry, ...]
    loss: float
    optimizer: float
    step: float
    limit: float = math.nan

    @property
    def total(self) -> float:
        """The seconds of all parts together."""
        return sum(entry.seconds for entry in self.entries) + self.loss + self.optimizer

    @property
    def images_per_second(self) -> float:
        """The speed of whole training steps."""
        return self.batch_size / self.step

    def plot(self, ax: Any = None, figsize: Any = None) -> "Axes":
        """Draw the time of each step of the plan, forward and backward, with the speed beside each bar.

        Parameters
        ----------
        ax : Axes or empty Figure, optional
        figsize : (float, float), optional
            The size of a new figure in inches. By default it is your ``rcParams["figure.figsize"]`` if you have changed
            that, and otherwise what the picture needs.

        Returns
        -------
        Axes
        """
        from ._drawing import draw  # imported here because matplotlib is slow to import, and a table does not need it

        title = f"{self.title}\n{self.images_per_second:,.0f} images/s"
        return draw(self.entries, {"loss": self.loss, "optimizer": self.optimizer}, title, ax, figsize)

    def __repr__(self) -> str:
        return self._table().for_print()

    def _repr_html_(self) -> str:
        """Return the table as HTML; notebooks call this method."""
        return self._table().html()

    def _table(self) -> Table:
        """Return the table that ``print`` shows."""
        rows: list[tuple[str, ...]] = []
        for entry in self.entries:
            limit = self.limit if entry.unit == "GFLOP/s" else math.nan
            cells = (text for one in (entry.forward, entry.backward) for text in pass_texts(one, entry.unit, limit))
            rows.append((entry.name, *cells, f"{entry.seconds / self.total:.0%}"))
        for name, seconds in (("loss", self.loss), ("optimizer", self.optimizer)):
            rows.append((name, milliseconds(seconds), "", "", "", f"{seconds / self.total:.0%}"))
        sums = (
            f"together {milliseconds(self.total)}; a whole training step {milliseconds(self.step)}, "
            f"{self.images_per_second:,.0f} images/s"
        )
        after = [sums]
        if not math.isnan(self.limit):
            after.append(f"percent of {self.limit:.3g} GFLOP/s, the speed of a product of two large matrices")
        headings = ("step", "forward", "", "backward", "", "share")
        return Table(headings, rows, "lrrrrr", before=[self.title], after=after, rules=2)
