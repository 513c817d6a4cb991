"""What is printed: in characters that the stream can show, in lines that fit a terminal, and never an error.

Everything that tinycnn prints goes through :data:`OUT` or :data:`ERR`, and what ``print(object)`` shows goes through
:func:`for_print`, because there the text is written by the user's own ``print``.
"""

import errno
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from typing import Any

#: What stands for a character that the stream's encoding does not have, where Unicode's own table names nothing.
_PLAIN: dict[int, Any] = {
    **str.maketrans("×µμ·−–—‘’“”•✗✓†⁄ø─│┌┐└┘├┤┬┴┼█▉▊▋▌", "xuu*---''\"\"*xv*/o-|+++++++++#####", "▍▎▏"),
    ord("±"): "+-",
    ord("√"): "sqrt",
    ord("≤"): "<=",
    ord("≥"): ">=",
    ord("≈"): "~",
    ord("→"): "->",
    ord("ß"): "ss",
}
#: Errors of a stream that nobody reads any more: its file was closed, or the terminal is gone.
_GONE = (errno.EBADF, errno.EIO)
#: It stands for a space where a line must not be cut.
_KEPT = "\0"
#: In a terminal that is narrower than this, lines are as long as here.
_NARROWEST = 40


class Output:
    """Standard output or standard error, whatever it is at the moment.

    A program may have replaced the stream by an object that has only ``write`` and ``flush``, may have closed it, or
    may have none (None). Text that nobody can see is dropped, and characters that the stream cannot show are replaced.

    Parameters
    ----------
    name : {"stdout", "stderr"}
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def stream(self) -> Any:
        """The stream itself, or None if there is none that can be written to."""
        stream = getattr(sys, self._name, None)
        try:
            return stream if hasattr(stream, "write") and not getattr(stream, "closed", False) else None
        except ValueError:  # its buffer was detached
            return None

    @property
    def encoding(self) -> str:
        """The stream's encoding; if it names none, that of the stream which the program was started with.

        An object in place of the stream often hands on what is written to the stream that was there before.
        """
        streams = (getattr(sys, self._name, None), getattr(sys, f"__{self._name}__", None))
        found = (getattr(stream, "encoding", None) for stream in streams)
        return next((encoding for encoding in found if isinstance(encoding, str)), "utf-8")

    @property
    def columns(self) -> int | None:
        """The width of the terminal, or None if the stream is no terminal."""
        if not self.isatty():
            return None
        width = os.environ.get("COLUMNS", "")
        if not (width.isascii() and width.isdigit() and int(width)):
            try:
                width = str(os.get_terminal_size(self.fileno()).columns)
            except (OSError, ValueError, TypeError):
                width = "0"
        return max(int(width) or shutil.get_terminal_size().columns, _NARROWEST)

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return bool(self.stream.isatty())
        except (AttributeError, ValueError, OSError):
            return False

    def fileno(self) -> int:
        """Return the number of the stream's file, or raise OSError if it has none."""
        try:
            return int(self.stream.fileno())
        except (AttributeError, ValueError) as error:
            raise OSError(f"{self._name} has no file") from error

    def write(self, text: str) -> int:
        """Write text in characters that the stream can show."""
        stream = self.stream
        if stream is not None:
            try:
                try:
                    stream.write(degraded(text, self.encoding))
                except UnicodeEncodeError as error:  # the stream hands on to another one
                    stream.write(degraded(text, error.encoding))
            except OSError as error:
                if error.errno not in _GONE:
                    raise
            except ValueError as error:
                _raise_unless_closed(error)
        return len(text)

    def flush(self) -> None:
        """Write out what the stream holds back."""
        flush = getattr(self.stream, "flush", None)
        if flush is not None:
            try:
                flush()
            except OSError as error:
                if error.errno not in _GONE:
                    raise
            except ValueError as error:
                _raise_unless_closed(error)

    def say(self, text: str = "", wrap: bool = True) -> None:
        """Print text and a line's end; ``wrap`` folds lines that are longer than a terminal is wide."""
        columns = self.columns if wrap else None
        self.write(f"{text if columns is None else folded(text, columns)}\n")
        self.flush()


OUT, ERR = Output("stdout"), Output("stderr")


def say(text: str = "", wrap: bool = True) -> None:
    """Print text on standard output, as :meth:`Output.say` does."""
    OUT.say(text, wrap)


def for_print(text: str) -> str:
    """Return what an object's ``__str__`` may return, so that ``print`` can write it on standard output as it is.

    Python's ``print`` gives the text to the stream, which raises UnicodeEncodeError for what its encoding does not
    have. So the text has to fit the stream before.
    """
    return degraded(text, OUT.encoding)


def degraded(text: str, encoding: str) -> str:
    """Return text with other characters in place of those that an encoding does not have.

    Examples
    --------
    >>> degraded("3×3 → 5 µs … naïve", "ascii")
    '3x3 -> 5 us ... naive'
    >>> degraded("3×3 → 5 µs …", "latin-1")
    '3×3 -> 5 µs ...'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_degraded(character, encoding) for character in text)
    except LookupError:  # there is no such encoding
        return degraded(text, "ascii")
    return text


def _degraded(character: str, encoding: str) -> str:
    """Return what stands for a character in an encoding: itself, something like it, or its number."""
    without_marks = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    for text in (character, character.translate(_PLAIN), without_marks.translate(_PLAIN)):
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        return text
    return character.encode("ascii", "backslashreplace").decode("ascii")


def folded(text: str, columns: int) -> str:
    """Return text whose lines are at most this long where words allow it; a line goes on below, further to the right.

    Two spaces separate what belongs together, such as a name and its number, so a line is cut there first.

    Examples
    --------
    >>> print(folded("Epoch 1/3  2.0 s  loss 0.5000  accuracy 0.9000", 40))
    Epoch 1/3  2.0 s  loss 0.5000
      accuracy 0.9000
    """
    return "\n".join(part for line in text.split("\n") for part in _parts(line, columns))


def _parts(line: str, columns: int) -> list[str]:
    """Return a line in parts that are no longer than this, unless a single word is."""
    if len(line) <= columns:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    body = line.strip()
    in_groups = "  " in body
    found = textwrap.wrap(
        re.sub("(?<! ) (?! )", _KEPT, body) if in_groups else body,
        columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    parts = [part.replace(_KEPT, " ") for part in found]
    # A group that alone is too long is cut between its words.
    return [shorter for part in parts for shorter in _parts(part, columns)] if in_groups else parts


def _raise_unless_closed(error: ValueError) -> None:
    """Raise the error unless it says that the stream was closed or detached."""
    if isinstance(error, UnicodeError) or not ("closed" in str(error) or "detached" in str(error)):
        raise error
