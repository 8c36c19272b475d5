"""The nodes of the tree, content-addressed by their keys, and its paths, the trials."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prunetui.tree.step import Step, canonical


@dataclass(frozen=True)
class Units:
    """What can be pruned on its own: the prunable layers, and the groups of coupled layers (named by their first)."""

    layers: Sequence[str]
    groups: Sequence[tuple[str, ...]]
    refused: Sequence[str] = ()
    """Layers whose channels cannot be removed."""


@dataclass(frozen=True)
class Node:
    """A step and the state it starts from."""

    key: str
    parent: str | None
    step: Step
    seed: int


@dataclass(frozen=True)
class Trial:
    """One path through the tree: a row of results.csv. The fields from ``dense`` on are keys of nodes."""

    id: str
    method: str
    label: str
    schedule: str
    seed: int
    target: str
    value: float
    layer: str
    """The one layer, or the coupled layers joined by +, that a sensitivity study prunes here; else empty."""
    masked: bool
    """Whether it only masks weights: its network keeps its shape."""
    dense: str
    """The trained dense network it is compared with."""
    start: str
    """Where its own steps begin: the trained network, or the fresh one."""
    edited: str
    """Right after its last edit."""
    before: str
    """After the edit and the re-estimation of batch-norm statistics, before recovery."""
    after: str
    """The final network."""
    control: str
    """The dense network after all the trial's steps but its edits: the same extra epochs and re-estimation."""

    def identity(self) -> dict[str, Any]:
        """The columns of its row that are known before it runs."""
        return {
            "trial": self.id,
            "method": self.method,
            "label": self.label,
            "schedule": self.schedule,
            "seed": self.seed,
            "target": f"{self.target}:{self.value:.10g}",
            "layer": self.layer,
        }


@dataclass
class Plan:
    """The tree (``nodes`` by key, parents first) and its paths."""

    nodes: dict[str, Node] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    """Rows of results for what a sensitivity study cannot prune, each with its reason."""
    measurements: dict[str, dict[str, tuple[str, Step]]] = field(default_factory=dict)
    """What is measured, by the id of the trial and a name: the key of the state, and the step after it."""
    _epochs: dict[str, int] = field(default_factory=dict, repr=False)

    def add(self, parent: str, step: Step, seed: int) -> str:
        """The key of ``step`` after ``parent``; the node is made unless it is there."""
        key = step_key(parent, step)
        if key not in self.nodes:
            self.nodes[key] = Node(key, parent if parent in self.nodes else None, step, seed)
        return key

    def path(self, key: str) -> list[Node]:
        """The nodes from the root to ``key``."""
        nodes: list[Node] = []
        node: Node | None = self.nodes[key]
        while node is not None:
            nodes.append(node)
            node = self.nodes[node.parent] if node.parent else None
        return nodes[::-1]

    def carrying(self) -> set[str]:
        """The states whose momentum a later training goes on with: from that one back to the last training."""
        keys: set[str] = set()
        for node in self.nodes.values():
            key = node.parent if node.step.carries_momentum else None
            while key:
                keys.add(key)
                key = None if self.nodes[key].step.trains else self.nodes[key].parent
        return keys

    def users(self) -> dict[str, int]:
        """How many trials pass through each node."""
        counts = dict.fromkeys(self.nodes, 0)
        for trial in self.trials:
            counts[trial.after] += 1
        for key, node in reversed(self.nodes.items()):  # children first: whoever passes a child passes its parent
            if node.parent:
                counts[node.parent] += counts[key]
        return counts

    def epochs(self, key: str) -> int:
        """How many epochs are trained from the root to ``key``."""
        below: list[str] = []
        at: str | None = key
        while at and at not in self._epochs:
            below.append(at)
            at = self.nodes[at].parent
        total = self._epochs[at] if at else 0
        for at in reversed(below):
            total += self.nodes[at].step.epochs
            self._epochs[at] = total
        return total

    def random_stream(self, key: str) -> str:
        """What the randomness of a step is called: by its kind, its seed and its place, not by what led to it."""
        node = self.nodes[key]
        place = node.step.place([earlier.step for earlier in self.path(key)])
        return f"{node.step.kind}:{node.seed}:{place}"


def step_key(parent: str, step: Step) -> str:
    """The key of ``step`` after the step with the key ``parent``."""
    before, after = step.key_text
    return _hashed(f"{before}{canonical(parent)}{after}")


def digest(plain: Mapping[str, Any]) -> str:
    """The key of plain data: 32 hexadecimal digits."""
    return _hashed(canonical(plain))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
