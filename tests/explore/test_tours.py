"""What teaches on the page: the matrix, the tape, tours, numbers to predict, what is hidden, and lines of Python."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers, models, set_seed
from tinycnn.inspection.summary import cache_bytes
from tinycnn.kernels.reference.conv import im2col
from tinycnn.losses import SparseCategoricalCrossentropy

pytest.importorskip("starlette", reason="the extra explore is not installed")

from serving import serving

from tinycnn.explore.kept import kept_of
from tinycnn.explore.recording import write_recording
from tinycnn.explore.session import BATCH, Data, Session

NETWORKS = {
    "one channel": lambda: [
        layers.Input((12, 12, 1)),
        layers.Conv2D(6, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ],
    "three channels": lambda: [
        layers.Input((11, 10, 3)),
        layers.Conv2D(6, (3, 2), strides=(2, 1), padding="same", groups=3, activation="relu", use_bias=False),
        layers.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2, padding="same", activation="leaky_relu"),
        layers.MaxPooling2D(3, strides=2),
        layers.GlobalMaxPooling2D(),
        layers.Dense(5),
        layers.Softmax(),
    ],
    "batch normalization": lambda: [
        layers.Input((10, 10, 2)),
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.MaxPooling2D(2),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ],
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def session_of(name: str) -> Session:
    set_seed(7)
    model = Sequential(NETWORKS[name](), name="small")
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images_for(model, 5)
    model.fit(x, y, epochs=1, batch_size=16, verbose=0)  # so that statistics and biases are not those of the start
    return Session(model, Data("drawn", tuple("abcde"), x, y, x, y))


def images_for(model: Sequential, classes: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(3).random((64, *model.input_shape), np.float32)
    return x, np.arange(64) % classes


@pytest.fixture
def open_page(page: Any) -> Iterator[Any]:
    """A function that opens the page of a network at an address, and returns its session."""
    with contextlib.ExitStack() as stack:

        def opened(network: str | Session, where: str = "image=test-1") -> Session:
            session = session_of(network) if isinstance(network, str) else network
            client = stack.enter_context(serving(session))
            page.goto(f"{client.address}#{where}")
            page.wait_for_selector("#views button[aria-current]")
            return session

        yield opened
        page.goto("about:blank")  # so that it does not ask a server that has gone


def go(page: Any, where: str) -> None:
    page.evaluate("where => { location.hash = where; }", where)


def number(text: str) -> float:
    """Return the number that the page writes with signs for people."""
    return float(text.replace("−", "-").replace("∞", "inf"))


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([number(text) for text in texts], np.float32)


# The matrix -----------------------------------------------------------------------------------------------------


def matrix_at(page: Any, n: int, at: tuple[int, ...], column: int = 0) -> list[dict[str, Any]]:
    """Return the rows of the matrix that are shown: place, cells with their columns, and result."""
    where = ",".join(map(str, at))
    go(page, f"image=test-1&view=matrix&layer={n}&at={where}&column={column}")
    page.wait_for_selector(f'.product[data-shown="{n} {where} {column}"]')
    return page.evaluate("""() => [...document.querySelectorAll(".product tr[data-row]")].map((row) => ({
        row: Number(row.dataset.row),
        cells: [...row.querySelectorAll("td[data-column]")]
            .map((cell) => [Number(cell.dataset.column), cell.textContent, cell.title]),
        result: row.querySelector("td.result").title,
    }))""")


@pytest.mark.slow
@each_network
def test_the_matrix_is_the_engines(page: Any, open_page: Any, name: str) -> None:
    """Rows and columns are those of im2col in the reference kernel, and all numbers are those of the pass."""
    session = open_page(name)
    trace = session.model.trace(session.data.x_test[1:2], [1], training=False)
    rng = np.random.default_rng(0)
    for n, entry in enumerate(trace):
        if not isinstance(entry.layer, layers.Conv2D | layers.DepthwiseConv2D):
            continue
        _, groups = entry.layer.filters_and_groups(entry.x.shape[3])
        KH, KW = entry.layer.window.size
        OH, OW, F = entry.y.shape[1:]
        whole = im2col(entry.x, entry.layer.window)
        windows = whole.reshape(OH * OW, KH * KW, groups, -1)
        kernel = entry.parameters["kernel"].reshape(KH * KW * windows.shape[3], F)
        for _ in range(4):
            at = (int(rng.integers(OH)), int(rng.integers(OW)), int(rng.integers(F)))
            mine = windows[:, :, at[2] // (F // groups)].reshape(OH * OW, -1)
            column = int(rng.integers(mine.shape[1])) // 9 * 9
            shown = matrix_at(page, n, at, column)
            assert (at[0] * OW + at[1]) in [row["row"] for row in shown]
            for row in shown:
                i, j = divmod(row["row"], OW)
                found = [0 if text == "pad" else number(title) for _, text, title in row["cells"]]
                np.testing.assert_array_equal(np.float32(found), mine[row["row"], column : column + len(found)])
                assert [k for k, _, _ in row["cells"]] == list(range(column, column + len(found)))
                assert np.float32(number(row["result"])) == entry.z[0, i, j, at[2]]
            weights = page.eval_on_selector_all(
                ".product tr.kernel td[data-column]", "cells => cells.map((c) => c.title)"
            )
            np.testing.assert_array_equal(numbers(weights), kernel[column : column + len(weights), at[2]])
            assert len(weights) == min(9, mine.shape[1] - column)


@pytest.mark.slow
def test_rows_and_pixels_light_each_other_up(page: Any, open_page: Any) -> None:
    open_page("three channels")
    matrix_at(page, 0, (2, 3, 4))  # filter 4 belongs to the third group, which sees channel 2
    # By pointer: the pixel (5, 4) lies in the windows with 2i - top <= 5 < 2i - top + 3 and j <= 4 < j + 2, pads above.
    canvas = page.locator("#matrix canvas.map")
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] * 4.5 / 10, "y": box["height"] * 5.5 / 11})
    places = page.locator(".places").text_content()
    assert places.startswith("Pixel (5, 4) stands in 4 rows of the matrix: (2, 3), (2, 4), (3, 3), (3, 4).")
    held = page.locator(".product td.holds")
    values = {cell.get_attribute("title") for cell in held.all()}
    assert held.count() >= 1
    assert len(values) == 1
    # A row by keyboard: what it reads is said, and it is the row that is lit.
    page.locator(".product tr[data-row] button").first.focus()
    page.keyboard.press("Tab")
    row = page.locator(".product tr.lit").get_attribute("data-row")
    assert f"Window ({int(row) // 10}, {int(row) % 10}): rows" in page.locator("#said").text_content()
    # A pixel by keyboard: it is kept in the address.
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('pixel=1%2C1')")
    assert page.locator(".places").text_content().startswith("Pixel (1, 1) stands in ")
    while page.get_by_role("button", name="Go to the first of them").count():
        page.get_by_role("button", name="Go to the first of them").press("Enter")
        page.wait_for_timeout(200)
    assert held.count() >= 1


@pytest.mark.slow
def test_the_matrix_turns_its_pages_by_keyboard(page: Any, open_page: Any) -> None:
    open_page("one channel")
    first = matrix_at(page, 0, (0, 0, 2))
    assert [len(row["cells"]) for row in first] == [9] * 9
    page.get_by_role("button", name="Later columns").press("Enter")
    page.wait_for_selector('.product[data-shown="0 0,0,2 9"]')
    page.get_by_role("button", name="Later rows").press("Enter")
    page.wait_for_selector('.product[data-shown="0 1,1,2 9"]')
    assert page.locator(".product tr[data-row]").first.get_attribute("data-row") == "9"
    page.get_by_role("button", name="window (1, 3)").press("Enter")
    page.wait_for_selector('.product[data-shown="0 1,3,2 9"]')
    assert page.evaluate("document.activeElement.textContent") == "window (1, 3)"


# The tape -------------------------------------------------------------------------------------------------------


@each_network
def test_the_tape_has_the_bytes_of_the_caches(name: str) -> None:
    """Its arrays are those that backward is given, and a number that two layers keep is counted once."""
    session = session_of(name)
    trace = session.model.trace(session.data.x_test[:1], [1])
    kept = kept_of(trace)
    total = sum(entry["bytes"] for layer in kept for entry in layer if "bytes" in entry and not entry["shared"])
    fixed = sum(2 * 4 * entry.x.shape[-1] for entry in trace if isinstance(entry.layer, layers.BatchNormalization))
    assert total - fixed == sum(cache_bytes(session.model))
    names = [[entry["name"] for entry in layer] for layer in kept]
    assert names[0] == (["x"] if name == "batch normalization" else ["x", "kept"])
    if name == "batch normalization":
        assert names[1] == ["x", "mean", "variance", "by_batch"]
        assert kept[1][3]["value"] == "True"
        assert names[4] == ["step"]
        prediction = kept_of(session.model.trace(session.data.x_test[:1], [1], training=False))
        assert prediction[4] == []


@pytest.mark.slow
@each_network
def test_the_tape_is_walked_by_keyboard(page: Any, open_page: Any, name: str) -> None:
    session = open_page(name, "image=test-1&view=tape")
    count = len(session.model.layers)
    page.locator(".tape").focus()
    names = [layer.name for layer in session.model.layers]
    for step, (layer, way) in enumerate(
        [(one, "forward") for one in names] + [(one, "backward") for one in names[::-1]]
    ):
        page.wait_for_selector(f'.tape[data-shown="{step}"]')
        story = page.locator(".story").text_content()
        assert story.startswith(f"Step {step + 1} of {2 * count}, {way}: {layer} ")
        current = page.locator(".tape td[aria-current]")
        assert current.count() == 1
        assert current.locator("button").text_content() == layer
        page.keyboard.press("ArrowDown")
    assert "0 bytes are left" in page.locator(".story").text_content()
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(f'.tape[data-shown="{2 * count - 2}"]')
    page.locator(".tape td[aria-current] button").press("Enter")
    page.wait_for_selector("#inside h2")
    assert "layer=1" in page.url
    assert "way=backward" in page.url


# Tours ----------------------------------------------------------------------------------------------------------


TOURS = ("pixel", "pooling", "relu", "loss", "weight")
#: What a text has where a number is missing.
SENSELESS = re.compile(r"undefined|NaN|null|\[object|\(\)")


def at_step(page: Any, tour: str, step: int) -> str:
    page.wait_for_selector(f'.tour[data-step="{tour} {step}"]')
    return str(page.locator(".tour .said-here").inner_text())


def take(page: Any, tour: str) -> list[str]:
    """Take a tour by keyboard, and return the text of each step."""
    page.get_by_role("combobox", name="Guided tour").select_option(tour)
    texts = [at_step(page, tour, 0)]
    count = int(re.search(r"of (\d+)", page.locator(".tour h2").inner_text()).group(1))
    page.get_by_role("button", name="Go to the place again").focus()
    for step in range(1, count):
        page.keyboard.press("ArrowRight")
        texts.append(at_step(page, tour, step))
        assert f"tour={tour}" in page.url
        assert f"step={step}" in page.url
    assert page.get_by_role("button", name="Next", exact=True).is_disabled()
    return texts


@pytest.mark.slow
@each_network
def test_every_tour_finds_its_place(page: Any, open_page: Any, name: str) -> None:
    """Texts name the engine's numbers, and no word stands for a number that is not there."""
    open_page(name)
    for tour in TOURS:
        texts = take(page, tour)
        assert len(texts) >= 3
        for text in texts:
            assert len(text) > 60
            assert not SENSELESS.search(text), text
        page.get_by_role("button", name="End the tour").press("Enter")
        page.wait_for_selector(".tour", state="hidden")
        assert "tour" not in page.url


