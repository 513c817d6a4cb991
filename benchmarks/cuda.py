"""Measure everything about a GPU with one command.

    python benchmarks/cuda.py --json cuda.json

The script runs the tests on the card, compares networks with PyTorch and kernels with the card's limits, and trains one
network. It takes less than eight minutes: what would take longer is left out, and the record says so. If something is
missing (a card, PyTorch, the CIFAR-10 files), the script names it and leaves out what needs it.

Rates are images per second of whole training steps (forward, loss, backward, Adam). Each rate is the median of several
rounds, in which tinycnn and its peers take turns on the card.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import cuda_name  # noqa: F401  (It must be imported before anything that imports numba-cuda.)
import numpy as np
from cuda_steps import refuse_without_card, seconds
from networks import PUBLISHED, Job

import tinycnn
from tinycnn import callbacks, datasets, models
from tinycnn.core.files import check_destination, write_whole

ROOT = Path(__file__).parent.parent
TURNS, TURN_SECONDS = 3, 1.0
#: The number of seconds after the start from which torch.compile is left out, and after which the training ends with
#: the current epoch.
LAST_COMPILATION, LAST_EPOCH = 270, 420
START = time.perf_counter()


def parity():
    """Run the tests of the cuda backend on the card, and return their outcome."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("NUMBA_ENABLE_CUDASIM", None)
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "--ignore=tests/kernels/test_cuda_ptx.py", "tests"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return {"passed": result.returncode == 0, "summary": result.stdout.strip().splitlines()[-1]}


# Networks -------------------------------------------------------------------------------------------------------


def ours(job: Job):
    """Return a function that trains one batch in tinycnn, and one that waits for the card."""
    from tinycnn.core.workspace import Workspace
    from tinycnn.kernels import cuda
    from tinycnn.training.batches import ArrayBatches, Batch
    from tinycnn.training.data import Samples
    from tinycnn.training.running_means import RunningMeans
    from tinycnn.training.step import train_step

    with tinycnn.use_backend("cuda"):
        tinycnn.set_seed(0)
        model = models.build(job.network)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    batches = ArrayBatches(model, Samples(*job.data(), weight=None), job.batch_size, True)
    ws, means = Workspace(model.backend.empty), RunningMeans(model)
    epoch: Iterator[Batch] = iter(())

    def step():
        nonlocal epoch
        batch = next(epoch, None)
        if batch is None:
            epoch = batches.epoch(ws)
            batch = next(epoch)
        train_step(model, model.plan, batch, means, ws)

    return step, cuda.synchronize


def torchs(job, compiled):
    """Return the same two functions in PyTorch, with all data on the card and TF32 at PyTorch's default."""
    import torch
    from peers.on_torch import layer_of

    torch.manual_seed(0)
    model = torch.nn.Sequential(*map(layer_of, job.operations)).cuda().train()
    job.check_parameters(sum(p.numel() for p in model.parameters()))
    x, y = (torch.from_numpy(array).cuda() for array in job.data(channels_first=True))
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)
    criterion = torch.nn.CrossEntropyLoss()

    def loss(images, labels):
        return criterion(model(images), labels)

    loss = torch.compile(loss) if compiled else loss
    state = {"order": iter(())}

    def step():
        index = next(state["order"], None)
        if index is None:
            state["order"] = iter(torch.randperm(len(x), device="cuda").split(job.batch_size))
            index = next(state["order"])
        optimizer.zero_grad(set_to_none=True)
        loss(x[index], y[index]).backward()
        optimizer.step()

    return step, torch.cuda.synchronize


def rate(step, wait, job):
    """Return the images per second of one turn."""
    wait()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < TURN_SECONDS:
        for _ in range(20):
            step()
        wait()
        count += 20
    return count * job.batch_size / (time.perf_counter() - start)


