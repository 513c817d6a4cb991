"""Public names, their arguments and the commands stay as they are; what is added is free, what changes is written down.

``public_interface.txt`` lists every public name with its arguments, and every command with its options. A name may be
added at any time. To change or remove one, change its line in the file and say so in the changelog. This prints the
list as it is now::

    python tests/project/test_public_interface.py
"""

import argparse
import importlib
import inspect
import sys
from pathlib import Path
from types import GenericAlias, ModuleType

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
from helpers import installed  # noqa: E402

LIST = HERE / "public_interface.txt"

#: Whether scikit-learn is installed, which only the extra of its name does.
WITH_SKLEARN = installed("sklearn")
MODULES = (
    *("tinycnn", "tinycnn.activations", "tinycnn.augmentation", "tinycnn.callbacks", "tinycnn.datasets"),
    "tinycnn.distributed",
    *("tinycnn.datasets.cifar10", "tinycnn.datasets.digits", "tinycnn.datasets.fashion_mnist"),
    *(
        "tinycnn.datasets.mnist",
        "tinycnn.initializers",
        "tinycnn.interchange",
        "tinycnn.layers",
        "tinycnn.losses",
        "tinycnn.metrics",
    ),
    *(
        "tinycnn.models",
        "tinycnn.onnx",
        "tinycnn.optimizers",
        "tinycnn.plotting",
        "tinycnn.profile",
        "tinycnn.regularizers",
    ),
    *(
        f"tinycnn.keras{name}"
        for name in (
            *("", ".activations", ".backend", ".callbacks", ".constraints", ".datasets", ".datasets.cifar10"),
            *(".datasets.fashion_mnist", ".datasets.mnist", ".initializers", ".layers", ".losses", ".metrics"),
            *(".models", ".optimizers", ".preprocessing", ".preprocessing.image", ".regularizers", ".schedules"),
            *(".tensorflow", ".utils"),
        )
    ),
    *("tinycnn.schedules", "tinycnn.testing", "tinycnn.testing.strategies"),
    *("tinycnn.kernels.reference", "tinycnn.kernels.cpu"),
    *(("tinycnn.sklearn",) if WITH_SKLEARN else ()),
)


def arguments(function):
    """Return the names, kinds and defaults of a function's arguments, without annotations and without ``self``."""
    if isinstance(function, GenericAlias):  # Python 3.13 knows the arguments of dict in dict[str, float]
        return "(…)"
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return "(…)"
    plain = [one.replace(annotation=one.empty) for one in parameters if one.name not in ("self", "cls")]
    return str(inspect.Signature(plain))


def members(cls):
    """Yield the public methods and other attributes of one of tinycnn's classes, also inherited ones."""
    for name in sorted(dir(cls)):
        home = next((base for base in cls.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not home.__module__.startswith("tinycnn"):
            continue
        value = inspect.getattr_static(cls, name)
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        yield f".{name}{arguments(value)}" if inspect.isroutine(value) else f".{name}"


def listed(module):
    """Yield the lines of the list for one module."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name != "TYPE_CHECKING"
        and (getattr(value, "__module__", None) == module.__name__ or (name.isupper() and not callable(value)))
    ]
    for name in sorted(names):
        value = getattr(module, name)
        full = f"{module.__name__}.{name}"
        if inspect.isclass(value):
            yield f"{full}{arguments(value)}"
            yield from (f"{full}{member}" for member in members(value))
        elif isinstance(value, ModuleType) or not callable(value):
            yield full
        else:
            yield f"{full}{arguments(value)}"


def commands():
    """Yield the lines of the list for the command line."""
    from tinycnn import cli

    [subparsers] = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for name, parser in sorted(subparsers.choices.items()):
        yield f"$ tinycnn {name}"
        for action in parser._actions:
            if action.dest != "help":
                words = "/".join(action.option_strings) or action.dest
                yield f"$ tinycnn {name} {words} nargs={action.nargs} default={action.default}"


def interface():
    lines = [line for name in MODULES for line in listed(importlib.import_module(name))]
    return [*lines, *commands()]


def test_what_was_public_is_public_still():
    now = set(interface())
    lines = LIST.read_text("utf-8").splitlines()
    if not WITH_SKLEARN:
        lines = [line for line in lines if not line.startswith("tinycnn.sklearn.")]
    missing = [line for line in lines if line and line not in now]
    assert missing == [], "changed or removed: see the beginning of this file"


def test_the_list_has_what_users_begin_with():
    text = LIST.read_text("utf-8")
    for line in (
        "tinycnn.Sequential.fit(x, y=None, batch_size=32, ",
        "tinycnn.load_model(filepath, ",
        "$ tinycnn train --epochs",
    ):
        assert line in text


if __name__ == "__main__":
    print("\n".join(interface()))
