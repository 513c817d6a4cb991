"""Measure one convolution in six ways, from plain loops to Winograd's algorithm, on this machine.

    python docs/course/how_fast.py
    python docs/course/how_fast.py --picture mine.svg --json mine.json

The ways take turns, so that whatever else the machine does hits all of them; the median of the rounds counts. All must
give the same result. Run it on a machine that has nothing else to do.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tinycnn.core.workspace import Workspace
from tinycnn.kernels import aligned, cpu
from tinycnn.kernels.geometry import Window

#: The convolution: images, their side, channels, filters. Its kernel has 3x3 taps, a stride of 1 and no pads.
SIDE, CHANNELS, FILTERS = 14, 16, 16
GEOMETRY = ((1, 1), (0, 0, 0, 0), (1, 1), 1)


def loops(x: Any, w: Any) -> Any:
    """Follow the formula, with a loop for each letter."""
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    x, w = x.tolist(), w.tolist()
    y = [[[[0.0] * F for _ in range(W - KW + 1)] for _ in range(H - KH + 1)] for _ in range(N)]
    for n, image in enumerate(y):
        for i, row in enumerate(image):
            for j, numbers in enumerate(row):
                for p in range(KH):
                    for q in range(KW):
                        for c in range(C):
                            pixel, taps = x[n][i + p][j + q][c], w[p][q][c]
                            for f in range(F):
                                numbers[f] += pixel * taps[f]
    return np.array(y, np.float32)


def taps(x: Any, w: Any) -> Any:
    """Loop over taps alone, as chapter 1 does; each is a product of matrices."""
    KH, KW = w.shape[:2]
    OH, OW = x.shape[1] - KH + 1, x.shape[2] - KW + 1
    return sum(x[:, p : p + OH, q : q + OW] @ w[p, q] for p in range(KH) for q in range(KW))


def im2col(x: Any, w: Any) -> Any:
    """Copy every window into a row, as chapter 2 does; one product of matrices is left."""
    KH, KW, C, F = w.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (1, 2))
    cols = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, KH * KW * C)
    return (cols @ w.reshape(-1, F)).reshape(*windows.shape[:3], F)


def of_engine(x: Any, w: Any, algorithm: str) -> Callable[[], Any]:
    """Return a call of the engine's convolution."""
    b = np.zeros(w.shape[3], np.float32)
    return lambda: cpu.conv2d_forward(x, w, b, *GEOMETRY, algorithm=algorithm)


def in_lanes(x: Any, w: Any) -> Callable[[], Any]:
    """Return a call of the engine's convolution of images that lie in lanes already, as between two layers."""
    b, window = np.zeros(w.shape[3], np.float32), Window(w.shape[:2], *GEOMETRY[:3])
    inside, nothing, workspace = cpu.fused.to_lanes(x), np.empty(0, np.uint8), Workspace()
    y = np.empty((len(x), SIDE - 2, SIDE - 2, w.shape[3]), np.float32)
    out = aligned.zeros_like(cpu.fused.to_lanes(y))

    def call() -> Any:
        cpu.fused.conv2d_stage_forward(
            inside, w, b, window, 1, "auto", False, None, out=(out, nothing), work=workspace.scratch()
        )
        return out

    return call


def ways(images: int, filters: int = FILTERS) -> dict[str, Callable[[], Any]]:
    """Return the ways by their names, with a call for each; the plain loops get one image, since they are so slow."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(images, SIDE, SIDE, CHANNELS)).astype(np.float32)
    w = rng.normal(size=(3, 3, CHANNELS, filters)).astype(np.float32)
    right = taps(x, w)
    found = {
        "loops of Python": lambda: loops(x[:1], w),
        "loops over taps": lambda: taps(x, w),
        "im2col": lambda: im2col(x, w),
        "tiles": of_engine(x, w, "direct"),
        "Winograd": of_engine(x, w, "winograd"),
        "images in lanes": in_lanes(x, w),
    }
    for name, call in found.items():
        y = call()  # the first call may have to compile
        y = y if y.shape[1:] == right.shape[1:] else cpu.fused.from_lanes(y, images)
        if not np.allclose(y, right[: len(y)], rtol=1e-3, atol=1e-3):
            raise SystemExit(f"{name} gives another result than the loops over taps")
    return found


def measured(images: int, rounds: int) -> dict[str, float]:
    """Return the median of the microseconds that one image takes, by the names of the ways."""
    calls = ways(images)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {
        name: 1e6 * statistics.median(found) / (1 if name.endswith("Python") else images)
        for name, found in seconds.items()
    }


def picture(found: dict[str, float], caption: str) -> str:
    """Return an SVG with a bar for each way; a tick is ten times the one before."""
    low = 10 ** np.floor(np.log10(min(found.values())))
    scale = 460 / np.log10(max(found.values()) / low)
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 300" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="14">',
        "<title>Microseconds for one image, in six ways</title>",
        '<rect width="760" height="300" rx="10" fill="#fbfbf9"/>',
    ]
    for number, (name, time_taken) in enumerate(found.items()):
        y, width = 24 + 40 * number, scale * np.log10(time_taken / low)
        lines.append(f'<text x="150" y="{y + 19}" text-anchor="end" fill="#222">{name}</text>')
        lines.append(f'<rect x="160" y="{y}" width="{max(width, 1):.1f}" height="26" fill="#5cc0e8" stroke="#0b6e99"/>')
        lines.append(f'<text x="{168 + width:.1f}" y="{y + 19}" fill="#222">{time_taken:,.1f} µs</text>')
    lines.append(f'<text x="380" y="286" text-anchor="middle" fill="#555" font-size="12">{caption}</text>')
    return "\n".join([*lines, "</svg>", ""])


def machine() -> str:
    """Return what was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def caption() -> str:
    """Return what stands below the picture."""
    return f"one image, logarithmic; {datetime.date.today().isoformat()}, {machine()}"


def main() -> None:
    """Measure, print a table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="images of a batch, a multiple of 16 (default: 64)")
    parser.add_argument("--rounds", type=int, default=15, help="how often each way is measured (default: 15)")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="write a picture of bars")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, the date and the machine")
    args = parser.parse_args()
    found = measured(args.images, args.rounds)
    print(f"one image of {SIDE}x{SIDE} pixels and {CHANNELS} channels, {FILTERS} filters of 3x3 taps")
    for name, microseconds in found.items():
        print(f"{name:16} {microseconds:12,.1f} us {found['loops of Python'] / microseconds:10,.0f} times as fast")
    if args.picture:
        args.picture.write_text(picture(found, caption()), "utf-8")
    if args.json:
        record: dict[str, Any] = {"date": datetime.date.today().isoformat(), "machine": machine()}
        record |= {"command": " ".join(["python", *sys.argv]), "microseconds": found}
        args.json.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
