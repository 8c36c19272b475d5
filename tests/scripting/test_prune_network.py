"""``prunetui.prune``: literal networks of which a reader sees what goes, and what stays of what was given."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import prunetui
from prunetui.api import Channels, Masks, Net, dataclass, keep_channels
from prunetui.errors import TrialError, UsageError

IMAGES = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = (IMAGES.mean((1, 2, 3)) > 0).long()
BATCHES = [(IMAGES[i : i + 32], LABELS[i : i + 32]) for i in range(0, 96, 32)]


class TwoBranches(nn.Module):
    """Two convolutions beside each other, joined, read by a linear layer behind a hard-coded view."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 6, 3, padding=1)
        self.right = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(10)
        self.deep = nn.Conv2d(10, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8 * 4 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1)))
        x = F.relu(self.deep(x))
        return self.head(x.view(x.size(0), -1))


@pytest.fixture
def net() -> TwoBranches:
    torch.manual_seed(0)
    return TwoBranches()


def pruned(model: nn.Module, data: Any = None, **more: Any) -> tuple[nn.Module, Any]:
    return prunetui.prune(model, data, progress=False, **more)


def three_hidden() -> nn.Sequential:
    """Hidden units with weights of size 3, 1 and 2, and what reads them."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0], [2.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
        model[2].weight.copy_(torch.tensor([[1.0, 1.0, 1.0]]))
    return model


# What goes --------------------------------------------------------------------------------------------


def test_the_weakest_hidden_unit_goes_from_both_layers():
    small, report = pruned(three_hidden(), example_inputs=torch.ones(1, 2), target="channels", amount=0.34)
    assert small[0].weight.tolist() == [[3.0, 0.0], [2.0, 0.0]][: len(small[0].weight)]
    assert small[0].bias.tolist() == pytest.approx([0.1, 0.3][: len(small[0].bias)])
    assert (small[0].out_features, small[2].in_features) == (1, 1)
    assert report.groups[0].width.before == 3


def test_what_was_removed_is_told_and_adds_up(net: TwoBranches):
    small, report = pruned(net, BATCHES, target="macs", amount=0.5)
    assert abs(report.achieved - 0.5) <= 0.01
    assert report.params.after == sum(p.numel() for p in small.parameters()) < report.params.before
    assert report.params.before == sum(p.numel() for p in net.parameters())
    widths = {group.name: group.width for group in report.groups}
    assert small.left.out_channels == widths["left"].after
    assert report.difference is not None
    assert report.difference < 1e-5
    assert report.stays == {"head": "its channels are part of the output"}
    assert "removed" in str(report)
    assert "<table>" in report._repr_html_()


def test_single_weights_become_zero_and_are_held_at_it(net: TwoBranches):
    small, report = pruned(net, method="global-unstructured", amount=0.75, example_inputs=IMAGES[:1])
    zeros = {name for name, mask in report.masks.items() if not bool(mask.all())}
    assert zeros
    assert report.params.after == report.params.before
    assert report.achieved == pytest.approx(0.75, abs=0.001)
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1, momentum=0.9)
    handle = report.hold_zeros(small, optimizer)
    for _ in range(2):
        F.cross_entropy(small(IMAGES), LABELS).backward()
        optimizer.step()
    assert all(not small.get_submodule(name).weight[~mask].any() for name, mask in report.masks.items())
    handle.remove()
    optimizer.step()
    assert any(small.get_submodule(name).weight[~mask].any() for name, mask in report.masks.items())


# What stays -------------------------------------------------------------------------------------------


def test_the_given_network_stays_as_it_was_and_the_smaller_one_is_of_its_kind(net: TwoBranches):
    net.norm.eval()
    net.left.weight.requires_grad_(False)
    seen: list[str] = []
    net.deep.register_forward_hook(lambda *_: seen.append("deep"))
    before = copy.deepcopy(net.state_dict())
    state = torch.random.get_rng_state()
    small, _ = pruned(net, BATCHES, method="taylor-structured", target="channels", amount=0.4)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert type(small) is TwoBranches
    assert (small.training, small.deep.training, small.norm.training) == (True, True, False)
    assert [name for name, p in small.named_parameters() if not p.requires_grad] == ["left.weight"]
    seen.clear()
    small(IMAGES).sum().backward()
    assert seen == ["deep"]
    assert small.left.weight.grad is None
    assert small.deep.weight.grad.shape == small.deep.weight.shape


def test_it_is_used_at_once(net: TwoBranches):
    small, _ = pruned(net, BATCHES, amount=0.3)
    small.eval()
    again = copy.deepcopy(small)
    again.load_state_dict(small.state_dict())
    program = torch.export.export(small, (IMAGES[:2],))
    with torch.no_grad():
        assert torch.equal(again(IMAGES), small(IMAGES))
        torch.testing.assert_close(program.module()(IMAGES[:2]), small(IMAGES[:2]))


def test_wrappers_are_taken_off(net: TwoBranches):
    small, _ = pruned(torch.nn.DataParallel(net), BATCHES, amount=0.3)
    assert type(small) is TwoBranches


def test_excluded_channels_stay(net: TwoBranches):
    small, _ = pruned(net, BATCHES, target="channels", amount=0.5, exclude="le*")
    assert (small.left.out_channels, small.right.out_channels, small.deep.out_channels) == (6, 2, 4)


def test_the_same_seed_gives_the_same_network(net: TwoBranches):
    loader = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=16, shuffle=True)
    runs = [pruned(net, loader, method="taylor-structured", amount=0.4, calibration=32, seed=3)[0] for _ in range(2)]
    assert all(torch.equal(one, other) for one, other in zip(*(r.state_dict().values() for r in runs), strict=True))


# Data, tasks and methods ------------------------------------------------------------------------------


def test_the_metric_is_told_at_each_stage_and_finetuning_lowers_a_loss(net: TwoBranches):
    small, report = pruned(
        net, BATCHES, amount=0.5, loss=lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        finetune={"epochs": 8, "lr": 0.05},
    )  # fmt: skip
    assert report.metric is not None
    assert report.metric.metric.key == "loss"
    assert report.metric.recalibrated is not None
    assert report.metric.after == report.metric.finetuned < report.metric.recalibrated
    assert small.training
    assert any("no dense network" in note for note in report.notes)


def test_data_without_labels_is_enough_where_nothing_asks_for_them(net: TwoBranches):
    _, report = pruned(net, [IMAGES[:48], IMAGES[48:]], amount=0.3)
    assert report.metric is None
    assert any("loss is not measured: UsageError: there is no loss" in note for note in report.notes)


def test_two_inputs_and_a_dictionary_of_outputs():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, one: Tensor, other: Tensor) -> dict[str, Tensor]:
            return {"scores": self.head(F.relu(self.body(one)) - F.relu(self.body(other)))}

    batches = [(torch.randn(16, 4), torch.randn(16, 4), torch.randn(16, 2)) for _ in range(2)]
    small, report = pruned(
        Pair(), batches, target="channels", amount=0.5, inputs=lambda batch: batch[:2],
        loss=lambda model, batch: F.mse_loss(model(*batch[:2])["scores"], batch[2]),
    )  # fmt: skip
    assert small.body.out_features < 8
    assert report.metric is not None


@dataclass(frozen=True)
class LastOnes:
    """Remove the last channels."""

    def prune(self, net: Net, sparsity: float) -> Channels:
        scores = {group.name: -torch.arange(group.width).float() for group in net.groups()}
        return Channels(keep_channels(net, scores, sparsity))


def test_a_method_may_be_an_object(net: TwoBranches):
    small, report = pruned(net, example_inputs=IMAGES[:2], method=LastOnes(), target="channels", amount=0.5)
    assert torch.equal(small.left.weight, net.left.weight[:3])
    assert report.method == "LastOnes"


def test_a_network_of_half_precision_and_weights_that_are_computed():
    torch.manual_seed(0)
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)).to(
        torch.bfloat16
    )
    small, report = pruned(model, example_inputs=torch.randn(4, 4, dtype=torch.bfloat16), amount=0.5, target="channels")
    assert small[0].weight.shape == (4, 4)
    assert small[0].weight.dtype == torch.bfloat16
    assert any("0.weight" in note for note in report.notes)


def test_a_layer_of_which_next_to_nothing_is_left_is_told_and_a_floor_keeps_it():
    model = nn.Sequential(
        nn.Linear(2, 100), nn.ReLU(), nn.Linear(100, 2), nn.ReLU(), nn.Linear(2, 100), nn.ReLU(), nn.Linear(100, 1)
    )
    with torch.no_grad():
        model[0].weight.mul_(0.001)  # its units lose against all of layer 4
    options = {"scope": "global", "normalise": "none"}
    how = {"example_inputs": torch.ones(1, 2), "method": "l1-structured", "options": options, "target": "params"}
    _, report = pruned(model, **how, amount=0.548)
    assert [note for note in report.notes if "next to nothing is left of some layers: 1 of 100 channels of 0;" in note]
    _, report = pruned(model, **how, amount=0.5, floor=0.1)
    assert not [note for note in report.notes if "next to nothing" in note]
    assert min(group.width.after for group in report.groups) >= 10


# Errors -----------------------------------------------------------------------------------------------


class Silent:
    def prune(self, net: Net, sparsity: float):
        return Masks({})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"amount": 1.0}, "amount is 1.0; it must be the fraction to remove, between 0 and 1"),
        ({"amount": -0.1}, "amount is -0.1"),
        ({"method": "group-nrom"}, "did you mean group-norm?"),
        ({"method": "wanda", "target": "macs"}, "the method wanda has no target 'macs'; it has: sparsity"),
        ({"scope": "globl"}, "scope"),
        ({"options": {"scop": "global"}}, "scop"),
        ({"method": "wanda", "scope": "local"}, "scope"),
        ({"method": "rigl"}, "run it in a study"),
        ({"method": "group-lasso"}, "epochs = 0 prunes by its criterion alone"),
        ({"method": "movement"}, "it has no criterion without"),
        ({"method": "fpgm", "options": {"epochs": -1}}, "^epochs: should be greater than or equal to 0; got -1"),
        ({"method": "hybrid"}, "call prune once for each"),
        ({"method": Silent()}, "prune of Silent does not say what it returns"),
        ({"method": LastOnes}, "method is the class LastOnes"),
        ({"task": "clasification"}, "did you mean classification?"),
        ({"exclude": "nothing.*"}, 'no layer fits "nothing.*"'),
        ({"exclude": "*"}, "nothing is left to prune"),
        ({"data": TensorDataset(IMAGES, LABELS)}, "wrap it in a DataLoader"),
        ({"data": []}, "data gives no batch"),
        ({"data": [(IMAGES[:, :, 0], LABELS)]}, r"the network does not take inputs \[96, 1, 8\] of float32"),
        ({"data": None}, "neither data nor example_inputs"),
        ({"data": None, "example_inputs": IMAGES[:2], "method": "apoz"}, "the method apoz looks at data"),
        ({"data": iter(BATCHES), "finetune": 1}, "does not tell its length"),
        ({"finetune": {"epoch": 1}}, "epoch"),
        ({"floor": 2}, "floor is 2"),
        ({"ends": "go"}, "ends is 'go'"),
        ({"task": "classification", "loss": F.cross_entropy}, "leave task= out"),
        ({"data": [IMAGES], "method": "taylor-structured"}, "there is no loss: give loss="),
    ],
)
def test_mistakes_are_told_in_words(net: TwoBranches, given: dict[str, Any], words: str):
    data = given.pop("data", BATCHES)
    with pytest.raises(UsageError, match=words):
        pruned(net, data, **given)


def test_what_is_no_network_or_has_nothing_to_remove_is_told():
    with pytest.raises(UsageError, match=r"model is int; it must be a torch.nn.Module"):
        pruned(3, BATCHES)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no parameters"):
        pruned(nn.ReLU(), BATCHES)
    with pytest.raises(UsageError, match=r"no channels of this network can be removed.*output"):
        pruned(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), BATCHES)
    with pytest.raises(UsageError, match=r'has 2 layers with weights.* ends="prune" lets them go'):
        pruned(three_hidden(), example_inputs=torch.ones(1, 2), method="l1-unstructured")
    _, report = pruned(three_hidden(), example_inputs=torch.ones(1, 2), method="l1-unstructured", ends="prune")
    assert report.nonzero.after == 3 + 1 + 4  # of 6 weights the largest 3, of 3 the largest, and the biases
    with pytest.raises(UsageError, match="learns shapes in its first pass"):
        pruned(nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), BATCHES)


def test_a_target_that_cannot_be_reached_is_told(net: TwoBranches):
    with pytest.raises(TrialError, match=r"cannot remove 99.90% of the macs: the nearest is"):
        pruned(net, BATCHES, target="macs", amount=0.999)


# In a process without a file --------------------------------------------------------------------------

TYPED = """
import torch
from torch import nn
import prunetui

