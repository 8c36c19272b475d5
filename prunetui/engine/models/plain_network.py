"""A network of anybody's as one that can be pruned and computes the same; what is changed of it is said in a line.

Wrappers for speed or several devices are taken off. Weights that are computed from other tensors (weight norm, spectral
norm, any parametrisation, masks of ``torch.nn.utils.prune``) are computed once and are plain from then on. Attention
that takes the width of its heads from that of its inputs gets heads of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api.source import called, mapped
from prunetui.engine.layers.own_heads import OwnHeadsAttention
from prunetui.engine.models.computed_weights import all_computed, with_plain_weights
from prunetui.engine.models.wrappers import inner, is_compiled
from prunetui.engine.tracing.exact_mode import exactly
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.output_tensors import difference, output_tensors
from prunetui.errors import UsageError

NAMED = 5
TOLERANCE = 1e-9
"""Largest difference, relative to an output's largest magnitude, that a change may make in float64."""
WINDOWED = "torchvision.models.swin_transformer"


@dataclass(frozen=True)
class _Change:
    """One kind of change."""

    find: Callable[[nn.Module], list[str]]
    """What of a network is to be changed."""
    make: Callable[[nn.Module], nn.Module]
    words: str
    modes: tuple[bool, ...]
    """In which (training or not) the network computes the same afterwards."""

    def line(self, found: list[str]) -> str:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f"{self.words}: {', '.join(found[:NAMED])}{more}"


def plain(network: nn.Module) -> nn.Module:
    """The network as it can be pruned; it is changed in place, but for what is wrapped around it."""
    for change in CHANGES:
        network = change.make(network)
    return network


def proved_plain(network: nn.Module, inputs: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """The network as ``plain`` makes it, in float64, and a line for each change, proved on this very network.

    ``inputs`` are an example of what goes into it; floats among them are replaced by random ones.

    Raises:
        UsageError: it computes something else after a change.
    """
    random = torch.Generator().manual_seed(0)
    network = network.double()
    inputs = mapped(inputs, lambda x: torch.randn(x.shape, generator=random).double() if x.is_floating_point() else x)
    lines = []
    for change in CHANGES:
        found = change.find(network)
        if not found:
            continue
        line = change.line(found)
        before = [_computed(network, inputs, training) for training in change.modes]
        network = change.make(network)
        for training, wanted in zip(change.modes, before, strict=True):
            apart = difference(_computed(network, inputs, training), wanted)
            if not apart.relative <= TOLERANCE:
                what = apart.words or f"its outputs differ by {apart.relative:.2g} of their size"
                raise UsageError(f"the network is not the same any more after a change ({line}): {what}")
        lines.append(line)
    return network, tuple(lines)


def _computed(network: nn.Module, inputs: Any, training: bool) -> list[Tensor]:
    with unchanged(network), exactly(network, training), torch.no_grad():
        return output_tensors(called(network, mapped(inputs, torch.clone)))


# Wrappers --------------------------------------------------------------------------------------------------


def _wrappers(network: nn.Module) -> list[str]:
    return list(dict.fromkeys(word for module in network.modules() if (word := _wrapper(module))))


def _wrapper(module: nn.Module) -> str:
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return type(module).__name__
    return "torch.compile" if is_compiled(module) or module._compiled_call_impl is not None else ""


def _unwrapped(network: nn.Module) -> nn.Module:
    network = inner(network)
    for module in list(network.modules()):
        if module._compiled_call_impl is not None:
            module._compiled_call_impl = None
        for name, child in list(module.named_children()):
            if (bare := inner(child)) is not child:
                setattr(module, name, bare)
    return network


# Attention -------------------------------------------------------------------------------------------------


def _attention(network: nn.Module) -> list[str]:
    return [f"{name or 'the network'} ({type(m).__name__})" for name, m in network.named_modules() if _is_attention(m)]


def _is_attention(module: nn.Module) -> bool:
    kind = type(module)
    windows = ("ShiftedWindowAttention", "ShiftedWindowAttentionV2")
    return kind is nn.MultiheadAttention or (kind.__module__ == WINDOWED and kind.__name__ in windows)


def _with_own_heads(network: nn.Module) -> nn.Module:
    for module in list(network.modules()):
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # a form of batches that only torch's own attention takes
        if not _is_attention(module):
            continue
        if isinstance(module, nn.MultiheadAttention):
            OwnHeadsAttention.of(module)
        else:
            from prunetui.engine.layers.window_heads import own_heads

            own_heads(module)
    return network


CHANGES = (
    _Change(_wrappers, _unwrapped, "taken off the network", (False, True)),
    # In training, spectral norm would go on estimating.
    _Change(
        all_computed,
        with_plain_weights,
        "weights that were computed from others are plain weights from here on",
        (False,),
    ),
    _Change(
        _attention, _with_own_heads, "replaced by attention that computes the same and can lose heads", (False, True)
    ),
)
