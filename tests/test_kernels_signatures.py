"""Every backend offers the reference's kernels under the same names and with the same signatures."""

import inspect

import pytest

from tinycnn.kernels import cpu, reference


def test_same_names():
    assert sorted(cpu.__all__) == sorted(reference.__all__)


@pytest.mark.parametrize("name", reference.__all__)
def test_same_signature(name):
    assert inspect.signature(getattr(cpu, name)) == inspect.signature(getattr(reference, name))


@pytest.mark.parametrize("name", reference.__all__)
def test_documented(name):
    for backend in (cpu, reference):
        assert inspect.getdoc(getattr(backend, name)), f"{backend.__name__}.{name} has no docstring"


def test_every_public_function_is_listed():
    """A kernel written but not listed would escape every test that walks ``__all__``."""
    for backend in (cpu, reference):
        public = {name for name, value in vars(backend).items() if inspect.isfunction(value) and name[0] != "_"}
        assert public == set(backend.__all__)
