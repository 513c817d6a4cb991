"""The scripts for shells complete what the command line takes."""

import shutil
import subprocess
import sys

import pytest

from tinycnn import models
from tinycnn.cli import _COMMANDS, main
from tinycnn.cli._arguments import DATA


@pytest.fixture
def script(capsys):
    """Return a function that returns the script for a shell."""
    pytest.importorskip("shtab", reason="needs shtab, from the extra completion")

    def write(shell):
        assert main(["completion", shell]) == 0
        return capsys.readouterr().out

    return write


def completions(script, *words):
    """Return what bash offers for the last of these words."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    line = " ".join(f"'{word}'" for word in words)
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_tinycnn; printf "%s\\n" "${{COMPREPLY[@]}}"'
    result = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return result.stdout.split()


def test_bash_completes_commands_options_and_names(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    bash = script("bash")
    assert "complete " in bash
    assert completions(bash, "tinycnn", "") == list(_COMMANDS)
    assert completions(bash, "tinycnn", "tr") == ["train"]
    assert completions(bash, "tinycnn", "train", "ladder_1") == ["ladder_10", "ladder_11", "ladder_12"]
    assert set(completions(bash, "tinycnn", "summary", "")) == {*models.names(), *models.variations(), *models.beyond()}
    assert completions(bash, "tinycnn", "train", "eip4", "--ba") == ["--batch-size", "--backend"]
    assert completions(bash, "tinycnn", "train", "eip4", "--data", "m") == ["mnist"]
    assert completions(bash, "tinycnn", "train", "eip4", "--data", "") == [*DATA, "runs"]
    assert completions(bash, "tinycnn", "train", "eip4", "--data", "ru") == ["runs"]
    assert completions(bash, "tinycnn", "evaluate", "ru") == ["runs"]
    assert completions(bash, "tinycnn", "completion", "z") == ["zsh"]


def test_the_script_for_zsh_knows_all_commands(script):
    zsh = script("zsh")
    assert zsh.startswith("#compdef tinycnn")
    assert all(name in zsh for name in _COMMANDS)
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", "-c", zsh], check=True)


def test_without_shtab_the_way_to_get_it_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert 'pip install "tinycnn[completion]"' in capsys.readouterr().err
