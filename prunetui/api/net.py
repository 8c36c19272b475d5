"""What a method may look at: the net, its coupled channels, and what flows through it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api.constraints import Constrained, Constraints

Keep = Mapping[str, Tensor]
Batch = tuple[Tensor, Tensor]
PER_IMAGE_CHUNK = 16
"""Images whose single gradients are in memory together: 16 x 45 MB for ResNet-18."""


@dataclass(frozen=True)
class Net(Constrained):
    """What a method may look at. The model is left as found: the engine checks it."""

    model: nn.Module
    """The network in evaluation mode, on its device."""
    masks: Keep
    """Masks in force, by layer name; a layer without one is dense."""
    batches: Sequence[Batch]
    """Calibration images, normalised, [B, C, H, W], with labels [B]; training data, never test data."""
    generator: torch.Generator
    """The only randomness a method may use (on the CPU)."""
    constraints: Constraints
    """What may go, what it costs, and how much must stay."""
    progress: float
    """Place in the schedule, in (0, 1]; 1 is the last prune step."""
    memory: Keep = field(default_factory=dict)
    """What the method's ``during_training`` has noted, by the names it chose."""

    def weights(self) -> dict[str, Tensor]:
        """Prunable weights by layer name: of convolutions [out, in, k, k] and linear layers [out, in]."""
        return {name: weight.detach() for name, weight in self.parameters().items()}

    def with_masks(self, masks: Keep) -> Net:
        """The same net with other masks in force, for methods that prune in rounds."""
        return replace(self, masks=masks)

    def with_weights(self, weights: Mapping[str, Tensor], masks: Keep | None = None) -> Net:
        """Another net with these weights, by layer name, to look ahead with; this one stays as it is."""
        model = copy.deepcopy(self.model)
        for name, weight in weights.items():
            model.get_submodule(name).weight.data.copy_(weight)  # type: ignore[operator]
        return replace(self, model=model, masks=self.masks if masks is None else masks)

    def first_convolution(self) -> str:
        """The layer that reads the image."""
        return next(str(name) for name, module in self.model.named_modules() if isinstance(module, nn.Conv2d))

    def norms(self) -> dict[str, str]:
        """The batch norm that reads each layer's output, for layers that one reads directly."""
        makers: list[tuple[str, Tensor]] = []
        found: dict[str, str] = {}

        def watch(name: str, module: nn.Module) -> Callable[..., None]:
            def made(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
                makers.append((name, output))

            def read(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
                found.update({maker: name for maker, output in makers if output is arguments[0]})

            return read if isinstance(module, nn.BatchNorm2d) else made

        watched = {n: m for n, m in self.model.named_modules() if isinstance(m, nn.BatchNorm2d)} | self.layers()
        handles = [module.register_forward_hook(watch(name, module)) for name, module in watched.items()]
        try:
            with torch.no_grad():
                self.model(self.batches[0][0][:1])
        finally:
            for handle in handles:
                handle.remove()
        return found

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
        total = {name: torch.zeros_like(weight) for name, weight in self.weights().items()}
        images = sum(len(labels) for _, labels in self.batches)
        for chunk in self.image_gradients():
            for name, gradients in chunk.items():
                total[name] += gradients.square().sum(0) / images
        return total

    def image_gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of each image's own cross-entropy, a few images at a time: [images, *weight's shape]."""
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
        for inputs, labels in self.batches:
            for i in range(0, len(labels), PER_IMAGE_CHUNK):
                part = slice(i, i + PER_IMAGE_CHUNK)
                if len(labels[part]) == 1:  # vmap over one image falls back to slow paths
                    found = {n: g[None] for n, g in gradient(chosen, inputs[part][0], labels[part][0]).items()}
                else:
                    found = each(chosen, inputs[part], labels[part])
                yield {names[name]: gradients for name, gradients in found.items()}

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
