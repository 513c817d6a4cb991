"""The page in a browser: what it shows are the engine's numbers, to the bit."""

from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers, models, set_seed

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import Client, serving

from tinycnn.explore.session import Data, Session

pytestmark = pytest.mark.slow


class Swapped(layers.Layer):
    """A layer of a user's own: it swaps left and right."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return np.ascontiguousarray(x[:, :, ::-1]), None

    def backward(self, dy, cache, *, ws=None):
        return np.ascontiguousarray(dy[:, :, ::-1])


def every_layer() -> Sequential:
    """Return a network in which every layer of tinycnn and one of a user's own occur."""
    set_seed(3)
    return Sequential(
        [
            layers.Input((17, 17, 3)),
            layers.Rescaling(2.0, -1.0),
            layers.ZeroPadding2D(((1, 2), (0, 1))),
            layers.Conv2D(6, (5, 3), strides=2, padding="same", groups=3, activation="leaky_relu"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", depth_multiplier=2, activation="tanh"),
            layers.GaussianNoise(0.1),
            layers.LeakyReLU(),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            Swapped(),
            layers.ELU(),
            layers.Conv2D(4, 1, activation="gelu"),
            layers.MaxPooling2D(2, padding="same"),
            layers.Activation("sigmoid"),
            layers.Dropout(0.3),
            layers.Reshape((3, 3, 4)),
            layers.Conv2D(5, 2),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.GlobalMaxPooling2D(),
            layers.Dense(7, activation="elu"),
            layers.Dense(10),
            layers.Softmax(),
            layers.Flatten(),
        ],
        name="every_layer",
    )


def session_of(model: Sequential) -> Session:
    rng = np.random.default_rng(0)
    x, y = rng.random((4, *model.input_shape), np.float32), np.arange(4)
    return Session(model, Data("drawn", tuple("abcdefghij"), x, y, x, y))


def parsed(text: str) -> np.float32:
    """Return the number that the page writes with signs for people."""
    return np.float32(text.replace("−", "-").replace("∞", "inf"))


def shown(page: Any, where: str) -> str:
    """Return the number in focus after the address has changed to this."""
    page.evaluate("where => { location.hash = where; }", where)
    asked = {"mode": "prediction"} | dict(part.split("=") for part in where.split("&"))
    wait_for(page, *(asked[name] for name in ("image", "mode", "way", "layer", "at")))
    return str(page.locator(".panel output.value").first.text_content())


def wait_for(page: Any, *key: str) -> None:
    """Wait until the panel shows the number that is named by image, mode, way, layer and index."""
    page.wait_for_function("key => document.querySelector('.panel')?.dataset.shown === key", arg=" ".join(key))


@pytest.mark.parametrize("mode", ["prediction", "training"])
def test_a_value_of_every_layer_type_is_the_engines(page: Any, mode: str) -> None:
    check(page, every_layer(), mode)


@pytest.mark.parametrize("name", models.names())
def test_a_value_of_every_layer_of_every_documented_network_is_the_engines(page: Any, name: str) -> None:
    set_seed(1)
    check(page, models.build(name), "prediction")


def check(page: Any, model: Sequential, mode: str) -> None:
    """Choose a value of each layer, forward and backward, and compare it with the engine's as float32 bits."""
    session = session_of(model)
    with serving(session) as client:
        opened(page, client)
        trace = session.model.trace(session.data.x_test[1:2], [1], training=mode == "training")
        if mode == "training":  # with the other images of the batch
            x, labels = session.batch_of("test-1", None, mode)
            trace = session.model.trace(x, labels)
        rng = np.random.default_rng(5)
        for number, entry in enumerate(trace):
            for way, array in (("forward", entry.y[0]), ("backward", entry.dx[0])):
                index = tuple(int(rng.integers(length)) for length in array.shape)
                at = ",".join(map(str, index))
                text = shown(page, f"image=test-1&mode={mode}&layer={number}&at={at}&way={way}")
                assert parsed(text).tobytes() == np.float32(array[index]).tobytes(), (entry.name, way, index)
                assert not page.get_by_text("more than rounding").count(), (entry.name, way, index)
        page.goto("about:blank")  # so that it does not ask a server that has gone


def opened(page: Any, client: Client) -> None:
    """Open the page, and wait for the first map."""
    page.goto(client.address)
    page.wait_for_selector(".panel output.value")
    assert "token" not in page.url


def test_hostile_names_stay_texts(page: Any) -> None:
    name = "<img src=x onerror=\"document.title='hacked'\">"
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(name=name), layers.Dense(2)], name="<b>bold<b>")
    with serving(session_of(model)) as client:
        opened(page, client)
        assert page.title() == "<b>bold<b> · tinycnn explore"
        assert name in page.locator(".layers").inner_text()
        assert not page.locator("main img").count()


