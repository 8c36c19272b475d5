"""The semi-structured format: which layers take it, that they compute the same, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import prunetui
from prunetui.engine.layers.convolution import Pointwise
from prunetui.engine.models import Architecture, build
from prunetui.engine.semi_structured import convert, fitting, is_two_of_four
from prunetui.engine.state import State, model_bytes
from prunetui.errors import UsageError

HEADER = {"data": "digits", "mean": [0.3], "std": [0.25], "classes": [str(i) for i in range(10)]}


@torch.no_grad()
def two_of_four(model: nn.Module) -> nn.Module:
    """Zero the first two of every four input channels."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.shape[1] % 4 == 0:
            layer.weight[:, 0::4] = 0
            layer.weight[:, 1::4] = 0
    return model


def test_two_of_every_four_inputs_may_be_there() -> None:
    assert is_two_of_four(torch.tensor([[0, 1, 2, 0, 3, 0, 0, 0]]))
    assert not is_two_of_four(torch.tensor([[0, 1, 2, 3, 0, 0, 0, 0]]))
    assert not is_two_of_four(torch.zeros(1, 6))


def test_layers_fit_by_kind_width_and_zeros() -> None:
    model = two_of_four(
        nn.Sequential(
            nn.Conv2d(64, 32, 1),  # 0 fits
            nn.Conv2d(64, 32, 3),  # 1: a wider kernel
            nn.Conv2d(64, 48, 1),  # 2: 48 outputs
            nn.Conv2d(32, 32, 1),  # 3: 32 inputs
            nn.Conv2d(64, 32, 1, padding=1),  # 4: padded
            nn.Linear(64, 64),  # 5 fits
            nn.Linear(64, 10),  # 6: 10 outputs
        )
    )
    model.append(nn.Linear(64, 64))  # 7: no zeros
    assert list(fitting(model)) == ["0", "5"]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_pointwise_convolution_is_a_product_at_every_place(stride: int) -> None:
    conv = nn.Conv2d(8, 4, 1, stride=stride)
    images = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(Pointwise(conv)(images), conv(images))


def test_a_converted_network_computes_what_it_did() -> None:
    model = two_of_four(build(Architecture("resnet50", 3, 8, 10, "B", width=64))).eval()
    images = torch.randn(2, 3, 8, 8)
    seen: list[Tensor] = []

    def compress(weight: Tensor) -> Tensor:
        seen.append(weight)
        return weight.clone()

    with torch.inference_mode():
        wanted = model(images)
        names = convert(model, compress)
        torch.testing.assert_close(model(images), wanted, rtol=1e-4, atol=1e-4)
    assert len(names) == len(seen) == 36  # 32 in 16 blocks and 4 shortcuts
    assert all(weight.dim() == 2 and weight.is_contiguous() and is_two_of_four(weight) for weight in seen)


def test_a_network_without_such_layers_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="no layer fits the semi-structured format: it takes linear layers"):
        convert(nn.Sequential(nn.Conv2d(64, 64, 3)), Tensor.clone)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A 2:4 network as a run keeps it."""
    architecture = Architecture("resnet50", 1, 8, 10, "B", width=64)
    tensors = two_of_four(build(architecture)).state_dict()
    path = tmp_path / "nm.safetensors"
    path.write_bytes(model_bytes(State(architecture, tensors), HEADER))
    return path


def test_without_a_gpu_it_is_refused_in_words(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="needs an NVIDIA GPU with sparse tensor cores; torch sees no GPU"):
        prunetui.load(file, semi_structured=True)


def test_an_older_gpu_is_refused_in_words(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(UsageError, match=r"compute capability 8\.0 or newer; Tesla T4 has 7\.5"):
        prunetui.load(file, semi_structured=True)


def test_an_exported_program_cannot_change_its_format(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a fixed program; the semi-structured format is made from"):
        prunetui.load(tmp_path / "x.pt2", semi_structured=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_the_gpu_the_compressed_network_computes_what_the_dense_one_does(file: Path) -> None:
    images = torch.rand(32, 1, 8, 8, device="cuda", dtype=torch.bfloat16)
    with torch.inference_mode():
        wanted = prunetui.load(file).to("cuda", torch.bfloat16)(images)
        got = prunetui.load(file, semi_structured=True)(images)
    torch.testing.assert_close(got, wanted, rtol=0.05, atol=0.05 * float(wanted.abs().max()))
