"""Each criterion's formula on nets small enough to follow by hand, or recomputed independently."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.api import Group, Masks, Net
from prunetui.api.budget import Costs
from prunetui.api.constraints import Constraints
from prunetui.api.groups import Slice, one_each
from prunetui.engine.layers import prunable_layers
from prunetui.errors import TrialError
from prunetui.plugins import method_catalogue
from prunetui.tasks.classification import Classification


def net(model: nn.Module, batches: list[tuple[Tensor, Tensor]], groups: tuple[Group, ...] = ()) -> Net:
    """What a method sees of a model whose groups all cost their width."""
    widths = {group.name: group.width for group in groups}
    costs = Costs(widths, dict(widths), lambda kind, w: sum(w.values()))
    rules = Constraints(prunable_layers(model), groups, costs, "channels")
    return Net(model.eval(), {}, batches, torch.Generator().manual_seed(0), rules, 1.0, Classification())


def masks(name: str, subject: Net, sparsity: float, **options: Any) -> dict[str, list[Any]]:
    edit = method_catalogue.load(name)(**options).prune(subject, sparsity)
    assert isinstance(edit, Masks)
    return {layer: keep.int().tolist() for layer, keep in edit.keep.items()}


def kept(name: str, subject: Net, ratio: float, **options: Any) -> list[int]:
    """Indices of the channels that the first group keeps."""
    edit = method_catalogue.load(name)(round_to=1, **options).prune(subject, ratio)
    return next(iter(edit.keep.values())).nonzero().flatten().tolist()


def linear(*weights: list[list[float]]) -> nn.Sequential:
    """Linear layers without bias, one after the other."""
    layers = []
    for weight in weights:
        layer = nn.Linear(len(weight[0]), len(weight), bias=False)
        layer.weight.data = torch.tensor(weight)
        layers.append(layer)
    return nn.Sequential(*layers)


class Pair(nn.Module):
    """A 1x1 convolution, batch norm, ReLU and the linear layer that reads its pooled maps."""

    def __init__(self, filters: list[list[float]], classes: int = 2) -> None:
        super().__init__()
        width, inputs = len(filters), len(filters[0])
        self.conv = nn.Conv2d(inputs, width, 1, bias=False)
        self.conv.weight.data = torch.tensor(filters)[:, :, None, None]
        self.norm = nn.BatchNorm2d(width, eps=0.0)
        self.read = nn.Conv2d(width, classes, 1, bias=False)
        torch.manual_seed(1)
        self.read.weight.data = torch.randn(classes, width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(F.relu(self.norm(self.conv(x)))).mean((2, 3))

    @property
    def group(self) -> Group:
        channels = one_each(self.conv.out_channels)
        makes, reads = Slice("conv.weight", 0, channels, "makes"), Slice("read.weight", 1, channels, "reads")
        return Group("conv", (makes, Slice("norm.weight", 0, channels, "scales"), reads))


@pytest.fixture
def trained() -> tuple[nn.Sequential, list[tuple[Tensor, Tensor]]]:
    """A small random net and three calibration batches of different sizes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    batches = [(torch.randn(n, 4, dtype=torch.float64), torch.randint(3, (n,))) for n in (4, 6, 2)]
    return model, batches


def _weights(model: nn.Sequential) -> list[Tensor]:
    return [layer.weight for layer in model if isinstance(layer, nn.Linear)]


def _lowest(scores: list[Tensor], sparsity: float) -> list[list[Any]]:
    """Keep masks that remove the globally lowest scores."""
    flat = torch.cat([score.flatten() for score in scores])
    threshold = flat.sort().values[round(sparsity * len(flat))]
    return [(score >= threshold).int().tolist() for score in scores]


# Weights ----------------------------------------------------------------------------------------------


def test_gradient_and_snip_keep_the_largest_weight_times_mean_gradient(trained: Any) -> None:
    model, batches = trained
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    grads = torch.autograd.grad(F.cross_entropy(model(images), labels), _weights(model))
    wanted = _lowest([(w * g).abs().detach() for w, g in zip(_weights(model), grads, strict=True)], 0.6)
    assert list(masks("gradient", net(model, batches), 0.6).values()) == wanted
    assert list(masks("snip", net(model, batches), 0.6).values()) == wanted


def test_taylor_averages_the_square_of_each_batch(trained: Any) -> None:
    model, batches = trained
    scores = [torch.zeros_like(w) for w in _weights(model)]
    for images, labels in batches:
        grads = torch.autograd.grad(F.cross_entropy(model(images), labels), _weights(model))
        scores = [s + (w * g).square().detach() for s, w, g in zip(scores, _weights(model), grads, strict=True)]
    assert list(masks("taylor", net(model, batches), 0.6).values()) == _lowest(scores, 0.6)


