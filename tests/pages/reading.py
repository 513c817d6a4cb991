"""Find the blocks of a page, and compare or replace the outputs that it shows."""

from __future__ import annotations

import codeop
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "docs" / "install.md"
#: The pages that a newcomer follows, in this order and in one folder.
PAGES = [
    ROOT / "README.md",
    INSTALL,
    ROOT / "docs" / "tour.md",
    *sorted((ROOT / "docs" / "how_to").glob("*.md")),
    *(ROOT / "docs" / name for name in ("testing.md", "differences_from_keras.md", "fast_kernels.md")),
]

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:\n*^```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
_PICTURE = re.compile(r"\]\((images/([a-z]+)_(\w+\.png))\)")
_SAVED = re.compile(r"[Ss]ave (?:this|these lines|the following) as `([\w.]+)`")
#: Seconds and speeds, the only things that may differ on the machine that wrote the page. Whatever they are, they must
#: stand where the page shows them: the tolerance is in the value alone.
_TIMING = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?= ?(?:s|ms|µs|min|images/s)\b)")
#: On another kind of machine training rounds differently, so that numbers with a point may be off by this share of
#: their size, or by two units of their last digit, and percentages by two.
ELSEWHERE = 0.02
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.\d+(?:e[-+]?\d+)?%?|\d+%)(?![\w.])")


@dataclass(frozen=True)
class Block:
    """A block of code, and the output that the page shows right after it (None if it shows none)."""

    language: str
    code: str
    shown: str | None
    #: The name under which the page asks to save the block, or None if it is to be pasted.
    saved_as: str | None
    #: Where the block and its output begin and end in the page.
    start: int
    end: int


def blocks(page: str) -> Iterator[Block]:
    """Yield the programs and commands of a page, in its order."""
    for found in _BLOCK.finditer(page):
        language, code, shown = found.groups()
        paragraph = page[: found.start()].rstrip().rpartition("\n\n")[2]
        saved = _SAVED.search(" ".join(paragraph.split())) if language == "python" else None
        yield Block(language, code, shown, saved and saved[1], *found.span())


def pictures(page: Path) -> dict[Path, str]:
    """Return the pictures that a page's own programs draw, with the names of the files that these write.

    ``images/tour_curves.png`` in the page ``tour.md`` is the ``curves.png`` that a newcomer gets.
    """
    found = _PICTURE.findall(page.read_text("utf-8"))
    return {page.parent / path: name for path, stem, name in found if stem == page.stem}


def rewritten(page: str, outputs: list[tuple[Block, str]], *, timings: bool = False) -> str:
    """Return the page with new outputs. One that differs in seconds and speeds alone stays unless ``timings``."""
    for block, printed in reversed(outputs):
        if agrees(block.shown or "", printed) and not timings:
            continue
        code = f"```{block.language}\n{block.code}```\n"
        output = f"\n```text\n{printed.strip()}\n```\n" if printed.strip() else ""
        page = page[: block.start] + code + output + page[block.end :]
    return page


def agrees(shown: str, printed: str, *, elsewhere: bool = False) -> bool:
    """Whether a page shows what is printed now, up to seconds and speeds; ``elsewhere`` also allows other rounding."""
    return _comparable(shown, elsewhere) == _comparable(printed, elsewhere) and (
        not elsewhere or all(map(_near, *(_NUMBER.findall(_TIMING.sub("#", text)) for text in (shown, printed))))
    )


def _comparable(text: str, elsewhere: bool) -> list[str]:
    """Return the lines of an output without what may differ; a number that may be wider also moves its neighbours."""
    lines = []
    for line in text.strip().splitlines():
        changed = _TIMING.sub("#", line)
        changed = _NUMBER.sub("#", changed) if elsewhere else changed
        lines.append(line.rstrip() if changed == line and not elsewhere else re.sub(r"([ ─])[ ─]+", r"\1", changed))
    return lines


def _near(shown: str, found: str) -> bool:
    """Whether a number is near enough to the one that another kind of machine printed."""
    first, second = (float(number.strip("%")) for number in (shown, found))
    unit = 1.0 if shown.endswith("%") else 10.0 ** -len(shown.partition("e")[0].partition(".")[2])
    return second == pytest.approx(first, rel=ELSEWHERE, abs=2 * unit)


def paste_error(code: str) -> str | None:
    """Return why a program cannot be pasted into a Python prompt, or None if it can.

    There an empty line ends a function, a class or a loop, and only an empty line does.
    """
    compiler, statement = codeop.CommandCompiler(), ""
    for line in [*code.splitlines(), ""]:
        statement = f"{statement}\n{line}" if statement else line
        try:
            if compiler(statement, "<page>", "single"):
                statement = ""
        except SyntaxError as error:
            return f"{error.msg} at {line!r}; leave no empty line inside a block, and one after it"
    return f"{statement!r} does not end" if statement.strip() else None
