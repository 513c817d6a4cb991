"""Evaluation by several processes: each computes some of the blocks, and all add up the results in one order."""

import math
from itertools import islice
from typing import Any

import numpy as np

from ..core.types import Array
from ..core.workspace import Workspace
from ..network.network import Network
from ..training import recorded
from ..training.batches import SampleSource
from ..training.callback import Logs
from ..training.evaluation import blocks
from ..training.running_means import RunningMeans
from ..training.sequences import BatchSamples
from .agreement import VALIDATION, agreed
from .ranks import Alone


def evaluate(
    job: Alone,
    model: Network,
    chain: list[Any],
    source: SampleSource | BatchSamples,
    weight: Array | None,
    ws: Workspace,
) -> Logs:
    """Return loss and metrics on all samples of a source, with the bits that one process finds.

    Parameters
    ----------
    job : Alone or Job
    model, chain, source, weight, ws
        As :func:`tinycnn.training.evaluation.evaluate_source` takes them.

    Raises
    ------
    AgreedError
        If batches of a user's own are not the same on all ranks.
    """
    means = RunningMeans(model)
    width = 1 + math.prod(model.output_shape)
    found = blocks(model, source, weight, ws, lambda number: number % job.size == job.rank)
    if isinstance(source, BatchSamples):
        found = agreed(found, job, lambda block: (block[1], block[0], block[3]), VALIDATION)
    remaining = enumerate(found)
    while group := [_computed(job, model, chain, number, block, ws) for number, block in islice(remaining, job.size)]:
        results = np.concatenate([mine for mine, _, _ in group])
        job.sum_in_place(results)
        start = 0
        for mine, y, weights in group:
            part = results[start : start + len(mine)]
            start += len(mine)
            means.update(part[:, 0], y, part[:, 1:width].reshape(-1, *model.output_shape), weights)
    return means.results()


def _computed(
    job: Alone, model: Network, chain: list[Any], number: int, block: Any, ws: Workspace
) -> tuple[Array, Array, Array | None]:
    """Return losses and predictions of a block, or zeros if another rank computes it, with targets and weights."""
    x, y, targets, weights = block
    results = np.zeros((len(y), 1 + math.prod(model.output_shape)), model.dtype)
    if number % job.size == job.rank:
        losses, cache = model.chain_loss.forward(recorded.infer(model, chain, x, ws), targets, model.backend)
        results[:, 0], results[:, 1:] = losses, cache.p.reshape(len(y), -1)
    return results, y, weights
