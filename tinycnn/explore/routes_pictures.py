"""What the page asks about pictures: drawings, uploads, galleries, and where the network looks."""

from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.messages import bytes_text
from ..core.types import Array
from . import looking, pictures, survey
from .answering import RefusedError, answered, as_json, packed, read_body, whole_number
from .labels import classes_of, label_of
from .pictures import FastAnswers, Prepared
from .session import Session
from .survey import Answers, Excited, Numbers, Survey
from .tasks import Task

#: The most bytes of an uploaded picture.
MOST_UPLOAD = 20 * 2**20
#: The most images in one gallery.
MOST_IMAGES = 100
#: How many seconds an answer waits for a task before it says how far that is.
PATIENCE = 0.4


def routes(session: Session) -> list[Route]:
    """Return the routes about pictures for a session."""
    studio = _Studio(session)
    found = [
        ("", studio.about, "GET"),
        ("/drawing", studio.drawing, "POST"),
        ("/upload", studio.upload, "POST"),
        ("/worst", studio.worst, "GET"),
        ("/confusion", studio.confusion, "GET"),
        ("/cell", studio.cell, "GET"),
        ("/exciting", studio.exciting, "GET"),
        ("/looking", studio.looking, "GET"),
        ("/stop", studio.stop, "POST"),
    ]
    return [Route(f"/api/pictures{path}", answered(endpoint), methods=[method]) for path, endpoint, method in found]


