"""The documentation is true: examples run, commands are those that are tested, and nothing unsafe slips in."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import installed
from pages import reading

import tinycnn

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] + [
    page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts
]
# A learner pastes these pages from top to bottom (test_pages.py); on the others each block stands on its own.
TOGETHER = reading.PAGES
# The code on this page consists of whole files and of edits, which a test below applies to a copy.
FILES = ROOT / "docs" / "adding_a_layer.md"
ENGINE = [*sorted((ROOT / "tinycnn").rglob("*.py")), *sorted((ROOT / "kernels").rglob("*.py"))]
# The backend that needs a special machine is imported only by its own tests.
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
    """Return the fenced blocks of one language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def tracked_files() -> list[Path]:
    """Return the files that git tracks, or an empty list in a copy without git."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


#: What programs of the documents import, as a pattern; the package that it needs; the extra that installs it.
PROGRAMS_NEED = {
    r"(tinycnn\.)?sklearn": ("sklearn", "sklearn"),
    "torch": ("torch", "compat"),
    "keras": ("keras", "compat"),
    r"tinycnn\.onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "bench"),
}
#: What only extras install: the page's server, and scikit-learn.
EXTRAS = dict.fromkeys(("starlette", "anyio", "uvicorn", "h11"), "explore") | {"onnx": "onnx", "sklearn": "sklearn"}


# Doctests are collected here and not by --doctest-modules, which would import kernels/ a second time, under that name.
@pytest.mark.parametrize("name", sorted(set(MODULES) | {"tinycnn", "tinycnn.kernels"}))
def test_the_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        pytest.skip(f"the extra {extra} is not installed: {error}")
    if name.startswith("tinycnn.onnx") and not installed("onnx"):  # it imports the package when it is used
        pytest.skip("the extra onnx is not installed")
    lines: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=lines.append)
    assert not runner.failures, "".join(lines)


README_PROGRAMS = blocks(ROOT / "README.md", "python")


def run_program(text: str, folder: Path) -> str:
    """Run a program in a process and a folder of its own, and return its output."""
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"}
    environment |= {"KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}  # what the extra compat installs
    done = subprocess.run([sys.executable, str(path)], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def imported(package: str, program: str) -> bool:
    return re.search(rf"^(import|from) {package}\b", program, re.MULTILINE) is not None


def is_slow(program: str) -> bool:
    """Return whether a program trains, or imports a package that takes seconds to import."""
    return ".fit(" in program or imported("torch", program) or imported("keras", program)


@pytest.mark.parametrize(
    ("page", "program"),
    [
        pytest.param(page, block, marks=pytest.mark.slow if is_slow(block.code) else (), id=f"{page.name}-{number}")
        for page in PAGES
        if page != FILES and page not in TOGETHER
        for number, block in enumerate(b for b in reading.blocks(page.read_text("utf-8")) if b.language == "python")
    ],
)
def test_the_programs_in_the_documents_run(page: Path, program: reading.Block, tmp_path: Path) -> None:
    for pattern, (package, extra) in PROGRAMS_NEED.items():
        # Nothing is imported here: Keras would take the backend that it takes by default, for all tests to come.
        if imported(pattern, program.code) and not installed(package):
            pytest.skip(f"the extra {extra} is not installed")
    printed = run_program(program.code, tmp_path)
    if program.shown is not None:
        assert reading.agrees(program.shown, printed, elsewhere=True), printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_in_the_documents_parse(page: Path) -> None:
    from tinycnn import cli, models

    for block in blocks(page, "sh"):
        subprocess.run(["bash", "-n", "-c", block], check=True)
        for line in block.splitlines():
            words = shlex.split(line.rpartition(" && ")[2].partition(" > ")[0], comments=True)
            if words and words[0].rpartition("/")[2] == "tinycnn":
                arguments = cli._parser().parse_args(words[1:])
                assert getattr(arguments, "name", models.names()[0]) in models.names(), line


def apply(page: str, copy: Path) -> list[str]:
    """Do in a copy of the checkout what a page says; returns the paths of the new files.

    ``New file `path`:`` stands right before a whole file. The paragraph before a diff names the files that it is for.
    Its parts, cut at @@, hold one line that is there once (with "…" for its end) and lines to put in before or after.
    """
    new = []
    parts = re.split(r"^```(python|diff|text|sh)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    for prose, language, code in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        paths = re.findall(r"`(\w+/[\w/]+\.\w+)`", prose.rstrip().rpartition("\n\n")[2])
        if language == "python":
            (copy / paths[-1]).write_text(code, "utf-8")
            new.append(paths[-1])
        for path in paths if language == "diff" else []:
            text = (copy / path).read_text("utf-8")
            for part in code.split("@@\n"):
                added = "".join(line[1:] for line in part.splitlines(True) if line[0] == "+")
                [known] = [line[1:] for line in part.splitlines() if line[0] == " "]
                pattern = re.escape(known).replace("…", ".*")
                [line] = re.findall(rf"^{pattern}\n", text, re.MULTILINE)
                text = text.replace(line, added + line if part[0] == "+" else line + added)
            (copy / path).write_text(text, "utf-8")
    return new


@pytest.mark.slow
def test_the_page_on_adding_a_layer_adds_one(tmp_path: Path) -> None:
    copy = tmp_path / "tinycnn"
    for name in ("tinycnn", "kernels", "tests", "docs"):
        leave = shutil.ignore_patterns("__pycache__", "_build", "compat", "mutants")
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, copy / name)
    new = apply(FILES.read_text("utf-8"), copy)
    backends = {path.name for path in (ROOT / "kernels").iterdir() if (path / "conv.py").exists()}
    assert {Path(path).parts[1] for path in new if path.startswith("kernels")} == backends, "one file per backend"
    assert len([path for path in new if path.startswith("tinycnn")]) == 1, "one layer file"

    words = "LearnedSwish or learned_swish or every_public or is_listed or same_names or has_a_bound"
    kernels = ("signatures", "parity", "accuracy")
    tests = ["layers/test_layers", "kernels/test_learned_swish", *(f"kernels/test_kernels_{name}" for name in kernels)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", words]
        + [f"tests/{name}.py" for name in tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 20, done.stdout
    if importlib.util.find_spec("numba_cuda"):
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cuda", "-k", "learned_swish"]
        done = subprocess.run(
            [sys.executable, *command, "tests/kernels/test_cuda_kernels.py"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "NUMBA_ENABLE_CUDASIM": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        assert " passed" in done.stdout, done.stdout


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_describes_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason='needs pip install -e ".[docs]"')
    from sphinx.util.inventory import InventoryFile

    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [sys.executable, *command, "docs", str(tmp_path / "html")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    with (tmp_path / "html" / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    described = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    things = {id(thing) for name in described if (thing := named(name)) is not None}
    # A package may hold a decorated form of a function in one of its files.
    things |= {id(inspect.unwrap(thing)) for name in described if inspect.isfunction(thing := named(name))}
    for module in map(importlib.import_module, ["tinycnn", "tinycnn.kernels", *MODULES]):
        public = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if name[0] != "_" and getattr(thing, "__module__", None) == module.__name__
            if inspect.isclass(thing) or inspect.isroutine(thing)
        ]
        private = re.search(r"\._|\.kernels\.cpu\.(machine|convolution|fused)(\.|$)", module.__name__)
        for name in () if private else public:
            thing = getattr(module, name)
            known = f"{module.__name__}.{name}" in described or id(thing) in things or name[:2] == "__"
            assert known or isinstance(thing, ModuleType), f"{module.__name__}.{name} has no place in the reference"

    for page in (tmp_path / "html").rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link)[^>]* (?:src|href)=\"(https?:[^\"]*)", page.read_text("utf-8"))
        assert not fetched, f"{page.name} needs the network"


@pytest.mark.slow
def test_no_line_of_the_site_is_cut_off_in_a_narrow_window(tmp_path: Path, browser: Any) -> None:
    pytest.importorskip("furo", reason='needs pip install -e ".[docs]"')
    static = str(ROOT / "docs" / "_static")
    settings = {"html_theme": "furo", "html_static_path": [static], "html_css_files": ["tinycnn.css"]}
    (tmp_path / "conf.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()), "utf-8")
    text = "Title\n=====\n\n" + "Many words. " * 200 + "\n\nPart\n----\n\n" + "More words. " * 200
    (tmp_path / "index.rst").write_text(text, "utf-8")
    command = ["-m", "sphinx", "-q", "-W", "-b", "html", str(tmp_path), str(tmp_path / "html")]
    subprocess.run([sys.executable, *command], check=True)
    page = browser.new_page()
    page.goto((tmp_path / "html" / "index.html").as_uri())
    for width in (390, 768, 1000, 1020, 1100, 1200, 1320, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        right = page.evaluate("document.querySelector('article').getBoundingClientRect().right")
        assert 0 < right <= width, f"at a width of {width}, text reaches to {right}"


def test_only_the_fixture_starts_a_browser() -> None:
    """A second start of Playwright fails while the first one runs, in whatever order the tests come."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not re.search(r"sync_playwright\(\)", path.read_text("utf-8")), f"{path}: use browser"


