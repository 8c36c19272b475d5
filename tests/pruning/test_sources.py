"""Methods against independent computations of their sources' formulas: residual, with batch norm, three batches."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.fisher_structured import fisher_information
from methods.grasp import flow_lost
from methods.group_lasso import GroupLasso
from methods.set import within_sign
from methods.taylor_structured import squared_changes
from prunetui.api import (
    Group,
    Net,
    Training,
    activation_maps,
    blocks_of,
    feature_maps,
    group_squares,
    input_energies,
    weights_kept,
)
from prunetui.api.budget import Costs
from prunetui.api.constraints import Constraints
from prunetui.api.density_budgets import alpha_budgets, outlier_share, owl_budgets, tail_exponent
from prunetui.api.groups import Slice, one_each
from prunetui.engine.models import Architecture
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification
from tests.pruning.test_criteria import net

Batches = list[tuple[Tensor, Tensor]]


class Residual(nn.Module):
    """A stem of 3 channels, one block with an identity shortcut, one that halves the map and projects to 4 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(2, 3, 3, 1, 1, bias=False), nn.BatchNorm2d(3)
        self.conv1, self.norm1 = nn.Conv2d(3, 2, 3, 1, 1, bias=False), nn.BatchNorm2d(2)
        self.conv2, self.norm2 = nn.Conv2d(2, 3, 3, 1, 1, bias=False), nn.BatchNorm2d(3)
        self.conv3, self.norm3 = nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.project, self.project_norm = nn.Conv2d(3, 4, 1, 2, bias=False), nn.BatchNorm2d(4)
        self.classes = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)))
        x = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))) + x)
        x = F.relu(self.norm3(self.conv3(x)) + self.project_norm(self.project(x)))
        return self.classes(x.mean((2, 3)))


def group(width: int, makes: tuple[str, ...], norms: tuple[str, ...], reads: tuple[str, ...]) -> Group:
    channels = one_each(width)
    made = [Slice(f"{name}.weight", 0, channels, "makes") for name in makes]
    scaled = [Slice(f"{name}.{own}", 0, channels, "scales") for name in norms for own in ("weight", "bias")]
    return Group(
        makes[0], (*made, *scaled, *(Slice(f"{name}.weight", 1, channels, "reads") for name in reads))
    )  # as the graph orders them


GROUPS = (
    group(3, ("stem", "conv2"), ("stem_norm", "norm2"), ("conv1", "conv3", "project")),
    group(2, ("conv1",), ("norm1",), ("conv2",)),
    group(4, ("conv3", "project"), ("norm3", "project_norm"), ("classes",)),
)


def batches(*sizes: int, size: int = 6, channels: int = 2, classes: int = 3) -> Batches:
    random = torch.Generator().manual_seed(7)
    shape = (channels, size, size)
    return [
        (torch.randn(n, *shape, generator=random).double(), torch.randint(classes, (n,), generator=random))
        for n in sizes
    ]


def with_lively_norms(model: nn.Module) -> nn.Module:
    """The network with batch norms in which every tensor matters."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return model


@pytest.fixture
def residual() -> Net:
    torch.manual_seed(0)
    model = Residual().double()
    with_lively_norms(model)
    return net(model, batches(4, 5, 3), GROUPS)


@pytest.fixture
def resnet20(lively: Callable[..., Any], graph_of: Callable[..., Any], net_of: Callable[..., Net]) -> Net:
    architecture = Architecture("resnet20", 3, 16, 10, "B")
    images = batches(8, 8, 8, size=16, channels=3, classes=10)
    return net_of(lively(architecture), graph_of(architecture), batches=images, dtype=torch.float64)


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        scale = float(value.detach().abs().max())
        assert scale > 0
        torch.testing.assert_close(found[name].double(), value.detach().double(), rtol=1e-5, atol=1e-5 * scale)


# GraSP ------------------------------------------------------------------------------------------------


def test_grasp_is_the_summed_hessian_times_the_summed_gradient_in_training_mode(residual: Net) -> None:
    """The whole Hessian of each batch, in float64, of the loss whose batch norms look at the batch."""
    weights = residual.weights()
    shapes = [w.shape for w in weights.values()]
    model = Residual().double().train()
    model.load_state_dict(residual.model.state_dict())
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:  # no running statistics at all: batches' own
        norm.running_mean = norm.running_var = None
    flat = torch.cat([w.flatten() for w in weights.values()])
    gradient, hessian = torch.zeros_like(flat), flat.new_zeros(len(flat), len(flat))
    for images, labels in residual.batches:

        def loss(vector: Tensor, images: Tensor = images, labels: Tensor = labels) -> Tensor:
            parts = vector.split([s.numel() for s in shapes])
            state = {f"{name}.weight": p.view(s) for name, p, s in zip(weights, parts, shapes, strict=True)}
            return F.cross_entropy(torch.func.functional_call(model, state, (images,)) / 200.0, labels)

        gradient += torch.autograd.functional.jacobian(loss, flat)
        hessian += torch.autograd.functional.hessian(loss, flat)
    removal = (-flat * (hessian @ gradient)).split([s.numel() for s in shapes])
    expected = {name: part.view(s) for name, part, s in zip(weights, removal, shapes, strict=True)}
    same(flow_lost(residual, 200.0), expected)
    assert not residual.model.training


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")  # forward derivatives of batch norm use it
def test_grasp_on_resnet20_is_the_derivative_of_the_gradient_along_the_gradient(resnet20: Net) -> None:
    """H g by forward derivatives of the gradient, in float64."""
    model = copy.deepcopy(resnet20.model).train()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    start = {f"{name}.weight": w for name, w in resnet20.weights().items()}

    def summed_loss(weights: dict[str, Tensor]) -> Tensor:
        logits = [torch.func.functional_call(model, weights, (images,)) for images, _ in resnet20.batches]
        labels = [labels for _, labels in resnet20.batches]
        return torch.stack([F.cross_entropy(z / 200.0, y) for z, y in zip(logits, labels, strict=True)]).sum()

    gradient = torch.func.grad(summed_loss)(start)
    _, change = torch.func.jvp(torch.func.grad(summed_loss), (start,), (gradient,))
    expected = {name: -w * change[f"{name}.weight"] for name, w in resnet20.weights().items()}
    same(flow_lost(resnet20, 200.0), expected)


# Fisher -----------------------------------------------------------------------------------------------


def gated_fisher(subject: Net) -> dict[str, Tensor]:
    """Half the mean over images of (d loss / d gate)^2, one gate a channel before each layer that reads the group."""
    found = {}
    for one in subject.groups():
        total = torch.zeros(one.width, dtype=torch.float64)
        for images, labels in subject.batches:
            for image, label in zip(images, labels, strict=True):
                gate = torch.ones(one.width, dtype=torch.float64, requires_grad=True)

                def closed(module: nn.Module, arguments: tuple[Tensor], gate: Tensor = gate) -> tuple[Tensor]:
                    read = arguments[0]
                    return (read * (gate if isinstance(module, nn.Linear) else gate[:, None, None]),)

                readers = [subject.model.get_submodule(name) for name in one.consumers]
                handles = [reader.register_forward_pre_hook(closed) for reader in readers]
                loss = F.cross_entropy(subject.model(image[None]), label[None])
                total += torch.autograd.grad(loss, gate)[0].square() / 2 / subject.count
                for handle in handles:
                    handle.remove()
        found[one.name] = total
    return found


def test_fisher_adds_up_what_flows_back_through_each_reader_itself(residual: Net) -> None:
    same(fisher_information(residual), gated_fisher(residual))


@pytest.mark.slow
def test_fisher_on_resnet20_adds_up_what_flows_back_through_each_reader_itself(resnet20: Net) -> None:
    same(fisher_information(resnet20), gated_fisher(resnet20))


class Tokens(nn.Module):
    """Two linear layers on every token [B, T, C]; the outputs are averaged over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x))).mean(1)


def test_fisher_sums_over_the_tokens_of_a_channel() -> None:
    torch.manual_seed(0)
    data = [(torch.randn(n, 6, 4).double(), torch.randint(3, (n,))) for n in (2, 3, 1)]
    subject = net(Tokens().double(), data, (group(5, ("up",), (), ("down",)),))
    same(fisher_information(subject), gated_fisher(subject))


# Taylor -----------------------------------------------------------------------------------------------