class _Studio:
    """The endpoints; the queries of their addresses have plain names and numbers."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.fast = FastAnswers(session)
        self.survey = Survey(session, self.fast)

    def purpose(self) -> pictures.Purpose:
        """Return how pictures are prepared for the network."""
        return pictures.purpose_of(self.session.model.input_shape, self.session.data and self.session.data.name)

    async def about(self, request: Request) -> Response:
        """Say whether one can draw for this network, and whether drawings can be centred."""
        try:
            purpose = self.purpose()
            await run_in_threadpool(self.warm_up, purpose)
        except ValueError as error:
            return as_json({"drawing": None, "reason": str(error), "classes": self.session.class_names})
        drawing = {"shape": list(purpose.shape), "centring": purpose.way != "none", "centred": purpose.centred}
        return as_json({"drawing": drawing, "reason": None, "classes": self.session.class_names})

    def warm_up(self, purpose: pictures.Purpose) -> None:
        """Answer a drawing of one dot, so that the first stroke need not wait for imports and for the predictor."""
        dot = np.zeros((purpose.shape[0], purpose.shape[1], 1), np.uint8)
        dot[purpose.shape[0] // 2, purpose.shape[1] // 2] = 255
        self.answer(pictures.from_drawing(dot.tobytes(), *dot.shape, purpose, True), False, "")

    def need_classes(self) -> int:
        """Return how many classes the network tells apart.

        Raises
        ------
        RefusedError
            If it gives a number.
        """
        classes = classes_of(self.session.model)
        if not classes:
            raise RefusedError(
                f"{self.session.model.name} gives a number and no classes, so nothing is taken for something else"
            )
        return classes

    async def drawing(self, request: Request) -> Response:
        """Answer a drawing: what the network is given, and the probabilities."""
        height, width = (_number(request, name, 1, pictures.MOST_SIDE + 1) for name in ("height", "width"))
        channels = _number(request, "channels", 1, 4)
        content = await read_body(request, height * width * channels)
        purpose, centred, keep = self.purpose(), _flag(request, "centred"), _flag(request, "keep")

        def answer() -> Response:
            prepared = pictures.from_drawing(content, height, width, channels, purpose, centred)
            return self.answer(prepared, keep, "drawing")

        return await run_in_threadpool(answer)

    async def upload(self, request: Request) -> Response:
        """Answer an uploaded picture, and keep it."""
        too_large = f"the file is larger than {bytes_text(MOST_UPLOAD)}, which is the limit; save the picture smaller"
        content = await read_body(request, MOST_UPLOAD, too_large)
        title = request.query_params.get("name", "")[:100] or "upload"
        purpose, centred = self.purpose(), _flag(request, "centred")
        return await run_in_threadpool(
            lambda: self.answer(pictures.from_upload(content, purpose, centred), True, title)
        )

    def answer(self, prepared: Prepared, keep: bool, title: str) -> Response:
        """Return a picture before and after it was prepared, with the probabilities of the classes, or the number."""
        given = pictures.for_model(self.session.model, prepared.after)
        found, is_number = self.fast.answers(given[np.newaxis])[0], self.session.gives_one_number
        description = {
            "done": prepared.done,
            "empty": prepared.is_empty,
            "predicted": None if is_number or np.isnan(found).any() else int(found.argmax()),
            "image": self.session.add_image(given, title) if keep else None,
        }
        seen = pictures.as_bytes(np.stack([prepared.before, prepared.after]))
        said = {"number" if is_number else "probabilities": found}
        return packed(description, {"before": seen[0], "after": seen[1]} | said)

    async def worst(self, request: Request) -> Response:
        """Answer with the images of which the network is furthest from the truth, or wrong and surest."""
        by = request.query_params.get("by", "loss")
        if by not in ("loss", "sure"):
            raise RefusedError(f"by must be 'loss' or 'sure'; got {by[:40]!r}")
        if by == "sure":
            self.need_classes()
        task, count = await self.answers(request), _count(request)
        if not isinstance(task.result, Answers | Numbers):
            return _unfinished(task)
        return self.gallery(request, task, survey.worst(task.result, by, count))

    async def confusion(self, request: Request) -> Response:
        """Answer with the number of images of each class that the network takes for each class."""
        classes, task = self.need_classes(), await self.answers(request)
        if not isinstance(task.result, Answers):
            return _unfinished(task)
        counts = survey.confusion(task.result, classes)
        return packed(self.about_task(task) | {"classes": self.session.class_names}, {"counts": counts})

    async def cell(self, request: Request) -> Response:
        """Answer with the images of one class that the network takes for one class."""
        classes = self.need_classes()
        true, predicted = (_number(request, name, 0, classes) for name in ("true", "predicted"))
        task, count = await self.answers(request), _count(request)
        if not isinstance(task.result, Answers):
            return _unfinished(task)
        return self.gallery(request, task, survey.behind(task.result, true, predicted, count))

    async def exciting(self, request: Request) -> Response:
        """Answer with the images that excite a filter most, each with the place and what is seen from there."""
        layer = _number(request, "layer", 0, len(self.session.model.layers))
        chain = self.session.model.layers[: layer + 1]
        channel = _number(request, "filter", 0, chain[-1].built_output_shape[-1])
        task = self.survey.excited(_set(request), layer, _flag(request, "again"))
        await run_in_threadpool(task.ended.wait, PATIENCE)
        if not isinstance(task.result, Excited):
            return _unfinished(task)
        value, image, place = (array[: _count(request), channel] for array in task.result)
        chosen = np.isfinite(value)
        found = zip(value[chosen], place[chosen], strict=True)
        details = []
        for strength, at in found:
            index, field = survey.seen_at(chain, int(at), channel)
            details.append({"value": float(strength), "at": index, "field": field})
        return self.gallery(request, task, image[chosen], details)

    def gallery(self, request: Request, task: Task, numbers: Array, details: list[Any] | None = None) -> Response:
        """Return images of a set, small enough to be shown side by side, with what is known about them."""
        which = _set(request)
        images, labels = survey.images_of(self.session, which)
        items: list[dict[str, Any]] = [
            {"image": f"{which}-{number}", "true": label_of(self.session.model, labels[number])} for number in numbers
        ]
        if isinstance(task.result, Answers):
            found = task.result
            for item, number in zip(items, numbers, strict=True):
                item |= {"predicted": int(found.predicted[number]), "p": _finite(found.p_predicted[number])}
                item |= {"loss": _finite(found.loss[number])}
        if isinstance(task.result, Numbers):
            for item, number in zip(items, numbers, strict=True):
                item |= {"answer": _finite(task.result.answer[number]), "loss": _finite(task.result.loss[number])}
        for item, more in zip(items, details or [], strict=bool(details)):
            item |= more
        seen = pictures.as_bytes(images[numbers], pictures.THUMBNAIL)
        return packed(
            self.about_task(task) | {"items": items, "size": list(images.shape[1:3])},
            {"images": seen} if items else {},
        )

    def about_task(self, task: Task) -> dict[str, Any]:
        """Return what the page says about a task that has ended."""
        old = task.version != self.session.version
        return {"done": task.done, "total": task.total, "cut": task.cut, "old": old}

    async def answers(self, request: Request) -> Task:
        """Return the task about all answers for the set that a request names, after waiting for it a moment."""
        task = self.survey.answers(_set(request), _flag(request, "again"))
        await run_in_threadpool(task.ended.wait, PATIENCE)
        return task

    async def looking(self, request: Request) -> Response:
        """Answer with where the network looks in an image."""
        asked = request.query_params
        label = _number(request, "label", 0, self.need_classes()) if asked.get("label") else None
        layer = _number(request, "layer", 0, len(self.session.model.layers)) if asked.get("layer") else None
        way, image = asked.get("way", "saliency"), asked.get("image", "")
        found = await run_in_threadpool(looking.looked_at, self.session, self.fast, way, image, label, layer)
        return packed(*found)

    async def stop(self, request: Request) -> Response:
        """Stop what is at work on many images."""
        self.survey.stop()
        return as_json({})


def _unfinished(task: Task) -> Response:
    """Return how far a task is, or raise its error."""
    if task.error is not None:
        raise RefusedError(f"this could not be computed: {task.error}")
    return packed({"working": True, "done": task.done, "total": task.total}, {})


def _number(request: Request, name: str, least: int, below: int) -> int:
    """Return a number from the query of a request."""
    return whole_number(request.query_params.get(name, ""), name, least, below)


def _count(request: Request) -> int:
    """Return how many images a gallery may have."""
    return whole_number(request.query_params.get("count", "24"), "count", 1, MOST_IMAGES + 1)


def _flag(request: Request, name: str) -> bool:
    """Return whether a query has ``name=1``."""
    return request.query_params.get(name) == "1"


def _set(request: Request) -> str:
    """Return the set of images that a request names."""
    return request.query_params.get("set", "test")


def _finite(value: Any) -> float | None:
    """Return a number that JSON can hold, or None."""
    return float(value) if np.isfinite(value) else None
