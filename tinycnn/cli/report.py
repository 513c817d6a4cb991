"""``tinycnn report DIR``: report on a run, or compare documented and reproduced results, as HTML and Markdown."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError, folder_name

HELP = "Make a page of tables and figures from a run or from records"
EXAMPLE = "tinycnn report runs/ladder_03-mnist"

#: The files in the folder of the records.
HTML, MARKDOWN = "report.html", "report.md"
#: The pages and their pictures in the folder of the documentation.
PAGE, OWN_PAGE, IMAGES = "results.md", "beyond.md", "images/results"
_NOTE = "<!-- Written by `tinycnn report results --docs docs`; changes here are lost. -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DIR and --docs."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        type=folder_name,
        help="folder of a run that 'tinycnn train' has written, such as runs/ladder_03-mnist, or of the records of "
        "'tinycnn reproduce', such as results/",
    )
    parser.add_argument(
        "--docs",
        metavar="DIR",
        type=folder_name,
        help=f"write {PAGE}, {OWN_PAGE} and their pictures into this folder of documentation, instead of a page beside "
        "the records",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report."""
    from ..core.files import check_destination, delete, make_folder, write_whole
    from ._results import beside, blocks, choices, figures, one_run, ours, page, records

    if one_run.is_run(args.folder):
        if args.docs:
            raise UsageError(f"--docs is for records, and {args.folder} is the folder of a run")
        found = one_run.read(args.folder)
        return _write(args.folder, one_run.blocks(found, one_run.tested(found)), one_run.title(found))
    read = [kind.read_all(args.folder) for kind in (records, choices, beside)]
    if not any(read):
        raise FileNotFoundError(_nothing(args.folder, filter(one_run.is_run, sorted(args.folder.iterdir()))))
    pages = {PAGE: page.blocks(*read), OWN_PAGE: ours.blocks(*read[:2])}
    if args.docs:
        written = [args.docs / name for name in pages]
        for path in written:
            check_destination(path)
        folder = args.docs / IMAGES
        before = set().union(*map(_pictures_of, written))
        make_folder(folder)
        pictures = [block for shown in pages.values() for block in shown if isinstance(block, blocks.Picture)]
        for picture in pictures:
            write_whole(folder / f"{picture.name}.png", _drawn(picture))
        for path, shown in zip(written, pages.values(), strict=True):
            write_whole(path, markdown_page(shown).encode())
        for name in before - {f"{picture.name}.png" for picture in pictures}:
            delete(folder / name)
        say(f"{' and '.join(map(str, written))}, and {len(pictures)} pictures in {folder}")
        return 0
    _write(args.folder, [block for shown in pages.values() for block in shown], page.TITLE)
    figures.data_of.cache_clear()
    return 0


def _write(folder: Path, shown: Any, title: str) -> int:
    """Write a report into a folder, as a page and in Markdown, and return the exit code."""
    from ..core.files import check_destination, write_whole
    from ._results import blocks

    for name in (HTML, MARKDOWN):
        check_destination(folder / name)
    html = blocks.page(shown, title, _drawn)
    write_whole(folder / HTML, html.encode())
    write_whole(folder / MARKDOWN, blocks.markdown(shown).encode())
    count = sum(isinstance(block, blocks.Picture) for block in shown)
    say(f"{folder / HTML} ({len(html) / 1e6:.1f} MB, {count} pictures) and {folder / MARKDOWN}")
    return 0


def _nothing(folder: Path, runs: Iterable[Path]) -> str:
    """Return the error for a folder in which there is nothing to report, with the runs in folders below it."""
    there = [f"'tinycnn report {run}'" for run in runs]
    if there:
        return f"{folder} is not the folder of a run but holds some; report one of them: {', '.join(there[:8])}"
    return (
        f"{folder} holds no records; 'tinycnn reproduce --out {folder}' makes them, and "
        f"'tinycnn train NAME --out {folder}' makes a run, which this command reports on too"
    )


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
