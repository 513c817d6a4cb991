"""Fill docs/benchmarks.md, docs/distributed.md and docs/speedrun.md from the newest records in benchmarks/results/.

    python benchmarks/report.py

In each page, the script replaces what lies between a comment ``<!-- record KIND -->`` and the next ``<!-- end -->``.
The rest is written by hand and stays unchanged. The kind ``avx512/KIND`` is the newest record of that kind in the
folder ``avx512``, for machines other than the usual one. The kind ``progress`` holds the first records against the
newest ones.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import chunks
import compare
import distributed
import epochs
import figures
import memory
import record
import scaling
import search
import speedrun
import speedrun_choice
import startup
import thread_layers
import together
from networks import PUBLISHED
from peers import ALL_OURS

import kernels

PAGES = [Path(__file__).parent.parent / "docs" / f"{name}.md" for name in ("benchmarks", "distributed", "speedrun")]
TABLES = {
    **dict.fromkeys(compare.MODES, compare.tables),
    "algorithms": kernels.by_algorithm,
    "chunks": chunks.tables,
    "distributed": distributed.tables,
    "epochs": epochs.tables,
    "kernels": kernels.tables,
    "memory": memory.tables,
    "scaling": scaling.tables,
    "search": search.tables,
    "speedrun": speedrun.tables,
    "speedrun_choice": speedrun_choice.tables,
    "startup": startup.tables,
    "thread_layers": thread_layers.tables,
    "together": together.tables,
}
ROOFLINE = """![Operations per second of every kernel over its operations per byte, both axes logarithmic, below
the roof that sgemm and the memory make.](images/roofline.png)"""


def filled(page: str, folder: Path = record.RESULTS) -> str:
    """Return the page with the newest record of each kind in its place; KeyError if a kind does not exist."""
    return re.sub(
        r"(<!-- record ([\w/]+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{_section(found[2], folder)}\n\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def _section(kind: str, folder: Path) -> str:
    if kind == "progress":
        return progress(folder)
    *machine, kind = kind.split("/")
    tables, newest = TABLES[kind], record.latest(kind, folder.joinpath(*machine))
    if newest is None:
        return "Not measured yet."
    picture = f"{ROOFLINE}\n\n" if kind == "kernels" and not machine else ""
    return f"{picture}{tables(newest)}\n\n{record.origin(newest)}."


def progress(folder: Path) -> str:
    """Return a table of tinycnn's ratios to the fastest peer in the first and in the newest record of each mode."""
    columns: list[dict[str, figures.Ratio]] = []
    header = ["network"]
    for mode in ("training", "inference", "latency"):
        for path in (paths := sorted(folder.glob(f"*-{mode}.json")))[:: max(1, len(paths) - 1)]:
            kept = json.loads(path.read_text())
            ways = [compare.ratios(kept, name) for name in ALL_OURS]
            best = {name: max((way[name] for way in ways if name in way), key=lambda r: r.value) for name in ways[0]}
            columns.append(best)
            header.append(f"{mode}, {kept['date']}")
    rows = [
        [name, *(f"{column[name].value:.2f}×" if name in column else "–" for column in columns)] for name in PUBLISHED
    ]
    means = (figures.geometric_mean(ratio.value for ratio in column.values()) for column in columns)
    return figures.table(header, [*rows, ["geometric mean", *(f"{mean:.2f}×" for mean in means)]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is out of date")
    arguments = parser.parse_args()
    for page in PAGES:
        before = page.read_text("utf-8")
        after = filled(before)
        if arguments.check and before != after:
            sys.exit(f"{page.name} is out of date: run python benchmarks/report.py")
        if not arguments.check:
            page.write_text(after, "utf-8")


if __name__ == "__main__":
    main()
