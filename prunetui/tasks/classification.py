"""Classification: a network gives a logit for each class, and the highest one is its guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from prunetui.api import Accumulator, Batch, Evaluation, IndexedSource, Network, Task, logits_of, task
from prunetui.api.source import called
from prunetui.metrics import CLASSIFICATION, LOSS
from prunetui.tasks.imitation import imitated
from prunetui.tasks.labelled_batch import inputs_and_labels
from prunetui.tasks.screened_logits import FIRST, SplitLogits, screened

TOP1, TOP5 = CLASSIFICATION.primary, *CLASSIFICATION.more


@task("classification", primary="top1")
class Classification(Task):
    """One class an example, by cross-entropy; accuracies are those of float32.

    A batch is a pair of inputs and labels [B], or a mapping that has them as ``labels`` or ``label``, and whose other
    entries go into the network by name. A network that gives more than a tensor is taken by its ``logits``, else by
    ``out``, else by its first tensor.
    """

    measures = (TOP1, TOP5)

    def inputs(self, batch: Batch) -> Any:
        return inputs_and_labels(batch)[0]

    def loss(self, model: Network, batch: Batch) -> Tensor:
        return self.training_loss(model, batch, 0.0)

    def training_loss(self, model: Network, batch: Batch, label_smoothing: float) -> Tensor:
        inputs, labels = inputs_and_labels(batch)
        return F.cross_entropy(logits_of(called(model, inputs)).float(), labels, label_smoothing=label_smoothing)

    def metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        inputs, labels = inputs_and_labels(batch)
        hits = hits_of(logits_of(called(model, inputs)), labels)
        for metric, column in zip(self.measures, hits.unbind(1), strict=True):
            accumulator.mean(metric.key, 100 * column.double())

    def training_metrics(self, model: Network, batch: Batch, accumulator: Accumulator) -> None:
        """Top-1 alone, which takes no sorting."""
        inputs, labels = inputs_and_labels(batch)
        accumulator.mean(TOP1.key, 100 * (logits_of(called(model, inputs)).argmax(1) == labels).double())

    def imitation(self, loss: Tensor, outputs: Any, taught: Any, weight: float, temperature: float) -> Tensor:
        return imitated(loss, logits_of(outputs), logits_of(taught), weight, temperature)

    def check_outputs(self, outputs: object, examples: int, classes: int | None) -> str:
        logits = logits_of(outputs)
        shape = list(logits.shape) if isinstance(logits, Tensor) else type(outputs).__name__
        if isinstance(logits, Tensor) and shape == [examples, shape[-1] if classes is None else classes]:
            return ""
        known = "classes" if classes is None else classes
        return (
            f"gives {shape} of {examples} examples of {known} classes; a network for classification gives "
            f"one tensor of logits, here [{examples}, {known}]"
        )

    def evaluate(self, model: Network, evaluation: Evaluation) -> Mapping[str, float | None]:
        """As it is done for any task where a source gives its examples in order only; else all logits at once.

        A logit is four bytes, so those of a split that lies in memory lie there, too.
        """
        if not isinstance(evaluation.source, IndexedSource):
            return super().evaluate(model, evaluation)
        split = SplitLogits(model, evaluation, evaluation.source)
        logits, labels = screened(split, evaluation.loss) if evaluation.bf16 else split.all()
        top1, top5 = (100 * hits_of(logits, labels).double().mean(0)).tolist()
        loss = F.cross_entropy(logits, labels, reduction="none").double().mean() if evaluation.loss else None
        return {TOP1.key: top1, TOP5.key: top5, LOSS.key: None if loss is None else float(loss)}


def hits_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each label is the first guess, and among the first five: bool [B, 2]."""
    ranked = logits.topk(min(FIRST, logits.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([ranked[:, 0], ranked.any(1)], 1)
