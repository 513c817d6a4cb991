"""The grader sees what the learner's file does, and nothing that the file does can change the verdict."""

import hashlib
import os
import re
import time

import numpy as np
import pytest
from planted import SOLUTIONS

from tinycnn import course
from tinycnn.cli import main
from tinycnn.course import chapters, child, grading, learner, templates

SIZE = "return (length + 2 * pad - kernel) // stride + 1"
SOURCE = (SOLUTIONS / "chapter01.py").read_text("utf-8")


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """Return a function that grades ``output_size`` with this body, or a file with this text, and returns its lines."""
    monkeypatch.setattr(learner, "PER_CALL", 2.0)
    chapter = chapters.chapter("chapter01")

    def grade(body=None, *, text=None, exercise=0):
        path = tmp_path / "chapter01.py"
        path.write_text(SOURCE.replace(SIZE, body) if text is None else text, "utf-8")
        only = chapter._replace(exercises=chapter.exercises[exercise : exercise + 1])
        [outcome] = grading.grade(only, path).outcomes
        assert outcome.passed == (not outcome.lines)
        return "\n".join(outcome.lines)

    return grade


#: With how many seeds a solution has to pass; .ci/run asks for fewer, because fifty take long.
SEEDS = int(os.environ.get("TINYCNN_SEEDS", "50"))


@pytest.mark.parametrize("name", course.names())
def test_a_template_fails_every_exercise_and_a_solution_none(tmp_path, name):
    started = course.start(tmp_path)
    report = course.check(name, tmp_path / f"{name}.py")
    assert len(started.written) == len(course.names())
    assert [outcome.passed for outcome in report.outcomes] == [False] * len(chapters.chapter(name).exercises)
    assert all("is not written yet" in outcome.lines[0] for outcome in report.outcomes)
    solved = course.check(name, SOLUTIONS / f"{name}.py")
    assert solved.passed, solved
    assert all(outcome.cases >= 200 for outcome in solved.outcomes if outcome.name != "counterexample")


@pytest.mark.slow
@pytest.mark.parametrize("name", course.names())
def test_a_solution_passes_with_many_seeds(name):
    for seed in range(SEEDS):
        report = course.check(name, SOLUTIONS / f"{name}.py", seed)
        assert report.passed, (seed, report)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("exit(0)", "ends the program in line"),
        ("import os; os._exit(0)", "because the process ended with the exit code 0"),
        ("print('passed'); return 0", "returns 0; 1 is right"),
        ("return output_size(length, kernel, stride, pad)", "calls itself without an end"),
        ("import os; os.fork()", "so none may be started or ended"),
        ("import subprocess; subprocess.run(['true'])", "so none may be started or ended"),
        ("import os; os.kill(os.getppid(), 9)", "so none may be started or ended"),
        ("open('/etc/tinycnn', 'w')", "may be written in the current folder only"),
        ("import os; os.remove(__file__)", "may be written in the current folder only"),
        ("import os; os.rename('a', '/b')", "may be written in the current folder only"),
        ("np.save('/tmp/x', np.ones(3))", "may be written in the current folder only"),
        ("return int(input())", "reads from the keyboard"),
        ("return np.zeros((1 << 33, 8))", "asks for too much memory"),
        ("return None", "must return a whole number, but returns None"),
        ("return [1]", "but returns a list of 1"),
        ("return True", "but returns bool True"),
        ("return output_size", "but returns function"),
        ("return 10**40", "but returns int"),
        ("import chapter_of_nobody", "imports what is not installed in line"),
        ("return 1 // 0", "raises ZeroDivisionError in line 38 (return 1 // 0): "),
        ("raise NotImplementedError", "is not written yet"),
        ("raise KeyboardInterrupt", "raises KeyboardInterrupt"),
        ("import ctypes; ctypes.string_at(0)", "was ended by the signal SIGSEGV"),
        ("while True: pass", "was not done after 2 s. Is there a loop that does not end?"),
        ("import time; time.sleep(100)", "was not done after 2 s"),
        (
            "import os\n    for number in range(3, 50):\n        try: os.write(number, b'1')\n        except: 0",
            "wrote to a file descriptor",
        ),
        ("import os; os.closerange(3, 100)", "output_size returned nothing"),
    ],
)
def test_what_a_function_does_is_told_in_a_sentence(graded, body, says):
    begun = time.monotonic()
    said = graded(body)
    assert says in said
    assert time.monotonic() - begun < 20
    assert "Traceback" not in said
    assert "child.py" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "output_size is not in the file. 'tinycnn course start DIR' writes a file with its signature"),
        ("output_size = 3", "output_size is not a function"),
        ("def output_size(length: return 3", "line 1 of chapter01.py is not valid Python"),
        ("def Output_Size(l, k, s, p): return 1", "but Output_Size is; is that the function? Then give it the name"),
        ("def output_size(length, kernel, stride, pad): return size", "uses a name that has no value in line 1"),
        ("from numpy import convolute", "the file imports a name that is not there in line 1"),
        ("import numpy as np\nif True:\nx = 1", "line 3 of chapter01.py is not valid Python"),
        ("x = 'open", "line 1 of chapter01.py is not valid Python (x = 'open): unterminated string"),
        ("def output_size(a): return a", "does not take the arguments that it is called with: too many positional"),
        ("import nothing_of_this_name", "the file imports what is not installed in line 1"),
        ("exit(0)", "the file ends the program in line 1"),
        ("import os; os._exit(0)", "because the process ended with the exit code 0"),
        pytest.param("while True: pass", "the file was not done after", marks=pytest.mark.slow),
        ("from tinycnn.course.solutions.chapter01 import output_size", "line 1 imports the solutions of this chapter"),
        ("import tinycnn.kernels.reference as r", "line 1 imports the engine; write the functions with NumPy alone"),
        ("def f():\n    from tinycnn.kernels import reference", "line 2 imports the engine"),
        ("from kernels.reference import conv", "line 1 imports the engine"),
        ("from tinycnn import course", "line 1 imports the engine"),
        ("\0", "is not valid Python"),
    ],
)
def test_a_file_that_cannot_be_graded_is_told_in_a_sentence(graded, text, says):
    assert says in graded(text=text)


