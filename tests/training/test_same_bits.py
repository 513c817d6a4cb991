"""The same seed gives the same bits, whatever else differs, with every kind of layer, dropout, augmentation, shuffling.

``test_backup`` and ``test_interruptions`` show that other processes and interruptions do not matter either.
"""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinycnn
from tinycnn import Augmentation, Sequential, callbacks, layers, optimizers, schedules

ROOT = Path(__file__).parents[2]
AUGMENT = Augmentation(shift=0.2, flip=True, rotation=20, blur=1, cutout=0.2)
#: Small networks for the kernels of small shapes, and one that has enough channels for the fast convolutions.
NETWORKS = {
    "kinds": lambda: [
        layers.Input((12, 10, 2)),
        layers.Rescaling(2.0, -1.0),
        layers.GaussianNoise(0.05),
        layers.ZeroPadding2D(1),
        layers.Conv2D(6, 3, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.MaxPooling2D(2, padding="same"),
        layers.Conv2D(4, 3, padding="same", strides=2, activation="elu"),
        layers.ReLU(),
        layers.Activation("tanh"),
        layers.Dropout(0.25),
        layers.AveragePooling2D(2, padding="same"),
        layers.Reshape((4, 4)),
        layers.Flatten(),
        layers.Dense(7, activation="gelu"),
        layers.BatchNormalization(),
        layers.ELU(),
        layers.Dense(3),
        layers.Softmax(),
    ],
    "global average": lambda: [
        layers.Input((9, 9, 2)),
        layers.Conv2D(8, 3, groups=2, activation="sigmoid"),
        layers.DepthwiseConv2D(3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax"),
    ],
    "global maximum": lambda: [
        layers.Input((9, 9, 2)),
        layers.Conv2D(8, 3, dilation_rate=2, use_bias=False),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, activation="softmax"),
    ],
    "channels": lambda: [
        layers.Input((12, 12, 3)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(33, activation="relu"),
        layers.Dense(3, activation="softmax"),
    ],
}
OPTIMIZERS = {
    "kinds": lambda: optimizers.Adam(schedules.CosineDecay(0.01, 20)),
    "global average": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    "global maximum": lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.5, global_clipnorm=1.0),
    "channels": lambda: optimizers.AdamW(0.01, clipvalue=0.1),
}


def build(name, seed=3):
    tinycnn.set_seed(seed)
    model = Sequential(NETWORKS[name]())
    model.compile(OPTIMIZERS[name](), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(model, n=45, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, *model.input_shape), dtype=np.float32), rng.integers(0, 3, n)


def bits(model):
    """Return the bits of everything that training changes."""
    slots = [slot.tobytes() for key in sorted(model.optimizer.slots) for slot in model.optimizer.slots[key]]
    weights = [weight.tobytes() for weight in model.get_weights()]
    figures = repr([model.history.history[key] for key in ("loss", "accuracy", "learning_rate")]).encode()
    return hashlib.sha256(b"".join([*weights, *slots, figures])).hexdigest()


def trained(name, **arguments):
    """Return the bits after three epochs of three batches each, of which the last one is not full."""
    model = build(name)
    arguments = {"batch_size": 16, "epochs": 3, "verbose": 0, "augment": AUGMENT} | arguments
    model.fit(*data(model), **arguments)
    return bits(model)


def all_trained():
    """Return the bits of all networks by name; other processes run this too."""
    return {name: trained(name) for name in NETWORKS}


@pytest.fixture(scope="module")
def here():
    """Return the bits that this process gets on the default backend."""
    return all_trained()


def test_every_kind_of_layer_is_in_it():
    used = {type(layer) for make in NETWORKS.values() for layer in make()}
    assert {layers.LAYERS[name] for name in layers.LAYERS} <= used


def test_the_comparison_sees_a_single_step_and_a_single_bit():
    model = build("global average")
    model.fit(*data(model), epochs=1, verbose=0)
    before = bits(model)
    bias = model.layers[-1].params["bias"].value
    bias[0] = np.nextafter(bias[0], np.float32(9))
    assert bits(model) != before
    assert len({trained("global average", epochs=epochs) for epochs in (1, 2)}) == 2


def in_process(**environment):
    search = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", "import test_same_bits as t; print(t.all_trained())"],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": search} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_and_hash_seeds_in_a_fresh_process(here, threads):
    """This would notice a dict or a set whose order depends on hashes."""
    assert in_process(NUMBA_NUM_THREADS=str(threads), PYTHONHASHSEED=str(threads)) == repr(here)


