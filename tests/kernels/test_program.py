"""Programs: launches that are written down and run again by one call."""

import gc
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from tinycnn.kernels import cpu
from tinycnn.kernels.cpu.fused import Program
from tinycnn.kernels.cpu.machine import program as machine
from tinycnn.kernels.cpu.machine.jit import recorder
from tinycnn.kernels.cpu.machine.parallel import parallel

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="without compiled kernels there are no programs")

LARGE = (40, 50, 60)  # enough numbers for several threads


def drawn(seed, shape=LARGE):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def at(step):
    return SimpleNamespace(step=step)


def test_a_program_does_again_what_was_launched():
    x, y, z = drawn(0), np.empty(LARGE, np.float32), np.empty(LARGE, np.float32)
    program = Program()
    with program.recording(at(0)):
        cpu.relu_forward(x, out=y)
        cpu.relu_backward(x, y, out=z)
        cpu.relu_forward(x[:1], out=z[:1])
    for seed in (0, 1, 2):
        x[...], y[...], z[...] = drawn(seed), np.nan, np.nan
        program.run(at(0))
        assert np.array_equal(y, np.maximum(x, 0))
        assert np.array_equal(z, np.maximum(x, 0))
    assert program.refusal is None


def test_recording_runs_the_kernels_as_usual():
    x, y = drawn(0), np.empty(LARGE, np.float32)
    with Program().recording(at(0)):
        cpu.relu_forward(x, out=y)
    assert np.array_equal(y, np.maximum(x, 0))
    assert recorder() is None


def test_the_step_of_a_mask_is_that_of_the_run():
    x, y = drawn(0), np.empty(LARGE, np.float32)
    program = Program()
    with program.recording(at(3)):
        cpu.dropout(x, 0.4, 7, 3, out=y)
    for step in (3, 4, 2**40):
        program.run(at(step))
        assert np.array_equal(y, cpu.dropout(x, 0.4, 7, step))


def test_calls_of_python_keep_their_place_and_are_not_recorded():
    x, y, seen = drawn(0), np.empty(LARGE, np.float32), []

    def between(now):
        assert recorder() is None
        seen.append((now.step, y.max()))
        cpu.relu_forward(y, out=y)  # launched by itself, also within a run
        np.negative(y, out=y)

    program = Program()
    with program.recording(at(1)):
        cpu.relu_forward(x, out=y)
        program.call(between)
        cpu.relu_forward(y, out=y)
    assert not y.any()
    x *= 2
    program.run(at(2))
    assert not y.any()
    assert seen == [(1, drawn(0).max()), (2, x.max())]


def test_the_memory_of_a_program_lives_as_long_as_it():
    program = Program()
    y = np.empty(LARGE, np.float32)
    with program.recording(at(0)):
        cpu.relu_forward(cpu.relu_forward(drawn(0)), out=y)
    gc.collect()
    other = [drawn(seed) for seed in range(5)]  # would take the memory of arrays that nobody holds
    y[...] = 0
    program.run(at(0))
    assert np.array_equal(y, np.maximum(drawn(0), 0))
    assert len(other) == 5


@pytest.mark.parametrize("kind", ["not in order", "read-only result"])
def test_what_has_to_be_copied_is_refused(kind):
    x, y = drawn(0), np.empty(LARGE, np.float32)
    program = Program()
    with program.recording(at(0)):
        if kind == "not in order":
            cpu.relu_forward(x.transpose(2, 1, 0), out=y.reshape(60, 50, 40))
        else:
            cpu.relu_forward(x, out=np.empty((40, 50, 120), np.float32)[..., ::2])
    assert "copied" in program.refusal


def test_numbers_of_one_step_are_refused():
    w, g = drawn(0), drawn(1)
    program = Program()
    with program.recording(at(0)):
        cpu.sgd_update(w, g, None, 0.1, 0.0, False)
    assert "numbers of this step" in program.refusal


def test_another_thread_launches_while_one_records():
    x, y, z = drawn(0), np.empty(LARGE, np.float32), np.empty(LARGE, np.float32)
    program = Program()
    with program.recording(at(0)):
        cpu.relu_forward(x, out=y)
        thread = threading.Thread(target=lambda: cpu.relu_forward(drawn(5), out=z))
        thread.start()
        thread.join()
    z[...] = 1
    program.run(at(0))
    assert (z == 1).all()


def test_an_error_ends_the_recording():
    with pytest.raises(ZeroDivisionError), Program().recording(at(0)):
        raise ZeroDivisionError
    assert recorder() is None


@parallel
def note_worker(chunk, worker, workers, counts):
    """Write down which worker took a chunk, and how often it was taken."""
    workers[chunk] = worker
    counts[chunk] += 1