def test_recursion_that_ends_the_process_is_named():
    from tinycnn.course.judging import problem_of_answer

    answer = learner.Answer("ended", {"reason": "was ended by the signal SIGSEGV"})
    assert "SIGSEGV. Does it call itself without an end?" in problem_of_answer("conv2d", answer, []).text


def test_solutions_of_other_chapters_and_the_broken_functions_may_be_imported(graded):
    imports = "from tinycnn.course.solutions.chapter02 import im2col\nfrom tinycnn.course.bugs import chapter01\n"
    assert graded(text=SOURCE.replace("import numpy as np\n", f"import numpy as np\n{imports}", 1)) == ""


def test_a_notebook_is_refused(tmp_path):
    path = tmp_path / "chapter01.ipynb"
    path.write_text('{"cells": []}', "utf-8")
    assert "is a notebook; copy the functions" in course.check("chapter01", path).outcomes[0].lines[0]


def test_a_file_far_too_large_is_refused(tmp_path):
    path = tmp_path / "chapter01.py"
    path.write_text("#" * (1 << 19), "utf-8")
    assert "has more than 256 KiB, which no solution needs" in course.check("chapter01", path).outcomes[0].lines[0]


def test_files_may_be_written_in_the_temporary_folder(graded):
    writes = "np.save('kept', np.ones(3)); import tempfile; tempfile.TemporaryFile().write(b'1'); "
    assert graded(f"{writes}import os; os.mkdir('x'); os.rename('x', 'y'); os.rmdir('y'); {SIZE}") == ""


def test_what_would_move_the_cursor_is_written_out(graded):
    said = graded("print('\\x1b[2Jpassed'); return 0")
    assert "\\x1b[2Jpassed" in said
    assert "\x1b" not in said


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "chapter01.py"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not text in UTF-8" in course.check("chapter01", path).outcomes[0].lines[0]


def test_what_the_file_patches_or_prints_changes_no_verdict(graded):
    patched = """
import sys, builtins, numpy, json
numpy.allclose = numpy.array_equal = numpy.isnan = lambda *a, **k: True
numpy.ndarray.__eq__ if False else None
json.dumps = lambda *a, **k: '{"kind": "returned", "result": 3, "passed": true}'
sys.exit = builtins.exit = lambda *a: None
print("3 of 3 exercises passed")
def output_size(*arguments):
    return 0
"""
    said = graded(text=patched)
    assert said
    assert "passed" not in said.replace("3 of 3 exercises passed", "")


def test_a_print_of_a_megabyte_is_cut(graded):
    said = graded("print('spam ' * 200_000); return 0")
    assert "cut: 1,000,001 characters in all" in said
    assert len(said) < 1000
    assert graded(f"print('x' * 10**6); {SIZE}") == ""


