"""What all tests share: Hypothesis profiles, seeds, and the data sets that are too large to keep here."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# A shell that starts a command in the background lets it ignore Ctrl-C; the tests send themselves one.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA, REQUIRE = "TINYCNN_DATA", "TINYCNN_REQUIRE_DATA"

# No deadline: the first example of a test may compile a kernel, which takes seconds.
# At a desk, draw new examples each time and remember what failed. On a server (CI is set), draw the same ones each
# time: a red run is then about the change and not about luck, and the printed blob replays the example anywhere.
hypothesis.settings.register_profile("desk", deadline=None, print_blob=True)
hypothesis.settings.register_profile("server", deadline=None, print_blob=True, derandomize=True, database=None)
hypothesis.settings.load_profile("server" if os.environ.get("CI") else "desk")


@pytest.fixture(autouse=True)
def same_seeds() -> Iterator[None]:
    """Start each test from the same seeds, whatever ran before it, and leave none behind.

    A test of what happens without a seed calls ``tinycnn`` in a process of its own.
    """
    import tinycnn
    from tinycnn.core import seeding

    before = seeding._Source.seed, seeding._Source.drawn
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (for libraries that still use it)
    tinycnn.set_seed(0)
    yield
    seeding._Source.seed, seeding._Source.drawn = before


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a published data set: ``real_data("mnist")``; the test is skipped where there is none."""

    def folder(name: str) -> Path:
        root = os.environ.get(DATA)
        if not root or not (path := Path(root, name)).is_dir():
            pytest.skip(f"needs {DATA} with {name}/: the published files")
        return path

    return folder


@pytest.hookimpl(tryfirst=True)  # before pytest looks at -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for published data, by the fixture or by ``skipif(reason="needs TINYCNN_DATA …")``."""
    for item in items:
        reasons = [str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif")]
        if "real_data" in getattr(item, "fixturenames", ()) or any(DATA in reason for reason in reasons):
            item.add_marker("realdata")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``TINYCNN_REQUIRE_DATA=1`` a test that was skipped for want of data has failed."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE) == "1" and item.get_closest_marker("realdata"):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE}=1, but: {report.longrepr[-1]}"
    return report
