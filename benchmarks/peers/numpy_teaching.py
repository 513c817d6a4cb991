"""An engine as a good textbook builds it: layers with ``forward`` and ``backward`` in plain NumPy.

It uses im2col over the whole batch, and it shows how much the compiled kernels gain. It was written for this comparison
in the manner of Saito, "Deep Learning from Scratch" (O'Reilly, 2016), chapters 5 to 7: images are (N, C, H, W), each
layer is one matrix product, and Adam works on a list of parameters.
"""

from itertools import cycle

import numpy as np


def run(job, tick):
    """Train step after step."""
    if not job.training:
        raise ValueError("the textbook engine only takes part in training; leave it out of --peers")
    rng = np.random.default_rng(0)
    layers = [_layer(operation, rng) for operation in job.operations]
    parameters = [p for layer in layers for p in getattr(layer, "params", ())]
    job.check_parameters(sum(p.size for p in parameters))
    x, y = job.data(channels_first=True)
    adam = Adam(parameters)
    for images, labels in cycle(zip(job.split(x), job.split(y), strict=True)):
        for layer in layers:
            images = layer.forward(images)
        dout = softmax_with_loss(images, labels)[1]
        for layer in reversed(layers):
            dout = layer.backward(dout)
        adam.update([g for layer in layers for g in getattr(layer, "grads", ())])
        tick()


def _layer(operation, rng):
    channels, units = operation.channels, operation.units
    match operation.kind:
        case "conv":
            return Convolution(_he(rng, (units, channels, *operation.size)), operation.pads[0])
        case "dense":
            return Affine(_he(rng, (units, channels)).T.copy())
        case "pool":
            return Pooling(operation.size[0])
        case "relu":
            return Relu()
        case "dropout":
            return Dropout(operation.rate, rng)
        case "flatten":
            return Flatten()
    raise TypeError(f"the textbook engine has no {operation.kind}")


def _he(rng, shape):
    return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)


def im2col(images, size, stride, pad):
    """Return every window of every image as a row of a matrix of shape (N·OH·OW, C·KH·KW)."""
    N, C, H, W = images.shape
    OH, OW = (H + 2 * pad - size) // stride + 1, (W + 2 * pad - size) // stride + 1
    padded = np.pad(images, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    cols = np.zeros((N, C, size, size, OH, OW), images.dtype)
    for p in range(size):
        for q in range(size):
            cols[:, :, p, q] = padded[:, :, p : p + stride * OH : stride, q : q + stride * OW : stride]
    return cols.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def col2im(cols, shape, size, stride, pad):
    """Add every row back to the place of its window."""
    N, C, H, W = shape
    OH, OW = (H + 2 * pad - size) // stride + 1, (W + 2 * pad - size) // stride + 1
    cols = cols.reshape(N, OH, OW, C, size, size).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((N, C, H + 2 * pad + stride - 1, W + 2 * pad + stride - 1), cols.dtype)
    for p in range(size):
        for q in range(size):
            padded[:, :, p : p + stride * OH : stride, q : q + stride * OW : stride] += cols[:, :, p, q]
    return padded[:, :, pad : pad + H, pad : pad + W]


class Convolution:
    def __init__(self, w, pad):
        self.params, self.pad = [w, np.zeros(len(w), w.dtype)], pad

    def forward(self, x):
        w, b = self.params
        self.shape, size = x.shape, w.shape[2]
        OH, OW = (length + 2 * self.pad - size + 1 for length in x.shape[2:])
        self.cols = im2col(x, size, 1, self.pad)
        y = self.cols @ w.reshape(len(w), -1).T + b
        return y.reshape(len(x), OH, OW, -1).transpose(0, 3, 1, 2)

    def backward(self, dout):
        w, _ = self.params
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, len(w))
        self.grads = [(self.cols.T @ dout).T.reshape(w.shape), dout.sum(axis=0)]
        return col2im(dout @ w.reshape(len(w), -1), self.shape, w.shape[2], 1, self.pad)


class Affine:
    def __init__(self, w):
        self.params = [w, np.zeros(w.shape[1], w.dtype)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads = [self.x.T @ dout, dout.sum(axis=0)]
        return dout @ self.params[0].T


class Pooling:
    def __init__(self, size):
        self.size = size

    def forward(self, x):
        N, C, H, W = self.shape = x.shape
        cols = im2col(x, self.size, self.size, 0).reshape(-1, self.size**2)
        self.winner = cols.argmax(axis=1)
        return cols.max(axis=1).reshape(N, H // self.size, W // self.size, C).transpose(0, 3, 1, 2)

    def backward(self, dout):
        cols = np.zeros((dout.size, self.size**2), dout.dtype)
        cols[np.arange(dout.size), self.winner] = dout.transpose(0, 2, 3, 1).reshape(-1)
        return col2im(cols, self.shape, self.size, self.size, 0)


class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Dropout:
    def __init__(self, rate, rng):
        self.rate, self.rng = rate, rng

    def forward(self, x):
        self.mask = self.rng.random(x.shape, np.float32) >= self.rate
        return x * self.mask / np.float32(1 - self.rate)

    def backward(self, dout):
        return dout * self.mask / np.float32(1 - self.rate)


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout):
        return dout.reshape(self.shape)


def softmax_with_loss(x, labels):
    """Return the mean cross-entropy and its gradient with respect to the scores."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(p[rows, labels] + 1e-7).mean()
    p[rows, labels] -= 1
    return loss, p / np.float32(len(x))


class Adam:
    def __init__(self, params, rate=0.001, beta1=0.9, beta2=0.999):
        self.params, self.rate, self.beta1, self.beta2, self.t = params, rate, beta1, beta2, 0
        self.m, self.v = ([np.zeros_like(p) for p in params] for _ in range(2))

    def update(self, grads):
        self.t += 1
        rate = np.float32(self.rate * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t))
        for p, g, m, v in zip(self.params, grads, self.m, self.v, strict=True):
            m += np.float32(1 - self.beta1) * (g - m)
            v += np.float32(1 - self.beta2) * (g**2 - v)
            p -= rate * m / (np.sqrt(v) + np.float32(1e-7))
