"""Noise that is a hash of each element's number: it needs no memory and no order. See ``reference.dropout``."""

import math

import numpy as np
from llvmlite import ir

from ..counter_hash import GOLDEN, HALF_OPEN, UNIFORM_BITS, WIDE_SHIFT, keep_threshold, key_of, mix
from .machine.arrays import CHUNK, deliver, operand, pieces, target
from .machine.jit import helper
from .machine.memory import copy
from .machine.parallel import parallel
from .machine.vectors import VectorWriter
from .machine.written import written

__all__ = ["dropout", "gaussian_noise"]

_INDEX = ir.IntType(64)
SHIFT = np.uint64(64 - UNIFORM_BITS)
hash_of = helper(mix)  # compiled from the source that NumPy runs


def dropout(x, rate, seed, step, out=None, work=None):
    """Hash, compare and scale in one pass; see :func:`reference.dropout`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= rate < 1:
        raise ValueError(f"rate must lie in [0, 1); got {rate}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    scale, threshold = x.dtype.type(1 / (1 - rate)), np.uint64(keep_threshold(rate))
    chunks, in_place = pieces(x.size, CHUNK), np.may_share_memory(x, y)
    arguments = x.reshape(-1), in_place, y.reshape(-1), scale, threshold, key_of(seed, step)
    _dropout.launch(chunks, *arguments, renewed=[(5, key_for(seed, step))])
    return deliver(y, out)


def gaussian_noise(x, stddev, seed, step, out=None, work=None):
    """Hash twice, transform and add in one pass; see :func:`reference.gaussian_noise`. ``out`` may be x."""
    x = operand("x", x)
    if not 0 <= stddev < math.inf:
        raise ValueError(f"stddev must be finite and not negative; got {stddev}")
    y = target("out", out, x.shape, x.dtype, (), same=(x,))
    chunks, key = pieces(x.size, CHUNK), key_of(seed, step)
    arguments = x.reshape(-1), y.reshape(-1), float(stddev), key
    _gaussian_noise.launch(chunks, *arguments, renewed=[(3, key_for(seed, step))])
    return deliver(y, out)


def key_for(seed, step):
    """Return the function that computes the key anew when a program runs.

    The step of a part of a batch has a method ``of``, which says what it is at another step of training.
    """
    of = getattr(step, "of", int)
    return lambda now: key_of(seed, of(now.step))


@parallel
def _dropout(chunk, worker, x, in_place, y, scale, threshold, key):
    """Drop elements of a chunk, which is copied and then changed in place (see ``activation._gate``)."""
    start, stop = chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)
    if not in_place:
        copy(y, start, x, start, stop - start)
    drop(y, start, stop - start, key + np.uint64(start + 1) * GOLDEN, GOLDEN, scale, threshold)


class _Hash:
    """A vector of 64-bit numbers whose arithmetic writes instructions, so that :func:`.counter_hash.mix` takes it."""

    def __init__(self, write, value):
        self.write, self.value = write, value

    def __xor__(self, other):
        return _Hash(self.write, self.write.builder.xor(self.value, other.value))

    def __rshift__(self, count):
        return _Hash(self.write, self.write.builder.lshr(self.value, self.write.spread(_INDEX(int(count)))))

    def __mul__(self, factor):
        return _Hash(self.write, self.write.builder.mul(self.value, self.write.spread(_INDEX(int(factor)))))


def _drop_in_python(y, start, count, counter, apart, scale, threshold):
    with np.errstate(over="ignore"):
        draws = mix(counter + np.arange(count, dtype=np.uint64) * apart) >> SHIFT
    row = y[start : start + count]
    row[...] = np.where(draws >= threshold, row * scale, 0)


@written(_drop_in_python, VectorWriter)
def drop(write, y, count, counter, apart, scale, threshold):
    """Drop some of ``count`` elements, and scale the others.

    Parameters
    ----------
    y : flat array
        The elements begin at ``y[start]``.
    start, count : int
    counter : uint64
        What the first element hashes.
    apart : uint64
        What each next one adds to that.
    scale : number
    threshold : uint64
        The smallest draw that survives.
    """
    builder = write.builder
    places = ir.Constant(ir.VectorType(_INDEX, write.lanes), list(range(write.lanes)))
    further, scale, threshold = builder.mul(places, write.spread(apart)), write.spread(scale), write.spread(threshold)

    def body(channel):
        first = builder.add(counter, builder.mul(channel, apart))
        draws = mix(_Hash(write, builder.add(write.spread(first), further))) >> SHIFT
        survives = builder.icmp_unsigned(">=", draws.value, threshold)
        place = write.at(y, channel)
        value = builder.fmul(write.load(place), scale)
        write.store(builder.select(survives, value, write.numbers(0.0)), place)

    write.loop(count, body)


@parallel
def _gaussian_noise(chunk, worker, x, y, stddev, key):
    """Add noise to a chunk of elements, with two draws for each, in float64 whatever the dtype of x."""
    for i in range(chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK)):
        counter = key + np.uint64(2 * i + 1) * GOLDEN
        u = (np.float64(hash_of(counter) >> WIDE_SHIFT) + 1.0) * HALF_OPEN
        v = np.float64(hash_of(counter + GOLDEN) >> WIDE_SHIFT) * HALF_OPEN
        normal = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
        y[i] = x[i] + y.dtype.type(stddev * normal)
