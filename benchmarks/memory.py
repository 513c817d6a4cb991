"""Measure the peak memory of a training run in tinycnn and in its peers.

    python benchmarks/memory.py
    python benchmarks/memory.py mnist_cnn --peers torch_nchw keras_tensorflow

Each of them trains in a process of its own, one after another, for some steps on the same few batches. The result is
the most memory that the operating system held for the process (``ru_maxrss``), and the part of it that came after the
imports: the images, weights, activations and gradients, and whatever the framework allocates or compiles on the way.
"""

import argparse
from typing import Any

import figures
import machine
import record
import targets
from networks import PUBLISHED
from peers import OURS, PEERS
from turns import PeerError, Worker

from tinycnn import models
from tinycnn.cli._arguments import model_name

TORCH = ("torch_nchw", "torch_nhwc")
#: The number of different batches in memory and the number of steps, which suffice to use every buffer.
BATCHES, STEPS = 8, 16


def measure(network: str, peers: list[str], threads: int) -> dict[str, Any]:
    """Measure the bytes of each peer; a peer that cannot be measured is named with the reason."""
    settings = {"network": network, "training": True, "threads": threads, "batches": BATCHES}
    job = settings | {"batch_size": models.recipe(network).batch_size}
    peaks: dict[str, dict[str, int]] = {}
    missing: dict[str, str] = {}
    for peer in (OURS, *peers):
        try:
            peaks[peer] = _peak(peer, job)
        except PeerError as error:
            missing[peer] = str(error)
    return {"network": network, "batch_size": job["batch_size"], "bytes": peaks, "missing": missing}


def _peak(peer: str, job: dict[str, Any]) -> dict[str, int]:
    worker = Worker(peer, job)
    try:
        worker.answer()
        answer = worker.round(STEPS)
    finally:
        worker.close()
    return {key: answer[key] for key in ("peak", "baseline")}


def tables(kept: dict[str, Any]) -> str:
    """Return tables of the megabytes in all and above the imports, and of the targets."""
    peers = (OURS, *kept["peers"])
    rows = [
        (f"{result['network']} ({result['batch_size']})", *(_cell(result, peer) for peer in peers))
        for result in kept["results"]
    ]
    header = ("network (batch)", *(PEERS[peer].title for peer in peers))
    text = f"Peak memory in MB, and in brackets the part of it above the imports:\n\n{figures.table(header, rows)}"
    absent = record.absent(kept)
    if absent:
        text += f"\n\n{absent}"
    found = checks(kept["results"])
    return f"{text}\n\n{targets.table(found)}" if found else text


def _cell(result: dict[str, Any], peer: str) -> str:
    found = result["bytes"].get(peer)
    return f"{found['peak'] / 1e6:,.0f} ({above(found) / 1e6:,.0f})" if found else "–"


def above(found: dict[str, int]) -> int:
    """Return the bytes above what the imports took."""
    return found["peak"] - found["baseline"]


def checks(results: list[dict[str, Any]]) -> list[targets.Check]:
    """Check the network that needs the largest share of PyTorch's memory, in PyTorch's more frugal layout."""
    compared = [
        result["bytes"] for result in results if OURS in result["bytes"] and any(map(result["bytes"].get, TORCH))
    ]
    if not compared:
        return []
    shares = [
        max(measured(found[OURS]) / min(measured(found[peer]) for peer in TORCH if peer in found) for found in compared)
        for measured in (lambda found: found["peak"], above)
    ]
    return [
        targets.Check("memory of the process, divided by PyTorch's (largest)", 0.6, 0.5, shares[0], at_most=True),
        targets.Check("memory above the imports, divided by PyTorch's (largest)", 0.6, 0.5, shares[1], at_most=True),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", type=model_name, default=PUBLISHED, help="documented networks")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(TORCH), help="frameworks to compare with")
    record.add_arguments(parser)
    arguments = parser.parse_args()
    results = [measure(network, arguments.peers, arguments.threads) for network in arguments.networks]
    record.report(record.new("memory", arguments.threads, results, peers=arguments.peers), tables, arguments)


if __name__ == "__main__":
    machine.free_blas()
    main()
