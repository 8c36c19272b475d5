"""Segmentation: loss and figures of masks that a reader counts by eye."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from prunetui.api import Accumulator, Evaluation, TrialError
from prunetui.tasks.segmentation import Segmentation

FOUND = torch.tensor([[[0, 0, 1], [2, 1, 1]]])
"""The guesses for one image of 2 x 3 pixels."""
MASKS = torch.tensor([[[0, 1, 1], [2, 255, 1]]])


def surely(guesses: Tensor, classes: int = 3, sure: float = 100.0) -> Tensor:
    """Logits [B, classes, H, W] of a network that is sure of its guesses."""
    return sure * torch.nn.functional.one_hot(guesses, classes).movedim(-1, 1).float()


def figures(outputs: Any, *batches: Tensor, **options: Any) -> dict[str, float]:
    task, total = Segmentation(**options), Accumulator()
    for masks in batches:
        task.metrics(lambda images: outputs, (None, masks), total)
    return dict(task.figures(total))


def test_overlaps_are_of_classes_that_are_there_or_found_and_pixels_without_a_class_count_nowhere() -> None:
    # Class 0: 1 of 2 found, 1 there: 1/2. Class 1: 2 found, 3 there, 2 both: 2/3. Class 2: 1/1. Class 3: nowhere.
    found = figures(surely(FOUND, classes=4), MASKS)
    assert found["miou"] == pytest.approx(100 * (1 / 2 + 2 / 3 + 1) / 3)
    assert found["pixel_accuracy"] == pytest.approx(100 * 4 / 5)


def test_pixels_add_up_over_batches() -> None:
    other = torch.full((1, 2, 3), 2)  # of which one is found
    both = figures(surely(FOUND), MASKS, other)
    # Class 0: 1 of 4 found; class 1: 2 of 5 found and 1 missed; class 2: 2 of 7 there.
    assert both["miou"] == pytest.approx(100 * (1 / 4 + 2 / 6 + 2 / 7) / 3)
    assert both["pixel_accuracy"] == pytest.approx(100 * 5 / 11)


def test_a_split_without_any_known_pixel_has_no_figures_and_a_batch_of_a_training_has_none_yet() -> None:
    unknown = torch.full((1, 2, 3), 255)
    assert figures(surely(FOUND), unknown) == {}
    source = SimpleNamespace(batches=lambda split, size: iter([(torch.zeros(1, 1, 2, 3), unknown)]))
    evaluation = Evaluation(source, "test", 1, False, False, lambda: False)  # type: ignore[arg-type]
    with pytest.raises(TrialError, match=r"no pixel .* all are the task's ignore_index, 255, so there is no mIoU"):
        Segmentation().evaluate(lambda images: surely(FOUND), evaluation)


def test_logits_of_another_size_are_resized_and_are_found_by_name() -> None:
    coarse = surely(torch.tensor([[[0, 1]]]))  # 1 x 2 pixels for 2 x 4
    masks = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    for outputs in (coarse, {"out": coarse, "aux": -coarse}, {"logits": coarse}):
        assert figures(outputs, masks) == {"miou": 100.0, "pixel_accuracy": 100.0}


def loss(outputs: Any, masks: Tensor, **options: Any) -> float:
    return float(Segmentation(**options).loss(lambda images: outputs, (None, masks)))


def test_cross_entropy_is_the_mean_over_known_pixels() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1] = torch.tensor([0.0, math.log(3), 7.0])  # shares of class 1: 1/2, 3/4, and what is not known
    masks = torch.tensor([[[1, 1, 255]]])
    assert loss(logits, masks) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert loss(logits, masks.byte()) == loss(logits, masks)
    assert loss(logits, torch.full_like(masks, 255)) == 0.0
    smoothed = Segmentation().training_loss(lambda images: logits, (None, masks), 0.5)
    # Half the target is spread evenly: -ln of 1/2 and 1/2, and of 3/4 (weight 3/4) and 1/4 (weight 1/4).
    assert float(smoothed) == pytest.approx((math.log(2) + 0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / 2)


def test_the_dice_loss_of_shares_by_hand() -> None:
    logits, masks = torch.zeros(1, 2, 1, 3), torch.tensor([[[1, 1, 255]]])  # shares of 1/2
    # Class 0: 2 * 0 + 1 over 1 + 0 + 1. Class 1: 2 * 1 + 1 over 1 + 2 + 1.
    assert loss(logits, masks, loss="dice") == pytest.approx(1 - (1 / 2 + 3 / 4) / 2)
    assert loss(logits, masks, loss="both") == pytest.approx(math.log(2) + 1 - (1 / 2 + 3 / 4) / 2)
    assert loss(surely(masks % 255, 2), masks, loss="dice") == pytest.approx(0, abs=1e-6)


def test_the_auxiliary_head_has_its_part_in_the_loss() -> None:
    masks = torch.tensor([[[1, 1]]])
    outputs = {"out": surely(masks, 2), "aux": torch.zeros(1, 2, 1, 2)}
    assert loss(outputs, masks) == pytest.approx(0.5 * math.log(2))
    assert loss(outputs, masks, auxiliary=0.0) == pytest.approx(0)


def test_imitation_is_of_every_pixel() -> None:
    ours, theirs = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    theirs[0, 1, 0, 0] = math.log(3)  # 3/4 against 1/2 at one of two pixels
    apart = (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)) / 2
    found = Segmentation().imitation(torch.tensor(2.0), {"out": ours}, theirs, 0.25, 1.0)
    assert float(found) == pytest.approx(0.75 * 2 + 0.25 * apart)


@pytest.mark.parametrize(
    ("outputs", "masks", "words"),
    [
        (torch.zeros(1, 3), MASKS, r"gives \[1, 3\] for masks \[1, 2, 3\]"),
        (torch.zeros(1, 3, 2, 3), MASKS[:, None], r"masks are \[1, 1, 2, 3\] of int64"),
        (torch.zeros(1, 3, 2, 3), MASKS.float(), r"masks are \[1, 2, 3\] of float32"),
        (torch.zeros(1, 2, 2, 3), MASKS, "a mask holds 2, and the network tells 2 classes apart.*here 255"),
    ],
)
def test_what_does_not_fit_is_told(outputs: Tensor, masks: Tensor, words: str) -> None:
    with pytest.raises(TrialError, match=words):
        figures(outputs, masks)


def test_outputs_are_checked_before_anything_is_trained() -> None:
    task = Segmentation()
    assert task.check_outputs({"out": torch.zeros(2, 3, 4, 4)}, 2, 3) == ""
    assert task.check_outputs(torch.zeros(2, 7, 4, 4), 2, None) == ""
    assert "here [2, 3, height, width]" in task.check_outputs(torch.zeros(2, 3), 2, 3)
    assert "gives [2, 4, 8, 8] of 2 images of 3 classes" in task.check_outputs(torch.zeros(2, 4, 8, 8), 2, 3)
    assert "gives str of 2 images" in task.check_outputs("nothing", 2, None)
