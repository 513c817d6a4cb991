"""Stand in for ``python3 -m venv`` and ``pip install`` without a network; the libraries are those of this environment.

    python offline.py venv FOLDER
    python offline.py install FOLDER ARGUMENT…

A bare environment sees only what was installed into it. So a page that uses a library before it says how to install it
fails here, as it would for a newcomer. The checkout that is installed is this one, whose kernels are compiled already;
``test_packaging.py`` tests the real installation.
"""

import importlib.metadata
import re
import shlex
import sys
import sysconfig
import venv
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
#: What pages ask pip to install: the checkout in this folder, or a package; both with or without extras.
WHAT = re.compile(r"(\.|[\w-]+)(?:\[([\w,]+)\])?")
COMMAND = "import sys\nfrom tinycnn.cli import run_as_process\nsys.exit(run_as_process())\n"


def make_environment(folder: Path) -> None:
    """Make an environment with a ``pip`` that is :func:`install`."""
    venv.create(folder, symlinks=True)
    words = [sys.executable, __file__, "install", str(folder.absolute())]
    write_program(folder / "bin" / "pip", f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    # Where the environment is active, the line that makes it finds its python3.
    (folder / "bin" / "python3").unlink()
    write_python3(folder / "bin" / "python3", folder.absolute() / "bin" / "python")


def install(folder: Path, arguments: list[str]) -> None:
    """Do what ``pip install`` would do: let the environment see the checkout or libraries, and what these need."""
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for argument in arguments:
        if argument in ("install", "-q", "-e"):
            continue
        found = WHAT.fullmatch(argument)
        assert found, f"pip install {argument}: pages use no other form"
        name = "tinycnn" if found[1] == "." else found[1]
        for library in needed(name, set((found[2] or "").split(",")) - {""}, set()):
            link(library, site)
        if found[1] == ".":
            (site / "tinycnn.pth").write_text(f"{ROOT}\n")
            write_program(folder / "bin" / "tinycnn", f"#!{folder / 'bin' / 'python'}\n{COMMAND}")


def write_python3(path: Path, python: Path) -> None:
    """Write a Python whose ``-m venv`` is :func:`make_environment`."""
    ours = shlex.join([sys.executable, __file__])
    double = f'if [ "$1 $2" = "-m venv" ]; then exec {ours} venv "$3"; fi'
    write_program(path, f'#!/bin/sh\n{double}\nexec {shlex.quote(str(python))} "$@"\n')


def write_program(path: Path, text: str) -> None:
    """Write a file that can be run."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def needed(name: str, extras: set[str], seen: set[tuple[str, str]]) -> set[str]:
    """Return the libraries that a package needs, itself included unless it is tinycnn."""
    libraries = set() if name == "tinycnn" else {name}
    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        for extra in ["", *extras]:
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if wanted and (requirement.name, extra) not in seen:
                seen.add((requirement.name, extra))
                libraries |= needed(requirement.name, requirement.extras, seen)
    return libraries


def link(name: str, site: Path) -> None:
    """Let an environment see a library of the running one."""
    library = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in library.files or []} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(library.locate_file(top))).resolve())


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    make_environment(Path(where)) if command == "venv" else install(Path(where), rest)
