"""What all tests share: Hypothesis profiles, seeds, and access to data sets that are too large to keep here."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from browsing import started
from helpers import cores, has, installed

# A command that a shell starts in the background ignores Ctrl-C, but some tests send Ctrl-C to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Folders of tests that are called like a package would be imported in its place where it is not installed.
for name in ("keras", "onnx", "sklearn"):
    if not installed(name):
        sys.modules[name] = None  # type: ignore[assignment]

DATA, REQUIRE = "TINYCNN_DATA", "TINYCNN_REQUIRE_DATA"

# There is no deadline, because the first example of a test may have to compile a kernel, which takes seconds.
# At a desk, new examples are drawn each time, and those that failed are remembered. On a server (where CI is set), the
# same examples are drawn each time, so that a failure comes from the change under test and not from chance. The printed
# blob replays a failing example anywhere.
hypothesis.settings.register_profile("desk", deadline=None, print_blob=True)
hypothesis.settings.register_profile("server", deadline=None, print_blob=True, derandomize=True, database=None)
hypothesis.settings.load_profile("server" if os.environ.get("CI") else "desk")


@pytest.fixture(autouse=True)
def same_seeds() -> Iterator[None]:
    """Start each test from the same seeds, whatever ran before it, and put the earlier ones back afterwards.

    A test of what happens without a seed runs ``tinycnn`` in a process of its own.
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
    """Return a function that finds the folder of a published data set, ``real_data("mnist")``, or skips the test."""

    def folder(name: str) -> Path:
        root = os.environ.get(DATA)
        if not root or not (path := Path(root, name)).is_dir():
            pytest.skip(f"needs {DATA} with {name}/: the published files")
        return path

    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser for one file of tests.

    While Playwright runs, its event loop is that of the main thread: no other test can start Playwright or an event
    loop of its own. So it runs only as long as the tests that need it.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra browser")
    with playwright.sync_playwright() as driver:
        try:
            found = started(driver)
        except playwright.Error as error:
            pytest.skip(f"no Chromium can be started: {error}")
        yield found
        found.close()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes share the tests: one for each core, up to four, if whole folders of them are run.

    A few files are done before a second process would have started. Slow tests count seconds and processor time, so
    nothing may run beside them.
    """
    files_only = all(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    counts_time = {"slow", "timed"} & set(re.findall(r"(?<!not )\b\w+", config.option.markexpr))
    return 0 if files_only or counts_time else min(cores(), 4)


@pytest.hookimpl(tryfirst=True)  # before any fixture is made
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of what this system does not have, and say what that is."""
    missing = [thing for mark in item.iter_markers("needs") for thing in mark.args if not has(thing)]
    if missing:
        pytest.skip(f"this system has no {', '.join(missing)}")


@pytest.hookimpl(tryfirst=True)  # the marks must be there before pytest evaluates the option -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for published data, by the fixture or by ``skipif(reason="needs TINYCNN_DATA …")``."""
    for item in items:
        reasons = [str(mark.kwargs.get("reason", "")) for mark in item.iter_markers("skipif")]
        if "real_data" in getattr(item, "fixturenames", ()) or any(DATA in reason for reason in reasons):
            item.add_marker("realdata")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``TINYCNN_REQUIRE_DATA=1``, let a test fail that was skipped because its data are missing."""
    report = yield
    if report.skipped and os.environ.get(REQUIRE) == "1" and item.get_closest_marker("realdata"):
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE}=1, but: {report.longrepr[-1]}"
    return report