def test_a_module_of_the_same_name_changes_nothing(graded, tmp_path, monkeypatch):
    for name in ("chapter01", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')", "utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "chapter01.py").write_text(SOURCE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    monkeypatch.chdir(elsewhere)
    assert graded(SIZE) == ""
    assert "returns 0; 1 is right" in graded("return 0")


def test_a_file_may_import_its_neighbours(graded, tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("def size(l, k, s, p): return (l + 2 * p - k) // s + 1", "utf-8")
    assert graded("import helper_of_mine; return helper_of_mine.size(length, kernel, stride, pad)") == ""


def test_the_case_is_small_and_few_numbers_are_shown(graded):
    y = "y = np.zeros((N, OH, OW, F), x.dtype) + b"
    said = graded(text=SOURCE.replace(y, f"{y} + 1e-3 * (N > 1)"), exercise=2)
    assert "conv2d(x, w, b, stride=1, pad=0)" in said
    assert len(re.findall(r"(?<![\w.(])-?\d+(?:\.\d+)?(?=[],;. ])", said.partition("\n")[2])) <= 20
    shapes = re.findall(r"shape (\(.*?\))", said) or re.findall(r"with x (\(.*?\))", said)
    assert shapes[0] == "(2, 1, 1, 1)"


def test_an_error_in_the_last_digits_is_found_by_random_numbers(graded):
    assert "y[0," in graded(text=SOURCE.replace("    return y\n", "    return np.round(y, 6)\n"), exercise=2)


def test_nan_and_memory_that_was_never_written_are_named(graded):
    said = graded(text=SOURCE.replace("    return y\n", "    return y * np.nan\n"), exercise=2)
    assert re.search(r"returns NaN in y\[0,0,0,0\]; [0-9.-]+ is right", said)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("y.tolist()", "must return an array (N, OH, OW, F) = (1, 1, 1, 1), but returns a list of 1"),
        ("y.astype(object)", "an array of dtype object"),
        ("np.zeros((10**4, 10**4))", "which is far too large"),
        ("(y, 1)", "but returns a tuple of 2"),
        ("np.ma.array(y)", "but returns MaskedArray"),
        ("y.astype('>f8')", "as >f8"),
    ],
)
def test_results_of_another_kind_are_named(graded, change, says):
    assert says in graded(text=SOURCE.replace("    return y\n", f"    return {change}\n"), exercise=2)


def test_a_wrong_dtype_is_told_alone(tmp_path):
    source = (SOLUTIONS / "chapter04.py").read_text("utf-8")
    source = source.replace(", constant_values=-np.inf", "", 1).replace("C), np.int64", "C)", 1)
    path = tmp_path / "chapter04.py"
    path.write_text(source, "utf-8")
    chapter = chapters.chapter("chapter04")
    [outcome] = grading.grade(chapter._replace(exercises=chapter.exercises[:1]), path).outcomes
    assert "it must hold whole numbers, of dtype np.int64" in outcome.lines[0]
    assert not any("?" in line for line in outcome.lines)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("None", "must return a tuple of 5: (x, w, b, stride, pad)"),
        ("(1, 2, 3, 4, 5)", "x must be an array (N, H, W, C) of float64"),
        ("(np.ones((1, 4, 4, 1)), np.ones((1, 1, 1, 1)), np.zeros(1), 2, 0)", "The arrays hold 18 numbers together"),
        ("(np.ones((1, 1, 4, 1)), np.ones((1, 1, 2, 1)), np.zeros(1), 2, 0)", "fit each other"),
        ("(np.ones((1, 1, 4, 1)), np.ones((1, 1, 1, 1)), np.zeros(1), 1, 0)", "so they are no counterexample"),
        ("(np.full((1, 1, 4, 1), np.nan), np.ones((1, 1, 1, 1)), np.zeros(1), 2, 0)", "must hold finite numbers"),
        (
            "(np.ones((1, 1, 4, 1)), np.ones((1, 1, 1, 1)), np.zeros(1), 0, 0)",
            "stride must be a whole number, at least 1",
        ),
        ("(np.ones((1, 1, 1, 1)), np.ones((1, 2, 1, 1)), np.zeros(1), 1, 0)", "larger than the kernel"),
    ],
)
def test_what_is_no_counterexample_is_told(graded, returned, says):
    text = SOURCE.replace("return x, w, np.zeros(1), 2, 0", f"return {returned}")
    assert says in graded(text=text, exercise=3)


def test_messages_survive_the_connection_and_nonsense_does_not():
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        value = {"a": (1, 2.5, None, True, "x"), "b": [np.arange(6.0).reshape(2, 3).T, np.float32(3)], "c": 1 << 70}
        child.send(ours, value)
        found = child.receive(theirs)
        assert found["a"] == value["a"]
        np.testing.assert_array_equal(found["b"][0], value["b"][0])
        assert type(found["b"][1]) is np.float32
        assert found["c"].kind == "int"
        for text in (
            b'{"array": "|O8", "shape": [1], "start": 0, "scalar": false}',
            b'{"array": "<f8", "shape": [5], "start": 0, "scalar": false}',
            b'{"array": "<f8", "shape": [-1], "start": 0, "scalar": false}',
            b'{"array": "<f8", "shape": ["a"], "start": 0, "scalar": false}',
            b'{"float": 3}',
            b"{}",
            b"{",
            b"[" * 100_000,
        ):
            ours.sendall(child._LENGTHS.pack(child._BEGINNING, len(text), 8) + text + bytes(8))
            with pytest.raises(ValueError, match=r".+"):
                child.receive(theirs)
        ours.sendall(child._LENGTHS.pack(child._BEGINNING, 1 << 31, 0))
        with pytest.raises(ValueError, match="too long"):
            child.receive(theirs)


