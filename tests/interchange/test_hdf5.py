"""The reader for HDF5 gives what HDF5's own library gives, and refuses what is not in Keras's files."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from tinycnn.interchange import hdf5

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "keras"
h5py = pytest.importorskip("h5py", reason='needs h5py: pip install "tinycnn[keras]"')


def written(fill, **options):
    """Return the bytes of a file that a function fills."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        fill(file)
    return memory.getvalue()


def read(fill, **options):
    return hdf5.root(written(fill, **options))


def everything(group):
    """Yield path and values of every array that h5py finds."""
    found = {}
    group.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.h5")), ids=lambda path: path.name)
def test_files_of_keras(path):
    root = hdf5.root(path.read_bytes())
    with h5py.File(path) as file:
        arrays = everything(file)
        assert len(arrays) > 5
        for name, values in arrays.items():
            found = root.dataset(name).read()
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(found, values)
        for name in ("model_config", "keras_version"):
            if name in file.attrs:
                expected = file.attrs[name]
                assert root.text(name) == (expected.decode() if isinstance(expected, bytes) else expected)


@pytest.mark.parametrize("libver", ["earliest", "latest", "v110", "v108"])
@pytest.mark.parametrize("start", [0, 512, 2048])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "<i8", ">u2", "i1"])
def test_arrays_of_every_kind_of_number(libver, start, dtype):
    values = np.arange(-6, 6).astype(dtype).reshape(3, 1, 4)

    def fill(file):
        file["a/b/c"] = values
        file["one"] = values[0, 0, 0]
        file["none"] = values[:0]

    root = read(fill, libver=libver, userblock_size=start)
    for name, expected in (("a/b/c", values), ("one", values[0, 0, 0]), ("none", values[:0])):
        found = root.dataset(name).read()
        assert found.shape == expected.shape
        assert found.dtype == values.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)
    assert sorted(root) == ["a", "none", "one"]


def test_large_groups_have_trees_of_several_levels():
    names = [f"layer_{number}" for number in range(3000)]

    def fill(file):
        for number, name in enumerate(names):
            file[name] = np.full(2, number)

    root = read(fill)
    assert sorted(root) == sorted(names)
    assert all(root.dataset(name).read()[0] == number for number, name in enumerate(names))


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_attributes(libver):
    long = ["x" * 40] * 200
    kinds = {
        "bytes": b"abc",
        "text": "gr\u00f6\u00dfe",
        "long": "y" * 100_000 if libver == "earliest" else "y" * 1000,
        "list of bytes": [b"conv2d", b"dense"],
        "list of text": ["conv2d", "d\u00e4nse"],
        "many": [entry.encode() for entry in long],
        "empty": [],
        "empty text": "",
    }

    def fill(file):
        group = file.create_group("g")
        for name, value in list(kinds.items()):
            if isinstance(value, list) and value and isinstance(value[0], str):
                group.attrs.create(name, value, dtype=h5py.string_dtype())
            else:
                group.attrs[name] = value
        group.attrs["number"] = 3.5
        group.attrs["matrix"] = np.array([[b"a", b"b"]])

    group = read(fill, libver=libver, track_order=False).group("g") if libver == "earliest" else None
    if group is None:
        with pytest.raises(ValueError, match="attributes of '/g' are stored in another way"):
            read(fill, libver=libver).group("g").text("text")
        return
    for name, value in kinds.items():
        plain = [v.decode() if isinstance(v, bytes) else v for v in value] if isinstance(value, list) else value
        assert group.text(name) == (plain.decode() if isinstance(plain, bytes) else plain), name
    assert group.text("nothing") is None
    for name in ("number", "matrix"):
        with pytest.raises(ValueError, match=f"its attribute '{name}' is not text"):
            group.text(name)


def test_compact_arrays():
    def fill(file):
        space = h5py.h5s.create_simple((5,))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        made = h5py.h5d.create(file.id, b"small", h5py.h5t.NATIVE_FLOAT, space, properties)
        made.write(space, space, np.arange(5, dtype=np.float32))

    np.testing.assert_array_equal(read(fill).dataset("small").read(), np.arange(5, dtype=np.float32))


def elsewhere(file, tmp_path):
    file.create_dataset("a", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)])


def virtual(file, tmp_path):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (4,))
    file.create_virtual_dataset("a", layout)


