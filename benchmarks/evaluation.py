"""Evaluation, images a second: accuracies as float32 gives them, with and without the mean loss, against a DataLoader
loop in float32.

Networks are trained first, so that their margins are those of networks that are worth measuring. With
``PRUNETUI_TEST_DATA`` set a published ResNet-20 on CIFAR-10 is a case too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._images import colour_digits
from benchmarks._plain import correct, device, loader
from benchmarks._turns import Work, in_turns
from benchmarks.training import network
from prunetui.config import DataTable, Recipe
from prunetui.engine.data import Dataset, load_dataset
from prunetui.engine.device import find_device, fit_threads, prepare
from prunetui.engine.evaluation import evaluate
from prunetui.engine.models import Architecture, build
from prunetui.engine.models.read_checkpoint import fitted, read_checkpoint
from prunetui.engine.train_job import Hooks, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.tasks.classification import Classification

BATCH = 512
TRAINING = {"resnet20": 16, "resnet18": 12}
"""Epochs of 1,437 images."""
IMAGES = 10_000
"""As many as CIFAR-10's test split has."""
ROUNDS = {"resnet20": 5, "resnet18": 3}
"""A turn of the peer with ResNet-18 takes over a minute on a small CPU."""


@dataclass(frozen=True)
class Case:
    """A network in a file, and what it is evaluated on: read in the process that works."""

    architecture: Architecture
    checkpoint: Path
    images: int | Path
    """So many colour digits, or CIFAR-10's test split in this folder."""

    def model(self) -> nn.Module:
        model = build(self.architecture)
        read = read_checkpoint(self.checkpoint).tensors
        model.load_state_dict(fitted(read, model, self.checkpoint))
        return model

    def data(self) -> Dataset:
        if isinstance(self.images, int):
            return colour_digits(10, self.images)
        return load_dataset(DataTable(name="folder", root=str(self.images), normalize="imagenet", validation=0.0))


def trained(name: str, folder: str, images: int = IMAGES) -> Case:
    """A network that knows its images: in a file, so that no side has trained in its process."""
    found = find_device("auto")
    prepare(found)
    torch.manual_seed(0)
    model = build(network(name)).to(memory_format=torch.channels_last).to(found.torch)
    job = TrainJob(Recipe(epochs=TRAINING[name], lr=0.05), "benchmark")
    hooks = Hooks(lambda report: None, lambda epoch, state: None, lambda: False)
    train(model, Classification(), colour_digits(1437, 10).to(found.torch), job, TrainState(), found, hooks)
    path = Path(folder) / f"{name}.pt"
    torch.save(model.cpu().state_dict(), path)
    return Case(network(name), path, images)


def published(folder: Path) -> Case:
    """The ResNet-20 of CIFAR-10 (shortcut A) that is kept beside the images."""
    architecture = replace(network("resnet20"), shortcut="A")
    return Case(architecture, folder / "resnet20-12fca82f.th", folder / "cifar10")


def ours(case: Case, loss: bool) -> Work:
    """``engine.measure.evaluate`` as a run calls it."""
    found = find_device("auto")
    prepare(found)
    fit_threads(10**12)
    model = case.model().to(memory_format=torch.channels_last).to(found.torch)
    data = case.data().to(found.torch)

    def work() -> float:
        evaluate(model, Classification(), data, "test", BATCH, loss=loss, bf16=found.bf16)
        return len(data.test)

    return work


def peer(case: Case) -> Work:
    """A plain loop."""
    model = case.model().to(memory_format=torch.contiguous_format).to(device())
    data = case.data()
    batches = loader(data, "test", BATCH)

    def work() -> float:
        correct(model, batches)
        return len(data.test)

    return work


def deviation(case: Case) -> float:
    """How far the mean loss is from that of float32 for all images; the accuracies must be the same."""
    found = find_device("auto")
    prepare(found)
    model, data = case.model().to(memory_format=torch.channels_last).to(found.torch), case.data().to(found.torch)
    exact, screened = (
        evaluate(model, Classification(), data, "test", BATCH, bf16=bf16) for bf16 in (False, found.bf16)
    )
    assert all(exact[key] == screened[key] for key in ("top1", "top5"))
    assert exact["loss"] is not None
    assert screened["loss"] is not None
    return abs(exact["loss"] - screened["loss"])


def results() -> Iterator[dict[str, Any]]:
    """ResNet-20 and ResNet-18."""
    given = os.environ.get("PRUNETUI_TEST_DATA")
    with tempfile.TemporaryDirectory() as folder:
        cases = {name: trained(name, folder) for name in TRAINING}
        if given:
            cases["resnet20 on CIFAR-10"] = published(Path(given))
        for name, case in cases.items():
            for loss in (False, True):
                what = f"accuracy and loss, off by {deviation(case):.0e}" if loss else "accuracy"
                sides = partial(ours, case, loss), partial(peer, case)
                yield in_turns(f"evaluation {name}, {what}", *sides, "images/s", ROUNDS[case.architecture.name])
