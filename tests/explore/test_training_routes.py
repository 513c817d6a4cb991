"""Commands of a training by HTTP, and its events as a stream that may be left and taken up again."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tinycnn import Sequential, layers

pytest.importorskip("starlette", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")

from serving import Client, Served, served_training

from tinycnn.explore import routes_training
from tinycnn.explore.session import Data, Session
from tinycnn.explore.training import Training

PATH = "/api/training"
HOSTILE = "<img src=x onerror=alert(1)> data: {}"


@pytest.fixture
def served() -> Iterator[Served]:
    rng = np.random.default_rng(0)
    x, y = rng.random((64, 6, 6, 1), np.float32), rng.integers(0, 3, 64)
    model = Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, activation="relu", name=HOSTILE),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    with served_training(Session(model, Data("noise", ("a", "b", "c"), x, y, x, y))) as found:
        yield found


@pytest.fixture
def training(served: Served) -> Training:
    return served.training


@pytest.fixture
def client(served: Served) -> Client:
    return served.client


@contextmanager
def listening(client: Client, query: str = "", **headers: str) -> Iterator[Iterator[tuple[int, str, Any]]]:
    """Give the events of the stream as (number, kind, content)."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    given = {"cookie": f"tinycnn-{client.port}={client.token}", "x-tinycnn": "1"} | headers
    connection.request("GET", f"{PATH}/events{query}", headers=given)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")

    def events() -> Iterator[tuple[int, str, Any]]:
        fields: dict[str, str] = {}
        while line := answer.readline():
            text = line.decode().rstrip("\n")
            if not text and fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}
            elif text and not text.startswith(":"):
                name, _, value = text.partition(": ")
                assert name not in fields
                fields[name] = value

    try:
        yield events()
    finally:
        connection.close()


def test_a_training_by_http(client: Client, training: Training) -> None:
    assert client.json(PATH)["lanes"] == {}
    client.json(PATH, {"do": "begin", "batch_size": 16, "rate": 0.01})
    client.json(PATH, {"do": "step"})
    assert training.wait(60)
    client.json(PATH, {"do": "rate", "rate": 0.02})
    client.json(PATH, {"do": "fork", "change": "scale", "value": 2})
    client.json(PATH, {"do": "start"})
    client.json(PATH, {"do": "pause"})
    assert training.wait(60)
    state = client.json(PATH)
    assert state["lanes"].keys() == {"main", "fork"}
    assert state["lanes"]["main"]["rates"] == [[0, 0.01], [1, 0.02]]
    assert state["lanes"]["main"]["norms"][0][0] == HOSTILE
    client.json(PATH, {"do": "rewind", "step": 0})
    client.json(PATH, {"do": "drop"})
    assert training.wait(60)
    assert client.json(PATH)["lanes"]["main"]["step"] == 0
    client.json(PATH, {"do": "stop"})
    assert client.json(PATH)["lanes"] == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "do must be one of begin, start"),
        ({"do": "explode"}, 'got "explode"'),
        ({"do": ["start"]}, "do must be one of"),
        ({"do": "start", "step": 1}, "start has no argument"),
        ({"do": "rewind"}, "step is missing"),
        ({"do": "rewind", "step": "1"}, "step must be an integer"),
        ({"do": "rewind", "step": 10**400}, "step must be at most"),
        ({"do": "rewind", "step": 5}, "step must be at most 0"),
        ({"do": "rate", "rate": "NaN"}, "rate must be a number"),
        ({"do": "rate", "rate": 1, "lane": "other"}, "lane must be one of"),
        ({"do": "fork", "change": "rate"}, "value is missing"),
        ({"do": "fork", "change": {"a": 1}, "value": 1}, "change must be one of"),
        ({"do": "begin", "self": 1}, "begin has no argument"),
        ({"do": "begin", "batch_size": -1}, "batch_size must be at least 1"),
        (b"[1]", "must be a JSON object"),
        (b"{", "must be JSON"),
        (b'{"do": "rate", "rate": NaN}', "must be JSON|rate must be"),
    ],
)
def test_wrong_commands_are_answered_in_words(client: Client, training: Training, body: Any, message: str) -> None:
    training.begin(batch_size=16)
    assert training.wait(60)
    before = training.state()
    answer = client.error(PATH, body)
    assert any(part in answer for part in message.split("|")), answer
    assert training.state() == before


def test_a_command_before_the_training_begins(client: Client) -> None:
    assert "no training yet" in client.error(PATH, {"do": "start"})


def test_every_event_comes_once_and_in_order_to_everybody(client: Client, training: Training) -> None:
    training.begin(batch_size=16)
    assert training.wait(60)
    number = client.json(PATH)["sequence"]
    with listening(client, f"?after={number}") as first, listening(client, f"?after={number}") as second:
        for _ in range(3):
            training.step()
            assert training.wait(60)
        wanted = [(event.number, event.kind) for event in training.events.after(number) or []]
        for events in (first, second):
            assert [next(events)[:2] for _ in wanted] == wanted
    with listening(client, **{"last-event-id": str(wanted[-2][0])}) as events:  # as a browser that comes back
        assert next(events)[:2] == wanted[-1]


def test_who_was_away_too_long_gets_the_whole_state(client: Client, training: Training) -> None:
    training.begin(batch_size=16)
    assert training.wait(60)
    for query in ("", "?after=0", "?after=99999"):  # the first one has to ask for it, the last one knows another server
        for _ in range(200):
            training.events.tell("nothing")
        with listening(client, query) as events:
            number, kind, content = next(events)
            assert (number, kind) == (training.events.last, "state")
            assert content == json.loads(json.dumps(training.state()))


def test_a_new_training_comes_as_a_state(client: Client, training: Training) -> None:
    with listening(client, "?after=0") as events:
        training.begin(batch_size=16)
        kinds = [next(events)[1]]
        assert "state" in kinds


def test_a_browser_that_leaves_stops_nothing(client: Client, training: Training) -> None:
    training.begin(batch_size=16)
    training.start()
    for _ in range(3):
        with listening(client) as events:
            next(events)
    before = training.state()["lanes"]["main"]["step"]
    until = time.monotonic() + 30
    while training.state()["lanes"]["main"]["step"] < before + 50 and time.monotonic() < until:
        time.sleep(0.01)
    assert training.state()["lanes"]["main"]["status"] == "running"
    assert training.state()["lanes"]["main"]["step"] >= before + 50


def test_streams_end_with_the_training(client: Client, training: Training) -> None:
    training.begin(batch_size=16)
    training.start()
    with listening(client) as events:
        next(events)
        begun = time.monotonic()
        training.close()
        list(events)
        assert time.monotonic() - begun < 5


def test_a_wrong_number_is_refused(client: Client) -> None:
    for number in ("x", "-1", "1e3", ""):
        assert "after must be a whole number" in client.error(f"{PATH}/events?after={number}")


def test_a_silent_stream_says_that_it_is_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_training, "SILENCE_SECONDS", 0.1)
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    headers = {"cookie": f"tinycnn-{client.port}={client.token}", "x-tinycnn": "1"}
    connection.request("GET", f"{PATH}/events?after=0", headers=headers)
    assert connection.getresponse().readline() == b": still here\n"
    connection.close()
