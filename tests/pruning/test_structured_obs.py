"""Structured Optimal Brain Surgeon against brute force: each removal tried, what is left solved by least squares."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.obs_structured import StructuredOptimalBrainSurgeon as Structured
from prunetui.api import ChannelReader, Channels, Group, Net, channel_costs
from prunetui.api.budget import Costs
from prunetui.api.groups import Slice, one_each
from prunetui.errors import TrialError, UnrankedError
from tests.pruning.test_criteria import net
from tests.pruning.test_sources import GROUPS, Batches, Residual, group, with_lively_norms

SHARP = 1e-9
"""Damping that a comparison with undamped arithmetic does not see."""


@dataclass(frozen=True)
class Reader:
    """A layer as a least-squares problem: weights [rows, d], inputs [d, N], and the columns of each channel."""

    weights: Tensor
    inputs: Tensor
    columns: Sequence[Sequence[int]]

    def nearest(self, kept: Sequence[int], wanted: Tensor | None = None) -> Tensor:
        """The weights of only these channels that come nearest to the outputs ``wanted``, or to those there are."""
        own = sorted(column for channel in kept for column in self.columns[channel])
        wanted = self.weights @ self.inputs if wanted is None else wanted
        best = torch.zeros_like(self.weights)
        if own:
            best[:, own] = torch.linalg.lstsq(self.inputs[own].T, wanted.T).solution.T
        return best

    def error(self, kept: Sequence[int]) -> float:
        """The squared error of the outputs, relative to their energy."""
        outputs = self.weights @ self.inputs
        return float((self.nearest(kept) @ self.inputs - outputs).square().sum() / outputs.square().sum())


def greedy(readers: list[Reader]) -> Tensor:
    """The cost of each channel's removal, one after the other, every one tried."""
    left, spent = list(range(len(readers[0].columns))), 0.0
    costs = torch.zeros(len(left), dtype=torch.float64)
    while left:
        errors = {p: sum(reader.error([q for q in left if q != p]) for reader in readers) for p in left}
        p = min(left, key=lambda q: errors[q])
        costs[p], spent = errors[p] - spent, errors[p]
        left.remove(p)
    return costs


def read_by(subject: nn.Module, name: str, batches: Batches) -> Tensor:
    """What a layer reads of all batches, [examples, ...]."""
    found: list[Tensor] = []
    layer = subject.get_submodule(name)
    handle = layer.register_forward_pre_hook(lambda _, given: found.append(given[0].detach()))
    with torch.no_grad():
        for images, _ in batches:
            subject(images)
    handle.remove()
    return torch.cat(found)


def patches(read: Tensor, layer: nn.Module) -> Tensor:
    """Inputs as columns [d, N], cut out one by one."""
    if isinstance(layer, nn.Linear):
        return read.T
    assert isinstance(layer, nn.Conv2d)
    (k, _), (s, _), (p, _) = layer.kernel_size, layer.stride, layer.padding  # type: ignore[misc]
    padded = F.pad(read, (p, p, p, p))
    places = [(i, j) for i in range(0, padded.shape[2] - k + 1, s) for j in range(0, padded.shape[3] - k + 1, s)]
    return torch.cat([padded[:, :, i : i + k, j : j + k].flatten(1).T for i, j in places], 1)


def reader(subject: nn.Module, name: str, batches: Batches, each: int) -> Reader:
    """The problem of a layer that reads ``each`` columns of every channel."""
    layer: Any = subject.get_submodule(name)
    weights = layer.weight.detach().flatten(1).double()
    inputs = patches(read_by(subject, name, batches), layer).double()
    return Reader(weights, inputs, one_each(len(inputs) // each, each))


def three_batches(*shape: int, sizes: tuple[int, ...] = (9, 6, 8)) -> Batches:
    random = torch.Generator().manual_seed(2)
    return [(torch.randn(n, *shape, generator=random).double(), torch.zeros(n, dtype=torch.int64)) for n in sizes]


def pruned(subject: Net, ratio: float, **options: Any) -> Channels:
    return Structured(round_to=1, **{"damping": SHARP, **options}).prune(subject, ratio)


def outputs(model: nn.Module, batches: Batches) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(images) for images, _ in batches])


