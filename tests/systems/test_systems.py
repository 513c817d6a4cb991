"""What each system can do, as tinycnn sees it, and what its users are told to type."""

import ast
import ctypes
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

import tinycnn
from tinycnn.cli import main
from tinycnn.core import starting, system
from tinycnn.datasets._own_files import users_root

PACKAGE = Path(tinycnn.__file__).parent
SYSTEMS = {"linux": Unix, "darwin": MacOS, "win32": Windows}


def be_on(monkeypatch, name):
    monkeypatch.setattr(system, "PLATFORM", name)
    monkeypatch.setattr(platformdirs, "PlatformDirs", SYSTEMS[name])


def test_one_module_asks_for_the_systems_name():
    asks = re.compile(r"\bsys\.platform\b|\bos\.name\b|platform\.system\(|\bos\.(getuid|sysconf|uname|fork)\b")
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if asks.search(path.read_text("utf-8")) and "kernels" not in path.relative_to(PACKAGE).parts
    }
    # These two end and limit a learner's process, and mypy has to see that they do not on Windows; one runs by itself.
    assert found == {"core/system.py", "course/child.py", "course/learner.py"}


def test_no_module_of_posix_alone_is_imported():
    for path in PACKAGE.rglob("*.py"):
        if path == PACKAGE / "course" / "child.py":  # it asks for the system before
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios"}.intersection(names), path


def test_temporary_files_lie_where_python_can_be_trusted_with_them():
    """In a folder that cannot be written to, Python's functions do not end on Windows; so it is checked before."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"tempfile\.(?!gettempdir)\w+\([^)\n]*dir=|mkstemp\(|mkdtemp\(", path.read_text("utf-8"))
    }
    assert found == {"datasets/cifar10.py"}
    text = (PACKAGE / "datasets" / "cifar10.py").read_text("utf-8")
    assert text.index("check_folder(cached.parent)") < text.index("tempfile.TemporaryDirectory(")


# Memory ---------------------------------------------------------------------------------------------------------


def test_the_memory_of_this_machine():
    found = system.memory_bytes()
    assert found is None or 2**28 < found < 2**50


@pytest.mark.parametrize("answers", [True, False])
def test_the_memory_that_windows_tells(monkeypatch, windows, answers):
    def tell(pointer):
        status = pointer._obj
        assert status.size == ctypes.sizeof(status) == 64  # as the documentation of MEMORYSTATUSEX says
        status.memory = 8 * 2**30
        return answers

    library = types.SimpleNamespace(kernel32=types.SimpleNamespace(GlobalMemoryStatusEx=tell))
    monkeypatch.setattr(ctypes, "windll", library, raising=False)
    assert system.memory_bytes() == (8 * 2**30 if answers else None)


def test_a_system_that_does_not_tell_its_memory(monkeypatch, tmp_path):
    from tinycnn.datasets import _folder

    def refuse(name):
        raise ValueError("unrecognized configuration name")

    for answer in (refuse, lambda name: -1):
        monkeypatch.setattr(os, "sysconf", answer)
        # -1 times -1 would be one byte, for which every folder of pictures is too large.
        assert system.memory_bytes() is None
        _folder._check_memory(10, (28, 28, 3))


# Caches ---------------------------------------------------------------------------------------------------------


def test_linux_keeps_its_cache_where_it_was(monkeypatch, tmp_path):
    be_on(monkeypatch, "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert system.cache_folder() == tmp_path / ".cache" / "tinycnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert system.cache_folder() == tmp_path / "x" / "tinycnn"


def test_caches_of_macos_and_windows(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    be_on(monkeypatch, "darwin")
    assert system.cache_folder() == tmp_path / "Library" / "Caches" / "tinycnn"
    be_on(monkeypatch, "win32")
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda name: f"{tmp_path}/AppData/Local")
    assert system.cache_folder() == tmp_path / "AppData" / "Local" / "tinycnn" / "Cache"


@pytest.fixture
def config(monkeypatch):
    """Settings like Numba's, as they are without environment variables."""
    config = types.SimpleNamespace(CACHE_DIR="", THREADING_LAYER="default")
    monkeypatch.setattr(starting, "_numba_config", lambda: config)
    return config


