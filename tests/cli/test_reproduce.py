"""Reproducing the documented results: runs that stop and continue, and their records."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinycnn
from tinycnn import Augmentation, datasets, models
from tinycnn.callbacks import Callback
from tinycnn.cli import main
from tinycnn.cli._results import records, running
from tinycnn.sequential import Sequential

NAME, OTHER = "ladder_03", "ladder_02"
#: What may differ between two runs of the same recipe and seed.
TIMES = {"seconds", "seconds_by_epoch", "images_per_second", "date"}


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Use a few drawn digits in place of MNIST, two epochs, and the backend that needs no compiling."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    few = (x[:256], y[:256]), (x_test[:120], y_test[:120])
    for data in (datasets.mnist, datasets.fashion_mnist):
        monkeypatch.setattr(data, "load_data", lambda: few)
    recipe = models.recipe
    monkeypatch.setattr(models, "recipe", lambda name: dataclasses.replace(recipe(name), epochs=2, batch_size=64))
    monkeypatch.chdir(tmp_path)
    with tinycnn.use_backend("reference"):
        yield


def reproduce(*arguments: str) -> int:
    return main(["reproduce", *arguments])


def record(name: str = NAME, seed: int = 0, folder: str = "results") -> dict[str, Any]:
    return records.read(records.path_of(Path(folder), name, seed))


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in TIMES}


class Stop(Callback):
    """Presses Ctrl-C, or ends the process, after this many batches."""

    def __init__(self, batches: int, how: Any) -> None:
        self.left, self.how = batches, how

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self.left -= 1
        if not self.left:
            self.how()


def killed() -> None:
    raise SystemError("the machine is gone")


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def stop_after(monkeypatch: pytest.MonkeyPatch, batches: int, how: Any) -> Any:
    """Let the next fits stop, and return what undoes this."""
    fit = Sequential.fit

    def stopped(self: Sequential, *args: Any, callbacks: list[Callback], **kwargs: Any) -> Any:
        return fit(self, *args, callbacks=[*callbacks, Stop(batches, how)], **kwargs)

    monkeypatch.setattr(Sequential, "fit", stopped)
    return lambda: monkeypatch.setattr(Sequential, "fit", fit)


def test_a_record_says_what_was_done_and_what_came_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce(NAME, "--seeds", "2", "--threads", "1") == 0
    assert {path.name for path in Path("results").iterdir()} == {f"{NAME}-seed{s}.json" for s in (0, 1)} | {".work"}
    found = record(seed=1)
    assert (found["name"], found["seed"], found["params"], found["epochs"]) == (NAME, 1, 54_410, 2)
    assert found["command"] == f"tinycnn reproduce {NAME} --seeds 2"
    assert found["backend"] == "reference"
    assert found["recipe"] == models.recipe(NAME).to_dict()
    assert {"tinycnn", "numerics", "python", "numpy", "numba", "scipy"} == found["versions"].keys()
    assert found["machine"]["cores"] > 0
    assert found["best_val_accuracy"] == max(found["val_accuracy"])
    assert found["last_val_accuracy"] == found["val_accuracy"][-1]
    assert found["weights_of_epoch"] == found["best_epoch"] == 1 + int(np.argmax(found["val_accuracy"]))
    assert found["seconds"] == pytest.approx(sum(found["seconds_by_epoch"]), abs=0.01)
    # The figures belong together, and to the network that was kept.
    _, (x_test, y_test) = datasets.mnist.load_data()
    model = tinycnn.load_model(f"results/.work/{NAME}-seed1/model.safetensors")
    predicted = model.predict(x_test[..., None].astype("float32") / 255).argmax(axis=1)
    assert found["predicted"] == "".join(map(str, predicted))
    assert found["test_accuracy"] == pytest.approx((predicted == y_test).mean())
    assert found["test_accuracy"] == found["best_val_accuracy"]
    assert found["first_100_errors"] == (predicted[:100] != y_test[:100]).sum()
    assert np.trace(found["confusion_matrix"]) == (predicted == y_test).sum()
    for surest, right in (("most_confident_correct", True), ("most_confident_wrong", False)):
        shown = found[surest]
        assert [entry["probability"] for entry in shown] == sorted((e["probability"] for e in shown), reverse=True)
        assert all((entry["true"] == entry["predicted"]) is right for entry in shown)
        assert all(predicted[entry["image"]] == entry["predicted"] for entry in shown)
    np.testing.assert_allclose(found["first_layer_filters"], model.get_weights()[0], rtol=1e-3)
    # Another seed makes another run.
    assert found["loss"] != record()["loss"]
    assert "accuracy" in capsys.readouterr().out
    size = records.path_of(Path("results"), NAME, 1).stat().st_size
    assert size < 200_000


@pytest.mark.parametrize(("how", "code"), [(ctrl_c, 130), (killed, None)])
@pytest.mark.parametrize("batches", [1, 3, 4, 7])
def test_an_interrupted_run_goes_on_to_the_same_record(
    monkeypatch: pytest.MonkeyPatch, how: Any, code: int | None, batches: int
) -> None:
    """An epoch has four batches; the run stops in the first epoch, at its end, or in the last one."""
    assert reproduce(NAME, "--seeds", "1", "--out", "whole") == 0
    undo = stop_after(monkeypatch, batches, how)
    if code is None:
        with pytest.raises(SystemError):
            reproduce(NAME, "--seeds", "1")
    else:
        assert reproduce(NAME, "--seeds", "1") == code
    assert not list(Path("results").glob("*.json"))
    undo()
    assert reproduce(NAME, "--seeds", "1") == 0
    assert without_times(record()) == without_times(record(folder="whole"))
    assert len(record()["seconds_by_epoch"]) == 2


def test_a_run_that_ends_between_training_and_record_is_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write = records.write
    monkeypatch.setattr(records, "write", lambda *a: killed())
    with pytest.raises(SystemError):
        reproduce(NAME, "--seeds", "1")
    monkeypatch.setattr(records, "write", write)
    stop_after(monkeypatch, 1, killed)  # a single further step would end it
    assert reproduce(NAME, "--seeds", "1") == 0
    assert record()["epochs"] == 2


def test_a_finished_run_is_not_repeated(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce(OTHER, "--seeds", "1") == 0
    before = records.path_of(Path("results"), OTHER, 0).read_bytes()
    stop_after(monkeypatch, 1, killed)
    assert reproduce(OTHER, "--seeds", "1") == 0
    assert records.path_of(Path("results"), OTHER, 0).read_bytes() == before
    out = capsys.readouterr().out
    assert f"{OTHER}-seed0.json is there\n" in out
    # The recipe has changed since; this is reported, and nothing is overwritten.
    monkeypatch.setattr(models, "recipe", lambda name: dataclasses.replace(varied, epochs=3, batch_size=64))
    assert reproduce(OTHER, "--seeds", "1") == 0
    assert "by an older recipe (another epochs)" in capsys.readouterr().out


varied = models.recipe(OTHER)


def test_unfinished_work_of_another_recipe_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = stop_after(monkeypatch, 2, ctrl_c)
    assert reproduce(OTHER, "--seeds", "1") == 130
    undo()
    monkeypatch.setattr(models, "recipe", lambda name: dataclasses.replace(varied, epochs=2, batch_size=32))
    assert reproduce(OTHER, "--seeds", "1") == 1
    assert "unfinished run of another recipe (another batch_size)" in capsys.readouterr().err


def test_the_folder_of_a_run_is_not_mistaken_for_damaged_records(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}", encoding="utf-8")
    assert reproduce(OTHER, "--out", "run") == 2
    assert "run holds a run of 'tinycnn train'; give another folder" in capsys.readouterr().err
    assert Path("run/run.json").read_text(encoding="utf-8") == "{}"


def test_settings_are_chosen_without_the_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, y), _ = datasets.mnist.load_data()
    seen: dict[str, Any] = {}
    fit = Sequential.fit

    def watched(self: Sequential, x: Any, y: Any, **settings: Any) -> Any:
        seen["x"], seen["validation"] = x, settings["validation_data"]
        return fit(self, x, y, **settings)

    monkeypatch.setattr(Sequential, "fit", watched)
    assert reproduce(OTHER, "--seeds", "1", "--hold-out", "56", "--epochs", "1") == 0
    assert not list(Path("results").glob("*.json"))
    found = record(OTHER, folder="results/.work/held-out-56")
    assert found["command"] == f"tinycnn reproduce {OTHER} --seeds 1 --hold-out 56 --epochs 1"
    assert len(found["predicted"]) == 56
    np.testing.assert_array_equal(seen["x"][..., 0], x[:200].astype("float32") / 255)
    np.testing.assert_array_equal(seen["validation"][1], y[200:])


@pytest.mark.filterwarnings("error::UserWarning")
def test_fashion_records_say_what_blurred_images_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    blurred = dataclasses.replace(models.recipe("fashion_base"), augment=Augmentation(blur=1.0))
    monkeypatch.setattr(models, "recipe", lambda name: blurred)
    assert reproduce("fashion_base", "--seeds", "1") == 0
    found = record("fashion_base")
    assert found["recipe"]["augment"]["blur"] == 1.0
    assert {"blurred by 0.5 px", "blurred by 3.0 px", "divided by 255 twice"} <= found["test_accuracy_if"].keys()
    assert all(0 <= accuracy <= 1 for accuracy in found["test_accuracy_if"].values())
    # It was trained on images that augmentation changed.
    monkeypatch.setattr(models, "recipe", lambda name: dataclasses.replace(blurred, augment=None))
    assert reproduce("fashion_base", "--seeds", "1", "--out", "sharp") == 0
    assert record("fashion_base", folder="sharp")["loss"] != found["loss"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ladder_3"], 2, "did you mean 'ladder_03'"),
        ([NAME, "--seeds", "0"], 2, "'0' is not a whole number from 1"),
        ([NAME, "--epochs", "3"], 2, "needs --hold-out, for choosing settings; a reproduction has the recipe's epochs"),
        ([NAME, "--hold-out", "256"], 1, "--hold-out must be from 1 to 255"),
        ([NAME, "--out", "file"], 1, "cannot make the folder file: it is a file"),
    ],
)
def test_wrong_arguments(arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").touch()
    assert reproduce(*arguments) == code
    assert said in capsys.readouterr().err


def test_all_is_every_network_and_every_variation() -> None:
    import argparse

    from tinycnn.cli import reproduce as command

    args = argparse.Namespace(names=["all"], seeds=None, epochs=None)
    wanted = [(recipe.name, seed) for recipe, seed in command._wanted(args)]
    runs = {name: [seed for other, seed in wanted if other == name] for name, _ in wanted}
    assert list(runs) == models.names() + models.variations()
    once = {"cifar10_cnn", "cifar10_cnn_noaug", "fashion_improved_blur"}
    assert {name for name, seeds in runs.items() if seeds == [0]} == once
    assert all(seeds == [0, 1, 2] for name, seeds in runs.items() if name not in once)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Return a valid record."""
    path = records.path_of(tmp_path, NAME, 0)
    values: dict[Any, Any] = {str: "", int: 2, float: 0.5, list: [0.5, 0.5], dict: {}}
    made = {key: values[kind if isinstance(kind, type) else kind[0]] for key, kind in records._FIELDS.items()}
    machine = {"processor": "Z80", "cores": 1}
    records.write(path, {**made, "format": 1, "name": NAME, "seed": 0, "machine": machine})
    assert records.read(path)["name"] == NAME
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "its format must be 1 but is 2"),
        ({"seed": 1}, f"belongs into a file called '{NAME}-seed1.json'"),
        ({"seed": True}, "'seed' is a bool"),
        ({"epochs": 3}, "'loss' has 2 epochs of 3"),
        ({"predicted": None}, "'predicted' is a NoneType"),
        ({"seconds_by_epoch": []}, "'seconds_by_epoch' has 0 epochs of 2"),
        ({"seconds_by_epoch": [1, "a"]}, "'seconds_by_epoch' holds something else than numbers"),
        ({"machine": {"cores": 2}}, "'machine' does not say which processor"),
    ],
)
def test_a_damaged_record_is_named(good: Path, changes: dict[str, Any], said: str) -> None:
    good.write_text(json.dumps(json.loads(good.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    with pytest.raises(ValueError, match="is not a record of 'tinycnn reproduce'") as caught:
        records.read(good)
    assert said in str(caught.value)
    assert good.name in str(caught.value)


def test_a_record_cut_short_stops_everything_before_hours_of_work(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_bytes(good.read_bytes()[:100])
    stop_after(monkeypatch, 1, killed)
    assert reproduce(OTHER, "--out", str(good.parent)) == 1
    assert "it is not JSON" in capsys.readouterr().err


def test_what_a_record_lacks_is_said(good: Path) -> None:
    values = json.loads(good.read_text(encoding="utf-8"))
    del values["val_accuracy"]
    good.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ValueError, match="it lacks 'val_accuracy'"):
        records.read(good)


def test_figures_that_are_no_numbers_are_null(good: Path) -> None:
    values = records.read(good)
    records.write(good, {**values, "val_loss": [float("nan"), 1.0]})
    assert records.read(good)["val_loss"] == [None, 1.0]


def test_the_clock_of_a_run_stands_still_while_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(running.time, "perf_counter", lambda: now[0])
    first = running.Logbook()
    first.on_train_begin()
    now[0] = 10.0
    first.on_train_batch_end(0, {})
    now[0] = 12.0
    first.on_epoch_end(0, {"loss": 1.0})
    now[0] = 15.0
    first.on_train_batch_end(0, {})
    state = first.get_state()
    now[0] = 1000.0
    second = running.Logbook()
    second.on_train_begin()
    second.set_state(state)
    now[0] = 1004.0
    second.on_train_batch_end(1, {})
    now[0] = 1005.0
    second.on_epoch_end(1, {"loss": 0.5})
    assert second.history == {"loss": [1.0, 0.5]}
    assert (second.train_seconds, second.seconds) == ([10.0, 7.0], [12.0, 8.0])


# Records from elsewhere --------------------------------------------------------------------------------------------


@pytest.fixture
def from_elsewhere() -> dict[str, Any]:
    """Leave a record as a clone has it: without the work that made it."""
    assert reproduce(NAME, "--seeds", "1") == 0
    shutil.rmtree("results/.work")
    return record()


def change(**changes: Any) -> None:
    records.write(records.path_of(Path("results"), NAME, 0), record() | changes)


def test_a_record_from_elsewhere_is_repeated_to_the_bit(
    from_elsewhere: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reproduce(NAME, "--seeds", "1") == 0
    said = capsys.readouterr().out
    assert "the same bits as in the record" in said
    assert "every loss and accuracy of 2 epochs, and 120 predictions" in said
    assert record() == from_elsewhere
    assert without_times(record(folder=f"results/.work/{NAME}-seed0")) == without_times(from_elsewhere)
    stop_after(monkeypatch, 1, killed)  # now it was made here
    assert reproduce(NAME, "--seeds", "1") == 0
    assert f"{NAME}-seed0.json is there\n" in capsys.readouterr().out


def test_an_interrupted_repetition_goes_on(
    from_elsewhere: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = stop_after(monkeypatch, 5, ctrl_c)
    assert reproduce(NAME, "--seeds", "1") == 130
    undo()
    assert reproduce(NAME, "--seeds", "1") == 0
    assert "the same bits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            {"val_loss": [1.0, 2.0]},
            1,
            "from val_loss of epoch 1, {} instead of 1.0, on; processor, versions and backend",
        ),
        ({"predicted": "0" * 120}, 1, "from 'predicted' on; processor"),
        (
            {"backend": "cpu", "test_loss": 1.5},
            0,
            "from 'test_loss' on; possible reasons are backend reference instead",
        ),
        ({"machine": {"processor": "Z80", "cores": 1}, "test_loss": 1.5}, 0, "instead of Z80"),
    ],
)
def test_other_bits_are_told(
    from_elsewhere: dict[str, Any], changes: Any, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(**changes)
    for _ in range(2):  # the second time nothing is trained, and the outcome is the same
        assert reproduce(NAME, "--seeds", "1") == code
        assert said.format(from_elsewhere["val_loss"][0]) in capsys.readouterr().out


def test_what_a_record_has_besides_does_not_count(
    from_elsewhere: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    change(note="by hand")
    assert reproduce(NAME, "--seeds", "1") == 0
    assert "the same bits" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_damaged_notes_of_unfinished_work_are_named(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = stop_after(monkeypatch, 2, ctrl_c)
    assert reproduce(NAME, "--seeds", "1") == 130
    undo()
    Path(f"results/.work/{NAME}-seed0/recipe.json").write_text(text, encoding="utf-8")
    assert reproduce(NAME, "--seeds", "1") == 1
    assert "recipe.json is damaged; move the folder" in capsys.readouterr().err.replace("\n", " ")


def test_records_of_another_numerics_version_are_replaced_when_asked(
    from_elsewhere: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    older = {key: value for key, value in from_elsewhere["versions"].items() if key != "numerics"}
    change(versions=older, last_val_accuracy=0.5)
    before = records.path_of(Path("results"), NAME, 0).read_bytes()
    assert reproduce(NAME, "--seeds", "1") == 0
    said = capsys.readouterr().out
    assert "the bits are not compared, because the record is of a time before numerics versions" in said
    assert f"last epoch {from_elsewhere['last_val_accuracy']:.4f}, in the record 0.5000" in said
    assert records.path_of(Path("results"), NAME, 0).read_bytes() == before
    assert reproduce(NAME, "--seeds", "1") == 0
    assert "is there, of a time before numerics versions, and this is numerics version" in capsys.readouterr().out
    assert reproduce(NAME, "--seeds", "1", "--again") == 0
    replaced = record().pop("replaces")
    assert replaced["last_val_accuracy"] == 0.5
    assert replaced["versions"] == older
    assert replaced["seconds"] > 0
    assert without_times({**record(), "replaces": 0}) == without_times({**from_elsewhere, "replaces": 0})
    # What is up to date is not made again.
    capsys.readouterr()
    assert reproduce(NAME, "--seeds", "1", "--again") == 0
    assert f"{NAME}-seed0.json is there\n" in capsys.readouterr().out


def test_unfinished_work_of_another_numerics_version_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undo = stop_after(monkeypatch, 2, ctrl_c)
    assert reproduce(NAME, "--seeds", "1") == 130
    undo()
    monkeypatch.setattr(running, "NUMERICS", running.NUMERICS + 1)
    assert reproduce(NAME, "--seeds", "1") == 1
    assert "unfinished run of another recipe (another numerics version: " in capsys.readouterr().err


def test_a_record_says_which_commit_computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tinycnn.cli import _about

    monkeypatch.setattr(_about, "_ROOT", tmp_path)
    assert _about.commit() is None, "no checkout"

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    assert _about.commit() is None, "a checkout without commits, as .ci/run makes one"
    (tmp_path / "tinycnn").mkdir()
    computes = tmp_path / "tinycnn" / "a.py"
    computes.write_text("1")
    (tmp_path / "page.md").write_text("1")
    git("add", "-A")
    git("commit", "-m", "first")
    found = _about.commit()
    assert found is not None
    assert len(found) == 40
    (tmp_path / "page.md").write_text("2")
    assert _about.commit() == found, "a page computes nothing"
    computes.write_text("2")
    assert _about.commit() == f"{found} with changes"
