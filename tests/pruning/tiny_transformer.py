"""A transformer of words with all that methods have to know: fused heads, an MLP, and weights kept as [in, out]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Conv1D(nn.Module):
    """The linear layer of GPT-2 in transformers: weights [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf) / 4), nn.Parameter(torch.randn(nf) / 4)

    def forward(self, x: Tensor) -> Tensor:
        """[..., nx] -> [..., nf]."""
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], self.nf)


class Block(nn.Module):
    """Attention and an MLP, each added to the stream."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), Conv1D(dim, dim)
        self.up, self.down = Conv1D(2 * dim, dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, tokens, dim], the same comes out."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.num_heads, -1)
        read = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4).unbind(0))
        x = x + self.out(read.transpose(1, 2).reshape(batch, tokens, -1))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Words [batch, tokens] -> logits [batch, classes]."""

    def __init__(self, classes: int, words: int = 20, dim: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, dim), nn.Parameter(torch.randn(8, dim) / 4)
        self.block = Block(dim, heads)
        self.head = nn.Linear(dim, classes)

    def forward(self, words: Tensor) -> Tensor:
        """At most 8 words each."""
        x = self.words(words) + self.places[: words.shape[1]]
        logits: Tensor = self.head(self.block(x).mean(1))
        return logits


def make(classes: int) -> nn.Module:
    """As a study would name it."""
    return Transformer(classes)
