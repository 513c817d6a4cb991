"""Chapter 5, written in other ways than the solutions."""

import numpy as np


def relu(x):
    return x * (x > 0)


def relu_dx(dy, y):
    return np.where(y > 0, dy, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_dx(dy, y):
    return dy * (y - y * y)


def fans(shape):
    return [int(np.prod(shape[:-1])), np.prod(shape[:-2]) * shape[-1]] if len(shape) > 2 else shape


def he_normal(z):
    return z * (2 / z[..., 0].size) ** 0.5


def glorot_uniform(u):
    KH, KW, C, F = u.shape
    a = (6 / (KH * KW * (C + F))) ** 0.5
    return -a + 2 * a * u


def counterexample():
    return [np.full((1, 1), 710.0)]
