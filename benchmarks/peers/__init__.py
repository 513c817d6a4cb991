"""The frameworks that take turns. Each builds the network that it is told, with its own layers, and then never stops.

A peer's ``run(job, tick)`` builds the network and then repeats its step, which is a training step (forward, loss,
backward, Adam) or one prediction. It works on float32 images that are already in memory, in the layout that suits it
best, and calls ``tick`` after each step, when the result is available. ``tick`` ends the peer by raising SystemExit.
Every peer is written in the fastest of the ways in which its users would write it. If there were several ways, they
were measured, and the module says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from . import numpy_teaching, on_keras, on_onnxruntime, on_tinycnn, on_torch

if TYPE_CHECKING:
    from networks import Job

OURS, PREDICTOR, OURS_EVERYDAY = "tinycnn", "tinycnn_predictor", "tinycnn_everyday"
#: All the ways in which tinycnn takes part.
ALL_OURS = (OURS, PREDICTOR, OURS_EVERYDAY)


@dataclass(frozen=True)
class Peer:
    """A framework that takes part in the comparison.

    Attributes
    ----------
    title : str
        The name of the framework in tables.
    imports : tuple of str
        The modules that it needs.
    run : callable
        The function ``run(job, tick)``.
    environment : mapping
        The environment variables that must be set before the imports.
    """

    title: str
    imports: tuple[str, ...]
    run: Callable[["Job", Callable[[], None]], None]
    environment: Mapping[str, str] = field(default_factory=dict)


def _keras(title: str, backend: str, run: Callable[["Job", Callable[[], None]], None]) -> Peer:
    return Peer(title, (backend, "keras"), run, {"KERAS_BACKEND": backend})


PEERS = {
    OURS: Peer("tinycnn", ("tinycnn", "tinycnn.kernels.cpu"), on_tinycnn.run),
    PREDICTOR: Peer("its predictor", ("tinycnn", "tinycnn.kernels.cpu"), partial(on_tinycnn.run, frozen=True)),
    OURS_EVERYDAY: Peer("tinycnn", ("tinycnn", "tinycnn.kernels.cpu"), partial(on_tinycnn.run, everyday=True)),
    "torch_nchw": Peer("PyTorch, NCHW", ("torch",), on_torch.run),
    "torch_nhwc": Peer("PyTorch, NHWC", ("torch",), partial(on_torch.run, channels_last=True)),
    "torch_compile": Peer("torch.compile, NHWC", ("torch",), partial(on_torch.run, channels_last=True, compiled=True)),
    "keras_tensorflow": _keras("Keras on TensorFlow", "tensorflow", on_keras.run_tensorflow),
    "keras_jax": _keras("Keras on JAX", "jax", on_keras.run_jax),
    "torch_everyday": Peer("PyTorch, DataLoader", ("torch",), partial(on_torch.run, everyday=True)),
    "keras_tensorflow_everyday": _keras("Keras on TensorFlow, `fit`", "tensorflow", on_keras.run_fit),
    "keras_jax_everyday": _keras("Keras on JAX, `fit`", "jax", on_keras.run_fit),
    "onnxruntime": Peer("ONNX Runtime", ("onnx", "onnxruntime"), on_onnxruntime.run),
    "numpy_teaching": Peer("NumPy, as in a textbook", ("numpy",), numpy_teaching.run),
}

TRAINERS = ("torch_nchw", "torch_nhwc", "torch_compile", "keras_tensorflow", "keras_jax")
#: The same as a tutorial writes it.
EVERYDAY = ("torch_everyday", "keras_tensorflow_everyday", "keras_jax_everyday")
PREDICTORS = (*TRAINERS, "onnxruntime")
