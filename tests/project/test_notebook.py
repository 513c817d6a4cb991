"""The notebook in examples/ runs from top to bottom and shows what it should, each picture once."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_notebook.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Run the notebook in an empty folder, and return its cells of code with their outputs."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel, from the extra dev")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, from the extra dev")
    pytest.importorskip("ipykernel", reason="needs ipykernel, from the extra dev")
    notebook = nbformat.read(NOTEBOOK, 4)
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.delenv("MPLBACKEND", raising=False)  # notebooks have a backend of their own
        nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_with(cells, text):
    [found] = [cell for cell in cells if text in cell.source]
    return found


def texts(cell, kind="text/plain"):
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


def streams(cell, name):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == name)


@pytest.mark.slow
def test_nothing_is_complained_about(cells):
    assert "".join(streams(cell, "stderr") for cell in cells) == ""


@pytest.mark.slow
@pytest.mark.parametrize("function", ["samples_per_class", "plotting.history", "feature_maps"])
def test_a_picture_is_drawn_once(cells, function):
    assert len(texts(cell_with(cells, f"{function}("), "image/png")) == 1


@pytest.mark.slow
def test_progress_is_one_line_and_one_more_for_each_epoch(cells):
    cell = cell_with(cells, "model.fit(")
    assert re.findall(r"^Epoch (\d)/3  .* val_accuracy", streams(cell, "stdout"), re.MULTILINE) == ["1", "2", "3"]
    moving = [output for output in cell.outputs if output.output_type == "display_data"]
    assert [
        re.fullmatch(r"Epoch 3/3  [\d.]+ s in all", output.data["text/plain"]) is not None for output in moving
    ] == [True]
    assert "\r" not in streams(cell, "stdout")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "html", "plain"),
    [
        ("\nmodel", "max_pooling2d", "<Sequential 'sequential': 4 layers>"),
        ("\nhistory", "val_accuracy", "<History of 3 epochs; the last: loss "),
        ("\ntrace", "rms of dy", "layer          result"),
        ("check_gradients", "elements agree", "largest relative error"),
    ],
)
def test_objects_show_themselves_as_tables_and_as_text(cells, source, html, plain):
    [cell] = [cell for cell in cells if ("\n" + cell.source).endswith(source) or source in cell.source.split("(")[0]]
    assert html in texts(cell, "text/html")[-1]
    assert "<table" in texts(cell, "text/html")[-1]
    assert plain in texts(cell)[-1]


def test_the_notebook_holds_no_outputs():
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel, from the extra dev")
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []


def sources():
    """Return the code of the notebook's cells."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def installs(source):
    return "%pip install" in source


@pytest.mark.slow
def test_the_cells_run_as_a_program_without_jupyter(tmp_path):
    """What no cell needs is Jupyter, but for the one that installs tinycnn in Colab."""
    (tmp_path / "program.py").write_text("\n".join(s for s in sources() if not installs(s)), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-W", "error::UserWarning", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "val_accuracy" in done.stdout


class Shell:
    """Stand in for what IPython puts in the place of a magic."""

    def __init__(self):
        self.lines = []

    def run_line_magic(self, name, line):
        self.lines.append((name, line))


@pytest.mark.parametrize("colab", [False, True])
@pytest.mark.parametrize("address", ["", "https://github.com/a-school/cnn"])
def test_only_in_colab_tinycnn_is_installed_from_the_repository(monkeypatch, colab, address):
    inputs = pytest.importorskip("IPython.core.inputtransformer2", reason="needs ipykernel, from the extra dev")
    [source] = [source for source in sources() if installs(source)]
    source = re.sub(r"REPOSITORY = .*", f"REPOSITORY = {address!r}", source)
    code = compile(inputs.TransformerManager().transform_cell(source), "cell", "exec")
    shell = Shell()
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    if colab and not address:
        with pytest.raises(AssertionError, match="write the address of the repository"):
            exec(code, {"get_ipython": lambda: shell})
    else:
        exec(code, {"get_ipython": lambda: shell})
    assert shell.lines == ([("pip", "install -q git+{REPOSITORY}")] if colab and address else [])


def test_colab_installs_before_anything_else():
    assert [installs(source) for source in sources()] == [True] + [False] * (len(sources()) - 1)
