"""Several kernels in one launch, for a plan of layers, and many launches in one call.

Only this backend has these. Each kernel is defined as a composition of kernels of ``reference``.
"""

from ..machine.program import Program
from .conv_norm import LEAST_IMAGES, conv2d_norm_stage_backward, conv2d_norm_stage_forward
from .conv_pool import conv2d_stage_backward, conv2d_stage_forward
from .lane_dropout import lane_dropout
from .lane_norm import lane_norm_backward, lane_norm_forward, lane_norm_inference_forward
from .lanes import LANES, from_lanes, lanes_shape, to_lanes
from .together import AdamTogether, DescentTogether

__all__ = [
    "LANES",
    "LEAST_IMAGES",
    "AdamTogether",
    "DescentTogether",
    "Program",
    "conv2d_norm_stage_backward",
    "conv2d_norm_stage_forward",
    "conv2d_stage_backward",
    "conv2d_stage_forward",
    "from_lanes",
    "lane_dropout",
    "lane_norm_backward",
    "lane_norm_forward",
    "lane_norm_inference_forward",
    "lanes_shape",
    "to_lanes",
]