def named(path: str) -> object:
    """Return the object with a dotted path, or None; a function is preferred to a module of the same name."""
    steps = path.split(".")
    thing: object = importlib.import_module(steps[0])
    for index, step in enumerate(steps[1:], 2):
        try:
            thing = getattr(thing, step) if hasattr(thing, step) else importlib.import_module(".".join(steps[:index]))
        except ImportError:
            return None
    return thing


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
    # Each is a block, to be copied with one click.
    assert [block for block in blocks(ROOT / "README.md", "sh") if block.startswith("python3 -m venv")] == [
        f"{lines[0]}\nsource .venv/bin/activate\n",
        f"{lines[1]}\n",
    ]
    for line in lines:
        subprocess.run(["bash", "-n", "-c", line], check=True)
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
    assert set(re.findall(r"^\| `tinycnn ([\w-]+)", page, re.MULTILINE)) == set(commands.choices)
    options = {
        option
        for command in commands.choices.values()
        for action in command._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    assert set(re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)) == options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_make_target_that_is_named_exists_and_says_what_it_does() -> None:
    targets = dict(re.findall(r"^([\w-]+):(.*)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert next(iter(targets)) == "help", "plain make lists the targets"
    assert [name for name, rest in targets.items() if not re.search(r"## [A-Z].+\.$", rest)] == []
    for page in PAGES:
        assert set(re.findall(r"`make ([\w-]+)`", page.read_text("utf-8"))) <= targets.keys(), page.name


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    words = [f"/{folder}/".encode() for folder in ("work", "root", "home/" + Path.home().name)]
    for path in tracked_files():
        content = path.read_bytes()
        assert not [word for word in words if word in content], path.relative_to(ROOT)


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_is_read_can_run_code(path: Path) -> None:
    """No code uses pickle in any form, eval, exec or a shell, so a model or data file is never more than data."""
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
