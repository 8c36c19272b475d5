"""Benchmarks whose sides are processes: they take turns, and their figures are of what they did."""

from __future__ import annotations

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
