"""``tinycnn import-onnx FILE OUT``: turn an ONNX file into a model of tinycnn."""

import argparse
from pathlib import Path

from ..core.printing import say
from ._arguments import UsageError

HELP = "Turn an ONNX file into a model of tinycnn"
EXAMPLE = "tinycnn import-onnx lenet.onnx lenet.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add FILE, OUT and the options."""
    parser.add_argument("file", metavar="FILE", type=_file_name, help="ONNX file of a network that is a row of layers")
    parser.add_argument("out", metavar="OUT", type=_model_name, help="model to write; its name ends in .safetensors")
    layout = "order of the axes in the file (default: as its operators say)"
    parser.add_argument("--layout", choices=("auto", "NHWC", "NCHW"), default="auto", help=layout)
    shape = "shape of an image, such as 28,28,1, if the file leaves it open"
    parser.add_argument("--input-shape", metavar="H,W,C", type=_shape, help=shape)


def run(args: argparse.Namespace) -> int:
    """Write the model, and print its layers."""
    import tinycnn

    from ..core.files import check_destination
    from ..onnx import load

    check_destination(args.out)
    if args.out.exists() and args.file.exists() and args.out.samefile(args.file):
        raise UsageError(f"{args.out} is the file to read; give the model another name")
    with tinycnn.use_backend("reference"):  # nothing is computed, so no kernels have to be compiled
        model = load(args.file, layout=args.layout, input_shape=args.input_shape)
        model.save(args.out)
        model.summary()
    takes, gives = (", ".join(map(str, shape)) for shape in (model.input_shape, model.output_shape))
    say(f"\n{args.out}: takes (N, {takes}), gives (N, {gives})")
    return 0


def _file_name(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is empty")
    return Path(text)


def _model_name(text: str) -> Path:
    """Return the name of the model's file."""
    if not text.lower().endswith(".safetensors"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .safetensors, by which other programs know the format")
    return Path(text)


def _shape(text: str) -> tuple[int, ...]:
    """Return a shape given as numbers with commas."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape; write numbers with commas, such as 28,28,1")
    return tuple(map(int, parts))
