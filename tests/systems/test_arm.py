"""What ``make arm`` does around the emulation, which itself takes long, and whose record is kept."""

import json
import re
import subprocess
from pathlib import Path

import arm
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without(monkeypatch):
    """Return a function after which programs of these names are not found, and apt-get neither."""

    def take_away(*names):
        monkeypatch.setattr(
            arm.shutil, "which", lambda name, **_: None if name in (*names, "apt-get") else f"/bin/{name}"
        )

    return take_away


def test_programs_that_are_missing_are_named_with_the_command_that_installs_them(without):
    without("mmdebstrap", "qemu-aarch64-static")
    with pytest.raises(SystemExit, match=r"^arm: .* run: sudo apt-get install mmdebstrap qemu-user-static$"):
        arm.find_programs()
    without()
    arm.find_programs()


def test_a_machine_that_starts_programs_for_arm_needs_no_namespace(monkeypatch):
    monkeypatch.setattr(arm.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    assert arm.prefix(Path("python")) == []


def test_a_machine_that_does_not_is_told_so_in_a_namespace_or_refused(monkeypatch, without):
    def run(command, **_):
        if command[0] != "unshare":
            raise OSError(8, "Exec format error")
        return subprocess.CompletedProcess(command, status, stderr="unshare: not permitted\n")

    without()
    monkeypatch.setattr(arm.subprocess, "run", run)
    status = 0
    found = arm.prefix(Path("python"))
    assert found[0] == "unshare"
    assert found[-1] == f":qemu-aarch64:M::{arm.MAGIC[0]}:{arm.MAGIC[1]}:/bin/qemu-aarch64-static:F"
    # A mask says which bytes of a file's beginning count; the kernel refuses masks of another length.
    assert len(re.findall(r"\\x..|.", arm.MAGIC[0])) == len(re.findall(r"\\x..|.", arm.MAGIC[1])) == 20
    status = 1
    with pytest.raises(SystemExit, match=r"does not start programs for ARM \(unshare: not permitted\)"):
        arm.prefix(Path("python"))


def test_the_report_is_counted(tmp_path):
    outcomes = {"a": "", "b": "<failure/>", "c": "<skipped/>", "d": "<error/>"}
    cases = [f'<testcase classname="t" name="{name}">{outcome}</testcase>' for name, outcome in outcomes.items()]
    text = f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"
    (tmp_path / "report.xml").write_text(text, "utf-8")
    assert arm.counted(tmp_path / "report.xml") == {"passed": 1, "failed": ["t::b", "t::d"], "skipped": 1}


def test_the_tests_of_the_subset_exist():
    assert all(list((ROOT / path).glob("test_*.py")) or (ROOT / path).is_file() for path in arm.SUBSET)


def test_nothing_of_this_machine_reaches_the_emulated_python(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert not {"NUMBA_CACHE_DIR", "PYTHONPATH"} & set(arm.environment())


def test_the_emulated_python_finds_the_packages_whatever_its_path(tmp_path):
    """It reads the names of folders in its own folder of packages, which no variable of a test's process replaces."""
    arm.join_packages(tmp_path, Path("/there/packages"))
    [listed] = tmp_path.rglob("*.pth")
    assert listed.parent == tmp_path / "usr" / "lib" / "python3" / "dist-packages"
    assert listed.read_text("utf-8") == "/there/packages\n"


def test_records_say_that_nothing_failed():
    for path in arm.RESULTS.glob("*-arm.json"):
        record = json.loads(path.read_text("utf-8"))
        assert record["machine"]["machine"] == "aarch64"
        assert record["failed"] == []
        assert record["passed"] > 0
