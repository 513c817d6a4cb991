"""``tinycnn predict``: which images it takes, how it prepares them, and what it says and writes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinycnn
from tinycnn import Sequential, datasets, layers
from tinycnn.cli import _figures, main
from tinycnn.datasets import load_image, mnist_like


@pytest.fixture(autouse=True)
def few_digits(monkeypatch, tmp_path):
    """Use 300 + 60 digits, and a folder of its own for each test."""
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    monkeypatch.setattr(datasets.digits, "load_data", lambda: ((x[:300], y[:300]), (x_test[:60], y_test[:60])))
    monkeypatch.setattr(_figures, "draw_all", lambda *a: [])
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_folder(capsys):
    command = "train ladder_02 --data digits --backend reference --epochs 1 --out run"
    assert main(command.split()) == 0
    capsys.readouterr()
    return "run"


def built(shape=(28, 28, 1), *, outputs=10, first=(), last="softmax"):
    with tinycnn.use_backend("reference"):
        model = Sequential([layers.Input(shape), *first, layers.Flatten(), layers.Dense(outputs, activation=last)])
    return model


def page(digit, ink=0, paper=120, side=50, top=20, left=60):
    """Return a sheet with a digit (28, 28) on it."""
    sheet = np.zeros((100, 140))
    sheet[top : top + side, left : left + side] = np.asarray(Image.fromarray(digit).resize((side, side))) / 255
    return np.uint8(paper + (ink - paper) * sheet)


def shares(text):
    return [line.split()[:2] for line in text.splitlines() if " %" in line]


def test_a_picture_is_prepared_said_and_saved(run_folder, capsys):
    digit = datasets.digits.load_data()[1][0][3]
    Image.fromarray(page(digit)).save("page.png")
    assert main(["predict", run_folder, "page.png", "--save-input", "seen.png"]) == 0
    out, _ = capsys.readouterr()
    said = " ".join(out.split())
    for words in ("inverted, because the ink is darker than the border", "contrast stretched from 120–", "by mass"):
        assert words in said
    assert "what the network saw of page.png: seen.png" in out
    assert max(map(len, out.splitlines())) <= 80
    seen = np.asarray(Image.open("seen.png"))
    assert seen.shape == (28, 28)
    np.testing.assert_array_equal(seen, np.rint(mnist_like(page(digit))[..., 0] * 255))
    # The network sees the very same image in the file, so there is nothing to do or to say.
    assert main(["predict", run_folder, "seen.png"]) == 0
    again, _ = capsys.readouterr()
    assert shares(again) == shares(out)
    assert len(again.splitlines()) == 11


def test_the_preparation_can_be_turned_off(run_folder, capsys):
    Image.fromarray(page(datasets.digits.load_data()[1][0][3])).save("page.png")
    assert main(["predict", run_folder, "page.png", "--prepare", "none", "--save-input", "seen.png"]) == 0
    assert "  resized from 140×100\n" in capsys.readouterr().out
    np.testing.assert_array_equal(load_image("seen.png"), load_image("page.png", (28, 28, 1)))


def test_a_warning_says_when_a_picture_is_unlike_the_training_images(run_folder, capsys):
    rng = np.random.default_rng(0)
    pictures = {
        "blank": np.full((50, 50), 255, np.uint8),
        "noise": rng.integers(0, 256, (60, 60), np.uint8),
        "two": np.hstack([page(digit)[:, 55:115] for digit in datasets.digits.load_data()[1][0][[3, 5]]]),
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(f"{name}.png")
        assert main(["predict", run_folder, f"{name}.png"]) == 0
        out, err = capsys.readouterr()
        assert f"{name}.png is unlike what the network was trained on: its " in err, name
        assert "of the training images of digits, 99.8 % lie from 0." in err
        assert ("not prepared, because nothing in the picture stands out" in out) == (name != "two")
    for number, digit in enumerate(datasets.digits.load_data()[1][0][:5]):
        Image.fromarray(page(digit)).save(f"{number}.png")
        assert main(["predict", run_folder, f"{number}.png", "0"]) == 0
        assert capsys.readouterr().err == ""


def test_folders(run_folder, capsys, monkeypatch):
    digits = datasets.digits.load_data()[1][0]
    Path("mine", "deep").mkdir(parents=True)
    for number, name in enumerate(("b.JPG", "a.png", "c.gif", ".hidden.png", "deep/d.png")):
        Image.fromarray(page(digits[number])).save(Path("mine", name))
    Path("mine", "notes.txt").write_text("no picture", encoding="utf-8")
    assert main(["predict", run_folder, "mine", "--save-input", "seen.png"]) == 0
    out, err = capsys.readouterr()
    titles = [line.split(":")[0] for line in out.splitlines() if line.startswith("mine")]
    assert titles == ["mine/a.png", "mine/b.JPG", "mine/c.gif"]
    assert sorted(path.name for path in Path().glob("seen*")) == ["seen-1.png", "seen-2.png", "seen-3.png"]
    assert err == ""

    Path("mine", "broken.png").write_text("hello", encoding="utf-8")
    monkeypatch.chdir("mine")
    assert main(["predict", "../run", "."]) == 1
    out, err = capsys.readouterr()
    assert len(shares(out)) == 30
    assert "warning: left out: broken.png is not a picture" in err

    Path("deep", "d.png").rename("deep/d.txt")
    Path("deep", "more").mkdir()
    Image.new("L", (9, 9)).save("deep/more/e.png")
    assert main(["predict", "../run", "deep"]) == 1
    assert "deep is a folder without pictures; its sub-folders more have some" in capsys.readouterr().err


def test_models_files(run_folder, capsys):
    x = datasets.digits.load_data()[1][0]
    Image.fromarray(page(x[3])).save("page.png")
    assert main(["predict", "run", "page.png"]) == 0
    expected = shares(capsys.readouterr().out)
    Path("alone.safetensors").write_bytes(Path("run/model.safetensors").read_bytes())
    for arguments in (["run/model.safetensors"], ["alone.safetensors"], ["alone.safetensors", "--data", "digits"]):
        assert main(["predict", arguments[0], "page.png", *arguments[1:]]) == 0
        assert shares(capsys.readouterr().out) == expected
    assert main(["predict", "alone.safetensors", "3", "--data", "digits"]) == 0
    assert "test image 3 (true class" in capsys.readouterr().out
    for arguments, code, words in [
        (["alone.safetensors", "3"], 2, "nothing says which data set is meant; add --data NAME"),
        (["alone.safetensors", "3", "--data", "cifar10"], 2, "28×28×1, but those of cifar10 are 32×32×3"),
        (["run", "3", "--data", "mnist"], 2, "run was trained on digits"),
        (["nowhere.safetensors", "3"], 1, "nowhere.safetensors: no such folder or file"),
    ]:
        assert main(["predict", *arguments]) == code
        assert words in capsys.readouterr().err


def test_models_of_ones_own(capsys):
    """A network that divides by 255 gets bytes; logits become probabilities; one output is two classes or a number."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(picture).save("colours.png")
    for first, last, outputs, x in [
        ((layers.Rescaling(1 / 255),), "softmax", 3, picture),
        ((layers.Rescaling(1 / 127.5, -1.0),), "softmax", 3, picture),
        ((), "softmax", 3, picture / 255),
        ((), "linear", 3, picture / 255),
        ((), "sigmoid", 1, picture / 255),
    ]:
        model = built((8, 8, 3), outputs=outputs, first=first, last=last)
        model.save("own.safetensors")
        assert main(["predict", "own.safetensors", "colours.png"]) == 0
        found = shares(capsys.readouterr().out)
        p = model.predict(x[None].astype(np.float32))[0].astype(float)
        p = np.exp(p) / np.exp(p).sum() if last == "linear" else np.array([1 - p[0], p[0]]) if outputs == 1 else p
        assert [name for name, _ in found] == [str(k) for k in (-p).argsort()]
        np.testing.assert_allclose([float(share) for _, share in found], 100 * np.sort(p)[::-1], atol=0.006)
    model = built((8, 8, 3), outputs=1, last="linear")
    model.compile("sgd", "mse")
    model.save("own.safetensors")
    assert main(["predict", "own.safetensors", "colours.png"]) == 0
    out = capsys.readouterr().out
    assert shares(out) == []
    number = model.predict((picture / 255)[None].astype(np.float32))[0, 0]
    assert float(out.splitlines()[0].removeprefix("colours.png: ")) == pytest.approx(float(number), rel=1e-6)
    built((8, 8, 3), last="softmax").save("own.safetensors")
    assert main(["predict", "own.safetensors", "colours.png", "--prepare", "mnist"]) == 2
    assert "--prepare mnist makes square grey images" in capsys.readouterr().err
    with tinycnn.use_backend("reference"):
        Sequential([layers.Input((4,)), layers.Dense(2)]).save("rows.safetensors")
    assert main(["predict", "rows.safetensors", "colours.png"]) == 1
    assert "does not turn images into classes" in capsys.readouterr().err


