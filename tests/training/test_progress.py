"""What ``fit`` shows while it runs: a bar in a terminal, a line that moves in a notebook, and a history at the end."""

import io
import sys
import time
import types

import numpy as np
import pytest

from tinycnn import Sequential, callbacks, layers, testing, use_backend
from tinycnn.training import progress
from tinycnn.training.callback import History


class Screen(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self):
        return True


def fit(epochs=2, verbose=1, **arguments):
    x, y = np.random.default_rng(0).normal(size=(24, 4, 4, 1)), np.arange(24) % 3
    with use_backend("reference"):
        model = Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    return model, model.fit(x, y, batch_size=4, epochs=epochs, verbose=verbose, **arguments)


@pytest.fixture
def notebook(monkeypatch):
    """Return the list of what a notebook is told to display, once the test has called its method ``begin``."""

    class Told(list):
        def begin(self):  # only now, because pytest puts its own stream in place before each test
            stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
            monkeypatch.setattr(sys, "stdout", stream)

    told = Told()

    class Handle:
        def update(self, data, raw):
            told.append(("update", data["text/plain"]))

    def display(data, raw, display_id):
        told.append(("display", data["text/plain"]))
        return Handle()

    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return told


def test_a_notebook_gets_one_display_that_is_seldom_renewed(notebook):
    notebook.begin()
    fit(epochs=3)
    lines = sys.stdout.getvalue().splitlines()
    assert [line[:9] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert notebook[0] == ("display", "Epoch 1/3")
    assert [kind for kind, _ in notebook].count("display") == 1
    # Each epoch has six batches, but it is over before the line is due again.
    assert len(notebook) <= 6 + 2
    assert notebook[-1][1].startswith("Epoch 3/3  ")
    assert notebook[-1][1].endswith(" s in all")


def test_the_line_of_a_notebook_tells_how_far_the_epoch_is(notebook, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0)
    notebook.begin()
    fit(epochs=1)
    shares = [text.split("  ")[1] for _, text in notebook[1:-1]]
    assert shares == [f"{share} of 24 images" for share in ("17%", "33%", "50%", "67%", "83%", "100%")]
    assert "loss 1." in notebook[1][1]


@pytest.mark.parametrize("verbose", [0, 2])
def test_a_notebook_is_told_nothing_if_that_is_not_wanted(notebook, verbose):
    notebook.begin()
    fit(verbose=verbose)
    assert notebook == []
    assert len(sys.stdout.getvalue().splitlines()) == verbose


def test_output_that_is_caught_in_a_notebook_has_lines_only(notebook, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    fit()
    assert notebook == []
    assert len(sys.stdout.getvalue().splitlines()) == 2


def test_the_bar_of_a_terminal_fits_it_and_goes_away(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", Screen())
    fit(validation_split=0.5)
    shown = sys.stdout.getvalue()
    assert "0%|" in shown
    lines = [line.rpartition("\r")[2] for line in shown.split("\n")]
    assert [line[:9] for line in lines if line.startswith("Epoch")] == ["Epoch 1/2", "Epoch 2/2"]
    assert max(map(len, lines)) <= 80


def test_the_bar_of_a_terminal_without_unicode(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    screen.isatty = lambda: True
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stdout", screen)

    def note(batch, logs):
        logs["größe"] = 1.0
        time.sleep(0.11)  # longer than tqdm waits between two looks

    fit(epochs=1, callbacks=[callbacks.LambdaCallback(on_train_batch_end=note)])
    assert b"|#" in screen.buffer.getvalue()
    assert b"grosse 1.0000" in screen.buffer.getvalue()


def test_a_history_shows_its_last_epoch_and_as_html_all():
    _, history = fit(epochs=2, verbose=0)
    loss = history.history["loss"]
    assert repr(history).startswith(f"<History of 2 epochs; the last: loss {loss[-1]:.4f}  accuracy ")
    assert repr(fit(epochs=1, verbose=0)[1]).startswith("<History of 1 epoch; ")
    html = history._repr_html_()
    assert html.count("<tr>") == 3
    assert all(f"{value:.4f}" in html for value in loss)
    assert repr(History()) == "<History of no epochs>"
    assert "<table>" in History()._repr_html_()


def test_a_history_with_other_values_and_many_epochs():
    history = History()
    for epoch in range(100):
        logs = {"loss": epoch / 7} | ({"<b>note": "<i>", "what": None} if epoch > 97 else {})
        history.on_epoch_end(epoch, logs)
    html = history._repr_html_()
    assert html.count("<tr>") == 1 + 20 + 1
    assert "<b>" not in html
    assert "<i>" not in html
    assert html.count("&lt;i&gt;") == 2
    assert "…" in html
    assert "<b>note <i>  what None" in repr(history)


def test_tables_of_models_and_reports():
    model, _ = fit(epochs=1, verbose=0)
    html = model._repr_html_()
    assert "51 parameters" in html
    assert "(N, 16)" in html
    early = Sequential([layers.Dense(3, name="<b>")], name="<script>")
    html = early._repr_html_()
    assert "not built yet" in html
    assert "<b>" not in html
    assert "<script>" not in html
    assert "<table>" in Sequential()._repr_html_()
    x = np.random.default_rng(0).normal(size=(2, 4))
    with use_backend("reference"):
        report = testing.check_gradients(layers.Dense(3), x)
    assert "elements agree" in report._repr_html_()
    assert repr(report) == str(report)
    trace = model.trace(np.ones((2, 4, 4, 1)), [0, 1])
    assert trace._repr_html_().count("<tr>") == 3
