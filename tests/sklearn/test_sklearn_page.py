"""The page on scikit-learn says what the extra installs."""

import tomllib

import pytest
from pages import reading

pytest.importorskip("sklearn.base", reason='needs pip install -e ".[sklearn]"')

PAGE = reading.ROOT / "docs" / "sklearn.md"


def test_the_page_names_the_version_that_the_extra_installs():
    from tinycnn.sklearn import OLDEST

    extras = tomllib.loads((reading.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    oldest = ".".join(map(str, OLDEST))
    assert extras["sklearn"] == [f"scikit-learn>={oldest}"]
    assert f"scikit-learn {oldest} or newer" in " ".join(PAGE.read_text("utf-8").split())
