"""Chapter 6's bug hunt: a cross-entropy that is right as long as the network is not badly wrong."""

import numpy as np


def broken_cross_entropy(logits, labels):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p = np.maximum(p, 1e-7)
    return -np.log(p[np.arange(len(p)), labels])
