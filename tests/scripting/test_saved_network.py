"""Pruned networks as files: bit-equal again from a fresh network of the same class, and nothing else accepted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import prunetui
from prunetui.errors import UsageError

INPUTS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Scaled(nn.Module):
    """Hidden units are scaled by a buffer that a state dict leaves out."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, width), nn.Linear(width, 2)
        self.register_buffer("scale", torch.arange(1.0, width + 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.relu(self.one(x)) * self.scale)


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    found, _ = prunetui.prune(Scaled(), example_inputs=INPUTS, target="channels", amount=0.5, progress=False)
    return found.eval()


def test_a_file_and_a_fresh_network_give_it_back(small: nn.Module, tmp_path: Path):
    with torch.no_grad():
        small.one.bias.add_(0.5)  # trained since
    file = prunetui.save(small, tmp_path / "small.safetensors")
    for model in (Scaled, Scaled()):
        again = prunetui.load(file, model=model)
        assert torch.equal(again(INPUTS), small(INPUTS))
        assert torch.equal(again.scale, small.scale)
        assert not again.training
    third = prunetui.load(prunetui.save(again, tmp_path / "again.safetensors"), model=Scaled)
    assert torch.equal(third(INPUTS), small(INPUTS))


def test_a_network_that_was_pruned_twice(small: nn.Module, tmp_path: Path):
    twice, report = prunetui.prune(small, example_inputs=INPUTS, target="channels", amount=0.5, progress=False)
    assert report.params.before == sum(p.numel() for p in small.parameters())
    again = prunetui.load(prunetui.save(twice, tmp_path / "twice.safetensors"), model=Scaled)
    assert torch.equal(again(INPUTS), twice.eval()(INPUTS))
    assert again.one.out_features == 1


def test_another_network_is_refused(small: nn.Module, tmp_path: Path):
    file = prunetui.save(small, tmp_path / "small.safetensors")
    with pytest.raises(UsageError, match=r"give model= a dense one"):
        prunetui.load(file)
    with pytest.raises(
        UsageError, match=r"not the Scaled .* its one.weight is \[8, 4\], that of the file was \[6, 4\]"
    ):
        prunetui.load(file, model=Scaled(8))
    with pytest.raises(UsageError, match="this Linear is not the Scaled"):
        prunetui.load(file, model=nn.Linear(4, 6))
    with pytest.raises(UsageError, match="does not know what was removed"):
        prunetui.save(Scaled(), tmp_path / "dense.safetensors")
    with pytest.raises(UsageError, match=r"must end with .safetensors"):
        prunetui.save(small, tmp_path / "small.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kept", {"one.weight": {"9": 0}}),
        ("kept", {"one.weight": {"0": 7}}),
        ("lists", [[0, 1.5]]),
        ("attributes", {"one.out_features": "__import__('os')"}),
        ("attributes", {"one.training": 0}),
        ("attributes", {"one.__class__": 3}),
        ("tied", {"one.weight": "nothing"}),
        ("shared", None),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(small: nn.Module, tmp_path: Path, key: str, value: object):
    file = prunetui.save(small, tmp_path / "small.safetensors")
    with safe_open(file, framework="pt") as opened:
        tensors, about = {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118
    plain = json.loads(about["removal"])
    save_file(tensors, tmp_path / "bad.safetensors", {**about, "removal": json.dumps({**plain, key: value})})
    with pytest.raises(UsageError):
        prunetui.load(tmp_path / "bad.safetensors", model=Scaled)
