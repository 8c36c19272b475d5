"""Which groups matter to the outputs at all: silencing what does not would prove nothing.

One backward pass says it of all groups: to first order, a channel's part of the outputs is the sum of its weights times
their gradients. Where there is no gradient (a backbone under ``no_grad``, a step function) the group is silenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from prunetui.api.groups import Group
from prunetui.engine.tracing.probe import Probe, Prober, Situation
from prunetui.engine.tracing.probe_network import ProbeNetwork

LEAST = 1e-5
"""Of the outputs' largest magnitude: ten times what a removal may differ by."""


def without_influence(groups: Sequence[Group], prober: Prober, situations: Sequence[Situation]) -> list[Group]:
    """The groups whose channels change no output in any situation."""
    left = list(groups)
    for situation in situations:
        left = left and _without_gradient(left, prober.network, situation)
    return [group for group in left if not _changes(group, prober, situations)]


def _without_gradient(groups: Iterable[Group], network: ProbeNetwork, situation: Situation) -> list[Group]:
    try:
        gradients = network.gradients(network.examples[situation.example], situation.training, _weighed)
    except Exception:  # noqa: BLE001 - whatever has no gradient: silencing says it instead
        return list(groups)
    parts = {name: network.tensors[name].detach() * gradient for name, gradient in gradients.items()}
    return [group for group in groups if not _largest(group, parts) > LEAST]


def _largest(group: Group, parts: Mapping[str, Tensor]) -> float:
    """The largest part that a channel of the group has in the outputs."""
    found = [
        piece.sums(parts[piece.tensor]) for piece in group.slices if piece.role != "reads" and piece.tensor in parts
    ]
    return max((float(sums.abs().max()) for sums in found), default=0.0)


def _weighed(outputs: Sequence[Tensor]) -> Tensor:
    """A random mixture of all outputs, each in units of its largest magnitude."""
    random = torch.Generator().manual_seed(0)
    total = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        if output.is_floating_point() and output.requires_grad:
            weights = torch.randn(output.shape, generator=random, dtype=torch.float64)
            finite = output.isfinite() & (output.detach().abs() < 1e300)
            size = output.detach()[finite].abs().max() if bool(finite.any()) else torch.ones(())
            total = total + (torch.where(finite, output, 0) * weights).sum() / size.clamp_min(1e-30)
    return total


def _changes(group: Group, prober: Prober, situations: Sequence[Situation]) -> bool:
    return any(
        prober.effect(group, Probe(situation, seed)) > LEAST for situation in situations for seed in (0, 1)
    )  # fmt: skip
