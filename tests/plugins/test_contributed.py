"""Networks and images that a user's function returns: what can be used is, what cannot is refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from prunetui.config import DataTable, ModelTable
from prunetui.engine.data import load_dataset
from prunetui.engine.models import build
from prunetui.engine.models.own_network import check_network
from prunetui.engine.models.start import architecture_of
from prunetui.errors import DataError, UsageError
from prunetui.tasks.classification import Classification

HELPERS = """
import torch
from torch import nn

class Outputs(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes))

    def forward(self, x):
        return x * self.scale
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 3", "made int; it must return a torch.nn.Module"),
        ("return nn.Linear(channels * 64, classes)", "does not take images of 1 x 8 x 8: RuntimeError"),
        ("return nn.Sequential(nn.Conv2d(channels, classes, 3))", "gives [2, 10, 6, 6] of 2 examples of 10 classes"),
        ("raise OSError('no disk')", "cannot be built: OSError: no disk"),
        ("return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), Outputs(classes))", "no convolution and no linear layer"),
        ("return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))", "it learns shapes in its first pass"),
    ],
)
def test_a_network_that_cannot_be_pruned_yet_is_refused_in_words(tmp_path: Path, body: str, words: str):
    file = tmp_path / "net.py"
    file.write_text(f"{HELPERS}\n\ndef net(channels, classes):\n    {body}\n")
    architecture = architecture_of(ModelTable(name=f"{file}:net"), 1, 8, 10)
    with pytest.raises(UsageError, match=re.escape(words)):
        check_network(architecture, Classification(), torch.zeros(1, 1, 8, 8))


def test_a_network_that_computes_its_weights_is_taken_and_what_is_changed_is_said(tmp_path: Path):
    """Before they are plain no layer has a weight of its own."""
    file = tmp_path / "net.py"
    layer = "nn.utils.parametrizations.weight_norm(nn.Linear(64, classes))"
    file.write_text(f"{HELPERS}\n\ndef net(channels, classes):\n    return nn.Sequential(nn.Flatten(), {layer})\n")
    architecture = architecture_of(ModelTable(name=f"{file}:net"), 1, 8, 10)
    (line,) = check_network(architecture, Classification(), torch.zeros(1, 1, 8, 8))
    assert line == "weights that were computed from others are plain weights from here on: 1.weight"
    assert list(build(architecture).state_dict()) == ["1.bias", "1.weight"]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("3", "it must return prunetui.api.Splits"),
        ("Splits(train=3, test=3)", "train: a split is a pair of images"),
        ("Splits(train=([1.0], [2]), test=None)", "item 0 is list; an item is (image, label). examples of any other"),
        ("Splits(train=TWO, test=TWO, collate=list)", "collate is for prepared examples"),
        ("Splits(train=(zeros(4, 1, 8, 8) + 2, arange(4)), test=None)", "images are floats from 2 to 2"),
        ("Splits(train=(zeros(4, 1, 8, 8), arange(5)), test=None)", "images are [4, 1, 8, 8] and labels [5]"),
        ("Splits(train=TWO, test=TWO, classes='a')", "the labels of data.py:own go from 0 to 3; with 1 classes"),
        ("Splits(train=TWO, test=(zeros(4, 1, 9, 9), arange(4)))", "have images of 2 shapes"),
        ("Splits(train=WIDE, test=WIDE)", "images are 8 x 9, and networks here take square ones"),
        ("1 / 0", "cannot be read: ZeroDivisionError"),
    ],
)
def test_data_that_cannot_be_used_are_refused_in_words(tmp_path: Path, returned: str, words: str):
    file = tmp_path / "data.py"
    file.write_text(
        "from torch import arange, zeros\n\nfrom prunetui.api import Splits\n\n"
        "TWO = zeros(4, 1, 8, 8), arange(4)\nWIDE = zeros(4, 1, 8, 9), arange(4)\n\n\n"
        f"def own():\n    return {returned}\n"
    )
    with pytest.raises(DataError, match=re.escape(words)):
        load_dataset(DataTable(name=f"{file}:own", validation=0.0))


def test_images_of_every_form_become_the_same_data(tmp_path: Path):
    file = tmp_path / "forms.py"
    file.write_text(
        "import numpy as np\nimport torch\nfrom PIL import Image\n\nfrom prunetui.api import Splits\n\n"
        "PIXELS = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)\nLABELS = np.arange(2)\n\n\n"
        "def splits(images, labels=LABELS):\n    split = (images, labels)\n    return Splits(split, split)\n\n\n"
        "def arrays():\n    return splits(PIXELS)\n\n\n"
        "def tensors():\n    return splits(torch.from_numpy(PIXELS)[:, None], torch.arange(2))\n\n\n"
        "def floats():\n    return splits(torch.from_numpy(PIXELS)[:, None] / 255)\n\n\n"
        "def pictures():\n    items = [(Image.fromarray(p), i) for i, p in enumerate(PIXELS)]\n"
        "    return Splits(items, items)\n"
    )
    notes: list[str] = []
    made = [
        load_dataset(DataTable(name=f"{file}:{name}", validation=0.0), note=lambda _, line: notes.append(line))
        for name in ("arrays", "tensors", "floats", "pictures")
    ]
    assert len({one.fingerprint for one in made}) == 1
    assert made[0].train.pixels.shape == (2, 1, 8, 8)
    assert made[0].train.pixels[1, 0, 0].tolist() == [64, 65, 66, 67, 68, 69, 70, 71]
    assert made[0].classes == ("0", "1")
    assert notes == [
        f"forms.py:floats, {split}: images of floats are kept in 256 levels" for split in ("train", "test")
    ]
