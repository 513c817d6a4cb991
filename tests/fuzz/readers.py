"""All readers of files that somebody else may have written, with good inputs to begin from.

To add a reader, add an entry to `READERS`.
"""

import gzip
import hashlib
import io
import json
import random
import struct
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from helpers import installed

import tinycnn
from tinycnn import Sequential, callbacks, interchange, layers
from tinycnn.cli import _picture, _runs
from tinycnn.cli._results import records
from tinycnn.datasets import _image_file, cifar10, read_idx
from tinycnn.datasets._formats import read_records
from tinycnn.saving import fit_state
from tinycnn.saving import model_file as checkpoint
from tinycnn.saving import state_folder as state_files
from tinycnn.training.non_finite import NumericError

from . import mutations

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
#: The exceptions that the functions under test say they raise.
DOCUMENTED = (ValueError, OSError, TypeError, KeyError)


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Attributes
    ----------
    seeds : callable
        ``seeds()`` returns good inputs.
    mutate : Mutation
        Makes a wrong input from a good one.
    read : callable
        Reads a file with the input; it gets the path of the file.
    name : str
        The name that the file must have.
    raises : tuple of exception types
        The exceptions that are documented.
    names_file : bool
        Whether every error must say which file it is about.
    """

    seeds: Callable[[], list[bytes]]
    mutate: mutations.Mutation
    read: Callable[[Path], object]
    name: str = "file"
    raises: tuple[type[Exception], ...] = DOCUMENTED
    names_file: bool = True


# Models ------------------------------------------------------------------------------------------------------------


def small_model() -> Sequential:
    """Return a compiled model of a few kB."""
    tinycnn.set_seed(1)
    model = Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Conv2D(2, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    schedule = tinycnn.schedules.ExponentialDecay(0.01, 10, 0.5)
    model.compile(tinycnn.optimizers.SGD(schedule, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Return four images and their labels."""
    return np.arange(64, dtype=np.float32).reshape(4, 4, 4, 1) / 64, np.array([0, 1, 0, 1])


@cache
def model_files() -> list[bytes]:
    """Return the files of a small model and of the fixtures for all formats."""
    model = small_model()
    model.train_on_batch(*batch())
    arrays, description = checkpoint.contents(model)
    return [
        checkpoint.packed(arrays, description),
        *(p.read_bytes() for p in FIXTURES.glob("model-format-*.safetensors")),
    ]


def read_model(path: Path) -> None:
    """Load a model on the backend that compiles no kernels, and let it predict something if it is small."""
    with tinycnn.use_backend("reference"):
        model = tinycnn.load_model(path)
    if np.prod(model.input_shape) <= 1000 and sum(np.prod(layer.built_output_shape) for layer in model.layers) < 10**5:
        with np.errstate(all="ignore"):
            model.predict(np.zeros((1, *model.input_shape), model.dtype))


@cache
def state_contents() -> list[bytes]:
    """Return the last states of a fit of two epochs."""
    found: list[bytes] = []

    class Keep(callbacks.BackupAndRestore):
        def save(self) -> None:
            found.append(state_files.sealed(*fit_state.capture(self._run, self._identity, self._others)))

    with tempfile.TemporaryDirectory() as folder, tinycnn.use_backend("reference"):
        model = small_model()
        model.fit(
            *batch(),
            batch_size=2,
            epochs=2,
            verbose=0,
            callbacks=[callbacks.EarlyStopping("loss", patience=5), Keep(folder, save_freq=1)],
        )
    return found[-3:]


def read_state(path: Path) -> None:
    """Read a state as a fit does that goes on from it."""
    fit_state.decoded(*state_files.read(path), path)


def resume(path: Path) -> None:
    """Let a fit go on from a state."""
    with tinycnn.use_backend("reference"), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        small_model().fit(
            *batch(),
            batch_size=2,
            epochs=2,
            verbose=0,
            callbacks=[callbacks.EarlyStopping("loss", patience=5), callbacks.BackupAndRestore(path.parent)],
        )


