"""Short forms of ``make soak``, see ``tests/soak``."""

import pytest
from soak.__main__ import PARTS


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_in_short(name):
    run, as_promised = PARTS[name]
    found = run(True)
    assert as_promised(found), found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kills", {"different": [3], "errors": []}),
        ("kills", {"different": [], "errors": ["exit code 1"]}),
        ("steps", {"memory_growth": 0.03, "slower": 0.0}),
        ("steps", {"memory_growth": 0.0, "slower": 0.9}),
        ("models", {"error": "exit code 1"}),
        ("threads", {"wrong": ["fit 1"], "hung": 0}),
        ("threads", {"wrong": [], "hung": 1}),
        ("children", {"fork": "told to spawn", "spawn": "wrong"}),
    ],
)
def test_what_is_not_as_promised_is_seen(name, found):
    assert not PARTS[name][1](found)
