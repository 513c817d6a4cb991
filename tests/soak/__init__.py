"""Tests that take long (``make soak``): hundreds of kills, tens of thousands of steps. Pytest runs short forms."""