def gated_taylor(subject: Net) -> dict[str, Tensor]:
    """The mean over batches of (d loss / d gate)^2, one gate a channel behind every batch norm of its group."""
    found = {}
    for one in subject.groups():
        total = torch.zeros(one.width, dtype=torch.float64)
        for images, labels in subject.batches:
            gate = torch.ones(one.width, dtype=torch.float64, requires_grad=True)

            def closed(module: nn.Module, arguments: Any, output: Tensor, gate: Tensor = gate) -> Tensor:
                return output * gate[:, None, None]

            handles = [subject.model.get_submodule(name).register_forward_hook(closed) for name in one.norms]
            loss = F.cross_entropy(subject.model(images), labels)
            total += torch.autograd.grad(loss, gate)[0].square() / len(one.norms) / len(subject.batches)
            for handle in handles:
                handle.remove()
        found[one.name] = total
    return found


def test_taylor_squares_what_a_gate_behind_the_batch_norms_of_a_channel_changes(residual: Net) -> None:
    same(squared_changes(residual, "norm"), gated_taylor(residual))


@pytest.mark.slow
def test_taylor_on_resnet20_squares_what_a_gate_behind_the_batch_norms_changes(resnet20: Net) -> None:
    same(squared_changes(resnet20, "norm"), gated_taylor(resnet20))


def test_taylor_by_weights_sums_the_square_of_each_weights_own_change(residual: Net) -> None:
    expected = {one.name: torch.zeros(one.width, dtype=torch.float64) for one in GROUPS}
    for images, labels in residual.batches:
        for one in GROUPS:
            layers = [residual.model.get_submodule(name) for name in one.producers]
            loss = F.cross_entropy(residual.model(images), labels)
            for layer, g in zip(layers, torch.autograd.grad(loss, [m.weight for m in layers]), strict=True):
                expected[one.name] += (layer.weight.detach() * g).square().sum((1, 2, 3)) / 3
    same(squared_changes(residual, "weights"), expected)


def test_taylors_gate_is_behind_the_layer_where_there_is_no_batch_norm() -> None:
    torch.manual_seed(0)
    data = [(torch.randn(n, 6, 4).double(), torch.randint(3, (n,))) for n in (2, 3, 1)]
    channels = one_each(5)
    makes = [Slice(f"up.{own}", 0, channels, "makes") for own in ("weight", "bias")]
    subject = net(Tokens().double(), data, (Group("up", (*makes, Slice("down.weight", 1, channels, "reads"))),))
    total = torch.zeros(5, dtype=torch.float64)
    for tokens, labels in data:
        gate = torch.ones(5, dtype=torch.float64, requires_grad=True)
        logits = subject.model.down(F.gelu(gate * subject.model.up(tokens))).mean(1)  # type: ignore[operator]
        total += torch.autograd.grad(F.cross_entropy(logits, labels), gate)[0].square() / 3
    same(squared_changes(subject, "norm"), {"up": total})


# DepGraph ---------------------------------------------------------------------------------------------


def weights_of(model: nn.Module, one: Group, channel: int) -> list[Tensor]:
    """All that goes with a channel: its filters, its batch norms' scales, and what reads it."""
    made = [model.get_submodule(name).weight[channel] for name in (*one.producers, *one.norms)]
    return made + [model.get_submodule(name).weight[:, channel] for name in one.consumers]


def test_a_groups_norm_counts_filters_scales_and_readers_alike(residual: Net) -> None:
    """The squared norm a tensor: of the first group 2 filters, 2 scales and 3 readers, so 7 tensors."""
    model = residual.model
    expected = {
        one.name: torch.stack(
            [torch.stack([w.square().sum() for w in weights_of(model, one, c)]).mean() for c in range(one.width)]
        ).detach()
        for one in GROUPS
    }
    assert len(weights_of(model, GROUPS[0], 0)) == 7
    same(group_squares(residual), expected)


