"""Keras's files: ``.keras`` and ``.h5`` models are read, and ``.weights.h5`` is read and written.

No code that a file names is run: a layer is one of tinycnn's, or one that the caller gives in ``custom_objects``.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..core import seeding
from ..core.files import parse_json, read_whole, write_whole
from ..core.messages import level_of_caller
from ..core.registry import custom_classes
from ..core.types import Config
from ..network.network import Network
from ..saving.opening import MAX_BYTES
from . import hdf5, keras_config, keras_training, keras_weights
from .fitting import fill, layers_with_weights

N = TypeVar("N", bound=Network)

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
#: The largest configuration that is read; that of a thousand layers has about a megabyte.
_MAX_CONFIG = 64 * 2**20
#: How many times larger than in the archive a part of it may become. Keras does not compress at all.
_MAX_RATIO = 1000


def load_model(
    path: Path,
    kind: type[N],
    custom_objects: dict[str, type] | None = None,
    *,
    compiled: bool = True,
    check_finite: bool = True,
) -> N:
    """Return the model in a ``.keras`` file, or in an ``.h5`` file that holds its configuration.

    Parameters
    ----------
    path : Path
        The file.
    kind : class
        The class of the model.
    custom_objects : dict of str to class, optional
        The layers in the file that are not tinycnn's own.
    compiled : bool
        Whether to compile the model as it was, if it was compiled.
    check_finite : bool
        Whether to refuse weights that are NaN or infinite.

    Raises
    ------
    ValueError
        If it is not a model in which every layer has a counterpart here, or its weights do not fit.
    """
    with _named(path, "is not a model of Keras that can be read"):
        config, training, data = _contents(path)
        root, left_out, narrow = hdf5.root(data), list[str](), set[str]()
        if config is None:
            config, training = _legacy_config(root)
        with custom_classes(custom_objects):
            translated = keras_config.translate(config, left_out, narrow)
            model, input_shape = kind.not_built({"seed": seeding.new_model_seed(), **translated})
            if not model.layers:
                raise ValueError("it has no layers")
            assert input_shape is not None
            sources = keras_weights.sources(root, model, input_shape, path)
            keras_weights.check_extent(sources, len(data), path)
            model.build(input_shape)
            fill(model, sources, path, check_finite=check_finite)
            if compiled:
                _compile(model, training, path)
    if left_out:
        warnings.warn(
            f"{path}: what acts in training only was left out: {', '.join(left_out[:6])}"
            f"{f', and {len(left_out) - 6} more' if len(left_out) > 6 else ''}",
            stacklevel=level_of_caller(),
        )
    if narrow:
        warnings.warn(
            f"{path} computes in {' and '.join(sorted(narrow))}; tinycnn computes in {model.dtype}, so predictions "
            "differ from Keras's in the third or fourth digit",
            stacklevel=level_of_caller(),
        )
    return model


def load_weights(model: Network, path: Path, *, check_finite: bool = True) -> None:
    """Overwrite the weights of a model with those in a file of Keras; nothing is changed unless all of them fit."""
    with _named(path, "is not a file of Keras that can be read"):
        _, _, data = _contents(path)
        sources = keras_weights.sources(hdf5.root(data), model, model.input_shape, path)
        keras_weights.check_extent(sources, len(data), path)
        fill(model, sources, path, check_finite=check_finite)


def save_weights(model: Network, path: Any) -> None:
    """Write a model's weights to a ``.weights.h5`` file, which ``load_weights`` of the same model in Keras reads.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import h5py

    model.need_build()
    values = {key: model.backend.to_numpy(value) for key, value in model.weights().items()}
    layers = layers_with_weights(model, model.input_shape)
    groups = keras_weights.groups(layers)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for layer in layers:
            group = file.create_group(f"layers/{groups[layer.name]}")
            group.attrs["name"] = layer.name
            for number, key in enumerate(layer.shapes):
                group.create_dataset(f"vars/{number}", data=values[f"{layer.name}/{key}"])
    write_whole(path, memory.getvalue())


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """Let every error of the block name the file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path} {what}: {str(error)[:1500]}") from error


def _contents(path: Path) -> tuple[Any, Any, bytes]:
    """Return the configuration in a file, how it says that the model was compiled, and the HDF5 file with the weights.

    The first two are None for a file that is HDF5 itself.
    """
    with path.open("rb") as file:
        head = file.read(hdf5.STARTS[-1] + 8)
    if any(head[start : start + 8] == hdf5.SIGNATURE for start in hdf5.STARTS):
        return None, None, read_whole(path, MAX_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            config = parse_json(_member(archive, _CONFIG, _MAX_CONFIG))
            weights = _member(archive, _WEIGHTS, MAX_BYTES)
    except (ValueError, MemoryError):
        raise
    except Exception as error:  # zipfile raises its own, and those of the modules for each kind of compression
        raise ValueError(f"its archive is damaged: {str(error)[:300]}") from error
    return config, config.get("compile_config") if isinstance(config, dict) else None, weights


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a part of an archive, if it is not too large."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"it has no part {name!r}") from None
    if info.file_size > min(most, _MAX_RATIO * max(info.compress_size, 1)):
        raise ValueError(f"its part {name!r} would have {info.file_size} bytes, which is more than is read")
    with archive.open(info) as file:
        found = file.read(info.file_size + 1)
    if len(found) != info.file_size:
        raise ValueError(f"its part {name!r} has not the size that it says")
    return found


def _legacy_config(root: hdf5.Group) -> tuple[Config, Any]:
    """Return the configuration in the attributes of an HDF5 file, and how it says that the model was compiled."""
    config, training = root.text("model_config"), root.text("training_config")
    if not isinstance(config, str):
        raise ValueError(
            "it holds weights and no network; build the same layers here, and call their model's load_weights with the "
            "file"
        )
    return parse_json(config, nan=True), parse_json(training, nan=True) if isinstance(training, str) else None


def _compile(model: Network, training: Any, path: Path) -> None:
    """Compile a model as the file says, or say why it is left as it is; nothing is done if it was not compiled."""
    if not training:
        return
    try:
        model.compile(*keras_training.compiled_with(training))
    except (ValueError, TypeError) as error:
        warnings.warn(
            f"{path}: the model is not compiled, because what the file says about training has no counterpart here: "
            f"{str(error)[:500]}",
            stacklevel=level_of_caller(),
        )
