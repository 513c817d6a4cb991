"""Data sets are found by name, and the real files are right if they are on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinycnn import datasets


def test_every_name_leads_to_a_module_with_the_common_interface() -> None:
    assert datasets.names() == ("digits", "mnist", "fashion_mnist", "cifar10")
    for name in datasets.names():
        module = datasets.get(name)
        assert module is getattr(datasets, name)
        assert callable(module.load_data)
        assert isinstance(module.title, str)
        assert isinstance(module.class_names, tuple)
        assert len(set(module.class_names)) == 10


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("fashion-mnist", "fashion_mnist"),
        ("Fashion_MNIST", "fashion_mnist"),
        ("cifar-10", "cifar10"),
        ("MNIST", "mnist"),
    ],
)
def test_spelling_variants_are_accepted(alias: str, name: str) -> None:
    assert datasets.get(alias) is getattr(datasets, name)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("minst", "mnist"), ("fashion", "fashion_mnist"), ("cifar100", "cifar10"), ("digit", "digits")],
)
def test_an_unknown_name_suggests_the_nearest_and_lists_all(wrong: str, nearest: str) -> None:
    for look_up in (datasets.get, datasets.load):
        with pytest.raises(ValueError, match=f"unknown data set '{wrong}'; did you mean '{nearest}'") as raised:
            look_up(wrong)
        for name in datasets.names():
            assert name in str(raised.value)


@pytest.mark.parametrize("name", ["", "???"])
def test_a_name_like_no_other_still_lists_all(name: str) -> None:
    with pytest.raises(ValueError, match="digits, mnist, fashion_mnist, cifar10"):
        datasets.get(name)


def test_load_returns_what_the_module_loads(monkeypatch) -> None:
    monkeypatch.setattr(datasets.mnist, "load_data", lambda: "the data")
    assert datasets.load("mnist") == "the data"


def test_importing_the_package_imports_neither_a_web_client_nor_matplotlib() -> None:
    code = (
        "import sys; before = set(sys.modules); import tinycnn.datasets;"
        "print(*{'requests', 'pooch', 'matplotlib'} & {m for m in sys.modules if m not in before})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []


def needs(folder: str) -> pytest.MarkDecorator:
    root = os.environ.get("TINYCNN_DATA")
    there = bool(root) and (Path(root) / folder).is_dir()
    return pytest.mark.skipif(not there, reason=f"needs TINYCNN_DATA with {folder}/: the published files")


@pytest.mark.parametrize(
    ("name", "train", "test", "first_labels", "pixel_mean"),
    [
        # First labels and mean of the training pixels: widely published facts about these data sets.
        pytest.param("mnist", (60_000, 28, 28), (10_000, 28, 28), [5, 0, 4, 1, 9], 0.1307, marks=needs("mnist")),
        pytest.param(
            "fashion_mnist",
            (60_000, 28, 28),
            (10_000, 28, 28),
            [9, 0, 0, 3, 0],
            0.2860,
            marks=needs("fashion-mnist"),
        ),
        pytest.param(
            "cifar10",
            (50_000, 32, 32, 3),
            (10_000, 32, 32, 3),
            [6, 9, 9, 4, 1],
            (0.4914, 0.4822, 0.4465),
            marks=needs("cifar-10"),
        ),
    ],
)
def test_the_published_files(name, train, test, first_labels, pixel_mean) -> None:
    (x_train, y_train), (x_test, y_test) = datasets.load(name)
    assert (x_train.shape, x_test.shape) == (train, test)
    assert {x_train.dtype, x_test.dtype, y_train.dtype, y_test.dtype} == {np.dtype(np.uint8), np.dtype(np.int64)}
    assert y_train[:5].tolist() == first_labels
    axes = (0, 1, 2)
    np.testing.assert_allclose(x_train.mean(axis=axes) / 255, pixel_mean, atol=1e-4)
    assert np.bincount(y_test).tolist() == [1000] * 10 or name == "mnist"
