"""Chapter 6, written in other ways than the solutions."""

import numpy as np


def softmax(logits):
    p = np.empty_like(logits)
    for n, row in enumerate(logits):
        e = np.exp(row - max(row))
        p[n] = e / sum(e)
    return p


def cross_entropy(logits, labels):
    m = logits.max(-1)
    return m + np.log(np.exp(logits - m[:, None]).sum(-1)) - np.take_along_axis(logits, labels[:, None], 1)[:, 0]


def cross_entropy_dlogits(dlosses, p, labels):
    return (p - np.eye(p.shape[1])[labels]) * dlosses.reshape(-1, 1)


def cross_entropy_of_shares(logits, shares):
    m = logits.max(-1, keepdims=True)
    return (shares * (m + np.log(np.exp(logits - m).sum(-1, keepdims=True)) - logits)).sum(-1)


def softmax_dx(dy, y):
    return np.stack([(np.diag(q) - np.outer(q, q)) @ d for q, d in zip(y, dy, strict=True)])


def counterexample():
    return np.array([[0.0, 20.0]]), np.array([0])