def test_everything_is_reached_by_keyboard(page: Any) -> None:
    session = session_of(models.build("ladder_03"))
    with serving(session) as client:
        opened(page, client)
        shown(page, "image=test-0&layer=0&at=3,4,1&way=forward")
        page.locator("canvas.map[tabindex]").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("PageDown")
        wait_for(page, "test-0", "prediction", "forward", "0", "4,5,2")
        entry = session.model.trace(session.data.x_test[:1], training=False)[0]
        assert parsed(page.locator(".panel output.value").first.text_content()) == entry.y[0, 4, 5, 2]
        assert "Row 4, column 5" in page.locator("canvas.map[tabindex]").get_attribute("aria-label")
        assert "y(4, 5, 2) = " in page.locator("#said").text_content()


def test_the_tab_key_goes_to_the_next_field(page: Any) -> None:
    """Also after something was typed, which paints the page anew."""
    with serving(session_of(models.build("ladder_03"))) as client:
        opened(page, client)
        for first, second in (("row", "column"), ("column", "channel")):
            page.get_by_label(first, exact=True).fill("3")
            page.keyboard.press("Tab")
            page.wait_for_timeout(300)
            label = "document.activeElement.closest('label')?.querySelector('span').textContent"
            assert page.evaluate(label) == second
        page.get_by_label("Number of the image").fill("2")
        page.keyboard.press("Tab")
        page.wait_for_timeout(1000)
        assert page.evaluate("document.activeElement.closest('label')?.querySelector('span').textContent") == (
            "Loss for the class"
        )


def test_what_went_wrong_stands_above_the_numbers(browser: Any) -> None:
    session = session_of(models.build("ladder_03"))
    page = browser.new_page()  # one on which errors may come up
    with serving(session) as client:
        opened(page, client)
        page.evaluate("location.hash = 'image=test-99'")
        page.wait_for_selector(".problem:not([hidden])")
        assert "no image 'test-99'" in page.locator(".problem").inner_text()
        # Weights that somebody else has changed are asked for anew.
        with session.changing_weights() as model:
            model.set_weights([array * 0 for array in model.get_weights()])
        page.evaluate("location.hash = 'image=test-0&layer=2'")
        page.wait_for_selector(".problem", state="hidden")
        with session.changing_weights():
            pass
        page.evaluate("location.hash = 'image=test-0&layer=3&at=0'")
        wait_for(page, "test-0", "prediction", "forward", "3", "0")
        assert parsed(page.locator(".panel output.value").first.text_content()) == np.float32(0.1)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("where", ["view=inside&way=forward", "view=inside&way=backward&teacher=1"])
def test_nobody_is_kept_out(browser: Any, theme: str, where: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    # axe-core is brought into the page as a script, which its policy would refuse.
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    with serving(session_of(models.build("ladder_10"))) as client:
        page.goto(f"{client.address}#theme={theme}&{where}")
        page.wait_for_selector(".panel output.value")
        found = axe.Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


def test_maps_follow_when_the_system_changes_from_day_to_night(page: Any) -> None:
    maps = "() => [...document.querySelectorAll('canvas')].map((canvas) => canvas.toDataURL()).join()"
    with serving(session_of(models.build("ladder_03"))) as client:
        page.emulate_media(color_scheme="light")
        opened(page, client)
        day = page.evaluate(maps)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"(day) => ({maps})() !== day", arg=day)
        page.wait_for_timeout(300)
        night = page.evaluate(maps)
        page.reload()
        page.wait_for_selector(".panel output.value")
        page.wait_for_function(f"(night) => ({maps})() === night", arg=night)


def test_numbers_are_large_enough(page: Any) -> None:
    """At least 18 px, and 28 px for a class to read."""
    with serving(session_of(models.build("ladder_03"))) as client:
        opened(page, client)
        size = "getComputedStyle(document.querySelector('.panel output.value')).fontSize"
        assert page.evaluate(size) == "18px"
        page.get_by_role("button", name="Large").click()
        assert page.evaluate(size) == "28px"
        assert "teacher=1" in page.url


@pytest.mark.parametrize("size", [(1280, 720), (800, 1280)])
def test_nothing_reaches_over_the_edge(page: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    with serving(session_of(models.build("cifar10_cnn"))) as client:
        opened(page, client)
        for where in ("way=forward&layer=0", "way=backward&layer=4", "way=forward&layer=0&teacher=1"):
            page.evaluate("where => { location.hash = where; }", f"image=test-0&{where}")
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], where


def test_a_view_in_the_address_is_shown_again(page: Any) -> None:
    """A teacher can send an address: it says everything that is selected."""
    session = session_of(models.build("ladder_03"))
    with serving(session) as client:
        where = "#image=test-2&layer=1&at=2%2C3%2C4&mode=training&way=backward&teacher=1&theme=dark"
        page.goto(client.address + where)
        wait_for(page, "test-2", "training", "backward", "1", "2,3,4")
        page.reload()
        wait_for(page, "test-2", "training", "backward", "1", "2,3,4")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
