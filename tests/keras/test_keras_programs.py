"""Programs for Keras, in the styles of ten years, run with only their imports changed."""

import ast
import re

import pytest
from keras_programs import PROGRAMS, run, with_changed_imports

#: What each program prints when it has come to its end.
LAST = {
    "cats_dogs_2018": r"\(1, 1\) \(24, 24\)\n\[\d\.\d+, \d\.\d+\]$",
    "cifar_2017": r"accuracy: \d+\.\d\d%$",
    "cifar_constraint_2016": r"Accuracy: \d+\.\d\d%\nTrue$",
    "cifar_tf_2020": r"1 1 \d\.\d+$",
    "digits_kaggle_2018": r"12 \[\d\.\d+, \d\.\d+\] \[0\.001, 0\.001\]\n\(200,\)$",
    "fashion_tf_2019": r"True\n\(1, 10\)$",
    "flowers_2022": r"\['accuracy', 'loss', 'val_accuracy', 'val_loss'\]$",
    "mnist_2016": r"Test accuracy: \d\.\d+\n\(5,\)$",
    "mnist_2017": r"Test accuracy: \d\.\d+$",
    "mnist_2026": r"\(200, 10\)$",
}
#: What they are told about arguments that mean another thing here, or nothing.
TOLD = {
    "cifar_2017": (
        "decay=1e-06 stands for the schedule",
        "workers has no effect",
        ".h5 files are written in tinycnn's",
    ),
    "cifar_constraint_2016": ("decay=0.01 stands for the schedule",),
    "digits_kaggle_2018": ("monitor is 'val_accuracy', the name in the logs of 'val_acc'",),
    "mnist_2016": ("as in Keras 1, the kernel has 3 rows and 3 columns", "programs of that time mean Adadelta(1.0)"),
    "mnist_2017": ("programs of that time mean Adadelta(1.0)",),
    "mnist_2026": (".keras files are written in tinycnn's own format",),
}
QUICK = ("mnist_2017", "digits_kaggle_2018")


@pytest.mark.parametrize(
    "path", [pytest.param(p, marks=() if p.stem in QUICK else pytest.mark.slow, id=p.stem) for p in PROGRAMS]
)
def test_a_program_runs_with_only_its_imports_changed(path, tmp_path):
    out, told = run(path, tmp_path)
    assert re.search(LAST[path.stem], out.strip()), out
    for text in TOLD.get(path.stem, ()):
        assert text in told
    assert "Traceback" not in told


def test_there_are_ten_programs_and_all_are_watched():
    assert {path.stem for path in PROGRAMS} == LAST.keys()
    assert len(LAST) == 10


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_knows_nothing_of_tinycnn(path):
    text = path.read_text("utf-8")
    assert "tinycnn" not in text
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules & {"keras", "tensorflow"}
    assert modules <= {"__future__", "keras", "tensorflow", "numpy", "os", "PIL"}


def test_imports_are_all_that_is_changed():
    text = (
        "import keras\nfrom keras import backend as K\nfrom tensorflow import keras\nimport tensorflow.keras as keras\n"
        "from tensorflow.keras.layers import Dense\nfrom keras.utils import np_utils\nkeras.Sequential()\n"
        "import tensorflow as tf\n"
    )
    assert with_changed_imports(text).splitlines() == [
        "from tinycnn import keras",
        "from tinycnn.keras import backend as K",
        "from tinycnn import keras",
        "from tinycnn import keras as keras",
        "from tinycnn.keras.layers import Dense",
        "from tinycnn.keras.utils import np_utils",
        "keras.Sequential()",
        "from tinycnn.keras import tensorflow as tf",
    ]
