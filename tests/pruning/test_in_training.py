"""Methods that act while training, against their sources in a plain loop: residual, batch norm, 20 batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from methods.srigl import even_fan_in, rewired
from prunetui.api import Net, Training
from prunetui.api.constraints import Constraints
from prunetui.engine.data import Dataset
from prunetui.engine.device import Device
from prunetui.engine.edits import apply_masks
from prunetui.engine.graph import Graph
from prunetui.engine.models import Architecture
from prunetui.engine.state import State
from prunetui.errors import TrialError
from prunetui.plugins import method_catalogue
from tests.pruning.shaped_training import BATCHES, RESIDUAL, Laboratory, backward, same_weights

EPOCHS = 4
TOTAL = EPOCHS * BATCHES


@pytest.fixture
def laboratory(
    digits: Dataset, cpu: Device, lively: Callable[..., State], graph_of: Callable[[Architecture], Graph],
    net_of: Callable[..., Net],
) -> Laboratory:  # fmt: skip
    return Laboratory(digits, cpu, lively(RESIDUAL), graph_of(RESIDUAL), net_of)


def largest(weights: dict[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Masks of the largest weights of the whole net, by sorting them all."""
    ordered = torch.cat([w.detach().abs().flatten() for w in weights.values()]).sort().values
    removed = round(sparsity * len(ordered))
    threshold = ordered[removed - 1] if removed else torch.tensor(-1.0)
    return {name: (w.detach().abs() > threshold).float() for name, w in weights.items()}


@torch.no_grad()
def enforce(weights: dict[str, Tensor], masks: dict[str, Tensor], optimizer: torch.optim.SGD) -> None:
    for name, mask in masks.items():
        weights[name].mul_(mask)
        if "momentum_buffer" in optimizer.state[weights[name]]:
            optimizer.state[weights[name]]["momentum_buffer"].mul_(mask)


