"""The textbook: every kernel in plain NumPy, as close to its formula as code can be.

Read these first. The other backends are tested against them.
"""

from .activation import relu_backward, relu_forward, softmax_backward, softmax_forward
from .batchnorm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
)
from .conv import conv2d_backward_input, conv2d_backward_weights, conv2d_forward
from .dense import dense_backward_input, dense_backward_weights, dense_forward
from .dropout import dropout
from .loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .optimizer import adam_update, sgd_update
from .pool import max_pool2d_backward, max_pool2d_forward

__all__ = [
    "adam_update",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "conv2d_backward_input",
    "conv2d_backward_weights",
    "conv2d_forward",
    "dense_backward_input",
    "dense_backward_weights",
    "dense_forward",
    "dropout",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
]