@pytest.mark.slow
@each_network
def test_what_tours_say_is_so(page: Any, open_page: Any, name: str) -> None:
    session = open_page(name)
    trace = session.model.trace(session.data.x_test[1:2], [1], training=False)
    # The largest number of the first convolution.
    texts = take(page, "pixel")
    y = trace[0].y[0]
    index = tuple(map(int, np.unravel_index(y.argmax(), y.shape)))
    assert f"y{index}" in texts[0]
    assert np.float32(number(re.search(r"the result is (\S+?)\.\s", texts[2]).group(1))) == y[index]
    # Pooling: the place with the largest gradient.
    texts = take(page, "pooling")
    entry = next(one for one in trace if isinstance(one.layer, layers.MaxPooling2D))
    winner = tuple(int(n) for n in re.search(r"dx\((.*?)\)", texts[1]).group(1).split(","))
    best = np.unravel_index(np.abs(entry.dy[0]).argmax(), entry.dy[0].shape)
    assert entry.x[(0, *winner)] == entry.y[(0, *best)]
    loser = re.search(r"The number at \((.*?)\)", texts[2])
    assert entry.dx[(0, *(int(n) for n in loser.group(1).split(",")))] == 0
    # A ReLU that gives 0, and lets no gradient through.
    texts = take(page, "relu")
    index = tuple(int(n) for n in re.search(r"number at \((.*?)\) was", texts[0]).group(1).split(","))
    entry = trace[int(re.search(r"layer=(\d+)", page.url).group(1))]
    assert entry.z[(0, *index)] < 0
    assert entry.y[(0, *index)] == 0
    arrives = number(re.search(r"by this result is (\S+?)\.\s", texts[1]).group(1))
    assert arrives == pytest.approx(float(entry.dy[(0, *index)]), rel=5e-3)
    dead = not entry.y[0, ..., index[-1]].any()
    assert ("at every place" in texts[2]) == dead
    # p - t.
    texts = take(page, "loss")
    p = trace[-1].y[0]
    slope = re.search(r"For b that is (\S+) − 1 = (\S+?),", texts[3])
    np.testing.assert_allclose([number(slope.group(1)), number(slope.group(2))], [p[1], p[1] - 1], rtol=5e-3)
    # A weight's gradient, measured.
    take(page, "weight")
    kernel = trace[0].gradients["kernel"]
    index = tuple(map(int, np.unravel_index(np.abs(kernel).argmax(), kernel.shape)))
    assert f"kernel%3A{'%2C'.join(map(str, index))}" in page.url
    page.get_by_role("button", name="Measure this slope").press("Enter")
    page.wait_for_selector("section.weights .good")
    assert "✓ They agree." in page.locator("section.weights").inner_text()
    cells = page.locator("section.weights td").all_text_contents()
    measured = number(cells[[k for k, text in enumerate(cells) if text.startswith(("+", "−"))][-2]])
    assert measured == pytest.approx(float(kernel[index]), rel=1e-3)