@pytest.mark.parametrize("name", SYSTEMS)
def test_kernels_are_kept_in_the_systems_cache(monkeypatch, tmp_path, config, name):
    be_on(monkeypatch, name)
    monkeypatch.setattr(system, "cache_folder", lambda: tmp_path / "cache")
    with starting.kernel_cache():
        assert ("" if name == "linux" else str(tmp_path / "cache")) == config.CACHE_DIR
    assert config.CACHE_DIR == ""


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_cache_that_the_user_names_is_used(monkeypatch, tmp_path, config, name):
    be_on(monkeypatch, name)
    config.CACHE_DIR = str(tmp_path / "mine")
    with starting.kernel_cache():
        assert str(tmp_path / "mine") == config.CACHE_DIR
    assert str(tmp_path / "mine") == config.CACHE_DIR


@pytest.mark.parametrize("blocked", [".", "kernels-0123456789abcdef"])
def test_on_windows_a_cache_that_cannot_be_written_is_found_out_before_numba_tries(
    monkeypatch, tmp_path, config, windows, blocked
):
    cache = tmp_path / "cache"
    (cache / "kernels-0123456789abcdef").mkdir(parents=True)
    monkeypatch.setattr(system, "cache_folder", lambda: cache)
    monkeypatch.setattr(starting.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    real = os.open

    def refuse(path, *given):
        if Path(path).parent == cache / blocked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *given)

    with starting.kernel_cache():
        assert str(cache) == config.CACHE_DIR
    monkeypatch.setattr(os, "open", refuse)
    with starting.kernel_cache():
        assert str(tmp_path / "temporary" / "tinycnn-cache") == config.CACHE_DIR


def kernel_names():
    """Yield, for each function of the cpu kernels, the folder and the file that Numba would keep its code in.

    Not all of them are kept, but it does no harm to count the others. One that runs in parallel is kept for each kind
    of arguments, which a digest of 16 digits tells apart.
    """
    kernels = Path(tinycnn.kernels.__file__).parent / "cpu"

    def names(node, before=""):
        for child in ast.iter_child_nodes(node):
            name = before
            decorators = [ast.unparse(one) for one in getattr(child, "decorator_list", ())]
            if any("intrinsic" in one or one.startswith("written(") for one in decorators):
                continue  # it says how code is made, and is none that is kept
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{before}{child.name}"
                if isinstance(child, ast.FunctionDef):
                    in_parallel = any("parallel" in ast.unparse(one) for one in child.decorator_list)
                    yield f"{name}_{'0' * 16}" if in_parallel else name, child.lineno
                    name += ".locals"
                name += "."
            yield from names(child, name)

    for path in kernels.rglob("*.py"):
        for name, line in names(ast.parse(path.read_text("utf-8"))):
            yield f"{path.parent.name}_{'0' * 40}", f"{path.stem}.{name}-{line}.py315t.99.nbc"


def test_paths_in_the_cache_of_kernels_fit_into_those_of_windows():
    """A path has 260 characters at most there, with the drive and a zero at its end; a new file gets a longer name."""
    home = r"C:\Users" + "\\" + 30 * "n"  # the name of an account has 20 at most
    base = rf"{home}\AppData\Local\tinycnn\Cache\kernels-{'0' * 16}"
    found = list(kernel_names())
    assert len(found) > 200
    longest = max(("\\".join((base, *names)) + f".tmp.{'0' * 16}" for names in found), key=len)
    assert len(longest) < 260, longest


# Threads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("darwin", "default", "workqueue"),
        ("darwin", "omp", "omp"),
        ("darwin", "tbb", "tbb"),
        ("linux", "default", "default"),
        ("win32", "default", "default"),
    ],
)
def test_threads_on_macos_are_numbas_own(monkeypatch, config, name, given, wanted):
    be_on(monkeypatch, name)
    config.THREADING_LAYER = given
    starting.choose_threads.__wrapped__()
    assert wanted == config.THREADING_LAYER


def run_python(code, **environment):
    """Return the standard output of a fresh interpreter."""
    variables = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, env=variables)
    assert result.returncode == 0, result.stderr
    return result.stdout


