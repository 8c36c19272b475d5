"""A change of a network is found, of whatever kind it is, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import prunetui
from prunetui.api import Channels, Net
from prunetui.engine.untouched import Untouched
from prunetui.errors import TrialError


def network() -> Any:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    net.register_buffer("unsaved", torch.tensor([1.0, float("nan")]), persistent=False)
    net.steps, net.fill, net.use_hooks = 3, float("nan"), True
    return net


def fill(tensor: torch.Tensor) -> None:
    with torch.no_grad():
        tensor[0] = 7


CHANGES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda net: fill(net[0].weight), "the tensor 0.weight"),
    (lambda net: fill(net[1].running_mean), "the tensor 1.running_mean"),
    (lambda net: fill(net.unsaved), "the tensor unsaved"),
    (lambda net: net.register_buffer("more", torch.ones(1)), "the tensor more"),
    (lambda net: net.register_parameter("unsaved2", None), ""),
    (lambda net: net[0].register_parameter("bias", None), "the tensor 0.bias"),
    (lambda net: net[2].bias.requires_grad_(False), "requires_grad of 2.bias"),
    (lambda net: net[1].train(), "the mode of 1"),
    (lambda net: setattr(net, "steps", 4), "steps of the network"),
    (lambda net: delattr(net, "steps"), "steps of the network"),
    (lambda net: setattr(net[1], "eps", 1.0), "eps of 1"),
    (lambda net: net[0].register_forward_hook(lambda *_: None), "forward_hooks of 0"),
    (lambda net: net.__setitem__(1, nn.Identity()), "the tensor 1.weight"),
    (lambda net: net.zero_grad(), ""),
    (lambda net: net(torch.ones(1, 2)), ""),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_each_kind_of_change_is_named(change: Callable[[Any], Any], words: str) -> None:
    net = network()
    values = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    untouched = Untouched(net, values)
    assert untouched.changes(net) == []
    change(net)
    assert untouched.changes(net)[:1] == [words] * bool(words)


class Thaws:
    """A method that leaves a network in training mode."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        net.model.train()
        return Channels({group.name: torch.arange(group.width) < group.width // 2 for group in net.groups()})


def test_a_method_that_changes_the_net_is_refused() -> None:
    with pytest.raises(TrialError, match=r"changed the net \(the mode of the network\); it may only return an edit"):
        prunetui.prune(
            nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)), example_inputs=torch.ones(1, 2),
            method=Thaws(), target="channels", amount=0.5, progress=False,
        )  # fmt: skip


class Counting(nn.Module):
    """Counts its calls, and keeps a table as long as the longest input."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.calls = nn.Linear(2, 4), nn.Linear(4, 2), 0
        self.register_buffer("seen", torch.zeros(0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen = torch.arange(float(len(x)))
        return self.two(self.one(x).relu())


def test_what_a_network_changes_of_itself_is_not_the_method_s() -> None:
    batches = [(torch.randn(n, 2), torch.zeros(n, dtype=torch.long)) for n in (4, 3)]
    small, _ = prunetui.prune(
        Counting(), batches, method="apoz", target="channels", amount=0.5, progress=False,
    )  # fmt: skip
    assert small.one.out_features == 2


class Counts(nn.Module):
    """A network that counts its calls where gradients are asked for, and is called as hooks are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)
        self.calls, self.use_hooks = 0, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += torch.is_grad_enabled()
        out: torch.Tensor = self.last(self.first(x).relu())
        return out


def test_what_a_network_changes_of_itself_is_not_the_method_s_doing() -> None:
    data = [(torch.randn(8, 4), torch.arange(8) % 2)]
    small, _ = prunetui.prune(Counts(), data, method="taylor-structured", progress=False)
    assert small.first.out_features < 8
