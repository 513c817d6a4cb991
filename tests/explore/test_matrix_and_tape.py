"""The matrix of a convolution and the tape of a pass, as the page shows them."""

from typing import Any

import numpy as np
import pytest
from teaching import each_network, go, number, numbers, session_of

from tinycnn import layers
from tinycnn.explore.kept import kept_of
from tinycnn.inspection.summary import cache_bytes
from tinycnn.kernels.reference.conv import im2col


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
    session = open_page(session_of(name))
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
    open_page(session_of("three channels"))
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
    page.wait_for_function("() => location.hash.includes('pixel=1%2C1')")
    assert page.locator(".places").text_content().startswith("Pixel (1, 1) stands in ")
    while page.get_by_role("button", name="Go to the first of them").count():
        page.get_by_role("button", name="Go to the first of them").press("Enter")
        page.wait_for_timeout(200)
    assert held.count() >= 1


@pytest.mark.slow
def test_the_matrix_turns_its_pages_by_keyboard(page: Any, open_page: Any) -> None:
    open_page(session_of("one channel"))
    first = matrix_at(page, 0, (0, 0, 2))
    assert [len(row["cells"]) for row in first] == [9] * 9
    page.get_by_role("button", name="Later columns").press("Enter")
    page.wait_for_selector('.product[data-shown="0 0,0,2 9"]')
    page.get_by_role("button", name="Later rows").press("Enter")
    page.wait_for_selector('.product[data-shown="0 1,1,2 9"]')
    assert page.locator(".product tr[data-row]").first.get_attribute("data-row") == "9"
    page.get_by_role("button", name="window (1, 3)").press("Enter")
    page.wait_for_selector('.product[data-shown="0 1,3,2 9"]')
    assert page.evaluate("document.activeElement.ariaLabel") == "window (1, 3)"


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
    session = open_page(session_of(name), "image=test-1&view=tape")
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
