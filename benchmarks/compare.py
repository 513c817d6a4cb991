"""Train documented networks with tinycnn and with the frameworks a user would pick instead, side by side.

    python benchmarks/compare.py                                # training, the eight published networks
    python benchmarks/compare.py mnist_cnn --mode inference --rounds 3 --json out.json
    python benchmarks/compare.py --mode latency                 # predictions, one image at a time
    python benchmarks/compare.py --mode everyday                # training as in tutorials: fit against fit

Each peer runs in a process of its own, on the same cores and with the same number of threads. The parent process lets
the peers work in turn, one round each. A round consists of whole training steps (forward, loss, backward, Adam; at the
batch sizes of the networks' documents) or of predictions, on float32 images that are already in memory. The warm-up,
including compilation, is not counted. The result is the ratio of the medians, together with the lowest and highest
ratio of a round. If a peer is not installed or fails, it is named with the reason.
"""

import argparse
import statistics
from typing import Any, NamedTuple

import figures
import machine
import record
import targets
from networks import PUBLISHED
from peers import ALL_OURS, EVERYDAY, OURS, OURS_EVERYDAY, PEERS, PREDICTOR, PREDICTORS, TRAINERS
from turns import take_turns

from tinycnn import models
from tinycnn.cli._arguments import model_name


class Mode(NamedTuple):
    """What is compared: networks, peers, training or prediction, and the batch size if no document states it.

    ``ours`` are the ways in which tinycnn takes part.
    """

    networks: tuple[str, ...]
    peers: tuple[str, ...]
    training: bool
    batch_size: int | None
    batches: int
    ours: tuple[str, ...] = (OURS,)


MODES = {
    "training": Mode(PUBLISHED, TRAINERS, True, None, 128),
    "inference": Mode(PUBLISHED, PREDICTORS, False, 128, 16, (OURS, PREDICTOR)),
    "latency": Mode(PUBLISHED, PREDICTORS, False, 1, 64, (OURS, PREDICTOR)),
    "everyday": Mode(PUBLISHED, EVERYDAY, True, None, 128, (OURS_EVERYDAY,)),
    "teaching": Mode(("mnist_cnn",), ("numpy_teaching",), True, None, 8),
}


def compare(network: str, mode: Mode, peers: list[str], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """Measure the seconds per step of tinycnn and its peers for one network, round by round."""
    job = {
        "network": network,
        "batch_size": mode.batch_size or models.recipe(network).batch_size,
        "training": mode.training,
        "threads": threads,
        "batches": mode.batches,
    }
    times, missing = take_turns({peer: (peer, job) for peer in (*mode.ours, *peers)}, rounds, seconds)
    return {"network": network, "batch_size": job["batch_size"], "seconds_per_step": times, "missing": missing}


def ratios(kept: dict[str, Any], ours: str = OURS, without: tuple[str, ...] = ()) -> dict[str, figures.Ratio]:
    """Return tinycnn's ratio to the fastest peer, by network; a network is left out if one of the two is missing.

    Parameters
    ----------
    kept : dict
        The record.
    ours : str
        Which of the ways in which tinycnn takes part.
    without : tuple of str
        Peers that do not count.
    """
    found = {}
    for result in kept["results"]:
        times = result["seconds_per_step"]
        best = figures.fastest(times, (*ALL_OURS, *without))
        if best and ours in times:
            found[result["network"]] = figures.ratio(times[ours], times[best])
    return found


def tables(kept: dict[str, Any]) -> str:
    """Return tables of images per second and of the targets.

    The fastest peer is in bold, tinycnn's ratios to it are in the last columns, and the missing peers are named.
    """
    peers = kept["peers"]
    ours = [name for name in ALL_OURS if any(name in found["seconds_per_step"] for found in kept["results"])]
    faster = {name: ratios(kept, name) for name in ours}
    columns = [f"{PEERS[name].title} / fastest" for name in ours]
    header = ["network (batch)", *(PEERS[name].title for name in (*ours, *peers)), *columns]
    rows = []
    for result in kept["results"]:
        best, network = figures.fastest(result["seconds_per_step"], ALL_OURS), result["network"]
        rates = [_rate(result, name, name == best) for name in (*ours, *peers)]
        found = [str(faster[name].get(network, "–")) for name in ours]
        rows.append([f"{network} ({result['batch_size']})", *rates, *found])
    lines = ["Images per second:", "", figures.table(header, rows)]
    absent = record.absent(kept)
    if absent:
        lines += ["", absent]
    if kept["kind"] == "everyday":
        mean = figures.geometric_mean(ratio.value for ratio in ratios(kept, OURS_EVERYDAY).values())
        return "\n".join([*lines, "", f"Geometric mean of the networks: {mean:.2f}×."])
    checks = targets.COMPARISONS[kept["kind"]](_values(kept))
    if checks:
        lines += ["", targets.table(checks)]
    return "\n".join(lines)


def _values(kept: dict[str, Any]) -> targets.Ratios:
    """Return tinycnn's ratios by network: of what a user calls first, of the predictor, and without ONNX Runtime."""
    found = ratios(kept), ratios(kept, PREDICTOR), ratios(kept, OURS, ("onnxruntime",))
    return targets.Ratios(*({network: ratio.value for network, ratio in one.items()} for one in found))


def _rate(result: dict[str, Any], name: str, best: bool) -> str:
    seconds = result["seconds_per_step"].get(name)
    if seconds is None:
        return "–"
    rate = f"{result['batch_size'] / statistics.median(seconds):,.0f}"
    return f"**{rate}**" if best else rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "networks", nargs="*", type=model_name, help="documented networks (default: the networks of the mode)"
    )
    parser.add_argument("--mode", choices=MODES, default="training", help="what is compared (default: training)")
    parser.add_argument(
        "--peers", nargs="*", choices=PEERS, help="frameworks to compare with (default: the peers of the mode)"
    )
    parser.add_argument(
        "--seconds", type=record.positive_number, default=0.5, help="approximate length of a round (default 0.5)"
    )
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
    machine.free_blas()
    main()
