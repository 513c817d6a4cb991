"""A table as text, in which nothing is lost in a narrow terminal, and as HTML for notebooks."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest

from .printing import OUT, degraded, folded

_GAP = 2


@dataclass(frozen=True)
class Table:
    """Rows of texts under headings.

    Attributes
    ----------
    headings : sequence of str
    rows : sequence of sequences of str
    align : str
        For each column ``l`` or ``r``: whether its texts are aligned to the left or to the right.
    before, after : sequence of str
        Lines above and below the table.
    rules : int
        How many lines are drawn: 0, 1 under the headings, or 2 with another one under the last row.
    split : bool
        Whether a line is interrupted between columns.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    align: str
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    rules: int = 1
    split: bool = False

    def text(self, columns: int | None = None, encoding: str = "utf-8") -> str:
        """Return the table as text whose lines have at most ``columns`` characters; what is longer goes on below.

        Examples
        --------
        >>> table = Table(("layer", "result"), [("conv2d", "2×26×26×8"), ("dense", "2×10")], "lr", rules=0)
        >>> print(table.text(encoding="ascii"))
        layer      result
        conv2d  2x26x26x8
        dense        2x10
        """
        rows = [[degraded(cell, encoding) for cell in row] for row in (self.headings, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if columns is not None:
            widths = _narrowed(widths, rows, columns)
        lines = [self._lines(row, widths) for row in rows]
        gap = " " * _GAP if self.split else "─" * _GAP
        rule = [degraded(gap.join("─" * width for width in widths), encoding)]
        return "\n".join(
            [
                *_around(self.before, columns, encoding),
                *lines[0],
                *(rule if self.rules else ()),
                *(line for row in lines[1:] for line in row),
                *(rule if self.rules > 1 else ()),
                *_around(self.after, columns, encoding),
            ]
        )

    def for_print(self) -> str:
        """Return the table as text for standard output as it is now."""
        return self.text(OUT.columns, OUT.encoding)

    def html(self) -> str:
        """Return the table as HTML, for notebooks."""
        sides = ["right" if side == "r" else "left" for side in self.align]

        def row(tag: str, cells: Sequence[str]) -> str:
            pairs = zip(cells, sides, strict=True)
            return "".join(f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for cell, side in pairs)

        return (
            f"<div>{_paragraph(self.before)}<table><thead><tr>{row('th', self.headings)}</tr></thead><tbody>"
            + "".join(f"<tr>{row('td', cells)}</tr>" for cells in self.rows)
            + f"</tbody></table>{_paragraph(self.after)}</div>"
        )

    def _lines(self, cells: Sequence[str], widths: Sequence[int]) -> list[str]:
        """Return a row as text: one line, or more if a cell is wider than its column."""
        parts = [
            textwrap.wrap(cell, width) if len(cell) > width else [cell]
            for cell, width in zip(cells, widths, strict=True)
        ]
        return [
            (" " * _GAP).join(map(_aligned, line, self.align, widths)).rstrip()
            for line in zip_longest(*parts, fillvalue="")
        ]


def _aligned(cell: str, side: str, width: int) -> str:
    """Return a cell that fills its column."""
    return cell.rjust(width) if side == "r" else cell.ljust(width)


def _narrowed(widths: list[int], rows: Sequence[Sequence[str]], columns: int) -> list[int]:
    """Return the widths of columns that together fit; columns keep their longest word whole as long as they can."""
    words = [max(len(word) for cell in column for word in cell.split() or [""]) for column in zip(*rows, strict=True)]
    widths = list(widths)
    for least in (words, [4] * len(widths)):
        while sum(widths) + _GAP * (len(widths) - 1) > columns:
            free = [number for number in range(len(widths)) if widths[number] > least[number]]
            if not free:
                break
            widths[max(free, key=lambda number: widths[number])] -= 1
    return widths


def _around(lines: Sequence[str], columns: int | None, encoding: str) -> list[str]:
    """Return the lines above or below a table; a paragraph of several lines is filled anew if they are too long."""
    shown = [degraded(line, encoding) for line in lines]
    if columns is None or all(len(part) <= columns for line in shown for part in line.split("\n")):
        return shown
    return [folded(" ".join(line.split("\n")), columns) for line in shown]


def _paragraph(lines: Sequence[str]) -> str:
    """Return lines as a paragraph of HTML, or nothing."""
    text = "<br>".join(escape(part) for line in lines for part in line.split("\n"))
    return f"<p>{text}</p>" if text else ""
