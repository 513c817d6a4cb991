"""Other processes compile on the first start: they compile the same kernels, each one once, and none of them stays."""

import io
import json
import os
import subprocess
import sys
import warnings

import numba
import numpy as np
import pytest

from tinycnn import Sequential, initializers, layers
from tinycnn.core import backend
from tinycnn.kernels import cpu
from tinycnn.kernels.cpu import activation
from tinycnn.kernels.cpu.machine import jit as kernel_jit
from tinycnn.training import precompile as compiling

jit = pytest.mark.skipif(kernel_jit.numba.config.DISABLE_JIT, reason="nothing is compiled")

PARTS = {
    "dense": lambda: [layers.Flatten(), layers.Dense(6, activation="relu"), layers.Dense(3, activation="softmax")],
    "conv": lambda: [layers.Conv2D(3, 3), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(3)],
}


def small_model(kind="dense", optimizer="adam"):
    model = Sequential([layers.Input((6, 6, 1)), *PARTS[kind]()])
    model.compile(optimizer, "sparse_categorical_crossentropy" if kind == "dense" else "mse")
    return model


def fit(model, **named):
    x = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
    y = np.arange(8) % 3 if model.loss.name.startswith("sparse") else np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    model.fit(x, y, 4, verbose=0, **named)


@pytest.fixture
def first_start(monkeypatch):
    """Pretend to start after an installation, on a machine with three cores; return the processes that are started."""
    monkeypatch.setattr(backend.Backend, "has_to_compile", lambda self: True)
    monkeypatch.setattr(compiling, "_count", lambda: 2)
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *given, **named):
            started.append(self)
            super().__init__(*given, **named)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return started


@jit
@pytest.mark.needs("os.getuid")
def test_without_a_cache_folder_a_warning_says_what_to_do(tmp_path, request):
    (tmp_path / "file").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / f"tinycnn-{os.getuid()}").touch()
    variables = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    variables |= {
        "XDG_CACHE_HOME": str(tmp_path / "file"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(request.config.rootpath),
    }
    code = "import tinycnn\nfor _ in range(2): tinycnn.get_backend().kernels"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=True)
    assert done.stderr.count("compiled kernels cannot be kept, so every start compiles them again") == 1
    base = tmp_path / "file" / "tinycnn"
    assert f"tried {base} and a folder of your own in {temporary}. Set the environment variable NUMBA_C" in done.stderr
    page = (request.config.rootpath / "docs" / "install.md").read_text("utf-8")
    assert "*A warning says that compiled kernels cannot be kept.*" in page


@jit
def test_a_system_without_any_folder_to_write_to_is_told_so(monkeypatch, tmp_path):
    def none():
        raise FileNotFoundError("No usable temporary directory found")

    (tmp_path / "file").touch()
    monkeypatch.setattr(kernel_jit.tempfile, "gettempdir", none)
    monkeypatch.setattr(kernel_jit.numba.config, "CACHE_DIR", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(kernel_jit, "cache_folder", kernel_jit.cache_folder.__wrapped__)  # it is asked once
    assert kernel_jit.cache_folder() is None
    with pytest.warns(UserWarning, match="compiled kernels cannot be kept"):
        backend._warn_without_cache_folder()


def test_with_a_cache_folder_there_is_no_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel_jit, "cache_folder", lambda: str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend._load.__wrapped__("cpu")
    monkeypatch.setattr(kernel_jit, "cache_folder", lambda: None)
    monkeypatch.setattr(kernel_jit, "_cache_bases", lambda: iter([tmp_path / "a", tmp_path / "b"]))
    with pytest.warns(UserWarning, match=f"tried {tmp_path / 'a'} and {tmp_path / 'b'}. Set"):
        backend._load.__wrapped__("cpu")


def test_processes_are_gone_after_the_fit(first_start):
    fit(small_model())
    assert len(first_start) == 2
    assert all(process.returncode is not None for process in first_start)
    assert [process.args[-2:] for process in first_start] == [["0", "2"], ["1", "2"]]


def test_processes_are_gone_after_an_error(first_start):
    class StopError(Exception):
        pass

    with pytest.raises(StopError), compiling.shared(small_model(), 4, True):
        raise StopError
    assert len(first_start) == 2
    assert all(process.returncode is not None for process in first_start)


def test_there_are_none_once_something_is_compiled(first_start, monkeypatch):
    monkeypatch.setattr(backend.Backend, "has_to_compile", lambda self: False)
    fit(small_model())
    assert not first_start


@pytest.mark.parametrize(("threads", "expected"), [(1, 0), (2, 1), (3, 2), (4, 3), (16, 3)])
def test_there_is_one_for_each_further_thread(threads, expected, monkeypatch):
    monkeypatch.setattr(numba, "get_num_threads", lambda: threads)
    assert compiling._count() == expected
    for executable in (None, "", "/usr/bin/uwsgi"):
        monkeypatch.setattr(sys, "executable", executable)
        assert compiling._count() == 0


def test_there_are_none_within_a_frozen_program(monkeypatch):
    monkeypatch.setattr(numba, "get_num_threads", lambda: 4)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert compiling._count() == 0


class Odd(initializers.Initializer):
    def __init__(self, argument=None):
        self.argument = object()

    def __call__(self, shape, rng):
        return np.zeros(shape)


def test_there_are_none_for_what_json_cannot_say(first_start):
    model = Sequential(
        [layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3, "softmax", kernel_initializer=Odd())]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model)
    assert not first_start


