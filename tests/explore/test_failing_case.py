"""``tinycnn check --explore`` opens the page at the element that is wrong, as the learner's function computes it."""

import functools
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

from planted_errors import PLANTED, Graded, Planted, graded, loaded
from serving import serving

from tinycnn import course
from tinycnn.cli import _failing_case, main
from tinycnn.cli._failing_case import PLACES
from tinycnn.course import grading, templates
from tinycnn.course.judging import index_text
from tinycnn.explore import server
from tinycnn.explore.comparing import compare
from tinycnn.explore.labels import targets_for
from tinycnn.explore.mine import KernelFileError
from tinycnn.explore.recording import write_recording
from tinycnn.kernels.reference import pool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the grader runs where processes can be handed connections")

SOLUTION = templates.solution("chapter01")
WRONG = SOLUTION.replace("xpad[:, rows, columns] @ w[p, q]", "xpad[:, rows, columns] @ w[q % KH, p % KW]")
PROGRAM = "import sys; from tinycnn.cli import main; sys.exit(main(sys.argv[1:]))"

every_error = pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.name}-{one.wrong}")


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A learner's file in which the taps of the kernel are swapped."""
    assert WRONG != SOLUTION
    path = tmp_path / "chapter01.py"
    path.write_text(WRONG, "utf-8")
    return path


def selected(session: Any, where: str) -> float:
    """Return the number that an address selects in a session."""
    state = states(where)
    if state.get("view") == "kernels":
        [loss] = [entry for entry in compared(session, where) if entry["name"] == "loss"]
        assert f"test-{loss['forward']['first_wrong'][0]}" == state["image"]
        return float(loss["forward"]["got"])
    description, arrays = session.trace(state["image"], mode=state.get("mode", "prediction"))
    if "weight" in state:
        name, at = state["weight"].split(":")
        return float(session.layer(description["trace"], 0)[1][f"d_{name}"][index_of(at)])
    return float(arrays["0.dx" if state.get("way") == "backward" else "0.y"][index_of(state["at"])])


def beside_it(session: Any, where: str, planted: Planted) -> float:
    """Return the number that the page tells beside the one that an address selects: a statistic, or the winner."""
    state = states(where)
    at = index_of(state["at"])
    _, arrays = session.trace(state["image"], mode=state.get("mode", "prediction"))
    if planted.name == "max_pool2d":
        return float(arrays["0.argmax"][at])
    return float(arrays["0.mean" if planted.result == 1 else "0.variance"][at[-1]])


def states(where: str) -> dict[str, str]:
    """Return what an address says."""
    return dict(part.split("=") for part in where.split("&"))


def index_of(text: str) -> tuple[int, ...]:
    """Return an index as it stands in an address."""
    return tuple(map(int, text.split(",")))


def compared(session: Any, where: str) -> Any:
    """Return how the learner's kernel differs from the reference's."""
    state = states(where)
    mode = state.get("mode", "prediction")
    x, labels = session.batch_of(state["image"], None, mode)
    targets = targets_for(session.model, labels)
    return compare(session.model, session.mine.backend.overlay, x, targets, training=mode == "training")


def solution_in(folder: Path, planted: Planted) -> Path:
    """Return a file with the solution of a chapter."""
    path = folder / "solution.py"
    path.write_text(templates.solution(planted.chapter), "utf-8")
    return path


def number_of(found: Graded) -> float:
    """Return the number that is wrong, as the learner's function computes it."""
    with np.errstate(all="ignore"):
        return float(found.numbers(loaded(found.path))[found.outcome.place])


def test_an_error_is_planted_for_every_result_that_can_be_shown() -> None:
    assert {(one.name, one.result) for one in PLANTED} == set(PLACES)


@every_error
def test_the_session_has_the_learners_number_where_the_address_leads(planted: Planted, tmp_path: Path) -> None:
    found = graded(planted, tmp_path)
    assert _failing_case.why_not(found.outcome) == ""
    number, page = number_of(found), found.shown()
    assert page.session.describe()["kernels"] == found.path.name
    assert number != float(found.right[found.outcome.place])
    is_beside = planted.result > 0 and planted.name in ("batchnorm_forward", "max_pool2d")
    shown = beside_it(page.session, page.where, planted) if is_beside else selected(page.session, page.where)
    np.testing.assert_allclose(shown, number, rtol=1e-9)
    entries = compared(page.session, page.where)
    assert len([entry["name"] for entry in entries if not entry["equal"]]) == 1
    right = found.shown(solution_in(tmp_path, planted))
    assert right.where == page.where
    assert all(entry["equal"] for entry in compared(right.session, right.where))


