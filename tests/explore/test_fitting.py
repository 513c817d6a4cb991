"""Everything fits the page: tables of gradients, names of any length, rows of channels; and fingers can use it."""

from typing import Any

import pytest
from teaching import go, images_for, session_of

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore.session import Data, Session

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import serving

pytestmark = pytest.mark.slow

SIZES = [(1280, 720), (800, 1100), (1920, 1080)]
LONG = tuple(f"a_class_with_a_very_long_name_without_any_blank_{n}_" * 3 for n in range(5))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("look", ["", "&teacher=1&theme=dark"])
def test_long_names_widen_nothing(page: Any, open_page: Any, size: tuple[int, int], look: str) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    session = session_of("one channel")
    open_page(Session(session.model, session.data._replace(class_names=LONG)))
    for view in ("layer=0", "layer=3&way=backward", "view=draw", "view=train", "tour=loss&step=3"):
        go(page, f"image=test-1&{view}{look}")
        page.wait_for_timeout(500)
        if view == "view=draw":
            page.locator("#draw label", has_text="Find").locator("select").first.select_option("confusion")
            page.get_by_role("button", name="Find", exact=True).press("Enter")
            page.wait_for_selector(".confusion")
            assert page.locator(".confusion th[scope=col]").first.get_attribute("title") == LONG[0]
        if view == "view=train" and not page.locator(".training .worst").count():
            page.get_by_role("button", name="Set up, at step 0").press("Enter")
            page.wait_for_selector(".training .worst img, .training .worst canvas")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], view


@pytest.mark.parametrize("size", SIZES)
def test_the_terms_of_a_gradient_fit(page: Any, open_page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_page(session_of("one channel"))
    for where in ("layer=0&way=backward", "layer=3&way=backward", "layer=1&way=backward"):
        go(page, f"image=test-1&{where}")
        page.wait_for_function("() => document.querySelector('.panel caption')?.textContent.includes('dz × ')")
        boxes = page.locator(".panel .numbers:not(.slope)").evaluate_all(
            "all => all.map((e) => e.scrollWidth - e.clientWidth)"
        )
        assert max(boxes) <= 0, where


def test_the_last_row_of_channels_is_whole(page: Any, open_page: Any) -> None:
    set_seed(1)
    ends = [layers.Flatten(), layers.Dense(5, activation="softmax")]
    model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(150, 3), *ends])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images_for(model, 5)
    open_page(Session(model, Data("drawn", tuple("abcde"), x, y, x, y)), "image=test-1&layer=0")
    page.wait_for_function("() => document.querySelector('.tiles')?.style.maxHeight")
    cut = page.locator(".tiles").evaluate(
        """(box) => {
            const end = box.getBoundingClientRect().bottom;
            const places = [...box.children].map((one) => one.getBoundingClientRect());
            return places.filter(({ top, bottom }) => top < end - 1 && bottom > end + 1).length;
        }"""
    )
    assert cut == 0


def test_a_finger_draws_and_chooses(browser: Any) -> None:
    context = browser.new_context(viewport={"width": 800, "height": 1100}, has_touch=True)
    page = context.new_page()
    with serving(session_of("one channel")) as client:
        page.goto(f"{client.address}#image=test-1&layer=0&at=0,0,0")
        page.wait_for_selector(".panel output.value")
        page.locator("canvas.map[tabindex]").tap(position={"x": 100, "y": 60})
        page.wait_for_function("() => !location.hash.includes('at=0%2C0%2C0')")
        page.get_by_role("button", name="Draw and find").tap()
        page.wait_for_selector(".bars tbody tr")
        page.locator(".surface").scroll_into_view_if_needed()
        box = page.locator(".surface").bounding_box()
        touch = context.new_cdp_session(page)
        before = page.evaluate("scrollY")
        for kind, step in [("touchStart", 0), *(("touchMove", n) for n in range(1, 12)), ("touchEnd", 12)]:
            points = [] if kind == "touchEnd" else [{"x": box["x"] + 60, "y": box["y"] + 40 + 12 * step}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        drawn = """() => {
            const canvas = document.querySelector(".surface");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((value, n) => n % 4 === 0 && value > 0).length;
        }"""
        page.wait_for_function(f"() => ({drawn})() > 500")
        assert page.evaluate("scrollY") == before  # the page has not scrolled away under the finger
        page.wait_for_function("() => document.getElementById('said').textContent.includes('Most probable')")
        page.goto("about:blank")
    context.close()
