"""What several test files of the data sets share."""

from __future__ import annotations

from pathlib import Path

import pooch
import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a cache of downloads that belongs to this test alone, and return its folder."""
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "tinycnn"