def test_a_wrong_number_that_others_are_computed_from_is_the_one_that_is_told(tmp_path: Path) -> None:
    """Adam's w is wrong if its m is, and it was w that was told and shown, beside the right m."""
    found = graded(
        Planted("chapter09", "adam", "    m = beta_1 * m + (1 - beta_1) * dw", "    m = beta_1 * m", 1), tmp_path
    )
    assert any(
        line.startswith("m[") and " is right" in line for text in found.outcome.lines for line in text.split("\n")
    )
    assert found.shown().text.startswith("The page shows m[")


def test_the_learners_function_gets_all_images_whichever_is_looked_at(tmp_path: Path) -> None:
    planted = Planted("chapter01", "conv2d", "N, H, W, _ = x.shape", "xpad[1:], (N, H, W, _) = 0, x.shape")
    found = graded(planted, tmp_path)
    assert found.outcome.place[0] == 1  # with this image alone, nothing would be wrong
    page = found.shown()
    assert page.where.startswith("image=test-1&")
    description, arrays = page.session.trace("test-1")
    assert description["batch"] == 2
    seen = page.session.seen(description["trace"])
    assert seen.place == 1
    np.testing.assert_array_equal(arrays["x"], found.outcome.case.arguments["x"][1])
    for number, image in enumerate(found.outcome.case.arguments["x"]):
        np.testing.assert_array_equal(page.session.image_of(description["trace"], number)[1]["x"], image)


def test_images_are_found_in_which_the_given_pixels_win() -> None:
    rng = np.random.default_rng(0)
    for KH, KW, stride, pad in ((2, 2, 1, 1), (3, 2, 1, 1), (2, 3, 2, 0), (3, 3, 2, 2)):
        x = rng.permutation(120).astype(np.float64).reshape(2, 5, 6, 2)
        window = (KH, KW), (stride, stride), (pad,) * 4
        y, argmax = pool.max_pool2d_forward(x, *window)
        made = PLACES["max_pool2d_dx", 0](
            {
                "dy": y,
                "argmax": argmax.astype(np.int64),
                "H": 5,
                "W": 6,
                "KH": KH,
                "KW": KW,
                "stride": stride,
                "pad": pad,
            }
        )
        np.testing.assert_array_equal(pool.max_pool2d_forward(made.x, *window)[1], argmax)


def test_whole_numbers_that_a_byte_cannot_hold_are_no_winners(tmp_path: Path) -> None:
    planted = Planted("chapter04", "max_pool2d", "argmax[larger] = p * KW + q", "argmax[larger] = -300", 1)
    page = graded(planted, tmp_path).shown()
    with pytest.raises(ValueError, match="argmax must hold numbers from 0 to 255; got -300 to -300"):
        page.session.trace("test-0")


def test_a_file_that_has_lost_the_function_is_told_so(tmp_path: Path) -> None:
    session = graded(PLANTED[1], tmp_path).shown().session
    session.mine.path.write_text(SOLUTION.replace("def conv2d", "def konv2d"), "utf-8")
    with pytest.raises(KernelFileError) as told:
        session.reload_kernels()
    assert str(told.value) == "chapter01.py has no function conv2d"


@pytest.mark.parametrize(
    ("instead", "error", "code"),
    [
        ("return y[:, :-1]\n", r"conv2d returned an array of float64 with shape \(.*\); the right shape is \(", None),
        ("return None\n", r"conv2d returned None; the right shape is \(", None),
        ("raise KeyError('never')\n", "KeyError: 'never'", "raise KeyError('never')"),
    ],
)
def test_what_fails_after_loading_again_is_told_of_the_learners_file(
    instead: str, error: str, code: str | None, tmp_path: Path
) -> None:
    page = graded(PLANTED[1], tmp_path).shown()
    page.session.mine.path.write_text(SOLUTION.replace("return y\n", instead), "utf-8")
    page.session.reload_kernels()
    [found] = [entry["forward"] for entry in compared(page.session, page.where) if not entry["equal"]]
    assert re.search(error, found["error"])
    assert "_own_result" not in str(found)
    assert (found["place"] and found["place"]["code"]) == code


@pytest.fixture
def graded_once(monkeypatch: Any) -> None:
    """Let every check of a test have the report of the first one."""
    monkeypatch.setattr(grading, "LOOKING", 0.0)
    monkeypatch.setattr(course, "check", functools.cache(course.check))


@pytest.mark.usefixtures("graded_once")
def test_the_page_is_served_at_the_element(wrong: Path, monkeypatch: Any, capsys: Any) -> None:
    served: list[tuple[Any, str]] = []
    monkeypatch.setattr(server, "serve", lambda session, where: served.append((session, where)))
    assert main(["check", "chapter01", str(wrong)]) == 1
    assert "add --explore" in capsys.readouterr().out
    assert main(["check", "chapter01", str(wrong), "--explore"]) == 1
    [(session, where)] = served
    out = capsys.readouterr().out
    place = re.search(r"The page shows y\[0,(\d+),(\d+),(\d+)\] of this case, as conv2d computes it", out)
    assert place is not None
    assert session.mine.kernels == ["conv2d_forward"]
    assert where == f"image=test-0&layer=0&hide=layers,answer,code&seek=number&at={','.join(place.groups())}"
    for number in (1, 2, 3):
        assert main(["check", "chapter01", str(wrong), "--hint"]) == 1
        out = capsys.readouterr().out
        assert (f"tinycnn check chapter01 {wrong} --explore" in out) == (number == 3)