@pytest.mark.parametrize("chunks", [1, 2, 7, 1000])
@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_each_chunk_is_taken_once_by_a_worker_that_has_memory(chunks, lanes):
    """More lanes than threads are no danger: those that run do all of the work."""
    workers, counts = np.full(chunks, -1, np.int64), np.zeros(chunks, np.int64)
    program = Program()
    with program.recording(at(0)):
        note_worker.launch(chunks, workers, counts, elements=10**6)
        note_worker.launch(chunks, workers, counts, elements=1)
        note_worker.launch(chunks, workers, counts, elements=10**6)
    (part,) = program._parts
    part._rows[:, machine.WORKERS] = lanes, 1, max(1, lanes - 1)
    part.share(lanes)
    for _ in range(50):
        counts[...] = 0
        program.run(at(0))
        assert (counts == 3).all()
        assert 0 <= workers.min() <= workers.max() < lanes


@parallel
def count_long(chunk, worker, workers, numbers):
    """Write down which worker took a chunk, after some tenths of a millisecond."""
    for i in range(numbers.shape[1]):
        numbers[chunk, i] = np.sqrt(numbers[chunk, i] + i)
    workers[chunk] = worker


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="a single thread has all parts")
def test_each_lane_begins_with_a_part_of_its_own():
    """A core finds in its cache what it left there in the last run; lanes help each other at the end alone."""
    chunks, numbers = 40, np.ones((40, 100_000))
    workers = np.full(chunks, -1, np.int64)
    program = Program()
    with program.recording(at(0)):
        count_long.launch(chunks, workers, numbers, elements=10**6)
    (part,) = program._parts
    part._rows[:, machine.WORKERS] = 2
    part.share(2)
    for _ in range(50):  # other processes may hold a thread up
        program.run(at(0))
        if np.count_nonzero(workers != np.repeat([0, 1], chunks // 2)) <= 2:
            return
    pytest.fail(f"workers took chunks in no order: {workers}")


@parallel
def fill(chunk, worker, numbers, value):
    """Write a piece of three numbers."""
    numbers[3 * chunk : 3 * chunk + 3] = value[0] + chunk


@parallel
def take(chunk, worker, total, numbers):
    """Move a piece of three numbers, and forget them."""
    total[3 * chunk : 3 * chunk + 3] += numbers[3 * chunk : 3 * chunk + 3]
    numbers[3 * chunk : 3 * chunk + 3] = -1


@pytest.mark.parametrize("needed", [False, True])
def test_a_launch_runs_behind_each_chunk_of_the_one_that_gives_it_its_numbers(needed):
    numbers, total, other, value = np.zeros(12), np.zeros(12), np.zeros(12), np.ones(1)
    program = Program()
    with program.recording(at(0)):
        fill.launch(4, numbers, value, elements=10**6, gives=(numbers, 3))
        fill.launch(4, other, value, elements=10**6)
        if needed:
            take.launch(4, other, total, elements=10**6)
        giver = program.giver(numbers, (total, numbers))
        assert giver == (None if needed else (0, 3))
        assert program.giver(other, (other,)) is None
        take.launch(4, total, numbers, elements=10**6, behind=None if needed else 0)
    (part,) = program._parts
    assert len(part._rows) == (4 if needed else 2)
    for n in (2, 5):
        total[...] = 0
        value[...] = n
        program.run(at(0))
        np.testing.assert_array_equal(numbers, -1)
        np.testing.assert_array_equal(total, (0 if not needed else -1) + n + np.repeat(range(4), 3))


THREADS = """
import sys, numba, numpy as np
from types import SimpleNamespace
from tinycnn.kernels import cpu
from tinycnn.kernels.cpu.fused import Program
numba.set_num_threads(int(sys.argv[1]))
draw = np.random.default_rng(0)
x, w = (draw.normal(size=shape).astype(np.float32) for shape in ((33, 9, 9, 5), (3, 3, 5, 12)))
b, dy = draw.normal(size=12).astype(np.float32), draw.normal(size=(33, 7, 7, 12)).astype(np.float32)
out = [np.empty_like(array) for array in (dy, x, w, b)]
program = Program()
with program.recording(SimpleNamespace(step=0)):
    cpu.conv2d_forward(x, w, b, (1, 1), (0, 0, 0, 0), (1, 1), 1, out=out[0])
    cpu.conv2d_backward_input(dy, w, (9, 9), (1, 1), (0, 0, 0, 0), (1, 1), 1, out=out[1])
    cpu.conv2d_backward_weights(dy, x, (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1, out=out[2:])
launched = [array.tobytes() for array in out]
for array in out:
    array[...] = 0
program.run(SimpleNamespace(step=0))
assert [array.tobytes() for array in out] == launched
import hashlib
print(hashlib.sha256(b"".join(launched)).hexdigest())
"""


def test_any_number_of_threads_gives_the_same_bits():
    """16 threads on a machine with fewer cores, too: lanes that wait let others run."""
    found = set()
    for threads in (1, 2, 3, 16):
        environment = os.environ | {"NUMBA_NUM_THREADS": str(threads)}
        code = [sys.executable, "-c", THREADS, str(threads)]
        done = subprocess.run(code, capture_output=True, text=True, timeout=300, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
