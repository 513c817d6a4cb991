"""A network is trained on a folder of the user's pictures, and every command knows such a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinycnn
from tinycnn import Sequential, datasets, explore, layers
from tinycnn.cli import _data, _figures, _runs, main

CLASSES = ("bars", "cross", "d\u00e9but")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_figures, "draw_all", lambda *a: [])


def draw(label, number, size=(28, 28), colour=False):
    """Return one of some pictures that are easy to tell apart."""
    rng = np.random.default_rng(100 * label + number)
    pixels = rng.integers(0, 60, (*size, 3), np.uint8)
    pixels[:: 6 if label != 1 else 100] += np.uint8(150 if label != 1 else 0)
    pixels[:, :: 6 if label else 100] += np.uint8(40)
    picture = Image.fromarray(pixels)
    return picture if colour else picture.convert("L")


def make(root="pics", count=10, classes=CLASSES, **options):
    for label, name in enumerate(classes):
        Path(root, name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(label, number, **options).save(Path(root, name, f"{number}.png"))


def train(*arguments, name="ladder_02", data="pics"):
    return main(["train", name, "--data", data, "--backend", "reference", *map(str, arguments)])


def test_a_run_on_pictures_and_all_that_can_be_done_with_it(capsys, monkeypatch):
    make()
    assert train("--epochs", 3) == 0
    said = capsys.readouterr().out
    folder = Path("runs/ladder_02-pics")
    assert "on the pictures in pics, 24 images" in said
    run = json.loads((folder / "run.json").read_text("utf-8"))
    assert run["data"] == "pics"
    assert run["pictures"]["classes"] == list(CLASSES)
    assert run["pictures"]["image_size"] == [28, 28]
    assert run["pictures"]["color_mode"] == "grayscale"
    assert len(run["pictures"]["digest"]) == 64
    assert "--data pics --image-size 28x28" in run["command"]
    with tinycnn.use_backend("reference"):
        model = tinycnn.load_model(folder / "model.safetensors")
    assert (model.input_shape, model.output_shape) == ((28, 28, 1), (3,))
    _, (x, y), _ = datasets.from_folder("pics")
    accuracy = model.evaluate(x[..., None].astype("float32") / np.float32(255), y, verbose=0)[1]
    assert run["results"]["test_accuracy"] == accuracy

    assert main(["evaluate", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "on the test set of the pictures in pics, 6 images" in said
    assert [line.split()[0] for line in said.splitlines()[-3:]] == list(CLASSES)

    # A picture is seen as it was in training, and has the same result as the same picture of the test set.
    name = datasets.from_folder("pics").test_files[0]
    assert main(["predict", str(folder), f"pics/{name}", "0"]) == 0
    said, errors = capsys.readouterr()
    one, other = said.split("test image 0 ")
    assert one.splitlines()[1:] == other.splitlines()[1:]
    assert f"(true class {name.split('/')[0]})" in other
    assert all(any(line.startswith(f"  {c} ") for line in one.splitlines()) for c in CLASSES)
    assert errors == ""

    assert main(["report", str(folder)]) == 0
    page = (folder / "report.md").read_text("utf-8")
    assert "ladder_02 on the pictures in pics" in page
    assert "| bars | 2 |" in page

    seen = []
    monkeypatch.setattr(explore, "need_extra", lambda: None)
    from tinycnn.cli import explore as command

    monkeypatch.setattr(command, "_record", lambda session, *a: seen.append(session))
    assert main(["explore", "ladder_02", "--data", "pics", "--record", "page.html"]) == 0
    assert seen[0].data.class_names == CLASSES
    assert seen[0].data.x_test.shape == (6, 28, 28, 1)
    assert main(["explore", "ladder_03", "--data", "pics", "--record", "page.html"]) == 2
    assert "train it first: tinycnn train ladder_03 --data pics" in capsys.readouterr().err


def test_the_picture_of_many_classes_grows(monkeypatch):
    monkeypatch.undo()
    sizes = []
    for count in (10, 40):
        names = tuple(f"class {number}" for number in range(count))
        data = _data.Data("x", "x", names, *[np.zeros(0)] * 3, np.arange(count))
        sizes.append(_figures._classes(data, np.eye(count)).get_size_inches())
    assert sizes[0].tolist() == [10, 5]
    assert sizes[1].tolist() == [20, 10]


def test_colours_and_sizes_come_from_the_pictures():
    make(size=(20, 24), colour=True)
    assert train("--epochs", 1, "--out", "run") == 0
    assert _runs.read_description(Path("run"))["pictures"]["color_mode"] == "rgb"
    assert tinycnn.load_model("run/model.safetensors").input_shape == (20, 24, 3)
    assert train("--epochs", 1, "--out", "small", "--image-size", "12x16") == 0
    assert tinycnn.load_model("small/model.safetensors").input_shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("arguments", "name", "texts"),
    [
        ([], "go_crazy", ["go_crazy cannot take images of 40x40x1", "--image-size 28x28"]),
        (["--image-size", "8"], "ladder_09", ["window of 9", "--image-size 28x28"]),
    ],
)
def test_images_that_the_network_cannot_take(arguments, name, texts, capsys):
    make(size=(40, 40), count=2)
    assert train(*arguments, name=name) == 2
    error = capsys.readouterr().err
    assert all(text in error for text in texts), error
    assert not Path("runs").exists()


def test_pictures_of_several_sizes_need_the_option(capsys):
    make(count=3)
    draw(0, 9, size=(40, 50)).save("pics/bars/9.png")
    assert train() == 1
    error = capsys.readouterr().err
    assert "have 2 different sizes" in error
    assert "--image-size 64" in error
    assert "image_size" not in error
    assert not Path("runs").exists()


def test_bad_pictures_are_listed_and_nothing_is_begun(capsys):
    make(count=3)
    Path("pics/bars/0.png").write_bytes(b"x")
    assert train() == 1
    assert "pics/bars/0.png is not a picture" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--data", "digits", "--image-size", "28"], "--image-size is for a folder of pictures, and digits is"),
        (["--data", "digits", "--validation-split", "0.5"], "--validation-split is for a folder of pictures"),
        (["--data", "missing"], "'missing' is neither a folder of pictures nor one of the data sets mnist,"),
        (["--data", "pics", "--image-size", "0"], "'0' is not a size such as 64 or 48x64"),
        (["--data", "pics", "--image-size", "1x2x3"], "is not a size"),
        (["--data", "pics", "--image-size", "99999"], "is not a size"),
        (["--data", "pics", "--validation-split", "0"], "'0' is not a share between 0 and 1"),
        (["--data", "pics", "--validation-split", "nan"], "'nan' is not a share"),
        (["--data", "pics", "--validation-split", "x"], "'x' is not a share"),
    ],
)
def test_options_that_make_no_sense(arguments, text, capsys):
    make(count=2)
    assert main(["train", "ladder_02", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_a_folder_with_the_name_of_a_data_set():
    make("mnist", count=3)
    assert train("--epochs", 1, "--out", "run", data="./mnist") == 0
    assert _runs.read_description(Path("run"))["data"] == "./mnist"
    assert main(["evaluate", "run"]) == 0


def test_resuming_gives_the_bits_of_an_uninterrupted_run_and_notices_other_pictures(capsys):
    make()
    assert train("--epochs", 3, "--out", "whole") == 0
    assert train("--epochs", 1, "--out", "parts") == 0
    # A slash at the end of the name, and another place of the file, change nothing.
    shutil.copytree("pics", "copy")
    shutil.rmtree("pics")
    shutil.move("copy", "pics")
    capsys.readouterr()
    assert train("--epochs", 3, "--out", "parts", "--resume", data="pics/") == 0
    for a, b in zip(
        *(tinycnn.load_model(f"{run}/model.safetensors").get_weights() for run in ("whole", "parts")), strict=True
    ):
        np.testing.assert_array_equal(a, b)

    for arguments, text in (
        (["--image-size", "20"], "has --image-size 28x28, but 20x20 was given"),
        (["--validation-split", "0.5"], "has --validation-split unset, but 0.5 was given"),
    ):
        assert train("--epochs", 5, "--out", "parts", "--resume", *arguments) == 2
        assert text in capsys.readouterr().err
    pixels = np.array(Image.open("pics/cross/3.png"))
    pixels[0, 0] += 1
    Image.fromarray(pixels).save("pics/cross/3.png")
    before = (Path("parts") / "run.json").read_bytes()
    assert train("--epochs", 5, "--out", "parts", "--resume") == 2
    assert "cannot resume: the pictures in pics are not those with which the run began" in capsys.readouterr().err
    assert (Path("parts") / "run.json").read_bytes() == before


def test_what_has_changed_since_the_training_is_said(capsys):
    make()
    assert train("--epochs", 1, "--out", "run") == 0
    draw(0, 77).save("pics/bars/new.png")
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 0
    assert "warning: the pictures in pics are not those that the run was trained on" in capsys.readouterr().err
    make(classes=("a", "b", "c", "zebra"))
    assert main(["evaluate", "run"]) == 1
    assert "holds the classes a, b, bars, c, cross" in capsys.readouterr().err
    # Predictions for pictures need none of the folder.
    shutil.move("pics", "elsewhere")
    assert main(["predict", "run", "elsewhere/bars/0.png"]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_that_has_moved(capsys):
    make()
    assert train("--epochs", 1, "--out", "run") == 0
    shutil.move("pics", "elsewhere")
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 1
    assert "pics: no such folder; the run was trained on the pictures in it" in capsys.readouterr().err
    assert main(["evaluate", "run", "--data", "elsewhere"]) == 0
    assert main(["predict", "run", "0", "--data", "elsewhere"]) == 0
    out, err = capsys.readouterr()
    assert "elsewhere, 6 images" in out
    assert err == ""
    assert main(["evaluate", "run", "--data", "mnist"]) == 2
    assert "was trained on the pictures in pics; leave --data out" in capsys.readouterr().err


def test_a_model_that_lies_by_itself(capsys):
    make()
    assert train("--epochs", 1, "--out", "run") == 0
    shutil.copy("run/model.safetensors", "alone.safetensors")
    capsys.readouterr()
    assert main(["predict", "alone.safetensors", "0", "--data", "pics"]) == 0
    assert "true class" in capsys.readouterr().out
    make("other", classes=("a", "b"), count=2)
    assert main(["predict", "alone.safetensors", "0", "--data", "other"]) == 2
    assert "other has 2 classes, but alone.safetensors has 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {"pictures": None},
        {"pictures": []},
        {"pictures": {"classes": ["a", "b"]}},
        {"image_size": [28]},
        {"image_size": [28, -1]},
        {"image_size": [28, 28.5]},
        {"classes": ["a"]},
        {"classes": "ab"},
        {"classes": [1, 2]},
        {"color_mode": "auto"},
        {"validation_split": "0.2"},
        {"digest": 3},
    ],
)
def test_a_description_that_no_run_has_written(changes, capsys):
    make(count=3)
    assert train("--epochs", 1, "--out", "run") == 0
    path = Path("run/run.json")
    content = json.loads(path.read_text("utf-8"))
    if "pictures" in changes:
        content.update(changes)
    else:
        content["pictures"].update(changes)
    path.write_text(json.dumps(content), encoding="utf-8")
    capsys.readouterr()
    for command in (["evaluate", "run"], ["predict", "run", "0"], ["report", "run"]):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert len(error.strip().splitlines()) == 1, error
        assert "Traceback" not in error
    assert _runs.read_finished(Path("run")) is None


def test_a_network_with_one_output_tells_two_folders_apart(capsys):
    """Its pictures are predicted, looked at, and trained on, as those of a network with an output for each class."""
    make("pair", classes=("bars", "cross"))
    tinycnn.set_seed(0)
    model = Sequential([layers.Input((28, 28, 1)), layers.Conv2D(3, 5, strides=3, activation="relu"), layers.Flatten()])
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    model.save("one.safetensors")
    assert main(["predict", "one.safetensors", "0", "--data", "pair"]) == 0
    out = capsys.readouterr().out
    assert "bars" in out
    assert "cross" in out
    arguments = "--data", "pair", "--record", "page.html", "--record-training", "3"
    assert main(["explore", "one.safetensors", *arguments]) == 0
    assert "Training for 3 epochs, to be recorded" in capsys.readouterr().out
    assert Path("page.html").stat().st_size > 100_000
