"""The most common max-pooling window, 2×2 without overlap, for all channels of a pixel at a time.

These do what :func:`.max_pooling.challenge` and :func:`.max_pooling.add_where` do for a pixel, with the four pixels of
a window in registers: each is read once or written once.
"""

import numpy as np
from llvmlite import ir

from .vectors import VectorWriter
from .written import written


def _best_in_python(count, image, start, below, best, b_start, winner, w_start):
    champion, *others = _four(image, start, count, below)
    number = np.zeros(count, np.uint8)
    for tap, value in enumerate(others, 1):
        wins = ~(value <= champion) & (champion == champion)
        champion, number = np.where(wins, value, champion), np.where(wins, tap, number)
    best[b_start : b_start + count] = champion
    winner[w_start : w_start + count] = number


@written(_best_in_python, VectorWriter)
def best_of_four(write, count, image, below, best, winner):
    """Find the largest of four pixels in each channel, and which pixel it came from.

    The first of equal values wins. A NaN beats every number, and nothing beats it.

    Parameters
    ----------
    count : int
        Number of channels.
    image : flat array
    start : int
        Where the upper left pixel begins in ``image``.
    below : int
        Distance from a pixel to the one below it.
    best : flat array
        Takes the largest values, from ``best[b_start]`` on.
    b_start : int
    winner : flat integer array
        Takes the number (0 … 3) of the winning pixel, from ``winner[w_start]`` on.
    w_start : int
    """
    builder = write.builder

    def body(channel):
        first, *others = [write.load(write.at(image, place)) for place in corners(builder, channel, count, below)]
        champion, number = first, tap_of(write, 0)
        for tap, value in enumerate(others, 1):
            larger_or_nan = builder.fcmp_unordered(">", value, champion)
            wins = builder.and_(larger_or_nan, builder.fcmp_ordered("ord", champion, champion))
            champion = builder.select(wins, value, champion)
            number = builder.select(wins, tap_of(write, tap), number)
        write.store(champion, write.at(best, channel))
        place = write.at(winner, channel)
        write.store(builder.trunc(number, place.type.pointee), place)

    write.loop(count, body)


def _one_in_python(count, dy, d_start, winner, w_start, y, y_start, relu, dx, start, below):
    value, result = dy[d_start : d_start + count], y[y_start : y_start + count]
    value = np.where((result > 0) | (not relu), value, 0)
    for tap, pixel in enumerate(_four(dx, start, count, below)):
        pixel[...] = np.where(winner[w_start : w_start + count] == tap, value, 0)


@written(_one_in_python, VectorWriter)
def one_of_four(write, count, dy, winner, y, relu, dx, below):
    """Write a window's gradient: dy for the pixel that won, 0 for the three others.

    Parameters
    ----------
    count : int
        Number of channels.
    dy : flat array
        The gradient begins at ``dy[d_start]``.
    d_start : int
    winner : flat integer array
        The winning pixels begin at ``winner[w_start]``.
    w_start : int
    y : flat array
        The pooling's result begins at ``y[y_start]``.
    y_start : int
    relu : bool
        Whether dy passes only where y is positive.
    dx : flat array
        The upper left pixel begins at ``dx[start]``.
    start : int
    below : int
        Distance from a pixel to the one below it.
    """
    builder = write.builder
    always = write.spread(builder.not_(relu))

    def body(channel):
        nothing = write.numbers(0.0)
        positive = builder.fcmp_ordered(">", write.load(write.at(y, channel)), nothing)
        value = write.load(write.at(dy, channel))
        value = builder.select(builder.or_(positive, always), value, nothing)
        number = builder.zext(write.load(write.at(winner, channel)), tap_of(write, 0).type)
        for tap, place in enumerate(corners(builder, channel, count, below)):
            won = builder.icmp_unsigned("==", number, tap_of(write, tap))
            write.store(builder.select(won, value, nothing), write.at(dx, place))

    write.loop(count, body)


def corners(builder, channel, count, below):
    """Return the offsets of the four pixels, in the order of the taps."""
    lower = builder.add(channel, below)
    return channel, builder.add(channel, count), lower, builder.add(lower, count)


def tap_of(write, tap):
    """Return a vector of a tap's number, as wide as the numbers that are compared: choices are fast then."""
    return ir.Constant(ir.VectorType(ir.IntType(8 * write.bytes), write.lanes), [tap] * write.lanes)


def _four(flat, start, count, below):
    """Return the four pixels as arrays."""
    places = start, start + count, start + below, start + below + count
    return [flat[place : place + count] for place in places]
