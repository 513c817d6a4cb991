"""Whatever writes a file writes through links, and refuses what is not a file before anything is done."""

import os
import socket
import stat

import numpy as np
import pytest
from matplotlib.figure import Figure

import tinycnn
from tinycnn import Sequential, callbacks, layers
from tinycnn.cli import _figures, _runs, main
from tinycnn.cli._results import records
from tinycnn.core.files import check_destination, make_folder, write_whole

pytestmark = pytest.mark.needs("links", "os.mkfifo", "os.openpty", "os.geteuid")  # Windows has others


@pytest.fixture(autouse=True)
def plain_numpy():
    with tinycnn.use_backend("reference"):
        yield


def small_model():
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def fit(callback):
    model = small_model()
    model.fit(np.ones((4, 3), np.float32), np.zeros(4, int), epochs=2, verbose=0, callbacks=[callback])


WRITERS = {
    "write_whole": lambda path: write_whole(path, b"new"),
    "save": lambda path: small_model().save(path),
    "save_weights": lambda path: small_model().save_weights(path),
    "CSVLogger": lambda path: fit(callbacks.CSVLogger(path)),
    "CSVLogger, append": lambda path: fit(callbacks.CSVLogger(path, append=True)),
    "ModelCheckpoint": lambda path: fit(callbacks.ModelCheckpoint(path)),
    "figure": lambda path: _figures.save(Figure(), path),
    "record": lambda path: records.write(path, {"name": "a"}),
    "history": lambda path: _runs.write_history(path.parent, _runs.Progress()),
    "run": lambda path: _runs.write_description(path.parent, {"model": "a"}),
}
NAMES = {"history": _runs.HISTORY, "run": _runs.RUN}
writers = pytest.mark.parametrize("writer", WRITERS)


def links_to(target, folder, name):
    """Return a path in ``folder`` from which two links, one of them relative, lead to ``target``."""
    folder.mkdir()
    (folder / "between").symlink_to(target)
    path = folder / name
    path.symlink_to("between")
    return path


@writers
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_is_written_through(tmp_path, writer, dangling):
    target = tmp_path / "target"
    if not dangling:
        target.write_bytes(b"epoch,loss,learning_rate\n" if "append" in writer else b"old")
        target.chmod(0o640)
    path = links_to(target, tmp_path / "links", NAMES.get(writer, "name"))
    WRITERS[writer](path)
    assert path.is_symlink()
    assert (tmp_path / "links" / "between").is_symlink()
    assert not target.is_symlink()
    assert target.read_bytes() not in (b"", b"old", b"epoch,loss,learning_rate\n")
    assert dangling or stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(found.name for found in tmp_path.iterdir()) == ["links", "target"]


def folder_at(path, request):
    path.mkdir()


def pipe_at(path, request):
    os.mkfifo(path)


def socket_at(path, request):
    made = socket.socket(socket.AF_UNIX)
    request.addfinalizer(made.close)
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket may have 100 characters at most
    try:
        made.bind(path.name)
    finally:
        os.chdir(here)


def device_at(path, request):
    """A terminal is a device that no test can destroy."""
    ours, theirs = os.openpty()
    request.addfinalizer(lambda: (os.close(ours), os.close(theirs)))
    path.symlink_to(os.ttyname(theirs))


def loop_at(path, request):
    path.symlink_to(path.parent / "back")
    (path.parent / "back").symlink_to(path)


def open_file_at(path, request):
    """As ``/dev/stdout`` leads to the file into which the output goes."""
    file = (path.parent / "output").open("w")
    request.addfinalizer(file.close)
    path.symlink_to(f"/proc/self/fd/{file.fileno()}")


KINDS = {
    "it is a folder": folder_at,
    "it is a pipe": pipe_at,
    "it is a socket": socket_at,
    "it is a device": device_at,
    "it is a link that leads back": loop_at,
    "it is a file that a process has open": open_file_at,
}


def states_in(folder):
    found = {path.name: path.lstat() for path in folder.iterdir()}
    return {name: (state.st_ino, state.st_mode, state.st_size, state.st_mtime_ns) for name, state in found.items()}


@writers
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_file_is_refused_before_anything_is_done(tmp_path, writer, kind, request, monkeypatch):
    path = tmp_path / NAMES.get(writer, "name")
    KINDS[kind](path, request)
    before = states_in(tmp_path)
    monkeypatch.setattr(tinycnn.training.loop, "train_step", lambda *given: pytest.fail("it has begun to train"))
    with pytest.raises(OSError, match=f"cannot write {path}.*: {kind}") as raised:
        WRITERS[writer](path)
    assert raised.value.errno
    assert states_in(tmp_path) == before


def test_the_target_of_a_link_is_relative_to_the_link(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "shortcut").symlink_to("a/b")
    (tmp_path / "a" / "b" / "link").symlink_to("../file")
    monkeypatch.chdir(tmp_path)
    write_whole("shortcut/link", b"new")
    assert (tmp_path / "a" / "file").read_bytes() == b"new"


def test_a_link_into_a_folder_that_is_gone_is_named(tmp_path):
    (tmp_path / "link").symlink_to("gone/file")
    with pytest.raises(FileNotFoundError, match=r"cannot write .*link \(a link to gone/file\): the folder .*gone does"):
        write_whole(tmp_path / "link", b"")


def test_a_failed_write_leaves_the_target_of_a_link_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_names_that_are_too_long_are_named(tmp_path):
    for path in (tmp_path / ("n" * 300), tmp_path / ("f" * 300) / "n"):
        with pytest.raises(OSError, match=r"cannot write .*nnn?n?: File name too long|cannot write .*n: File name too"):
            check_destination(path)


# Folders --------------------------------------------------------------------------------------------------------


FOLDERS = {
    "make_folder": make_folder,
    "BackupAndRestore": lambda path: fit(callbacks.BackupAndRestore(path)),
    "ModelCheckpoint": lambda path: fit(callbacks.ModelCheckpoint(path / "{epoch}")),
    "run": _runs.prepare,
}
folders = pytest.mark.parametrize("maker", FOLDERS)


@folders
def test_a_link_to_a_folder_is_used(tmp_path, maker):
    for name in ("there", "gone/further"):
        link = tmp_path / f"link to {name[:4]}"
        link.symlink_to(name)
        if name == "there":
            (tmp_path / name).mkdir()
        FOLDERS[maker](link)
        assert link.is_symlink()
        assert (tmp_path / name).is_dir()


@folders
@pytest.mark.parametrize("kind", ["it is a pipe", "it is a socket", "it is a device", "it is a link that leads back"])
def test_what_is_not_a_folder_is_refused(tmp_path, maker, kind, request):
    path = tmp_path / "name"
    KINDS[kind](path, request)
    with pytest.raises(OSError, match=f"cannot make the folder {path}: {kind}"):
        FOLDERS[maker](path)


@pytest.mark.parametrize("name", ["model.safetensors", "history.csv", "run.json", "curves.png"])
def test_a_run_is_refused_before_it_is_trained(tmp_path, monkeypatch, capsys, name):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(Sequential, "fit", lambda *given, **named: pytest.fail("it has begun to train"))
    command = ["train", "ladder_03", "--data", "digits", "--backend", "reference", "--overwrite"]
    assert main([*command, "--out", str(tmp_path)]) == 1
    assert f"cannot write {tmp_path / name}: it is a folder" in capsys.readouterr().err
