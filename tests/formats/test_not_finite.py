"""NaN and infinity in files from elsewhere: refused, naming the tensors, whatever the format."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import prunetui
from prunetui.cli.export_network import _pt2
from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.engine.loading import load_exported
from prunetui.engine.models import Architecture
from prunetui.engine.onnx import onnx_bytes
from prunetui.engine.state import State, model_bytes
from prunetui.errors import UsageError

NET = Architecture("resnet20", 1, 8, 10, "B", width=4)
HEADER = {"data": "digits", "mean": [0.3], "std": [0.25], "classes": [str(i) for i in range(10)]}
BAD = (float("nan"), float("inf"), float("-inf"))


def written(folder: Path, kind: str, state: State, place: str, value: float) -> Path:
    """The network in a file, one value of the tensor at ``place`` replaced."""
    path = folder / f"net.{kind}"
    if kind == "safetensors":
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        tensors[place][(0,) * tensors[place].dim()] = value
        path.write_bytes(model_bytes(State(state.architecture, tensors), HEADER))
        return path
    (folder / "sound.safetensors").write_bytes(model_bytes(state, HEADER))
    model = prunetui.load(folder / "sound.safetensors")
    with torch.no_grad():
        weight = model.get_parameter(f"net.{place}")
        weight[(0,) * weight.dim()] = value
    header = {**HEADER, "architecture": NET.plain()}
    example = torch.rand(2, 1, 8, 8)
    path.write_bytes(_pt2(model, header, example) if kind == "pt2" else onnx_bytes(model, example[:1], header))
    return path


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("kind", ["safetensors", "pt2", "onnx"])
def test_a_weight_that_is_not_finite_is_refused_in_every_format(
    lively: Callable[..., State], tmp_path: Path, kind: str, value: float
) -> None:
    path = written(tmp_path, kind, lively(NET), "linear.weight", value)
    words = r"holds NaN, infinity or values that lead to them: (net\.)?linear\.weight \(1 of \d+\)"
    with pytest.raises(UsageError, match=words):
        evaluate_checkpoint(path, None, None, ["data.limit=100"], "cpu", True)
    if kind != "onnx":
        with pytest.raises(UsageError, match=words):
            prunetui.load(path)


def test_a_trusted_program_must_be_finite_too(lively: Callable[..., State], tmp_path: Path) -> None:
    path = written(tmp_path, "pt2", lively(NET), "layer1.0.conv1.weight", float("nan"))
    with pytest.raises(UsageError, match=r"net\.layer1\.0\.conv1\.weight \(1 of 144\)"):
        prunetui.load(path, trust=True)


@pytest.mark.parametrize("kind", ["safetensors", "pt2", "onnx"])
def test_finite_weights_that_overflow_are_not_measured(
    lively: Callable[..., State], tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every weight is a number, but 3e38 times an activation is none in float32."""
    state = lively(NET)
    state.tensors["linear.weight"].fill_(3e38)
    path = written(tmp_path, kind, state, "linear.weight", 3e38)
    with pytest.raises(UsageError, match=r"gives NaN or infinity for \d+ of \d+ outputs of a batch"):
        evaluate_checkpoint(path, None, None, ["data.limit=100"], "cpu", True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_a_program_are_checked_in_every_type(tmp_path: Path, kind: torch.dtype) -> None:
    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("by", torch.tensor([1.0, float("inf")], dtype=kind))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.flatten(1) + self.by.float()

    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(Shift(), (torch.rand(2, 1, 1, 2),)), out)
    (tmp_path / "net.pt2").write_bytes(out.getvalue())
    with pytest.raises(UsageError, match=r"by \(1 of 2\)"):
        load_exported(tmp_path / "net.pt2")
