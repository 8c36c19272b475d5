"""Detection: loss and precision of boxes that a reader measures by eye."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Accumulator, Evaluation, TrialError
from prunetui.api.outputs import RecordedOutputs
from prunetui.tasks import average_precision
from prunetui.tasks.box_assignment import assigned, boxes_around, middles
from prunetui.tasks.detection import Detection
from prunetui.tasks.found_boxes import BoxFilter, found_boxes

IMAGES = torch.zeros(1, 1, 16, 16)
"""One image; maps of 4 x 4 places of 4 pixels."""
PADDING = [0.0, 0.0, 0.0, 0.0, -1.0]
SQUARE = [2.0, 2.0, 12.0, 12.0, 1.0]
"""A box of class 1 of 2."""


def surely(*found: tuple[list[float], float, int], classes: int = 2) -> dict[str, Tensor]:
    """Maps of a network that gives boxes x1, y1, x2, y2, each so likely and of a class, at one place after another."""
    scores, distances = torch.full((1, classes, 4, 4), -20.0), torch.ones(1, 4, 4, 4)
    for place, (box, likely, label) in enumerate(found):
        x, y = place % 4 * 4 + 2, place // 4 * 4 + 2
        scores[0, label, place // 4, place % 4] = math.log(likely / (1 - likely))
        distances[0, :, place // 4, place % 4] = torch.tensor([x - box[0], y - box[1], box[2] - x, box[3] - y])
    return {"scores": scores, "distances": distances}


def figures(*batches: tuple[dict[str, Tensor], list[list[float]]], **options: Any) -> dict[str, float]:
    task, total = Detection(**options), Accumulator()
    for outputs, boxes in batches:
        task.metrics(lambda images, outputs=outputs: outputs, (IMAGES, torch.tensor([boxes])), total)
    return dict(task.figures(total))


def test_boxes_where_they_are_have_the_highest_precision() -> None:
    other = [4.0, 0.0, 16.0, 8.0, 0.0]
    both = surely((SQUARE[:4], 0.9, 1), (other[:4], 0.6, 0))
    assert figures((both, [SQUARE, other])) == pytest.approx({"map": 100.0, "map50": 100.0})


def test_a_shifted_box_counts_at_the_overlaps_that_it_reaches() -> None:
    # Of 10 x 10 pixels 10 x 7.2 are found, an intersection over union of 0.72: right at 0.5, 0.55, 0.6, 0.65 and 0.7.
    found = figures((surely(([2.0, 2.0, 12.0, 9.2], 0.9, 1)), [SQUARE]))
    assert found == pytest.approx({"map": 50.0, "map50": 100.0})


def test_another_class_is_not_found() -> None:
    assert figures((surely((SQUARE[:4], 0.9, 0)), [SQUARE])) == {"map": 0.0, "map50": 0.0}


def test_rows_of_padding_are_no_boxes() -> None:
    found = figures((surely((SQUARE[:4], 0.9, 1)), [PADDING, SQUARE, PADDING]))
    assert found == pytest.approx({"map": 100.0, "map50": 100.0})


def test_images_without_boxes_add_up_with_the_others() -> None:
    right, none = (surely((SQUARE[:4], 0.8, 1)), [SQUARE]), [PADDING]
    assert figures(right, (surely(), none))["map"] == pytest.approx(100)
    # A likelier box where there is none: the first guess is wrong, the second right, a precision of a half.
    assert figures(right, (surely((SQUARE[:4], 0.9, 1)), none))["map"] == pytest.approx(50)
    assert figures(right, (surely((SQUARE[:4], 0.7, 1)), none))["map"] == pytest.approx(100)


def test_nothing_found_is_none_of_it_and_nothing_there_has_no_precision() -> None:
    assert figures((surely(), [SQUARE])) == {"map": 0.0, "map50": 0.0}
    assert figures((surely((SQUARE[:4], 0.04, 1)), [SQUARE]))["map"] == 0.0  # below 0.05
    assert figures((surely((SQUARE[:4], 0.04, 1)), [SQUARE]), score=0.03)["map"] == pytest.approx(100)
    assert math.isnan(figures((surely((SQUARE[:4], 0.9, 1)), [PADDING]))["map"])


def test_training_tells_no_precision() -> None:
    task, total = Detection(), Accumulator()
    task.training_metrics(lambda images: surely(), (IMAGES, torch.tensor([[SQUARE]])), total)
    assert task.figures(total) == {}


def test_of_boxes_that_overlap_the_likeliest_is_given_and_all_lie_in_the_image() -> None:
    shifted, wide = [2.0, 2.0, 12.0, 11.0], [-5.0, 8.0, 30.0, 12.0]
    maps = surely((shifted, 0.6, 1), (SQUARE[:4], 0.9, 1), (shifted, 0.7, 0), (wide, 0.3, 1))
    (found,) = found_boxes(maps["scores"], maps["distances"], (16, 16), BoxFilter(0.05, 0.6))
    torch.testing.assert_close(found["boxes"], torch.tensor([SQUARE[:4], shifted, [0.0, 8.0, 16.0, 12.0]]))
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.7, 0.3]))
    assert found["labels"].tolist() == [1, 0, 1]
    (first,) = found_boxes(maps["scores"], maps["distances"], (16, 16), BoxFilter(0.05, 0.6, 1))
    assert first["labels"].tolist() == [1]


# What each place is to find -----------------------------------------------------------------------------


def test_places_lie_in_the_middle_of_their_pixels() -> None:
    assert middles(2, 3, (8, 24), torch.device("cpu")).tolist() == [[4, 2], [12, 2], [20, 2], [4, 6], [12, 6], [20, 6]]
    around = boxes_around(torch.tensor([4.0, 2.0]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert around.tolist() == [3, 0, 7, 6]


def test_a_place_finds_the_smallest_box_around_it_whose_middle_is_near() -> None:
    middle = middles(1, 6, (4, 24), torch.device("cpu"))  # x of 2, 6, 10, 14, 18, 22
    large, small = [0.0, 0.0, 20.0, 4.0, 3.0], [8.0, 0.0, 12.0, 4.0, 5.0]  # middles at 10
    found = assigned(middle, (4.0, 4.0), torch.tensor([[large, PADDING, small]]))
    assert found.found.tolist() == [[False, True, True, True, False, False]]  # up to 6 pixels from 10
    assert found.classes[0, 1:4].tolist() == [3, 5, 3]
    assert found.boxes[0, 1:4].tolist() == [large[:4], small[:4], large[:4]]


def test_a_box_between_the_middles_of_places_is_found_by_the_one_it_lies_in() -> None:
    middle = middles(1, 2, (4, 8), torch.device("cpu"))  # x of 2 and 6
    thin = torch.tensor([[[2.5, 0.0, 3.5, 4.0, 0.0]]])
    assert assigned(middle, (4.0, 4.0), thin).found.tolist() == [[True, False]]


# The loss -----------------------------------------------------------------------------------------------


def loss(scores: Tensor, distances: Tensor, *boxes: list[float]) -> Tensor:
    outputs = {"scores": scores, "distances": distances}
    return Detection().loss(lambda images: outputs, (torch.zeros(1, 1, 4, 4), torch.tensor([boxes])))


def test_the_loss_of_one_place_by_hand() -> None:
    scores, distances = torch.zeros(1, 2, 1, 1), torch.full((1, 4, 1, 1), 2.0)  # halves; the whole image as a box
    right, wrong = 0.25 * 0.25 * math.log(2), 0.75 * 0.25 * math.log(2)  # alpha or 1 - alpha, (1 - p)^2, -log p
    whole, upper = [0.0, 0.0, 4.0, 4.0, 1.0], [0.0, 0.0, 4.0, 3.0, 1.0]
    assert float(loss(scores, distances, whole)) == pytest.approx(right + wrong)
    assert float(loss(scores, distances, PADDING, whole)) == pytest.approx(right + wrong)
    assert float(loss(scores, distances, upper)) == pytest.approx(right + wrong + 1 / 4)  # an overlap of 3/4
    assert float(loss(scores, distances, PADDING)) == pytest.approx(2 * wrong)


def test_losses_are_divided_by_the_number_of_places_that_find_a_box() -> None:
    scores, distances = torch.zeros(1, 1, 1, 2), torch.full((1, 4, 1, 2), 2.0)  # boxes of 0..3 and 1..5 by 0..4
    right = 0.25 * 0.25 * math.log(2)
    outputs = {"scores": scores, "distances": distances}
    batch = (torch.zeros(1, 1, 4, 4), torch.tensor([[[0.0, 0.0, 4.0, 4.0, 0.0]]]))
    found = float(Detection().loss(lambda images: outputs, batch))
    # Middles at 1 and 3: boxes from -1 to 3 and from 1 to 5. Both share 3 of 5 columns that they and the image cover.
    assert found == pytest.approx((2 * right + 2 * (1 - 3 / 5)) / 2)


def test_gradients_are_finite_whatever_is_there() -> None:
    scores, distances = torch.zeros(1, 2, 4, 4, requires_grad=True), torch.ones(1, 4, 4, 4, requires_grad=True)
    outputs = {"scores": scores, "distances": distances}
    Detection().loss(lambda images: outputs, (IMAGES, torch.tensor([[PADDING, [3.0, 3.0, 3.0, 3.0, 0.0]]]))).backward()
    assert scores.grad is not None
    assert distances.grad is not None
    assert bool(scores.grad.isfinite().all() and distances.grad.isfinite().all())


# Networks with losses of their own ------------------------------------------------------------------------


class OwnLosses(nn.Module):
    """As a detector of torchvision: one weight, how sure it is of the whole image as a box of class 1."""

    def __init__(self) -> None:
        super().__init__()
        self.sure, self.drop, self.norm = nn.Parameter(torch.tensor(0.5)), nn.Dropout(), nn.BatchNorm2d(1)
        self.seen: list[Any] = []

    def forward(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:
        self.seen.append((self.training, self.drop.training, self.norm.training, targets))
        if self.training:
            assert targets is not None
            return {"boxes": self.sure * sum(len(own["boxes"]) for own in targets), "labels": self.sure / 2}
        whole = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
        return [{"boxes": whole, "scores": self.sure[None], "labels": torch.tensor([1])} for _ in images]


WHOLE = [0.0, 0.0, 16.0, 16.0, 1.0]


def test_a_network_computes_its_own_losses_in_either_mode_and_its_norms_stay_in_theirs() -> None:
    network, batch = OwnLosses(), (IMAGES.repeat(2, 1, 1, 1), torch.tensor([[WHOLE, PADDING], [WHOLE, SQUARE]]))
    loss = Detection().loss(network.eval(), batch)
    assert float(loss.detach()) == pytest.approx(3 * 0.5 + 0.25)
    assert loss.requires_grad
    assert network.seen[0][:3] == (True, False, False)
    assert not any(module.training for module in network.modules())
    assert [own["labels"].tolist() for own in network.seen[0][3]] == [[1], [1, 1]]
    Detection().loss(RecordedOutputs(network.train()), batch)
    assert network.seen[1][:3] == (True, True, True)
    assert all(module.training for module in network.modules())


def test_the_boxes_that_a_network_gives_are_measured_as_they_are() -> None:
    class Source:
        def batches(self, split: str, batch_size: int) -> Iterator[Any]:
            yield IMAGES, torch.tensor([[WHOLE]])
            yield IMAGES, torch.tensor([[PADDING]])

    evaluation = Evaluation(cast("Any", Source()), "test", 1, loss=True, bf16=False, should_stop=lambda: False)
    found = Detection().evaluate(OwnLosses().eval(), evaluation)
    assert found == pytest.approx({"map": 100.0, "map50": 100.0, "loss": (0.75 + 0.25) / 2})


def test_the_class_of_the_background_is_refused() -> None:
    with pytest.raises(
        TrialError, match=r"a box has the class 0, which detectors .* background: number classes from 1"
    ):
        Detection().loss(OwnLosses(), (IMAGES, torch.tensor([[[0.0, 0.0, 4.0, 4.0, 0.0]]])))


# What does not fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "boxes", "words"),
    [
        (torch.zeros(1, 2), [SQUARE], r"the network gives \[1, 2\]; a network for detection gives a mapping"),
        ({"scores": torch.zeros(1, 2, 4, 4)}, [SQUARE], r"gives scores \[1, 2, 4, 4\]; a network for detection"),
        (surely(), SQUARE, r"boxes are \[1, 5\]; detection takes \[B, K, 5\]"),
        (surely(), [[0.0, 0.0, 4.0, 4.0, 2.0]], "a box has the class 2, and the network tells 2 apart, from 0"),
    ],
)
def test_what_does_not_fit_is_told(outputs: Any, boxes: Any, words: str) -> None:
    with pytest.raises(TrialError, match=words):
        Detection().loss(lambda images: outputs, (IMAGES, torch.tensor([boxes])))


def test_outputs_are_checked_before_anything_is_trained() -> None:
    task = Detection()
    assert task.check_outputs(surely(), 1, 2) == ""
    assert task.check_outputs(surely(), 1, None) == ""
    assert "gives [1, 10]; a network for detection" in task.check_outputs(torch.zeros(1, 10), 1, 10)
    assert "of 1 images of 3 classes; a network for" in task.check_outputs(surely(), 1, 3)
    given = [{"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()}]
    assert task.check_outputs(given, 1, 2) == ""
    assert task.check_outputs(given, 2, 2) == "gives boxes of 1 images for 2"
    assert "gives list; a network" in task.check_outputs([torch.zeros(1)], 1, None)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(average_precision, "find_spec", lambda name: None if name == "pycocotools" else True)
    with pytest.raises(ModuleNotFoundError, match=r"needs pycocotools: pip install 'prunetui\[detection\]'"):
        Detection()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([8.0, 8.0, 4.0, 4.0, 1.0], r"a box is \(8, 8, 4, 4\); it is x1, y1, x2, y2 in pixels, with x1 <= x2"),
        ([2.0, 2.0, 12.0, 12.0, 0.7], r"a box has the class 0\.7; a class is a whole number from 0"),
        ([2.0, 2.0, 12.0, 12.0, math.nan], "a box has the class nan; a class is a whole number"),
        ([math.nan, 2.0, 12.0, 12.0, 1.0], r"a box is \(nan, 2, 12, 12\)"),
    ],
)
def test_what_is_no_box_is_refused(row: list[float], words: str) -> None:
    with pytest.raises(TrialError, match=words):
        Detection().loss(lambda images: surely(), (IMAGES, torch.tensor([[PADDING, row]])))


def test_a_batch_without_a_row_for_boxes_has_none() -> None:
    none, padded = torch.zeros(1, 0, 5), torch.tensor([[PADDING]])
    losses = [float(Detection().loss(lambda images: surely(), (IMAGES, boxes))) for boxes in (none, padded)]
    assert losses[0] == losses[1]


def test_a_list_of_boxes_is_refused() -> None:
    with pytest.raises(TrialError, match=r"boxes are list; detection takes one tensor \[B, K, 5\] for a batch"):
        Detection().loss(lambda images: surely(), (IMAGES, [{"boxes": torch.zeros(1, 4)}]))
