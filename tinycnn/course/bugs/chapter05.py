"""Chapter 5's bug hunt: a sigmoid that is right for all numbers of a small network."""

import numpy as np


def broken_sigmoid(x):
    e = np.exp(x)
    return e / (1 + e)