def network(name, with_torch):
    """Measure the rates of tinycnn and its peers in turns; a peer that fails is named with its reason."""
    batch_size = models.recipe(name).batch_size or 128
    job = Job(name, batch_size, True, 1, 16)
    makers = {"tinycnn": lambda: ours(job)}
    if with_torch:
        makers |= {"torch": lambda: torchs(job, False), "torch_compile": lambda: torchs(job, True)}
    runners, missing = {}, {}
    if with_torch and time.perf_counter() - START > LAST_COMPILATION:
        del makers["torch_compile"]
        missing["torch_compile"] = "no time left"
    for peer, make in makers.items():
        try:
            step, wait = make()
            for _ in range(5):
                step()
            wait()
            runners[peer] = step, wait
        except Exception as error:  # A peer that cannot run must not end the measurement of the others.
            missing[peer] = f"{type(error).__name__}: {error}"[:300]
    rates: dict[str, list[float]] = {peer: [] for peer in runners}
    for _ in range(TURNS):
        for peer, runner in runners.items():
            rates[peer].append(rate(*runner, job))
    medians = {peer: statistics.median(values) for peer, values in rates.items()}
    return {"network": name, "batch_size": batch_size, "images_per_second": medians, "turns": rates, "missing": missing}


# Kernels --------------------------------------------------------------------------------------------------------


