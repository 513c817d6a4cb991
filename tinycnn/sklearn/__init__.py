"""Networks as scikit-learn's classifiers, for its pipelines, cross-validation and searches.

The extra ``sklearn`` installs what this module needs: ``pip install "tinycnn[sklearn]"``.

>>> from sklearn.datasets import load_digits
>>> from sklearn.model_selection import cross_val_score
>>> from tinycnn.sklearn import CNNClassifier
>>> x, y = load_digits(n_class=3, return_X_y=True)
>>> network = CNNClassifier("ladder_03", epochs=10, batch_size=32, random_state=0)
>>> bool(cross_val_score(network, x / 16, y, cv=3).min() > 0.95)
True
"""

from ..core.public import listing

#: The oldest version with which the tests pass; it is the first one with tags for estimators.
OLDEST = (1, 6)

try:
    import sklearn.base as _base  # noqa: F401  (a folder of that name, which Python would take for it, has none)
    from sklearn import __version__ as _version
except ModuleNotFoundError as _error:
    if str(_error.name).partition(".")[0] != "sklearn":
        raise
    raise ModuleNotFoundError(
        'tinycnn.sklearn needs scikit-learn: pip install "tinycnn[sklearn]"', name="sklearn"
    ) from _error
if tuple(map(int, _version.split(".")[:2])) < OLDEST:
    raise ImportError(
        f"tinycnn.sklearn needs scikit-learn {OLDEST[0]}.{OLDEST[1]} or newer, and {_version} is installed: "
        'pip install "tinycnn[sklearn]"'
    )

from .classifier import CNNClassifier  # noqa: E402  (scikit-learn has to be there first)

__all__ = ["CNNClassifier"]
__dir__ = listing(__name__)
