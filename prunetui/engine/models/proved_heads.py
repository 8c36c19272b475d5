"""Attention of a network in memory that gets heads of its own, so that heads can go: wherever that is proved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prunetui.api.source import mapped
from prunetui.engine.models.attention_modules import attention_in, with_own_heads
from prunetui.engine.models.in_memory import copied
from prunetui.engine.models.plain_network import computes_the_same, wide_calls
from prunetui.engine.tracing.example_calls import one_example
from prunetui.engine.tracing.network_digest import network_digest
from prunetui.engine.tracing.proof_cache import keep_plain, read_plain
from prunetui.tree.step_code import SOURCES

PURPOSE = f"heads {SOURCES.digest([Path(__file__).as_posix()])}"
"""Under which these proofs are kept: until the code changes that makes or proves them."""


@dataclass(frozen=True)
class ProvedHeads:
    """Which attention of a network can be replaced, and why other cannot."""

    replaced: tuple[str, ...] = ()
    stays: dict[str, str] = field(default_factory=dict)
    """Module -> why it stays as it is."""


def proved_heads(network: nn.Module, inputs: Any) -> ProvedHeads:
    """Give attention heads of its own, in place, where it is proved that the network computes the same.

    ``inputs`` are a batch that goes into the network, on any device. What is proved is kept for another time.
    """
    names = list(attention_in(network))
    if not names:
        return ProvedHeads()
    dense = copied(network).cpu().float()
    one = one_example(dense, mapped(inputs, _on_cpu))
    digest = network_digest(dense, [((one,), {})], PURPOSE)
    try:
        found = ProvedHeads(**read_plain(digest or ""))
    except TypeError:  # nothing is kept
        raised: list[str] = []
        found = _proved(dense, one, names, raised)
        if digest and not raised:  # another time it may not raise, as where memory did not suffice
            keep_plain(digest, {"replaced": list(found.replaced), "stays": found.stays})
    with_own_heads(network, found.replaced)
    return ProvedHeads(tuple(found.replaced), found.stays)


def _proved(dense: nn.Module, one: Any, names: list[str], raised: list[str]) -> ProvedHeads:
    """All at once; where that fails, each alone, and then all that passed. What was raised is added to ``raised``."""
    if not _why_not(dense, one, names, raised):
        return ProvedHeads(tuple(names))
    found = {name: _why_not(dense, one, [name], raised) for name in names}
    stays = {name: why for name, why in found.items() if why}
    left = [name for name in names if name not in stays]
    if left and (why := _why_not(dense, one, left, raised)):
        stays, left = {**stays, **dict.fromkeys(left, why)}, []
    return ProvedHeads(tuple(left), stays)


def _why_not(dense: nn.Module, one: Any, names: list[str], raised: list[str]) -> str:
    """Why the network is not the same with these replaced; empty where it is."""
    try:
        calls = wide_calls(dense, one)
        wide = copied(dense).double()
        return computes_the_same(wide, with_own_heads(copied(wide), names), calls, (False, True))
    except Exception as error:  # noqa: BLE001 - whatever the network's own code raises
        raised.append(f"{type(error).__name__}: {error}")
        return raised[-1]


def _on_cpu(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor
