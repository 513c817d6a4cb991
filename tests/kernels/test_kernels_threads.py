"""Parallel code gives the same bits for any number of threads, launches safely, uses one BLAS thread, and is cached."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from layers_of_threads import LAYERS, on_layer
from threadpoolctl import threadpool_info

from tinycnn.kernels import cpu, reference
from tinycnn.kernels import threads as kernel_threads
from tinycnn.kernels.cpu.machine import jit, parallel
from tinycnn.kernels.threads import one_blas_thread

ROOT = Path(__file__).parents[2]


def run_python(code, **environment):
    """Return the standard output of a fresh interpreter that finds the package as this one does."""
    search = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    variables = {**os.environ, "PYTHONPATH": search, **environment}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=variables)
    assert result.returncode == 0, result.stderr
    return result.stdout


def large_arguments():
    """Return for each kernel arguments that fill many chunks, the last one only in part."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    x, w, b, dy = draw(37, 17, 17, 12), draw(3, 3, 12, 20), draw(20), draw(37, 17, 17, 20)
    geometry = (1, 1), (1, 1, 1, 1), (1, 1), 1
    pool = (3, 3), (2, 2), (1, 1, 1, 1)
    y, argmax = reference.max_pool2d_forward(x, *pool)
    features, matrix, scores = draw(131, 700), draw(700, 130), draw(20_001, 10)
    labels, flat, channel = rng.integers(0, 10, 20_001), draw(100_003), np.abs(draw(12))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return {
        "conv2d_forward": (x, w, b, *geometry),
        "conv2d_backward_input": (dy, w, (17, 17), *geometry),
        "conv2d_backward_weights": (dy, x, (3, 3), *geometry),
        "max_pool2d_forward": (x, *pool),
        "max_pool2d_backward": (y, argmax, (17, 17), *pool),
        "dense_forward": (features, matrix, None),
        "dense_backward_input": (features @ matrix, matrix),
        "dense_backward_weights": (features @ matrix, features),
        "batch_norm_forward": (x, channel, channel, 1e-3),
        "batch_norm_backward": (x[::-1].copy(), x, channel, channel, channel, 1e-3),
        "batch_norm_inference_forward": (x, channel, channel, channel, channel, 1e-3),
        "batch_norm_inference_backward": (x[::-1].copy(), x, channel, channel, channel, 1e-3),
        "move_average": (flat.copy(), flat, 0.99),
        "relu_forward": (flat,),
        "relu_backward": (flat[::-1].copy(), flat),
        "average_pool2d_forward": (x, *pool),
        "average_pool2d_backward": (y, (17, 17), *pool),
        **curve_arguments(flat[::-1].copy(), flat),
        "dropout": (flat, 0.4, 3, 4),
        "gaussian_noise": (flat, 0.4, 3, 4),
        "softmax_forward": (scores,),
        "softmax_backward": (scores[::-1].copy(), scores),
        "softmax_cross_entropy_forward": (scores, labels),
        "softmax_cross_entropy_backward": (scores, labels, draw(20_001)),
        "categorical_cross_entropy_forward": (scores, shares),
        "categorical_cross_entropy_backward": (scores, shares, draw(20_001)),
        "mean_squared_error_forward": (scores, shares),
        "mean_squared_error_backward": (scores, shares, draw(20_001)),
        "warp_images": (x, draw(37, 2, 3)),
        "blur_images": (x, np.abs(draw(37))),
        "cut_out_images": (x, rng.integers(-3, 20, (37, 4))),
        "sgd_update": (flat.copy(), flat, flat.copy(), 0.1, 0.9, True),
        "rmsprop_update": (flat.copy(), flat, np.abs(flat), flat * 0.1, flat.copy(), 1e-2, 0.9, 0.8, 1e-7),
        "gradient_norm": (flat,),
        "scale_gradient": (flat, 0.3),
        "clip_gradient": (flat, 0.5),
        "adam_update": (flat.copy(), flat, flat.copy(), np.abs(flat), 3, 1e-3, 0.9, 0.999, 1e-7),
    }


def curve_arguments(dy, x):
    """Return arguments for the element-wise functions that share a launcher."""
    constants = {"elu": (1.0,), "gelu": (), "leaky_relu": (0.2,), "sigmoid": (), "tanh": ()}
    forward = {f"{name}_forward": (x, *constant) for name, constant in constants.items()}
    return forward | {f"{name}_backward": (dy, x, *constant) for name, constant in constants.items()}


def digests(name, arguments):
    """Return the bytes of each of one kernel's results."""
    arguments = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
    result = getattr(cpu, name)(*arguments)
    results = arguments if result is None else result if isinstance(result, tuple) else (result,)
    return [a.tobytes() for a in results if isinstance(a, np.ndarray)]


