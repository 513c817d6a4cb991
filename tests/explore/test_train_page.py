"""Training in a browser: buttons, the slider of steps, a fork, a reload, and two tabs."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers, set_seed

pytest.importorskip("starlette", reason="the extra explore is not installed")

from measure_page import growth
from serving import Served, served_training

from tinycnn.explore.session import Data, Session

pytestmark = pytest.mark.slow

SIZES = ((1280, 720), (768, 1024))


@pytest.fixture
def served() -> Iterator[Served]:
    rng = np.random.default_rng(0)
    x, y = rng.random((96, 12, 12, 1), np.float32), rng.integers(0, 3, 96)
    set_seed(1)
    model = Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(6, 3, activation="relu", name="<b>first<b>"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    with served_training(Session(model, Data("noise", ("a", "<i>b<i>", "c"), x, y, x[:40], y[:40]))) as found:
        yield found


@pytest.fixture
def page(served: Served, page: Any) -> Any:
    """The page of these tests ends before their server, which it would miss."""
    return page


def opened(page: Any, served: Served) -> None:
    page.goto(served.client.address + "#view=train")
    page.wait_for_selector(".training")


def begun(page: Any, served: Served) -> None:
    opened(page, served)
    page.get_by_label("Images in a batch").fill("16")
    page.get_by_role("button", name="Set up, at step 0").click()
    at(page, 0)


def at(page: Any, step: int) -> None:
    """Wait until the page stands still at a step."""
    said = f"paused; step {step} of"
    page.wait_for_function(
        "said => document.querySelector('.training .numbers')?.textContent.startsWith(said)", arg=said
    )


def course(page: Any) -> Any:
    return page.get_by_role("region", name="Course of the training")


def test_by_keyboard_there_and_back(page: Any, served: Served) -> None:
    begun(page, served)
    one = page.get_by_role("button", name="One batch", exact=True)
    for step in range(1, 5):
        one.focus()
        page.keyboard.press("Enter")
        at(page, step)
    wanted = served.training.current_weights()
    page.get_by_role("button", name="One batch back").press("Enter")
    at(page, 3)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    at(page, 0)
    assert slider.get_attribute("aria-valuetext") == "step 0 of 4"
    page.keyboard.press("End")
    at(page, 4)
    for found, array in zip(served.training.current_weights(), wanted, strict=True):
        assert found.tobytes() == array.tobytes()


def test_running_pausing_and_the_rate(page: Any, served: Served) -> None:
    begun(page, served)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function("() => Number(document.querySelector('.training .steps-slider').value) > 20")
    page.get_by_role("button", name="Pause").click()
    assert served.training.wait(30)
    step = served.training.state()["lanes"]["main"]["step"]
    at(page, step)
    course(page).get_by_label("Learning rate").fill("0.5")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('.training .numbers').textContent.endsWith('learning rate 0.5')"
    )
    assert served.training.state()["lanes"]["main"]["rates"][-1] == (step, 0.5)


def test_a_fork_is_shown_beside_and_a_reload_loses_nothing(page: Any, served: Served) -> None:
    begun(page, served)
    for _ in range(3):
        served.training.step()
        assert served.training.wait(30)
    at(page, 3)
    page.get_by_label("With one change").select_option("scale")
    page.get_by_label("Value of the change").fill("2")
    page.get_by_role("button", name="Fork", exact=True).click()
    fork = page.get_by_role("region", name="Fork")
    fork.get_by_text("initial weights times 2: paused; step 3").wait_for()
    page.locator("summary", has_text="Loss as a table").click()
    page.locator(".curve th[scope=col]").first.wait_for()  # The table is filled when it is opened, a moment later.
    headings = page.locator(".curve th[scope=col]").all_text_contents()
    assert headings == [
        "step", "training: batch", "training: test", "fork, initial weights times 2: batch",
        "fork, initial weights times 2: test",
    ]  # fmt: skip
    row = page.locator(".curve tbody tr", has=page.get_by_text("3", exact=True)).locator("td").all_text_contents()
    lanes = served.training.state()["lanes"]
    wanted = [lanes[name]["batches"]["rows"][-1][1] for name in ("main", "fork")]
    assert [float(row[0]), float(row[2])] == pytest.approx(wanted, rel=1e-3)
    before = page.locator(".curve canvas").first.get_attribute("aria-label")
    page.reload()
    at(page, 3)
    fork.get_by_text("initial weights times 2: paused; step 3").wait_for()
    assert page.locator(".curve canvas").first.get_attribute("aria-label") == before
    page.get_by_role("button", name="End the fork").click()
    fork.get_by_text("initial weights times 2").wait_for(state="detached")


def test_headings_are_not_cut(page: Any, served: Served) -> None:
    begun(page, served)
    served.training.fork("rate", 0.00301)
    page.locator("summary", has_text="Loss as a table").click()
    page.locator(".curve th", has_text="fork, learning rate 0.00301 from step 0: batch").wait_for()
    headings = page.locator(".training th")
    assert headings.evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length") == 0


def test_two_tabs_see_the_same(page: Any, served: Served) -> None:
    begun(page, served)
    other = page.context.new_page()
    opened(other, served)
    at(other, 0)
    page.bring_to_front()
    page.get_by_role("button", name="One batch", exact=True).click()
    at(page, 1)
    at(other, 1)
    other.close()
    page.get_by_role("button", name="One batch", exact=True).click()
    at(page, 2)


def test_a_training_that_diverges_names_its_layer(page: Any, served: Served) -> None:
    begun(page, served)
    served.training.change_rate(1e30)
    page.get_by_role("button", name="Go on").click()
    page.locator(".training .error:not([hidden])", has_text="it began in the layer").wait_for()
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    at(page, 0)
    assert page.locator(".training .error:not([hidden])").count() == 0


def test_wrong_numbers_are_said_on_the_page(page: Any, served: Served) -> None:
    begun(page, served)
    course(page).get_by_label("Learning rate").fill("-1")
    page.get_by_role("button", name="Set the rate").click()
    page.get_by_text("rate must be > 0").wait_for()


def test_the_worst_images_open(page: Any, served: Served) -> None:
    begun(page, served)
    page.locator(".training .worst button").first.click()
    page.wait_for_function("() => location.hash.includes('image=test-')")
    page.wait_for_selector("#inside .layers")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Any, served: Served, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the extra browser")
    page.emulate_media(color_scheme=theme)
    begun(page, served)
    served.training.step()
    at(page, 1)
    served.training.fork("scale", 2.0)
    page.get_by_role("button", name="End the fork").wait_for()
    assert served.training.wait(30)
    page.locator("summary", has_text="as a table").first.click()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        time.sleep(0.3)  # the last frame is drawn
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_page_holds_no_more_after_hundreds_of_steps(page: Any, served: Served) -> None:
    """Half an hour of training is thousands of steps; tests/explore/measure_page.py makes as many as it is told."""
    page.goto(served.client.address + "#view=inside&image=test-0")
    page.wait_for_selector(".panel output.value")
    page.get_by_role("button", name="Train").press("Enter")
    first, *_, before, last = growth(page, steps=600, warm=150, looks=4)
    assert served.training.wait(30)
    # At one look there may be an answer on its way; what is left behind is there at both.
    assert min(last["bytes"], before["bytes"]) - first["bytes"] < 500_000
    assert min(last["nodes"], before["nodes"]) - first["nodes"] < 100
