"""What safe strided 1x1 convolutions cost: steps of training as a run makes them (ours) and by torch's kernels (peer).

A network without such convolutions keeps torch's own kernels. One with them pays for a look at each convolution's
shape, and pays, or gains, by computing the pixels that are read; they are replaced here on every processor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch.nn import functional as F

from benchmarks._turns import Work, in_turns
from prunetui.engine.convolutions import make_ordinary, make_safe_for
from prunetui.engine.models import Architecture, build

SMALL = Architecture("resnet20", 1, 8, 10, "A", width=8)
LARGE = Architecture("resnet20", 3, 32, 10, "A", width=16)
SHORTCUTS = Architecture("resnet20", 3, 32, 10, "B", width=16)
CASES = (
    ("none in a small net, images of 8x8", SMALL, 64, 60),
    ("none in ResNet-20, images of 32x32", LARGE, 128, 4),
    ("two in ResNet-20, images of 32x32", SHORTCUTS, 128, 4),
)
"""Strided 1x1 convolutions, network, batch size, steps a turn."""


def steps(architecture: Architecture, batch: int, count: int, safe: bool) -> Work:
    """Training steps on random images in channels-last float32."""
    make_ordinary()
    model = build(architecture).to(memory_format=torch.channels_last).train()
    if safe:
        with mock.patch.dict(os.environ, ONEDNN_MAX_CPU_ISA="AVX2"):  # oneDNN itself reads it later
            make_safe_for(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    assert architecture.channels
    assert architecture.size
    assert architecture.classes
    images = torch.randn(batch, architecture.channels, architecture.size, architecture.size)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % architecture.classes

    def work() -> float:
        for _ in range(count):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return batch * count

    return work


def results() -> Iterator[dict[str, Any]]:
    """A ratio of 1 is no cost."""
    for name, architecture, batch, count in CASES:
        sides = partial(steps, architecture, batch, count, True), partial(steps, architecture, batch, count, False)
        yield in_turns(f"safe convolutions, {name}", *sides, "images/s", rounds=15)
