"""What is printed fits the stream: its characters, its width, and also a stream that is closed, missing or minimal."""

import ast
import contextlib
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinycnn import Sequential, callbacks, layers, metrics, profile, testing, use_backend
from tinycnn.cli import main
from tinycnn.core.messages import shown
from tinycnn.core.printing import ERR, OUT, degraded, folded, for_print, say
from tinycnn.core.table import Table

ROOT = Path(__file__).parents[2]


def stream(encoding="ascii"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)


def content(stream):
    return stream.buffer.getvalue().decode(stream.encoding)


class OnlyWrite:
    """What programs put in place of standard output, for instance to copy it into a file."""

    def __init__(self, target=None):
        self.text, self.target = "", target

    def write(self, text):
        if self.target is not None:
            self.target.write(text)
        self.text += text

    def flush(self):
        pass


class Gone(OnlyWrite):
    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, "no more")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


def detached():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.detach()
    return stream


STREAMS = {
    "None": lambda: None,
    "closed": closed,
    "detached": detached,
    "only write and flush": OnlyWrite,
    "only write": lambda: type("W", (), {"write": lambda self, text: None})(),
    "no stream at all": lambda: 5,
    "file that is gone": lambda: Gone(errno.EBADF),
    "terminal that is gone": lambda: Gone(errno.EIO),
    "ascii": stream,
    "latin-1": lambda: stream("latin-1"),
    "unknown encoding": lambda: type("U", (OnlyWrite,), {"encoding": "klingon"})(),
    "hands on to ascii": lambda: OnlyWrite(stream()),
}


def small_model():
    with use_backend("reference"):
        model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3, name="größe_3×3"), layers.Flatten()])
        model.add(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def print_everything(model):
    """Do everything that prints, and print everything that has a text."""
    x, y = np.random.default_rng(0).normal(size=(12, 6, 6, 1)), np.arange(12) % 3
    watch = [
        callbacks.EarlyStopping("loss", patience=0, min_delta=9, verbose=1),
        callbacks.ReduceLROnPlateau("loss", patience=1, verbose=1),
        callbacks.LearningRateScheduler(lambda epoch: 0.1, verbose=1),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({"Größe → µ": 1.0, "note": "3×3"})),
    ]
    history = model.fit(x, y, epochs=2, callbacks=watch)
    model.evaluate(x, y)
    model.summary()
    model.summary(plan=True)
    trace = model.trace(x[:2], y[:2])
    with use_backend("reference"):
        report = testing.check_gradients(layers.Conv2D(2, 3, name="größe"), x[:2])
    shown_objects = [trace, trace[0], report, history, model, model.layers[0], profile.profile(model, 2, 1)]
    for thing in [*shown_objects, *model.layers, metrics.METRICS["accuracy"]]:
        with contextlib.suppress(ValueError, AttributeError):  # Python's own print on a stream that is closed
            print(thing)
        str(thing), repr(thing)
    return history


@pytest.mark.parametrize("kind", STREAMS)
def test_whatever_standard_output_is_everything_that_prints_goes_on(kind, monkeypatch):
    model = small_model()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", STREAMS[kind]())
        if kind in ("ascii", "latin-1"):
            patch.setattr(sys, "__stdout__", sys.stdout)
        if kind == "hands on to ascii":
            patch.setattr(sys, "__stdout__", sys.stdout.target)
        if kind.endswith("gone"):  # print itself is not ours
            patch.setattr("builtins.print", lambda *a: None)
        history = print_everything(model)
    assert history.epoch == [0, 1]


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("arguments", [["models"], ["summary", "ladder_02", "--plan"], ["summary", "ladder_99"], []])
def test_whatever_the_streams_are_commands_end_as_usual(kind, arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", STREAMS[kind]())
        patch.setattr(sys, "stderr", STREAMS[kind]())
        code = main(arguments)
    assert code == (2 if "ladder_99" in arguments else 0)


def test_text_for_a_missing_standard_error_does_not_go_to_standard_output(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["summary", "ladder_99"]) == 2
    ERR.say("lost")
    assert out.getvalue() == ""


def test_a_full_disk_is_no_silence(monkeypatch):
    for number in (errno.ENOSPC, errno.EPIPE):
        monkeypatch.setattr(sys, "stdout", Gone(number))
        with pytest.raises(OSError, match="no more"):
            say("text")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_is_printed_is_in_the_stream_s_characters(encoding, monkeypatch):
    model, out = small_model(), stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    print_everything(model)
    text = content(out)
    text.encode(encoding)
    for expected in ("Model: 'sequential'", "3x3 " if encoding == "ascii" else "3×3 ", "-----", "all ", "->"):
        assert expected in text
    assert "?" not in text
    assert "\\u" not in text
    assert ("grosse" in text) == (encoding == "ascii")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_messages_of_errors_can_be_printed_too(encoding, monkeypatch):
    out = stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    model = small_model()
    calls = [
        lambda: Sequential([layers.Input((2, 2, 1)), layers.Conv2D(1, 5)]),
        lambda: Sequential(layers.Input((3,)), layers.Flatten()),
        lambda: layers.Conv2D(1, 2, 3),
        lambda: model.fit(np.zeros((2, 6, 6, 1)), [0, 7]),
        lambda: model.get_layer("größe" * 100),
        lambda: metrics.by_name(["accuracy", "accuracy"]),
        lambda: metrics.get("→" * 1000),
    ]
    for call in calls:
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        print(caught.value)
    assert len(content(out).splitlines()) >= len(calls)


def test_no_message_has_characters_that_not_every_stream_shows():
    """Texts that are printed or raised go through for_print, say or a table; all others are ASCII."""
    through = {"for_print", "say", "write", "Table"}
    pictures = ("plotting/", "cli/_results/", "profile/_drawing.py", "core/printing.py", "core/table.py")
    #: Texts that the callers hand to one of these: cells of tables, and what commands print.
    handed_on = (
        *(
            "inspection/im2col.py",
            "inspection/summary.py",
            "inspection/trace.py",
            "profile/",
            "testing/report.py",
            "cli/",
            "training/callback.py",
        ),
        *("datasets/_image_file.py", "datasets/_mnist_like.py"),
    )
    found = []
    for path in sorted((ROOT / "tinycnn").rglob("*.py")):
        name = path.relative_to(ROOT / "tinycnn").as_posix()
        source = path.read_text("utf-8")
        if name.startswith(pictures + handed_on) or source.isascii():
            continue
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
        owners = [node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        fine = {id(owner.body[0].value) for owner in owners if owner.body and isinstance(owner.body[0], ast.Expr)}
        names_handed_on = {
            argument.id
            for node in nodes
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in through
            for part in node.args
            for argument in ast.walk(part)
            if isinstance(argument, ast.Name)
        }
        for node in nodes:
            is_call = isinstance(node, ast.Call) and getattr(node.func, "id", "") in through
            is_text = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names_handed_on
            if is_call or is_text:
                fine |= {id(part) for part in ast.walk(node)}
        found += [
            f"{name}:{node.lineno}: {node.value}"
            for node in nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and any(character.isprintable() and not character.isascii() for character in node.value)
            and id(node) not in fine
        ]
    assert found == []


def test_no_error_is_raised_with_characters_that_not_every_stream_shows():
    """Python prints the message of an error itself, so nothing can stand for a character there; kernels included."""
    found = []
    for path in sorted(path for folder in ("tinycnn", "kernels") for path in (ROOT / folder).rglob("*.py")):
        source = path.read_text("utf-8")
        nodes = [] if source.isascii() else list(ast.walk(ast.parse(source)))
        through = [node for node in nodes if getattr(getattr(node, "func", None), "id", "") == "for_print"]
        fine = {id(part) for call in through for part in ast.walk(call)}
        parts = [part for node in nodes if isinstance(node, ast.Raise) for part in ast.walk(node)]
        found += [
            f"{path.relative_to(ROOT)}:{part.lineno}: {part.value}"
            for part in parts
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and not part.value.isascii()
            if id(part) not in fine
        ]
    assert found == []


def test_everything_is_printed_in_one_place():
    """Python's print would raise for what the stream cannot show, or for a stream that is not there."""
    found = []
    for path in sorted((ROOT / "tinycnn").rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if "print(" in source or "sys.std" in source else ():
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.isatty"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert found == []


def test_what_stands_for_a_character():
    assert degraded("3×3 ─ … 5 µs → ±2 “a” naïve ½", "ascii") == '3x3 - ... 5 us -> +-2 "a" naive 1/2'
    assert degraded("3×3 ─ … 5 µs → ±2 naïve", "latin-1") == "3×3 - ... 5 µs -> ±2 naïve"
    assert degraded("€ 3×3 …", "cp1252") == "€ 3×3 …"
    assert degraded("猫 and 犬", "ascii") == "\\u732b and \\u72ac"  # two classes stay two
    assert degraded("name-\udcff", "utf-8") == "name-\\udcff"  # a file whose name is not UTF-8
    assert degraded("a×b", "no such encoding") == "axb"
    same = "plain text\n"
    assert degraded(same, "ascii") is same


def test_an_error_shows_a_value_in_characters_of_the_stream(monkeypatch):
    assert shown("×" * 200).endswith("…")
    monkeypatch.setattr(sys, "stdout", stream())
    assert shown("×" * 200).isascii()
    assert for_print("a → b") == "a -> b"


def test_lines_are_folded_between_groups_and_then_between_words():
    line = "Epoch  1/10  12.3 s  9,999 images/s  loss 0.1234  accuracy 0.9876"
    assert folded(line, 40).split("\n") == ["Epoch  1/10  12.3 s  9,999 images/s", "  loss 0.1234  accuracy 0.9876"]
    assert folded("  - one two three four", 14).split("\n") == ["  - one two", "    three four"]
    assert folded("a  b c d e f g h i j", 9).split("\n") == ["a", "  b c d e", "    f g h", "    i j"]
    assert folded("short\n\nlines", 20) == "short\n\nlines"
    assert folded("x" * 50, 20) == "x" * 50


TABLE = Table(
    ("Layer (type)", "Output shape", "Params"),
    [("batch_normalization_1 (BatchNormalization)", "(N, 26, 26, 12)", "48"), ("d<b> (Dense)", "(N, 10)", "1,010")],
    "llr",
    before=["Model <1> & more"],
    after=["one line that is\nlonger than the terminal"],
    rules=2,
)


def test_a_table_is_cut_only_where_it_is_too_wide():
    assert TABLE.text().split("\n") == [
        "Model <1> & more",
        "Layer (type)                                Output shape     Params",
        "─" * 67,
        "batch_normalization_1 (BatchNormalization)  (N, 26, 26, 12)      48",
        "d<b> (Dense)                                (N, 10)           1,010",
        "─" * 67,
        "one line that is",
        "longer than the terminal",
    ]
    assert TABLE.text(67).split("\n")[:6] == TABLE.text().split("\n")[:6]
    for width in (60, 50, 40, 30, 20):
        lines = TABLE.text(width, "ascii").split("\n")
        assert max(map(len, lines)) <= width
        assert "".join(lines).isascii()
        letters = "".join("".join(lines).split()).replace("-", "")
        assert sorted(letters) == sorted("".join(TABLE.text().split()).replace("─", ""))  # nothing is lost


def test_html_is_escaped():
    html = TABLE.html()
    assert '<td style="text-align: left">d&lt;b&gt; (Dense)</td>' in html
    assert "Model &lt;1&gt; &amp; more" in html


#: What a terminal of a test's own takes.
TERMINAL = ("fcntl", "os.openpty", "pty", "termios")


def in_terminal(code, columns=80, rows=50, **environment):
    """Run a program in a terminal of this width, and return the lines that it shows."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=variables | {"PYTHONPATH": str(ROOT), "TERM": "xterm"} | environment,
    )
    os.close(slave)
    found = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while part := os.read(master, 65536):
            found += part
    os.close(master)
    assert process.wait(60) == 0, found.decode()
    # A bar is drawn again and again in one line.
    return [part for line in found.decode().split("\r\n") for part in line.split("\r")]


PROGRAM = """
import numpy as np, tinycnn
from tinycnn import Sequential, layers, models, profile, testing
from tinycnn.cli import main
main(["models"])
main(["summary", "go_crazy", "--plan"])
x, y = np.random.default_rng(0).normal(size=(12, 6, 6, 1)), np.arange(12) % 3
with tinycnn.use_backend("reference"):
    model = Sequential([layers.Input((6, 6, 1)), layers.Conv2D(2, 3, name="a_name_that_is_rather_long_for_a_layer")])
    for layer in (layers.BatchNormalization(), layers.Flatten(), layers.Dense(3, activation="softmax")):
        model.add(layer)
model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
history = model.fit(x, y, epochs=2, validation_data=(x, y))
print(model.trace(x, y))
print(testing.check_gradients(model, x, y))
print(profile.profile(model, 2, 1))
"""


@pytest.mark.needs(*TERMINAL)
def test_lines_fit_a_terminal():
    lines = in_terminal(PROGRAM)
    assert {line for line in lines if len(line) > 80} == set()
    text = "\n".join(lines)
    for expected in ("Epoch 2/2", "val_accuracy", "Documented accuracy", "Total params: 13,880", "elements agree"):
        assert expected in text
    assert "\n  " in text


ERRORS = """
import contextlib
from tinycnn.cli import main
for words in ("train ladder09", "predict no/such/folder/of/a/run 0", "train ladder_09 --dta mnist"):
    with contextlib.suppress(SystemExit):
        main(words.split())
"""


@pytest.mark.needs(*TERMINAL)
def test_errors_fit_a_terminal():
    lines = in_terminal(ERRORS)
    assert {line for line in lines if len(line) > 80} == set()
    text = " ".join(" ".join(lines).split())
    for expected in (
        "did you mean 'ladder_09'?",
        "tinycnn train --help",
        "no such folder or file",
        "did you mean --data?",
    ):
        assert expected in text


def test_the_width_of_a_terminal(monkeypatch):
    assert OUT.columns is None  # where it is no terminal nothing is cut
    terminal = type("T", (OnlyWrite,), {"isatty": lambda self: True, "fileno": lambda self: -1})()
    monkeypatch.setattr(sys, "stdout", terminal)
    for text, width in (("100", 100), ("5", 40), ("", 80), ("many", 80), ("-3", 80)):
        monkeypatch.setenv("COLUMNS", text)
        assert OUT.columns == width
