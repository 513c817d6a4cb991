"""Files on a simulated Windows: whatever is written, replaced and deleted there, and the errors when it cannot be."""

import errno
import os
import stat

import numpy as np
import pytest
from helpers import installed
from matplotlib.figure import Figure
from systems_disk import fails_first

import tinycnn
from tinycnn import Sequential, callbacks, layers
from tinycnn.cli import _figures, _runs
from tinycnn.cli._results import records
from tinycnn.core import files
from tinycnn.core.files import check_folder, delete, write_whole
from tinycnn.saving.state_folder import StateFolder

X, Y = np.ones((4, 3), np.float32), np.zeros(4, int)


@pytest.fixture(autouse=True)
def plain_numpy():
    with tinycnn.use_backend("reference"):
        yield


def small_model(seed=0):
    tinycnn.set_seed(seed)
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


WRITERS = {
    "write_whole": lambda path: write_whole(path, b"new"),
    "save": lambda path: small_model().save(path),
    "save_weights": lambda path: small_model().save_weights(path),
    "CSVLogger": lambda path: small_model().fit(X, Y, verbose=0, callbacks=[callbacks.CSVLogger(path)]),
    "ModelCheckpoint": lambda path: small_model().fit(X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint(path)]),
    "figure": lambda path: _figures.save(Figure(), path),
    "record": lambda path: records.write(path, {"name": "a"}),
    "PyTorch": lambda path: tinycnn.interchange.save_pytorch(small_model(), path),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_file_is_written_and_written_again(tmp_path, windows, writer):
    """No folder can be flushed there; the first attempt to do so used to raise a PermissionError at every save."""
    path = tmp_path / "name.safetensors"
    for _ in range(2):
        WRITERS[writer](path)
        [content] = contents(tmp_path).values()
        assert content
        path.write_bytes(b"old")
    WRITERS[writer](path)
    assert contents(tmp_path)["name.safetensors"] != b"old"


def test_the_simulated_windows_refuses_to_replace_an_open_file(tmp_path, windows):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with (tmp_path / "b").open("rb"), pytest.raises(PermissionError):
        os.replace(tmp_path / "a", tmp_path / "b")
    mapped = np.memmap(tmp_path / "b", mode="r")
    with pytest.raises(PermissionError):
        os.unlink(tmp_path / "b")
    del mapped
    os.replace(tmp_path / "a", tmp_path / "b")


def test_a_model_is_saved_over_the_file_that_it_was_loaded_from(tmp_path, windows):
    path = tmp_path / "model.safetensors"
    small_model().save(path)
    loaded = tinycnn.load_model(path)
    loaded.fit(X, Y, verbose=0)
    loaded.save(path)
    again = tinycnn.load_model(path)
    np.testing.assert_array_equal(again.predict(X), loaded.predict(X))
    weights = tmp_path / "weights.safetensors"
    loaded.save_weights(weights)
    again.load_weights(weights)
    again.save_weights(weights)


def test_weights_are_saved_over_pytorchs_file_that_they_were_loaded_from(tmp_path, windows):
    path, model = tmp_path / "torch.safetensors", small_model()
    tinycnn.interchange.save_pytorch(model, path)
    other = small_model(seed=1)
    other.load_weights(path)
    tinycnn.interchange.save_pytorch(other, path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


@pytest.mark.skipif(not installed("h5py"), reason="needs h5py, which writes weights for Keras")
def test_weights_are_saved_over_kerass_file_that_they_were_loaded_from(tmp_path, windows):
    path, model = tmp_path / "x.weights.h5", small_model()
    model.save_weights(path)
    other = small_model(seed=1)
    other.load_weights(path)
    other.save_weights(path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def test_a_fit_is_backed_up_and_goes_on(tmp_path, windows):
    whole = small_model()
    whole.fit(X, Y, epochs=4, verbose=0)
    for epochs in (2, 4):
        model = small_model()
        model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)])
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    assert sorted(contents(tmp_path)) == ["checkpoint-000004.safetensors", "checkpoint-000005.safetensors"]


def test_a_run_is_prepared_and_deleted(tmp_path, windows):
    _runs.prepare(tmp_path / "run")
    half = tmp_path / "run" / ".run.json.0123abcd.part"
    half.touch()
    _runs.write_description(tmp_path / "run", {"model": "a"})
    _runs.prepare(tmp_path / "run")
    assert not half.exists()
    _runs.delete_results(tmp_path / "run")
    assert contents(tmp_path / "run") == {}


# A file that another program has open ----------------------------------------------------------------------------


def test_a_rename_that_fails_twice_is_tried_again(tmp_path, windows, clock, monkeypatch):
    attempts = fails_first(monkeypatch, "replace", 2)
    write_whole(tmp_path / "file", b"new")
    assert contents(tmp_path) == {"file": b"new"}
    assert len(attempts) == 3
    assert clock.pauses == sorted(clock.pauses)
    assert len(clock.pauses) == 2


def test_a_rename_that_always_fails_ends_in_an_error_that_says_that_nothing_is_lost(
    tmp_path, windows, clock, monkeypatch
):
    (tmp_path / "file").write_bytes(b"old")
    attempts = fails_first(monkeypatch, "replace", 10**6)
    with pytest.raises(PermissionError) as raised:
        write_whole(tmp_path / "file", b"new")
    assert raised.value.errno == errno.EACCES
    message = str(raised.value)
    assert f"cannot write {tmp_path / 'file'}: another program has had it open for 2 s" in message
    assert "Nothing is lost: what was there before is still there" in message
    assert message.isascii()
    assert contents(tmp_path) == {"file": b"old"}
    assert files.PATIENCE <= clock.now < files.PATIENCE + 0.01
    assert 5 < len(attempts) < 50


