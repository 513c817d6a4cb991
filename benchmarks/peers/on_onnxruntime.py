"""ONNX Runtime, which only predicts, with a graph that is written here by ONNX's own helper functions.

The weights are random, because the speed does not depend on them (the statistics of batch normalization are 0 and 1).
"""

from itertools import cycle

import numpy as np

#: The version that PyTorch 2.13 and its contemporaries export; ONNX Runtime has had kernels for it for a long time.
OPSET = 18


def run(job, tick):
    """Predict batch after batch."""
    import onnxruntime

    if job.training:
        raise ValueError("the package of ONNX Runtime for processors has no training")
    model, weights = _graph(job)
    trained = [w for name, w in weights.items() if not name.startswith("moving")]
    job.check_parameters(sum(w.size for w in trained))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = job.threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x, _ = job.data(channels_first=True)
    for batch in cycle(job.split(x)):
        session.run(None, {"x": batch})
        tick()


def _graph(job):
    """Return the network as the bytes of an ONNX file, and its weights."""
    from onnx import TensorProto, checker, helper, numpy_helper

    operations, nodes, weights = job.operations, [], {}
    rng, name = np.random.default_rng(0), "x"
    for index, operation in enumerate(operations):
        kind, shapes, attributes = _node(operation)
        inputs = [name]
        for key, shape in shapes.items():
            inputs.append(f"{key}_{index}")
            weights[inputs[-1]] = _values(key, shape, rng)
        name = f"y_{index}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
    height, width, channels = job.model.input_shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [job.batch_size, channels, height, width])
    y = helper.make_tensor_value_info(name, TensorProto.FLOAT, [job.batch_size, *job.model.output_shape])
    initializers = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, job.network, [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    checker.check_model(model, full_check=True)
    return model.SerializeToString(), weights


def _node(operation):
    """Return the ONNX name of an operation, the shapes of its weights, and its attributes."""
    channels, units, size = operation.channels, operation.units, list(operation.size)
    match operation.kind:
        case "conv":
            top, bottom, left, right = operation.pads
            shapes = {"kernel": (units, channels, *size), "bias": (units,)}
            return "Conv", shapes, {"kernel_shape": size, "pads": [top, left, bottom, right]}
        case "pool":
            return "MaxPool", {}, {"kernel_shape": size, "strides": size}
        case "batchnorm":
            names = ("scale", "shift", "moving_mean", "moving_variance")
            return "BatchNormalization", dict.fromkeys(names, (channels,)), {"epsilon": 1e-3}
        case "dropout":
            return "Identity", {}, {}
        case "flatten":
            return "Flatten", {}, {}
        case "dense":
            return "Gemm", {"kernel": (channels, units), "bias": (units,)}, {}
        case "relu":
            return "Relu", {}, {}
        case "softmax":
            return "Softmax", {}, {"axis": -1}
    raise TypeError(f"the ONNX Runtime peer has no counterpart for {operation.kind}")


def _values(key, shape, rng):
    if key in ("scale", "moving_variance"):
        return np.ones(shape, np.float32)
    return rng.normal(0, 0.05 if key == "kernel" else 0, shape).astype(np.float32)
