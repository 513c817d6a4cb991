"""The page of a network that gives a number, live and recorded: targets and answers in place of classes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_number import SIDE, session

pytest.importorskip("starlette", reason="the extra explore is not installed")

from recordings import recording_of
from serving import Served, served_training

from tinycnn.explore.recorded_training import record

pytestmark = pytest.mark.slow

NUMBER = r"−?\d+(?:\.\d+)?(?:e−?\d+)?"


@pytest.fixture
def served() -> Iterator[Served]:
    with served_training(session()) as found:
        yield found


@pytest.fixture
def live(served: Served, page: Any) -> Iterator[Any]:
    """The page of a server, which it leaves before the server ends."""
    page.goto(f"{served.client.address}#image=test-1")
    page.wait_for_selector(".panel output.value")
    yield page
    page.goto("about:blank")


@pytest.fixture
def recorded(page: Any, tmp_path: Path) -> Any:
    found = session()
    training = record(found, epochs=2, batch_size=8, checkpoints=3)
    page.goto(f"{recording_of(found, tmp_path, training=training).as_uri()}#image=test-1")
    page.wait_for_selector(".panel output.value")
    return page


def shown(text: float) -> str:
    """Return a number with three digits, as the page writes it."""
    return f"{float(f'{text:.3g}'):g}".replace("-", "−")


def wait_for_answer(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('p.answer[data-part]').textContent.includes(text)", arg=text)


def check_the_target(page: Any) -> None:
    """The field at the top takes any number, and the loss and the gradients follow."""
    found = session()
    target = float(found.data.y_test[1])
    field = page.get_by_label("Loss for the target")
    assert page.get_by_label("Loss for the class").count() == 0
    assert field.get_attribute("placeholder") == f"its own: {shown(target)}"
    wait_for_answer(page, f"The target: {shown(target)}. Loss: ")
    field.fill("2.5")
    field.press("Enter")
    wait_for_answer(page, f"The target: {shown(target)}. Loss for the target 2.5: ")
    assert "label=2.5" in page.evaluate("() => location.hash")
    said = page.locator("p.answer[data-part]").text_content()
    answer, loss = (
        float(re.search(rf"{name}: ({NUMBER})", said)[1].replace("−", "-"))
        for name in ("answer", r"Loss for the target 2\.5")
    )
    assert loss == pytest.approx((answer - 2.5) ** 2, rel=0.02)
    field.fill("")
    field.press("Enter")
    wait_for_answer(page, ". Loss: ")
    assert page.evaluate("() => document.activeElement.placeholder") == f"its own: {shown(target)}"


def test_a_target_is_typed_live(live: Any) -> None:
    check_the_target(live)


def test_a_target_is_typed_in_a_recording(recorded: Any) -> None:
    # Its network is the trained one, and what is asked of it is the same.
    check_the_target(recorded)


def test_what_is_drawn_is_answered_with_a_number_and_has_no_target(live: Any) -> None:
    live.get_by_role("button", name="Draw and find").click()
    said = live.locator(".studio p.answer")
    said.filter(has_text="The network's answer: ").wait_for()
    assert live.locator(".bars").count() == 0
    before = said.text_content()
    live.locator("canvas.surface").focus()
    live.keyboard.press("Space")
    live.wait_for_function("before => document.querySelector('.studio p.answer').textContent !== before", arg=before)
    live.get_by_role("button", name="Follow the drawing").click()
    wait_for_answer(live, "Loss for the target 0: ")
    assert live.get_by_label("Loss for the target").get_attribute("placeholder") == "0, it has none"


def test_galleries_and_attention_ask_for_no_class(live: Any, served: Served) -> None:
    live.get_by_role("button", name="Draw and find").click()
    galleries = live.get_by_role("region", name="Galleries")
    galleries.get_by_text("gives a number and no classes, so nothing is taken for something else").wait_for()
    options = galleries.locator("select").first.locator("option").all_text_contents()
    assert options == ["images with the largest loss", "images that excite a filter"]
    galleries.get_by_role("button", name="Find", exact=True).click()
    first = galleries.locator(".gallery .tile").first
    first.wait_for()
    found = session()
    losses = (found.model.predict(found.data.x_test)[:, 0] - found.data.y_test) ** 2
    at = int(losses.argmax())
    answer = found.model.predict(found.data.x_test)[at, 0]
    texts = [f"test-{at}", f"target {shown(found.data.y_test[at])}", f"answer {shown(answer)}"]
    assert first.locator("span").all_text_contents() == [*texts, f"loss {shown(losses[at])}"]
    looks = live.get_by_role("region", name="Where it looks")
    assert looks.get_by_label("For the class").count() == 0
    for way, cells in (("saliency", SIDE), ("occlusion", SIDE), ("gradcam", SIDE // 2 - 1)):
        looks.get_by_label("Way").select_option(way)
        looks.get_by_role("button", name="Show").click()
        looks.get_by_text(f"test image 1, the network's number: {cells} by {cells} cells").wait_for()


def test_a_training_has_the_loss_alone(live: Any, served: Served) -> None:
    live.get_by_role("button", name="Train", exact=True).click()
    live.get_by_label("Images in a batch").fill("8")
    live.get_by_role("button", name="Set up, at step 0").click()
    live.get_by_role("button", name="One batch", exact=True).click()
    live.get_by_text("paused; step 1 of").wait_for()
    live.wait_for_function(
        "() => document.querySelector('#said').textContent.startsWith('Step 1: on test images loss ')"
    )
    assert "accuracy" not in live.locator("#said").text_content().lower()
    captions = live.locator(".curve figcaption").all_text_contents()
    assert captions == ["Loss"]
    assert "ccuracy" not in live.locator("#train").inner_text()
    worst = live.locator(".worst .tile").first.locator("span").all_text_contents()
    [one, *_] = served.training.state()["lanes"]["main"]["worst"]
    assert worst == [f"target {shown(one['label'])}", f"answer {shown(one['answer'])}", f"loss {shown(one['loss'])}"]


def test_a_recorded_training_has_the_loss_alone(recorded: Any) -> None:
    recorded.get_by_role("button", name="Train", exact=True).click()
    recorded.get_by_text("What it answers for test image 1: ").wait_for()
    assert recorded.locator(".curve figcaption").all_text_contents() == ["Loss"]
    text = recorded.locator("#train").inner_text()
    assert re.search(rf"What it answers for test image 1: {NUMBER}\n", text), text
    assert "class" not in text
    recorded.get_by_role("button", name="Draw and find").click()
    recorded.locator(".studio p.answer").filter(has_text="The network's answer: ").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["inside", "draw", "train"])
def test_nobody_is_kept_out(browser: Any, served: Served, theme: str, view: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    served.training.begin(batch_size=8)
    served.training.step()
    assert served.training.wait(30)
    # axe-core is brought into the page as a script, which its policy would refuse.
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{served.client.address}#theme={theme}&view={view}&image=test-1")
    page.wait_for_selector({"inside": ".panel output.value", "draw": ".studio p.answer", "train": ".worst .tile"}[view])
    found = axe.Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


def test_names_of_numbers_are_written_as_here() -> None:
    assert [shown(one) for one in np.array([-0.12345, 3.0, 12.345])] == ["−0.123", "3", "12.3"]
