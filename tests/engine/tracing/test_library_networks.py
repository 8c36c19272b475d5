"""Transformers of torchvision and transformers, small: heads, hidden widths and tied tables, proved and removed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2
from torchvision.models.vision_transformer import VisionTransformer

from prunetui.engine.count import counted_names
from prunetui.engine.models.plain_network import plain
from prunetui.engine.tracing.output_tensors import output_tensors
from prunetui.engine.tracing.probe import halves
from prunetui.engine.tracing.proposers import label_graph
from prunetui.engine.tracing.prove import Proof, prove
from prunetui.engine.tracing.shrink import shrink
from prunetui.engine.tracing.silence import silenced

IMAGES = [((torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),), {})]
WORDS: list[Any] = [((), {"input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])})]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def proved(model: nn.Module, examples: list[Any]) -> Proof:
    """The proof of a network's groups, half of whose channels are then removed together, and compared."""
    proof = prove(model, label_graph(model, examples), examples)
    groups = proof.proposal.groups
    keep = halves(groups, seed=5)
    narrow = copy.deepcopy(model).eval()
    silent = copy.deepcopy(narrow)
    silent.load_state_dict(silenced(groups, keep, silent.state_dict(keep_vars=True), proof.ways), strict=False)
    shrink(narrow, proof.proposal, keep)
    args, named = examples[0]
    with torch.no_grad():
        made, wanted = (output_tensors(net(*args, **named))[0] for net in (narrow, silent))
    assert torch.allclose(made, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    return proof


def share(model: nn.Module, proof: Proof) -> float:
    """Of the parameters, how many lie in channels that may go."""
    free = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in counted_names(model).items()}
    for piece in (piece for group in proof.proposal.groups for piece in group.slices):
        if piece.tensor in free:
            free[piece.tensor].index_fill_(piece.dimension, piece.index.flatten(), True)
    return sum(int(f.sum()) for f in free.values()) / sum(f.numel() for f in free.values())


def widths(proof: Proof) -> dict[str, int]:
    return {group.name: group.width for group in proof.proposal.groups}


def test_vision_transformer_of_torchvision() -> None:
    model = plain(VisionTransformer(8, 4, num_layers=2, num_heads=4, hidden_dim=8, mlp_dim=16, num_classes=3))
    nn.init.normal_(model.heads.head.weight)
    proof = proved(model, IMAGES)
    layers, own = [f"encoder.layers.encoder_layer_{i}" for i in (0, 1)], {"self_attention": 4, "mlp.0": 16}
    assert widths(proof) == {f"{layer}.{name}": width for layer in layers for name, width in own.items()}
    assert share(model, proof) > 0.65


@pytest.mark.parametrize("version", [1, 2])
def test_swin_of_torchvision(version: int) -> None:
    kinds = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if version == 2 else {}
    model = plain(SwinTransformer([2, 2], 8, [2, 1], [2, 4], [2, 2], num_classes=3, mlp_ratio=2.0, **kinds))
    proof = proved(model, IMAGES)
    blocks = {"features.1.0": 2, "features.1.1": 2, "features.3.0": 4}
    expected = {f"{block}.attn.qkv": heads for block, heads in blocks.items()}
    expected |= {f"{block}.mlp.0": 8 * heads for block, heads in blocks.items()}
    if version == 2:
        expected |= {f"{block}.attn.cpb_mlp.0": 512 for block in blocks}
    assert widths(proof) == expected


def gpt2() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 8, "vocab_size": 11, "use_cache": False}
    made: nn.Module = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))
    return made


def bert() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    config = transformers.BertConfig(**sizes, vocab_size=11, max_position_embeddings=8)
    made: nn.Module = transformers.BertForMaskedLM(config)
    return made


@pytest.mark.parametrize(
    ("make", "expected", "tied"),
    [
        (gpt2, {"transformer.h.0.attn.c_attn": 2, "transformer.h.0.mlp.c_fc": 32}, "lm_head.weight"),
        (bert, {"bert.encoder.layer.0.attention.self.query": 2, "bert.encoder.layer.0.intermediate.dense": 12},
         "cls.predictions.decoder.weight"),
    ],
)  # fmt: skip
def test_language_models_with_tied_tables(make: Callable[[], nn.Module], expected: dict[str, int], tied: str) -> None:
    model = make()
    assert tied in counted_names(model)
    assert len(counted_names(model)) == len(list(model.parameters()))
    proof = proved(model, WORDS)
    assert widths(proof) == expected
    assert "statistics over channels (layer_norm)" in proof.proposal.kept[tied.replace("weight", "weight[1]")]
