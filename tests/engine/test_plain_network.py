"""What is changed of a network before it is pruned changes nothing that it computes, and is said in a line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from prunetui.engine.layers.own_heads import OwnHeadsAttention
from prunetui.engine.models import plain_network
from prunetui.engine.models.plain_network import plain, proved_plain
from prunetui.errors import UsageError

IMAGES = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
FOLDED = "weights that were computed from others are plain weights from here on: 1.weight"


def network(change: Callable[[nn.Module], nn.Module], frozen: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), change(nn.Linear(16, 3)).requires_grad_(not frozen))


def masked(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", 0.5)


COMPUTED = [
    weight_norm, spectral_norm, masked, parametrizations.weight_norm, parametrizations.spectral_norm,
    parametrizations.orthogonal,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("change", COMPUTED, ids=lambda change: f"{change.__module__}.{change.__name__}")
def test_weights_that_are_computed_become_plain(change: Callable[[nn.Module], nn.Module], frozen: bool) -> None:
    net = network(change, frozen).eval()
    with torch.no_grad():
        wanted = net(IMAGES)
        assert plain(net) is net
        assert torch.equal(net(IMAGES), wanted)
    assert {name: p.requires_grad for name, p in net.named_parameters()} == {
        "1.weight": not frozen, "1.bias": not frozen,
    }  # fmt: skip
    assert type(net[1]) is nn.Linear
    assert not net[1]._forward_pre_hooks
    copy.deepcopy(net).load_state_dict(net.state_dict())
    assert proved_plain(network(change, frozen), IMAGES)[1] == (FOLDED,)


def test_wrappers_are_taken_off() -> None:
    inner = network(lambda layer: layer)
    inner[1]._compiled_call_impl = inner[1]._call_impl  # as inner[1].compile() would, without importing the compiler
    net = nn.Sequential(nn.DataParallel(inner))
    assert proved_plain(copy.copy(net), IMAGES)[1] == ("taken off the network: DataParallel, torch.compile",)
    assert inner[1]._compiled_call_impl is None
    assert plain(nn.DataParallel(inner)) is inner


@pytest.mark.slow
def test_a_compiled_network_is_what_was_compiled() -> None:
    inner = network(lambda layer: layer)
    net = nn.Sequential(torch.compile(inner))
    assert proved_plain(copy.copy(net), IMAGES)[1] == ("taken off the network: torch.compile",)
    assert plain(torch.compile(inner)) is inner


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(1, 2)
        made: Tensor = self.head(self.attention(tokens, tokens, tokens)[0].mean(1))
        return made


def test_attention_is_replaced_and_said() -> None:
    net, (line,) = proved_plain(Attending(), IMAGES)
    assert type(net.attention) is OwnHeadsAttention
    assert line == ("replaced by attention that computes the same and can lose heads: attention (MultiheadAttention)")


def test_a_change_that_changes_what_is_computed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(module: nn.MultiheadAttention) -> None:
        module.out_proj.weight.data.mul_(1.001)

    monkeypatch.setattr(OwnHeadsAttention, "of", wrong)
    with pytest.raises(UsageError, match=r"not the same any more after a change \(replaced .*: its outputs differ by"):
        proved_plain(Attending(), IMAGES)


def test_a_network_of_plain_layers_stays_as_it_is() -> None:
    net = network(lambda layer: layer)
    assert proved_plain(net, IMAGES) == (net, ())


class Counted(Attending):
    """Counts how often it is computed."""

    calls: ClassVar[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return super().forward(x)


def test_a_change_is_proved_once_of_networks_that_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = proved_plain(Counted(), IMAGES)[1]
    assert Counted.calls
    Counted.calls.clear()
    again, lines = proved_plain(Counted(), IMAGES)
    assert (lines, Counted.calls, type(again.attention)) == ((line,), [], OwnHeadsAttention)
    proved_plain(Counted(), IMAGES[:, :, :3])
    assert Counted.calls  # of another size
    Counted.calls.clear()
    monkeypatch.setattr(plain_network, "PURPOSE", "another proof")
    proved_plain(Counted(), IMAGES)
    assert Counted.calls
