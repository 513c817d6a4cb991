"""Find the row of steps in an ONNX graph, or list everything that keeps it from being one."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ..core.messages import shown
from . import by_values
from .constants import COMPUTED, Constants
from .nodes import Node

#: The most operators of a file. One with a thousand layers has about four thousand.
MAX_NODES = 10_000
#: The most characters in which an error lists what is not supported, so that it can be read.
_MAX_TEXT = 1500
_NO_BRANCHES = (
    "it joins two branches, and a Sequential has none; a network of the layers before or after it can be read"
)
_QUANTIZED = "it computes with whole numbers; export the network before it is quantized"
_RECURRENT = "tinycnn has no recurrent layers"
_ATTENTION = "tinycnn has no attention"
#: What is nearest to an operator that is not supported.
NEAREST: Mapping[str, str] = {
    "Concat": _NO_BRANCHES,
    "ConvInteger": _QUANTIZED,
    "ConvTranspose": "tinycnn has no transposed convolution; the nearest is Conv2D",
    "DequantizeLinear": _QUANTIZED,
    "GRU": _RECURRENT,
    "GroupNormalization": "the nearest is BatchNormalization, with the statistics of a batch",
    "HardSigmoid": "the nearest is the activation sigmoid",
    "HardSwish": "the nearest is the activation gelu",
    "Hardmax": "the nearest is Softmax",
    "If": "tinycnn has no conditions; export the network for inference",
    "InstanceNormalization": "the nearest is BatchNormalization, with the statistics of a batch",
    "LRN": "the nearest is BatchNormalization",
    "LSTM": _RECURRENT,
    "LayerNormalization": "the nearest is BatchNormalization, with the statistics of a batch",
    "LogSoftmax": "the nearest is Softmax; its logarithm is the same",
    "Loop": "tinycnn has no loops",
    "LpPool": "the nearest is AveragePooling2D",
    "MatMulInteger": _QUANTIZED,
    "MaxUnpool": "tinycnn does not undo pooling",
    "Mish": "the nearest is the activation gelu",
    "MultiHeadAttention": _ATTENTION,
    "QLinearConv": _QUANTIZED,
    "QuantizeLinear": _QUANTIZED,
    "RNN": _RECURRENT,
    "Resize": "tinycnn does not change the size of images but by pooling and strides",
    "Scan": "tinycnn has no loops",
    "Selu": "the nearest is ELU, which has no factor for positive numbers",
    "Softplus": "the nearest is the activation relu",
    "Softsign": "the nearest is the activation tanh",
    "Split": "a Sequential has no branches",
    "Swish": "the nearest is the activation gelu",
    "ThresholdedRelu": "the nearest is ReLU",
    "Upsample": "tinycnn does not change the size of images but by pooling and strides",
    "com.microsoft.FusedConv": "ONNX Runtime wrote this file for itself; use the one that it was made from",
    "com.microsoft.Gelu": "ONNX Runtime wrote this file for itself; use the one that it was made from",
}


class Step(NamedTuple):
    """A node that the network's data pass through, or several that together are one activation.

    Attributes
    ----------
    node : Node
        The node, or the first one of several.
    activation : (str, float) or None
        The name of the activation that several nodes are, and a factor that its result is multiplied by.
    fixed : tuple of Node
        The nodes before it that compute constants.
    result : str
        The name of what comes out.
    """

    node: Node
    activation: tuple[str, float] | None
    fixed: tuple[Node, ...]
    result: str


def find(nodes: list[Node], start: str, end: str, constants: Constants, known: Collection[str]) -> list[Step]:
    """Return the steps from the input of a graph to its output.

    Parameters
    ----------
    nodes : list of Node
        All nodes of the graph.
    start, end : str
        The names of the input and of the output.
    constants : Constants
        The arrays in the file.
    known : collection of str
        The operators that can become layers.

    Raises
    ------
    ValueError
        If the nodes are not in order, or if there are operators or branches that tinycnn does not have: all of them are
        listed.
    """
    if len(nodes) > MAX_NODES:
        raise ValueError(f"it has {len(nodes)} operators, more than {MAX_NODES}")
    _check_order(nodes, start, end, constants)
    nodes = _leading_to(end, nodes)
    data = {start}
    moving: list[tuple[Node, list[str]]] = []
    fixed_before: dict[int, list[Node]] = {}
    problems: list[str] = []
    for node in nodes:
        depends = [name for name in node.inputs if name in data]
        if depends and node.operator not in ("Shape", "Size"):
            moving.append((node, depends))
            data.add(node.outputs[0])
        elif node.operator not in COMPUTED:
            problems.append(f"{node.label}: it computes an array from constants, in a way that is not supported")
        elif not depends and all(name in constants for name in node.inputs if name):
            constants.fold(node)
        else:  # it depends on a shape, which is known only when the layers before it are
            fixed_before.setdefault(len(moving), []).append(node)
    steps = _cut(moving, fixed_before, start, end, constants, known, problems)
    if problems:
        _refuse(problems, len(nodes))
    return steps


def _check_order(nodes: list[Node], start: str, end: str, constants: Constants) -> None:
    """Raise a ValueError unless each node reads what is there before it, and no array is made twice."""
    made = {start, ""}
    for node in nodes:
        for name in node.inputs:
            if name not in made and name not in constants:
                raise ValueError(
                    f"{node.label}: nothing before it makes {shown(name)}; the file lacks an array, or its nodes go in "
                    "a circle"
                )
        for name in node.outputs:
            if name and (name in made or name in constants):
                raise ValueError(f"{node.label}: it makes {shown(name)}, which is there already")
            made.add(name)
    if end not in made or end == "":
        raise ValueError(f"nothing makes its output {shown(end)}")


def _leading_to(end: str, nodes: list[Node]) -> list[Node]:
    """Return those nodes that the output depends on."""
    needed, found = {end}, []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(filter(None, node.inputs))
            found.append(node)
    return found[::-1]


def _cut(
    moving: list[tuple[Node, list[str]]],
    fixed_before: dict[int, list[Node]],
    start: str,
    end: str,
    constants: Constants,
    known: Collection[str],
    problems: list[str],
) -> list[Step]:
    """Cut the nodes that data pass through wherever a single array leads from one part to the next."""
    readers: dict[str, int] = {end: 1}
    for _, depends in moving:
        for name in depends:
            readers[name] = readers.get(name, 0) + 1
    open_ends = {start: readers.get(start, 0)}
    steps: list[Step] = []
    group: list[tuple[Node, list[str]]] = []
    fixed: list[Node] = []
    source = start
    for number, (node, depends) in enumerate(moving):
        group.append((node, depends))
        fixed += fixed_before.get(number, [])
        for name in depends:
            if name in open_ends:
                open_ends[name] -= 1
                if not open_ends[name]:
                    del open_ends[name]
        result = node.outputs[0]
        open_ends[result] = readers.get(result, 0)
        _check_only_first_is_read(node, readers, problems)
        if len(open_ends) == 1:
            steps.append(_step(group, tuple(fixed), source, result, constants, known, problems))
            group, fixed, source = [], [], result
    if source != end:
        raise ValueError(f"its output {shown(end)} does not depend on its input {shown(start)}")
    return steps


def _check_only_first_is_read(node: Node, readers: dict[str, int], problems: list[str]) -> None:
    for name in node.outputs[1:]:
        if readers.get(name):
            problems.append(f"{node.label}: its second result, {shown(name)}, is used; tinycnn has only the first")


def _step(
    group: list[tuple[Node, list[str]]],
    fixed: tuple[Node, ...],
    source: str,
    result: str,
    constants: Constants,
    known: Collection[str],
    problems: list[str],
) -> Step:
    """Return the step for some nodes; add to ``problems`` what keeps them from being one."""
    first = group[0][0]
    if len(group) == 1 and len(group[0][1]) == 1:
        if first.operator not in known:
            problems.append(_not_supported(first))
        return Step(first, None, fixed, result)
    activation = by_values.activation([node for node, _ in group], source, result, constants)
    if activation is None:
        for node, depends in group:
            if len(depends) > 1:
                problems.append(f"{node.label}: {_NO_BRANCHES}")
            elif node.operator not in known:
                problems.append(_not_supported(node))
    return Step(first, activation, fixed, result)


def _not_supported(node: Node) -> str:
    return f"{node.label}: {NEAREST.get(node.operator, 'there is no such layer, and none that is near to it')}"


def _refuse(problems: list[str], count: int) -> None:
    """Raise the error that lists everything."""
    text = ""
    for number, problem in enumerate(problems):
        if len(text) + len(problem) > _MAX_TEXT:
            text += f"\n- and {len(problems) - number} more"
            break
        text += f"\n- {problem}"
    raise ValueError(f"{len(problems)} of its {count} operators have no equivalent in a Sequential:{text}")
