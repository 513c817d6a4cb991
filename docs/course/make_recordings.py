"""Record the page of ``tinycnn explore`` for every chapter; ``python docs/course/make_recordings.py [FOLDER]``.

``make course-recordings`` does so too. It trains two small networks, writes each as one file that opens in a browser
without a server and without a network, and a page ``index.html`` that leads each chapter to the place where its subject
can be seen. It takes about two minutes. The files are not kept in the repository, because anybody can make them.
"""

import html
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tinycnn import cli

FOLDER = Path(__file__).parents[1] / "_build" / "course" / "recordings"
#: The networks, and the options with which each is recorded.
NETWORKS = {"ladder_03": ["--record-training", "3"], "variant_4": []}


class Place(NamedTuple):
    """Where a chapter's subject is on the page: the network, what is selected, and what to look at."""

    chapter: str
    network: str
    where: str
    look: str


PLACES = (
    Place("chapter01", "ladder_03", "image=test-0&layer=0", "one number of a convolution: its window and its products"),
    Place("chapter02", "ladder_03", "view=matrix&image=test-0&layer=0", "the same convolution as a matrix product"),
    Place(
        "chapter03",
        "ladder_03",
        "image=test-0&layer=0&way=backward",
        "the gradient of one weight, and the terms that it collects",
    ),
    Place(
        "chapter04",
        "ladder_03",
        "tour=pooling&image=test-0&layer=1",
        "who wins in a pooling, and who gets the gradient",
    ),
    Place("chapter05", "ladder_03", "tour=relu&image=test-0&layer=0", "which numbers a ReLU lets through"),
    Place("chapter06", "ladder_03", "tour=loss&image=test-0&layer=3", "from the outputs to probabilities and the loss"),
    Place("chapter07", "variant_4", "image=test-0&layer=1&mode=training", "the five numbers of a batch normalization"),
    Place("chapter08", "variant_4", "image=test-0&layer=2&mode=training", "what a dropout has dropped"),
    Place("chapter09", "ladder_03", "view=train", "how the weights move from checkpoint to checkpoint"),
    Place("chapter10", "ladder_03", "view=train", "the curves of a training, epoch by epoch"),
)


def index() -> str:
    """Return the page that leads from the chapters to the recordings."""
    rows = "\n".join(
        f'<li><a href="{html.escape(f"{place.network}.html#{place.where}")}">{place.chapter}</a>: '
        f"{html.escape(place.look)}</li>"
        for place in PLACES
    )
    style = "body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>The course in recordings</title>\n'
        f"<style>{style}</style>\n<h1>The course in recordings</h1>\n<ul>\n{rows}\n</ul>\n</html>\n"
    )


def make(folder: Path) -> list[Path]:
    """Write the recordings and the page that leads to them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for network, options in NETWORKS.items():
        path = folder / f"{network}.html"
        if cli.main(["explore", network, "--data", "digits", "--record", str(path), *options]) != 0:
            raise SystemExit(f"{network} could not be recorded")
        made.append(path)
    page = folder / "index.html"
    page.write_text(index(), "utf-8")
    return [*made, page]


if __name__ == "__main__":
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(path)