def test_an_older_state_that_is_open_elsewhere_is_deleted_as_soon_as_it_can_be(tmp_path, windows, clock, monkeypatch):
    folder = StateFolder(tmp_path)
    for number in range(2):
        folder.write({"a": np.zeros(number + 1)}, {})
    attempts = fails_first(monkeypatch, "unlink", 2)
    folder.write({"a": np.zeros(3)}, {})
    assert sorted(contents(tmp_path)) == ["checkpoint-000002.safetensors", "checkpoint-000003.safetensors"]
    assert len(attempts) == 3
    fails_first(monkeypatch, "unlink", 10**6)
    with pytest.raises(PermissionError, match=r"cannot delete .*checkpoint-000002.*another program has had it open"):
        delete(tmp_path / "checkpoint-000002.safetensors")


def test_nobody_waits_on_linux(tmp_path, clock, monkeypatch):
    """There a PermissionError means that the folder may not be changed, and waiting changes nothing."""
    for name, operation in (("replace", lambda path: write_whole(path, b"")), ("unlink", delete)):
        with monkeypatch.context() as patch:
            attempts = fails_first(patch, name, 10**6)
            with pytest.raises(PermissionError, match="Permission denied"):
                operation(tmp_path / "file")
            # What cleans up after a failed write deletes the temporary file.
            assert len(attempts) == 1
        assert clock.pauses == []


def test_a_file_that_is_not_there_is_deleted_already(tmp_path, windows):
    delete(tmp_path / "file")


# Folders and files that cannot be written -------------------------------------------------------------------------


def test_a_file_that_is_marked_as_read_only_is_named(tmp_path, windows):
    """Windows replaces no such file, and could not delete a temporary file with that mark either."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(stat.S_IREAD)
    with pytest.raises(PermissionError, match=r"cannot write .*file: it is marked as read-only; clear that mark"):
        write_whole(path, b"new")
    assert contents(tmp_path) == {"file": b"old"}


def test_a_probe_of_a_folder_that_cannot_be_written_ends_at_once(tmp_path, windows, clock, monkeypatch):
    """Python's own functions for temporary files try two thousand million names there."""
    attempts = []

    def refuse(path, *given):
        attempts.append(path)
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    for operation in (check_folder, _runs.prepare):
        with pytest.raises(PermissionError, match=f"cannot write into the folder {tmp_path}: Permission denied"):
            operation(tmp_path)
    with pytest.raises(PermissionError, match=r"cannot write .*file: Permission denied"):
        write_whole(tmp_path / "file", b"")
    assert len(attempts) == 3
    assert clock.pauses == []


def test_names_of_temporary_files_run_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "00" * size)
    (tmp_path / ".probe.00000000.part").touch()
    with pytest.raises(FileExistsError, match="no name for a temporary file is free in"):
        check_folder(tmp_path)


def test_a_temporary_file_belongs_to_its_user_alone(tmp_path):
    handle, path = files._new_file(tmp_path, "n" * 300)
    os.close(handle)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.name) < 70


# A table that a spreadsheet shows ----------------------------------------------------------------------------------


class Spreadsheet(callbacks.Callback):
    """Keep a file from being written between two epochs of a fit, as a spreadsheet does that shows it."""

    def __init__(self, path, opened, closed=None):
        self.patch, self.path, self.opened, self.closed = pytest.MonkeyPatch(), path, opened, closed

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.opened:
            self.patch.setattr("builtins.open", self.refuse)
        if epoch == self.closed:
            self.patch.undo()

    def refuse(self, file, mode="r", *given, real=open, **named):
        if file == self.path and "a" in mode:
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, mode, *given, **named)


@pytest.fixture
def shown(tmp_path):
    """Return a function that fits while a spreadsheet shows the table, and the table's path."""
    path, sheets = tmp_path / "shown.csv", []

    def fit(logger, epochs, opened, closed=None):
        sheets.append(Spreadsheet(path, opened, closed))
        small_model().fit(X, Y, epochs=epochs, verbose=0, callbacks=[sheets[-1], logger])

    yield fit, path
    sheets[-1].patch.undo()


@pytest.mark.parametrize("append", [False, True])
def test_a_training_goes_on_while_a_spreadsheet_shows_its_table(tmp_path, windows, clock, shown, append):
    fit, path = shown
    small_model().fit(X, Y, epochs=6, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "free.csv")])
    with pytest.warns(UserWarning, match="the training goes on") as warned:
        fit(callbacks.CSVLogger(path, append=append), 6, 2, 4)
    assert path.read_bytes() == (tmp_path / "free.csv").read_bytes()
    [warning] = warned
    assert f"cannot write {path}: another program has had it open for 2 s" in str(warning.message)


@pytest.mark.filterwarnings("ignore:.*the training goes on")
def test_a_table_that_is_shown_to_the_end_is_an_error_then(windows, clock, shown):
    fit, path = shown
    logger = callbacks.CSVLogger(path)
    with pytest.raises(PermissionError, match="another program has had it open"):
        fit(logger, 3, 1)
    assert logger.get_state()["text"].count("\n") == 4  # the names of the columns and three rows


def test_elsewhere_a_table_that_cannot_be_written_ends_the_fit(shown):
    fit, path = shown
    with pytest.raises(PermissionError, match=f"cannot write {path}"):
        fit(callbacks.CSVLogger(path), 3, 1)
