"""What a network was before and after it was pruned in memory, for people and for programs."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunetui.engine.count import Counts
from prunetui.errors import UsageError
from prunetui.metrics import Metric

SHOWN = 12
"""Groups, and reasons, that are told one by one."""
WORDS = {"sparsity": "weights", "pattern": "weights", "threshold": "weights", "params": "parameters", "macs": "MACs"}


@dataclass(frozen=True)
class Change:
    """A count of the dense network and of the pruned one."""

    before: int
    after: int

    @property
    def removed(self) -> float:
        """The fraction that is gone."""
        return 1 - self.after / self.before if self.before else 0.0


@dataclass(frozen=True)
class ChangedGroup:
    """Coupled channels of which some are gone."""

    name: str
    width: Change
    layers: tuple[str, ...]
    """The layers that make them."""


@dataclass(frozen=True)
class MeasuredChange:
    """The primary metric of a task at each stage; what was not measured is None."""

    metric: Metric
    measured_on: str
    dense: float
    edited: float
    """Of the pruned network as it is."""
    recalibrated: float | None = None
    """With batch-norm statistics estimated anew."""
    finetuned: float | None = None

    @property
    def after(self) -> float:
        """Of the network that was handed back."""
        last = self.recalibrated if self.finetuned is None else self.finetuned
        return self.edited if last is None else last

    def __str__(self) -> str:
        stages = {
            "before": self.dense, "pruned": self.edited, "batch norm estimated anew": self.recalibrated,
            "fine-tuned": self.finetuned,
        }  # fmt: skip
        told = [f"{self.metric.text(value)} {stage}" for stage, value in stages.items() if value is not None]
        return f"{', '.join(told)} ({self.measured_on})"


@dataclass(frozen=True)
class PruningReport:
    """What ``prunetui.prune`` did."""

    method: str
    options: Mapping[str, Any]
    target: str
    amount: float
    """What was asked for."""
    achieved: float
    """The fraction of the target that is gone."""
    params: Change
    macs: Change
    """Multiply-accumulates of one example."""
    nonzero: Change
    """Parameters that are not zero."""
    groups: tuple[ChangedGroup, ...]
    stays: Mapping[str, str]
    """Layers whose channels had to stay -> why; empty for methods that remove single weights."""
    difference: float | None
    """The largest difference between outputs without these channels and with them silenced, relative to the largest
    output, on the data (or ``example_inputs``); None where no channels were removed, or others were changed to make up
    for them."""
    metric: MeasuredChange | None
    masks: Mapping[str, Tensor] = field(repr=False)
    """Layer -> bool, False where a weight was set to zero; see ``hold_zeros``."""
    notes: tuple[str, ...]
    seconds: float

    def hold_zeros(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
        """Keep weights that were set to zero at zero while you train: after each step of ``optimizer``.

        Returns a handle; ``remove()`` on it ends that.

        Raises:
            UsageError: the network has no such layer.
        """
        parameters = dict(network.named_parameters(remove_duplicate=False))
        if missing := [name for name in self.masks if f"{name}.weight" not in parameters]:
            raise UsageError(f"the network has no layer {missing[0]}: give the network that prune returned")
        weights = [(parameters[f"{name}.weight"], mask) for name, mask in self.masks.items()]

        def mask_weights(*_: Any) -> None:
            with torch.no_grad():
                for weight, mask in weights:
                    weight.mul_(mask.to(weight.device))

        return optimizer.register_step_post_hook(mask_weights)

    def __str__(self) -> str:
        rows = list(self._rows())
        width = max(len(name) for name, _ in rows)
        return "\n".join([self._head(), *(f"  {name:{width}}  {words}" for name, words in rows)])

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        cells = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left">{html.escape(words)}</td></tr>'
            for name, words in self._rows()
        )
        return f"<p>{html.escape(self._head())}</p><table>{cells}</table>"

    def _head(self) -> str:
        asked = f"at most {self.amount:g}" if self.target == "threshold" else f"{self.amount:.2%}"
        of = WORDS.get(self.target, self.target)
        return f"{self.method} removed {self.achieved:.2%} of the {of} (asked for: {asked}) in {self.seconds:.1f} s"

    def _rows(self) -> Iterator[tuple[str, str]]:
        for name, change in (("parameters", self.params), ("not zero", self.nonzero), ("MACs", self.macs)):
            yield name, f"{change.before:,} -> {change.after:,} ({change.removed:.2%} less)"
        if self.metric is not None:
            yield self.metric.metric.title, str(self.metric)
        for group in self.groups[:SHOWN]:
            yield "channels", f"{group.width.before} -> {group.width.after} of {', '.join(group.layers)}"
        if len(self.groups) > SHOWN:
            yield "channels", f"and of {len(self.groups) - SHOWN} more groups"
        if self.difference is not None:
            yield "proof", f"removed against silenced, on real inputs: outputs differ by {self.difference:.2g} at most"
        for name, reason in list(self.stays.items())[:SHOWN]:
            yield "stays", f"{name}: {reason}"
        if len(self.stays) > SHOWN:
            yield "stays", f"{len(self.stays) - SHOWN} more layers (report.stays)"
        for note in self.notes:
            yield "note", note


def changes_of(before: Counts, after: Counts) -> dict[str, Change]:
    """The counts of a report."""
    return {
        "params": Change(before.params, after.params),
        "macs": Change(before.macs, after.macs),
        "nonzero": Change(before.params_nonzero, after.params_nonzero),
    }
