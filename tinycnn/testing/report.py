"""The table of what a gradient check found."""

from dataclasses import dataclass, field

from ..core.table import Table
from ..core.types import Shape


@dataclass(frozen=True)
class Row:
    """The line for one array whose gradient was checked.

    Attributes
    ----------
    layer, array : str
        The name of the layer; and ``dx``, or the name of a parameter.
    shape : tuple of int
    checked : int
        The number of elements that were compared.
    kinks : int
        The number of elements at a point without a derivative (a ReLU at 0, a tie in a pool), where the gradient was
        found to lie between the slopes on the two sides. They are counted, not compared.
    largest_error : float
        The largest relative error of the elements that agreed; :func:`check_gradients` has the formula.
    note : str
        How the array was checked, if not simply in every element.
    hidden : int
        The number of elements that rounding hides: the results are so large that the difference quotient could not
        show a wrong gradient.
    """

    layer: str
    array: str
    shape: Shape
    checked: int
    kinks: int
    largest_error: float
    note: str = ""
    hidden: int = 0


@dataclass(repr=False)
class GradientReport:
    """The result of a gradient check; ``print`` shows it as a table.

    Attributes
    ----------
    title : str
        What was checked, and how.
    rows : list of Row
        One for each array.
    failures : list of str
        A message for each wrong array. :func:`check_gradients` raises these instead of returning them.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def kinks(self) -> int:
        """The number of elements at points without a derivative, in all rows together."""
        return sum(row.kinks for row in self.rows)

    @property
    def largest_error(self) -> float:
        """The largest relative error of all rows."""
        return max((row.largest_error for row in self.rows), default=0.0)

    def __repr__(self) -> str:
        return self._table().for_print()

    def _repr_html_(self) -> str:
        """Return the table as HTML; notebooks call this method."""
        return self._table().html()

    def _table(self) -> Table:
        """Return the table that ``print`` shows."""
        headings = ("layer", "gradient of", "shape", "checked", "kinks", "largest relative error")
        cells = [
            (
                row.layer,
                row.array,
                "×".join(map(str, row.shape)),
                f"{row.checked:,}",
                f"{row.kinks:,}",
                f"{row.largest_error:.1e}"
                + (f"  {row.note}" if row.note else "")
                + (f"  {row.hidden:,} hidden by rounding" if row.hidden else ""),
            )
            for row in self.rows
        ]
        verdict = self.failures or [f"all {sum(row.checked for row in self.rows):,} elements agree"]
        return Table(headings, cells, "lllrrl", before=[self.title], after=verdict, rules=2)
