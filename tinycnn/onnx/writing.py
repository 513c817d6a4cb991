"""Write a model as an ONNX file."""

import json
from collections.abc import Sequence
from typing import Any

from ..core.checks import choice, float_dtype, items, word
from ..core.checks import path as checked_path
from ..core.files import write_whole
from ..core.messages import bytes_text, shown
from ..core.version import __version__
from ..network.network import Network
from . import by_layer
from .graph import Graph
from .package import CLASS_NAMES, IR_VERSION, LAYOUT, MAX_BYTES, OPSET, PREPROCESSING, PRODUCER, package


def export(
    model: Network,
    path: Any,
    *,
    layout: str = "NHWC",
    dtype: Any = None,
    class_names: Sequence[str] | None = None,
    preprocessing: str | None = None,
) -> None:
    """Write what a model predicts as an ONNX file, which other programs can run; whole or not at all.

    The file has one input, ``input``, and one output, ``output``; both begin with the batch axis, ``N``, which may be
    of any length. Dropout and noise, which change nothing in a prediction, are left out, and so is everything that only
    training needs. The operators are those of opset 15.

    Parameters
    ----------
    model : Sequential
        Built, of tinycnn's own layers and activations.
    path : path
        The file, which should end in ``.onnx``.
    layout : {"NHWC", "NCHW"}
        How the input's images lie in memory. With ``NHWC`` the program that runs the file gives it the arrays that
        ``model.predict`` takes; it costs one transpose. With ``NCHW``, as other programs have it, nothing is
        transposed; a result that consists of images is then (N, C, H, W) too.
    dtype : {"float32", "float64"}, optional
        The dtype of input, weights and output, by default the model's. ONNX Runtime has no convolution for float64.
    class_names : sequence of str, optional
        The names of the classes in the order of the outputs, written into the file's metadata as JSON.
    preprocessing : str, optional
        What has to be done to an image before, in words, written into the metadata.

    Raises
    ------
    ModuleNotFoundError
        If the package onnx is not installed (extra ``onnx``).
    RuntimeError
        If the model is not built.
    TypeError, ValueError
        If an argument makes no sense, or a layer has no equivalent in ONNX; the message names all such layers. Nothing
        is written then.
    OSError
        If the file cannot be written; an older file of that name is left as it was.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import tinycnn
    >>> model = tinycnn.models.build("ladder_02")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "ladder_02.onnx")
    ...     tinycnn.onnx.export(model, path, class_names=list("0123456789"))
    ...     tinycnn.onnx.load(path).count_params()
    1710
    """
    path = checked_path(path)
    content = as_bytes(model, layout=layout, dtype=dtype, class_names=class_names, preprocessing=preprocessing)
    write_whole(path, content)


def as_bytes(
    model: Network,
    *,
    layout: str = "NHWC",
    dtype: Any = None,
    class_names: Sequence[str] | None = None,
    preprocessing: str | None = None,
) -> bytes:
    """Return the content of the file that :func:`export` writes; the same model gives the same bytes."""
    if not isinstance(model, Network):
        raise TypeError(f"model must be a Sequential; got {shown(model)}")
    model.need_build()
    layout = choice(layout, ("nhwc", "nchw"), "layout").upper()
    dtype = model.dtype if dtype is None else float_dtype(dtype, "dtype")
    metadata = _metadata(model, layout, class_names, preprocessing)
    if reasons := [reason for layer in model.layers if (reason := by_layer.why_not(layer))]:
        raise ValueError(f"{model.name} cannot be said in ONNX: {'; '.join(reasons)}")
    _check_size(model, 8 if dtype == "float64" else 4)
    onnx = package()
    found = onnx.helper.make_model(
        _graph(model, layout, dtype),
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        producer_name=PRODUCER,
        producer_version=__version__,
    )
    onnx.helper.set_model_props(found, metadata)
    onnx.checker.check_model(found, full_check=True)
    return bytes(found.SerializeToString(deterministic=True))


def _graph(model: Network, layout: str, dtype: str) -> Any:
    """Return the graph of a model whose layers can all be said."""
    graph = Graph(dtype, model.input_shape, channels_first=layout == "NCHW" and len(model.input_shape) == 3)
    for number, layer in enumerate(model.layers):
        graph.begin(layer, model.layers[number + 1 :])
        by_layer.LAYERS[type(layer)](graph, layer)
        graph.end(layer)
    if layout == "NHWC":
        graph.to_channels_last()
    elif graph.is_image:
        graph.to_channels_first()
    return graph.finished(model.name)


def _metadata(
    model: Network, layout: str, class_names: Sequence[str] | None, preprocessing: str | None
) -> dict[str, str]:
    """Return what the file says about itself besides the network, after checking it."""
    found = {LAYOUT: layout} if len(model.input_shape) == 3 else {}
    if class_names is not None:
        names = [word(name, "class_names") for name in items(class_names, "class_names", "names")]
        classes = model.output_shape[-1]
        if len(names) != max(2, classes):  # a single output stands for two classes
            raise ValueError(
                f"class_names must hold {max(2, classes)} names, as {model.name} has {classes} "
                f"{'output' if classes == 1 else 'outputs'}; got {len(names)}"
            )
        found[CLASS_NAMES] = json.dumps(names, ensure_ascii=False)
    if preprocessing is not None:
        found[PREPROCESSING] = word(preprocessing, "preprocessing")
    return found


def _check_size(model: Network, itemsize: int) -> None:
    """Raise a ValueError if the weights are more than a file can hold."""
    size = model.count_params() * itemsize
    if size > MAX_BYTES - 2**20:  # a MiB for everything else
        raise ValueError(
            f"{model.name} cannot be written as ONNX: its weights take {bytes_text(size)}, and a file can hold 2 GiB"
        )
