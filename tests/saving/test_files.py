"""Files from anybody: old formats are read, hostile files are refused, and nothing in any of them is ever executed."""

import ast
import contextlib
import io
import json
import os
import pickle
import re
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fixtures import make_model_file

import tinycnn
from tinycnn import Sequential, layers, load_model
from tinycnn.core.files import MAX_DEPTH, parse_json, read_whole
from tinycnn.core.version import NUMERICS
from tinycnn.saving import model_file as checkpoint
from tinycnn.saving import opening

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
DOCUMENTED = (ValueError, OSError, TypeError, KeyError)


# Old files are read


@pytest.mark.parametrize("number", range(1, checkpoint.FORMAT + 1))
def test_every_format_up_to_this_one_is_read(number):
    name = FIXTURES / f"model-format-{number}"
    expected = json.loads(name.with_suffix(".json").read_text("utf-8"))
    with tinycnn.use_backend("reference"):
        model = load_model(name.with_suffix(".safetensors"))
    predicted = model.predict(make_model_file.images())
    np.testing.assert_allclose(predicted, expected["predictions"], rtol=0, atol=1e-5)
    assert model.optimizer.iterations == expected["iterations"]
    assert model.count_params() == expected["count_params"]
    assert {type(layer) for layer in model.layers} == set(layers.LAYERS.values()), "a new layer needs no new format"
    assert np.isfinite(model.train_on_batch(make_model_file.images(), np.array([0, 1, 2, 0]))["loss"])


def test_the_fixture_of_this_format_is_what_is_written_now():
    """If this fails, a change has altered what is written, so the format needs a new number."""
    path = FIXTURES / f"model-format-{checkpoint.FORMAT}.safetensors"
    with tinycnn.use_backend("reference"):
        model = load_model(path)
    arrays, description = checkpoint.contents(model)
    found, stored = description_of(path)
    assert {key: list(array.shape) for key, array in arrays.items()} == stored
    # Files that were written before there were numerics versions are of version 1.
    assert description.pop("numerics") == NUMERICS
    assert json.loads(json.dumps(description)).keys() <= found.keys()
    assert description["model"] == found["model"]
    assert description["training"] == found["training"]


# Nothing is executed

FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "code", "codeop"),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
#: Functions that can unpickle: numpy.load with the wrong argument, torch.load by default.
FORBIDDEN_METHODS = {
    *("np.load", "numpy.load", "torch.load", "yaml.load", "pandas.read_pickle", "pd.read_pickle", "pooch.Unzip"),
    *("shutil.unpack_archive", "os.system", "os.popen"),
}


def executing_code(source: str) -> list[str]:
    """Return what in a module's source could execute the content of a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in FORBIDDEN_CALLS or name in FORBIDDEN_METHODS or name.endswith(".extractall"):
                found.append(name)
            found += [keyword.arg for keyword in node.keywords if keyword.arg in ("allow_pickle", "shell")]
    return found


def test_no_code_reads_what_could_be_executed():
    sources = [path for folder in ("tinycnn", "kernels", "examples") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 80
    found = {str(path): bad for path in sources if (bad := executing_code(path.read_text("utf-8")))}
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from pickle import loads", "import yaml", "eval('1')", "exec(text)", "np.load(path)"),
        *("numpy.fromfile(x, allow_pickle=True)", "torch.load(p)", "tar.extractall(path)", "import joblib.memory"),
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert executing_code(source)


class Bomb:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_bomb_under_another_name_does_not_go_off(tmp_path):
    target = tmp_path / "gone off"
    bomb = pickle.dumps(Bomb(str(target)))
    for content in (bomb, struct.pack("<Q", len(bomb)) + bomb, file_of({}, bomb), array_of_bombs(target)):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a tinycnn model"):
            load_model(path)
    assert not target.exists()
    pickle.loads(bomb)  # noqa: S301  (the test's own)
    assert target.exists(), "the bomb was none"


def array_of_bombs(target):
    file = io.BytesIO()
    np.save(file, np.array([Bomb(str(target))], object), allow_pickle=True)
    return file.getvalue()


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights", bytes(50 * 2**20))
    with small_memory(), pytest.raises(ValueError, match="not a tinycnn model"):
        load_model(path)


# Headers that lie


def file_of(header, data=b"", *, length=None) -> bytes:
    """Return a safetensors file, or something that claims to be one."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@contextlib.contextmanager
