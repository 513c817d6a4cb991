"""A classifier that was trained on a GPU can be pickled, and goes on without one."""

import pickle

import numpy as np
import pytest
from cuda_backend import needs_cuda

pytest.importorskip("sklearn.base", reason='needs pip install -e ".[sklearn]"')

from tinycnn import Sequential, layers
from tinycnn.sklearn import CNNClassifier

pytestmark = [pytest.mark.cuda, needs_cuda]


def network(input_shape, classes):
    return Sequential(
        [
            layers.Conv2D(2, 2, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def test_a_pickle_of_a_network_on_a_device():
    rng = np.random.default_rng(0)
    x, y = rng.random((6, 4, 4, 1), np.float32), np.array(["a", "b", "c"] * 2)
    trained = CNNClassifier(network, epochs=1, batch_size=6, random_state=0, backend="cuda").fit(x, y)
    assert trained.model_.backend.name == "cuda"
    loaded = pickle.loads(pickle.dumps(trained))  # noqa: S301
    assert {layer.backend.name for layer in loaded.model_.layers} == {loaded.model_.backend.name} == {"cpu"}
    np.testing.assert_allclose(loaded.predict_proba(x), trained.predict_proba(x), atol=1e-5)
    loaded.set_params(backend=None).partial_fit(x, y)
    assert trained.model_.layers[0].backend.name == "cuda"
