"""The parts of a report, and how they are written as Markdown and as one HTML page.

In texts, `code` is written between backticks, **emphasis** between asterisks, and a link as [words](address). Nothing
else has a special meaning.
"""

import base64
import html
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

#: The width of lines in Markdown; only tables and links are longer.
_WIDTH = 120


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the page."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; its columns from ``numbers`` on are aligned to the right, those before are text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : str
        The name of its file, without the ending.
    caption : str
        What the picture shows; it is also the text for readers who cannot see the picture.
    draw : callable
        The function that draws the figure.
    narrow : bool
        Whether the picture is narrow enough to be legible on a telephone; other ones can be scrolled sideways there.
    """

    name: str
    caption: str
    draw: Callable[[], Any]
    narrow: bool = False


Block = Heading | Text | Bullets | Table | Picture


def markdown(blocks: Sequence[Block], images: str | None = None) -> str:
    """Return the blocks as Markdown, with the pictures of a folder or, if none is given, without pictures.

    A heading below which there would be only pictures is left out with them.
    """
    written: list[Block] = []
    for block in reversed(blocks):
        following = written[-1] if written else Heading(0, "the end of the page")
        empty = isinstance(block, Heading) and isinstance(following, Heading) and block.level >= following.level
        if images is not None or not (empty or isinstance(block, Picture)):
            written.append(block)
    return "\n\n".join(_markdown(block, images) for block in reversed(written)) + "\n"


def _markdown(block: Block, images: str | None) -> str:
    """Return a block as Markdown."""
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Text):
        return _wrapped(block.text)
    if isinstance(block, Bullets):
        return "\n".join(_wrapped(item, "- ", "  ") for item in block.items)
    if isinstance(block, Table):
        rule = ["---" if column < block.numbers else "---:" for column in range(len(block.head))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (block.head, rule, *block.rows))
    return f"{_wrapped(f'![{_plain(block.caption)}]({images}/{block.name}.png)')}\n\n{_wrapped(f'*{block.caption}*')}"


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    """Return a text in lines, the first and the others with these indents."""
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def page(blocks: Sequence[Block], title: str, png: Callable[[Picture], bytes]) -> str:
    """Return the blocks as an HTML page that needs no other file and no network.

    Parameters
    ----------
    blocks : sequence of blocks
    title : str
    png : callable
        The function that returns the file of a picture, which becomes part of the page.
    """
    body = "\n".join(_html(block, png) for block in blocks)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


def _html(block: Block, png: Callable[[Picture], bytes]) -> str:
    """Return a block as HTML."""
    if isinstance(block, Heading):
        anchor = re.sub(r"\W+", "-", block.text.lower()).strip("-")
        return f'<h{block.level} id="{anchor}">{_inline(block.text)}</h{block.level}>'
    if isinstance(block, Text):
        return f"<p>{_inline(block.text)}</p>"
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Table):
        head = _cells("th", block.head, block.numbers)
        rows = "\n".join(_cells("td", row, block.numbers) for row in block.rows)
        return f'<div class="wide"><table><thead>{head}</thead><tbody>\n{rows}\n</tbody></table></div>'
    data = base64.b64encode(png(block)).decode()
    alternative = html.escape(_plain(block.caption))
    image = f'<img alt="{alternative}" src="data:image/png;base64,{data}">'
    kind = "narrow" if block.narrow else "scrolled"
    return f'<figure class="{kind}"><div>{image}</div><figcaption>{_inline(block.caption)}</figcaption></figure>'


def _cells(kind: str, row: Sequence[str], numbers: int) -> str:
    """Return a row of a table as HTML."""
    cells = [f"<{kind}>{_inline(cell)}</{kind}>" for cell in row[:numbers]]
    cells += [f'<{kind} class="number">{_inline(_kept_together(cell))}</{kind}>' for cell in row[numbers:]]
    return f"<tr>{''.join(cells)}</tr>"


def _kept_together(cell: str) -> str:
    """Return a number that is broken only before a bracket and after a comma, if it has to be: 99.3 (99.1 to 99.4)."""
    return re.sub(r"(?<!,) (?!\()", "\N{NO-BREAK SPACE}", cell) if re.match(r"[\d+-]", cell) else cell


def _inline(text: str) -> str:
    """Return a text as HTML."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\[([^\]]+)\]\((https?://[^)\s]+)\)", r'<a href="\2">\1</a>', text)


def _plain(text: str) -> str:
    """Return a text without its backticks."""
    return text.replace("`", "")


_STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.55 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 76rem; margin: 0 auto;
       padding: 1rem; overflow-wrap: break-word; }
p, ul { max-width: 62rem; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .6rem; }
h1 { margin-top: .5rem; }
h2 { border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
th { background: #f3f5f7; vertical-align: bottom; }
.number { text-align: right; }
tbody tr:hover { background: #f7f9fb; }
code { background: #f3f5f7; padding: .05em .25em; border-radius: 3px; font-size: .92em; }
figure { margin: 1.2rem 0; }
figure div { overflow-x: auto; }
img { max-width: 100%; height: auto; }
.narrow { display: inline-block; width: 27rem; max-width: 100%; vertical-align: top; }
.narrow img { width: 100%; }
@media (min-width: 47rem) { .narrow { margin-right: 1.5rem; } }
@media (max-width: 46rem) { .scrolled img { max-width: none; width: 44rem; } }
figcaption { color: #444; font-size: .9rem; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
