"""See inside a network: a page, served on this machine, on which every number can be followed to its products.

``tinycnn explore`` opens it for a run, a model's file or a documented network. :func:`show` opens it for a model in
memory, also one with layers of your own. It needs the extra ``explore``: ``pip install "tinycnn[explore]"``.
"""

from typing import Any

from ..core.public import listing
from .session import Data, Session

__all__ = ["Data", "Session", "show"]
__dir__ = listing(__name__)


def show(model: Any, data: Data | None = None, *, port: int | None = None, browser: bool = True) -> None:
    """Open the page for a model, and serve it until Ctrl-C.

    Parameters
    ----------
    model : Sequential
        A built model that takes images.
    data : Data, optional
        Images to look at, with labels and the classes' names.
    port : int, optional
        By default 8712 or, if that is in use, any free port.
    browser : bool
        Whether to open a browser.

    Raises
    ------
    ModuleNotFoundError
        If the extra ``explore`` is not installed.
    OSError
        If the port is in use.
    ValueError
        If the model is not built, or the images do not have its shape.
    """
    need_extra()
    from .server import serve

    serve(Session(model, data), port, browser)


def need_extra() -> None:
    """Raise ModuleNotFoundError, with the command that cures it, if the extra is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ModuleNotFoundError(
            f'the page needs the extra "explore" ({error}): pip install "tinycnn[explore]", or in a checkout '
            'pip install -e ".[explore]"'
        ) from None
