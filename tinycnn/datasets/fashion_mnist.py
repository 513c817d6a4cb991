"""Fashion-MNIST: 70,000 articles of clothing, 28×28 grey, in MNIST's layout.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747 (2017); MIT licence. Class names: table 2.
"""

from __future__ import annotations

from ..core.public import listing
from . import _idx_dataset
from ._formats import DataSet

__all__ = ["class_names", "load_data", "title"]
__dir__ = listing(__name__)

title = "Fashion-MNIST"
class_names: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

#: Base URLs. The authors' second address only supports plain HTTP; the checksums verify what it delivers.
MIRRORS: tuple[str, ...] = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


def load_data() -> DataSet:
    """Load Fashion-MNIST from ``TINYCNN_DATA``, the cache folder, or a mirror.

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
    return _idx_dataset.load(title, "fashion-mnist", CHECKSUMS, MIRRORS)