def compare_thread_counts():
    """Return what this process, which runs nothing else, computes with any number of threads.

    Returns
    -------
    dict
        Numba's kind of threads, for each kernel the numbers of threads whose bits differ from one thread's, and
        checksums of these.
    """
    import numba

    different, sums = {}, {}
    for name, arguments in large_arguments().items():
        results = []
        for threads in (1, 2, 3, 4):
            numba.set_num_threads(threads)
            results.append(digests(name, arguments))
        different[name] = [threads for threads, r in enumerate(results, 1) if r != results[0]]
        sums[name] = checksum(results[0])
    return {"layer": numba.threading_layer(), "different": different, "sums": sums}


def checksum(results):
    """Return a checksum of results as :func:`digests` returns them."""
    return hashlib.sha256(b"".join(results)).hexdigest()


@pytest.mark.parametrize("layer", LAYERS)
def test_bits_do_not_depend_on_the_number_of_threads_nor_on_their_kind(layer):
    assert sorted(large_arguments()) == sorted(reference.__all__), "every kernel needs an entry in large_arguments"
    code = "import json, test_kernels_threads as t; print(json.dumps(t.compare_thread_counts()))"
    found = json.loads(run_python(code, NUMBA_NUM_THREADS="4", **on_layer(layer)))
    assert found["layer"] == layer
    assert found["different"] == {name: [] for name in reference.__all__}
    assert found["sums"] == {name: checksum(digests(name, given)) for name, given in large_arguments().items()}


def test_little_work_stays_on_the_calling_thread(monkeypatch):
    asked = []
    monkeypatch.setattr(parallel, "worker_count", lambda chunks: asked.append(chunks) or 1)
    few, many = np.ones((10, 10), np.float32), np.ones((3000, 10), np.float32)
    cpu.softmax_forward(few)
    assert not asked
    cpu.softmax_forward(many)
    assert asked


def test_bits_do_not_depend_on_what_counts_as_little(monkeypatch):
    def results():
        return {name: getattr(cpu, name)(*arguments) for name, arguments in large_arguments().items()}

    before = results()
    monkeypatch.setattr(jit, "LITTLE", 1 << 40)
    for name, result in results().items():
        pairs = zip(result, before[name], strict=True) if isinstance(result, tuple) else [(result, before[name])]
        assert all(np.array_equal(one, other) for one, other in pairs), name


def test_bits_do_not_depend_on_memory_brought():
    arguments = large_arguments()["conv2d_backward_weights"]
    dw, db = cpu.conv2d_backward_weights(*arguments)
    outs = np.empty_like(dw), np.empty_like(db)
    cpu.conv2d_backward_weights(*arguments, out=outs, work=lambda shape, dtype: np.full(shape, np.nan, dtype))
    assert np.array_equal(dw, outs[0])
    assert np.array_equal(db, outs[1])


