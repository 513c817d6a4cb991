"""What a gradient check found, as a table."""

from dataclasses import dataclass, field

from ..core.types import Shape


@dataclass(frozen=True)
class Row:
    """One array whose gradient was checked.

    Attributes
    ----------
    layer, array : str
        ``array`` is ``dx`` or a parameter's name.
    shape : tuple of int
    checked : int
        Elements compared.
    kinks : int
        Elements at a point without a derivative (a ReLU at 0, a tie in a pool), where the gradient was found to lie
        between the slopes on both sides; counted, not compared.
    largest_error : float
        Largest relative error of those compared.
    note : str
        How it was checked, where that is not every element.
    hidden : int
        Elements that rounding hides: results are so large that the difference quotient cannot tell a wrong gradient.
    """

    layer: str
    array: str
    shape: Shape
    checked: int
    kinks: int
    largest_error: float
    note: str = ""
    hidden: int = 0


@dataclass
class GradientReport:
    """The rows of a check that passed; prints as a table.

    Attributes
    ----------
    title : str
    rows : list of Row
    failures : list of str
        Empty unless the check was asked to collect them instead of raising.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def kinks(self) -> int:
        """Points without a derivative, over all rows."""
        return sum(row.kinks for row in self.rows)

    @property
    def largest_error(self) -> float:
        """The largest relative error of all rows."""
        return max((row.largest_error for row in self.rows), default=0.0)

    def __str__(self) -> str:
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
        widths = [max(len(line[i]) for line in (headings, *cells)) for i in range(len(headings))]

        def text(line: tuple[str, ...]) -> str:
            parts = [f"{cell:<{width}}" for cell, width in zip(line[:3], widths[:3], strict=True)]
            parts += [f"{cell:>{width}}" for cell, width in zip(line[3:5], widths[3:5], strict=True)]
            return "  ".join([*parts, line[5]]).rstrip()

        rule = "─" * sum((*widths, 10))
        verdict = self.failures or [f"all {sum(row.checked for row in self.rows):,} elements agree"]
        return "\n".join([self.title, text(headings), rule, *map(text, cells), rule, *verdict])
