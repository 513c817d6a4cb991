"""Ctrl-C ends the page's server, whatever runs in it."""

import http.client
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

PROGRAM = """
import sys
import numpy as np
from tinycnn import Sequential, layers
from tinycnn.explore import server
from tinycnn.explore.mine import KernelFile
from tinycnn.explore.session import Data, Session

model = Sequential([layers.Input((4, 4, 1)), layers.Activation("relu"), layers.Flatten(), layers.Dense(2)])
x, y = np.ones((3, 4, 4, 1), np.float32), np.array([0, 1, 0])
server.serve(Session(model, Data("drawn", ("a", "b"), x, y, x, y), KernelFile(sys.argv[1])), browser=False)
"""


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C, and return what a program says until it ends."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=15)[0]
    finally:
        process.kill()


@pytest.mark.parametrize("asks", [False, True])
def test_ctrl_c_ends_it(tmp_path: Path, asks: bool) -> None:
    kernels = tmp_path / "mine.py"
    kernels.write_text("def relu_forward(x):\n    while True:\n        pass\n")
    command = [sys.executable, "-u", "-c", PROGRAM, str(kernels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        address = next(found for line in process.stdout if (found := re.search(r":(\d+)/\?token=(\S+)", line)))
        port, token = address.groups()
        time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        if asks:  # the learner's kernel then runs for ever
            headers = {"cookie": f"tinycnn-{port}={token}", "x-tinycnn": "1", "origin": f"http://127.0.0.1:{port}"}
            connection.request("POST", "/api/trace", b'{"image": "test-0", "label": 0}', headers)
            time.sleep(1)
        said = interrupted(process)
        connection.close()
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "ERROR" not in said  # nothing from the server's own log
    assert "Exception in" not in said
    assert ("it is left behind" in said) == asks


PREPARING = """
import sys, time
from tinycnn.explore import server
from tinycnn.explore.preparing import Preparation

def make(tell):
    try:
        while True:
            time.sleep(0.02)
            if sys.argv[1] == "tells":
                tell("a batch")
    finally:
        print("all is put away", flush=True)

server.serve(Preparation("small is trained first", make), browser=False)
"""


@pytest.mark.parametrize("kind", ["tells", "is stuck"])
def test_ctrl_c_ends_it_while_a_network_is_being_made(kind: str) -> None:
    command = [sys.executable, "-u", "-c", PREPARING, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "/?token=" in line)
        time.sleep(0.5)
        said = interrupted(process)
    assert process.returncode in (130, -signal.SIGINT)
    assert ("all is put away" in said) == (kind == "tells")
    assert ("that is left behind" in said) == (kind == "is stuck")
