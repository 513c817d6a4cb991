"""A folder of pictures becomes a data set, the same one everywhere; what cannot be used is named."""

import os
import shutil
import struct
import sys
import time
import tracemalloc
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinycnn import datasets
from tinycnn.datasets import DataFileError, _class_folders, _folder, _image_file, from_folder, load_image


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def save(path, value=100, size=(6, 8), mode="L", **options):
    """Write a picture of one colour; ``size`` is (H, W)."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (value,) * 3).convert(mode).save(path, **options)


def make(root="pics", counts=None, **options):
    """Write grey pictures whose value tells which one it is: 10 * label + number."""
    for label, (name, count) in enumerate((counts or {"ant": 5, "bee": 5}).items()):
        for number in range(count):
            save(Path(root, name, f"{number}.png"), 10 * label + number, **options)


def test_it_returns_what_other_data_sets_return():
    make()
    data = from_folder("pics")
    (x, y), (x_test, y_test), names = data
    (known, labels), _ = datasets.digits.load_data()
    assert (x.dtype, x.ndim, y.dtype) == (known.dtype, known.ndim, labels.dtype)
    assert x.shape == (8, 6, 8)
    assert x_test.shape == (2, 6, 8)
    assert names == ("ant", "bee")
    assert sorted(y.tolist()) == [0] * 4 + [1] * 4
    assert sorted(y_test.tolist()) == [0, 1]
    for images, targets, files in ((x, y, data.train_files), (x_test, y_test, data.test_files)):
        for image, label, file in zip(images, targets, files, strict=True):
            assert (image == 10 * label + int(Path(file).stem)).all()
            assert file.split("/")[0] == names[label]
    assert not set(data.train_files) & set(data.test_files)


def test_the_split_follows_from_the_seed_and_the_names_alone(monkeypatch):
    make(counts={"ant": 20, "bee": 20})
    one = from_folder("pics", seed=3)
    # Another file system lists its files in another order.
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(listing(self))))
    shutil.copytree("pics", "elsewhere")
    other = from_folder("elsewhere", seed=3)
    assert (one.train_files, one.test_files) == (other.train_files, other.test_files)
    np.testing.assert_array_equal(one.train[0], other.train[0])
    np.testing.assert_array_equal(one.train[1], other.train[1])
    assert set(from_folder("pics", seed=4).test_files) != set(one.test_files)
    # The images are mixed, for whoever takes the last ones.
    assert len(set(one.train[1][-8:].tolist())) == 2
    # These names were written down once, so that an update cannot move pictures from one side to the other unnoticed.
    assert one.test_files == KNOWN


KNOWN = (
    *("ant/10.png", "ant/12.png", "ant/14.png", "bee/19.png"),
    *("ant/17.png", "bee/10.png", "bee/1.png", "bee/11.png"),
)


def test_accents_are_the_same_however_a_file_system_writes_them():
    composed, apart = (unicodedata.normalize(form, "\u00e9t\u00e9") for form in ("NFC", "NFD"))
    make("one", {composed: 10, "hiver": 10})
    make("other", {apart: 10, "hiver": 10})
    a, b = from_folder("one"), from_folder("other")
    assert a.class_names == b.class_names == ("hiver", composed)
    assert a.test_files == b.test_files
    make("other", {composed: 2})
    with pytest.raises(DataFileError, match="accents"):
        from_folder("other")


def test_a_picture_that_is_added_moves_hardly_any_other():
    make(counts={"ant": 50, "bee": 50})
    before = set(from_folder("pics").test_files)
    save("pics/ant/new.png")
    after = set(from_folder("pics").test_files)
    assert len(before - after) <= 1


@pytest.mark.parametrize(("share", "of_20", "of_2"), [(0.0, 0, 0), (0.25, 5, 1), (0.9, 18, 1), (0.001, 1, 1)])
def test_the_share_is_that_of_each_class(share, of_20, of_2):
    make(counts={"ant": 20, "bee": 2})
    data = from_folder("pics", validation_split=share)
    assert np.bincount(data.test[1], minlength=2).tolist() == [of_20, of_2]
    assert data.test[0].shape == (of_20 + of_2, 6, 8)
    assert len(data.train[0]) == 22 - of_20 - of_2


def test_a_class_with_one_picture_is_trained_on():
    make(counts={"ant": 1, "bee": 3})
    assert np.bincount(from_folder("pics").train[1]).tolist() == [1, 2]
    make("single", {"ant": 1, "bee": 1})
    with pytest.raises(DataFileError, match="only one picture of each class"):
        from_folder("single")
    assert len(from_folder("single", validation_split=0).train[0]) == 2


@pytest.mark.parametrize("test", ["test", "val", "Validation"])
def test_a_folder_that_is_split_is_taken_so(test):
    make("pics/train", {"ant": 2, "bee": 2, "cow": 2})
    make(f"pics/{test}", {"bee": 3, "cow": 1})
    data = from_folder("pics")
    assert data.class_names == ("ant", "bee", "cow")
    assert np.bincount(data.train[1]).tolist() == [2, 2, 2]
    assert np.bincount(data.test[1]).tolist() == [0, 3, 1]
    assert all(
        file.startswith(f"{test}/{data.class_names[k]}/") for k, file in zip(data.test[1], data.test_files, strict=True)
    )
    with pytest.raises(ValueError, match="split already, into train and"):
        from_folder("pics", validation_split=0.2)
    make(f"pics/{test}", {"dog": 1})
    with pytest.raises(DataFileError, match="lacks: dog"):
        from_folder("pics")


def test_train_val_and_test_are_no_classes():
    for name in ("train", "val", "test"):
        make(f"pics/{name}")
    with pytest.raises(DataFileError, match="test, train, val; it must hold either a folder for each class, or"):
        from_folder("pics")


@pytest.mark.parametrize(
    "names", [("training", "testing"), ("train", "test", "extra"), ("seg_train", "seg_test"), ("Train_set", "val2017")]
)
def test_halves_with_other_names_are_no_classes(names):
    for name in names:
        make(f"pics/{name}")
    with pytest.raises(DataFileError, match="it must hold either a folder for each class, or train and one of"):
        from_folder("pics")


def test_a_class_may_be_called_like_a_half():
    make("pics/train", {"steam": 2, "diesel": 2})
    make("pics/truck", {"steam": 2, "diesel": 2})
    make("pics/test tube", {"glass": 2})
    assert from_folder("pics").class_names == ("test tube", "train", "truck")


def test_sizes_and_colours():
    make()
    save("pics/ant/photo.jpg", 50, mode="RGB")
    assert from_folder("pics").train[0].shape[1:] == (6, 8, 3)
    assert from_folder("pics", color_mode="grayscale").train[0].shape[1:] == (6, 8)
    assert from_folder("pics", 5).train[0].shape[1:] == (5, 5, 3)
    assert from_folder("pics", (3, 4), color_mode="rgb").train[0].shape[1:] == (3, 4, 3)
    save("pics/ant/wide.png", 50, size=(6, 9))
    with pytest.raises(ValueError, match=r"2 different sizes, such as 6x\d \(.*\.png\) and 6x\d \(.*image_size=64"):
        from_folder("pics")


def test_pictures_are_read_as_load_image_reads_them():
    """Upright, of 16 bits, in CMYK, transparent, animated, with a palette, and of another aspect."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
    folder = Path("pics/all")
    folder.mkdir(parents=True)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("P").save(folder / "palette.gif")
    picture.save(folder / "a.bmp")
    picture.save(folder / "b.webp", lossless=True)
    picture.save(folder / "c.TIFF")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(folder / "transparent.png")
    picture.save(folder / "animated.gif", save_all=True, append_images=[Image.fromarray(255 - pixels)])
    save("pics/other/1.png")
    save("pics/other/2.png")
    for mode, channels in (("grayscale", 1), ("rgb", 3)):
        data = from_folder("pics", (20, 24), color_mode=mode, validation_split=0)
        assert len(data.train_files) == 11
        for image, file in zip(data.train[0], data.train_files, strict=True):
            expected = load_image(Path("pics", file), (20, 24, channels), dtype="uint8")
            np.testing.assert_array_equal(image, expected[..., 0] if channels == 1 else expected)
    # The header says the size of a turned photograph as it is seen.
    os.remove("pics/other/1.png")
    shutil.rmtree(folder)
    folder.mkdir()
    picture.save(folder / "turned.jpg", exif=exif)
    save("pics/other/2.png", size=(60, 40))
    assert from_folder("pics", validation_split=0).train[0].shape == (2, 60, 40, 3)


