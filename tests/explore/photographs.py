"""Take the pictures of docs/explore.md with a browser.

python tests/explore/photographs.py
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

import numpy as np  # noqa: E402  (the checkout has to be found first)
from browsing import started  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from serving import serving  # noqa: E402

import tinycnn  # noqa: E402
from tinycnn import datasets, models  # noqa: E402
from tinycnn.explore.session import Data, Session  # noqa: E402

#: The network of the pictures, and for how many epochs it is trained on digits.
NAME, EPOCHS = "ladder_03", 2
#: After which step the training of the picture is forked, with how many times the learning rate, and where it ends.
FORKED, TIMES, STEPS = 120, 10, 420
#: The width of the pictures, and the height of each: as much as has to be seen.
WIDTH, HEIGHTS = 1280, {"values": 960, "gradients": 1326, "training": 1000}


def session() -> Session:
    """Return a network that was trained on digits, and its images."""
    (x, y), (x_test, y_test) = datasets.load("digits")
    x, x_test = (np.divide(images[..., np.newaxis], 255, dtype=np.float32) for images in (x, x_test))
    data = Data("digits", tuple(datasets.digits.class_names), x, y, x_test, y_test)
    tinycnn.set_seed(0)
    model = models.build(NAME)
    model.compile(models.recipe(NAME).make_optimizer(), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y, 128, epochs=EPOCHS, verbose=0)
    return Session(model, data)


def photographed(page: Any, name: str) -> None:
    """Save what the page shows."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHTS[name]})
    page.locator("h1").click()  # it takes the last message away
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / f"explore_{name}.png")


def main() -> None:
    """Take all pictures."""
    with serving(session()) as client, sync_playwright() as driver:
        browser = started(driver)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHTS["values"]})
        page.goto(f"{client.address}#image=test-0&layer=0&theme=light")
        photographed(page, "values")
        page.evaluate("location.hash = 'image=test-0&layer=0&theme=light&way=backward'")
        page.wait_for_selector(".slope[data-verdict]")
        photographed(page, "gradients")
        page.evaluate("location.hash = 'image=test-0&theme=light&view=train'")
        train(page)
        photographed(page, "training")
        browser.close()


def train(page: Any) -> None:
    """Train for a while, fork with another learning rate, and go on."""
    page.get_by_role("button", name="Set up, at step 0", exact=True).click()
    train_to(page, FORKED)
    course = page.get_by_role("region", name="Course of the training")
    rate = float(course.get_by_label("Learning rate").input_value())
    page.get_by_label("Value of the change").fill(f"{TIMES * rate:g}")
    page.get_by_role("button", name="Fork", exact=True).click()
    train_to(page, STEPS)


def train_to(page: Any, step: int) -> None:
    """Let the training go on, and then back to a step, so that every picture shows the same one."""
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function(
        "step => Number(document.querySelector('.step output').textContent) > step", arg=step, timeout=120_000
    )
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("paused; step").first.wait_for()
    page.get_by_role("slider").fill(str(step))
    page.get_by_text(f"paused; step {step} of").first.wait_for(timeout=120_000)


if __name__ == "__main__":
    main()
