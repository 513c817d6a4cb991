"""Schedules against numbers worked out by hand from Keras's formulas, never against the code's own formula."""

import json
import math
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinycnn import optimizers, schedules
from tinycnn.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseEpochDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
)

EXAMPLES = [
    Constant(0.1),
    InverseTimeDecay(0.1, 10, 0.5, staircase=True),
    ExponentialDecay(0.1, 1000, 0.96),
    PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001]),
    CosineDecay(0.1, 1000, alpha=0.1),
    CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10),
    OneCycle(0.1, 10),
    InverseEpochDecay(0.003, 0.319),
]


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        (Constant(0.1), 12345, 0.1),
        (InverseTimeDecay(0.1, 10, 0.5), 0, 0.1),
        (InverseTimeDecay(0.1, 10, 0.5), 25, 0.1 / 2.25),
        (InverseTimeDecay(0.1, 10, 0.5, staircase=True), 25, 0.05),
        (InverseTimeDecay(0.1, 10, 0.5, staircase=True), 9, 0.1),
        (ExponentialDecay(0.1, 1000, 0.96), 0, 0.1),
        (ExponentialDecay(0.1, 1000, 0.96), 500, 0.09797958971132713),
        (ExponentialDecay(0.1, 1000, 0.96, staircase=True), 2500, 0.09216),
        (ExponentialDecay(0.1, 1000, 0.96, staircase=True), 999, 0.1),
        (CosineDecay(0.1, 1000, alpha=0.1), 0, 0.1),
        (CosineDecay(0.1, 1000, alpha=0.1), 250, 0.08681980515339464),
        (CosineDecay(0.1, 1000, alpha=0.1), 1000, 0.01),
        (CosineDecay(0.1, 1000, alpha=0.1), 5000, 0.01),
        (CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10), 0, 0.01),
        (CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10), 5, 0.06),
        (CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10), 10, 0.11),
        (CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10), 60, 0.055),
        (CosineDecay(0.01, 100, warmup_target=0.11, warmup_steps=10), 110, 0.0),
        (CosineDecay(0.01, 100, warmup_target=0.11), 0, 0.11),
        (OneCycle(0.1, 10), 0, 0.004),
        (OneCycle(0.1, 10), 1, 0.052),
        (OneCycle(0.1, 10), 2, 0.1),
        (OneCycle(0.1, 10), 3, 0.0950484632),
        (OneCycle(0.1, 10), 9, 4e-7),
        (OneCycle(0.1, 10), 10, 4e-7),
    ],
    ids=str,
)
def test_values(schedule: LearningRateSchedule, step: int, rate: float) -> None:
    assert schedule(step) == pytest.approx(rate, rel=1e-9, abs=1e-15)
    assert type(schedule(np.int64(step))) is float


def test_a_boundary_still_has_the_rate_before_it() -> None:
    schedule = PiecewiseConstantDecay([2, 4], [0.3, 0.2, 0.1])
    assert [schedule(step) for step in range(7)] == [0.3, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1]
    assert PiecewiseConstantDecay([], [0.5])(100) == 0.5


def test_the_documented_epoch_schedule() -> None:
    schedule = InverseEpochDecay(0.003, 0.319)
    documented = [0.003, 0.0022744503, 0.0018315018, 0.0015329586, 0.0013181019, 0.0011560694]
    assert [schedule(epoch) for epoch in range(6)] == documented
    assert [schedule(epoch, lr=99.0) for epoch in range(6)] == documented
    assert str(schedule) == "round(0.003 / (1 + 0.319 * epoch), 10), epoch from 0, set at the start of each epoch"


