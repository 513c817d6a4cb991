"""A training run of the command line, in a process of its own, that is small enough to be killed often.

``python -m soak.small_run NAME FOLDER EPOCHS THREADS`` runs ``tinycnn train NAME --out FOLDER --resume`` with 200
digits, a state after every step, and no pictures. It prints ``ready`` when ``fit`` is about to begin.
"""

import sys

from tinycnn import Sequential, datasets
from tinycnn.cli import _figures, run_as_process, train

TRAINING, TESTING = 200, 60


def prepare() -> None:
    """Use few images and many states, so that most of the time is spent on writing, where a kill does most harm."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    few = (x[:TRAINING], y[:TRAINING]), (x_test[:TESTING], y_test[:TESTING])
    datasets.digits.load_data = lambda: few
    train.SAVE_SECONDS = 0.0
    _figures.draw_all = lambda *a: []
    fit = Sequential.fit

    def told(*arguments, **settings):
        print("ready", flush=True)
        return fit(*arguments, **settings)

    Sequential.fit = told


if __name__ == "__main__":
    name, folder, epochs, threads = sys.argv[1:]
    arguments = ["train", name, "--data", "digits", "--batch-size", "16", "--epochs", epochs, "--threads", threads]
    try:
        prepare()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run_as_process([*arguments, "--out", folder, "--resume"]))
