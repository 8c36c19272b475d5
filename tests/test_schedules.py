"""Through which levels a schedule prunes, on literal numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunetui.config import Iterative, OneShot
from prunetui.schedules import levels, schedule_name

VALUES = (0.5, 0.7, 0.9)


def test_one_shot_prunes_once():
    assert levels(OneShot(), 0.9, VALUES) == (0.9,)


def test_iterative_passes_through_the_values_of_the_study_up_to_its_own():
    assert levels(Iterative(), 0.5, VALUES) == (0.5,)
    assert levels(Iterative(), 0.7, VALUES) == (0.5, 0.7)
    assert levels(Iterative(), 0.9, (0.9, 0.5, 0.7)) == (0.5, 0.7, 0.9)


@pytest.mark.parametrize(
    ("steps", "value", "expected"),
    [
        (1, 0.8, (0.8,)),
        (2, 0.8, (0.4, 0.8)),
        (4, 0.8, (0.2, 0.4, 0.6, 0.8)),
        (3, 0.9, (0.3, 0.6, 0.9)),
        (3, 0.03, (0.01, 0.02, 0.03)),
    ],
)
def test_linear_steps_remove_equal_amounts(steps: int, value: float, expected: tuple[float, ...]):
    assert levels(Iterative(steps=steps), value, VALUES) == expected


@pytest.mark.parametrize(
    ("steps", "value", "expected"),
    [
        (1, 0.8, (0.8,)),
        (2, 0.75, (0.5, 0.75)),  # half of what is left, twice
        (3, 0.875, (0.5, 0.75, 0.875)),
        (2, 0.19, (0.1, 0.19)),
    ],
)
def test_geometric_steps_remove_equal_fractions_of_what_is_left(steps: int, value: float, expected: tuple[float, ...]):
    assert levels(Iterative(steps=steps, spacing="geometric"), value, VALUES) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 50), st.floats(0.01, 0.999), st.sampled_from(["linear", "geometric"]))
def test_levels_rise_to_exactly_the_value_asked_for(steps: int, value: float, spacing: str):
    found = levels(Iterative(steps=steps, spacing=spacing), value, VALUES)
    assert len(found) == steps
    assert found[-1] == value
    assert all(0 < low < high for low, high in pairwise(found))


def test_a_schedule_is_named_by_what_sets_it_apart():
    assert schedule_name(OneShot()) == "one-shot"
    assert schedule_name(Iterative()) == "iterative"
    assert schedule_name(Iterative(steps=5)) == "iterative-linear-5"
    assert schedule_name(Iterative(steps=5, spacing="geometric")) == "iterative-geometric-5"
