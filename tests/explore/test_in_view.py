"""What a tour speaks of, and what a class is to read, is in the window: on a small screen, and on a tablet upright."""

import os
from typing import Any

import numpy as np
import pytest
from teaching import NETWORKS, go, session_of

from tinycnn import Sequential, layers, models, set_seed
from tinycnn.explore.session import Data, Session

pytestmark = pytest.mark.slow

SIZES = [(1280, 720), (768, 1024)]
BEFORE, AFTER = '[data-map="before"] canvas', '[data-map="after"] canvas'
VALUE, STEPS, GRIDS = ".panel output.value", ".panel .steps", ".panel .grids"
WEIGHT, SLOPE = ".weights output.value", ".weights .slope table"
#: What the text of each step speaks of; where a network has not the first, the second of a pair.
SPOKEN_OF = {
    "pixel": [
        [AFTER, BEFORE],
        ["form.predict input", 'form.predict button:has-text("Show the products")', GRIDS],
        [STEPS],
        [AFTER, BEFORE, VALUE],
        ["#matrix canvas", "#matrix tr.lit th", "#matrix tr.lit .result"],
    ],
    "pooling": [[VALUE, GRIDS, STEPS], [VALUE, BEFORE], [VALUE, BEFORE]],
    "relu": [[STEPS], [(WEIGHT, VALUE)], [AFTER]],
    "loss": [
        [(".softmax table", VALUE)],
        [(".softmax table", ".answer")],
        [".answer"],
        [(WEIGHT, VALUE)],
        [AFTER],
    ],
    "weight": [[WEIGHT], [".weights .terms table"], [SLOPE, f"{SLOPE} + p"], [WEIGHT]],
}
#: The names of those of some elements that are not wholly in the window, or that something else covers.
UNSEEN = """(elements) => elements.filter((element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    if (top < 0 || left < 0 || bottom > innerHeight || right > innerWidth + 1) return true;
    const across = [left + 2, (left + right) / 2, right - 2], down = [top + 2, (top + bottom) / 2, bottom - 2];
    const met = across.flatMap((x) => down.map((y) => document.elementFromPoint(x, y)));
    return met.some((one) => !one || (one.closest(".tour, .said, #waiting") && !element.contains(one)));
}).map((element) => element.outerHTML.slice(0, 80))"""


def ten_classes() -> Session:
    set_seed(7)
    ends = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(10, activation="softmax")]
    model = Sequential([layers.Input((28, 28, 1)), layers.Conv2D(12, 3, activation="relu"), *ends], name="ten")
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(3).random((32, 28, 28, 1), np.float32)
    y = np.arange(32) % 10
    return Session(model, Data("drawn", tuple("abcdefghij"), x, y, x, y))


