"""Language modelling: a network reads tokens and gives logits of the one that comes next, at each place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import Accumulator, Batch, Metric, Network, Task, TrialError, called, logits_of, task
from prunetui.metrics import LOSS
from prunetui.tasks.imitation import imitated

MOST = 1e6
"""A network as bad as this is destroyed; means over seeds would be those of the worst one alone."""
PERPLEXITY = Metric(
    "perplexity", "perplexity", "", "lower", ".3f",
    about="Exponential of the mean loss of a test token: among so many it is as if each were drawn, at most 10^6",
)  # fmt: skip
ACCURACY = Metric("next_token", "next token", "%", about="Percent of test tokens that are the first guess")
IDS, LABELS, ATTENDED = "input_ids", "labels", "attention_mask"
"""What transformers' networks call tokens, those that are to be said, and which places are no padding."""
IGNORED = -100
"""What stands in labels where nothing is to be said, as torch and transformers have it."""


@task("language-modelling", primary="perplexity")
class LanguageModelling(Task):
    """The next token, by cross-entropy; all figures are means over tokens, however they lie in batches.

    A batch is one of these, all of whole numbers:

    - tokens [B, T], of which each is to be said after those before it;
    - a mapping of `input_ids` [B, T] and, where there are any, `labels` [B, T] in their place (not shifted, -100 where
      nothing is to be said), `attention_mask` (0 at padding, which is not to be said) and what else the network takes
      by name;
    - a pair of tokens and what is to be said at their places, shifted already.

    A network gives logits [B, T, tokens], as a tensor or by the name ``logits``. Padding is attended to unless the
    network takes the mask.
    """

    measures = (PERPLEXITY, ACCURACY, LOSS)

    def inputs(self, batch: Batch) -> Any:
        """Tokens alone, or all that a mapping holds but its labels, by name."""
        if isinstance(batch, Tensor):
            return batch
        if not isinstance(batch, Mapping):
            return batch[0]
        named = {name: value for name, value in batch.items() if name != LABELS}
        return named[IDS] if [*named] == [IDS] else named

    def loss(self, model: Network, batch: Batch) -> Tensor:
        return self.training_loss(model, batch, 0.0)

    def training_loss(self, model: Network, batch: Batch, label_smoothing: float) -> Tensor:
        summed, tokens = self._summed(*self._said(model, batch), label_smoothing)
        return summed / tokens.clamp(min=1)

    def _said(self, model: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits [N, tokens] of all places, and what is to be said there [N]."""
        logits, targets = aligned(logits_of(called(model, self.inputs(batch))), batch)
        return logits.float().flatten(0, 1), targets.flatten()

    def _summed(self, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
        """The summed loss of the tokens that are to be said, and how many these are."""
        summed = F.cross_entropy(
            logits, targets, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
        )
        return summed, (targets != IGNORED).sum()

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        logits, targets = self._said(model, batch)
        self._add_loss(logits, targets, accumulator)
        accumulator.add("right", (logits.argmax(1) == targets).sum())

    def training_metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """The perplexity alone."""
        self._add_loss(*self._said(model, batch), accumulator)

    def _add_loss(self, logits: Tensor, targets: Tensor, accumulator: Accumulator) -> None:
        summed, tokens = self._summed(logits, targets)
        accumulator.add("loss", summed.double())
        accumulator.add("tokens", tokens)

    def figures(self, accumulator: Accumulator) -> Mapping[str, float]:
        tokens = max(int(accumulator.sums["tokens"]), 1)
        loss = float(accumulator.sums["loss"]) / tokens
        found = {PERPLEXITY.key: math.exp(min(loss, math.log(MOST))), LOSS.key: loss}
        if "right" in accumulator.sums:
            found[ACCURACY.key] = 100 * int(accumulator.sums["right"]) / tokens
        return found

    def imitation(self, loss: Tensor, outputs: Any, taught: Any, weight: float, temperature: float) -> Tensor:
        """As for classification, at every place, padding included."""
        ours, theirs = (logits_of(given).float().flatten(0, 1) for given in (outputs, taught))
        return imitated(loss, ours, theirs, weight, temperature)

    def check_outputs(self, outputs: Any, examples: int, classes: int | None) -> str:
        logits = logits_of(outputs)
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(outputs).__name__
        if isinstance(shape, list) and len(shape) == 3 and shape[0] == examples and (classes or 0) <= shape[2]:
            return ""
        return (
            f"gives {shape} of {examples} texts; a network for language modelling gives logits of every place, here "
            f"[{examples}, length, {classes or 'tokens'}]"
        )


def aligned(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits [B, T, tokens] and the int64 [B, T] that are to be said there; T is one less where they are the inputs.

    Raises:
        TrialError: they are not of the same places.
    """
    shifted = not isinstance(batch, Tensor | Mapping)
    targets = batch[1] if shifted else batch
    if isinstance(batch, Mapping):
        targets = batch.get(LABELS, batch[IDS])
        if ATTENDED in batch:
            targets = torch.where(batch[ATTENDED] == 0, IGNORED, targets)
    if logits.dim() != 3 or logits.shape[:2] != targets.shape or targets.is_floating_point():
        kind = str(targets.dtype).removeprefix("torch.")
        raise TrialError(
            f"the network gives {list(logits.shape)} where {list(targets.shape)} of {kind} are to be said; one for "
            "language modelling gives logits [B, length, tokens] for whole numbers [B, length]"
        )
    targets = targets.long()
    return (logits, targets) if shifted else (logits[:, :-1], targets[:, 1:])
