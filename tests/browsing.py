"""How a browser for the tests of pages is started."""

import os
import shutil
from typing import Any

#: Programs that Playwright can drive if its own browser is not installed.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def started(driver: Any) -> Any:
    """Return a browser: one that is installed or, without that, Playwright's own."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    # The sandbox needs rights that a container does not have.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return driver.chromium.launch(executable_path=program, args=arguments)
