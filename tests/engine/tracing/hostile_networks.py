"""Small networks that are hard to trace, each a factory that a study could name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class SplitBySizes(nn.Module):
    """The sizes are attributes, which follow."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = 2, 4
        self.a = nn.Conv2d(3, 6, 1)
        self.b, self.c = nn.Conv2d(2, 3, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.a(x).relu().split([self.left, self.right], 1)
        made: Tensor = self.b(left) + self.c(right)
        return made


class SplitByNumbers(SplitBySizes):
    """The sizes are numbers in the code, which cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.a(x).relu().split([2, 4], 1)
        made: Tensor = self.b(left) + self.c(right)
        return made


class Chunks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.a(x).chunk(2, 1)
        made: Tensor = self.b(value * gate.sigmoid())
        return made


class ChannelShuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        made: Tensor = self.c(self.b(x))
        return made


class PixelShuffle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(F.pixel_shuffle(self.a(x), 2))
        return made


class FunctionalConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.b = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(F.conv2d(x, self.weight).relu())
        return made


class HardCodedView(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.a(x).view(-1, 64))
        return made


class ChannelBuffer(nn.Module):
    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
        self.register_buffer("scale", torch.arange(1.0, 5).view(1, 4, 1, 1), persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.a(x) * self.scale)
        return made


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        made: Tensor = self.b(x if x.sum() > 0 else -x)
        return made


class ManyOutputs(nn.Module):
    """One channel map goes out as it is, the other is only read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> dict[str, object]:
        features = self.a(x)
        return {"features": features, "out": (self.c(self.b(features)), 3)}


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Linear(2, 4), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor, condition: Tensor, *, scale: float = 1.0) -> Tensor:
        made: Tensor = self.c(self.a(x) * scale + self.b(condition)[:, :, None, None])
        return made


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], both: bool) -> None:
        super().__init__()
        self.a = nn.Linear(3, 5)
        self.rnn = kind(5, 4, num_layers=2, batch_first=True, bidirectional=both)
        self.b = nn.Linear(4 * (1 + both), 2)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.rnn(self.a(x.flatten(2).transpose(1, 2)))[0])
        return made


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(checkpoint(self.block, x, use_reentrant=False))
        return made

    def block(self, x: Tensor) -> Tensor:
        made: Tensor = self.a(x).relu()
        return made


class EinsumAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = 3
        self.a = nn.Conv2d(3, 8, 1)
        self.q, self.k, self.v = (nn.Linear(8, 12) for _ in range(3))
        self.out = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).flatten(2).transpose(1, 2)
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v))
        weights = torch.einsum("bqhd,bkhd->bhqk", q, k).softmax(-1)
        made: Tensor = self.out(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))
        return made


class Normalised(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 8, 1), norm, nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.norm(self.a(x)).relu())
        return made


class LastNormalised(nn.Module):
    """A residual stream under a norm of its whole width, as of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 8, 1), nn.LayerNorm(8)
        self.up, self.down, self.b = nn.Linear(8, 6), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).flatten(2).transpose(1, 2)
        x = x + self.down(self.up(self.norm(x)).relu())
        made: Tensor = self.b(x)
        return made


class Twice(nn.Module):
    """One layer at two places, and two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.b.weight = self.a.weight
        self.again, self.d = self.c, nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.d(self.again(self.c(self.a(x) + self.b(x).tanh()).relu()))
        return made


class Autoencoder(nn.Module):
    """The decoder computes with the encoder's own weight."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(48, 6)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.encode(x.flatten(1)).relu(), self.encode.weight.t())


class ImageTransformer(nn.Module):
    """Attention of torch's, asked for its weights, which are not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 1)
        self.layer = nn.TransformerEncoderLayer(8, 2, 6, batch_first=True, norm_first=True)
        self.pool = nn.MultiheadAttention(8, 4, batch_first=True)
        self.query = nn.Parameter(torch.randn(1, 1, 8))
        self.b = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(self.a(x).flatten(2).transpose(1, 2))
        made: Tensor = self.b(self.pool(self.query.expand(len(x), -1, -1), x, x)[0][:, 0])
        return made


FACTORIES = {
    "split_by_sizes": SplitBySizes,
    "split_by_numbers": SplitByNumbers,
    "chunks": Chunks,
    "channel_shuffle": ChannelShuffle,
    "pixel_shuffle": PixelShuffle,
    "functional_convolution": FunctionalConvolution,
    "hard_coded_view": HardCodedView,
    "channel_buffer": lambda: ChannelBuffer(True),
    "channel_buffer_not_saved": lambda: ChannelBuffer(False),
    "branches": Branches,
    "many_outputs": ManyOutputs,
    "two_inputs": TwoInputs,
    "lstm": lambda: Recurrent(nn.LSTM, False),
    "gru_both_ways": lambda: Recurrent(nn.GRU, True),
    "checkpointed": Checkpointed,
    "einsum_attention": EinsumAttention,
    "group_norm": lambda: Normalised(nn.GroupNorm(4, 8)),
    "group_norm_without_scales": lambda: Normalised(nn.GroupNorm(4, 8, affine=False)),
    "group_norm_of_all": lambda: Normalised(nn.GroupNorm(1, 8)),
    "layer_norm": LastNormalised,
    "twice": Twice,
    "autoencoder": Autoencoder,
    "image_transformer": ImageTransformer,
}


def make(kind: str) -> nn.Module:
    """The network of this kind."""
    return FACTORIES[kind]()
