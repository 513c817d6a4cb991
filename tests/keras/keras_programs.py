"""Run a program of a folder ``programs`` with only its imports changed, on small pieces of the data sets' shapes."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))

#: Replaces the data sets by a few images of their shapes: the real ones where TINYCNN_DATA has them, or drawn digits.
SMALL_DATA = """
import os, numpy as np
from tinycnn.datasets import cifar10, digits, fashion_mnist, mnist
(_x, _y), (_u, _v) = digits.load_data()
def _small(module, colour):
    real = module.load_data
    def load_data():
        if os.environ.get("TINYCNN_DATA"):
            (x, y), (u, v) = real()
        else:
            x, y, u, v = _x, _y, _u, _v
            if colour:
                x, u = (np.repeat(np.pad(a, ((0, 0), (2, 2), (2, 2)))[..., None], 3, 3) for a in (x[:400], u[:200]))
        return (x[:400], y[:400]), (u[:200], v[:200])
    module.load_data = load_data
for _module, _colour in ((mnist, False), (fashion_mnist, False), (cifar10, True)):
    _small(_module, _colour)
"""


def with_changed_imports(text):
    """Return a program in which ``keras``, ``tf.keras`` and ``tensorflow.keras`` are tinycnn's."""
    text = re.sub(r"^(\s*)import tensorflow\.keras as (\w+)", r"\1from tinycnn import keras as \2", text, flags=re.M)
    text = re.sub(r"^(\s*)import tensorflow as\b", r"\1from tinycnn.keras import tensorflow as", text, flags=re.M)
    text = re.sub(r"^(\s*)from tensorflow import keras", r"\1from tinycnn import keras", text, flags=re.M)
    text = re.sub(r"^(\s*)from (tensorflow\.)?keras\b", r"\1from tinycnn.keras", text, flags=re.M)
    return re.sub(r"^(\s*)import keras$", r"\1from tinycnn import keras", text, flags=re.M)


def run(path, folder):
    """Run a program in a process and a folder of its own, and return what it printed and what it was told."""
    text = with_changed_imports(path.read_text("utf-8"))
    assert not re.search(r"^\s*(from|import) (keras|tensorflow)\b", text, re.M)
    text = re.sub(r"^from __future__.*\n", "", text, flags=re.M)
    program = folder / path.name
    program.write_text(SMALL_DATA + text, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, program], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
