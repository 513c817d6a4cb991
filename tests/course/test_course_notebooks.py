"""Notebooks are made of the pages, and run."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from tinycnn import course

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(tmp_path):
    """Make the notebooks, and return them by the names of their files."""
    pytest.importorskip("jupytext", reason="needs jupytext, from the extra docs")
    script = ROOT / "docs" / "course" / "make_notebooks.py"
    spec = importlib.util.spec_from_file_location("make_notebooks", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {path.name: path for path in module.make(tmp_path)}


def test_every_page_becomes_a_notebook_with_its_programs_and_without_outputs(made):
    extras = [name for name in made if name.startswith("extra-")]
    assert len(extras) == 4
    assert len(made) == len(course.names()) + len(extras)
    for name, path in made.items():
        cells = json.loads(path.read_text("utf-8"))["cells"]
        programs = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        assert len(programs) == (1 if name in extras else 2)  # the program, and the broken function
        assert programs[0].startswith("import " if name in extras else "import numpy as np")
        assert not any(cell.get("outputs") for cell in cells)
        text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert "Solutions" not in text
        assert (path.parent / text.partition("](")[2].partition(")")[0]).is_file()


@pytest.mark.slow
def test_a_notebook_runs(made):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel, from the extra dev")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, from the extra dev")
    pytest.importorskip("ipykernel", reason="needs ipykernel, from the extra dev")
    notebook = nbformat.read(made["03-backward.ipynb"], 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "dw[0,0]  formula" in code[0].outputs[0].text
