"""``tinycnn export RUN_OR_MODEL FILE``: write a trained network as ONNX, which other programs run."""

import argparse
from pathlib import Path
from typing import Any

from ..core.printing import say
from ._arguments import UsageError, folder_name

HELP = "Write a trained network as an ONNX file for other programs"
EXAMPLE = "tinycnn export runs/ladder_03-mnist ladder_03.onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add RUN_OR_MODEL, FILE and the options."""
    text = "folder that 'tinycnn train' has written, such as runs/ladder_03-mnist, or a model's file (.safetensors)"
    parser.add_argument("folder", metavar="RUN_OR_MODEL", type=folder_name, help=text)
    parser.add_argument("file", metavar="FILE", type=onnx_name, help="file to write; its name ends in .onnx")
    layout = "order of the input's axes: NHWC, as tinycnn has images, or NCHW, as others do (default: NHWC)"
    parser.add_argument("--layout", choices=("NHWC", "NCHW"), default="NHWC", help=layout)
    dtype = "numbers of the file (default: those of the network); ONNX Runtime convolves float32 only"
    parser.add_argument("--dtype", choices=("float32", "float64"), help=dtype)


def run(args: argparse.Namespace) -> int:
    """Write the file, and say what it takes and gives."""
    import tinycnn

    from ..core.messages import bytes_text
    from ..onnx import IR_VERSION, OPSET, export
    from ..onnx.package import package

    package()
    with tinycnn.use_backend("reference"):  # nothing is computed, so no kernels have to be compiled
        model, names, preprocessing = _load(args.folder)
        export(model, args.file, layout=args.layout, dtype=args.dtype, class_names=names, preprocessing=preprocessing)
    shape = model.input_shape
    if args.layout == "NCHW" and len(shape) == 3:
        shape = (shape[2], *shape[:2])
    say(f"{args.file}: {bytes_text(args.file.stat().st_size)}, opset {OPSET}, IR version {IR_VERSION}")
    say(f"input   (N, {', '.join(map(str, shape))}) {args.dtype or model.dtype}")
    if preprocessing:
        say(f"        {preprocessing}")
    say(f"output  (N, {', '.join(map(str, model.output_shape))})")
    if names:
        say(f"        {', '.join(names)}")
    return 0


def onnx_name(text: str) -> Path:
    """Return the name of an ONNX file."""
    if not text.lower().endswith(".onnx"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .onnx, by which other programs know the format")
    return Path(text)


def _load(path: Path) -> tuple[Any, tuple[str, ...] | None, str | None]:
    """Return the model, the names of its classes, and what has to be done to images, as far as these are known."""
    import numpy as np

    from .. import sequential
    from ..inspection import answers
    from . import _origin, _runs

    whole = path / _runs.MODEL if path.is_dir() else path
    if not path.exists():
        raise UsageError(
            f"{path} is no folder of a run and no model's file; 'tinycnn train' writes one, and so does model.save"
        )
    if not (path.is_dir() or (path.name == _runs.MODEL and (path.parent / _runs.RUN).is_file())):
        return sequential.load_model(whole), None, None
    origin = _origin.of_run(_runs.read_description(whole.parent), run=whole.parent)
    model = _runs.load_model(whole.parent, len(origin.class_names))
    one = np.ones(1, np.float32)
    how = "as they are" if answers.as_trained(model, one)[0] > 1 else "divided by 255"
    # The path of a folder is nobody's business who is given the file.
    title = origin.title if origin.pictures is None else "pictures of {}x{} pixels".format(*origin.pictures.image_size)
    return model, origin.class_names, f"pixels from 0 to 255, {how}; trained on {title}"
