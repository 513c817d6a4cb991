"""The page on our own networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from tinycnn import models
from tinycnn.cli import report
from tinycnn.cli._results import blocks, choices, figures, ours, page, records

ROOT = Path(__file__).parents[2]
COMMITTED = records.read_all(ROOT / "results")


def run(name: str, seed: int, last: float) -> dict[str, Any]:
    """Return what the page reads of an invented run."""
    recipe = models.recipe(name)
    return {
        "name": name,
        "seed": seed,
        "params": recipe.params.total,
        "epochs": recipe.epochs,
        "last_val_accuracy": last,
        "best_val_accuracy": last + 0.001,
        "seconds_by_epoch": [60.0] * recipe.epochs,
        "images_per_second": 1234.5,
        "backend": "cpu",
        "threads": 2,
        "machine": {"processor": "P", "cores": 2},
        "versions": {"numerics": "4"},
        "recipe": recipe.to_dict(),
    }


def text_of(found: dict[str, Any], compared: Any = ()) -> str:
    return " ".join(blocks.markdown(ours.blocks(found, compared), "images").split())


@pytest.mark.parametrize(
    ("lasts", "said"),
    [
        ((0.994, 0.995, 0.996), "`golf_10k` reaches its aim: 99.50 % with under 10,000 parameters."),
        ((0.994, 0.995, 0.995), "`golf_10k` misses its aim of 99.50 % by 0.03 points."),
    ],
)
def test_the_mean_last_epoch_decides(lasts: tuple[float, ...], said: str) -> None:
    text = text_of({"golf_10k": [run("golf_10k", seed, last) for seed, last in enumerate(lasts)]})
    assert said in text
    mean = f"{100 * sum(lasts) / 3:.2f}"
    assert f"| `golf_10k` | under 10,000 parameters: 99.50 % | 9,722 | {mean} (99.40 to " in text
    assert "Not run yet: `golf_8k`, `golf_5k`." in text
    assert "![Parameters, and how many test images are wrong, of all networks for MNIST" in text


def test_networks_without_an_aim_and_beside_a_document() -> None:
    runs = {name: [run(name, 0, last)] for name, last in (("golf_5k", 0.99), ("ladder_10", 0.98))}
    text = text_of(runs)
    assert "`golf_5k` (under 5,000 parameters) reaches 99.00 %." in text
    assert "`golf_5k` | under 5,000 parameters | " in text
    assert "1 of 3 | " in text


def test_what_was_chosen_follows_the_last_table_of_a_network() -> None:
    about = {"name": "cifar10_fast", "question": "", "held_out": 10_000, "epochs": 2, "command": "python x.py"}
    records = [about | {"answers": {title: {"100": [0.9]}}} for title in ("first", "second")]
    text = text_of({}, records)
    [sentence] = models.recipe("cifar10_fast").chosen
    assert text.count(sentence) == 1
    assert text.index("| second |") < text.index(sentence)


def test_a_run_beside_other_work_shows_no_limit_of_time() -> None:
    alone = run("cifar10_fast", 0, 0.92)
    text = text_of({"cifar10_fast": [alone | {"threads": 1}]})
    assert "`cifar10_fast` reaches its aim: 92.00 %. What these trainings take alone" in text
    assert "40 min 00 s, 1,234 images/s, 1 thread |" in text
    assert "1 to 2 threads |" in text_of({"cifar10_fast": [alone, alone | {"threads": 1}]})
    assert "2 threads |" in text_of({"cifar10_fast": [alone]})


def test_every_change_stands_beside_the_recipe() -> None:
    answers = {"the recipe": {"100": [0.9, 0.99], "101": [0.9, 0.98]}, "no augmentation": {"100": [0.9, 0.97]}, "x": {}}
    about = {"name": "golf_8k", "question": "", "held_out": 10_000, "epochs": 2, "command": "python x.py golf_8k"}
    record = about | {"answers": answers}
    text = text_of({}, [record])
    assert "| the recipe | 2 | 98.50 (98.00 to 99.00) | |" in text
    assert "| no augmentation | 1 | 97.00 | -1.50 |" in text
    assert "| x |" not in text
    assert "`python x.py golf_8k --folder again` repeats this table." in text
    golf, fast = text.split("## CIFAR-10")
    assert "no augmentation" in golf
    assert "no augmentation" not in fast
    golf, fast = text_of({}, [record | {"name": "cifar10_fast"}]).split("## CIFAR-10")
    assert "no augmentation" not in golf
    assert "no augmentation" in fast
    assert "so the settings may change" in golf
    assert "so the settings may change" not in fast
    other = record | {"name": "ladder_02"}
    assert "no augmentation" not in text_of({}, [other])
    assert "no augmentation" not in blocks.markdown(page.blocks({}, [record]))
    assert "no augmentation" in blocks.markdown(page.blocks({}, [other]))


def test_runs_of_ours_are_none_of_the_documents() -> None:
    text = blocks.markdown(page.blocks({"golf_10k": [run("golf_10k", 0, 0.99)]}))
    assert "golf" not in text
    assert " 0 of 75 runs" in text


def test_parameters_are_shown_where_they_are() -> None:
    for name in ("golf_10k", "golf_8k", "golf_5k"):
        rows = ours._layers(name)
        assert sum(int(row[-1].replace(",", "")) for row in rows) == models.recipe(name).params.total
        assert rows[-1][0] == "dense"


def test_the_picture_has_a_point_for_each_network() -> None:
    groups = {name: [run(name, 0, 0.99)] for name in ("golf_10k", "ladder_10", "vanilla")}
    [ax] = figures.golf(groups, models.beyond()).axes
    assert [line.get_fillstyle() for line in ax.lines] == ["full", "none", "none"]
    assert [text.get_text() for text in ax.texts] == list(groups)
    assert ax.lines[0].get_ydata()[0] == pytest.approx(1.0)


def test_no_name_in_the_picture_covers_a_point_or_another_name() -> None:
    found = {name: runs for name, runs in COMMITTED.items() if models.recipe(name).data == "mnist"}
    [ax] = figures.golf(found, models.beyond()).axes
    points = ax.transData.transform([line.get_xydata()[0] for line in ax.get_lines()])
    boxes = [Text.get_window_extent(label) for label in ax.texts]
    assert len(boxes) == len(points) == len(found)
    for label, box in zip(ax.texts, boxes, strict=True):
        assert box.count_overlaps(boxes) == 1, label.get_text()
        assert np.hypot(*(np.clip(points, box.min, box.max) - points).T).min() > 3, label.get_text()


def test_the_committed_page_is_that_of_the_records() -> None:
    expected = report.markdown_page(ours.blocks(COMMITTED, choices.read_all(ROOT / "results")))
    assert (ROOT / "docs" / "beyond.md").read_text("utf-8") == expected, "run tinycnn report results --docs docs"
