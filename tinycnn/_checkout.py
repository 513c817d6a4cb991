"""Lets ``import tinycnn`` work from a checkout's root, where ``tinycnn/`` has no ``kernels`` inside.

An installation puts the folder ``kernels/`` at ``tinycnn/kernels`` (see setup.py). From the root of a checkout Python
finds ``./tinycnn`` first, even beside an installed copy; there the kernels are the sibling folder.
"""

import importlib.util
import sys
from pathlib import Path


def find_kernels() -> None:
    """Register the sibling folder ``kernels`` as ``tinycnn.kernels`` unless the installed place holds it."""
    package = Path(__file__).parent
    source = package.parent / "kernels" / "__init__.py"
    if (package / "kernels").exists() or "tinycnn.kernels" in sys.modules or not source.exists():
        return
    spec = importlib.util.spec_from_file_location(
        "tinycnn.kernels", source, submodule_search_locations=[str(source.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tinycnn.kernels"] = module
    spec.loader.exec_module(module)
    # What an import statement does after loading a submodule, so that `tinycnn.kernels` is an attribute too.
    setattr(sys.modules[__package__], "kernels", module)  # noqa: B010  (mypy knows no such attribute)
