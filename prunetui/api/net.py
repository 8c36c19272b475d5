"""What a method may look at: the net, its coupled channels, and what flows through it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from prunetui.api.constraints import Constrained, Constraints
from prunetui.api.example_gradients import differentiable, example_gradients, gradients_or_zeros
from prunetui.api.source import Batch, called, count_of, mapped
from prunetui.api.task import Task
from prunetui.errors import TrialError

Keep = Mapping[str, Tensor]


@dataclass(frozen=True)
class Net(Constrained):
    """What a method may look at. The model is left as found: the engine checks it."""

    model: nn.Module
    """The network in evaluation mode, on its device."""
    masks: Keep
    """Masks in force, by layer name; a layer without one is dense."""
    batches: Sequence[Batch]
    """Calibration batches as the task understands them; training data, never test data.

    For classification pairs of normalised images [B, C, H, W] and labels [B].
    """
    generator: torch.Generator
    """The only randomness a method may use (on the CPU)."""
    constraints: Constraints
    """What may go, what it costs, and how much must stay."""
    progress: float
    """Place in the schedule, in (0, 1]; 1 is the last prune step."""
    task: Task
    """What the network is for: it says the loss of a batch, and what of one goes into the network."""
    memory: Keep = field(default_factory=dict)
    """What the method has noted while a training went on, by the names it chose."""

    def with_masks(self, masks: Keep) -> Net:
        """The same net with other masks in force, for methods that prune in rounds."""
        return replace(self, masks=masks)

    def with_weights(self, weights: Mapping[str, Tensor], masks: Keep | None = None) -> Net:
        """Another net with these weights, by layer name, to look ahead with; this one stays as it is."""
        model = copy.deepcopy(self.model)
        for name, weight in weights.items():
            model.get_submodule(name).weight.data.copy_(weight)  # type: ignore[operator]
        return replace(self, model=model, masks=self.masks if masks is None else masks)

    @contextmanager
    def in_training(self) -> Iterator[Net]:
        """Another net in training mode, where batch norms take the statistics of each batch; this one stays as it is.

        What is random there, such as dropout, draws from the net's generator. A batch norm that is given a single value
        a channel keeps its running statistics, for one value has no variance.
        """
        model = copy.deepcopy(self.model).train()
        for parameter in model.parameters():  # frozen ones, too, are differentiated with respect to
            parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.register_forward_pre_hook(_with_batch_statistics)
        devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
        with torch.random.fork_rng(devices=list(devices)):
            torch.manual_seed(int(torch.randint(2**31 - 1, (), generator=self.generator)))
            yield replace(self, model=model)

    def first_convolution(self) -> str:
        """The layer that reads the image.

        Raises:
            TrialError: no layer is a two-dimensional convolution.
        """
        found = next((str(n) for n, module in self.model.named_modules() if isinstance(module, nn.Conv2d)), None)
        if found is None:
            raise TrialError("the network has no two-dimensional convolution, which this method works on")
        return found

    def norms(self) -> dict[str, str]:
        """The batch norm that reads each layer's output, for layers that one reads directly."""
        makers: list[tuple[str, Tensor]] = []
        found: dict[str, str] = {}

        def watch(name: str, module: nn.Module) -> Callable[..., None]:
            def made(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
                makers.append((name, output))

            def read(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
                found.update({maker: name for maker, output in makers if output is arguments[0]})

            return read if isinstance(module, _BatchNorm) else made

        watched = {n: m for n, m in self.model.named_modules() if isinstance(m, _BatchNorm)} | self.layers()
        handles = [module.register_forward_hook(watch(name, module)) for name, module in watched.items()]
        try:
            with torch.no_grad():
                called(self.model, mapped(self.task.inputs(self.batches[0]), lambda tensor: tensor[:1]))
        finally:
            for handle in handles:
                handle.remove()
        return found

    @property
    def count(self) -> int:
        """How many examples ``batches`` have."""
        return sum(map(count_of, self.batches))

    @contextmanager
    def gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of the mean loss over ``batches`` with respect to ``weights()``."""
        total = {name: torch.zeros_like(weight) for name, weight in self.weights().items()}
        count = self.count
        for batch, gradients in zip(self.batches, self.batch_gradients(), strict=True):
            for name, gradient in gradients.items():
                total[name] += gradient * (count_of(batch) / count)
        yield total

    def batch_gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of the mean loss of one batch after the other."""
        return self._gradients_of(self.parameters())

    def gradients_of(self, tensors: Iterable[str]) -> Iterator[dict[str, Tensor]]:
        """As ``batch_gradients``, with respect to parameters by their names in the state dict."""
        return self._gradients_of({name: self.model.get_parameter(name) for name in tensors})

    def _gradients_of(self, tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        for batch in self.batches:
            with torch.enable_grad(), differentiable(list(tensors.values())):
                found = gradients_or_zeros(self, self.task.loss(self.model, batch), tensors)
            yield found

    def fisher(self) -> dict[str, Tensor]:
        """Diagonal of the empirical Fisher matrix: the mean over examples of each one's squared gradient."""
        total = {name: torch.zeros_like(weight) for name, weight in self.weights().items()}
        count = self.count
        for chunk in self.image_gradients():
            for name, gradients in chunk.items():
                total[name] += gradients.square().sum(0) / count
        return total

    def image_gradients(self) -> Iterator[dict[str, Tensor]]:
        """Gradients of each example's own loss, a few examples at a time: [examples, *weight's shape]."""
        return example_gradients(self, self.task, iter(self.batches))

    def inputs(self) -> Iterator[dict[str, Tensor]]:
        """What each layer reads, one batch after the other: [B, C, H, W], or [B, ..., C] of linear layers.

        Raises:
            TrialError: a layer is not called with these examples.
        """
        for seen, _ in self._observed(with_gradients=False):
            yield seen

    def inputs_and_gradients(self) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """As ``inputs``, with the gradient of the batch's summed loss with respect to them.

        Of a tensor that several layers read, each sees what flows back through itself alone.
        """
        return self._observed(with_gradients=True)

    def _observed(self, with_gradients: bool) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        for batch in self.batches:
            seen: dict[str, Tensor] = {}

            def look(name: str, into: dict[str, Tensor] = seen) -> Callable[..., tuple[Any, ...]]:
                def hook(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
                    # An alias of each reader's own: the gradient of what it is of adds up all readers'.
                    read = arguments[0]
                    if with_gradients:
                        read = read.view_as(read) if read.requires_grad else read.detach().requires_grad_()
                    into[name] = read
                    return into[name], *arguments[1:]

                return hook

            handles = [layer.register_forward_pre_hook(look(name)) for name, layer in self.layers().items()]
            found: Sequence[Tensor] = ()
            inputs = self.task.inputs(batch)
            try:
                with torch.set_grad_enabled(with_gradients), differentiable(inputs if with_gradients else ()):
                    if with_gradients:
                        loss = self.task.loss(self.model, batch) * count_of(batch)
                        found = torch.autograd.grad(loss, list(seen.values()))
                    else:
                        called(self.model, inputs)
            finally:
                for handle in handles:
                    handle.remove()
            if unseen := [name for name in self.layers() if name not in seen and name not in self.constraints.uncalled]:
                raise TrialError(
                    f"{', '.join(unseen[:3])} reads nothing of these examples; layers.exclude keeps it as it is"
                )
            yield {n: x.detach() for n, x in seen.items()}, dict(zip(seen, found, strict=False))


def _with_batch_statistics(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
    norm.training = arguments[0].numel() > arguments[0].shape[1]
