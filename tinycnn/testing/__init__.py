"""Prove that a layer's backward is the derivative of its forward, for tinycnn's layers and for your own.

>>> import numpy as np
>>> from tinycnn import layers, testing
>>> x = np.random.default_rng(0).normal(size=(2, 5, 5, 3))
>>> report = testing.check_gradients(layers.Conv2D(4, 3), x)
>>> report.ok
True

``testing.strategies`` draws layers, geometries and networks for Hypothesis (``pip install "tinycnn[test]"``).
"""

import importlib
from typing import Any

from ..core.public import listing
from .contract import assert_layer_contract
from .gradcheck import check_gradients
from .networks import check_directional, model_report
from .report import GradientReport

__all__ = [
    "GradientReport",
    "assert_layer_contract",
    "check_directional",
    "check_gradients",
    "model_report",
    "strategies",
]
__dir__ = listing(__name__)


def __getattr__(name: str) -> Any:
    """Import ``strategies`` when it is first asked for, because only this part needs Hypothesis."""
    if name != "strategies":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(".strategies", __name__)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ModuleNotFoundError('testing.strategies needs Hypothesis: pip install "tinycnn[test]"') from error
