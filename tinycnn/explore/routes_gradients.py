"""Routes that measure gradients: one derivative beside its central difference, and all of a layer's at once."""

from collections import OrderedDict
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answering import RefusedError, answered, as_json, read_json, trace_and, whole_number
from .layer_check import check_layer
from .session import Session
from .slopes import NumericalSlopes

#: For how many passes the float64 copies are kept.
MOST_KEPT = 2
#: The most images that the check of a layer is given.
MOST_IMAGES = 4


def routes(session: Session) -> list[Route]:
    """Return the routes ``POST /api/slope`` and ``GET /api/trace/NUMBER/layer/NUMBER/check``."""
    kept: OrderedDict[int, NumericalSlopes] = OrderedDict()

    def slope(trace: int, name: str, index: list[int]) -> dict[str, Any]:
        with session.lock:
            seen = session.seen(trace)
            if trace not in kept:
                training = seen.description["mode"] == "training"
                kept[trace] = NumericalSlopes(session.model, seen.x, seen.targets, image=seen.place, training=training)
                while len(kept) > MOST_KEPT:
                    kept.popitem(last=False)
            return kept[trace].at(name, index)

    def check(trace: int, layer: int) -> dict[str, Any]:
        with session.lock:
            seen = session.seen(trace)
            training = seen.description["mode"] == "training"
            return check_layer(session.model, layer, seen.x[:MOST_IMAGES], training=training)

    @answered
    async def ask_slope(request: Request) -> Response:
        asked = await read_json(request)
        name, index = asked.get("array"), asked.get("index")
        if not isinstance(name, str) or not isinstance(index, list) or len(index) > 8:
            raise RefusedError("array must be the name of an array, and index a list of its whole numbers")
        trace = whole_number(asked.get("trace"), "trace", 0, 2**53)
        numbers = [whole_number(one, "index", 0, 2**31) for one in index]
        return as_json(await run_in_threadpool(slope, trace, name, numbers))

    @answered
    async def ask_check(request: Request) -> Response:
        return as_json(await run_in_threadpool(check, *trace_and("layer", request)))

    return [
        Route("/api/slope", ask_slope, methods=["POST"]),
        Route("/api/trace/{trace}/layer/{layer}/check", ask_check),
    ]