@pytest.mark.parametrize("penalty", ["squared", "lasso"])
def test_the_penalty_adds_its_own_gradient(residual: Net, penalty: str) -> None:
    """Against the gradient of the penalty written out; its weights 2^(4 s) are constants."""
    model = residual.model
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    rules = residual.constraints
    training = Training(model=model, constraints=rules, masks={}, memory={}, generator=torch.Generator())
    method = GroupLasso(penalty=penalty, strength=0.1)  # type: ignore[arg-type]
    with torch.no_grad():
        method.during_training(training)
    total = torch.zeros((), dtype=torch.float64)
    for one in GROUPS:
        squares = [torch.stack([w.square().sum() for w in weights_of(model, one, c)]).sum() for c in range(one.width)]
        norms = torch.stack(squares).detach().sqrt()
        strength = 2 ** (4 * (norms.max() - norms) / (norms.max() - norms.min()))
        for c, square in enumerate(squares):
            total = total + (0.1 * square.sqrt() if penalty == "lasso" else 0.1 * strength[c] * square / 2)
    named = {n: p for n, p in model.named_parameters() if "bias" not in n}
    expected = dict(zip(named, torch.autograd.grad(total, list(named.values())), strict=True))
    same({n: p.grad for n, p in named.items() if p.grad is not None}, expected)
    assert all(not p.grad.any() for n, p in model.named_parameters() if "bias" in n and p.grad is not None)


# Normalisation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "normalise", "kept"),
    [
        ("bn-scale", None, [1, 3]),
        ("bn-scale", "mean", [2, 2]),
        ("bn-scale", "l2", [2, 2]),
        ("l1-structured", None, [3, 1]),
        ("l1-structured", "none", [1, 3]),
    ],
)
def test_channels_compete_as_the_source_has_it_unless_asked_otherwise(
    name: str, normalise: str | None, kept: list[int]
) -> None:
    """Scales 1, 2, 3 and 10, 20, 60: as they are 1 and 2 go; divided by means of 2 and 30, or norms, 0.5 and 0.33.

    Filters of 5, 6, 7 and 50, 60, 999: divided by means of 6 and 370 it is 50 and 60 that go, as they are 5 and 6.
    """
    model = nn.Module()
    for layer, scales in (("a", [1.0, 2.0, 3.0]), ("b", [10.0, 20.0, 60.0])):
        conv, norm = nn.Conv2d(1, 3, 1, bias=False), nn.BatchNorm2d(3)
        norm.weight.data = torch.tensor(scales)
        conv.weight.data = torch.tensor([[5.0, 6.0, 7.0], [50.0, 60.0, 999.0]][layer == "b"])[:, None, None, None]
        model.add_module(layer, conv)
        model.add_module(f"{layer}_norm", norm)
    groups = tuple(group(3, (layer,), (f"{layer}_norm",), ()) for layer in ("a", "b"))
    widths = {"a": 3, "b": 3}
    rules = Constraints(("a", "b"), groups, Costs(widths, dict(widths), lambda kind, w: sum(w.values())), "params")
    subject = Net(model.eval(), {}, [], torch.Generator(), rules, 1.0, Classification())
    options = {"scope": "global", "round_to": 1, **({"normalise": normalise} if normalise else {})}
    edit = method_catalogue.load(name)(**options).prune(subject, 2 / 6)
    assert [int(edit.keep[layer].sum()) for layer in ("a", "b")] == kept


# What is looked at, and when --------------------------------------------------------------------------


class Pooled(nn.Module):
    """A convolution whose maps are pooled and flattened before a linear layer reads them, four columns a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.classes = nn.Conv2d(2, 3, 3, 1, 1), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(F.max_pool2d(F.relu(self.conv(x), inplace=True), 2).flatten(1))


def flattened(width: int, each: int) -> Group:
    makes = Slice("conv.weight", 0, one_each(width), "makes")
    return Group("conv", (makes, Slice("classes.weight", 1, one_each(width, each), "reads")))


def test_maps_are_looked_at_behind_the_activation_and_before_they_are_pooled() -> None:
    torch.manual_seed(0)
    model, data = Pooled().double(), batches(2, 3, 1, size=4)
    subject = net(model, data, (flattened(3, 4),))
    for (images, _), maps, read in zip(data, activation_maps(subject), feature_maps(subject), strict=True):
        whole = F.relu(model.conv(images))
        torch.testing.assert_close(maps["conv"], whole)
        torch.testing.assert_close(read["conv"], F.max_pool2d(whole, 2).flatten(2)[..., None])


def test_maps_of_a_residual_stream_are_those_before_the_pooling_of_the_classifier(residual: Net) -> None:
    found = next(activation_maps(residual))
    images, _ = residual.batches[0]
    model: Any = residual.model
    stem = F.relu(model.stem_norm(model.stem(images)))
    inner = F.relu(model.norm1(model.conv1(stem)))
    stream = F.relu(model.norm2(model.conv2(inner)) + stem)
    last = F.relu(model.norm3(model.conv3(stream)) + model.project_norm(model.project(stream)))
    assert last.shape == (4, 4, 3, 3)  # the classifier reads their means
    for name, expected in (("stem", stem), ("conv1", inner), ("conv3", last)):
        torch.testing.assert_close(found[name], expected)


def test_channels_last_maps_are_not_mistaken_for_others() -> None:
    """Averaged over places [B, H, W, C], and flattened with the channels last: nothing is known but what is read."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.classes = nn.Linear(2, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.classes(F.relu(self.conv(x.permute(0, 2, 3, 1))).mean((1, 2)))

    torch.manual_seed(0)
    data = batches(2, size=4)
    subject = net(Last().double(), data, (flattened(4, 1),))
    model: Any = subject.model
    expected = F.relu(model.conv(data[0][0].permute(0, 2, 3, 1))).mean((1, 2))
    torch.testing.assert_close(next(activation_maps(subject))["conv"], expected[..., None, None])


