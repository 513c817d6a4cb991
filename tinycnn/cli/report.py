"""``tinycnn report DIR``: compare documented and reproduced results, on an HTML page and in Markdown."""

import argparse
import functools
import re
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError, folder_name

HELP = "Make a page of tables and figures from recorded runs"
EXAMPLE = "tinycnn report results/"

#: The files in the folder of the records.
HTML, MARKDOWN = "report.html", "report.md"
#: The page and its pictures in the folder of the documentation.
PAGE, IMAGES = "results.md", "images/results"
_NOTE = "<!-- Written by `tinycnn report results --docs docs`; changes here are lost. -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DIR and --docs."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=folder_name,
        help="folder of the records that 'tinycnn reproduce' has written, such as results/",
    )
    parser.add_argument(
        "--docs",
        metavar="DIR",
        type=folder_name,
        help=f"write {PAGE} and its pictures into this folder of documentation, instead of a page beside the records",
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from ..core.files import check_destination, make_folder, write_whole
    from ._results import beside, blocks, choices, figures, page, records

    read = [kind.read_all(args.folder) for kind in (records, choices, beside)]
    if not any(read):
        raise FileNotFoundError(f"{args.folder} holds no records; 'tinycnn reproduce --out {args.folder}' makes them")
    for path in [args.docs / PAGE] if args.docs else [args.folder / HTML, args.folder / MARKDOWN]:
        check_destination(path)
    shown = page.blocks(*read)
    pictures = [block for block in shown if isinstance(block, blocks.Picture)]
    draw = functools.cache(_drawn)
    if args.docs:
        folder = args.docs / IMAGES
        before = _pictures_of(args.docs / PAGE)
        make_folder(folder)
        for picture in pictures:
            write_whole(folder / f"{picture.name}.png", draw(picture))
        write_whole(args.docs / PAGE, markdown_page(shown).encode())
        for name in before - {f"{picture.name}.png" for picture in pictures}:
            (folder / name).unlink(missing_ok=True)
        say(f"{args.docs / PAGE}, and {len(pictures)} pictures in {folder}")
        return 0
    html = blocks.page(shown, page.TITLE, draw)
    write_whole(args.folder / HTML, html.encode())
    write_whole(args.folder / MARKDOWN, blocks.markdown(shown).encode())
    say(f"{args.folder / HTML} ({len(html) / 1e6:.1f} MB, {len(pictures)} pictures) and {args.folder / MARKDOWN}")
    figures.data_of.cache_clear()
    return 0


def _pictures_of(page: Path) -> set[str]:
    """Return the pictures that an earlier page shows; this command may only delete those.

    Raises
    ------
    UsageError
        If there is a page that was not written by this command.
    """
    if not page.exists():
        return set()
    text = page.read_text(encoding="utf-8", errors="replace")
    if _NOTE not in text:
        raise UsageError(f"{page} was not written by this command, and would be overwritten; move it away first")
    return set(re.findall(rf"{IMAGES}/([\w.-]+\.png)", text))


def markdown_page(shown: Any) -> str:
    """Return the page of the documentation, with its pictures."""
    from ._results import blocks

    title, *rest = shown
    return blocks.markdown([title], IMAGES) + f"\n{_NOTE}\n\n" + blocks.markdown(rest, IMAGES)


def _drawn(picture: Any) -> bytes:
    """Draw a picture and return its file."""
    from ._results import figures

    return figures.png(picture.draw())
