"""Every argument of Keras's classes that tinycnn has too is taken with the same default, or listed as different.

The list of what differs is a table of docs/differences_from_keras.md; Keras's signatures are in
``keras_signatures.txt``, which ``keras_signatures.py`` writes.
"""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

from tinycnn.core.description import constructor_arguments

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from keras_signatures import pairs  # noqa: E402  (it lies beside this file)

PAGE = HERE.parents[1] / "docs" / "differences_from_keras.md"
REQUIRED = "required"


def keras_arguments():
    """Return the arguments of each class and method of Keras's, with their defaults."""
    found = {}
    for line in (HERE / "keras_signatures.txt").read_text(encoding="utf-8").splitlines()[1:]:
        name, _, rest = line.partition("(")
        given = ast.parse(f"def f({rest}: pass").body[0].args
        places = [*given.posonlyargs, *given.args]
        defaults = [REQUIRED] * (len(places) - len(given.defaults)) + list(map(ast.literal_eval, given.defaults))
        named = [REQUIRED if one is None else ast.literal_eval(one) for one in given.kw_defaults]
        found[name] = dict(zip([one.arg for one in (*places, *given.kwonlyargs)], defaults + named, strict=True))
    return found


def our_arguments(function):
    """Return the arguments of one of tinycnn's classes, those of its bases included, or methods."""
    found = {}
    homes = [base.__init__ for base in function.__mro__] if isinstance(function, type) else [function]
    taken = constructor_arguments(function) if isinstance(function, type) else None
    for home in homes:
        for name, one in inspect.signature(home).parameters.items():
            if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL) and (taken is None or name in taken):
                found.setdefault(name, REQUIRED if one.default is one.empty else one.default)
    return found


def listed(heading):
    """Yield name and argument for each entry of the page's table below a heading."""
    text = PAGE.read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    assert rows
    for names, arguments, *_ in rows:
        for name in re.findall(r"`([^`]+)`", names):
            yield from ((name, argument) for argument in re.findall(r"`([^`]+)`", arguments))


KERAS = keras_arguments()
OURS = {name: function for name, _, function in pairs() if name in KERAS}
MISSING, OTHER = set(listed("Arguments that are missing")), set(listed("Arguments that differ"))
#: The classes whose rows in the table stand for all of their family.
BASES = {"layers": "layers.Layer", "losses": "losses.Loss", "metrics": "metrics.Metric"}
BASES |= {"optimizers": "optimizers.Optimizer", "schedules": "schedules.LearningRateSchedule"}


def is_listed(table, name, argument):
    return bool({(name, argument), (BASES.get(name.split(".")[0]), argument)} & table)


def same_default(name, theirs, ours):
    if isinstance(theirs, tuple | list) or isinstance(ours, tuple | list):
        return tuple(theirs or ()) == tuple(ours or ())
    if ours is None and isinstance(theirs, str) and theirs == getattr(OURS[name], "name", None):
        return True  # the name of a loss or metric, which is the class's
    return (type(theirs) is type(ours) and theirs == ours) or (theirs == ours and not isinstance(theirs, bool))


def test_the_list_is_whole():
    assert OURS.keys() == KERAS.keys()
    assert len(KERAS) > 80


@pytest.mark.parametrize("name", KERAS)
def test_each_argument_is_taken_or_listed(name):
    ours = our_arguments(OURS[name])
    for argument, default in KERAS[name].items():
        if argument not in ours:
            assert is_listed(MISSING, name, argument), f"{name}: {argument} is neither taken nor listed as missing"
        elif not same_default(name, default, ours[argument]):
            assert is_listed(OTHER, name, argument), (
                f"{name}: {argument} is {default!r} in Keras and {ours[argument]!r} here, which is not listed"
            )


def test_nothing_is_listed_that_is_not_so():
    for name, argument in MISSING:
        families = [one for one in KERAS if BASES.get(one.split(".")[0]) == name] or [name]
        having = [one for one in families if argument in KERAS[one]]
        assert having, f"the page lists {argument} of {name}, which Keras does not have"
        assert any(argument not in our_arguments(OURS[one]) for one in having), f"{name} takes {argument}"
    for name, argument in OTHER:
        assert argument in KERAS[name], f"the page lists {argument} of {name}, which Keras does not have"
        assert not same_default(name, KERAS[name][argument], our_arguments(OURS[name])[argument]), f"{name}: {argument}"