def test_the_epoch_schedule_is_an_inverse_time_staircase_up_to_rounding() -> None:
    by_epoch, by_step = InverseEpochDecay(0.003, 0.319), InverseTimeDecay(0.003, 469, 0.319, staircase=True)
    for step in (0, 468, 469, 937, 938, 19 * 469):
        assert by_step(step) == pytest.approx(by_epoch(step // 469), abs=0.51e-10)


def test_an_optimizer_counts_steps_and_refuses_an_epoch_schedule() -> None:
    assert optimizers.SGD(learning_rate=CosineDecay(0.1, 10)).learning_rate == 0.1
    with pytest.raises(TypeError, match="learning_rate"):
        optimizers.SGD(learning_rate=InverseEpochDecay(0.1, 0.5))


@pytest.mark.parametrize("schedule", EXAMPLES, ids=lambda s: type(s).__name__)
def test_round_trip_through_json(schedule: LearningRateSchedule) -> None:
    description = json.loads(json.dumps(schedules.serialize(schedule)))
    again = schedules.deserialize(description)
    assert again == schedule
    assert type(again) is type(schedule)
    assert [again(t) for t in range(30)] == [schedule(t) for t in range(30)]
    assert type(schedule).from_config(schedule.get_config()) == schedule


def test_the_class_names_and_arguments_are_keras_ones() -> None:
    assert schedules.serialize(CosineDecay(0.1, 1000)) == {
        "class_name": "CosineDecay",
        "config": {
            "initial_learning_rate": 0.1,
            "decay_steps": 1000,
            "alpha": 0.0,
            "warmup_target": None,
            "warmup_steps": 0,
        },
    }
    assert PiecewiseConstantDecay([10], [1, 2]).get_config() == {"boundaries": [10], "values": [1.0, 2.0]}


def test_numpy_arguments_become_plain_ones() -> None:
    schedule = PiecewiseConstantDecay(np.array([10]), np.array([0.5, 0.25], np.float32))
    assert json.dumps(schedule.get_config()) == '{"boundaries": [10], "values": [0.5, 0.25]}'
    assert json.dumps(Constant(np.float32(0.5)).get_config()) == '{"learning_rate": 0.5}'


def test_schedules_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Constant(0.1).learning_rate = 0.2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Constant(-0.1), "learning_rate"),
        (lambda: Constant(math.nan), "learning_rate"),
        (lambda: InverseTimeDecay(-0.1, 10, 0.5), "initial_learning_rate"),
        (lambda: InverseTimeDecay(0.1, 0, 0.5), "decay_steps"),
        (lambda: InverseTimeDecay(0.1, 10, -0.5), "decay_rate"),
        (lambda: ExponentialDecay(0.1, -1, 0.5), "decay_steps"),
        (lambda: ExponentialDecay(0.1, 10, 0), "decay_rate"),
        (lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "values"),
        (lambda: PiecewiseConstantDecay([2, 2], [0.1, 0.2, 0.3]), "boundaries"),
        (lambda: PiecewiseConstantDecay([2], [0.1, -0.2]), r"values\[1\]"),
        (lambda: CosineDecay(0.1, 0), "decay_steps"),
        (lambda: CosineDecay(0.1, 10, alpha=1.5), "alpha"),
        (lambda: CosineDecay(0.1, 10, warmup_steps=5), "warmup_steps"),
        (lambda: CosineDecay(0.1, 10, warmup_target=-1, warmup_steps=5), "warmup_target"),
        (lambda: OneCycle(0.1, 0), "total_steps"),
        (lambda: OneCycle(0.1, 10, pct_start=1.0), "pct_start"),
        (lambda: OneCycle(0.1, 10, pct_start=0.1), "pct_start"),
        (lambda: OneCycle(0.1, 10, div_factor=0), "div_factor"),
        (lambda: OneCycle(0.1, 10, final_div_factor=-1), "final_div_factor"),
        (lambda: InverseEpochDecay(0.003, -0.319), "decay_rate"),
        (lambda: InverseEpochDecay(0.003, 0.319, digits=-1), "digits"),
    ],
)
def test_a_wrong_value_is_named(make, argument: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"^{argument}"):
        make()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Constant("0.1"), "learning_rate"),
        (lambda: InverseTimeDecay(0.1, True, 0.5), "decay_steps"),
        (lambda: ExponentialDecay(0.1, 10, 0.5, staircase="yes"), "staircase"),
        (lambda: PiecewiseConstantDecay([1.5], [0.1, 0.2]), r"boundaries\[0\]"),
        (lambda: OneCycle(0.1, 10.5), "total_steps"),
        (lambda: InverseEpochDecay(0.003, 0.319, digits=2.5), "digits"),
    ],
)
def test_a_wrong_type_is_named(make, argument: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TypeError, match=f"^{argument}"):
        make()


