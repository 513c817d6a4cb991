"""Call every public function, constructor and method with every argument wrong in sixty ways.

A call must work, or raise one of the documented exceptions with a message that names the argument. The catalogue in
``arguments`` lists what is called. ``python tests/arguments/table.py`` prints all messages, for a person to review.
"""

import contextlib
import faulthandler
import fnmatch
import warnings

import pytest
from arguments import catalogue
from arguments.trying import Outcome, attempt, attempts

import tinycnn
from tinycnn.core import checks as _checks


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[Outcome]:
    """Return the results of tens of thousands of calls; this takes seconds, because nearly all are refused at once."""
    # Some calls work and write a file, so they run in a folder of their own. The cpu backend would compile its kernels.
    with contextlib.chdir(tmp_path_factory.mktemp("arguments")), tinycnn.use_backend("reference"):
        return list(attempts())


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(120, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def listed(found: list[Outcome]) -> str:
    return "\n".join(str(outcome) for outcome in found[:40])


def test_nearly_all_are_refused(outcomes):
    assert len(outcomes) > 30_000
    assert sum(outcome.error is not None for outcome in outcomes) > 0.8 * len(outcomes)


def test_only_documented_exceptions(outcomes):
    internal = [outcome for outcome in outcomes if outcome.is_internal]
    assert not internal, listed(internal)


def test_every_message_names_the_argument(outcomes):
    unnamed = [outcome for outcome in outcomes if outcome.is_unnamed]
    assert not unnamed, listed(unnamed)


def test_messages_are_short(outcomes):
    long = [outcome for outcome in outcomes if len(outcome.message) > 700 and not isinstance(outcome.error, OSError)]
    assert not long, listed(long)


def test_no_constructor_takes_nan_for_a_number(outcomes):
    taken = [outcome for outcome in outcomes if outcome.takes_nan]
    assert not taken, listed(taken)


def test_the_good_arguments_are_good():
    for name, (call, good) in catalogue.made().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with tinycnn.use_backend("reference"):
                assert attempt(name, call, good, "", None).error is None, name


def test_nothing_public_is_left_out():
    made = {name.split(".", 1)[-1] if name.split(".")[0].islower() else name for name in catalogue.made()}
    made |= {name.split(".")[-1] for name in catalogue.made()}
    classes = {cls.__name__ for cls in catalogue.CONSTRUCTORS}
    missing = []
    for name in catalogue.public():
        cls, _, method = name.rpartition(".")
        covered = name in made or (method == "__init__" and cls in classes)
        inherited = any(f"{base}.{method}" in made for base in ("Layer", "Optimizer", "Metric", "Sequential"))
        exempt = any(fnmatch.fnmatchcase(name, pattern) for pattern in catalogue.INTERNAL)
        if not (covered or inherited or exempt or method in ("get_config", "reset", "result", "weights")):
            missing.append(name)
    assert not missing


def test_exemptions_are_of_things_that_are_there():
    names = list(catalogue.public())
    unused = [pattern for pattern in catalogue.INTERNAL if not any(fnmatch.fnmatchcase(n, pattern) for n in names)]
    assert not unused


# The checks above find what they look for.


def careless(count=1, share=0.5):
    """Accept any arguments without a check."""
    return [0][count] / share


def test_a_careless_function_is_found():
    found = [attempt("f.Careless", careless, {"count": 0, "share": 0.5}, "count", lambda: 7)]
    found += [
        attempt("f.Careless", careless, {"count": 0, "share": 0.5}, "share", value)
        for value in (lambda: 0, lambda: "x")
    ]
    assert [outcome.is_internal for outcome in found] == [True, True, False]
    assert [outcome.is_unnamed for outcome in found] == [False, False, True]
    assert attempt("f.Careless", lambda share: share, {"share": 0.5}, "share", lambda: float("nan")).takes_nan


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_too_long_to_write_is_told_by_its_size(digits):
    with pytest.raises(ValueError, match=r"units must be at most .* got a number of [0-9]+ bits"):
        _checks.integer(10**digits, "units")
    with pytest.raises(ValueError, match="rate must be finite; got a number of"):
        _checks.real(-(10**digits), "rate")


def test_what_cannot_be_shown_is_told_by_its_type():
    class Deep:
        def __repr__(self):
            raise RuntimeError

    assert _checks.shown(Deep()) == "<Deep>"
    assert _checks.shown("line\nbreak") == r"'line\nbreak'"
    assert len(_checks.shown([1] * 10**5)) == 100