class Typed(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 2)
    def forward(self, x):
        return self.two(torch.relu(self.one(x)))

small, report = prunetui.prune(Typed(), example_inputs=torch.randn(2, 4), target="channels", amount=0.5)
print(type(small).__name__, small.one.out_features, report.difference < 1e-5)
"""


@pytest.mark.slow  # one_call.py, in the default tests, has no guard either
def test_a_class_that_was_typed_into_stdin_without_a_guard():
    done = subprocess.run([sys.executable, "-"], input=TYPED, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Typed 3 True\n", "")


def test_where_nothing_depends_on_the_channels_the_comparison_says_that_it_proves_nothing() -> None:
    class Blank(nn.Sequential):
        """Of which the last layer is all zeros, as vision transformers begin."""

    torch.manual_seed(0)
    model = Blank(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    said = [prunetui.prune(model, example_inputs=torch.randn(2, 3, 8, 8), progress=False)[1].notes]
    nn.init.zeros_(model[-1].weight)
    said.append(prunetui.prune(model, example_inputs=torch.randn(2, 3, 8, 8), progress=False)[1].notes)
    assert ["nothing that comes out depends on these channels" in " ".join(notes) for notes in said] == [False, True]


def test_a_pattern_is_of_its_n_and_m() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    data = [(torch.randn(16, 8), torch.arange(16) % 2)]
    asked = {"method": "wanda", "target": "pattern", "progress": False}
    with pytest.raises(UsageError, match="n is 3 and m is 2; a pattern keeps n of m with 0 < n < m"):
        prunetui.prune(model, data, options={"n": 3, "m": 2}, **asked)
    with pytest.raises(UsageError, match=r"amount is 0\.3; the pattern 2:4 removes 0\.5: say that, or another n and m"):
        prunetui.prune(model, data, amount=0.3, **asked)
    _, report = prunetui.prune(model, data, options={"n": 1}, amount=0.75, **asked)
    assert bool((report.masks["2"].view(8, 2, 4).sum(2) == 1).all())
