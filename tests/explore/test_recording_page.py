"""A recording in a browser: opened from a file, without a server, it shows the engine's numbers."""

import contextlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import NETWORKS, Swapped, held_in, network, put_into, recording_of, session_of

from tinycnn import Sequential, layers, losses
from tinycnn.explore.recorded_training import record
from tinycnn.explore.session import Data, Session

pytestmark = pytest.mark.slow


def opened(page: Any, path: Path) -> None:
    """Open a recording as by double click; whatever it asks for must lie in the page itself."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".panel output.value")
    assert asked[0] == path.as_uri()
    assert [address for address in asked[1:] if not address.startswith(("blob:null/", "data:"))] == []


def shown(page: Any, image: str, layer: int, index: tuple[int, ...], way: str = "forward", **more: str) -> np.float32:
    """Return the number in focus after the address has changed to this."""
    at, mode = ",".join(map(str, index)), more.get("mode", "prediction")
    where = "&".join([f"image={image}&layer={layer}&at={at}&way={way}", *(f"{key}={one}" for key, one in more.items())])
    page.evaluate("where => { location.hash = where; }", where)
    key = f"{image} {mode} {way} {layer} {at}"
    page.wait_for_function("key => document.querySelector('.panel')?.dataset.shown === key", arg=key)
    text = page.locator(".panel output.value").first.text_content()
    return np.float32(text.replace("−", "-"))


def origin(page: Any) -> str:
    """Return what is said about where the numbers come from."""
    return str(page.locator("#origin").text_content())


@pytest.mark.parametrize("name", ["one channel", "three channels", "batch normalization"])
def test_numbers_are_the_engines_and_it_is_said_which_are_recomputed(page: Any, name: str, tmp_path: Path) -> None:
    session = session_of(NETWORKS[name]())
    opened(page, recording_of(session, tmp_path))
    rng = np.random.default_rng(1)
    for image, is_recorded in ((1, True), (8, False)):
        x, y = session.data.x_test[image : image + 1], session.data.y_test[image : image + 1]
        for number, entry in enumerate(session.model.trace(x, y, training=False)):
            for way, array in (("forward", entry.y[0]), ("backward", entry.dx[0])):
                index = tuple(int(rng.integers(length)) for length in array.shape)
                found = shown(page, f"test-{image}", number, index, way)
                if is_recorded:
                    assert found.tobytes() == np.float32(array[index]).tobytes(), (entry.name, way, index)
                    assert "Recorded from the engine, to the bit." in origin(page)
                else:
                    assert abs(found - array[index]) <= 1e-5 * np.abs(array).max(), (entry.name, way, index)
                    assert "Recomputed in this browser" in origin(page)


def test_as_in_training_the_recorded_pass_is_shown(page: Any, tmp_path: Path) -> None:
    session = session_of(NETWORKS["batch normalization"]())
    opened(page, recording_of(session, tmp_path))
    expected = session.trace("test-0", mode="training")[1]["2.y"]
    assert shown(page, "test-0", 2, (1, 2, 3), mode="training") == expected[1, 2, 3]
    page.evaluate("location.hash = 'image=test-5&mode=training&layer=2&at=1,2,3'")
    page.wait_for_function(
        "() => document.querySelector('.panel').dataset.shown === 'test-5 prediction forward 2 1,2,3'"
    )
    assert "A pass as in training was only recorded for test-0" in origin(page)


def test_a_changed_weight_is_refused(page: Any, tmp_path: Path) -> None:
    path = recording_of(session_of(network()), tmp_path)
    description, arrays = held_in(path)
    arrays["weights/0.kernel"] = arrays["weights/0.kernel"] * np.float32(1.001)
    put_into(path, description, arrays, renewed=True)
    page.goto(path.as_uri())
    error = page.wait_for_selector("main .error").text_content()
    assert "This recording is refused. In layer 0, conv2d, z as this browser computes it for test-0" in error
    assert not page.locator(".panel").count()


def changed(description: dict[str, Any], what: str) -> None:
    """Change one thing in the description of a recording."""
    if what == "label":
        description["labels"][5] = (description["labels"][5] + 1) % 4
    elif what == "class":
        description["network"]["classes"][0] = "other"
    elif what == "loss":
        description["passes"][1]["loss"] *= 1.01
    else:
        description["network"]["protocol"] = 99


@pytest.mark.parametrize("what", ["label", "class", "loss", "protocol"])
def test_a_changed_description_is_refused(page: Any, what: str, tmp_path: Path) -> None:
    path = recording_of(session_of(network()), tmp_path)
    description, arrays = held_in(path)
    changed(description, what)
    put_into(path, description, arrays)
    page.goto(path.as_uri())
    said = page.wait_for_selector("main [role=alert]").text_content()
    assert said.startswith("This recording is refused: the file was changed or damaged"), said


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("loss", "In layer 5, dense, the loss as this browser computes it for test-1 is off"),
        ("protocol", "in version 99"),
    ],
)
def test_what_can_be_computed_anew_is_checked_even_if_the_digest_fits(
    page: Any, what: str, says: str, tmp_path: Path
) -> None:
    path = recording_of(session_of(network()), tmp_path)
    description, arrays = held_in(path)
    changed(description, what)
    put_into(path, description, arrays, renewed=True)
    page.goto(path.as_uri())
    said = page.wait_for_selector("main .error").text_content()
    assert said.startswith("This recording is refused")
    assert says in said


#: What stands in a page whose number cannot be shown.
REFUSED = re.compile("This recording is refused|If this text stays")
#: Whether a page has come to an end: it shows the number that the address asks for, or says why it does not.
AT_AN_END = """key => {
  const shown = document.querySelector(".panel")?.dataset.shown === key && document.querySelector("p.answer");
  return shown || document.body?.innerText.includes("This recording is refused");
}"""


def outcome(page: Any, path: Path) -> str:
    """Return what a recording shows at last: a number with the answer, or the text that refuses them."""
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#image=test-1&layer=5&at=2")
    # If no script runs, what stands in the page from the beginning stays.
    with contextlib.suppress(pytest.importorskip("playwright.sync_api").TimeoutError):
        page.wait_for_function(AT_AN_END, arg="test-1 prediction forward 5 2", timeout=6000)
    if page.locator(".panel output.value").count():
        return str([page.locator(".panel output.value").first.text_content(), page.locator("p.answer").text_content()])
    return str(page.locator("html").inner_text())


def test_a_file_that_is_cut_off_says_so(page: Any, tmp_path: Path) -> None:
    whole = recording_of(session_of(network()), tmp_path).read_bytes()
    path = tmp_path / "cut.html"
    rng = np.random.default_rng(0)
    last = whole.index(b'<i id="end"')
    head = whole.index(b"</script>") + len(b"</script>")
    for length in [head, last - 30, *rng.integers(head, last - 20, 16)]:
        path.write_bytes(whole[: int(length)])
        page.goto("about:blank")
        page.goto(path.as_uri())
        said = page.locator("[role=alert]").inner_text()
        assert "the file is cut off, its end is missing" in said, length
        assert "--record FILE" in said
    # Before that, no script runs; the title says it, and it is visible in the page.
    title = whole.index(b"</title>")
    for length in [title, *rng.integers(title, head, 6)]:
        path.write_bytes(whole[: int(length)])
        page.goto("about:blank")
        page.goto(path.as_uri())
        assert "If this text stays, the file is cut off" in page.locator("html").inner_text(), length
        assert page.locator("title").bounding_box()["height"] > 10


def test_wherever_a_file_is_damaged_it_is_refused_or_shows_what_it_showed(browser: Any, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    original = recording_of(session_of(network()), tmp_path)
    shown, whole = outcome(page, original), original.read_bytes()
    assert shown.startswith("[")
    path = tmp_path / "damaged.html"
    rng = np.random.default_rng(1)
    marks = (b"<script nonce", b"<style", b"<body", b'id="modules"', b'id="recording"')
    parts = [0, *(whole.index(mark) for mark in marks), whole.rindex(b"<script nonce"), len(whole)]
    refused = 0
    for begin, end in pairwise(parts):
        for at in rng.integers(begin, end, 3):
            content = bytearray(whole)
            content[at] = (content[at] + 1 + rng.integers(127)) % 128
            path.write_bytes(bytes(content))
            found = outcome(page, path)
            refused += found != shown
            assert found == shown or REFUSED.search(found), (at, whole[at - 20 : at + 20], found)
    assert refused > 9
    context.close()


@pytest.mark.parametrize(
    ("activation", "loss", "says"),
    [
        (
            "sigmoid",
            losses.BinaryCrossentropy(),
            r"answer: (a|b) \(0\.\d+\), (a|b) \(0\.\d+\)\. The true class: b\. Loss: \d",
        ),
        ("linear", losses.MeanSquaredError(), r"answer: [−\d.]+\. The target: 3\.7\. Loss: \d"),
    ],
)
def test_one_output_is_a_probability_or_a_number(
    page: Any, activation: str, loss: Any, says: str, tmp_path: Path
) -> None:
    model = Sequential([layers.Input((12, 12, 1)), layers.Flatten(), layers.Dense(1, activation=activation)])
    model.compile("sgd", loss)
    y = np.array([1, 0] * 10 if activation == "sigmoid" else [3.7, -1] * 10)
    x = np.random.default_rng(0).random((20, 12, 12, 1), np.float32)
    session = Session(model, Data("drawn", ("a", "b"), x, y, x, y))
    opened(page, recording_of(session, tmp_path))
    for image in ("test-0", "test-8"):
        expected = session.trace(image)[1]["1.y"][0]
        assert shown(page, image, 1, (0,)) == pytest.approx(expected, rel=1e-5)
        answer = page.locator("p.answer").text_content()
        assert re.search(says, answer), answer


def test_hostile_names_stay_texts(page: Any, tmp_path: Path) -> None:
    name = "<script>document.title='hacked'<!-- "
    model = Sequential(
        [layers.Input((12, 12, 1)), layers.Flatten(name=name), layers.Dense(4, activation="softmax")],
        name="<b>bold<!--",
    )
    classes = ("</script><script>document.title='hacked'</script>", "b", "c", "d")
    opened(page, recording_of(session_of(model, classes=classes), tmp_path))
    assert page.title() == "<b>bold<!-- · tinycnn explore"
    assert name.strip() in page.locator(".layers").inner_text()
    assert classes[0] in page.locator("#controls").inner_text()


def test_the_policy_lets_no_other_script_and_no_request_through(browser: Any, tmp_path: Path) -> None:
    path = recording_of(session_of(network()), tmp_path)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".panel output.value")
    tried = page.evaluate("""async () => {
      const code = "globalThis.ran = 1";
      for (const attributes of [{ textContent: code }, { src: `data:text/javascript,${code}` }]) {
        document.body.append(Object.assign(document.createElement("script"), attributes));
      }
      await new Promise((later) => setTimeout(later, 300));
      const fetched = await fetch("data:,x").then(() => true, () => false);
      return { ran: globalThis.ran ?? null, fetched };
    }""")
    assert tried == {"ran": None, "fetched": False}
    page.close()


def test_a_layer_of_ones_own_is_shown_as_recorded(page: Any, tmp_path: Path) -> None:
    session = session_of(network(1, Swapped()))
    opened(page, recording_of(session, tmp_path))
    y = session.trace("test-2")[1]["2.y"]
    assert shown(page, "test-2", 2, (1, 2, 3)) == y[1, 2, 3]
    assert page.get_by_label("Number of the image").get_attribute("max") == "2"
    page.evaluate("location.hash = 'view=draw&image=test-2'")
    page.wait_for_selector("#draw h2")
    assert "only Python can compute the layer swapped" in page.locator("#draw").inner_text()


def test_the_slider_shows_the_network_at_its_steps(page: Any, tmp_path: Path) -> None:
    session = session_of(network())
    training = record(session, epochs=2, batch_size=4, checkpoints=5)
    opened(page, recording_of(session, tmp_path, training=training))
    end = session.trace("test-0")[1]["5.y"]
    page.get_by_role("button", name="Train").click()
    slider = page.get_by_role("slider")
    assert slider.get_attribute("aria-valuetext") == "step 10 of 10"
    answers = page.locator("#train table").first.locator("td")
    assert np.float32(answers.first.text_content()) == end[0]
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text("The network after step 0 of 10").wait_for()
    expected = training.arrays["answers"][0]
    assert float(answers.first.text_content()) == pytest.approx(float(expected[0]), rel=1e-5)
    assert "at step 0" in page.locator("#train canvas.curves").first.get_attribute("aria-label")
    page.get_by_role("button", name="Look inside").click()
    assert "Recomputed in this browser" in origin(page)
    page.get_by_role("button", name="Train").click()
    slider.focus()
    page.keyboard.press("End")
    page.get_by_text("The network after step 10 of 10").wait_for()
    assert np.float32(answers.first.text_content()) == end[0]


def test_one_can_draw(page: Any, tmp_path: Path) -> None:
    session = session_of(network())
    opened(page, recording_of(session, tmp_path))
    page.get_by_role("button", name="Draw and find").click()
    surface = page.locator("canvas.surface")
    surface.focus()
    page.keyboard.press("Space")
    page.get_by_text("Most probable:").wait_for()
    assert "in this browser" in page.locator("#draw").inner_text()
    assert page.get_by_role("checkbox").is_disabled()
    assert not page.locator("#draw input[type=file]").count()
    page.get_by_role("button", name="Follow the drawing").click()
    page.wait_for_function("() => document.querySelector('.panel').dataset.shown.startsWith('own-1 ')")
    assert "Recomputed in this browser" in origin(page)


def test_without_a_training_the_page_says_so(page: Any, tmp_path: Path) -> None:
    opened(page, recording_of(session_of(network()), tmp_path))
    page.get_by_role("button", name="Train").click()
    page.get_by_text("No training was recorded in this file").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["inside", "draw", "train"])
def test_nobody_is_kept_out(browser: Any, theme: str, view: str, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed: browser")
    session = session_of(network(3))
    path = recording_of(session, tmp_path, training=record(session, epochs=1, batch_size=4, checkpoints=3))
    # axe-core is brought into the page as a script, which its policy would refuse.
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{path.as_uri()}#theme={theme}&view={view}")
    page.wait_for_selector({"inside": ".panel output.value", "draw": "canvas.surface", "train": "canvas.filters"}[view])
    found = axe.Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
