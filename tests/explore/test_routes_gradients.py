"""Derivatives are measured, and a learner's kernels compared, for the page that asks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tinycnn import Sequential, layers, set_seed

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

from serving import Client, serving

from tinycnn.explore.mine import KernelFile
from tinycnn.explore.session import Data, Session


class Doubled(layers.Layer):
    """A layer whose backward is wrong by a factor."""

    def forward(self, x, *, training=False, step=0, ws=None):
        return x * x, x

    def backward(self, dy, cache, *, ws=None):
        return dy * cache


def session(mine: KernelFile | None = None) -> Session:
    set_seed(2)
    model = Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="tanh"),
            Doubled(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 8, 8, 1), np.float32), rng.integers(0, 3, 12)
    return Session(model, Data("drawn", ("a", "b", "c"), x, y, x, y), mine)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(session()) as found:
        yield found


@pytest.mark.parametrize(
    ("array", "index", "verdict"),
    [("3.kernel", [5, 1], "agrees"), ("1.y", [2, 3, 1], "agrees"), ("x", [3, 3, 0], "wrong"), ("0.bias", [1], "wrong")],
)
def test_a_slope_is_measured_beside_the_gradient(client: Client, array: str, index: list[int], verdict: str) -> None:
    """What lies after the wrong layer is right, and what lies before it is not."""
    description, arrays = client.arrays("/api/trace", {"image": "test-1"})
    found = client.json("/api/slope", {"trace": description["trace"], "array": array, "index": index})
    assert found["verdict"] == verdict
    if array == "1.y":
        assert found["analytic"] == pytest.approx(float(arrays["1.dy"][tuple(index)]))


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"array": "9.y"}, 404, "no layer 9|no array"),
        ({"array": "nothing"}, 404, "no array"),
        ({"array": 3}, 400, "array must be"),
        ({"index": [99, 0, 0]}, 400, "99"),
        ({"index": [1]}, 400, "index"),
        ({"index": ["a", 0, 0]}, 400, "index"),
        ({"index": None}, 400, "index"),
        ({"trace": 12345}, 404, "choose the image again"),
        ({"trace": None}, 400, "trace"),
    ],
)
def test_what_cannot_be_measured_is_named(client: Client, change: dict, status: int, says: str) -> None:
    trace = client.arrays("/api/trace", {"image": "test-0"})[0]["trace"]
    message = client.error("/api/slope", {"trace": trace, "array": "x", "index": [0, 0, 0]} | change, status)
    assert any(part in message for part in says.split("|")), message


def test_a_wrong_layer_turns_red_and_no_other(client: Client) -> None:
    trace = client.arrays("/api/trace", {"image": "test-0"})[0]["trace"]
    found = [client.json(f"/api/trace/{trace}/layer/{n}/check")["ok"] for n in range(4)]
    assert found == [True, False, True, True]
    assert "no layer 4" in client.error(f"/api/trace/{trace}/layer/4/check", status=404)


WRONG = "def tanh_forward(x):\n    import numpy as np\n    return np.tanh(x) + x.dtype.type(0.25)\n"
RIGHT = "def tanh_forward(x):\n    import numpy as np\n    return np.tanh(x)\n"
BROKEN = "def tanh_forward(x):\n    return 1 / 0\n"


def test_kernels_of_a_learner_are_compared_and_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(WRONG)
    made = session(KernelFile(path))
    weights = made.model.get_weights()
    with serving(made) as client:
        assert client.json("/api/network")["kernels"] == "mine.py"
        assert client.json("/api/kernels") == {"file": "mine.py", "kernels": ["tanh_forward"], "changed": False}
        asked = {"do": "compare", "image": "test-0", "mode": "training"}
        entries = {entry["name"]: entry for entry in client.json("/api/kernels", asked)["entries"]}
        assert not entries["conv2d"]["forward"]["equal"]
        assert entries["conv2d"]["forward"]["first_wrong"] == [0, 0, 0, 0]
        assert entries["dense"]["equal"]
        # The pass that is shown is the learner's.
        _, arrays = client.arrays("/api/trace", {"image": "test-0"})
        np.testing.assert_allclose(arrays["0.y"], np.tanh(arrays["0.z"]) + 0.25, rtol=1e-5)

        path.write_text(BROKEN)
        assert client.json("/api/kernels")["changed"]
        client.json("/api/kernels", {"do": "reload"})
        entry = client.json("/api/kernels", asked)["entries"][0]
        assert "division by zero" in entry["forward"]["error"]
        assert entry["forward"]["place"]["line"] == 2

        path.write_text("def tanh_forward(x:\n")
        assert "mine.py" in client.error("/api/kernels", {"do": "reload"})
        path.write_text(RIGHT)
        client.json("/api/kernels", {"do": "reload"})
        assert all(entry["equal"] for entry in client.json("/api/kernels", asked)["entries"])
    for before, after in zip(weights, made.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("return names", "NameError"),
        ("return {}['k']", "KeyError"),
        ("assert False", "AssertionError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("x[...] = 0", "read-only"),
    ],
)
def test_an_error_in_a_kernel_is_told_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def tanh_forward(x):\n    {line}\n")
    with serving(session(KernelFile(path))) as client:
        message = client.error("/api/trace", {"image": "test-0"})
    assert says in message
    assert f"mine.py, line 2: {line}" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_has_diverged_can_be_looked_at(value: float) -> None:
    """This is when somebody wants to see where it began."""
    made = session()
    with made.changing_weights() as model:
        model.layers[3].params["kernel"].value[0, 0] = value
    with serving(made) as client, np.errstate(all="ignore"):
        description, arrays = client.arrays("/api/trace", {"image": "test-0"})
    assert description["loss"] == "NaN"
    assert np.isnan(arrays["3.y"]).any()
    assert np.isfinite(arrays["2.y"]).all()


def test_without_a_file_there_are_no_kernels_to_compare(client: Client) -> None:
    assert client.json("/api/kernels") == {"file": None, "kernels": [], "changed": False}
    assert "--kernels mine.py" in client.error("/api/kernels", {"do": "reload"})
    assert "--kernels mine.py" in client.error("/api/kernels", {"do": "compare", "image": "test-0"})
    assert "the body must be" in client.error("/api/kernels", {"do": "other"})