@pytest.mark.slow
def test_a_tour_that_does_not_fit_says_so(page: Any, open_page: Any) -> None:
    model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(5)])
    model.compile("adam", SparseCategoricalCrossentropy(from_logits=True))
    x, y = images_for(model, 5)
    open_page(Session(model, Data("drawn", tuple("abcde"), x, y, x, y)))
    for tour, text in (("pixel", "no convolution"), ("pooling", "no max-pooling"), ("relu", "No ReLU")):
        go(page, f"image=test-1&tour={tour}")
        page.wait_for_function("text => document.querySelector('.said-here').innerText.includes(text)", arg=text)
        assert page.get_by_role("button", name="Next").is_disabled()
    texts = take(page, "loss")
    assert "Only differences of scores count" in texts[0]
    assert "the loss does that itself" in texts[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_tour_fits_a_documented_network_or_says_why(page: Any, open_page: Any, name: str) -> None:
    set_seed(1)
    model = models.build(name)
    x, y = images_for(model, model.output_shape[-1])
    classes = tuple(map(str, range(model.output_shape[-1])))
    open_page(Session(model, Data("drawn", classes, x, y, x, y)))
    page.wait_for_selector(".panel output.value")
    for tour in TOURS:
        page.get_by_role("combobox", name="Guided tour").select_option(tour)
        title = "title => document.querySelector('.tour h2').textContent.startsWith(title)"
        page.wait_for_function(title, arg=page.locator(f'option[value="{tour}"]').text_content())
        texts = take(page, tour) if ": step" in page.locator(".tour h2").inner_text() else []
        assert texts or "no" in page.locator(".said-here").inner_text().lower()
        for text in texts:
            assert not SENSELESS.search(text), text


# Predict first --------------------------------------------------------------------------------------------------

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
    session = open_page(name, f"image=test-1&predict=1&{where}")
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
    open_page("one channel")
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


# What teachers hide ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_hidden_stands_in_the_address(page: Any, open_page: Any) -> None:
    open_page("batch normalization", "image=test-1&way=backward&layer=0")
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
        "!document.querySelector('[data-part=image] canvas').getAttribute('aria-label').includes('test image')"
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
    open_page("one channel", "image=test-1&layer=1&teacher=1&predict=1")
    page.locator(".teacher-bar summary").press("Enter")
    page.get_by_role("button", name="Copy the address").press("Enter")
    page.wait_for_function("document.getElementById('said').textContent.includes('copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert "token" not in copied
    assert "predict=1" in copied


# The code -------------------------------------------------------------------------------------------------------


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
    session = open_page(name, f"image=test-1&mode={mode}")
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
    open_page("one channel", "image=test-1&layer=0&at=1,2,3")
    page.locator(".panel details.code summary").press("Enter")
    page.get_by_role("button", name="Copy the lines").press("Enter")
    page.wait_for_function("document.getElementById('said').textContent.includes('copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".panel details.code pre").text_content()
    assert "print(layer.y[0, 1, 2, 3])" in copied


# Without a server -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@each_network
def test_a_recording_teaches_as_well(page: Any, name: str, tmp_path: Any) -> None:
    write_recording(session_of(name), tmp_path / "page.html", images=8)
    for image in (1, 5):  # of the second, the page has computed all numbers itself
        page.goto(f"{(tmp_path / 'page.html').as_uri()}#image=test-{image}&view=tape")
        page.reload()
        page.wait_for_selector('.tape[data-shown="0"]')
        assert "keeps x, its input" in page.locator(".story").text_content()
        for tour in TOURS:
            for text in take(page, tour):
                assert not SENSELESS.search(text), text
        page.get_by_role("button", name="Measure this slope").press("Enter")
        page.wait_for_selector("section.weights .good")
        page.locator(".teacher-bar summary").press("Enter")
        assert page.locator("code.address").text_content() == page.url


# Everybody ------------------------------------------------------------------------------------------------------

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
    open_page("one channel")
    for where in (*VIEWS, "view=matrix&teacher=1", "view=tape&teacher=1", "tour=loss&teacher=1"):
        go(page, f"image=test-1&{where}")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], where