def test_obd_takes_the_squared_gradient_of_each_single_image(trained: Any) -> None:
    model, batches = trained
    scores = [torch.zeros_like(w) for w in _weights(model)]
    for images, labels in batches:
        for image, label in zip(images, labels, strict=True):
            grads = torch.autograd.grad(F.cross_entropy(model(image[None]), label[None]), _weights(model))
            scores = [s + (w * g).square().detach() for s, w, g in zip(scores, _weights(model), grads, strict=True)]
    assert list(masks("obd", net(model, batches), 0.6).values()) == _lowest(scores, 0.6)


def test_grasp_scores_by_the_full_hessian_times_the_gradient(trained: Any) -> None:
    model, batches = trained
    images, labels = batches[0]
    shapes = [w.shape for w in _weights(model)]

    def loss(flat: Tensor) -> Tensor:
        first, second = flat.split([s.numel() for s in shapes])
        state = {
            **dict(model.named_parameters()),
            "0.weight": first.view(shapes[0]),
            "2.weight": second.view(shapes[1]),
        }
        return F.cross_entropy(torch.func.functional_call(model, state, (images,)) / 200.0, labels)

    flat = torch.cat([w.detach().flatten() for w in _weights(model)])
    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    removal = -flat * (hessian @ gradient)  # the highest go
    split = [part.view(shape) for part, shape in zip((-removal).split([20, 15]), shapes, strict=True)]
    assert list(masks("grasp", net(model, batches[:1]), 0.4).values()) == _lowest(split, 0.4)


def test_synflow_of_one_round_is_each_weight_times_what_flows_in_and_out() -> None:
    """|W1| = [[1, 2], [3, 4]] and |W2| = [[5, 6]]: R = 5 (1 + 2) + 6 (3 + 4) = 57.

    The weights of W1 carry 5 * 1, 5 * 2, 6 * 3 and 6 * 4; those of W2 carry 5 * 3 = 15 and 6 * 7 = 42.
    """
    model = linear([[1.0, -2.0], [-3.0, 4.0]], [[5.0, -6.0]])
    subject = net(model, [(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))])
    assert masks("synflow", subject, 0.5, rounds=1) == {"0": [[0, 0], [1, 1]], "1": [[0, 1]]}


def test_synflow_in_many_rounds_never_cuts_the_last_path() -> None:
    model = linear([[1.0, -2.0], [-3.0, 4.0]], [[5.0, -6.0]])
    subject = net(model, [(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long))])
    assert masks("synflow", subject, 4 / 6) == {"0": [[0, 0], [0, 1]], "1": [[0, 1]]}


def test_lamp_divides_by_what_is_at_least_as_large() -> None:
    """Squares 1, 4 and 9 score 1/14, 4/13 and 1; squares 16 and 16.81 score 16/32.81 and 1."""
    model = linear([[1.0, 2.0, -3.0]], [[4.0], [-4.1]])
    assert masks("lamp", net(model, []), 0.4) == {"0": [[0, 0, 1]], "1": [[1], [1]]}
    assert masks("lamp", net(model, []), 0.6) == {"0": [[0, 0, 1]], "1": [[0], [1]]}


def test_erk_budgets_follow_the_closed_form() -> None:
    """Raw budgets 4 + 6 = 10 of 24 and 20 + 20 = 40 of 400: half of 424 is 212 = 4.24 x 50, but 42.4 > 24 is dense."""
    from prunetui.api import erk_budgets

    budgets = erk_budgets({"small": (4, 6), "large": (20, 20)}, 0.5)
    assert budgets == pytest.approx({"small": 24, "large": 188})
    budgets = erk_budgets({"conv": (8, 4, 3, 3), "large": (20, 20)}, 0.9)  # raw 18 and 40, budget 68.8
    assert budgets == pytest.approx({"conv": 68.8 * 18 / 58, "large": 68.8 * 40 / 58})


def test_erk_keeps_the_largest_of_each_layer_within_its_budget() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(20, 20, bias=False))
    found = method_catalogue.load("erk")().prune(net(model, []), 0.5)
    assert {name: int(keep.sum()) for name, keep in found.keep.items()} == {"0": 24, "1": 188}
    weight = model[1].weight.detach().abs()
    keep = found.keep["1"]
    assert weight[keep].min() >= weight[~keep].max()


def test_wanda_weighs_by_the_norm_of_what_is_read_and_thins_every_output_alike() -> None:
    """Inputs with norms 5 and 1: a weight of 1 on the first outweighs one of 3 on the second, in both rows."""
    model = linear([[1.0, 3.0], [-100.0, 300.0]])
    subject = net(
        model, [(torch.tensor([[3.0, 1.0]]), torch.tensor([0])), (torch.tensor([[4.0, 0.0]]), torch.tensor([1]))]
    )
    assert masks("wanda", subject, 0.5) == {"0": [[1, 0], [1, 0]]}


