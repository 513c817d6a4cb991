"""Print a table of all error messages, for a person to read: ``python tests/arguments/table.py > messages.md``."""

import contextlib
import re
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import matplotlib  # noqa: E402  (the checkout has to be found first)

matplotlib.use("Agg")

import tinycnn  # noqa: E402
from arguments.trying import attempts  # noqa: E402


def main() -> None:
    """Print one line for each message of each argument, with one of the values that lead to it."""
    seen: set[tuple[str, str, str]] = set()
    print("| call | value | message |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), tinycnn.use_backend("reference"):
        outcomes = list(attempts())
    for outcome in outcomes:
        if outcome.error is None:
            continue
        # The value that was given is left out when messages are compared, because it always differs.
        pattern = re.sub(r"(got|unknown \S+) .*", r"\1 …", outcome.message)
        if (outcome.name, outcome.argument, pattern) in seen:
            continue
        seen.add((outcome.name, outcome.argument, pattern))
        message = f"{type(outcome.error).__name__}: {outcome.message}".replace("|", "\\|").replace("\n", " ")
        print(f"| `{outcome.name}({outcome.argument})` | `{outcome.value}` | {message[:300]} |")


if __name__ == "__main__":
    main()