def silenced(subject: Net, edit: Channels) -> nn.Module:
    """The network with zeros for what is removed, and the new values where the edit has them."""
    model = copy.deepcopy(subject.model)
    state = model.state_dict()
    for name, tensor in state.items():
        stay = [torch.ones(size, dtype=torch.bool) for size in tensor.shape]
        for one in subject.groups():
            for part in one.slices:
                if part.tensor == name:
                    stay[part.dimension][part.index[~edit.keep[one.name]].flatten()] = False
        if name in edit.moved:
            full = torch.zeros_like(tensor)
            full[torch.meshgrid(*(mask.nonzero().flatten() for mask in stay), indexing="ij")] = edit.moved[name].to(
                tensor.dtype
            )
            tensor.copy_(full)
        elif tensor.dim():
            for dimension, mask in enumerate(stay):
                tensor.movedim(dimension, 0)[~mask] = 0
    return model


def change(subject: Net, edit: Channels) -> float:
    """The squared change of the network's outputs."""
    found = outputs(silenced(subject, edit), list(subject.batches)) - outputs(subject.model, list(subject.batches))
    return float(found.square().sum())


def seeded(model: nn.Module) -> nn.Module:
    """In float64, with batch norms in which every tensor matters."""
    return with_lively_norms(model).double()


@pytest.fixture(autouse=True)
def _random() -> None:
    torch.manual_seed(0)


# The problem ------------------------------------------------------------------------------------------


def test_a_removal_and_what_makes_up_for_it_can_be_followed_by_hand() -> None:
    """H = [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]] / 3; rows are [2, 1] and [0, 1].

    The second channel costs (1 + 1) / (2/3) = 3, the first (4 + 0) / (2/3) = 6. Without the second the first moves by
    half of it, to 2.5 and 0.5, and then costs (6.25 + 0.25) * 2 = 13.
    """
    hessian, weights = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]), torch.tensor([[[2.0, 1.0], [0.0, 1.0]]])
    one = ChannelReader(weights, hessian, torch.arange(2), torch.tensor([[0], [1]]))
    assert torch.allclose(one.costs(), torch.tensor([6.0, 3.0], dtype=torch.float64))
    one.remove(torch.tensor([1]))
    assert torch.allclose(one.weights, torch.tensor([[[2.5], [0.5]]], dtype=torch.float64))
    two = [ChannelReader(weights, hessian, torch.arange(2), torch.tensor([[0], [1]]), scale) for scale in (1, 0.5)]
    assert torch.allclose(channel_costs(two, 2), torch.tensor([19.5, 4.5], dtype=torch.float64))
    assert weights.tolist() == [[[2.0, 1.0], [0.0, 1.0]]]


def test_columns_of_no_channel_only_move() -> None:
    """The same problem, of which the first column belongs to another group: the second costs 3, and the first stays."""
    hessian, weights = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]), torch.tensor([[[2.0, 1.0], [0.0, 1.0]]])
    one = ChannelReader(weights, hessian, torch.arange(1), torch.tensor([[1]]))
    assert torch.allclose(channel_costs([one], 1), torch.tensor([3.0], dtype=torch.float64))
    assert torch.allclose(one.weights[0, :, 0], torch.tensor([2.5, 0.5], dtype=torch.float64))


def test_later_removals_never_cost_less_so_that_the_dearest_are_the_last() -> None:
    """Two channels that stand in for each other: the first of them costs next to nothing, the other then much."""
    inputs = torch.tensor([[1.0, 0.0, 2.0], [1.0, 0.01, 2.0], [0.0, 1.0, 0.0]])
    hessian, weights = (inputs @ inputs.T)[None], torch.tensor([[[1.0, 1.0, 0.5]]])
    one = ChannelReader(weights, hessian, torch.arange(3), torch.arange(3)[:, None])
    costs = channel_costs([one], 3)
    order = costs.float().argsort().tolist()
    assert order[0] in (0, 1)
    assert order[1:] == [2, 1 - order[0]]
    assert len(set(costs.float().tolist())) == 3


