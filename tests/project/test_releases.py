"""What is around the package: workflows, the recipe for conda, the citation, Read the Docs, and the address of it all.

Nothing here runs on a server of others, so these tests ask that the files say the same as pyproject.toml, and that
what they name exists.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tinycnn

yaml = pytest.importorskip("yaml", reason="needs pyyaml, from the extra dev")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
#: Whose action may run, and in which version: GitHub's own, and the package index's.
ACTIONS = r"actions/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v\d+"


def read(path: str | Path) -> Any:
    """Return a YAML file; the key ``on`` of a workflow is the boolean True there."""
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def pythons() -> list[str]:
    """Return the versions of Python that pyproject.toml promises, the oldest first."""
    low, above = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    return [f"3.{minor}" for minor in range(low, above)]


def matrices(workflow: str) -> set[tuple[str, str]]:
    """Return the pairs of system and Python that jobs of a workflow run on."""
    found = set()
    for job in read(f".github/workflows/{workflow}")["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        found |= {
            (system, python) for system in matrix.get("system", [job["runs-on"]]) for python in matrix.get("python", [])
        }
    return found


def test_every_python_is_named_and_tested() -> None:
    named = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if "Python :: 3." in text]
    assert named == pythons()
    assert {("ubuntu-latest", python) for python in named} <= matrices("ci.yml")


@pytest.mark.parametrize("workflow", ["ci.yml", "release.yml"])
def test_every_system_has_the_oldest_and_the_newest_python(workflow: str) -> None:
    systems = ("ubuntu-latest", "ubuntu-24.04-arm", "macos-latest", "windows-latest")
    wanted = {(system, python) for system in systems for python in (pythons()[0], pythons()[-1])}
    assert wanted <= matrices(workflow)
    assert {system for system, _ in matrices(workflow)} == set(systems)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_well_formed_and_may_do_little(path: Path) -> None:
    workflow = read(path)
    assert set(workflow) <= {"name", True, "permissions", "concurrency", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text("utf-8")
    for name, job in workflow["jobs"].items():
        known = {"needs", "runs-on", "timeout-minutes", "strategy", "steps", "environment", "permissions"}
        assert set(job) <= known, name
        assert job["timeout-minutes"] <= 90, name
        assert job.get("needs", name) in workflow["jobs"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert set(step) <= {"name", "uses", "with", "run", "shell"}, step
            assert re.fullmatch(ACTIONS, step.get("uses", "actions/checkout@v4")), step
            for key in re.findall(r"\$\{\{ matrix\.(\w+) \}\}", json.dumps([job["runs-on"], step])):
                assert key in job["strategy"]["matrix"], f"{name} uses matrix.{key}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_exists(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for job in read(path)["jobs"].values():
        for command in (step["run"] for step in job["steps"] if "run" in step):
            for values in job.get("strategy", {}).get("matrix", {}).items():
                command = command.replace(f"${{{{ matrix.{values[0]} }}}}", " ".join(values[1]))
            if command.startswith("make "):
                assert {word for word in command.split()[1:] if "=" not in word} <= targets, command
            for file in re.findall(r"(?:^|\s)(\.ci/[\w.]+|tinycnn/[\w/.]+)", command):
                assert (ROOT / file).is_file(), command
            for extras in re.findall(r"-e \"\.\[([\w,]+)\]\"", command):
                assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing(path: Path) -> None:
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run(["actionlint", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_only_a_tag_publishes_and_only_what_was_tried() -> None:
    workflow = read(".github/workflows/release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    allowed = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert allowed == {"publish": {"id-token": "write"}}
    publish = workflow["jobs"]["publish"]
    assert publish["environment"] == "release"
    assert (publish["needs"], workflow["jobs"]["try"]["needs"]) == ("try", "build")
    actions = [step.get("uses", "") for step in publish["steps"]]
    assert not [action for action in actions if "checkout" in action], "what is published was built and tried before"


def test_the_tag_is_compared_with_the_version() -> None:
    steps = read(".github/workflows/release.yml")["jobs"]["build"]["steps"]
    [command] = [step["run"] for step in steps if "GITHUB_REF_NAME" in step.get("run", "")]
    for tag, code in ((f"v{tinycnn.__version__}", 0), ("v99.0.0", 1)):
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env={"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"})
        assert done.returncode == code, tag


def bounds(requirements: list[str]) -> dict[str, str]:
    """Return the bounds of requirements by the name of the package, as conda writes them."""
    found = {}
    for requirement in requirements:
        name, bound = re.fullmatch(r"([\w-]+)\s*(.*)", requirement).groups()  # type: ignore[union-attr]
        found[{"matplotlib-base": "matplotlib"}.get(name, name)] = bound
    return found


def test_the_recipe_says_what_pyproject_says() -> None:
    recipe = read("recipe/recipe.yaml")
    context = recipe["context"]
    assert context["version"] == tinycnn.__version__
    wanted = bounds(PROJECT["dependencies"]) | {"python": PROJECT["requires-python"]}
    run = [
        re.sub(r"\$\{\{ (\w+) \}\}", lambda match: context[match[1]], line) for line in recipe["requirements"]["run"]
    ]
    assert bounds(run) == wanted
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    assert {"python", "pip", *bounds(build)} == set(bounds(recipe["requirements"]["host"]))
    assert bounds(build)["setuptools"] == bounds(recipe["requirements"]["host"])["setuptools"]
    assert recipe["build"]["python"]["entry_points"] == [
        f"{name} = {where}" for name, where in PROJECT["scripts"].items()
    ]
    assert (recipe["about"]["summary"], recipe["about"]["license"]) == (PROJECT["description"], PROJECT["license"])
    assert recipe["about"]["license_file"] == PROJECT["license-files"]
    for file in recipe["tests"][1]["files"]["source"]:
        assert (ROOT / file).is_file()


def test_the_citation_says_what_pyproject_says() -> None:
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == tinycnn.__version__
    assert citation["title"] == PROJECT["name"]
    assert citation["abstract"] == PROJECT["description"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["license"] in PROJECT["license"].split(" AND ")
    allowed = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert allowed <= set(citation) <= allowed | {"repository-code"}


def test_read_the_docs_builds_what_make_docs_builds() -> None:
    config = read(".readthedocs.yaml")
    assert config["version"] == 2
    assert config["build"]["tools"]["python"] in pythons()
    assert (ROOT / config["sphinx"]["configuration"]).is_file()
    assert config["sphinx"]["fail_on_warning"] is True
    [install] = config["python"]["install"]
    assert (install["method"], install["path"]) == ("pip", ".")
    assert set(install["extra_requirements"]) <= set(PROJECT["optional-dependencies"])


PLACES = ("pyproject.toml", "CITATION.cff", "README.md", "examples/first_notebook.ipynb")


def addresses(root: Path) -> dict[str, set[str]]:
    """Return which repositories, as OWNER/NAME, each file names as its own."""
    patterns = {
        "pyproject.toml": r"^Repository = \"https://github\.com/(.+)\"$",
        "CITATION.cff": r"^repository-code: \"https://github\.com/(.+)\"$",
        "README.md": r"^\[!\[Open in Colab\].*/github/(.+)/blob/",
        "examples/first_notebook.ipynb": r"(?:/github/|REPOSITORY = .*github\.com/)(.+?)(?:/blob/|\\\")",
    }
    return {
        name: set(re.findall(pattern, (root / name).read_text("utf-8"), re.MULTILINE))
        for name, pattern in patterns.items()
    }


def test_all_files_name_the_same_address_or_none() -> None:
    assert len({frozenset(names) for names in addresses(ROOT).values()}) == 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what holds an address, with the script that writes it."""
    for name in (*PLACES, ".ci/address.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def write_address(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(copy / ".ci" / "address.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_address_is_written_everywhere_and_can_be_changed(copy: Path) -> None:
    assert write_address(copy, "a-school/cnn").returncode == 0
    once = {name: (copy / name).read_bytes() for name in PLACES}
    assert set(map(frozenset, addresses(copy).values())) == {frozenset({"a-school/cnn"})}
    assert write_address(copy, "somebody/fork.of_it").returncode == 0
    assert set(map(frozenset, addresses(copy).values())) == {frozenset({"somebody/fork.of_it"})}
    assert not [name for name in PLACES if b"a-school" in (copy / name).read_bytes()]
    assert write_address(copy, "a-school/cnn").returncode == 0
    assert {name: (copy / name).read_bytes() for name in PLACES} == once

    project = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project.pop("urls")) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert project == {name: value for name, value in PROJECT.items() if name != "urls"}
    assert yaml.safe_load((copy / "CITATION.cff").read_text("utf-8"))["repository-code"].endswith("a-school/cnn")
    cells = json.loads((copy / "examples/first_notebook.ipynb").read_text("utf-8"))["cells"]
    assert "https://colab.research.google.com/github/a-school/cnn/blob/main/examples/" in "".join(cells[0]["source"])
    assert '    REPOSITORY = "https://github.com/a-school/cnn"\n' in cells[1]["source"]


@pytest.mark.parametrize("wrong", [(), ("tinycnn",), ("https://github.com/a/b",), ("a/b", "c/d"), ('a/b"',)])
def test_a_wrong_address_changes_nothing(copy: Path, wrong: tuple[str, ...]) -> None:
    before = {name: (copy / name).read_bytes() for name in PLACES}
    done = write_address(copy, *wrong)
    assert done.returncode == 1
    assert "OWNER/NAME" in done.stderr
    assert {name: (copy / name).read_bytes() for name in PLACES} == before


def test_a_place_that_is_gone_is_an_error_and_changes_nothing(copy: Path) -> None:
    readme = copy / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("## Start\n", "## Begin\n"), "utf-8")
    before = {name: (copy / name).read_bytes() for name in PLACES}
    done = write_address(copy, "a/b")
    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert {name: (copy / name).read_bytes() for name in PLACES} == before


def test_the_recipe_for_a_smoke_test_runs_on_what_is_installed_only() -> None:
    """In the checkout it refuses, because it would say nothing about the wheel."""
    done = subprocess.run(
        [sys.executable, ".ci/smoke.py"], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "this is the checkout, not what is installed" in done.stderr
