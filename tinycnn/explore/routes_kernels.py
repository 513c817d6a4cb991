"""Routes for a learner's own kernels: what they are, how they differ from the reference's, and loading them again."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answering import RefusedError, answered, as_json, read_json
from .comparing import compare
from .labels import targets_for
from .session import MODES, Session


def routes(session: Session) -> list[Route]:
    """Return the routes ``GET /api/kernels`` and ``POST /api/kernels``."""

    def state() -> dict[str, Any]:
        mine = session.mine
        if mine is None:
            return {"file": None, "kernels": [], "changed": False}
        return {"file": mine.path.name, "kernels": mine.kernels, "changed": mine.changed()}

    def compared(image: str, mode: str) -> list[dict[str, Any]]:
        with session.lock:
            mine = session.need_mine()
            x, labels = session.batch_of(image, None, mode)
            targets = targets_for(session.model, labels)
            return compare(session.model, mine.backend.overlay, x, targets, training=mode == "training")

    @answered
    async def ask(request: Request) -> Response:
        return as_json(await run_in_threadpool(state))

    @answered
    async def change(request: Request) -> Response:
        asked = await read_json(request)
        if asked.get("do") == "reload":
            await run_in_threadpool(session.reload_kernels)
            return as_json(await run_in_threadpool(state))
        image, mode = asked.get("image"), asked.get("mode", "prediction")
        if asked.get("do") != "compare" or not isinstance(image, str) or mode not in MODES:
            raise RefusedError(
                'the body must be {"do": "reload"}, or {"do": "compare", "image": "test-0", "mode": "training"}'
            )
        entries = await run_in_threadpool(compared, image, mode)
        return as_json(state() | {"entries": entries})

    return [Route("/api/kernels", ask), Route("/api/kernels", change, methods=["POST"])]
