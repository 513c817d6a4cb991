"""The short forms of ``make soak``; see ``tests/soak``."""

import json
import re

import pytest
from helpers import has

if not has("signal.SIGKILL"):
    pytest.skip("this system has no signal.SIGKILL, with which processes are ended", allow_module_level=True)
from soak.__main__ import PARTS, RESULTS

PAGE = RESULTS.parents[1] / "docs" / "reliability.md"


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


def test_the_page_tells_what_the_record_says():
    [page] = re.findall(r"^The record so far.*?\n\n", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [name] = re.findall(r"benchmarks/results/(\S+\.json)", page)
    record = json.loads((RESULTS / name).read_text())
    assert record.keys() == PARTS.keys()
    assert all(part["as_promised"] for part in record.values())
    kills, ctrl_c, steps, models = (record[name] for name in ("kills", "ctrl_c", "steps", "models"))
    told = [
        f"{kills['runs']} runs were killed {kills['signals']} times",
        f"{kills['went on within an epoch']} times within an epoch",
        f"{ctrl_c['runs']} runs were stopped by {ctrl_c['signals']} Ctrl-C",
        f"{models['models']} models left {models['memory_growth']:.2%} more",
        f"{record['threads']['threads']} threads",
        f"after {steps['steps']:,} steps memory had grown by {steps['memory_growth']:.1%}",
        f"took {steps['slower']:.1%} longer",
    ]
    page = page.replace(" %", "%").replace("\n", " ")
    assert [figure for figure in told if figure not in page] == []
