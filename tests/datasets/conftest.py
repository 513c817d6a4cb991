"""What several test files of the data sets share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinycnn.core import system


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a cache of downloads that belongs to this test alone, and return its folder."""
    monkeypatch.delenv("TINYCNN_DATA", raising=False)
    monkeypatch.setattr(system, "cache_folder", lambda: tmp_path / "cache" / "tinycnn")
    return tmp_path / "cache" / "tinycnn"
