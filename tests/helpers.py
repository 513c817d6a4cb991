"""What test files in different folders share."""

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import os
import tempfile

from tinycnn import Sequential, layers


def sha256(data):
    """Return the checksum of a file's content, as the data sets publish it."""
    return hashlib.sha256(data).hexdigest()


def installed(package):
    """Return whether a package is installed; a folder of tests that is called like it does not count."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


@functools.cache
def has(thing):
    """Return whether this system has what a test needs: a module, a name in one, a path, or the right to make links.

    Examples
    --------
    >>> has("os.path"), has("os.flying_carpet")
    (True, False)
    """
    if thing == "links":
        with tempfile.TemporaryDirectory() as folder:
            try:
                os.symlink("anywhere", os.path.join(folder, "link"))
            except (AttributeError, NotImplementedError, OSError):  # on Windows it is a right that few users have
                return False
        return True
    if thing.startswith("/"):
        return os.path.exists(thing)
    module, _, name = thing.rpartition(".")
    with contextlib.suppress(ImportError):
        if module and hasattr(importlib.import_module(module), name):
            return True
        return bool(importlib.import_module(thing))
    return False


def cores():
    """Return how many cores this process may use, or how many there are where the system does not tell."""
    return len(os.sched_getaffinity(0)) if has("os.sched_getaffinity") else os.cpu_count() or 1


def small_network(name=None):
    """Return a network for images of 6×6 pixels and four classes, with moving statistics and dropout; not compiled."""
    return Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ],
        name=name,
    )


def pooling_network(size, padding="valid"):
    """Return a network like the one above with pooling, for images of size×size pixels; not compiled."""
    return Sequential(
        [
            layers.Input((size, size, 1)),
            layers.Conv2D(4, 3, padding=padding, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def assert_nothing_clipped(figure):
    """Check that everything in a figure lies inside it."""
    figure.canvas.draw()
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    width, height = figure.get_size_inches()
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01
