"""Drawings and uploaded pictures as the input of a network, and fast predictions for them."""

import threading
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array, Shape
from ..datasets import _for_network, _image_file
from ..datasets._image_file import Picture
from ..datasets._mnist_like import NoInkError
from ..inspection import answers
from ..training.predictor import Predictor
from .session import Session

#: The longest side of a drawing surface.
MOST_SIDE = 1024
#: The longest side of a thumbnail; of larger images every second, third, … pixel is taken.
THUMBNAIL = 96


class Prepared(NamedTuple):
    """A picture on its way into a network.

    Attributes
    ----------
    before, after : (H, W, C) float32 arrays in [0, 1]
        The picture in the network's size only, and as the network is given it.
    done : list of str
        What was done to the picture, in words.
    is_empty : bool
        Whether there was nothing to put into the centre.
    """

    before: Array
    after: Array
    done: list[str]
    is_empty: bool


class Purpose(NamedTuple):
    """For which images a picture is prepared.

    Attributes
    ----------
    shape : (H, W, C)
        Their shape.
    way : {"mnist", "digits", "fashion_mnist", "none"}
        The data set that centred pictures are made like; ``"none"`` if nothing is ever centred.
    centred : bool
        Whether pictures are centred unless somebody switches that off.
    """

    shape: tuple[int, int, int]
    way: str
    centred: bool


def purpose_of(input_shape: Shape, data: str | None) -> Purpose:
    """Return how pictures are prepared for a network, by the data set that it was trained on if that is known.

    Raises
    ------
    ValueError
        If the network does not take images with one or three channels.
    """
    shape = (*input_shape, 1) if len(input_shape) == 2 else tuple(input_shape)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ValueError(
            f"the network takes {tuple(input_shape)}; to draw for it or to give it a picture, its input must be an "
            "image with 1 or 3 channels"
        )
    way = _for_network.way_for(data, shape)
    can_centre = shape[0] == shape[1] and shape[2] == 1
    # A square grey image of unknown data may well be a digit; whoever draws one can switch centring on.
    return Purpose(shape, ("mnist" if way == "none" else way) if can_centre else "none", way != "none" and can_centre)


def from_drawing(content: bytes, height: int, width: int, channels: int, purpose: Purpose, centred: bool) -> Prepared:
    """Return a drawing as the input of a network.

    Parameters
    ----------
    content : bytes
        The pixels of the drawing surface, which is black, row by row: one byte for grey, or three for red, green and
        blue.
    height, width, channels : int
        The shape of the surface. Its aspect should be that of the network's images.
    purpose : Purpose
        What :func:`purpose_of` returned.
    centred : bool
        Whether the ink is scaled and put into the centre, as in the images that the network was trained on.

    Raises
    ------
    ValueError
        If the shape is not valid, or there are more or fewer bytes than it says.
    """
    if channels not in (1, 3) or not 1 <= height <= MOST_SIDE or not 1 <= width <= MOST_SIDE:
        raise ValueError(
            f"a drawing must have 1 or 3 channels and from 1 to {MOST_SIDE} rows and columns; "
            f"got {height}, {width}, {channels}"
        )
    if len(content) != height * width * channels:
        raise ValueError(
            f"a drawing of {height} by {width} pixels with {channels} bytes each has {height * width * channels} "
            f"bytes; got {len(content)}"
        )
    pixels = np.frombuffer(content, np.uint8).reshape(height, width, channels)
    return _prepared(Picture(pixels, []), purpose, centred, on_black=True)


def from_upload(content: bytes, purpose: Purpose, centred: bool) -> Prepared:
    """Return the picture in an uploaded file (PNG, JPEG, GIF, WebP, BMP, TIFF or PPM) as the input of a network.

    Parameters
    ----------
    content : bytes
        The file.
    purpose, centred
        As for :func:`from_drawing`.

    Raises
    ------
    ValueError
        If it is not a picture in one of these formats, or is damaged, or has too many pixels.
    """
    if not content:
        raise ValueError("the file is empty; choose a picture (PNG, JPEG, GIF or WebP)")
    # Ink in colour is searched for in all colours.
    channels = None if centred and purpose.way != "none" else purpose.shape[2]
    return _prepared(_image_file.read_bytes(content, channels), purpose, centred)


def _prepared(picture: Picture, purpose: Purpose, centred: bool, on_black: bool = False) -> Prepared:
    """Return a picture before and after it is put into the centre, if that is asked for and possible."""
    before, done = _for_network.resized(picture, purpose.shape)
    is_empty = not picture.pixels.size or int(np.ptp(picture.pixels)) == 0
    if is_empty:
        return Prepared(before, before, ["nothing is drawn: all pixels are alike"], True)
    if not centred or purpose.way == "none":
        return Prepared(before, before, done, False)
    try:
        after, done = _for_network.prepared(picture, purpose.shape[0], purpose.way, on_black)
    except NoInkError as error:
        return Prepared(before, before, [*done, f"not centred, because {str(error).removeprefix('image: ')}"], True)
    return Prepared(before, after, done or ["left as it is, because it has the size and the place already"], False)


def for_model(model: Any, image: Array) -> Array:
    """Return an image (H, W, C) in [0, 1] in the shape and with the range of numbers that a model takes."""
    return answers.as_trained(model, image).reshape(model.input_shape)


def as_bytes(images: Array, longest: int | None = None) -> Array:
    """Return images (N, H, W, C), or (N, H, W), of any range as bytes (N, H, W, 1 or 3) for the eye.

    Numbers from 0 to 1 and from 0 to 255 keep their meaning; others are stretched, all together, to what bytes can
    hold. Unless there are three channels, their mean is shown.

    Parameters
    ----------
    images : array
    longest : int, optional
        The largest height and width; larger images lose rows and columns.
    """
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        images = images.mean(axis=-1, keepdims=True)
    if longest is not None:
        step = -(-max(images.shape[1:3]) // longest)
        images = images[:, ::step, ::step]
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 1.0)
    if low < 0 or high > 255:
        images, high = (images - low) / ((high - low) or 1), 1.0
    return np.rint(images * (255 if high <= 1 else 1)).astype(np.uint8)


class FastAnswers:
    """What a session's model answers for images; what follows from the weights alone is computed once.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._made: tuple[int, Predictor] | None = None

    def predictor(self) -> tuple[Predictor, int]:
        """Return the snapshot of the model, and the version of its weights.

        Raises
        ------
        ValueError
            If the model gives no scores of classes, or has a layer that cannot be copied.
        """
        session = self._session
        with self._lock:
            if self._made is None or self._made[0] != session.version:
                if len(session.model.output_shape) != 1:
                    raise ValueError(
                        f"the network must give one number for each class; it gives {session.model.output_shape}"
                    )
                with session.lock:
                    self._made = session.version, _snapshot(session)
            version, predictor = self._made
        return predictor, version

    def answers(self, images: Array) -> Array:
        """Return probabilities (N, classes) for images as the model takes them, or the numbers (N, 1) that it gives."""
        predictor, _ = self.predictor()
        outputs = predictor(images.astype(self._session.model.dtype))
        return outputs if self._session.gives_one_number else answers.probabilities(self._session.model, outputs)


def _snapshot(session: Session) -> Predictor:
    """Return a predictor of the model as it is now."""
    try:
        return session.model.predictor()
    except Exception as error:  # a layer of a user's own may hold anything
        raise ValueError(f"the network cannot be copied, as fast predictions need it: {error}") from error
