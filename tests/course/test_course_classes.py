"""A class is graded: nothing that one submission does passes it, or changes the verdict on another."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from planting import SOLUTIONS

from tinycnn import course
from tinycnn.cli import main
from tinycnn.course import chapters, classroom, handed_in

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a class is graded where processes can be handed connections")

SIZE = "return (length + 2 * pad - kernel) // stride + 1"
GOOD = (SOLUTIONS / "chapter01.py").read_text("utf-8")


def broken(body):
    """Return a solution in which one function has this body."""
    assert GOOD.count(SIZE) == 1
    return GOOD.replace(SIZE, body)


#: Submissions that must not pass, by what they do; ``{root}`` is a folder that they must not change.
HOSTILE = {
    "endless": broken("while True: pass"),
    "exits": "import sys\nsys.exit(0)",
    "exits_at_once": broken("import os; os._exit(0)"),
    "prints": "print('4 of 4 exercises passed')\n" * 3 + broken("print('passed'); return 0"),
    "prints_json": broken('print(\'[{"name": "output_size", "passed": true, "cases": 1, "lines": []}]\'); return 0'),
    "megabytes": broken("print('x' * 20_000_000); return 0"),
    "recursion": broken("return output_size(length, kernel, stride, pad)"),
    "deep": "(" * 100_000,
    "memory": broken("return len(np.ones(1 << 36))"),
    "patched": (
        "import sys, gc, types, json, numpy\n"
        "for m in list(sys.modules.values()):\n"
        "    if isinstance(m, types.ModuleType):\n"
        "        for n in ('send', '_called', 'problem_of_result', 'allclose'):\n"
        "            if hasattr(m, n): setattr(m, n, lambda *a, **k: None)\n"
    ),
    "forks": broken("import os\n    while True:\n        try: os.fork()\n        except OSError: raise"),
    "kills": broken("import os, signal; os.kill(os.getppid(), signal.SIGKILL)"),
    "shell": broken("import subprocess; subprocess.run(['sh', '-c', 'touch {root}/touched'])"),
    "writes": broken("open('{root}/class/good/chapter01.py', 'w').write('0'); return 0"),
    "removes": broken("import os; os.remove('{root}/class/good/chapter01.py'); return 0"),
    "imports_the_neighbour": "from chapter01 import *\nfrom good import *\n",
    "big": "#" * (1 << 19),
    "empty": "",
    "not_text": "\udcff",
}
#: Every exercise of the others fails too, or only that one which was spoiled.
NONE_PASS = {"exits", "deep", "patched", "imports_the_neighbour", "big", "empty", "not_text"}


@pytest.mark.slow
def test_nobody_passes_by_a_trick_and_nobody_is_harmed(tmp_path):
    folder = tmp_path / "class"
    for name, text in {"good": GOOD, **HOSTILE, "last": GOOD}.items():
        (folder / name).mkdir(parents=True)
        path = folder / name / "chapter01.py"
        path.write_bytes(text.replace("{root}", str(tmp_path)).encode("utf-8", "surrogateescape"))
    report = classroom.grade_class(folder, "chapter01", jobs=2)
    by_name = {graded.submission.student: graded for graded in report.graded}
    assert list(by_name) == sorted(["good", *HOSTILE, "last"])
    assert {name for name, graded in by_name.items() if graded.passed} == {"good", "last"}
    assert not report.passed
    for name in HOSTILE:
        passed = [exercise.name for exercise in by_name[name].exercises if exercise.passed]
        assert "output_size" not in passed, name
        assert not passed or name not in NONE_PASS, name
    told = {name: by_name[name].exercises[0].lines[0] for name in HOSTILE}
    assert "Is there a loop that does not end?" in told["endless"]
    assert "the file ends the program in line 2" in told["exits"]
    assert "none may be started or ended" in told["forks"]
    assert "none may be started or ended" in told["kills"]
    assert "none may be started or ended" in told["shell"]
    assert "files may be written in the current folder only" in told["writes"]
    assert "files may be written in the current folder only" in told["removes"]
    assert "more than 256 KiB" in told["big"]
    assert (folder / "good" / "chapter01.py").read_text("utf-8") == GOOD
    assert not (tmp_path / "touched").exists()
    assert max(len(line) for graded in report.graded for one in graded.exercises for line in one.lines) < 2000


@pytest.mark.slow
def test_a_submission_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    path = tmp_path / "chapter01.py"
    path.write_text(broken("import time; time.sleep(4); return (length + 2 * pad - kernel) // stride + 1"), "utf-8")
    done = []
    thread = threading.Thread(target=lambda: done.append(classroom.grade_one(path, "chapter01", limit=20)))
    begun = time.monotonic()
    thread.start()
    started = _descendants(os.getpid(), 2)
    thread.join()
    assert time.monotonic() - begun < 40
    [graded] = done
    assert graded.problem == "it was not graded to its end within 20 s"
    assert not graded.passed
    assert [one.lines for one in graded.exercises] == [(graded.problem,)] * 4
    assert _gone(started)


def _descendants(parent, generations):
    """Return the numbers of a process's children, and of theirs, as soon as there are so many generations."""
    for _ in range(600):
        listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
        found, those = [], {str(parent)}
        for generation in range(generations):
            those = {pid for pid, its_parent, *args in rows if its_parent in those and "ps -e" not in args}
            found += those
            if not those:
                break
            if generation == generations - 1:
                return found
        time.sleep(0.1)
    raise AssertionError("no process was started")


