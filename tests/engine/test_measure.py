"""Accuracy and batch-norm statistics, worked out by hand on images of one pixel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from prunetui.engine import evaluation
from prunetui.engine.data import Dataset, Images
from prunetui.engine.device import find_device, prepare
from prunetui.errors import Interrupted
from prunetui.tasks import screened_logits
from prunetui.tasks.classification import Classification
from prunetui.tasks.screened_logits import margins, unsure


def pixels_as_they_are(pixels: list[list[int]], labels: list[int]) -> Dataset:
    """Images of one pixel a channel that reach the net as the very numbers written here."""
    images = Images(torch.tensor(pixels, dtype=torch.uint8)[:, :, None, None], torch.tensor(labels))
    channels = len(pixels[0])
    return Dataset(
        name="by hand", classes=tuple("abcdef"), train=images, validation=images, test=images,
        mean=(0.0,) * channels, std=(1 / 255,) * channels, augment="none", fingerprint="",
    )  # fmt: skip


TASK = Classification()


def evaluate(net: nn.Module, data: Dataset, batch_size: int, **how: Any) -> dict[str, Any]:
    return evaluation.evaluate(net, TASK, data, "test", batch_size, **how)


def recalibrate(net: nn.Module, data: Dataset) -> None:
    evaluation.recalibrate(net, TASK, data.batches("train", evaluation.CALIBRATION_BATCH))


def identity(size: int) -> nn.Sequential:
    """The logits are the pixels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(size, size))
    with torch.no_grad():
        net[1].weight.copy_(torch.eye(size))
        net[1].bias.zero_()
    return net


LOGITS = [
    [9, 5, 4, 3, 2, 1],  # label 0: first guess
    [9, 5, 4, 3, 2, 1],  # label 4: among the first five
    [9, 5, 4, 3, 2, 1],  # label 5: the very last
    [0, 0, 0, 0, 0, 7],  # label 5: first guess
]
LABELS = [0, 4, 5, 5]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_top1_top5_and_loss_are_those_worked_out_by_hand(batch_size: int) -> None:
    data = pixels_as_they_are(LOGITS, LABELS)
    result = evaluate(identity(6), data, batch_size)
    assert result["top1"] == 50.0
    assert result["top5"] == 75.0
    losses = [
        math.log(sum(math.exp(z) for z in logits)) - logits[label] for logits, label in zip(LOGITS, LABELS, strict=True)
    ]
    assert result["loss"] == pytest.approx(sum(losses) / 4, rel=1e-6)


def test_with_fewer_than_five_classes_every_label_is_among_the_first_five() -> None:
    data = pixels_as_they_are([[1, 2, 3], [1, 2, 3]], [0, 2])
    result = evaluate(identity(3), data, 8)
    assert (result["top1"], result["top5"]) == (50.0, 100.0)


def test_margins_are_the_distances_to_the_best_and_the_fifth_best_other_class() -> None:
    logits = torch.tensor([[9.0, 5, 4, 3, 2, 1]] * 3)
    assert margins(logits, torch.tensor([0, 4, 5])).tolist() == [[9 - 5, 9 - 1], [2 - 9, 2 - 1], [1 - 9, 1 - 2]]


def test_with_five_classes_or_fewer_no_label_can_miss_the_first_five() -> None:
    assert margins(torch.tensor([[1.0, 3.0]]), torch.tensor([0])).tolist() == [[-2.0, math.inf]]


def close_calls(count: int) -> tuple[nn.Module, Dataset]:
    """Logits of 200 and 200.01 or 199.99, which bfloat16 cannot tell apart, and every second time of 200 and 201."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 6, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight[:2, 0] = 1.0
        net[1].weight[1, 1:] = torch.tensor([0.01, -0.01])
    four = [[200, 1, 0], [200, 100, 0], [200, 0, 1], [200, 100, 0]]
    return net, pixels_as_they_are(four * (count // 4), [1] * count)


def test_images_that_bfloat16_cannot_tell_are_settled_in_float32() -> None:
    net, data = close_calls(1000)
    exact, screened = (evaluate(net, data, 64, loss=False, bf16=s) for s in (False, True))
    assert exact["top1"] == 75.0  # 200.01 and 201 beat 200, 199.99 does not
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(data.normalised(data.test.pixels)).float()
    assert (margins(rough, data.test.labels)[:, 0] == 0).sum() == 500  # where bfloat16 alone would guess
    assert (screened["top1"], screened["top5"], screened["loss"]) == (75.0, 100.0, None)


def unsure_third(count: int) -> tuple[nn.Module, Dataset]:
    """Of every three images two are sure of their class by 40 logits and one by 3, all times 1.003, in bfloat16 1."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 6, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight[0] = 1.003
    return net, pixels_as_they_are([[40], [40], [3]] * (count // 3), [0] * count)


def test_a_screened_loss_is_that_of_float32_to_within_its_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    net, data = unsure_third(1500)
    monkeypatch.setattr(screened_logits, "LOSS_TOLERANCE", 1e-4)
    exact = math.log(1 + 5 * math.exp(-3.009)) / 3
    assert math.log(1 + 5 * math.exp(-3)) / 3 - exact > 5e-4  # bfloat16 alone is further off
    forwards: list[int] = []
    net.register_forward_hook(lambda module, inputs, output: forwards.append(len(output)))
    result = evaluate(net, data, 64, bf16=True)
    assert result["loss"] == pytest.approx(exact, abs=1e-4)
    assert 1800 < sum(forwards) < 2400  # all in bfloat16, a sixth to learn from and most unsure ones in float32
    assert evaluate(net, data, 64)["loss"] == pytest.approx(exact, abs=1e-7)


def test_the_least_sure_images_are_those_that_the_loss_cannot_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.99, 0.01], [0.8, 0.2]])
    labels = torch.tensor([0, 0, 0, 1])  # the label's: 0.5, 0.9, 0.99, 0.2
    monkeypatch.setattr(screened_logits, "LOSS_TOLERANCE", 0.15)
    # Changes of 1 move the loss by log(1 + 1.718 q): 0.62, 0.16, 0.02, 0.87; in all 0.6 may be left: 0.02 + 0.16.
    assert unsure(probabilities.log(), labels, 1.0).tolist() == [True, False, False, True]
    assert unsure(probabilities.log(), labels, torch.tensor([0.0, 1, 1, 1])).tolist() == [False, False, False, True]
    assert unsure(probabilities.log(), labels, 0.1).tolist() == [False] * 4
    nothing = torch.full((1, 2), math.nan)
    assert unsure(nothing, torch.tensor([0]), 0.0).tolist() == [True]


