"""Chapter 9's bug hunt: an Adam that is right for a single weight."""

import numpy as np


def broken_adam(w, dw, m, v, step):
    rate, beta_1, beta_2, epsilon = 0.1, 0.9, 0.999, 1e-7
    m = beta_1 * m + (1 - beta_1) * dw
    v = beta_2 * v + (1 - beta_2) * dw @ dw
    a = rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
    return w - a * m / (np.sqrt(v) + epsilon)