# Networks ---------------------------------------------------------------------------------------------


def two_layers() -> tuple[Net, Batches]:
    """Six channels, of which the last resembles the first."""
    model = nn.Sequential(nn.Linear(3, 6, bias=False), nn.ReLU(), nn.Linear(6, 2))
    model[0].weight.data[5] = model[0].weight.data[0] * 2 + 0.01
    batches = three_batches(3)
    return net(seeded(model), batches, (group(6, ("0",), (), ("2",)),)), batches


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_of_two_linear_layers_the_cost_and_the_update_are_those_of_least_squares(kept: int) -> None:
    subject, batches = two_layers()
    problem = reader(subject.model, "2", batches, 1)
    expected = greedy([problem])
    found = Structured(damping=SHARP).costs(subject)["0"]
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-6)
    edit = pruned(subject, 1 - kept / 6)
    stay = edit.keep["0"].nonzero().flatten().tolist()
    assert stay == sorted(expected.argsort().tolist()[6 - kept :])
    assert set(edit.moved) == {"2.weight"}
    assert torch.allclose(edit.moved["2.weight"].double(), problem.nearest(stay)[:, stay], atol=1e-4)


def test_of_a_convolution_behind_a_batch_norm_a_channel_goes_with_its_whole_kernel() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 2, stride=2, padding=1)
    )
    batches = three_batches(2, 6, 6)
    model = nn.Sequential(*model, nn.Flatten(), nn.Linear(27, 2))
    subject = net(seeded(model), batches, (group(4, ("0",), ("1",), ("3",)),))
    problem = reader(subject.model, "3", batches, 4)
    expected = greedy([problem])
    assert torch.allclose(Structured(damping=SHARP).costs(subject)["0"], expected, rtol=1e-3, atol=1e-6)
    edit = pruned(subject, 0.5)
    stay = edit.keep["0"].nonzero().flatten().tolist()
    assert stay == sorted(expected.argsort().tolist()[2:])
    columns = [column for channel in stay for column in problem.columns[channel]]
    assert torch.allclose(edit.moved["3.weight"].flatten(1).double(), problem.nearest(stay)[:, columns], atol=1e-4)
    assert change(subject, edit) < change(subject, Channels(edit.keep))


@pytest.fixture
def residual() -> tuple[Net, Batches]:
    batches = three_batches(2, 6, 6)
    return net(seeded(Residual()), batches, GROUPS), batches


def test_of_a_residual_network_all_readers_of_a_channel_add_up(residual: tuple[Net, Batches]) -> None:
    subject, batches = residual
    model, found = subject.model, Structured(damping=SHARP).costs(subject)
    expected = {
        "stem": [reader(model, "conv1", batches, 9), reader(model, "conv3", batches, 9),
                 reader(model, "project", batches, 1)],
        "conv1": [reader(model, "conv2", batches, 9)],
        "conv3": [reader(model, "classes", batches, 1)],
    }  # fmt: skip
    assert list(found) == list(expected)
    for name, readers in expected.items():
        assert torch.allclose(found[name], greedy(readers), rtol=1e-3, atol=1e-6), name


def test_survivors_are_fitted_to_what_the_pruned_layers_before_them_hand_on(residual: tuple[Net, Batches]) -> None:
    subject, batches = residual
    edit = pruned(subject, 0.4)
    assert {name: int(keep.sum()) for name, keep in edit.keep.items()} == {"stem": 1, "conv1": 1, "conv3": 2}
    assert list(edit.moved) == [f"{name}.weight" for name in ("conv1", "conv2", "conv3", "project", "classes")]
    narrow = silenced(subject, edit)
    each = {"conv1": ("stem", 9), "conv2": ("conv1", 9), "conv3": ("stem", 9), "project": ("stem", 1),
            "classes": ("conv3", 1)}  # fmt: skip
    for name, (of, columns) in each.items():
        dense, thin = (reader(model, name, batches, columns) for model in (subject.model, narrow))
        stay = edit.keep[of].nonzero().flatten().tolist()
        best = thin.nearest(stay, dense.weights @ dense.inputs)
        made = next((one.name for one in GROUPS if name in one.producers), None)
        rows = slice(None) if made is None else edit.keep[made]
        assert torch.allclose(thin.weights[rows], best[rows], atol=1e-4), name
    assert change(subject, edit) < change(subject, Channels(edit.keep)) / 2
    assert change(subject, edit) < change(subject, pruned(subject, 0.4, sequential=False))


