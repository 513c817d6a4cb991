"""The report on the records: tables, verdicts, sentences and pictures, on one page that needs no other file."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from tinycnn import datasets, models
from tinycnn.cli import _about, main, report
from tinycnn.cli._results import beside, blocks, choices, figures, one_run, page, records, targets
from tinycnn.layers import Conv2D

ROOT = Path(__file__).parents[2]
IMAGES = 120
LABELS = np.arange(IMAGES) % 10


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use bars in place of the published images."""
    for name, shape in (("mnist", (28, 28)), ("fashion_mnist", (28, 28)), ("cifar10", (32, 32, 3))):
        x = np.zeros((IMAGES, *shape), np.uint8)
        for image, label in zip(x, LABELS, strict=True):
            image[: 2 * label + 1] = 255
        sets = (x, LABELS)
        monkeypatch.setattr(getattr(datasets, name), "load_data", lambda sets=sets: (sets, sets))
    yield
    figures.data_of.cache_clear()


def made(name: str, seed: int = 0, accuracy: float = 0.9, **changes: Any) -> dict[str, Any]:
    """Return the record of an invented run, in which every class has the same accuracy."""
    recipe = models.recipe(name)
    epochs = recipe.epochs
    predicted = LABELS.copy()
    wrong = np.random.default_rng(seed).permutation(IMAGES)[round(accuracy * IMAGES) :]
    predicted[wrong] = (predicted[wrong] + 1) % 10
    correct = predicted == LABELS
    first = next(layer for layer in models.build(name).layers if isinstance(layer, Conv2D))

    def shown(images: Any) -> list[dict[str, Any]]:
        return [
            {"image": n, "true": int(LABELS[n]), "predicted": int(predicted[n]), "probability": 0.99}
            for n in images[:10].tolist()
        ]

    curve = np.linspace(accuracy - 0.1, accuracy, epochs)
    made = {
        "format": records.FORMAT,
        "name": name,
        "seed": seed,
        "data": "MNIST",
        "params": recipe.params.total,
        "epochs": epochs,
        "best_epoch": epochs,
        "best_val_accuracy": accuracy,
        "last_val_accuracy": accuracy,
        "weights_of_epoch": epochs,
        "test_accuracy": accuracy,
        "test_loss": 1 - accuracy,
        "first_100_errors": int((~correct[:100]).sum()),
        "per_class_accuracy": [accuracy] * 10,
        "confusion_matrix": np.eye(10, dtype=int).tolist(),
        "predicted": "".join(map(str, predicted)),
        "most_confident_correct": shown(np.flatnonzero(correct)),
        "most_confident_wrong": shown(np.flatnonzero(~correct)),
        "first_layer_filters": first.params["kernel"].value.tolist(),
        "test_accuracy_if": {"blurred by 1.0 px": accuracy - 0.2, "blurred by 2.0 px": 0.4, "inverted": 0.1},
        **{key: (1 - curve if "loss" in key else curve).tolist() for key in records.CURVES},
        "seconds": 3725.0,
        "seconds_by_epoch": [3725.0 / epochs] * epochs,
        "images_per_second": 1234.5,
        "backend": "cpu",
        "threads": 2,
        "versions": _about.versions(),
        "machine": _about.machine(),
        "command": f"tinycnn reproduce {name} --seeds {seed + 1}",
        "date": "2026-01-01",
        "recipe": recipe.to_dict(),
    }
    return made | changes


def test_runs_that_were_made_again_stand_beside_the_earlier_ones() -> None:
    before = records.in_short(made("ladder_03") | {"seconds_by_epoch": [60.0] * len(made("ladder_03")["loss"])})
    epochs, old = len(made("ladder_03")["loss"]), made("ladder_01")
    old["versions"] = {key: value for key, value in old["versions"].items() if key != "numerics"}
    page_of = text_of(made("ladder_03", replaces=before), old)
    assert f"1 h 02 min, 1,234 images/s | {epochs} min 00 s, 1,234 images/s |" in page_of
    assert "Before is what the same run took" in page_of
    assert "Before there were such versions: `ladder_01`" in page_of
    assert "Not all runs" not in (alone := text_of(made("ladder_03")))
    assert "Before is" not in alone


