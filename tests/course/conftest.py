"""A learner's file is run with limits that only POSIX has, so on Windows nothing can be graded, and tests skip."""

from pathlib import Path

import pytest

#: The files whose tests grade nothing.
WITHOUT_GRADER = {
    "test_course_extras.py",
    "test_course_notebooks.py",
    "test_course_pages.py",
    "test_own_training.py",
}


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder that grade."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name not in WITHOUT_GRADER:
            item.add_marker(pytest.mark.needs("resource", "os.fork"))
