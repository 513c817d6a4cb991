"""Follow pages word by word: commands go to a shell, programs to the prompt of Python, files where the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import offline
from .reading import Block, blocks

_END = "end of what a block prints"
_PROMPTS = re.compile(r"^(?:>>> |\.\.\. )+", re.MULTILINE)
#: What Python reports on stderr if a statement cannot be read or run.
_FAILED = re.compile(r"^Traceback |^\w*(?:Error|Interrupt): |\w+Warning: ", re.MULTILINE)
#: The README's line that runs all tests; CI runs it.
_ALL_TESTS = re.compile(r"^python3 -m venv .* -m pytest$", re.MULTILINE)


class PageError(AssertionError):
    """A block of a page does not run."""


class Newcomer:
    """Somebody with a fresh clone and an empty folder, and nothing else.

    The shell stays open from page to page, so an environment that was activated stays active. The lines that install
    something are pasted in the clone (:mod:`pages.offline` needs no files in it); everything else is pasted in the
    empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone, self.work, doubles = folder / "tinycnn", folder / "work", folder / "bin"
        for made in (self.clone, self.work, doubles):
            made.mkdir()
        offline.write_python3(doubles / "python3", Path(sys.executable))
        # These belong to the machine: where compiled kernels are kept, and how many cores may be used.
        machine = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")
        kept = {name: os.environ[name] for name in machine if name in os.environ}
        self.environment = {"PATH": f"{doubles}:/usr/bin:/bin", "LANG": "C.UTF-8", **kept}

    def follow(self, page: Path) -> list[tuple[Block, str]]:
        """Return what each block of a page prints; raise PageError at the first one that fails."""
        outputs = []
        prompt: Prompt | None = None
        try:
            for block in blocks(page.read_text("utf-8")):
                if block.saved_as:
                    (self.work / block.saved_as).write_text(block.code, "utf-8")
                elif block.language == "sh":
                    printed = "" if _ALL_TESTS.search(block.code) else self.shell(block.code)
                    # What a command prints is shown where a page talks about it, and only there.
                    outputs += [(block, printed)] if block.shown is not None else []
                else:
                    prompt = prompt or Prompt(self)
                    outputs.append((block, prompt.paste(block.code)))
        finally:
            if prompt:
                prompt.close()
        return outputs

    def shell(self, lines: str) -> str:
        """Paste lines into the shell, and return what they print."""
        state = self.folder / "environment"
        # bash -e would overlook what fails before the last "&&" of a line.
        checked = "".join(f"{line}\nfailed=$?; [ $failed = 0 ] || exit $failed\n" for line in lines.splitlines())
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail\n{checked}env -0 > {state}"],
            cwd=self.clone if "pip install -q -e" in lines else self.work,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PageError(f"{lines}ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        pairs = (entry.partition("=") for entry in state.read_text("utf-8").split("\0") if entry)
        self.environment = {name: value for name, _, value in pairs if name not in ("_", "SHLVL", "PWD", "OLDPWD")}
        return done.stdout


class Prompt:
    """A Python prompt, started in the newcomer's shell."""

    def __init__(self, newcomer: Newcomer) -> None:
        self._errors = newcomer.folder / "errors"
        self._seen = 0
        python = shutil.which("python", path=newcomer.environment["PATH"]) or sys.executable
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [python, "-i", "-q", "-u"],
                cwd=newcomer.work,
                env=newcomer.environment | {"PYTHONIOENCODING": "utf-8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )

    def paste(self, code: str) -> str:
        """Paste a block, press Enter, and return what is printed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{code}\nprint({_END!r})\n")
        self._process.stdin.flush()
        printed = ""
        while not printed.endswith(f"{_END}\n") and (line := self._process.stdout.readline()):
            printed += line
        errors = _PROMPTS.sub("", self._errors.read_text("utf-8")[self._seen :])
        self._seen = len(self._errors.read_text("utf-8"))
        if _FAILED.search(errors) or not printed.endswith(f"{_END}\n"):
            raise PageError(f"{code}\n{printed[-2000:]}\n{errors[-4000:]}")
        return printed.removesuffix(f"{_END}\n")

    def close(self) -> None:
        """Leave Python."""
        self._process.communicate()
