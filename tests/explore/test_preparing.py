"""The page while its network is still being made: how far that is, what comes of it, and what goes wrong."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from teaching import session_of

import tinycnn

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import served_stage

from tinycnn.explore import preparing
from tinycnn.explore.preparing import LeftError, Preparation
from tinycnn.explore.session import Session


class Work:
    """A preparation that goes on when the test says so; it ends with a session, or with an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.tell: Any = None
        self.error, self.steps, self.backend = error, threading.Semaphore(0), ""
        self.preparation = Preparation("small is trained first", self.make)

    def make(self, tell: Callable[..., None]) -> Session:
        self.backend = tinycnn.get_backend().name
        tell("Loading")
        for number in range(1, 3):
            self.wait()
            tell(f"{number} batches, loss {1 / number:.3f}", number / 2)
        self.wait()
        if self.error is not None:
            raise self.error
        return session_of("one channel")

    def wait(self) -> None:
        assert self.steps.acquire(timeout=60)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_page_is_there_first_and_then_the_network() -> None:
    work = Work()
    with served_stage(work.preparation) as (client, stage, failed):
        assert client.ask("/")[0] == client.ask("/preparing.js")[0] == 200
        until(lambda: client.json("/api/network")["preparing"]["text"] == "Loading")
        assert client.json("/api/network")["preparing"] == {
            "title": "small is trained first",
            "text": "Loading",
            "share": None,
            "failed": False,
        }
        for path, body in (("/api/trace", {"image": "test-0"}), ("/api/training", None), ("/api/x", None)):
            assert "no network yet" in client.error(path, body, 503)
        work.steps.release()
        until(lambda: client.json("/api/network")["preparing"]["share"] == 0.5)
        assert client.json("/api/network")["preparing"]["text"] == "1 batches, loss 1.000"
        work.steps.release(2)
        until(lambda: "layers" in client.json("/api/network"))
        assert client.arrays("/api/trace", {"image": "test-0"})[0]["trace"] == 1
        assert client.json("/api/training")["lanes"] == {}
        assert not failed.is_set()
    stage.close()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError("MNIST could not be downloaded"), "MNIST could not be downloaded"),
        (FloatingPointError("the loss is NaN"), "the loss is NaN"),
        (KeyError("no such set"), "no such set"),
        (MemoryError(), "MemoryError"),
        (SystemExit("a layer of my own"), "a layer of my own"),
    ],
)
def test_an_error_is_told_on_the_page_before_the_server_ends(error: BaseException, says: str) -> None:
    work = Work(error)
    with served_stage(work.preparation) as (client, stage, failed):
        work.steps.release(3)
        until(lambda: work.preparation.failure is not None)
        assert not failed.wait(0.2)  # a page is on its way
        told = client.json("/api/network")["preparing"]
        assert told["failed"]
        assert told["text"] == says
        assert failed.wait(10)
    with pytest.raises(type(error)) as raised:
        stage.close()
    assert raised.value is error


@pytest.mark.parametrize(("is_opened", "patience", "waits"), [(True, 0.5, True), (False, 60, False)])
def test_a_page_that_never_comes_is_not_waited_for_long(
    is_opened: bool, patience: float, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "FAREWELL_SECONDS", patience)
    work, ended = Work(ValueError("wrong")), threading.Event()
    work.preparation.begin(lambda session: None, ended.set, is_opened)
    begin = time.monotonic()
    work.steps.release(3)
    assert ended.wait(30)
    assert (time.monotonic() - begin >= patience) == waits


def test_work_that_nobody_waits_for_ends_where_it_tells() -> None:
    work = Work()
    with served_stage(work.preparation) as (client, stage, failed):
        until(lambda: client.json("/api/network")["preparing"]["text"] == "Loading")
        assert not work.preparation.has_ended(0.05)
        stage.leave()
        work.steps.release()
        assert work.preparation.has_ended(10)
        with pytest.raises(LeftError):
            work.preparation.tell("more")
    assert not failed.is_set()
    stage.close()  # that is no error


def test_the_work_runs_on_the_backend_that_was_chosen() -> None:
    work = Work()
    with tinycnn.use_backend("reference"), served_stage(work.preparation):
        until(lambda: work.backend)
    assert work.backend == "reference"


# In a browser -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_shows_how_far_it_is_and_becomes_the_network_by_itself(page: Any) -> None:
    work = Work()
    with served_stage(work.preparation) as (client, _, _):
        page.goto(f"{client.address}#image=test-2")
        status = page.get_by_role("status").filter(has_text="Loading")
        status.wait_for()
        assert "token" not in page.url
        assert page.get_by_role("heading", name="small is trained first").is_visible()
        bar = page.get_by_role("progressbar", name="How far it is")
        assert bar.get_attribute("value") is None  # nobody knows yet
        work.steps.release()
        page.get_by_role("status").filter(has_text="1 batches, loss 1.000").wait_for()
        assert bar.get_attribute("value") == "0.5"
        page.reload()
        page.get_by_role("status").filter(has_text="1 batches, loss 1.000").wait_for()
        work.steps.release(2)
        page.wait_for_selector(".panel output.value")
        assert page.get_by_text("small is trained first").count() == 0
        assert page.locator("#said").text_content() == "This is done; here is the network."
        assert "image=test-2" in page.url
        page.goto("about:blank")  # so that it does not ask a server that has gone


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_has_to_wait_outside(browser: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    with served_stage(Work().preparation) as (client, _, _):
        page.goto(f"{client.address}#theme={theme}")
        page.get_by_role("status").filter(has_text="Loading").wait_for()
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        found = axe.Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.slow
def test_the_page_says_what_has_gone_wrong(page: Any) -> None:
    work = Work(ValueError("the loss is NaN in <b>conv</b>"))
    with served_stage(work.preparation) as (client, _, failed):
        page.goto(client.address)
        page.get_by_role("status").filter(has_text="Loading").wait_for()
        work.steps.release(3)
        said = page.get_by_role("alert").filter(has_text="This has failed")
        said.wait_for()
        assert failed.wait(10)
        assert said.inner_text().splitlines() == [
            "small is trained first.",
            "This has failed: the loss is NaN in <b>conv</b>",
            "The program in the terminal has ended.",
        ]
        assert page.get_by_role("progressbar").count() == 0


@pytest.mark.slow
def test_a_program_that_is_stopped_meanwhile_is_missed(page: Any) -> None:
    work = Work()
    with served_stage(work.preparation) as (client, _, _):
        page.goto(client.address)
        page.get_by_role("status").filter(has_text="Loading").wait_for()
    page.get_by_role("alert").filter(has_text="The server does not answer").wait_for()
