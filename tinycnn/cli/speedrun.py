"""``tinycnn speedrun``: the seconds from the start of a process to an accuracy on MNIST's test images."""

import argparse
from statistics import fmean

from ..core.printing import ERR, say
from ._arguments import add_threads, set_threads, whole_number

HELP = "Measure how soon a network recognizes MNIST"
EXAMPLE = "tinycnn speedrun --target 99.0 --seeds 5"
#: The accuracies in percent for which there is a plan; a test compares them with the plans.
TARGETS = ("99.0", "99.4")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the race."""
    target = "percentage of the test images that has to be recognized (default: 99.0)"
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0], help=target)
    seeds = "number of runs, with seeds 0 to N-1, each a process of its own (default: 5)"
    parser.add_argument("--seeds", type=whole_number(1, 1000), default=5, metavar="N", help=seeds)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Run the race; return 1 if a run missed the accuracy."""
    from ..datasets import mnist
    from . import _about
    from ._speedrun import race
    from ._speedrun.plan import PLANS

    mnist.load_data()  # a download is not part of the race, and its errors are told here
    plan, threads = PLANS[args.target], args.threads or set_threads(None, "cpu")
    machine = _about.machine()
    count = f"{threads} thread{'' if threads == 1 else 's'}"
    say(f"MNIST to {args.target} % from the start of the process, {count}, {machine['processor']}")
    say("A first run, which is not counted, compiles what is not compiled yet …")
    laps = []
    for seed in (None, *range(args.seeds)):
        command = (*race.OURS, args.target, str(seed or 0), str(threads))
        lap = race.lap(command, seed or 0, race.environment())
        if seed is None:
            if lap.warnings:
                ERR.say(lap.warnings.rstrip())
            continue
        laps.append(lap)
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in lap.parts.items())
        missed = "" if lap.accuracy >= plan.accuracy else "  missed"
        say(f"seed {seed}: {lap.seconds:.2f} s  ({parts})  accuracy {100 * lap.accuracy:.2f} %{missed}")
    seconds, reached = [lap.seconds for lap in laps], sum(lap.accuracy >= plan.accuracy for lap in laps)
    say(
        f"mean of {len(laps)} run{'' if len(laps) == 1 else 's'}: "
        f"{fmean(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}); "
        f"{reached} of {len(laps)} reached {args.target} %"
    )
    return 0 if reached == len(laps) else 1