def written(folder: Path, *made_ones: dict[str, Any]) -> Path:
    for record in made_ones:
        records.write(records.path_of(folder, record["name"], record["seed"]), record)
    return folder


def text_of(*made_ones: dict[str, Any]) -> str:
    """Return the page of such records, with its lines joined."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in made_ones:
        found.setdefault(record["name"], []).append(record)
    return " ".join(blocks.markdown(page.blocks(found)).split())


class Outside(HTMLParser):
    """Collects what a page would fetch, and checks that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.fetched += [value for key in ("src", "href") if (value := values.get(key)) and tag != "a"]
        if tag == "img":
            self.images.append(values)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, made("ladder_03"), made("ladder_03", 1), made("cifar10_cnn"))
    assert main(["report", str(tmp_path)]) == 0
    assert "report.html" in capsys.readouterr().out
    html = (tmp_path / "report.html").read_text("utf-8")
    outside = Outside()
    outside.feed(html)
    assert not outside.open
    assert len(outside.images) >= 10
    assert all(address.startswith("data:image/png;base64,") for address in outside.fetched)
    assert all(image["alt"] and "`" not in image["alt"] for image in outside.images)
    assert "@import" not in html
    assert "url(" not in html
    assert 'name="viewport"' in html
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert "![" not in markdown
    assert "| `ladder_03` | 54,410 | 54,410 | 98.30† | 90.00 (90.00 to 90.00) |" in markdown
    # The report's own pages in the folder are not taken for records.
    assert main(["report", str(tmp_path)]) == 0


def test_the_documentation_is_written_with_its_pictures(tmp_path: Path) -> None:
    folder, docs = tmp_path / "records", tmp_path / "docs"
    folder.mkdir()
    written(folder, made("ladder_03"))
    (docs / "images" / "results").mkdir(parents=True)
    for name in ("gone", "holiday"):
        (docs / "images" / "results" / f"{name}.png").touch()
    (docs / "results.md").write_text("# Mine\n\n![](images/results/gone.png)\n")
    assert main(["report", str(folder), "--docs", str(docs)]) == 2  # a page that the command did not write
    assert (docs / "results.md").read_text() == "# Mine\n\n![](images/results/gone.png)\n"
    (docs / "results.md").write_text(f"{report._NOTE}\n\n![](images/results/gone.png)\n")
    assert main(["report", str(folder), "--docs", str(docs)]) == 0
    text = (docs / "results.md").read_text("utf-8")
    linked = re.findall(r"\]\((images/results/[^)]+)\)", text)
    there = {f"images/results/{path.name}" for path in (docs / "images" / "results").iterdir()}
    assert there - set(linked) == {"images/results/holiday.png"}  # an older page's picture is gone, another's is not
    for path in linked:
        assert 1000 < (docs / path).stat().st_size < 150_000
    assert {"ladder_03-curves.png", "ladder_03-first-100.png", "ladder_03-filters.png"} <= {
        Path(p).name for p in linked
    }
    # The same records give the same page.
    assert main(["report", str(folder), "--docs", str(docs)]) == 0
    assert (docs / "results.md").read_text("utf-8") == text
    assert all(len(line) <= 120 or line[:2] in ("| ", "![") for line in text.splitlines())


def test_without_records_everything_is_not_run_yet(tmp_path: Path) -> None:
    text = text_of()
    assert f"0 of {3 * 24 + 3} runs are done" in text
    assert "0 are met, 0 missed and 25 open" in text
    for name in [*models.names(), *models.variations()]:
        assert f"`{name}`" in text


def test_means_spreads_and_errors() -> None:
    runs = [
        made("ladder_09", seed, best_val_accuracy=best, last_val_accuracy=last, first_100_errors=seed)
        for seed, best, last in ((0, 0.993, 0.991), (1, 0.994, 0.990), (2, 0.995, 0.989))
    ]
    text = text_of(*runs)
    cells = (
        "| `ladder_09` | 64,182 | 64,182 | 99.30† | 99.40 (99.30 to 99.50) | 99.00 (98.90 to 99.10) | 1 | 0, 1, 2 | 3 |"
    )
    assert cells in text
    assert "1 h 02 min, 1,234 images/s" in text
    assert "`ladder_09`: 64,182 parameters, accuracy 0.9000; errors of each run: 0, 1, 2 (the document has " in text
    assert "has 64,182, 0.993 and 1)" in text


