"""Fuzz one reader, guided by coverage: ``pip install -e ".[fuzz]"``, then ``python tests/fuzz/guided.py idx``.

atheris watches which lines of tinycnn an input reaches, and keeps the inputs that reach new lines. It begins with the
good inputs of `readers`. Options after the name are those of libFuzzer, for example ``-runs=100000``. Inputs that need
a right checksum (states) are better left to ``run.py``, which corrects the checksum.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

import atheris  # noqa: E402  (the checkout has to be found first)

with atheris.instrument_imports(include=["tinycnn"]):
    from fuzz import readers, run


def main() -> None:
    """Run until something is found, or until the options of libFuzzer say to stop."""
    name = sys.argv[1]
    reader = readers.READERS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    (folder / "corpus").mkdir()
    for number, content in enumerate(reader.seeds()):
        (folder / "corpus" / str(number)).write_bytes(content)
    path = folder / reader.name

    def one(data: bytes) -> None:
        path.write_bytes(data)
        found = run.outcome(reader, path)
        if found not in ("read", "refused"):
            raise AssertionError(found)

    options = [f"-timeout={run.SECONDS:.0f}", f"-rss_limit_mb={2 * run.MEGABYTES}", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(folder / "corpus"), *options, *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
