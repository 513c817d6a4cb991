"""Find out which check catches which mutant; ``python tests/mutants/make_table.py`` writes docs/mutants.md."""

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Pytest has set these paths already; a script needs them to find the checkout and what its tests share.
sys.path.append(str(Path(__file__).parents[2]))
sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in (".", "kernels"))

import numba
from generic_checks import Check, all_checks
from mutant_list import MUTANTS, Mutant, replaced

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
INTRODUCTION = """\
# Who checks the checker

A gradient check that passes proves something only if it would fail for a wrong gradient. So
`tests/mutants/mutant_list.py` contains {mutants} deliberate errors, in all layers, losses, optimizers and the training
loop. Each one is tried on the generic checks of `tests/mutants/generic_checks.py`, which walk through the registries
and know nothing of any error. No test was written for a particular error. The table says which check caught it first.

An error in a kernel is made in all backends at once, unless it says "cpu only", so that it cannot be found by comparing
the backends with each other. Some errors are as small as 0.1 %. Hypothesis draws the cases of the checks, the same ones
each time. The tests in `tests/mutants/test_mutants.py` assert that every error is caught, that all checks pass without
an error, and that this page is up to date.
Write it anew with

```sh
python tests/mutants/make_table.py
```

| part | errors | caught first by |
|---|---:|---|
{statistics}

"""


class Catch(NamedTuple):
    """``check`` is the name of the first check that failed, and ``message`` is what it said."""

    check: str
    message: str


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread inside a ``with`` block: for small arrays it is the fastest, and results do not depend on it."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@functools.cache
def reached() -> dict[str, set[tuple[int, str]]]:
    """Return for each check which of the functions that mutants replace it calls; the checks run without a mutant.

    A check that never calls a function passes whatever that function does, so it need not be run for its mutants.
    """
    patches = {(id(patch.owner), patch.name): patch for mutant in MUTANTS for patch in mutant.patches}
    called: set[tuple[int, str]] = set()

    def recorder(key: tuple[int, str], right: Any, *arguments: Any, **named: Any) -> Any:
        called.add(key)
        return right(*arguments, **named)

    result = {}
    with contextlib.ExitStack() as stack:
        checks = all_checks()
        stack.enter_context(one_thread())
        for key, patch in patches.items():
            recording = functools.partial(recorder, key, patch.right)
            stack.enter_context(replaced(patch.owner, patch.name, recording))
        for check in checks:
            called.clear()
            check.run()
            result[check.name] = set(called)
    return result


@functools.cache
def first_catch(mutant: Mutant) -> Catch | None:
    """Return the first check that fails with this mutant in place, or None if all checks pass."""
    targets = {(id(patch.owner), patch.name) for patch in mutant.patches}
    candidates = [check for check in all_checks() if reached()[check.name] & targets]
    with mutant.applied(), one_thread():
        for check in candidates:
            message = _failure(check)
            if message is not None:
                return Catch(check.name, message)
    return None


def _failure(check: Check) -> str | None:
    """Run a check; return the first line of its message if it fails, else None."""
    try:
        check.run()
    except AssertionError as error:  # any other exception comes from a mutant that does not run, and proves nothing
        return next((line.strip() for line in str(error).splitlines() if line.strip()), "an assertion")
    return None


def page(catches: dict[str, Catch | None]) -> str:
    """Return the text of docs/mutants.md."""
    parts: dict[str, Counter[str]] = {}
    rows = ["| error | what is wrong | caught by | which says |", "|---|---|---|---|"]
    for mutant in MUTANTS:
        catch = catches[mutant.name] or Catch("**nothing**", "")
        parts.setdefault(mutant.part, Counter())[kind(catch.check)] += 1
        message = catch.message if len(catch.message) <= 150 else f"{catch.message[:149].rstrip()}…"
        cells = (f"`{mutant.name}`", f"{mutant.part}: {mutant.what}", catch.check, message)
        rows.append(f"| {' | '.join(cell.replace('|', '·').replace('*', '') for cell in cells)} |")
    statistics = [
        f"| {part} | {counts.total()} | {', '.join(f'{name} ({n})' for name, n in counts.most_common())} |"
        for part, counts in parts.items()
    ]
    introduction = INTRODUCTION.format(mutants=len(MUTANTS), statistics="\n".join(statistics))
    return introduction + "\n".join(rows) + "\n"


def kind(check: str) -> str:
    """Return the kind of a check: its name without the layer and the backend."""
    for word in ("gradients", "contract", "formula", "cpu equals reference"):
        if check.startswith(word):
            return word
    return check.partition(" (")[0]


if __name__ == "__main__":
    PAGE.write_text(page({mutant.name: first_catch(mutant) for mutant in MUTANTS}), "utf-8")
