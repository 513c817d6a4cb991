"""What tests run on every rank: ``python distributed_job.py CASE FILE [ARGUMENT]``; rank 0 writes the results."""

import hashlib
import importlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np

import tinycnn
from tinycnn import Augmentation, Sequential, callbacks, distributed, layers, regularizers
from tinycnn.distributed import agreement


def network(dtype="float32", norm=True, optimizer="adam", seed=3):
    tinycnn.set_seed(seed)
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer=regularizers.L2(1e-3)),
            *([layers.BatchNormalization()] if norm else []),
            layers.MaxPooling2D(2),
            layers.GaussianNoise(0.1),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(5, activation="softmax"),
        ],
        dtype=dtype,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(images=90):
    rng = np.random.default_rng(0)
    return rng.random((images, 8, 8, 1), np.float32), rng.integers(0, 5, images)


def digest(model):
    return hashlib.sha256(b"".join(np.ascontiguousarray(w).tobytes() for w in model.get_weights())).hexdigest()


def train(model, mode, **given):
    x, y = data()
    usual = {"batch_size": 16, "epochs": 2, "verbose": 0, "validation_data": (x[:40], y[:40])}
    history = model.fit(x, y, **usual | {"distributed": mode} | given)
    return {"weights": digest(model), "history": history.history, "size": distributed.size()}


def same_bits(mode):
    if mode == "synchronized":
        mode = distributed.DataParallel(4, synchronized_norm=True)
    return train(network(), mode, augment=Augmentation(shift=0.2, flip=True))


def hosts(mode):
    from mpi4py import MPI

    names = MPI.COMM_WORLD.allgather(socket.gethostname())
    return same_bits(mode) | {"hosts": names}


def read(file):
    return json.loads(Path(file).read_text("utf-8"))


def short_batches(way, dtype, epochs):
    """Train on batches of 16 and then of 3 images: on two ranks the shards differ, on four one is empty."""
    model = network(dtype, norm=False, optimizer=tinycnn.optimizers.SGD(0.05))
    x, y = data(83)
    weight = np.linspace(0.5, 1.5, 83)
    history = model.fit(
        x, y, batch_size=16, epochs=epochs, verbose=0, sample_weight=weight, augment=Augmentation(flip=True),
        validation_data=(x[:40], y[:40]), distributed=way,
    )  # fmt: skip
    values = [w.tolist() for w in model.get_weights()]
    return {"values": values, "history": history.history, "steps": model.optimizer.iterations}


def against_one_process(argument):
    dtype, epochs = argument.split("/")
    return short_batches(True, dtype, int(epochs))


def in_lanes(mode):
    """Train a network that takes sixteen images in each vector, if a shard has so many."""
    model, rng = network_in_lanes(), np.random.default_rng(0)
    x, y = rng.random((200, 12, 12, 1), np.float32), rng.integers(0, 5, 200)
    history = model.fit(x, y, batch_size=64, epochs=3, verbose=0, distributed=mode)
    return {"weights": digest(model), "history": history.history, "size": distributed.size()}


def network_in_lanes():
    tinycnn.set_seed(5)
    model = Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Dropout(0.4),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def threads(given):
    from mpi4py import MPI

    from tinycnn.kernels.threads import thread_count

    train(network(), True, epochs=1, steps_per_epoch=1)
    return {"threads": MPI.COMM_WORLD.allgather(thread_count())}


class Stops(callbacks.Callback):
    def on_epoch_end(self, epoch, logs):
        self.model.stop_training = True


def stops_on(rank):
    called = [Stops()] if distributed.rank() == int(rank) else []
    return train(network(), True, epochs=3, callbacks=called)


def own_loss(scale):
    """Return a loss whose program on another rank is another one, as if it had not been copied to that host."""
    text = f"from tinycnn import losses\nclass Scaled(losses.SparseCategoricalCrossentropy):\n    scale = {scale}\n"
    folder = Path(sys.argv[2]).with_name(f"of rank {distributed.rank()}")
    folder.mkdir()
    (folder / "own_losses.py").write_text(text, "utf-8")
    sys.path.insert(0, str(folder))
    return importlib.import_module("own_losses").Scaled()


def different(what):
    other, given = distributed.rank() == 1, {}
    x, y = data()
    model = network(seed=4 if other and what == "seed" else 3)
    if other and what == "data":
        x = x + 1
    if other and what == "weights":
        model.set_weights([w + 1 for w in model.get_weights()])
    if other and what == "epochs":
        given["epochs"] = 5
    if not (other and what == "validation"):
        given["validation_data"] = (x[:8], y[:8])
    if other and what == "steps":
        given["steps_per_epoch"] = 2
    if other and what == "code":
        agreement._digest_of_code = lambda: "other"
    if what == "own code":
        model.compile("adam", own_loss("2.0" if other else "1.0"))
    if other and what == "versions":
        agreement.versions = lambda: {"numpy": "1.0"}
    source = (x, y)
    if what in ("batches", "length"):
        pairs = [(x[k : k + 8] + (other and what == "batches" and k == 16), y[k : k + 8]) for k in range(0, 48, 8)]
        source = (pairs[: 4 if other and what == "length" else 6],)
    if what in ("validation batches", "validation length"):
        pairs = [(x[k : k + 8] + (other and what.endswith("batches") and k == 16), y[k : k + 8]) for k in (0, 8, 16)]
        given["validation_data"] = iter(pairs[: 2 if other and what.endswith("length") else 3])
    model.fit(*source, verbose=0, distributed="deterministic", **given)
    return {}


