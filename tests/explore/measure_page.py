"""Measure the page in a browser: whether its memory grows while it trains, and how fast a drawing is answered.

python tests/explore/measure_page.py memory [STEPS]
python tests/explore/measure_page.py stroke
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

import numpy as np  # noqa: E402  (the checkout has to be found first)

from tinycnn import models, set_seed  # noqa: E402
from tinycnn.explore.session import Data, Session  # noqa: E402

#: After how many steps the memory is looked at for the first time, and how often from then on.
WARM, LOOKS = 200, 12
#: So many images that the longest training, of a thousand epochs, takes longer than half an hour.
IMAGES = 32768
#: How many moves of the pen are measured, and how many of the first are left out.
MOVES, FIRST = 300, 20

#: Remembers, for moves of the pointer, the milliseconds from the event to the probabilities' text that follows it.
WATCH = """() => {
    window.waited = [];
    let since = null;
    document.querySelector(".surface").addEventListener("pointerrawupdate", (event) => { since ??= event.timeStamp; });
    const texts = new MutationObserver(() => {
        if (since !== null) window.waited.push(performance.now() - since);
        since = null;
    });
    texts.observe(document.querySelector(".bars tbody"), { subtree: true, childList: true, characterData: true });
}"""


def session(name: str) -> Session:
    """Return a documented network that nobody has trained, and images of noise."""
    set_seed(0)
    model = models.build(name)
    rng = np.random.default_rng(0)
    x = rng.random((IMAGES, *model.input_shape), np.float32)
    y = np.arange(IMAGES) % 10
    return Session(model, Data("noise", tuple(map(str, range(10))), x, y, x, y))


def heap(page: Any, tools: Any) -> dict[str, int]:
    """Return what the page holds after its garbage was collected: bytes, and nodes of the document."""
    page.wait_for_timeout(300)
    for _ in range(2):
        tools.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    return {"bytes": int(found["JSHeapUsedSize"]), "nodes": int(found["Nodes"])}


def growth(page: Any, steps: int, warm: int = WARM, looks: int = 2) -> Iterator[dict[str, int]]:
    """Train on an open page, and yield what it holds after some steps and at ``looks - 1`` places from there on."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    page.get_by_role("button", name="Set up, at step 0").press("Enter")
    page.get_by_role("button", name="Go on").press("Enter")
    for k in range(looks):
        target = warm + (steps - warm) * k // (looks - 1)
        page.wait_for_function(
            "target => Number(document.querySelector('.step output').textContent) >= target", arg=target, timeout=0
        )
        yield {"step": target} | heap(page, tools)
    page.get_by_role("button", name="Pause").press("Enter")


def strokes(page: Any) -> list[float]:
    """Draw on an open page, and return the milliseconds from a move of the pen to the probabilities."""
    page.evaluate(WATCH)
    page.locator(".surface").scroll_into_view_if_needed()
    box = page.locator(".surface").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    for n in range(MOVES):
        page.mouse.move(box["x"] + 40 + 200 * (n % 20) / 20, box["y"] + 40 + 200 * n / MOVES)
        page.wait_for_timeout(20)
    page.mouse.up()
    return list(page.evaluate("window.waited"))[FIRST:]


def main() -> None:
    """Measure what the command line names."""
    from browsing import started
    from playwright.sync_api import sync_playwright
    from serving import serving

    what, *more = sys.argv[1:] or ["memory"]
    with serving(session("ladder_02" if what == "memory" else "ladder_10")) as client, sync_playwright() as driver:
        browser = started(driver)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(f"{client.address}#image=test-0&view={'train' if what == 'memory' else 'draw'}")
        if what == "memory":
            begun = time.monotonic()
            for found in growth(page, int(more[0]) if more else 5000, looks=LOOKS):
                minutes = (time.monotonic() - begun) / 60
                held = f"{found['bytes'] / 2**20:.1f} MiB, {found['nodes']} nodes"
                print(f"{minutes:.1f} minutes, step {found['step']}: {held}", flush=True)
        else:
            page.wait_for_selector(".bars tbody tr")
            waited = strokes(page)
            median, most = np.percentile(waited, [50, 95])
            print(f"{len(waited)} answers to moves of the pen: median {median:.1f} ms, 95 of 100 within {most:.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
