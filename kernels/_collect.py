"""How a backend finds its kernels: each of its files lists its own in ``__all__``, so a new file changes no other."""

import importlib
import pkgutil
import sys


def collect(backend):
    """Return the kernels of a backend's files, by name. Sub-packages and files that begin with an underscore hold none.

    Parameters
    ----------
    backend : str
        The name of the backend's package, which is being imported.

    Returns
    -------
    dict of str to function

    Raises
    ------
    ImportError
        If two files have a kernel of the same name.
    """
    kernels = {}
    for file in pkgutil.iter_modules(sys.modules[backend].__path__):
        if file.name.startswith("_") or file.ispkg:
            continue
        module = importlib.import_module(f"{backend}.{file.name}")
        for name in module.__all__:
            if name in kernels:
                raise ImportError(
                    f"{backend}: two files have a kernel {name!r}, one of them {file.name}.py; rename one of the two"
                )
            kernels[name] = getattr(module, name)
    return kernels
