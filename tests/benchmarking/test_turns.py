"""Benchmarks whose sides are processes: they take turns, and their figures are of what they did."""

from __future__ import annotations

import os
import time
from functools import partial

import pytest

from benchmarks._turns import Work, in_turns


def sleeper(milliseconds: int) -> Work:
    def work() -> float:
        time.sleep(milliseconds / 1000)
        return 10

    return work


def test_the_ratio_is_of_what_is_done_a_second() -> None:
    result = in_turns("x", partial(sleeper, 20), partial(sleeper, 60), "naps/s", rounds=3)
    assert result["ratio"] == pytest.approx(3, rel=0.5)  # sleeps are late on a busy machine
    assert result["ours"] < 10 / 0.02
    assert set(result) == {"name", "ours", "peer", "ratio", "spread", "unit", "memory", "peer_memory"}


def test_one_round_has_no_spread() -> None:
    assert "spread" not in in_turns("x", partial(sleeper, 1), partial(sleeper, 1), "naps/s", rounds=1)


def turns_of_a_setting() -> Work:
    setting = float(os.environ.get("PRUNETUI_TEST_SETTING", "1"))
    return lambda: (time.sleep(0.02), setting)[1]


def test_only_our_side_starts_with_the_environment_of_a_run() -> None:
    sides = (turns_of_a_setting, turns_of_a_setting)
    result = in_turns("x", *sides, "naps/s", rounds=3, environment={"PRUNETUI_TEST_SETTING": "100"})
    assert 30 < result["ratio"] < 300
    assert "PRUNETUI_TEST_SETTING" not in os.environ
