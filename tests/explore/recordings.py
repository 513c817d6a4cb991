"""Networks to record, and the recording as node opens it."""

import json
import re
import subprocess
import zlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_arithmetic import NODE, read

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore import protocol
from tinycnn.explore.inlining import page_with
from tinycnn.explore.recording import page_files, write_recording
from tinycnn.explore.session import Data, Session

PAGE = Path(protocol.__file__).parent / "page"
_HELD = re.compile(r'(?<=id="recording">)[^<]*')


class Swapped(layers.Layer):
    """A layer of a user's own: it swaps left and right."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return np.ascontiguousarray(x[:, :, ::-1]), None

    def backward(self, dy, cache, *, ws=None):
        return np.ascontiguousarray(dy[:, :, ::-1])


def network(channels: int = 1, *more: Any, dtype: str = "float32", name: str = "small", **compiled: Any) -> Sequential:
    """Return a network with most kinds of layers, after a step of training."""
    set_seed(4)
    model = Sequential(
        [
            layers.Input((12, 12, channels)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(2),
            *more,
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2, strides=1),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ],
        dtype=dtype,
        name=name,
    )
    model.compile(**({"optimizer": "adam", "loss": "sparse_categorical_crossentropy"} | compiled))
    return model


NETWORKS = {
    "one channel": lambda: network(),
    "three channels": lambda: network(3),
    "batch normalization": lambda: network(3, layers.BatchNormalization(), layers.Dropout(0.3)),
    "activations": lambda: network(
        1, layers.Activation("gelu"), layers.LeakyReLU(), layers.Conv2D(3, 1, activation="tanh")
    ),
    "float64": lambda: network(2, layers.BatchNormalization(), dtype="float64"),
}


def session_of(model: Sequential, bytewise: bool = True, classes: tuple[str, ...] = tuple("abcd")) -> Session:
    """Return a session with a few images, of pixels from 0 to 255 or of any numbers."""
    rng = np.random.default_rng(2)
    shape = (20, *model.input_shape)
    x = rng.integers(0, 256, shape) / 255 if bytewise else rng.normal(size=shape)
    x, y = x.astype(np.float32), rng.integers(0, model.output_shape[-1], 20)
    return Session(model, Data("drawn", classes, x, y, x[::-1].copy(), y[::-1].copy()))


def opened(path: Path, *cases: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the page finds in a recording: ``refusals``, ``check``, and the ``results`` of calls."""
    if NODE is None:
        pytest.skip("needs node, which runs the page's JavaScript")
    file = path.with_suffix(".json")
    file.write_text(json.dumps([{"call": call, "arguments": given} for call, *given in cases]))
    command = [NODE, Path(__file__).with_name("recording_cases.mjs"), PAGE, path, file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout, object_hook=read))


def recording_of(session: Session, folder: Path, **options: Any) -> Path:
    """Return the file of a session's recording."""
    path = folder / "recording.html"
    size = write_recording(session, path, **options)
    assert path.stat().st_size == size
    return path


def held_in(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the arrays in a recording."""
    (text,) = _HELD.findall(path.read_text(encoding="utf-8"))
    return protocol.unpack(zlib.decompress(b64decode(text)))


def put_into(path: Path, description: dict[str, Any], arrays: dict[str, Any], renewed: bool = False) -> None:
    """Put another content into a recording, as somebody who changes the file; ``renewed``: with its own digest."""
    data = zlib.compress(protocol.pack(description, arrays))
    if renewed:
        path.write_text(page_with(data, page_files()), encoding="utf-8")
        return
    text = b64encode(data).decode()
    path.write_text(_HELD.sub(text, path.read_text(encoding="utf-8")), encoding="utf-8")
