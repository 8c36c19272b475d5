"""Events as lines: what is written comes back, and nothing that stands in a file can break a reader."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunetui.events import (
    KINDS,
    EpochFinished,
    Event,
    Log,
    Planned,
    ProcessDied,
    Progress,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TrialFinished,
    from_json,
    to_json,
)

EXAMPLES = [
    RunStarted("20260101-000000-lab-abc123", "cuda:0", resumed=True, time=1.5),
    Planned(trials=31, done=2, steps=64, work=123_456_789_012),
    StepStarted("0f", "Train", "train 20 epochs", "l1-structured-0.5-s0", work=1000),
    Progress("0f", 128, 1000, 1, 20, 4321.5, loss=2.3, lr=0.1),
    EpochFinished("0f", 1, 20, 2.25, 31.5),
    StepFinished("0f", "Measure", 0.25, cached=True, work=360, result={"top1": 91.25, "top5": None}),
    ProcessDied("l1-structured-0.5-s0", "abc", "prune l1-structured", "SIGSEGV", -11, "Segmentation fault"),
    TrialFinished("l1-structured-0.5-s0", "done", {"trial": "l1-structured-0.5-s0", "seed": 0, "top1": 90.5}),
    Log("warning", "two\nlines, ünïcödé and \u2028"),
    RunFinished("interrupted", "stopped between two steps"),
]


def strict(line: str) -> Any:
    """JSON without the NaN and Infinity that Python would accept."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_there_is_an_example_of_every_kind():
    assert {type(event) for event in EXAMPLES} == set(KINDS.values())


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_event_comes_back_from_its_line(event: Event):
    line = to_json(event)
    assert "\n" not in line
    assert strict(line)["event"] == event.kind
    assert from_json(line) == event
    assert from_json(line.encode()) == event


def test_the_line_is_plain_for_other_programs():
    assert to_json(RunFinished("done", time=2.0)) == '{"event":"run_finished","time":2.0,"state":"done","message":""}'


def test_a_number_that_is_none_becomes_null():
    event = EpochFinished("0f", 1, 2, loss=math.nan, accuracy=math.inf)
    assert strict(to_json(event)) == {
        "event": "epoch_finished", "time": 0.0, "key": "0f", "epoch": 1, "epochs": 2, "loss": None, "accuracy": None,
    }  # fmt: skip
    row = {"loss": math.nan, "deep": [{"x": -math.inf}, 1.0, (math.nan,)]}
    assert strict(to_json(TrialFinished("t", "done", row)))["row"] == {"loss": None, "deep": [{"x": None}, 1.0, [None]]}


def test_a_line_of_a_later_version_is_read_without_its_new_fields():
    line = '{"event": "log", "level": "info", "message": "hello", "colour": "red"}'
    assert from_json(line) == Log("info", "hello")


def test_a_line_of_an_earlier_version_lacks_fields_that_have_defaults():
    line = '{"event":"progress","key":"0f","done":1,"total":2,"epoch":1,"epochs":1,"images_per_second":3.0}'
    assert from_json(line) == Progress("0f", 1, 2, 1, 1, 3.0, loss=None, lr=None)
    assert from_json('{"event": "run_finished", "state": "done"}') == RunFinished("done", "")


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "[]", "null", "1", '"log"', "{}", "\x00", b"\xff\xfe",
        '{"event": "coffee"}', '{"event": "event"}', '{"event": ["log"]}', '{"event": {}}', '{"event": null}',
        '{"event": "log"}', '{"event": "log", "level": "info"}',
        '{"event": "log", "level": "info", "message": "half a li',
        "1" * 10_000, "[" * 200_000,
    ],
    ids=lambda line: repr(line[:40]),
)  # fmt: skip
def test_a_line_that_is_no_event_is_none(line: str | bytes):
    assert from_json(line) is None


def test_a_name_that_is_not_unicode_can_be_told():
    """A file name of undecodable bytes reaches Python as lone surrogates, which no UTF-8 file can hold."""
    line = to_json(Log("warning", b"skipped caf\xe9.png".decode(errors="surrogateescape"))).encode()
    told = from_json(line)
    assert isinstance(told, Log)
    assert told.message.startswith("skipped caf")


FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True)
@given(st.text(), st.text(), st.floats(0, 1e10))
def test_any_text_comes_back(level: str, message: str, time: float):
    event = Log(level, message, time=time)
    assert from_json(to_json(event)) == event
    assert len(to_json(event).encode().splitlines()) == 1


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_any_row_comes_back(row: dict[str, Any]):
    event = TrialFinished("t", "done", row)
    assert from_json(to_json(event)) == event


@settings(deadline=None, derandomize=True)
@given(st.floats(), st.integers(), st.floats() | st.none())
def test_any_number_is_strict_json(rate: float, done: int, loss: float | None):
    plain = strict(to_json(Progress("0f", done, 1, 1, 1, rate, loss)))
    assert plain["images_per_second"] == (rate if math.isfinite(rate) else None)
    assert plain["loss"] == (loss if loss is not None and math.isfinite(loss) else None)
    assert plain["done"] == done


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=60) | st.text(max_size=60) | PLAIN.map(json.dumps))
def test_any_line_is_an_event_or_none(line: str | bytes):
    assert from_json(line) is None


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.sampled_from(["key", "level", "message", "state"]), PLAIN))
def test_any_object_of_a_known_kind_is_that_event_or_none(kind: str, fields: dict[str, Any]):
    event = from_json(json.dumps({"event": kind, **fields}))
    assert event is None or type(event) is KINDS[kind]
