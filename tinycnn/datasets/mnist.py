"""MNIST: 70,000 handwritten digits, 28×28 grey.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE 86 (1998); data by Y. LeCun, C. Cortes, C. J. C. Burges, CC BY-SA 3.0.
"""

from __future__ import annotations

from ..core.public import listing
from . import _idx_dataset
from ._formats import DataSet

__all__ = ["class_names", "load_data", "title"]
__dir__ = listing(__name__)

title = "MNIST"
class_names: tuple[str, ...] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

#: Base URLs. The authors' own page has refused downloads for years.
MIRRORS: tuple[str, ...] = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load_data() -> DataSet:
    """Load MNIST from ``TINYCNN_DATA``, the cache folder, or a mirror.

    Returns
    -------
    tuple
        ``((x_train, y_train), (x_test, y_test))``: uint8 (60000, 28, 28), int64 (60000,), uint8 (10000, 28, 28),
        int64 (10000,).

    Raises
    ------
    DataFileError
        If a file is truncated, corrupt or of another structure; the message names it.
    DownloadError
        If the data set is not on this machine and no mirror delivered it.
    """
    return _idx_dataset.load(title, "mnist", CHECKSUMS, MIRRORS)
