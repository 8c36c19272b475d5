"""Networks lie in memory as they are fastest, where their own code takes that; of images every one takes any layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prunetui.config import parse_study
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.start import architecture_of
from prunetui.engine.state import State, instantiate

NETS = """
from torch import nn

class Viewed(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.map, self.head = nn.Conv2d(channels, 3, 3, padding=1), nn.Linear(3 * 4 * 4, classes)

    def forward(self, x):
        return self.head(self.map(x).view(-1, 48))

def viewed(channels, classes):
    return Viewed(channels, classes)

def pooled(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))

def deep(channels, classes):
    volume = nn.Sequential(nn.Unflatten(1, (1, channels)), nn.Conv3d(1, 3, 1), nn.Flatten())
    return nn.Sequential(volume, nn.Linear(48 * channels, classes))
"""
IMAGES = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)


@pytest.fixture
def architecture(tmp_path: Path, request: pytest.FixtureRequest) -> Architecture:
    file = tmp_path / "nets.py"
    file.write_text(NETS)
    return architecture_of(parse_study(f"model.name = '{file}:{request.param}'").model, 2, 4, 5)


@pytest.mark.parametrize(
    ("architecture", "fast"), [("viewed", False), ("pooled", True), ("deep", False)], indirect=["architecture"]
)
def test_images_go_through_in_the_layout_of_data_sets(architecture: Architecture, fast: bool):
    dense = build(architecture)
    net = instantiate(State(architecture, dense.state_dict()), torch.device("cpu"))
    kernels = [p for p in net.parameters() if p.dim() == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels) is (fast or not kernels)
    torch.testing.assert_close(net(IMAGES), dense.eval()(IMAGES.contiguous()))
    assert net(IMAGES).shape == (2, 5)
