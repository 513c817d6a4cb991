"""Training on several processes or machines that MPI connects; ``fit(distributed=...)`` is the way in.

Every process, called a rank, holds the model and the data and computes a part of each batch. Rank 0 alone prints, saves
and runs callbacks. :doc:`/distributed` says how to start such a job.
"""

from ..core.public import listing
from .parallel import DataParallel
from .ranks import rank, size

__all__ = ["DataParallel", "rank", "size"]

__dir__ = listing(__name__)
