"""A network of anybody's as one that can be pruned and computes the same; what is changed of it is said in a line.

Wrappers for speed or several devices are taken off. Weights that are computed from other tensors (weight norm, spectral
norm, any parametrisation, masks of ``torch.nn.utils.prune``) are computed once and are plain from then on. Attention
that takes the width of its heads from that of its inputs gets heads of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from prunetui.api.source import arguments_of
from prunetui.engine.models.attention_modules import attention_in, kind_words, with_own_heads
from prunetui.engine.models.computed_weights import all_computed, with_plain_weights
from prunetui.engine.models.wrappers import inner, is_compiled
from prunetui.engine.tracing.exact_mode import exactly
from prunetui.engine.tracing.example_calls import probe_calls
from prunetui.engine.tracing.export_graph import unchanged
from prunetui.engine.tracing.network_digest import network_digest
from prunetui.engine.tracing.output_tensors import difference, output_tensors
from prunetui.engine.tracing.probe_network import Example
from prunetui.engine.tracing.proof_cache import keep_plain, read_plain
from prunetui.errors import UsageError
from prunetui.tree.step_code import SOURCES

NAMED = 5
PURPOSE = f"plain {SOURCES.digest([Path(__file__).as_posix()])}"
"""Under which proofs of changes are kept: until the code changes that makes or proves them."""
TOLERANCE = 1e-9
"""Largest difference, relative to an output's largest magnitude, that a change may make in float64."""


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

    ``inputs`` are an example of what goes into it, of which ``probe_calls`` makes calls. A network that was proved
    before is not proved again.

    Raises:
        UsageError: it computes something else after a change.
    """
    if not any(change.find(network) for change in CHANGES):
        return network.double(), ()
    digest = network_digest(network, [arguments_of(inputs)], PURPOSE)
    known = bool(digest and read_plain(digest) == PURPOSE)
    calls = [] if known else wide_calls(network, inputs)
    network, lines = network.double(), []
    for change in CHANGES:
        found = change.find(network)
        if not found:
            continue
        line = change.line(found)
        before = list(_computable(network, calls, change.modes))
        if calls and not before:
            raise UsageError(
                f"the network cannot be computed with these inputs, so a change of it ({line}) is not proved"
            )
        network = change.make(network)
        for training, call, wanted in before:
            if apart := _apart(_computed(network, call, training), wanted):
                raise UsageError(f"the network is not the same any more after a change ({line}): {apart}")
        lines.append(line)
    if digest and not known:
        keep_plain(digest, PURPOSE)
    return network, tuple(lines)


def computes_the_same(network: nn.Module, changed: nn.Module, calls: list[Example], modes: tuple[bool, ...]) -> str:
    """Why a network in float64 does not compute what it did before it was changed; empty where it does.

    In the modes in which it can be computed at all.
    """
    before = list(_computable(network, calls, modes))
    found = (_apart(_computed(changed, call, training), wanted) for training, call, wanted in before)
    return next((apart for apart in found if apart), "" if before else "it cannot be computed with these inputs")


def _computable(
    network: nn.Module, calls: list[Example], modes: tuple[bool, ...]
) -> Iterator[tuple[bool, Example, list[Tensor]]]:
    """Modes and calls in which a network is computed, and what comes out: some want targets where they train."""
    for training in modes:
        for call in calls:
            try:
                yield training, call, _computed(network, call, training)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception:  # noqa: BLE001 - whatever the network's own code raises: it is not for this mode
                continue


def wide_calls(network: nn.Module, inputs: Any) -> list[Example]:
    """Calls like these inputs, for the network in float64."""

    def wide(value: Any) -> Any:
        return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

    return [tree_map(wide, call) for call in probe_calls(network, inputs)]


def _computed(network: nn.Module, call: Example, training: bool) -> list[Tensor]:
    arguments, named = tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, call)
    with unchanged(network), exactly(network, training), torch.no_grad():
        return output_tensors(network(*arguments, **named))


def _apart(made: list[Tensor], wanted: list[Tensor]) -> str:
    """How outputs differ from those that were wanted, in words; empty where they do not."""
    found = difference(made, wanted)
    if found.relative <= TOLERANCE:
        return ""
    return found.words or f"its outputs differ by {found.relative:.2g} of their size"


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
        lambda network: kind_words(network, list(attention_in(network))), with_own_heads,
        "replaced by attention that computes the same and can lose heads", (False, True),
    ),
)  # fmt: skip
