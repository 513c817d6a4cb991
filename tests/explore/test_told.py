"""What the page tells: every button an answer, no old message, that it computes, and nothing typed is lost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from teaching import go, session_of

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import Served, served_training

pytestmark = pytest.mark.slow

#: Views with what has to be there before their buttons are pressed, and where these buttons are.
VIEWS = {
    "layer=0": (".panel output.value", "header, #inside"),
    "layer=0&way=backward": ("section.weights .terms", "#inside"),
    "layer=0&predict=1": ("form.predict", "#inside"),
    "view=matrix&layer=0&pixel=2,2": (".product tr.lit", "#matrix"),
    "view=tape&tape=9": (".tape td.current", "#tape"),
    "view=draw": (".bars tbody tr", "#draw"),
    "tour=weight&step=2": ('.tour[data-step="weight 2"]', ".tour"),
}
BUTTONS = """(places) => [...document.querySelectorAll(places)]
    .flatMap((place) => [...place.querySelectorAll("button")])
    .filter((one) => one.checkVisibility() && !one.disabled && one.getAttribute("aria-disabled") !== "true")"""
#: What those hear who do not see the page; a focus that has moved is heard as well.
HEARD = """() => [...document.querySelectorAll("[role=status], [role=alert], [aria-live]")]
    .filter((one) => one.id !== "said" && one.id !== "waiting").filter((one) => one.checkVisibility())
    .map((one) => one.textContent).join("|")"""
SAID = "() => document.getElementById('said').textContent"
LISTEN = """() => {
    window.heard = [];
    const said = document.getElementById("said");
    new MutationObserver(() => window.heard.push(said.textContent)).observe(said, { childList: true });
}"""


def silent_in(page: Any, where: str) -> list[str]:
    """Return the buttons of a view after which nothing is said, or only what was said before."""
    ready, places = VIEWS[where]
    silent = []

    def begin() -> None:
        go(page, "image=test-0&layer=1")
        page.wait_for_function("() => document.querySelector('.panel')?.dataset.shown?.startsWith('test-0 ')")
        go(page, f"image=test-1&{where}")
        page.wait_for_selector(ready)
        page.wait_for_function("() => !document.querySelector('[aria-busy]')")
        page.wait_for_timeout(150)

    begin()
    here = page.evaluate("location.hash")
    for n in range(page.evaluate(f"places => ({BUTTONS})(places).length", places)):
        if page.evaluate("location.hash") != here or n == 0:
            begin()
        page.evaluate("() => { document.getElementById('said').textContent = 'an old message'; }")
        before = page.evaluate(HEARD)
        name = page.evaluate(
            f"""([places, n]) => {{
                const one = ({BUTTONS})(places)[n];
                one?.focus();
                return one?.getAttribute("aria-label") ?? one?.textContent;
            }}""",
            [places, n],
        )
        if name is None:
            continue
        page.keyboard.press("Enter")
        try:
            page.wait_for_function(
                f"""before => {{
                    const said = ({SAID})(), heard = ({HEARD})();
                    if (said !== "") return said !== "an old message";
                    return heard !== before || !document.activeElement.matches("button");
                }}""",
                arg=before,
            )
        except Exception:  # Playwright's own; the test says which button it was
            silent.append(f"{where}: {name[:60]}")
    return silent


@pytest.mark.parametrize("where", VIEWS)
def test_every_button_is_answered(page: Any, open_page: Any, where: str) -> None:
    open_page(session_of("one channel"))
    page.wait_for_selector(".panel output.value")
    assert silent_in(page, where) == []


@pytest.fixture
def training(page: Any) -> Iterator[Served]:
    with served_training(session_of("batch normalization")) as served:
        page.goto(served.client.address + "#view=train&image=test-1")
        page.wait_for_selector(".training")
        page.evaluate(LISTEN)
        page.get_by_role("button", name="Set up, at step 0").press("Enter")
        page.get_by_text("paused; step 0 of 0").wait_for()
        says(page, "tep 0")
        yield served
        page.goto("about:blank")


def says(page: Any, text: str) -> None:
    """Wait until this is said, or was said since the last call: news of a training may follow at once."""
    page.wait_for_function("text => window.heard.some((one) => one.includes(text))", arg=text)
    page.evaluate("() => { window.heard = []; }")


def test_every_button_of_a_training_is_answered(page: Any, training: Served) -> None:
    course = page.get_by_role("region", name="Course of the training")
    button = page.get_by_role("button", name="Set the rate")
    for rate in ("0.25", "0.25"):  # the same one again is answered as well
        course.get_by_label("Learning rate").fill(rate)
        button.click()
        says(page, f"The learning rate is {rate} from now on.")
        page.wait_for_function("() => document.querySelector('.training .numbers').textContent.endsWith('rate 0.25')")
    page.get_by_role("button", name="One batch", exact=True).click()
    says(page, "Step 1: on test images loss")
    assert "learning rate" not in page.evaluate(SAID)  # the old message has gone
    page.get_by_role("button", name="One batch back").click()
    says(page, "tep 0")
    page.get_by_label("With one change").select_option("scale")
    page.get_by_label("Value of the change").fill("2")
    page.get_by_role("button", name="Fork", exact=True).click()
    says(page, "Forked, with initial weights times: 2.")
    page.get_by_role("button", name="Go on").click()
    says(page, "The training runs.")
    page.get_by_role("button", name="Pause").click()
    says(page, "Step ")
    assert training.training.wait(60)
    page.get_by_role("button", name="End the fork").click()
    says(page, "The fork has ended.")
    page.locator("summary", has_text="Set up another training").click()
    page.get_by_role("button", name="Set up, at step 0").click()
    says(page, "tep 0")  # that it is set up, or what it makes of the test images there


def test_a_form_that_was_opened_stays_open_when_the_training_changes(page: Any, training: Served) -> None:
    form = page.locator("details", has_text="Set up another training")
    form.locator("summary").click()
    page.get_by_role("button", name="Fork", exact=True).click()
    says(page, "Forked")
    page.get_by_role("button", name="End the fork").click()  # it is there when the news have come
    says(page, "The fork has ended.")
    page.get_by_role("button", name="End the fork").wait_for(state="hidden")
    assert form.get_attribute("open") is not None
    page.get_by_role("button", name="Set up, at step 0").click()
    page.get_by_role("button", name="Set up, at step 0").wait_for(state="hidden")


def test_no_old_message_stays_and_no_empty_strip(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"), "image=test-1&layer=0")
    page.wait_for_selector(".panel output.value")
    strip = page.locator("#said")
    height = "document.getElementById('said').offsetHeight"
    assert page.evaluate(height) == 0
    page.get_by_role("button", name="Large").click()
    assert strip.text_content() == "The numbers are large, for a class to read."
    assert 0 < page.evaluate(height) < 80
    page.keyboard.press("Tab")
    assert strip.text_content()  # it can be read on the way
    page.locator("h1").click()
    assert strip.text_content() == ""
    assert page.evaluate(height) == 0
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.getElementById('said')).display") != "none"  # it is still heard


def test_it_says_that_it_computes(page: Any, open_page: Any) -> None:
    waiting: list[Any] = []
    page.route("**/api/trace", lambda route: waiting.append(route))
    open_page(session_of("one channel"), "image=test-1&layer=0")
    page.get_by_text("Computing the first pass …").wait_for()
    box = page.locator("#waiting").bounding_box()
    assert box["y"] < 300
    waiting.pop().continue_()
    page.wait_for_selector(".panel output.value")
    assert page.locator("#waiting").text_content() == ""
    go(page, "image=test-2&layer=0")
    page.get_by_text("Computing the pass …").wait_for()
    page.wait_for_timeout(100)
    waiting.pop().continue_()
    page.wait_for_function("() => document.querySelector('.panel').dataset.shown.startsWith('test-2')")
    page.wait_for_function("() => document.getElementById('waiting').textContent === ''")
    page.unroute("**/api/trace")


#: A field, what has to stand in the address for it, and what the address has after Enter.
FIELDS = [
    ("Number of the image", "layer=0", "12", "image=test-12"),
    ("row", "layer=0&at=1,2,3", "4", "at=4%2C2%2C3"),
    ("axis 0 of kernel", "layer=0&way=backward&weight=kernel:0,0,0,1", "3", "kernel%3A3%2C0%2C0%2C1"),
    ("What do you expect for y(1, 2, 3)?", "layer=0&at=1,2,3&predict=1", "0.25", ""),
]


@pytest.mark.parametrize(("field", "where", "text", "then"), FIELDS, ids=[one[0] for one in FIELDS])
def test_what_is_typed_outlives_a_new_pass(
    page: Any, open_page: Any, field: str, where: str, text: str, then: str
) -> None:
    open_page(session_of("one channel"), f"image=test-1&{where}")
    box = page.get_by_label(field, exact=True)
    box.wait_for()
    waiting: list[Any] = []
    page.route("**/api/trace", lambda route: waiting.append(route))
    page.evaluate("() => { location.hash = location.hash.replace('test-1', 'test-2'); }")
    page.get_by_text("Computing the pass …").wait_for()
    box.press("Control+A")
    half = text[: max(1, len(text) // 2)]
    box.press_sequentially(half)
    assert box.input_value() == half
    if not then:
        page.keyboard.press("Tab")  # an expectation is given by a button, not by leaving its field
    waiting.pop().continue_()
    page.unroute("**/api/trace")
    page.wait_for_function("() => document.querySelector('.panel').dataset.shown.startsWith('test-2')")
    page.wait_for_timeout(300)
    assert box.input_value() == half
    if not then:
        box.focus()
        page.keyboard.press("End")
    assert box.evaluate("box => box === document.activeElement")
    assert f"image=test-2&{where.split('&')[0]}" in page.evaluate("location.hash")  # nothing was given yet
    page.keyboard.type(text[len(half) :])
    page.keyboard.press("Enter")
    if then:
        page.wait_for_function("then => location.hash.includes(then)", arg=then)
    else:
        page.get_by_text("You expected +0.25.").first.wait_for()
    # What has been given is no longer held against what the page has to show.
    if field == "row":
        box.fill("99")
        box.press("Enter")
        page.wait_for_function("() => location.hash.includes('at=7%2C2%2C3')")
        assert box.input_value() == "7"


def test_what_is_typed_outlives_news_of_a_training(page: Any, training: Served) -> None:
    course = page.get_by_role("region", name="Course of the training")
    rate = course.get_by_label("Learning rate")
    rate.fill("0.125")
    page.get_by_label("With one change").select_option("scale")
    value = page.get_by_label("Value of the change")
    value.fill("7")
    training.training.change_rate(0.5)
    page.wait_for_function("() => document.querySelector('.training .numbers').textContent.endsWith('rate 0.5')")
    training.training.fork("rate", 0.1)
    page.get_by_text("Fork with").wait_for()
    assert rate.input_value() == "0.125"
    assert value.input_value() == "7"
    assert page.get_by_label("With one change").input_value() == "scale"
    page.get_by_role("button", name="Set the rate").click()
    says(page, "The learning rate is 0.125 from now on.")
    training.training.change_rate(0.75)  # what has been set follows again
    page.wait_for_function("() => document.querySelector('.training .numbers').textContent.endsWith('rate 0.75')")
    assert rate.input_value() == "0.75"


CURVES = """async ([rows, range]) => {
    const { CurveFigure, Curve, markText, powers } = await import("/curves.js");
    const figure = new CurveFigure("Loss", 1);
    document.body.append(figure.element);
    figure.range = range;
    const batches = new Curve({ stride: 1, rows });
    figure.show({ main: { title: "training", batches, validation: new Curve({ stride: 1, rows: [] }) } }, 0);
    const found = figure.extent();
    const context = document.createElement("canvas").getContext("2d");
    context.font = "14px system-ui, sans-serif";
    const widths = (found.isLog ? powers(found.low, found.high) : [found.high / 3, found.high])
        .map((value) => [markText(value), context.measureText(markText(value)).width]);
    figure.element.remove();
    return { ...found, legend: figure.legend.textContent, widths };
}"""


def test_a_spike_does_not_flatten_a_curve(page: Any, open_page: Any) -> None:
    """The axis shows most values, says which it leaves out, and can be logarithmic."""
    open_page(session_of("one channel"))
    falling = [[step, 2.3 / (1 + step / 50), 0.5] for step in range(400)]
    spiked = [*falling[:200], [200, 3e20, 0.1], *falling[201:]]
    for rows in (falling, spiked):
        found = page.evaluate(CURVES, [rows, "most"])
        assert 2.3 <= found["high"] < 4  # the beginning is seen too
        assert found["low"] == 0
        assert ("1 of 400 is above it, at most 3e20" in found["legend"]) == (rows is spiked)
    found = page.evaluate(CURVES, [spiked, "all"])
    assert found["high"] == 3e20
    assert "above" not in found["legend"]
    found = page.evaluate(CURVES, [spiked, "log"])
    assert found["isLog"]
    assert found["low"] == pytest.approx(2.3 / (1 + 399 / 50))
    # After a divergence most values are large; the marks keep all of their digits, and have room for them.
    diverged = [*falling[:50], *([step, 10.0 ** (step / 2), 0.1] for step in range(50, 400))]
    for range_ in ("most", "all", "log"):
        found = page.evaluate(CURVES, [diverged, range_])
        assert len(found["widths"]) >= 2
        for text, width in found["widths"]:
            assert re.fullmatch(r"-?[\d.]+(e−?\d+)?", text) or len(text) > 12
            assert width <= 56 or len(text) > 9, text
    nothing = page.evaluate(CURVES, [[[0, None, 0.1]], "most"])
    assert (nothing["low"], nothing["high"]) == (0, 1)


def test_the_axis_is_chosen_on_the_page(page: Any, training: Served) -> None:
    figure = page.locator("figure.curve", has_text="Loss").first
    figure.get_by_label("The axis shows").select_option("log")
    before = figure.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_role("button", name="One batch", exact=True).click()
    page.get_by_text("paused; step 1 of 1").wait_for()
    assert figure.get_by_label("The axis shows").input_value() == "log"
    page.wait_for_function("before => document.querySelector('figure.curve canvas').toDataURL() !== before", arg=before)


def test_one_row_has_one_kind_of_signs(page: Any, open_page: Any) -> None:
    """Whatever can have either sign has one, and what is 0 has none."""
    open_page(session_of("batch normalization"))
    for where in ("layer=0", "layer=0&way=backward", "layer=1&way=backward", "layer=6", "layer=6&way=backward"):
        go(page, f"image=test-1&{where}")
        layer, way = where[6], "backward" if "backward" in where else "forward"
        page.wait_for_function(
            "part => document.querySelector('.panel')?.dataset.shown?.includes(part)", arg=f"{way} {layer} "
        )
        if way == "backward":
            page.wait_for_selector(".panel > .slope table")
        rows = page.locator(".panel tr").evaluate_all(
            "all => all.map((row) => [row.textContent, ...[...row.cells].map((cell) => cell.textContent)])"
        )
        for whole, *cells in rows:
            if "relative error" in whole or "moved by" in whole:
                continue
            numbers = [cell for cell in cells if re.fullmatch(r"[+−]?[\d.]+(e[+-]?\d+)?", cell)]
            bare = [cell for cell in numbers if cell[0] not in "+−" and float(cell) != 0]
            signed = [cell for cell in numbers if cell[0] in "+−"]
            assert not (bare and signed) or "exp(" in page.locator(".panel").inner_text(), (where, whole)
            assert "+0" not in numbers
