"""A residual network with batch norm trained under a method's hooks, and its batches for a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.api import Net, Training
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.randomness import epoch_seed
from prunetui.engine.state import State, instantiate
from prunetui.engine.train_job import Hooks, Shape, TrainJob, TrainState
from prunetui.engine.training_loop import train
from prunetui.plugins import method_catalogue
from prunetui.steps.train import check_shaped, hook_of
from prunetui.tasks.classification import Classification
from tests.engine.test_shaping import never, recipe

RESIDUAL = Architecture("resnet20", 1, 8, 10, "B", width=4)
LR, MOMENTUM, DECAY = 0.02, 0.9, 1e-3
BATCHES = 5
"""Of an epoch: what is left of 180 images after 5 times 32 is left out."""


@dataclass(frozen=True)
class Laboratory:
    """What a training needs."""

    digits: Dataset
    device: Device
    start: State
    graph: Graph
    net_of: Callable[..., Net]

    def method(self, name: str, **options: Any) -> Any:
        return method_catalogue.load(name)(**options)

    def trained(
        self, method: Any, sparsity: float, epochs: int, watch: Callable[[Training], None] | None = None,
        state: State | None = None,
    ) -> tuple[nn.Module, TrainState]:  # fmt: skip
        """The network after ``epochs`` at a constant rate; ``watch`` looks after every step, behind the method."""
        start = state or self.start
        model = instantiate(start, torch.device("cpu"))
        hooks = [hook_of(method, name, sparsity) for name in ("during_training", "after_step")]

        def after(training: Training) -> None:
            if hooks[1]:
                hooks[1](training)
            if watch:
                watch(training)

        shape = Shape(hooks[0], self.graph.constraints(start, edit="masks"), after, start.masks)
        how = recipe(epochs=epochs, lr=LR, momentum=MOMENTUM, weight_decay=DECAY, schedule="constant")
        job = TrainJob(how, "key", shape=shape)
        hooked = Hooks(lambda report: None, lambda epoch, state: None, never)
        given = TrainState({}, start.masks)
        made = train(model, Classification(), self.digits, job, given, self.device, hooked)
        check_shaped("this", start, made.masks)
        return model, made

    def plainly(self) -> tuple[nn.Module, dict[str, nn.Module], torch.optim.SGD]:
        """The same network, the layers that may be pruned, and an optimiser of torch's own."""
        model = instantiate(self.start, torch.device("cpu")).train()
        layers = {name: model.get_submodule(name) for name in self.graph.prunable}
        return model, layers, self.optimizer(model)

    def optimizer(self, model: nn.Module) -> torch.optim.SGD:
        return torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=DECAY, nesterov=True)

    def batches(self, epochs: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches that ``trained`` sees."""
        for epoch in range(epochs):
            yield from self.digits.epoch(32, torch.Generator().manual_seed(epoch_seed("key", epoch)))

    def pruned(self, method: Any, model: nn.Module, made: TrainState, sparsity: float) -> dict[str, Tensor]:
        """What the method keeps of a trained network."""
        tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        net = self.net_of(State(RESIDUAL, tensors, dict(made.masks)), self.graph, edit="masks")
        return dict(method.prune(net, sparsity).keep)


def backward(model: nn.Module, optimizer: torch.optim.SGD, batch: tuple[Tensor, Tensor]) -> None:
    """The gradients of one batch."""
    optimizer.zero_grad()
    images, labels = batch
    nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]


def same_weights(found: nn.Module, expected: dict[str, Tensor]) -> None:
    """Every tensor to within rounding."""
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(
            tensor, expected[name], rtol=2e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}"
        )
