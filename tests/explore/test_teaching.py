"""Numbers to predict, what teachers hide, and the lines of Python behind a number."""

import contextlib
import io
import re
from typing import Any

import numpy as np
import pytest
from teaching import each_network, go, number, session_of

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import serving

from tinycnn.explore.session import BATCH, Session

HIDDEN = [
    ("way=forward&layer=0&at=3,2,1", "y(3, 2, 1)", lambda trace: trace[0].y[0, 3, 2, 1]),
    ("way=backward&layer=0&at=4,5,0", "dx(4, 5, 0)", lambda trace: trace[0].dx[0, 4, 5, 0]),
    (
        "way=backward&layer=0&weight=kernel:1,1,0,2",
        "d_kernel(1, 1, 0, 2)",
        lambda trace: trace[0].gradients["kernel"][1, 1, 0, 2],
    ),
]


@pytest.mark.slow
@each_network
@pytest.mark.parametrize(("where", "what", "value"), HIDDEN, ids=["y", "dx", "dw"])
def test_a_number_is_predicted_first(page: Any, open_page: Any, name: str, where: str, what: str, value: Any) -> None:
    session = open_page(session_of(name), f"image=test-1&predict=1&{where}")
    engine = np.float32(value(session.model.trace(session.data.x_test[1:2], [1], training=False)))
    guess = page.get_by_label(f"What do you expect for {what}?")
    guess.wait_for()
    page.wait_for_timeout(600)  # the engine's own measurement would have come by now
    view = page.locator(".panel > div, section.weights").filter(has=guess).last
    assert f"{what} = ?" in view.inner_text()
    written = str(abs(engine))
    assert written not in page.locator("main").inner_text()
    assert written not in page.locator("#said").inner_text()
    for canvas in page.locator("canvas.map").all():
        label = canvas.get_attribute("aria-label")
        assert ": hidden" in label or "Row" not in label or what.startswith("d_")
    assert "product" not in view.locator(".numbers").inner_text()
    form = page.locator("form.predict").filter(has=guess)
    form.get_by_role("button", name="Show the products").press("Enter")
    assert "product" in view.locator(".numbers").inner_text()
    assert f"{what} = ?" in view.inner_text()
    guess.fill("a lot")
    guess.press("Enter")
    assert "type a number" in page.locator("#said").text_content()
    wrong = -3.0 * float(engine) if engine else 1.0
    guess.fill(f"{wrong:.4f}".replace("-", "−").replace(".", ","))
    guess.press("Enter")
    page.wait_for_selector(".verdict")
    told = page.evaluate("document.activeElement.textContent")
    assert told.startswith("You expected ")
    assert "table" in told
    assert told in page.locator("#said").text_content()
    outputs = page.locator("output.value").all_text_contents()
    assert engine in [np.float32(number(text)) for text in outputs if text != "?"]


