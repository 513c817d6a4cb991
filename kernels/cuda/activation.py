"""Activations: a thread per element; softmax: a thread per row. See ``reference.activation`` for formulas and sources.

These are the simplest kernels there are. ``cuda.grid(1)`` is this thread's number among all threads of the launch, and
``cuda.gridsize(1)`` is how many there are. As each thread goes through the elements in such strides, neighbouring
threads always touch neighbouring numbers, which the memory serves in one piece ("coalesced").

``number`` is the floating type to compute in (``x.dtype.type``): a literal such as 0.5 would turn float32 into float64
in compiled code.
"""

import math

from ._arrays import deliver, operand, target
from ._device import cuda, helper, kernel, spread

__all__ = [
    "elu_backward",
    "elu_forward",
    "gelu_backward",
    "gelu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]

ROOT_HALF = 0.5**0.5
ROOT_TWO_PI = (2 * math.pi) ** 0.5


@helper
def relu(x, number):
    """Return ReLU of x; NaN stays NaN."""
    return number(0) if x <= number(0) else x


@helper
def elu(x, alpha, number):
    """Return ELU of x: ``alpha * (exp(x) - 1)`` on the left."""
    return x if x > number(0) else alpha * math.expm1(x)


@helper
def sigmoid(x, number):
    """Return the sigmoid of x, written with ``exp(-|x|)``, which cannot overflow."""
    e = math.exp(-abs(x))
    return (e if x < number(0) else number(1)) / (number(1) + e)


@helper
def normal_share(x, number):
    """Return the probability that a standard normal variable is below x."""
    return number(0.5) * math.erfc(-x * number(ROOT_HALF))


@helper
def gelu_slope(x, number):
    """Return the derivative of ``x * normal_share(x)``."""
    density = math.exp(-number(0.5) * x * x) / number(ROOT_TWO_PI)
    return normal_share(x, number) + x * density


def relu_forward(x, out=None, work=None):
    """See :func:`reference.relu_forward`. ``out`` may be x."""
    return _forward(_relu, x, out)


def relu_backward(dy, y, out=None, work=None):
    """See :func:`reference.relu_backward`. ``out`` may be dy."""
    return _backward(_relu_gradient, dy, y, out)


def leaky_relu_forward(x, negative_slope, out=None, work=None):
    """See :func:`reference.leaky_relu_forward`. ``out`` may be x."""
    return _forward(_leaky_relu, x, out, negative_slope)


def leaky_relu_backward(dy, y, negative_slope, out=None, work=None):
    """See :func:`reference.leaky_relu_backward`. ``out`` may be dy."""
    return _backward(_leaky_relu_gradient, dy, y, out, negative_slope)


def elu_forward(x, alpha, out=None, work=None):
    """See :func:`reference.elu_forward`. ``out`` may be x."""
    return _forward(_elu, x, out, alpha)


def elu_backward(dy, y, alpha, out=None, work=None):
    """See :func:`reference.elu_backward`. ``out`` may be dy."""
    return _backward(_elu_gradient, dy, y, out, alpha)


def sigmoid_forward(x, out=None, work=None):
    """See :func:`reference.sigmoid_forward`. ``out`` may be x."""
    return _forward(_sigmoid, x, out)


def sigmoid_backward(dy, y, out=None, work=None):
    """See :func:`reference.sigmoid_backward`. ``out`` may be dy."""
    return _backward(_sigmoid_gradient, dy, y, out)


def tanh_forward(x, out=None, work=None):
    """See :func:`reference.tanh_forward`. ``out`` may be x."""
    return _forward(_tanh, x, out)


def tanh_backward(dy, y, out=None, work=None):
    """See :func:`reference.tanh_backward`. ``out`` may be dy."""
    return _backward(_tanh_gradient, dy, y, out)


def gelu_forward(x, out=None, work=None):
    """See :func:`reference.gelu_forward`. ``out`` may be x."""
    return _forward(_gelu, x, out)


def gelu_backward(dy, x, out=None, work=None):
    """See :func:`reference.gelu_backward`. ``out`` may be dy."""
    return _backward(_gelu_gradient, dy, x, out, name="x")


def softmax_forward(x, out=None, work=None):
    """Go along each row three times; see :func:`reference.softmax_forward`. ``out`` may be x."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    if x.size:
        spread(_softmax, x.size // x.shape[-1], x, y, x.shape[-1])
    return deliver(y, out)


def softmax_backward(dy, y, out=None, work=None):
    """Go along each row twice; see :func:`reference.softmax_backward`. ``out`` may be dy."""
    dy = operand("dy", dy)
    y = operand("y", y, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (y,), same=(dy,))
    if dy.size:
        spread(_softmax_gradient, dy.size // dy.shape[-1], dy, y, dx, dy.shape[-1])
    return deliver(dx, out)


def _forward(function, x, out, *constants):
    """Compute y in one launch over all elements."""
    x = operand("x", x)
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    spread(function, x.size, x, *map(x.dtype.type, constants), y)
    return deliver(y, out)


def _backward(function, dy, kept, out, *constants, name="y"):
    """Compute dx in one launch over all elements; errors call ``kept`` by ``name``."""
    dy = operand("dy", dy)
    kept = operand(name, kept, dtype=dy.dtype, shape=dy.shape)
    dx = target("out", out, dy.shape, dy.dtype, (), same=(dy, kept))
    spread(function, dy.size, dy, kept, *map(dy.dtype.type, constants), dx)
    return deliver(dx, out)


@kernel
def _relu(count, x, y):
    """Compute one element of ReLU."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = relu(x[i], x.dtype.type)


@kernel
def _relu_gradient(count, dy, y, dx):
    """Compute one element of ReLU's gradient."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] if y[i] > 0 else dy.dtype.type(0)


@kernel
def _leaky_relu(count, x, slope, y):
    """Compute one element of leaky ReLU."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@kernel
def _leaky_relu_gradient(count, dy, y, slope, dx):
    """Compute one element of leaky ReLU's gradient."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] if y[i] > 0 else slope * dy[i]


@kernel
def _elu(count, x, alpha, y):
    """Compute one element of ELU."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = elu(x[i], alpha, x.dtype.type)


@kernel
def _elu_gradient(count, dy, y, alpha, dx):
    """Compute one element of ELU's gradient."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] if y[i] > 0 else dy[i] * (y[i] + alpha)


@kernel
def _sigmoid(count, x, y):
    """Compute one element of the sigmoid."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = sigmoid(x[i], x.dtype.type)


@kernel
def _sigmoid_gradient(count, dy, y, dx):
    """Compute one element of the sigmoid's gradient."""
    one = dy.dtype.type(1)
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] * (y[i] * (one - y[i]))


