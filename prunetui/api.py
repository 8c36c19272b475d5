"""All that a pruning method sees and returns.

A method is a frozen dataclass with a ``prune`` that looks at a ``Net`` and returns an edit:
``Masks`` (weights set to zero) or ``Channels`` (channels physically removed). It never changes the net.
``keep`` is always name -> bool tensor in which True survives; ``sparsity`` always the fraction removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.budget import Costs, solve_widths
from prunetui.errors import PrunetuiError, TrialError

__all__ = [
    "Annotated",
    "Channels",
    "Group",
    "Keep",
    "Literal",
    "Masks",
    "Net",
    "PruningMethod",
    "Scope",
    "dataclass",
    "keep_above",
    "keep_channels",
    "keep_top",
    "register",
    "registered",
]

Scope = Literal["global", "local"]
"""Rank across the whole net, or within each layer."""

Keep = Mapping[str, Tensor]
Batch = tuple[Tensor, Tensor]
M = TypeVar("M", bound=type)


@dataclass(frozen=True)
class Masks:
    """An edit: weights of layers set to zero and held there; shapes stay."""

    keep: Keep
    """Layer name -> bool tensor of its weight's shape."""


@dataclass(frozen=True)
class Channels:
    """An edit: channels physically removed, from every layer coupled to them."""

    keep: Keep
    """Group name -> bool tensor of the group's width."""


@dataclass(frozen=True)
class Group:
    """Channels that can only go together: one index removes an output of every producer.

    ``producers`` are the convolutions and linear layers that make these channels, ``norms`` the batch
    norms on them, ``consumers`` the layers that read them. ``name`` is that of the first producer.
    """

    name: str
    width: int
    producers: tuple[str, ...]
    norms: tuple[str, ...]
    consumers: tuple[str, ...]


@dataclass(frozen=True)
class Net:
    """What a method may look at. The model is left as found: the engine checks it."""

    model: nn.Module
    """The network in evaluation mode, on its device."""
    masks: Keep
    """Masks in force, by layer name; a layer without one is dense."""
    batches: Sequence[Batch]
    """Calibration images, normalised, [B, C, H, W], with labels [B]; training data, never test data."""
    generator: torch.Generator
    """The only randomness a method may use (on the CPU)."""
    target: str
    """What the sparsity is a fraction of: sparsity, channels, params, macs or threshold."""
    progress: float
    """Place in the schedule, in (0, 1]; 1 is the last prune step."""
    coupled: Sequence[Group]
    costs: Costs

    def weights(self) -> dict[str, Tensor]:
        """Prunable weights by layer name: of convolutions [out, in, k, k] and linear layers [out, in]."""
        return {
            name: module.weight.detach()
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        }

    def groups(self) -> Sequence[Group]:
        """The groups of coupled channels that may be removed; the classes are never among them."""
        return self.coupled

    @contextmanager
    def gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of the mean cross-entropy over ``batches`` with respect to ``weights()``."""
        layers = {n: m for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        weights = [layer.weight for layer in layers.values()]
        total = [torch.zeros_like(weight) for weight in weights]
        images = sum(len(labels) for _, labels in self.batches)
        with torch.enable_grad():
            for inputs, labels in self.batches:
                loss = F.cross_entropy(self.model(inputs).float(), labels, reduction="sum") / images
                torch._foreach_add_(total, list(torch.autograd.grad(loss, weights)))
        yield dict(zip(layers, total, strict=True))


class PruningMethod(Protocol):
    """What a registered class must offer."""

    def prune(self, net: Net, sparsity: float) -> Any:
        """The edit that brings ``net`` to ``sparsity`` (absolute, not relative to what is already gone)."""


def keep_top(
    scores: Mapping[str, Tensor], sparsity: float, scope: Scope, within: Keep | None = None
) -> dict[str, Tensor]:
    """Keep the highest scores and remove exactly ``round(sparsity * n)`` of n.

    n counts all scores (``global``) or those of each layer (``local``). What ``within`` has already
    removed stays removed and counts. Equal scores fall as ``torch.topk`` breaks the tie.

    Raises:
        TrialError: ``within`` has removed more than ``sparsity``.
    """
    names = list(scores)
    flat = []
    for name in names:
        score = scores[name].detach().float()
        held = (within or {}).get(name)
        flat.append((score if held is None else score.masked_fill(~held.to(score.device), -torch.inf)).flatten())
    if scope == "global":
        kept = torch.split(_keep_flat(torch.cat(flat), sparsity), [len(f) for f in flat])
    else:
        kept = tuple(_keep_flat(f, sparsity) for f in flat)
    return {name: keep.view(scores[name].shape) for name, keep in zip(names, kept, strict=True)}


def _keep_flat(scores: Tensor, sparsity: float) -> Tensor:
    removed = round(sparsity * len(scores))
    gone = int((scores == -torch.inf).sum())
    if gone > removed:
        raise TrialError(
            f"{gone} of {len(scores)} weights are already pruned; a sparsity of {sparsity:g} is below that"
        )
    keep = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    keep[torch.topk(scores, removed, largest=False).indices] = False
    return keep


def keep_above(scores: Mapping[str, Tensor], threshold: float, within: Keep | None = None) -> dict[str, Tensor]:
    """Keep what scores above ``threshold`` and is kept by ``within``."""
    kept = {name: score.detach() > threshold for name, score in scores.items()}
    return {name: keep & within[name] if within and name in within else keep for name, keep in kept.items()}


def keep_channels(
    net: Net, scores: Mapping[str, Tensor], sparsity: float, scope: Scope = "local", round_to: int = 0
) -> dict[str, Tensor]:
    """Keep the highest-scored channels of each group, as many as the net's target allows.

    ``scores`` holds one score a channel for every group of ``net.groups()``. ``round_to`` makes every
    width a multiple of it; 0 is 8 where the narrowest group has at least 64 channels, else 1.

    Raises:
        TrialError: the target cannot be reached within 1 % of the net.
    """
    widths = solve_widths(
        net.costs, {name: score.detach().float().cpu() for name, score in scores.items()}, net.target, sparsity,
        scope, round_to,
    )  # fmt: skip
    keep = {}
    for name, score in scores.items():
        keep[name] = torch.zeros(len(score), dtype=torch.bool, device=score.device)
        keep[name][torch.topk(score, widths[name]).indices] = True
    return keep


_REGISTRY: dict[str, type] = {}


def register(name: str, *, source: str, family: str = "", targets: Sequence[str] = ()) -> Callable[[M], M]:
    """Make a class a pruning method. All arguments must be literals: lists read them without importing.

    ``source`` is where the method comes from; ``family`` and ``targets`` default by the kind of edit.

    Raises:
        PrunetuiError: the name is taken by another class.
    """

    def decorate(cls: M) -> M:
        taken = _REGISTRY.get(name)
        if taken is not None and taken.__qualname__ != cls.__qualname__:
            raise PrunetuiError(f"two methods are called {name!r}: {taken.__module__} and {cls.__module__}")
        _REGISTRY[name] = cls
        return cls

    return decorate


def registered(name: str) -> type[PruningMethod]:
    """The class registered as ``name``; its module has been imported."""
    return _REGISTRY[name]