@pytest.mark.parametrize(
    ("name", "accuracy", "verdict"),
    [
        ("ladder_03", 0.982, "met"),
        ("ladder_03", 0.9819, "missed"),
        ("ladder_00", 0.923, "met"),
        ("ladder_00", 0.9229, "missed"),
        ("mnist_cnn", 0.992, "met"),
        ("go_crazy", 0.9934, "missed"),
        ("variant_1", 0.9933, "met"),
    ],
)
def test_verdicts(name: str, accuracy: float, verdict: str) -> None:
    runs = [made(name, seed, accuracy) for seed in range(3)]
    [target] = [target for target in targets.all_targets() if target.name == name]
    assert target.verdict(runs) == (verdict, f"{100 * accuracy:.2f} %")
    assert target.verdict(runs[:2]) == ("2 of 3 runs yet", "")
    assert target.verdict([]) == ("not run yet", "")


def test_a_folder_without_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 1
    assert f"{tmp_path} holds no records; 'tinycnn reproduce --out {tmp_path}' makes them" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_would_be_missed_by_the_last_epoch_is_said() -> None:
    runs = [made("ladder_03", seed, 0.985, last_val_accuracy=0.98) for seed in range(3)]
    wanted = "With the last epoch in its place, these would be missed: `ladder_03`."
    assert wanted in text_of(*runs)
    assert "these would be missed" not in text_of(*runs[:2])
    assert "these would be missed" not in text_of(*(made("ladder_03", seed, 0.985) for seed in range(3)))


def test_the_time_of_a_run_is_that_of_its_middle_epoch() -> None:
    """In this record, another program delayed one epoch by an hour."""
    epochs = models.recipe("ladder_03").epochs
    delayed = made("ladder_03", seconds=3600.0 + epochs, seconds_by_epoch=[3600.0] + [6.0] * (epochs - 1))
    assert f"| {epochs // 10} min {epochs % 10 * 6:02d} s, 1,234 images/s |" in text_of(delayed)


def test_a_run_under_its_target_is_said_to_have_missed_it() -> None:
    text = text_of(made("cifar10_cnn", accuracy=0.8))
    assert "| `cifar10_cnn` | last epoch at least 86.87 % | 80.00 % | **missed** |" in text
    assert "0 are met, 1 missed and 24 open" in text


def test_every_network_with_a_target_in_the_documents_has_one() -> None:
    named = {target.name for target in targets.all_targets()}
    without = {"vanilla_large", "variant_2"}
    assert named == set(models.names()) - without
    assert len(targets.all_targets()) == 25


def test_classes_are_judged_by_the_worst() -> None:
    documented = models.recipe("fashion_base").documented["per_class_accuracy"]
    assert isinstance(documented, tuple)
    [target] = [target for target in targets.all_targets() if target.name == "fashion_base"]
    for under, verdict in ((0.05, ("met", "-5.00")), (0.06, ("missed", "-6.00"))):
        classes = [*documented[:6], documented[6] - under, *(value + 0.01 for value in documented[7:])]
        assert target.verdict([made("fashion_base", seed, per_class_accuracy=classes) for seed in range(3)]) == verdict


def test_blur_in_words_and_the_printed_accuracy() -> None:
    sharp = [made("fashion_improved", seed, 0.94, test_accuracy=0.94 + seed / 1000) for seed in range(3)]
    blurred = made(
        "fashion_improved_blur",
        accuracy=0.936,
        test_accuracy_if={"blurred by 1.0 px": 0.926, "blurred by 2.0 px": 0.8},
    )
    text = text_of(*sharp, blurred, made("fashion_base"))
    assert "training on blurred ones costs 0.50 points (3 runs without blur lie 0.20 points apart)" in text
    assert "loses 20.1 points, the one that did 1.0." in text
    assert "| `fashion_improved_blur` | 93.60 | 92.60 | 80.00 |" in text
    # Loss and accuracy of an epoch, from a straight line from 0.2 to 0.1 over 20 epochs.
    assert "goes from 0.100 to 0.200, and at 0.2000" in text
    assert "the accuracy is 0.8000" in text
    assert "the mean of the document's own is 0.8438" in text
    assert "inverted 0.1000" in text
    assert "the validation accuracy is 0.9000. The document's 0.8438 is lower" in text


