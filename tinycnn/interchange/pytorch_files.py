"""State dicts of PyTorch in safetensors files, read and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ..core.checks import boolean
from ..core.checks import path as checked_path
from ..core.files import write_whole
from ..core.messages import shown
from ..core.types import Array
from ..network.network import Network
from ..saving import opening
from .fitting import Source, built_model, check, fill, misfit
from .pytorch_matching import checked_names, matched, stored_modules
from .pytorch_order import modules
from .pytorch_source import places

#: The floating-point numbers that NumPy has, by their names in safetensors.
_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def load_weights(model: Network, path: Path, *, check_finite: bool = True) -> None:
    """Overwrite the weights of a model as :func:`load_pytorch` does, for :meth:`Sequential.load_weights`."""
    _load(model, path, None, check_finite)


def load_pytorch(model: Network, path: Any, names: Sequence[str] | None = None, *, check_finite: bool = True) -> None:
    """Overwrite a model's weights with those in a state dict of PyTorch that was written as a safetensors file.

    The model has to have the same layers. Kernels are transposed, and the rows of the first ``Dense`` layer behind a
    ``Flatten`` are put in order, because PyTorch keeps channels first.

    Parameters
    ----------
    model : Sequential
        A model that is built.
    path : path
        What ``safetensors.torch.save_file(network.state_dict(), path)`` wrote.
    names : sequence of str, optional
        The names of PyTorch's modules in the order of the layers with weights, for instance ``["conv1", "fc1"]``. By
        default they are found by their kinds, their shapes and the numbers in their names.
    check_finite : bool
        Refuse weights that are NaN or infinite.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it does not fit the model; the message lists what is missing, left over, or of another shape, and nothing is
        changed then.
    """
    boolean(check_finite, "check_finite")
    built_model(model)
    seen = opening.look(path)
    if seen.other is None:
        raise ValueError(f"{seen.path} is a file of tinycnn itself; read it with model.load_weights")
    if seen.other.format != "safetensors":
        raise ValueError(f"{seen.path} is not a safetensors file: it is {seen.other}")
    _load(model, seen.path, names, check_finite)


def _load(model: Network, path: Path, names: Any, check_finite: bool) -> None:
    wanted = modules(model, model.input_shape)
    names = None if names is None else checked_names(names, wanted)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            pairs, problems = matched(wanted, stored_modules(shapes), names)
            if problems:
                raise misfit(path, model, problems)
            sources = {}
            for module in wanted:
                for name, part in module.parts.items():
                    where = f"{pairs[module.layer]}.{name}".lstrip(".")
                    dtype = slices[where].get_dtype()
                    if dtype not in _DTYPES:
                        raise ValueError(
                            f"{path}: {shown(where)} holds numbers of the kind {dtype}, which NumPy does not have; "
                            "write network.float().state_dict()"
                        )
                    if part.key is None:
                        _check_constant(file.get_tensor(where), part.constant, f"{path}: {shown(where)}", module.layer)
                        continue
                    read = _reader(file, where, part.here)
                    shape = model.weights()[part.key].shape
                    sources[part.key] = Source(where, shape, np.dtype(_DTYPES[dtype]), read)
            check(sources, {key: value.shape for key, value in model.weights().items()}, model, path)
            fill(model, sources, path, check_finite=check_finite)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {str(error)[:300]}") from error


def _reader(file: Any, where: str, here: Any) -> Any:
    """Return the function that reads an array in the order that it has here."""
    return lambda: here(file.get_tensor(where))


def _check_constant(values: Array, constant: float, where: str, layer: str) -> None:
    """Raise unless weights that a layer here does not have are those that change nothing."""
    if not (values == constant).all():
        raise ValueError(
            f"{where} is not {constant:g} everywhere, but {layer} has no such weights; set scale and center"
        )


def save_pytorch(model: Network, path: Any, names: Sequence[str] | None = None) -> None:
    """Write a model's weights as a state dict of PyTorch, to a safetensors file, whole or not at all.

    PyTorch reads it with ``network.load_state_dict(safetensors.torch.load_file(path))``, where ``network`` is what
    :func:`pytorch_source` describes.

    Parameters
    ----------
    model : Sequential
        A model that is built.
    path : path
        The file to write.
    names : sequence of str, optional
        The names of the modules in a network of your own, in the order of the layers with weights. By default they are
        the numbers that :func:`pytorch_source` shows.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If a layer has no counterpart in PyTorch, or there is not one name for each layer with weights.
    """
    built_model(model)
    path = checked_path(path)
    wanted = modules(model, model.input_shape)
    if names is None:
        numbers = places(model)
        listed = [numbers[module.layer] for module in wanted]
    else:
        listed = checked_names(names, wanted)
    weights = {key: model.backend.to_numpy(value) for key, value in model.weights().items()}
    arrays: dict[str, Array] = {}
    for module, name in zip(wanted, listed, strict=True):
        for part_name, part in module.parts.items():
            full = f"{name}.{part_name}".lstrip(".")
            if part.key is None:
                arrays[full] = np.full(part.shape, part.constant, model.dtype)
            else:
                arrays[full] = np.ascontiguousarray(part.there(weights[part.key]))
        if module.kind == "batch normalization":
            # PyTorch counts the batches, and needs the count only for an average over all of them, which is not ours.
            arrays[f"{name}.num_batches_tracked".lstrip(".")] = np.zeros((), np.int64)
    write_whole(path, safetensors.numpy.save(arrays, metadata={"format": "pt"}))
