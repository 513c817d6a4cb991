"""Chapter 8's bug hunt: a dropout that is right at the rate that everybody tries."""

import numpy as np


def broken_dropout(x, u, rate):
    keep = u >= rate
    return np.where(keep, x / rate, 0.0)
