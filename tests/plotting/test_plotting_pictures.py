"""The documentation's page on plotting shows a picture of each function, which the build draws."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import pooling_network

import tinycnn
from tinycnn import plotting

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))
import plotting_pictures  # noqa: E402


def test_the_page_has_a_picture_of_each_function():
    assert sorted(plotting_pictures.CALLS) == sorted(plotting.__all__)
    assert ".. pictures::" in (ROOT / "docs" / "reference" / "plotting.rst").read_text("utf-8")
    tracked = (ROOT / ".gitignore").read_text("utf-8")
    assert f"docs/{plotting_pictures.FOLDER}/" in tracked


@pytest.mark.slow
def test_the_calls_on_the_page_draw(tmp_path):
    """This uses a smaller network than the page does; the build of the documentation draws all pictures."""
    with tinycnn.use_backend("reference"):
        tinycnn.set_seed(0)
        model = pooling_network(8)
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    x, y = np.random.default_rng(0).random((8, 8, 8, 1), dtype=np.float32), np.arange(8) % 4
    trace = model.trace(x, y)
    names = {"model": model, "x_test": x, "y_test": y, "image": x[0], "trace": trace, "before": trace}
    names |= {"history": model.fit(x, y, verbose=0), "probabilities": model.predict(x)}
    calls = {name: call.replace("max_pooling2d_1", "max_pooling2d") for name, call in plotting_pictures.CALLS.items()}
    del calls["samples_per_class"]  # it draws the same as on the page, in another test
    plotting_pictures.draw_all(tmp_path, names, calls)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(set(calls) - {"im2col"})
