"""``python -m tinycnn`` is the command ``tinycnn``."""

import sys

from .cli import run_as_process

if __name__ == "__main__":
    sys.exit(run_as_process())
