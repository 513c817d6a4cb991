"""The state behind the page: a network, its data, the images that are looked at, and the passes that were made.

Nothing here knows about HTTP, so that a notebook or another program can use it in the same way.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..core.backend import Backend
from ..core.messages import unknown
from ..core.types import Array
from ..inspection.answers import gives_one_number
from ..inspection.trace import Trace
from ..layers import BatchNormalization
from ..sequential import Sequential
from . import protocol
from .kept import kept_of
from .labels import assumed_label, checked_label, checked_labels, classes_of, label_of, loss_for, targets_for
from .mine import KernelFile
from .settling import settles_after
from .twins import number, twin

#: How many images of a user's own, and how many passes, are kept; the oldest go first.
MOST_OWN, MOST_TRACES = 64, 8
#: How many images a pass "as in training" has if batch normalization needs a batch for its statistics.
BATCH = 32
MODES = ("prediction", "training")


class Data(NamedTuple):
    """Images to look at: float32 (N, H, W, C) as the network takes them, their labels (N,), and the classes' names.

    Of a network whose single output is a number, as in a regression, the labels are its targets, and there are no
    classes: give ``()``.
    """

    name: str
    class_names: tuple[str, ...]
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


class Picture(NamedTuple):
    """An image (H, W, C), its label if that is known (see :func:`label_of`), and what to call it."""

    pixels: Array
    label: int | float | None
    title: str


class Seen(NamedTuple):
    """A pass that was made: its images and targets, its arrays, and its description for the page.

    ``place`` says where the image that is looked at stands among the images.
    """

    x: Array
    targets: Array
    trace: Trace
    description: dict[str, Any]
    place: int


class Session:
    """A network and what somebody looks at in it.

    All methods may be called from several threads; a lock lets one at a time use the network.

    Parameters
    ----------
    model : Sequential
        A built model that takes images (H, W, C) or (H, W). If it is not compiled, it is compiled with the loss that
        fits its end, because gradients need one.
    data : Data, optional
        Without it there are only images of the user's own.
    mine : KernelFile, optional
        Kernels of a learner's own; the network then runs on them.
    whole : bool
        Whether the images of a set always pass the network together, in their order, whichever of them is looked at.
    case : dict, optional
        What the page has to know of a case of an exercise that it shows, ready for JSON: ``function``, the name of the
        learner's function; ``note``, what has to be said; ``channels``, the names of the input's channels, if they
        have any; ``weights``, what the cross-entropy of each image is multiplied by, or None if its gradient is not
        what is asked for; ``result``, the ``name`` and ``shape`` of the function's result, and which ``part`` of the
        network it is: ``y``, ``dx`` or a parameter of the first layer, its ``statistics``, or the ``losses``.

    Attributes
    ----------
    version : int
        A number that grows when the weights change; what was computed before is then out of date.
    batches : int or None
        How many batches the weights were trained on; None if that is not known.

    Raises
    ------
    ValueError
        If the model is not built, the images do not have its shape, or there is not one label for each of them.
    """

    def __init__(
        self,
        model: Sequential,
        data: Data | None = None,
        mine: KernelFile | None = None,
        whole: bool = False,
        case: Mapping[str, Any] | None = None,
    ) -> None:
        model.need_build()
        if len(model.input_shape) not in (2, 3) or len(model.output_shape) != 1:
            raise ValueError(
                f"model: the page shows networks that turn images (H, W, C) or (H, W) into a row of numbers; "
                f"{model.name} turns {model.input_shape} into {model.output_shape}"
            )
        if data is not None and data.x_test.shape[1:] != model.input_shape:
            raise ValueError(
                f"data: images of shape {data.x_test.shape[1:]} do not fit {model.name}, which takes "
                f"{model.input_shape}"
            )
        if not model.compiled:
            model.compile("adam", loss_for(model))
        if data is not None:
            y_train = checked_labels(model, data.y_train, len(data.x_train), "y_train")
            y_test = checked_labels(model, data.y_test, len(data.x_test), "y_test")
            data = data._replace(y_train=y_train, y_test=y_test)
        self.model = model if mine is None else on_backend(model, mine.backend)
        self.data, self.mine, self.whole, self.case = data, mine, whole, case
        self.lock = threading.RLock()
        self.version = 1
        self.batches: int | None = self.model.optimizer.iterations or None
        self._own: OrderedDict[str, Picture] = OrderedDict()
        self._seen: OrderedDict[int, Seen] = OrderedDict()
        self._own_count = self._trace_count = 0

    @property
    def gives_one_number(self) -> bool:
        """Whether the network's single output is a number by itself, so that there are no classes."""
        return gives_one_number(self.model)

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, of which a network that gives a number has none.

        They are numbers if nobody has said what the outputs mean.
        """
        count = classes_of(self.model)
        names = list(self.data.class_names) if self.data is not None else []
        return names if len(names) == count else [str(one) for one in range(count)]

    def describe(self) -> dict[str, Any]:
        """Return the network and the sets of images, ready for JSON."""
        sets = {} if self.data is None else {"test": len(self.data.x_test), "train": len(self.data.x_train)}
        if self.case is not None:
            sets.pop("train", None)  # they are the same
        return protocol.describe(self.model) | {
            "version": self.version,
            "batches": self.batches,
            "settles_after": settles_after(self.model),
            "gives_one_number": self.gives_one_number,
            "classes": self.class_names,
            "data": None if self.data is None else self.data.name,
            "kernels": None if self.mine is None else self.mine.path.name,
            "sets": sets,
            "whole": self.whole,
            "case": None if self.case is None else dict(self.case),
        }

    # Images ---------------------------------------------------------------------------------------------------

    def add_image(self, pixels: Array, title: str) -> str:
        """Keep an image (H, W, C) of a user's own, and return the id under which it can be asked for."""
        if pixels.shape != self.model.input_shape:
            raise ValueError(f"an image must have the shape {self.model.input_shape}; got {pixels.shape}")
        with self.lock:
            self._own_count += 1
            name = f"own-{self._own_count}"
            self._own[name] = Picture(np.array(pixels, self.model.dtype), None, title)
            while len(self._own) > MOST_OWN:
                self._own.popitem(last=False)
        return name

    def image(self, name: str) -> Picture:
        """Return an image by its id: ``test-12``, ``train-5`` or ``own-3``.

        Raises
        ------
        KeyError
            If there is no such image (any more).
        """
        if name in self._own:
            return self._own[name]
        which, _, digits = name.partition("-")
        if self.data is not None and which in ("test", "train") and digits.isascii() and digits.isdecimal():
            images, labels = self._set(which)
            if len(digits) < 10 and int(digits) < len(images):
                number = int(digits)
                title = f"{which} image {number}" if self.case is None else f"image {number} of the case"
                return Picture(images[number], label_of(self.model, labels[number]), title)
        raise KeyError(f"there is no image {name[:40]!r} here (any more); choose another one")

    def images(self, which: str, start: int, count: int) -> Array:
        """Return some images of a set, fewer at its end.

        Raises
        ------
        KeyError
            If there is no such set.
        """
        return self._set(which)[0][start : start + count]

    def _set(self, which: str) -> tuple[Array, Array]:
        """Return the images and the labels of a set."""
        if self.data is None:
            raise KeyError("there are no sets of images here, only images of your own")
        sets = {
            "test": (self.data.x_test, self.data.y_test),
            "train": (self.data.x_train, self.data.y_train),
        }
        if which not in sets:
            raise KeyError(f"there is no set of images {which[:40]!r}; there are: {', '.join(sets)}")
        return sets[which]

    # Passes ---------------------------------------------------------------------------------------------------

    def trace(self, image: str, label: float | None = None, mode: str = "prediction") -> tuple[dict[str, Any], Any]:
        """Run one image through the network and back, layer by layer, and return every array.

        Parameters
        ----------
        image : str
            The id of an image.
        label : int or float, optional
            The class for whose loss the gradients are taken, or the target of a network that gives a number. By default
            it is the image's own; an image that has none gets the most probable class, or the target 0.
        mode : {"prediction", "training"}
            ``"training"`` is the pass of a training step: dropout draws, and batch normalization uses the statistics
            of a batch, which this image then forms with others.

        Returns
        -------
        dict, dict of str to array
            A description and the arrays of :func:`tinycnn.explore.protocol.of_trace`.
        """
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        picture = self.image(image)
        with self.lock:
            x, labels = self.batch_of(image, label, mode)
            targets = targets_for(self.model, labels)
            trace = self.model.trace(x, targets, training=mode == "training")
            place = self._place_in_batch(image)
            arrays = protocol.of_trace(trace, place)
            self._trace_count += 1
            description = {
                "trace": self._trace_count,
                "image": image,
                "title": picture.title,
                "mode": mode,
                "label": labels[place],
                "true": picture.label,
                "loss": None if trace.loss is None else number(trace.loss),
                "batch": len(x),
                "version": self.version,
                "kept": kept_of(trace),
            }
            if mode == "prediction":
                description["fused"] = _apart(trace[-1].y, self.model.predict(x))
            self._seen[self._trace_count] = Seen(x, targets, trace, description, place)
            while len(self._seen) > MOST_TRACES:
                self._seen.popitem(last=False)
        return description, arrays

    def batch_of(self, image: str, label: float | None, mode: str) -> tuple[Array, list[int | float]]:
        """Return the images of a pass and their labels; the one that is looked at comes first.

        Without a label, it has its own or, if that is not known, the one that ``labels.assumed_label`` gives. Of images
        that pass together, each has its place and its own label.
        """
        picture = self.image(image)
        if self.whole and image not in self._own:
            images, labels = self._set(image.partition("-")[0])
            return images.astype(self.model.dtype), [label_of(self.model, one) for one in labels]
        x = picture.pixels[np.newaxis].astype(self.model.dtype)
        used = picture.label if label is None else checked_label(self.model, label)
        used = assumed_label(self.model, x) if used is None else used
        needs_others = any(isinstance(layer, BatchNormalization) for layer in self.model.layers)
        if mode == "prediction" or not needs_others or self.data is None:
            return x, [used]
        others, labels = self.data.x_train[: BATCH - 1], self.data.y_train[: BATCH - 1]
        return np.concatenate([x, others.astype(x.dtype)]), [used, *(label_of(self.model, one) for one in labels)]

    def _place_in_batch(self, image: str) -> int:
        """Return where an image stands among those of its pass."""
        return int(image.partition("-")[2]) if self.whole and image not in self._own else 0

    def seen(self, trace: int) -> Seen:
        """Return a pass that was made.

        Raises
        ------
        KeyError
            If it is not kept any more.
        """
        if trace not in self._seen:
            raise KeyError("this pass is not kept any more; choose the image again")
        return self._seen[trace]

    def image_of(self, trace: int, place: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the arrays of an image of a pass, as :meth:`trace` returns those of the one that is looked at.

        Raises
        ------
        KeyError
            If the pass is not kept any more, or has no such image.
        """
        seen = self.seen(trace)
        if not 0 <= place < len(seen.x):
            raise KeyError(f"there is no image {place} in this pass; they are numbered from 0 to {len(seen.x) - 1}")
        return {"trace": trace, "image": place}, protocol.of_trace(seen.trace, place)

    def layer(self, trace: int, number: int) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what a layer held in a pass: parameters, buffers, and the gradients of parameters."""
        seen = self.seen(trace)
        if not 0 <= number < len(seen.trace):
            raise KeyError(f"there is no layer {number}; they are numbered from 0 to {len(seen.trace) - 1}")
        return {"trace": trace, "layer": number}, protocol.of_layer(seen.trace[number])

    # A learner's own kernels ----------------------------------------------------------------------------------

    def need_mine(self) -> KernelFile:
        """Return the learner's kernels.

        Raises
        ------
        ValueError
            If there are none.
        """
        if self.mine is None:
            raise ValueError("there are no kernels of your own; start with --kernels mine.py")
        return self.mine

    def reload_kernels(self) -> None:
        """Load the learner's file as it is now, and let the network run on it, with the weights that it has."""
        with self.lock:
            mine = self.need_mine()
            mine.reload()
            self.model = on_backend(self.model, mine.backend)
            self.version += 1
            self._seen.clear()

    @contextmanager
    def changing_weights(self) -> Iterator[Sequential]:
        """Lend the model to somebody who changes its weights; passes that were made before are forgotten."""
        with self.lock:
            try:
                yield self.model
            finally:
                self.version += 1
                self._seen.clear()


def on_backend(model: Sequential, backend: Backend) -> Sequential:
    """Return a copy of a compiled model on another backend, with an optimizer of the same settings that begins anew."""
    made = twin(model, backend)
    given = model.optimizer
    made.compile(type(given).from_config(given.get_config()), model.loss, list(model.metrics))
    return made


def _apart(by_layers: Array, predicted: Array) -> dict[str, Any]:
    """Return how far the result layer by layer is from that of ``predict``, where layers run together."""
    equal = bool(np.array_equal(by_layers, predicted, equal_nan=True))
    largest = 0.0 if equal else float(np.abs(by_layers - predicted).max())
    return {"equal": equal, "largest": largest if np.isfinite(largest) else None}
