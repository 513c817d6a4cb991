"""Collect the course's pictures for slides; ``python docs/course/make_slides.py [FOLDER]``, or ``make course-slides``.

Each picture is an SVG of its own, which any program for slides takes in any size. With them come the licence, which
every picture names too, and a list that says what is on each and from which page it is.
"""

import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = HERE.parent / "_build" / "course" / "slides"
_PICTURE = re.compile(r"!\[([^]]*)\]\(images/([\w-]+\.svg)\)")


def pictures() -> list[tuple[str, str, str]]:
    """Return for each picture of the pages its file's name, what is on it, and the page's title."""
    found = []
    for page in sorted(HERE.glob("*.md")):
        text = page.read_text("utf-8")
        title = text.partition("\n")[0].lstrip("# ")
        found += [(name, " ".join(words.split()), title) for words, name in _PICTURE.findall(text)]
    return found


def with_licence(svg: str, owner: str) -> str:
    """Return a picture that names its licence."""
    head, end, rest = svg.partition(">\n")
    return f"{head}{end}<!-- MIT licence (LICENSE is beside this file). {owner} -->\n{rest}"


def make(folder: Path) -> list[Path]:
    """Write the pictures, the licence and the list."""
    folder.mkdir(parents=True, exist_ok=True)
    licence = (ROOT / "LICENSE").read_text("utf-8")
    [owner] = re.findall(r"^Copyright .*$", licence, re.MULTILINE)
    shutil.copy(ROOT / "LICENSE", folder)
    made, lines = [], ["# The course's pictures", "", f"MIT licence, see LICENSE. {owner}", ""]
    for name, words, title in pictures():
        path = folder / name
        path.write_text(with_licence((HERE / "images" / name).read_text("utf-8"), owner), "utf-8")
        made.append(path)
        lines.append(f'- `{name}`, from the page "{title}": {words}')
    (folder / "pictures.md").write_text("\n".join([*lines, ""]), "utf-8")
    return [*made, folder / "pictures.md", folder / "LICENSE"]


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
