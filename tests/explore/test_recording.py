"""A recording holds the engine's bits, and what its page computes besides is compared with them."""

import numpy as np
import pytest
from recordings import NETWORKS, Swapped, held_in, network, opened, put_into, recording_of, session_of

from tinycnn import Sequential, layers, losses, models, set_seed
from tinycnn.activations import ReLU
from tinycnn.explore import recording
from tinycnn.explore.session import Data, Session
from tinycnn.regularizers import L2

#: What the page may be off by, relative to the largest number of an array.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def traced(session: Session, image: int, mode: str = "prediction"):
    """Return the engine's pass of a test image."""
    x, y = session.data.x_test[image : image + 1], session.data.y_test[image : image + 1]
    return session.model.trace(x.astype(session.model.dtype), y, training=mode == "training")


@pytest.mark.parametrize("name", NETWORKS)
def test_recorded_passes_are_the_engines_to_the_bit(name, tmp_path):
    session = session_of(NETWORKS[name]())
    path = recording_of(session, tmp_path)
    layer_calls = [("layer", 1, n) for n in range(len(session.model.layers))]
    first_layer = ("layer", 2, 0)
    cases = [("trace", f"test-{image}", None, "prediction") for image in (0, 2)]
    found = opened(path, cases[0], *layer_calls, cases[1], first_layer)
    assert found["refusals"] == {"values": "", "gradients": ""}
    first, *held, third, recomputed = (item["result"] for item in found["results"])
    assert first["description"]["remark"] == "Recorded from the engine, to the bit."
    for pass_, image in ((first, 0), (third, 2)):
        _, arrays = session.trace(f"test-{image}")
        assert set(pass_["arrays"]) == set(arrays)
        for key, array in arrays.items():
            assert pass_["arrays"][key].tobytes() == array.tobytes(), key
            assert pass_["arrays"][key].shape == array.shape, key
    for number, entry in enumerate(traced(session, 0)):
        expected = entry.parameters | entry.buffers | {f"d_{key}": value for key, value in entry.gradients.items()}
        assert set(held[number]) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(held[number][key], array)
    assert third["description"]["remark"].endswith("The gradients of its parameters are recomputed in this browser.")
    gradient = traced(session, 2)[0].gradients["kernel"]
    close(recomputed["d_kernel"], gradient, TOLERANCE[session.model.dtype])


@pytest.mark.parametrize("name", NETWORKS)
def test_other_passes_are_computed_by_the_page(name, tmp_path):
    session = session_of(NETWORKS[name]())
    path = recording_of(session, tmp_path)
    layer_calls = [("layer", 1, n) for n in range(len(session.model.layers))]
    found = opened(path, ("trace", "test-7", None, "prediction"), *layer_calls)
    assert found["check"]["result"] <= 0.1 * 1e-5  # far from being refused
    pass_, *held = (item["result"] for item in found["results"])
    assert pass_["description"]["remark"].startswith("Recomputed in this browser")
    tolerance = TOLERANCE[session.model.dtype]
    trace = traced(session, 7)
    assert pass_["description"]["loss"] == pytest.approx(trace.loss, rel=10 * tolerance)
    for number, entry in enumerate(trace):
        close(pass_["arrays"][f"{number}.y"], entry.y[0], tolerance)
        close(pass_["arrays"][f"{number}.dx"], entry.dx[0], tolerance)
        for key, array in entry.gradients.items():
            close(held[number][f"d_{key}"], array, tolerance)


def close(found, expected, tolerance):
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * tolerance * np.abs(expected).max())


ONE_OUTPUT = {
    "sigmoid": ("sigmoid", losses.BinaryCrossentropy(), [0, 1] * 10),
    "logit": ("linear", losses.BinaryCrossentropy(from_logits=True), [0, 1] * 10),
    "regression": ("linear", losses.MeanSquaredError(), np.linspace(-2, 9.3, 20)),
}


def with_one_output(name):
    """Return a session of a network with one output, and the targets of its test images."""
    activation, loss, targets = ONE_OUTPUT[name]
    model = Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1, activation)])
    model.compile("sgd", loss)
    x = np.random.default_rng(2).integers(0, 256, (20, 8, 8, 1)).astype(np.float32) / np.float32(255)
    return Session(model, Data("drawn", ("no", "yes"), x, np.array(targets), x, np.array(targets)))


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_networks_with_one_output_have_the_engines_losses_and_gradients(name, tmp_path):
    set_seed(2)
    session = with_one_output(name)
    path = recording_of(session, tmp_path)
    cases = [("trace", f"test-{image}", None, "prediction") for image in (1, 7, 12)]
    found = opened(path, *cases)
    assert found["refusals"] == {"values": "", "gradients": ""}
    assert found["check"]["result"] <= 0.1 * 1e-5
    for (_, image, *_), item in zip(cases, found["results"], strict=True):
        pass_, (description, arrays) = item["result"], session.trace(image)
        assert pass_["description"]["label"] == pass_["description"]["true"] == description["true"]
        assert float(pass_["description"]["loss"]) == pytest.approx(float(description["loss"]), rel=1e-4)
        close(pass_["arrays"]["0.dx"], arrays["0.dx"], 1e-5)


