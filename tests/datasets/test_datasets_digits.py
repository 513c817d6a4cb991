"""The built-in digits: what they hold, that they are the same everywhere, and how hard they are."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tinycnn.core import system
from tinycnn.datasets import _drawing, _glyphs, _outlines, digits


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return the real data set, which is drawn once for this module and not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("digits")
        patch.setattr(system, "cache_folder", lambda: folder / "tinycnn")
        yield digits.load_data()


def test_shapes_types_and_balance(data) -> None:
    (x_train, y_train), (x_test, y_test) = data
    assert (x_train.shape, x_test.shape) == ((12_000, 28, 28), (2_000, 28, 28))
    assert {x_train.dtype, x_test.dtype, y_train.dtype, y_test.dtype} == {np.dtype(np.uint8), np.dtype(np.int64)}
    assert np.bincount(y_train).tolist() == [1200] * 10
    assert np.bincount(y_test).tolist() == [200] * 10
    assert len(digits.class_names) == 10


def test_the_order_is_shuffled(data) -> None:
    (_, y_train), _ = data
    assert len(np.unique(y_train[:100])) == 10
    # Independent neighbours are equal one time in ten; 12,000 of them deviate by 0.0027 (one standard deviation).
    assert abs((y_train[1:] == y_train[:-1]).mean() - 0.1) < 0.015


def test_images_are_bright_digits_on_black_and_all_different(data) -> None:
    for x, _ in data:
        assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)
        border = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
        assert np.median(border) < 15
        assert x.max(axis=(1, 2)).min() > 130, "an image shows next to nothing"
        ink = (x > 100).mean(axis=(1, 2))
        assert ink.min() > 0.02
        assert ink.max() < 0.6


def test_a_linear_model_finds_it_hard_and_shapes_tell_the_classes_apart(data) -> None:
    """Least squares is far less accurate than the nearest neighbour, and no 6 is taken for a 9."""
    (x_train, y_train), (x_test, y_test) = data

    def features(x: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.hstack([x.reshape(len(x), -1) / 255, np.ones((len(x), 1))])

    train, test = features(x_train), features(x_test)
    weights = np.linalg.solve(train.T @ train + 10 * np.eye(train.shape[1]), train.T @ np.eye(10)[y_train])
    linear = ((test @ weights).argmax(axis=1) == y_test).mean()
    neighbour = y_train[((train**2).sum(axis=1) - 2 * test @ train.T).argmin(axis=1)]

    assert 0.6 < linear < 0.85
    assert (neighbour == y_test).mean() > max(0.93, linear + 0.05)
    assert not np.isin(neighbour[y_test == 6], [9]).any()
    assert not np.isin(neighbour[y_test == 9], [6]).any()


def test_train_and_test_share_no_family() -> None:
    def family(face: str) -> str:
        return next(name for name in ("DejaVu", "STIX", face) if face.startswith(name))

    assert len(_glyphs.TRAIN_FACES) == len(set(_glyphs.TRAIN_FACES)) == 16
    assert len(_glyphs.TEST_FACES) == len(set(_glyphs.TEST_FACES)) == 6
    assert not {family(f) for f in _glyphs.TRAIN_FACES} & {family(f) for f in _glyphs.TEST_FACES}


def test_an_unknown_face_is_an_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="NoSuchFace"):
        _glyphs.glyph_polygons("NoSuchFace", 3)


def masks(outline: Callable[[str, int], list[NDArray[np.float64]]], monkeypatch) -> NDArray[np.bool_]:
    """Return what is inside the digits of all typefaces, (faces, 10, S, S)."""
    monkeypatch.setattr(_glyphs, "outline", outline)
    side = _glyphs.FIELD_SIDE * _glyphs.OVERSAMPLING
    faces = (*_glyphs.TRAIN_FACES, *_glyphs.TEST_FACES)
    return np.array(
        [[_glyphs.fill_outline(_glyphs.glyph_polygons(face, digit), side) for digit in range(10)] for face in faces]
    )


def test_the_outlines_are_filled_as_ever(monkeypatch) -> None:
    """Everything up to here is exact, so that only another file or other code changes the digits."""
    inside = np.packbits(masks(_outlines.outline, monkeypatch)).tobytes()
    assert hashlib.sha256(inside).hexdigest() == "77d7d65ec6298c2eb20cc635a8d0eb32dc0a6e079f678e54b6ef76e89966e001"


def test_the_outlines_are_those_of_the_typefaces_that_matplotlib_ships(monkeypatch) -> None:
    from tests.datasets import write_outlines

    faces = (*_glyphs.TRAIN_FACES, *_glyphs.TEST_FACES)
    missing = [face for face in faces if not write_outlines.typeface(face).is_file()]
    if missing:
        pytest.skip(f"this matplotlib does not ship {missing}")
    theirs = masks(lambda face, digit: write_outlines.text_path(face, digit).to_polygons(closed_only=True), monkeypatch)
    np.testing.assert_array_equal(masks(_outlines.outline, monkeypatch), theirs)


def test_every_part_of_an_outline_ends_where_it_began() -> None:
    for face in (*_glyphs.TRAIN_FACES, *_glyphs.TEST_FACES):
        for polygon in (polygon for digit in range(10) for polygon in _outlines.outline(face, digit)):
            assert len(polygon) > 3
            np.testing.assert_array_equal(polygon[0], polygon[-1])


def test_a_flattened_curve_stays_within_the_bound_of_the_curve() -> None:
    """Both parts of a chord's distance are checked: on the curve, and no farther from it than `FLATNESS`."""
    start, control, end = np.array([0.0, 0.0]), np.array([30.0, 80.0]), np.array([60.0, 0.0])
    vertices = np.array([start, *_outlines.flatten((0.0, 0.0), (30.0, 80.0), (60.0, 0.0))])
    t = np.linspace(0, 1, 10_001)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    assert np.array_equal(vertices[-1], end)
    assert max(np.hypot(*(curve - vertex).T).min() for vertex in vertices) < 0.01
    ends = itertools.pairwise(vertices)
    chords = np.concatenate([a + np.linspace(0, 1, 101)[:, None] * (b - a) for a, b in ends])
    assert max(np.hypot(*(curve - point).T).min() for point in chords) < _outlines.FLATNESS


