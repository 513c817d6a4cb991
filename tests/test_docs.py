"""What is written is true: examples run, commands are the ones that are tested, and nothing unsafe slips in."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinycnn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ENGINE = [*sorted((ROOT / "tinycnn").rglob("*.py")), *sorted((ROOT / "kernels").rglob("*.py"))]
# The backend that needs a machine of its own is imported by its own tests only.
MODULES = [
    module.name
    for module in pkgutil.walk_packages(tinycnn.__path__, "tinycnn.")
    if not module.name.endswith("__main__")
] + [
    module.name
    for module in pkgutil.walk_packages(importlib.import_module("tinycnn.kernels").__path__, "tinycnn.kernels.")
    if ".cuda" not in module.name
]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def tracked_files() -> list[Path]:
    """What git keeps, or an empty list in a copy without git."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# Doctests are collected here and not by --doctest-modules, which would import kernels/ a second time, under that name.
@pytest.mark.parametrize("name", sorted(set(MODULES) | {"tinycnn", "tinycnn.kernels"}))
def test_the_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    lines: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=lines.append)
    assert not runner.failures, "".join(lines)


README_PROGRAMS = blocks(ROOT / "README.md", "python")


def run_program(text: str, folder: Path) -> str:
    """Output of a program, run in a process and a folder of its own."""
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, str(path)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("page", "program"),
    [
        pytest.param(page, text, marks=pytest.mark.slow if ".fit(" in text else (), id=f"{page.name}-{number}")
        for page in PAGES
        for number, text in enumerate(blocks(page, "python"))
    ],
)
def test_the_programs_in_the_documents_run(page: Path, program: str, tmp_path: Path) -> None:
    # A test function that a program defines is called, as pytest would.
    calls = [f"{name}()\n" for name in re.findall(r"^def (test_\w+)", program, re.MULTILINE)]
    run_program("\n".join([program, *calls]), tmp_path)


def test_the_first_program_is_the_one_in_examples() -> None:
    def plain(text: str) -> str:
        return re.sub(r'\A""".*?"""\s*', "", text, flags=re.DOTALL).strip()

    assert plain((ROOT / "examples" / "first_program.py").read_text("utf-8")) == README_PROGRAMS[0].strip()


def test_the_example_layer_is_checked_and_the_check_can_fail(tmp_path: Path) -> None:
    [program] = [text for text in README_PROGRAMS if "class Square" in text]
    assert "elements agree" in run_program(program, tmp_path)
    with pytest.raises(AssertionError, match="Square"):
        run_program(program.replace("return 2 * cache", "return 3 * cache"), tmp_path)


def test_the_two_lines_that_set_everything_up() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert [line.rpartition(" && ")[2] for line in lines] == [
        ".venv/bin/tinycnn train ladder_09 --data digits",
        ".venv/bin/python -m pytest",
    ]
    for line in lines:
        subprocess.run(["bash", "-n", "-c", line], check=True)
        assert f"{line}\n" in blocks(ROOT / "README.md", "sh"), "each line is a block, to be copied with one click"
    # .ci/run takes the second one from the README and runs it; it must find that one and no other.
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    [pattern] = re.findall(r"grep -E '([^']+)' README\.md", script)
    assert [line for line in README.splitlines() if re.search(pattern, line)] == lines[1:]
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_the_page_on_the_command_line_is_complete() -> None:
    import argparse

    from tinycnn import cli

    page = (ROOT / "docs" / "command_line.md").read_text("utf-8")
    [commands] = [action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert set(re.findall(r"^\| `tinycnn (\w+)", page, re.MULTILINE)) == set(commands.choices)
    options = {
        option
        for command in commands.choices.values()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert set(re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)) == options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([\w-]+)`", page.read_text("utf-8"))) <= targets, page.name


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    words = [f"/{folder}/".encode() for folder in ("work", "root", "home/" + Path.home().name)]
    for path in tracked_files():
        content = path.read_bytes()
        assert not [word for word in words if word in content], path.relative_to(ROOT)


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    """No pickle in any disguise, no eval or exec, no shell: a model or data file is never more than data."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        unsafe = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
        assert not {name.partition(".")[0] for name in names} & unsafe, ast.unparse(node)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), ast.unparse(node)
            for keyword in node.keywords:
                assert keyword.arg not in ("allow_pickle", "shell") or ast.unparse(keyword.value) == "False", called
