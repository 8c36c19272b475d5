"""What torch's own layers note of their widths: integers that follow when their tensors are cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from prunetui.engine.tracing.cut_tensors import DoesNotFit, left_shape

Cuts = Mapping[str, Mapping[int, Tensor]]
"""A layer's own tensors -> dimension -> what is kept."""
Following = Callable[[Any, Cuts], dict[str, Any]]


def following_attributes(module: nn.Module, cuts: Cuts) -> dict[str, Any]:
    """The new values of a layer's attributes when its tensors are cut; none of a kind that notes nothing.

    Raises:
        DoesNotFit: what is left is no layer of that kind, as a convolution with groups of unequal sizes.
    """
    for kinds, following in _TABLE:
        if isinstance(module, kinds):
            return following(module, cuts)
    return _of_conv1d(module, cuts) if type(module).__name__ == "Conv1D" else {}


def _shape(module: nn.Module, own: str, cuts: Cuts) -> tuple[int, ...]:
    return left_shape(getattr(module, own), cuts.get(own, {}))


def _of_convolution(module: Any, cuts: Cuts) -> dict[str, Any]:
    shape = _shape(module, "weight", cuts)
    groups = _blocks_left(module.groups, cuts.get("weight", {}).get(0), f"a convolution of {module.groups} groups")
    first, second = shape[0], shape[1] * groups
    transposed = isinstance(module, _ConvTransposeNd)
    inputs, outputs = (first, second) if transposed else (second, first)
    return {"in_channels": inputs, "out_channels": outputs, "groups": groups}


def _blocks_left(blocks: int, stay: Tensor | None, what: str) -> int:
    """How many equally large blocks are left: as many as before where each lost the same, else the whole ones."""
    if stay is None:
        return blocks
    left = stay.view(blocks, -1).sum(1)
    size = len(stay) // blocks
    if bool(((left == 0) | (left == size)).all()):
        return int((left == size).sum())
    if bool((left != left[0]).any()):
        raise DoesNotFit(f"{what} would be left with {left.min()} to {left.max()} channels in each")
    return blocks


def _of_linear(module: Any, cuts: Cuts) -> dict[str, Any]:
    outputs, inputs = _shape(module, "weight", cuts)
    return {"in_features": inputs, "out_features": outputs}


def _of_channel_norm(module: Any, cuts: Cuts) -> dict[str, Any]:
    own = next((own for own in ("weight", "running_mean") if getattr(module, own) is not None), "")
    return {"num_features": _shape(module, own, cuts)[0]} if own else {}


def _of_layer_norm(module: Any, cuts: Cuts) -> dict[str, Any]:
    return {} if module.weight is None else {"normalized_shape": _shape(module, "weight", cuts)}


def _of_group_norm(module: Any, cuts: Cuts) -> dict[str, Any]:
    if module.weight is None:
        return {}
    stay = cuts.get("weight", {}).get(0)
    groups = _blocks_left(module.num_groups, stay, f"a group norm of {module.num_groups} groups")
    return {"num_channels": _shape(module, "weight", cuts)[0], "num_groups": groups}


def _of_embedding(module: Any, cuts: Cuts) -> dict[str, Any]:
    rows, columns = _shape(module, "weight", cuts)
    return {"num_embeddings": rows, "embedding_dim": columns}


def _of_prelu(module: Any, cuts: Cuts) -> dict[str, Any]:
    return {"num_parameters": _shape(module, "weight", cuts)[0]}


def _of_bilinear(module: Any, cuts: Cuts) -> dict[str, Any]:
    outputs, first, second = _shape(module, "weight", cuts)
    return {"out_features": outputs, "in1_features": first, "in2_features": second}


def _of_conv1d(module: Any, cuts: Cuts) -> dict[str, Any]:
    """The linear layer of GPT-2 in transformers: weights [in, out]; it takes its output's shape from ``nf``."""
    inputs, outputs = _shape(module, "weight", cuts)
    return {own: size for own, size in (("nx", inputs), ("nf", outputs)) if hasattr(module, own)}


_TABLE: list[tuple[tuple[type[nn.Module], ...], Following]] = [
    ((_ConvNd,), _of_convolution),
    ((nn.Linear,), _of_linear),
    ((_NormBase,), _of_channel_norm),
    ((nn.LayerNorm, torch.nn.RMSNorm), _of_layer_norm),
    ((nn.GroupNorm,), _of_group_norm),
    ((nn.Embedding, nn.EmbeddingBag), _of_embedding),
    ((nn.PReLU,), _of_prelu),
    ((nn.Bilinear,), _of_bilinear),
]
