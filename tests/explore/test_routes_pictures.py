"""What the page asks about pictures is answered, also what nobody should ask."""

import io
import json
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tinycnn import Sequential, layers

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

from serving import Client, serving

from tinycnn.explore import routes_pictures
from tinycnn.explore.session import Data, Session

PICTURES = "/api/pictures"


def made(side: int = 28, *first: layers.Layer) -> Session:
    model = Sequential(
        [
            layers.Input((side, side, 1)),
            *first,
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, y = rng.random((60, side, side, 1), np.float32), rng.integers(0, 3, 60)
    return Session(model, Data("drawn", ("a", "b", "<i>c</i>"), x[:20], y[:20], x, y))


@pytest.fixture(scope="module")
def session() -> Session:
    return made()


@pytest.fixture(scope="module")
def client(session: Session) -> Iterator[Client]:
    with serving(session) as found:
        yield found


def stroke(side: int = 280) -> np.ndarray:
    pixels = np.zeros((side, side, 1), np.uint8)
    pixels[30:150, 40:70] = 255
    return pixels


def drawing(centred: int = 1, keep: int = 0, side: int = 280) -> str:
    return f"{PICTURES}/drawing?height={side}&width={side}&channels=1&centred={centred}&keep={keep}"


def complete(client: Client, path: str) -> tuple[dict, dict]:
    """Ask as the page does: until the answer is complete."""
    for attempt in range(100):
        description, arrays = client.arrays(f"{PICTURES}/{path}&again={int(not attempt)}")
        if not description.get("working"):
            return description, arrays
    raise AssertionError("it never ended")


def test_the_page_learns_whether_one_can_draw(client: Client) -> None:
    about = client.json(PICTURES)
    assert about["drawing"] == {"shape": [28, 28, 1], "centring": True, "centred": False}
    assert about["classes"] == ["a", "b", "<i>c</i>"]


def test_a_drawing_is_answered_with_the_bits_of_predict(client: Client, session: Session) -> None:
    for centred in (0, 1):
        description, arrays = client.arrays(drawing(centred, keep=1), stroke().tobytes())
        kept = session.image(description["image"]).pixels
        np.testing.assert_array_equal(np.rint(kept * 255), arrays["after"])
        [expected] = session.model.predict(kept[np.newaxis])
        np.testing.assert_array_equal(arrays["probabilities"], expected)
        assert description["predicted"] == expected.argmax()
        assert ("centred by mass" in description["done"]) == bool(centred)
        assert (arrays["after"] != arrays["before"]).any() == bool(centred)


def test_drawings_are_kept_only_if_that_is_asked_for(client: Client, session: Session) -> None:
    before = len(session._own)
    assert client.arrays(drawing(), stroke().tobytes())[0]["image"] is None
    assert len(session._own) == before


def test_an_empty_drawing_is_answered(client: Client) -> None:
    description, arrays = client.arrays(drawing(), bytes(280 * 280))
    assert description["empty"] is True
    assert description["done"] == ["nothing is drawn: all pixels are alike"]
    assert arrays["probabilities"].sum() == pytest.approx(1)


def test_an_upload_is_kept_under_its_name(client: Client, session: Session) -> None:
    file = io.BytesIO()
    Image.fromarray(stroke()[..., 0]).save(file, "PNG")
    description, _ = client.arrays(f"{PICTURES}/upload?name=%3Cb%3Emine&centred=1", file.getvalue())
    assert session.image(description["image"]).title == "<b>mine"
    assert "centred by mass" in description["done"]
    status, _ = client.ask("/api/trace", {"image": description["image"]})
    assert status == 200


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (drawing(), b"abc", "a drawing of 280 by 280 pixels"),
        (f"{PICTURES}/drawing?height=0&width=9&channels=1", b"", "height must be a whole number from 1 to 1024"),
        (f"{PICTURES}/drawing?width=9&channels=1", b"", "height must be"),
        (f"{PICTURES}/drawing?height=9&width=9&channels=2", bytes(162), "a drawing must have 1 or 3 channels"),
        (f"{PICTURES}/upload", b"", "the file is empty"),
        (f"{PICTURES}/upload", b"hello", "not a picture that can be read"),
        (f"{PICTURES}/worst?by=x", None, "by must be 'loss' or 'sure'"),
        (f"{PICTURES}/worst?count=1000", None, "count must be a whole number from 1 to 100"),
        (f"{PICTURES}/worst?set=other", None, "no set of images 'other'"),
        (f"{PICTURES}/cell?true=3&predicted=0", None, "true must be a whole number from 0 to 2"),
        (f"{PICTURES}/exciting?layer=3&filter=0", None, "layer must be a whole number from 0 to 2"),
        (f"{PICTURES}/exciting?layer=0&filter=4", None, "filter must be a whole number from 0 to 3"),
        (f"{PICTURES}/looking?way=x&image=test-0", None, "way must be one of"),
        (f"{PICTURES}/looking?image=test-0&label=9", None, "label must be a whole number from 0 to 2"),
    ],
)
def test_bad_requests_are_answered_with_a_reason(client: Client, path: str, body: bytes | None, says: str) -> None:
    assert says in client.error(path, body)


def test_an_image_that_is_not_there_is_not_found(client: Client) -> None:
    assert "no image" in client.error(f"{PICTURES}/looking?image=own-99", status=404)


