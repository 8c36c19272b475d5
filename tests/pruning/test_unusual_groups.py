"""Every method of channels on groups that are made or read by what is no convolution and no linear layer.

Each ends in a smaller network, which leaves alone what cannot be ranked and says so; where nothing can, in words.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import prunetui
from prunetui.api import Net, Training
from prunetui.api.constraints import Constraints
from prunetui.engine.load_task import load_task
from prunetui.errors import TrialError, UsageError
from prunetui.plugins import method_catalogue

RANDOM = torch.Generator().manual_seed(0)
WORDS = torch.randint(0, 12, (8, 6), generator=RANDOM)
TOKENS = torch.randn(8, 6, 8, generator=RANDOM)
IMAGES = torch.randn(8, 3, 8, 8, generator=RANDOM)
LABELS = torch.arange(8) % 2
METHODS = [name for name, info in method_catalogue.catalogue().methods.items() if info.edit == "channels"]
NO_NORM = "the network has no batch norm on channels that may go, whose scales this method ranks"
NO_IMAGES = "the network has no two-dimensional convolution, which this method works on"


def unranked(what: str) -> str:
    return f"{what}, so they cannot be ranked; exclude= keeps them"


def left(*what: str) -> str:
    """What a report says of groups that are left alone."""
    return " / ".join(f"{why}: they cannot be ranked, and stay" for why in what)


UNREAD = "no convolution and no linear layer reads the channels of"
NOT_UNFOLDED = "no convolution of one or two dimensions and no linear layer reads the channels of"
UNMADE = "no convolution and no linear layer makes the channels of"


class Words(nn.Module):
    """An embedding makes what a recurrent layer reads; that makes what a linear layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.recurrent, self.head = nn.Embedding(12, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.table(x))[0][:, -1])


class Recurrent(nn.Module):
    """One recurrent layer reads what another makes."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.LSTM(8, 8, batch_first=True) for _ in range(2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.two(self.one(x)[0])[0][:, -1])


class Bare(nn.Module):
    """A parameter of the network reads what a convolution makes; the first layers are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 1)
        self.scale = nn.Parameter(torch.rand(6, 2))
        self.first.requires_grad_(False)
        self.norm.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.norm(self.first(x))))).mean((2, 3)) @ self.scale


def outcomes(model: nn.Module, inputs: Tensor, **more: Any) -> dict[str, str]:
    """Method -> "done", what it leaves alone, or why it fails."""
    found = {}
    for name in METHODS:
        options = method_catalogue.method_info(name).options
        given = {"epochs": 0} if any(option.name == "epochs" for option in options) else {}
        try:
            _, report = prunetui.prune(
                model, [(inputs, LABELS)], method=name, options=given, target="channels", progress=False, **more
            )  # fmt: skip
            found[name] = " / ".join(note for note in report.notes if "ranked" in note) or "done"
        except TrialError as error:
            found[name] = str(error)
    return found


def by_words(found: dict[str, str]) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for name, said in found.items():
        words.setdefault(said, []).append(name)
    return words


def seeded(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind()


def test_words_and_a_recurrent_layer() -> None:
    assert by_words(outcomes(seeded(Words), WORDS)) == {
        left(f"{UNREAD} table"): ["apoz", "chip", "fisher-structured", "hrank"],
        left(f"{NOT_UNFOLDED} table"): ["obs-structured"],
        unranked(f"{UNMADE} recurrent"): ["fpgm", "growing-reg", "l1-structured", "l2-structured"],
        left(f"{UNMADE} recurrent"): ["taylor-structured"],
        NO_NORM: ["bn-scale"],
        NO_IMAGES: ["kmeans-merge"],
        "done": ["group-lasso", "group-norm", "random-structured"],
    }  # fmt: skip


def test_what_cannot_be_ranked_is_excluded_by_its_name() -> None:
    found = by_words(outcomes(seeded(Words), WORDS, exclude="table"))
    assert found["done"] == [
        "apoz", "chip", "fisher-structured", "group-lasso", "group-norm", "hrank", "obs-structured",
        "random-structured",
    ]  # fmt: skip
    with pytest.raises(UsageError, match='exclude: no layer fits "tabel"; there are: head, table, recurrent'):
        prunetui.prune(seeded(Words), example_inputs=WORDS, exclude="tabel", progress=False)


def test_recurrent_layers_alone() -> None:
    assert by_words(outcomes(seeded(Recurrent), TOKENS)) == {
        left(f"{UNREAD} one"): ["apoz", "chip", "fisher-structured", "hrank"],
        left(f"{NOT_UNFOLDED} one"): ["obs-structured"],
        unranked(f"{UNMADE} two"): ["fpgm", "growing-reg", "l1-structured", "l2-structured", "taylor-structured"],
        left("no layer with a weight makes, scales or reads the channels of one"): ["group-lasso", "group-norm"],
        NO_NORM: ["bn-scale"],
        NO_IMAGES: ["kmeans-merge"],
        "done": ["random-structured"],
    }


def test_a_parameter_of_the_network_and_frozen_layers() -> None:
    assert by_words(outcomes(seeded(Bare), IMAGES)) == {
        left(f"{UNREAD} second"): ["apoz", "chip", "fisher-structured", "hrank"],
        left(f"{NOT_UNFOLDED} second"): ["obs-structured"],
        "kmeans-merge merges channels that one layer alone makes, and no groups are such": ["kmeans-merge"],
        left("no batch norm scales the channels of second"): ["bn-scale"],
        "done": [
            "fpgm", "group-lasso", "group-norm", "growing-reg", "l1-structured", "l2-structured", "random-structured",
            "taylor-structured",
        ],
    }  # fmt: skip


def network_of(model: nn.Module, names: list[str]) -> Net:
    constraints = Constraints(layers=names)
    return Net(
        model, {}, [(torch.eye(4), torch.tensor([0, 1, 0, 1]))], torch.Generator(), constraints, 1.0,
        load_task("classification"),
    )  # fmt: skip


def test_frozen_layers_are_scored_by_what_looks_at_gradients() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    free = {}
    for frozen in (False, True):
        model[0].requires_grad_(not frozen)
        for name in ("grasp", "snip", "taylor", "gradient", "obd", "obs"):
            mask = method_catalogue.load(name)().prune(network_of(model, ["0", "2"]), 0.5).keep
            assert torch.equal(mask["0"], free.setdefault(name, mask)["0"]), name
        assert model[0].weight.requires_grad is not frozen


def test_a_movement_of_frozen_layers_is_refused_before_it_is_trained() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    training = Training(model, Constraints(layers=["0", "2"]), {}, {}, torch.Generator())
    with pytest.raises(TrialError, match=r"and 0 is frozen; layers\.exclude keeps it as it is"):
        method_catalogue.load("movement")().during_training(training, 0.5)


@pytest.mark.parametrize("layer", [nn.Conv1d(3, 4, 2), nn.ConvTranspose1d(3, 4, 2), nn.Conv1d(3, 6, 2, groups=3)])
def test_sparsegpt_refuses_what_it_does_not_unfold(layer: nn.Module) -> None:
    model = nn.Sequential(layer)
    with pytest.raises(TrialError, match=r"sparsegpt does not unfold what a .* reads; layers\.exclude keeps 0"):
        method_catalogue.load("sparsegpt")().prune(network_of(model, ["0"]), 0.5)