def test_fill_outline_leaves_holes_and_fills_overlaps() -> None:
    def square(low: float, high: float, *, reverse: bool = False) -> NDArray[np.float64]:
        corners = np.array([[low, low], [high, low], [high, high], [low, high]], float)
        return corners[::-1] if reverse else corners

    expected = np.zeros((8, 8), bool)
    expected[1:7, 1:7] = True
    np.testing.assert_array_equal(_glyphs.fill_outline([square(1, 7)], 8), expected)
    overlapping = _glyphs.fill_outline([square(1, 7), square(3, 5)], 8)
    np.testing.assert_array_equal(overlapping, expected)
    expected[3:5, 3:5] = False
    with_hole = _glyphs.fill_outline([square(1, 7), square(3, 5, reverse=True)], 8)
    np.testing.assert_array_equal(with_hole, expected)


def test_fill_outline_agrees_with_matplotlib_on_a_glyph() -> None:
    from matplotlib.path import Path as Outline

    side = _glyphs.FIELD_SIDE * _glyphs.OVERSAMPLING
    polygons = _glyphs.glyph_polygons("DejaVuSerif-Bold", 8)
    centres = np.stack(np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5), axis=-1).reshape(-1, 2)
    # An 8 is an outline with two holes, so even-odd, which is exclusive or, equals non-zero winding.
    inside = np.logical_xor.reduce([Outline(p).contains_points(centres) for p in polygons])
    assert len(polygons) == 3
    assert (_glyphs.fill_outline(polygons, side).ravel() != inside).sum() <= 2  # points on the outline itself


def test_distance_fields_are_in_pixels_and_positive_inside() -> None:
    [field] = _glyphs.distance_fields(("DejaVuSans",))[:, 1]
    rows, columns = np.nonzero(field > 0)
    assert np.ptp(rows) + 1 == pytest.approx(_glyphs.GLYPH_SIDE * _glyphs.OVERSAMPLING, abs=1)
    middle = _glyphs.FIELD_SIDE * _glyphs.OVERSAMPLING / 2
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(middle, abs=1)
    assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(middle, abs=1)
    # Halfway up a 1 there is only the stem; from the stem's middle, the edge is half the stem's width away.
    stem = field[int(middle)]
    assert stem.max() == pytest.approx((stem > 0).sum() / _glyphs.OVERSAMPLING / 2, abs=0.5 / _glyphs.OVERSAMPLING)
    assert np.abs(np.diff(field, axis=0)).max() <= 1 / _glyphs.OVERSAMPLING + 1e-6


