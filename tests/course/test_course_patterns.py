"""What is said about mistakes that no chapter has foreseen is true, and nothing is said by chance."""

import numpy as np
import pytest
from planted import SOLUTIONS

from tinycnn.course import chapters, grading
from tinycnn.course.chapters import chapter03
from tinycnn.course.exercise import Case, Exercise, Misreading, Result
from tinycnn.course.patterns import open_slice, pattern

BLUR = Exercise(
    name="blur",
    right=lambda x, pad, training: np.zeros((len(x), x.shape[1] + 2 * pad)),
    results=(Result("y", ("N", "W")),),
    phases=(),
    misreadings=(),
    hints=("", "", ""),
    minutes=1,
)


def calls(fails, count=40):
    """Return calls of random sizes, and whether they fail."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        x, pad, training = np.zeros(rng.integers(1, 4, 2)), int(rng.integers(0, 3)), bool(rng.integers(2))
        found.append((Case({"x": x, "pad": pad, "training": training}), fails(x, pad, training)))
    return found


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (lambda x, pad, training: pad > 0, "It fails only where pad > 0: "),
        (lambda x, pad, training: pad == 0, "It fails only where pad is 0: "),
        (lambda x, pad, training: len(x) > 1, "It fails only where N > 1: "),
        (lambda x, pad, training: not training, "It fails only where training is False: "),
        (lambda x, pad, training: pad > 0 and len(x) > 1 and training, " such calls failed, and none of "),
    ],
)
def test_what_all_failures_have_in_common_is_said(fails, says):
    assert says in pattern(BLUR, calls(fails))


def test_the_numbers_of_calls_are_counted():
    found = calls(lambda x, pad, training: pad > 0)
    met = sum(case.arguments["pad"] > 0 for case, _ in found)
    assert pattern(BLUR, found).endswith(f": {met} of {met} such calls failed, and none of {40 - met} others did.")


@pytest.mark.parametrize("fails", [lambda *a: True, lambda *a: False, lambda x, pad, training: pad < 1 or len(x) > 1])
def test_nothing_is_said_if_nothing_tells_failures_from_other_calls(fails):
    assert pattern(BLUR, calls(fails)) == ""
    assert pattern(BLUR, []) == ""


def test_few_failures_prove_nothing():
    found = calls(lambda x, pad, training: pad > 0)
    failed = [call for call in found if call[1]][:2]
    assert pattern(BLUR, failed + [call for call in found if not call[1]]) == ""


def test_failures_at_random_have_nothing_in_common():
    said = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        said += pattern(BLUR, calls(lambda *a, rng=rng: bool(rng.integers(3) == 0))) != ""
    assert said <= 3


@pytest.mark.parametrize(
    "line",
    ["x[p::s]", "x[:, p : p + s * OH : s]", "x[:, ::-1]", "x[:, p::s][:, :OH]", "x[p:]", "x[:, 1::2]", "x[p:s]"],
)
def test_only_a_slice_with_a_step_and_no_end_is_asked_about(line):
    lines = ["def other(x, p, s):", "    return x[p::s]", "", "def f(x, p, s, OH):", f"    return {line}"]
    said = open_slice(lines, "f")
    assert ("line 5 (return x[p::s])" in said) == (line == "x[p::s]")
    assert open_slice([*lines, "'\x0c"], "f") == ""


def graded(tmp_path, name, exercise, *edits):
    """Return what the grader says about an exercise, which may be given by its name, of a changed solution."""
    source = (SOLUTIONS / f"{name}.py").read_text("utf-8")
    for old, new in edits:
        assert old in source
        source = source.replace(old, new)
    path = tmp_path / f"{name}.py"
    path.write_text(source, "utf-8")
    chapter = chapters.chapter(name)
    if isinstance(exercise, str):
        [exercise] = [one for one in chapter.exercises if one.name == exercise]
    return "\n".join(grading.grade(chapter._replace(exercises=(exercise,)), path).outcomes[0].lines)


def test_a_long_line_is_cut_with_dots(tmp_path):
    said = graded(tmp_path, "chapter03", "conv2d_dw", ("    return dw", f"    return np.ones(2) @ {'dw + ' * 30}1"))
    code = said.partition(" (")[2].partition("): ")[0]
    assert code.startswith("return np.ones(2) @ dw + dw")
    assert code.endswith(" ...")
    assert len(code) == 100


def test_a_function_of_math_that_is_given_an_array_is_explained(tmp_path):
    said = graded(tmp_path, "chapter09", "adam", ("(np.sqrt(v) + epsilon)", "(math.sqrt(v) + epsilon)"))
    assert "raises TypeError" in said
    assert "The functions of math take one number; those of NumPy take arrays." in said


def test_numbers_that_look_alike_are_written_out(tmp_path):
    moved = "w - a * m / (np.sqrt(v) + epsilon)"
    said = graded(tmp_path, "chapter09", "adam", (moved, f"{moved} + 1e-8"))
    line = next(line for line in said.splitlines() if line.endswith(" is right."))
    wrong, right = line.removesuffix(" is right.").removeprefix("w[0] is ").split("; ")
    assert wrong != right
    assert float(wrong) == pytest.approx(float(right) + 1e-8, abs=1e-12)


def test_a_mistake_that_only_raises_is_named_if_it_fails_for_the_same_cases(tmp_path):
    def unpadded(fails):
        def results(pad, **a):
            return [][0] if fails(pad) else chapter03.right_dw(pad=pad, **a)

        return results

    mistakes = (
        Misreading("Never raised.", unpadded(lambda pad: False)),
        Misreading("Always raised.", unpadded(lambda pad: True)),
        Misreading("Raised for small pads only.", unpadded(lambda pad: pad == 1)),
        Misreading("Raised for pads.", unpadded(lambda pad: pad > 0)),
    )
    exercise = chapter03.CONV2D_DW._replace(misreadings=mistakes)
    padded = "np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))"
    assert graded(tmp_path, "chapter03", exercise, (padded, "[][0] if pad else x")).endswith("Raised for pads.")