def test_wanda_of_a_convolution_counts_every_place_that_a_kernel_element_reads() -> None:
    from prunetui.api.input_statistics import read_sum

    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1)
    images = torch.randn(4, 2, 5, 5)
    patches = F.unfold(images.square(), 3, padding=1, stride=2)  # [4, 2 * 9, places]
    assert torch.allclose(read_sum(layer, images.square()), patches.sum((0, 2)).view(1, 2, 3, 3), rtol=1e-5)


# Channels ---------------------------------------------------------------------------------------------


def test_l1_l2_and_group_norm_rank_by_their_norms() -> None:
    """Filters [3, 0], [2, 2], [0, 2.5]: L1 is 3, 4, 2.5 and L2 is 3, 2.83, 2.5."""
    model = Pair([[3.0, 0.0], [2.0, 2.0], [0.0, 2.5]])
    assert kept("l1-structured", net(model, [], (model.group,)), 0.6) == [1]
    assert kept("l2-structured", net(model, [], (model.group,)), 0.6) == [0]
    model.read.weight.data = torch.tensor([[0.0, 0.0, 9.0]] * 2)[:, :, None, None]
    assert kept("group-norm", net(model, [], (model.group,)), 0.6) == [2]


def test_bn_scale_ranks_by_the_magnitude_of_gamma() -> None:
    model = Pair([[1.0], [1.0], [1.0]])
    model.norm.weight.data = torch.tensor([0.1, -5.0, 0.2])
    assert kept("bn-scale", net(model, [], (model.group,)), 0.3) == [1, 2]


def test_bn_scale_takes_no_other_scale_for_a_batch_norms() -> None:
    model = Pair([[1.0], [1.0], [1.0]])
    model.norm = nn.PReLU(3)
    with pytest.raises(TrialError, match="no batch norm"):
        kept("bn-scale", net(model, [], (model.group,)), 0.3)


def test_fpgm_removes_what_lies_in_the_middle_and_not_what_is_small() -> None:
    """On a line at 0, 1 and 10 the sums of distances are 11, 10 and 19."""
    model = Pair([[0.0], [1.0], [10.0]])
    assert kept("fpgm", net(model, [], (model.group,)), 0.3) == [0, 2]


@pytest.fixture
def images() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(3)
    return [(torch.randn(n, 2, 4, 4), torch.randint(2, (n,))) for n in (3, 5)]


def test_apoz_removes_the_map_that_is_mostly_zero(images: Any) -> None:
    model = Pair([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    model.norm.bias.data = torch.tensor([0.0, -9.0, 9.0])  # half, never and always above zero
    assert kept("apoz", net(model, images, (model.group,)), 0.3) == [0, 2]


def test_hrank_removes_the_map_of_lowest_rank(images: Any) -> None:
    model = Pair([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    model.norm.weight.data = torch.tensor([1.0, 0.0, 1.0])
    model.norm.bias.data = torch.tensor([9.0, 9.0, 9.0])  # the second map is constant: rank 1
    assert kept("hrank", net(model, images, (model.group,)), 0.3) == [0, 2]


def test_chip_removes_the_map_that_another_one_repeats(images: Any) -> None:
    model = Pair([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    removed = {0, 1, 2} - set(kept("chip", net(model, images, (model.group,)), 0.3))
    assert removed <= {0, 1}
    assert len(removed) == 1


@pytest.mark.parametrize("name", ["taylor-structured", "fisher-structured"])
def test_a_channel_that_nothing_reads_is_the_first_to_go(name: str, images: Any) -> None:
    model = Pair([[1.0, 0.5], [2.0, -1.0], [0.3, 0.1]])
    model.read.weight.data[:, 1] = 0
    assert kept(name, net(model, images, (model.group,)), 0.3) == [0, 2]


def test_fisher_of_a_map_is_the_square_of_each_images_sum(images: Any) -> None:
    """Recomputed image by image from the loss with the map scaled: d loss / d scale = sum of map x gradient."""
    model = Pair([[1.0, 0.5], [2.0, -1.0], [0.3, 0.1], [-0.7, 0.9]]).eval()
    expected = torch.zeros(4)
    for batch, labels in images:
        for image, label in zip(batch, labels, strict=True):
            scale = torch.ones(1, 4, 1, 1, requires_grad=True)
            logits = model.read(scale * F.relu(model.norm(model.conv(image[None])))).mean((2, 3))
            expected += torch.autograd.grad(F.cross_entropy(logits, label[None]), scale)[0].flatten().square() / 2
    order = expected.argsort(descending=True)
    for count in (1, 2, 3):
        found = kept("fisher-structured", net(model, images, (model.group,)), 1 - count / 4)
        assert found == sorted(order[:count].tolist())
