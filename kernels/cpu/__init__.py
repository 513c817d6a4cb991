"""The fast backend: Numba, parallel over chunks whose number depends on shapes only.

Same names, signatures and meanings as ``reference``, whose docstrings hold the formulas; here they tell what makes a
kernel fast. Each kernel is a thin Python function (checks, layouts, memory) around a jitted one. The same inputs give
the same bits for any number of threads.
"""

from .activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softmax_backward,
    softmax_forward,
    tanh_backward,
    tanh_forward,
)
from .augment import blur_images, cut_out_images, warp_images
from .batchnorm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
)
from .conv import conv2d_backward_input, conv2d_backward_weights, conv2d_forward
from .dense import dense_backward_input, dense_backward_weights, dense_forward
from .dropout import dropout, gaussian_noise
from .loss import (
    categorical_cross_entropy_backward,
    categorical_cross_entropy_forward,
    mean_squared_error_backward,
    mean_squared_error_forward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from .optimizer import adam_update, clip_gradient, gradient_norm, rmsprop_update, scale_gradient, sgd_update
from .pool import average_pool2d_backward, average_pool2d_forward, max_pool2d_backward, max_pool2d_forward

__all__ = [
    "adam_update",
    "average_pool2d_backward",
    "average_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "blur_images",
    "categorical_cross_entropy_backward",
    "categorical_cross_entropy_forward",
    "clip_gradient",
    "conv2d_backward_input",
    "conv2d_backward_weights",
    "conv2d_forward",
    "cut_out_images",
    "dense_backward_input",
    "dense_backward_weights",
    "dense_forward",
    "dropout",
    "elu_backward",
    "elu_forward",
    "gaussian_noise",
    "gelu_backward",
    "gelu_forward",
    "gradient_norm",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "relu_backward",
    "relu_forward",
    "rmsprop_update",
    "scale_gradient",
    "sgd_update",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
    "warp_images",
]
