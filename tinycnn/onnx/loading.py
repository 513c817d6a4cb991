"""Read a model from an ONNX file, which may come from anybody."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .. import layers
from ..core.checks import boolean, checked_name, choice
from ..core.checks import path as checked_path
from ..core.checks import shape as checked_shape
from ..core.files import read_whole
from ..core.messages import level_of_caller, shown
from ..core.types import Shape
from ..network.network import MAX_LAYERS
from ..saving import foreign
from ..sequential import Sequential
from . import axes, chain, tensors
from .assembly import Assembly
from .constants import Constants
from .nodes import Node
from .operators import OPERATORS
from .package import LAYOUT, MAX_BYTES, PRODUCER, package

S = TypeVar("S", bound=Sequential)

#: The oldest version of the operators that is read.
MIN_OPSET = 7


def load(path: Any, *, layout: str = "auto", input_shape: Any = None, check_finite: bool = True) -> Sequential:
    """Read an ONNX file as a model that predicts what the file computes, and that can be looked into and trained on.

    The file has to be a row of operators for which there are layers, with one input and one output. The model takes
    images with channels last, (N, H, W, C), even if the file has them first, and so gives results that are images.
    Nothing in the file is executed. Arrays that lie beside the file are read if they are in its folder. Limits are
    2 GiB for the file, 10,000 operators, 1000 layers, and 2**28 numbers for an array.

    Parameters
    ----------
    path : path
        The file.
    layout : {"auto", "NHWC", "NCHW"}
        How the file's images lie in memory. ``auto`` sees it from the first operator that has to know, and otherwise
        takes a second axis of 1 or 3 for channels.
    input_shape : tuple of int, optional
        The shape (H, W, C) of an image, which is needed if the file leaves it open.
    check_finite : bool
        Refuse weights that are NaN or infinite.

    Returns
    -------
    Sequential
        A model on the backend that is active now, not compiled; float64 if a weight is.

    Raises
    ------
    ModuleNotFoundError
        If the package onnx is not installed (extra ``onnx``).
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If an argument makes no sense, the file is not an ONNX model, or it has operators or branches that tinycnn does
        not have; the message names all of them, with what is nearest.
    """
    path = checked_path(path)
    layout = choice(layout, ("auto", "nhwc", "nchw"), "layout").upper()
    given = None if input_shape is None else checked_shape(input_shape, "input_shape")
    boolean(check_finite, "check_finite")
    return _loaded(path, Sequential, layout, given, check_finite)


def load_model(
    path: Any, kind: type[S], custom_objects: Any = None, *, compiled: bool = True, check_finite: bool = True
) -> S:
    """Read an ONNX file as :func:`tinycnn.load_model` does it, as a model of the class ``kind``, not compiled."""
    path = checked_path(path)
    return _loaded(path, kind, "AUTO", None, check_finite)


def load_weights(model: Sequential, path: Any, *, check_finite: bool = True) -> None:
    """Overwrite a model's weights with those of the same layers in an ONNX file; nothing is changed unless all fit."""
    path = checked_path(path)
    weights = _loaded(path, Sequential, "AUTO", None, check_finite).get_weights()
    with _named_errors(path):
        model.set_weights(weights)


def _loaded(path: Path, kind: type[S], layout: str, input_shape: Shape | None, check_finite: bool) -> S:
    model = _parsed(path)
    with _named_errors(path), np.errstate(all="ignore"):
        reader = _Reader(model, path)
        read = reader.read(kind, layout, input_shape, check_finite)
    if reader.narrow:
        warnings.warn(
            f"{path} computes partly in {' and '.join(sorted(reader.narrow))}; tinycnn computes in {read.dtype}, so "
            "predictions differ from the file's in the third or fourth digit",
            UserWarning,
            stacklevel=level_of_caller(),
        )
    return read


