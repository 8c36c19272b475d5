"""Through which levels a schedule prunes, on literal numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunetui.config import AtInit, Iterative, OneShot
from prunetui.config.schedule import SCHEDULES, DuringTraining, Dynamic, Gradual, LotteryTicket, LrRewinding
from prunetui.plan.schedules import Again, levels, prune_epochs, rewinding, rounds, schedule_name, shares_path

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


@pytest.mark.parametrize("schedule", [Iterative, LotteryTicket, LrRewinding])
def test_explicit_levels_are_passed_on_the_way_and_those_above_the_value_are_not(schedule: type[Iterative]):
    given_levels = schedule(levels=[0.2, 0.4, 0.8])
    assert levels(given_levels, 0.6, VALUES) == (0.2, 0.4, 0.6)
    assert levels(given_levels, 0.8, VALUES) == (0.2, 0.4, 0.8)
    assert levels(given_levels, 0.1, VALUES) == (0.1,)


@pytest.mark.parametrize("schedule", [AtInit(), Dynamic(), DuringTraining()])
def test_what_is_pruned_before_or_by_a_training_is_pruned_once(schedule: AtInit | Dynamic | DuringTraining):
    assert levels(schedule, 0.9, VALUES) == (0.9,)


# Gradual ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "value", "expected"),
    [
        (2, 0.8, (0.7, 0.8)),  # 0.8 (1 - 1/8)
        (4, 0.64, (0.37, 0.56, 0.63, 0.64)),  # 0.64 (1 - 27/64), (1 - 8/64), (1 - 1/64)
        (5, 0.5, (0.244, 0.392, 0.468, 0.496, 0.5)),  # 0.5 (1 - 0.512), (1 - 0.216), (1 - 0.064), (1 - 0.008)
    ],
)
def test_gradual_removes_much_at_first_and_little_at_last(steps: int, value: float, expected: tuple[float, ...]):
    """value (1 - (1 - i / n)^3)."""
    assert levels(Gradual(steps=steps), value, VALUES, epochs=10) == pytest.approx(expected, abs=1e-9)


def test_without_a_number_of_steps_gradual_prunes_at_every_epoch_until_its_time_is_up():
    assert prune_epochs(Gradual(), 8) == (0, 1, 2, 3, 4, 5)  # 0.75 of them
    assert prune_epochs(Gradual(until=0.5), 8) == (0, 1, 2, 3)
    assert prune_epochs(Gradual(until=1.0), 3) == (0, 1, 2)
    assert levels(Gradual(until=0.5), 0.64, VALUES, epochs=8) == pytest.approx((0.37, 0.56, 0.63, 0.64))


@pytest.mark.parametrize(
    ("steps", "until", "epochs", "expected"),
    [
        (2, 0.75, 8, (0, 3)),
        (3, 0.75, 8, (0, 2, 4)),
        (4, 0.75, 8, (0, 1, 3, 4)),
        (4, 1.0, 8, (0, 2, 4, 6)),
        (6, 0.5, 8, (0, 1, 2, 3, 4, 5)),  # more than fit into the first half: over as many epochs as it takes
        (8, 0.1, 8, (0, 1, 2, 3, 4, 5, 6, 7)),
        (2, 0.01, 2, (0, 1)),
    ],
)
def test_a_number_of_gradual_steps_spreads_evenly(steps: int, until: float, epochs: int, expected: tuple[int, ...]):
    assert prune_epochs(Gradual(steps=steps, until=until), epochs) == expected


@given(st.integers(2, 40), st.floats(0.01, 1), st.integers(0, 39))
def test_gradual_begins_at_once_and_prunes_at_most_once_an_epoch(steps: int, until: float, more: int):
    epochs = steps + more
    found = prune_epochs(Gradual(steps=steps, until=until), epochs)
    assert (len(found), found[0]) == (steps, 0)
    assert all(low < high for low, high in pairwise(found))
    assert found[-1] < max(round(until * epochs), steps)


# Rewinding --------------------------------------------------------------------------------------------


def test_a_lottery_ticket_rewinds_weights_and_learning_rates_the_other_only_these():
    assert rewinding(LotteryTicket(), 15) == Again(1, weights=True)
    assert rewinding(LotteryTicket(epoch=0), 15) == Again(0, weights=True)
    assert rewinding(LrRewinding(), 15) == Again(7, weights=False)  # the middle
    assert rewinding(LrRewinding(epoch=12), 15) == Again(12, weights=False)
    assert rewinding(Iterative(), 15) is rewinding(OneShot(), 15) is rewinding(Gradual(), 15) is None


def test_a_lottery_ticket_takes_at_most_a_fifth_of_what_remains_a_round():
    """0.8 and 0.64 remain after two rounds; at halves one leads to 0.5, and two by the square root of 0.4 to 0.2."""
    assert rounds(LotteryTicket(), (0.2, 0.488)) == pytest.approx((0.2, 0.36, 0.488))
    assert rounds(LotteryTicket(), (0.1, 0.15)) == pytest.approx((0.1, 0.15))
    assert rounds(LotteryTicket(rate=0.5), (0.8, 0.5)) == pytest.approx((0.5, 1 - 0.5 * 0.4**0.5, 0.8))
    assert rounds(LotteryTicket(rate=1.0), (0.5, 0.9)) == rounds(Iterative(), (0.5, 0.9)) == (0.5, 0.9)
    assert rounds(LotteryTicket(), (0.0,)) == (0.0,)


# What all have in common ------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [Iterative, LotteryTicket, LrRewinding])
def test_values_lie_on_one_path_unless_each_has_levels_of_its_own(schedule: type[Iterative]):
    assert shares_path(schedule())
    assert shares_path(schedule(levels=[0.5]))
    assert not shares_path(schedule(steps=3))
    assert not any(shares_path(other) for other in (OneShot(), Gradual(), AtInit(), Dynamic(), DuringTraining()))


def test_every_schedule_is_listed_under_its_own_name():
    assert {name: kind().name for name, kind in SCHEDULES.items()} == {name: name for name in SCHEDULES}
    assert list(SCHEDULES) == [
        "one-shot", "iterative", "gradual", "lottery-ticket", "lr-rewinding", "at-init", "dynamic",
        "during-training", "dense-sparse-dense",
    ]  # fmt: skip


def test_a_schedule_is_named_by_what_sets_it_apart():
    assert schedule_name(OneShot()) == "one-shot"
    assert schedule_name(Iterative()) == "iterative"
    assert schedule_name(Iterative(steps=5)) == "iterative-linear-5"
    assert schedule_name(Iterative(steps=5, spacing="geometric")) == "iterative-geometric-5"
    assert schedule_name(Iterative(levels=[0.5, 0.9])) == "iterative-2-levels"
    assert schedule_name(LotteryTicket()) == "lottery-ticket"
    assert schedule_name(LotteryTicket(steps=5, spacing="geometric")) == "lottery-ticket-geometric-5"
    assert schedule_name(LrRewinding(steps=1)) == "lr-rewinding-linear-1"
    assert schedule_name(Gradual()) == "gradual"
    assert schedule_name(Gradual(steps=8)) == "gradual-8"
    assert schedule_name(AtInit()) == "at-init"
    assert schedule_name(Dynamic()) == "dynamic"
    assert schedule_name(DuringTraining()) == "during-training"
