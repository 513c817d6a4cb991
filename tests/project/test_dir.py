"""``dir()``, and with it tab completion, shows the public names of every public module and nothing else."""

import importlib
from types import ModuleType

import pytest
from test_public_interface import MODULES, listed

#: Kernels never import the engine, so their modules list more than their kernels.
ENGINE = [name for name in MODULES if not name.startswith("tinycnn.kernels")]


@pytest.mark.parametrize("name", ENGINE)
def test_dir_shows_public_names_only(name):
    module = importlib.import_module(name)
    shown = dir(module)
    public = {line.removeprefix(f"{name}.").split("(")[0].split(".")[0] for line in listed(module)}
    assert set(shown) == public
    for one in shown:
        value = getattr(module, one)  # what is shown is there, also what is imported late
        assert not one.startswith("_") or one == "__version__"
        if isinstance(value, ModuleType):
            assert value.__name__.startswith("tinycnn.")


def test_every_public_module_of_the_package_is_among_them():
    import tinycnn

    modules = {value.__name__ for one in dir(tinycnn) if isinstance(value := getattr(tinycnn, one), ModuleType)}
    assert modules <= set(ENGINE)