def _parsed(path: Path) -> Any:
    """Return the ``ModelProto`` in a file."""
    onnx = package()
    content = read_whole(path, MAX_BYTES)
    try:
        model = onnx.ModelProto.FromString(content)
        found = model.HasField("graph") and len(model.graph.node) + len(model.graph.output) > 0
    except Exception:  # protobuf's errors have no common base, and differ between its versions
        found = False
    if not found:
        other = foreign.kind(path, len(content))
        if other is None or other.format == "onnx":  # every file that is called so is taken for one
            raise ValueError(f"{path} is not a whole ONNX model: it was cut short or damaged; copy or export it again")
        raise ValueError(f"{path} is not an ONNX model: it is {other.text}")
    return model


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn whatever a file's contents raise into a ValueError that names the file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as a Sequential: {error}") from error


class _Reader:
    """A file while it is read.

    Parameters
    ----------
    model : onnx.ModelProto
    path : Path
        The file, in whose folder arrays may lie.

    Attributes
    ----------
    narrow : set of str
        The kinds of numbers with fewer digits than here in which the data lie on their way. Weights that are stored in
        such a kind and computed with in another do not count.
    """

    def __init__(self, model: Any, path: Path) -> None:
        self.narrow: set[str] = set()
        self._graph = graph = model.graph
        self._opset = _opset(model)
        self._ours = model.producer_name == PRODUCER
        self._metadata = {entry.key: entry.value for entry in model.metadata_props}
        if len(graph.sparse_initializer):
            raise ValueError("it has sparse arrays, which tinycnn does not read")
        self._constants = Constants(graph.initializer, path.parent)
        given = [value for value in graph.input if value.name not in self._constants]
        if len(given) != 1 or len(graph.output) != 1:
            names = ", ".join(shown(value.name) for value in [*given, *graph.output][:8])
            raise ValueError(
                f"it has {len(given)} inputs and {len(graph.output)} outputs ({names}); a Sequential has one of each"
            )
        self._input, self._end = given[0], graph.output[0].name
        self._current = self._input.name
        self._passes(self._input.type.tensor_type.elem_type)

    def read(self, kind: type[S], layout: str, input_shape: Shape | None, check_finite: bool) -> S:
        """Return the model."""
        start = self._input.name
        nodes = [Node(proto) for proto in self._graph.node]
        if start == self._end:
            raise ValueError("its output is its input")
        steps = chain.find(nodes, start, self._end, self._constants, OPERATORS)
        if len(steps) > 4 * MAX_LAYERS:
            raise ValueError(f"it has {len(steps)} operators in a row; a model may have {MAX_LAYERS} layers")
        dims = _dims(self._input)
        order = self._axes(steps, dims, layout)
        sample = _sample(dims, order, input_shape)
        batch = dims[0] if isinstance(dims[0], int) else None
        assembly = Assembly(self._dtype(), sample, order, batch=batch, opset=self._opset, named=self._ours)
        for step in steps:
            self._take(step, assembly)
        assembly.finish()
        return self._built(kind, assembly, sample, check_finite)

    def _axes(self, steps: list[chain.Step], dims: list[int | None], layout: str) -> tuple[int, ...]:
        """Return the axes of the input in the file, as numbers of tinycnn's axes."""
        if len(dims) != 4:
            return tuple(range(len(dims)))
        if layout == "AUTO":
            seen = axes.of_input(steps, self._constants)
            if seen is not None:
                return seen
            layout = self._metadata.get(LAYOUT, "") if self._ours else ""
        if layout not in ("NHWC", "NCHW"):
            layout = "NCHW" if dims[1] in (1, 3) and dims[3] not in (1, 3) else "NHWC"
        return axes.FIRST if layout == "NCHW" else axes.LAST

    def _dtype(self) -> str:
        """Return float64 if the input or an array is of that kind, and else float32."""
        kinds = [tensor.data_type for tensor in self._graph.initializer if len(tensor.dims)]
        double = next(kind for kind, name in tensors.FLOATS.items() if name == "float64")
        return "float64" if double in (*kinds, self._input.type.tensor_type.elem_type) else "float32"

    def _take(self, step: chain.Step, assembly: Assembly) -> None:
        """Add what a step becomes."""
        for node in step.fixed:
            if node.operator in ("Shape", "Size") and not all(name in self._constants for name in node.inputs):
                if node.inputs[0] != self._current or node.operator == "Size":
                    raise ValueError(f"{node.label}: it asks for a size that is not known here")
                shape = assembly.shape()
                start, end = node.integer("start", 0), node.integer("end", len(shape))
                self._constants.keep(node.outputs[0], shape[start:end])
            else:
                self._constants.fold(node)
        assembly.begin(step.node)
        if step.activation is not None:
            name, factor = step.activation
            assembly.activate(name)
            assembly.scale_by(np.full(1, factor))
        else:
            if step.node.operator == "Cast":
                self._passes(step.node.integer("to", 0))
            OPERATORS[step.node.operator](assembly, step.node, self._constants)
        self._current = step.result

    def _passes(self, kind: int) -> None:
        """Note a kind of numbers in which the data are for a while."""
        if kind in tensors.NARROW:
            self.narrow.add(tensors.NARROW[kind])

    def _built(self, kind: type[S], assembly: Assembly, sample: Shape, check_finite: bool) -> S:
        """Return the model with its weights."""
        if len(assembly.drafts) > MAX_LAYERS:
            raise ValueError(f"it would have {len(assembly.drafts)} layers, more than {MAX_LAYERS}")
        weights = [array for draft in assembly.drafts for array in draft.weights]
        if check_finite and not all(np.isfinite(array).all() for array in weights):
            raise ValueError("its weights hold NaN or infinity; pass check_finite=False to read them anyway")
        taken: set[str] = set()
        made = []
        for draft in assembly.drafts:
            layer = draft.make()
            layer.name = _name(draft.group, taken)
            made.append(layer)
        name = _name(self._graph.name, set()) if self._ours else None
        model = kind([layers.Input(sample), *made], name, dtype=assembly.dtype)
        model.set_weights(weights)
        return model