def test_a_large_upload_is_refused_before_it_is_held(client: Client) -> None:
    said = client.error(f"{PICTURES}/upload", bytes(routes_pictures.MOST_UPLOAD + 1), 413)
    assert said == "the file is larger than 20.0 MiB, which is the limit; save the picture smaller"
    assert "limit" in client.error(drawing(side=10), bytes(101), 413)
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        cookie = f"tinycnn-{client.port}={client.token}"
        head = f"POST {PICTURES}/upload HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nCookie: {cookie}\r\n"
        head += f"X-Tinycnn: 1\r\nOrigin: {client.origin}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"100000\r\n" + bytes(2**20) + b"\r\n"
        answer = b""
        try:
            for _ in range(40):  # 40 MB, whose end never comes
                connection.sendall(chunk)
        except OSError:
            pass  # the server has closed the connection
        try:
            answer = connection.recv(1000)
        except OSError:
            return
        assert not answer or b" 413 " in answer


def test_the_worst_images(client: Client, session: Session) -> None:
    description, arrays = complete(client, "worst?by=loss&count=5")
    p = session.model.predict(session.data.x_test)[np.arange(60), session.data.y_test]
    assert [item["image"] for item in description["items"]] == [f"test-{n}" for n in p.argsort()[:5]]
    assert description["items"][0]["loss"] == pytest.approx(-np.log(p.min()), rel=1e-5)
    assert (description["done"], description["total"], description["cut"], description["old"]) == (60, 60, None, False)
    assert arrays["images"].shape == (5, 28, 28, 1)
    description, _ = complete(client, "worst?by=sure&set=train")
    assert all(item["predicted"] != item["true"] for item in description["items"])


def test_the_confusion_table_and_its_cells(client: Client) -> None:
    description, arrays = complete(client, "confusion?set=test")
    assert description["classes"] == ["a", "b", "<i>c</i>"]
    assert arrays["counts"].sum() == 60
    for true, predicted in np.ndindex(3, 3):
        cell, _ = complete(client, f"cell?true={true}&predicted={predicted}&count=100")
        assert len(cell["items"]) == arrays["counts"][true, predicted]


def test_exciting_images(client: Client, session: Session) -> None:
    description, _ = complete(client, "exciting?layer=0&filter=2&count=3")
    y = session.model.trace(session.data.x_test)[0].y[..., 2]
    assert description["items"][0]["value"] == pytest.approx(float(y.max()), rel=1e-6)
    for item in description["items"]:
        row, column, _ = item["at"]
        assert item["field"] == [row, column, 3, 3]
        assert y[int(item["image"].removeprefix("test-")), row, column] == pytest.approx(item["value"])
    flat, _ = complete(client, "exciting?layer=2&filter=1&count=3")
    assert [item["field"] for item in flat["items"]] == [[0, 0, 28, 28]] * 3


@pytest.mark.parametrize("way", ["saliency", "occlusion", "gradcam"])
def test_where_it_looks(client: Client, way: str) -> None:
    description, arrays = client.arrays(f"{PICTURES}/looking?way={way}&image=test-3&label=1")
    assert description["label"] == 1
    assert list(arrays["map"].shape) == description["grid"]


def test_changed_weights_are_said() -> None:
    session = made()
    with serving(session) as client:
        assert complete(client, "worst?by=loss")[0]["old"] is False
        with session.changing_weights() as model:
            model.set_weights([array * 2 for array in model.get_weights()])
        assert client.arrays(f"{PICTURES}/worst?by=loss")[0]["old"] is True
        assert complete(client, "worst?by=loss")[0]["old"] is False


def test_numbers_that_are_not_finite_are_answered() -> None:
    session = made()
    with session.changing_weights() as model:
        model.set_weights([array * np.nan for array in model.get_weights()])
    with serving(session) as client:
        description, arrays = client.arrays(drawing(), stroke().tobytes())
        assert np.isnan(arrays["probabilities"]).all()
        assert description["predicted"] is None  # NumPy's argmax would take NaN for the largest number
        path = f"{PICTURES}/worst?by=loss&count=3"
        while client.ask(path)[0] == 200:
            time.sleep(0.01)
        assert "the network gives NaN for 60 of the first 60 images" in client.error(path)
        assert complete(client, "exciting?layer=0&filter=0")[0]["items"] == []
        assert "NaN" in client.error(f"{PICTURES}/looking?image=test-0")


class Slow(layers.Layer):
    """A layer of a user's own that takes its time."""

    def forward(self, x, *, training=False, step=0, ws=None):  # type: ignore[no-untyped-def]
        time.sleep(0.05)
        return x.copy(), ()

    def backward(self, dy, cache, *, ws=None):  # type: ignore[no-untyped-def]
        return dy.copy()


def test_work_on_many_images_can_be_watched_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycnn.explore.survey.BLOCK", 1)
    monkeypatch.setattr(routes_pictures, "PATIENCE", 0.02)
    with serving(made(12, Slow())) as client:
        description, _ = client.arrays(f"{PICTURES}/exciting?layer=1&filter=0&again=1")
        assert description["working"] is True
        assert description["done"] < description["total"] == 60
        assert client.json(f"{PICTURES}/stop", {}) == {}
        description, _ = complete(client, "exciting?layer=1&filter=0")
        assert json.dumps(description)
        while description.get("working") or description["cut"] is None:
            client.json(f"{PICTURES}/stop", {})
            description, _ = client.arrays(f"{PICTURES}/exciting?layer=1&filter=0")
        assert description["cut"] == "it was stopped"


def test_a_network_for_which_nobody_can_draw() -> None:
    model = Sequential([layers.Input((6, 6, 5)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    with serving(Session(model)) as client:
        about = client.json(PICTURES)
        assert about["drawing"] is None
        assert "1 or 3 channels" in about["reason"]
        assert "1 or 3 channels" in client.error(drawing(), stroke().tobytes())
