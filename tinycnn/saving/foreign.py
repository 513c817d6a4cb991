"""What a file is that is not a model of tinycnn: its kind, by its first bytes, and how its weights can be taken over.

Some kinds have a format, for which another room may have a reader: see ``formats``.

Nothing is unpacked or executed; of a large file only its beginning and its end are looked at.
"""

from pathlib import Path
from typing import NamedTuple

from ..core.printing import for_print

#: How many bytes are looked at, at the beginning and at the end of a file.
_LOOK = 2**16
_PAGE = "the page 'Weights from and to Keras and PyTorch' shows how"
_KERAS = f"load it with Keras, and save it as a .keras file, which load_model reads; {_PAGE}"
_TORCH = (
    "tinycnn reads no pickles, because reading one can execute code; load it with PyTorch, write its state_dict with "
    f"safetensors.torch.save_file, and give that file to load_weights of a model with the same layers; {_PAGE}"
)
_NUMPY = f"read its arrays with numpy.load, and give them to the same layers here with set_weights; {_PAGE}"
_OTHER = f"read its arrays with the program that wrote it, and give them to the same layers with set_weights; {_PAGE}"
_PICKLE = f"tinycnn reads no pickles, because reading one can execute code; {_OTHER}"
_UNPACK = "unpack it first; a model is the file that model.save writes"
_SAVED = "a model is the file that model.save writes"


class Kind(NamedTuple):
    """A kind of file: what it is, what to do if nothing here reads it, and the name of its format if something may."""

    text: str
    cure: str
    format: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.cure}"


#: Kinds of files by how they begin, and the cure for each.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "an array of NumPy (.npy)", _NUMPY),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a file of PyTorch (an old .pt or .pth)", _TORCH),
    *((bytes([0x80, protocol]), "a Python pickle", _PICKLE) for protocol in (2, 3, 4, 5)),
    *((start, "a Python pickle", _PICKLE) for start in (b"(dp", b"(lp", b"ccopy_reg\n", b"cnumpy", b"c__main__\n")),
    (b"\x1f\x8b", "compressed by gzip", _UNPACK),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    *(
        (b"x" + level, "compressed by zlib, as joblib does it", _PICKLE)
        for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")
    ),
    (b"GGUF", "a GGUF file", _OTHER),
    (b"\x89PNG", "a picture (PNG)", _SAVED),
    (b"\xff\xd8\xff", "a picture (JPEG)", _SAVED),
    (b"GIF8", "a picture (GIF)", _SAVED),
    (b"%PDF", "a PDF document", _SAVED),
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: What the names in a ZIP archive tell; the first that is found decides.
_IN_ZIP: tuple[tuple[bytes, Kind], ...] = (
    (b"model.weights.h5", Kind("a model of Keras (.keras)", _KERAS, "keras")),
    (b"data.pkl", Kind("a file of PyTorch (.pt or .pth)", _TORCH)),
    (b"saved_model.pb", Kind("a SavedModel of TensorFlow, zipped", _KERAS)),
    (b".npy", Kind("an archive of NumPy arrays (.npz)", _NUMPY)),
)


def kind(path: Path, size: int) -> Kind | None:
    """Return what a file is, or None if its first bytes tell nothing.

    Parameters
    ----------
    path : Path
        A plain file that is not a whole safetensors file.
    size : int
        Its bytes.
    """
    if not size:
        return Kind("empty, so writing or copying it was cut short", _SAVED)
    with path.open("rb") as file:
        head = file.read(_LOOK)
        file.seek(max(0, size - _LOOK))
        tail = file.read(_LOOK)
    return _binary(head, tail, path) or _text(head)


def _binary(head: bytes, tail: bytes, path: Path) -> Kind | None:
    """Return what a file is that is not text."""
    if head.startswith(b"MATLAB"):  # its newer files are HDF5 too
        return Kind("a file of MATLAB (.mat)", _OTHER)
    if any(head[start : start + 8] == _HDF5 for start in (0, 512, 1024, 2048)):
        return Kind("an HDF5 file, as Keras's .h5 files are", _KERAS, "keras")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = Kind("a ZIP archive", _UNPACK)
        return next((found for name, found in _IN_ZIP if name in head or name in tail), archive)
    if head[4:8] == b"TFL3":
        return Kind("a model of TensorFlow Lite", _OTHER)
    if head[257:262] == b"ustar":
        return Kind("a tar archive", _UNPACK)
    if head[:1] == b"\x08" and (path.suffix.lower() == ".onnx" or head[2:3] == b"\x12"):
        return Kind("an ONNX model", _OTHER, "onnx")
    return next((Kind(text, cure) for start, text, cure in _BEGINNINGS if head.startswith(start)), None)


def _text(head: bytes) -> Kind | None:
    """Return what a file of text is."""
    text = _decoded(head)
    if text is None:
        return None
    if text.startswith(("{", "[")):
        what = ", as Keras's to_json writes it, which holds no weights" if '"class_name"' in text else ""
        return Kind(f"JSON{what}", f"{_SAVED}, for instance model.safetensors in the folder of a run")
    if text.startswith("version https://git-lfs"):
        return Kind("a pointer of Git LFS and not the file itself", "fetch the file with 'git lfs pull'")
    if text[:15].lower().startswith(("<!doctype html", "<html")):
        return Kind("a web page, as a failed download leaves it", "download the file again")
    return Kind("text", _SAVED)


def _decoded(head: bytes) -> str | None:
    """Return the beginning of a text, in the encoding that it seems to have, or None."""
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if wide else ("utf-8", "latin-1"):
        try:
            # A character may be cut in two at the end.
            text = head[: _LOOK - 4].decode(encoding).lstrip("\ufeff \t\r\n")
        except UnicodeDecodeError:
            continue
        if all(character.isprintable() or character in "\t\r\n\f" for character in text):
            return text
    return None


def folder(path: Path) -> str:
    """Return what a folder is and what to do, as the end of a sentence."""
    names = {found.name for found in path.iterdir()}
    states = sorted(name for name in names if name.startswith("checkpoint-") and name.endswith(".safetensors"))
    if "saved_model.pb" in names:
        return f"a folder, a SavedModel of TensorFlow; {_KERAS}"
    if states:
        return f"a folder with the states of a training; give the file of one, such as {path / states[-1]}"
    if "model.safetensors" in names:
        return f"a folder; give the file in it, {path / 'model.safetensors'}"
    return f"a folder; a model is a file, for example {path / 'model.safetensors'}"


def of_another_program(header: dict[str, object]) -> Kind:
    """Return what a safetensors file is that tinycnn has not written."""
    arrays = [name for name in header if name != "__metadata__"]
    some = for_print(f"{', '.join(map(repr, arrays[:3]))}{', …' if len(arrays) > 3 else ''}"[:200])
    held = f"{len(arrays)} array{'' if len(arrays) == 1 else 's'} ({some})" if arrays else "no arrays"
    return Kind(
        f"a safetensors file of another program with {held}, because its metadata lack the key 'tinycnn'",
        "it holds weights and no network: build the same layers here, and call their model's load_weights with the "
        f"file; {_PAGE}",
        "safetensors",
    )
