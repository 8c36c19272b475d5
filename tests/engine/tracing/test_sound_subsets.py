"""Failing items are found with few tests, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import pytest

from prunetui.engine.tracing.sound_subsets import failing_alone, separating_subsets, smallest_failing


def failing_with(*bad: set[int]) -> tuple[Callable[[Sequence[int]], str | None], list[Sequence[int]]]:
    """A test that fails for what contains one of these sets, and what it was asked."""
    asked: list[Sequence[int]] = []

    def fails(items: Sequence[int]) -> str | None:
        asked.append(items)
        return next((f"contains {sorted(of)}" for of in bad if of <= set(items)), None)

    return fails, asked


def test_what_holds_at_once_needs_one_test() -> None:
    fails, asked = failing_with()
    assert failing_alone(range(100), fails) == []
    assert len(asked) == 1
    assert failing_alone([], fails) == []


def test_every_item_that_fails_alone_is_found() -> None:
    fails, asked = failing_with({3}, {64})
    assert failing_alone(range(100), fails) == [(3, "contains [3]"), (64, "contains [64]")]
    assert len(asked) < 30


def test_items_that_fail_only_together_do_not_fail_alone() -> None:
    fails, _ = failing_with({3, 64})
    assert failing_alone(range(100), fails) == []


@pytest.mark.parametrize("bad", [{5}, {0, 99}, {10, 11, 12}, {0, 1}])
def test_the_smallest_failing_part_is_what_fails(bad: set[int]) -> None:
    fails, asked = failing_with(bad)
    assert set(smallest_failing(range(100), fails)) == bad
    assert len(asked) < 40


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 33])
def test_any_two_items_are_told_apart_both_ways(count: int) -> None:
    subsets = [set(subset) for subset in separating_subsets(range(count))]
    for one, other in combinations(range(count), 2):
        assert any(one in subset and other not in subset for subset in subsets)
        assert any(other in subset and one not in subset for subset in subsets)
    assert len(subsets) <= 12
