"""Write down the signatures of Keras's public classes that tinycnn has too.

Usage: ``python tests/project/keras_signatures.py > tests/project/keras_signatures.txt``.

The list, ``keras_signatures.txt``, is committed, so that the test that compares tinycnn's signatures with it needs no
Keras. This program needs the Keras of ``pip install -e ".[compat]"``, and prints the list.
"""

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))

#: Where each family's classes are, here and in Keras.
MODULES = {
    "layers": "keras.layers",
    "losses": "keras.losses",
    "metrics": "keras.metrics",
    "optimizers": "keras.optimizers",
    "schedules": "keras.optimizers.schedules",
    "initializers": "keras.initializers",
    "regularizers": "keras.regularizers",
    "callbacks": "keras.callbacks",
}
#: The methods of a model whose arguments are compared.
METHODS = (
    *("add", "build", "compile", "evaluate", "fit", "get_layer", "load_weights", "predict", "save", "save_weights"),
    *("summary", "train_on_batch", "test_on_batch", "predict_on_batch"),
)
#: Classes of one name that are different things here and in Keras.
OTHER_THINGS = ("schedules.Constant",)


def pairs() -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the place in Keras, and tinycnn's function for each signature that is compared."""
    import tinycnn
    from tinycnn import activations

    for module, place in MODULES.items():
        ours = importlib.import_module(f"tinycnn.{module}")
        for name in sorted(vars(ours)):
            cls = getattr(ours, name)
            if isinstance(cls, type) and cls.__name__ == name and not name.startswith("_"):
                compared = cls.__module__.startswith("tinycnn.") and f"{module}.{name}" not in OTHER_THINGS
                yield from [(f"{module}.{name}", f"{place}.{name}", cls)] * compared
    for name, cls in sorted(activations.ACTIVATIONS.items()):
        yield f"activations.{name}", f"keras.activations.{name}", cls
    yield "Sequential", "keras.Sequential", tinycnn.Sequential
    for name in METHODS:
        yield f"Sequential.{name}", f"keras.Sequential.{name}", getattr(tinycnn.Sequential, name)
    yield "load_model", "keras.models.load_model", tinycnn.load_model


def signature(function: Any, *, without_x: bool = False) -> str:
    """Return the names and defaults of arguments as text, without ``self``."""
    found = inspect.signature(function.__init__ if isinstance(function, type) else function)
    kept = [one.replace(annotation=one.empty) for one in found.parameters.values() if one.name != "self"]
    if without_x:
        kept = kept[1:]
    return str(inspect.Signature(kept))


def main() -> None:
    """Print the list."""
    import keras

    print(f"# Keras {keras.__version__}")
    for name, place, _ in pairs():
        found: Any = keras
        for part in place.split(".")[1:]:
            found = getattr(found, part, None)
        if found is not None:
            print(f"{name}{signature(found, without_x=name.startswith('activations.'))}")


if __name__ == "__main__":
    main()
