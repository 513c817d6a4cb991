"""Names for the types that stand in many signatures."""

from typing import Any

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]
Config = dict[str, Any]
