"""What runs in the learner's process: it loads the file, calls its functions, and sends back what they returned.

The grader starts this file as a script, with nothing but NumPy and one socket. It judges nothing: whatever the
learner's code prints, patches or ends, the verdict is made in the grader's process (``learner.py``).

A message is four letters, two lengths, a description in JSON, and the bytes of its arrays one after another.
"""

import contextlib
import importlib.machinery
import importlib.util
import inspect
import io
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Other", "loaded", "main", "receive", "send"]

#: How a message begins, so that bytes of somebody else are noticed, and the lengths of its description and of its
#: arrays' bytes, with the most that either may be.
_BEGINNING = b"tcnn"
_LENGTHS = struct.Struct("<4sII")
MOST_TEXT, MOST_BYTES = 1 << 20, 1 << 26
#: How much of what the learner's code prints is kept, and how much of a message or a name.
KEPT, SHORT = 400, 300
_DTYPE = re.compile(r"[<>|][biufc]\d{1,2}")
#: What Python tells its auditors (PEP 578) before a process is started, replaced or sent a signal ...
_OF_PROCESSES = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.startfile/2",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
}
#: ... and before a file is changed without being opened.
_OF_FILES = {
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.removexattr",
    "os.rename",
    "os.rmdir",
    "os.setxattr",
    "os.symlink",
    "os.truncate",
    "os.utime",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Other:
    """Something that was returned and is neither a number, an array nor a tuple of these; ``kind`` says what it is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def send(connection: socket.socket, value: Any) -> None:
    """Send a message: None, bool, int, float, str, array, or tuples, lists and dicts of these."""
    buffers: list[bytes] = []
    text = json.dumps(_described(value, buffers)).encode()
    payload = b"".join(buffers)
    connection.sendall(_LENGTHS.pack(_BEGINNING, len(text), len(payload)) + text + payload)


def receive(connection: socket.socket) -> Any:
    """Return the next message.

    Raises
    ------
    EOFError
        If the other side is gone.
    ValueError
        If what it sent is no message.
    """
    beginning, text_size, payload_size = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if beginning != _BEGINNING:
        raise ValueError("these bytes are no message")
    if text_size > MOST_TEXT or payload_size > MOST_BYTES:
        raise ValueError("a message is too long")
    text, payload = _exactly(connection, text_size), memoryview(_exactly(connection, payload_size))
    try:
        return _value(json.loads(text), payload)
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"a message is no message: {error}") from None


def _exactly(connection: socket.socket, size: int) -> bytearray:
    """Return so many bytes, or raise EOFError if the connection ends before."""
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 16))
        if not part:
            raise EOFError("the other side is gone")
        data += part
    return data


def _described(value: Any, buffers: list[bytes]) -> Any:
    """Return a value as JSON can hold it; the bytes of arrays are added to ``buffers``."""
    if type(value) is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            return {"other": f"an array of dtype {array.dtype}"[:SHORT]}
        if array.nbytes > MOST_BYTES // 2 or array.ndim > 16:
            return {"other": f"an array of shape {array.shape}, which is far too large"}
        buffers.append(array.tobytes())
        start = sum(map(len, buffers[:-1]))
        scalar = isinstance(value, np.generic)
        return {"array": array.dtype.str, "shape": array.shape, "start": start, "scalar": scalar}
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int and value.bit_length() < 64:
        return value
    if type(value) is float:
        return {"float": value.hex()}
    if type(value) is tuple or type(value) is list:
        if len(value) > 64:
            return {"other": f"a {type(value).__name__} of {len(value)} things"}
        return {type(value).__name__: [_described(item, buffers) for item in value]}
    if type(value) is dict:
        return {"dict": [[str(key), _described(item, buffers)] for key, item in value.items()]}
    return {"other": f"{type(value).__name__}"[:SHORT]}


def _value(described: Any, payload: memoryview) -> Any:
    """Return the value that ``_described`` described."""
    if not isinstance(described, dict):
        return described
    if "array" in described:
        dtype, shape = described["array"], tuple(described["shape"])
        if not _DTYPE.fullmatch(dtype) or not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array of a message is none")
        kind = np.dtype(dtype)
        start, count = described["start"], math.prod(shape)
        if type(start) is not int or start < 0 or start + count * kind.itemsize > len(payload):
            raise ValueError("an array of a message lies outside of it")
        array = np.frombuffer(payload, kind, count, start).reshape(shape).copy()
        return array[()] if described["scalar"] is True else array
    if "float" in described:
        return float.fromhex(described["float"])
    if "other" in described:
        return Other(str(described["other"])[:SHORT])
    if "dict" in described:
        return {key: _value(item, payload) for key, item in described["dict"]}
    kind_of = tuple if "tuple" in described else list
    return kind_of(_value(item, payload) for item in described["tuple" if kind_of is tuple else "list"])


class _Source(importlib.machinery.SourceFileLoader):
    """Loads the very bytes that the grader has read, whatever is in the file by now."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.source, self.path)


class _Printed(io.TextIOBase):
    """Keeps the beginning of what is printed, and counts the rest."""

    def __init__(self) -> None:
        self.text, self.count = "", 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text[: KEPT - len(self.text)]
        self.count += len(text)
        return len(text)


def _limit(memory: int, seconds: int) -> None:
    """Limit what the process may use, where the system can do that."""
    if sys.platform == "win32":
        return
    import resource

    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 1 << 24))
    for what, most in (*limits, (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _guard() -> None:
    """Let no process be started or ended, and no file be changed but those in the current folder, which is temporary.

    Python's own functions ask before they act, and what they ask cannot be taken back by the learner's code. Machine
    code does not ask, so this stops mistakes, pranks and copied tricks, and not an attacker.
    """
    realpath, separator, null = os.path.realpath, os.sep, os.devnull
    here = realpath(os.getcwd())

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _OF_PROCESSES:
            raise PermissionError("your functions need no other process, so none may be started or ended")
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in (mode or "") for letter in "wax+") or flags & _WRITING
            paths = [path] if writes else []
        else:
            paths = list(arguments) if event in _OF_FILES else []
        for path in paths:
            if isinstance(path, str | bytes) and path not in ("", b"", null):
                place = realpath(os.fsdecode(path))
                if place != here and not place.startswith(here + separator):
                    raise PermissionError("files may be written in the current folder only, which is a temporary one")

    sys.addaudithook(refuse)


def loaded(path: str, source: bytes) -> Any:
    """Return the learner's module. Its name is its own, so that no other module can be taken for it, or it for one."""
    name = f"learners_{Path(path).stem}"
    loader = _Source(name, path, source)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    loader.exec_module(module)
    return module


def _error(error: BaseException, path: str) -> dict[str, Any]:
    """Return what is told of an error: its class, its message, and the learner's line in which it arose."""
    try:
        message = str(error)[:SHORT]
    except BaseException:
        message = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    return {
        "kind": "error",
        "classes": [cls.__name__ for cls in type(error).__mro__],
        "message": message,
        "line": lines[-1] if lines else None,
    }


def _called(module: Any, asked: dict[str, Any], path: str) -> dict[str, Any]:
    """Call a function of the learner's, and return what came of it."""
    function, arguments = getattr(module, asked["name"], None), asked["arguments"]
    if not callable(function):
        there = [key[:SHORT] for key, value in vars(module).items() if inspect.isfunction(value)]
        return {"kind": "missing", "exists": function is not None, "functions": there[:60]}
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        return {"kind": "arguments", "message": str(error)[:SHORT]}
    except ValueError:  # a function that does not tell its signature
        pass
    try:
        result = function(*arguments)
    except BaseException as error:
        return _error(error, path)
    return {"kind": "returned", "result": result, "arguments": arguments}


def _end_with_the_grader() -> None:
    """Let the system end this process when the grader's ends in a way that leaves it no time, where it can (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main(descriptor: int) -> None:
    """Load the file that the grader names, then answer its calls until it hangs up."""
    _end_with_the_grader()
    connection = socket.socket(fileno=descriptor)
    settings = receive(connection)
    _limit(settings["memory"], settings["seconds"])
    path = settings["path"]
    # Last, so that no file beside the learner's hides a module that is installed.
    sys.path += settings["folders"]
    sys.dont_write_bytecode = True
    _guard()
    module = None
    while True:
        printed = _Printed()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            if module is None:
                try:
                    module = loaded(path, settings["source"].tobytes())
                    answer: dict[str, Any] = {"kind": "loaded"}
                except BaseException as error:
                    answer = _error(error, path)
                    module = False
            else:
                try:
                    asked = receive(connection)
                except EOFError:
                    return
                answer = _called(module, asked, path) | {"number": asked["number"]}
        send(connection, answer | {"printed": printed.text, "characters": printed.count})


if __name__ == "__main__":
    main(int(sys.argv[1]))