def test_what_is_no_picture_does_not_count():
    make()
    expected = from_folder("pics").train_files
    for name in (
        "ant/.hidden.png",
        "bee/._0.png",
        "ant/notes.txt",
        "ant/Thumbs.db",
        ".git/x.png",
        "__MACOSX/ant/0.png",
    ):
        Path("pics", name).parent.mkdir(parents=True, exist_ok=True)
        Path("pics", name).write_bytes(b"no picture")
    save("pics/at_the_top.png")
    assert from_folder("pics").train_files == expected


def test_folders_within_a_class_belong_to_it():
    make()
    save("pics/bee/more/deep/x.png")
    data = from_folder("pics", validation_split=0)
    assert data.train[1][data.train_files.index("bee/more/deep/x.png")] == 1


def test_all_bad_files_are_listed_up_to_ten():
    make(counts={"ant": 5, "bee": 5})
    Path("pics/ant/0.png").write_bytes(b"no picture at all")
    Path("pics/bee/1.png").write_bytes(Path("pics/bee/1.png").read_bytes()[:45])
    for size in (None, 8):
        with pytest.raises(DataFileError) as caught:
            from_folder("pics", size, color_mode="auto")
        lines = str(caught.value).splitlines()
        assert "pics/ant/0.png is not a picture" in str(caught.value)
    with pytest.raises(DataFileError) as caught:
        from_folder("pics", 8, color_mode="rgb")
    lines = str(caught.value).splitlines()
    assert lines[0] == "pics holds 2 files that cannot be used:"
    assert sorted(line.split()[0] for line in lines[1:]) == ["pics/ant/0.png", "pics/bee/1.png"]
    for number in range(20):
        Path(f"pics/ant/bad{number}.jpg").write_bytes(b"")
    with pytest.raises(DataFileError) as caught:
        from_folder("pics", 8, color_mode="rgb")
    lines = str(caught.value).splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("pics holds 22 files")
    assert lines[-1] == "  and 12 more"


