"""``prunetui.prune`` of attention: it loses heads, also after it was saved and loaded, and says what it became."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import prunetui
from prunetui.cli.list_layers import layer_objects
from prunetui.engine.trace_network import proved_graph
from prunetui.errors import UsageError

TOKENS = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
BECAME = "attention computes the same by a class that can lose heads"


class Attending(nn.Module):
    """One layer of four heads; what reads it looks at the class, if it is asked to."""

    def __init__(self, strict: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.strict = strict
        self.layer = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        known = type(self.layer.self_attn) is nn.MultiheadAttention
        return self.head(self.layer(x).mean(1)) * (1.0 if known or not self.strict else 2.0)


def pruned(model: nn.Module, inputs: Any = TOKENS, **more: Any) -> tuple[nn.Module, Any]:
    asked = {"target": "channels", "amount": 0.5, **more}
    return prunetui.prune(model, example_inputs=inputs, progress=False, **asked)


def test_heads_go_and_the_report_says_what_attention_became() -> None:
    net = Attending()
    small, report = pruned(net)
    assert (small.layer.self_attn.num_heads, small.layer.self_attn.head_dim) == (2, 2)
    assert small.layer.self_attn.in_proj_weight.shape == (3 * 2 * 2, 8)
    assert small.layer.linear1.out_features == 6
    assert type(net.layer.self_attn) is nn.MultiheadAttention
    assert report.notes == (f"{BECAME}: layer.self_attn",)
    assert report.difference is not None
    assert report.difference < 1e-5


def test_saved_and_loaded_it_is_the_same_and_is_trained_and_pruned_again(tmp_path: Path) -> None:
    small, _ = pruned(Attending())
    again = prunetui.load(prunetui.save(small, tmp_path / "small.safetensors"), model=Attending)
    assert torch.equal(again(TOKENS), small.eval()(TOKENS))
    assert again.layer.self_attn.in_proj.weight is again.layer.self_attn.in_proj_weight
    again.train()(TOKENS).sum().backward()
    assert again.layer.self_attn.in_proj_weight.grad.shape == (12, 8)
    twice, report = pruned(again)
    assert (twice.layer.self_attn.num_heads, report.notes) == (1, ())
    third = prunetui.load(prunetui.save(twice, tmp_path / "twice.safetensors"), model=Attending)
    assert torch.equal(third(TOKENS), twice.eval()(TOKENS))
    with pytest.raises(UsageError, match=r"this Scored is not the Attending .* its layer.self_attn is not there"):
        prunetui.load(tmp_path / "twice.safetensors", model=Scored())


class Scored(nn.Module):
    """Attention of a class of one's own."""

    class Own(nn.MultiheadAttention):
        pass

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention, self.hidden, self.head = self.Own(8, 4, batch_first=True), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.attention(x, x, x)[0]).relu())


def test_a_file_that_names_what_is_no_attention_is_refused(tmp_path: Path) -> None:
    small, _ = pruned(Attending())
    with safe_open(prunetui.save(small, tmp_path / "small.safetensors"), framework="pt") as opened:
        tensors, about = {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata()  # noqa: SIM118
    for names in (["head"], ["layer.self_attn", "nothing"], [3], "head"):
        plain = {**json.loads(about["removal"]), "own_heads": names}
        save_file(tensors, tmp_path / "bad.safetensors", {**about, "removal": json.dumps(plain)})
        with pytest.raises(UsageError):
            prunetui.load(tmp_path / "bad.safetensors", model=Attending)


def test_where_it_is_not_proved_attention_stays_and_the_report_says_why() -> None:
    small, report = pruned(Attending(strict=True))
    assert type(small.layer.self_attn) is nn.MultiheadAttention
    assert small.layer.linear1.out_features == 6
    assert report.notes == (
        "attention that cannot lose heads, layer.self_attn: its outputs differ by 1 of their size",
    )  # fmt: skip


def test_single_weights_of_its_projections_become_zero_and_are_held_at_it() -> None:
    small, report = pruned(Attending(), method="l1-unstructured", target="sparsity", ends="prune")
    assert int((small.layer.self_attn.in_proj_weight == 0).sum()) == 24 * 8 // 2
    optimizer = torch.optim.SGD(small.parameters(), lr=0.1)
    report.hold_zeros(small, optimizer)
    small(TOKENS).sum().backward()
    optimizer.step()
    assert int((small.layer.self_attn.in_proj_weight == 0).sum()) == 24 * 8 // 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["group-norm", "l1-structured"])
def test_transformers_of_torchvision(tmp_path: Path, method: str) -> None:
    def vit() -> nn.Module:
        torch.manual_seed(0)
        return torchvision.models.VisionTransformer(16, 8, 1, 4, 16, 24, num_classes=3)

    def swin() -> nn.Module:
        torch.manual_seed(0)
        return torchvision.models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [2, 2], num_classes=3)

    images = torch.randn(2, 3, 16, 16)
    for make in (vit, swin):
        small, report = pruned(make(), images, method=method)
        heads = [getattr(m, "num_heads", None) for name, m in small.named_modules() if name.endswith(("attn", "ntion"))]
        assert 2 in heads
        assert 4 not in heads
        assert report.notes[0].startswith(BECAME)
        again = prunetui.load(prunetui.save(small, tmp_path / "small.safetensors"), model=make)
        assert torch.equal(again(images), small.eval()(images))


def test_attention_of_a_class_of_one_s_own_stays_in_plain_words() -> None:
    _, report = pruned(Scored())
    assert report.stays["attention"] == (
        "Own is made from MultiheadAttention and may compute something else: only MultiheadAttention itself can lose "
        "heads"
    )
    assert report.notes == ()
    graph = proved_graph(Scored(), TOKENS[:1])
    listed = layer_objects(graph, {name: type(module).__name__ for name, module in Scored().named_modules()})
    assert next(one["reason"] for one in listed if one["name"] == "attention") == report.stays["attention"]


class Crossed(nn.Module):
    """What is asked and what answers are different tokens."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head = nn.TransformerDecoderLayer(8, 4, 12, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x, 2 * x[:, :3]).mean(1))


def test_heads_of_cross_attention_go() -> None:
    small, report = pruned(Crossed())
    assert (small.layer.self_attn.num_heads, small.layer.multihead_attn.num_heads) == (2, 2)
    assert report.difference < 1e-5
