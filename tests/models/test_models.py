"""The networks are those of the literature: their published sizes, and any image size, channels and classes."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from prunetui.config import ModelTable
from prunetui.engine.count import count
from prunetui.engine.models import Architecture, build

NAMES = get_args(ModelTable.model_fields["name"].annotation)


def cifar(name: str, shortcut: str = "B") -> Architecture:
    return Architecture(name, 3, 32, 10, shortcut)


@pytest.mark.parametrize(
    ("architecture", "params"),
    [
        (cifar("resnet18"), 11_173_962),
        (cifar("resnet34"), 21_282_122),
        (cifar("resnet50"), 23_520_842),
        (cifar("resnet20"), 272_474),
        (cifar("resnet20", "A"), 269_722),
        (cifar("resnet32", "A"), 464_154),
        (cifar("resnet44", "A"), 658_586),
        (cifar("resnet56", "A"), 853_018),
        (cifar("resnet110", "A"), 1_727_962),
        (cifar("vgg16"), 14_724_042),
    ],
    ids=lambda value: f"{value.name}{value.shortcut}" if isinstance(value, Architecture) else "",
)
def test_a_net_has_the_published_number_of_parameters(architecture: Architecture, params: int) -> None:
    with torch.device("meta"):
        model = build(architecture)
    assert sum(p.numel() for p in model.parameters()) == params


@pytest.mark.parametrize(
    ("architecture", "macs"),
    [
        (cifar("resnet18"), 555_422_720),
        (cifar("resnet20"), 40_813_184),
        (cifar("resnet20", "A"), 40_551_040),
    ],
    ids=["resnet18", "resnet20B", "resnet20A"],
)
def test_a_net_has_the_published_number_of_multiply_accumulates(architecture: Architecture, macs: int) -> None:
    assert count(build(architecture), torch.zeros(1, 3, 32, 32)).macs == macs


def test_the_numbers_of_parameters_and_macs_are_those_of_the_first_study() -> None:
    counts = count(build(cifar("resnet20")), torch.zeros(1, 3, 32, 32))
    assert (counts.params, round(counts.macs / 1e6, 1)) == (272_474, 40.8)


IMAGES = [(1, 8, 10), (3, 33, 2)]


@pytest.mark.parametrize(
    ("name", "channels", "size", "classes"),
    [(name, *images) for name in NAMES for images in IMAGES] + [("vgg16", 1, 28, 10), ("resnet20", 3, 64, 100)],
)
def test_every_name_of_the_schema_builds_for_other_images_and_classes(
    name: str, channels: int, size: int, classes: int
) -> None:
    model = build(Architecture(name, channels, size, classes, width=4)).eval()
    with torch.inference_mode():
        logits = model(torch.randn(2, channels, size, size))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "vgg11"])
def test_width_is_that_of_the_first_stage(name: str) -> None:
    first = next(m for m in build(Architecture(name, 3, 32, 10, width=12)).modules() if isinstance(m, torch.nn.Conv2d))
    assert first.weight.shape == (12, 3, 3, 3)


def test_a_shortcut_of_kind_a_has_no_parameters_and_pads_on_both_sides() -> None:
    model = build(cifar("resnet20", "A"))
    shortcut = model.get_submodule("layer2.0.shortcut")
    out = shortcut(torch.ones(1, 16, 4, 4))
    assert list(shortcut.parameters()) == []
    assert out.shape == (1, 32, 2, 2)
    assert out[0, :, 0, 0].tolist() == [0.0] * 8 + [1.0] * 16 + [0.0] * 8


def test_the_same_seed_builds_the_same_net() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(Architecture("resnet20", 1, 8, 10, width=4)).state_dict()["conv1.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_an_architecture_is_plain_data_that_builds_again() -> None:
    architecture = Architecture("vgg11", 1, 8, 7, width=4)
    assert Architecture(**architecture.plain()) == architecture
