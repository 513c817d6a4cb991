"""Training in cases that are easily forgotten: two fits at once, odd batches, tiny images, more threads than images.

``test_kernels_threads`` has the case of a process that was forked after the kernels had run.
"""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from layers_of_threads import LAYERS, on_layer

import tinycnn
from tinycnn import Sequential, layers, optimizers
from tinycnn.kernels import cpu, reference
from tinycnn.kernels.geometry import Window
from tinycnn.network import compiling

ROOT = Path(__file__).parents[2]


def make(seed=1, shape=(9, 8, 2), dtype="float32", optimizer="adam"):
    """Return a model with one of every kind of layer for which the cpu backend has a fast path."""
    tinycnn.set_seed(seed)
    model = Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2, padding="same"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(9, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ],
        dtype=dtype,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def data(n, shape=(9, 8, 2), seed=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)), rng.integers(0, 3, n)


def digest(model):
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


# Two at once ----------------------------------------------------------------------------------------------------


def fit_at_once(seeds, epochs=3):
    """Return the weights after fits that run at the same time, one for each seed, each in its own Python thread."""
    models = [make(seed) for seed in seeds]
    start, errors = threading.Barrier(len(seeds)), []

    def work(model, seed):
        try:
            start.wait(30)
            model.fit(*data(70, seed=seed), batch_size=16, epochs=epochs, verbose=0, validation_data=data(20))
        except Exception as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=pair) for pair in zip(models, seeds, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert not errors
    return [digest(model) for model in models]


def fit_at_once_and_alone():
    """Return whether fits at the same time give what they give one by one; this runs in a process of its own."""
    return fit_at_once((1, 2)) == [*fit_at_once((1,)), *fit_at_once((2,))]


def run_python(code, **environment):
    search = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    variables = {**os.environ, "PYTHONPATH": search, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("layer", LAYERS)
def test_two_fits_at_once_are_two_fits_alone(layer):
    """Numba's workqueue would end the process if two Python threads entered it at the same time."""
    code = "import test_hard_cases as t; print(t.fit_at_once_and_alone())"
    assert run_python(code, **on_layer(layer)) == "True"


def test_a_model_that_is_asked_by_several_threads_at_once():
    """Calls at the same time do not share memory."""
    model = make()
    batches = [data(n)[0] for n in (3, 40, 300, 7)]
    expected = [model.predict(x) for x in batches]
    wrong = []

    def ask(x, answer):
        for _ in range(10):
            if not np.array_equal(model.predict(x), answer):
                wrong.append(len(x))

    workers = [threading.Thread(target=ask, args=pair) for pair in zip(batches, expected, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert wrong == []


def test_the_first_calls_of_a_model_from_several_threads(monkeypatch):
    """The first call makes the model's plan, and making it takes a while."""

    def slowly(*given, **named):
        time.sleep(0.2)
        return fused(*given, **named)

    fused = compiling.fused
    model, answers = make(), []
    monkeypatch.setattr(compiling, "fused", slowly)
    workers = [threading.Thread(target=lambda: answers.append(model.predict(data(3)[0]))) for _ in range(3)]
    for worker in workers:
        worker.start()
        time.sleep(0.05)
    for worker in workers:
        worker.join(300)
    assert len(answers) == 3


# Sizes ----------------------------------------------------------------------------------------------------------


def assert_backends_agree(n, batch_size, shape):
    """Raise unless the backends agree, in float64 and by plain descent, so that rounding stays small."""
    x, y = data(n, shape)
    trained, losses = [], []
    for backend in ("cpu", "reference"):
        with tinycnn.use_backend(backend):
            model = make(shape=shape, dtype="float64", optimizer=optimizers.SGD(0.05))
        history = model.fit(x, y, batch_size=batch_size, epochs=2, verbose=0, validation_data=(x, y))
        assert model.optimizer.iterations == 2 * -(-n // batch_size)
        trained.append(model.weights())
        losses.append(history.history["val_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-9)
    for key, expected in trained[1].items():
        np.testing.assert_allclose(trained[0][key], expected, rtol=1e-7, atol=1e-9, err_msg=key)


@pytest.mark.parametrize(
    ("n", "batch_size"),
    [(5, 1), (21, 7), (23, 7), (22, 7), (23, 16), (23, 23), (23, 64), (1, 1), (1, 32)],
)
def test_batches_of_any_size_and_a_last_one_that_is_not_full(n, batch_size):
    assert_backends_agree(n, batch_size, (9, 8, 2))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (1, 7, 2), (6, 1, 1), (2, 2, 3)])
def test_images_of_hardly_any_pixels(shape):
    assert_backends_agree(11, 4, shape)


@pytest.mark.parametrize("pads", [(0, 1, 0, 0), (0, 0, 0, 1), (0, 1, 0, 1), (1, 0, 1, 0)])
@pytest.mark.parametrize("channels", [1, 5, 33])
def test_the_commonest_pooling_over_the_edge_of_the_image(channels, pads):
    """Windows of 2×2 lie side by side on odd sizes, so with ``padding="same"`` the last ones reach over the edge."""
    x = -1 - np.random.default_rng(0).random((3, 9, 7, channels))  # whatever lies beyond the edge is larger
    arguments = (2, 2), (2, 2), pads
    for result, expected in zip(
        cpu.max_pool2d_forward(x, *arguments), reference.max_pool2d_forward(x, *arguments), strict=True
    ):
        np.testing.assert_array_equal(result, expected)
    kernel = np.eye(channels)[None, None]
    stage = Window((1, 1), (1, 1), (0, 0, 0, 0)), 1, "auto", False, Window(*arguments)
    y, argmax = cpu.fused.conv2d_stage_forward(x, kernel, None, *stage)
    np.testing.assert_array_equal(argmax, reference.max_pool2d_forward(x, *arguments)[1])
    np.testing.assert_array_equal(y, reference.max_pool2d_forward(x, *arguments)[0])


# Threads --------------------------------------------------------------------------------------------------------


def digest_of_few_images():
    """Return digests of weights after batches of two images, one image, and images of one pixel."""
    models = []
    for n, batch_size, shape in ((5, 2, (9, 8, 2)), (2, 1, (9, 8, 2)), (3, 2, (1, 1, 1))):
        models.append(make(shape=shape))
        models[-1].fit(*data(n, shape), batch_size=batch_size, epochs=2, verbose=0)
    return [digest(model) for model in models]


def test_more_threads_than_images():
    code = "import numba, test_hard_cases as t; print(numba.get_num_threads(), *t.digest_of_few_images())"
    results = {count: run_python(code, NUMBA_NUM_THREADS=str(count)).split() for count in (1, 2, 13)}
    assert [int(result[0]) for result in results.values()] == [1, 2, 13]
    assert len({tuple(result[1:]) for result in results.values()}) == 1
