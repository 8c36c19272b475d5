"""One probe: in one situation, some groups without some of their channels, against the same channels silenced."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunetui.api.groups import Group
from prunetui.engine.layers import DoesNotFit
from prunetui.engine.tracing.output_tensors import Difference, difference
from prunetui.engine.tracing.probe_network import ProbeNetwork
from prunetui.engine.tracing.proposal import AttributeRule
from prunetui.engine.tracing.shrink import removal
from prunetui.engine.tracing.silence import Way, silenced

TOLERANCE = 1e-6
"""Largest difference, relative to an output's largest magnitude, that removal may make in float64."""
LONGEST = 200
"""Characters of what the network says when it raises."""


@dataclass(frozen=True)
class Situation:
    """What a network is computed with: one of the examples, in training or in evaluation mode."""

    example: int
    training: bool

    @property
    def words(self) -> str:
        return f"in {'training' if self.training else 'evaluation'} mode"


@dataclass(frozen=True)
class Probe:
    """A situation, and which choice of channels goes in it."""

    situation: Situation
    seed: int


@dataclass(frozen=True)
class Failure:
    """Why a probe failed; ``differs`` where both networks were computed and gave other values."""

    words: str
    differs: bool = False


def halves(groups: Iterable[Group], seed: int) -> dict[str, Tensor]:
    """A random choice of a third to two thirds of the channels of every group.

    That of an odd seed is what the even one before it leaves out, so that the two see every channel both kept and
    removed. Groups of equal widths keep different numbers: what is right by symmetry only would stay hidden.
    """
    keep = {}
    for group in groups:
        random = torch.Generator().manual_seed(zlib.crc32(group.name.encode()) + seed // 2)
        least, most = max(1, -(-group.width // 3)), max(1, 2 * group.width // 3)
        count = int(torch.randint(min(least, most), most + 1, (), generator=random))
        chosen = torch.zeros(group.width, dtype=torch.bool)
        chosen[torch.randperm(group.width, generator=random)[:count]] = True
        keep[group.name] = ~chosen if seed % 2 and count < group.width else chosen
    return keep


class Prober:
    """Probes one network. It knows which attributes follow, and in which way each group is silenced."""

    def __init__(self, network: ProbeNetwork) -> None:
        self.network = network
        self.rules: dict[str, tuple[AttributeRule, ...]] = {}
        self.ways: dict[str, Way] = {}
        self.worst = 0.0
        self.count = 0
        self._dense: dict[Situation, list[Tensor]] = {}
        self._last: tuple[object, list[Tensor]] | None = None

    def situations(self) -> tuple[list[Situation], list[str]]:
        """Those that the network itself can be computed in, twice the same; and what keeps it from the others."""
        found, notes = [], []
        for training in (False, True):
            for i, example in enumerate(self.network.examples):
                situation = Situation(i, training)
                try:
                    self._dense[situation], again = (self.network.run(example, training) for _ in range(2))
                except Exception as error:  # noqa: BLE001 - the network is the user's own
                    notes.append(f"nothing is proved {situation.words} with example {i + 1}: {_said(error)}")
                    continue
                apart = difference(again, self._dense[situation])
                if not self._dense[situation]:
                    notes.append(f"nothing is proved {situation.words}: no tensor comes out")
                elif not apart.relative <= TOLERANCE:
                    notes.append(f"nothing is proved {situation.words}: outputs differ each time, or are not finite")
                else:
                    found.append(situation)
        return found, notes

    def fails(self, groups: Sequence[Group], probes: Iterable[Probe]) -> Failure | None:
        """The first failure among probes of these groups, pruned together; None if they hold."""
        for probe in probes if groups else ():
            found = self._failure(groups, probe)
            if found:
                return found
        return None

    def _failure(self, groups: Sequence[Group], probe: Probe) -> Failure | None:
        self.count += 1
        keep = halves(groups, probe.seed)
        words = probe.situation.words
        example = self.network.examples[probe.situation.example]
        try:
            rules = [rule for group in groups for rule in self.rules.get(group.name, ())]
            change = removal(self.network.model, groups, rules, keep)
            narrow = self.network.removed(change, example, probe.situation.training)
        except DoesNotFit as error:
            return Failure(str(error))
        except Exception as error:  # noqa: BLE001 - the network is the user's own
            return Failure(f"without some of these channels the network raises {words}: {_said(error)}")
        try:
            found = difference(narrow, self._silenced(groups, keep, probe))
        except Exception as error:  # noqa: BLE001 - the network is the user's own
            return Failure(f"with some of these channels at zero the network raises {words}: {_said(error)}")
        if found.words:
            return Failure(f"without some of these channels {found.words} {words}")
        if not found.relative <= TOLERANCE:
            return Failure(
                f"removing channels is not what silencing them is: outputs differ by {_share(found)} {words}", True
            )
        self.worst = max(self.worst, found.relative)
        return None

    def _silenced(self, groups: Sequence[Group], keep: Mapping[str, Tensor], probe: Probe) -> list[Tensor]:
        """Kept for one more probe of the same: whoever tries attributes asks again and again."""
        ways = {group.name: self.ways.get(group.name, "makes") for group in groups}
        key = (probe, tuple(ways.items()))
        if self._last is None or self._last[0] != key:
            tensors = silenced(groups, keep, self.network.tensors, ways)
            example = self.network.examples[probe.situation.example]
            self._last = key, self.network.run(example, probe.situation.training, tensors)
        return self._last[1]

    def effect(self, group: Group, probe: Probe) -> float:
        """How much silencing some channels changes what comes out."""
        return difference(
            self._silenced([group], halves([group], probe.seed), probe), self._dense[probe.situation]
        ).relative


def _share(found: Difference) -> str:
    return f"{found.relative:.2g} of their size" if found.relative < float("inf") else "values that are not finite"


def _said(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
