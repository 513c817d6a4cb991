"""What the page says beside its numbers, in networks of one channel, of three, and with batch normalization."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from teaching import each_network, go, number, session_of

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore.mine import KernelFile
from tinycnn.explore.session import Data, Session

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import served_training, serving

pytestmark = pytest.mark.slow

#: The cells [top, left, bottom, right] of a map that are framed, found by the colour of the frame.
FRAMED = """([where, columns]) => {
    const canvas = document.querySelector(where);
    const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let [top, left, bottom, right] = [Infinity, Infinity, -1, -1];
    for (let y = 0, n = 0; y < height; y += 1) {
        for (let x = 0; x < width; x += 1, n += 4) {
            if (Math.abs(data[n] - 212) + data[n + 1] + Math.abs(data[n + 2] - 110) > 30) continue;
            [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y), Math.max(right, x)];
        }
    }
    const cell = width / columns;
    return [top, left, bottom - 1, right - 1].map((place) => Math.round(place / cell));
}"""


def panel(page: Any, where: str, key: str) -> str:
    """Return the text of the panel when it shows the number whose key has this part."""
    go(page, where)
    page.wait_for_function("key => document.querySelector('.panel')?.dataset.shown?.endsWith(key)", arg=key)
    return str(page.locator(".panel").inner_text())


def test_the_receptive_field_lights_up(page: Any, open_page: Any) -> None:
    """That of a pooling behind a convolution of 5x5: two by two results, and six by six pixels."""
    open_page(session_of("one channel"))
    panel(page, "image=test-1&theme=light&layer=1&at=2,1,3", "1 2,1,3")
    assert page.evaluate(FRAMED, ['[data-map="before"] canvas', 8]) == [4, 2, 6, 4]
    assert page.evaluate(FRAMED, ['[data-map="image"] canvas', 12]) == [4, 2, 10, 8]
    panel(page, "image=test-1&theme=light&layer=0&at=7,7,0", "0 7,7,0")
    assert page.evaluate(FRAMED, ['[data-map="image"] canvas', 12]) == [7, 7, 12, 12]


def test_the_map_beside_a_gradient_is_that_of_the_channel_it_comes_from(page: Any, open_page: Any) -> None:
    """It was always the first channel, but for convolutions without groups."""
    open_page(session_of("three channels"))
    for layer, at, part, channel in (
        (0, "5,5,2", 0, 4),  # of the third group, whose filters are 4 and 5
        (0, "5,5,2", 1, 5),
        (1, "3,3,3", 1, 7),  # two filters for each channel
        (2, "2,2,9", 0, 9),
    ):
        panel(page, f"image=test-1&way=backward&layer={layer}&at={at}&part={part}", f"backward {layer} {at}")
        caption = page.locator('[data-map="after"] figcaption').filter(has_text=f"dy: channel {channel}")
        caption.wait_for(timeout=5000)


@each_network
def test_the_page_says_whether_prediction_differs(page: Any, open_page: Any, name: str) -> None:
    session = open_page(session_of(name), "image=test-2&layer=0")
    page.wait_for_selector(".panel output.value")
    fused = session.trace("test-2")[0]["fused"]
    told = page.get_by_text("These are the values layer by layer.").count()
    assert told == (0 if fused["equal"] else 1)


def test_the_five_numbers_and_what_dropout_did(page: Any, open_page: Any) -> None:
    session = open_page(session_of("batch normalization"))
    trace = session.model.trace(session.data.x_test[1:2], [1], training=False)
    entry = trace[1]
    text = panel(page, "image=test-1&layer=1&at=3,4,2", "1 3,4,2")
    expected = {
        "mean": entry.buffers["moving_mean"][2],
        "variance": entry.buffers["moving_variance"][2],
        "gamma": entry.parameters["gamma"][2],
        "beta": entry.parameters["beta"][2],
        "epsilon": entry.layer.epsilon,
    }
    for what, value in expected.items():
        found = re.search(rf"\b{what} ([−\d.e+-]+\d)", text)
        assert np.float32(number(found.group(1))) == np.float32(value), what
    assert "In prediction, dropout changes nothing" in panel(page, "image=test-1&layer=4&at=0,0,0", "4 0,0,0")
    x, labels = session.batch_of("test-1", 1, "training")
    before, after = (entry.y[0] for entry in session.model.trace(x, labels)[3:5])
    kept, dropped = (tuple(np.argwhere(found)[0]) for found in (after != 0, (after == 0) & (before > 0)))
    for at, says in (
        (kept, r"was kept, and multiplied by 1 / \(1 − 0.25\) = 1.33"),
        (dropped, "was dropped: it counts"),
    ):
        place = ",".join(map(str, at))
        assert re.search(
            says, panel(page, f"image=test-1&mode=training&layer=4&at={place}", f"training forward 4 {place}")
        )


def test_a_kernel_of_nine_by_nine_in_groups(page: Any, open_page: Any) -> None:
    """All 81 products of each channel of its group, with a stride, a dilation and pads; a pooling says who won."""
    set_seed(2)
    wide = layers.Conv2D(4, 9, strides=2, padding="same", groups=2, activation="relu")
    spread = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")
    ends = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(3), layers.Softmax()]
    model = Sequential([layers.Input((20, 20, 4)), wide, spread, *ends])
    x, y = np.random.default_rng(1).random((8, 20, 20, 4), np.float32), np.arange(8) % 3
    session = open_page(Session(model, Data("drawn", ("a", "b", "c"), x, y, x, y)))
    trace = session.model.trace(x[1:2], [1], training=False)
    for layer, at, taps, sums in ((0, (1, 5, 3), 81, 2), (1, (0, 9, 2), 9, 1)):
        place = ",".join(map(str, at))
        panel(page, f"image=test-1&layer={layer}&at={place}", f"{layer} {place}")
        parts = [0.0]
        for part in range(sums):
            go(page, f"image=test-1&layer={layer}&at={place}&part={part}")
            page.wait_for_timeout(250)
            assert page.locator(".panel .grids table").count() == 3
            products = page.locator(".panel .grids table").nth(2).locator("td")
            assert products.count() == taps
            parts += [number(found) for found in products.evaluate_all("all => all.map((one) => one.title || '0')")]
            assert page.locator(".panel .grids td.pad").count() > 0
        bias = trace[layer].parameters["bias"][at[2]]
        z = trace[layer].z if trace[layer].z is not None else trace[layer].y
        assert sum(parts) + bias == pytest.approx(float(z[(0, *at)]), abs=1e-5)
    text = panel(page, "image=test-1&layer=2&at=1,2,1", "2 1,2,1")
    window = trace[1].y[0, 2:4, 4:6, 1]
    row, column = np.unravel_index(window.argmax(), (2, 2))
    assert f"The largest number of the window stands at ({2 + row}, {4 + column}, 1)" in text
    assert page.locator(".panel td.chosen").get_attribute("title") == str(window.max()).replace("-", "−")
    assert "softmax" in panel(page, "image=test-1&layer=5&at=1", "5 1").lower()


@each_network
def test_the_gradient_of_a_parameter_is_a_map(page: Any, open_page: Any, name: str) -> None:
    """By pointer and by keyboard: another number of the same plane, to the bit, and its terms."""
    session = open_page(session_of(name), "image=test-1&layer=0&way=backward&weight=kernel:0,1,0,1")
    kernel = session.model.trace(session.data.x_test[1:2], [1], training=False)[0].gradients["kernel"]
    canvas = page.locator(".weights canvas.map")
    canvas.wait_for()
    assert "Row 0, column 1" in canvas.get_attribute("aria-label")
    box = canvas.bounding_box()
    height, width = kernel.shape[:2]
    canvas.click(position={"x": box["width"] * 0.5 / width, "y": box["height"] * 1.5 / height})
    page.wait_for_function("() => location.hash.includes('kernel%3A1%2C0%2C0%2C1')")
    page.get_by_text("d_kernel(1, 0, 0, 1) = ").first.wait_for()
    assert number(page.locator(".weights output.value").text_content()) == pytest.approx(kernel[1, 0, 0, 1], rel=1e-6)
    assert "d_kernel(1, 0, 0, 1) = " in page.locator("#said").text_content()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('kernel%3A1%2C1%2C0%2C1')")
    page.get_by_text("d_kernel(1, 1, 0, 1) = ").first.wait_for()
    page.wait_for_function("() => document.activeElement.matches('.weights canvas.map')")
    # A matrix shows one of its columns, and a bias or gamma all of its numbers.
    last = next(n for n, layer in reversed(list(enumerate(session.model.layers))) if isinstance(layer, layers.Dense))
    go(page, f"image=test-1&layer={last}&way=backward&weight=kernel:2,3")
    page.get_by_text("d_kernel(2, 3) = ").first.wait_for()
    page.locator(".weights canvas.map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('kernel%3A3%2C3')")


RIGHT = """
import numpy as np


def softmax_forward(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
"""
WRONG = RIGHT.replace("e / e.sum(-1, keepdims=True)", "e / 2")


WRONG_RELU = """
import numpy as np


def relu_forward(x):
    return np.where(x > x.max() / 2, x, 0).astype(x.dtype)
"""


def test_a_wrong_activation_is_seen_where_it_happens(page: Any, tmp_path: Path) -> None:
    """The sum before it is right; the page said only that relu(z) is what the kernel gives."""
    path = tmp_path / "mine.py"
    path.write_text(WRONG_RELU, "utf-8")
    found = session_of("one channel")
    page.set_viewport_size({"width": 768, "height": 1024})
    with serving(Session(found.model, found.data, KernelFile(path))) as client:
        page.goto(f"{client.address}#view=kernels&image=test-1")
        page.get_by_role("button", name="Compare with the reference").press("Enter")
        first = page.locator("#kernels td button", has_text="first at").first
        first.wait_for()
        box = page.locator("#kernels table").bounding_box()
        assert box["x"] + box["width"] <= 768  # nothing of the table is cut off on a tablet
        first.press("Enter")
        said = page.locator(".panel .error")
        said.wait_for()
        assert re.fullmatch(
            r"✗ The engine, with your functions \(mine.py\), gives 0; 0\.\d+ is right\.",
            said.inner_text(),
        )
        # Where the kernel is right, nothing is said.
        y = found.model.trace(found.data.x_test[1:2], [1], training=False)[0].y[0]
        at = ",".join(map(str, np.unravel_index(y.argmax(), y.shape)))
        assert "is right" not in panel(page, f"image=test-1&layer=0&at={at}", f"0 {at}")
        page.goto("about:blank")


@each_network
def test_own_kernels_drawing_and_galleries(page: Any, name: str, tmp_path: Path) -> None:
    found = session_of(name)
    path = tmp_path / "mine.py"
    path.write_text(RIGHT, "utf-8")
    session = Session(found.model, found.data, KernelFile(path))
    with serving(session) as client:
        page.goto(f"{client.address}#view=kernels&image=test-1")
        page.get_by_role("button", name="Compare with the reference").press("Enter")
        page.locator("#kernels p.good").wait_for()
        path.write_text(WRONG, "utf-8")
        page.get_by_role("button", name="Load the file again").press("Enter")
        wrong = page.locator("#kernels td button", has_text="first at").first
        wrong.wait_for()
        at = re.search(r"first at \((\d+)\)", wrong.inner_text()).group(1)
        wrong.press("Enter")
        page.wait_for_function("at => document.querySelector('.panel')?.dataset.shown?.endsWith(` ${at}`)", arg=at)
        path.write_text(RIGHT, "utf-8")
        page.get_by_role("button", name="Your kernels").press("Enter")
        page.get_by_role("button", name="Load the file again").press("Enter")
        page.locator("#kernels p.good").wait_for()
        # What can be drawn for has a surface; for two channels it is said why there is none.
        page.get_by_role("button", name="Draw and find").press("Enter")
        page.locator("#draw h2", has_text="Draw").wait_for()
        channels = found.model.input_shape[2]
        page.locator(".bars tbody tr" if channels != 2 else "#draw p").first.wait_for()
        assert page.locator("canvas.surface").count() == (0 if channels == 2 else 1)
        page.get_by_role("button", name="Find", exact=True).press("Enter")
        page.locator(".gallery .tile").first.wait_for()
        p = session.model.predict(session.data.x_test)
        worst = p[np.arange(len(p)), session.data.y_test].argmin()
        assert f"test-{worst}" in page.locator(".gallery .tile").first.inner_text()
        part = page.get_by_role("region", name="Where it looks")
        part.get_by_role("button", name="Show", exact=True).press("Enter")
        height, width = found.model.input_shape[:2]
        part.get_by_text(f"{height} by {width} cells, the strongest is").wait_for()
        page.goto("about:blank")


@each_network
def test_everything_changes_while_it_trains_and_comes_back(page: Any, name: str) -> None:
    shown = """() => ["canvas.curves", "canvas.filters"].map((one) => document.querySelector(one)?.toDataURL())
        .concat([".norms", ".worst"].map((one) => document.querySelector(one)?.textContent))"""
    with served_training(session_of(name)) as served:
        page.goto(served.client.address + "#view=train&image=test-1")
        page.get_by_role("button", name="Set up, at step 0").press("Enter")
        page.get_by_text("paused; step 0 of 0").wait_for()
        seen = []
        for step in (1, 2):
            page.get_by_role("button", name="One batch", exact=True).press("Enter")
            page.get_by_text(f"paused; step {step} of {step}").wait_for()
            page.wait_for_timeout(300)
            seen.append((page.evaluate(shown), [array.tobytes() for array in served.training.current_weights()]))
        (first, weights), (second, others) = seen
        # A depthwise or grouped first layer has filters that are no pictures of the image.
        assert all(one != two for one, two in zip(first, second, strict=True) if one is not None or two is not None)
        assert weights != others
        page.get_by_role("button", name="One batch back").press("Enter")
        page.get_by_text("paused; step 1 of 2").wait_for()
        assert [array.tobytes() for array in served.training.current_weights()] == weights
        page.get_by_label("Value of the change").fill("0.5")
        page.get_by_role("button", name="Fork", exact=True).press("Enter")
        page.get_by_text("Fork with").wait_for()
        page.get_by_text(re.compile("dashed line")).first.wait_for()
        page.wait_for_function("() => document.querySelectorAll('.training figure').length >= 4")
        heights = page.locator(".training figcaption").evaluate_all("all => all.map((one) => one.offsetHeight)")
        assert max(heights) < 32  # one line each
        page.goto("about:blank")


@pytest.mark.timed
def test_the_first_map_comes_within_a_second(page: Any, open_page: Any) -> None:
    """Counted from the opening of the address to the first map, on a server that has computed a pass before."""
    session = session_of("one channel")
    session.trace("test-1")
    took = []
    with serving(session) as client:
        for _ in range(5):
            begun = time.perf_counter()
            page.goto(f"{client.address}#image=test-1&layer=0")
            page.wait_for_selector('[data-map="after"] canvas')
            took.append(time.perf_counter() - begun)
            page.goto("about:blank")
    assert min(took) < 1
