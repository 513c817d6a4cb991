"""Write the address of the repository into every file that names it.

    python .ci/address.py OWNER/NAME

The files name no address until its owner has written it, because a wrong one would install a stranger's program. They
are pyproject.toml (the project's URLs), CITATION.cff, the README (the badge of Colab) and the notebook (the badge, and
the cell that installs tinycnn in Colab). A fork runs this again, with its own address.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

NOTEBOOK = "examples/first_notebook.ipynb"
COLAB = "https://colab.research.google.com"


def urls(address: str) -> str:
    """Return the table of pyproject.toml."""
    return (
        "[project.urls]\n"
        f'Repository = "{address}"\n'
        f'Documentation = "{address}/blob/main/docs/index.md"\n'
        f'Changelog = "{address}/blob/main/CHANGELOG.md"\n'
        f'Issues = "{address}/issues"\n\n'
    )


def write(root: Path, repository: str) -> None:
    """Write the address of `repository`, OWNER/NAME, into the files below `root`."""
    address = f"https://github.com/{repository}"
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{repository}/blob/main/{NOTEBOOK})"
    # For each file: what an earlier run wrote; the line that it stands before; what to write now.
    places = [
        ("pyproject.toml", r"^\[project\.urls\]\n(.+\n)+\n", "[project.scripts]\n", urls(address)),
        ("CITATION.cff", r"^repository-code: .*\n", "version: ", f'repository-code: "{address}"\n'),
        ("README.md", r"^\[!\[Open in Colab\].*\n\n", "## Start\n", f"{badge}\n\n"),
        (
            NOTEBOOK,
            r'^    "\[!\[Open in Colab\].*\n    "\\n",\n',
            '    "Run the cells',
            f'    "{badge}\\n",\n    "\\n",\n',
        ),
        (
            NOTEBOOK,
            r'^    " +REPOSITORY = .*\n',
            '    "    assert REPOSITORY',
            f'    "    REPOSITORY = \\"{address}\\"\\n",\n',
        ),
    ]
    texts: dict[str, str] = {}
    for name, old, line, new in places:
        text = texts[name] if name in texts else (root / name).read_text("utf-8")
        text = re.sub(old, "", text, flags=re.MULTILINE)
        if text.count(f"\n{line}") != 1:
            raise SystemExit(f"{name}: the address stands before one line that begins with {line!r}, which is missing")
        texts[name] = text.replace(f"\n{line}", f"\n{new}{line}")
    for name, text in texts.items():
        (root / name).write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[\w.-]+", sys.argv[1]):
        raise SystemExit("give the owner and the name of the repository: python .ci/address.py OWNER/NAME")
    write(Path(__file__).resolve().parents[1], sys.argv[1])
