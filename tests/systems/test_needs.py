"""Tests of what a system does not have skip there, and say what is missing; so do the programs beside the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import cores, has
from pretend_windows import ALSO_MISSING, MISSING, MISSING_MODULES, refuse

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("thing", ["os", "os.path", "os.path.join", "/", "collections.abc", "wsgiref.util"])
def test_what_is_there(thing):
    assert has(thing)


@pytest.mark.parametrize("thing", ["no_such_module", "no_such_module.name", "os.flying_carpet", "/no/such/place"])
def test_what_is_not_there(thing):
    assert not has(thing)


@pytest.mark.parametrize("name", MISSING_MODULES)
def test_a_module_that_is_taken_away(windows, name):
    assert not has.__wrapped__(name)


def test_links_are_a_right(monkeypatch):
    monkeypatch.setattr(os, "symlink", refuse)
    assert not has.__wrapped__("links")


@pytest.mark.needs("os.flying_carpet")
def test_a_test_of_what_is_missing_does_not_run():
    raise AssertionError("it ran")


def test_cores_where_the_system_does_not_tell_which_may_be_used(monkeypatch):
    monkeypatch.setattr("helpers.has", lambda thing: False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


@pytest.mark.slow  # it reads every test file
@pytest.mark.needs(*(f"os.{name}" for name in (*MISSING, *ALSO_MISSING)), *MISSING_MODULES)
def test_on_windows_every_test_file_can_be_read_and_tests_of_what_is_missing_skip():
    command = [sys.executable, "-m", "pytest", "-p", "pretend_windows", "-n", "0", "-m", "needs", "-rs", "-q"]
    command.append("--ignore=tests/compat")  # the peers' packages were installed for this system
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" not in done.stdout
    for thing in ("os.fork", "os.mkfifo", "os.getuid", "links", "resource", "fcntl", "signal.SIGKILL"):
        assert f"this system has no {thing}" in done.stdout, done.stdout


MACHINE = """
import os, sys
import numpy
for name in ("sched_getaffinity", "sched_setaffinity"):
    delattr(os, name)
sys.modules["resource"] = None
import machine, worker
assert worker.peak_memory() == 0
machine.keep_to_first_cores(1)
assert machine.cores() == os.cpu_count()
other = machine.OtherWork()
sum(range(10**6))
assert 0 <= other.share() <= 1
print(sorted(machine.describe()))
"""


@pytest.mark.needs("os.sched_getaffinity")
def test_benchmarks_run_where_windows_lacks_what_they_ask(tmp_path):
    search = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    done = subprocess.run(
        [sys.executable, "-c", MACHINE],
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cores" in done.stdout