def _gone(pids):
    """Wait until processes have ended, and return whether they have."""
    for _ in range(100):
        listing = subprocess.run(["ps", "-o", "stat=", "-p", ",".join(pids)], capture_output=True, text=True)
        if all(line.startswith("Z") for line in listing.stdout.split()):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"nonsense", "what is no answer"),
        (b"[]", "of other exercises"),
        (b'[{"name": "output_size", "passed": true, "cases": 1, "lines": []}]', "of other exercises"),
        (b'[{"name": "output_size"}]', "what is no answer"),
        ("its grader ended with the code -9", "its grader ended with the code -9"),
    ],
)
def test_an_answer_that_is_none_passes_nobody(monkeypatch, tmp_path, answer, says):
    monkeypatch.setattr(classroom._Graders, "_run", lambda self, asked: answer)
    (tmp_path / "chapter01.py").write_text(GOOD, "utf-8")
    graded = classroom.grade_one(tmp_path / "chapter01.py", "chapter01")
    assert says in graded.problem
    assert not graded.passed
    assert graded.score == 0


def test_a_grader_that_is_killed_is_told(monkeypatch, tmp_path):
    program = tmp_path / "killed.py"
    program.write_text("import os; os.kill(os.getpid(), 9)", "utf-8")
    monkeypatch.setattr(classroom.worker, "__file__", str(program))
    (tmp_path / "chapter01.py").write_text(GOOD, "utf-8")
    graded = classroom.grade_one(tmp_path / "chapter01.py", "chapter01")
    assert graded.problem == "its grader ended with the code -9"


# What was handed in ------------------------------------------------------------------------------------------------


def handed(folder, chapter=None):
    """Return students, chapters and files of a folder."""
    return [(one.student, one.chapter, one.path and one.path.name) for one in handed_in.handed_in(folder, chapter)]