@pytest.mark.parametrize("bias", [-0.25, 0.25])
def test_one_logit_names_the_class_of_its_probability(bias, tmp_path):
    """Without a label, the loss is that of the most probable class, as with the engine."""
    session = with_one_output("logit")
    weights = session.model.get_weights()
    session.model.set_weights([*(0 * weight for weight in weights[:-1]), np.array([bias], np.float32)])
    session.data.y_test[:] = 0
    path = recording_of(session, tmp_path)
    description, arrays = held_in(path)
    description["labels"][9] = None  # as that of an image that was drawn
    put_into(path, description, arrays)
    (item,) = opened(path, ("trace", "test-9", None, "prediction"))["results"]
    assert item["result"]["description"]["label"] == int(bias > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.names())
def test_every_documented_network_is_far_from_being_refused(name, tmp_path):
    set_seed(2)
    found = opened(recording_of(session_of(models.build(name), classes=tuple("abcdefghij")), tmp_path))
    assert found["refusals"] == {"values": "", "gradients": ""}
    assert found["check"]["result"] <= 0.2 * 1e-5


def test_another_class_is_computed_and_another_weight_is_refused(tmp_path):
    session = session_of(network())
    path = recording_of(session, tmp_path)
    description, arrays = held_in(path)
    label = (description["labels"][0] + 1) % 4
    (other,) = opened(path, ("trace", "test-0", label, "prediction"))["results"]
    assert other["result"]["description"]["label"] == label
    assert other["result"]["description"]["remark"].startswith("Recomputed")
    changed = arrays["weights/2.kernel"].copy()
    changed[1, 1, 2, 3] += 0.001 * np.abs(changed).max()
    put_into(path, description, arrays | {"weights/2.kernel": changed})
    error = opened(path)["check"]["error"]
    assert "This recording is refused. In layer 2, conv2d_1, z" in error
    assert "the limit is 0.00001" in error


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("pass1/4.y", "In layer 4, flatten, y as this browser computes it for test-1"),
        ("pass0/2.dy", "In layer 3, max_pooling2d_1, dx"),
        ("gradients0/5.d_kernel", "In layer 5, dense, d_kernel"),
        ("pass2/5.dy", "In layer 5, dense, dy"),
        ("pass0/0.dx", "In layer 0, conv2d, dx"),
    ],
)
def test_any_recorded_array_that_was_changed_is_refused(key, text, tmp_path):
    path = recording_of(session_of(network()), tmp_path)
    description, arrays = held_in(path)
    key = next((first for name, (first, _) in description["copies"].items() if name == key), key)
    changed = arrays[key].copy()
    changed.flat[changed.size // 2] += 0.001 * (np.abs(changed).max() or 1)
    put_into(path, description, arrays | {key: changed})
    assert text in opened(path)["check"]["error"]


def test_a_missing_number_is_refused(tmp_path):
    """A comparison with NaN is false, whichever way it is written down."""
    path = recording_of(session_of(network()), tmp_path)
    description, arrays = held_in(path)
    changed = arrays["weights/0.bias"].copy()
    changed[3] = np.nan
    put_into(path, description, arrays | {"weights/0.bias": changed})
    assert "In layer 0, conv2d, z" in opened(path)["check"]["error"]


def test_as_in_training_there_is_what_was_recorded(tmp_path):
    session = session_of(NETWORKS["batch normalization"]())
    path = recording_of(session, tmp_path)
    cases = [("trace", f"test-{image}", None, "training") for image in (0, 1, 9)]
    there, recorded, computed = (item["result"] for item in opened(path, *cases)["results"])
    assert there["description"]["mode"] == "training"
    assert there["description"]["batch"] == 20 + 1
    assert there["description"]["remark"] == "Recorded from the engine, to the bit."
    _, arrays = session.trace("test-0", mode="training")
    for key, array in arrays.items():
        assert there["arrays"][key].tobytes() == array.tobytes(), key
    for pass_ in (recorded, computed):
        assert pass_["description"]["mode"] == "prediction"
        remark = "A pass as in training was only recorded for test-0; this is the pass as in prediction."
        assert remark in pass_["description"]["remark"]


def test_without_layers_that_differ_training_is_prediction(tmp_path):
    path = recording_of(session_of(network()), tmp_path)
    cases = [("trace", f"test-{image}", None, "training") for image in (1, 9)]
    for item in opened(path, *cases)["results"]:
        assert item["result"]["description"]["mode"] == "training"


def test_of_a_network_with_a_layer_of_ones_own_there_is_what_was_recorded(tmp_path):
    session = session_of(network(1, Swapped()))
    path = recording_of(session, tmp_path)
    found = opened(
        path,
        ("describe",),
        ("trace", "test-1", None, "prediction"),
        ("trace", "test-5", None, "prediction"),
        ("drawing", "/api/pictures", []),
    )
    why = "only Python can compute the layer swapped, because it is a class of your own"
    assert found["refusals"] == {"values": why, "gradients": why}
    described, there, missing, drawing = found["results"]
    assert described["result"]["sets"] == {"test": 3}
    _, arrays = session.trace("test-1")
    for key, array in arrays.items():
        assert there["result"]["arrays"][key].tobytes() == array.tobytes(), key
    assert f"Only test-0, test-1, test-2 were recorded, each for its own class: {why}" in missing["error"]
    assert "result" in drawing


class Steep(ReLU):
    """An activation of a user's own."""


class Lasso(L2):
    """A penalty of a user's own."""


def test_other_classes_of_ones_own_are_named(tmp_path):
    steep = network(1, layers.Activation(Steep()))
    assert opened(recording_of(session_of(steep), tmp_path))["refusals"]["values"] == (
        "only Python can compute the layer activation, because its activation is a class of your own"
    )
    lasso = network(1, layers.Conv2D(3, 1, kernel_regularizer=Lasso()))
    found = opened(recording_of(session_of(lasso), tmp_path))
    assert found["refusals"] == {
        "values": "",
        "gradients": "only Python can compute the penalty on the weights of conv2d_1",
    }
    assert found["check"]["result"] < 1e-5


class Mine(losses.MeanSquaredError):
    """A loss of a user's own."""

    name = "mine"


def test_of_a_loss_of_ones_own_there_are_values_without_gradients(tmp_path):
    session = session_of(network(loss=Mine()))
    path = recording_of(session, tmp_path)
    cases = [("trace", f"test-{image}", None, "prediction") for image in (0, 9)]
    found = opened(path, *cases)
    assert found["refusals"]["values"] == ""
    there, computed = (item["result"] for item in found["results"])
    assert "5.dy" in there["arrays"]
    assert "5.y" in computed["arrays"]
    assert "5.dy" not in computed["arrays"]
    assert "Gradients were only recorded for test-0, test-1, test-2" in computed["description"]["remark"]


@pytest.mark.filterwarnings("ignore:x holds numbers up to 255")
@pytest.mark.parametrize("scale", [1 / 255, 1, 0.01])
def test_images_are_the_engines_whether_bytes_can_hold_them_or_not(scale, tmp_path):
    session = session_of(network(3))
    images = np.random.default_rng(1).integers(0, 256, session.data.x_test.shape).astype(np.float32)
    images = images / np.float32(255) if scale == 1 / 255 else images * np.float32(scale)
    session.data = session.data._replace(x_test=images)
    path = recording_of(session, tmp_path)
    is_bytes = held_in(path)[1]["images/images"].dtype == np.uint8
    assert is_bytes == (scale != 0.01)
    (item,) = opened(path, ("image", "test-11"))["results"]
    assert item["result"]["x"].tobytes() == images[11].tobytes()


def test_images_that_are_not_there_are_named(tmp_path):
    path = recording_of(session_of(network()), tmp_path, images=5)
    for image in ("test-5", "train-0", "own-1", "test--1", "test-1e0", "__proto__"):
        (item,) = opened(path, ("image", image))["results"]
        assert item["error"] == f"Error: image {image} is not in this recording; test-0 to test-4 are"


def test_a_drawing_is_reduced_by_means_and_followed(tmp_path):
    session = session_of(network())
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (12, 12))
    pixels = np.kron(cells, np.ones((3, 3), int)).ravel().tolist()
    path = recording_of(session, tmp_path)
    query = "/api/pictures/drawing?height=36&width=36&channels=1&centred=0&keep=1"
    about, drawn, followed, missing = opened(
        path,
        ("drawing", "/api/pictures", []),
        ("drawing", query, pixels),
        ("trace", "own-1", None, "prediction"),
        ("drawing", "/api/pictures/worst", []),
    )["results"]
    assert "result" in about
    p = session.model.predict((cells[np.newaxis, :, :, np.newaxis] / 255).astype(np.float32))[0]
    np.testing.assert_allclose(drawn["result"]["arrays"]["probabilities"], p, atol=1e-6)
    np.testing.assert_array_equal(drawn["result"]["arrays"]["after"][..., 0], cells)
    assert drawn["result"]["description"]["predicted"] == p.argmax()
    assert drawn["result"]["description"]["image"] == "own-1"
    np.testing.assert_allclose(followed["result"]["arrays"]["5.y"], p, atol=1e-6)
    assert missing["result"] is None  # recorded.js says then that this needs the engine


def test_a_session_without_images_cannot_be_recorded(tmp_path):
    with pytest.raises(ValueError, match="needs images; name a data set"):
        recording.write_recording(Session(network()), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
