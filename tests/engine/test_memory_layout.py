"""Networks lie in memory as they are fastest, where their own code takes that; of images every one takes any layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prunetui.config import parse_study
from prunetui.engine.models import build
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
    deeper = nn.Unflatten(1, (1, channels)), nn.Conv3d(1, 3, 1)
    return nn.Sequential(*deeper, nn.Flatten(), nn.Linear(48 * channels, classes))
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    file = tmp_path / "nets.py"
    file.write_text(NETS)
    return file


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "fast"), [("viewed", False), ("pooled", True), ("deep", False)])
def test_images_go_through_in_the_layout_of_data_sets(nets: Path, name: str, fast: bool, channels: int):
    architecture = architecture_of(parse_study(f"model.name = '{nets}:{name}'").model, channels, 4, 5)
    dense = build(architecture)
    net = instantiate(State(architecture, dense.state_dict()), torch.device("cpu"))
    images = torch.randn(2, channels, 4, 4).to(memory_format=torch.channels_last)
    kernels = [p for p in net.parameters() if p.dim() == 4 and channels > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) is fast for p in kernels)
    torch.testing.assert_close(net(images), dense.eval()(images.flatten().view(images.shape)))
