"""A tensor with several names is one: in counts, files, edits, training, and when a network is built again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn

import prunetui
from prunetui.api import called_with
from prunetui.cli.list_layers import print_layers
from prunetui.config import parse_study
from prunetui.engine.count import count, used_layers
from prunetui.engine.edits import apply_masks, move
from prunetui.engine.models import Architecture
from prunetui.engine.models.read_checkpoint import fit
from prunetui.engine.models.start import started
from prunetui.engine.optimizer import SGD, MaskGuard
from prunetui.engine.state import State
from prunetui.engine.tied_tensors import copied_values, once, ties_in, under_all_names
from prunetui.errors import TrialError, UsageError
from prunetui.execute.execution import execute
from prunetui.execute.submit import submit

NET = """
import torch
from torch import nn


class Net(nn.Module):
    \"\"\"Two hidden layers of one weight, a layer that is used twice, and attention of torch's.\"\"\"

    def __init__(self, channels, classes):
        super().__init__()
        self.patches = nn.Conv2d(channels, 8, 2, stride=2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.again, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        self.again.weight = self.up.weight
        self.shared = self.down
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = x + self.down(self.up(x).relu()) + self.shared(self.again(x).tanh())
        return self.head(self.norm(x + self.frozen(x)).mean(1))


def make(channels, classes):
    return Net(channels, classes)
"""
STUDY = """
sparsities = [0.4]
data = { name = "digits", limit = 160 }
model = { name = "net.py:make" }
train = { epochs = 1, batch_size = 32, lr = 0.01 }
finetune = { epochs = 1, batch_size = 32 }
measure = { latency = false, recalibrate = 0 }
methods = [{ name = "l1-structured", target = "channels" }, "global-unstructured", "taylor"]
"""


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.a, self.b = nn.Linear(3, 5, bias=False), nn.Linear(3, 5)
        self.a.weight = self.b.weight = self.table.weight

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.a(x) + self.b(x)
        return made


NAMES = ("table.weight", "a.weight", "b.weight")


def test_names_of_one_tensor() -> None:
    net = Tied()
    assert ties_in(net) == dict.fromkeys(NAMES, NAMES)
    copies = copied_values(net)
    assert copies["a.weight"] is copies["b.weight"]
    assert copies["a.weight"] is not net.a.weight
    assert list(once(copies)) == ["table.weight", "b.bias"]
    assert under_all_names({"b.weight": 1, "other": 2}, ties_in(net)) == {**dict.fromkeys(NAMES, 1), "other": 2}


def test_it_counts_once_for_the_layer_whose_weights_may_be_pruned() -> None:
    net = Tied()
    layers = used_layers(net, torch.zeros(1, 3))
    assert {name: layer.cost("params") for name, layer in layers.items()} == {"a": 15, "b": 5}
    assert [name for name, layer in layers.items() if layer.prunable] == ["a"]
    net.table.weight.data[0] = 0
    counts = count(net, torch.zeros(1, 3), {"a": net.a.weight != 0})
    assert (counts.params, counts.params_nonzero) == (20, 17)
    assert (counts.weights, counts.weights_nonzero) == (15, 12)
    assert (counts.macs, counts.macs_nonzero) == (30, 24)


def tied_state() -> State:
    return State(Architecture("x", 1, 1, 5), copied_values(Tied()), momentum={"m/table.weight": torch.ones(5, 3)})


def test_a_mask_and_a_new_value_are_those_of_all_names() -> None:
    keep = torch.ones(5, 3, dtype=torch.bool)
    keep[1] = False
    state = apply_masks({"a": keep}, tied_state())
    assert state.tensors["table.weight"] is state.tensors["a.weight"] is state.tensors["b.weight"]
    assert (state.tensors["b.weight"] == 0).all(1).tolist() == [False, True, False, False, False]
    assert torch.equal(state.momentum["m/table.weight"], keep.float())
    state = move({"b.weight": torch.zeros(5, 3)}, state)
    assert state.tensors["table.weight"] is state.tensors["b.weight"]
    with pytest.raises(TrialError, match=r"a\.weight and b\.weight are one tensor, and have two new values"):
        move({"a.weight": torch.ones(5, 3), "b.weight": torch.zeros(5, 3)}, state)


def test_a_mask_holds_through_training_whatever_name_it_has_and_whatever_is_frozen() -> None:
    net = Tied()
    net.c = nn.Linear(2, 2).requires_grad_(False)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    keep = {"c": torch.tensor([[True, False], [True, True]]), "a": torch.arange(15).view(5, 3) % 2 == 0}
    guard = MaskGuard(net, optimizer, keep)
    frozen = net.c.weight.detach() * keep["c"]
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    guard.apply()
    assert ((net.table.weight == 0) == ~keep["a"]).all()
    assert (optimizer.state[net.a.weight]["momentum_buffer"][~keep["a"]] == 0).all()
    assert torch.equal(net.c.weight, frozen)


def test_a_network_that_is_computed_with_other_tensors_stays_as_it_is() -> None:
    net = Tied()
    net.again, x = net.a, torch.ones(1, 3)
    before = dict(net.named_parameters(remove_duplicate=False))
    made = called_with(net, {"b.weight": torch.zeros(5, 3)}, (x,))
    assert torch.equal(made[0], net.b.bias)
    assert all(p is before[name] for name, p in net.named_parameters(remove_duplicate=False))


def test_a_checkpoint_has_it_under_one_name_or_all_and_one_value(tmp_path: Path) -> None:
    net, path = Tied(), tmp_path / "w.pth"
    values = {"b.weight": torch.rand(5, 3), "b.bias": torch.rand(5)}
    found = fit(values, net, path).tensors
    assert found["table.weight"] is found["a.weight"] is found["b.weight"]
    assert torch.equal(found["b.weight"], values["b.weight"])
    same = fit({**values, "table.weight": values["b.weight"].clone()}, net, path).tensors
    assert torch.equal(same["a.weight"], values["b.weight"])
    with pytest.raises(UsageError, match=r"other values of b\.weight than of table\.weight, which are one"):
        fit({**values, "table.weight": torch.zeros(5, 3)}, net, path)


def made() -> nn.Module:
    scope: dict[str, object] = {}
    exec(NET, scope)
    net: nn.Module = scope["make"](1, 10)  # type: ignore[operator]
    return net


def test_a_study_of_a_network_with_ties_attention_and_frozen_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    run = submit(parse_study(STUDY), tmp_path / "runs")
    assert execute(run, "cpu", lambda: False, executor="inline") == 0, [row["error"] for row in run.rows()]
    rows = {row["method"]: row for row in run.rows()}
    assert [row["status"] for row in rows.values()] == ["done"] * 4, [row["error"] for row in rows.values()]
    params = sum(parameter.numel() for parameter in made().parameters())
    assert int(rows["dense"]["params"]) == params
    gone = 4 * 8 * 3 + 4 * 3 + 8 * 4 + 5 * (8 + 1 + 1 + 8)  # one head of two, five hidden channels of twelve
    assert int(rows["l1-structured"]["params"]) == params - gone
    told = "replaced by attention that computes the same and can lose heads: attention (MultiheadAttention)"
    assert told in (run.folder / "events.jsonl").read_text()

    dense = (run.models / "dense-1ep-s0.safetensors").read_bytes()
    assert {name.rpartition(".")[0] for name in load(dense) if name.startswith("attention")} == {
        "attention", "attention.out_proj",
    }  # fmt: skip
    masked = prunetui.load(run.models / "global-unstructured-0.4-s0.safetensors", trust=True).net
    assert masked.again.weight is masked.up.weight
    assert (masked.attention.in_proj_weight == 0).any()
    assert (masked.frozen.weight == 0).any()
    unpruned = load(dense)["frozen.weight"]
    kept = masked.frozen.weight != 0
    assert torch.equal(masked.frozen.weight[kept], unpruned[kept])
    assert not masked.frozen.weight.requires_grad

    file = run.models / "l1-structured-0.4-s0.safetensors"
    narrow = prunetui.load(file, trust=True)
    assert narrow.net.again.weight is narrow.net.up.weight
    assert narrow.net.shared is narrow.net.down
    assert narrow.net.down.in_features == narrow.net.up.out_features < 12
    assert narrow.net.attention.in_proj.weight is narrow.net.attention.in_proj_weight
    assert sum(p.numel() for p in narrow.net.parameters()) == int(rows["l1-structured"]["params"])
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(narrow(images), prunetui.load(file, trust=True)(images))

    capsys.readouterr()
    print_layers("net.py:make", 1, 8, 10, [], True)
    listed = capsys.readouterr()
    assert told in listed.err
    layers = {layer["name"]: layer for layer in json.loads(listed.out)}
    assert sum(layer["params"] for layer in layers.values()) == params
    assert layers["attention"]["kind"].startswith("products of")  # its tensors count for its projections
    assert layers["attention.in_proj"] == {
        "name": "attention.in_proj", "kind": "Linear", "shape": {"weight": [24, 8], "bias": [24]}, "params": 216,
        "macs": 192 * 16, "weights_may_go": True, "channels_may_go": True, "group": "attention", "width": 2,
        "reason": None,
    }  # fmt: skip
    assert (layers["again"]["params"], layers["again"]["weights_may_go"], layers["again"]["group"]) == (12, False, "up")


def test_a_file_of_torch_s_attention_starts_a_study_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    net = made()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    once_each = once(net.state_dict(keep_vars=True)).items()
    save_file({name: tensor.detach() for name, tensor in once_each}, tmp_path / "net.safetensors")
    for file in ("net.pth", "net.safetensors"):
        study = parse_study(STUDY.replace('name = "net.py:make"', f'name = "net.py:make", checkpoint = "{file}"'))
        start = started(study.model, 1, 8, 10)
        assert torch.equal(start.tensors["attention.in_proj.weight"], net.attention.in_proj_weight)
        assert start.tensors["again.weight"] is start.tensors["up.weight"]
