"""``tinycnn train`` under mpiexec: one run, one folder, and the first process alone prints."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from test_distributed_training import BOUND, LIMIT, ended, environment, mpiexec


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


def test_a_mistake_in_the_command_is_printed_once(tmp_path):
    done = train(2, tmp_path / "run", "--epochs", "none")
    assert done.returncode != 0
    assert done.stderr.count("argument --epochs: 'none' is not a whole number from 1") == 1


#: What ``tinycnn`` runs as a console script, with the rank's process written down, and perhaps an error on rank 1.
PROGRAM = """
import os, pathlib, sys, time
rank = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK"))
folder, how = pathlib.Path(sys.argv[1]), sys.argv[2]
(folder / rank).write_text(str(os.getpid()))
from tinycnn.cli import run_as_process, train
def fail(*given):
    (folder / "when").write_text(str(time.time()))
    raise train.UsageError("on purpose")
if how == "error" and rank == "1":
    train.set_threads = fail
sys.exit(run_as_process(sys.argv[3:]))
"""


def begin(folder, how):
    """Start the command on two ranks, for longer than any test waits."""
    given = ["train", "ladder_02", "--data", "digits", "--epochs", "1000", "--out", str(folder / "run")]
    command = [mpiexec(), "-n", "2", sys.executable, "-c", PROGRAM, str(folder), how, *given]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_command(tmp_path, rank):
    job = begin(tmp_path, "killed")
    try:
        assert any(line.startswith("Training ladder_02") for line in job.stdout)
        os.kill(int((tmp_path / str(rank)).read_text("utf-8")), signal.SIGKILL)
        begun = time.monotonic()
        ended(job)
        assert time.monotonic() - begun < BOUND
        assert job.returncode != 0
    finally:
        job.terminate()
        job.wait()


def test_an_error_on_another_rank_ends_the_command_with_its_traceback(tmp_path):
    job = begin(tmp_path, "error")
    try:
        _, _, printed = ended(job)
        assert time.time() - float((tmp_path / "when").read_text("utf-8")) < BOUND
        assert job.returncode != 0
        assert "rank 1 of 2 failed, so all are ended" in printed
        assert "UsageError: on purpose" in printed
    finally:
        job.terminate()
        job.wait()
