"""Regression: errors of numbers that a reader takes apart by eye."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prunetui.api import Accumulator, TrialError
from prunetui.tasks.regression import Regression

TARGETS = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
FOUND = torch.tensor([[2.0, 10.0], [3.0, 13.0]])


def figures(task: Regression, *batches: tuple[Tensor, Tensor]) -> dict[str, float]:
    total = Accumulator()
    for found, targets in batches:
        task.metrics(lambda inputs: inputs, (found, targets), total)
    return dict(task.figures(total))


def test_figures_add_up_over_batches_and_numbers_that_never_vary_have_no_r2() -> None:
    whole = figures(Regression(), (FOUND, TARGETS))
    parted = figures(Regression(), (FOUND[:1], TARGETS[:1]), (FOUND[1:], TARGETS[1:]))
    assert whole == pytest.approx(parted)
    # Errors 1, 0, 0, 3. Of the first number: squares 1 against a spread of 1 + 1.
    assert whole == pytest.approx({"mae": 1.0, "rmse": (10 / 4) ** 0.5, "r2": 1 - 1 / 2})


def test_r2_of_a_constant_is_none_and_the_mean_has_zero() -> None:
    constant = torch.full((3, 1), 0.1)
    assert figures(Regression(), (constant, constant))["r2"] == 0.0
    targets = torch.tensor([[1.0], [2.0], [3.0]])
    assert figures(Regression(), (torch.full((3, 1), 2.0), targets))["r2"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("kind", "expected"), [("mse", 10 / 4), ("mae", 4 / 4), ("huber", (0.5 + 2.5) / 4)]
)  # fmt: skip
def test_the_loss_is_what_the_option_says(kind: Any, expected: float) -> None:
    task = Regression(loss=kind)
    assert float(task.loss(lambda inputs: inputs, (FOUND, TARGETS))) == pytest.approx(expected)
    taught = FOUND - 2  # all off by 2: squares of 4, sizes of 2, Huber's 1.5
    apart = {"mse": 4.0, "mae": 2.0, "huber": 1.5}[kind]
    assert float(task.imitation(torch.tensor(8.0), FOUND, taught, 0.25, 4.0)) == pytest.approx(6 + 0.25 * apart)


@pytest.mark.parametrize(("given", "wanted"), [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2, 3), (4, 2, 3)), ((4,), (4,))])
def test_dimensions_of_one_at_the_end_may_be_missing(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    targets = torch.arange(4 * 6).double()[: torch.Size(wanted).numel()].reshape(wanted)
    found = figures(Regression(), ((targets + 2).reshape(given), targets))
    assert (found["rmse"], found["mae"]) == (2.0, 2.0)


@pytest.mark.parametrize(("given", "wanted"), [((4, 2), (4,)), ((4, 2, 3), (4, 3, 2)), ((4, 1, 2), (4, 2))])
def test_other_shapes_are_told_and_never_spread(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(TrialError, match="for regression both have one shape"):
        Regression().loss(lambda inputs: inputs, (torch.zeros(given), torch.zeros(wanted)))


def test_training_shows_the_root_of_the_mean_squared_error() -> None:
    task, total = Regression(), Accumulator()
    task.training_metrics(lambda inputs: inputs, (FOUND, TARGETS), total)
    assert task.figures(total) == {"rmse": pytest.approx((10 / 4) ** 0.5)}


def test_outputs_are_checked_before_anything_is_trained() -> None:
    task = Regression(outputs=6)
    assert task.outputs == 6
    assert task.check_outputs(torch.zeros(2, 2, 3), 2, 6) == ""
    assert Regression().check_outputs(torch.zeros(2), 2, 1) == ""
    assert "gives [2, 5] of 2 examples, and regression is for 6 numbers" in task.check_outputs(torch.zeros(2, 5), 2, 6)
    assert "option outputs" in task.check_outputs(torch.zeros(3, 6), 2, 6)
