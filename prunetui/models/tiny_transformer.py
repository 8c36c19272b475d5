"""A small causal transformer for sequences of tokens (as GPT-2, Radford et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunetui.api import Positive, TrialError, model
from prunetui.models.transformer_block import blocks, initialise


class TinyTransformer(nn.Module):
    """Learned positions, pre-norm blocks, and a head of its own: it does not share the embedding's weights."""

    main_input_name = "input_ids"
    """As transformers' networks say what goes into them: words, where no data tells."""

    def __init__(self, tokens: int, width: int, depth: int, heads: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.embedding, self.positions = nn.Embedding(tokens, width), nn.Embedding(context, width)
        self.blocks = blocks(depth, width, heads, causal=True)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, tokens)
        initialise(self)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Tokens int64 [B, T] -> logits [B, T, tokens].

        Raises:
            TrialError: T is more than the context.
        """
        length = input_ids.shape[1]
        if length > self.context:
            raise TrialError(
                f"texts have {length} tokens, the model {self.context}: set model.options.context = {length}"
            )
        places = torch.arange(length, device=input_ids.device)
        logits: Tensor = self.linear(self.norm(self.blocks(self.embedding(input_ids) + self.positions(places))))
        return logits


@model("tiny-transformer", source="Radford et al. 2019", proved=True)
def tiny_transformer(
    classes: int, width: int = 64, depth: Positive = 4, heads: Positive = 4, context: Positive = 128
) -> nn.Module:
    """A causal, pre-norm transformer: token ids in, logits of the next one out at each place.

    Args:
        depth: How many blocks.
        heads: Heads of each attention; they share the width.
        context: The longest text in tokens.
    """
    return TinyTransformer(classes, width, depth, heads, context)