def test_smooth_fields_are_smooth_and_reproduce_a_constant() -> None:
    class Ones:
        def normal(self, size: tuple[int, ...]) -> NDArray[np.float64]:
            return np.ones(size)

    amplitude = np.array([0.0, 2.0])
    constant = _drawing.smooth_fields(Ones(), 2, amplitude)  # type: ignore[arg-type]
    np.testing.assert_allclose(constant, np.broadcast_to(amplitude[:, None, None], (2, 28, 28)), atol=1e-12)
    field = _drawing.smooth_fields(np.random.default_rng(0), 50, np.ones(50))
    assert np.abs(np.diff(field, axis=1)).max() < 0.5 < np.ptp(field)


CHILD = """
import hashlib
import itertools
from tinycnn.datasets import _drawing
images, labels = _drawing.draw_set(3, ("cmr10", "STIXGeneralItalic"), 1010)
print(hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
"""


def test_another_process_with_other_threads_draws_the_same_bits() -> None:
    images, labels = _drawing.draw_set(3, ("cmr10", "STIXGeneralItalic"), 1010)
    here = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(digits.__file__).parents[2]), *sys.path]),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    child = subprocess.run([sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == here
    other_images, _ = _drawing.draw_set(4, ("cmr10", "STIXGeneralItalic"), 1010)
    assert not np.array_equal(images, other_images)


@pytest.fixture
def small(tmp_path: Path, monkeypatch) -> list[int]:
    """Replace the drawing by thirty records; the returned list gets an entry whenever they are drawn."""
    drawn: list[int] = []

    def draw_records() -> NDArray[np.uint8]:
        drawn.append(1)
        records = np.random.default_rng(0).integers(0, 256, (30, digits.RECORD_BYTES), np.uint8)
        records[:, 0] %= 10
        return records

    monkeypatch.setattr(digits, "N_TRAIN", 20)
    monkeypatch.setattr(digits, "N_TEST", 10)
    monkeypatch.setattr(digits, "_draw_records", draw_records)
    monkeypatch.setattr(system, "cache_folder", lambda: tmp_path / "tinycnn")
    return drawn


def load_flat() -> list[NDArray[np.generic]]:
    return [array for pair in digits.load_data() for array in pair]


def test_the_cache_is_used_and_returns_what_was_drawn(small, tmp_path: Path) -> None:
    first, second = load_flat(), load_flat()
    assert len(small) == 1
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    second[0][...] = 0  # the caller may change the array
    [file] = (tmp_path / "tinycnn" / "digits").iterdir()
    assert file.suffix == ".bin"


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b"",
        lambda b: b + b"\0",
        lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:],
        lambda b: bytes([b[0] ^ 1]) + b[1:],
    ],
    ids=["truncated", "empty", "too long", "one bit", "digest"],
)
def test_a_damaged_cache_is_drawn_and_written_again(small, tmp_path: Path, damage) -> None:
    first = load_flat()
    [file] = (tmp_path / "tinycnn" / "digits").iterdir()
    content = file.read_bytes()
    file.write_bytes(damage(content))

    again = load_flat()

    assert len(small) == 2
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert file.read_bytes() == content


def test_a_cache_folder_that_cannot_be_written_is_no_failure(small, tmp_path: Path) -> None:
    (tmp_path / "tinycnn").write_bytes(b"a file where the folder should be")
    load_flat()
    assert len(load_flat()) == 4
    assert len(small) == 2


def test_other_library_versions_have_another_cache_file(small, tmp_path: Path, monkeypatch) -> None:
    load_flat()
    monkeypatch.setattr(digits, "version", lambda package: "0.0")
    load_flat()
    assert len(small) == 2
    assert len(list((tmp_path / "tinycnn" / "digits").iterdir())) == 2
