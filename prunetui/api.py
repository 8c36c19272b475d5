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
    "feature_maps",
    "keep_above",
    "keep_channels",
    "keep_top",
    "per_channel",
    "register",
    "registered",
    "zero_scores",
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

    def layers(self) -> dict[str, nn.Module]:
        """The convolutions and linear layers, in the order of ``weights()``."""
        return {n: m for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    def parameters(self) -> dict[str, Tensor]:
        """The weights as the model holds them, to differentiate with respect to; ``weights()`` are detached."""
        return {n: m.weight for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}

    @contextmanager
    def gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of the mean cross-entropy over ``batches`` with respect to ``weights()``."""
        total = {name: torch.zeros_like(weight) for name, weight in self.weights().items()}
        images = sum(len(labels) for _, labels in self.batches)
        for (_, labels), gradients in zip(self.batches, self.batch_gradients(), strict=True):
            for name, gradient in gradients.items():
                total[name] += gradient * (len(labels) / images)
        yield total

    def batch_gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of the mean cross-entropy of one batch after the other."""
        weights = self.parameters()
        for inputs, labels in self.batches:
            with torch.enable_grad():
                loss = F.cross_entropy(self.model(inputs).float(), labels)
                found = torch.autograd.grad(loss, list(weights.values()))
            yield dict(zip(weights, found, strict=True))

    def fisher(self) -> dict[str, Tensor]:
        """Diagonal of the empirical Fisher matrix: the mean over images of each image's squared gradient."""
        parameters = {name: p.detach() for name, p in self.model.named_parameters()}
        buffers = dict(self.model.named_buffers())
        names = {f"{name}.weight": name for name in self.layers()}
        chosen = {name: parameters.pop(name) for name in names}

        def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            state = {**parameters, **weights, **buffers}
            logits = torch.func.functional_call(self.model, state, (image[None],))
            return F.cross_entropy(logits.float(), label[None])

        gradient = torch.func.grad(loss)
        each = torch.func.vmap(gradient, in_dims=(None, 0, 0))
        total = {name: torch.zeros_like(weight) for name, weight in chosen.items()}
        images = sum(len(labels) for _, labels in self.batches)
        for inputs, labels in self.batches:
            for i in range(0, len(labels), PER_IMAGE_CHUNK):
                part = slice(i, i + PER_IMAGE_CHUNK)
                if len(labels[part]) == 1:  # vmap over one image falls back to slow paths
                    found = {n: g[None] for n, g in gradient(chosen, inputs[part][0], labels[part][0]).items()}
                else:
                    found = each(chosen, inputs[part], labels[part])
                for name, gradients in found.items():
                    total[name] += gradients.square().sum(0) / images
        return {names[name]: value for name, value in total.items()}

    def inputs(self) -> Iterator[dict[str, Tensor]]:
        """What each layer reads, one batch after the other: [B, C, H, W] or [B, C]."""
        for seen, _ in self._observed(with_gradients=False):
            yield seen

    def inputs_and_gradients(self) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """As ``inputs``, with the gradient of the batch's summed cross-entropy with respect to them."""
        return self._observed(with_gradients=True)

    def _observed(self, with_gradients: bool) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        for images, labels in self.batches:
            seen: dict[str, Tensor] = {}

            def look(name: str, into: dict[str, Tensor] = seen) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
                def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
                    into[name] = arguments[0]

                return hook

            handles = [layer.register_forward_pre_hook(look(name)) for name, layer in self.layers().items()]
            try:
                with torch.set_grad_enabled(with_gradients):
                    logits = self.model(images.requires_grad_() if with_gradients else images)
            finally:
                for handle in handles:
                    handle.remove()
            found: Sequence[Tensor] = ()
            if with_gradients:
                loss = F.cross_entropy(logits.float(), labels, reduction="sum")
                found = torch.autograd.grad(loss, list(seen.values()))
                images.requires_grad_(False)
            yield {n: x.detach() for n, x in seen.items()}, dict(zip(seen, found, strict=False))


class PruningMethod(Protocol):
    """What a registered class must offer."""

    def prune(self, net: Net, sparsity: float) -> Any:
        """The edit that brings ``net`` to ``sparsity`` (absolute, not relative to what is already gone)."""


def per_channel(net: Net, values: Mapping[str, Tensor], consumers: bool = False) -> dict[str, Tensor]:
    """Values of single weights, by layer, summed over each channel of each group.

    A channel owns the rows of its producers and, with ``consumers``, the columns of its consumers too.
    """
    scores = {}
    for group in net.groups():
        parts = [values[layer].flatten(1).sum(1) for layer in group.producers]
        if consumers:
            parts += [values[layer].transpose(0, 1).flatten(1).sum(1) for layer in group.consumers]
        scores[group.name] = torch.stack(parts).sum(0)
    return scores


def zero_scores(net: Net) -> dict[str, Tensor]:
    """A float32 zero for each channel of each group, to add to."""
    device = next(net.model.parameters()).device
    return {group.name: torch.zeros(group.width, device=device) for group in net.groups()}


def feature_maps(net: Net) -> Iterator[dict[str, Tensor]]:
    """The maps [B, width, H, W] that each group's first consumer reads, one batch after the other."""
    for seen in net.inputs():
        yield {group.name: _as_maps(seen[group.consumers[0]]) for group in net.groups()}


def _as_maps(features: Tensor) -> Tensor:
    return features if features.dim() == 4 else features[:, :, None, None]


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


PER_IMAGE_CHUNK = 16
"""Images whose single gradients are in memory together: 16 x 45 MB for ResNet-18."""

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
