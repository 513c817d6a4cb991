"""Files of earlier versions can be read: the state of an interrupted fit, and the folder of a run."""

import json
import shutil

import numpy as np
import pytest
from fixtures import make_state_file

from tinycnn import cli, load_model
from tinycnn.saving.state_folder import StateFolder


def test_a_fit_goes_on_from_an_old_state(tmp_path):
    folder = shutil.copytree(make_state_file.STATE, tmp_path / "old")
    _, (_, description) = StateFolder(folder).newest()
    state = description["state"]
    assert (state["epoch"], state["batch"], state["steps"]) == (1, 1, 5)

    whole = make_state_file.model()
    expected = make_state_file.fit(whole, tmp_path / "new").history
    model = make_state_file.model()
    with pytest.MonkeyPatch.context() as patch:
        # Other versions than those of the fixture would cause a warning.
        patch.setattr("tinycnn.callbacks.backup.versions", lambda: state["versions"])
        history = make_state_file.fit(model, folder)
    assert history.epoch == [0, 1, 2]
    for key, values in expected.items():
        assert history.history[key] == pytest.approx(values, rel=1e-4), key
    # The weights are not equal to the bit, because Adam turns the rounding of the machine that wrote the state into
    # differences of steps.
    for found, wanted in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_folder_of_an_old_run_is_evaluated(capsys):
    assert cli.main(["evaluate", str(make_state_file.RUN)]) == 0
    then = json.loads((make_state_file.RUN / "run.json").read_text("utf-8"))["results"]["test_accuracy"]
    assert f"{then:.4f}" in capsys.readouterr().out


def test_the_model_of_an_old_run_trains_on():
    model = load_model(make_state_file.RUN / "model.safetensors")
    assert model.optimizer.iterations > 0
    assert np.isfinite(model.train_on_batch(np.zeros((2, 28, 28, 1), "float32"), [0, 1])["loss"])