def keras_files(*names: str) -> Callable[[], list[bytes]]:
    """Return a function that returns files of Keras."""
    return lambda: [(FIXTURES / "keras" / name).read_bytes() for name in names]


def read_keras_model(path: Path) -> None:
    """Load a model of Keras; a warning says if it cannot be compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_model(path)


@cache
def _to_fill() -> tuple[Sequential, Sequential]:
    """Return a model like the one in Keras's files, and a small model of every kind of layer that has weights."""
    with tinycnn.use_backend("reference"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = tinycnn.load_model(FIXTURES / "keras" / "model.keras")
        mixed = Sequential(
            [
                layers.Input((6, 6, 2)),
                layers.Conv2D(3, 3),
                layers.BatchNormalization(scale=False),
                layers.DepthwiseConv2D(2),
                layers.Flatten(),
                layers.BatchNormalization(),
                layers.Dense(4),
                layers.Dense(4),
            ]
        )
    return keras, mixed


def fill(path: Path, model: Sequential) -> None:
    """Load weights; check that a model whose weights are refused has not changed."""
    before = model.get_weights()
    try:
        model.load_weights(path)
    except DOCUMENTED:
        assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
        raise


@cache
def pytorch_files() -> list[bytes]:
    """Return state dicts of PyTorch with numbers and with words as names."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for names in (None, ["conv1", "bn1", "conv2", "bn2", "fc1", "fc2"]):
            interchange.save_pytorch(_to_fill()[1], path := Path(folder) / "a.safetensors", names)
            made.append(path.read_bytes())
    return made


# Data sets ---------------------------------------------------------------------------------------------------------

BATCH = 4 * 3073


def idx_files() -> list[bytes]:
    """Return a file of images and one of labels."""
    images = struct.pack(">HBB3I", 0, 8, 3, 5, 4, 3) + bytes(range(60))
    return [images, struct.pack(">HBBI", 0, 8, 1, 7) + bytes(range(7))]


def cifar_batches() -> list[bytes]:
    """Return a batch of four random images, and one of four black images."""
    rng = random.Random(0)
    return [b"".join(bytes([label]) + rng.randbytes(3072) for label in (0, 1, 2, 9)), bytes(BATCH)]


def archives() -> list[bytes]:
    """Return small versions of the published archive, in the three dialects of tar."""
    made = []
    for dialect in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=dialect) as archive:
            for name in ("x" * 150 if dialect != tarfile.USTAR_FORMAT else "readme", *cifar10.BATCHES):
                member = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
                member.size, member.mtime = 600, 0.5 if dialect == tarfile.PAX_FORMAT else 0
                archive.addfile(member, io.BytesIO(bytes(600)))
        made.append(gzip.compress(file.getvalue(), 1, mtime=0))
    return made


def extract(path: Path) -> None:
    """Extract an archive that has small members instead of the published ones."""
    kept = cifar10.MEMBERS, cifar10.BATCH_BYTES, cifar10.MAX_UNPACKED
    digest = hashlib.sha256(bytes(600)).hexdigest()
    cifar10.MEMBERS, cifar10.BATCH_BYTES = dict.fromkeys(cifar10.BATCHES, (600, digest)), 600
    cifar10.MAX_UNPACKED = 20_000
    try:
        cifar10.extract(path, path.parent / "out")
    finally:
        cifar10.MEMBERS, cifar10.BATCH_BYTES, cifar10.MAX_UNPACKED = kept


# Pictures, and the files of a run ------------------------------------------------------------------------------------


@cache
def pictures() -> list[bytes]:
    """Return PNGs with every kind of pixel, and pictures in the other formats."""
    from PIL import Image

    pixels = np.arange(12 * 10 * 4, dtype=np.uint8).reshape(12, 10, 4)
    made = []
    for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"):
        image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
        image = Image.fromarray(np.asarray(image, np.uint16) * 257) if mode == "I;16" else image
        made.append(_encoded(image, "PNG"))
    for mode in ("L", "RGB", "CMYK"):
        made.append(_encoded(Image.fromarray(pixels).convert("RGB").convert(mode), "JPEG"))
    for kind in ("GIF", "BMP", "WEBP", "TIFF", "PPM"):
        made.append(_encoded(Image.fromarray(pixels).convert("RGB"), kind))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    made.append(_encoded(Image.fromarray(pixels).convert("RGB"), "JPEG", exif=exif))
    return made


def _encoded(image: object, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[attr-defined]
    return file.getvalue()


def read_picture(path: Path) -> None:
    """Read a picture for a network that takes grey images, or for one that takes images in colour."""
    shape = (8, 8, 1) if path.stat().st_size % 2 else (9, 7, 3)
    image, _ = _picture.read(path, shape, "mnist" if shape[2] == 1 else "none")
    assert image.shape == shape
    assert np.isfinite(image).all()
    # What a folder's pictures are asked first. A header may be good where pixels are not, but not the other way round.
    header = _image_file.read_header(path)
    assert min(header.height, header.width) > 0


def descriptions() -> list[bytes]:
    """Return the ``run.json`` of a run."""
    return [json.dumps({"model": "ladder_03", "data": "digits", "backend": "cpu", "results": {"epochs": 3}}).encode()]


def record_files() -> list[bytes]:
    """Return a record of ``tinycnn reproduce`` in which every field is as small as possible."""
    small = {str: "x", int: 1, float: 0.5, list: [], dict: {}}
    record = {key: small[kind if isinstance(kind, type) else kind[0]] for key, kind in records._FIELDS.items()}
    curves = {key: [0.5, 1.5] for key in (*records.CURVES, "seconds_by_epoch")}
    machine = {"processor": "p", "cores": 2}
    recipe = {"data": "digits", "epochs": 2, "batch_size": 32}
    changes = {"format": records.FORMAT, "name": "a", "seed": 1, "epochs": 2, "recipe": recipe, "machine": machine}
    return [json.dumps(record | curves | changes | {"confusion_matrix": [[1, 0], [0, 1]]}).encode()]


def tables() -> list[bytes]:
    """Return tables as ``CSVLogger`` writes them."""
    return [b"epoch,accuracy,loss\n0,0.5,1.25\n1,0.75,nan\n", b'epoch,"a,b",loss\r\n0,1,2\r\n']


def append_to_table(path: Path) -> None:
    """Let ``CSVLogger`` go on with a table."""
    logger = callbacks.CSVLogger(path, append=True)
    logger.on_train_begin()
    logger.on_epoch_end(2, {"loss": 0.5, "accuracy": 0.5})
    logger.set_state(logger.get_state())


# ONNX ----------------------------------------------------------------------------------------------------------------


@cache
def onnx_files() -> list[bytes]:
    """Return files with every operator that tinycnn writes, and one with what other programs write."""
    from tinycnn.onnx.writing import as_bytes

    tinycnn.set_seed(1)
    with tinycnn.use_backend("reference"):
        more = Sequential(
            [
                layers.Input((5, 6, 2)),
                layers.Rescaling(0.5, 1.0),
                layers.ZeroPadding2D(((1, 0), (0, 1))),
                layers.DepthwiseConv2D(2, strides=(1, 2), padding="same", activation="gelu"),
                layers.AveragePooling2D(2),
                layers.Dense(2, activation="elu"),
                layers.Flatten(),
                layers.LeakyReLU(0.1),
                layers.Dense(4, activation="tanh"),
                layers.Reshape((2, 2, 1)),
                layers.GlobalAveragePooling2D(),
                layers.Softmax(),
            ]
        )
        ours = [as_bytes(small_model(), layout=layout) for layout in ("NHWC", "NCHW")]
        return [*ours, as_bytes(more), as_bytes(more, dtype="float64", class_names=["a", "b"]), _foreign_onnx()]


def _foreign_onnx() -> bytes:
    """Return a file with a shape that is computed, arrays as constants, and one that lies beside the file."""
    from onnx import TensorProto, helper, numpy_helper

    make, info = helper.make_node, helper.make_tensor_value_info
    weights = numpy_helper.from_array(np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 24, "w")
    nodes = [
        make("Pad", ["x", "p"], ["a"], mode="edge"),
        make("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[1, 1]),
        make("Constant", [], ["w"], value=weights),
        make("Conv", ["b", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Add", ["c", "s"], ["d"]),
        make("Clip", ["d", "zero"], ["e"]),
        make("Shape", ["e"], ["f"]),
        make("Slice", ["f", "none", "one"], ["g"]),
        make("Concat", ["g", "rest"], ["h"], axis=0),
        make("Reshape", ["e", "h"], ["i"]),
        make("MatMul", ["i", "m"], ["y"]),
    ]
    arrays = {
        "p": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "s": np.ones((1, 2, 1, 1), np.float32),
        "zero": np.zeros((), np.float32),
        "none": np.array([0]),
        "one": np.array([1]),
        "rest": np.array([-1]),
    }
    held = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    outside = TensorProto(name="m", dims=[18, 2], data_type=1, data_location=1)
    for key, value in {"location": "file", "offset": "0", "length": "144"}.items():
        outside.external_data.add(key=key, value=value)
    graph = helper.make_graph(nodes, "g", [info("x", 1, ["n", 3, 4, 4])], [info("y", 1, ["n", 2])], [*held, outside])
    return bytes(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 15)]).SerializeToString()
    )


def read_onnx(path: Path) -> None:
    """Load an ONNX file, whatever its weights are, and let it predict something if it is small."""
    with tinycnn.use_backend("reference"):
        model = tinycnn.onnx.load(path, check_finite=False)
        shapes = [model.input_shape, *(layer.built_output_shape for layer in model.layers)]
        if sum(map(np.prod, shapes)) < 10**5:
            with np.errstate(all="ignore"):
                model.predict(np.zeros((1, *model.input_shape), model.dtype))


READERS = {
    "model": Reader(model_files, mutations.model_file, read_model),
    "model_extra": Reader(model_files, mutations.model_file, checkpoint.read_extra),
    "state": Reader(state_contents, mutations.state_file, read_state),
    "resume": Reader(
        state_contents,
        mutations.state_file,
        resume,
        "checkpoint-000001.safetensors",
        (*DOCUMENTED, NumericError),
        False,
    ),
    "keras": Reader(keras_files("model.keras"), mutations.keras_archive, read_keras_model, "model.keras"),
    "keras_h5": Reader(keras_files("model.h5", "keras2.h5"), mutations.hdf5, read_keras_model, "model.h5"),
    "keras_weights": Reader(
        keras_files("model.weights.h5", "model.h5"), mutations.hdf5, lambda p: fill(p, _to_fill()[0]), "weights.h5"
    ),
    "pytorch": Reader(pytorch_files, mutations.weights_file, lambda p: fill(p, _to_fill()[1])),
    "idx": Reader(idx_files, mutations.idx, read_idx),
    "idx_gzip": Reader(
        lambda: [gzip.compress(f, mtime=0) for f in idx_files()], mutations.zipped(mutations.idx), read_idx
    ),
    "cifar10_batch": Reader(cifar_batches, mutations.blind, lambda p: read_records(p, count=4, shape=(3, 32, 32))),
    "cifar10_archive": Reader(archives, mutations.zipped(mutations.tar), extract),
    "picture": Reader(pictures, mutations.png, read_picture),
    "run_json": Reader(descriptions, mutations.json_text, lambda p: _runs.read_description(p.parent), "run.json"),
    "record_json": Reader(record_files, mutations.json_text, records.read, "a-seed1.json"),
    "history_csv": Reader(tables, mutations.blind, append_to_table),
}
if installed("onnx"):
    READERS["onnx"] = Reader(onnx_files, mutations.protobuf, read_onnx)