REFUSED = {
    "soft link": (lambda file, _: file.update({"a": h5py.SoftLink("/etc")}), "a soft link"),
    "external link": (lambda file, _: file.update({"a": h5py.ExternalLink("x.h5", "/a")}), "a link to another file"),
    "chunks": (lambda file, _: file.create_dataset("a", (10**6,), "f4", chunks=(10,)), "stored in chunks"),
    "compression": (
        lambda file, _: file.create_dataset("a", data=np.zeros(10**6, "f4"), compression="gzip"),
        "compressed or filtered",
    ),
    "checksums": (lambda file, _: file.create_dataset("a", (9,), "f4", fletcher32=True), "compressed or filtered"),
    "external": (elsewhere, "in another file"),
    "virtual": (virtual, "as a view of other arrays"),
    "never written": (lambda file, _: file.create_dataset("a", (10**12,), "f4"), "takes 4000000000000 bytes"),
    "text": (lambda file, _: file.create_dataset("a", data=[b"abc"]), None),
    "complex": (lambda file, _: file.create_dataset("a", data=np.ones(2, complex)), "does not hold numbers"),
    "booleans": (lambda file, _: file.create_dataset("a", data=np.ones(2, bool)), "does not hold numbers"),
    "group": (lambda file, _: file.create_group("a"), "is a group, and an array is expected"),
    "nothing": (lambda file, _: None, "there is no 'a'"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_keras_does_not_write_is_refused(kind, libver, tmp_path):
    fill, message = REFUSED[kind]
    (tmp_path / "secret").write_bytes(bytes(16))
    with pytest.raises(ValueError, match=message or "does not hold numbers"):
        read(lambda file: fill(file, tmp_path), libver=libver).dataset("a")


@pytest.mark.parametrize(
    ("dtype", "what"), [("V2", "holds bfloat16, which NumPy does not have"), ("V4", "does not hold numbers")]
)
def test_opaque_bytes_are_refused_and_those_of_bfloat16_are_told(dtype, what):
    def fill(file):
        file["a"] = np.zeros(3, dtype)

    with pytest.raises(ValueError, match=f"'/a'.*{what}"):
        read(fill).dataset("a")


def test_shared_types_are_refused():
    def fill(file):
        file["kind"] = np.dtype("f4")
        file.create_dataset("a", (3,), dtype=file["kind"], data=np.zeros(3, "f4"))

    with pytest.raises(ValueError, match="it shares types between objects"):
        read(fill).dataset("a")


def test_a_circle_of_groups_ends():
    def fill(file):
        inner = file.create_group("a")
        inner["a"] = file["/"]

    group = read(fill)

    def go_round(group):
        while True:
            group = group.group("a")

    with pytest.raises(ValueError, match="round in a circle"):
        go_round(group)


def test_paths_through_arrays():
    root = read(lambda file: file.update({"a": np.zeros(2)}))
    with pytest.raises(ValueError, match="'a/b'"):
        root.get("a/b")
    with pytest.raises(ValueError, match="'a' in '/' is an array, and a group is expected"):
        root.group("a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an HDF5 file"),
        (hdf5.SIGNATURE, "cut short or damaged"),
        (hdf5.SIGNATURE + bytes([9]) + bytes(200), "version of HDF5"),
        (hdf5.SIGNATURE + bytes(200), "its addresses are not those"),
    ],
)
def test_beginnings(content, message):
    with pytest.raises(ValueError, match=message):
        hdf5.root(content)


def test_every_cut_and_every_wrong_byte_is_an_error_or_harmless():
    """Nothing but a ValueError comes of it, whatever byte of a small file is wrong and wherever it ends."""

    def fill(file):
        group = file.create_group("layers")
        group.attrs["name"] = ["a", "b"]
        group.create_dataset("w", data=np.ones(3, "f4"))

    longest = 0
    for whole in (written(fill), written(fill, libver="latest")):
        cuts = [whole[:end] for end in range(0, len(whole), 3)]
        wrong = [
            whole[:at] + bytes([value]) + whole[at + 1 :]
            for at in range(len(whole))
            if whole[at] or at % 16 == 0
            for value in (0, 1, 255)
        ]
        good = 0
        for content in cuts + wrong:
            try:
                group = hdf5.root(content).group("layers")
                group.text("name")
                good += group.dataset("w").read().shape == (3,)
            except ValueError as error:
                longest = max(longest, len(str(error)))
        assert good > 0
    assert 50 < longest < 500


def test_claims_take_no_memory(tmp_path):
    """A collection of texts that claims to hold the same text often is not copied often."""

    def fill(file):
        file.attrs.create("layer_names", ["x" * 60_000] * 40, dtype=h5py.string_dtype())

    whole = bytearray(written(fill))
    root = hdf5.root(bytes(whole))
    assert len(root.text("layer_names")) == 40
    # All forty references lead to the first text now, and there are more of them than the file has bytes for.
    at = whole.find(struct.pack("<I", 60_000))
    first = whole[at : at + 16]
    for number in range(40):
        whole[at + 16 * number : at + 16 * number + 16] = first
    root = hdf5.root(bytes(whole))
    with pytest.raises(ValueError, match="more than 200000 parts"):
        [root.text("layer_names") for _ in range(100)]
