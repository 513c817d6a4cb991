"""No sentence of the page says "1 images": how many there are of something is written by functions that know of 1."""

import re

import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")

from tinycnn.explore.server import PAGE

THINGS = (
    "images|numbers|rows|columns|channels|windows|terms|sums|pixels|layers|bytes|steps|epochs|batches|filters|"
    "parameters|classes|cells|exponentials|mistakes|points"
)
COUNTED = re.compile(
    rf"\$\{{((?:[^{{}}`]|\{{[^{{}}]*\}}|`[^`]*`)*)\}} (?:test |training |recorded |such )?({THINGS})\b"
)
#: These stand where there are at least two.
SEVERAL = {
    "galleries.js": ["total images"],
    "im2col.js": ["matrix.rows windows"],
    "inside.js": ["batch images", "channels channels", "description.batch images", "description.batch images"],
    "numbers.js": [
        "count terms",
        "found.count pixels",
        "found.images images",
        "found.images images",
        "found.images images",
        "found.ties numbers",
        "parts.length sums",
        "parts.length sums",
        "sorted.length terms",
        "terms.length exponentials",
    ],
    "recorded/trained.js": ["settings.epochs epochs"],
    "tours/pixel.js": ["found.parts.length channels", "found.parts.length channels"],
    "tours/pooling.js": ["ties numbers"],
    "tours/weight.js": ["counted(count) terms", "counted(windows) windows"],
}


def test_what_is_counted_is_one_or_several() -> None:
    found = {}
    for path in sorted(PAGE.rglob("*.js")):
        here = sorted(f"{count} {things}" for count, things in COUNTED.findall(path.read_text("utf-8")))
        if here:
            found[path.relative_to(PAGE).as_posix()] = here
    assert found == SEVERAL
