"""Write the outlines of the digits, and the licences of their typefaces, from the matplotlib that is installed.

The file that is shipped was written with matplotlib 3.11.2: ``python tests/datasets/write_outlines.py``, in the
repository's root. Other outlines make another data set `digits`, and other figures wherever it is trained on.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import matplotlib
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from tinycnn.datasets import _glyphs, _outlines

LETTERS = {1: "M", 2: "L", 3: "Q", 79: "Z"}  # matplotlib's codes of a path, and SVG's


def typeface(face: str) -> Path:
    """Return where matplotlib has a typeface, whether it ships it or not."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def text_path(face: str, digit: int) -> TextPath:
    """Return the outline of a digit, 100 units to the em."""
    return TextPath((0, 0), str(digit), size=100, prop=FontProperties(fname=str(typeface(face))))


def path_data(face: str, digit: int) -> str:
    """Return the outline of a digit as SVG's path data, in whole units."""
    words: list[str] = []
    for points, code in text_path(face, digit).iter_segments(curves=True, simplify=False):
        units = points * _outlines.UNITS
        assert (units == units.round()).all(), "FreeType gives whole units"
        words += [LETTERS[int(code)], *([] if LETTERS[int(code)] == "Z" else [f"{int(unit)}" for unit in units])]
    return " ".join(words)


def licences() -> str:
    """Return what matplotlib says of the licences of the three families."""
    fonts = typeface("").parent
    matplotlib_licence = str(importlib.metadata.distribution("matplotlib").read_text("LICENSE"))
    [bakoma] = re.findall(r"( +BaKoMa Fonts Licence\n +-+\n.*?)\n+Name: ", matplotlib_licence, re.DOTALL)
    parts = {
        "DejaVu (DejaVuSans, DejaVuSansMono, DejaVuSerif)": (fonts / "LICENSE_DEJAVU").read_text("utf-8"),
        "STIX (STIXGeneral)": (fonts / "LICENSE_STIX").read_text("utf-8"),
        "Computer Modern in the form of BaKoMa (cmr10, cmb10, cmti10, cmmi10, cmss10, cmtt10)": bakoma,
    }
    head = (
        "The file digits_outlines.txt holds the outlines of the digits 0 to 9, and nothing else, of 22 typefaces that\n"
        "matplotlib ships. tests/datasets/write_outlines.py wrote them as numbers. These are the licences of the\n"
        "typefaces; the rest of tinycnn is under the MIT licence.\n"
    )
    texts = (f"{'=' * 100}\n{name}\n{'=' * 100}\n\n{text.strip()}\n" for name, text in parts.items())
    return "\n".join([head, *(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) for text in texts)])


def main() -> None:
    """Write both files."""
    lines = [
        f"{face} {digit} {path_data(face, digit)}\n"
        for face in (*_glyphs.TRAIN_FACES, *_glyphs.TEST_FACES)
        for digit in range(10)
    ]
    _outlines.FILE.write_text("".join(lines), "ascii")
    (_outlines.FILE.parent / "digits_outlines_licences.txt").write_text(licences(), "utf-8")


if __name__ == "__main__":
    main()