def weights_of(layers: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {name: layer.weight for name, layer in layers.items()}  # type: ignore[misc]


def removed(masks: dict[str, Tensor]) -> int:
    return sum(int((mask == 0).sum()) for mask in masks.values())


# AC/DC ------------------------------------------------------------------------------------------------


def test_acdc_trains_by_turns_and_ends_with_the_largest_weights(laboratory: Laboratory) -> None:
    """Of 20 batches 4 dense, 4 compressed, 8 decompressed, 4 compressed."""
    method = laboratory.method("acdc", warm_up=0.2, phase=0.2, last_dense=0.2, last_sparse=0.2)
    masked: list[int] = []

    def watch(training: Training) -> None:
        masked.append(removed(training.masks))

    found, made = laboratory.trained(method, 0.7, EPOCHS, watch)
    model, layers, optimizer = laboratory.plainly()
    weights, masks = weights_of(layers), dict[str, Tensor]()
    for number, batch in enumerate(laboratory.batches(EPOCHS)):
        if number in (4, 16):
            masks = largest(weights, 0.7)
        if number == 8:
            masks, optimizer = {}, laboratory.optimizer(model)  # momentum begins anew
        enforce(weights, masks, optimizer)
        backward(model, optimizer, batch)
        optimizer.step()
        enforce(weights, masks, optimizer)
    same_weights(found, model.state_dict())
    count = round(0.7 * sum(w.numel() for w in weights.values()))
    # Masks after each step are those of the next batch; after the last they are lifted.
    assert masked == [0] * 3 + [count] * 4 + [0] * 8 + [count] * 4 + [0]
    keep = laboratory.pruned(method, found, made, 0.7)
    assert removed(keep) == count
    assert all(torch.equal(keep[name].float(), mask) for name, mask in masks.items())


def test_acdcs_phases_are_those_of_the_authors_runs_of_100_epochs(laboratory: Laboratory) -> None:
    """Compressed from epoch 10, 20, ... 70 for 5 epochs each, and from 85 to the end."""
    method = laboratory.method("acdc")
    compressed = [epoch for epoch in range(100) if method._compressed(epoch, 100)]
    assert compressed == [e for first in range(10, 80, 10) for e in range(first, first + 5)] + list(range(85, 100))


# GraNet -----------------------------------------------------------------------------------------------


def regenerated(weight: Tensor, mask: Tensor, share: float) -> Tensor:
    """The smallest ``share`` of a layer's weights for as many others of the largest gradient."""
    assert weight.grad is not None
    count = min(int(share * int(mask.sum())), int((mask == 0).sum()))
    order = torch.where(mask > 0, weight.detach().abs(), torch.inf).flatten().argsort()
    new = mask.clone().flatten()
    new[order[:count]] = 0
    candidates = torch.where(new > 0, -1.0, weight.grad.abs().flatten()).argsort(descending=True)
    new[candidates[:count]] = 1
    return new.view(mask.shape)


def test_granet_prunes_along_a_cubic_and_regenerates(laboratory: Laboratory) -> None:
    """From the dense net, at every step: ten times before 0.7 of 20 would be every 1.4 steps."""
    method = laboratory.method("granet", initial=0.0)
    shares: list[float] = []

    def watch(training: Training) -> None:
        shares.append(sum(int((~m).sum()) for m in training.masks.values()) / size)

    model, layers, optimizer = laboratory.plainly()
    weights = weights_of(layers)
    size = sum(w.numel() for w in weights.values())
    found, made = laboratory.trained(method, 0.8, EPOCHS, watch)
    masks = {name: torch.ones_like(w) for name, w in weights.items()}
    for number, batch in enumerate(laboratory.batches(EPOCHS), 1):
        backward(model, optimizer, batch)
        optimizer.step()
        enforce(weights, masks, optimizer)
        if number == TOTAL:
            break
        masks = largest(weights, 0.8 - 0.8 * (1 - min(1.0, number / TOTAL / 0.7)) ** 3)
        share = 0.005 + 0.495 / 2 * (1 + math.cos(math.pi * number / TOTAL))
        with torch.no_grad():
            for name, w in weights.items():
                w.mul_(masks[name])
                masks[name] = regenerated(w, masks[name], share)
        enforce(weights, masks, optimizer)
    same_weights(found, model.state_dict())
    expected = [0.8 - 0.8 * (1 - min(1.0, n / 14)) ** 3 for n in range(1, TOTAL)]
    assert shares[:-1] == pytest.approx(expected, abs=1 / size)
    keep = laboratory.pruned(method, found, made, 0.8)
    assert removed(keep) == round(0.8 * size)
    assert sum(int((keep[name].float() != mask).sum()) for name, mask in masks.items()) == 0


def test_granet_starts_from_random_masks_and_reaches_the_target_for_good(laboratory: Laboratory) -> None:
    method = laboratory.method("granet", until=0.5)
    shares: list[float] = []

    def watch(training: Training) -> None:
        masks = training.masks.values()
        shares.append(sum(int((~m).sum()) for m in masks) / max(1, sum(m.numel() for m in masks)))

    laboratory.trained(method, 0.8, EPOCHS, watch)
    assert shares[0] == pytest.approx(0.8 - 0.3 * 0.9**3, abs=1e-3)
    assert shares[9:-1] == pytest.approx([0.8] * 10, abs=1e-3)
    assert shares[-1] == 0  # lifted: prune says what goes


def test_granet_with_layers_alike_starts_and_ends_with_the_same_share_of_each(laboratory: Laboratory) -> None:
    method = laboratory.method("granet", until=0.5, scope="local")
    found, made = laboratory.trained(method, 0.5, EPOCHS)
    keep = laboratory.pruned(method, found, made, 0.5)
    assert [int((~mask).sum()) for mask in keep.values()] == [round(0.5 * mask.numel()) for mask in keep.values()]


def test_granet_grows_nothing_that_a_network_came_without(laboratory: Laboratory) -> None:
    random = torch.Generator().manual_seed(0)
    weights = weights_of(laboratory.plainly()[1])
    held = {name: torch.rand(w.shape, generator=random) > 0.3 for name, w in weights.items()}
    before = apply_masks(held, laboratory.start)
    back: list[int] = []

    def watch(training: Training) -> None:
        back.append(sum(int((mask & ~held[name]).sum()) for name, mask in training.masks.items()))

    laboratory.trained(laboratory.method("granet", until=0.5), 0.8, EPOCHS, watch, before)
    assert back == [0] * TOTAL


def test_acdc_refuses_parts_that_are_more_than_the_training(laboratory: Laboratory) -> None:
    method = laboratory.method("acdc", warm_up=0.5, last_dense=0.3, last_sparse=0.3)
    with pytest.raises(TrialError, match=r"are 1\.10 of the training; they may be 1 at most"):
        laboratory.trained(method, 0.7, EPOCHS)


def test_acdc_in_a_short_training_goes_by_turns_of_single_batches(laboratory: Laboratory) -> None:
    masked: list[bool] = []
    method = laboratory.method("acdc", warm_up=0.1, phase=0.001, last_dense=0.1, last_sparse=0.2)
    laboratory.trained(method, 0.7, EPOCHS, lambda training: masked.append(removed(training.masks) > 0))
    assert masked[1:12] == [True, False] * 5 + [True]


def test_acdc_that_is_compressed_from_the_first_batch_says_so_by_masks(laboratory: Laboratory) -> None:
    masked: list[int] = []
    method = laboratory.method("acdc", warm_up=1e-9, last_dense=1e-9, last_sparse=1.0 - 1e-8)
    laboratory.trained(method, 0.7, EPOCHS, lambda training: masked.append(removed(training.masks)))
    assert masked[0] > 0
    assert len(set(masked[:-1])) == 1


# Weights that are computed from others ----------------------------------------------------------------


def reparametrised(
    laboratory: Laboratory, kind: Callable[[], nn.Module], epochs: int
) -> tuple[nn.Module, dict[str, nn.Module]]:
    """The network after the same training by torch's own parametrisations."""
    model, layers, _ = laboratory.plainly()
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", kind())
    optimizer = laboratory.optimizer(model)
    for batch in laboratory.batches(epochs):
        backward(model, optimizer, batch)
        optimizer.step()
    return model, layers


def computed(model: nn.Module, layers: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Its tensors, weights as they are computed."""
    plain = {name: tensor for name, tensor in model.state_dict().items() if ".parametrizations." not in name}
    return plain | {f"{name}.weight": layer.weight.detach() for name, layer in layers.items()}  # type: ignore[operator]


class Power(nn.Module):
    """w = theta |theta|^(alpha - 1)."""

    def forward(self, theta: Tensor) -> Tensor:
        return theta * theta.abs()

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.sign() * weight.abs().sqrt()


def test_powerpropagation_trains_theta_by_torchs_own_chain_rule(laboratory: Laboratory) -> None:
    """Over five batches: an activation next to zero, on either side by rounding, takes a longer training elsewhere."""
    method = laboratory.method("powerpropagation", alpha=2.0)
    found, made = laboratory.trained(method, 0.7, 1)
    model, layers = reparametrised(laboratory, Power, 1)
    same_weights(found, computed(model, layers))
    keep = laboratory.pruned(method, found, made, 0.7)
    for name, layer in layers.items():
        weight: Tensor = layer.weight.detach()  # type: ignore[operator, assignment]
        assert int((~keep[name]).sum()) == round(0.7 * weight.numel())
        assert float(weight[keep[name]].abs().min()) > float(weight[~keep[name]].abs().max()) - 1e-4


def test_powerpropagation_of_exponent_1_is_an_ordinary_training(laboratory: Laboratory) -> None:
    found, _ = laboratory.trained(laboratory.method("powerpropagation", alpha=1.0), 0.7, 1)
    model, _, optimizer = laboratory.plainly()
    for batch in laboratory.batches(1):
        backward(model, optimizer, batch)
        optimizer.step()
    same_weights(found, model.state_dict())


class Straight(torch.autograd.Function):
    """Two of four input channels in the forward pass; all learn, the others also lambda times themselves."""

    @staticmethod
    def forward(context: Any, weight: Tensor) -> Tensor:
        last = weight.transpose(1, -1)  # of square kernels, and of a linear layer
        fours = last.reshape(-1, 4).abs()
        hidden = fours < fours.sort(1).values[:, 2:3]
        context.hidden = hidden.view(last.shape).transpose(1, -1)
        context.save_for_backward(weight)
        return weight.masked_fill(context.hidden, 0)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] + 0.05 * torch.where(context.hidden, context.saved_tensors[0], 0)


class TwoOfFour(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return Straight.apply(weight)  # type: ignore[no-any-return, no-untyped-call]


def test_sr_ste_trains_what_it_hides_straight_through(laboratory: Laboratory) -> None:
    method = laboratory.method("sr-ste", strength=0.05)
    model, layers, _ = laboratory.plainly()
    layers = dict(list(layers.items())[1:])  # the first has one input channel
    found, made = laboratory.trained(method, 0.5, EPOCHS)
    optimizer = laboratory.optimizer(model)
    for number, batch in enumerate(laboratory.batches(EPOCHS)):
        if number == 1:  # the first batch sees the dense net
            for layer in layers.values():
                parametrize.register_parametrization(layer, "weight", TwoOfFour())
        backward(model, optimizer, batch)
        optimizer.step()
    same_weights(found, computed(model, layers))
    assert made.memory == {}
    keep = laboratory.pruned(method, found, made, 0.5)
    for name, layer in layers.items():
        assert torch.equal(keep[name], layer.weight != 0)


class SoftThreshold(nn.Module):
    """v = sign(w) max(|w| - sigmoid(s), 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.s = nn.Parameter(torch.tensor(-2.0))

    def forward(self, weight: Tensor) -> Tensor:
        return weight.sign() * torch.relu(weight.abs() - torch.sigmoid(self.s))


def test_soft_thresholds_are_learned_by_torchs_own_chain_rule(laboratory: Laboratory) -> None:
    method = laboratory.method("str", initial=-2.0)
    thresholds: dict[str, float] = {}

    def watch(training: Training) -> None:
        thresholds.update({name: float(value) for name, value in training.memory.items() if name.startswith("s of ")})

    found, made = laboratory.trained(method, 0.9, EPOCHS, watch)
    model, layers, optimizer = laboratory.plainly()
    soft = {name: SoftThreshold() for name in layers}
    optimizer.add_param_group({"params": [one.s for one in soft.values()]})
    for number, batch in enumerate(laboratory.batches(EPOCHS)):
        if number == 1:  # the first batch sees the weights themselves
            for name, layer in layers.items():
                parametrize.register_parametrization(layer, "weight", soft[name])
        backward(model, optimizer, batch)
        optimizer.step()
        if number < TOTAL - 1:  # the last are forgotten
            learned = {f"s of {name}": float(one.s.detach()) for name, one in soft.items()}
    same_weights(found, computed(model, layers))
    assert thresholds == pytest.approx(learned, abs=1e-4)
    assert max(thresholds.values()) - min(thresholds.values()) > 0.01
    assert made.memory == {}
    keep = laboratory.pruned(method, found, made, 0.9)
    assert removed(keep) == round(0.9 * sum(mask.numel() for mask in keep.values()))
    zeros = {name: layer.weight.detach() == 0 for name, layer in layers.items()}  # type: ignore[operator, union-attr]
    assert 0.2 < sum(int(zero.sum()) for zero in zeros.values()) / sum(zero.numel() for zero in zeros.values()) < 0.9
    assert not any((keep[name] & zero).any() for name, zero in zeros.items())


def test_powerpropagation_by_hand() -> None:
    """w of -4 at alpha 2 is theta -2: a gradient of 3 is one of 3 x 2 x 2; a step to theta 3 makes w 9."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    weight = model[0].weight
    weight.data.fill_(-4.0)
    weight.grad = torch.full((1, 1), 3.0)
    training = Training(model, Constraints(("0",)), {}, {}, torch.Generator())
    method = method_catalogue.load("powerpropagation")()
    with torch.no_grad():
        method.during_training(training)
        assert (float(weight.detach()), float(weight.grad)) == pytest.approx((-2.0, 12.0))
        weight.fill_(3.0)
        method.after_step(training)
    assert float(weight.detach()) == pytest.approx(9.0)


# SRigL ------------------------------------------------------------------------------------------------


def test_srigl_ablates_the_neuron_with_few_salient_weights_and_shares_out_its_own() -> None:
    """Of 6 weights in 3 neurons of 4 inputs a third is exchanged: 4 stay, 2 gradients are salient.

    The second neuron has none of these, so the others have 3 inputs each: one grows a 9 and the other an 8.
    """
    mask = torch.tensor([[True, True, False, False], [True, True, False, False], [True, True, False, False]])
    weight = torch.tensor([[9.0, 8, 0, 0], [1, 2, 0, 0], [7, 6, 0, 0]])
    gradient = torch.tensor([[1.0, 1, 9, 2], [1, 1, 1, 1], [1, 1, 2, 8]])
    moved = rewired(mask, weight, gradient, 1 / 3, 0.5)
    assert moved.int().tolist() == [[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 0, 1]]
    even = rewired(mask, weight, gradient, 1 / 3, 0.0)  # none is ablated: the second grows two of its own
    assert even.sum(1).tolist() == [2, 2, 2]
    assert even[0].tolist() == mask[0].tolist()


@pytest.mark.parametrize(
    ("most", "count", "expected"),
    [
        ([4, 4, 4], 6, [2, 2, 2]),
        ([4, 4, 4], 7, [2, 3, 2]),  # the highest score has one more
        ([4, 1, 4], 7, [3, 1, 3]),
        ([4, 0, 4], 8, [4, 0, 4]),
    ],
)
def test_fan_ins_are_as_even_as_neurons_allow(most: list[int], count: int, expected: list[int]) -> None:
    assert even_fan_in(torch.tensor(most), torch.tensor([1.0, 3.0, 2.0]), count).tolist() == expected


def rewired_by_hand(mask: Tensor, weight: Tensor, gradient: Tensor, share: float, salient: float) -> Tensor:
    """Neuron by neuron in plain Python."""
    outputs, inputs = mask.shape
    places = [(o, i) for o in range(outputs) for i in range(inputs)]
    on = [place for place in places if mask[place]]
    drop = int(share * len(on))
    stay = sorted(on, key=lambda p: -float(weight[p]))[: len(on) - drop]
    found = {*stay, *sorted(places, key=lambda p: -float(gradient[p]))[:drop]}
    counts = [sum(o == output for o, _ in found) for output in range(outputs)]
    by_count = sorted(range(outputs), key=lambda o: -counts[o])
    least = max(1, int(salient * len(on) / outputs)) if salient else 0
    active = [o for n, o in enumerate(by_count) if counts[o] >= least or n < math.ceil(len(on) / inputs)]
    new = torch.zeros_like(mask)
    for n, output in enumerate(active):
        fan_in = len(on) // len(active) + (n < len(on) % len(active))
        own = sorted((i for o, i in stay if o == output), key=lambda i: -float(weight[output, i]))[:fan_in]
        others = sorted((i for i in range(inputs) if i not in own), key=lambda i: -float(gradient[output, i]))
        new[output, own + others[: fan_in - len(own)]] = True
    return new


@pytest.mark.parametrize("salient", [0.0, 0.3, 1.1])
@pytest.mark.parametrize("density", [0.05, 0.3, 0.8])
def test_srigl_rewires_as_the_paper_says(salient: float, density: float) -> None:
    """Up to neurons of equally many salient weights, of which either may have what does not come out even."""
    random = torch.Generator().manual_seed(int(100 * density))
    mask = torch.rand(12, 20, generator=random) < density
    weight, gradient = torch.rand(12, 20, generator=random) * mask, torch.rand(12, 20, generator=random)
    found, expected = (make(mask, weight, gradient, 0.4, salient) for make in (rewired, rewired_by_hand))
    assert int(found.sum()) == int(expected.sum()) == int(mask.sum())
    assert sorted(found.sum(1).tolist()) == sorted(expected.sum(1).tolist())
    alike = found.sum(1) == expected.sum(1)
    assert int(alike.sum()) >= 4
    assert torch.equal(found[alike], expected[alike])


def test_srigl_trains_with_even_fan_ins_and_exchanges_in_place_of_a_step(laboratory: Laboratory) -> None:
    method = laboratory.method("srigl", every=3)
    masks = method.prune(laboratory.net_of(laboratory.start, laboratory.graph, edit="masks"), 0.8).keep
    state = apply_masks(masks, laboratory.start)
    steps: list[bool] = []
    last = {name: weight.clone() for name, weight in state.tensors.items()}

    def watch(training: Training) -> None:
        for name, mask in training.masks.items():
            fan_in = mask.flatten(1).sum(1)
            assert int(fan_in[fan_in > 0].max() - fan_in[fan_in > 0].min()) <= 1
            assert int(mask.sum()) == int(masks[name].sum())
        bias = training.model.get_parameter("linear.bias").detach()
        steps.append(not torch.equal(bias, last["linear.bias"]))
        last["linear.bias"] = bias.clone()

    _, made = laboratory.trained(method, 0.8, EPOCHS, watch, state)
    assert [batch for batch, step in enumerate(steps) if not step] == [3, 6, 9, 12]
    assert any(not torch.equal(made.masks[name], mask) for name, mask in masks.items())
    assert int(made.masks["linear"].flatten(1).sum(1).min()) > 0  # the last layer keeps its neurons