def test_a_flattened_map_is_read_with_several_columns_a_channel_in_parts_if_it_is_long() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    batches = three_batches(1, 4, 4)
    flat = Slice("3.weight", 1, one_each(4, 4), "reads")
    made = tuple(Slice(f"0.{own}", 0, one_each(4), "makes") for own in ("weight", "bias"))
    subject = net(seeded(model), batches, (Group("0", (*made, flat)),))
    problem = reader(subject.model, "3", batches, 4)
    whole = Structured(damping=SHARP).costs(subject)["0"]
    assert torch.allclose(whole, greedy([problem]), rtol=1e-3, atol=1e-6)
    energy = (problem.weights @ problem.inputs).square().sum()
    parts = [replace(problem, weights=problem.weights[:, p], inputs=problem.inputs[p], columns=one_each(2, 4))
             for p in (slice(0, 8), slice(8, 16))]  # fmt: skip
    shares = [(part.weights @ part.inputs).square().sum() / energy for part in parts]
    alone = torch.cat([greedy([part]) * share for part, share in zip(parts, shares, strict=True)])
    found = Structured(damping=SHARP, block=8).costs(subject)["0"]
    order = alone.argsort()
    assert torch.allclose(found[order], alone[order].cummax(0).values, rtol=1e-3)
    edit = pruned(subject, 0.5, block=8)
    stay = edit.keep["0"].nonzero().flatten().tolist()
    columns = [column for channel in stay for column in problem.columns[channel]]
    assert torch.allclose(edit.moved["3.weight"].double(), problem.nearest(stay)[:, columns], atol=1e-3)


def test_each_group_of_a_grouped_convolution_is_a_problem_of_its_own() -> None:
    """Channels 0 and 2, and 1 and 3, go together: each half of the convolution loses one."""
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=2), nn.Flatten(), nn.Linear(36, 2))
    batches = three_batches(2, 4, 4)
    made = tuple(Slice(f"0.{own}", 0, ((0, 2), (1, 3)), "makes") for own in ("weight", "bias"))
    subject = net(seeded(model), batches, (Group("0", (*made, Slice("2.weight", 1, one_each(2), "reads"))),))
    read, weight = read_by(subject.model, "2", batches), model[2].weight.detach().flatten(1)
    halves = [Reader(weight[h], patches(read[:, h], model[2]), one_each(2, 4)) for h in (slice(0, 2), slice(2, 4))]
    kept, best = None, float("inf")
    for channel in (0, 1):
        error = sum(float((h.nearest([channel]) @ h.inputs - h.weights @ h.inputs).square().sum()) for h in halves)
        kept, best = (channel, error) if error < best else (kept, best)
    energy = sum(float((h.weights @ h.inputs).square().sum()) for h in halves)
    assert float(Structured(damping=SHARP).costs(subject)["0"].min()) == pytest.approx(best / energy, rel=1e-3)
    edit = pruned(subject, 0.5)
    assert edit.keep["0"].nonzero().flatten().tolist() == [kept]
    own = slice(4 * kept, 4 * kept + 4)
    expected = torch.cat([h.nearest([kept])[:, own] for h in halves])
    assert torch.allclose(edit.moved["2.weight"].flatten(1).double(), expected, atol=1e-4)


def test_several_channels_a_step_are_looked_at_less_often() -> None:
    """Of the pair that stands in for each other, both look cheap as long as neither is gone."""
    subject, _ = two_layers()
    assert pruned(subject, 2 / 6).keep["0"][[0, 5]].sum() == 1
    assert pruned(subject, 2 / 6, step=2).keep["0"][[0, 5]].sum() == 0


