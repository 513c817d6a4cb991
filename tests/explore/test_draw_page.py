"""Drawing and the galleries in a browser: with the mouse, by keyboard alone, and from a file."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tinycnn import Sequential, layers, set_seed

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("playwright", reason="Playwright is not installed: the extra browser")

from serving import Client, serving

from tinycnn.explore import pictures
from tinycnn.explore.session import Data, Session

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session() -> Session:
    set_seed(1)
    model = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(4, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((80, 28, 28, 1), np.float32), rng.integers(0, 10, 80)
    return Session(model, Data("drawn", tuple("abcdefghij"), x[:20], y[:20], x, y))


@pytest.fixture(scope="module")
def client(session: Session) -> Iterator[Client]:
    with serving(session) as found:
        yield found


@pytest.fixture
def drawing(page: Any, client: Client) -> Any:
    page.goto(f"{client.address}#view=draw&image=test-0")
    page.wait_for_selector(".bars tbody tr")
    return page


def bars(page: Any) -> list[str]:
    return page.locator(".bars tbody td:not(.bar)").all_inner_texts()


def texts_of(p: np.ndarray) -> list[str]:
    return [f"{100 * one:.2f} %" for one in p.astype(np.float64)]


def surface_of(page: Any) -> np.ndarray:
    """Return the pixels of the surface (H, W, 1)."""
    found = page.evaluate(
        """() => {
            const canvas = document.querySelector(".surface");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return { shape: [canvas.height, canvas.width, 1], bytes: [...data].filter((_, n) => n % 4 === 0) };
        }"""
    )
    return np.array(found["bytes"], np.uint8).reshape(found["shape"])


def expected(session: Session, page: Any, centred: bool) -> list[str]:
    pixels = surface_of(page)
    given = pictures.from_drawing(pixels.tobytes(), *pixels.shape, pictures.purpose_of((28, 28, 1), "drawn"), centred)
    return texts_of(session.model.predict(given.after[np.newaxis])[0])


def wait_for_bars(page: Any, texts: list[str]) -> None:
    page.wait_for_function(
        "texts => [...document.querySelectorAll('.bars tbody tr')].map((tr) => tr.cells[1].innerText).join() === texts",
        arg=",".join(texts),
    )


def stroke(page: Any) -> None:
    box = page.locator(".surface").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    for step in range(1, 20):
        page.mouse.move(box["x"] + 60 + 3 * step, box["y"] + 40 + 8 * step)
    page.mouse.up()


def test_the_probabilities_follow_the_pen(drawing: Any, session: Session) -> None:
    stroke(drawing)
    assert surface_of(drawing).max() == 255
    wait_for_bars(drawing, expected(session, drawing, False))
    drawing.get_by_label("Scaled and centred").check()
    wait_for_bars(drawing, expected(session, drawing, True))
    assert "centred by mass" in drawing.locator(".studio .remark").all_inner_texts()[-1]
    # Both are shown: where it was drawn, and what the network is given.
    drawn = drawing.evaluate("() => [...document.querySelectorAll('.preview')].map((one) => one.toDataURL())")
    assert drawn[0] != drawn[1]
    drawing.get_by_role("button", name="Clear").click()
    wait_for_bars(drawing, texts_of(session.model.predict(np.zeros((1, 28, 28, 1)))[0]))
    assert "nothing is drawn" in drawing.locator("#said").text_content()


def test_the_eraser_takes_away_and_thickness_counts(drawing: Any) -> None:
    stroke(drawing)
    thin = int((surface_of(drawing) > 0).sum())
    drawing.get_by_role("button", name="Eraser").click()
    stroke(drawing)
    assert int((surface_of(drawing) > 128).sum()) < thin / 10
    drawing.get_by_role("button", name="Pen").click()
    drawing.get_by_label("Thickness").fill("5")
    stroke(drawing)
    assert int((surface_of(drawing) > 0).sum()) > 1.5 * thin


def test_one_can_draw_by_keyboard(drawing: Any, session: Session) -> None:
    surface = drawing.get_by_role("application", name="Drawing for the network, 28 rows and 28 columns")
    drawing.get_by_label("Thickness").fill("1")
    surface.focus()
    drawing.keyboard.press("ArrowUp")
    assert drawing.locator("#said").text_content() == "Row 13, column 14: empty"
    drawing.keyboard.press("Space")
    assert drawing.locator("#said").text_content().startswith("Row 13, column 14: painted, 255 of 255")
    for _ in range(5):
        drawing.keyboard.press("Shift+ArrowDown")
    painted = np.zeros((28, 28, 1), np.uint8)
    painted[13:19, 14] = 255
    np.testing.assert_array_equal(surface_of(drawing), painted.repeat(5, axis=0).repeat(5, axis=1))
    drawing.keyboard.press("Delete")
    painted[18, 14] = 0
    np.testing.assert_array_equal(surface_of(drawing), painted.repeat(5, axis=0).repeat(5, axis=1))
    wait_for_bars(drawing, expected(session, drawing, False))
    assert drawing.locator(".surface-cursor").is_visible()
    drawing.keyboard.press("Shift+Delete")
    assert surface_of(drawing).max() == 0


def test_a_drawing_is_followed_through_the_network(drawing: Any, session: Session) -> None:
    stroke(drawing)
    drawing.get_by_role("button", name="Follow the drawing").click()
    drawing.wait_for_function("() => location.hash.includes('image=own-')")
    drawing.wait_for_selector(".panel output.value")


def test_a_picture_from_a_file(drawing: Any, session: Session) -> None:
    pixels = np.zeros((100, 100), np.uint8)
    pixels[20:80, 45:55] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    chooser = drawing.get_by_label("picture from a file")
    chooser.set_input_files({"name": "<b>one.png", "mimeType": "image/png", "buffer": file.getvalue()})
    found = pictures.from_upload(file.getvalue(), pictures.purpose_of((28, 28, 1), "drawn"), False)
    wait_for_bars(drawing, texts_of(session.model.predict(found.after[np.newaxis])[0]))
    assert drawing.get_by_role("button", name="Follow the picture").is_visible()


def test_what_is_no_picture_is_said_on_the_page(browser: Any, client: Client) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{client.address}#view=draw&image=test-0")
    page.wait_for_selector(".bars tbody tr")
    page.get_by_label("picture from a file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"hello"}
    )
    page.wait_for_function("() => document.querySelector('#said').textContent.includes('not a picture that can be')")
    context.close()


def test_galleries(drawing: Any, session: Session) -> None:
    p, y = session.model.predict(session.data.x_test), session.data.y_test
    worst = p[np.arange(80), y].argmin()
    drawing.get_by_role("button", name="Find", exact=True).click()
    drawing.wait_for_selector(".gallery .tile")
    first = drawing.locator(".gallery .tile").first
    assert f"test-{worst}" in first.inner_text()
    drawing.locator(".tools select").first.select_option("confusion")
    drawing.get_by_role("button", name="Find", exact=True).click()
    drawing.wait_for_selector(".confusion")
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, p.argmax(axis=1)), 1)
    true, predicted = np.argwhere(counts)[-1]
    name = f"{'abcdefghij'[true]} taken for {'abcdefghij'[predicted]}: {counts[true, predicted]} images"
    drawing.get_by_role("button", name=name).click()
    drawing.wait_for_selector(".gallery .tile")
    assert drawing.locator(".gallery .tile").count() == counts[true, predicted]
    drawing.locator(".tools select").first.select_option("exciting")
    drawing.get_by_label("Number of the filter").fill("2")
    drawing.get_by_role("button", name="Find", exact=True).click()
    drawing.wait_for_selector("text=Images that excite filter 2 of layer 0 most")
    best = session.model.trace(session.data.x_test)[0].y[..., 2].max(axis=(1, 2)).argmax()
    drawing.locator(".gallery .tile").first.click()
    drawing.wait_for_function("best => location.hash.includes(`image=test-${best}`)", arg=int(best))


@pytest.mark.parametrize("way", ["saliency", "occlusion", "gradcam"])
def test_where_it_looks(drawing: Any, way: str) -> None:
    part = drawing.get_by_role("region", name="Where it looks")
    part.get_by_label("Way").select_option(way)
    part.get_by_role("button", name="Show").click()
    cells = "12 by 12" if way == "gradcam" else "28 by 28"
    part.get_by_text(f"{cells} cells, the strongest is").wait_for()
    drawing.get_by_role("application", name="Strength").focus()
    drawing.keyboard.press("ArrowRight")
    assert "Row 0, column 1: " in drawing.locator("#said").text_content()


def test_the_view_fits_a_narrow_screen(drawing: Any) -> None:
    drawing.set_viewport_size({"width": 768, "height": 1024})
    assert drawing.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_is_kept_out(browser: Any, client: Client, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    # axe-core is brought into the page as a script, which its policy would refuse.
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{client.address}#view=draw&image=test-0&theme={theme}")
    page.wait_for_selector(".bars tbody tr")
    kinds = page.locator("section[aria-label=Galleries] select").first
    for kind, shown in (("loss", ".gallery .tile"), ("confusion", ".confusion"), ("exciting", ".gallery .tile")):
        kinds.select_option(kind)
        page.get_by_role("button", name="Find", exact=True).click()
        page.wait_for_selector(shown)
        if kind == "exciting":
            page.get_by_role("region", name="Where it looks").get_by_role("button", name="Show").click()
            page.wait_for_selector("text=cells, the strongest is")
        found = axe.Axe().run(page).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    context.close()


def test_names_of_classes_are_whole(page: Any, session: Session) -> None:
    """Beside the bars of the probabilities each has one line; a very long one is cut, and stands in its title."""
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "long" * 20)
    with serving(Session(session.model, session.data._replace(class_names=names))) as client:
        page.goto(f"{client.address}#view=draw&image=test-0")
        page.wait_for_selector(".bars tbody tr")
        cells = page.locator(".bars tbody th").evaluate_all(
            "all => all.map((one) => [one.title, one.offsetHeight, one.scrollWidth - one.clientWidth])"
        )
        assert [title for title, _, _ in cells] == list(names)
        assert max(height for _, height, _ in cells) < 36
        assert [cut > 0 for _, _, cut in cells] == [False] * 9 + [True]
        for select in page.locator("#draw select").all():
            for option in select.locator("option").all_text_contents()[:4]:
                select.select_option(label=option)
                room = select.evaluate(
                    """(select) => {
                        const style = getComputedStyle(select);
                        const context = document.createElement("canvas").getContext("2d");
                        context.font = style.font;
                        const text = context.measureText(select.selectedOptions[0].textContent).width;
                        const pads = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
                        return select.clientWidth - pads - text;
                    }"""
                )
                assert room >= 0 or len(option) > 60, option
        page.goto("about:blank")


def test_after_a_refused_file_nobody_takes_the_old_answer_for_its_own(browser: Any, client: Client) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{client.address}#view=draw&image=test-0&theme=light")
    page.wait_for_selector(".bars tbody tr")
    chooser = page.get_by_label("picture from a file")
    file = io.BytesIO()
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(file, "PNG")
    follow = page.get_by_role("button", name="Follow the picture")
    chooser.set_input_files({"name": "one.png", "mimeType": "image/png", "buffer": file.getvalue()})
    follow.wait_for()
    for name, content in (("notes.txt", b"hello"), ("large.png", b"x" * 20_000_000)):
        chooser.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        said = page.locator(".studio .remark.error")
        said.filter(has_text="What is shown is from before.").wait_for()
        assert said.evaluate("(one) => getComputedStyle(one).color") == "rgb(176, 0, 32)"
        assert follow.is_hidden()
        surface = page.locator(".surface").bounding_box()
        assert page.locator(".studio .bars").bounding_box()["y"] < surface["y"] + surface["height"]  # beside it
    context.close()