def test_pictures_in_other_formats_are_not_left_out_silently():
    make()
    Path("pics/ant/IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(DataFileError, match=r"pics/ant/IMG_1\.HEIC is a picture in a format .* save it as JPEG or PNG"):
        from_folder("pics")
    assert not set(_class_folders.OTHER_PICTURES) & set(_class_folders.SUFFIXES)


def test_bombs_are_listed_undecoded(monkeypatch):
    make()
    Image.new("1", (5_000, 5_001)).save("pics/ant/bomb.png")
    monkeypatch.setattr(Image.Image, "load", lambda *a: pytest.fail("decoded"))
    with pytest.raises(DataFileError, match=r"pics/ant/bomb\.png .*more than the limit"):
        from_folder("pics")


@pytest.mark.needs("os.mkfifo")
def test_a_pipe_among_the_pictures_is_refused_and_not_waited_for():
    make()
    os.mkfifo("pics/ant/pipe.png")
    with pytest.raises(DataFileError, match=r"pics/ant/pipe\.png is not a plain file"):
        from_folder("pics")


@pytest.mark.needs("os.geteuid")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_picture_that_may_not_be_read_is_listed():
    make()
    Path("pics/ant/0.png").chmod(0)
    with pytest.raises(DataFileError, match=r"Permission denied: 'pics/ant/0\.png'"):
        from_folder("pics")


@pytest.mark.needs("links")
def test_links_that_lead_out_of_the_folder():
    make()
    save("outside/secret.png")
    Path("pics/ant/link.png").symlink_to(Path("outside/secret.png").resolve())
    Path("pics/bee/more").symlink_to(Path("outside").resolve())
    Path("pics/cow").symlink_to(Path("outside").resolve())
    with pytest.raises(DataFileError) as caught:
        from_folder("pics")
    for name in ("pics/ant/link.png", "pics/bee/more", "pics/cow"):
        assert f"{name} is a link that leads out of the folder" in str(caught.value)
    data = from_folder("pics", follow_links=True)
    assert data.class_names == ("ant", "bee", "cow")
    assert {"ant/link.png", "bee/more/secret.png", "cow/secret.png"} <= {*data.train_files, *data.test_files}


@pytest.mark.needs("links")
def test_links_within_the_folder_and_a_link_to_it():
    make()
    Path("pics/ant/link.png").symlink_to("1.png")
    Path("link").symlink_to("pics")
    assert from_folder("link").train_files == from_folder("pics").train_files
    Path("pics/ant/loop").symlink_to("..")
    with pytest.raises(DataFileError, match=r"pics/ant/loop/ant is a link that leads back|pics/ant/loop is a link"):
        from_folder("pics")
    os.remove("pics/ant/loop")
    Path("pics/ant/nowhere.png").symlink_to("missing.png")
    with pytest.raises(DataFileError, match=r"no such file: pics/ant/nowhere\.png"):
        from_folder("pics")
    os.remove("pics/ant/nowhere.png")
    Path("pics/ant/itself.png").symlink_to("itself.png")
    with pytest.raises(DataFileError, match=r"pics/ant/itself\.png"):
        from_folder("pics")


def test_folders_without_classes():
    with pytest.raises(FileNotFoundError, match="pics: no such folder"):
        from_folder("pics")
    save("pics/1.png")
    with pytest.raises(DataFileError, match="pics holds no folders; it must hold a folder for each class"):
        from_folder("pics")
    with pytest.raises(NotADirectoryError, match=r"pics/1\.png is not a folder"):
        from_folder("pics/1.png")
    make(counts={"ant": 2})
    with pytest.raises(DataFileError, match="only one folder, ant"):
        from_folder("pics")
    for name in ("bee", "cow"):
        Path("pics", name).mkdir()
    Path("pics/cow/notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataFileError, match="no pictures of the classes bee, cow: put some"):
        from_folder("pics")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_text_are_named():
    make()
    os.link(b"pics/ant/0.png", b"pics/ant/\xff.png")
    with pytest.raises(DataFileError, match="not UTF-8") as caught:
        from_folder("pics")
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"image_size": 0}, ValueError, "image_size"),
        ({"image_size": "28"}, TypeError, "image_size must be an integer or a pair"),
        ({"image_size": (8, 8, 1)}, TypeError, "image_size"),
        ({"color_mode": "rgba"}, ValueError, "color_mode must be one of 'auto', 'grayscale', 'rgb'"),
        ({"validation_split": 1}, ValueError, "validation_split"),
        ({"validation_split": -0.1}, ValueError, "validation_split"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": None}, TypeError, "seed"),
        ({"follow_links": 1}, TypeError, "follow_links"),
        ({"image_size": 10**7}, ValueError, "more than the memory of this machine .*give a smaller image_size"),
    ],
)
def test_arguments_are_checked(arguments, kind, text):
    make()
    with pytest.raises(kind, match=text):
        from_folder("pics", **arguments)