def test_students_have_folders_or_files_of_any_name(tmp_path):
    odd = ["Zoe O'Neil", "李 明", "-rf", "$(touch x)", "a;b", "<b>x<", "x\x1b[2Jpassed", "per\u202ecent%s"]
    for name in odd:
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "chapter01.py").write_text(GOOD, "utf-8")
    for name in (".git", "__MACOSX"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chapter01.py").write_text(GOOD, "utf-8")
    (tmp_path / "meyer_anna_1234_chapter01-2.py").write_text(GOOD, "utf-8")
    (tmp_path / "kim (1).txt").write_text("", "utf-8")
    found = handed(tmp_path)
    assert found == sorted(
        [(name, "chapter01", "chapter01.py") for name in odd]
        + [("meyer_anna_1234", "chapter01", "meyer_anna_1234_chapter01-2.py")]
    )
    (tmp_path / "anna.py").write_text(GOOD, "utf-8")
    assert ("anna", "chapter01", "anna.py") in handed(tmp_path, "chapter01")
    assert ("anna", "chapter01", "anna.py") not in handed(tmp_path)


def test_chapters_that_anybody_has_done_are_asked_of_all(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "chapter01.py").write_text(GOOD, "utf-8")
    (tmp_path / "b" / "chapter02.py").write_text("", "utf-8")
    (tmp_path / "b" / "chapter01_old.py").write_text("", "utf-8")
    expected = [("a", "chapter01", "chapter01.py"), ("a", "chapter02", None)]
    assert handed(tmp_path) == [*expected, ("b", "chapter01", None), ("b", "chapter02", "chapter02.py")]
    # With a chapter, a single file of any other name is taken for it.
    assert handed(tmp_path, "chapter01")[1] == ("b", "chapter01", "chapter01_old.py")


def test_the_folder_of_one_learner_is_a_class_of_one(tmp_path):
    course.start(tmp_path / "mine")
    found = handed_in.handed_in(tmp_path / "mine")
    assert [one.chapter for one in found] == list(course.names())
    assert {one.student for one in found} == {"mine"}
    assert "chapter02.py" in dict(found[0].modules)
    (tmp_path / "mine" / "anna_chapter01.py").write_text("", "utf-8")
    anna, mine = [one for one in handed_in.handed_in(tmp_path / "mine") if one.chapter == "chapter01"]
    assert "anna_chapter01.py" not in dict(mine.modules)
    assert not anna.modules


def test_a_file_may_import_those_in_the_students_folder_only(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chapter01.py").write_text("from helper import *", "utf-8")
    (tmp_path / "a" / "helper.py").write_text("1", "utf-8")
    (tmp_path / "c_chapter01.py").write_text("import d_chapter01", "utf-8")
    (tmp_path / "d_chapter01.py").write_text(GOOD, "utf-8")
    found = {one.student: [name for name, _ in one.modules] for one in handed_in.handed_in(tmp_path)}
    assert found == {"a": ["helper.py"], "b": [], "c": [], "d": []}


def test_links_pipes_folders_and_two_candidates_are_refused(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text(GOOD, "utf-8")
    folder = tmp_path / "class"
    for name in ("link", "pipe", "two"):
        (folder / name).mkdir(parents=True)
    (folder / "link" / "chapter01.py").symlink_to(secret)
    os.mkfifo(folder / "pipe" / "chapter01.py")
    (folder / "elsewhere").symlink_to(tmp_path)
    for inner in "ab":
        (folder / "two" / inner).mkdir()
        (folder / "two" / inner / "chapter01.py").write_text(GOOD, "utf-8")
    problems = {one.student: one.problem for one in handed_in.handed_in(folder)}
    assert problems.keys() == {"link", "pipe", "two"}
    assert "it is no plain file but a link" in problems["link"]
    assert "it is no plain file but a link" in problems["pipe"]
    assert problems["two"] == "it is not clear which file is meant: two/a/chapter01.py, two/b/chapter01.py"


def test_a_folder_without_submissions_is_refused(tmp_path, capsys):
    (tmp_path / "anna.py").write_text("", "utf-8")
    assert main(["check", "--all", str(tmp_path)]) == 1
    assert "name the chapter too if the files have only the students' names" in capsys.readouterr().err
    assert main(["check", "--all", str(tmp_path / "nowhere")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


# The commands ------------------------------------------------------------------------------------------------------


@pytest.fixture
def graded_at_once(monkeypatch):
    """Let a file with ``pass`` in its first line pass every exercise, and no process be started."""

    def grade(self, submission):
        problem = submission.problem
        good = (submission.source or b"").startswith(b"# pass")
        exercises = [
            classroom.Exercised(one.name, good, 3, () if good else (problem or "wrong\x1b[2J",))
            for one in chapters.chapter(submission.chapter).exercises
        ]
        digest = "" if submission.source is None else "ab" * 32
        return classroom.Graded(submission, tuple(exercises), digest, problem, 1.5)

    monkeypatch.setattr(classroom._Graders, "grade", grade)


@pytest.fixture
def three(tmp_path):
    """Make a folder with three students' files."""
    folder = tmp_path / "class"
    for name, text in {"anna": "# pass", "李 明": "", "\x1b[2Jpassed\n": "# pass"}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "chapter01.py").write_text(text, "utf-8")
    (folder / "anna" / "chapter02.py").write_text("# pass", "utf-8")
    return folder


def test_a_table_shows_who_has_passed_what(graded_at_once, three, capsys):
    assert main(["check", "--all", str(three)]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.splitlines() == [
        "student          chapter01  chapter02",
        "\\x1b[2Jpassed\\n  4 of 4     -",
        "anna             4 of 4     4 of 4",
        "李 明            0 of 4     -",
        "3 of 6 submissions passed",
    ]
    assert main(["check", "chapter01", "--all", str(three / "anna")]) == 0


def test_the_report_is_json_with_the_documented_keys(graded_at_once, three, tmp_path, capsys):
    assert main(["check", "chapter01", "--all", str(three), "--json"]) == 1
    out = capsys.readouterr().out
    report = json.loads(out)
    assert out.isascii()
    assert {key: report[key] for key in ("format", "version", "seed", "passed")} == {
        "format": "tinycnn-class",
        "version": 1,
        "seed": 0,
        "passed": False,
    }
    anna = report["submissions"][1]
    assert anna | {"exercises": 0} == {
        "student": "anna",
        "chapter": "chapter01",
        "file": "anna/chapter01.py",
        "sha256": "ab" * 32,
        "passed": True,
        "score": 4,
        "max_score": 4,
        "problem": None,
        "seconds": 1.5,
        "exercises": 0,
    }
    assert anna["exercises"][0] == {"name": "output_size", "passed": True, "cases": 3, "message": []}
    assert main(["check", "chapter01", "--all", str(three), "--json", str(tmp_path / "report.json")]) == 1
    assert "3 submissions passed" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text("ascii")) == report


def test_the_page_documents_every_key(graded_at_once, three):
    page = (Path(__file__).parents[2] / "docs" / "course" / "classes.md").read_text("utf-8")
    report = classroom.grade_class(three).as_json()
    [*_, entry] = report["submissions"]
    for key in (*report, *entry, *entry["exercises"][0]):
        assert f"| `{key}` |" in page, key


def test_gradescope_reads_a_test_for_each_exercise(tmp_path, capsys):
    path, found = tmp_path / "chapter01.py", tmp_path / "results.json"
    path.write_text(broken("return 0"), "utf-8")
    assert main(["check", "chapter01", str(path), "--gradescope", str(found)]) == 1
    results = json.loads(found.read_text("utf-8"))
    assert results["score"] == 2.0  # conv2d calls output_size
    assert [test["score"] for test in results["tests"]] == [0.0, 1.0, 0.0, 1.0]
    assert {test["max_score"] for test in results["tests"]} == {1.0}
    assert [test["status"] for test in results["tests"]] == ["failed", "passed", "failed", "passed"]
    assert "returns 0; 1 is right" in results["tests"][0]["output"]
    assert {test["visibility"] for test in results["tests"]} == {"visible"}
    assert results["stdout_visibility"] == "hidden"
    assert main(["check", "chapter01", str(tmp_path / "nothing.py"), "--gradescope", str(found)]) == 1
    results = json.loads(found.read_text("utf-8"))
    assert results["score"] == 0.0
    assert len(results["tests"]) == 4
    assert results["output"] == "nothing.py was not handed in"


def test_the_scripts_for_gradescope_run(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "course" / "classes.md").read_text("utf-8")
    setup, run = re.findall(r"^```bash\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert subprocess.run(["bash", "-n"], input=setup, text=True).returncode == 0
    for name in ("submission", "results", "venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    program = tmp_path / "venv" / "bin" / "tinycnn"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tinycnn "$@"\n', "utf-8")
    program.chmod(0o755)
    done = subprocess.run(["bash"], input=run.replace("/autograder", str(tmp_path)), text=True, capture_output=True)
    assert done.returncode == 0
    results = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    assert results["output"] == "chapter01.py was not handed in"
    assert len(results["tests"]) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check"], "name a chapter and your file"),
        (["check", "chapter01"], "name a chapter and your file"),
        (["check", "chapter01", "x.py", "--all", "."], "leave FILE out"),
        (["check", "--all", ".", "--hint"], "are for one file"),
        (["check", "--all", ".", "--gradescope", "x.json"], "are for one file"),
        (["check", "chapter01", "x.py", "--json"], "belong to --all"),
        (["check", "chapter01", "x.py", "--jobs", "2"], "belong to --all"),
        (["check", "chapter01", "x.py", "--gradescope", "x.json", "--hint"], "shows no hints"),
        (["check", "--all", ""], "the name of a folder is empty"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, says, capsys):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "pressed", "times"),
    [
        ("a class", signal.SIGINT, 1),
        ("for Gradescope", signal.SIGINT, 1),
        ("one file", signal.SIGINT, 1),
        ("a class", signal.SIGTERM, 2),
        pytest.param("for Gradescope", signal.SIGTERM, 2, marks=pytest.mark.slow),
        pytest.param("one file", signal.SIGTERM, 2, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_leaves_no_grader(tmp_path, kind, times, pressed):
    stubborn = "import signal\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: pass"
    for name in "abc":
        (tmp_path / f"{name}.py").write_text(broken(stubborn), "utf-8")
    arguments, generations = {
        "a class": (["chapter01", "--all", str(tmp_path), "--jobs", "2"], 2),
        "for Gradescope": (["chapter01", str(tmp_path / "a.py"), "--gradescope", str(tmp_path / "grades.json")], 2),
        "one file": (["chapter01", str(tmp_path / "a.py")], 1),
    }[kind]
    process = subprocess.Popen(
        [sys.executable, "-m", "tinycnn", "check", *arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    started = _descendants(process.pid, generations)
    for _ in range(times):
        process.send_signal(pressed)
        time.sleep(0.05)
    assert b"Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert _gone(started)