def small_memory(limit=8 * 2**20):
    """Raise if the code in the block takes ``limit`` bytes or more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def metadata(**changes):
    description = {"format": 1, "model": config([dense(2)]), **changes}
    return {"__metadata__": {"tinycnn": json.dumps(description)}}


def config(described, input_shape=(3,)):
    return {"name": "m", "dtype": "float32", "seed": 1, "input_shape": list(input_shape), "layers": described}


def dense(units, name="dense", **more):
    return {"class_name": "Dense", "config": {"units": units, "name": name, **more}}


GOOD = {"weights/dense/kernel": tensor([3, 2], 0, 24), "weights/dense/bias": tensor([2], 24, 32)}
KERNEL, BIAS = GOOD.values()


def refused(tmp_path, content, message, **options):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with small_memory(), pytest.raises(DOCUMENTED, match=message) as raised:
        load_model(path, **options)
    assert len(str(raised.value)) < 1000
    assert str(path) in str(raised.value)


def test_the_file_that_the_others_are_made_from_is_good(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(file_of(metadata() | GOOD, bytes(32)))
    with small_memory():
        model = load_model(path)
    assert model.predict(np.ones((1, 3))).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(file_of(metadata() | GOOD, bytes(32), length=2**62), "cannot have a header", id="exabytes"),
        pytest.param(file_of(metadata() | GOOD, bytes(32), length=5000), "cannot have a header", id="beyond the file"),
        pytest.param(file_of(metadata() | GOOD, bytes(32), length=9), "not JSON", id="header cut"),
        pytest.param(bytes(7), "cannot have a header", id="seven bytes"),
        pytest.param(file_of(b"[]"), "not a JSON object", id="a list"),
        pytest.param(file_of(b"\xff\xfe{}"), "not JSON", id="not UTF-8"),
        pytest.param(file_of(b"[" * 10**6), "nested more than", id="deep"),
        pytest.param(file_of(b'{"a":' * 10**5), "nested more than", id="deep objects"),
        pytest.param(file_of(b'{"a": 1' + b"0" * 10**5 + b"}"), "not JSON", id="a number of 100,000 digits"),
        pytest.param(file_of(b'{"a": {}, "a": {}}'), "'a' appears twice", id="a name twice"),
        pytest.param(file_of(b'{"__metadata__": {"tinycnn": "{}", "tinycnn": "{}"}}'), "twice", id="metadata twice"),
        pytest.param(file_of({"__metadata__": {"tinycnn": 5}}), "lack the key", id="metadata that are no text"),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/kernel": tensor([2**40, 2], 0, 2**43)}, bytes(32)),
            "not a tinycnn model",
            id="terabytes in 32 bytes",
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/kernel": tensor([2**62, 2**62], 0, 24)}, bytes(32)),
            "not a tinycnn model",
            id="a product beyond 64 bits",
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/bias": tensor([2], 16, 24)}, bytes(24)),
            "not a tinycnn model",
            id="overlap",
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/bias": tensor([2], 32, 40)}, bytes(40)),
            "not a tinycnn model",
            id="gap",
        ),
        pytest.param(file_of(metadata() | GOOD, bytes(40)), "not a tinycnn model", id="bytes at the end"),
        pytest.param(file_of(metadata() | GOOD, bytes(31)), "not a tinycnn model", id="a byte short"),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/kernel": tensor([6], 0, 24)}, bytes(32)),
            r"has shape \(6,\)",
            id="another shape",
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/dense/kernel": tensor([1] * 68 + [3, 2], 0, 24)}, bytes(32)),
            "has shape",
            id="70 dimensions",
        ),
        *(
            pytest.param(
                file_of(metadata() | {"weights/dense/kernel": tensor([3, 2], 0, 6 * size, dtype),
                                      "weights/dense/bias": tensor([2], 6 * size, 8 * size, dtype)}, bytes(8 * size)),
                f"has dtype {dtype}, but the configuration says F32",
                id=dtype,
            )
            for dtype, size in {"BF16": 2, "F8_E4M3": 1, "I32": 4, "F64": 8, "BOOL": 1}.items()
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"weights/../../../etc/passwd": tensor([0], 32, 32)}, bytes(32)),
            r"unexpected \['weights/../../../etc/passwd'\]",
            id="a path as a name",
        ),
        pytest.param(
            file_of(metadata() | GOOD | {"\x1b]0;x" * 10**4: tensor([0], 32, 32)}, bytes(32)),
            "unexpected",
            id="a very long name with control characters",
        ),
    ],
)  # fmt: skip
def test_a_header_that_lies(tmp_path, content, message):
    refused(tmp_path, content, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((({"format": value}), "has format") for value in (0, 2, True, 1.0, "1", None, 10**30, [1])),
        ({"model": None}, "config must be a dict"),
        ({"model": []}, "config must be a dict"),
        ({"model": {}}, "config must be a dict"),
        ({"model": config([{"class_name": "os.system", "config": {}}])}, "unknown layer 'os.system'"),
        ({"model": config([{"class_name": "Layer", "config": {}}])}, "unknown layer 'Layer'"),
        ({"model": config([{"class_name": "x" * 10**6, "config": {}}])}, "unknown layer 'xxx"),
        ({"model": config([dense(2, __class__="x")])}, "Dense takes no argument '__class__'"),
        ({"model": config([dense(2, activation={"class_name": "ReLU", "config": {"self": 1}})])}, "takes no arguments"),
        ({"model": config([dense(2)] * 2)}, "two layers are called 'dense'"),
        ({"model": config([dense(2, str(i)) for i in range(1001)])}, "at most 1000"),
        ({"model": config([dense(2, "../../evil")])}, "name must be a non-empty string"),
        ({"model": config([dense(2, "\x1b[2J")])}, "name must be a non-empty string"),
        ({"model": config([dense(2), 5])}, "a layer is described by"),
        ({"model": config([dense(2)]) | {"seed": -1}}, "seed must be at least 0"),
        ({"model": config([dense(2)]) | {"seed": 10**400}}, "seed must be at most"),
        ({"model": config([dense(2)]) | {"dtype": "object"}}, "dtype must be one of"),
        ({"model": config([dense(2)]) | {"input_shape": None}}, "input_shape"),
        ({"model": config([dense(2)]) | {"input_shape": "abc"}}, "input_shape"),
        ({"model": config([dense(2)], (10**5,) * 3)}, "more than the limit"),
        # Absurd sizes: nothing is allocated for them (small_memory).
        ({"model": config([dense(10**12)])}, "more than the limit"),
        ({"model": config([dense(10**400)])}, "units must be at most"),
        ({"model": config([dense(2**26)])}, "has shape"),
        ({"model": config([dense(1e12)])}, "units must be an integer"),
        ({"model": config([{"class_name": "BatchNormalization", "config": {}}], (10**8,))}, "do not fit"),
        (
            {"model": config([{"class_name": "Conv2D", "config": {"filters": 1, "kernel_size": 10**6,
                                                                  "padding": "same"}}], (3, 3, 1))},
            "more than the limit",
        ),
        (
            {"model": config([{"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 200,
                                                                  "padding": "same"}}], (3, 3, 1))},
            "do not fit the configuration",
        ),
        ({"model": config([{"class_name": "ZeroPadding2D", "config": {"padding": 10**6}}], (3, 3, 1))}, "more than"),
        ({"training": 3}, "training must be an object"),
        ({"training": {}}, "it lacks 'optimizer'"),
        ({"training": {"optimizer": "adam", "iterations": -1}}, "iterations"),
        ({"training": {"optimizer": "adam", "iterations": 10**30}}, "iterations"),
        ({"training": {"optimizer": "eval", "iterations": 1}}, "unknown optimizer 'eval'"),
        ({"training": {"optimizer": "adam", "iterations": 1, "loss": "mse", "metrics": 7}}, "metrics"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_make_a_model(tmp_path, change, message):
    refused(tmp_path, file_of(metadata(**change) | GOOD, bytes(32)), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1, "format": 1}', "twice"),
        ('{"format": NaN}', "NaN is not JSON"),
        ('{"format": 1, "model": ' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "}", "nested more than 32 deep"),
        ('{"format": 1, "model": ' + "[" * 10**5 + "]" * 10**5 + "}", "nested more than 32 deep"),
        ("", "not readable JSON"),
        ("\ud800", "not readable JSON|not JSON|not a tinycnn model"),
    ],
)
def test_a_configuration_that_is_not_json(tmp_path, text, message):
    refused(tmp_path, file_of({"__metadata__": {"tinycnn": text}} | GOOD, bytes(32)), message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_unless_asked_for(tmp_path, value):
    data = np.array([0, value, 0, 0, 0, 0, 0, 0], np.float32).tobytes()
    refused(tmp_path, file_of(metadata() | GOOD, data), "weights/dense/kernel holds NaN or infinity")
    model = load_model(tmp_path / "model.safetensors", check_finite=False)
    assert not np.isfinite(model.get_weights()[0]).all()


def test_weights_of_a_large_configuration_take_no_memory(tmp_path):
    """Not even the layers before the one that is too large are allocated."""
    big = {
        "weights/a/kernel": tensor([3, 10**6], 0, 12 * 10**6),
        "weights/a/bias": tensor([10**6], 12 * 10**6, 16 * 10**6),
    }
    change = {"model": config([dense(10**6, "a"), dense(1, "dense")])}
    refused(tmp_path, file_of(metadata(**change) | big, bytes(16 * 10**6)), "missing")


@pytest.mark.needs("os.mkfifo", "/dev/zero")
def test_what_is_not_a_plain_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="not a plain file"):
            load_model(path)
        with pytest.raises(ValueError, match="not a plain file"):
            read_whole(Path(path), 100)


def test_a_file_larger_than_the_limit_is_not_opened(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(opening.MAX_BYTES + 1)  # takes no room on the disk
    with small_memory(), pytest.raises(ValueError, match="more than the limit of 4294967296"):
        load_model(path)


@pytest.mark.parametrize("path", [None, 5, b"model", ["model"], Path])
def test_a_path_that_is_none(path):
    with pytest.raises(TypeError, match="path must be a string"):
        load_model(path)


def test_shapes_are_known_without_building():
    """The refusal relies on this: for every kind of layer the computed shapes are those of the weights."""
    with tinycnn.use_backend("reference"):
        model = make_model_file.model()
    shapes = model.weight_shapes(model.input_shape)
    assert shapes == {key: value.shape for key, value in model.weights().items()}
    assert Sequential.from_config(model.get_config()).weights().keys() == shapes.keys()


def description_of(path):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    description = json.loads(header.pop("__metadata__")["tinycnn"])
    return description, {key: entry["shape"] for key, entry in header.items()}


# JSON


def test_json_nested_just_so_deep():
    inside = MAX_DEPTH - 1
    assert parse_json("[" * inside + "1" + "]" * inside)
    with pytest.raises(ValueError, match=re.escape(f"nested more than {MAX_DEPTH} deep")):
        parse_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_json_with_nan_where_it_is_asked_for():
    assert np.isnan(parse_json("[NaN]", nan=True)[0])
    with pytest.raises(ValueError, match="NaN is not JSON"):
        parse_json("[NaN]")


def test_deep_json_is_refused_however_deep_the_stack_is():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**5)
    try:
        with pytest.raises(ValueError, match="nested more than"):
            parse_json("[" * 2000 + "]" * 2000)
    finally:
        sys.setrecursionlimit(limit)
