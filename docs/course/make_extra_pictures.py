"""Draw the pictures of the course's extras; ``python docs/course/make_extra_pictures.py`` writes them into images/.

Whatever is drawn is computed here: fields from kernels and strides, accuracies from the records in results/.
"""

import json
import math
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
IMAGES = HERE / "images"
RESULTS = HERE.parents[1] / "results"

BLUE, LIGHT, ORANGE, GREY = "#0b6e99", "#e3f1f7", "#b0480f", "#777"
#: Kernel and stride along one side of the layers in the picture of fields.
LAYERS = (("3 taps", 3, 1), ("3 taps", 3, 1), ("pooling of 2", 2, 2), ("3 taps", 3, 1), ("1 tap", 1, 1))


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    """Return a picture in the course's style."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="14">'
    )
    frame = f'<rect width="{width}" height="{height}" rx="10" fill="#fbfbf9"/>'
    return "\n".join([head, f"<title>{title}</title>", frame, *parts, "</svg>", ""])


def text(x: float, y: float, words: str, anchor: str = "start", fill: str = "#222", size: int = 13) -> str:
    """Return a line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{words}</text>'


def cells(x: float, y: float, count: int, marked: range, side: float) -> list[str]:
    """Return a row of squares, some of them marked."""
    return [
        f'<rect x="{x + side * at:.1f}" y="{y:.1f}" width="{side}" height="{side}" '
        f'fill="{LIGHT if at in marked else "#fff"}" stroke="{BLUE if at in marked else GREY}"/>'
        for at in range(count)
    ]


