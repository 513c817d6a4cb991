"""``tinycnn check --explore`` opens the page at the element that is wrong, as the learner's function computes it."""

import importlib.util
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="the extra course is not installed")
pytest.importorskip("starlette", reason="the extra explore is not installed")

from tinycnn import course
from tinycnn.cli import _failing_case, main
from tinycnn.course import templates
from tinycnn.course.exercise import Case
from tinycnn.explore import server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the grader runs where processes can be handed connections")

SOLUTION = templates.solution("chapter01")
WRONG = SOLUTION.replace("xpad[:, rows, columns] @ w[p, q]", "xpad[:, rows, columns] @ w[q % KH, p % KW]")
PROGRAM = "import sys; from tinycnn.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A learner's file in which the taps of the kernel are swapped."""
    assert WRONG != SOLUTION
    path = tmp_path / "chapter01.py"
    path.write_text(WRONG, "utf-8")
    return path


def failed(path: Path) -> Any:
    """Return how the convolution of a file failed."""
    [outcome] = [one for one in course.check("chapter01", path).outcomes if one.name == "conv2d"]
    assert not outcome.passed
    return outcome


def loaded(path: Path) -> Any:
    """Return a learner's module."""
    spec = importlib.util.spec_from_file_location("a_learners", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_session_runs_on_the_learners_function(wrong: Path) -> None:
    outcome = failed(wrong)
    session = _failing_case.session_of(wrong, "conv2d", outcome.case)
    assert session.describe()["kernels"] == "chapter01.py"
    y = session.model.predict(session.data.x_test, verbose=0).reshape(-1)
    np.testing.assert_allclose(y, loaded(wrong).conv2d(**outcome.case.arguments).ravel(), rtol=1e-6)


def test_its_pads_are_the_learners(tmp_path: Path) -> None:
    path = tmp_path / "chapter01.py"
    path.write_text(SOLUTION.replace("padded[:, pad : pad + H, pad : pad + W] = x", "padded[:, :H, :W] = x"), "utf-8")
    outcome = failed(path)
    assert outcome.case.arguments["pad"] > 0
    session = _failing_case.session_of(path, "conv2d", outcome.case)
    y = session.model.predict(session.data.x_test, verbose=0).reshape(-1)
    np.testing.assert_allclose(y, loaded(path).conv2d(**outcome.case.arguments).ravel(), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("max_pool2d", "xpad[:, rows, columns] > y", "(xpad[:, rows, columns] > y) & (p + q == 0)"),
        ("average_pool2d", "return y / counts[:, :, None]", "return y / (KH + KW)"),
    ],
)
def test_a_pooling_is_shown_too(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    source = templates.solution("chapter04")
    assert source.count(right) == 1
    path = tmp_path / "chapter04.py"
    path.write_text(source.replace(right, wrong), "utf-8")
    [outcome] = [one for one in course.check("chapter04", path).outcomes if one.name == name]
    assert not outcome.passed
    x = np.arange(24.0).reshape(1, 4, 6, 1) / 25
    case = Case({"x": x, "KH": 2, "KW": 3, "stride": 2, "pad": 0})
    assert _failing_case.can_be_shown(name, case)
    session = _failing_case.session_of(path, name, case)
    y = session.model.predict(session.data.x_test, verbose=0).reshape(-1)
    expected = getattr(loaded(path), name)(**case.arguments)
    np.testing.assert_allclose(y, (expected[0] if isinstance(expected, tuple) else expected).ravel(), rtol=1e-6)
    right_model, _ = _failing_case.network_of(name, case)
    assert not np.allclose(y, right_model.predict(x, verbose=0).reshape(-1))
    assert not _failing_case.can_be_shown(name, Case(case.arguments | {"pad": 1}))
    assert not _failing_case.can_be_shown("max_pool2d_dx", case)


def test_the_page_is_served_at_the_element(wrong: Path, monkeypatch: Any, capsys: Any) -> None:
    served: list[tuple[Any, str]] = []
    monkeypatch.setattr(server, "serve", lambda session, where: served.append((session, where)))
    place = failed(wrong).place
    assert main(["check", "chapter01", str(wrong)]) == 1
    assert "add --explore" in capsys.readouterr().out
    assert main(["check", "chapter01", str(wrong), "--explore"]) == 1
    [(session, where)] = served
    assert session.mine.kernels == ["conv2d_forward"]
    assert where == f"image=test-{place[0]}&layer=0&at={place[1]},{place[2]},{place[3]}"
    for number in (1, 2, 3):
        assert main(["check", "chapter01", str(wrong), "--hint"]) == 1
        out = capsys.readouterr().out
        assert (f"tinycnn check chapter01 {wrong} --explore" in out) == (number == 3)


def test_what_is_no_wrong_number_of_a_convolution_has_no_page(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "chapter01.py"
    path.write_text(SOLUTION.replace("return (length", "return 1 + (length"), "utf-8")
    assert main(["check", "chapter01", str(path), "--explore"]) == 2
    assert "output_size fails in another way" in capsys.readouterr().err


def test_the_address_that_is_printed_answers(wrong: Path) -> None:
    command = [sys.executable, "-u", "-c", PROGRAM, "check", "chapter01", str(wrong), "--explore"]
    environment = {"BROWSER": "true", "PATH": "/usr/bin:/bin", "HOME": str(wrong.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
            base, _, where = address.partition("#")
            assert re.fullmatch(r"image=test-0&layer=0&at=\d+,\d+,\d+", where)
            with urllib.request.urlopen(base, timeout=30) as answer:
                assert b"<html" in answer.read()
        finally:
            process.terminate()


@pytest.mark.slow
def test_the_page_shows_the_learners_number_and_that_it_is_wrong(wrong: Path, page: Any) -> None:
    from serving import serving

    outcome = failed(wrong)
    session = _failing_case.session_of(wrong, "conv2d", outcome.case)
    y = session.model.predict(session.data.x_test, verbose=0).reshape(_shape(outcome))
    with serving(session) as client:
        page.goto(f"{client.address}#{_failing_case.where(outcome.place)}")
        page.wait_for_selector(".panel output.value")
        shown = page.locator(".panel output.value").first.text_content()
        assert float(shown.replace("−", "-")) == pytest.approx(float(y[outcome.place]))
        at = ",".join(map(str, outcome.place[1:]))
        assert page.locator(".panel").first.get_attribute("data-shown").endswith(f" 0 {at}")
        assert "the kernel has computed something else" in page.locator(".panel .error").first.text_content()
        page.goto("about:blank")


def _shape(outcome: Any) -> tuple[int, ...]:
    """Return the shape of the result of a case."""
    x, w, _, stride, pad = outcome.case.arguments.values()
    sizes = [(x.shape[axis] + 2 * pad - w.shape[axis - 1]) // stride + 1 for axis in (1, 2)]
    return (len(x), *sizes, w.shape[3])
