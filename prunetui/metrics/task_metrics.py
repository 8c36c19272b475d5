"""What a task measures: a primary metric and others, and the columns, axes and tables that follow from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prunetui.metrics.known_metrics import COSTS, LOSS, OF_ANY_RUN, SECONDS, SIZES, TOP1, TOP5, WORD_COLUMNS
from prunetui.metrics.metric import LONGEST_TITLE, LOWER, Metric

MOST = 50
"""No task has more metrics."""
DROP = "drop"
"""Key of the figure that views compute: how much worse a trial is than its dense network."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of a task: the primary one, which methods are compared by, and others.

    Raises:
        ValueError: two columns would have the same name.
    """

    primary: Metric
    more: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        if len(self.more) > MOST:
            raise ValueError(f"a task has {len(self.more)} metrics besides its primary one, not {MOST} at most")
        taken = {DROP, *WORD_COLUMNS, *OF_ANY_RUN}
        for column in self.columns:
            if column in taken:
                raise ValueError(f"two columns of results would be called {column}; give a metric another key")
            taken.add(column)

    @cached_property
    def others(self) -> tuple[Metric, ...]:
        """Measured after recovery training only; the loss is always among them, or the primary metric."""
        there = LOSS.key in {metric.key for metric in (self.primary, *self.more)}
        return self.more if there else (*self.more, LOSS)

    @cached_property
    def before(self) -> Metric:
        """Of the edited network before recovery training, its batch-norm statistics re-estimated."""
        return self._of_primary(f"{self.primary.key}_before", f"{self.primary.title} before recovery")

    @cached_property
    def before_raw(self) -> Metric:
        """Of the edited network as it is."""
        return self._of_primary(f"{self.primary.key}_before_raw", f"{self.primary.title} after the edit")

    @cached_property
    def validation(self) -> Metric:
        """After recovery training, on held-out training data."""
        return self._of_primary(f"val_{self.primary.key}", f"validation {self.primary.title}")

    @cached_property
    def dense(self) -> Metric:
        """Of the dense network of the same seed."""
        return self._of_primary(f"{self.primary.key}_dense", f"dense {self.primary.title}")

    @cached_property
    def control(self) -> Metric:
        """Of the dense network that was trained as long."""
        return self._of_primary(f"{self.primary.key}_control", f"{self.primary.title} of the control")

    @cached_property
    def drop(self) -> Metric:
        """How much worse a trial is than its dense network."""
        return Metric(DROP, self.words_lost, "", LOWER, self.primary.format)

    @property
    def words_lost(self) -> str:
        if self.primary.higher_is_better:
            return "points lost" if self.primary.is_percent else f"{self.primary.title} lost"[:LONGEST_TITLE]
        return f"{self.primary.title} gained"[:LONGEST_TITLE]

    def _of_primary(self, key: str, title: str) -> Metric:
        return dataclasses.replace(self.primary, key=key, title=title[:LONGEST_TITLE])

    @cached_property
    def measured(self) -> tuple[Metric, ...]:
        """A metric for each column of the task, in their order."""
        return self.before, self.before_raw, self.primary, self.validation, self.dense, self.control, *self.others

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of results.csv that are of the task."""
        return tuple(metric.key for metric in self.measured)

    @cached_property
    def averaged(self) -> tuple[Metric, ...]:
        """All that has a mean over seeds: figures of any run, of the task, and what was lost."""
        every = (*SIZES, *self.measured, *COSTS, SECONDS, self.drop)
        return tuple(metric for metric in every if metric.averaged)

    @cached_property
    def in_tables(self) -> tuple[Metric, ...]:
        """The metrics that tables show beside the primary one."""
        return tuple(metric for metric in self.others if metric.averaged and metric.in_tables)

    def row(self, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
        """The columns of a trial from what was measured at the stages of its path, by their names in the plan."""
        stages = {
            "before": self.before, "edited": self.before_raw, "after": self.primary, "validation": self.validation,
            "dense": self.dense, "control": self.control,
        }  # fmt: skip
        key = self.primary.key
        found = {
            of.key: of.rounded(measured[stage][key]) if stage in measured else None for stage, of in stages.items()
        }
        return found | {other.key: other.rounded(measured["after"][other.key]) for other in self.others}


CLASSIFICATION = Metrics(TOP1, (TOP5,))
"""Of runs that do not say what they measure: all that were made before tasks had names."""


def joined(found: Iterable[Metrics]) -> Metrics:
    """For views of several runs: what the first one measures, and beside it what others do."""
    every = list(dict.fromkeys(found)) or [CLASSIFICATION]
    first = every[0]
    others = {metric.key: metric for one in every for metric in (*one.more, one.primary)}
    more = [metric for key, metric in others.items() if key not in set(first.columns) - {m.key for m in first.more}]
    return dataclasses.replace(first, more=tuple(more)) if len(every) > 1 else first
