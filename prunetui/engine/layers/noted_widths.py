"""What torch's own modules that are no prunable layers note of their widths: integers that follow their tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from prunetui.engine.layers.convolution import blocks_left
from prunetui.engine.layers.kind import DoesNotFit, Shapes, Stay
from prunetui.engine.layers.own_heads import OwnHeadsAttention


def noted_widths(module: nn.Module, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    """By attribute, as of ``LayerKind.attributes``; none of a module of a kind that is not known here."""
    for kinds, noted in _TABLE:
        if isinstance(module, kinds):
            return noted(module, shapes, stay)
    return {}


def _of_layer_norm(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    return {"normalized_shape": shapes["weight"]} if "weight" in shapes else {}


def _of_group_norm(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    if "weight" not in shapes:
        return {}
    channels = stay.get("weight", {}).get(0)
    groups = blocks_left(module.num_groups, channels, f"a group norm of {module.num_groups} groups")
    return {"num_channels": shapes["weight"][0], "num_groups": groups}


def _of_embedding(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    rows, columns = shapes["weight"]
    return {"num_embeddings": rows, "embedding_dim": columns}


def _of_prelu(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    return {"num_parameters": shapes["weight"][0]}


def _of_bilinear(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    outputs, first, second = shapes["weight"]
    return {"out_features": outputs, "in1_features": first, "in2_features": second}


def _of_recurrent(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    if module.proj_size:
        return {}
    return {"input_size": shapes["weight_ih_l0"][1], "hidden_size": shapes["weight_hh_l0"][1]}


def _of_own_heads(module: Any, shapes: Shapes, stay: Stay) -> dict[str, Any]:
    own, parts = ("in_proj_weight", 3) if module.in_proj_weight is not None else ("q_proj_weight", 1)
    rows = shapes[own][0]
    if rows % (parts * module.head_dim):
        raise DoesNotFit(f"{rows} rows of {own} are no whole number of heads of width {module.head_dim}")
    return {"num_heads": rows // (parts * module.head_dim)}


Noted = Callable[[Any, Shapes, Stay], dict[str, Any]]
_TABLE: list[tuple[tuple[type[nn.Module], ...], Noted]] = [
    ((nn.LayerNorm, nn.RMSNorm), _of_layer_norm),
    ((nn.GroupNorm,), _of_group_norm),
    ((nn.Embedding, nn.EmbeddingBag), _of_embedding),
    ((nn.PReLU,), _of_prelu),
    ((nn.Bilinear,), _of_bilinear),
    ((nn.RNNBase,), _of_recurrent),
    ((OwnHeadsAttention,), _of_own_heads),
]
