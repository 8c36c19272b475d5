"""Attention whose number of heads is its own, so that heads can go.

``torch.nn.MultiheadAttention`` takes the width of all heads for that of its inputs, so it cannot compute with fewer.
This class computes the same with the number and the width of heads as they are; a module becomes one in place, with
the tensors that it has, under the names that they have.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PARTS = ("q_proj", "k_proj", "v_proj")


class OwnHeadsAttention(nn.MultiheadAttention):
    """``nn.MultiheadAttention`` of ``num_heads`` heads of width ``head_dim`` on inputs of any width.

    Its projections of inputs are linear layers beside the tensors that torch has for them, which they share:
    ``in_proj.weight`` is ``in_proj_weight``, or ``q_proj.weight`` is ``q_proj_weight`` and so on.
    """

    in_proj: nn.Linear
    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear

    @staticmethod
    def of(module: nn.MultiheadAttention) -> None:
        """Make a module one of this class, in place."""
        attention: Any = module
        attention.__class__ = OwnHeadsAttention
        # As torch's transformer layers ask before they hand the tensors to a kernel that knows equal widths only.
        attention._qkv_same_embed_dim = False
        out = attention._modules.pop("out_proj")
        if attention.in_proj_weight is not None:
            attention.in_proj = _sharing(attention.in_proj_weight, attention.in_proj_bias)
        else:
            for own in PARTS:
                setattr(attention, own, _sharing(getattr(attention, f"{own}_weight"), None))
        attention._modules["out_proj"] = out  # last, as it is computed

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As ``nn.MultiheadAttention``: outputs, and the weights of heads, or their mean, where they are asked for.

        Raises:
            ValueError: ``is_causal`` without ``attn_mask``, as there.
        """
        if is_causal and attn_mask is None:
            raise ValueError("is_causal says that attn_mask is causal; there is no attn_mask")
        batched = query.dim() == 3
        q, k, v = (self._in_heads(x, batched) for x in self._projected(query, key, value))
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (torch.cat([x, self._split(b).expand(len(x), -1, -1, -1)], 2)
                    for x, b in ((k, self.bias_k), (v, self.bias_v)))  # fmt: skip
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        mask = self._mask(attn_mask, key_padding_mask, q, k.shape[2])
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            made, weights = _with_weights(q, k, v, mask, dropout)
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            hint = is_causal and key_padding_mask is None
            made = F.scaled_dot_product_attention(q, k, v, None if hint else mask, dropout, is_causal=hint)
        made = self.out_proj(made.transpose(1, 2).flatten(2))
        if not batched:
            return made[0], None if weights is None else weights[0]
        return made if self.batch_first else made.transpose(0, 1), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, laid out as the inputs are, all heads side by side."""
        weight: Tensor | None = self.in_proj_weight
        if weight is not None and query is key and key is value:
            return torch.chunk(self.in_proj(query), 3, -1)
        bias: Tensor | None = self.in_proj_bias
        inputs, biases = (query, key, value), (None,) * 3 if bias is None else bias.chunk(3)
        if weight is not None:
            return tuple(F.linear(x, w, b) for x, w, b in zip(inputs, weight.chunk(3), biases, strict=True))
        made = [getattr(self, own)(x) for own, x in zip(PARTS, inputs, strict=True)]
        return tuple(x if b is None else x + b for x, b in zip(made, biases, strict=True))

    def _in_heads(self, x: Tensor, batched: bool) -> Tensor:
        """[batch, tokens, heads * width] in any layout as [batch, heads, tokens, width]."""
        if not batched:
            x = x[None]
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return self._split(x)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(self, mask: Tensor | None, padding: Tensor | None, query: Tensor, keys: int) -> Tensor | None:
        """What is added to the scores [batch, heads, queries, keys]; keys that the module itself adds are seen."""
        parts = []
        if mask is not None:
            mask = _additive(mask, query)
            parts.append(mask if mask.dim() == 2 else mask.reshape(-1, self.num_heads, *mask.shape[1:]))
        if padding is not None:
            parts.append(_additive(padding, query).view(-1, 1, 1, padding.shape[-1]))
        parts = [F.pad(part, (0, keys - part.shape[-1])) for part in parts]
        return sum(parts[1:], parts[0]) if parts else None


def _sharing(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    """A linear layer of these very tensors."""
    layer = nn.Linear.__new__(nn.Linear)  # without initial weights, which would be drawn for nothing
    nn.Module.__init__(layer)
    layer.out_features, layer.in_features = weight.shape
    layer.weight = weight
    layer.register_parameter("bias", bias)
    return layer


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of bool, True where nobody looks, as what is added to scores."""
    if mask.dtype is torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))
    return mask


def _with_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return weights @ v, weights
