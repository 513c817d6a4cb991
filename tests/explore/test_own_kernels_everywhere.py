"""Whatever the page shows of a network with a learner's kernels is computed with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers, set_seed
from tinycnn.explore.looking import looked_at
from tinycnn.explore.mine import KernelFile
from tinycnn.explore.pictures import FastAnswers
from tinycnn.explore.session import Data, Session
from tinycnn.explore.slopes import NumericalSlopes
from tinycnn.explore.survey import Survey
from tinycnn.explore.training import Training

#: A forward that is off by 0.25, and a backward that is twice too large; both write down that they ran.
OWN = """
import numpy as np

RUN = []


def tanh_forward(x):
    RUN.append("forward")
    return np.tanh(x) + x.dtype.type(0.25)


def tanh_backward(dy, y):
    RUN.append("backward")
    return 2 * dy * (1 - (y - y.dtype.type(0.25)) ** 2)
"""


def session(mine: KernelFile | None = None) -> Session:
    set_seed(3)
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 8, 8, 1), np.float32), rng.integers(0, 3, 12)
    return Session(model, Data("drawn", ("a", "b", "c"), x, y, x, y), mine)


@pytest.fixture
def mine(tmp_path: Path) -> KernelFile:
    path = tmp_path / "mine.py"
    path.write_text(OWN, "utf-8")
    return KernelFile(path)


def finished(task: Any) -> None:
    assert task.ended.wait(60)
    assert task.error is None


def trained(own: Session) -> None:
    training = Training(own)
    training.begin(batch_size=4, epochs=1)
    training.step()
    assert training.wait(60)
    training.close()


def look(way: str) -> Callable[[Session], Any]:
    return lambda own: looked_at(own, FastAnswers(own), way, "test-1")


WAYS: dict[str, tuple[Callable[[Session], Any], set[str]]] = {
    "pass": (lambda own: own.trace("test-1"), {"forward", "backward"}),
    "saliency": (look("saliency"), {"forward", "backward"}),
    "gradcam": (look("gradcam"), {"forward"}),
    "occlusion": (look("occlusion"), {"forward"}),
    "probabilities": (lambda own: FastAnswers(own).answers(own.data.x_test), {"forward"}),
    "mistakes": (lambda own: finished(Survey(own, FastAnswers(own)).answers("test")), {"forward"}),
    "exciting images": (lambda own: finished(Survey(own, FastAnswers(own)).excited("test", 0)), {"forward"}),
    "slopes": (lambda own: NumericalSlopes(own.model, own.data.x_test[:1], [1]), {"forward", "backward"}),
    "training": (trained, {"forward", "backward"}),
}


@pytest.mark.parametrize("name", WAYS)
def test_everything_runs_on_the_learners_kernels(mine: KernelFile, name: str) -> None:
    own, (what, expected) = session(mine), WAYS[name]
    run = mine.backend.overlay.functions["tanh_forward"].__globals__["RUN"]
    run.clear()
    what(own)
    assert expected <= set(run)


def test_saliency_and_grad_cam_are_those_of_the_learners_kernels(mine: KernelFile) -> None:
    plain, own = session(), session(mine)
    own.model.set_weights(plain.model.get_weights())
    found, there = (looked_at(one, FastAnswers(one), "saliency", "test-1", 1)[1]["map"] for one in (plain, own))
    np.testing.assert_allclose(there, 2 * found, rtol=1e-5)
    assert found.max() > 0
    kernel = own.model.layers[2].params["kernel"].value[:, 1].reshape(6, 6, 3)
    maps = own.trace("test-1")[1]["0.y"]
    expected = np.maximum(maps @ kernel.mean(axis=(0, 1)), 0)
    shown = looked_at(own, FastAnswers(own), "gradcam", "test-1", 1)[1]["map"]
    np.testing.assert_allclose(shown, expected, rtol=1e-4, atol=1e-6)


def test_a_kernel_that_ends_the_program_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def tanh_forward(x):\n    raise SystemExit(3)\n", "utf-8")
    own = session(KernelFile(path))
    task = Survey(own, FastAnswers(own)).excited("test", 0)
    assert task.ended.wait(60)
    assert task.error == "SystemExit: 3\nmine.py, line 2: raise SystemExit(3)"
    training = Training(own)
    training.begin(batch_size=4)
    training.step()
    assert training.wait(60)
    assert training.state()["lanes"]["main"]["failure"]["message"] == task.error
    training.close()


@pytest.mark.slow
def test_kernels_that_are_broken_from_the_start_are_compared_on_the_page(browser: Any, mine: KernelFile) -> None:
    """There never was a pass then; what is wrong is said, and the repaired file is loaded."""
    pytest.importorskip("starlette", reason="the extra explore is not installed")
    from serving import serving

    mine.path.write_text("def tanh_forward(x):\n    return x.no_such_thing\n", "utf-8")
    mine.reload()
    page = browser.new_page()
    with serving(session(mine)) as client:
        page.goto(f"{client.address}#view=kernels&image=test-0")
        page.locator(".problem").filter(has_text="no_such_thing").wait_for()
        page.get_by_role("button", name="Compare with the reference").press("Enter")
        page.locator("#kernels p").filter(has_text="conv2d: an error in your functions.").wait_for()
        assert "line 2" in page.locator("#kernels pre").first.inner_text()
        assert "other numbers" not in page.locator("#kernels").inner_text()
        page.get_by_role("button", name="Look inside").press("Enter")
        assert page.get_by_role("button", name="Check the gradients of all layers").is_hidden()  # there is nothing yet
        page.get_by_role("button", name="Your kernels").press("Enter")
        mine.path.write_text("import numpy as np\n\n\ndef tanh_forward(x):\n    return np.tanh(x)\n", "utf-8")
        page.get_by_role("button", name="Load the file again").press("Enter")
        page.locator("#kernels p.good").wait_for()
        page.locator(".problem").wait_for(state="hidden")
        page.goto("about:blank")
    page.close()
