"""Find out which check catches which mutant; ``python tests/mutants/make_table.py`` writes docs/mutants.md."""

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Under pytest these paths exist already; run as a script, this module finds the checkout and what its tests share here.
sys.path.append(str(Path(__file__).parents[2]))
sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in (".", "kernels"))

import numba
from generic_checks import Check, all_checks
from mutant_list import MUTANTS, Mutant, replaced

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
INTRODUCTION = """\
# Who checks the checker

A gradient check that passes proves something only if it would fail for a wrong gradient. For this reason,
`tests/mutants/mutant_list.py` contains {mutants} deliberate errors in all layers, losses, optimizers and the training
loop. Each error is tried on the generic checks of `tests/mutants/generic_checks.py`. These checks walk through the
registries and know nothing about any error; no test was written for a particular error. The table says which check
caught each error first.

An error in a kernel is made on all backends alike, unless its description says "cpu only", because then a comparison of
the backends with each other does not help. Some errors are as small as 0.1 %. Hypothesis draws the cases of the checks,
and it draws the same ones each time. The tests in `tests/mutants/test_mutants.py` assert that every error is caught,
that all checks pass without an error, and that this page is up to date. To write this page anew, run

```sh
python tests/mutants/make_table.py
```

| part | errors | caught first by |
|---|---:|---|
{statistics}

"""


class Catch(NamedTuple):
    """The name of the first check that failed, and the message of its failure."""

    check: str
    message: str


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread. Results do not depend on the number, and on arrays this small more threads only cost time."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@functools.cache
def reached() -> dict[str, set[tuple[int, str]]]:
    """Run each check without any mutant, and return which of the functions that mutants replace it called.

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
    """Return the first check that fails with this mutant in place, or None if the mutant survives all checks."""
    targets = {(id(patch.owner), patch.name) for patch in mutant.patches}
    candidates = [check for check in all_checks() if reached()[check.name] & targets]
    with mutant.applied(), one_thread():
        for check in candidates:
            message = _failure(check)
            if message is not None:
                return Catch(check.name, message)
    return None


def _failure(check: Check) -> str | None:
    try:
        check.run()
    except AssertionError as error:  # Any other exception means that the mutant does not run, which proves nothing.
        return next((line.strip() for line in str(error).splitlines() if line.strip()), "an assertion")
    return None


def page(catches: dict[str, Catch | None]) -> str:
    """Return the text of docs/mutants.md."""
    parts: dict[str, Counter[str]] = {}
    rows = ["| error | what is wrong | caught by | message of the check |", "|---|---|---|---|"]
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
    for word in ("gradients", "equal numbers", "contract", "formula", "cpu equals reference"):
        if check.startswith(word):
            return word
    return check.partition(" (")[0]


if __name__ == "__main__":
    PAGE.write_text(page({mutant.name: first_catch(mutant) for mutant in MUTANTS}), "utf-8")
