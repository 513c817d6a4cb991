"""The learner's functions, as kernels, train a network; a broken one is told with the step that differs first."""

import shutil

import numpy as np
import pytest
from planting import SOLUTIONS

from tinycnn import course
from tinycnn.cli import main
from tinycnn.course import own_kernels, own_training
from tinycnn.kernels import reference

CHAPTERS = ("chapter02", "chapter03", "chapter04", "chapter05", "chapter06")


@pytest.fixture
def folder(tmp_path):
    """A folder with the solutions as the learner's files."""
    for name in CHAPTERS:
        shutil.copy(SOLUTIONS / f"{name}.py", tmp_path)
    return tmp_path


def changed(folder, chapter, function, *edits):
    """Change a function of a learner's file."""
    path = folder / f"{chapter}.py"
    source = path.read_text("utf-8")
    start = source.index(f"def {function}(")
    end = source.find("\n\n\ndef ", start)
    body = source[start:end]
    for old, new in edits:
        assert body.count(old) == 1, old
        body = body.replace(old, new)
    path.write_text(source[:start] + body + source[end:], "utf-8")


def test_the_solutions_train_the_network(folder, capsys):
    assert main(["course", "train", str(folder)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "chapter04.py: max_pool2d, max_pool2d_dx" in out
    assert "From the solutions" not in out
    assert "The losses of the first 20 steps are the reference's" in out
    assert "Your functions train the network." in out


def test_all_functions_are_the_learners_and_reach_the_aim_in_time(folder):
    functions = own_kernels.gathered(folder)
    assert functions.keys() == own_kernels.FUNCTIONS.keys()
    assert [one.path.stem for one in functions.values()] == list(own_kernels.FUNCTIONS.values())
    data = own_training.load_data()
    difference = own_training.compared(functions, data)
    assert difference.step is None
    assert difference.largest <= 1e-4
    trained = own_training.trained(functions, data)
    assert trained.accuracy >= 0.85
    assert trained.seconds < 30


#: A function of each chapter that is broken, and until when its loss has to differ.
BROKEN = [
    ("chapter02", "conv2d_im2col", (" + b", ""), 2),
    ("chapter03", "conv2d_db", ("return dy.sum", "return dy.mean"), 2),
    ("chapter03", "conv2d_dw", ("return dw", "return dw / len(x)"), 20),
    ("chapter03", "conv2d_dx", ("] += dy", "] = dy"), 2),
    ("chapter04", "max_pool2d", ("argmax[larger] = p * KW + q", "argmax[larger] = q * KH + p"), 2),
    ("chapter04", "max_pool2d_dx", ("won = argmax == p * KW + q", "won = argmax == q * KH + p"), 2),
    ("chapter05", "relu", ("np.maximum(x, 0)", "np.maximum(x, 0.1 * x)"), 1),
    ("chapter05", "relu_dx", ("return dy * (y > 0)", "return dy * (y >= 0)"), 2),
    ("chapter06", "softmax", ("e.sum(axis=1", "e.sum(axis=0"), 2),
    ("chapter06", "cross_entropy", ("np.log(total) - z", "np.log(total) * np.nan - z"), 1),
    ("chapter06", "cross_entropy_dlogits", (" * dlosses[:, None]", ""), 20),
]


@pytest.mark.parametrize(
    ("chapter", "function", "edit", "most"),
    [pytest.param(*one, marks=() if one[1] == "conv2d_dx" else pytest.mark.slow, id=one[1]) for one in BROKEN],
)
def test_a_broken_function_is_named_with_the_step_that_differs_first(folder, capsys, chapter, function, edit, most):
    changed(folder, chapter, function, edit)
    assert main(["course", "train", str(folder)]) == 1
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert "is the first whose loss differs from the reference's" in words
    step = int(words.partition("Step ")[2].partition(" ")[0])
    assert 1 <= step <= most
    assert f"{function} makes a difference from step {step} on" in words
    assert words.count("makes a difference") == 1
    assert f"  tinycnn check {chapter} {folder / chapter}.py" in out
    assert "train the network" not in words


def test_two_broken_functions_are_both_named(folder):
    changed(folder, "chapter03", "conv2d_dx", ("] += dy", "] = dy"))
    changed(folder, "chapter05", "relu_dx", ("return dy * (y > 0)", "return dy * (y >= 0)"))
    difference = own_training.compared(own_kernels.gathered(folder), own_training.load_data())
    assert difference.step == 2
    assert difference.alone.keys() == {"conv2d_dx", "relu_dx"}


def test_what_is_not_written_comes_from_the_solutions(tmp_path, capsys):
    course.start(tmp_path)
    assert main(["course", "train", str(tmp_path)]) == 1
    assert "None of the functions is written yet" in capsys.readouterr().out
    shutil.copy(SOLUTIONS / "chapter05.py", tmp_path)
    functions = own_kernels.gathered(tmp_path)
    assert {name for name, one in functions.items() if one.path is not None} == {"relu", "relu_dx"}


@pytest.mark.parametrize(
    ("function", "body", "says"),
    [
        ("relu", "return 1 // 0", "relu raises ZeroDivisionError in line 27 of chapter05.py: "),
        ("relu", "return None", "relu returned NoneType; an array of shape (32, 26, 26, 8) is right."),
        ("relu", "return x[:1]", "with the shape (1, 26, 26, 8); float64 with the shape (32, 26, 26, 8) is right."),
        ("relu", "return x > 0", "relu returned an array of bool"),
        ("relu", "x[x < 0] = 0; return x", "a function must not change its arguments, so work on a copy."),
        ("relu", "exit(0)", "relu raises SystemExit in line 27"),
    ],
)
def test_errors_of_a_function_are_told_in_a_sentence(folder, capsys, function, body, says):
    changed(folder, "chapter05", function, ("return np.maximum(x, 0)", body))
    assert main(["course", "train", str(folder)]) == 1
    assert says in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def relu(:", "chapter05.py raises SyntaxError in line 1 of chapter05.py"),
        ("import nothing_of_this_name", "raises ModuleNotFoundError in line 1 of chapter05.py"),
        ("exit(0)", "raises SystemExit in line 1 of chapter05.py"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named(folder, capsys, text, says):
    (folder / "chapter05.py").write_text(text, "utf-8")
    assert main(["course", "train", str(folder)]) == 1
    assert says in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    assert main(["course", "train", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder; 'tinycnn course start" in " ".join(capsys.readouterr().err.split())
    assert main(["course", "train"]) == 2
    assert "tinycnn course train DIR" in capsys.readouterr().err


def test_max_pooling_must_return_two_results(folder, capsys):
    changed(folder, "chapter04", "max_pool2d", ("return y, argmax", "return y"))
    assert main(["course", "train", str(folder)]) == 1
    assert "max_pool2d must return 2 results, (y, argmax)." in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "stride", "pad"), [((3, 3), 1, 0), ((2, 3), 2, 1), ((3, 2), 3, 1), ((2, 2), 2, 0)])
def test_the_adapted_functions_compute_what_the_kernels_do(size, stride, pad, dtype):
    rng, own = np.random.default_rng(0), own_kernels.kernels(own_kernels.solutions())

    def array(*shape):
        return rng.normal(size=shape).astype(dtype)

    def agree(name, *arguments):
        wanted, got = getattr(reference, name)(*arguments), getattr(own, name)(*arguments)
        both = zip(wanted, got, strict=True) if isinstance(wanted, tuple) else [(wanted, got)]
        for right, found in both:
            assert found.dtype == right.dtype
            np.testing.assert_allclose(found, right, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
        return wanted

    window = ((stride, stride), (pad,) * 4)
    x, w, b = array(2, 7, 8, 3), array(*size, 3, 4), array(4)
    y = agree("conv2d_forward", x, w, b, *window, (1, 1), 1)
    agree("conv2d_forward", x, w, None, *window, (1, 1), 1)
    dy = array(*y.shape)
    agree("conv2d_backward_input", dy, w, (7, 8), *window, (1, 1), 1)
    agree("conv2d_backward_weights", dy, x, size, *window, (1, 1), 1)
    y, argmax = agree("max_pool2d_forward", x, size, *window)
    agree("max_pool2d_backward", array(*y.shape), argmax, (7, 8), size, *window)
    y = agree("relu_forward", x)
    agree("relu_backward", array(*x.shape), y)
    x, w, dy = array(5, 3), array(3, 4), array(5, 4)
    agree("dense_forward", x, w, b)
    agree("dense_forward", x, w, None)
    agree("dense_backward_input", dy, w)
    agree("dense_backward_weights", dy, x)
    labels = rng.integers(0, 3, 5)
    agree("softmax_forward", x)
    _, p = agree("softmax_cross_entropy_forward", x, labels)
    agree("softmax_cross_entropy_backward", p, labels, array(5))


def test_windows_that_the_course_does_not_know_are_refused():
    own = own_kernels.kernels(own_kernels.solutions())
    x, w = np.zeros((1, 5, 5, 1)), np.zeros((2, 2, 1, 1))
    for strides, pads, dilation in (
        ((1, 2), (0,) * 4, (1, 1)),
        ((1, 1), (0, 1, 0, 1), (1, 1)),
        ((1, 1), (0,) * 4, (2, 2)),
    ):
        with pytest.raises(ValueError, match="take one stride and one pad"):
            own.conv2d_forward(x, w, None, strides, pads, dilation, 1)


@pytest.mark.parametrize(
    ("difference", "accuracy", "says"),
    [
        (
            own_training.Difference(0.0, None, 1.0, 1.0, {}, 20.0),
            0.849,
            "84.9% of the test images are read correctly; the",
        ),
        (own_training.Difference(0.0, None, 1.0, 1.0, {}, 20.0), float("nan"), "the aim is 85%."),
        (own_training.Difference(0.0, None, 1.0, 1.0, {}, 20.0), 0.5, "The training will take about 188 s; loops over"),
        (own_training.Difference(0.2, 7, 1.2, 1.0, {}, 1.0), 1.0, "No function makes a difference by itself"),
    ],
)
def test_what_does_not_reach_the_aim_is_told(folder, capsys, monkeypatch, difference, accuracy, says):
    monkeypatch.setattr(own_training, "compared", lambda functions, data: difference)
    monkeypatch.setattr(own_training, "trained", lambda functions, data: own_training.Trained(accuracy, 188, 1.0))
    assert main(["course", "train", str(folder)]) == 1
    assert says in " ".join(capsys.readouterr().out.split())
