"""``prunetui layers``: what a model is made of, and what of it may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prunetui.cli.list_layers import print_layers
from prunetui.errors import ConfigError

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3, padding=1)
        self.mixed = nn.Conv2d(6, 4, 1)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        x = self.mixed(self.conv(x).relu()).flatten(2).transpose(1, 2)
        return self.head(self.norm(x).mean(1))


def make(channels, classes):
    return Net(channels, classes)
"""


def test_layers_say_their_costs_and_what_may_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "net.py").write_text(NET)
    print_layers(f"{tmp_path}/net.py:make", 1, 8, 3, [], True)
    layers = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)}
    assert layers["conv"] == {
        "name": "conv", "kind": "Conv2d", "shape": {"weight": [6, 1, 3, 3], "bias": [6]}, "params": 60,
        "macs": 54 * 64, "weights_may_go": True, "channels_may_go": True, "group": "conv", "width": 6, "reason": None,
    }  # fmt: skip
    assert [layer["params"] for layer in layers.values()] == [8, 60, 28, 15]
    assert layers["mixed"]["reason"] == layers["norm"]["reason"]
    assert layers["norm"]["reason"].startswith("statistics over channels (layer_norm): ")
    assert layers["head"]["reason"] == "its channels are part of the output"
    assert (layers["norm"]["weights_may_go"], layers["mixed"]["channels_may_go"]) == (False, False)


def test_a_table_tells_the_same_of_a_built_in_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "120")
    print_layers("resnet20", 3, None, 10, ["model.width=4", "model.shortcut=A"], False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["layer", "kind", "shape", "parameters", "MACs", "channels"]
    assert lines[1][:5] == ["conv1", "Conv2d", "4x3x3x3", "108", "110,592"]
    assert "stay: its channels are coupled with some that stay" in " ".join(lines[1])
    assert lines[3] == ["layer1.0.conv1", "Conv2d", "4x4x3x3", "144", "147,456", "4", "of", "layer1.0.conv1"]
    assert " ".join(lines[-2]).endswith("stay: its channels are the outputs")
    assert lines[-1][0] == "all"


def test_an_unknown_model_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match='did you mean "resnet20"'):
        print_layers("resnet21", 3, None, 10, [], False)