def _opset(model: Any) -> int:
    """Return the version of ONNX's own operators that a file has."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = package().defs.onnx_opset_version()
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= newest:
        had = " and ".join(map(shown, versions)) or "none"
        raise ValueError(
            f"its operators are of opset {had}; {MIN_OPSET} to {newest} are read, the last of which is the newest that "
            "the installed package onnx knows"
        )
    return int(versions[0])


def _dims(value: Any) -> list[int | None]:
    """Return the shape of the input, with None for a length that is left open."""
    if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
        raise ValueError(f"its input {shown(value.name)} is not an array of a known number of axes")
    dims = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in value.type.tensor_type.shape.dim
    ]
    if not 2 <= len(dims) <= 8:
        raise ValueError(f"its input has the shape {shown(dims)}; samples with at least one axis are needed")
    return dims


def _sample(dims: list[int | None], order: tuple[int, ...], given: Shape | None) -> Shape:
    """Return the shape of a sample, as tinycnn has it."""
    found: list[int | None] = [None] * (len(dims) - 1)
    for length, axis in zip(dims[1:], order[1:], strict=True):
        found[axis - 1] = length
    if given is not None:
        if len(given) != len(found) or any(
            length not in (None, other) for length, other in zip(found, given, strict=True)
        ):
            raise ValueError(f"input_shape is {given}, but the file's samples have the shape {shown(tuple(found))}")
        return given
    if None in found:
        raise ValueError(
            f"its samples have the shape {shown(tuple(found))}, with None for what the file leaves open; give the "
            "shape of yours, for example input_shape=(28, 28, 1)"
        )
    return checked_shape(tuple(found), "the shape of its input")


def _name(text: str | None, taken: set[str]) -> str | None:
    """Return the name of a layer or a model in a file that tinycnn wrote, or None to have it named by its class."""
    if not text or text in taken:
        return None
    try:
        name = checked_name(text)
    except ValueError:
        return None
    taken.add(name)
    return name
