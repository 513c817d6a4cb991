"""Draw the pictures of the page on plotting: a small network is trained, and each plotting function shows something.

``.. pictures::`` shows them all, each with the name of its function and the call that drew it. The files are written
into ``reference/pictures/`` when the build begins, and are not committed. Without Sphinx, this draws them::

    python docs/_ext/plotting_pictures.py FOLDER
"""

import ast
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import tinycnn
from tinycnn import Sequential, datasets, layers, plotting

FOLDER = "reference/pictures"
_DPI = 100


def material(images: int = 3000, epochs: int = 3) -> dict[str, Any]:
    """Return what the pictures show: digits, and a network that was trained on them.

    The network runs on the reference backend, so that the build of the documentation compiles no kernels.
    """
    (x_train, y_train), (x_test, y_test) = datasets.digits.load_data()
    x, x_test = (array[:images, ..., np.newaxis].astype(np.float32) / 255 for array in (x_train, x_test))
    y, y_test = y_train[:images], y_test[:images]
    with tinycnn.use_backend("reference"):
        untrained, model = network(), network()
    history = model.fit(x, y, epochs=epochs, batch_size=64, validation_data=(x_test[:500], y_test[:500]), verbose=0)
    before, trace = (one.trace(x[:64], y[:64]) for one in (untrained, model))
    probabilities = model.predict(x_test)
    image = x_test[4]
    return {name: value for name, value in locals().items() if name not in ("images", "epochs", "x_train", "y_train")}


def network() -> Sequential:
    """Return a small network; the learning rate is so high that some of its units die."""
    tinycnn.set_seed(7)
    model = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(tinycnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


#: The call that draws the picture of each plotting function, as a reader would write it.
CALLS = {
    "history": "plotting.history(history)",
    "predictions": 'plotting.predictions(x_test, y_test, probabilities, "worst")',
    "samples_per_class": "plotting.samples_per_class(x_test, y_test)",
    "confusion_matrix": "plotting.confusion_matrix(y_test, probabilities)",
    "per_class_accuracy": "plotting.per_class_accuracy(y_test, probabilities)",
    "filters": "plotting.filters(model)",
    "feature_maps": "plotting.feature_maps(model, image)",
    "one_output": "plotting.one_output(model, image)",
    "pooling_winners": 'plotting.pooling_winners(model, image, "max_pooling2d_1")',
    "receptive_field": 'plotting.receptive_field(model, "max_pooling2d_1", image=image, measured=True)',
    "saliency": "plotting.saliency(model, image)",
    "gradient_flow": "plotting.gradient_flow(trace)",
    "gradient_flows": 'plotting.gradient_flows({"before training": before, "after training": trace})',
    "dropout_mask": "plotting.dropout_mask(trace)",
    "batch_statistics": "plotting.batch_statistics(trace)",
    "dead_units": "plotting.dead_units(trace)",
    "im2col": "print(plotting.im2col())",
}


def draw(call: str, names: Mapping[str, Any]) -> Figure:
    """Draw what a call draws, into a figure that pyplot does not know."""
    figure = Figure()
    parsed = ast.parse(call, mode="eval").body
    assert isinstance(parsed, ast.Call)
    assert isinstance(parsed.func, ast.Attribute)
    function: Callable[..., Any] = getattr(plotting, parsed.func.attr)
    named = {keyword.arg: _value(keyword.value, names) for keyword in parsed.keywords if keyword.arg}
    function(*(_value(one, names) for one in parsed.args), **named, ax=figure)
    return figure


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of an argument, which is a name, a constant, or a dict of these."""
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Dict):
        keys = (ast.literal_eval(key) for key in node.keys if key is not None)
        return dict(zip(keys, (_value(one, names) for one in node.values), strict=True))
    return ast.literal_eval(node)


def draw_all(folder: Path, names: Mapping[str, Any], calls: Mapping[str, str] = CALLS) -> None:
    """Draw the pictures of all functions into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, call in calls.items():
        if not call.startswith("print"):
            draw(call, names).savefig(folder / f"{name}.png", dpi=_DPI, metadata={"Software": None})


def setup(app: Any) -> dict[str, Any]:
    """Register the directive, and draw the pictures when the build begins."""
    from docutils import nodes
    from sphinx.util.docutils import SphinxDirective

    class Pictures(SphinxDirective):
        """The directive ``pictures``: every picture, with its function and the call that drew it."""

        def run(self) -> list[nodes.Node]:
            text = ""
            for name, call in CALLS.items():
                said = (inspect.getdoc(getattr(plotting, name)) or "").partition("\n\n")[0].replace("\n", " ")
                text += f":func:`~tinycnn.plotting.{name}`\n\n.. code-block:: python\n\n   {call}\n\n"
                if name == "im2col":
                    printed = "\n".join(f"   {line}" for line in str(plotting.im2col()).splitlines())
                    text += f".. code-block:: text\n\n{printed}\n\n"
                else:
                    text += f".. image:: /{FOLDER}/{name}.png\n   :alt: {said}\n\n"
            return self.parse_text_to_nodes(text)

    app.add_directive("pictures", Pictures)
    app.connect("builder-inited", lambda app: draw_all(Path(app.srcdir) / FOLDER, material()))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]), material())