@dataclass(frozen=True)
class Line(LearningRateSchedule):
    """A user's schedule that falls for ever, and so becomes negative."""

    start: float
    slope: float

    def rate(self, step: int) -> float:
        return self.start + self.slope * step


def test_a_users_schedule_is_found_by_its_name() -> None:
    described = schedules.serialize(Line(1.0, -0.1))
    assert schedules.deserialize(described, {"Line": Line}) == Line(1.0, -0.1)
    with pytest.raises(ValueError, match="unknown schedule 'Line'"):
        schedules.deserialize(described)


@pytest.mark.parametrize(
    ("schedule", "step"), [(Line(1.0, -0.25), 5), (Line(1.0, math.nan), 3), (Line(1.0, math.inf), 1)]
)
def test_a_rate_that_makes_no_sense_names_schedule_and_step(schedule: Line, step: int) -> None:
    with pytest.raises(ValueError, match=rf"Line\(start=1.0, .*\bstep {step}\b"):
        schedule(step)


def test_zero_is_a_rate() -> None:
    assert Line(1.0, -0.25)(4) == 0.0


def test_an_overflow_names_schedule_and_step() -> None:
    with pytest.raises(ValueError, match=r"ExponentialDecay\(.*step 4000"):
        ExponentialDecay(0.1, 1, 10.0)(4000)


@pytest.mark.parametrize("time", [-1, math.nan])
def test_time_begins_at_zero(time: float) -> None:
    with pytest.raises(ValueError, match="step must be 0 or more"):
        Constant(0.1)(time)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="epoch must be 0 or more"):
        InverseEpochDecay(0.1, 0.5)(time)  # type: ignore[arg-type]


def test_unknown_class_names_get_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'CosineDecays'.*did you mean 'CosineDecay'"):
        schedules.deserialize({"class_name": "CosineDecays", "config": {}})


def test_the_base_class_is_no_schedule() -> None:
    with pytest.raises(ValueError, match="unknown schedule"):
        schedules.deserialize({"class_name": "LearningRateSchedule", "config": {}})
    with pytest.raises(NotImplementedError, match="LearningRateSchedule must define rate"):
        LearningRateSchedule()(0)


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="your own class CosineDecay"):
        schedules.serialize(type("CosineDecay", (CosineDecay,), {})(0.1, 10))
    assert schedules.deserialize(schedules.serialize(CosineDecay(0.1, 10))) == CosineDecay(0.1, 10)


def test_a_plain_class_describes_itself_as_well() -> None:
    class Plain(LearningRateSchedule):
        def __init__(self, value: float) -> None:
            self.value = value

        def rate(self, step: int) -> float:
            return self.value

    assert Plain(0.1)(0) == 0.1
    again = schedules.deserialize(schedules.serialize(Plain(0.1)), {"Plain": Plain})
    assert again(0) == 0.1


@given(
    rate=st.floats(0, 10),
    target=st.none() | st.floats(0, 10),
    alpha=st.floats(0, 1),
    decay=st.integers(1, 10_000),
    step=st.integers(0, 30_000),
)
def test_cosine_decay_stays_between_its_ends(
    rate: float, target: float | None, alpha: float, decay: int, step: int
) -> None:
    schedule = CosineDecay(rate, decay, alpha, target, 0 if target is None else 100)
    peak = rate if target is None else target
    ends = (rate, peak, alpha * peak)
    assert min(ends) * (1 - 1e-12) <= schedule(step) <= max(ends) * (1 + 1e-12)


@given(rate=st.floats(1e-6, 10), total=st.integers(4, 10_000), step=st.integers(0, 20_000))
def test_one_cycle_stays_between_its_ends(rate: float, total: int, step: int) -> None:
    value = OneCycle(rate, total)(step)
    assert rate / 250_000 * (1 - 1e-9) <= value <= rate * (1 + 1e-12)
