"""Make a notebook of each chapter's page; ``python docs/course/make_notebooks.py [FOLDER]``, or ``make notebooks``.

The pages are what is edited. A notebook has no outputs, because whoever opens it runs it. It needs jupytext, from the
extra ``docs``.
"""

import re
import shutil
import sys
from pathlib import Path

import jupytext

HERE = Path(__file__).parent
FOLDER = HERE.parent / "_build" / "notebooks"
#: Where the solutions are: outside of the folder of the notebooks, so their link is left out.
_SOLUTIONS = re.compile(r"^<details>.*?^</details>\n", re.DOTALL | re.MULTILINE)
#: What the page shows below a program, the notebook shows by itself.
_OUTPUT = re.compile(r"(^```python\n(?:(?!```).*\n)*```\n)\n```text\n(?:(?!```).*\n)*```\n", re.MULTILINE)


def notebook(page: str) -> str:
    """Return the text of a notebook for the text of a page; links to other pages stay as words."""
    page = _OUTPUT.sub(r"\1", _SOLUTIONS.sub("", page))
    page = re.sub(r"^```sh$", "```text", page, flags=re.MULTILINE)
    page = re.sub(r"(?<!!)\[([^]]*)\]\([^)]*\.md\)", r"\1", page)
    made = jupytext.reads(page, fmt="md")
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # otherwise drawn at random
    return str(jupytext.writes(made, fmt="ipynb"))


def make(folder: Path) -> list[Path]:
    """Write all notebooks, and their pictures, into a folder."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for picture in sorted((HERE / "images").glob("*.svg")):
        shutil.copy(picture, folder / "images")
    made = []
    for page in sorted([*HERE.glob("[0-9][0-9]-*.md"), *HERE.glob("extra-*.md")]):
        path = folder / f"{page.stem}.ipynb"
        path.write_text(notebook(page.read_text("utf-8")), "utf-8")
        made.append(path)
    return made


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