def test_ctrl_c_does_not_wait_for_the_other_pictures(monkeypatch):
    make(counts={"ant": 50, "bee": 50})
    read, seen = _image_file.read, []

    def interrupted(path, channels):
        seen.append(path)
        if len(seen) == 5:
            raise KeyboardInterrupt
        time.sleep(0.01)
        return read(path, channels)

    monkeypatch.setattr(_image_file, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        from_folder("pics", 8, color_mode="rgb")
    assert len(seen) < 40


def test_filters_for_warnings_stay_as_they_are():
    make(counts={"ant": 20, "bee": 20})
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        before = list(warnings.filters)
        for _ in range(5):
            from_folder("pics")
        assert warnings.filters == before


def test_memory_is_what_the_images_need_once():
    make(counts={"ant": 30, "bee": 30}, size=(200, 300))
    from_folder("pics")  # Pillow is imported
    tracemalloc.start()
    x = from_folder("pics").train[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert x.nbytes == 48 * 60_000
    assert peak < 1.25 * x.nbytes * 60 / 48 + 2**19


def test_a_header_that_lies_is_found_out():
    """The header of a PNG may claim another size than its pixels have; they are resized or refused, never written."""
    make()
    content = bytearray(Path("pics/ant/0.png").read_bytes())
    content[16:20] = struct.pack(">I", 9)
    content[29:33] = struct.pack(">I", 0)
    Path("pics/ant/0.png").write_bytes(content)
    with pytest.raises((DataFileError, ValueError), match=r"0\.png"):
        from_folder("pics")


def test_the_names_of_the_endings_are_those_of_the_formats():
    assert {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"} <= set(_class_folders.SUFFIXES)
    assert set(_folder.COLOR_MODES) == {"auto", "grayscale", "rgb"}