def fields() -> str:
    """Draw a row of pixels under a row of each layer; what one number of the last can see is marked in all of them."""
    lengths, marked = [16], []
    for _, kernel, stride in LAYERS:
        lengths.append((lengths[-1] - kernel) // stride + 1)
    spans = [(lengths[-1] // 2, lengths[-1] // 2)]
    for _, kernel, stride in reversed(LAYERS):
        first, last = spans[0]
        spans.insert(0, (first * stride, last * stride + kernel - 1))
    marked = [range(first, last + 1) for first, last in spans]
    parts, side = [], 26
    for level, (length, seen) in enumerate(zip(lengths, marked, strict=True)):
        y = 30 + 46 * (len(lengths) - 1 - level)
        name = "the image" if level == 0 else f"after {LAYERS[level - 1][0]}"
        parts.append(text(150, y + 18, name, "end"))
        parts += cells(160 + side * (lengths[0] - length) / 2, y, length, seen, side)
        parts.append(text(590, y + 18, f"{len(seen)} of {length} numbers"))
    return svg(720, 310, "What one number of the last layer can see, layer by layer", parts)


def records(data: str = "MNIST") -> dict[str, tuple[int, list[float]]]:
    """Return the parameters and the accuracies after the last epoch of the networks, by their names."""
    found: dict[str, tuple[int, list[float]]] = {}
    for path in sorted(RESULTS.glob("*-seed*.json")):
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if record["data"] == data:
            found.setdefault(record["name"], (record["params"], []))[1].append(record["last_val_accuracy"])
    return found


def front(found: dict[str, tuple[int, list[float]]]) -> list[str]:
    """Return the networks than which none with as few parameters has a higher mean accuracy, the smallest first."""
    best, kept = 0.0, []
    for name, (_, accuracies) in sorted(found.items(), key=lambda item: (item[1][0], -statistics.mean(item[1][1]))):
        if statistics.mean(accuracies) > best:
            best = statistics.mean(accuracies)
            kept.append(name)
    return kept


def golf() -> str:
    """Draw the networks of the records by their parameters and their errors, both logarithmic."""
    found = records()
    best = front(found)
    newest = max(json.loads(path.read_text("utf-8"))["date"] for path in RESULTS.glob("*-seed*.json"))
    errors = {name: 100 * (1 - statistics.mean(accuracies)) for name, (_, accuracies) in found.items()}

    def place(name: str) -> tuple[float, float]:
        across = (math.log10(found[name][0]) - 3) / 3.5
        up = (math.log10(errors[name]) - math.log10(0.4)) / math.log10(10 / 0.4)
        return 90 + 600 * across, 330 - 290 * up

    parts = []
    for exponent in range(3, 7):
        x = 90 + 600 * (exponent - 3) / 3.5
        parts.append(f'<path d="M{x:.1f} 40V330" stroke="#ddd"/>')
        parts.append(text(x, 350, f"{10**exponent:,}", "middle", "#555", 12))
    for error in (0.5, 1, 2, 5, 10):
        y = 330 - 290 * (math.log10(error) - math.log10(0.4)) / math.log10(10 / 0.4)
        parts.append(f'<path d="M90 {y:.1f}H690" stroke="#ddd"/>')
        parts.append(text(82, y + 4, f"{error} %", "end", "#555", 12))
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, best))
    parts.append(f'<polyline points="{way}" fill="none" stroke="{ORANGE}" stroke-width="1.5"/>')
    for name in sorted(found):
        x, y = place(name)
        colour = ORANGE if name in best else BLUE
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{name}</title></circle>')
    line = 0.0
    for name in sorted(best, key=lambda name: place(name)[1]):
        x, y = place(name)
        line = max(line + 15, y - 4)
        parts.append(text(x + 8, line, name, size=12) if line < y else text(x + 14, line, name, size=12))
    parts.append(text(90, 24, "errors on MNIST's test images, by the number of parameters"))
    parts.append(
        text(690, 372, f"records in results/, the newest of {newest}; means over the seeds", "end", "#555", 12)
    )
    return svg(720, 390, "Errors and parameters of the networks for MNIST", parts)


def tile() -> str:
    """Draw a block of threads, the pixels that it reads once into shared memory, and how often each is used."""
    size, kernel = 4, 3
    across = size + kernel - 1
    uses = [min(at + 1, kernel, across - at) for at in range(across)]
    parts, side = [text(60, 28, "a tile of x in shared memory:"), text(60, 46, "how many threads use each pixel")], 34
    for i in range(across):
        for j in range(across):
            share = uses[i] * uses[j] / kernel**2
            x, y = 60 + side * j, 60 + side * i
            parts.append(
                f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{BLUE}" fill-opacity="{share / 2:.2f}" '
                f'stroke="{GREY}"/>'
            )
            parts.append(text(x + side / 2, y + 22, str(uses[i] * uses[j]), "middle"))
    parts += [text(400, 28, "a block of threads:"), text(400, 46, "each computes one number of y")]
    for i in range(size):
        for j in range(size):
            x, y = 400 + side * j, 60 + side + side * i
            parts.append(f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{LIGHT}" stroke="{BLUE}"/>')
            parts.append(text(x + side / 2, y + 22, f"{i},{j}", "middle", size=12))
    parts.append(f'<path d="M280 162H385" stroke="{BLUE}" stroke-width="2"/>')
    parts.append(text(332, 152, f"{kernel}x{kernel} taps", "middle", BLUE))
    loads, products = across**2, size**2 * kernel**2
    parts.append(text(60, 292, f"{loads} reads of the card's memory in place of {products}"))
    return svg(640, 310, "A tile in shared memory", parts)


def ways() -> str:
    """Draw what the steps from plain loops to the engine's kernels save: copies, idle lanes, multiplications."""
    taps, filters, lanes, tile = 9, 10, 16, 4
    by_definition, by_winograd = tile**2 * taps, (tile + 2) ** 2
    groups = (
        ("copies of each pixel", (("im2col", taps, taps), ("tiles", 0, taps))),
        (
            f"lanes that work, of {lanes}, with {filters} filters",
            (("filters in the lanes", filters, lanes), ("images in the lanes", lanes, lanes)),
        ),
        (
            f"multiplications for {tile}×{tile} results",
            (("definition", by_definition, by_definition), ("Winograd", by_winograd, by_definition)),
        ),
    )
    parts, y = [], 30
    for title, bars in groups:
        parts.append(text(40, y, title, fill="#555"))
        for name, value, most in bars:
            y += 28
            parts.append(text(190, y + 4, name, "end"))
            parts.append(f'<rect x="200" y="{y - 12}" width="400" height="22" fill="#fff" stroke="#ddd"/>')
            width = 400 * value / most
            parts.append(f'<rect x="200" y="{y - 12}" width="{width:.1f}" height="22" fill="{LIGHT}" stroke="{BLUE}"/>')
            parts.append(text(610, y + 4, str(value)))
        y += 42
    return svg(680, 315, "What the steps to a fast kernel save", parts)


def make(folder: Path = IMAGES) -> list[Path]:
    """Write the pictures that are computed and not measured."""
    pictures = {
        "extra-fields.svg": fields(),
        "extra-golf.svg": golf(),
        "extra-ways.svg": ways(),
        "extra-cuda.svg": tile(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in pictures.items():
        (folder / name).write_text(drawn, "utf-8")
    return [folder / name for name in pictures]


if __name__ == "__main__":
    for path in make():
        print(path)
