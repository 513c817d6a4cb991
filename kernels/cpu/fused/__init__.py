"""What a plan uses beyond the kernels that every backend has: several of them in one launch.

These exist for this backend only. Each is defined as a composition of kernels of ``reference``.
"""

from .adam import AdamTogether
from .conv_pool import conv2d_stage_backward, conv2d_stage_forward

__all__ = ["AdamTogether", "conv2d_stage_backward", "conv2d_stage_forward"]