def test_chip_looks_at_as_many_images_as_it_is_told_across_batches() -> None:
    torch.manual_seed(0)
    model, data = Pooled().double(), batches(2, 3, 1, size=4)
    subject = net(model, data, (flattened(3, 4),))
    images = torch.cat([part for part, _ in data])
    for count in (1, 4, 6):
        maps = F.relu(model.conv(images[:count])).flatten(2)
        losses = []
        for c in range(3):
            others = torch.arange(3) != c
            norms = [torch.linalg.svdvals(m).sum() - torch.linalg.svdvals(m[others]).sum() for m in maps]
            losses.append(float(torch.stack(norms).sum().detach()))
        keep = method_catalogue.load("chip")(images=count, round_to=1).prune(subject, 0.34).keep["conv"]
        assert keep.nonzero().flatten().tolist() == sorted(range(3), key=lambda c: -losses[c])[:1]


def test_wanda_weighs_by_what_the_pruned_blocks_before_hand_on() -> None:
    """Inputs of norms 1 and 0.1: both rows lose their second weight, so they hand on norms of 2 and 1, not 2 and 1.35.

    Times weights of 1 and 1.6 the first of the next layer stays, where it would have been the second.
    """
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    model[0].weight.data = torch.tensor([[2.0, 1.0], [1.0, 9.0]])
    model[1].weight.data = torch.tensor([[1.0, 1.6]])
    data = [(torch.tensor([[1.0, 0.0]]), torch.tensor([0])), (torch.tensor([[0.0, 0.1]]), torch.tensor([0]))]
    found = {s: method_catalogue.load("wanda")(sequential=s).prune(net(model, data), 0.5).keep for s in (True, False)}
    assert found[True]["0"].tolist() == found[False]["0"].tolist() == [[True, False], [True, False]]
    assert (found[True]["1"].tolist(), found[False]["1"].tolist()) == ([[True, False]], [[False, True]])


