"""Pages in the browser, for the tests of the page."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on which no error may come up."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    if slowness := os.environ.get("TINYCNN_SLOW_BROWSER"):  # It finds tests that take a moment for granted.
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": float(slowness)})
        page.set_default_timeout(30_000 * float(slowness))  # A page that is merely slow has done nothing wrong.
    problems: list[str] = []

    def heard(message: Any) -> None:
        # The browser remarks on every answer that is an error; the page tells those that matter itself.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            problems.append(message.text)

    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", heard)
    yield page
    context.close()
    assert not problems


@pytest.fixture
def open_page(page: Any) -> Iterator[Any]:
    """A function that serves a session and opens its page at an address; it returns the session."""
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    from serving import serving

    with contextlib.ExitStack() as stack:

        def opened(session: Any, where: str = "image=test-1") -> Any:
            client = stack.enter_context(serving(session))
            page.goto(f"{client.address}#{where}")
            page.wait_for_selector("#views button[aria-current]")
            return session

        yield opened
        page.goto("about:blank")  # so that it does not ask a server that has gone