def limits():
    """Measure the limits of the card: bytes per second of a copy, and operations per second of cuBLAS's product."""
    from tinycnn.kernels import cuda

    x, y = cuda.empty(2**26), cuda.empty(2**26)
    found = {"copy_gb_per_s": 2 * x.nbytes / seconds(lambda: y.__setitem__(..., x)) / 1e9}
    try:
        import torch
    except ImportError:
        return found
    a, b = (torch.rand(4096, 4096, device="cuda") for _ in range(2))
    for name, tf32 in (("float32", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.mm(a, b)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(20):
            torch.mm(a, b)
        torch.cuda.synchronize()
        found[f"matmul_{name}_gflops"] = 20 * 2 * 4096**3 / (time.perf_counter() - start) / 1e9
    return found


def kernel_rates():
    """Measure GFLOP/s of products and GB/s of other kernels, for shapes of ``cifar10_cnn`` and ``mnist_cnn``."""
    from tinycnn.kernels import cuda

    rng, rates = np.random.default_rng(0), {}
    for N, S, C, F in [(64, 32, 32, 32), (64, 16, 64, 64), (64, 14, 128, 128), (128, 28, 32, 64)]:
        x, w = cuda.upload(rng.random((N, S, S, C), np.float32)), cuda.upload(rng.random((3, 3, C, F), np.float32))
        dy, geometry = cuda.upload(rng.random((N, S, S, F), np.float32)), ((1, 1), (1, 1, 1, 1), (1, 1), 1)
        dx, dw, db = cuda.empty(x.shape), cuda.empty(w.shape), cuda.empty((F,))
        operations, name = 2 * 9 * N * S * S * C * F / 1e9, f"{N}×{S}×{S}, {C}→{F}"
        rates[f"conv forward {name}"] = operations / seconds(
            lambda: cuda.conv2d_forward(x, w, None, *geometry, out=dy)  # noqa: B023  (The function is called at once.)
        )
        rates[f"conv input gradient {name}"] = operations / seconds(
            lambda: cuda.conv2d_backward_input(dy, w, (S, S), *geometry, out=dx)  # noqa: B023
        )
        rates[f"conv weight gradient {name}"] = operations / seconds(
            lambda: cuda.conv2d_backward_weights(dy, x, (3, 3), *geometry, out=(dw, db))  # noqa: B023
        )
    x = cuda.upload(rng.random((128, 28, 28, 64), np.float32))
    y, ones = cuda.empty(x.shape), cuda.upload(np.ones(64, np.float32))
    moved = 2 * x.nbytes / 1e9
    rates["relu GB/s"] = moved / seconds(lambda: cuda.relu_forward(x, out=y))
    rates["dropout GB/s"] = moved / seconds(lambda: cuda.dropout(x, 0.5, 1, 1, out=y))
    rates["batch norm GB/s (one reading, one writing)"] = moved / seconds(
        lambda: cuda.batch_norm_forward(x, ones, ones, 1e-3)
    )
    rates["max pool GB/s"] = (
        x.nbytes * 1.3125 / 1e9 / seconds(lambda: cuda.max_pool2d_forward(x, (2, 2), (2, 2), (0,) * 4))
    )
    return rates


def training(epochs=10):
    """Train ``cifar10_cnn`` by its recipe for ``epochs`` epochs, and return the history."""
    try:
        (pixels, y), (pixels_test, y_test) = datasets.cifar10.load_data()
    except Exception as error:  # There may be no network and no files.
        return {"missing": f"CIFAR-10: {error}"[:300]}
    x, x_test = (images.astype("float32") / 255 for images in (pixels, pixels_test))
    with tinycnn.use_backend("cuda"):
        tinycnn.set_seed(42)
        model = models.build("cifar10_cnn")
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    start = time.perf_counter()

    def late(epoch, logs):
        model.stop_training = time.perf_counter() - START > LAST_EPOCH

    history = model.fit(
        x,
        y,
        batch_size=64,
        epochs=epochs,
        validation_data=(x_test, y_test),
        verbose=2,
        callbacks=[callbacks.LambdaCallback(on_epoch_end=late)],
    )
    figures = history.history
    return {"epochs": len(figures["loss"]), "seconds": time.perf_counter() - start, "history": figures}


def main():
    """Measure, write a record, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("cuda.json"), help="file for the record (default: cuda.json)")
    parser.add_argument("--skip-tests", action="store_true", help="do not run the tests of the cuda backend")
    arguments = parser.parse_args()
    check_destination(arguments.json)
    refuse_without_card()
    try:
        import torch

        with_torch = torch.cuda.is_available()
        torch_version = torch.__version__
    except ImportError:
        with_torch, torch_version = False, None
    if not with_torch:
        print("PyTorch with CUDA is not installed, so tinycnn is measured alone.")
    from tinycnn.kernels.cuda._device import cuda

    name = cuda.get_current_device().name
    record = {
        "kind": "cuda",
        "date": date.today().isoformat(),
        "card": name.decode() if isinstance(name, bytes) else name,
        "torch": torch_version,
        "tests": None if arguments.skip_tests else parity(),
        "limits": limits(),
        "kernels": kernel_rates(),
        "networks": [network(name, with_torch) for name in PUBLISHED],
        "training": training(),
    }
    record["seconds"] = time.perf_counter() - START
    write_whole(arguments.json, f"{json.dumps(record, indent=1)}\n".encode())
    print(table(record))


def table(record):
    """Return the record as a table for a person to read."""
    lines = [f"{record['date']}, {record['card']}, PyTorch {record['torch']}, tests: {record['tests']}", ""]
    lines += [f"{name:<50}{value:>12,.0f}" for name, value in (record["limits"] | record["kernels"]).items()]
    peers = ("tinycnn", "torch", "torch_compile")
    lines += ["", f"{'images/s':<20}" + "".join(f"{peer:>16}" for peer in peers)]
    for entry in record["networks"]:
        figures = (entry["images_per_second"].get(peer) for peer in peers)
        lines.append(
            f"{entry['network']:<20}" + "".join(f"{'—' if f is None else format(f, ',.0f'):>16}" for f in figures)
        )
    ratios = [
        entry["images_per_second"]["tinycnn"] / entry["images_per_second"]["torch"]
        for entry in record["networks"]
        if {"tinycnn", "torch"} <= entry["images_per_second"].keys()
    ]
    if ratios:
        lines.append(f"geometric mean against PyTorch eager: {statistics.geometric_mean(ratios):.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
