"""Moving about the page: Back and Forward, quick keys, where the focus is, and lines of code that stay open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from teaching import go, session_of

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import Served, served_training

from tinycnn.explore.recorded_training import record
from tinycnn.explore.recording import write_recording

pytestmark = pytest.mark.slow

#: Views with what has to be there before their controls are tried.
VIEWS = {
    "layer=0": ".panel output.value",
    "layer=0&way=backward": "section.weights output.value",
    "layer=0&predict=1": "form.predict",
    "view=matrix&layer=0&pixel=2,2": ".product tr.lit",
    "view=tape&tape=9": ".tape td.current",
    "view=draw": ".bars tbody tr",
    "tour=weight&step=3": '.tour[data-step="weight 3"]',
}
#: What a test may not press: they open a window of the system's, or end what the page is made of.
LEFT_OUT = ("INPUT file", "INPUT color")
CONTROLS = """() => [...document.querySelectorAll("a, button, input, select, summary, [tabindex='0']")]
    .filter((one) => one.checkVisibility() && !one.disabled && !one.closest(".skip"))"""


def wait_for_hash(page: Any, *parts: str) -> None:
    page.wait_for_function("parts => parts.every((part) => location.hash.includes(part))", arg=list(parts))


def settled(page: Any) -> None:
    """Wait until what an action has begun is drawn."""
    page.wait_for_function("() => !document.querySelector('[aria-busy]')")
    page.wait_for_timeout(120)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_for_text(page: Any, where: str, text: str) -> None:
    """Wait until the first element that a selector finds has this text in it."""
    page.wait_for_function(
        "([where, text]) => document.querySelector(where)?.textContent.includes(text)", arg=[where, text]
    )


def wait_for_number(page: Any, key: str) -> None:
    """Wait until the panel shows a number whose image, pass, way, layer and place begin so."""
    page.wait_for_function("key => document.querySelector('.panel')?.dataset.shown.startsWith(key)", arg=key)


def act(page: Any) -> None:
    """Use the control that has the focus, as its kind is used by keyboard."""
    kind = page.evaluate("[document.activeElement.tagName, document.activeElement.type ?? ''].join(' ')")
    if kind.startswith(("BUTTON", "SUMMARY")):
        key = "Enter"
    elif "checkbox" in kind:
        key = "Space"
    elif "number" in kind or (kind.startswith("SELECT") and page.evaluate("document.activeElement.selectedIndex > 0")):
        key = "ArrowUp"
    else:
        key = "ArrowDown"
    page.keyboard.press(key)


def lost_in(page: Any, where: str, ready: str) -> list[str]:
    """Use each control of a view, and return those after which nothing that is seen has the focus."""
    lost = []
    go(page, f"image=test-1&{where}")
    page.wait_for_selector(ready)
    settled(page)
    count = page.evaluate(f"({CONTROLS})().length")
    here = page.evaluate("location.hash")
    for n in range(count):
        if page.evaluate("location.hash") != here:
            go(page, "image=test-0")  # so that each of them begins with the same page
            wait_for_number(page, "test-0 ")
            go(page, f"image=test-1&{where}")
            page.wait_for_selector(ready)
            settled(page)
        name = page.evaluate(
            f"""(n) => {{
                const one = ({CONTROLS})()[n];
                one?.focus();
                const name = one?.getAttribute("aria-label") ?? one?.textContent;
                return one && [one.tagName, one.type ?? "", name].join(" ");
            }}""",
            n,
        )
        if not name or name.startswith(LEFT_OUT):
            continue
        act(page)
        settled(page)
        if not page.evaluate("document.activeElement !== document.body && document.activeElement.checkVisibility()"):
            lost.append(f"{where}: {name[:60]}")
    return lost


@pytest.mark.parametrize("where", VIEWS)
def test_the_focus_is_never_lost(page: Any, open_page: Any, where: str) -> None:
    open_page(session_of("one channel"))
    page.wait_for_selector(".panel output.value")
    assert lost_in(page, where, VIEWS[where]) == []


@pytest.fixture
def training(page: Any) -> Iterator[Served]:
    with served_training(session_of("batch normalization")) as served:
        page.goto(served.client.address + "#view=train&image=test-1")
        page.get_by_role("button", name="Set up, at step 0").press("Enter")
        wait_for_text(page, ".training .numbers", "paused")
        yield served
        page.goto("about:blank")


def test_the_focus_goes_on_in_a_training(page: Any, training: Served) -> None:
    focused = "document.activeElement.textContent"
    page.wait_for_function(f"() => {focused} === 'Go on'")  # the button that set it up is folded away
    page.get_by_role("button", name="One batch back").press("Enter")
    page.get_by_role("button", name="Fork", exact=True).press("Enter")
    page.get_by_role("button", name="End the fork").press("Enter")
    page.wait_for_function(f"() => {focused} === 'Fork'")
    page.locator(".training .worst button").first.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'inside'")


def test_quick_keys_on_the_slider_all_count(page: Any, training: Served) -> None:
    for step in range(1, 13):
        training.training.step()
        assert training.training.wait(60)
        page.wait_for_function("(step) => document.querySelector('.steps-slider').max === String(step)", arg=step)
    slider = page.get_by_role("slider")
    page.wait_for_function("() => document.querySelector('.steps-slider').value === '12'")
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    wait_for_text(page, ".training .numbers", "paused; step 5 of 12")
    back = page.get_by_role("button", name="One batch back")
    back.focus()
    for _ in range(3):
        page.keyboard.press("Enter")
    wait_for_text(page, ".training .numbers", "paused; step 2 of 12")
    assert slider.input_value() == "2"


def test_what_is_no_number_is_said(page: Any, training: Served) -> None:
    course = page.get_by_role("region", name="Course of the training")
    course.get_by_label("Learning rate").fill("")
    page.get_by_role("button", name="Set the rate").press("Enter")
    page.get_by_text("Learning rate: please type a number, such as 0.01.").wait_for()
    page.locator("summary", has_text="Set up another training").press("Enter")
    first = page.get_by_label("Learning rate").first
    first.fill("")
    first.focus()
    page.keyboard.type("e")  # a number field takes the letter of exponents, and has no value then
    page.evaluate("document.getElementById('said').textContent = ''")
    page.get_by_role("button", name="Set up, at step 0").press("Enter")
    page.get_by_text("Learning rate: please type a number, such as 0.01.").wait_for()


def test_back_and_forward(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"))
    page.wait_for_selector(".panel output.value")
    before = page.evaluate("history.length")
    page.locator('.layers button[value="1"]').press("Enter")
    page.get_by_role("spinbutton", name="row", exact=True).fill("2")
    page.keyboard.press("Enter")
    wait_for_hash(page, "at=2")
    page.get_by_role("button", name="The tape").press("Enter")
    page.get_by_role("button", name="Next step").press("Enter")
    page.get_by_role("combobox", name="Theme").select_option("dark")
    wait_for_hash(page, "tape=1", "theme=dark")
    assert page.evaluate("history.length") == before + 2  # two places: the layer, and the view
    page.go_back()
    wait_for_hash(page, "layer=1", "at=2")
    page.wait_for_selector("#inside:not([hidden])")
    wait_for_number(page, "test-1 prediction forward 1 2,")
    page.go_back()
    wait_for_number(page, "test-1 prediction forward 0 ")
    page.go_forward()
    page.go_forward()
    page.wait_for_selector("#tape:not([hidden])")
    wait_for_hash(page, "tape=1")


def test_back_in_a_tour(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"))
    page.wait_for_selector(".panel output.value")
    page.get_by_role("combobox", name="Guided tour").select_option("pixel")
    page.wait_for_selector('.tour[data-step="pixel 0"]')
    for step in (1, 2, 3, 4):
        page.get_by_role("button", name="Next", exact=True).press("Enter")
        page.wait_for_selector(f'.tour[data-step="pixel {step}"]')
    wait_for_hash(page, "view=matrix")
    for step in (3, 2, 1, 0):
        page.go_back()
        page.wait_for_selector(f'.tour[data-step="pixel {step}"]')
        page.wait_for_selector("#inside:not([hidden])")
    page.go_back()
    page.wait_for_selector(".tour", state="hidden")


def test_the_step_of_a_recorded_training_stands_in_the_address(page: Any, tmp_path: Path) -> None:
    session = session_of("one channel")
    training = record(session, epochs=2, checkpoints=5)
    write_recording(session, tmp_path / "page.html", images=8, training=training)
    steps = training.description["steps"]
    page.goto((tmp_path / "page.html").as_uri() + "#view=train")
    slider = page.get_by_role("slider")
    slider.focus()
    before = page.evaluate("history.length")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    wait_for_hash(page, f"trained={steps[-3]}")
    wait_for_text(page, "#origin", "Recomputed")
    assert page.evaluate("history.length") == before
    answer = page.locator("#train td").first.text_content()
    page.reload()
    page.wait_for_selector("#train td")
    assert slider.get_attribute("aria-valuetext") == f"step {steps[-3]} of {steps[-1]}"
    assert page.locator("#train td").first.text_content() == answer
    page.get_by_role("button", name="Look inside").press("Enter")
    page.wait_for_selector("#inside:not([hidden]) .layers")
    page.go_back()
    page.wait_for_selector("#train:not([hidden])")
    page.goto((tmp_path / "page.html").as_uri() + "?2#view=train&trained=12345")
    page.get_by_text("Step 12345 is not among those").wait_for()
    assert slider.get_attribute("aria-valuetext") == f"step {steps[-1]} of {steps[-1]}"


def test_open_code_follows_the_number(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"), "image=test-1&layer=0&at=1,2,3")
    page.wait_for_selector(".panel output.value")
    page.locator(".panel details.code summary").press("Enter")
    page.get_by_label("Python for").select_option(label="z(1, 2, 3), before the activation")
    page.get_by_role("spinbutton", name="row", exact=True).fill("4")
    page.get_by_role("spinbutton", name="row", exact=True).press("Enter")
    wait_for_text(page, ".code pre", "print(layer.z[0, 4, 2, 3])")
    assert page.locator(".panel details.code pre").is_visible()


def test_it_is_said_while_averages_have_not_settled(page: Any, training: Served) -> None:
    early = page.locator(".training .early")
    assert early.is_hidden()  # before the first batch, nothing was learned
    page.get_by_role("button", name="One batch", exact=True).press("Enter")
    wait_for_text(page, ".training .numbers", "paused; step 1 of 1")
    wait_for_text(page, ".training .early", "come from 1 batch so far; they settle after about 299.")
    page.get_by_role("button", name="Look inside").press("Enter")
    wait_for_text(page, "#inside .early", "come from 1 batch so far; they settle after about 299.")
    page.get_by_role("combobox", name="Pass").select_option("training")
    page.locator("#inside .early").wait_for(state="hidden")


def refused_by(page: Any) -> list[str]:
    """Return a list that gets the path of every request of the page that is answered with an error."""
    found: list[str] = []
    page.on("response", lambda answer: answer.status >= 400 and found.append(answer.url))
    return found


def test_a_pass_that_was_forgotten_is_not_asked_for(page: Any, training: Served) -> None:
    """While the pass with new weights is on its way, the old one is shown from what the page has of it."""
    page.get_by_role("button", name="Look inside").press("Enter")
    page.wait_for_selector(".panel output.value")
    refused, waiting = refused_by(page), list[Any]()
    page.route("**/api/trace", lambda route: waiting.append(route))
    training.training.step()
    assert training.training.wait(60)
    for _ in range(100):
        if waiting:
            break
        page.wait_for_timeout(50)
    page.get_by_role("combobox", name="Theme").select_option("dark")
    page.get_by_role("button", name="As a matrix").press("Enter")
    page.wait_for_selector(".product tr.lit")
    page.wait_for_timeout(300)
    assert waiting
    for route in waiting:
        route.continue_()
    page.unroute("**/api/trace")
    settled(page)
    assert refused == []


def test_weights_that_somebody_else_has_changed_are_shown(page: Any, open_page: Any) -> None:
    session = open_page(session_of("one channel"), "image=test-1&layer=0")
    page.wait_for_selector(".panel output.value")
    refused = refused_by(page)
    with session.changing_weights() as model:
        model.set_weights([2 * array for array in model.get_weights()])
    page.locator('.layers button[value="3"]').press("Enter")
    wait_for_number(page, "test-1 prediction forward 3 ")
    settled(page)
    assert len(refused) == 1  # it could not know; then it has asked for another pass
    assert page.locator(".problem").is_hidden()
    answer = session.model.trace(session.data.x_test[1:2], [1], training=False)[3].y.max()
    assert page.locator(".panel output.value").first.text_content() == str(answer)


def test_an_address_without_an_image_keeps_the_one_that_is_looked_at(open_page: Any, page: Any) -> None:
    """Somebody types where to go, and leaves the image out; the choice of the image was empty then."""
    open_page(session_of("one channel"), "image=test-4")
    go(page, "view=tape")
    page.wait_for_selector(".tape td.current")
    wait_for_hash(page, "view=tape", "image=test-4")
    assert page.get_by_label("Number of the image").input_value() == "4"
    assert page.get_by_label("Image from").input_value() == "test"
