"""Functions that are right, but written in other ways than the solutions, pass, and train the network."""

from pathlib import Path

import pytest

from tinycnn import course
from tinycnn.course import own_kernels, own_training

FOLDER = Path(__file__).parent / "other_ways"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_other_ways_to_write_a_chapter_pass(name):
    report = course.check(name, FOLDER / f"{name}.py")
    assert report.passed, report


def test_other_ways_to_write_the_functions_train_the_network():
    functions = own_kernels.gathered(FOLDER)
    assert {one.path.stem for one in functions.values() if one.path is not None} == {
        "chapter04",
        "chapter05",
        "chapter06",
    }
    difference = own_training.compared(functions, own_training.load_data())
    assert difference.step is None
    assert difference.largest < 1e-9