@kernel
def _tanh(count, x, y):
    """Compute one element of tanh."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = math.tanh(x[i])


@kernel
def _tanh_gradient(count, dy, y, dx):
    """Compute one element of tanh's gradient."""
    one = dy.dtype.type(1)
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] * (one - y[i] * y[i])


@kernel
def _gelu(count, x, y):
    """Compute one element of gelu."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        y[i] = x[i] * normal_share(x[i], x.dtype.type)


@kernel
def _gelu_gradient(count, dy, x, dx):
    """Compute one element of gelu's gradient."""
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        dx[i] = dy[i] * gelu_slope(x[i], x.dtype.type)


@kernel
def _softmax(rows, x, y, classes):
    """Compute softmax of one row."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        start = row * classes
        largest = largest_of(x, start, classes)
        total = x.dtype.type(0)
        for k in range(start, start + classes):
            y[k] = math.exp(x[k] - largest)
            total += y[k]
        for k in range(start, start + classes):
            y[k] /= total


@helper
def largest_of(x, start, count):
    """Return the largest number of a row; NaN if there is one."""
    largest = x[start]
    for k in range(start, start + count):
        if not x[k] <= largest:
            largest = x[k]
    return largest


@kernel
def _softmax_gradient(rows, dy, y, dx, classes):
    """Compute the gradient of softmax for one row."""
    for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
        start = row * classes
        mean = dy.dtype.type(0)
        for k in range(start, start + classes):
            mean += dy[k] * y[k]
        for k in range(start, start + classes):
            dx[k] = y[k] * (dy[k] - mean)
