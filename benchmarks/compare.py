"""Train documented networks with tinycnn and with the frameworks a user would pick instead, side by side.

    python benchmarks/compare.py                                # training, the eight published networks
    python benchmarks/compare.py mnist_cnn --mode inference --rounds 3 --json out.json
    python benchmarks/compare.py --mode latency                 # predictions, one image at a time

Each peer runs in a process of its own, on the same cores and number of threads; the parent lets them work in turn, one
round each. A round is whole training steps (forward, loss, backward, Adam; the batch sizes of the networks' documents)
or predictions, on float32 images that lie ready in memory. Warm-up, compilation included, is not counted. Quoted is the
ratio of medians, and the lowest and highest ratio of a round. A peer that is not installed, or fails, is named with
its reason.
"""

import argparse
import statistics
from typing import Any, NamedTuple

import figures
import record
import targets
from networks import PUBLISHED
from peers import OURS, PEERS, PREDICTORS, TRAINERS
from turns import take_turns

from tinycnn import models


class Mode(NamedTuple):
    """What is compared: networks, peers, training or prediction, and the batch size where no document says it."""

    networks: tuple[str, ...]
    peers: tuple[str, ...]
    training: bool
    batch_size: int | None
    batches: int


MODES = {
    "training": Mode(PUBLISHED, TRAINERS, True, None, 128),
    "inference": Mode(PUBLISHED, PREDICTORS, False, 128, 16),
    "latency": Mode(PUBLISHED, PREDICTORS, False, 1, 64),
    "teaching": Mode(("mnist_cnn",), ("numpy_teaching",), True, None, 8),
}


def compare(network: str, mode: Mode, peers: list[str], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """Seconds per step of tinycnn and its peers for one network, round by round."""
    job = {
        "network": network,
        "batch_size": mode.batch_size or models.recipe(network).batch_size,
        "training": mode.training,
        "threads": threads,
        "batches": mode.batches,
    }
    times, missing = take_turns({peer: (peer, job) for peer in (OURS, *peers)}, rounds, seconds)
    return {"network": network, "batch_size": job["batch_size"], "seconds_per_step": times, "missing": missing}


def ratios(kept: dict[str, Any]) -> dict[str, figures.Ratio]:
    """By network: tinycnn against the fastest peer. Networks for which either is missing are left out."""
    found = {}
    for result in kept["results"]:
        times = result["seconds_per_step"]
        best = figures.fastest(times, OURS)
        if best and OURS in times:
            found[result["network"]] = figures.ratio(times[OURS], times[best])
    return found


def tables(kept: dict[str, Any]) -> str:
    """Images per second, tinycnn's ratio to the fastest peer (in bold), who is missing, and the targets."""
    peers, faster = kept["peers"], ratios(kept)
    header = ["network (batch)", *(PEERS[name].title for name in (OURS, *peers)), "tinycnn is faster by"]
    rows = []
    for result in kept["results"]:
        best = figures.fastest(result["seconds_per_step"], OURS)
        rates = [_rate(result, name, name == best) for name in (OURS, *peers)]
        rows.append([f"{result['network']} ({result['batch_size']})", *rates, str(faster.get(result["network"], "–"))])
    lines = ["Images per second:", "", figures.table(header, rows)]
    absent = record.absent(kept)
    if absent:
        lines += ["", absent]
    if faster:
        values = {network: value.value for network, value in faster.items()}
        lines += ["", targets.table(targets.COMPARISONS[kept["kind"]](values))]
    return "\n".join(lines)


def _rate(result: dict[str, Any], name: str, best: bool) -> str:
    seconds = result["seconds_per_step"].get(name)
    if seconds is None:
        return "–"
    rate = f"{result['batch_size'] / statistics.median(seconds):,.0f}"
    return f"**{rate}**" if best else rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="documented networks (default: those of the mode)")
    parser.add_argument("--mode", choices=MODES, default="training")
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="default: those of the mode")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a round is (default 0.5)")
    record.add_arguments(parser, rounds=7)
    arguments = parser.parse_args()
    mode = MODES[arguments.mode]
    peers = list(mode.peers) if arguments.peers is None else arguments.peers
    results = []
    for network in arguments.networks or mode.networks:
        print(f"{network} …", flush=True)
        results.append(compare(network, mode, peers, arguments.rounds, arguments.seconds, arguments.threads))
    record.report(record.new(arguments.mode, arguments.threads, results, peers=peers), tables, arguments)


if __name__ == "__main__":
    main()
