"""Every dependency points to a lower floor, and no files import each other in a circle.

This prints the figures of this checkout or of another one::

    python tests/project/test_layers_of_the_house.py [FOLDER]
"""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "design.md"

#: The floors from top to bottom, each with its rooms: folders or single files of ``tinycnn``. A room imports only from
#: rooms on lower floors, and from itself. docs/design.md shows the same list.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("course", "explore"),
    ("__init__",),
    ("keras", "onnx", "sklearn", "testing", "profile"),
    ("interchange", "models", "plotting"),
    ("callbacks", "sequential"),
    ("distributed",),
    ("saving", "inspection"),
    ("training",),
    ("network",),
    ("layers", "optimizers"),
    ("activations", "initializers", "regularizers", "losses", "metrics", "schedules", "augmentation", "datasets"),
    ("core",),
    ("kernels", "_checkout"),
)
#: Rooms that other issues will add; their floors are known already.
NOT_YET: set[str] = set()


def sources(root):
    """Return the module of each source file: ``tinycnn.x`` and, from the folder beside it, ``tinycnn.kernels.x``."""
    found = {}
    for folder, prefix in (("tinycnn", ("tinycnn",)), ("kernels", ("tinycnn", "kernels"))):
        for path in sorted((root / folder).rglob("*.py")):
            parts = [*prefix, *path.relative_to(root / folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)] = path
    return found


def imports(name, path, modules):
    """Yield (line, module) for everything that a file imports from tinycnn, wherever in the file the import stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    package = package.removesuffix(".__init__")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "tinycnn")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *base.split(".")]).rstrip(".")
            if base.split(".")[0] != "tinycnn":
                continue
            for alias in node.names:  # a module of a package, or a name in a module
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in modules else "tinycnn.__init__" if base == "tinycnn" else base


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


def floor(module):
    return next((number for number, rooms in enumerate(FLOORS) if room(module) in rooms), None)


def dependencies(root):
    modules = sources(root)
    return [
        (name, module, f"{path.relative_to(root)}:{line}")
        for name, path in modules.items()
        for line, module in imports(name, path, modules)
    ]


def upward(root):
    """Return, in words, each import that does not point to a lower floor."""
    return [
        f"{where} imports {module}, which is not on a lower floor"
        for name, module, where in dependencies(root)
        if room(name) != room(module) and not (floor(name) is not None and floor(name) < (floor(module) or -1))
    ]


def circles(root):
    """Return the groups of modules that reach each other by imports, the largest first (Tarjan, 1972)."""
    graph = {}
    for name, module, _ in dependencies(root):
        graph.setdefault(name, set()).add(module)
    number, low, stack, found = {}, {}, [], []

    def visit(name):
        number[name] = low[name] = len(number)
        stack.append(name)
        for module in sorted(graph.get(name, ())):
            if module not in number:
                visit(module)
            if module in stack:
                low[name] = min(low[name], low[module])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph.get(name, ()):
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return sorted(found, key=len, reverse=True)


def test_every_import_points_to_a_lower_floor():
    assert upward(ROOT) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(ROOT) == []


def test_every_room_has_a_floor():
    rooms = {room(name) for name in sources(ROOT)}
    assert rooms == {room for rooms in FLOORS for room in rooms} - NOT_YET


def test_kernels_import_nothing_of_the_engine():
    outside = [where for name, module, where in dependencies(ROOT) if room(name) == "kernels" != room(module)]
    assert outside == []


def test_the_design_page_shows_these_floors():
    block = re.search(r"```text floors\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert block, "docs/design.md has no block 'text floors'"
    shown = [tuple(re.split(r",\s*", line.split("#")[0].strip())) for line in block[1].strip().splitlines()]
    assert shown == [tuple(rooms) for rooms in FLOORS]


def walks(source):
    """Lines of loops that call forward or backward of what they go through, other than what a walk yields."""
    for loop in ast.walk(ast.parse(source)):
        if not isinstance(loop, ast.For) or ast.unparse(loop.iter).startswith(("walk_forward(", "walk_backward(")):
            continue
        targets = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
        calls = [node.func for node in ast.walk(loop) if isinstance(node, ast.Call)]
        if any(
            isinstance(call, ast.Attribute)
            and call.attr in ("forward", "backward")
            and isinstance(call.value, ast.Name)
            and call.value.id in targets
            for call in calls
        ):
            yield loop.lineno


def test_the_walk_through_the_layers_is_written_once():
    found = {name: lines for name, path in sources(ROOT).items() if (lines := list(walks(path.read_text("utf-8"))))}
    assert found.keys() == {"tinycnn.training.step"}
    assert len(found["tinycnn.training.step"]) == 2


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("core/checks.py", "from ..losses import Loss", r"tinycnn/core/checks.py:1 imports tinycnn.losses"),
        (
            "core/checks.py",
            "if TYPE_CHECKING:\n    from .. import sequential",
            r"checks.py:2 imports tinycnn.sequential",
        ),
        ("core/checks.py", "def f():\n    import tinycnn.layers.base", r"checks.py:2 imports tinycnn.layers.base"),
        ("core/checks.py", "from .. import load_model", r"checks.py:1 imports tinycnn.__init__"),
        ("losses.py", "from .metrics import get", r"tinycnn/losses.py:1 imports tinycnn.metrics"),
        ("attic.py", "from .core import checks", r"tinycnn/attic.py:1 imports tinycnn.core.checks"),
    ],
)
def test_an_import_that_points_upwards_is_found(tmp_path, file, text, message):
    for name in ("core/checks.py", "losses.py", "metrics.py", "sequential.py", "layers/base.py", "__init__.py"):
        path = tmp_path / "tinycnn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", "utf-8")
    assert upward(tmp_path) == []
    (tmp_path / "tinycnn" / file).write_text(text, "utf-8")
    [found] = upward(tmp_path)
    assert re.search(message, found)


def test_a_circle_is_found(tmp_path):
    (tmp_path / "tinycnn" / "core").mkdir(parents=True)
    for name, other in zip("abc", "bca", strict=True):
        (tmp_path / "tinycnn" / "core" / f"{name}.py").write_text(f"def f():\n    from .{other} import f", "utf-8")
    assert circles(tmp_path) == [["tinycnn.core.a", "tinycnn.core.b", "tinycnn.core.c"]]


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    pairs = {(name, module) for name, module, _ in dependencies(root)}
    print(f"{len(sources(root))} files, {len(pairs)} imports of one file by another")
    flat = {path.stem for path in (root / "tinycnn").glob("*.py")} - {"__init__", "__main__", "_checkout"}
    print(f"{len(flat)} files of the engine directly in tinycnn/")
    print(f"{len(upward(root))} imports that do not point to a lower floor")
    print(f"files in circles: {', '.join(str(len(group)) for group in circles(root)) or 'none'}")
