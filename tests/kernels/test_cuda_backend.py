"""Asking for the cuda backend reports what is missing, and nothing chooses this backend by itself."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import tinycnn
from tinycnn.core import backend

ROOT = Path(__file__).parents[2]


def test_never_chosen_by_itself():
    assert tinycnn.get_backend().name == "cpu"
    assert "cuda" not in backend.BACKENDS


def test_without_numba_cuda(monkeypatch):
    def fail(name):
        raise ImportError("the package numba-cuda is not installed; install it with: pip install -e '.[cuda]'")

    monkeypatch.setattr(backend, "_load", fail)
    with (
        pytest.raises(backend.BackendUnavailableError, match=r"cuda backend cannot run: .*pip install -e '\.\[cuda\]'"),
        tinycnn.use_backend("cuda"),
    ):
        pass
    assert tinycnn.get_backend().name == "cpu"


def test_without_a_card_or_with_an_old_driver(monkeypatch):
    pytest.importorskip("numba_cuda")
    from tinycnn.kernels.cuda import _device

    def pretended(version, context):
        """Return a stand-in for numba-cuda that gives these answers, or raises them if they are errors."""

        def answer(value):
            if isinstance(value, Exception):
                raise value
            return value

        driver = SimpleNamespace(get_version=lambda: answer(version))
        cudadrv = SimpleNamespace(driver=SimpleNamespace(driver=driver))
        return SimpleNamespace(cudadrv=cudadrv, current_context=lambda: answer(context))

    monkeypatch.setattr(_device, "SIMULATED", False)
    for cuda, message in [
        (
            pretended(OSError("\nCUDA driver library cannot be found.\n"), None),
            "the NVIDIA driver is missing; install it",
        ),
        (pretended((11, 4), OSError("PTX")), r"driver is too old: it knows CUDA 11\.4, and numba-cuda needs 12\.0"),
        (pretended((12, 4), OSError("CUDA_ERROR_NO_DEVICE")), r"no NVIDIA GPU.*nvidia-smi.*\(CUDA_ERROR_NO_DEVICE\)"),
    ]:
        monkeypatch.setattr(_device, "cuda", cuda)
        with pytest.raises(backend.BackendUnavailableError, match=message), tinycnn.use_backend("cuda"):
            pass
    monkeypatch.setattr(_device, "cuda", pretended((12, 4), None))
    assert backend.unavailable("cuda") is None


def test_one_file_imports_numba_cuda():
    """This makes it possible to replace numba-cuda by a successor in one place."""
    for path in (ROOT / "kernels").rglob("*.py"):
        if path.name != "_device.py":
            text = path.read_text()
            assert "numba.cuda" not in text, path
            assert "from numba import cuda" not in text, path


def test_on_the_command_line(tmp_path):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
    options = "--data", "digits", "--backend", "cuda", "--out", str(tmp_path / "run")
    command = [sys.executable, "-m", "tinycnn", "train", "ladder_09", *options]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert result.returncode != 0
    assert "the cuda backend cannot run" in result.stderr
    assert "Traceback" not in result.stderr