def small_arguments():
    """Return the first elements of :func:`large_arguments`, on which loops run mostly in their remainders."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    x, y, rows, labels, flat = draw(3, 5, 5, 3), draw(3, 5, 5, 4), draw(3, 7), np.array([0, 6, 2]), draw(11)
    geometry, channel = ((1, 1), (1, 1, 1, 1), (1, 1), 1), np.abs(draw(3))
    return {
        "conv2d_forward": (x, draw(3, 3, 3, 4), draw(4), *geometry),
        "conv2d_backward_input": (y, draw(3, 3, 3, 4), (5, 5), *geometry),
        "conv2d_backward_weights": (y, x, (3, 3), *geometry),
        "dense_forward": (rows, draw(7, 5), draw(5)),
        "dense_backward_input": (draw(3, 5), draw(7, 5)),
        "dense_backward_weights": (draw(3, 5), rows),
        "batch_norm_forward": (x, channel, channel, 1e-3),
        "batch_norm_backward": (x[::-1].copy(), x, channel, channel, channel, 1e-3),
        "batch_norm_inference_backward": (x[::-1].copy(), x, channel, channel, channel, 1e-3),
        "move_average": (flat.copy(), flat[::-1].copy(), 0.99),
        "average_pool2d_forward": (x, (3, 3), (2, 2), (1, 1, 1, 1)),
        "average_pool2d_backward": (draw(3, 3, 3, 3), (5, 5), (3, 3), (2, 2), (1, 1, 1, 1)),
        **curve_arguments(flat[::-1].copy(), flat),
        "gaussian_noise": (flat, 0.4, 3, 4),
        "softmax_forward": (rows,),
        "softmax_backward": (rows[::-1].copy(), rows),
        "softmax_cross_entropy_forward": (rows, labels),
        "softmax_cross_entropy_backward": (rows, labels, draw(3)),
        "categorical_cross_entropy_forward": (rows, np.abs(rows)),
        "categorical_cross_entropy_backward": (rows, np.abs(rows), draw(3)),
        "mean_squared_error_forward": (rows, rows[::-1].copy()),
        "mean_squared_error_backward": (rows, rows[::-1].copy(), draw(3)),
        "rmsprop_update": (flat.copy(), flat[::-1].copy(), np.abs(flat), flat * 0.1, flat.copy(), 0.1, 0.9, 0.8, 1e-7),
        "gradient_norm": (flat,),
        "warp_images": (x, draw(3, 2, 3)),
        "blur_images": (x, channel),
        "adam_update": (flat.copy(), flat[::-1].copy(), flat.copy(), np.abs(flat), 3, 1e-3, 0.9, 0.999, 1e-7),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("arguments_of", [large_arguments, small_arguments])
def test_bits_do_not_depend_on_where_arrays_lie(arguments_of, dtype):
    """Compiled code could take another path, with other rounding, for another alignment or distance between arrays."""
    different = []
    for name, arguments in arguments_of().items():
        kernel, results = getattr(cpu, name), set()
        arguments = [a.astype(dtype) if is_real(a) else a for a in arguments]
        outs = kernel(*[a.copy() if is_real(a) else a for a in arguments])
        for trial in range(12):
            place = placer(trial, dtype)
            placed = [place(a) for a in arguments]
            if outs is None:
                kernel(*placed)
                outputs = placed
            else:
                brought = tuple(place(o) for o in outs) if isinstance(outs, tuple) else place(outs)
                outputs = kernel(*placed, out=brought)
            outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
            results.add(b"".join(a.tobytes() for a in outputs if is_real(a)))
        if len(results) > 1:
            different.append(name)
    assert different == []


def placer(trial, dtype):
    """Return a function that copies arrays one after another into one stretch of memory; gaps depend on the trial."""
    arena, start = np.empty(3_000_000, dtype), trial

    def place(array):
        nonlocal start
        if not is_real(array):
            return array
        spot = arena[start : start + array.size].reshape(array.shape)
        spot[...] = array
        start += array.size + (trial * 5) % 17
        return spot

    return place


def is_real(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


@pytest.mark.parametrize("layer", LAYERS)
def test_two_python_threads_at_once(layer):
    """Numba's workqueue ends the process if two threads enter it at once, so a lock keeps launches apart."""
    code = """
import threading, numpy as np
from tinycnn.kernels import cpu
import test_kernels_threads as t
names = ["relu_forward", "dense_forward", "conv2d_backward_weights", "dropout"]
arguments = t.large_arguments()
expected = {name: t.digests(name, arguments[name]) for name in names}
wrong = []
def work():
    for _ in range(15):
        for name in names:
            if t.digests(name, arguments[name]) != expected[name]:
                wrong.append(name)
workers = [threading.Thread(target=work) for _ in range(3)]
[w.start() for w in workers]
[w.join() for w in workers]
print("wrong:", wrong)
"""
    assert run_python(code, **on_layer(layer)).strip() == "wrong: []"


@pytest.mark.needs("os.fork")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_forked_child_is_told_the_cure(layer):
    code = """
import os, sys, numpy as np
from tinycnn.kernels import cpu
cpu.relu_forward(np.ones(5))
sys.stdout.flush()
child = os.fork()
if child == 0:
    try:
        cpu.relu_forward(np.ones(5))
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(7)
    os._exit(1)
print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
cpu.relu_forward(np.ones(5))
"""
    output = run_python(code, PYTHONWARNINGS="ignore", **on_layer(layer))
    assert "'spawn'" in output
    assert "exit 7" in output


@pytest.mark.needs("os.fork")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_child_forked_before_the_first_launch_may_launch(layer):
    code = """
import os, numpy as np
from tinycnn.kernels import cpu
child = os.fork()
if child == 0:
    os._exit(int(cpu.relu_forward(np.full(5, -1.0)).sum()))
print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert "exit 0" in run_python(code, **on_layer(layer))


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_blas_thread_nests_and_restores():
    with one_blas_thread(in_kernels=True):  # so that SciPy's BLAS is there before the first look
        pass
    before = blas_threads()
    with one_blas_thread():
        assert set(blas_threads()) == {1}
        with one_blas_thread():
            cpu.dense_forward(np.ones((2, 3)), np.ones((3, 2)), None)
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas_threads() == before


LATE_BLAS = """
import sys
import numpy as np
from tinycnn.kernels.threads import one_blas_thread
from threadpoolctl import ThreadpoolController
def counts():
    libraries = ThreadpoolController().lib_controllers
    return [library.get_num_threads() for library in libraries if library.user_api == "blas"]
