"""Call everything in the catalogue with every wrong value, and judge the result."""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import catalogue, values

#: The exceptions that the documentation names.
DOCUMENTED = (ValueError, TypeError, KeyError, OSError, NotImplementedError)
#: Other words by which a message may refer to an argument: what Python, or a layer, calls it.
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
    """The result of a call with one wrong argument."""

    name: str
    argument: str
    value: str
    error: BaseException | None
    nan: bool = False

    @property
    def message(self) -> str:
        """The text of the error, or an empty text if the call worked."""
        return "" if self.error is None else str(self.error)

    @property
    def is_internal(self) -> bool:
        """Whether the call raised an exception that the documentation does not name."""
        return self.error is not None and not isinstance(self.error, DOCUMENTED)

    @property
    def is_unnamed(self) -> bool:
        """Whether the message does not say which argument is wrong. (Errors of files name the file instead.)"""
        if self.error is None or self.is_internal or isinstance(self.error, OSError):
            return False
        words = f"{re.escape(self.argument)}|{OTHER_WORDS.get(self.argument, self.argument)}"
        return re.search(rf"\b({words})", self.message) is None

    @property
    def takes_nan(self) -> bool:
        """Whether a constructor accepted NaN."""
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
    """Call a function with one wrong argument, or with good ones only if ``value`` is None."""
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
    """Yield the result for every function, every argument and every wrong value."""
    from matplotlib import pyplot

    for name, (call, good) in catalogue.made().items():
        for argument in good:
            for label, value in values.VALUES.items():
                if (name, argument, label) in catalogue.UNTRIED:
                    continue
                yield attempt(name, call, good, argument, value, label)
            pyplot.close("all")