def unseen(page: Any, selectors: list[Any]) -> list[str]:
    """Return what is not seen, after the page has had the time to move there."""
    found: list[str] = []
    for _ in range(int(100 * float(os.environ.get("TINYCNN_SLOW_BROWSER", "1")))):
        found = []
        for selector in selectors:
            names = (selector,) if isinstance(selector, str) else selector
            there = [page.locator(name).first for name in names if page.locator(name).count()]
            found += [f"no {names}"] if not there else page.evaluate(UNSEEN, [there[0].element_handle()])
        if not found:
            page.wait_for_timeout(250)  # and it stays
            return [one for one in found if one]
        page.wait_for_timeout(150)
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["ten classes", *NETWORKS])
def test_every_step_of_every_tour_shows_what_it_speaks_of(
    page: Any, open_page: Any, name: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_page(ten_classes() if name == "ten classes" else session_of(name))
    wrong = []
    for tour, steps in SPOKEN_OF.items():
        page.get_by_role("combobox", name="Guided tour").select_option(tour)
        for step, selectors in enumerate(steps):
            page.wait_for_selector(f'.tour[data-step="{tour} {step}"]')
            wrong += [f"{tour} {step}: {one}" for one in unseen(page, selectors)]
            if step + 1 < len(steps):
                page.get_by_role("button", name="Next", exact=True).click()
        assert page.get_by_role("button", name="Next", exact=True).is_disabled()
        page.get_by_role("button", name="End the tour").click()
    assert wrong == []


def test_a_reader_who_scrolls_is_not_brought_back(page: Any, open_page: Any) -> None:
    open_page(ten_classes())
    page.get_by_role("combobox", name="Guided tour").select_option("weight")
    page.wait_for_selector('.tour[data-step="weight 0"]')
    assert unseen(page, [WEIGHT]) == []
    page.mouse.move(600, 500)
    page.mouse.wheel(0, -5000)
    page.wait_for_function("() => scrollY === 0")
    page.wait_for_timeout(800)
    assert page.evaluate("scrollY") == 0
    page.get_by_role("button", name="Go to the place again").click()
    assert unseen(page, [WEIGHT]) == []


def test_what_gets_the_focus_is_not_under_the_text(page: Any, open_page: Any) -> None:
    open_page(ten_classes())
    page.get_by_role("combobox", name="Guided tour").select_option("weight")
    page.wait_for_selector('.tour[data-step="weight 0"]')
    assert unseen(page, [WEIGHT]) == []
    page.get_by_role("button", name="End the tour").focus()
    page.keyboard.press("Shift")  # a reader who presses a key is not moved to the tour's place any more
    for _ in range(12):  # back up from the end of the page, and over its beginning
        page.locator(".layers button").nth(2).focus()
        page.wait_for_timeout(60)
        found = page.evaluate(UNSEEN, [page.evaluate_handle("document.activeElement")])
        assert found == []
        page.keyboard.press("Shift+Tab")


@pytest.mark.parametrize("name", ["ten", "cifar10_cnn"])
@pytest.mark.parametrize("size", SIZES)
def test_a_class_reads_the_chosen_map_and_its_numbers_without_scrolling(
    page: Any, open_page: Any, name: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    session = ten_classes()
    if name != "ten":
        page.set_default_timeout(120_000)  # its kernels have to be compiled for it
        set_seed(1)
        x = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
        session = Session(models.build(name), Data("drawn", tuple("abcdefghij"), x, np.arange(4), x, np.arange(4)))
    open_page(session, "image=test-1&teacher=1")
    for way, seen in (("forward", [VALUE, ".panel .grids table"]), ("backward", [VALUE])):
        go(page, f"image=test-1&teacher=1&layer=0&way={way}")
        page.wait_for_function("way => document.querySelector('.panel')?.dataset.shown?.includes(way)", arg=way)
        assert unseen(page, ["figure.chosen canvas", *seen]) == []
        assert page.evaluate("scrollY") == 0
        assert page.locator("figure.chosen canvas").bounding_box()["width"] > 190
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_captions_have_one_line_and_no_name_of_a_tour_is_cut_off(page: Any, open_page: Any) -> None:
    open_page(ten_classes(), "image=test-1&layer=0")
    for where in ("way=forward", "way=backward", "way=backward&teacher=1", "way=forward&teacher=1"):
        go(page, f"image=test-1&layer=0&{where}")
        page.wait_for_function(
            "way => document.querySelector('.panel')?.dataset.shown?.includes(way)", arg=where.split("&")[0][4:]
        )
        page.wait_for_timeout(200)
        captions = page.locator(".detail figcaption").evaluate_all(
            "all => all.map((one) => [one.textContent, one.offsetHeight, one.scrollWidth - one.clientWidth])"
        )
        assert [text for text, height, cut in captions if height > 24 or cut > 0] == []
        tops = page.locator(".detail > .figures figure:not(.chosen) canvas").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().top)"
        )
        assert max(tops) - min(tops) < 1
    select = page.get_by_role("combobox", name="Guided tour")
    for tour in SPOKEN_OF:
        select.select_option(tour)
        page.wait_for_selector(f'.tour[data-step="{tour} 0"]')
        room = select.evaluate(
            """(select) => {
                const { font, paddingLeft, paddingRight } = getComputedStyle(select);
                const context = document.createElement("canvas").getContext("2d");
                context.font = font;
                const text = context.measureText(select.selectedOptions[0].textContent).width;
                return select.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) - text;
            }"""
        )
        assert room >= 0, tour
