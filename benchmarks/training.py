"""Training, images a second: one epoch of the product's recipe against a DataLoader loop in float32."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks._images import colour_digits
from benchmarks._plain import device, loader, train_epoch
from benchmarks._turns import Work, in_turns
from prunetui.config import Recipe
from prunetui.engine.device import find_device, fit_threads, prepare
from prunetui.engine.models import Architecture, build
from prunetui.engine.train_job import Hooks, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.execute.executors.workers.heap_settings import has_large_batches, heap_environment
from prunetui.tasks.classification import Classification

WIDTH = {"resnet20": 16, "resnet18": 64}
ON_CPU = (("resnet20", 128, 2560), ("resnet20", 512, 2560), ("resnet18", 128, 512), ("resnet18", 512, 512))
ON_CUDA = (("resnet20", 512, 51_200), ("resnet18", 512, 51_200))
"""Network, batch size, images a turn."""


def network(name: str) -> Architecture:
    """A CIFAR network for ten classes."""
    return Architecture(name, 3, 32, 10, "B", width=WIDTH[name])


def ours(name: str, batch: int, images: int, graphs: bool = False) -> Work:
    """``engine.train`` as a run calls it."""
    found = replace(find_device("auto"), graphs=graphs)
    prepare(found)
    data = colour_digits(images, 10).to(found.torch)
    model = build(network(name)).to(memory_format=torch.channels_last).to(found.torch)
    fit_threads(10**12)
    job = TrainJob(Recipe(epochs=1, batch_size=batch), "benchmark")
    hooks = Hooks(lambda report: None, lambda epoch, state: None, lambda: False)

    def work() -> float:
        train(model, Classification(), data, job, TrainState(), found, hooks)
        return images

    return work


def child_environment(batch: int) -> dict[str, str]:
    """What a run adds to the environment of the processes that it computes in."""
    return heap_environment(has_large_batches(batch, "auto"), os.environ)


def peer(name: str, batch: int, images: int) -> Work:
    """A loop as in torchvision's references."""
    model = build(network(name)).to(device())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    batches = loader(colour_digits(images, 10), "train", batch)

    def work() -> float:
        train_epoch(model, optimizer, batches)
        return images

    return work


def results() -> Iterator[dict[str, Any]]:
    """ResNet-20 and ResNet-18; on CUDA with and without graphs."""
    cuda = torch.cuda.is_available()
    for name, batch, images in ON_CUDA if cuda else ON_CPU:
        for graphs in (False, True) if cuda else (False,):
            sides = partial(ours, name, batch, images, graphs), partial(peer, name, batch, images)
            label = f"training {name}, batch {batch}{', CUDA graphs' * graphs}"
            yield in_turns(label, *sides, "images/s", environment=child_environment(batch))