@pytest.mark.slow
def test_a_right_and_a_close_guess_are_praised(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"))
    told = page.evaluate("""async () => {
        const { typed, verdict } = await import("/guess.js");
        const data = new Float32Array(1);
        return [verdict(0.5, 0.5, data), verdict(0.55, 0.5, data), verdict(-0.5, 0.5, data), verdict(2, 0.5, data),
            verdict(null, 0.5, data), typed("−0,5"), typed(""), typed("1e-3")];
    }""")
    assert told[0] == "You expected +0.5. It is +0.5. That is right."
    assert "close: 0.05 too large" in told[1]
    assert "The sign is the other one" in told[2]
    assert "1.5 too large" in told[3]
    assert told[4] == "It is +0.5."
    assert told[5] == -0.5
    assert np.isnan(told[6])
    assert told[7] == 0.001


@pytest.mark.slow
def test_what_is_hidden_stands_in_the_address(page: Any, open_page: Any) -> None:
    open_page(session_of("batch normalization"), "image=test-1&way=backward&layer=0")
    page.wait_for_selector(".panel output.value")
    page.locator(".teacher-bar summary").press("Enter")
    parts = {
        "row of layers": ".layers", "network's answer": ".answer", "image": '.figure[data-part="image"]',
        "gradient of a parameter": "section.weights", "code": ".panel > .code", "numbers": ".panel",
    }  # fmt: skip
    for title, where in parts.items():
        assert page.locator(where).first.is_visible(), title
        page.get_by_role("button", name=f"Hide the {title}", exact=True).press("Enter")
        page.locator(where).first.wait_for(state="hidden")
        assert page.locator("#said").text_content() == f"The {title} is hidden."
    assert "test image 1" in page.locator('.figure[data-part="image"] canvas').get_attribute("aria-label")
    page.get_by_role("button", name="Hide the image's title").press("Enter")
    page.wait_for_function(
        "() => !document.querySelector('[data-part=image] canvas').getAttribute('aria-label').includes('test image')"
    )
    assert "true: b" not in page.locator("#controls").inner_text()
    address = page.locator("code.address").text_content()
    assert "token" not in address
    assert address == page.url
    page.reload()
    page.wait_for_selector("#inside h2")
    for where in parts.values():
        assert page.locator(where).first.is_hidden()
    page.locator(".teacher-bar summary").press("Enter")
    page.get_by_role("button", name="Hide the numbers").press("Enter")
    page.locator(".panel").wait_for(state="visible")


@pytest.mark.slow
def test_the_address_is_copied_without_the_secret(page: Any, open_page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(session_of("one channel"), "image=test-1&layer=1&teacher=1&predict=1")
    page.locator(".teacher-bar summary").press("Enter")
    page.get_by_role("button", name="Copy the address").press("Enter")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert "token" not in copied
    assert "predict=1" in copied
    before = page.evaluate("""async () => {
        const { addressOf } = await import("/teacher.js");
        return addressOf({ href: "http://127.0.0.1:8712/?token=secret#layer=1", hash: "#layer=1" });
    }""")
    assert before == "http://127.0.0.1:8712/#layer=1"


def printed(lines: str, session: Session, image: int) -> list[str]:
    """Return what lines of code print, as words."""
    shown = io.StringIO()
    given = {
        "model": session.model,
        "x": session.data.x_test[image],
        "x_train": session.data.x_train,
        "y_train": session.data.y_train,
    }
    with contextlib.redirect_stdout(shown):
        exec(lines, given)
    return shown.getvalue().split()


@pytest.mark.slow
@each_network
@pytest.mark.parametrize("mode", ["prediction", "training"])
def test_the_lines_print_what_the_page_shows(page: Any, open_page: Any, name: str, mode: str) -> None:
    """All numbers that have lines: the results and their parts, dx, and the gradients of parameters."""
    session = open_page(session_of(name), f"image=test-1&mode={mode}")
    page.wait_for_selector(".panel output.value")
    rng = np.random.default_rng(1)
    x, labels = session.batch_of("test-1", 1, mode)
    assert len(x) == (BATCH if mode == "training" and name == "batch normalization" else 1)
    trace = session.model.trace(x, labels, training=mode == "training")
    for n, entry in enumerate(trace):
        for way, array in (("forward", entry.y[0]), ("backward", entry.dx[0])):
            index = tuple(int(rng.integers(length)) for length in array.shape)
            at = ",".join(map(str, index))
            go(page, f"image=test-1&mode={mode}&layer={n}&way={way}&at={at}")
            page.wait_for_selector(f'.panel[data-shown="test-1 {mode} {way} {n} {at}"]')
            expected = {"y": array[index], "dx": array[index]}
            if entry.z is not None:
                expected["z"] = entry.z[0][index] if way == "forward" else None
            for details in page.locator(".panel details.code").all():
                details.locator("summary").press("Enter")
                for option in details.locator("option").all():
                    details.locator("select").select_option(option.get_attribute("value"))
                    title = option.text_content()
                    words = printed(details.locator("pre").text_content(), session, 1)
                    check_words(words, title, entry, expected, mode)
                details.locator("summary").press("Enter")


def check_words(words: list[str], title: str, entry: Any, expected: dict[str, Any], mode: str) -> None:
    """Compare what lines have printed with the engine's number, to the bit."""
    what = re.match(r"the products|\w+", title).group()
    index = tuple(int(n) for n in re.findall(r"\d+", title.split(")")[0].split("(")[1])) if "(" in title else ()
    if what == "the products":
        assert float(words[0]) == pytest.approx(float(words[1]), rel=1e-4, abs=1e-6)
        return
    if what in expected:
        value = expected[what]
    elif what in ("mean", "variance"):
        value = getattr(entry.cache, what)[index] if mode == "training" else entry.buffers[f"moving_{what}"][index]
    elif what == "epsilon":
        value = entry.layer.epsilon
    elif what.startswith("d_"):
        value = entry.gradients[what[2:]][index]
    else:
        value = entry.parameters[what][index]
    assert words == [str(value)], title


@pytest.mark.slow
def test_lines_are_copied(page: Any, open_page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(session_of("one channel"), "image=test-1&layer=0&at=1,2,3")
    page.locator(".panel details.code summary").press("Enter")
    page.get_by_role("button", name="Copy the lines").press("Enter")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".panel details.code pre").text_content()
    assert "print(layer.y[0, 1, 2, 3])" in copied


VIEWS = [
    "view=matrix&pixel=2,2",
    "view=tape&tape=3",
    "tour=weight&step=2",
    "predict=1&layer=0",
    "way=backward&predict=1&layer=0",
]


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("where", VIEWS)
def test_nobody_is_kept_out(browser: Any, theme: str, where: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    # axe-core is brought into the page as a script, which its policy would refuse.
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    with serving(session_of("batch normalization")) as client:
        page.goto(f"{client.address}#image=test-1&theme={theme}&{where}")
        page.wait_for_selector("main section h2")
        page.wait_for_timeout(800)
        page.locator(".teacher-bar summary").press("Enter")
        found = axe.Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 720), (800, 1280)])
def test_nothing_reaches_over_the_edge(page: Any, open_page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_page(session_of("one channel"))
    for where in (*VIEWS, "view=matrix&teacher=1", "view=tape&teacher=1", "tour=loss&teacher=1"):
        go(page, f"image=test-1&{where}")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], where
