"""Latency of ResNet-18 with channels removed, against the dense net: ONNX Runtime, one CPU thread, float32.

Each name has the widths of the four stages and how many times fewer MACs there are, to be compared with the ratio:
a processor computes 8 or 16 channels at once, so that narrow layers and odd widths are slower than their MACs say.
Widths are those that l2-structured leaves of 50, 30 and 10 % of the channels, rounded to 8 or not at all, and of the
study that left 1 % of the parameters: rounded to 2 as there, and to 4. The last cases have equal MACs and differ in
alignment alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks._timing import side_by_side
from prunetui.api import Net
from prunetui.config import LayersTable
from prunetui.engine.count import Counts, count
from prunetui.engine.edits import apply, remove_channels
from prunetui.engine.graph import Graph
from prunetui.engine.latency_timing import onnx_passes
from prunetui.engine.models import Architecture, build
from prunetui.engine.state import State, instantiate
from prunetui.engine.trace_network import trace
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification

ARCHITECTURE = Architecture("resnet18", 3, 32, 10, "B", width=64)
CPU = torch.device("cpu")
EXAMPLE = torch.zeros(1, 3, 32, 32)
STAGES = ("conv1", "layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1")
ALIGNED, ODD = (32, 64, 128, 256), (33, 63, 127, 255)
"""Widths with MACs that differ by less than 1 %."""
ROUNDS, PASSES = {1: 8, 128: 7}, {1: 60, 128: 1}
"""A turn of batch 1 is 60 passes: a net that runs again and again has its weights at hand, as the dense one has."""


@dataclass(frozen=True)
class Timed:
    """A network and its passes in ONNX Runtime."""

    state: State

    @cached_property
    def counts(self) -> Counts:
        return count(instantiate(self.state, CPU), torch.zeros(1, 3, 32, 32))

    @cached_property
    def ready(self) -> Callable[[Tensor], Callable[[], Any]]:
        return onnx_passes(instantiate(self.state, CPU), torch.zeros(1, 3, 32, 32))

    @property
    def widths(self) -> str:
        return "/".join(str(len(self.state.tensors[f"{name}.weight"])) for name in STAGES)


def results() -> Iterator[dict[str, Any]]:
    """Milliseconds a batch; ``ratio`` is the dense net's to the small one's, ``macs_ratio`` that of their MACs."""
    torch.manual_seed(0)
    graph = trace(ARCHITECTURE, EXAMPLE).restricted(LayersTable())
    dense = Timed(State(ARCHITECTURE, dict(build(ARCHITECTURE).state_dict())))
    for sparsity in (0.5, 0.7, 0.9):
        aligned, odd = (Timed(pruned(dense.state, graph, sparsity, to)) for to in (8, 1))
        yield case(f"-{sparsity:.0%} round 8", aligned, dense, 1)
        if odd.widths != aligned.widths:
            yield case(f"-{sparsity:.0%} round 1", odd, dense, 1)
    yield case("-90% round 8", aligned, dense, 128)
    for round_to in (2, 4):
        hundredth = Timed(pruned(dense.state, graph, 0.9, round_to))
        for batch in (1, 128):
            yield case(f"-90% round {round_to}, {hundredth.counts.params:,} parameters", hundredth, dense, batch)
    aligned, odd = (Timed(narrowed(dense.state, graph, widths)) for widths in (ALIGNED, ODD))
    for batch in (1, 128):
        yield case(f"aligned against {odd.widths}", aligned, odd, batch)


def case(name: str, ours: Timed, peer: Timed, batch: int) -> dict[str, Any]:
    """One line."""
    images = torch.randn(batch, 3, 32, 32)
    macs = peer.counts.macs / ours.counts.macs
    name = f"{name}: {ours.widths}, MACs {macs:.1f}x, batch {batch}"
    passes = (ours.ready(images), peer.ready(images))
    timed = side_by_side(name, *passes, ROUNDS[batch], PASSES[batch], time.thread_time)
    return {**timed, "macs_ratio": macs, "batch": batch}


def pruned(state: State, graph: Graph, sparsity: float, round_to: int) -> State:
    """What l2-structured leaves of the channels; which ones they are does not matter here, so weights are random."""
    net = Net(
        model=instantiate(state, CPU), masks={}, batches=[], generator=torch.Generator(),
        constraints=graph.constraints(state, edit="channels", target="channels"), progress=1.0, task=Classification(),
    )  # fmt: skip
    method: Any = method_catalogue.load("l2-structured")
    return apply(method(round_to=round_to).prune(net, sparsity), state, graph)


def narrowed(state: State, graph: Graph, widths: Sequence[int]) -> State:
    """The first channels of every group, as many as its stage has in ``widths``."""
    stage = dict(zip((64, 128, 256, 512), widths, strict=True))
    keep = {group.name: torch.arange(group.width) < stage[group.width] for group in graph.groups}
    return remove_channels(keep, state, graph)
