"""ResNet-20 whose convolutions share a fifth of their filters, against the dense net and against a filter loop.

The loop is what sharing is often first written as: a convolution for each output, which computes a filter as often
as it is used and was three times slower than the dense net in the study that this method comes from. With large
batches shared and dense net come out even here: of 16 channels 3 are left, less than a processor's vector, and the
copies by label are as large as the maps.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._timing import side_by_side
from prunetui.api import Net
from prunetui.config import LayersTable
from prunetui.engine.edits import apply
from prunetui.engine.graph import Graph
from prunetui.engine.layers.shared_convolution import SharedConv2d
from prunetui.engine.models import Architecture, build
from prunetui.engine.state import State, instantiate
from prunetui.engine.trace_network import trace
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification

ARCHITECTURE = Architecture("resnet20", 3, 32, 10, "B", width=16)
RATIO = 0.8
CPU = torch.device("cpu")
EXAMPLE = torch.zeros(1, 3, 32, 32)


class FilterLoop(nn.Module):
    """A shared convolution as a convolution of one filter for each output."""

    def __init__(self, layer: SharedConv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        weight, labels = self.layer.weight, self.layer.labels.tolist()
        stride, padding = self.layer.stride, self.layer.padding
        return torch.cat([F.conv2d(x, weight[i : i + 1], None, stride, padding) for i in labels], 1)


def results() -> Iterator[dict[str, Any]]:
    """A forward pass of one image on one CPU thread, float32, channels-last: as the latency of a trial is measured."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    graph = trace(ARCHITECTURE, EXAMPLE).restricted(LayersTable())
    state = State(ARCHITECTURE, dict(build(ARCHITECTURE).state_dict()))
    images = torch.randn(1, 3, 32, 32).to(memory_format=torch.channels_last)
    dense = instantiate(state, CPU)
    shared = instantiate(_shared(state, graph, dense, images), CPU)
    loop = copy.deepcopy(shared)
    for name, module in list(loop.named_modules()):
        if isinstance(module, SharedConv2d):
            setattr(loop.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], FilterLoop(module))
    with torch.inference_mode():
        torch.testing.assert_close(loop(images), shared(images), rtol=1e-3, atol=1e-3)
        for peer, net in (("dense", dense), ("filter loop", loop)):
            yield side_by_side(f"kmeans-shared {RATIO:g} vs {peer}", partial(shared, images), partial(net, images), 400)


def _shared(state: State, graph: Graph, model: nn.Module, images: Tensor) -> State:
    net = Net(
        model=model,
        masks={},
        batches=[(images, torch.zeros(len(images), dtype=torch.int64))],
        generator=torch.Generator().manual_seed(0),
        constraints=graph.constraints(state, edit="modules", target="channels"),
        progress=1.0,
        task=Classification(),
    )
    return apply(method_catalogue.load("kmeans-shared")().prune(net, RATIO), state, graph)
