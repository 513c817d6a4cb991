"""``tinycnn predict RUN IMAGE…``: show a trained network's predictions for pictures."""

import argparse
import io
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from ..core.printing import ERR, OUT, say
from ..core.types import Array
from ._arguments import UsageError, add_threads, folder_name, set_threads
from ._origin import Origin, check_exists, data_name

HELP = "Show a trained network's predictions for pictures"
EXAMPLE = "tinycnn predict runs/ladder_03-mnist seven.png 0"

WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


class Loaded(NamedTuple):
    """A model, the data that it was trained on if they are known, and the backend to run it on."""

    model: Any
    data: Origin | None
    backend: str


class Image(NamedTuple):
    """An image as the network sees it, its title, and what was done to the picture; test images have no path."""

    pixels: Array
    title: str
    done: list[str]
    path: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DIR, IMAGE and the options."""
    text = "folder that 'tinycnn train' has written, such as runs/ladder_03-mnist, or a model's file (.safetensors)"
    parser.add_argument("folder", metavar="DIR", type=folder_name, help=text)
    add_threads(parser)
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="picture of any size, folder of pictures, or the number of a test image, counted from 0",
    )
    prepare = "how pictures are made like the training images; none: resize them only (default: by the data)"
    parser.add_argument("--prepare", choices=("auto", "mnist", "fashion_mnist", "none"), default="auto", help=prepare)
    data = (
        "data set or folder of pictures that a model's file was trained on, for the names of its classes; or where the "
        "folder of pictures of a run is now"
    )
    parser.add_argument("--data", type=data_name, metavar="DATA", help=data)
    save = "write what the network saw to this PNG file; of several images, to numbered files"
    parser.add_argument("--save-input", metavar="FILE", type=_png_name, help=save)


def run(args: argparse.Namespace) -> int:
    """Print a bar chart for each image, or its number; return 1 if a picture in a folder could not be read."""
    import numpy as np

    import tinycnn

    from ..inspection import answers
    from . import _likeness

    loaded = load(args.folder, args.data, args.threads)
    model, data = loaded.model, loaded.data
    way = _way(args.prepare, None if data is None else data.name, model.input_shape)
    found, failed = _find(args.images, data, model.input_shape, way)
    targets = _targets(args.save_input, found) if args.save_input else []
    with tinycnn.use_backend(loaded.backend):
        outputs = model.predict(answers.as_trained(model, np.stack([image.pixels for image in found])))
    is_number = answers.gives_one_number(model)
    said = outputs if is_number else answers.probabilities(model, outputs)
    names = tuple(map(str, range(said.shape[1]))) if data is None else data.class_names
    for image, one in zip(found, said, strict=True):
        say(f"{image.title}: {one[0] if is_number else names[int(one.argmax())]}")
        if image.done:
            say(textwrap.fill("; ".join(image.done), 79, initial_indent="  ", subsequent_indent="  "))
        if not is_number:
            say(chart(one, names, OUT.encoding))
        reason = None if data is None else _likeness.unlike(image.pixels, data.name)
        if image.path is not None and reason:
            ERR.say(f"tinycnn: warning: {image.path} is unlike what the network was trained on: {reason}")
    for image, target in zip(found, targets, strict=False):
        _save(image, target)
    return int(failed)


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


def load(path: Path, asked: str | None, threads: int | None) -> Loaded:
    """Load the model of a run, or a model's file; one in the folder of a run belongs to that run."""
    import tinycnn

    from .. import sequential
    from ..inspection.answers import gives_one_number
    from . import _origin, _runs

    check_exists(asked)
    whole = path / _runs.MODEL if path.is_dir() else path
    if path.is_dir() or (path.name == _runs.MODEL and (path.parent / _runs.RUN).is_file()):
        description = _runs.read_description(whole.parent)
        data, backend = _origin.of_run(description, asked, whole.parent), description["backend"]
    elif path.exists():
        data, backend = None, "cpu"
    else:
        raise FileNotFoundError(f"{path}: no such folder or file; 'tinycnn train' writes one, and so does model.save")
    set_threads(threads, backend)
    with tinycnn.use_backend(backend):
        model = sequential.load_model(whole) if data is None else _runs.load_model(whole.parent, len(data.class_names))
    if len(model.input_shape) != 3 or model.input_shape[2] not in (1, 3) or len(model.output_shape) != 1:
        raise ValueError(f"{whole} does not turn images into classes: {model.input_shape} becomes {model.output_shape}")
    if data is None and asked is not None:
        # One output stands for two classes, or for a number: then the labels of any data are its targets.
        classes = None if gives_one_number(model) else max(2, model.output_shape[0])
        data = _origin.for_model(asked, model.input_shape, classes, whole)
    return Loaded(model, data, backend)


def _way(asked: str, data: str | None, input_shape: Any) -> str:
    """Return how pictures are prepared."""
    from . import _picture

    try:
        return _picture.way_for(asked, data, input_shape)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _find(wanted: list[str], data: Origin | None, input_shape: Any, way: str) -> tuple[list[Image], bool]:
    """Return the images, and whether a picture in a folder could not be read, which has been said by then."""
    from . import _picture

    found, failed = [], False
    for text in wanted:
        path = Path(text)
        if text.lstrip("-").isdecimal():
            found.append(_test_image(int(text), data))
            continue
        for inner in _picture.in_folder(path) if path.is_dir() else [path]:
            try:
                pixels, done = _picture.read(inner, input_shape, way)
            except (ValueError, OSError) as error:
                if inner is path:
                    raise
                ERR.say(f"tinycnn: warning: left out: {error}")
                failed = True
                continue
            found.append(Image(pixels, str(inner), done, inner))
    if not found:
        raise ValueError("none of the pictures could be read")
    return found, failed


def _test_image(number: int, origin: Origin | None) -> Image:
    """Return an image of the test set by its number."""
    if origin is None:
        raise UsageError(
            f"IMAGE {number} is the number of a test image, but nothing says which data set is meant; add --data NAME"
        )
    data = origin.load()
    if not 0 <= number < len(data.x_test):
        raise UsageError(
            f"IMAGE must be from 0 to {len(data.x_test) - 1} for the test set of {data.title}; got {number}"
        )
    true = data.class_names[int(data.y_test[number])]
    return Image(data.x_test[number], f"test image {number} (true class {true})", [], None)


def _png_name(text: str) -> Path:
    """Return the name of the file for ``--save-input``."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png, which keeps every pixel as it is")
    return Path(text)


def _targets(path: Path, found: list[Image]) -> list[Path]:
    """Return the file for each image: the one that was named, or numbered ones; no picture is overwritten."""
    numbered = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(found) + 1)]
    targets = numbered if len(found) > 1 else [path]
    pictures = {image.path.resolve() for image in found if image.path is not None}
    for target in targets:
        if target.resolve() in pictures:
            raise UsageError(f"--save-input {path}: {target} would overwrite a picture; give another name")
    return targets


def _save(image: Image, target: Path) -> None:
    """Write what the network saw as PNG."""
    import numpy as np
    from PIL import Image as PillowImage

    from ..core.files import write_whole

    pixels = np.rint(image.pixels * 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    write_whole(target, file.getvalue())
    say(f"what the network saw of {image.title}: {target}")
