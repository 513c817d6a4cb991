"""The extras, the pictures for slides, the recordings and the page for a term are what scripts and chapters say."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("hypothesis", reason="the extra course is not installed")

from tinycnn import cli, course, models
from tinycnn.course import chapters

FOLDER = Path(__file__).parents[2] / "docs" / "course"
EXTRAS = sorted(FOLDER.glob("extra-*.md"))
STATE = FOLDER.parents[1] / "tinycnn" / "explore" / "page" / "state.js"


def script(name):
    """Return a script of the course's folder as a module."""
    spec = importlib.util.spec_from_file_location(f"course_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def same_path(monkeypatch):
    """Scripts put the checkout before what is installed; afterwards the path is what it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("page", EXTRAS, ids=lambda page: page.stem)
def test_an_extra_has_its_parts(page):
    text = page.read_text("utf-8")
    assert re.match(r"# Extra: .+\n\n!\[[^]]{30,}\]\(images/extra-\w+\.svg\)\n", text)
    assert "\n## In twenty lines\n" in text
    program = re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]
    assert 10 <= sum(bool(line.strip()) for line in program.splitlines()) <= 32
    exercises = text.partition("\n## Exercises\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\*\*\d\.\*\* .*?\(\d+ minutes\)$", exercises, re.DOTALL | re.MULTILINE)) == 2
    assert exercises.count("<summary>Answer</summary>") == exercises.count("</details>") == 2
    for listing in (FOLDER / "index.md", FOLDER / "ten_weeks.md"):
        assert f"({page.name})" in listing.read_text("utf-8")


def test_the_four_extras_are_there():
    assert [page.stem for page in EXTRAS] == [
        "extra-cuda",
        "extra-fast-kernels",
        "extra-parameter-golf",
        "extra-receptive-fields",
    ]


# Pictures ----------------------------------------------------------------------------------------------------------


def test_every_picture_is_shown_once_and_can_be_read():
    shown = [name for name, _, _ in script("make_slides").pictures()]
    assert sorted(shown) == sorted(path.name for path in (FOLDER / "images").glob("*.svg"))
    for name in shown:
        root = ElementTree.parse(FOLDER / "images" / name).getroot()
        assert root.tag.endswith("svg")
        assert root.find("{http://www.w3.org/2000/svg}title").text


def test_the_computed_pictures_are_those_of_the_script(tmp_path):
    drawing = script("make_extra_pictures")
    for path in drawing.make(tmp_path):
        # The records change when networks are trained again; what is drawn of them is dated.
        if path.name != "extra-golf.svg":
            committed = (FOLDER / "images" / path.name).read_text("utf-8")
            assert committed == path.read_text("utf-8"), "run python docs/course/make_extra_pictures.py"
    golf = (tmp_path / "extra-golf.svg").read_text("utf-8")
    found = drawing.records()
    assert set(re.findall(r"<title>(\w+)</title></circle>", golf)) == found.keys()
    assert found.keys() <= {*models.names(), *models.variations(), *models.beyond()}
    assert re.search(r"the newest of \d{4}-\d\d-\d\d", (FOLDER / "images" / "extra-golf.svg").read_text("utf-8"))


def test_the_line_joins_the_networks_that_no_smaller_one_beats():
    front = script("make_extra_pictures").front
    networks = {"a": (10, [0.9]), "b": (20, [0.8, 0.9]), "c": (30, [0.95, 0.93]), "d": (30, [0.94]), "e": (5, [0.1])}
    assert front(networks) == ["e", "a", "c"]
    assert front(networks | {"d": (30, [0.96])}) == ["e", "a", "d"]


def test_the_field_in_the_picture_is_that_of_the_formula():
    field, step = 1, 1
    drawing = script("make_extra_pictures")
    for _, taps, stride in drawing.LAYERS:
        field, step = field + (taps - 1) * step, step * stride
    assert f">{field} of 16 numbers<" in drawing.fields()


def test_slides_have_every_picture_with_its_licence(tmp_path):
    slides = script("make_slides")
    made = {path.name: path.read_text("utf-8") for path in slides.make(tmp_path)}
    listing = made.pop("pictures.md")
    assert made.pop("LICENSE").startswith("MIT License")
    assert sorted(made) == sorted(path.name for path in (FOLDER / "images").glob("*.svg"))
    for name, svg in made.items():
        assert "<!-- MIT licence (LICENSE is beside this file). Copyright (c) " in svg
        ElementTree.fromstring(svg)
        assert f"- `{name}`, from the page " in listing


# Recordings --------------------------------------------------------------------------------------------------------


def test_each_chapter_has_a_place_in_a_recording(tmp_path, monkeypatch):
    recordings = script("make_recordings")
    places = {place.chapter: place for place in recordings.PLACES}
    assert set(course.names()) <= places.keys()
    assert {place.network for place in recordings.PLACES} == recordings.NETWORKS.keys() <= set(models.names())
    known = set(re.findall(r"(\w+): \"", STATE.read_text("utf-8").partition("DEFAULTS = {")[2].partition("}")[0]))
    for place in recordings.PLACES:
        assert {part.partition("=")[0] for part in place.where.split("&")} <= known
    asked = []
    monkeypatch.setattr(cli, "main", lambda arguments: asked.append(arguments) or 0)
    *_, index = recordings.make(tmp_path / "new" / "folder")
    assert [arguments[:2] for arguments in asked] == [["explore", name] for name in recordings.NETWORKS]
    links = re.findall(r'href="([^"]+)"', index.read_text("utf-8"))
    assert links == [f"{place.network}.html#{place.where.replace('&', '&amp;')}" for place in recordings.PLACES]
    monkeypatch.setattr(cli, "main", lambda arguments: 1)
    with pytest.raises(SystemExit, match="ladder_03 could not be recorded"):
        recordings.make(tmp_path)


@pytest.mark.slow
def test_the_recordings_are_made(tmp_path):
    for path in script("make_recordings").make(tmp_path):
        assert 1000 < path.stat().st_size < 10_000_000


# Speed -------------------------------------------------------------------------------------------------------------


def test_plain_loops_give_the_same_as_the_other_ways():
    import numpy as np

    ways = script("how_fast")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 5, 4, 2)), rng.normal(size=(3, 2, 2, 3))
    np.testing.assert_allclose(ways.loops(x, w), ways.taps(x, w), rtol=1e-5)
    np.testing.assert_allclose(ways.im2col(x, w), ways.taps(x, w), rtol=1e-12)
    root = ElementTree.fromstring(ways.picture({"slow": 2000.0, "fast": 3.0}, "here"))
    bars = [float(one.get("width")) for one in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[0] == 460
    assert bars[0] / bars[1] == pytest.approx(np.log10(2000) / np.log10(3), rel=1e-2)


@pytest.mark.slow
def test_every_way_is_measured_and_a_wrong_result_is_refused(tmp_path, monkeypatch, capsys):
    ways = script("how_fast")
    files = [tmp_path / "x.svg", tmp_path / "x.json"]
    options = ["how_fast.py", "--images", "16", "--rounds", "1", "--picture", str(files[0]), "--json", str(files[1])]
    monkeypatch.setattr(sys, "argv", options)
    ways.main()
    out = capsys.readouterr().out
    for name in ("loops of Python", "loops over taps", "im2col", "tiles", "Winograd", "images in lanes"):
        assert name in out
        assert all(name in file.read_text("utf-8") for file in files)
    monkeypatch.setattr(ways, "im2col", lambda x, w: ways.taps(x, w) + 1)
    with pytest.raises(SystemExit, match="im2col gives another result"):
        ways.ways(16)


# A term ------------------------------------------------------------------------------------------------------------


def test_a_term_has_a_week_for_each_chapter_with_its_exercises():
    text = (FOLDER / "ten_weeks.md").read_text("utf-8")
    row = r"^\| (\d+) \| \[`(chapter\d\d)`\]\((.*?)\) \| .*? \| (`.*?`) \| (`.*?`) \| (\d+) \| .* \|$"
    rows = re.findall(row, text, re.MULTILINE)
    assert [(week, name) for week, name, *_ in rows] == [(str(n), f"chapter{n:02d}") for n in range(1, 11)]
    assert tuple(name for _, name, *_ in rows) == course.names()
    for _, name, page, lab, home, minutes in rows:
        chapter = chapters.chapter(name)
        assert page == chapter.page
        assert re.findall(r"`(\w+)`", f"{lab}, {home}") == [exercise.name for exercise in chapter.exercises]
        assert int(minutes) == sum(exercise.minutes for exercise in chapter.exercises)
        done = re.findall(r"`(\w+)`", lab)
        assert sum(exercise.minutes for exercise in chapter.exercises if exercise.name in done) <= 70
