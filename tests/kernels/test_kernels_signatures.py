"""Every backend has the reference's kernels under the same names and with the same signatures."""

import importlib
import inspect
import pkgutil

import pytest

from tinycnn.kernels import _collect, cpu, reference


def test_same_names():
    assert sorted(cpu.__all__) == sorted(reference.__all__)


@pytest.mark.parametrize("name", reference.__all__)
def test_same_signature(name):
    assert inspect.signature(getattr(cpu, name)) == inspect.signature(getattr(reference, name))


@pytest.mark.parametrize("name", reference.__all__)
def test_documented(name):
    for backend in (cpu, reference):
        assert inspect.getdoc(getattr(backend, name)), f"{backend.__name__}.{name} has no docstring"


def test_every_kernel_is_listed():
    """A kernel that is missing from its file's ``__all__`` would escape every test that goes through it."""
    for backend in (cpu, reference):
        for file in pkgutil.iter_modules(backend.__path__):
            module = importlib.import_module(f"{backend.__name__}.{file.name}")
            for name, value in vars(module).items():
                own = inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
                if own and file.name[0] != "_" and {"out", "work"} <= inspect.signature(value).parameters.keys():
                    assert name in module.__all__, f"{module.__name__} does not list {name}"


def test_two_files_with_one_kernel_are_refused(monkeypatch):
    from tinycnn.kernels.reference import dense

    monkeypatch.setattr(dense, "__all__", [*dense.__all__, "relu_forward"])
    monkeypatch.setattr(dense, "relu_forward", dense.dense_forward, raising=False)
    with pytest.raises(ImportError, match="two files have a kernel 'relu_forward'"):
        _collect.collect("tinycnn.kernels.reference")
