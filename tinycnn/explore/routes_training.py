"""The routes of a training: its state, its events as a stream, and commands.

===============================  =====================================================================================
``GET /api/training``            the state as a whole: :meth:`tinycnn.explore.training.Training.state`
``GET /api/training/events``     server-sent events from the one after ``Last-Event-ID`` or ``?after=`` on; if that one
                                 is forgotten, and after ``reset``, the first event is ``state``, with the whole of it
``POST /api/training``           a command: ``{"do": "step"}``, with the arguments that :data:`COMMANDS` names
===============================  =====================================================================================

Source of the stream's format: WHATWG, "HTML Living Standard", section 9.2, "Server-sent events".
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .answering import RefusedError, answered, as_json, read_json, whole_number
from .training import Training

#: The seconds between two looks for new events, and after how long a silent stream says that it is still there.
LOOK_SECONDS, SILENCE_SECONDS = 0.05, 10.0


class Command(NamedTuple):
    """What a request may ask for: a method of :class:`Training`, and the arguments that it needs and that it may have.

    The method checks their values.
    """

    method: Callable[..., None]
    needs: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()


COMMANDS = {
    "begin": Command(Training.begin, may_have=("batch_size", "rate", "shuffle", "epochs", "fresh")),
    "start": Command(Training.start),
    "pause": Command(Training.pause),
    "step": Command(Training.step),
    "rate": Command(Training.change_rate, ("rate",), ("lane",)),
    "rewind": Command(Training.rewind, ("step",)),
    "fork": Command(Training.fork, ("change", "value"), ("step",)),
    "drop": Command(Training.drop_fork),
    "stop": Command(Training.stop),
}


def routes(training: Training) -> list[Route]:
    """Return the routes of a training."""

    @answered
    async def state(request: Request) -> Response:
        return as_json(await run_in_threadpool(training.state))

    @answered
    async def command(request: Request) -> Response:
        asked = await read_json(request)
        found = _command(asked)
        await run_in_threadpool(found.method, training, **asked)
        return as_json({"sequence": training.events.last})

    @answered
    async def events(request: Request) -> Response:
        given = request.headers.get("last-event-id", request.query_params.get("after"))
        number = None if given is None else whole_number(given, "after", 0, 2**31)
        return StreamingResponse(_stream(training, request, number), media_type="text/event-stream")

    return [
        Route("/api/training", state),
        Route("/api/training", command, methods=["POST"]),
        Route("/api/training/events", events),
    ]


def _command(asked: dict[str, Any]) -> Command:
    """Take the name of a command out of a request, and return the command.

    Raises
    ------
    RefusedError
        If there is no such command, or its arguments are not those that it takes.
    """
    name = asked.pop("do", None)
    if not isinstance(name, str) or name not in COMMANDS:
        raise RefusedError(f"do must be one of {', '.join(COMMANDS)}; got {json.dumps(name)[:60]}")
    found = COMMANDS[name]
    for key in found.needs:
        if key not in asked:
            raise RefusedError(f"{key} is missing; {name} needs {' and '.join(found.needs)}")
    for key in asked:
        if key not in found.needs + found.may_have:
            takes = ", ".join(found.needs + found.may_have) or "no arguments"
            raise RefusedError(f"{name} has no argument {json.dumps(key)[:60]}; it takes {takes}")
    return found


async def _stream(training: Training, request: Request, number: int | None) -> AsyncIterator[str]:
    """Yield what happens, until the browser leaves or the page ends; the training never waits for it."""
    silent = 0.0
    while not training.events.closed and not await request.is_disconnected():
        found = None if number is None else training.events.after(number)
        if found is None or any(event.kind == "reset" for event in found):
            state = await run_in_threadpool(training.state)
            number, silent = state["sequence"], 0.0
            yield _message(state["sequence"], "state", state)
        elif found:
            number, silent = found[-1].number, 0.0
            yield "".join(_message(*event) for event in found)
        elif silent >= SILENCE_SECONDS:
            silent = 0.0
            yield ": still here\n\n"
        await anyio.sleep(LOOK_SECONDS)
        silent += LOOK_SECONDS


def _message(number: int, kind: str, content: dict[str, Any]) -> str:
    """Return an event in the format of the stream."""
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(content, allow_nan=False)}\n\n"
