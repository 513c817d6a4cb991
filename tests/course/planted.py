"""Errors of beginners, one module for each chapter: ``planted_chapter01.py`` has those of chapter 1 as ``ERRORS``."""

import importlib

from planting import SOLUTIONS, Planted, graded

from tinycnn import course

__all__ = ["PLANTED", "SOLUTIONS", "Planted", "graded"]

PLANTED: tuple[Planted, ...] = tuple(
    error for name in course.names() for error in importlib.import_module(f"planted_{name}").ERRORS
)
