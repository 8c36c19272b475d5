"""How many channels stay: the rounding rule on literal numbers, and the solver on the nets people prune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from prunetui.api import Group, Slice
from prunetui.api.budget import Costs, Widths, rounded_down, solve_widths
from prunetui.api.groups import one_each
from prunetui.api.isomorphic import Structure, structure_of
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.errors import TrialError

NETS = {
    "resnet18": Architecture("resnet18", 3, 32, 10),
    "resnet20 A": Architecture("resnet20", 3, 32, 10, "A"),
    "resnet20 B": Architecture("resnet20", 3, 32, 10, "B"),
    "resnet50": Architecture("resnet50", 3, 32, 10),
    "vgg16": Architecture("vgg16", 3, 32, 10),
}
TENTHS = tuple(i / 10 for i in range(1, 10))


@pytest.mark.parametrize(
    ("channels", "ratio", "round_to", "kept"),
    [
        (64, 0.5, 1, 32),
        (64, 0.3, 1, 44),  # 44.8 down
        (64, 0.3, 8, 40),
        (64, 0.9, 8, 8),  # 6.4, but never below 8
        (16, 0.9, 1, 1),
        (10, 0.95, 1, 1),  # 0.5, but never below 1
        (10, 0.9, 1, 1),  # 10 * (1 - 0.9) is 0.9999999999999998 in floating point; it means 1
        (100, 0.29, 1, 71),
        (64, 0.9, 2, 6),  # the widths of ResNet-18 without 90 % of its channels: 6, 12, 24, 50
        (128, 0.9, 2, 12),
        (256, 0.9, 2, 24),
        (512, 0.9, 2, 50),
        (16, 0.5, 8, 8),
        (4, 0.5, 8, 4),  # there are no 8 to keep
        (64, 0.0, 8, 64),
    ],
)
def test_a_layer_keeps_the_floor_of_its_share_in_multiples(
    channels: int, ratio: float, round_to: int, kept: int
) -> None:
    assert rounded_down(channels, ratio, round_to) == kept


def random_scores(costs: Costs) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    return {name: torch.rand(width, generator=random) + 0.5 for name, width in costs.current.items()}


def dense_costs(graph: Graph) -> Costs:
    widths = {group.name: group.width for group in graph.groups}
    return Costs(widths, widths, graph.cost)


def removed(costs: Costs, target: str, widths: Widths) -> float:
    return 1 - costs.cost(target, widths) / costs.cost(target, costs.dense)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("target", ["sparsity", "params", "macs"])
@pytest.mark.parametrize("net", list(NETS))
def test_every_target_is_met_within_one_percent(
    net: str, target: str, scope: str, graph_of: Callable[[Architecture], Graph]
) -> None:
    costs = dense_costs(graph_of(NETS[net]))
    unit = 8 if min(costs.dense.values()) >= 64 else 1
    for sparsity in TENTHS:
        widths = solve_widths(costs, random_scores(costs), target, sparsity, scope)
        assert removed(costs, target, widths) == pytest.approx(sparsity, abs=0.01)
        assert all(width % unit == 0 and 1 <= width <= costs.dense[g] for g, width in widths.items())


def test_local_scope_thins_every_layer_alike_and_global_scope_follows_the_scores(
    graph_of: Callable[[Architecture], Graph],
) -> None:
    costs = dense_costs(graph_of(NETS["vgg16"]))
    scores = random_scores(costs)
    best = max(scores, key=lambda group: costs.dense[group])
    scores[best] = torch.ones(512)  # all alike, beside layers whose worst channels score half their mean
    local = solve_widths(costs, scores, "params", 0.5, "local", round_to=1)
    assert all(local[g] / costs.dense[g] == pytest.approx(0.5**0.5, abs=0.05) for g in local)
    wide = solve_widths(costs, scores, "params", 0.5, "global", round_to=1)
    assert wide[best] > local[best]


@pytest.mark.parametrize("round_to", [2, 4, 16])
def test_widths_are_multiples_of_what_is_asked_for(round_to: int, graph_of: Callable[[Architecture], Graph]) -> None:
    costs = dense_costs(graph_of(NETS["resnet18"]))
    for target in ("channels", "sparsity", "macs"):
        widths = solve_widths(costs, random_scores(costs), target, 0.7, "local", round_to)
        assert {width % round_to for width in widths.values()} == {0}


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("target", ["channels", "sparsity", "params", "macs"])
@pytest.mark.parametrize("net", ["resnet20 A", "resnet20 B", "vgg16"])
def test_widths_only_shrink_along_a_schedule(
    net: str, target: str, scope: str, graph_of: Callable[[Architecture], Graph]
) -> None:
    costs = dense_costs(graph_of(NETS[net]))
    for sparsity in TENTHS:
        widths = solve_widths(costs, random_scores(costs), target, sparsity, scope)
        assert all(widths[g] <= costs.current[g] for g in widths)
        costs = replace(costs, current=widths)
        if target != "channels":
            assert removed(costs, target, widths) == pytest.approx(sparsity, abs=0.01)


def test_a_ratio_of_channels_gives_the_widths_and_sizes_of_the_published_study(
    graph_of: Callable[[Architecture], Graph],
) -> None:
    graph = graph_of(NETS["resnet18"])
    scores = {g.name: torch.ones(g.width) for g in graph.groups}
    widths = solve_widths(dense_costs(graph), scores, "channels", 0.9, "local", round_to=2)
    assert sorted(set(widths.values())) == [6, 12, 24, 50]
    assert graph.cost("params", widths) == 105_428
    assert graph.cost("macs", widths) == pytest.approx(5.12e6, abs=5e3)


def test_sparsity_zero_changes_nothing(graph_of: Callable[[Architecture], Graph]) -> None:
    costs = dense_costs(graph_of(NETS["resnet20 B"]))
    for target in ("channels", "sparsity", "params", "macs"):
        assert solve_widths(costs, random_scores(costs), target, 0.0, "local") == costs.dense


def test_what_cannot_be_reached_is_refused_with_the_nearest_that_can(graph_of: Callable[[Architecture], Graph]) -> None:
    costs = dense_costs(graph_of(NETS["resnet20 B"]))
    with pytest.raises(TrialError) as caught:
        solve_widths(costs, random_scores(costs), "params", 0.99, "local", round_to=8)
    assert "cannot remove 99.00% of the params: the nearest is" in str(caught.value)
    assert "multiples of 8 and at least 8 channels in every layer" in str(caught.value)


@pytest.mark.parametrize("target", ["channels", "sparsity", "params", "macs"])
def test_a_net_that_has_already_lost_more_is_refused(target: str, graph_of: Callable[[Architecture], Graph]) -> None:
    costs = dense_costs(graph_of(NETS["resnet20 B"]))
    scores = random_scores(costs)
    smaller = replace(costs, current=solve_widths(costs, scores, target, 0.8, "local"))
    with pytest.raises(TrialError, match=r"cannot remove|already has fewer channels"):
        solve_widths(smaller, scores, target, 0.5, "local")


def test_a_net_without_removable_channels_is_refused() -> None:
    with pytest.raises(TrialError, match="no channels that can be removed"):
        solve_widths(Costs({}, {}, lambda kind, widths: 1), {}, "sparsity", 0.5, "local")


def test_isomorphic_scope_takes_the_same_share_of_every_structure_and_ranks_within_it() -> None:
    """Two layers of one structure, 4 channels each, and one of another, of which all scores are far higher."""
    dense = {"a": 4, "b": 4, "c": 6}
    costs = Costs(dense, dense, lambda kind, widths: sum(widths.values()))
    scores = {
        "a": torch.tensor([1.0, 2, 3, 4]), "b": torch.tensor([5.0, 6, 7, 8]),
        "c": torch.tensor([10.0, 20, 30, 40, 50, 60]),
    }  # fmt: skip
    structures = {"a": "attention", "b": "attention", "c": "mlp"}

    def widths(scope: str) -> list[int]:
        found = solve_widths(costs, scores, "params", 0.5, scope, 1, 0.0, "none", structures)
        return [found[name] for name in "abc"]

    assert widths("isomorphic") == [1, 3, 3]  # of 8 channels 4, of which one layer keeps its best; of 6 channels 3
    assert widths("global") == [1, 1, 5]
    assert widths("local") == [2, 2, 3]


def test_groups_are_of_one_structure_whatever_their_width() -> None:
    widths = (3, 4), (4, 8), (8, 2), (2, 2)
    first, second, third, last = (nn.Conv2d(*width, 1) for width in widths)
    net = nn.Sequential(first, nn.BatchNorm2d(4), second, nn.BatchNorm2d(8), third, last)

    def structure(width: int, maker: int, norm: int | None, reader: int) -> Structure:
        norms = [Slice(f"{norm}.weight", 0, one_each(width), "scales")] if norm is not None else []
        slices = (Slice(f"{maker}.weight", 0, one_each(width), "makes"), *norms,
                  Slice(f"{reader}.weight", 1, one_each(width), "reads"))  # fmt: skip
        return structure_of(Group(str(maker), slices), net)

    assert structure(4, 0, 1, 2) == structure(8, 2, 3, 4) != structure(2, 4, None, 5)