class Decides(callbacks.Callback):
    """Lowers the rate after a batch, changes weights after an epoch, and stops; on rank 0 alone is it ever called."""

    def on_train_batch_end(self, batch, logs):
        if batch == 2:
            self.model.optimizer.learning_rate = 1e-4

    def on_epoch_end(self, epoch, logs):
        print(f"callback on rank {distributed.rank()}", flush=True)
        self.model.set_weights([w * 0.5 for w in self.model.get_weights()])
        self.model.stop_training = epoch == 1


def decisions(mode):
    model = network()
    found = train(model, mode, epochs=5, callbacks=[Decides()], verbose=2)
    from mpi4py import MPI

    mine = digest(model), model.optimizer.learning_rate, len(found["history"]["loss"])
    return found | {"all": MPI.COMM_WORLD.allgather(mine)}


class Changes(callbacks.Callback):
    """Changes attributes of layers, and perhaps the loss, on rank 0 alone."""

    def __init__(self, loss):
        self.loss = loss

    def on_epoch_end(self, epoch, logs):
        self.model.layers[3].stddev = 0.5
        self.model.layers[0].kernel_regularizer = regularizers.L2(0.5)
        self.model.layers[0].activation = "tanh"
        if self.loss:
            self.model.loss.scale = 2.0


class Scaled(tinycnn.losses.SparseCategoricalCrossentropy):
    def __init__(self, scale=1.0, **base):
        super().__init__(**base)
        self.scale = scale


def changes(what):
    model = network()
    model.compile("adam", Scaled() if what == "loss" else "sparse_categorical_crossentropy", ["accuracy"])
    found = train(model, "deterministic", epochs=3, callbacks=[Changes(what == "loss")])
    from mpi4py import MPI

    first = model.layers[0]
    mine = model.layers[3].stddev, first.kernel_regularizer.l2, type(first.activation).__name__
    return found | {"all": MPI.COMM_WORLD.allgather(mine)}


def fail(file, kind="error"):
    """End this rank in one of several ways, after writing down when."""
    Path(file).write_text(str(time.time()), "utf-8")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        sys.exit("on purpose")
    if kind == "raised":  # what Python's own exit() does too
        raise SystemExit("on purpose")
    if kind == "ends":
        sys.exit()
    raise ZeroDivisionError("on purpose")


class Fails(callbacks.Callback):
    def __init__(self, file):
        self.file = file

    def on_train_batch_end(self, batch, logs):
        if batch == 2:
            fail(self.file)


class FailsOnRank1(layers.Layer):
    """A user's own layer that fails on one rank, in the middle of a step."""

    def __init__(self, file="", kind="error", **base):
        super().__init__(**base)
        self.file, self.kind, self.steps = file, kind, 0

    def forward(self, x, *, training=False, step=0, ws=None):
        self.steps += training
        if self.steps == 5 and distributed.rank() == 1:
            fail(self.file, self.kind)
        return x.copy(), layers.base.Nothing()

    def backward(self, dy, cache, *, ws=None):
        return dy.copy()


def fails(given):
    where, file = given.split("|")
    if where == "callback":
        train(network(), True, callbacks=[Fails(file)])
    elif where in ("layer", "killed in a step"):
        model = network()
        model.add(FailsOnRank1(file, "killed" if where.startswith("killed") else "error"))
        model.compile("adam", "sparse_categorical_crossentropy")
        train(model, True)
    elif where in ("before", "early exit"):  # the others are on their way into the job
        if os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK")) == "1":
            fail(file, "exit" if where == "early exit" else "error")
        train(network(), True)
    elif where in ("MPI of its own", "one alone"):
        if where == "one alone":
            alone = distributed.rank()
        else:
            from mpi4py import MPI

            alone = MPI.COMM_WORLD.Get_rank()
        if alone:
            fail(file, "ends" if where == "one alone" else "error")
        train(network(), True)
    else:
        kind, rank = where.split(" ")
        train(network(), True)
        if distributed.rank() == int(rank):
            fail(file, kind)
        train(network(), True)
    return {}


def warns(given):
    """Train on images that are not scaled, which is warned of."""
    x, y = data()
    network().fit((255 * x).astype(np.uint8), y, verbose=0, distributed=True)
    return {}


def batch_size(given):
    size, mode = given.split("/")
    return train(network(), mode if mode == "deterministic" else True, batch_size=int(size))


def resumed(given):
    folder, steps = given.split("|")
    x, y = data()
    model, calls = network(), [callbacks.BackupAndRestore(folder, save_freq=3)]
    if steps != "all":
        calls.append(StopsAfter(int(steps)))
    history = model.fit(
        x, y, batch_size=16, epochs=3, verbose=0, callbacks=calls, distributed="deterministic", validation_data=(x, y)
    )
    return {"weights": digest(model), "history": history.history}


class StopsAfter(callbacks.Callback):
    """Ends the process in the middle of an epoch, as a machine does that fails."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, batch, logs):
        self.steps -= 1
        if not self.steps:
            os._exit(3)


if __name__ == "__main__":
    case, file, *arguments = sys.argv[1:]
    if arguments[:1] == ["True"]:
        arguments = [True]
    found = globals()[case](*arguments)
    if distributed.rank() == 0:
        Path(file).write_text(json.dumps(found), "utf-8")
