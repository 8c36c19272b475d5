"""The block that transformers here are made of: attention, then a multilayer perceptron, each after its layer norm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from prunetui.errors import UsageError

WIDENING = 4
"""How much wider the hidden layer is (Vaswani et al. 2017)."""
MOST_BLOCKS = 256
"""A file may say any number, and each takes time and memory."""
DEVIATION = 0.02
"""Standard deviation of initial weights (Radford et al. 2019)."""


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762); ``causal``: to earlier places only.

    How many heads there are follows from the widths of its layers, so that heads can be removed.
    """

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.head_width, self.causal = width // heads, causal
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        query, key, value = (
            layer(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        read = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        out: Tensor = self.output(read.transpose(1, 2).flatten(2))
        return out


class Perceptron(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(F.gelu(self.up(x)))
        return out


class Block(nn.Module):
    """Pre-norm residual block (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, causal)
        self.norm2, self.mlp = nn.LayerNorm(width), Perceptron(width, WIDENING * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def blocks(depth: int, width: int, heads: int, causal: bool) -> nn.Sequential:
    """``depth`` blocks.

    Raises:
        UsageError: the heads do not share the width evenly, or there are very many blocks.
    """
    if depth > MOST_BLOCKS:
        raise UsageError(f"model.options.depth = {depth}: {MOST_BLOCKS} at most")
    if width % heads:
        raise UsageError(f"model.width = {width} is no multiple of model.options.heads = {heads}: they share it evenly")
    return nn.Sequential(*(Block(width, heads, causal) for _ in range(depth)))


def initialise(model: nn.Module) -> None:
    """Draw weights of linear layers and embeddings; biases are 0."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=DEVIATION)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
