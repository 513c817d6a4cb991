"""Values that somebody may pass for an argument, by mistake or on purpose."""

import datetime
import decimal
import fractions
import math
from collections.abc import Callable
from typing import Any

import numpy as np


class Spiteful:
    """An object that raises an error if it is printed, compared, measured or used as a condition."""

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError("spiteful")

    __repr__ = __str__ = __eq__ = __bool__ = __len__ = _refuse
    __hash__ = object.__hash__


#: Each value is made anew for every call, because a call may change it or use it up.
VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "7": lambda: 7,
    "2.5": lambda: 2.5,
    "-0.5": lambda: -0.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "10**30": lambda: 10**30,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "1e308": lambda: 1e308,
    "1e-320": lambda: 1e-320,
    "1j": lambda: 1j,
    "Fraction": lambda: fractions.Fraction(10**400, 3),
    "Decimal": lambda: decimal.Decimal("NaN"),
    "float32 nan": lambda: np.float32("nan"),
    "int8": lambda: np.int8(-3),
    "''": lambda: "",
    "'x'": lambda: "x",
    "'a/b'": lambda: "a/b",
    "'\\0'": lambda: "\0",
    "long text": lambda: "a" * 10_000,
    "bytes": lambda: b"x",
    "[]": list,
    "()": lambda: (),
    "[1]": lambda: [1],
    "(3, 3)": lambda: (3, 3),
    "(0, -1)": lambda: (0, -1),
    "(1.5, nan)": lambda: (1.5, math.nan),
    "(10**400,)": lambda: (10**400, 1),
    "[None]": lambda: [None],
    "['x']": lambda: ["x"],
    "[[1], [2, 3]]": lambda: [[1], [2, 3]],
    "5 numbers": lambda: (1, 2, 3, 4, 5),
    "{}": dict,
    "{'x': 1}": lambda: {"x": 1},
    "{1: nan}": lambda: {1: math.nan},
    "description": lambda: {"class_name": "Dense", "config": {"x": 1}},
    "description of nothing": lambda: {"class_name": 3, "config": 3},
    "set": lambda: {1},
    "range": lambda: range(3),
    "generator": lambda: (i for i in range(3)),
    "object": object,
    "class": lambda: dict,
    "function": lambda: lambda: None,
    "...": lambda: ...,
    "date": lambda: datetime.date(2020, 1, 1),
    "spiteful": Spiteful,
    "array of none": lambda: np.zeros((0, 4)),
    "0-d array": lambda: np.array(1.0),
    "vector": lambda: np.arange(3.0),
    "nan vector": lambda: np.full(4, np.nan),
    "matrix": lambda: np.ones((2, 3), np.float32),
    "5-d array": lambda: np.ones((1, 1, 1, 1, 1)),
    "text array": lambda: np.array(["a", "b"]),
    "object array": lambda: np.array([None, {}], dtype=object),
    "complex array": lambda: np.ones((4, 4, 4, 1), complex),
    "boolean array": lambda: np.ones(4, bool),
    "large integers": lambda: np.full(4, 2**63, np.uint64),
    "dates": lambda: np.zeros(4, "datetime64[s]"),
    "structured array": lambda: np.zeros(4, [("a", "f4")]),
    "read-only array": lambda: np.broadcast_to(np.float32(1), (4, 4, 4, 1)),
}


def is_nan(value: Any) -> bool:
    """Return whether a value is NaN."""
    return isinstance(value, float | np.floating | decimal.Decimal) and value != value