@pytest.mark.parametrize("blas", ["1", "4"])
def test_threads_of_the_blas(here, blas):
    """The bits of a product by BLAS depend on the number of threads, so BLAS is given one thread."""
    variables = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), blas)
    assert in_process(**variables, NUMBA_NUM_THREADS="2") == repr(here)


class Watcher(callbacks.Callback):
    """A callback that looks at everything and changes nothing, but draws random numbers of its own."""

    def on_train_batch_end(self, batch, logs):
        np.random.default_rng().random(3)
        self.model.get_weights()
        self.model.get_config()
        self.model.predict(np.zeros((2, *self.model.input_shape)))

    def on_epoch_end(self, epoch, logs):
        self.model.evaluate(*data(self.model, 7, 5), verbose=0)
        self.model.trace(*data(self.model, 7, 5))


def other_ways(tmp_path):
    """Return ways to train that must make no difference: by name, a function from a model to arguments of ``fit``."""
    return {
        "validation": lambda model: {"validation_data": data(model, 20, 1)},
        "verbose": lambda model: {"verbose": 2},
        "watched": lambda model: {"callbacks": [Watcher()]},
        "files": lambda model: {
            "callbacks": [
                callbacks.CSVLogger(tmp_path / "log.csv"),
                callbacks.ModelCheckpoint(tmp_path / "{epoch}.safetensors"),
                callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1),
                callbacks.TerminateOnNaN(),
                callbacks.EarlyStopping("loss", patience=50),
            ]
        },
    }


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("way", ["validation", "verbose", "watched", "files"])
def test_what_only_looks_changes_nothing(here, tmp_path, name, way):
    model = build(name)
    arguments = {"batch_size": 16, "epochs": 3, "verbose": 0, "augment": AUGMENT} | other_ways(tmp_path)[way](model)
    model.fit(*data(model), **arguments)
    assert bits(model) == here[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_ran_before_changes_nothing(here, name):
    """Before the fit come other fits, of other sizes and seeds, and random numbers that are drawn elsewhere."""
    other = build("channels", seed=8)
    other.fit(*data(other, 20), batch_size=7, epochs=1, verbose=0)
    np.random.seed(5)  # noqa: NPY002
    assert trained(name) == here[name]


def test_two_fits_by_turns(here):
    """The steps of two fits alternate in one thread."""
    inner = iter(["global average", "global maximum"])
    results = {}

    def train_another(batch, logs):
        name = next(inner, None)
        if name:
            results[name] = trained(name)

    results["kinds"] = trained("kinds", callbacks=[callbacks.LambdaCallback(on_train_batch_end=train_another)])
    assert results == {name: here[name] for name in results}
    assert len(results) == 3


def test_the_order_in_memory_and_the_dtype_of_the_images_change_nothing(here):
    model = build("channels")
    x, y = data(model)
    for images in (np.asfortranarray(x), x.astype(np.float64), x[::-1][::-1], x.repeat(2, axis=0)[::2]):
        model = build("channels")
        model.fit(images, y, batch_size=16, epochs=3, verbose=0, augment=AUGMENT)
        assert bits(model) == here["channels"]


def test_each_of_these_matters():
    """Each of these switched off alone changes the bits; otherwise the tests above would show nothing."""
    variants = [
        {},
        {"augment": None},
        {"shuffle": False},
        {"batch_size": 15},
    ]
    found = [trained("kinds", **arguments) for arguments in variants]
    another = build("kinds", seed=4)
    another.fit(*data(another), batch_size=16, epochs=3, verbose=0, augment=AUGMENT)
    found.append(bits(another))
    without = build("kinds")
    for layer in without.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    without.fit(*data(without), batch_size=16, epochs=3, verbose=0, augment=AUGMENT)
    found.append(bits(without))
    for one, other in itertools.combinations(found, 2):
        assert one != other
