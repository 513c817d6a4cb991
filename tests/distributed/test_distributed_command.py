"""``tinycnn train`` under mpiexec: one run, one folder, and the first process alone prints."""

import json
import subprocess
import sys

import pytest
from test_distributed_training import LIMIT, environment, mpiexec


def train(ranks, folder, *more):
    """Run ``tinycnn train`` on so many ranks, or without mpiexec."""
    launcher = [mpiexec(), "-n", str(ranks)] if ranks else []
    command = [sys.executable, "-m", "tinycnn", "train", "ladder_03", "--data", "digits", "--out", str(folder), *more]
    variables = environment() | {"NUMBA_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, *command], env=variables, capture_output=True, text=True, timeout=2 * LIMIT, check=False
    )


@pytest.mark.slow
def test_two_processes_make_one_run_that_one_process_resumes(tmp_path):
    done = train(2, tmp_path / "run", "--epochs", "1", "--distributed", "deterministic")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes") == done.stdout.count("test accuracy") == 1
    described = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert described["distributed"] == "deterministic"
    assert "--distributed deterministic" in described["command"]
    again = train(0, tmp_path / "run", "--epochs", "2", "--resume")
    assert again.returncode == 0, again.stderr
    whole = train(0, tmp_path / "whole", "--epochs", "2", "--distributed", "deterministic")
    assert whole.returncode == 0, whole.stderr
    names = [tmp_path / name / "model.safetensors" for name in ("run", "whole")]
    assert names[0].read_bytes() == names[1].read_bytes()
    refused = train(2, tmp_path / "run", "--epochs", "1")
    assert refused.returncode != 0
    assert refused.stderr.count("holds a finished run") == 1
