"""How a backend knows its kernels: each of its files lists them in ``__all__``, so that a new one touches no other."""

import importlib
import pkgutil
import sys


def collect(backend):
    """The kernels of a backend's files, by name; files that begin with an underscore, and folders, hold none.

    Parameters
    ----------
    backend : str
        The backend's package, being imported.

    Raises
    ------
    ImportError
        If two files have a kernel of one name.
    """
    kernels = {}
    for file in pkgutil.iter_modules(sys.modules[backend].__path__):
        if file.name.startswith("_") or file.ispkg:
            continue
        module = importlib.import_module(f"{backend}.{file.name}")
        for name in module.__all__:
            if name in kernels:
                raise ImportError(f"{backend}: two files have a kernel {name!r}, one of them {file.name}.py")
            kernels[name] = getattr(module, name)
    return kernels
