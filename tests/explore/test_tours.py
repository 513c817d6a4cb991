"""Guided tours: they find their place in any network, and what they say is so."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from teaching import each_network, go, images_for, number, session_of

from tinycnn import Sequential, layers, models, set_seed
from tinycnn.explore.recording import write_recording
from tinycnn.explore.session import Data, Session
from tinycnn.losses import SparseCategoricalCrossentropy

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
    open_page(session_of(name))
    for tour in TOURS:
        texts = take(page, tour)
        assert len(texts) >= 3
        for text in texts:
            assert len(text) > 60
            assert not SENSELESS.search(text), text
        page.get_by_role("button", name="End the tour").press("Enter")
        page.wait_for_selector(".tour", state="hidden")
        assert "tour" not in page.url


def ties(entry: Any, at: tuple[int, ...]) -> int:
    """Return how many numbers of a window are the largest."""
    (top, left), (high, wide) = np.multiply(at[:2], entry.layer.strides), entry.layer.pool_size
    window = entry.x[0, top : top + high, left : left + wide, at[2]]
    return int((window == window.max()).sum())


@pytest.mark.slow
@each_network
def test_what_tours_say_is_so(page: Any, open_page: Any, name: str) -> None:
    session = open_page(session_of(name))
    trace = session.model.trace(session.data.x_test[1:2], [1], training=False)
    # The largest number of the first convolution.
    texts = take(page, "pixel")
    y = trace[0].y[0]
    index = tuple(map(int, np.unravel_index(y.argmax(), y.shape)))
    assert f"y{index}" in texts[0]
    assert np.float32(number(re.search(r"the result is (\S+?)\.\s", texts[2]).group(1))) == y[index]
    # Pooling: of the windows without a tie, the one with the largest gradient.
    texts = take(page, "pooling")
    entry = next(one for one in trace if isinstance(one.layer, layers.MaxPooling2D))
    winner = tuple(int(n) for n in re.search(r"dx\((.*?)\)", texts[1]).group(1).split(","))
    untied = {at: abs(entry.dy[(0, *at)]) for at in np.ndindex(entry.y[0].shape) if ties(entry, at) == 1}
    best = max(untied, key=untied.__getitem__)
    assert f"y{best}" in texts[0]
    assert entry.x[(0, *winner)] == entry.y[(0, *best)]
    assert "equally large" not in texts[0]
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
    texts = take(page, "weight")
    kernel = trace[0].gradients["kernel"]
    index = tuple(map(int, np.unravel_index(np.abs(kernel).argmax(), kernel.shape)))
    assert f"kernel%3A{'%2C'.join(map(str, index))}" in page.url
    windows = int(np.prod(trace[0].y.shape[1:3]))
    used = re.search(r"used (?:once in each|in (\d+)) of the (\d+) windows", texts[0])
    assert int(used.group(2)) == windows
    pads = re.search(r"In the other (\d+) it stands over the pad", texts[0])
    assert (windows if used.group(1) is None else int(used.group(1)) + int(pads.group(1))) == windows
    assert (used.group(1) is None) == (name != "three channels")
    step = [number(found) for found in re.search(r"(\S+) − 0.01 × \(?([^ )]+)\)? = (\S+)\.", texts[3]).groups()]
    assert step[0] - 0.01 * step[1] == pytest.approx(step[2], abs=0.06 * abs(0.01 * step[1]))
    assert step[2] != step[0]
    page.wait_for_selector('section.weights .slope[data-verdict="agrees"]')
    assert page.get_by_role("button", name="Measure this slope").count() == 0  # there is one way, the engine's
    measured = page.locator("section.weights .slope tr").filter(has_text="central difference").locator("td")
    assert number(measured.text_content()) == pytest.approx(float(kernel[index]), rel=1e-3)


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


@pytest.mark.slow
@each_network
def test_a_recording_teaches_as_well(page: Any, name: str, tmp_path: Path) -> None:
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
