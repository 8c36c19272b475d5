"""The schedule during-training: a method shapes the training of the fresh network, and prunes what it made."""

from __future__ import annotations

import pytest

from prunetui.config import parse_study
from prunetui.errors import ConfigError
from prunetui.plan import Train
from tests.plan.test_walk import compared, only, planned, shared, steps, way


def test_the_fresh_network_is_trained_under_the_method_and_pruned_at_the_end() -> None:
    plan = planned("methods = ['acdc']", "sparsities = 0.5")
    trial = only(plan)
    assert trial.schedule == "during-training"
    assert way(plan, trial.after) == ["load", "train 0-4 by acdc", "acdc 0.5", "statistics"]
    assert way(plan, trial.control) == ["load", "train 0-4", "statistics"]
    assert trial.before == trial.after
    shaped, dense = (steps(plan, key, Train)[0] for key in (trial.after, trial.control))
    assert shaped.recipe == dense.recipe
    assert shaped.shaped["value"] == 0.5


def test_it_sees_the_images_that_the_dense_network_sees() -> None:
    plan = planned("methods = ['acdc']", "sparsities = 0.5")
    trial = only(plan)
    trainings = [node.key for key in (trial.after, trial.control) for node in plan.path(key) if node.step.trains]
    assert len({plan.random_stream(key) for key in trainings}) == 1


@pytest.mark.parametrize(("method", "in_common"), [("acdc", 1), ("group-lasso", 2)])
def test_sparsities_share_a_training_that_none_of_them_shapes(method: str, in_common: int) -> None:
    plan = planned(f"methods = [{{ name = '{method}', schedule = 'during-training' }}]", "sparsities = [0.5, 0.8]")
    low, high = compared(plan)
    assert shared(plan, low.after, high.after) == in_common  # the fresh network, and the training


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("'global-unstructured'\nschedule = 'during-training'", r"shapes no training; it can be one-shot, .*at-init"),
        ("'acdc'\nschedule = 'one-shot'", "acdc does not work with the schedule one-shot; it can be during-training"),
        ("'rigl'\nschedule = 'during-training'", "does not work with the schedule during-training"),
    ],
)
def test_methods_that_cannot_are_refused(table: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_study(f"[[methods]]\nname = {table}")


def test_it_needs_a_training() -> None:
    with pytest.raises(ConfigError, match=r"\[train\] needs epochs"):
        parse_study("methods = ['acdc']\ntrain.epochs = 0")