def test_colours_stay_in_a_network_for_cifar(capsys):
    built((32, 32, 3)).save("cifar.safetensors")
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[:, :40], photo[:, 40:] = (250, 240, 20), (20, 40, 250)
    Image.fromarray(photo).save("photo.webp", lossless=True)
    arguments = ["cifar.safetensors", "photo.webp", "--data", "cifar10", "--save-input", "seen.png"]
    assert main(["predict", *arguments]) == 0
    assert "resized from 80×60" in capsys.readouterr().out
    seen = np.asarray(Image.open("seen.png"))
    assert seen.shape == (32, 32, 3)
    assert seen[16, 5].tolist() == [250, 240, 20]
    assert seen[16, 26].tolist() == [20, 40, 250]


def test_predict_refuses(run_folder, capsys):
    Path("text.png").write_text("hello", encoding="utf-8")
    Image.effect_noise((100, 100), 50).save("whole.png")
    data = Path("whole.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    Path("folder").mkdir()
    for arguments, code, word in [
        (["60"], 2, "0 to 59"),
        (["-1"], 2, "0 to 59"),
        (["no.png"], 1, "no such file"),
        (["folder"], 1, "folder is a folder without pictures"),
        (["text.png"], 1, "text.png is not a picture that can be read"),
        (["cut.png"], 1, "cut.png cannot be read"),
        (["whole.png", "--save-input", "seen.jpg"], 2, "must end in .png"),
        (["whole.png", "--save-input", "whole.png"], 2, "would overwrite a picture"),
    ]:
        assert main(["predict", "run", *arguments]) == code, arguments
        captured = capsys.readouterr()
        assert word in captured.err
        assert len(captured.err.splitlines()) == 1
        assert captured.out == ""
    assert Path("whole.png").read_bytes() == data
