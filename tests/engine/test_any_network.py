"""A network with layers of many kinds, attention included: channels are found, proved, removed and rebuilt."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import prunetui
from prunetui.config import parse_study
from prunetui.engine.edits import zero_channels
from prunetui.engine.evaluation import recalibrate
from prunetui.engine.loading import attributes_of
from prunetui.engine.models import Architecture
from prunetui.engine.models.start import architecture_of
from prunetui.engine.state import State
from prunetui.engine.trace_network import WHOLE, proved_graph, trace
from prunetui.errors import UsageError
from prunetui.execute.execution import execute
from prunetui.execute.submit import submit
from prunetui.tasks.classification import Classification

NET = """
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.num_heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.out(x.transpose(1, 2).reshape(batch, tokens, -1))


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 12, 3, padding=1), nn.BatchNorm2d(12), nn.PReLU(12))
        self.patches = nn.Conv2d(12, 32, 2, stride=2)
        self.position = nn.Parameter(torch.zeros(16, 32))
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.attention = Attention(32, 4)
        self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, classes)

    def forward(self, x):
        x = self.patches(self.stem(x)).flatten(2).transpose(1, 2) + self.position
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(1))


def make(channels, classes):
    return Net(channels, classes)
"""
STUDY = """
sparsities = [0.4]
data = { name = "digits", limit = 160 }
model = { name = "net.py:make" }
train = { epochs = 2, batch_size = 32, lr = 0.01 }
finetune = { epochs = 1, batch_size = 32 }
measure = { latency = false, recalibrate = 64 }
methods = [{ name = "l1-structured", target = "params" }, "global-unstructured"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def test_channels_hidden_widths_and_heads_may_go_and_the_rest_says_why_not(folder: Path):
    architecture = architecture_of(parse_study(STUDY).model, 1, 8, 10)
    graph = trace(architecture, torch.zeros(1, 1, 8, 8))
    assert {group.name: group.width for group in graph.groups} == {"stem.0": 12, "attention.qkv": 4, "mlp.0": 64}
    (heads,) = (group for group in graph.groups if group.name == "attention.qkv")
    assert {(s.tensor, s.dimension, len(s.indices[0])) for s in heads.slices} == {
        ("attention.qkv.weight", 0, 24), ("attention.qkv.bias", 0, 24), ("attention.out.weight", 1, 8),
    }  # fmt: skip
    assert graph.refused == ("patches", "attention.out", "mlp.2")
    assert "layer_norm" in graph.kept["patches.weight[0]"]
    assert graph.kept["head.weight[0]"] == "its channels are part of the output"
    with torch.random.fork_rng():
        parameters = sum(p.numel() for p in _built(folder).parameters())
    assert graph.cost("params", graph.dense) == parameters


def _built(folder: Path) -> nn.Module:
    scope: dict[str, object] = {}
    exec((folder / "net.py").read_text(), scope)
    made: nn.Module = scope["make"](1, 10)  # type: ignore[operator]
    return made


def test_a_study_of_it_ends_with_a_smaller_network_that_loads_again(folder: Path):
    run = submit(parse_study(STUDY), folder / "runs")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0, [row["error"] for row in run.rows()]
    rows = {row["method"]: row for row in run.rows()}
    assert [row["status"] for row in rows.values()] == ["done"] * 3, [row["error"] for row in rows.values()]
    dense, pruned = int(rows["dense"]["params"]), int(rows["l1-structured"]["params"])
    assert dense == sum(parameter.numel() for parameter in _built(folder).parameters())
    assert pruned == pytest.approx(0.6 * dense, rel=0.03)
    assert float(rows["global-unstructured"]["sparsity"]) == pytest.approx(0.4, abs=0.001)

    file = run.models / "l1-structured-0.4-s0.safetensors"
    loaded = prunetui.load(file, trust=True)
    assert sum(parameter.numel() for parameter in loaded.net.parameters()) == pruned
    heads = loaded.net.attention.num_heads
    assert 1 <= heads < 4
    assert loaded.net.attention.out.in_features == 8 * heads == loaded.net.attention.out.weight.shape[1]
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded(images), prunetui.load(file, trust=True)(images))


class Undecided(nn.Module):
    """Which layer computes is read from the data."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Linear(64, 8), nn.Linear(64, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        return self.last(self.one(x) if float(x.sum()) > 0 else self.other(x))


def test_what_cannot_be_traced_keeps_its_channels_and_says_why():
    graph = proved_graph(Undecided(), torch.ones(1, 1, 8, 8))
    assert graph.groups == ()
    assert "what it computes depends on values of its data" in graph.kept[WHOLE]
    assert "other are not computed for every input" in graph.kept[WHOLE]
    assert graph.prunable == ["one", "last"]  # single weights of what the example passes may go


def test_channels_behind_a_sigmoid_are_silent_where_they_are_read():
    """A channel of zeros is a half behind it: removal equals readers that look away, and nothing else."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.Sigmoid(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    )
    graph = proved_graph(model, torch.zeros(1, 1, 8, 8))
    assert graph.ways == {"0": "reads"}
    state = State(Architecture("x", 1, 8, 3), dict(model.state_dict()))
    keep = {"0": torch.arange(6) % 2 == 0}
    silenced = zero_channels(keep, state, graph).tensors
    assert torch.equal(silenced["0.weight"], model[0].weight)
    assert silenced["4.weight"][:, 1::2].abs().sum() == 0
    assert torch.equal(silenced["4.weight"][:, ::2], model[4].weight[:, ::2])


@pytest.mark.parametrize("given", [[], 3, {"a.b": "x"}, {"a.b": 1.5}, {"a.b": True}, {"a.b": [[1]]}])
def test_attributes_of_a_file_that_are_no_whole_numbers_are_refused(given: object, tmp_path: Path):
    with pytest.raises(UsageError, match=r"the attributes that .*net\.safetensors says are no"):
        attributes_of({"attributes": given}, tmp_path / "net.safetensors")


def test_statistics_of_every_kind_of_batch_norm_are_estimated_anew():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2), nn.Linear(2, 2))
    nn.init.eye_(model[0].weight)
    batch = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    recalibrate(model, Classification(), [(batch, torch.tensor([0, 1]))])
    assert model[1].running_mean.tolist() == [2.0, 20.0]
    assert model[1].momentum == 0.1  # as it was
