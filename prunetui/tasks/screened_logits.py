"""Logits whose accuracies are those of float32, though most of them are computed in bfloat16, which is faster.

1. A few images, the probe, are computed in both arithmetics. That tells how far logits move at most.
2. All others are computed in bfloat16.
3. An image is settled if its class wins or loses by more than twice the largest move seen. The others are computed in
   float32; if these move further than any before, more images may be in doubt, and the step is repeated.

The accuracies are then those of float32: no image in which they differ was ever found, though nothing proves that there
is none. The mean loss, if asked for, sends further images to float32, the least sure ones, until the others would not
move it by more than ``LOSS_TOLERANCE`` even if all of them moved in the same direction, by as much as those that were
computed in both do on average.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import Batch, Evaluation, IndexedSource, Network, logits_of
from prunetui.api.source import called
from prunetui.tasks.labelled_batch import inputs_and_labels

FIRST = 5
"""Guesses of top-5."""
PROBE = 256
"""About so many images are computed in both arithmetics first."""
WORTH = 0.4
"""The share of images in doubt from which float32 for all of them is faster."""
SAFETY = 2.0
"""An image is settled where its margin exceeds this many times the largest move seen."""
LOSS_TOLERANCE = 1e-3
"""How far from float32's the mean loss may be, as far as the images tell that were computed in both."""

Scored = tuple[Tensor, Tensor]
"""Logits [N, classes] and labels [N]."""


class SplitLogits:
    """Computes logits of a split, of all its images or of some, in either arithmetic."""

    def __init__(self, model: Network, evaluation: Evaluation, source: IndexedSource) -> None:
        self._model, self._evaluation, self._source = model, evaluation, source
        self.count, self.device = source.length(evaluation.split), source.device

    def all(self) -> Scored:
        """Of all images, in float32."""
        given = self._evaluation
        return self._computed(self._source.batches(given.split, given.batch_size), bf16=False)

    def of(self, chosen: Tensor, bf16: bool = False) -> Scored:
        """Of the images that bool [N] marks."""
        given = self._evaluation
        return self._computed(self._source.chosen(given.split, chosen.nonzero()[:, 0], given.batch_size), bf16)

    def _computed(self, batches: Iterable[Batch], bf16: bool) -> Scored:
        logits, labels = [], []
        for batch in batches:
            inputs, of_inputs = inputs_and_labels(batch)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                logits.append(logits_of(called(self._model, inputs)).float())
            labels.append(of_inputs)
            self._evaluation.check_stop()
        return torch.cat(logits), torch.cat(labels)


def screened(split: SplitLogits, loss: bool) -> Scored:
    """Logits and labels of all images; of a net whose classes lie close together all are computed in float32."""
    exact_at = spread_over(split.count, split.device)
    exact, probe_labels = split.of(exact_at)
    if bool(exact_at.all()):
        return exact, probe_labels
    rough, _ = split.of(exact_at, bf16=True)
    moved = moves(exact, rough, probe_labels)
    unsure_by = other_classes(rough, probe_labels)
    largest = float(moved.max())
    typical = float((moved * unsure_by).sum() / unsure_by.sum().clamp(min=1e-9))  # of those that the loss depends on
    share = in_doubt(rough, probe_labels, largest, typical if loss else None).double().mean()
    rest, rest_labels = split.of(~exact_at, bf16=float(share) <= WORTH)
    logits, labels = joined(exact_at, exact, rest), joined(exact_at, probe_labels, rest_labels)
    if float(share) > WORTH:
        return logits, labels
    while True:
        still_rough = typical * ~exact_at  # what float32 computed does not move any more
        doubtful = ~exact_at & in_doubt(logits, labels, largest, still_rough if loss else None)
        if not bool(doubtful.any()):
            return logits, labels
        exact, _ = split.of(doubtful)
        moved = moves(exact, logits[doubtful], labels[doubtful])
        largest, typical = max(largest, float(moved.max())), max(typical, float(moved.mean()))
        logits[doubtful] = exact
        exact_at = exact_at | doubtful


def in_doubt(logits: Tensor, labels: Tensor, largest: float, typical: Tensor | float | None) -> Tensor:
    """Images whose hits may be others in float32, or whose part in the mean loss unless ``typical`` is None: bool [N].

    Not "<=": what is not a number is in doubt.
    """
    doubt = ~(margins(logits, labels).abs() > SAFETY * largest).all(1)
    return doubt if typical is None else doubt | unsure(logits, labels, typical)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much each label's logit beats the best other one, and the fifth best other one: float [B, 2].

    With five classes or fewer every label is among the first five: by infinity.
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf).topk(min(FIRST, logits.shape[1]), dim=1).values
    last = others[:, FIRST - 1 : FIRST] if logits.shape[1] > FIRST else torch.full_like(own, -torch.inf)
    return torch.cat([own - others[:, :1], own - last], 1)


def unsure(logits: Tensor, labels: Tensor, move: Tensor | float) -> Tensor:
    """The least sure images, without which the mean loss is off by ``LOSS_TOLERANCE`` at most: bool [N].

    ``move`` [N] is by how much each image's logits move at most, seen from that of its label. With q the probability
    of the other classes its loss then moves by no more than log(1 + q (exp(move) - 1)): where all others rise.
    """
    move = torch.as_tensor(move, device=logits.device)
    losses = torch.log1p(other_classes(logits, labels) * torch.expm1(move)).cpu()  # no sum in order repeats on CUDA
    order = losses.argsort()
    found = torch.empty(len(losses), dtype=torch.bool)
    found[order] = ~(losses[order].cumsum(0) <= LOSS_TOLERANCE * len(losses))
    return found.to(logits.device)


def other_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """The probability of all classes but the label: float [N]."""
    return -torch.expm1(-F.cross_entropy(logits, labels, reduction="none"))


def moves(exact: Tensor, rough: Tensor, labels: Tensor) -> Tensor:
    """By how much an image's logits moved at most, seen from that of its label: float [N]."""
    change = exact - rough
    return (change - change.gather(1, labels[:, None])).abs().nan_to_num(0, 0).amax(1)


def joined(chosen: Tensor, theirs: Tensor, others: Tensor) -> Tensor:
    """Rows of the images that bool [N] marks, and of the others, in their order."""
    rows = theirs.new_empty(len(chosen), *theirs.shape[1:])
    rows[chosen], rows[~chosen] = theirs, others
    return rows


def spread_over(count: int, device: torch.device) -> Tensor:
    """Marks about ``PROBE`` of ``count`` images, evenly: they may be sorted by class."""
    return torch.arange(count, device=device) % max(1, count // PROBE) == 0