class Apart(nn.Module):
    """Two branches that hand on what they read: their outputs lose w^2 over the sum of squares by a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.cheap, self.read_cheap, self.dear, self.read_dear = (nn.Linear(4, n, bias=False) for n in (4, 1, 4, 1))
        for layer in (self.cheap, self.dear):
            layer.weight.data = torch.eye(4)
        for layer in (self.read_cheap, self.read_dear):
            layer.weight.data = torch.tensor([[1.0, 1.1, 1.2, 1.3]])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.read_cheap(self.cheap(x)), self.read_dear(self.dear(x))], 1)


@pytest.mark.parametrize(("by_saving", "left", "widths"), [(True, 7, (4, 1)), (True, 10, (4, 2)), (False, 8, (2, 2))])
def test_costs_count_by_what_a_channel_saves(by_saving: bool, left: int, widths: tuple[int, int]) -> None:
    """[1, 1.21, 1.44, 1.69] / 5.34 in both branches; channels of the second save 3; none costs 3 times another."""
    subject = net(Apart(), [(torch.eye(4), torch.zeros(4, dtype=torch.int64))], (
        group(4, ("cheap",), (), ("read_cheap",)), group(4, ("dear",), (), ("read_dear",))))  # fmt: skip
    found = Structured(damping=SHARP).costs(subject)
    for name in ("cheap", "dear"):
        assert torch.allclose(found[name].float(), torch.tensor([1.0, 1.21, 1.44, 1.69]) / 5.34)
    current = {"cheap": 4, "dear": 4}
    costs = Costs(current, current, lambda kind, widths: widths["cheap"] + 3 * widths["dear"])
    priced = replace(subject, constraints=replace(subject.constraints, costs=costs, target="macs"))
    edit = pruned(priced, 1 - left / 16, by_saving=by_saving)
    assert tuple(int(keep.sum()) for keep in edit.keep.values()) == widths
    assert all(keep.tolist() == sorted(keep.tolist()) for keep in edit.keep.values())  # the first are the cheapest


def test_weights_that_are_already_pruned_stay_so() -> None:
    subject, batches = two_layers()
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 2], mask[1, 4] = False, False
    subject.model[2].weight.data *= mask  # type: ignore[index]
    edit = pruned(replace(subject, masks={"2": mask}), 1 / 6)
    kept = mask[:, edit.keep["0"]]
    assert torch.equal(edit.moved["2.weight"] != 0, kept)
    problem = reader(subject.model, "2", batches, 1)
    for row in range(2):
        own = [q for q in edit.keep["0"].nonzero().flatten().tolist() if mask[row, q]]
        assert torch.allclose(
            edit.moved["2.weight"][row][kept[row]].double(), problem.nearest(own)[row, own], atol=1e-4
        )


class Shared(nn.Module):
    """Two layers with one weight, and a third, read what the first makes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two, self.own = nn.Linear(3, 4), *(nn.Linear(4, 2) for _ in range(3))
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return torch.cat([self.one(x), self.two(x), self.own(x)], 1)


def test_weights_that_two_layers_share_stay_as_they_are() -> None:
    subject = net(seeded(Shared()), three_batches(3), (group(4, ("first",), (), ("one", "two", "own")),))
    assert set(pruned(subject, 0.5).moved) == {"own.weight"}


def test_channels_that_only_a_transposed_convolution_reads_cannot_be_ranked() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2), nn.Flatten(), nn.Linear(18, 2))
    made = Slice("0.weight", 0, one_each(4), "makes")
    subject = net(model, [(torch.randn(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64))], (
        Group("0", (made, Slice("2.weight", 0, one_each(4), "reads"))),))  # fmt: skip
    with pytest.raises(UnrankedError, match="no convolution of one or two dimensions and no linear layer reads"):
        pruned(subject, 0.5)


def test_without_damping_a_dead_channel_is_told_in_words() -> None:
    subject, _ = two_layers()
    subject.model[0].weight.data[1] = 0  # type: ignore[index]
    with pytest.raises(TrialError, match="more damping or more calibration images"):
        pruned(subject, 0.5, damping=0.0)
    assert not pruned(subject, 0.5, damping=0.01).keep["0"][1]