# The commands ----------------------------------------------------------------------------------------------------


def test_start_never_writes_over_a_file(tmp_path, capsys):
    folder = tmp_path / "new" / "course"
    assert main(["course", "start", str(folder)]) == 0
    assert f"tinycnn check chapter01 {folder / 'chapter01.py'}" in capsys.readouterr().out
    (folder / "chapter01.py").write_text("mine", "utf-8")
    assert main(["course", "start", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "chapter01.py exists and stays as it is" in out
    assert "Nothing was written" in out
    assert (folder / "chapter01.py").read_text("utf-8") == "mine"


def test_a_template_has_the_examples_of_the_solution_and_none_of_its_code():
    for name in course.names():
        text, solution = templates.template(name), templates.solution(name)
        assert text.count(">>>") == solution.count(">>>") > 3
        assert text.count("raise NotImplementedError") == len(chapters.chapter(name).exercises)
        bodies = {line.strip() for line in solution.splitlines() if line.strip().startswith("return ")}
        assert not bodies & {line.strip() for line in text.splitlines()}


def test_check_prints_the_path_and_the_digest_of_what_is_graded(tmp_path, capsys):
    path = tmp_path / "chapter01.py"
    path.write_text(SOURCE, "utf-8")
    assert main(["check", "chapter01", str(path)]) == 0
    out = capsys.readouterr().out
    assert str(path.resolve()) in out
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in out
    assert "4 of 4 exercises passed" in out


def test_check_fails_with_the_exit_code_1_and_shows_one_hint_after_another(tmp_path, capsys):
    path = tmp_path / "chapter01.py"
    path.write_text(SOURCE.replace(SIZE, "raise NotImplementedError"), "utf-8")
    assert main(["check", "chapter01", str(path)]) == 1
    out = capsys.readouterr().out
    assert "Hint" not in out
    assert "2 of 4 exercises passed" in out  # conv2d calls output_size
    for number in (1, 2, 3, 3):
        assert main(["check", "chapter01", str(path), "--hint"]) == 1
        assert f"Hint {number} of 3 for output_size: " in capsys.readouterr().out
    (tmp_path / ".tinycnn-hints.json").write_text("[]", "utf-8")
    assert main(["check", "chapter01", str(path), "--hint"]) == 1
    assert "Hint 1 of 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "chaptr01", "x.py"], 2, "did you mean chapter01?"),
        (["check", "chapter", "x.py"], 2, "'chapter' is not one of chapter01"),
        (["check", "chapter1", "nowhere.py"], 1, "nowhere.py: No such file or directory"),
        (["check", "chapter01", "nowhere.py"], 1, "nowhere.py: No such file or directory"),
        (["course", "start"], 2, "name a folder"),
        (["course", "list", "x"], 2, "takes no folder"),
    ],
)
def test_bad_arguments_are_refused(arguments, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    assert says in capsys.readouterr().err


def test_the_chapters_are_listed(capsys):
    assert main(["course", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "chapter01  convolution by hand"


@pytest.mark.parametrize(("size", "kernel", "stride", "pad"), [(1, 1, 1, 0), (1, 2, 1, 1), (4, 2, 2, 0), (5, 3, 2, 2)])
def test_a_failing_case_is_a_network_that_the_page_takes(size, kernel, stride, pad):
    from tinycnn.cli import _failing_case
    from tinycnn.cli._stand_ins import STAND_INS
    from tinycnn.course.exercise import Case
    from tinycnn.explore import Session

    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, size, size, 2)), rng.normal(size=(kernel, kernel, 2, 1)), rng.normal(size=1)
    case = Case({"x": x, "w": w, "b": b, "stride": stride, "pad": pad})
    model, data = _failing_case.network_of(STAND_INS["conv2d", 0](case.arguments), "conv2d")
    session = Session(model, data, whole=True)
    assert session.describe()["layers"][0]["name"] == "conv2d"
    right = chapters.chapter("chapter01").exercises[2].right(**case.arguments)
    np.testing.assert_allclose(model.predict(data.x_test, verbose=0).ravel(), right.ravel(), rtol=1e-6, atol=1e-6)


def test_an_unknown_chapter_is_named():
    with pytest.raises(ValueError, match="unknown chapter 'chapter99'"):
        course.check("chapter99", "x.py")
