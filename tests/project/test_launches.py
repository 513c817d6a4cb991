"""The cpu backend computes only in launches: a training step is recorded as a list of these, and replayed from it."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "kernels" / "cpu"
FILES = [path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.rglob("*.py"))]
LOOPS = {"machine/parallel.py", "machine/program.py"}  # run the chunks of one kernel, and those of many

#: Functions of NumPy that compute something new from values; jitted code has no use for them either.
COMPUTING = {
    *("add", "subtract", "multiply", "divide", "square", "sqrt", "exp", "log", "sum", "mean", "var", "add.reduce"),
    *("dot", "matmul", "einsum", "repeat", "tile", "concatenate", "stack", "ascontiguousarray"),
}


def uses(source):
    """Yield (line, what) for each parallel loop of its own, and for each call of NumPy that computes from values."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.alias) and "prange" in (getattr(node, "id", ""), getattr(node, "name", "")):
            yield node.lineno, "prange"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("np."):
            name = ast.unparse(node.func).removeprefix("np.")
            if name in COMPUTING:
                yield node.lineno, f"np.{name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("sum", "mean"):
            yield node.lineno, f".{node.func.attr}()"


@pytest.mark.parametrize("file", FILES)
def test_a_kernel_computes_nothing_outside_of_launches(file):
    """A replay would repeat neither a loop that a kernel launches by itself nor what NumPy computes in between."""
    found = [f"{file}:{line}: {what}" for line, what in uses((FOLDER / file).read_text("utf-8"))]
    found = [use for use in found if not (file in LOOPS and use.endswith("prange"))]
    assert not found, "make it a @parallel function, and launch that"


def test_the_search_finds_what_it_looks_for():
    assert {what for _, what in uses("from numba import prange")} == {"prange"}
    assert {what for _, what in uses("np.sum(dy, axis=0, out=db)\nx.sum(axis=0)\nnp.empty(3)")} == {"np.sum", ".sum()"}


@pytest.mark.parametrize("file", sorted(LOOPS))
def test_the_loops_are_where_they_are_looked_for(file):
    assert "prange" in {what for _, what in uses((FOLDER / file).read_text("utf-8"))}
