"""Call everything in the catalogue with every wrong value, and judge what comes of it."""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import catalogue, values

#: What the documentation says that functions raise.
DOCUMENTED = (ValueError, TypeError, KeyError, OSError, NotImplementedError)
#: Words that say as well as the argument's name what is meant: what Python, or a layer, calls it.
OTHER_WORDS = {
    "config": r"__init__\(\)",
    "input_shape": "sample of shape|a result of shape|a window of",
    "max_bytes": "limit of",
    "layer": "position must be",
    "loss": "target",
    "x": r"y: expected \d+|input_shape must be",
    "y_true": "targets",
    "y_pred": "predictions",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a call with one wrong argument."""

    name: str
    argument: str
    value: str
    error: BaseException | None
    nan: bool = False

    @property
    def message(self) -> str:
        """The error's, or nothing."""
        return "" if self.error is None else str(self.error)

    @property
    def is_internal(self) -> bool:
        """It raised something that nobody expects."""
        return self.error is not None and not isinstance(self.error, DOCUMENTED)

    @property
    def is_unnamed(self) -> bool:
        """It raised something that does not say which argument is wrong; an error of a file names the file."""
        if self.error is None or self.is_internal or isinstance(self.error, OSError):
            return False
        words = f"{re.escape(self.argument)}|{OTHER_WORDS.get(self.argument, self.argument)}"
        return re.search(rf"\b({words})", self.message) is None

    @property
    def takes_nan(self) -> bool:
        """A constructor worked with NaN."""
        return self.nan and self.error is None and self.name.rpartition(".")[2][0].isupper()

    def __str__(self) -> str:
        kind = "works" if self.error is None else type(self.error).__name__
        return f"{self.name}({self.argument}={self.value}): {kind}: {self.message[:200]}"


def attempt(
    name: str,
    call: Callable[..., Any],
    good: dict[str, Any],
    argument: str,
    value: Callable[[], Any] | None,
    label: str = "",
) -> Outcome:
    """One call; with good arguments where there is no ``value``."""
    given = None if value is None else value()
    arguments = good if value is None else {**good, argument: given}
    error: BaseException | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            call(**arguments)
        except Exception as raised:
            error = raised
    return Outcome(name, argument, label, error, values.is_nan(given))


def attempts() -> Iterator[Outcome]:
    """All of them."""
    from matplotlib import pyplot

    for name, (call, good) in catalogue.made().items():
        for argument in good:
            for label, value in values.VALUES.items():
                yield attempt(name, call, good, argument, value, label)
            pyplot.close("all")