def test_relative_importance_divides_by_the_sums_of_columns_and_rows() -> None:
    """1/3 + 1/4 and 3/5 + 3/4; 2/3 + 2/4 and 2/5 + 2/4: the halves that go are 1 and the second 2, of norms of 1."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight.data = torch.tensor([[1.0, -3.0], [2.0, 2.0]])
    one = [(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))]
    found = method_catalogue.load("wanda")(score="ria").prune(net(model, one), 0.5).keep
    assert found["0"].tolist() == [[False, True], [True, False]]
    strong = [(torch.tensor([[1.0, 100.0]]), torch.tensor([0]))]  # the root of 100 makes 0.9 of the last one 9
    found = method_catalogue.load("wanda")(score="ria").prune(net(model, strong), 0.5).keep
    assert found["0"].tolist() == [[False, True], [False, True]]


def test_wandas_blocks_are_told_by_the_first_number_of_a_name() -> None:
    names = ["conv", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "fc", "h.10.mlp.0", "h.10.mlp.2", "0", "1.a"]
    assert blocks_of(names) == [
        ["conv"], ["layer1.0.conv1", "layer1.0.conv2"], ["layer1.1.conv1"], ["fc"], ["h.10.mlp.0", "h.10.mlp.2"],
        ["0"], ["1.a"],
    ]  # fmt: skip


def test_an_exchange_of_rigl_takes_the_place_of_the_optimisers_step(residual: Net) -> None:
    model = residual.model
    random = torch.Generator().manual_seed(1)
    masks = {name: torch.rand(w.shape, generator=random) > 0.5 for name, w in residual.weights().items()}
    training = Training(
        model, residual.constraints, dict(masks), {}, torch.Generator(), progress=0.5, batch=100, batches=200
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    images, labels = residual.batches[0]
    F.cross_entropy(model(images), labels).backward()
    with torch.no_grad():
        method_catalogue.load("rigl")().during_training(training)
    optimizer.step()
    assert any(not torch.equal(training.masks[name], mask) for name, mask in masks.items())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_set_drops_a_share_of_each_sign() -> None:
    """Half of three positive and of three negative weights, nearest to zero: 1 of each, and the next of the smaller."""
    weight = torch.tensor([[1.0, 2.0, 30.0, -0.1, -0.2, -0.3]])
    rank = within_sign(weight, torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(rank, torch.tensor([[0.0, 1 / 3, 2 / 3, 0.0, 1 / 3, 2 / 3]]))
    rank = within_sign(weight, torch.tensor([[True, True, True, False, True, True]]))
    torch.testing.assert_close(rank, torch.tensor([[0.0, 1 / 3, 2 / 3, 0.0, 0.0, 1 / 2]]))


def test_a_threshold_in_deviations_is_of_each_layers_own_weights() -> None:
    """Weights of 1 and -1 deviate by 1, those of 10 by 10: at 0.9 deviations all stay, at 1 all go."""
    model = nn.Sequential(nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False))
    for layer, scale in zip(model, (1.0, 10.0), strict=True):
        layer.weight.data = torch.tensor([[1.0, -1.0, 1.0, -1.0]]) * scale
    subject = net(model, [])
    keep = method_catalogue.load("threshold")(unit="deviation").prune(subject, 0.9).keep
    assert all(mask.all() for mask in keep.values())
    keep = method_catalogue.load("threshold")(unit="deviation").prune(subject, 1.0).keep
    assert not any(mask.any() for mask in keep.values())
    assert not method_catalogue.load("threshold")().prune(subject, 1.0).keep["0"].any()
    assert method_catalogue.load("threshold")().prune(subject, 1.0).keep["1"].all()


# Layer budgets ----------------------------------------------------------------------------------------


def test_owl_makes_layers_with_more_outliers_denser() -> None:
    """Shares 0.1, 0.05 and 0 of 100 weights each: 0.16, 0.08 and 0 above, less their mean of 0.08, around 0.5."""
    found = owl_budgets({"a": 0.1, "b": 0.05, "c": 0.0}, dict.fromkeys("abc", 100.0), 0.5)
    assert found == pytest.approx({"a": 58, "b": 50, "c": 42})
    assert owl_budgets({"a": 0.1, "b": 0.0}, {"a": 300.0, "b": 100.0}, 0.5) == pytest.approx({"a": 162, "b": 38})
    assert outlier_share(torch.tensor([1.0] * 9 + [100.0])) == pytest.approx(0.1)  # the mean is 10.9


def test_alpha_makes_layers_with_a_lighter_tail_sparser() -> None:
    """Exponents 2, 3 and 4 make factors 0.8, 1 and 1.2 of a sparsity of 0.5."""
    found = alpha_budgets({"a": 2.0, "b": 3.0, "c": 4.0}, dict.fromkeys("abc", 100.0), 0.5)
    assert found == pytest.approx({"a": 60, "b": 50, "c": 40})
    values = torch.tensor([1.0, 2.0, 3.0, 6.0]).sqrt()  # squared singular values; the upper half is 3 and 6
    assert tail_exponent(values.diag()) == pytest.approx(1 + 2 / math.log(2), rel=1e-4)
    kernel = torch.stack([values[:2].diag(), values[2:].diag()], 2)[..., None]  # two places of a kernel
    assert tail_exponent(kernel) == pytest.approx(1 + 2 / math.log(2), rel=1e-4)


@pytest.mark.parametrize("name", ["l1-unstructured", "wanda"])
@pytest.mark.parametrize("budget", ["erk", "owl", "alpha"])
def test_a_local_score_takes_a_layer_budget(residual: Net, name: str, budget: Any) -> None:
    rules = dataclasses.replace(residual.constraints, target="sparsity")
    subject = dataclasses.replace(residual, constraints=rules)
    subject.weights()["conv1"].view(-1)[:2] = 50.0  # outliers of one layer
    keep = method_catalogue.load(name)(budget=budget).prune(subject, 0.5).keep
    sizes = {layer: mask.numel() for layer, mask in keep.items()}
    assert sum(int((~mask).sum()) for mask in keep.values()) == round(sum(sizes.values()) / 2)
    shares = {layer: float(mask.float().mean()) for layer, mask in keep.items()}
    scores = {layer: w.abs() for layer, w in subject.weights().items()}
    if name == "wanda":
        scores = {n: scores[n] * energy.sqrt() for n, energy in input_energies(subject, [*scores]).items()}
    wanted = weights_kept(subject, scores, 0.5, budget)
    for layer, share in shares.items():
        assert share == pytest.approx(wanted[layer] / sizes[layer], abs=2 / sizes[layer])
    assert max(shares.values()) - min(shares.values()) > 0.05


# SparseGPT --------------------------------------------------------------------------------------------


def column_by_column(w: Tensor, hessian: Tensor, share: float, columns: int) -> tuple[Tensor, Tensor]:
    """Optimal Brain Surgeon on the columns that are left, each time with the inverse of what is left of the Hessian."""
    w, keep = w.clone(), torch.ones_like(w, dtype=torch.bool)
    for start in range(0, w.shape[1], columns):
        stop = min(start + columns, w.shape[1])
        inverse = [torch.linalg.inv(hessian[p:, p:]) for p in range(start, stop)]
        cost = torch.stack([w[:, p] ** 2 / inverse[p - start][0, 0] for p in range(start, stop)], 1)
        lowest = cost.flatten().argsort()[: round(share * cost.numel())]
        block = torch.ones(cost.numel(), dtype=torch.bool)
        block[lowest] = False
        keep[:, start:stop] = block.view_as(cost)
        for p in range(start, stop):
            gone = torch.where(keep[:, p], 0.0, w[:, p])
            w[:, p:] -= gone[:, None] / inverse[p - start][0, 0] * inverse[p - start][0]
    return keep, w * keep


@pytest.mark.parametrize("columns", [2, 4, 8])
def test_sparsegpt_is_optimal_brain_surgeon_on_the_columns_that_are_left(columns: int) -> None:
    """Three batches; the second layer reads what the pruned first one hands on."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)).double()
    data = [(torch.randn(n, 8).double(), torch.zeros(n, dtype=torch.long)) for n in (20, 16, 4)]
    subject = net(model, data)
    found = method_catalogue.load("sparsegpt")(columns=columns, damping=0.1).prune(subject, 0.5)
    read = torch.cat([inputs for inputs, _ in data])
    for place in ("0", "2"):
        layer: Any = model[int(place)]
        hessian = read.T @ read
        hessian += 0.1 * hessian.diagonal().mean() * torch.eye(len(hessian)).double()
        keep, values = column_by_column(layer.weight.detach(), hessian, 0.5, columns)
        assert torch.equal(found.keep[place], keep)
        torch.testing.assert_close(found.moved[f"{place}.weight"].double(), values, rtol=1e-4, atol=1e-5)
        read = F.relu(read @ values.T + layer.bias.detach())


def test_sparsegpt_of_a_convolution_makes_up_for_what_goes(residual: Net) -> None:
    """The first layer's output is nearer to the dense one than with the same mask and its weights as they were."""
    rules = dataclasses.replace(residual.constraints, target="sparsity")
    smooth = [(images.cumsum(3), labels) for images, labels in residual.batches]  # whose pixels stand in for others
    subject = dataclasses.replace(residual, constraints=rules, batches=smooth)
    edit = method_catalogue.load("sparsegpt")().prune(subject, 0.6)
    images = torch.cat([part for part, _ in smooth])
    weight = residual.weights()["stem"]
    dense, masked, moved = (
        F.conv2d(images, w.double(), padding=1) for w in (weight, weight * edit.keep["stem"], edit.moved["stem.weight"])
    )
    assert (moved - dense).square().sum() < 0.8 * (masked - dense).square().sum()
    assert int((~edit.keep["stem"]).sum()) == round(0.6 * weight.numel())
    assert not edit.moved["stem.weight"][~edit.keep["stem"]].any()