@pytest.mark.usefixtures("graded_once")
@pytest.mark.parametrize(
    ("chapter", "right", "wrong", "says"),
    [
        ("chapter01", "return (length", "return 1 + (length", "no place for output_size, whose result no layer"),
        ("chapter01", "return y\n", "return y[0]\n", "conv2d does not fail by a wrong number, so the page has none"),
        ("chapter01", "import numpy as np", "import numpyy", "output_size does not fail by a wrong number, so"),
        ("chapter08", "[seed, step]).", "[step, seed]).", "no place for draw_numbers, whose result no layer computes"),
        (
            "chapter09",
            "return rate * step /",
            "return rate + step /",
            "no place for cosine_rate, whose result no",
        ),
    ],
)
def test_what_has_no_place_on_the_page_is_told_and_promised_by_nobody(
    chapter: str, right: str, wrong: str, says: str, tmp_path: Path, capsys: Any
) -> None:
    source = templates.solution(chapter)
    assert source.count(right) == 1
    path = tmp_path / f"{chapter}.py"
    path.write_text(source.replace(right, wrong), "utf-8")
    assert main(["check", chapter, str(path), "--explore"]) == 1
    assert says in " ".join(capsys.readouterr().out.split())
    assert main(["check", chapter, str(path)]) == 1
    assert "--explore" not in capsys.readouterr().out
    for number in (1, 2, 3):
        assert main(["check", chapter, str(path), "--hint"]) == 1
        out = capsys.readouterr().out
        assert f"Hint {number} of 3" in out
        assert "--explore" not in out
        assert "page" not in out