def test_augmentation_in_words() -> None:
    text = text_of(made("cifar10_cnn", accuracy=0.88), made("cifar10_cnn_noaug", accuracy=0.84))
    assert "Seed: 42" not in text
    assert "augmentation gains 4.00 points of test accuracy (84.00 % without it)" in text


def test_a_bad_first_epoch_does_not_press_the_others_into_a_line() -> None:
    record = made("variant_2", accuracy=0.99)
    record["val_accuracy"] = [0.3, *np.linspace(0.97, 0.99, record["epochs"] - 1)]
    [panel] = figures.overview([[record]]).axes
    bottom, top = panel.get_ylim()
    assert 0.96 < bottom < 0.97
    assert 0.99 < top < 1


def test_records_of_an_older_recipe_are_named() -> None:
    record = made("eip4")
    record["recipe"] |= {"epochs": 19}
    assert "These were trained by an older recipe than today's: `eip4`." in text_of(record)


def test_a_network_that_diverged_can_be_shown(tmp_path: Path) -> None:
    epochs = models.recipe("fashion_base").epochs
    surest = [{"image": 0, "true": 0, "predicted": 0, "probability": None}]
    lost = {"val_loss": [None] * epochs, "most_confident_correct": surest, "most_confident_wrong": []}
    written(tmp_path, made("fashion_base", **lost), made("eip4", **lost | {"val_loss": [None] * 20}))
    assert main(["report", str(tmp_path)]) == 0
    assert "A run of ours diverged" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("folder", "said"), [("nowhere", "is not a folder of records; 'tinycnn reproduce --out"), ("damaged", "not JSON")]
)
def test_errors(folder: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "ladder_03-seed0.json").write_text("{")
    assert main(["report", str(tmp_path / folder)]) == 1
    assert said in capsys.readouterr().err


def test_a_record_of_other_test_images_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, made("ladder_03", predicted="01234"))
    assert main(["report", str(tmp_path)]) == 1
    assert "is of 5 test images; MNIST has 120" in capsys.readouterr().err


def test_html_is_escaped() -> None:
    shown = [blocks.Text("a < b & `c > d` is **not** e"), blocks.Table(["x"], [["<script>"]])]
    html = blocks.page(shown, "<title>", lambda picture: b"")
    assert "a &lt; b &amp; <code>c &gt; d</code> is <strong>not</strong> e" in html
    assert "<script>" not in html
    assert "<title>&lt;title&gt;</title>" in html


# Choices --------------------------------------------------------------------------------------------------------


def compared() -> dict[str, Any]:
    """Return a short record as ``benchmarks/choices.py`` writes it."""
    answers = {"small": {"100": [0.5, 0.90], "101": [0.5, 0.80]}, "large": {"100": [0.99, 0.86]}, "later": {}}
    return {"name": "ladder_02", "question": "Size", "held_out": 5000, "epochs": 2, "answers": answers}


def test_no_heading_stands_alone_where_pictures_are_left_out() -> None:
    picture = blocks.Picture("a", "b", lambda: None)
    shown = [blocks.Heading(1, "T"), blocks.Heading(2, "A"), picture, blocks.Heading(2, "B"), blocks.Heading(3, "C")]
    shown += [blocks.Text("d"), blocks.Heading(2, "E"), blocks.Heading(3, "F"), picture]
    assert blocks.markdown(shown) == "# T\n\n## B\n\n### C\n\nd\n"
    assert blocks.markdown(shown, "images").count("#") == 1 + 2 + 2 + 3 + 2 + 3


def test_numbers_in_a_table_break_only_where_they_may() -> None:
    cells = ["two words", "91.30 (91.29 to 91.31)", "4 min 43 s, 4,438 images/s", "11, 10, 12", "no number"]
    html = blocks.page([blocks.Table(["x"] * 5, [cells])], "t", lambda picture: b"")
    for text in [*cells[:1], "91.30 (91.29_to_91.31)", "4_min_43_s, 4,438_images/s", *cells[3:]]:
        assert f">{text.replace('_', chr(160))}</td>" in html


