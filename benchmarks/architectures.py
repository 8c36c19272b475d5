"""What can be removed of well-known networks: ``python -m benchmarks.architectures`` prints the table of networks.md.

No side-by-side: each network is built with random weights as a study would, traced and proved in children of this
process, pruned, and compared with what is silenced. Those of packages that are not installed are left out, saying so.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks._architectures import NETWORKS, Network
from prunetui.api import Net
from prunetui.engine.edits import apply, check_removal
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture, build
from prunetui.engine.state import State, instantiate
from prunetui.engine.trace_network import trace
from prunetui.engine.verify_edit import achieved
from prunetui.errors import PrunetuiError, TrialError
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification

SHARES = (0.3, 0.5)
"""Of the multiply-accumulates, that are removed."""
HEAD = ("network", "parameters", "in removable channels", "graph", "30 % of MACs", "50 % of MACs", "seconds", "stays")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Examined:
    """A network with its graph."""

    network: Network
    architecture: Architecture
    state: State
    graph: Graph
    seconds: float

    @classmethod
    def of(cls, network: Network) -> Examined:
        """Build and trace a network.

        Raises:
            UsageError: it cannot be built.
        """
        torch.manual_seed(0)
        architecture = network.architecture()
        model = build(architecture)
        started = time.process_time() + _children()
        graph = trace(architecture, network.example())
        seconds = time.process_time() + _children() - started
        return cls(network, architecture, State(architecture, _copied(model.state_dict())), graph, seconds)

    def pruned(self, share: float, method: str = "l1-structured") -> tuple[State, Mapping[str, Tensor]]:
        """The state without a share of its multiply-accumulates, and what was kept; checked against silenced channels.

        Raises:
            TrialError: so much cannot go, or removal is not what silencing is.
        """
        net = Net(
            model=instantiate(self.state, CPU), masks={}, batches=[], generator=torch.Generator().manual_seed(0),
            constraints=self.graph.constraints(self.state, edit="channels", target="macs"), progress=1.0,
            task=Classification(),
        )  # fmt: skip
        edit = method_catalogue.load(method)().prune(net, share)
        after = apply(edit, self.state, self.graph)
        check_removal(edit.keep, self.state, after, self.graph, self.network.example())
        return after, edit.keep

    def removable(self) -> float:
        """The share of parameters that lie in some channel that may go."""
        covered: dict[str, dict[int, Tensor]] = {}
        for group in self.graph.groups:
            for piece in group.slices:
                size = self.state.tensors[piece.tensor].shape[piece.dimension]
                place = covered.setdefault(piece.tensor, {})
                place.setdefault(piece.dimension, torch.zeros(size))[piece.index.flatten()] = 1
        shapes = {
            f"{layer}.{own}" if layer else own: shape
            for layer, found in self.graph.layers.items()
            for own, shape in found.shapes.items()
        }
        sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
        stays = dict.fromkeys(shapes, 1.0)
        for name, of in covered.items():
            for share in of.values():
                stays[name] = stays.get(name, 1.0) * float(1 - share.mean())
        return sum(size * (1 - stays[name]) for name, size in sizes.items()) / sum(sizes.values())

    def reasons(self) -> list[str]:
        """Why what stays does, by how many parameters stay for it; outputs apart, which always do."""
        weight: dict[str, int] = {}
        for place, reason in self.graph.kept.items():
            name = place.rpartition("[")[0]
            size = self.state.tensors[name].numel() if name in self.state.tensors else 0
            weight[reason] = weight.get(reason, 0) + size
        told = sorted(weight, key=lambda reason: -weight[reason])
        return [reason for reason in told if "part of the output" not in reason and "network's input" not in reason]


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def row(network: Network) -> list[str]:
    """One line of the table."""
    try:
        one = Examined.of(network)
    except PrunetuiError as error:
        return [network.short, "", "", "", "", "", "", f"refused: {error}"]
    params = one.graph.cost("params", one.graph.dense)
    whole = one.graph.kept.get("")
    other = "torch.export of parts" if one.graph.parts else "Torch-Pruning"
    graph = "none" if whole else (other if one.graph.fallback else "torch.export")
    reasons = [whole] if whole else one.reasons()[:1]
    return [
        network.short, f"{params:,}", f"{one.removable():.1%}", graph, *(_removed(one, share) for share in SHARES),
        f"{one.seconds:.1f}", "; ".join(reasons),
    ]  # fmt: skip


def _removed(one: Examined, share: float) -> str:
    try:
        after, _ = one.pruned(share)
    except TrialError as error:
        return f"no: {error}" if "nearest" not in str(error) else "no, " + str(error).partition(": ")[2]
    return f"{achieved('macs', after, one.graph):.1%}"


def installed(networks: Sequence[Network]) -> Iterator[Network]:
    """Those whose package is there; the others are told."""
    for network in networks:
        if network.needs and find_spec(network.needs) is None:
            print(f"{network.short}: {network.needs} is not installed", file=sys.stderr)
        else:
            yield network


def main() -> None:
    """Print the table of all networks, or of those whose names contain one of the words given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="parts of names; all networks without any")
    asked: Any = parser.parse_args()
    wanted = [one for one in NETWORKS if not asked.words or any(word in one.name for word in asked.words)]
    print(f"| {' | '.join(HEAD)} |\n| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |")
    for network in installed(wanted):
        print(f"| {' | '.join(row(network))} |", flush=True)


if __name__ == "__main__":
    main()
