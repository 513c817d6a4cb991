"""Steps of shards in one process: what is recorded, and which images a rank takes. No MPI is needed here."""

from collections import Counter

import distributed_job as job
import numba
import numpy as np
import pytest

import tinycnn
from tinycnn.core.seeding import StepOfPart, step_for_kernels
from tinycnn.core.workspace import Workspace
from tinycnn.distributed import agreement
from tinycnn.distributed.parallel import DataParallel, Together
from tinycnn.distributed.ranks import AgreedError, Alone
from tinycnn.distributed.step import ShardedStep
from tinycnn.training import batches, evaluation, recorded
from tinycnn.training.batches import ArrayBatches, IteratorBatches, SampleSource
from tinycnn.training.callback import History
from tinycnn.training.data import Samples
from tinycnn.training.non_finite import NumericError
from tinycnn.training.running_means import RunningMeans

compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="without compiled kernels there are no programs")


class RankOf(Alone):
    """A rank that never meets the others."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.fixture
def runs(monkeypatch):
    """Count the runs of programs."""
    counted, program = Counter(), tinycnn.get_backend().kernels.fused.Program
    run = program.run

    def counted_run(self, now):
        counted["runs"] += 1
        run(self, now)

    monkeypatch.setattr(program, "run", counted_run)
    return counted


def fit_in_lanes(way):
    assert "LaneDropout" in [type(part).__name__ for part in job.network_in_lanes().plan]
    return job.in_lanes(way)


def fit_of_job(way):
    return job.train(job.network(), way, augment=tinycnn.Augmentation(shift=0.2, flip=True), epochs=4)


@compiled
@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("fit", [fit_in_lanes, fit_of_job])
def test_recorded_shards_have_the_bits_of_others(monkeypatch, runs, fit, shards):
    found = fit(DataParallel(shards))
    assert runs["runs"] > 5 * shards  # of training; evaluation has some too
    monkeypatch.setattr(recorded, "can_record", lambda model: False)
    runs.clear()
    assert fit(DataParallel(shards)) == found
    assert not runs


@compiled
def test_shards_of_one_size_share_a_recording():
    model, ws = job.network_in_lanes(), Workspace()
    step, rng = ShardedStep(Alone(), 4), np.random.default_rng(0)
    for _ in range(3):
        batch = batches.Batch(rng.random((64, 12, 12, 1), np.float32), rng.integers(0, 5, 64), None)
        step.take(model, model.plan, batch, RunningMeans(model), ws, None)
    assert [known.program is not None for known in ws.recorded.values()] == [True]


def test_the_step_of_a_part_says_what_it_is_later():
    here, later = (step_for_kernels(5, StepOfPart(step, 3, 7), 15) for step in (9, 10))
    assert here != later
    assert here.of(StepOfPart(10, 3, 7)) == later
    # shards of one size share a recording, wherever in the batch they lie
    assert step_for_kernels(5, StepOfPart(9, 0, 7), 15).of(StepOfPart(10, 3, 7)) == later


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("ranks", [2, 4])
def test_each_rank_gathers_its_own_images_alone(monkeypatch, shuffle, ranks):
    """Three batches of 16, 16 and 10 images: what the ranks take is all of it, each image once."""
    x, y = job.data(42)
    gathered = []
    usual = batches.take
    monkeypatch.setattr(batches, "take", lambda *given: gathered.append(len(taken := usual(*given))) or taken)

    def of(mine):
        source = ArrayBatches(job.network(), Samples(x, y, None), 16, shuffle)
        return [batch._replace(x=batch.x.copy()) for batch in source.epoch(Workspace(), 0, mine)]

    whole = of(None)
    parts = [of(ShardedStep(RankOf(rank, ranks), 4).mine) for rank in range(ranks)]
    for number, batch in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[number].x for part in parts]), batch.x)
        assert all((part[number].y == batch.y).all() for part in parts)
    assert sum(gathered) == 2 * 42


def test_a_users_batches_are_cut_as_well():
    numbers = np.arange(8, dtype=np.float32) / 32
    pairs = [(np.broadcast_to((k + numbers)[:, None, None, None], (8, 8, 8, 1)), np.arange(8) % 5) for k in (0, 0.5)]
    model, seen = job.network(), []
    together = Together(DataParallel(4), Alone(), History())
    together._step = ShardedStep(RankOf(1, 2), 4)

    class Run:
        ws, batch = Workspace(), 0
        batches = IteratorBatches(model, pairs, None, None, True)

    for batch in together.epoch(Run):
        seen.append((32 * batch.x[:, 0, 0, 0]).tolist())
        assert len(batch.y) == 8
    assert seen == [[4, 5, 6, 7], [20, 21, 22, 23]]


def test_images_of_other_ranks_blocks_are_not_gathered():
    x, y = job.data(600)
    model = job.network()
    source = SampleSource(model.backend, x, y, model.dtype)
    blocks = evaluation.blocks(model, source, None, Workspace(), lambda number: number == 1)
    assert [(len(images), len(labels)) for images, labels, _, _ in blocks] == [(0, 256), (256, 256), (0, 88)]


def test_a_loss_that_is_not_finite_names_the_layer():
    x, y = job.data()
    x = x.copy()
    x[3, 0, 0, 0] = np.inf
    model = job.network()
    with pytest.raises(NumericError, match="the loss is nan; first in Conv2D"):
        model.fit(x, y, batch_size=16, verbose=0, check_finite=False, distributed="deterministic")


def test_the_rank_that_knows_the_layer_speaks_for_all():
    class Meets(RankOf):
        def gather(self, mine, whole):
            whole[:] = [[0], [1], [1]]

        def broadcast(self, data, root=0):
            return f"{root}: {data.decode()}".encode()

    error = agreement.first_of(Meets(2, 3), ValueError("mine"), True)
    assert isinstance(error, AgreedError)
    assert str(error) == "1: mine"
    assert agreement.first_of(Alone(), error, True) is error