def test_choices_are_shown_with_the_best_last_epoch_in_bold(tmp_path: Path) -> None:
    (tmp_path / "choices").mkdir()
    (tmp_path / "choices" / "ladder_02.json").write_text(json.dumps(compared()))
    assert main(["report", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "| `ladder_02` | Size | small | 2 | 2 | 85.00 (80.00 to 90.00) |" in text
    assert "| `ladder_02` | Size | **large** | 2 | 1 | **86.00** |" in text
    assert "without the last 5,000 training images" in " ".join(text.split())
    assert "later" not in text
    assert "Nothing has been compared yet." in text_of()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"answers": {"a": {"0": []}}}', '{"answers": 1, "name": "x"}'])
def test_a_damaged_choice_is_named(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "choices").mkdir()
    (tmp_path / "choices" / "ladder_02.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 1
    assert "ladder_02.json is no record of a choice" in capsys.readouterr().err


def test_runs_in_keras_stand_beside_ours(tmp_path: Path) -> None:
    curves = {"tinycnn": {"0": [0.98, 0.99, 0.97], "1": [0.9, 0.96, 0.97]}, "Keras": {"0": [0.5, 0.25]}, "other": {}}
    (tmp_path / "beside").mkdir()
    path = tmp_path / "beside" / "ladder_05.json"
    path.write_text(json.dumps({"name": "ladder_05", "epochs": 3, "curves": curves}))
    assert main(["report", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "| `ladder_05` | 99.20 | tinycnn | 2 | 98.00 (97.00 to 99.00) | 97.00 (97.00 to 97.00) |" in text
    assert "| `ladder_05` | 99.20 | Keras | 1 | 50.00 | 25.00 |" in text
    assert (
        "at most 48.00 points apart. Runs of one framework that differ only in their seed are up to 2.00 points apart."
        in " ".join(text.split())
    )
    assert "other" not in text.partition("Trained in")[2].partition("##")[0]
    path.write_text(json.dumps({"name": "ladder_05", "curves": {"tinycnn": {"0": 3}}}))
    with pytest.raises(ValueError, match=r"ladder_05\.json is no record of runs in two frameworks"):
        beside.read_all(tmp_path)


# What is committed ----------------------------------------------------------------------------------------------

COMMITTED = records.read_all(ROOT / "results")


def test_the_page_on_results_is_that_of_the_records() -> None:
    others = [kind.read_all(ROOT / "results") for kind in (choices, beside)]
    expected = report.markdown_page(page.blocks(COMMITTED, *others))
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == expected, "run tinycnn report results --docs docs"


@pytest.mark.parametrize("record", [r for group in COMMITTED.values() for r in group], ids=lambda r: r["command"][18:])
def test_committed_records_agree_with_themselves(record: dict[str, Any]) -> None:
    recipe = models.recipe(record["name"])
    assert not records.differences(record, recipe.to_dict())
    assert record["seed"] in range(recipe.runs)
    assert (record["epochs"], record["params"]) == (recipe.epochs, recipe.params.total)
    counts = np.array(record["confusion_matrix"])
    assert counts.sum() == len(record["predicted"]) == 10_000
    assert counts.trace() / counts.sum() == pytest.approx(record["test_accuracy"], abs=1e-9)
    assert record["val_accuracy"][record["weights_of_epoch"] - 1] == record["test_accuracy"]
    assert [counts[:, c].sum() for c in range(10)] == [record["predicted"].count(str(c)) for c in range(10)]
    assert record["best_val_accuracy"] == max(record["val_accuracy"])


# One run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a run that an earlier version has written, whose data set has a few bars for images."""
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "tests" / "fixtures" / "run-format-1", folder)
    x = np.zeros((IMAGES, 28, 28), np.uint8)
    for image, label in zip(x, LABELS, strict=True):
        image[: 2 * label + 1] = 255
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((x, LABELS), (x, LABELS)))
    return folder


def test_a_run_of_train_gets_a_report_of_its_own(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    assert main(["report", str(run_folder)]) == 0, capsys.readouterr().err
    html = (run_folder / "report.html").read_text("utf-8")
    outside = Outside()
    outside.feed(html)
    assert not outside.open
    assert all(address.startswith("data:image/png;base64,") for address in outside.fetched)
    assert len(outside.images) >= 6
    text = (run_folder / "report.md").read_text("utf-8")
    description = json.loads((run_folder / "run.json").read_text("utf-8"))
    assert f"# {description['model']} on " in text
    assert f"| Test accuracy | {description['results']['test_accuracy']:.4f} |" in text
    assert f"| Parameters | {description['results']['params']:,} |" in text
    assert description["command"] in " ".join(text.split())
    # The files of the run are as they were, and a second report is the same.
    assert {name: (run_folder / name).read_bytes() for name in before} == before
    assert main(["report", str(run_folder)]) == 0
    assert (run_folder / "report.html").read_text("utf-8") == html


def test_pictures_of_a_run_are_narrow_enough_for_a_telephone(run_folder: Path) -> None:
    """At 390 pixels a picture is about 4 inches wide, so its text has about the size that it has on paper."""
    run = one_run.read(run_folder)
    shown = [one for one in one_run.blocks(run, one_run.tested(run)) if isinstance(one, blocks.Picture)]
    for picture in shown:
        figure = picture.draw()
        assert picture.narrow == (picture.name != "first-100")
        if picture.narrow:
            assert figure.get_figwidth() <= 4.2
            figure.draw_without_rendering()
            texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text()]
            assert all(one.get_fontsize() >= 4 for one in texts), picture.name
    html = blocks.page(shown, "x", lambda picture: b"")
    assert html.count('class="narrow"') == len(shown) - 1
    assert html.count('class="scrolled"') == 1


def test_a_run_that_is_not_finished_is_reported_as_far_as_it_is(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = json.loads((run_folder / "run.json").read_text("utf-8"))
    (run_folder / "run.json").write_text(json.dumps(description | {"status": "interrupted"}))
    assert main(["report", str(run_folder)]) == 0
    text = " ".join((run_folder / "report.md").read_text("utf-8").split())
    assert "The run was interrupted after" in text
    assert f"`tinycnn train {description['model']} --out {run_folder} --resume` continues it" in text
    (run_folder / "run.json").unlink()
    assert main(["report", str(run_folder)]) == 1
    assert "has not finished an epoch yet" in capsys.readouterr().err


def test_a_report_without_the_data_says_what_is_left_out(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> Any:
        raise OSError("cannot download digits")

    monkeypatch.setattr(datasets.digits, "load_data", offline)
    assert main(["report", str(run_folder)]) == 0
    assert "pictures of test images are left out: cannot download digits" in " ".join(
        (run_folder / "report.md").read_text("utf-8").split()
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", "{}", "run.json is not what 'tinycnn train' writes"),
        ("run.json", '{"model": "ladder_03", "data": "digits", "backend": "cpu"}', "its results have no 'epochs'"),
        ("history.csv", "epoch,loss\n0,x\n", "history.csv is not what 'tinycnn train' writes"),
    ],
)
def test_a_damaged_run_is_named(
    name: str, content: str, said: str, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / name).write_text(content)
    assert main(["report", str(run_folder)]) == 1
    assert said in capsys.readouterr().err


def test_the_folder_above_a_run_is_told_from_records(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_folder.parent)]) == 1
    assert f"report one of them: 'tinycnn report {run_folder}'" in capsys.readouterr().err
    assert main(["report", str(run_folder), "--docs", str(run_folder)]) == 2
    assert "--docs is for records" in capsys.readouterr().err


def test_no_message_advises_to_delete_what_may_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    assert main(["report", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "move it out of the folder if it is something else" in said
    advice = re.compile(r"(?:or|and|to|;|:) delete (?:it|that|them|the)\b", re.IGNORECASE)
    for path in (ROOT / "tinycnn").rglob("*.py"):
        strings = [n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant)]
        assert not [one for one in strings if isinstance(one, str) and advice.search(one)], path


def test_networks_without_records_take_one_line() -> None:
    shown = page.blocks({"ladder_03": [made("ladder_03")]})
    text = blocks.markdown(shown)
    lines = [one.text for one in shown if isinstance(one, blocks.Text) and one.text.startswith("Not run yet: ")]
    [line] = lines
    assert line.count("`") == 2 * (len(models.names()) + len(models.variations()) - 1)
    tables = [one for one in shown if isinstance(one, blocks.Table)]
    assert [[row[0] for row in table.rows] for table in tables] == [["`ladder_03`"]] * 2
    assert "## The MNIST ladder" in text
    assert "## Fashion-MNIST" not in text
    assert "## Small networks" not in text
