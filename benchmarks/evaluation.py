"""Evaluation, images a second: accuracy settled in bf16 and float32, and all in float32, against a DataLoader loop.

The network is trained first, so that its margins are those of a network that is worth measuring.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._images import colour_digits
from benchmarks._plain import correct, device, loader
from benchmarks._turns import Work, in_turns
from benchmarks.training import network
from prunetui.config import Recipe
from prunetui.engine.device import find_device, fit_threads, prepare
from prunetui.engine.measure import evaluate
from prunetui.engine.models import build
from prunetui.engine.train import Baggage, Course, Hooks, train

BATCH = 512
TRAINING = {"resnet20": 16, "resnet18": 12}
"""Epochs of 1,437 images."""


def train_and_save(name: str, folder: str) -> Path:
    """A network that knows its images: in a file, so that no side has trained in its process."""
    found = find_device("auto")
    prepare(found)
    torch.manual_seed(0)
    model = build(network(name)).to(memory_format=torch.channels_last).to(found.torch)
    course = Course(Recipe(epochs=TRAINING[name], lr=0.05).model_dump(), "benchmark")
    hooks = Hooks(lambda report: None, lambda epoch, baggage: None, lambda: False)
    train(model, colour_digits(1437, 10).to(found.torch), course, Baggage(), found, hooks)
    path = Path(folder) / f"{name}.pt"
    torch.save(model.cpu().state_dict(), path)
    return path


def _read(path: Path) -> nn.Module:
    model = build(network(path.stem))
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def ours(path: Path, images: int, screened: bool) -> Work:
    """``engine.measure.evaluate`` as a run calls it."""
    found = find_device("auto")
    prepare(found)
    fit_threads(10**12)
    model = _read(path).to(memory_format=torch.channels_last).to(found.torch)
    data = colour_digits(10, images).to(found.torch)

    def work() -> float:
        evaluate(model, data, data.test, BATCH, screened=screened)
        return images

    return work


def peer(path: Path, images: int) -> Work:
    """A plain loop."""
    model = _read(path).to(memory_format=torch.contiguous_format).to(device())
    batches = loader(colour_digits(10, images), "test", BATCH)

    def work() -> float:
        correct(model, batches)
        return images

    return work


def results() -> Iterator[dict[str, Any]]:
    """ResNet-20 and ResNet-18; on CUDA the 10,000 images of a test split."""
    with tempfile.TemporaryDirectory() as folder:
        for name, images in (("resnet20", 5000), ("resnet18", 1500)):
            path = train_and_save(name, folder)
            count = 10_000 if torch.cuda.is_available() else images
            for screened in (True, False):
                what = "accuracy" if screened else "accuracy and loss"
                sides = (partial(ours, path, count, screened), partial(peer, path, count))
                yield in_turns(f"evaluation {name}, {what}", *sides, "images/s")
