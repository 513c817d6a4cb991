"""What the routes of the page share: reading requests with a limit, and turning errors into answers."""

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..core.files import parse_json
from ..core.types import Array
from .mine import message_of, place_of_own, told
from .protocol import pack

#: The largest body with JSON; it only names images, layers and settings.
MOST_JSON = 64 * 2**10
#: How many seconds a body may take to arrive; it comes from this machine.
BODY_SECONDS = 30.0


class RefusedError(ValueError):
    """A request that cannot be answered; the page shows the message.

    Parameters
    ----------
    message : str
        What is wrong, and what to do.
    status : int
        The HTTP status of the answer.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


Endpoint = Callable[[Request], Awaitable[Response]]


def answered(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint whose errors become an answer ``{"error": message}`` that the page can show."""

    @functools.wraps(endpoint)
    async def endpoint_with_errors(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as error:
            return as_json({"error": str(error)}, error.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody will read it
        except (Exception, SystemExit) as error:  # a layer or a kernel of a user's own may raise anything
            if place_of_own(error) is not None:
                return as_json({"error": told(error)}, 400)
            if isinstance(error, KeyError) and error.args:
                return as_json({"error": str(error.args[0])}, 404)
            return as_json({"error": message_of(error) or type(error).__name__}, 400)

    return endpoint_with_errors


def as_json(value: Any, status: int = 200) -> Response:
    """Return an answer in JSON and ASCII: a text from a request may hold half a character, which UTF-8 has not.

    Raises
    ------
    ValueError
        If the value has something that JSON cannot hold.
    """
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


async def read_body(request: Request, most: int, too_large: str = "") -> bytes:
    """Return the body of a request, which is counted while it is read; ``too_large`` tells what to do if that is much.

    Raises
    ------
    RefusedError
        If it has more than ``most`` bytes, no more than which are ever held, or takes too long.
    """
    message = too_large or f"the body is larger than {most:,} bytes, which is the limit"
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or int(length[:20]) > most:
        raise RefusedError(message, 413)
    held = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                if len(held) + len(chunk) > most:
                    raise RefusedError(message, 413)
                held += chunk
    except TimeoutError:
        raise RefusedError(f"the body did not arrive within {BODY_SECONDS:g} seconds", 408) from None
    return bytes(held)


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises
    ------
    RefusedError
        If it is anything else, or larger than :data:`MOST_JSON`.
    """
    body = await read_body(request, MOST_JSON)
    try:
        value = parse_json(body)
    except (ValueError, UnicodeDecodeError) as error:
        raise RefusedError(f"the body must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise RefusedError("the body must be a JSON object")
    return value


def packed(description: Mapping[str, Any], arrays: Mapping[str, Array]) -> Response:
    """Return an answer with a description and arrays."""
    return Response(pack(description, arrays), media_type="application/octet-stream")


def whole_number(value: Any, name: str, least: int, below: int) -> int:
    """Return a value from a request as a whole number of a range, given as a number or as its digits.

    Raises
    ------
    RefusedError
        If it is anything else.
    """
    digits = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12
    number = int(value) if digits else value
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < below:
        raise RefusedError(f"{name} must be a whole number from {least} to {below - 1}; got {json.dumps(value)[:60]}")
    return number


def trace_and(what: str, request: Request) -> tuple[int, int]:
    """Return the numbers of a pass and of a layer, or of what else is named, in the path of a request.

    Raises
    ------
    RefusedError
        If they are no numbers, or have more digits than any can have.
    """
    trace, number = (whole_number(request.path_params[name], name, 0, 2**31) for name in ("trace", what))
    return trace, number