class OfTheirOwn(layers.Flatten):
    pass


def test_there_are_none_for_layers_that_they_would_not_know(first_start):
    model = Sequential([layers.Input((6, 6, 1)), OfTheirOwn(), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model)
    assert not first_start


@pytest.mark.needs("links", "/bin/false")
def test_a_fit_does_without_them(first_start, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    fit(small_model())
    first_start.clear()
    (tmp_path / "missing").symlink_to("/bin/false")

    class Ended(subprocess.Popen):  # the process has ended before anything is written to it
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            self.wait()

    monkeypatch.setattr(subprocess, "Popen", Ended)
    fit(small_model())
    assert [process.returncode for process in first_start] == [1, 1]


@jit
def test_what_is_noted_is_not_run(monkeypatch):
    x, y = np.full(5, -1, np.float32), np.full(5, 7, np.float32)

    def noted():
        with kernel_jit.noting() as found:
            cpu.relu_forward(x, out=y)
            cpu.softmax_forward(x.reshape(1, 5), out=y.reshape(1, 5))
        assert (y == 7).all()
        return len(found)

    for kernel in (activation._gate, activation._softmax):
        monkeypatch.setattr(kernel, "_compiled", {})
    assert noted() == 2
    cpu.relu_forward(x)
    assert noted() == 1  # a kernel that is compiled already is not noted again, and does not run either
    cpu.relu_forward(x, out=y)
    assert (y == 0).all()


@jit
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "fuse", "optimizer"), [("dense", True, "adam"), ("conv", False, "sgd")])
def test_a_fit_finds_everything_compiled(kind, fuse, optimizer, tmp_path, request):
    """The kernels of the loss are an exception, because they depend on the targets."""
    search = os.pathsep.join([str(request.config.rootpath), str(request.path.parent)])
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": search}

    def python(code, *arguments, given=""):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, env=variables, check=True).stdout

    python(compiling.PROGRAM, "0", "1", given=json.dumps(compiling._job(small_model(kind, optimizer), 4, fuse)))
    names = python(f"""
import test_compiling as t
from tinycnn.kernels.cpu.machine import jit as kernel_jit
t.fit(t.small_model({kind!r}, {optimizer!r}), fuse={fuse})
for function in kernel_jit.COMPILED:
    print(function.cache_hits, function._pyfunc.__module__)
""")
    hits = [line.split() for line in names.splitlines()]
    assert len([module for count, module in hits if count == "1"]) > 2
    assert {module for count, module in hits if count == "0"} <= {"tinycnn.kernels.cpu.loss"}


@jit
def test_the_shares_together_are_the_whole(monkeypatch):
    compiled = []
    monkeypatch.setattr(compiling, "needed", lambda *given: [lambda n=n: compiled.append(n) for n in range(7)])
    job = json.dumps(compiling._job(small_model(), 4, True))
    for number in range(3):
        monkeypatch.setattr(sys, "argv", ["compiling", str(number), "3"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(job))
        compiling.main()
    assert compiled == [6, 3, 0, 5, 2, 4, 1]  # the last kernels come first


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path):
    """Numba keeps code that it never finds again where a function's closure differs from start to start."""
    script = (
        "import numpy as np, tinycnn; from tinycnn import layers\n"
        "parts = layers.Input((20, 20, 1)), *[layers.Conv2D(8, 3) for _ in range(3)], layers.Flatten()\n"
        "model = tinycnn.Sequential([*parts, layers.Dense(3, activation='softmax')])\n"
        "model.compile('adam', 'sparse_categorical_crossentropy')\n"
        "model.fit(np.zeros((16, 20, 20, 1), 'float32'), np.arange(16) % 3, batch_size=16, verbose=0)\n"
    )
    variables = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], env=variables, check=True, timeout=300)
        found.append(sorted(path.name for path in tmp_path.rglob("*.nbc")))
    assert any("lane_kernel" in name for name in found[0])
    assert found[0] == found[1]
