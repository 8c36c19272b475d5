"""What people ask of a run, and how its process obeys."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from prunetui.errors import Skipped
from prunetui.execute import run_control
from prunetui.execute.run_control import RunControl
from prunetui.store import Run
from prunetui.store.control import Control, Wishes


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(Run(tmp_path))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def should_stop(control: Control, told: list[str], monkeypatch: pytest.MonkeyPatch) -> RunControl:
    """One that looks every time it is asked."""
    monkeypatch.setattr(run_control, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(run_control, "PAUSE_SECONDS", 0.01)
    return RunControl(lambda: False, control, told.append)


# Wishes -----------------------------------------------------------------------------------------------


def test_nothing_is_asked_at_first(control: Control) -> None:
    assert control.read() == Wishes()
    assert control.changed() == 0.0


def test_a_wish_keeps_the_others(control: Control) -> None:
    control.ask(pause=True)
    control.skip("t1")
    control.skip("t2")
    assert control.skip("t1") == Wishes(pause=True, skip=("t1", "t2"))
    assert control.ask(pause=False, stop=True) == control.read() == Wishes(stop=True, skip=("t1", "t2"))


def test_cleared_wishes_are_none(control: Control) -> None:
    control.ask(stop=True)
    control.clear()
    control.clear()
    assert control.read() == Wishes()


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"7", b"null", b'{"skip": 3}', b"\xff", b'{"stop"'])
def test_a_file_that_is_none_asks_for_nothing_and_is_replaced(control: Control, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "control.json").write_bytes(text)
    assert control.read() == Wishes()
    assert control.ask(pause=True) == control.read() == Wishes(pause=True)


def test_wishes_of_a_newer_version_are_passed_over(control: Control, tmp_path: Path) -> None:
    (tmp_path / "control.json").write_text('{"pause": true, "sing": "loudly"}')
    assert control.read() == Wishes(pause=True)


# Between batches ---------------------------------------------------------------------------------------


def test_it_goes_on_while_nothing_is_asked(should_stop: RunControl) -> None:
    assert (should_stop(), should_stop.between_steps()) == (False, False)


def test_stop_is_obeyed_at_once(should_stop: RunControl, control: Control) -> None:
    control.ask(stop=True)
    assert (should_stop(), should_stop.between_steps()) == (True, True)


def test_a_signal_is_obeyed_as_well(control: Control) -> None:
    assert RunControl(lambda: True, control, print)() is True


def test_stop_after_step_only_between_steps(should_stop: RunControl, control: Control) -> None:
    control.ask(stop_after_step=True)
    assert should_stop() is False
    assert should_stop.between_steps() is True


def test_only_the_trial_that_is_left_out_is_skipped(should_stop: RunControl, control: Control) -> None:
    control.skip("t1")
    should_stop.trial = "t2"
    assert should_stop() is False
    should_stop.trial = "t1"
    with pytest.raises(Skipped, match="t1 was left out by hand"):
        should_stop()
    with pytest.raises(Skipped):
        should_stop.between_steps()


def test_pause_waits_until_it_is_taken_back(should_stop: RunControl, control: Control, told: list[str]) -> None:
    control.ask(pause=True)
    threading.Timer(0.2, lambda: control.ask(pause=False)).start()
    began = time.monotonic()
    assert should_stop() is False
    assert time.monotonic() - began >= 0.19
    assert told == ["paused", "resumed"]


@pytest.mark.parametrize("wish", ["stop", "stop_after_step"])
def test_a_paused_run_can_be_stopped(should_stop: RunControl, control: Control, told: list[str], wish: str) -> None:
    control.ask(pause=True)
    threading.Timer(0.1, lambda: control.ask(**{wish: True})).start()
    assert should_stop.between_steps() is True
    assert told == ["paused", "resumed"]


def test_a_paused_trial_can_be_skipped(should_stop: RunControl, control: Control) -> None:
    should_stop.trial = "t1"
    control.ask(pause=True)
    threading.Timer(0.1, lambda: control.skip("t1")).start()
    with pytest.raises(Skipped):
        should_stop()


def test_a_signal_ends_a_pause(control: Control, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_control, "PAUSE_SECONDS", 0.01)
    answers = iter([False, False, True, True])
    control.ask(pause=True)
    assert RunControl(lambda: next(answers), control, told.append)() is True


def test_the_file_is_looked_at_a_few_times_a_second_only(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(Control, "changed", lambda self: looks.append(1) or 0.0)
    asked = RunControl(lambda: False, control, print)
    for _ in range(1000):
        asked()
    assert len(looks) == 1


def test_a_wish_that_came_within_the_same_moment_is_seen(
    should_stop: RunControl, control: Control, tmp_path: Path
) -> None:
    control.ask(pause=False)
    assert should_stop() is False
    control.ask(stop=True)
    os.utime(tmp_path / "control.json", (1e9, 1e9))
    assert should_stop() is True