def test_a_net_that_leaves_most_images_in_doubt_is_measured_in_float32_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, data = close_calls(1000)
    forwards: list[int] = []
    net.register_forward_hook(lambda module, inputs, output: forwards.append(len(output)))
    assert evaluate(net, data, 64, bf16=True)["top1"] == 75.0
    assert sum(forwards) == 1000 + 334  # half of the images are in doubt: the probe twice, the others once
    monkeypatch.setattr(screened_logits, "WORTH", 0.6)
    assert evaluate(net, data, 64, bf16=True)["top1"] == 75.0


def test_outputs_that_are_no_numbers_are_wrong_in_either_arithmetic() -> None:
    data = pixels_as_they_are(LOGITS * 200, LABELS * 200)
    net = identity(6)
    net.register_forward_hook(lambda module, inputs, out: out.masked_fill(inputs[0].flatten(1)[:, 5:] == 7, math.nan))
    exact, screened = (evaluate(net, data, 2, loss=False, bf16=s) for s in (False, True))
    assert exact["top1"] == 25.0
    assert (screened["top1"], screened["top5"]) == (exact["top1"], exact["top5"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_float32_means_float32_on_the_gpu_too() -> None:
    """By default cuDNN rounds the inputs of convolutions to 10 bits of mantissa (TF32)."""
    device = find_device("cuda")
    prepare(device)
    torch.manual_seed(0)
    conv, images = nn.Conv2d(64, 64, 3), torch.randn(8, 64, 16, 16)
    with torch.inference_mode():
        exact = nn.Conv2d(64, 64, 3).double()
        exact.load_state_dict(conv.state_dict())
        error = conv.to(device.torch)(images.to(device.torch)).cpu() - exact(images.double())
    assert error.abs().max() < 2e-5


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_in_evaluation_mode_and_restores_the_mode(training: bool) -> None:
    data = pixels_as_they_are(LOGITS, LABELS)
    net = nn.Sequential(nn.BatchNorm2d(6), nn.Dropout(0.9), *identity(6)).train(training)
    result = evaluate(net, data, 4)
    assert result["top1"] == 50.0  # statistics of 0 and 1: the pixels pass; no dropout
    assert net.training is training
    assert net[0].num_batches_tracked == 0


def test_the_wish_to_stop_is_heard() -> None:
    data = pixels_as_they_are(LOGITS, LABELS)
    with pytest.raises(Interrupted):
        evaluate(identity(6), data, 1, should_stop=lambda: True)


def test_recalibration_gives_the_mean_and_the_unbiased_variance_of_the_batch() -> None:
    data = pixels_as_they_are([[0, 10], [2, 10], [4, 30], [6, 30]], [0, 0, 0, 0])
    net = nn.Sequential(nn.BatchNorm2d(2)).eval()
    net[0].running_mean.fill_(77)
    recalibrate(net, data)
    assert net[0].running_mean.tolist() == pytest.approx([3.0, 20.0])
    assert net[0].running_var.tolist() == pytest.approx([20 / 3, 400 / 3])


def test_recalibration_averages_over_all_batches_alike() -> None:
    # Batches of 128 images: the first is all 4, the second all 8. No batch counts more for being later.
    data = pixels_as_they_are([[4]] * 128 + [[8]] * 128, [0] * 256)
    net = nn.Sequential(nn.BatchNorm2d(1)).eval()
    recalibrate(net, data)
    assert net[0].running_mean.item() == pytest.approx(6.0)
    assert net[0].running_var.item() == pytest.approx(0.0, abs=1e-6)


def test_recalibration_leaves_out_a_single_leftover_image() -> None:
    data = pixels_as_they_are([[4]] * 128 + [[200]], [0] * 129)
    net = nn.Sequential(nn.BatchNorm2d(1)).eval()
    recalibrate(net, data)
    assert net[0].running_mean.item() == pytest.approx(4.0)


@pytest.mark.parametrize("training", [True, False])
def test_recalibration_restores_modes_and_momentum_and_touches_no_parameter(training: bool) -> None:
    data = pixels_as_they_are([[0], [2]], [0, 0])
    net = nn.Sequential(nn.BatchNorm2d(1, momentum=0.3), nn.Dropout(0.5)).train(training)
    recalibrate(net, data)
    assert [module.training for module in net.modules()] == [training] * 3
    assert net[0].momentum == 0.3
    assert (net[0].weight.item(), net[0].bias.item()) == (1.0, 0.0)