@pytest.mark.usefixtures("graded_once")
def test_the_first_failure_that_has_a_place_is_shown(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    served: list[str] = []
    monkeypatch.setattr(server, "serve", lambda session, where: served.append(where))
    later = WRONG.replace("return (length", "raise NotImplementedError\n    return (length")
    path = tmp_path / "chapter01.py"
    path.write_text(later.replace("padded[:, pad : pad + H", "padded[:, : H"), "utf-8")
    assert main(["check", "chapter01", str(path), "--explore"]) == 1
    assert "The page shows " in capsys.readouterr().out
    assert served[0].startswith("image=test-0&layer=0")
    assert main(["check", "chapter01", str(path), "--hint"]) == 1
    out = capsys.readouterr().out
    assert "Hint 1 of 3 for output_size" in out
    assert re.search(r"To see the wrong number of \w+ on a page, and how it should come about, add --explore", out)


def test_the_address_that_is_printed_answers(wrong: Path) -> None:
    command = [sys.executable, "-u", "-c", PROGRAM, "check", "chapter01", str(wrong), "--explore"]
    environment = {"BROWSER": "true", "PATH": "/usr/bin:/bin", "HOME": str(wrong.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
            base, _, where = address.partition("#")
            assert re.fullmatch(r"image=test-0&layer=0&hide=layers,answer,code&seek=number&at=\d+,\d+,\d+", where)
            with urllib.request.urlopen(base, timeout=30) as answer:
                assert b"<html" in answer.read()
        finally:
            process.terminate()


@pytest.mark.slow
@every_error
def test_the_page_marks_the_learners_number_and_nothing_of_the_solutions(
    planted: Planted, tmp_path: Path, open_page: Any, page: Any
) -> None:
    found = graded(planted, tmp_path)
    number, shown = number_of(found), found.shown()
    open_page(shown.session, shown.where)
    assert any(float(text) == pytest.approx(number, rel=1e-3, nan_ok=True) for text in told(page, shown.where))
    page.wait_for_function(
        IN_WINDOW, arg=["h1", f"{box(shown.where)} output.value, .outcomes", f"{box(shown.where)} .error"]
    )
    name = f"{found.exercise.results[planted.result].name}{index_text(found.outcome.place)}"
    assert name in page.locator(box(shown.where)).first.inner_text() or planted in TOLD_BESIDE
    marks = page.locator(f"{box(shown.where)} .steps .error").all_inner_texts()
    assert len(marks) == 1 or (not marks and planted.name in MARKED_OTHERWISE)
    begin = f"\u2717 Your {planted.name} ({planted.chapter}.py) "
    for mark in marks:
        assert mark.startswith((f"{begin}gives ", f"{begin}takes "))
        told_there = [float(text) for text in numbers_in(mark.removeprefix(begin))]
        for one in (number, float(found.right[found.outcome.place])):
            assert any(other == pytest.approx(one, rel=1e-9, abs=1e-12, nan_ok=True) for other in told_there), mark
    right = found.shown(solution_in(tmp_path, planted))
    open_page(right.session, right.where)
    told(page, right.where)
    assert not page.locator(f"{box(shown.where)} .error").count()
    assert page.locator("#controls").count()
    assert not page.locator("#controls", has_text="Loss for").count()  # each image of the case has its own


#: What is marked in the table of *Your kernels*.
MARKED_OTHERWISE = ("cross_entropy", "cross_entropy_of_shares")


#: Statistics of a batch, and the winner of a window, are told beside a number that they have a part in.
TOLD_BESIDE = [one for one in PLANTED if one.result and one.name in ("batchnorm_forward", "max_pool2d")]


@pytest.mark.slow
def test_the_formula_has_the_right_number_and_the_functions_own_is_marked(
    tmp_path: Path, open_page: Any, page: Any
) -> None:
    """The page said "relu(z) = NaN", as if the formula gave that, and a slope of 0, which is that of NaN."""
    shown = graded(
        Planted("chapter05", "relu", "return np.maximum(x, 0)", "return np.where(x > 0, np.nan, 0)"), tmp_path
    ).shown()
    open_page(shown.session, shown.where)
    page.locator(".panel output.value", has_text="NaN").wait_for()
    steps = page.locator(".panel .steps").inner_text()
    [right] = re.findall(r"relu\(z\) = ([\d.]+); its slope here is 1\n", steps)
    assert f"\u2717 Your relu (chapter05.py) gives NaN; {right} is right." in steps
    assert not page.locator(".panel .terms").count()  # x times 1 is no news


@pytest.mark.slow
@pytest.mark.parametrize("planted", [PLANTED[1], PLANTED[4]], ids=lambda one: one.name)
def test_a_result_that_is_not_its_rows_sum_is_marked_in_the_matrix(
    planted: Planted, tmp_path: Path, open_page: Any, page: Any
) -> None:
    found = graded(planted, tmp_path)
    shown = found.shown()
    open_page(shown.session, f"{shown.where}&view=matrix")
    page.wait_for_selector("#matrix td.result.error")
    begin = f"\u2717 Your {planted.name} ({planted.chapter}.py) "
    said = page.locator("#matrix p.error").inner_text().removeprefix(begin)
    row, column = states(shown.where)["at"].split(",")[:2]
    name = f"{found.exercise.results[0].name}{index_text(found.outcome.place)}"
    assert f"for window ({row}, {column}), {name}; its row times the column" in said
    numbers = [float(one) for one in numbers_in(said.replace(name, ""))]
    assert numbers[0] == pytest.approx(number_of(found), rel=1e-9)
    assert numbers[3] == pytest.approx(float(found.right[found.outcome.place]), rel=1e-9)
    right = found.shown(solution_in(tmp_path, planted))
    open_page(right.session, f"{right.where}&view=matrix")
    page.wait_for_selector("#matrix td.result")
    assert not page.locator("#matrix .error").count()


@pytest.mark.slow
def test_the_terms_of_a_sum_have_their_names(tmp_path: Path, open_page: Any, page: Any) -> None:
    """Only one of the terms was seen at a time, as "channel 0", and what that is was said in the terminal alone."""
    planted = Planted("chapter09", "sgd_momentum", "return w + v, v", "return w - v, v")
    shown = graded(planted, tmp_path).shown()
    assert shown.session.describe()["case"]["channels"] == ["w", "v", "dw"]
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .terms")
    assert sorted(page.locator(".panel .terms tbody th").all_inner_texts()) == ["dw", "v", "w"]
    assert page.get_by_text("in which channel 0 is w, channel 1 is v, channel 2 is dw.").is_visible()
    assert "The sum of the 3 terms: " in page.locator(".panel .steps").inner_text()


#: A mistake in one of several sums, what is said of it, and what a map or a choice of the page is opened at.
ONE_OF_SUMS = [
    (
        Planted("chapter09", "sgd_momentum", "- rate * dw\n", "+ rate * dw\n", 1),
        "With the other sign of dw, it would be ",
        ("[data-map=before] figcaption", "input: channel 1"),
    ),
    (
        # -0 and 0 are the same number; only the other one is wrong.
        Planted("chapter09", "sgd_momentum", "v - rate * dw\n", "(v - rate * dw)\n", 1),
        "gives 0; the terms add up to \u22122. Without dw, it would be 0.",
        (".panel output.value", "0"),
    ),
    (
        Planted("chapter01", "conv2d", "rows, columns] @ w[p, q]", "rows, columns, :1] @ w[p, q, :1]"),
        "Without channel 1, it would be ",
        (".panel .choice option:checked", "channel 1: "),
    ),
    (
        Planted("chapter01", "conv2d", "return y\n", "return y + b\n"),
        "With the bias twice, it would be ",
        (".panel h3", "How this number came about"),
    ),
    (
        Planted("chapter03", "conv2d_dx", "+= dy @ w[p, q].T", "+= dy[..., :1] @ w[p, q, :, :1].T"),
        "Without filter 1, it would be ",
        (".panel .choice option:checked", "filter 1: "),
    ),
    (
        Planted("chapter07", "batchnorm_dx", "return gamma / std * (dy - dbeta / M - ", "return gamma / std * (dy - "),
        "Without the part through the mean, it would be ",
        (".panel .choice option:checked", "through the mean"),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("planted", "says", "opened"), ONE_OF_SUMS, ids=lambda one: getattr(one, "name", ""))
def test_the_page_opens_at_the_sum_that_is_wrong_and_says_what_gives_the_number(
    planted: Planted, says: str, opened: tuple[str, str], tmp_path: Path, open_page: Any, page: Any
) -> None:
    """It opened at the first of the sums, whichever of them was wrong."""
    found = graded(planted, tmp_path)
    shown = found.shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    [mark] = page.locator(".panel .steps .error").all_inner_texts()
    assert says in mark
    assert float(numbers_in(mark)[-1]) == pytest.approx(number_of(found), rel=1e-9)
    selector, text = opened
    assert page.locator(selector).first.inner_text().startswith(text)


@pytest.mark.slow
def test_a_sum_without_a_bias_has_none(tmp_path: Path, open_page: Any, page: Any) -> None:
    """Im2col has neither a bias nor an activation, but among its steps were "plus the bias 0" and "linear(z) = 0"."""
    shown = graded(PLANTED[4], tmp_path).shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    steps = page.locator(".panel .steps").inner_text()
    for word in ("bias", "linear", "activation"):
        assert word not in steps


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED[7:12], ids=lambda one: f"{one.name}-{one.wrong}")
def test_of_gradients_only_that_is_shown_which_the_function_returns(
    planted: Planted, tmp_path: Path, open_page: Any, page: Any
) -> None:
    """Beside a wrong dw stood the terms of a dx that nobody had asked for, with a green tick, and vice versa."""
    shown = graded(planted, tmp_path).shown()
    open_page(shown.session, shown.where)
    told(page, shown.where)
    of_weights = planted.name != "conv2d_dx"
    assert page.locator(".panel .weights").count() == of_weights
    assert page.get_by_text("The terms that this gradient collects").count() == (not of_weights)
    assert page.locator("[data-map=before]").is_visible() == (not of_weights)
    assert not page.locator(".panel .good").count()
    words = page.locator(".panel .terms").first.inner_text()
    assert "dy" in words
    assert not re.search("dz|slope", words)  # chapter 3 knows of no activation


@pytest.mark.slow
def test_wrong_statistics_do_not_lead_to_another_number(tmp_path: Path, open_page: Any, page: Any) -> None:
    """The steps went on with the wrong variance, and ended at a number that was not the one above them."""
    planted = Planted("chapter07", "batchnorm_forward", "return y, mean, variance", "return y, mean, variance + 1", 2)
    found = graded(planted, tmp_path)
    shown = found.shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    [last] = re.findall(r"plus beta \S+: (\S+)", page.locator(".panel .steps").inner_text().replace("\u2212", "-"))
    above = page.locator(".panel output.value").first.inner_text().replace("\u2212", "-")
    assert float(last) == pytest.approx(float(above), rel=1e-12)
    assert f"gives {number_of(found):g} as the variance" in page.locator(".panel .error").first.inner_text()


@pytest.mark.slow
def test_two_losses_that_differ_look_different(tmp_path: Path, open_page: Any, page: Any) -> None:
    planted = Planted("chapter06", "cross_entropy", "np.log(total)", "np.log(total + 1e-6)")
    shown = graded(planted, tmp_path).shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector("#kernels .outcomes")
    [(got, expected)] = re.findall(r"first losses\[0\]: (\S+) instead of (\S+)", page.locator(".outcomes").inner_text())
    assert got != expected


@pytest.mark.slow
def test_the_terms_of_all_images_add_up_to_a_weights_gradient(tmp_path: Path, open_page: Any, page: Any) -> None:
    """There were those of one image, and of the others nothing was said but that there are some."""
    found = graded(Planted("chapter03", "conv2d_dw", "dw[p, q] = met.T @ dy.reshape(-1, F)", ONLY_THE_FIRST), tmp_path)
    arguments, (p, q, c, f) = found.outcome.case.arguments, found.outcome.place
    alone = [
        found.exercise.right(**arguments | {name: arguments[name][n : n + 1] for name in ("dy", "x")})[p, q, c, f]
        for n in range(len(arguments["x"]))
    ]
    largest, count = int(np.abs(alone).argmax()), len(alone)
    assert largest > 0
    shown = found.shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".weights .steps .error")
    assert page.locator("#controls input[type=number]").input_value() == str(largest)
    steps = page.locator(".weights .steps").inner_text().replace("\u2212", "-")
    for said, expected in (
        (rf"Image {largest} is one of {count} images; its terms add up to (\S+)", alone[largest]),
        (rf"The terms of the {count} images together add up to (\S+)", sum(alone)),
        (r"Your conv2d_dw \(chapter03.py\) gives (\S+);", number_of(found)),
        (rf"; the terms of the {count} images add up to (\S+)\. Without image {largest}", sum(alone)),
    ):
        [number] = re.findall(said, steps)
        assert float(number) == pytest.approx(float(expected), rel=1e-9), said
    sums = page.locator(".weights .choice", has_text=f"One of {count} sums").locator("select")
    sums.select_option(label=f"image 0, dy \u00d7 x: {alone[0]:g}")
    page.locator(".weights .steps", has_text=f"Image 0 is one of {count} images").wait_for()
    assert page.locator("#controls input[type=number]").input_value() == "0"


#: A gradient that collects the terms of the first image alone.
ONLY_THE_FIRST = "dw[p, q] = met[: OH * OW].T @ dy[:1].reshape(-1, F)"


@pytest.mark.slow
def test_the_gradient_of_the_loss_is_told_from_the_probability_on(tmp_path: Path, open_page: Any, page: Any) -> None:
    """The learner's own number stood there as what the gradient comes from."""
    planted = Planted("chapter06", "cross_entropy_dlogits", "return dlogits * dlosses[:, None]", "return dlogits")
    found = graded(planted, tmp_path)
    arguments, (n, k) = found.outcome.case.arguments, found.outcome.place
    shown = found.shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    steps = page.get_by_label("The gradient of the loss").inner_text()
    [p] = re.findall(rf"gives class {k} the probability p = (\S+)", steps)
    assert float(p) == pytest.approx(arguments["p"][n, k])
    [weight, right] = re.findall(r"times the weight of the image's loss, (\S+): (\S+)", steps.replace("\u2212", "-"))[0]
    assert float(weight) == pytest.approx(arguments["dlosses"][n])
    assert float(right) == pytest.approx(found.right[n, k])
    assert ("so 1 is subtracted" in steps) == (arguments["labels"][n] == k)


@pytest.mark.slow
def test_a_file_that_cannot_be_loaded_again_is_told_in_every_view(tmp_path: Path, open_page: Any, page: Any) -> None:
    """The old number stood there without a note."""
    shown = graded(PLANTED[1], tmp_path).shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel output.value")
    path = shown.session.mine.path
    wrong = path.read_text("utf-8")
    path.write_text(wrong.replace("N, H, W, _ = x.shape", "N, H, W, _ = x.shape)"), "utf-8")
    page.get_by_role("button", name="Your kernels").press("Enter")
    page.get_by_role("button", name="Load the file again").press("Enter")
    note = page.locator(".problem", has_text="What is shown below is what the file computed before.")
    note.wait_for()
    assert re.match(r"chapter01\.py, line \d+: SyntaxError", note.inner_text())
    page.get_by_role("button", name="Look inside").press("Enter")
    assert note.is_visible()
    # Another pass of the functions as they were is one of before, too.
    page.locator("#controls select", has_text="as in training").select_option("training")
    page.wait_for_function("() => document.querySelector('.panel').dataset.shown.includes('training')")
    assert note.is_visible()
    path.write_text(SOLUTION, "utf-8")
    page.get_by_role("button", name="Your kernels").press("Enter")
    page.get_by_role("button", name="Load the file again").press("Enter")
    page.locator("#kernels p.good").wait_for()
    assert page.locator(".problem").is_hidden()


@pytest.mark.slow
def test_a_function_that_never_ends_is_suspected_after_ten_seconds(tmp_path: Path, open_page: Any, page: Any) -> None:
    shown = graded(PLANTED[1], tmp_path).shown()
    page.clock.install()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel output.value")
    end = tmp_path / "end"
    loop = f"while not pathlib.Path({str(end)!r}).exists():\n        time.sleep(0.01)"
    endless = f"import pathlib, time\n    {loop}\n    return y\n"
    shown.session.mine.path.write_text(SOLUTION.replace("return y\n", endless), "utf-8")
    try:
        page.get_by_role("button", name="Your kernels").press("Enter")
        page.get_by_role("button", name="Load the file again").press("Enter")
        page.locator("#waiting", has_text="Computing the pass").wait_for()
        assert "never ends" not in page.locator("#waiting").inner_text()
        page.clock.fast_forward(10_000)
        suspected = "If a function in chapter01.py never ends, Ctrl-C in the terminal ends it."
        page.locator("#waiting", has_text=suspected).wait_for()
    finally:
        end.touch()
    page.locator("#kernels p.good").wait_for()
    assert page.locator("#waiting").inner_text() == ""


@pytest.mark.slow
def test_a_parameters_gradient_stands_first_below_the_header(tmp_path: Path, open_page: Any, page: Any) -> None:
    """The header was gone, and what was seen first was that another gradient agrees."""
    shown = graded(Planted("chapter07", "batchnorm_dgamma_dbeta", "2)), dy.sum(", "2)), -dy.sum(", 1), tmp_path).shown()
    open_page(shown.session, shown.where)
    page.wait_for_function("() => document.querySelectorAll('.panel .slope[data-verdict]').length === 1")
    page.wait_for_function(IN_WINDOW, arg=["h1", ".weights output.value", ".weights .error"])
    first, *_ = page.locator(".panel .error, .panel .good").all_inner_texts()
    assert first.startswith("\u2717 Your batchnorm_dgamma_dbeta (chapter07.py) gives ")


@pytest.mark.slow
def test_a_case_of_three_channels_is_no_photograph(tmp_path: Path, open_page: Any, page: Any) -> None:
    """A step of an optimizer was a yellow square, because it has three terms."""
    shown = graded(Planted("chapter09", "sgd_momentum", "return w + v, v", "return w - v, v"), tmp_path).shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel output.value")
    assert page.locator("figure:visible figcaption").all_inner_texts() == [
        "input: channel 0",
        "result: 1\u00d71\u00d71",
    ]
    page.locator("#controls select", has_text="gradients").select_option("backward")
    page.locator("[data-map=before] figcaption", has_text="dx").wait_for()
    figures = page.locator("figure:visible figcaption").all_inner_texts()
    assert figures[:3] == ["x: channel 0", "dx: channel 0", "dy: 1\u00d71\u00d71"]
    colours = (
        "(one) => { const at = one.getContext('2d').getImageData(8, 8, 1, 1).data; return [at[0], at[1], at[2]]; }"
    )
    assert page.locator("[data-map=image] canvas").evaluate(colours) != [255, 255, 0]


#: How many pixels of the cell in the middle of a map's result are not of the cell's most frequent colour.
INK = """(canvas) => {
    const { width, height } = canvas;
    const seen = new Map();
    const cell = Math.floor(width / 3);
    const { data } = canvas.getContext("2d").getImageData(cell + 8, cell + 8, cell - 16, cell - 16);
    for (let n = 0; n < data.length; n += 4) {
        const colour = data.slice(n, n + 3).join();
        seen.set(colour, (seen.get(colour) ?? 0) + 1);
    }
    return data.length / 4 - Math.max(...seen.values());
}"""


@pytest.mark.slow
def test_the_few_numbers_of_a_case_stand_in_their_maps(tmp_path: Path, open_page: Any, page: Any) -> None:
    """They were specks of colour on an empty page."""
    planted = Planted("chapter01", "conv2d", "slice(p, p + stride * (OH - 1) + 1, stride)", "slice(p, p + OH)")
    shown = graded(planted, tmp_path).shown()
    assert shown.session.model.layers[0].built_output_shape[:2] == (3, 3)
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    canvas = page.locator("[data-map=after] canvas")
    assert canvas.bounding_box()["width"] >= 3 * 40
    assert canvas.evaluate(INK) > 20
    page.get_by_text("For teaching").press("Enter")
    page.get_by_role("button", name="Predict first").press("Enter")
    page.locator(".panel output.value", has_text="?").wait_for()
    assert canvas.evaluate(INK) == 0  # the chosen number, which the learner is to predict, is not given away


@pytest.mark.slow
@pytest.mark.parametrize("planted", [PLANTED[1], PLANTED[8], PLANTED[-1]], ids=lambda one: one.name)
def test_a_case_has_no_views_and_no_controls_that_are_for_networks(
    planted: Planted, tmp_path: Path, open_page: Any, page: Any
) -> None:
    """They offered to train a sum on one image, and to draw digits for it."""
    shown = graded(planted, tmp_path).shown()
    for view in ("draw", "train"):
        open_page(shown.session, f"{shown.where}&view={view}")
        page.wait_for_selector(".panel output.value")
    names = ["Look inside", "As a matrix", "The tape", "Your kernels"]
    assert page.locator("#views button").all_inner_texts() == names
    for control in ("Guided tour", "Image from"):
        assert not page.locator("#controls", has_text=control).count()
    count = len(shown.session.data.x_test)
    assert page.locator("#controls", has_text=f"Image, of {count}").count() == (count > 1)
    for name in names:
        page.get_by_role("button", name=name, exact=True).press("Enter")
        page.locator("#views button[aria-current]", has_text=name).wait_for()
        page.wait_for_selector("main > section:not([hidden]) h2")
    page.get_by_text(f"Your {planted.name} ({planted.chapter}.py) computes numbers of this page;").wait_for()
    page.get_by_role("button", name="Compare with the reference").press("Enter")
    page.locator("#kernels .outcomes", has_text=planted.name).wait_for()


@pytest.mark.parametrize("planted", [PLANTED[1], PLANTED[8], PLANTED[-1]], ids=lambda one: one.name)
def test_whatever_is_asked_of_a_case_is_answered(planted: Planted, tmp_path: Path) -> None:
    session = graded(planted, tmp_path).shown().session
    with serving(session) as client:
        description, _ = client.arrays("/api/trace", {"image": "test-0"})
        for path, body in (
            ("/api/training", {"do": "begin", "batch_size": 1, "rate": 0.1}),
            ("/api/training", {"do": "step"}),
            ("/api/training", {"do": "stop"}),
            ("/api/pictures", None),
            ("/api/pictures/worst?by=loss&set=test&again=1", None),
            ("/api/pictures/worst?by=sure&set=train&again=1", None),
            ("/api/pictures/confusion?set=test&again=1", None),
            ("/api/pictures/exciting?layer=0&filter=0&set=test&again=1", None),
            ("/api/pictures/looking?way=saliency&image=test-0", None),
            ("/api/pictures/looking?way=occlusion&image=test-0", None),
            ("/api/pictures/looking?way=gradcam&image=test-0", None),
            (f"/api/trace/{description['trace']}/layer/0/check", None),
            ("/api/trace", {"image": "train-0"}),
        ):
            status, answer = client.ask(path, body)
            assert status in (200, 400, 404), (path, answer)
            assert b"Traceback" not in answer


def test_a_recording_of_a_case_is_refused_in_a_sentence(tmp_path: Path) -> None:
    session = graded(PLANTED[1], tmp_path).shown().session
    with pytest.raises(ValueError, match="which cannot run kernels of your own"):
        write_recording(session, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_the_title_names_the_function(tmp_path: Path, open_page: Any, page: Any) -> None:
    shown = graded(Planted("chapter05", "he_normal", "fan_in, _ = fans", "_, fan_in = fans"), tmp_path).shown()
    open_page(shown.session, shown.where)
    assert page.locator("#title").inner_text() == "he_normal: the smallest case that fails"


@pytest.mark.slow
def test_the_window_is_shown_by_the_rule_whichever_winner_the_function_takes(
    tmp_path: Path, open_page: Any, page: Any
) -> None:
    """The frame was on the second of two equal numbers, beside the sentence that the first of them wins."""
    found = graded(Planted("chapter04", "max_pool2d", "rows, columns] > y", "rows, columns] >= y", 1), tmp_path)
    shown = found.shown()
    open_page(shown.session, shown.where)
    page.wait_for_selector(".panel .steps .error")
    right, taken = int(found.right[found.outcome.place]), int(number_of(found))
    framed = "() => [...document.querySelectorAll('.panel .grids td')].findIndex((one) => one.matches('.chosen'))"
    assert page.evaluate(framed) == right
    steps = page.locator(".panel .steps").inner_text()
    said = re.search(r"The largest number of the window stands at (\(.*?\)); \d numbers of the window are equal", steps)
    assert said is not None
    assert re.search(rf"takes tap {taken}, at \(.*?\); tap {right}, at {re.escape(said[1])}, is right", steps)


#: Whether the first of those elements that each selector names is wholly in the window.
IN_WINDOW = """(selectors) => selectors.every((selector) => {
    const place = document.querySelector(selector)?.getBoundingClientRect();
    return place && place.height > 0 && place.top >= 0 && place.bottom <= innerHeight;
})"""


def box(where: str) -> str:
    """Return the part of the page that an address leads to."""
    state = states(where)
    if state.get("view") == "kernels":
        return "#kernels"
    return ".weights" if "weight" in state else ".panel"


def told(page: Any, where: str) -> list[str]:
    """Return the numbers that the page tells in the part that an address leads to, once it has told all."""
    state = states(where)
    within = box(where)
    if state.get("view") == "kernels":
        page.wait_for_selector("#kernels .outcomes")
    else:
        page.wait_for_selector(f"{within} output.value")
    if state.get("way") == "backward":
        page.wait_for_selector(f"{within} .slope[data-verdict]")
    return numbers_in(page.locator(within).first.text_content())


def numbers_in(text: str) -> list[str]:
    """Return the numbers that a text of the page has."""
    return re.findall(r"-?\d+\.?\d*(?:e-?\d+)?|NaN", text.replace("\u2212", "-"))
