"""What the peers of a speedrun share: reading what they are to do, and telling what came out."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

PARTS = ("imports", "images", "training", "test")


@dataclass
class SpeedrunJob:
    """What ``benchmarks/speedrun.py`` has written; the operations end before the softmax, which the losses contain."""

    operations: list
    rates: list
    epochs: int
    batch_size: int
    threads: int
    folder: str

    def arrays(self):
        """Return images and labels for training, and those for the test."""
        import numpy as np

        return [np.load(f"{self.folder}/{name}.npy") for name in ("x", "y", "x_test", "y_test")]


def read_job(path):
    """Read the job in a file."""
    with open(path, encoding="utf-8") as file:
        job = SpeedrunJob(**json.load(file))
    job.operations = [SimpleNamespace(**operation) for operation in job.operations]
    return job


def tell(accuracy, marks):
    """Print the accuracy, and the seconds between the marks, as a line of JSON."""
    seconds = {part: round(end - begin, 3) for part, begin, end in zip(PARTS, marks, marks[1:], strict=False)}
    print(json.dumps({"accuracy": accuracy, "seconds": seconds}), flush=True)
