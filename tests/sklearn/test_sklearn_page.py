"""The page on scikit-learn shows what its programs print."""

import os
import subprocess
import sys

import pytest
from pages import reading

pytest.importorskip("sklearn.base", reason='needs pip install -e ".[sklearn]"')

PAGE = reading.ROOT / "docs" / "sklearn.md"
PROGRAMS = [block for block in reading.blocks(PAGE.read_text("utf-8")) if block.language == "python"]


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=range(len(PROGRAMS)))
def test_the_page_shows_what_its_programs_print(block, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(block.code, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(reading.ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (block.shown or "").strip()


def test_the_page_names_the_version_that_the_extra_installs():
    import tomllib

    from tinycnn.sklearn import OLDEST

    extras = tomllib.loads((reading.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    oldest = ".".join(map(str, OLDEST))
    assert extras["sklearn"] == [f"scikit-learn>={oldest}"]
    assert f"scikit-learn {oldest} or newer" in " ".join(PAGE.read_text("utf-8").split())
