"""Pictures in files of every kind become images for a network, and what is no picture is refused by name."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tinycnn.cli import _picture
from tinycnn.datasets import load_image


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def half_red(mode="RGB"):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = (200, 20, 20)
    return Image.fromarray(pixels).convert(mode)


def test_pictures_that_claim_too_many_pixels_are_refused_undecoded(monkeypatch):
    Image.new("1", (20_000, 20_000)).save("bomb.png")
    monkeypatch.setattr(Image.Image, "load", lambda *a: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="pixels"):
        _picture.read(Path("bomb.png"), (28, 28, 1))
    monkeypatch.undo()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_pictures_of_any_mode(mode, shape, tmp_path):
    square = np.zeros((60, 60), np.uint8)
    square[20:40, 20:40] = 255
    picture = Image.fromarray(square)
    picture = Image.fromarray(square.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    image, _ = _picture.read(path, shape)
    assert image.shape == shape
    assert image.dtype == np.float32
    middle = shape[0] // 2
    np.testing.assert_allclose(image[middle, middle], 1, atol=0.05)
    np.testing.assert_allclose(image[2, 2], 0, atol=0.05)


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_pictures_show_their_ink(ink):
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[12:28, 12:28] = [ink, ink, ink, 255]
    Image.fromarray(picture).save("ink.png")
    image, done = _picture.read(Path("ink.png"), (28, 28, 1), "mnist")
    assert "transparent" in done[0]
    assert image[14, 14, 0] > 0.95
    assert image[1, 1, 0] < 0.05


def test_resizing_averages_and_keeps_the_aspect():
    board = (np.indices((280, 280)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save("board.png")
    image, _ = _picture.read(Path("board.png"), (28, 28, 1))
    # Every tenth pixel alone would be all black or all white.
    assert np.abs(image[2:-2, 2:-2] - 0.5).max() < 0.05
    Image.fromarray(np.full((3000, 1), 255, np.uint8)).save("line.png")
    assert _picture.read(Path("line.png"), (28, 28, 1))[0].shape == (28, 28, 1)
    wide = np.zeros((20, 200), np.uint8)
    wide[5:15] = 255
    Image.fromarray(wide).save("wide.png")
    image, _ = _picture.read(Path("wide.png"), (28, 28, 1))
    assert image[:10].max() == image[18:].max() == 0


def test_a_turned_photograph_is_turned_back():
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(photo).save("photo.jpg", exif=exif, quality=95)
    image, _ = _picture.read(Path("photo.jpg"), (32, 32, 3))
    assert image[-3].min() > 0.9 > 0.1 > image[3].max()


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
def test_every_format_is_read(kind):
    if kind == "webp" and not features.check("webp"):
        pytest.skip("this Pillow reads no WebP")
    half_red().save(f"a.{kind}")
    image = load_image(f"a.{kind}", (32, 48, 3))
    assert image.shape == (32, 48, 3)
    np.testing.assert_allclose(image[10, 5], np.array([200, 20, 20]) / 255, atol=0.05)
    np.testing.assert_allclose(image[10, -5], 0, atol=0.05)
    grey = load_image(Path(f"a.{kind}"), (32, 48, 1), dtype="uint8")
    assert grey.dtype == np.uint8
    assert grey[10, 5, 0] == pytest.approx(74, abs=4)  # 0.299 · 200 + 0.701 · 20
    assert load_image(f"a.{kind}").shape == (40, 60, 3)


@pytest.mark.parametrize("kind", ["gif", "tif", "webp", "png"])
def test_of_several_frames_the_first_is_read(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("white", "black")]
    frames[0].save(f"a.{kind}", save_all=True, append_images=frames[1:])
    image, done = _picture.read(Path(f"a.{kind}"), (20, 20, 3))
    assert image.min() > 0.95
    assert done == ["the first of several frames"]


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tif"])
@pytest.mark.parametrize("ink", [0, 255])
def test_transparency_and_palettes(kind, ink):
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[12:28, 12:28] = [ink, ink, ink, 255]
    Image.fromarray(pixels).save(f"a.{kind}")
    image = load_image(f"a.{kind}", (40, 40, 1))
    assert abs(image[20, 20, 0] - image[2, 2, 0]) > 0.9
    Image.fromarray(pixels).convert("RGB").quantize(4).save("palette.png")
    assert load_image("palette.png").shape == (40, 40, 3)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.uint16([[0, 32768, 65535]]), "a.png"),
        (np.uint16([[0, 32768, 65535]]), "a.tif"),
        (np.float32([[0, 0.5, 1]]), "a.tif"),
        (np.float32([[0, 127.5, 255]]), "a.tif"),
        (np.float32([[0, 128, 255]]), "a.tif"),
        (np.float32([[0, 32768, 65535]]), "a.tif"),
        (np.int32([[0, 128, 255]]), "a.tif"),
        (np.int32([[0, 32768, 65535]]), "a.tif"),
        (np.int32([[0, 2**30, 2**31 - 1]]), "a.tif"),
    ],
)
def test_more_than_eight_bits(values, name):
    Image.fromarray(values).save(name)
    np.testing.assert_allclose(load_image(name, (1, 3, 1))[0, :, 0], [0, 0.5, 1], atol=0.01)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_sixteen_bits_that_are_all_low_are_a_dark_picture(name):
    Image.fromarray(np.uint16([[0, 128, 255]])).save(name)
    assert load_image(name).max() < 0.01


def test_a_signed_picture_of_sixteen_bits_is_dark_too():
    Image.fromarray(np.uint16([[0, 128, 255]])).save("a.tif", tiffinfo={339: 2})  # its sample format: signed
    with Image.open("a.tif") as file:
        assert file.mode == "I"
    assert load_image("a.tif").max() < 0.01


@pytest.mark.parametrize("brightest", [1, 10, 1000])
def test_a_portable_picture_says_its_range(brightest):
    Path("a.pgm").write_bytes(b"P5 2 1 1000\n" + np.array([0, brightest], ">u2").tobytes())
    np.testing.assert_allclose(load_image("a.pgm")[0, :, 0], [0, brightest / 1000], atol=1 / 255)


def test_a_little_beyond_the_range_is_cut_off():
    Image.fromarray(np.float32([[-0.004, 0.25, 1.004]])).save("a.tif")
    np.testing.assert_allclose(load_image("a.tif")[0, :, 0], [0, 0.25, 1], atol=0.005)


@pytest.mark.needs("os.mkfifo")
def test_what_is_no_picture_is_refused_by_name():
    Path("text.png").write_text("hello", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.png is not a picture that can be read: save it as PNG, JPEG"):
        load_image("text.png", (28, 28, 1))
    with pytest.raises(FileNotFoundError, match=r"no such file: no\.png"):
        load_image("no.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_image(".")
    os.mkfifo("pipe.png")
    with pytest.raises(ValueError, match="not a plain file"):
        load_image("pipe.png")
    Image.fromarray(np.float32([[0, np.nan]])).save("nan.tif")
    with pytest.raises(ValueError, match=r"nan\.tif cannot be read as a picture: it holds NaN"):
        load_image("nan.tif")
    half_red().save("a.png")
    with pytest.raises(ValueError, match=r"shape must be \(H, W, C\), with C = 1 .* got \(28, 28\)"):
        load_image("a.png", (28, 28))
    for kind in (np.uint8, np.dtype("uint8"), np.float32):
        assert load_image("a.png", (28, 28, 1), dtype=kind).dtype == kind
    with pytest.raises(ValueError, match="dtype must be 'float32' or 'uint8'; got 'float64'"):
        load_image("a.png", (28, 28, 1), dtype="float64")
    with pytest.raises(TypeError, match="path must be"):
        load_image(3)


def test_a_tiff_whose_entries_all_claim_the_whole_file_is_refused():
    size = 2**18
    entries = b"".join(struct.pack("<HHII", tag, 1, size, 0) for tag in range(33000, 35000))
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2000) + entries + bytes(4)
    Path("a.tif").write_bytes(header.ljust(size, b"\0"))
    with pytest.raises(ValueError, match=r"a\.tif"):
        load_image("a.tif")
