"""Run the pages, and write what they print into them (``make pages``).

    python -m pages [--check] [--timings] [PAGE…]

Run it from the folder ``tests``, or with that folder on ``PYTHONPATH``. Seconds and speeds stay as they are where
nothing else differs, unless ``--timings`` is given. With ``--check`` nothing is written. The exit code is 1 if a page
does not run or, with ``--check``, does not show what it prints.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from .newcomer import Newcomer, PageError
from .reading import INSTALL, PAGES, ROOT, pictures, rewritten
from .written_on import note_this_machine


def main() -> int:
    """Run the pages in the order in which a newcomer meets them."""
    parser = argparse.ArgumentParser(prog="python -m pages", description=__doc__.partition("\n")[0])
    names = [page.relative_to(ROOT).as_posix() for page in PAGES]
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"by default all: {', '.join(names)}")
    parser.add_argument("--check", action="store_true", help="only say which pages show something else")
    parser.add_argument(
        "--timings", action="store_true", help="write seconds and speeds anew where nothing else differs"
    )
    args = parser.parse_args()
    if unknown := set(args.pages) - set(names):
        parser.error(f"not among the pages: {', '.join(sorted(unknown))}; expected some of {', '.join(names)}")

    failed = False
    with tempfile.TemporaryDirectory() as folder:
        newcomer = Newcomer(Path(folder).resolve())
        newcomer.follow(INSTALL)
        for name in args.pages or names:
            text = (ROOT / name).read_text("utf-8")
            try:
                new = rewritten(text, newcomer.follow(ROOT / name), timings=args.timings)
            except PageError as error:
                print(f"{name}: does not run\n{error}", file=sys.stderr)
                failed = True
                continue
            print(
                f"{name}: {'as before' if new == text else 'shows something else' if args.check else 'written'}",
                flush=True,
            )
            failed |= args.check and new != text
            if not args.check:
                (ROOT / name).write_text(new, "utf-8")
                for picture, drawn in pictures(ROOT / name).items():
                    shutil.copyfile(newcomer.work / drawn, picture)
    if not args.check and not args.pages and not failed:
        note_this_machine()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
