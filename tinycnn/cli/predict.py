"""``tinycnn predict DIR IMAGE…``: show a trained network's predictions for pictures."""

import argparse
from pathlib import Path
from typing import Any

from ..core.printing import OUT, say
from ..core.types import Array
from ._arguments import UsageError, add_run_folder, add_threads, set_threads

HELP = "Show a trained network's predictions for pictures"
EXAMPLE = "tinycnn predict runs/ladder_03-mnist seven.png 0"

WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DIR, IMAGE and --threads."""
    add_run_folder(parser)
    add_threads(parser)
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="PNG or JPEG file of any size, or the number of a test image, counted from 0",
    )


def run(args: argparse.Namespace) -> int:
    """Print a bar chart for each image."""
    import numpy as np

    import tinycnn

    from .. import datasets
    from . import _runs

    folder: Path = args.folder
    description = _runs.read_description(folder)
    names = datasets.get(description["data"]).class_names
    set_threads(args.threads, description["backend"])
    with tinycnn.use_backend(description["backend"]):
        model = _runs.load_model(folder, len(names))
        found = _find(args.images, description["data"], model.input_shape)
        probabilities = model.predict(np.stack([image for image, _ in found]))
    for (_, title), p in zip(found, probabilities, strict=True):
        say(f"{title}: {names[int(p.argmax())]}")
        say(chart(p, names, OUT.encoding))
    return 0


def chart(probabilities: Array, names: Any, encoding: str) -> str:
    """Return a bar chart with a line for each class, the most probable first.

    Examples
    --------
    >>> import numpy as np
    >>> print(chart(np.array([0.25, 0.75]), ["cat", "dog"], "ascii"))
      dog  75.00 %  ##############################
      cat  25.00 %  ##########
    """
    width = max(map(len, names))
    lines = []
    for number in (-probabilities).argsort(kind="stable"):
        p = float(probabilities[number])
        lines.append(f"  {names[number]:<{width}} {100 * p:6.2f} %  {_bar(p, encoding)}".rstrip())
    return "\n".join(lines)


def _bar(share: float, encoding: str) -> str:
    """Return a bar as text, in the characters that the terminal's encoding has."""
    try:
        _EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#" * round(share * WIDTH)
    whole, eighth = divmod(round(share * WIDTH * 8), 8)
    return "█" * whole + _EIGHTHS[eighth].strip()


def _find(wanted: list[str], data_name: str, input_shape: Any) -> list[tuple[Array, str]]:
    """Return each image with the title to print above its chart."""
    from . import _data, _picture

    data = None
    found = []
    for text in wanted:
        if not text.lstrip("-").isdecimal():
            image, done = _picture.read(Path(text), input_shape)
            found.append((image, f"{text} ({'; '.join(done)})" if done else text))
            continue
        data = data or _data.load(data_name)
        number = int(text)
        if not 0 <= number < len(data.x_test):
            raise UsageError(
                f"IMAGE must be from 0 to {len(data.x_test) - 1} for the test set of {data.title}; got {number}"
            )
        true = data.class_names[int(data.y_test[number])]
        found.append((data.x_test[number], f"test image {number} (true class {true})"))
    return found