MAC = """
import hashlib, threading
from pathlib import Path
import platformdirs
from platformdirs.macos import MacOS
from tinycnn.core import system
platformdirs.PlatformDirs = MacOS
if {mac}:
    system.PLATFORM = "darwin"
import numpy as np
import tinycnn
kernels = tinycnn.get_backend().kernels
x = np.random.default_rng(0).normal(size=(64, 28, 28, 8)).astype(np.float32)
digest = lambda: hashlib.sha256(kernels.relu_forward(x).tobytes()).hexdigest()
expected, wrong = digest(), []
def work():
    wrong.extend(found for found in (digest() for _ in range(20)) if found != expected)
workers = [threading.Thread(target=work) for _ in range(4)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
import numba
from tinycnn.kernels.cpu.machine import jit
print(numba.threading_layer(), len(wrong), expected, Path(jit.cache_folder()).parent)
"""


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled under NUMBA_DISABLE_JIT")
def test_a_simulated_macos_launches_from_several_threads_with_the_same_bits(tmp_path):
    """Numba's own threads end the process if two Python threads launch at once, which the lock keeps them from."""
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "NUMBA_CACHE_DIR": "", "NUMBA_NUM_THREADS": "2"}
    layer, wrong, expected, cache = run_python(MAC.format(mac=True), **environment).split()
    assert (layer, wrong) == ("workqueue", "0")
    assert Path(cache) == tmp_path / "Library" / "Caches" / "tinycnn"
    assert any(Path(cache).rglob("*.nbc"))
    other = run_python(MAC.format(mac=False), NUMBA_NUM_THREADS="2").split()
    assert other[1:3] == ["0", expected]


# What users are told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("linux", "unset TINYCNN_DATA"),
        ("darwin", "unset TINYCNN_DATA"),
        ("win32", "set TINYCNN_DATA= (in PowerShell: Remove-Item Env:TINYCNN_DATA)"),
    ],
)
def test_a_variable_is_unset_as_the_system_does_it(monkeypatch, name, cure):
    be_on(monkeypatch, name)
    monkeypatch.setenv("TINYCNN_DATA", "nowhere")
    with pytest.raises(FileNotFoundError, match=f": {re.escape(cure)}$"):
        users_root()


def test_arguments_are_quoted_as_the_shell_needs_it(monkeypatch):
    assert system.quoted("my run") == "'my run'"
    assert system.quoted("runs/a") == "runs/a"
    be_on(monkeypatch, "win32")
    assert system.quoted(r"C:\runs\a-1") == r"C:\runs\a-1"
    assert system.quoted("my run") == '"my run"'
    assert system.quoted("this&that") == '"this&that"'


def test_the_grader_says_on_windows_where_it_runs(tmp_path, windows):
    from tinycnn.course.learner import Learner

    with pytest.raises(OSError, match="run this command in WSL"):
        Learner(tmp_path / "mine.py", b"")


def test_a_class_is_graded_on_windows_in_wsl_only(tmp_path, windows):
    from tinycnn.course import classroom

    for call in (classroom.grade_class, lambda folder: classroom.grade_one(folder / "mine.py", "chapter01")):
        with pytest.raises(OSError, match="run this command in WSL"):
            call(tmp_path)


REFUSED = {
    "con": "is the name of a device on Windows",
    "NUL": "is the name of a device on Windows",
    "Com1.run": "is the name of a device on Windows",
    "lpt9 .x": "is the name of a device on Windows",
    "a:b": "has the character ':'",
    "what?": r"has the character '\?'",
    "a\tb": r"has the character '\\t'",
    "dots.": "ends in a dot or a space",
    "space ": "ends in a dot or a space",
}


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_windows_does_not_have_are_refused_everywhere(name):
    with pytest.raises(ValueError, match=f"^{re.escape(repr(name))} {REFUSED[name]}.*; give another name$"):
        system.check_name(name)


@pytest.mark.parametrize("name", ["cone", "nullify", "com10", "a.con", ".hidden", "run 1", "naïve", "a.b", "com"])
def test_other_names_are_allowed(name):
    system.check_name(name)


@pytest.mark.parametrize("out", ["con", "runs/2026:11", "aux/run", "run."])
@pytest.mark.parametrize("command", [["train", "ladder_00", "--data", "digits"], ["reproduce"]])
def test_a_run_gets_no_name_that_windows_does_not_have(tmp_path, monkeypatch, capsys, command, out):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--out", out]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "tinycnn: --out: '" in error
    assert "Windows" in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_keeps_its_name(tmp_path):
    from tinycnn.cli._arguments import check_new_folder

    (tmp_path / "old:run").mkdir()
    check_new_folder(tmp_path / "old:run")
    check_new_folder(tmp_path / "old:run" / ".." / "new")
    check_new_folder(Path("."))