before = counts()
with one_blas_thread():
    assert "scipy" not in sys.modules
    assert set(counts()) == {1}
    with one_blas_thread(in_kernels=True):
        assert len(counts()) == len(before) + 1
        assert set(counts()) == {1}
    assert set(counts()) == {1}
print(len(set(counts())), counts()[0] == before[0])
"""


def test_a_blas_that_comes_later_has_one_thread_too():
    assert run_python(LATE_BLAS, OPENBLAS_NUM_THREADS="2").split() == ["1", "True"]


def test_one_blas_thread_is_shared_by_python_threads():
    """The limit holds for the whole process, so it stays until the last thread that uses it has finished."""
    with one_blas_thread(in_kernels=True):
        pass
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            entered.set()
            leave.wait(10)

    worker = threading.Thread(target=other)
    with one_blas_thread():
        worker.start()
        assert entered.wait(10)
    assert set(blas_threads()) == {1}
    leave.set()
    worker.join()
    assert blas_threads() == before


RELU_TWICE = """
import sys, numba, numpy as np
before = numba.config.CACHE_DIR
from tinycnn.kernels import cpu
from tinycnn.kernels.cpu import activation
from tinycnn.kernels.cpu.machine import jit
assert numba.config.CACHE_DIR == before  # a user's own functions are cached where they were
cpu.relu_forward(np.ones(5, np.float32))
from tinycnn.kernels.cpu.machine import parallel
launches, chunks = parallel._run.jitted.stats, jit.COMPILED
assert activation._gate._compiled
hits = sum(launches.cache_hits.values()), *(function.cache_hits for function in chunks)
print(*hits, sum(launches.cache_misses.values()))
"""


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, {"GOMP_SPINCOUNT": str(kernel_threads.SPINS)}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "passive"}, {"OMP_WAIT_POLICY": "passive"}),
    ],
)
def test_how_threads_wait_is_said_only_while_they_start(given, seen, monkeypatch):
    """Other libraries and processes do not see the variable, and what a user sets is left alone."""
    names = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"

    def variables():
        return {name: os.environ[name] for name in names if name in os.environ}

    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = []
    monkeypatch.setattr(numba, "get_num_threads", lambda: found.append(variables()) or 3)
    kernel_threads._start_threads.cache_clear()
    assert kernel_threads.thread_count() == kernel_threads.thread_count() == 3
    assert found == [seen, given, given]
    assert variables() == given


def test_a_second_process_compiles_nothing(tmp_path):
    assert run_python(RELU_TWICE, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["0", "0", "1"]
    assert run_python(RELU_TWICE, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["1", "1", "0"]
    (folder,) = tmp_path.iterdir()
    assert folder.name == Path(jit.cache_folder()).name  # named by the sources' hash


@pytest.mark.slow
def test_code_from_the_cache_runs_whoever_compiled_its_parts(tmp_path):
    """The second process compiles with what the first has left; the third one used to crash."""
    for dtype in ("float32", "float64", "float64"):
        code = f"import numpy as np; from tinycnn.kernels import cpu; print(cpu.relu_forward(np.ones(2, np.{dtype})))"
        assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).strip() == "[1. 1.]"


def test_the_cache_falls_back_to_a_private_folder(tmp_path):
    """A home folder that cannot be written to only means that the cache lies in another folder."""
    blocked = tmp_path / "a file"
    blocked.touch()
    code = "import os; os.umask(0o002)\nfrom tinycnn.kernels.cpu.machine import jit; print(jit.cache_folder())"
    variables = {
        "XDG_CACHE_HOME": str(blocked),
        "NUMBA_CACHE_DIR": "",
        "TMPDIR": str(tmp_path),
        "PYTHONWARNINGS": "error",
    }
    folder = Path(run_python(code, **variables).strip())
    assert folder.parent.parent == tmp_path
    assert folder.parent.stat().st_mode & 0o77 == 0


@pytest.mark.needs("os.getuid")
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path):
    """Cached code is run, so it must not come from a folder into which anyone can write."""
    assert jit._is_ours(tmp_path)
    tmp_path.chmod(0o777)
    assert not jit._is_ours(tmp_path)


def test_every_source_counts_in_the_cache_name():
    """Numba does not notice an edit in another file's helper, so the folder's name must depend on all files."""
    before = jit._source_hash()
    for nested in ("", "cpu", "cpu/machine", "cuda/steps"):
        extra = Path(reference.__file__).parents[1] / nested / "_temporary_for_a_test.py"
        try:
            extra.write_text("# not empty")
        except OSError:
            pytest.skip("the installation is read-only")
        try:
            assert jit._source_hash() != before
        finally:
            extra.unlink()
        assert jit._source_hash() == before
