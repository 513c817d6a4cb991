"""What the tests of simulated systems share."""

import os


def fails_first(monkeypatch, name, times):
    """Let ``os.<name>`` fail so often with a PermissionError, then work; return the list of its attempts."""
    attempts, real = [], getattr(os, name)

    def attempt(*given, **named):
        attempts.append(given)
        if len(attempts) <= times:
            raise PermissionError(13, "Permission denied", str(given[-1]))
        return real(*given, **named)

    monkeypatch.setattr(os, name, attempt)
    return attempts
