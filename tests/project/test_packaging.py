"""Installing in every way: ``kernels/`` must arrive as ``tinycnn.kernels`` and nowhere else.

The slow tests build in a copy of the sources and install into bare environments that see the libraries of the running
one, so they need no network and leave nothing behind.
"""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOT_SOURCES = shutil.ignore_patterns(
    ".*_cache", ".git", ".hypothesis", ".venv*", "__pycache__", "*.egg-info", "build", "dist", "runs"
)
KINDS = ["editable", "normal", "wheel", "sdist"]
# This is the console script that pip would write if pytest were installed into the bare environment.
PYTEST_SCRIPT = "import sys\nfrom pytest import console_main\nsys.exit(console_main())\n"


def run(*command: str | Path, cwd: Path, fails: bool = False) -> str:
    """Run a command and return its output; raise an AssertionError with that output unless it ended as it should."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert (done.returncode != 0) == fails, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in PROJECT["project"]
    tree = ast.parse((ROOT / "tinycnn" / "core" / "version.py").read_text("utf-8"))
    [version] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def requirements(lines: list[str]) -> set[str]:
    """Return the names in a list of requirements."""
    return {re.split(r"[^\w-]", line)[0].lower() for line in lines}


def test_every_import_is_a_declared_dependency() -> None:
    declared = requirements(PROJECT["project"]["dependencies"])
    extras = PROJECT["project"]["optional-dependencies"]
    for_testing = declared | requirements(extras["test"])
    for_completion = declared | requirements(extras["completion"])
    for_keras = declared | requirements(extras["keras"])
    for_exploring = declared | requirements(extras["explore"])
    for_onnx = declared | requirements(extras["onnx"])
    for_sklearn = declared | requirements(extras["sklearn"])
    for_course = declared | requirements(extras["course"])
    for_mpi = declared | requirements(extras["mpi"])
    distributions = {"PIL": "pillow", "llvmlite": "numba", "sklearn": "scikit-learn"}
    for path in [*(ROOT / "tinycnn").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]:
        allowed = for_testing if "testing" in path.parts else declared
        allowed = for_completion if path.name == "completion.py" else allowed
        allowed = for_keras if path.name == "keras_files.py" else allowed
        allowed = for_exploring if "explore" in path.parts else allowed
        allowed = for_onnx if "onnx" in path.relative_to(ROOT).parts else allowed
        allowed = for_sklearn if "sklearn" in path.parts else allowed
        allowed = for_course if path.is_relative_to(ROOT / "tinycnn" / "course") else allowed
        allowed = for_mpi if path.name == "ranks.py" else allowed
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"tinycnn"}:
                assert distributions.get(top, top) in allowed, f"{path.relative_to(ROOT)} imports {top}"


def test_python_has_the_upper_bound_of_numba() -> None:
    """Numba names the versions that it works on in its classifiers; its Requires-Python has no upper bound."""
    classifiers = importlib.metadata.metadata("numba").get_all("Classifier") or []
    minors = [int(text.rpartition(".")[2]) for text in classifiers if "Python :: 3." in text]
    highest = int(re.search(r"<3\.(\d+)", PROJECT["project"]["requires-python"])[1]) - 1  # type: ignore[index]
    ours = [text for text in PROJECT["project"]["classifiers"] if "Python :: 3." in text]
    assert ours[-1].endswith(f"3.{highest}")
    if not minors or sys.version_info[1] < 11 or highest > max(minors):
        pytest.skip("an older Numba than the newest is installed")
    assert highest <= max(minors)


def test_the_kernels_are_found_beside_the_package() -> None:
    """The slow tests below also run this inside each fresh environment."""
    import tinycnn
    import tinycnn.kernels.reference

    package, kernels = Path(tinycnn.__file__).parent, Path(tinycnn.kernels.__file__).parent
    assert kernels in (package / "kernels", package.parent / "kernels")
    assert tinycnn.kernels.reference.__name__ == "tinycnn.kernels.reference"
    assert tinycnn.get_backend().kernels.__name__.startswith("tinycnn.kernels.")
    assert "kernels" not in sys.modules


@dataclass
class Installed:
    """A fresh environment with tinycnn in it, and the copy of the sources that it was installed from."""

    kind: str
    sources: Path
    environment: Path

    def script(self, name: str) -> Path:
        return self.environment / "bin" / name

    @property
    def python(self) -> Path:
        return self.script("python")

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.environment)}))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout, because a build writes into its sources and an old build folder would hide what is missing."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("sources") / "tinycnn", ignore=NOT_SOURCES))


@pytest.fixture(scope="module")
def sdist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=sources)
    [archive] = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, as a packager does."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index"),
        *("-w", folder, sdist),
        cwd=folder,
    )
    [archive] = folder.iterdir()
    return archive


@pytest.fixture(scope="module", params=KINDS)
def installed(request: pytest.FixtureRequest, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = tmp_path_factory.mktemp(request.param) / "venv"
    venv.create(environment, symlinks=True, with_pip=False)
    result = Installed(request.param, sources, environment)
    # As a plain path the running environment's own editable install, if it has one, is not followed.
    (result.site_packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    result.script("pytest").write_text(f"#!{result.python}\n{PYTEST_SCRIPT}")
    result.script("pytest").chmod(0o755)
    what = {"editable": ["-e", sources], "normal": [sources]}.get(request.param)
    if what is None:
        what = [request.getfixturevalue(request.param)]
    run(
        *(sys.executable, "-m", "pip", "--python", result.python, "install", "-q"),
        *("--no-build-isolation", "--no-deps", "--no-index", *what),
        cwd=environment,
    )
    return result


def python_files(folder: Path, top: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in (folder / top).rglob("*.py")}


@pytest.mark.slow
def test_the_source_distribution_is_complete(sources: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = python_files(sources, "tinycnn") | python_files(sources, "kernels")
    assert wanted | {"LICENSE", "README.md", "pyproject.toml", "setup.py", "tinycnn/py.typed"} <= names


@pytest.mark.slow
def test_the_wheel_holds_the_kernels_inside_the_package(sources: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = python_files(sources, "tinycnn") | {f"tinycnn/{name}" for name in python_files(sources, "kernels")}
    page = {path.relative_to(sources).as_posix() for path in (sources / "tinycnn/explore/page").rglob("*.*")}
    assert len(page) > 20
    outlines = {f"tinycnn/datasets/digits_outlines{end}.txt" for end in ("", "_licences")}
    wanted |= page | outlines | {"tinycnn/py.typed"}
    assert {name for name in names if not re.match(r"tinycnn-[^/]*\.dist-info/", name)} == wanted
    licences = {name.partition(".dist-info/licenses/")[2] for name in names} - {""}
    assert licences == {"LICENSE", "tinycnn/datasets/digits_outlines_licences.txt"}


@pytest.mark.slow
def test_imports_from_the_root_and_from_elsewhere(installed: Installed, tmp_path: Path) -> None:
    code = "import tinycnn, tinycnn.kernels.cpu as cpu; print(tinycnn.__file__); print(cpu.__file__)"
    copy = installed.sources if installed.kind == "editable" else installed.site_packages / "tinycnn"
    for cwd in (installed.sources, tmp_path):
        package, kernels = map(Path, run(installed.python, "-c", code, cwd=cwd).split())
        in_root = cwd == installed.sources  # where Python finds ./tinycnn first, whatever is installed
        if in_root or installed.kind == "editable":
            assert package == installed.sources / "tinycnn" / "__init__.py"
            assert kernels == installed.sources / "kernels" / "cpu" / "__init__.py"
        else:
            assert package == copy / "__init__.py"
            assert kernels == copy / "kernels" / "cpu" / "__init__.py"


@pytest.mark.slow
def test_no_top_level_kernels(installed: Installed, tmp_path: Path) -> None:
    assert "No module named 'kernels'" in run(installed.python, "-c", "import kernels", cwd=tmp_path, fails=True)
    assert not (installed.site_packages / "kernels").exists()


@pytest.mark.slow
def test_version_and_types(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import importlib.metadata as m, importlib.resources as r, tinycnn;"
        "print(m.version('tinycnn') == tinycnn.__version__, (r.files(tinycnn) / 'py.typed').is_file())"
    )
    assert run(installed.python, "-c", code, cwd=tmp_path).split() == ["True", "True"]


@pytest.mark.slow
def test_the_command(installed: Installed, tmp_path: Path) -> None:
    for cwd in (installed.sources, tmp_path):
        texts = {
            run(installed.script("tinycnn"), "--help", cwd=cwd),
            run(installed.python, "-m", "tinycnn", "--help", cwd=cwd),
        }
        assert len(texts) == 1, "`tinycnn` and `python -m tinycnn` differ"
        assert "usage: tinycnn" in texts.pop()


@pytest.mark.slow
def test_pytest_in_the_checkout(installed: Installed) -> None:
    test = [
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/project/test_packaging.py::test_the_kernels_are_found_beside_the_package",
    ]
    assert "1 passed" in run(installed.python, "-m", "pytest", *test, cwd=installed.sources)
    assert "1 passed" in run(installed.script("pytest"), *test, cwd=installed.sources)
