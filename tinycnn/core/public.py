"""What ``dir(module)`` and tab completion show of a public module: its public names, and not what it imports."""

import sys
from collections.abc import Callable


def listing(module: str) -> Callable[[], list[str]]:
    """Return the function ``__dir__`` of a module: it lists ``__all__`` or, without that, what is defined there.

    Parameters
    ----------
    module : str
        The module's ``__name__``.

    Examples
    --------
    >>> from tinycnn import regularizers
    >>> dir(regularizers)
    ['L1', 'L1L2', 'L2', 'REGISTRY', 'REGULARIZERS', 'Regularizer', 'get', 'l1', 'l1_l2', 'l2']
    """

    def names() -> list[str]:
        content = vars(sys.modules[module])
        return sorted(content.get("__all__") or [name for name in content if _is_public(name, content[name], module)])

    return names


def _is_public(name: str, value: object, module: str) -> bool:
    """Return whether a name is for users: a class, a function or a constant of the module itself."""
    if name.startswith("_") or name == "TYPE_CHECKING":
        return False
    return getattr(value, "__module__", None) == module or (name.isupper() and not callable(value))
